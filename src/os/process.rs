//! Starting processes, and signals to exactly the one that is meant.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use crate::monitor::status::ProcessIdentity;
use crate::os::{identity, proc, wait};

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
    // Looked at after the handle was taken: what has this number now is what the handle means. Only the handle tells whether
    // it has ended: a process whose first thread has ended looks like a zombie as long as the others run.
    let is_it = match proc::stat(process.pid)? {
        Some(stat) => stat.start_time == process.start_time && identity::boot_id()? == process.boot_id,
        None => false,
    };
    Ok((is_it && !wait::wait(&[fd.as_fd()], Some(Duration::ZERO))?.any()).then_some(fd))
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

/// Takes the exit of a child of ours that has ended, so that it is no zombie any more. Never blocks. `false`: it is ours
/// and cannot be taken yet; `true`: it was taken, or there is nothing to take (it is not ours).
pub fn reap(pidfd: BorrowedFd<'_>) -> bool {
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(status) => return status.is_some(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return true,
        }
    }
}

/// Makes a command start as the leader of a session of its own (away from our terminal), with every signal blocked from
/// its first instruction on, so that none is lost before it listens, and without any descriptor of ours but 0 to 2.
pub fn detached(command: &mut Command) {
    let all = SigSet::all();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed (signal-safety(7)): setsid(2), sigprocmask(2)
    // and close_range(2) as a bare system call are; nothing is allocated, and the mask was made before.
    #[expect(unsafe_code, reason = "std has no safe way to run code between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), None)?;
            // Marked, not closed: std itself still needs one. Before Linux 5.11 it fails, and what the shell that started
            // us left open stays open.
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
            Ok(())
        });
    }
}

/// Makes a command start with no signal blocked: std gives it the mask of the thread that starts it.
pub fn unblocked(command: &mut Command) {
    let none = SigSet::empty();
    // SAFETY: sigprocmask(2) is async-signal-safe (signal-safety(7)), and the mask was made before.
    #[expect(unsafe_code, reason = "std has no safe way to run code between fork and exec")]
    unsafe {
        command.pre_exec(move || Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&none), None)?));
    }
}

/// Makes a command enter a control group by its open `cgroup.procs`; when that fails it starts where we are.
pub fn entering(command: &mut Command, entrance: OwnedFd) {
    // SAFETY: write(2) is async-signal-safe (signal-safety(7)), and nothing is allocated.
    #[expect(unsafe_code, reason = "std has no safe way to run code between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            let _ = rustix::io::write(&entrance, b"0");
            Ok(())
        });
    }
}

/// Makes a command start as the leader of a session whose terminal is its standard input.
pub fn on_terminal(command: &mut Command) {
    // SAFETY: setsid(2) and ioctl(2) are bare system calls, and nothing is allocated. Descriptor 0 is open: std has put the
    // command's standard input there before it runs this.
    #[expect(unsafe_code, reason = "std has no safe way to run code between fork and exec")]
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(BorrowedFd::borrow_raw(0))?;
            Ok(())
        });
    }
}

/// Blocks every signal that can be blocked, and gives every one its default disposition, so that a program that is started
/// from here does not inherit what `nohup`, a shell's `&` or a container runtime had set. SIGPIPE stays ignored here (std
/// gives it back to programs that it starts).
///
/// To be called before any thread is made.
///
/// # Errors
/// None is expected.
pub fn plain_signals() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    for signal in Signal::iterator() {
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP | Signal::SIGPIPE) {
            continue;
        }
        // SAFETY: no handler is installed, only the default; nothing in this process relies on another one: std's own
        // handlers (SIGSEGV, SIGBUS) only print a hint on stack overflow, to a stderr that goes nowhere.
        #[expect(unsafe_code, reason = "changing a disposition is unsafe in general")]
        unsafe {
            nix::sys::signal::signal(signal, SigHandler::SigDfl)?;
        }
    }
    Ok(())
}

