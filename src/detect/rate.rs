//! N matches within T: how often something was seen lately, in bounded memory.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Watched;

/// Points in time that are kept apart. With more of them within a window, neighbours are taken together.
const MAX_POINTS: usize = 512;

/// When a detector fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At so many matches …
    pub count: u64,
    /// … within this time; zero is no limit.
    pub window: Duration,
}

/// The matches of one detector.
///
/// Exact as long as they came at no more than 512 points in time within the window, which is always so up to a count of 512.
/// Beyond, matches that came within 1/256 of the window count as of the earliest of them: it may then be late by that much, never
/// early.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RateCounter {
    /// Oldest first.
    points: VecDeque<(Watched, u64)>,
}

/// The rate was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Matches …
    pub count: u64,
    /// … within this time; `None` where no window is asked for.
    pub within: Option<Duration>,
}

impl RateCounter {
    /// Adds matches. When the count is reached, it begins anew.
    pub fn add(&mut self, more: u64, now: Watched, rate: Rate) -> Option<Reached> {
        if !rate.window.is_zero() {
            while self.points.front().is_some_and(|(at, _)| now.since(*at) > rate.window) {
                self.points.pop_front();
            }
        }
        match self.points.back_mut() {
            // Without a limit of time it does not matter when.
            Some((at, count)) if *at == now || rate.window.is_zero() => *count = count.saturating_add(more),
            _ => self.points.push_back((now, more)),
        }
        if self.points.len() > MAX_POINTS {
            self.take_together(rate.window / 256);
        }
        let count = self.points.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        if count < rate.count {
            return None;
        }
        let first = self.points.front().filter(|_| !rate.window.is_zero());
        let within = first.map(|(first, _)| now.since(*first));
        self.points.clear();
        Some(Reached { count, within })
    }

    fn take_together(&mut self, width: Duration) {
        let mut fewer: VecDeque<(Watched, u64)> = VecDeque::with_capacity(MAX_POINTS + 1);
        for (at, count) in self.points.drain(..) {
            match fewer.back_mut() {
                Some((first, sum)) if at.since(*first) < width => *sum = sum.saturating_add(count),
                _ => fewer.push_back((at, count)),
            }
        }
        self.points = fewer;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Watched {
        Watched::from_millis(millis)
    }

    #[test]
    fn so_many_within_so_long() {
        let rate = Rate { count: 3, window: Duration::from_secs(10) };
        let reached = |count, millis| Some(Reached { count, within: Some(Duration::from_millis(millis)) });
        for (name, matches, expected) in [
            ("slow", vec![(0, 1), (6_000, 1), (12_000, 1)], vec![None, None, None]),
            ("quick", vec![(0, 1), (5_000, 1), (10_000, 1)], vec![None, None, reached(3, 10_000)]),
            ("a burst", vec![(7, 1000)], vec![reached(1000, 0)]),
            ("begins anew", vec![(0, 3), (1, 2), (2, 1)], vec![reached(3, 0), None, reached(3, 1)]),
        ] {
            let mut counter = RateCounter::default();
            let found: Vec<_> = matches.into_iter().map(|(millis, more)| counter.add(more, at(millis), rate)).collect();
            assert_eq!(found, expected, "{name}");
        }
        let mut whole_run = RateCounter::default();
        let rate = Rate { count: 1_000_000, window: Duration::ZERO };
        assert!((0..999_999).all(|n| whole_run.add(1, at(n), rate).is_none()));
        assert_eq!(whole_run.points.len(), 1);
        assert!(whole_run.add(1, at(2_000_000), rate).is_some());
    }

    proptest! {
        #[test]
        fn small_counts_are_exact_and_large_ones_never_early(
            gaps in proptest::collection::vec((0_u64..400, 1_u64..4), 1..400),
            count in 2_u64..2000,
        ) {
            let rate = Rate { count, window: Duration::from_secs(20) };
            let mut counter = RateCounter::default();
            let mut exact: Vec<u64> = Vec::new();
            let mut now = 0;
            for (gap, more) in gaps {
                now += gap;
                exact.extend((0..more).map(|_| now));
                exact.retain(|millis| now - millis <= 20_000);
                let fired = counter.add(more, at(now), rate).is_some();
                let should = exact.len() as u64 >= count;
                if count <= MAX_POINTS as u64 {
                    prop_assert_eq!(fired, should);
                } else {
                    prop_assert!(should || !fired);
                }
                if fired {
                    exact.clear();
                }
                prop_assert!(counter.points.len() <= MAX_POINTS + 1);
            }
        }
    }
}
