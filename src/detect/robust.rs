//! Median and MAD of the last values, kept sorted: what a few odd values cannot move.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// The last values. A value costs two binary searches and two moves of at most the whole window; nothing is allocated once it
/// is full.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Window {
    by_age: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.by_age == other.by_age
    }
}

/// As numbers with spaces between: they come back as they were, which numbers in JSON need not.
impl From<String> for Window {
    fn from(text: String) -> Self {
        let values = text.split_ascii_whitespace().filter_map(|number| number.parse().ok());
        let by_age: VecDeque<f64> = values.filter(|value: &f64| value.is_finite()).collect();
        let mut sorted: Vec<f64> = by_age.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Self { by_age, sorted }
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        let mut text = String::with_capacity(window.len() * 8);
        for value in window.by_age {
            let separator = if text.is_empty() { "" } else { " " };
            // The shortest form that comes back; `e` keeps large and small ones short.
            let _ = if (1e-5..1e16).contains(&value.abs()) || value == 0.0 {
                write!(text, "{separator}{value}")
            } else {
                write!(text, "{separator}{value:e}")
            };
        }
        text
    }
}

impl Window {
    /// Adds a finite value and drops the oldest ones beyond `most`.
    pub fn push(&mut self, value: f64, most: usize) {
        if !value.is_finite() || most == 0 {
            return;
        }
        while self.by_age.len() >= most {
            let Some(oldest) = self.by_age.pop_front() else { break };
            if let Ok(at) = self.sorted.binary_search_by(|other| other.total_cmp(&oldest)) {
                self.sorted.remove(at);
            }
        }
        self.by_age.push_back(value);
        let at = self.sorted.partition_point(|other| other.total_cmp(&value).is_lt());
        self.sorted.insert(at, value);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }

    /// From the oldest to the newest.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = f64> + '_ {
        self.by_age.iter().copied()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.by_age.clear();
        self.sorted.clear();
    }

    /// Middle value; of an even number the mean of the two in the middle.
    pub fn median(&self) -> Option<f64> {
        middle(self.sorted.len(), |rank| self.sorted.get(rank).copied())
    }

    /// Median absolute deviation from the median, not scaled.
    pub fn mad(&self) -> Option<f64> {
        let median = self.median()?;
        let split = self.sorted.partition_point(|value| *value < median);
        let (below, above) = self.sorted.split_at(split);
        // Deviations ascend away from the median on either side.
        let left =
            |rank: usize| below.len().checked_sub(rank + 1).and_then(|at| below.get(at)).map(|value| median - value);
        let right = |rank: usize| above.get(rank).map(|value| value - median);
        middle(self.sorted.len(), |rank| kth(rank, below.len(), above.len(), left, right))
    }

    /// Mean absolute deviation from the median, not scaled, and how many values differ from it. Costs as many additions as there
    /// are of those: few where the MAD is 0, which is where it is wanted.
    pub fn mean_deviation(&self) -> Option<(f64, usize)> {
        let median = self.median()?;
        let count = self.sorted.len() as f64;
        let below = self.sorted.partition_point(|value| *value < median);
        let not_above = self.sorted.partition_point(|value| *value <= median);
        let differ = self.sorted.iter().take(below).chain(self.sorted.iter().skip(not_above));
        // Divided first: the sum of a few large values may be infinite.
        let mean = differ.map(|value| (value / count - median / count).abs()).sum();
        Some((mean, below + self.sorted.len() - not_above))
    }

    /// Least and largest value.
    pub fn range(&self) -> Option<(f64, f64)> {
        Some((*self.sorted.first()?, *self.sorted.last()?))
    }
}

fn middle(count: usize, at: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    let upper = at(count / 2)?;
    if count % 2 == 1 {
        return Some(upper);
    }
    // Halves first: the sum of two large values may be infinite.
    Some(at((count / 2).checked_sub(1)?)? / 2.0 + upper / 2.0)
}

/// The value of rank `rank` (from 0) of two ascending lists of `lefts` and `rights` values.
fn kth(
    rank: usize,
    lefts: usize,
    rights: usize,
    left: impl Fn(usize) -> Option<f64>,
    right: impl Fn(usize) -> Option<f64>,
) -> Option<f64> {
    // How many of the first `rank` come from the left: the least number such that the next of the left is not before the last
    // of the right.
    let (mut low, mut high) = (rank.saturating_sub(rights), rank.min(lefts));
    while low < high {
        let from_left = low.midpoint(high);
        match (left(from_left), right((rank - from_left).checked_sub(1)?)) {
            (Some(next), Some(last)) if next < last => low = from_left + 1,
            _ => high = from_left,
        }
    }
    match (left(low), right(rank - low)) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive_median(values: &[f64]) -> Option<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            count if count % 2 == 1 => Some(sorted[half]),
            _ => Some(sorted[half - 1] / 2.0 + sorted[half] / 2.0),
        }
    }

    proptest! {
        #[test]
        fn as_computed_from_all_values(
            values in proptest::collection::vec(prop_oneof![(-20_i32..20).prop_map(f64::from), -1e3..1e3], 0..80),
            most in 1_usize..30,
        ) {
            let mut window = Window::default();
            for (index, value) in values.iter().enumerate() {
                window.push(*value, most);
                let last = &values[(index + 1).saturating_sub(most)..=index];
                let median = naive_median(last).expect("there is one");
                prop_assert_eq!(window.median(), Some(median));
                let deviations: Vec<f64> = last.iter().map(|value| (value - median).abs()).collect();
                prop_assert_eq!(window.mad(), naive_median(&deviations));
                let mean = deviations.iter().sum::<f64>() / deviations.len() as f64;
                let (told, differ) = window.mean_deviation().expect("there is one");
                prop_assert_eq!(differ, deviations.iter().filter(|deviation| **deviation > 0.0).count());
                prop_assert!((told - mean).abs() <= 1e-9 * mean.max(1.0), "{told} for {mean}");
                let by_size = |pick: fn(f64, f64) -> f64| last.iter().copied().reduce(pick).expect("there is one");
                prop_assert_eq!(window.range(), Some((by_size(f64::min), by_size(f64::max))));
                prop_assert!(window.values().eq(last.iter().copied()));
            }
            let back: Window = serde_json::from_str(&serde_json::to_string(&window).expect("json")).expect("json");
            prop_assert_eq!(back.median(), window.median());
            prop_assert_eq!(&back, &window);
        }
    }

    #[test]
    fn nothing_and_what_is_not_finite() {
        let mut window = Window::default();
        assert_eq!((window.median(), window.mad()), (None, None));
        assert_eq!((window.mean_deviation(), window.range()), (None, None));
        window.push(f64::NAN, 3);
        window.push(f64::INFINITY, 3);
        assert!(window.is_empty());
        window.push(f64::MAX, 3);
        window.push(f64::MAX, 3);
        assert_eq!((window.median(), window.mad()), (Some(f64::MAX), Some(0.0)));
        window.push(f64::MIN, 3);
        assert!(window.mean_deviation().is_some_and(|(mean, _)| mean.is_finite()), "{:?}", window.mean_deviation());
    }
}
