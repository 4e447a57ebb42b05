//! The one wait.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Which descriptors of a [`wait`] are ready, by their place in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Ready(Vec<bool>);

impl Ready {
    /// Whether the descriptor at this place is readable, has hung up or has failed: reading it will not block.
    pub fn is_ready(&self, place: usize) -> bool {
        self.0.get(place).copied().unwrap_or(false)
    }

    /// Whether any is.
    pub fn any(&self) -> bool {
        self.0.contains(&true)
    }

    /// Places of all that are.
    pub fn places(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().filter_map(|(place, ready)| ready.then_some(place))
    }
}

/// Waits until a descriptor is readable or the time is over (`None`: without end; resolution 1 ns). May return early with
/// nothing ready when the process was stopped and continued (signal(7)), so deadlines are checked by the caller anyway.
///
/// # Errors
/// Of ppoll(2): `EINVAL` for more descriptors than `RLIMIT_NOFILE`, `ENOMEM`.
pub fn wait(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Ready> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let timeout = timeout
        .map(|t| Timespec { tv_sec: t.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: t.subsec_nanos().into() });
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) => Ok(Ready(polled.iter().map(|fd| !fd.revents().is_empty()).collect())),
        Err(Errno::INTR) => Ok(Ready(vec![false; fds.len()])),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn says_which_is_ready_and_returns_in_time() {
        let (quiet, _keep) = io::pipe().unwrap();
        let (loud, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let ready = wait(&[quiet.as_fd(), loud.as_fd()], None).unwrap();
        assert_eq!(ready.places().collect::<Vec<_>>(), [1]);
        let ready = wait(&[quiet.as_fd()], Some(Duration::from_micros(200))).unwrap();
        assert!(!ready.any());
    }

    #[test]
    fn a_closed_writer_counts_as_ready() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        assert!(wait(&[reader.as_fd()], None).unwrap().is_ready(0));
    }
}
