//! Signals as something to read: blocked for the whole process, collected by a descriptor (signalfd(2)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// A signal that has arrived. The same one arriving again before it is read is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hangup,
    /// SIGCHLD.
    Child,
    /// SIGWINCH.
    WindowChanged,
}

impl Caught {
    fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::SIGTERM,
            Self::Interrupt => Signal::SIGINT,
            Self::Quit => Signal::SIGQUIT,
            Self::Hangup => Signal::SIGHUP,
            Self::Child => Signal::SIGCHLD,
            Self::WindowChanged => Signal::SIGWINCH,
        }
    }
}

/// The signals of this process, from the moment it is made.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    wanted: Vec<Caught>,
}

impl Signals {
    /// Blocks these signals and collects them. To be called before any thread is made: the mask is inherited by threads,
    /// not shared. Programs that are started inherit it too: see [`crate::os::process::unblocked`].
    ///
    /// # Errors
    /// Of sigprocmask(2) and signalfd(2): too many open files.
    pub fn block(wanted: &[Caught]) -> io::Result<Self> {
        let mut mask = SigSet::empty();
        for caught in wanted {
            mask.add(caught.signal());
        }
        mask.thread_block()?;
        let fd = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd, wanted: wanted.to_vec() })
    }

    /// Takes what has arrived; empty when nothing has. Never blocks.
    ///
    /// # Errors
    /// Of read(2); none is expected.
    pub fn read(&mut self) -> io::Result<Vec<Caught>> {
        let mut caught = Vec::new();
        while let Some(info) = self.fd.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            caught.extend(self.wanted.iter().copied().find(|w| w.signal() as i32 == number));
        }
        Ok(caught)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read_once() {
        let mut signals = Signals::block(&[Caught::WindowChanged]).unwrap();
        assert_eq!(signals.read().unwrap(), []);
        nix::sys::signal::raise(Signal::SIGWINCH).unwrap();
        nix::sys::signal::raise(Signal::SIGWINCH).unwrap();
        assert!(crate::os::wait::wait(&[signals.as_fd()], None).unwrap().any());
        assert_eq!(signals.read().unwrap(), [Caught::WindowChanged]);
        assert_eq!(signals.read().unwrap(), []);
    }
}