/// A child that has ended: its number, and its status as wait(2) gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Process id; free for others from now on.
    pub pid: u32,
    /// Exit code, if it returned.
    pub code: Option<i32>,
    /// Number of the signal that ended it (real-time signals included).
    pub signal: Option<i32>,
    /// `WCOREDUMP`.
    pub core_dumped: bool,
}

/// What [`reap_any`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// One has ended and was reaped.
    Ended(Reaped),
    /// All children are alive.
    Alive,
    /// There are no children.
    Childless,
}

/// Reaps one child of ours that has ended, whichever. Never blocks.
///
/// # Errors
/// None is expected.
pub fn reap_any() -> io::Result<Family> {
    loop {
        match rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                return Ok(Family::Ended(Reaped {
                    pid: pid.as_raw_nonzero().get().unsigned_abs(),
                    code: status.exit_status(),
                    signal: status.terminating_signal(),
                    core_dumped: status.signaled() && libc::WCOREDUMP(status.as_raw()),
                }));
            }
            Ok(None) => return Ok(Family::Alive),
            Err(rustix::io::Errno::CHILD) => return Ok(Family::Childless),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Reaps what others have left to us when we are process 1 (of a container), so that zombies do not pile up; nothing
/// otherwise. To be called when a child has ended. `is_ours` tells the processes that somebody here still waits for: the
/// pids of all jobs. Gives the number of those reaped; never blocks.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn reap_strangers(is_ours: impl Fn(u32) -> bool) -> io::Result<usize> {
    if std::process::id() == 1 { reap_those(|pid| !is_ours(pid)) } else { Ok(0) }
}

/// Reaps children that have ended, of those that are wanted.
fn reap_those(wanted: impl Fn(u32) -> bool) -> io::Result<usize> {
    let look_only = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // The common case costs one call. The one that it finds may be ours and hide others, so all are looked at.
    if !matches!(waitid(WaitId::All, look_only), Ok(Some(_))) {
        return Ok(0);
    }
    let own = std::process::id();
    let mut reaped = 0;
    for stat in proc::all()?.into_iter().filter(|stat| stat.ppid == own && stat.is_gone() && wanted(stat.pid)) {
        // A child of ours that is not reaped keeps its number, so it is still the one that was seen.
        let taken = waitid(WaitId::Pid(number(stat.pid)?), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        reaped += usize::from(matches!(taken, Ok(Some(_))));
    }
    Ok(reaped)
}

fn number(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

fn is_no_process(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_reaped_and_what_is_waited_for_is_not() {
        let mut ours = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        let strangers: Vec<_> = (0..3).map(|_| Command::new("true").spawn().unwrap().id()).collect();
        for pid in strangers.iter().copied().chain([ours.id()]) {
            let handle = pidfd(pid).unwrap();
            assert!(wait::wait(&[handle.as_fd()], Some(Duration::from_secs(30))).unwrap().any());
        }
        assert_eq!(reap_strangers(|_| false).unwrap(), 0, "this is not process 1");
        assert_eq!(reap_those(|pid| strangers.contains(&pid)).unwrap(), 3);
        assert_eq!(reap_those(|pid| strangers.contains(&pid)).unwrap(), 0);
        assert_eq!(ours.wait().unwrap().code(), Some(3));
    }

    #[test]
    fn a_handle_means_a_process_that_has_not_ended() {
        let own = identity::this_process().unwrap();
        assert!(pidfd_of(&own).unwrap().is_some());
        for other in [
            ProcessIdentity { start_time: own.start_time + 1, ..own.clone() },
            ProcessIdentity { boot_id: "another".into(), ..own.clone() },
            // pid_max is at most 4194304 (proc(5)).
            ProcessIdentity { pid: 4_194_305, ..own },
        ] {
            assert!(pidfd_of(&other).unwrap().is_none(), "{other:?}");
        }
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let known = identity::of(child.id()).unwrap();
        child.kill().unwrap();
        let handle = pidfd(child.id()).unwrap();
        assert!(wait::wait(&[handle.as_fd()], Some(Duration::from_secs(30))).unwrap().any());
        assert!(pidfd_of(&known).unwrap().is_none(), "a zombie has ended");
        child.wait().unwrap();
    }
}
