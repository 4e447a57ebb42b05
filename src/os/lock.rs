//! The lock of a directory: held by at most one process, released by the kernel when that process ends, however it ends.
//!
//! flock(2), by way of [`File::try_lock`]. On NFS the Linux client passes it on to the server as a byte-range lock, so it
//! holds between machines where the server does locking; with `nolock`/`local_lock` it holds on one machine only.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::monitor::status::ProcessIdentity;
use crate::os::clock::SystemClock;
use crate::os::error::{At, AtExt};
use crate::os::file::{LastLink, read_capped};
use crate::os::identity::Host;
use crate::os::{identity, wait};

/// More than any identity needs.
const MAX_CONTENT: u64 = 4096;

/// How long a lock outlives its holder at most: a process that the holder had just forked has the descriptor, too, until it
/// executes its program (fork(2), `FD_CLOEXEC` in fcntl(2)).
const OUTLIVES: Duration = Duration::from_secs(2);
/// Between two tries meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("held by {}", by.as_ref().map_or_else(|| "another process".to_owned(), ToString::to_string))]
    Held {
        /// Who, if the file says so (not yet when it was taken a moment ago).
        by: Option<Holder>,
    },
    /// The operating system refused.
    #[error(transparent)]
    Os(#[from] At),
}

/// Who has a lock: `process 17`, or ``process 17 on host `a` ``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id there.
    pub pid: u32,
    /// Name of its machine, when that is not this one.
    pub host: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        self.host.as_ref().map_or(Ok(()), |host| write!(f, " on host `{host}`"))
    }
}

/// What is in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Signature {
    #[serde(flatten)]
    process: ProcessIdentity,
    /// Absent in files of older versions.
    #[serde(default)]
    host: Option<Host>,
}

impl Signature {
    fn holder(self) -> Holder {
        let same_boot = identity::boot_id().is_ok_and(|boot_id| boot_id == self.process.boot_id);
        let host = self.host.filter(|host| !same_boot && host.is_other_than(&Host::this()));
        Holder { pid: self.process.pid, host: host.map(|host| host.name) }
    }
}

/// A lock that is held as long as this value lives.
#[derive(Debug)]
#[must_use = "dropping it releases the lock"]
pub struct DirLock {
    file: File,
    path: PathBuf,
}

