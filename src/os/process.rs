//! Starting processes, and signals to exactly the one that is meant.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use crate::monitor::status::ProcessIdentity;
use crate::os::{identity, proc};

/// A handle of a process that no other process can take the place of (pidfd_open(2)); readable when it has ended.
///
/// # Errors
/// `ESRCH` when there is no such process; `EINVAL` for a number that none can have.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    Ok(pidfd_open(number(pid)?, PidfdFlags::empty())?)
}

/// A handle of exactly this process. `Ok(None)`: it is gone.
///
/// # Errors
/// When nothing can be said about it.
pub fn pidfd_of(process: &ProcessIdentity) -> io::Result<Option<OwnedFd>> {
    let fd = match pidfd(process.pid) {
        Ok(fd) => fd,
        Err(e) if is_no_process(&e) => return Ok(None),
        Err(e) => return Err(e),
    };
    // Looked at after the handle was taken: what is alive under this number now is what the handle means.
    Ok(identity::check(process)?.then_some(fd))
}

/// Sends a signal to the process of a handle. `Ok(false)`: it has ended.
///
/// # Errors
/// `EPERM` when it belongs to somebody else.
pub fn signal(pidfd: impl AsFd, signal: Signal) -> io::Result<bool> {
    let signal = rustix::process::Signal::from_named_raw(signal as i32)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    match pidfd_send_signal(pidfd, signal) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Sends a signal to a process that was seen in `/proc`, if it still is that one. `Ok(false)`: it is gone.
///
/// # Errors
/// `EPERM` when it belongs to somebody else.
pub fn signal_seen(seen: &proc::Stat, wanted: Signal) -> io::Result<bool> {
    let fd = match pidfd(seen.pid) {
        Ok(fd) => fd,
        Err(e) if is_no_process(&e) => return Ok(false),
        Err(e) => return Err(e),
    };
    match proc::stat(seen.pid)? {
        Some(now) if now.start_time == seen.start_time && !now.is_gone() => signal(fd, wanted),
        Some(_) | None => Ok(false),
    }
}

/// Signals a process group. `Ok(false)`: it has no member any more.
///
/// A group has no handle: the caller must know that its number is still taken (its leader is not reaped yet, or a member
/// has just been verified).
///
/// # Errors
/// `EPERM` when all members belong to somebody else.
pub fn signal_group(pgid: u32, wanted: Signal) -> io::Result<bool> {
    let pgid =
        i32::try_from(pgid).ok().filter(|p| *p > 1).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    match nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pgid), wanted) {
        Ok(()) => Ok(true),
        Err(nix::errno::Errno::ESRCH) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Takes the exit of a child of ours, if it has ended. Never blocks. `None`: not yet, or it is no child of ours.
pub fn reap(pidfd: BorrowedFd<'_>) -> Option<rustix::process::WaitIdStatus> {
    waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG).ok().flatten()
}

/// Makes a command start as the leader of a session of its own (away from our terminal), with these signals blocked from
/// its first instruction on, so that none is lost before it listens.
pub fn detached(command: &mut Command, blocked: &[Signal]) {
    let mut mask = SigSet::empty();
    for signal in blocked {
        mask.add(*signal);
    }
    // SAFETY: between fork and exec only async-signal-safe calls are allowed (signal-safety(7)): setsid(2) and
    // sigprocmask(2) are, nothing is allocated, and the mask was made before.
    #[expect(unsafe_code, reason = "std has no safe way to run code between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
            Ok(())
        });
    }
}

fn number(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

fn is_no_process(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}
