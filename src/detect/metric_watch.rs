//! Judges the values of one metric of one stream: not finite, beyond a limit, far from what they were. Pure: values in, findings
//! out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::robust::Window;
use crate::config::Metric;
use crate::time::Watched;

/// A median of fewer values says nothing. No window is smaller (configuration).
const FEWEST: usize = 10;
/// Values that differ from a median of 0, of which fewer give no scale.
const FEWEST_OTHERS: usize = 5;
/// Makes the MAD of normally distributed values their standard deviation: 1 / Φ⁻¹(3/4) (Rousseeuw and Croux 1993).
const NORMAL: f64 = 1.4826;
/// Makes the mean absolute deviation of normally distributed values their standard deviation: √(π/2). It is what the modified
/// z-score of Iglewicz and Hoaglin ("How to Detect and Handle Outliers", 1993) falls back on where the MAD is 0.
const NORMAL_MEAN: f64 = 1.2533;
/// A series is taken to vary by at least this part of its median, so that rounding in a constant one is no spike.
const LEAST_VARIATION: f64 = 0.01;

/// What is remembered of the values of one stream of a child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricMemory {
    /// Values seen, those in excepted phases left out.
    seen: u64,
    /// Odd values in a row.
    run: Option<Run>,
    /// It has fired, and the values have not been well since.
    episode: Option<Episode>,
    /// The last values that were well.
    window: Window,
}

/// Odd values in a row, all on the same side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    side: Side,
    count: u64,
    since: Watched,
}

/// From a finding until the values have recovered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Episode {
    side: Side,
    /// Good values in a row.
    well: u32,
    /// Odd values in a row that were not learned.
    odd: u32,
}

/// Which way a value is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    NonFinite,
    High,
    Low,
}

/// Why a value is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `nan` or infinite.
    NonFinite,
    /// Above `above`.
    Above,
    /// Below `below`.
    Below,
    /// Far above the median.
    Spike,
    /// Far below the median.
    Drop,
}

impl Reason {
    /// The word in `captures.reason` and in the fingerprint.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NonFinite => "non_finite",
            Self::Above => "above",
            Self::Below => "below",
            Self::Spike => "spike",
            Self::Drop => "drop",
        }
    }

    fn side(self) -> Side {
        match self {
            Self::NonFinite => Side::NonFinite,
            Self::Above | Self::Spike => Side::High,
            Self::Below | Self::Drop => Side::Low,
        }
    }
}

/// What is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Against {
    /// Nothing: the value is not finite.
    Itself,
    /// The limit of the configuration.
    Limit(f64),
    /// The median, in MADs scaled to standard deviations.
    Mads(f64),
    /// The median, as a multiple of it.
    Ratio(f64),
}

/// Values are odd, and that is confirmed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// Why the last one is.
    pub reason: Reason,
    /// The last one.
    pub value: f64,
    /// What it was compared with.
    pub against: Against,
    /// Median and MAD (not scaled) of the window, where it held enough values.
    pub usual: Option<Usual>,
    /// Odd values in a row.
    pub count: u64,
    /// Since the first of them.
    pub lasted: Duration,
}

/// What is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// Median.
    pub median: f64,
    /// Median absolute deviation.
    pub mad: f64,
    /// Of so many values.
    pub of: usize,
}

impl MetricMemory {
    /// Takes a value, which `in_phase` says to belong to an excepted phase.
    ///
    /// Odd values stay out of the window. Once they have been told, and as many more as half the window holds have come in a row,
    /// they are learned after all: a level that stays is the usual one after about a window. Values of the warm-up are learned and
    /// not judged; those of excepted phases are neither, and interrupt nothing.
    pub fn take(&mut self, rule: &Metric, value: f64, now: Watched, in_phase: bool) -> Option<Finding> {
        let finite = value.is_finite();
        if (in_phase && finite) || (!finite && !rule.non_finite) {
            return None;
        }
        self.seen = self.seen.saturating_add(1);
        let most = usize::try_from(rule.window).unwrap_or(usize::MAX);
        let odd = self.odd(rule, value);
        let Some((reason, against)) = odd else {
            self.run = None;
            self.recover(rule);
            self.window.push(value, most);
            return None;
        };
        let side = reason.side();
        let run = self.run.get_or_insert(Run { side, count: 0, since: now });
        if run.side != side {
            *run = Run { side, count: 0, since: now };
        }
        run.count = run.count.saturating_add(1);
        let (count, lasted) = (run.count, now.since(run.since));
        if let Some(episode) = &mut self.episode {
            episode.well = 0;
            episode.odd = episode.odd.saturating_add(1);
            if episode.odd > rule.window / 2 {
                self.window.push(value, most);
            }
            if episode.side == side {
                return None;
            }
        }
        if count < u64::from(rule.confirmations) || lasted < rule.confirm {
            return None;
        }
        self.episode = Some(Episode { side, well: 0, odd: 0 });
        Some(Finding { reason, value, against, usual: self.usual(), count, lasted })
    }

