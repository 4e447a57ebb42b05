//! Reads a growing file from a stored position on.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

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
    position: u64,
}

impl Tail {
    /// Starts at `position`, a count of bytes. The file is opened when it is there.
    pub fn open(path: impl Into<PathBuf>, position: u64) -> Self {
        Self { path: path.into(), file: None, position }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on at another position.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// Length of the file; 0 while it is not there.
    ///
    /// # Errors
    /// Of open(2) and fstat(2).
    pub fn len(&mut self) -> io::Result<u64> {
        match self.file()? {
            Some(file) => Ok(file.metadata()?.len()),
            None => Ok(0),
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
        let Some(file) = self.file()? else {
            return Ok(TailEvent::Absent);
        };
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
            Ok(there) if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) => {
                self.file = None;
                let at = std::mem::take(&mut self.position);
                Ok(TailEvent::Replaced { at })
            }
            // Deleted: its writer may still be writing, and its place may be taken later.
            Ok(_) | Err(_) => Ok(TailEvent::UpToDate),
        }
    }

    fn file(&mut self) -> io::Result<Option<&File>> {
        if self.file.is_none() {
            // O_NONBLOCK: a FIFO in its place must not hold us.
            let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
            match OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
                Ok(file) if file.metadata()?.is_file() => self.file = Some(file),
                Ok(_) => return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.file.as_ref())
    }
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
    fn what_is_no_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Tail::open(dir.path(), 0).read(&mut [0; 4]).is_err());
    }
}
