//! Whether a quantity grows steadily: not a start-up ramp, not the teeth of a garbage collector's saw, not one step.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Watched;

/// The window is cut into this many pieces; of each only the lowest and the highest value are kept.
const PIECES: u32 = 12;
/// Fewer pieces tell a slope from a step no more.
const FEWEST: u32 = 4;

/// Values of the last window and a little, bounded whatever the window.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    every: Duration,
    piece: Duration,
    pieces: usize,
    kept: VecDeque<Piece>,
    /// Highest value that has left the window.
    highest_before: f64,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    number: u64,
    first: Watched,
    last: Watched,
    low: f64,
    high: f64,
}

/// Growth over a whole window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Steady {
    /// Units per hour.
    pub(super) per_hour: f64,
    /// Time that was looked at.
    pub(super) over: Duration,
}

impl Growth {
    /// `every` is the time between two values: a window too short for some of them is made longer.
    pub(super) fn new(window: Duration, every: Duration) -> Self {
        let piece = (window / PIECES).max(every).max(Duration::from_millis(1));
        let pieces = window.as_millis().div_ceil(piece.as_millis()).max(u128::from(FEWEST));
        let pieces = usize::try_from(pieces).unwrap_or(usize::MAX).min(PIECES as usize + 1);
        Self { every, piece, pieces, kept: VecDeque::new(), highest_before: f64::NEG_INFINITY }
    }

    /// Takes a value.
    pub(super) fn see(&mut self, value: f64, now: Watched) {
        let length = u64::try_from(self.piece.as_millis()).unwrap_or(u64::MAX).max(1);
        let number = now.millis() / length;
        match self.kept.back_mut().filter(|piece| piece.number == number) {
            Some(piece) => {
                piece.last = now;
                piece.low = piece.low.min(value);
                piece.high = piece.high.max(value);
            }
            None => self.kept.push_back(Piece { number, first: now, last: now, low: value, high: value }),
        }
        let oldest = number.saturating_sub(self.pieces as u64);
        while let Some(piece) = self.kept.pop_front_if(|piece| piece.number < oldest) {
            self.highest_before = self.highest_before.max(piece.high);
        }
    }

    /// The growth, if the window is full and everything in it agrees on at least `limit` per hour:
    ///
    /// - what was never given back grows (the *floor*: of every moment the lowest value from then on), by the slope of
    ///   Theil and Sen, the median of the slopes between all pairs, which no single value can bend;
    /// - it does so in each third (each half of a few pieces), by half of the limit at least: a ramp that has ended, or a
    ///   step, is no growth;
    /// - the end is higher than anything before: a tooth that is longer than the window reaches old heights only.
    pub(super) fn steady(&self, limit: f64) -> Option<Steady> {
        let (first, last) = (self.kept.front()?, self.kept.back()?);
        let over = last.last.since(first.first);
        // The oldest value may have come late by one look, and the newest may be missing.
        let window = self.piece.saturating_mul(u32::try_from(self.pieces).unwrap_or(u32::MAX));
        if over + self.every * 2 < window || self.kept.len() < FEWEST as usize {
            return None;
        }
        let mut floors: Vec<(f64, f64)> = Vec::with_capacity(self.kept.len());
        let mut floor = f64::INFINITY;
        for piece in self.kept.iter().rev() {
            floor = floor.min(piece.low);
            floors.push((hours(piece.first), floor));
        }
        floors.reverse();
        let per_hour = slope(&floors)?;
        let parts = if floors.len() >= 9 { 3 } else { 2 };
        let mut chunks = floors.chunks(floors.len().div_ceil(parts));
        let parts_agree = chunks.all(|part| slope(part).is_some_and(|slope| slope >= limit / 2.0));
        let fresh = self.kept.len().div_ceil(4);
        let height = |piece: &Piece| piece.high;
        let end = self.kept.iter().rev().take(fresh).map(height).fold(f64::NEG_INFINITY, f64::max);
        let before = self.kept.iter().rev().skip(fresh).map(height).fold(self.highest_before, f64::max);
        // Looks hit the tips of teeth more or less exactly.
        let higher = end - before > limit * over.as_secs_f64() / 3600.0 / 10.0;
        (per_hour >= limit && parts_agree && higher).then_some(Steady { per_hour, over })
    }
}

