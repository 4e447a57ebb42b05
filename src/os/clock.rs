//! The clock.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::time::{Mono, Now, Utc};

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// Reads `CLOCK_MONOTONIC` and the wall clock.
    pub fn now() -> Now {
        Now { mono: Self::mono(), utc: Self::utc() }
    }

    /// Reads `CLOCK_MONOTONIC`.
    pub fn mono() -> Mono {
        let spec = clock_gettime(ClockId::Monotonic);
        // clock_gettime(2): tv_sec of this clock is never negative, tv_nsec is below 1e9.
        Mono::from_duration(Duration::new(
            u64::try_from(spec.tv_sec).unwrap_or(0),
            u32::try_from(spec.tv_nsec).unwrap_or(0),
        ))
    }

    /// Reads the wall clock; a clock set before 1970 reads as negative.
    pub fn utc() -> Utc {
        let millis = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |m| -m),
        };
        Utc::from_millis(millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_never_runs_backwards_and_utc_is_recent() {
        let first = SystemClock::now();
        let second = SystemClock::now();
        assert!(second.mono >= first.mono);
        assert!(first.utc.millis() > 1_700_000_000_000);
    }
}