    /// The newest values that were well, oldest first, at most `most`.
    pub fn newest(&self, most: usize) -> Vec<f64> {
        let mut newest: Vec<f64> = self.window.values().rev().take(most).collect();
        newest.reverse();
        newest
    }

    /// How many values the window holds.
    pub fn held(&self) -> usize {
        self.window.len()
    }

    /// The same without the values of the window, which is learned anew.
    #[must_use]
    pub fn without_window(&self) -> Self {
        let Self { seen, run, episode, window: _ } = self;
        Self { seen: *seen, run: *run, episode: *episode, window: Window::default() }
    }

    /// It is over after as many good values in a row as it took odd ones to begin.
    fn recover(&mut self, rule: &Metric) {
        if let Some(episode) = &mut self.episode {
            episode.well = episode.well.saturating_add(1);
            episode.odd = 0;
            if episode.well >= rule.confirmations {
                self.episode = None;
            }
        }
    }

    fn odd(&self, rule: &Metric, value: f64) -> Option<(Reason, Against)> {
        if !value.is_finite() {
            return Some((Reason::NonFinite, Against::Itself));
        }
        if self.seen <= u64::from(rule.warm_up) {
            return None;
        }
        if let Some(limit) = rule.above.filter(|limit| value > *limit) {
            return Some((Reason::Above, Against::Limit(limit)));
        }
        if let Some(limit) = rule.below.filter(|limit| value < *limit) {
            return Some((Reason::Below, Against::Limit(limit)));
        }
        if self.window.len() < FEWEST {
            return None;
        }
        let median = self.window.median()?;
        let (reason, mads, ratio) = if value > median {
            let ratio = rule.spike_ratio.filter(|ratio| median > 0.0 && value > ratio * median);
            (Reason::Spike, rule.spike_mads, ratio)
        } else {
            let ratio = rule.drop_ratio.filter(|ratio| median > 0.0 && value < ratio * median);
            (Reason::Drop, rule.drop_mads, ratio)
        };
        if let Some(most) = mads {
            let distance = self.spread(value, median).map(|spread| (value - median).abs() / spread);
            if let Some(distance) = distance.filter(|distance| *distance > most) {
                return Some((reason, Against::Mads(distance)));
            }
        }
        ratio.map(|_| (reason, Against::Ratio(value / median)))
    }

    /// What one standard deviation is taken for; `None` where `value` cannot be judged by it: the window knows no scale, or has
    /// already held as much.
    fn spread(&self, value: f64, median: f64) -> Option<f64> {
        let mad = self.window.mad()?;
        if mad > 0.0 {
            return Some((NORMAL * mad).max(LEAST_VARIATION * median.abs()));
        }
        // Half of the values or more are the same. What the others say is the only scale there is …
        let (deviation, others) = self.window.mean_deviation()?;
        if median != 0.0 {
            return Some((NORMAL_MEAN * deviation).max(LEAST_VARIATION * median.abs()));
        }
        // … and around zero a few say nothing, and nothing of their like: a counter that is mostly 0 may be 1 again.
        let (least, largest) = self.window.range()?;
        (others >= FEWEST_OTHERS && !(least..=largest).contains(&value)).then_some(NORMAL_MEAN * deviation)
    }

