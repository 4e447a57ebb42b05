//! Directories and what happens to the files in them, by name (inotify(7)).

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, os::unix::fs::DirEntryExt};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// Most events taken at once; the rest is there for the next time.
const MOST_EVENTS: usize = 16 * 1024;

/// A watched directory. The same directory always has the same number, whatever path it was reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchedDir(i32);

/// What has happened to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirNews {
    /// A file was written to, cut, or its attributes have changed.
    Written(WatchedDir, OsString),
    /// A name has appeared. The number is that of [`DirNews::Left`] where it was renamed, else 0.
    Appeared(WatchedDir, OsString, u32),
    /// A name is gone; the number is not 0 where it was renamed.
    Left(WatchedDir, OsString, u32),
    /// The directory itself was deleted or moved, and is not watched any more.
    Gone(WatchedDir),
    /// Events were lost: look at everything.
    Overflow,
}

/// Watched directories behind one descriptor.
#[derive(Debug)]
pub struct DirWatch {
    fd: OwnedFd,
}

impl DirWatch {
    /// No directory yet.
    ///
    /// # Errors
    /// `EMFILE` when the user's `fs.inotify.max_user_instances` is spent: poll instead.
    pub fn new() -> io::Result<Self> {
        Ok(Self { fd: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)? })
    }

    /// Watches for names that come and go.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`; `ENOSPC` when the user's `fs.inotify.max_user_watches` is spent: poll instead.
    pub fn names(&self, path: &Path) -> io::Result<WatchedDir> {
        self.add(path, WatchFlags::CREATE | WatchFlags::MOVED_TO)
    }

    /// Watches for names and for writes to the files in the directory.
    ///
    /// # Errors
    /// As [`DirWatch::names`].
    pub fn files(&self, path: &Path) -> io::Result<WatchedDir> {
        self.add(
            path,
            WatchFlags::CREATE | WatchFlags::MOVE | WatchFlags::DELETE | WatchFlags::MODIFY | WatchFlags::ATTRIB,
        )
    }

    /// Takes what has happened, in order; empty when nothing has. Never blocks.
    ///
    /// # Errors
    /// Of read(2); none is expected.
    pub fn drain(&mut self) -> io::Result<Vec<DirNews>> {
        let mut buffer = [MaybeUninit::uninit(); 64 * 1024];
        let mut reader = Reader::new(&self.fd, &mut buffer);
        let mut news = Vec::new();
        let mut gone = Vec::new();
        while news.len() < MOST_EVENTS || !reader.is_buffer_empty() {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let (dir, events, cookie) = (WatchedDir(event.wd()), event.events(), event.cookie());
            let name = || event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
            if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                news.push(DirNews::Overflow);
            } else if events.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT) {
                news.push(DirNews::Gone(dir));
                gone.push(dir);
            } else if let Some(name) = name() {
                news.push(if events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                    DirNews::Appeared(dir, name, cookie)
                } else if events.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
                    DirNews::Left(dir, name, cookie)
                } else {
                    DirNews::Written(dir, name)
                });
            }
        }
        for dir in gone {
            // A deleted one is not watched any more; a moved one still would be, under a path that is not its own.
            let _ = inotify::remove_watch(&self.fd, dir.0);
        }
        Ok(news)
    }

    fn add(&self, path: &Path, flags: WatchFlags) -> io::Result<WatchedDir> {
        let own = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR | WatchFlags::MASK_ADD;
        Ok(WatchedDir(inotify::add_watch(&self.fd, path, flags | own)?))
    }
}

impl AsFd for DirWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A FIFO, a socket, a device.
    Other,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it stands for.
    pub kind: Kind,
    /// The name.
    pub name: OsString,
    /// Number of the file.
    pub inode: u64,
}

/// What is in a directory, at most `most` names; sorted by kind, links last, then by name.
///
/// # Errors
/// Of opendir(3) and readdir(3).
pub fn list(path: &Path, most: usize) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)?.take(most) {
        let entry = entry?;
        let Ok(kind) = entry.file_type() else { continue }; // It went while we looked.
        let kind = match kind {
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_file() => Kind::File,
            kind if kind.is_symlink() => Kind::Link,
            _ => Kind::Other,
        };
        entries.push(Entry { kind, name: entry.file_name(), inode: entry.ino() });
    }
    entries.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    Ok(entries)
}

/// The nearest directory above `path` that is there.
pub fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).find(|above| above.is_dir()).map(Path::to_owned)
}

/// How many files this process may have open: the soft limit (getrlimit(2)).
pub fn open_files_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn names_and_writes_are_told_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = DirWatch::new().unwrap();
        let id = watch.files(dir.path()).unwrap();
        assert_eq!(watch.names(dir.path()).unwrap(), id, "the same directory, and it still tells writes");
        let mut file = fs::File::create(dir.path().join("a")).unwrap();
        file.write_all(b"x").unwrap();
        fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        fs::remove_file(dir.path().join("b")).unwrap();
        drop(file);
        let news = watch.drain().unwrap();
        let cookie = news.iter().find_map(|one| match one {
            DirNews::Left(_, name, cookie) if name == "a" => Some(*cookie),
            _ => None,
        });
        let cookie = cookie.filter(|cookie| *cookie != 0).unwrap();
        let expected = [
            DirNews::Appeared(id, "a".into(), 0),
            DirNews::Written(id, "a".into()),
            DirNews::Left(id, "a".into(), cookie),
            DirNews::Appeared(id, "b".into(), cookie),
        ];
        assert_eq!(news.get(..4), Some(expected.as_slice()), "{news:?}");
        assert!(news.contains(&DirNews::Left(id, "b".into(), 0)), "{news:?}");
        assert_eq!(watch.drain().unwrap(), []);
        fs::remove_dir(dir.path()).unwrap();
        assert_eq!(watch.drain().unwrap(), [DirNews::Gone(id)]);
    }

    #[test]
    fn what_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("z"), "").unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        std::os::unix::fs::symlink("z", dir.path().join("a")).unwrap();
        let names: Vec<_> = list(dir.path(), 10).unwrap().into_iter().map(|entry| (entry.kind, entry.name)).collect();
        assert_eq!(names, [(Kind::Directory, "d".into()), (Kind::File, "z".into()), (Kind::Link, "a".into())]);
        assert_eq!(nearest(&dir.path().join("no/such/dir")).as_deref(), Some(dir.path()));
        assert!(list(&dir.path().join("no"), 10).is_err() && open_files_limit() > 10);
    }
}
