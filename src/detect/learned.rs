//! What a run's own pauses say about how long one may be.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Stall;

/// Limit until one has been learned, and at the start of each child.
pub const NOT_LEARNED: Duration = Duration::from_secs(1800);
/// Fewer gaps say nothing.
pub const FEWEST_GAPS: u32 = 20;

/// The healthy gaps of one stall detector: times between progress and progress, without phases, starts and stops. Survives children
/// and monitors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// How many.
    gaps: u32,
    /// The longest one.
    longest_ms: u64,
    /// All of them together.
    total_ms: u64,
}

impl Learned {
    /// Progress came again after this long.
    pub fn healthy_gap(&mut self, gap: Duration) {
        let millis = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
        self.gaps = self.gaps.saturating_add(1);
        self.longest_ms = self.longest_ms.max(millis);
        self.total_ms = self.total_ms.saturating_add(millis);
    }

    /// How many gaps were seen.
    pub fn gaps(&self) -> u32 {
        self.gaps
    }

    /// The longest one.
    pub fn longest(&self) -> Duration {
        Duration::from_millis(self.longest_ms)
    }

    /// The limit that they teach, once there are [`FEWEST_GAPS`]. One that is shorter than [`NOT_LEARNED`] needs gaps that are as
    /// long together: whoever has watched for two seconds cannot know that there are no pauses of five minutes.
    pub fn limit(&self, rule: &Stall) -> Option<Duration> {
        // `learn_factor` is at most 1000, and a gap no longer than a run.
        let learned = Duration::try_from_secs_f64(self.longest().as_secs_f64() * rule.learn_factor);
        let limit = learned.unwrap_or(Duration::MAX).max(rule.learn_min);
        let watched = limit >= NOT_LEARNED || Duration::from_millis(self.total_ms) >= limit;
        (self.gaps >= FEWEST_GAPS && watched).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_gaps_over_enough_time() {
        let rule = Stall {
            metric: None,
            no_progress: None,
            learn_factor: 5.0,
            learn_min: Duration::from_secs(300),
            except: vec![],
        };
        for (name, gaps, seconds, limit) in [
            ("none", 0, 0, None),
            ("a burst at the start", 10_000, 0, None),
            ("too few", 19, 60, None),
            ("short ones over a long time", 600, 1, Some(300)),
            ("long ones", 20, 100, Some(500)),
            ("longer than without learning", 20, 1000, Some(5000)),
        ] {
            let mut learned = Learned::default();
            (0..gaps).for_each(|_| learned.healthy_gap(Duration::from_secs(seconds)));
            assert_eq!(learned.limit(&rule), limit.map(Duration::from_secs), "{name}");
        }
    }
}
