//! Wakes when a file grows or a directory gains an entry (inotify(7)).

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// A watched path, as long as its [`Watch`] lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(usize);

/// What has happened since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A watched file was written to. It is not watched any more until [`Watch::rearm`].
    Written(WatchId),
    /// A watched directory gained an entry, by creation or by renaming.
    Entered(WatchId),
    /// The watched file or directory itself was deleted or moved away.
    Gone(WatchId),
    /// Events were lost: look at everything.
    Overflow,
}

/// A set of watched files and directories behind one descriptor.
///
/// A file wakes once and is then left alone until it is armed again, so that a program that writes a million lines a
/// second pays for one event per look and not per line.
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
    paths: HashMap<WatchId, (PathBuf, WatchFlags)>,
    /// Numbers given so far; none is given twice.
    given: usize,
    live: HashMap<i32, WatchId>,
}

impl Watch {
    /// An empty set.
    ///
    /// # Errors
    /// `EMFILE` when the user's `fs.inotify.max_user_instances` is spent: poll instead.
    pub fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { fd, paths: HashMap::new(), given: 0, live: HashMap::new() })
    }

    /// Watches a file for its next write. A file on a network file system wakes for writes of this machine only: see
    /// [`sees_all_writers`].
    ///
    /// # Errors
    /// `ENOENT`; `ENOSPC` when the user's `fs.inotify.max_user_watches` is spent: poll instead.
    pub fn file(&mut self, path: &Path) -> io::Result<WatchId> {
        self.add(path, WatchFlags::MODIFY | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONESHOT)
    }

    /// Watches a directory for new entries.
    ///
    /// # Errors
    /// As [`Watch::file`].
    pub fn dir(&mut self, path: &Path) -> io::Result<WatchId> {
        self.add(
            path,
            WatchFlags::MOVED_TO
                | WatchFlags::CREATE
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR,
        )
    }

    /// Watches again after [`Woken::Written`]. Arm first and read the file then: what is written in between wakes again.
    ///
    /// # Errors
    /// As [`Watch::file`].
    pub fn rearm(&mut self, id: WatchId) -> io::Result<()> {
        let Some((path, flags)) = self.paths.get(&id).cloned() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let descriptor = inotify::add_watch(&self.fd, &path, flags)?;
        self.live.insert(descriptor, id);
        Ok(())
    }

    /// Stops watching, and forgets the path.
    pub fn remove(&mut self, id: WatchId) {
        self.paths.remove(&id);
        let descriptors: Vec<i32> = self.live.iter().filter(|(_, i)| **i == id).map(|(d, _)| *d).collect();
        for descriptor in descriptors {
            self.live.remove(&descriptor);
            // It may be gone already: a oneshot that has fired, a file that was deleted.
            let _ = inotify::remove_watch(&self.fd, descriptor);
        }
    }

    /// Takes what has happened, each once; empty when nothing has. Never blocks.
    ///
    /// # Errors
    /// Of read(2); none is expected.
    pub fn drain(&mut self) -> io::Result<Vec<Woken>> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.fd, &mut buffer);
        let mut woken = Vec::new();
        loop {
            let (descriptor, events) = match reader.next() {
                Ok(event) => (event.wd(), event.events()),
                Err(Errno::AGAIN) => return Ok(woken),
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            };
            let news = if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                Some(Woken::Overflow)
            } else if let Some(&id) = self.live.get(&descriptor) {
                if events.contains(ReadFlags::IGNORED) {
                    self.live.remove(&descriptor);
                    None
                } else if events.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                    Some(Woken::Gone(id))
                } else if events.contains(ReadFlags::MODIFY) {
                    Some(Woken::Written(id))
                } else {
                    Some(Woken::Entered(id))
                }
            } else {
                None
            };
            if let Some(news) = news.filter(|n| !woken.contains(n)) {
                woken.push(news);
            }
        }
    }

    fn add(&mut self, path: &Path, flags: WatchFlags) -> io::Result<WatchId> {
        let descriptor = inotify::add_watch(&self.fd, path, flags)?;
        let id = WatchId(self.given);
        self.given = self.given.saturating_add(1);
        self.paths.insert(id, (path.to_path_buf(), flags));
        self.live.insert(descriptor, id);
        Ok(id)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether watching works at all here.
pub fn available() -> bool {
    Watch::new().is_ok()
}

/// Whether every write to files below this path wakes us, that of other machines included. `false` for network and FUSE
/// file systems and for what cannot be looked at: poll there besides.
pub fn sees_all_writers(path: &Path) -> bool {
    // statfs(2), linux/magic.h, and the magics of Lustre, GPFS, CephFS and BeeGFS.
    const REMOTE: [u32; 10] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x0bd0_0bd0,
        0x4750_4653,
        0x00c3_6400,
        0x1983_0326,
    ];
    rustix::fs::statfs(path).is_ok_and(|found| {
        // The field is signed on some machines; the magics are 32 bits wide.
        let magic = (found.f_type & 0xffff_ffff) as u32;
        !REMOTE.contains(&magic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::wait::wait;
    use std::fs;
    use std::io::Write;
    use std::time::Duration;

    fn woken(watch: &mut Watch) -> Vec<Woken> {
        assert!(wait(&[watch.as_fd()], Some(Duration::from_secs(10))).unwrap().any(), "nothing woke us");
        watch.drain().unwrap()
    }

    #[test]
    fn a_file_wakes_once_until_it_is_armed_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = fs::File::create(dir.path().join("log")).unwrap();
        let mut watch = Watch::new().unwrap();
        let id = watch.file(&dir.path().join("log")).unwrap();
        assert_eq!(watch.drain().unwrap(), []);
        for _ in 0..3 {
            file.write_all(b"x").unwrap();
        }
        assert_eq!(woken(&mut watch), [Woken::Written(id)]);
        file.write_all(b"x").unwrap();
        assert_eq!(watch.drain().unwrap(), [], "not armed");
        watch.rearm(id).unwrap();
        watch.rearm(id).unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(woken(&mut watch), [Woken::Written(id)]);
        watch.rearm(id).unwrap();
        watch.remove(id);
        file.write_all(b"x").unwrap();
        assert_eq!(watch.drain().unwrap(), [], "removed");
        assert!(watch.paths.is_empty() && watch.rearm(id).is_err());
    }

    #[test]
    fn a_directory_wakes_for_every_new_entry_and_for_its_own_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d");
        fs::create_dir(&path).unwrap();
        let mut watch = Watch::new().unwrap();
        let id = watch.dir(&path).unwrap();
        for name in ["a", "b"] {
            fs::write(path.join(name), "").unwrap();
            assert_eq!(woken(&mut watch), [Woken::Entered(id)]);
        }
        fs::rename(path.join("a"), path.join("c")).unwrap();
        assert_eq!(woken(&mut watch), [Woken::Entered(id)]);
        fs::remove_dir_all(&path).unwrap();
        assert!(woken(&mut watch).contains(&Woken::Gone(id)));
    }

    #[test]
    fn what_cannot_be_watched_is_an_error() {
        let mut watch = Watch::new().unwrap();
        assert_eq!(watch.file(Path::new("/no/such")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(watch.rearm(WatchId(7)).is_err());
        assert!(!sees_all_writers(Path::new("/no/such")));
        assert!(sees_all_writers(Path::new("/proc")));
    }
}
