//! Walls: how often a run may be restarted, and how long it waits before it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Backoff, RestartPolicy};
use crate::ids::Fingerprint;
use crate::time::Watched;

/// Restarts so far; survives restarts of the monitor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// Since the last kept fix.
    pub unverified: u32,
    /// Of this run.
    pub total: u32,
    /// When each of the last ones happened, oldest first; bounded by the window and by `MAX_REMEMBERED`.
    pub recent: Vec<Watched>,
    /// The last failure and how often it came in a row.
    pub identical: Option<(Fingerprint, u32)>,
    /// Restarts in a row that waited for the world outside; they are not among `unverified`.
    #[serde(default)]
    pub waits: u32,
}

/// Most restarts remembered for the rolling window.
const MAX_REMEMBERED: usize = 10_000;

/// Why no further restart is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wall {
    /// `max_restarts`.
    Restarts {
        /// The limit.
        max: u32,
    },
    /// `max_identical_failures`.
    Identical {
        /// How often the same failure came.
        times: u32,
    },
    /// [`Restarts::MAX_WAITS`].
    Waits,
    /// `max_restarts_in_window`.
    Window {
        /// The limit.
        max: u32,
        /// Its window.
        window: Duration,
    },
}

impl std::fmt::Display for Wall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Restarts { max } => {
                let restarts = if *max == 1 { "restart" } else { "restarts" };
                write!(f, "{max} {restarts} without a fix that held (`process.restart_policy.max_restarts`)")
            }
            Self::Identical { times } => {
                write!(f, "the same failure {times} times in a row (`process.restart_policy.max_identical_failures`)")
            }
            Self::Waits => write!(f, "{} waits in a row for something outside", Restarts::MAX_WAITS),
            Self::Window { max, window } => write!(
                f,
                "{max} restarts within {} s (`process.restart_policy.max_restarts_in_window`)",
                window.as_secs()
            ),
        }
    }
}

impl Restarts {
    /// Most waits in a row: at the default pauses a whole day.
    pub const MAX_WAITS: u32 = 100;

    /// Whether one more wait for the world outside is allowed: neither the number of restarts nor identical failures count.
    ///
    /// # Errors
    /// The wall that was reached.
    pub fn allow_wait(&self, policy: &RestartPolicy, now: Watched) -> Result<(), Wall> {
        if self.waits >= Self::MAX_WAITS {
            return Err(Wall::Waits);
        }
        if policy.max_restarts_in_window > 0 && self.in_window(policy, now) >= policy.max_restarts_in_window {
            return Err(Wall::Window { max: policy.max_restarts_in_window, window: policy.restart_window });
        }
        Ok(())
    }

    /// Counts a wait.
    pub fn waited(&mut self) {
        self.waits = self.waits.saturating_add(1);
    }

    /// Pause before a restart that waits for the world outside: `cooldown`, at least a second, and twice as long each time,
    /// at most `backoff.max`.
    pub fn wait(&self, policy: &RestartPolicy, chance: f64) -> Duration {
        const SHORTEST: Duration = Duration::from_secs(1);
        let doubling = Backoff { factor: policy.backoff.factor.max(2.0), ..policy.backoff.clone() };
        let policy = RestartPolicy { backoff: doubling, cooldown: policy.cooldown.max(SHORTEST), ..policy.clone() };
        Self { unverified: self.waits, ..Self::default() }.pause(&policy, chance)
    }

    /// Counts a failure. Call it once per incident that ends a child or restarts it.
    pub fn failed_with(&mut self, fingerprint: &Fingerprint) {
        self.identical = match self.identical.take() {
            Some((last, times)) if last == *fingerprint => Some((last, times.saturating_add(1))),
            Some(_) | None => Some((fingerprint.clone(), 1)),
        };
    }

    /// Whether one more restart is allowed. `max_restarts` is given apart because a person may have changed it.
    ///
    /// # Errors
    /// The wall that was reached.
    pub fn allow(&self, policy: &RestartPolicy, max_restarts: u32, now: Watched) -> Result<(), Wall> {
        if let Some((_, times)) = &self.identical
            && policy.max_identical_failures > 0
            && *times >= policy.max_identical_failures
        {
            return Err(Wall::Identical { times: *times });
        }
        if max_restarts > 0 && self.unverified >= max_restarts {
            return Err(Wall::Restarts { max: max_restarts });
        }
        if policy.max_restarts_in_window > 0 && self.in_window(policy, now) >= policy.max_restarts_in_window {
            return Err(Wall::Window { max: policy.max_restarts_in_window, window: policy.restart_window });
        }
        Ok(())
    }

    /// Counts a restart.
    pub fn restarted(&mut self, policy: &RestartPolicy, now: Watched) {
        self.unverified = self.unverified.saturating_add(1);
        self.started_again(policy, now);
    }

    /// Counts a start that spends no budget but the rolling window's (`restart_always` after exit 0).
    pub fn started_again(&mut self, policy: &RestartPolicy, now: Watched) {
        self.total = self.total.saturating_add(1);
        if policy.max_restarts_in_window > 0 {
            self.recent.retain(|at| now.since(*at) <= policy.restart_window);
            self.recent.push(now);
            let surplus = self.recent.len().saturating_sub(MAX_REMEMBERED);
            self.recent.drain(..surplus);
        }
    }

