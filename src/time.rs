//! Time as values: pure code receives these and never asks a clock (`os::clock` does).
//!
//! Three kinds that must never be compared with each other: [`Mono`] for waits and deadlines, [`Utc`] for stamps that
//! people read, [`Watched`] for everything that decides (stalls, verify windows, budgets).

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Reading of `CLOCK_MONOTONIC`: does not count a suspend, never jumps; meaningless after a reboot, so never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(Duration);

impl Mono {
    /// Wraps a duration since an arbitrary start.
    pub const fn from_duration(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

/// Wall-clock stamp, milliseconds since 1970-01-01T00:00:00Z. For people only: it may jump either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Utc(i64);

impl Utc {
    /// Wraps milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Age of this stamp at `now`; zero when the clock went backwards.
    pub fn age(self, now: Self) -> Duration {
        Duration::from_millis(u64::try_from(now.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// RFC 3339 with milliseconds, `2026-11-21T12:34:56.789Z`.
    pub fn rfc3339(self) -> String {
        self.date_time().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// File-name form with a resolution of one second, `2026-11-21T12-34-56Z`.
    pub fn file_stamp(self) -> String {
        self.date_time().format("%Y-%m-%dT%H-%M-%SZ").to_string()
    }

    /// The stamp as a `chrono` value; stamps outside chrono's range become the epoch.
    pub fn date_time(self) -> chrono::DateTime<chrono::Utc> {
        chrono::DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }
}

/// Time during which the monitor really watched: it advances with [`Mono`], but not while the machine was suspended or the
/// monitor stopped, and it goes on from the stored value after a restart of the monitor.
///
/// Milliseconds since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watched(u64);

impl Watched {
    /// Wraps milliseconds since the start of the run.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of the run.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Watched time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Watched {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Watched {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// What pure code is told about the present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For waits.
    pub mono: Mono,
    /// For stamps.
    pub utc: Utc,
}