    fn usual(&self) -> Option<Usual> {
        let of = self.window.len();
        (of >= FEWEST).then_some(())?;
        Some(Usual { median: self.window.median()?, mad: self.window.mad()?, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Metric {
        Metric {
            regex: regex::bytes::Regex::new("loss (\\S+)").expect("valid"),
            non_finite: true,
            above: None,
            below: None,
            spike_mads: Some(6.0),
            drop_mads: None,
            spike_ratio: None,
            drop_ratio: None,
            window: 40,
            confirmations: 3,
            confirm: Duration::ZERO,
            warm_up: 5,
            except: Vec::new(),
        }
    }

    /// 2.00 to 2.12 by turns: median 2.06, MAD 0.04.
    fn usual(count: usize) -> Vec<f64> {
        (0..count).map(|n| 2.0 + ((n * 5) % 7) as f64 * 0.02).collect()
    }

    /// Index of the value, reason, count.
    type Told = (usize, &'static str, u64);

    /// One value a second: what was found.
    fn play(rule: &Metric, values: &[f64]) -> Vec<Told> {
        play_with_phase(rule, values, |_| false)
    }

    fn play_with_phase(rule: &Metric, values: &[f64], phase: impl Fn(usize) -> bool) -> Vec<Told> {
        let mut memory = MetricMemory::default();
        let mut found = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let now = Watched::from_millis(index as u64 * 1000);
            let finding = memory.take(rule, *value, now, phase(index));
            found.extend(finding.map(|finding| (index, finding.reason.as_str(), finding.count)));
            // A monitor may die after each value.
            let text = serde_json::to_string(&memory).expect("json");
            let back: MetricMemory = serde_json::from_str(&text).expect("json");
            assert_eq!(back, memory);
            memory = back;
        }
        found
    }

    #[test]
    fn hand_made_series() {
        let with = |rest: &[f64]| [usual(60), rest.to_vec(), usual(60)].concat();
        let nan = f64::NAN;
        let drift: Vec<f64> = (0..1000).map(|n| 2.0 + f64::from(n) * 0.01 + f64::from(n % 5) * 0.05).collect();
        let falling: Vec<f64> = (0..300).map(|n| 10.0 * 0.98_f64.powi(n) + f64::from(n % 3) * 0.1).collect();
        let at_times =
            |most: f64| (0..40).map(|n| if n % 5 < 3 { 0.0 } else { most * f64::from(n % 7) / 6.0 }).collect();
        let at_times: &dyn Fn(f64) -> Vec<f64> = &at_times;
        let limits = Metric { spike_mads: None, above: Some(3.0), below: Some(1.0), ..rule() };
        let one = Metric { confirmations: 1, ..rule() };
        let rows: Vec<(&str, Metric, Vec<f64>, Vec<Told>)> = vec![
            ("nothing odd", rule(), with(&[]), vec![]),
            ("one outlier", rule(), with(&[9.0]), vec![]),
            ("two of three", rule(), with(&[9.0, 9.0, 2.0, 9.0, 9.0]), vec![]),
            ("a step", rule(), with(&[9.0; 10]), vec![(62, "spike", 3)]),
            ("two steps", rule(), [with(&[9.0; 4]), vec![9.0; 4]].concat(), vec![(62, "spike", 3), (126, "spike", 3)]),
            ("no recovery between", rule(), with(&[9.0, 9.0, 9.0, 2.0, 2.0, 9.0, 9.0, 9.0]), vec![(62, "spike", 3)]),
            ("slow drift", rule(), drift, vec![]),
            ("a loss that falls", rule(), falling, vec![]),
            ("a drop is not asked for", rule(), with(&[0.1; 10]), vec![]),
            ("nan must be confirmed too", rule(), with(&[nan, nan, 2.0, nan, nan]), vec![]),
            ("nan", one.clone(), with(&[nan]), vec![(60, "non_finite", 1)]),
            ("nan for ever", one.clone(), with(&[nan; 100]), vec![(60, "non_finite", 1)]),
            (
                "nan, well, inf",
                one.clone(),
                with(&[nan, 2.0, f64::INFINITY]),
                vec![(60, "non_finite", 1), (62, "non_finite", 1)],
            ),
            ("nan in the warm-up", one.clone(), vec![9.0, 1.0, nan], vec![(2, "non_finite", 1)]),
            ("a spike, then nan", one.clone(), with(&[9.0, nan, nan]), vec![(60, "spike", 1), (61, "non_finite", 1)]),
            ("nan is not asked for", Metric { non_finite: false, ..one.clone() }, with(&[nan]), vec![]),
            (
                "warm-up",
                Metric { confirmations: 1, warm_up: 70, ..rule() },
                [usual(60), vec![9.0; 10]].concat(),
                vec![],
            ),
            ("too few to judge", one.clone(), [usual(9), vec![9.0]].concat(), vec![]),
            ("enough to judge", one.clone(), [usual(10), vec![9.0]].concat(), vec![(10, "spike", 1)]),
            ("limits", limits.clone(), with(&[3.1, 3.1, 3.1, 0.5, 0.5, 0.5]), vec![(62, "above", 3), (65, "below", 3)]),
            ("limits know no median", limits, [vec![0.5; 5], vec![0.5; 3]].concat(), vec![(7, "below", 3)]),
            ("constant, then rounding", one.clone(), [vec![2.31; 60], vec![2.32, 2.3, 2.31]].concat(), vec![]),
            ("constant, then not", one.clone(), [vec![2.31; 60], vec![2.6]].concat(), vec![(60, "spike", 1)]),
            ("zeros, then noise", one.clone(), [vec![0.0; 60], vec![1e-12]].concat(), vec![]),
            ("zeros know no scale", one.clone(), [vec![0.0; 60], vec![0.000_001, 1.0]].concat(), vec![]),
            ("zeros, at times one", one.clone(), [vec![0.0; 40], [0.0, 0.0, 1.0].repeat(9)].concat(), vec![]),
            ("mostly zeros", one.clone(), [at_times(0.01), at_times(0.01), at_times(0.012)].concat(), vec![]),
            ("mostly zeros, then far", one.clone(), [at_times(0.01), vec![0.5]].concat(), vec![(40, "spike", 1)]),
            ("mostly the same", one, [vec![5.0; 30], vec![5.01; 9], vec![6.0]].concat(), vec![(39, "spike", 1)]),
        ];
        for (name, rule, values, expected) in rows {
            assert_eq!(play(&rule, &values), expected, "{name}");
        }
    }

    #[test]
    fn ratios_and_drops() {
        let ratio =
            Metric { spike_mads: None, drop_ratio: Some(0.7), spike_ratio: Some(1.5), confirmations: 2, ..rule() };
        let steady = vec![1000.0; 30];
        let with = |rest: &[f64]| [steady.clone(), rest.to_vec()].concat();
        assert_eq!(play(&ratio, &with(&[701.0, 701.0, 1499.0, 1499.0])), []);
        assert_eq!(play(&ratio, &with(&[699.0, 650.0])), [(31, "drop", 2)]);
        assert_eq!(play(&ratio, &with(&[699.0, 1501.0, 1600.0])), [(32, "spike", 2)]);
        assert_eq!(
            play(&ratio, &[vec![-5.0; 30], vec![5.0; 5]].concat()),
            [],
            "of a median below zero there is no multiple"
        );
        let mads = Metric { spike_mads: None, drop_mads: Some(6.0), confirmations: 1, ..rule() };
        assert_eq!(play(&mads, &[usual(60), vec![1.0]].concat()), [(60, "drop", 1)]);
    }

    #[test]
    fn a_level_that_stays_is_learned() {
        let values = [usual(60), vec![9.0; 60], vec![30.0; 3]].concat();
        let found = play(&rule(), &values);
        assert_eq!(found, [(62, "spike", 3), (122, "spike", 3)], "from 9 it is a spike again");
        let early = [usual(60), vec![9.0; 15], vec![30.0; 3], vec![2.0; 5]].concat();
        assert_eq!(play(&rule(), &early), [(62, "spike", 3)], "the same episode");
    }

    #[test]
    fn confirmed_by_time() {
        let slow = Metric { confirm: Duration::from_secs(100), ..rule() };
        let values = [usual(60), vec![9.0; 200]].concat();
        assert_eq!(
            play(&slow, &values),
            [(160, "spike", 101)],
            "a window's worth of odd values was not learned meanwhile"
        );
    }

    #[test]
    fn phases_are_left_out() {
        let rule = Metric { confirmations: 1, ..rule() };
        let values = [usual(60), vec![9.0; 100], usual(20)].concat();
        assert_eq!(play_with_phase(&rule, &values, |at| (60..160).contains(&at)), []);
        assert_eq!(
            play_with_phase(&rule, &values, |at| (60..150).contains(&at)),
            [(150, "spike", 1)],
            "and not learned"
        );
        let values = [usual(60), vec![f64::NAN; 2]].concat();
        assert_eq!(play_with_phase(&rule, &values, |at| at >= 60), [(60, "non_finite", 1)], "but must be finite");
    }
}