fn hours(at: Watched) -> f64 {
    at.since(Watched::default()).as_secs_f64() / 3600.0
}

/// Theil–Sen estimator (Sen 1968): median of the slopes of all pairs. At most 14 points, so at most 91 pairs.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let pairs = points.iter().enumerate().flat_map(|(at, from)| points.iter().skip(at + 1).map(move |to| (from, to)));
    let mut slopes: Vec<f64> =
        pairs.filter(|(from, to)| to.0 > from.0).map(|(from, to)| (to.1 - from.1) / (to.0 - from.0)).collect();
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    /// Minutes at which the growth is first seen, watched every half minute over an hour's window with a limit of 1 per hour.
    fn seen_at(value: impl Fn(f64) -> f64, hours: u64) -> Option<u64> {
        let mut growth = Growth::new(Duration::from_secs(3600), Duration::from_secs(30));
        (0..hours * 120).find_map(|look| {
            let now = Watched::from_millis(look * MINUTE / 2);
            growth.see(value(now.millis() as f64 / 3_600_000.0), now);
            growth.steady(1.0).map(|_| look / 2)
        })
    }

    #[test]
    fn only_a_steady_growth_is_one() {
        // Hours in, GiB out.
        let leak = |h: f64| 2.0 + 1.5 * h;
        let slow = |h: f64| 2.0 + 0.8 * h;
        let ramp = |h: f64| (20.0 * h).min(8.0);
        let long_ramp = |h: f64| (20.0 * h).min(12.0);
        let flat = |h: f64| 3.0 + 0.2 * (h * 977.0).sin();
        let saw = |period: f64| move |h: f64| 2.0 + 6.0 * ((h / period).fract());
        let leaky_saw = |h: f64| 2.0 + 6.0 * ((h / 0.05).fract()) + 2.0 * h;
        let step = |h: f64| if h < 1.5 { 2.0 } else { 9.0 };
        let steps = |h: f64| 2.0 + (h * 6.0).floor() * 0.4;
        let falling = |h: f64| 10.0 - h;
        let spike = |h: f64| if (1.2..1.25).contains(&h) { 50.0 } else { 2.0 };
        type Course<'a> = &'a dyn Fn(f64) -> f64;
        let rows: [(&str, Course<'_>, bool); 14] = [
            ("leak", &leak, true),
            ("leak after a ramp", &move |h| ramp(h) + leak(h), true),
            ("leak below the teeth of a collector", &leaky_saw, true),
            ("leak in small steps", &steps, true),
            ("slower than the limit", &slow, false),
            ("start-up", &ramp, false),
            ("long start-up", &long_ramp, false),
            ("noise", &flat, false),
            ("short teeth", &saw(0.02), false),
            ("teeth of a piece", &saw(0.083), false),
            ("teeth of a third of the window", &saw(0.33), false),
            ("teeth of two thirds of the window", &saw(0.66), false),
            ("one step", &step, false),
            ("falling", &falling, false),
        ];
        for (case, value, grows) in rows {
            assert_eq!(seen_at(value, 6).is_some(), grows, "{case}: {:?}", seen_at(value, 6));
        }
        assert_eq!(seen_at(spike, 6), None, "a spike");
    }

    #[test]
    fn is_not_seen_before_the_window_is_full() {
        let first = seen_at(|h| 5.0 * h, 3).unwrap();
        assert!((55..=66).contains(&first), "{first}");
        let mut growth = Growth::new(Duration::from_secs(2), Duration::from_secs(1));
        for second in 0..10_u32 {
            growth.see(f64::from(second), Watched::from_millis(u64::from(second) * 1000));
            assert_eq!(growth.steady(1.0).is_some(), second >= 3, "{second}");
        }
    }

    #[test]
    fn a_year_of_values_takes_no_room() {
        let mut growth = Growth::new(Duration::from_secs(3600), Duration::from_secs(1));
        for minute in 0..500_000 {
            growth.see(1.0, Watched::from_millis(minute * MINUTE));
            assert!(growth.kept.len() <= PIECES as usize + 2);
        }
    }
}
