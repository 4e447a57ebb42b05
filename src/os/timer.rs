//! A deadline as a descriptor (timerfd_create(2)), for those who wait for descriptors only.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Becomes readable once, after a time.
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// One that fires after `delay` of `CLOCK_MONOTONIC` (at once for zero) and stays readable.
    ///
    /// # Errors
    /// Too many open files.
    pub fn after(delay: Duration) -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        // A value of zero would disarm it.
        let delay = delay.max(Duration::from_nanos(1));
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value =
            Timespec { tv_sec: delay.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: delay.subsec_nanos().into() };
        timerfd_settime(&fd, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value: value })?;
        Ok(Self(fd))
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
