//! Reads a growing file from a stored position on.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::OFlags;

use crate::monitor::memory::FileId;

/// What a look at a [`Tail`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TailEvent {
    /// So many bytes were read; the position is behind them.
    Bytes(usize),
    /// Nothing new.
    UpToDate,
    /// The file is not there (yet).
    Absent,
    /// The file is shorter than the position: it was cut. Reading goes on at its start; `lost_from` was the position.
    Truncated {
        /// Position before.
        lost_from: u64,
    },
    /// Another file has this name now, and the old one was read to its end. Reading goes on at the start of the new one.
    Replaced {
        /// Position in the old one.
        at: u64,
    },
}

/// A file and the position up to which it has been read. Holds no bytes of its own.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// The file that the position is one of.
    id: Option<FileId>,
    position: u64,
}

/// Whether there is a file to read from.
enum Opened {
    Yes,
    Absent,
    /// The one that was read before has been replaced while it was not open.
    Another,
}

impl Tail {
    /// Starts at `position`, a count of bytes. The file is opened when it is there.
    pub fn open(path: impl Into<PathBuf>, position: u64) -> Self {
        Self { path: path.into(), file: None, id: None, position }
    }

    /// Goes on at `position` of a file that was read before. Another file in its place is read from its start.
    pub fn go_on(path: impl Into<PathBuf>, position: u64, id: Option<FileId>) -> Self {
        Self { path: path.into(), file: None, id, position }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file that is read, once it is known.
    pub fn id(&self) -> Option<FileId> {
        self.id
    }

    /// Goes on at another position.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// Closes the file; the next read opens it again.
    pub fn park(&mut self) {
        self.file = None;
    }

    /// Whether a descriptor is held.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// The file has another name now: its rest is read from there, unless it is open anyway.
    pub fn find_at(&mut self, path: &Path) {
        if self.file.is_none()
            && let Ok(file) = open(path)
            && file.metadata().is_ok_and(|there| self.id == Some(id_of(&there)))
        {
            self.file = Some(file);
        }
    }

    /// Whether the file that is held has no name any more.
    pub fn is_deleted(&self) -> bool {
        match &self.file {
            Some(file) => file.metadata().is_ok_and(|ours| ours.nlink() == 0),
            None => std::fs::metadata(&self.path).is_err_and(|error| error.kind() == ErrorKind::NotFound),
        }
    }

    /// Whether a read would find anything, as far as can be said without opening the file.
    ///
    /// # Errors
    /// Of fstat(2) and stat(2).
    pub fn has_news(&self) -> io::Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(there) if self.id.is_some_and(|id| id == id_of(&there)) => Ok(there.len() != self.position),
            Ok(_) => Ok(true),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Err(_) => match &self.file {
                Some(file) => Ok(file.metadata()?.len() != self.position),
                None => Ok(false),
            },
        }
    }

    /// Length of the file; 0 while it is not there.
    ///
    /// # Errors
    /// Of open(2) and fstat(2).
    pub fn len(&mut self) -> io::Result<u64> {
        match (self.opened()?, &self.file) {
            (Opened::Yes, Some(file)) => Ok(file.metadata()?.len()),
            _ => Ok(0),
        }
    }

    /// Whether the file is not there, or has no bytes.
    ///
    /// # Errors
    /// As [`Tail::len`].
    pub fn is_empty(&mut self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads on into `buffer`, which is not empty. Truncation and replacement come as events of their own, before any byte
    /// of what is there now.
    ///
    /// # Errors
    /// Of open(2) and pread(2); `InvalidInput` when the path is no regular file. The position is as before then.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<TailEvent> {
        let position = self.position;
        match self.opened()? {
            Opened::Yes => {}
            Opened::Absent => return Ok(TailEvent::Absent),
            Opened::Another => return Ok(self.replaced()),
        }
        let Some(file) = &self.file else { return Ok(TailEvent::Absent) };
        let read = loop {
            match file.read_at(buffer, position) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if read > 0 {
            self.position += read as u64;
            return Ok(TailEvent::Bytes(read));
        }
        self.at_end()
    }

    /// Nothing was read: whether that is because the file was cut or replaced.
    fn at_end(&mut self) -> io::Result<TailEvent> {
        let Some(file) = &self.file else {
            return Ok(TailEvent::Absent);
        };
        let ours = file.metadata()?;
        if ours.len() < self.position {
            let lost_from = std::mem::take(&mut self.position);
            return Ok(TailEvent::Truncated { lost_from });
        }
        match std::fs::metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) => Ok(self.replaced()),
            // Deleted: its writer may still be writing, and its place may be taken later.
            Ok(_) | Err(_) => Ok(TailEvent::UpToDate),
        }
    }

    fn replaced(&mut self) -> TailEvent {
        self.file = None;
        self.id = None;
        TailEvent::Replaced { at: std::mem::take(&mut self.position) }
    }

    fn opened(&mut self) -> io::Result<Opened> {
        if self.file.is_some() {
            return Ok(Opened::Yes);
        }
        let file = match open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Opened::Absent),
            Err(error) => return Err(error),
        };
        let there = file.metadata()?;
        if !there.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
        }
        let id = id_of(&there);
        if self.id.is_some_and(|before| before != id) {
            return Ok(Opened::Another);
        }
        self.id = Some(id);
        self.file = Some(file);
        Ok(Opened::Yes)
    }
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Which file it is.
    pub id: FileId,
    /// Its length.
    pub len: u64,
}