impl DirLock {
    /// Takes the lock, and writes into the file who has it. The directory must exist. Does not wait for a living holder; for
    /// what is left of a dead one, two seconds.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody else has it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let until = SystemClock::mono() + OUTLIVES;
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
                .open(path)
                .at(path, "open lock")?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let by = written(path).unwrap_or(None);
                    let living = by.as_ref().is_some_and(|by| identity::is_alive(&by.process));
                    if living || SystemClock::mono() >= until {
                        return Err(LockError::Held { by: by.map(Signature::holder) });
                    }
                    let _ = wait::wait(&[], Some(TRY_AGAIN)).at(path, "wait for lock")?;
                    continue;
                }
                Err(TryLockError::Error(source)) => {
                    return Err(LockError::Os(At { verb: "lock", path: path.to_path_buf(), source }));
                }
            }
            let lock = Self { file, path: path.to_path_buf() };
            // Whoever deletes the file lets two processes hold "the" lock; so the one that was locked must be the one there.
            if lock.is_in_place() {
                lock.sign()?;
                return Ok(lock);
            }
            if SystemClock::mono() >= until {
                return Err(LockError::Held { by: None });
            }
        }
    }

    /// Whether the file that is locked is still the one that others would try to lock: nobody has deleted or replaced it.
    pub fn is_in_place(&self) -> bool {
        let (Ok(ours), Ok(there)) = (self.file.metadata(), std::fs::symlink_metadata(&self.path)) else {
            return false;
        };
        (ours.dev(), ours.ino()) == (there.dev(), there.ino())
    }

    /// Whether the file that is locked is certainly not the one that others would try to lock any more. Where nobody can look
    /// (a server that does not answer, a folder that may not be searched for a while), it is not.
    pub fn is_lost(&self) -> bool {
        match std::fs::symlink_metadata(&self.path) {
            Ok(_) => !self.is_in_place(),
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    fn sign(&self) -> Result<(), At> {
        let process = identity::this_process().at(&self.path, "tell own identity for")?;
        let signature = Signature { process, host: Some(Host::this()) };
        let text = serde_json::to_vec(&signature).map_err(io::Error::from).at(&self.path, "write lock")?;
        self.file.set_len(0).at(&self.path, "write lock")?;
        (&self.file).write_all(&text).at(&self.path, "write lock")
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Not needed for the lock, which ends with the descriptor: readers need not ask whether the process lives.
        let _ = self.file.set_len(0);
    }
}

/// The living process of this machine that has the lock. `None`: nobody, or it is held from another machine.
///
/// For readers: it takes no lock, so it never gets in the way of a monitor that starts.
///
/// # Errors
/// When the file exists and cannot be read.
pub fn holder(path: &Path) -> Result<Option<ProcessIdentity>, At> {
    Ok(written(path)?.map(|by| by.process).filter(identity::is_alive))
}

fn written(path: &Path) -> Result<Option<Signature>, At> {
    match read_capped(path, MAX_CONTENT, LastLink::Refuse) {
        Ok(content) => Ok(serde_json::from_slice(&content.bytes).ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_readers_know_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(holder(&path).unwrap(), None, "no file");
        let lock = DirLock::acquire(&path).unwrap();
        let own = identity::this_process().unwrap();
        assert_eq!(holder(&path).unwrap().as_ref(), Some(&own));
        match DirLock::acquire(&path) {
            Err(LockError::Held { by: Some(by) }) => assert_eq!(by, Holder { pid: own.pid, host: None }),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert_eq!(holder(&path).unwrap(), None);
        drop(DirLock::acquire(&path).unwrap());
    }

    #[test]
    fn a_dead_holder_and_garbage_are_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let dead = ProcessIdentity { start_time: 1, ..identity::this_process().unwrap() };
        let cases: [(&str, Vec<u8>); 3] = [
            ("dead", serde_json::to_vec(&dead).unwrap()),
            ("half written", b"{\"pid\":1,".to_vec()),
            ("bytes", vec![0xff; 9000]),
        ];
        for (case, content) in cases {
            std::fs::write(&path, content).unwrap();
            assert_eq!(holder(&path).unwrap(), None, "{case}");
            drop(DirLock::acquire(&path).unwrap());
        }
    }

    #[test]
    fn a_holder_on_another_machine_is_named_with_it() {
        let own = identity::this_process().unwrap();
        let there = ProcessIdentity { pid: 17, boot_id: "another".into(), ..own.clone() };
        let far = Some(Host { name: "far-away".into(), machine_id: None });
        let rows = [
            ("another machine", &there, far.clone(), "held by process 17 on host `far-away`".to_owned()),
            ("an older version", &there, None, "held by process 17".to_owned()),
            ("a container here", &own, far, format!("held by process {}", own.pid)),
        ];
        for (case, process, host, expected) in rows {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("lock");
            let text = match host {
                Some(host) => serde_json::to_vec(&Signature { process: process.clone(), host: Some(host) }),
                None => serde_json::to_vec(process),
            };
            std::fs::write(&path, text.unwrap()).unwrap();
            let other = File::open(&path).unwrap();
            other.try_lock().unwrap();
            assert_eq!(DirLock::acquire(&path).unwrap_err().to_string(), expected, "{case}");
        }
    }

    #[test]
    fn a_deleted_lock_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = DirLock::acquire(&path).unwrap();
        assert!(lock.is_in_place() && !lock.is_lost());
        std::fs::remove_file(&path).unwrap();
        assert!(!lock.is_in_place() && lock.is_lost());
        std::fs::write(&path, "another").unwrap();
        assert!(!lock.is_in_place() && lock.is_lost());
    }

    #[test]
    fn a_lock_that_outlives_its_holder_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let dead = ProcessIdentity { start_time: 1, ..identity::this_process().unwrap() };
        std::fs::write(&path, serde_json::to_vec(&dead).unwrap()).unwrap();
        let inherited = File::open(&path).unwrap();
        inherited.try_lock().unwrap();
        let descriptors = || {
            let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            all.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == path)).count()
        };
        std::thread::scope(|scope| {
            let successor = scope.spawn(|| DirLock::acquire(&path));
            while descriptors() < 2 && !successor.is_finished() {
                std::thread::yield_now();
            }
            drop(inherited);
            drop(successor.join().unwrap().unwrap());
        });
    }

    #[test]
    fn the_file_is_not_inherited_by_children() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = DirLock::acquire(&path).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        drop(lock);
        let again = DirLock::acquire(&path);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(again.is_ok(), "{again:?}");
    }
}