    /// The command has finished its work: whatever failed before is not "in a row" any more.
    pub fn succeeded(&mut self) {
        self.identical = None;
        self.waits = 0;
    }

    /// A fix was kept, or the child was healthy for long enough.
    pub fn verified(&mut self) {
        self.unverified = 0;
        self.waits = 0;
        self.identical = None;
    }

    /// Restarts within the rolling window.
    pub fn in_window(&self, policy: &RestartPolicy, now: Watched) -> u32 {
        let count = self.recent.iter().filter(|at| now.since(**at) <= policy.restart_window).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Pause before the next restart: `cooldown * factor^unverified`, at most `max`, plus or minus `jitter` of it.
    ///
    /// `chance` is a random number from 0 to 1, given from outside so that the same state gives the same answer.
    pub fn pause(&self, policy: &RestartPolicy, chance: f64) -> Duration {
        let Backoff { factor, max, jitter } = policy.backoff;
        let steps = i32::try_from(self.unverified.min(64)).unwrap_or(64);
        let longest = max.max(policy.cooldown).as_secs_f64();
        let plain = (policy.cooldown.as_secs_f64() * factor.max(1.0).powi(steps)).min(longest);
        let swing = jitter.clamp(0.0, 1.0) * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        Duration::try_from_secs_f64((plain * (1.0 + swing)).clamp(0.0, longest)).unwrap_or(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RestartPolicy {
        RestartPolicy {
            max_restarts: 3,
            cooldown: Duration::from_secs(10),
            backoff: Backoff { factor: 2.0, max: Duration::from_secs(60), jitter: 0.0 },
            max_identical_failures: 2,
            max_restarts_in_window: 2,
            restart_window: Duration::from_secs(100),
            reset_after_healthy: Duration::ZERO,
        }
    }

    fn at(seconds: u64) -> Watched {
        Watched::from_millis(seconds * 1000)
    }

    #[test]
    fn every_wall_is_reached_and_zero_is_none() {
        let print = |text: &str| Fingerprint::new(text);
        let mut restarts = Restarts::default();
        restarts.failed_with(&print("a"));
        assert_eq!(restarts.allow(&policy(), 3, at(0)), Ok(()));
        restarts.failed_with(&print("a"));
        assert_eq!(restarts.allow(&policy(), 3, at(0)), Err(Wall::Identical { times: 2 }));
        restarts.failed_with(&print("b"));
        restarts.restarted(&policy(), at(1));
        restarts.restarted(&policy(), at(2));
        assert_eq!(restarts.allow(&policy(), 3, at(3)), Err(Wall::Window { max: 2, window: Duration::from_secs(100) }));
        assert_eq!(restarts.allow(&policy(), 3, at(500)), Ok(()), "the window has passed");
        restarts.restarted(&policy(), at(500));
        assert_eq!(restarts.allow(&policy(), 3, at(900)), Err(Wall::Restarts { max: 3 }));
        let unlimited = RestartPolicy { max_identical_failures: 0, max_restarts_in_window: 0, ..policy() };
        assert_eq!(restarts.allow(&unlimited, 0, at(900)), Ok(()));
        restarts.verified();
        assert_eq!(restarts.allow(&policy(), 3, at(900)), Ok(()));
    }

    #[test]
    fn waits_for_the_world_outside_spend_no_restart() {
        let policy = RestartPolicy { max_restarts_in_window: 0, ..policy() };
        let mut restarts = Restarts::default();
        let mut pauses = Vec::new();
        for _ in 0..Restarts::MAX_WAITS {
            assert_eq!(restarts.allow_wait(&policy, at(0)), Ok(()));
            pauses.push(restarts.wait(&policy, 0.5).as_secs());
            restarts.waited();
            restarts.started_again(&policy, at(0));
        }
        assert_eq!(pauses[..5], [10, 20, 40, 60, 60]);
        assert_eq!(restarts.unverified, 0);
        assert_eq!(restarts.allow_wait(&policy, at(0)), Err(Wall::Waits));
        restarts.verified();
        assert_eq!(restarts.allow_wait(&policy, at(0)), Ok(()));
    }

    #[test]
    fn pauses_grow_up_to_their_limit() {
        let mut restarts = Restarts::default();
        let mut pauses = Vec::new();
        for _ in 0..5 {
            pauses.push(restarts.pause(&policy(), 0.5).as_secs());
            restarts.unverified += 1;
        }
        assert_eq!(pauses, [10, 20, 40, 60, 60]);
        let jittery =
            RestartPolicy { backoff: Backoff { factor: 1.0, max: Duration::from_secs(60), jitter: 0.5 }, ..policy() };
        assert_eq!(restarts.pause(&jittery, 0.0), Duration::from_secs(5));
        assert_eq!(restarts.pause(&jittery, 1.0), Duration::from_secs(15));
    }
}