impl Stat {
    /// When the file was made, milliseconds since 1970; 0 where nobody knows.
    pub fn born_ms(&self) -> i64 {
        self.id.born / 1_000_000
    }
}

/// Looks at a file by its path, through links.
///
/// # Errors
/// Of stat(2).
pub fn stat(path: &Path) -> io::Result<Stat> {
    let there = std::fs::metadata(path)?;
    Ok(Stat { id: id_of(&there), len: there.len() })
}

/// What a file is, whatever its name.
pub fn id_of(metadata: &Metadata) -> FileId {
    let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let born = born.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0);
    FileId { inode: metadata.ino(), born }
}

fn open(path: &Path) -> io::Result<File> {
    // O_NONBLOCK: a FIFO in its place must not hold us.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(tail: &mut Tail) -> (TailEvent, Vec<u8>) {
        let mut buffer = [0; 4];
        let event = tail.read(&mut buffer).unwrap();
        let n = if let TailEvent::Bytes(n) = event { n } else { 0 };
        (event, buffer[..n].to_vec())
    }

    #[test]
    fn follows_a_file_from_before_its_birth() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::open(&path, 0);
        assert_eq!((read(&mut tail).0, tail.len().unwrap()), (TailEvent::Absent, 0));
        let mut file = File::create(&path).unwrap();
        assert_eq!(read(&mut tail).0, TailEvent::UpToDate);
        file.write_all(b"abcdef").unwrap();
        assert_eq!(read(&mut tail), (TailEvent::Bytes(4), b"abcd".to_vec()));
        assert_eq!(read(&mut tail), (TailEvent::Bytes(2), b"ef".to_vec()));
        assert_eq!((tail.position(), tail.len().unwrap()), (6, 6));
        std::fs::remove_file(&path).unwrap();
        file.write_all(b"g").unwrap();
        assert_eq!(read(&mut tail), (TailEvent::Bytes(1), b"g".to_vec()), "a deleted file is read on");
        assert_eq!(read(&mut tail).0, TailEvent::UpToDate);
    }

    #[test]
    fn truncation_and_replacement_are_told_apart_and_lose_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "abcdef").unwrap();
        let mut tail = Tail::open(&path, 3);
        assert_eq!(read(&mut tail), (TailEvent::Bytes(3), b"def".to_vec()));
        std::fs::write(&path, "xy").unwrap();
        assert_eq!(read(&mut tail).0, TailEvent::Truncated { lost_from: 6 });
        assert_eq!(read(&mut tail), (TailEvent::Bytes(2), b"xy".to_vec()));
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"z").unwrap();
        std::fs::write(dir.path().join("new"), "12").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(read(&mut tail), (TailEvent::Bytes(1), b"z".to_vec()), "the rest of the old one first");
        assert_eq!(read(&mut tail).0, TailEvent::Replaced { at: 3 });
        assert_eq!(read(&mut tail), (TailEvent::Bytes(2), b"12".to_vec()));
    }

    #[test]
    fn a_parked_file_is_known_again_whatever_became_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let other = dir.path().join("log.1");
        let parked = || {
            std::fs::write(&path, "abc").unwrap();
            let mut tail = Tail::open(&path, 0);
            assert_eq!(read(&mut tail).0, TailEvent::Bytes(3));
            tail.park();
            assert!(!tail.is_open() && !tail.has_news().unwrap());
            tail
        };
        let mut same = parked();
        std::fs::write(&path, "abcd").unwrap();
        assert!(same.has_news().unwrap());
        assert_eq!(read(&mut same), (TailEvent::Bytes(1), b"d".to_vec()));

        let mut cut = parked();
        std::fs::write(&path, "xy").unwrap();
        assert_eq!(read(&mut cut).0, TailEvent::Truncated { lost_from: 3 });

        let mut renamed = parked();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"z").unwrap();
        std::fs::rename(&path, &other).unwrap();
        std::fs::write(&path, "new").unwrap();
        renamed.find_at(&other);
        assert_eq!(read(&mut renamed), (TailEvent::Bytes(1), b"z".to_vec()));
        assert_eq!(read(&mut renamed).0, TailEvent::Replaced { at: 4 });
        assert_eq!(read(&mut renamed), (TailEvent::Bytes(3), b"new".to_vec()));

        let mut lost = parked();
        std::fs::write(dir.path().join("another"), "longer than it").unwrap();
        std::fs::rename(dir.path().join("another"), &path).unwrap();
        assert_eq!(read(&mut lost).0, TailEvent::Replaced { at: 3 });
        assert_eq!(read(&mut lost).0, TailEvent::Bytes(4), "from the start");

        let deleted = parked();
        std::fs::remove_file(&path).unwrap();
        assert!(deleted.is_deleted() && !deleted.has_news().unwrap());
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Tail::open(dir.path(), 0).read(&mut [0; 4]).is_err());
    }
}
