//! Who a process is: number, start time and boot, so that a later process with the same number is told apart.

use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::monitor::status::ProcessIdentity;
use crate::os::proc;

/// `/proc/sys/kernel/random/boot_id`: another one after each start of the machine.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Where a name of this machine that survives its restarts is kept (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";

/// The nodename of uname(2).
const NODENAME: &str = "/proc/sys/kernel/hostname";

/// Which machine this is: its name, and its machine id where it has one.
///
/// Both, because neither is enough: machines that start from one image share the id, and names are given anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name, for people, too; empty where it cannot be read.
    pub name: String,
    /// `/etc/machine-id`; absent where there is none or it may not be read.
    #[serde(default)]
    pub machine_id: Option<String>,
}

impl Host {
    /// The machine that this process runs on.
    pub fn this() -> Self {
        let id = fs::read_to_string(MACHINE_ID).ok().map(|id| id.trim().to_owned());
        Self {
            name: fs::read_to_string(NODENAME).unwrap_or_default().trim().to_owned(),
            // machine-id(5): `uninitialized` in images that have not been started yet.
            machine_id: id.filter(|id| !id.is_empty() && id != "uninitialized"),
        }
    }

    /// Whether this machine may be another one than that. What is missing tells nothing.
    pub fn is_other_than(&self, that: &Self) -> bool {
        let other_id = matches!((&self.machine_id, &that.machine_id), (Some(a), Some(b)) if a != b);
        let other_name = !self.name.is_empty() && !that.name.is_empty() && self.name != that.name;
        other_id || other_name
    }
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
    fn another_machine_is_told_by_id_and_by_name() {
        let host = |name: &str, id: Option<&str>| Host { name: name.into(), machine_id: id.map(Into::into) };
        let rows = [
            ("itself", host("a", Some("1")), false),
            ("other id", host("a", Some("2")), true),
            ("other name, as of machines that share an image", host("b", Some("1")), true),
            ("no id", host("a", None), false),
            ("no id and another name", host("b", None), true),
            ("no name", host("", Some("1")), false),
        ];
        for (case, other, expected) in rows {
            assert_eq!(other.is_other_than(&host("a", Some("1"))), expected, "{case}");
        }
        assert!(!Host::this().is_other_than(&Host::this()));
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
