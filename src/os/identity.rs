//! Who a process is: number, start time and boot, so that a later process with the same number is told apart.

use std::{fs, io};

use crate::monitor::status::ProcessIdentity;
use crate::os::proc;

/// `/proc/sys/kernel/random/boot_id`: another one after each start of the machine.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// This process.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn this_process() -> io::Result<ProcessIdentity> {
    look(std::process::id())?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "/proc does not show this process"))
}

/// The living process with this number; zombies count as gone. `None` also when `/proc` cannot be read: use [`look`] where
/// the difference matters.
pub fn of(pid: u32) -> Option<ProcessIdentity> {
    look(pid).ok().flatten()
}

/// The living process with this number; `Ok(None)`: there is certainly none.
///
/// # Errors
/// When `/proc` cannot be read, so that nothing can be said.
pub fn look(pid: u32) -> io::Result<Option<ProcessIdentity>> {
    match proc::stat(pid)? {
        Some(stat) if !stat.is_gone() => {
            Ok(Some(ProcessIdentity { pid, start_time: stat.start_time, boot_id: boot_id()? }))
        }
        Some(_) | None => Ok(None),
    }
}

/// Whether exactly this process is alive. Also `false` when `/proc` cannot be read: use [`check`] where the difference
/// matters.
pub fn is_alive(process: &ProcessIdentity) -> bool {
    check(process).unwrap_or(false)
}

/// Whether exactly this process is alive; a zombie, a later process with the same number, and any process of an earlier
/// boot are not.
///
/// # Errors
/// When `/proc` cannot be read, so that nothing can be said.
pub fn check(process: &ProcessIdentity) -> io::Result<bool> {
    Ok(look(process.pid)?.as_ref() == Some(process))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::wait::wait;
    use std::os::fd::AsFd;
    use std::time::Duration;

    #[test]
    fn a_process_is_itself_and_nobody_else() {
        let own = this_process().unwrap();
        assert!(is_alive(&own));
        let later = ProcessIdentity { start_time: own.start_time + 1, ..own.clone() };
        assert!(!is_alive(&later), "another start time is another process");
        let other_boot = ProcessIdentity { boot_id: "x".into(), ..own };
        assert!(!is_alive(&other_boot), "another boot is another process");
    }

    #[test]
    fn a_zombie_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pidfd = crate::os::process::pidfd(child.id()).unwrap();
        let ready = wait(&[pidfd.as_fd()], Some(Duration::from_secs(10))).unwrap();
        assert!(ready.any());
        assert_eq!(of(child.id()), None);
        child.wait().unwrap();
    }
}
