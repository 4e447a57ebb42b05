//! How files are written and read here: whole or not at all, private, never through a symbolic link at the last step.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::OFlags;

use crate::os::file;
use crate::time::Utc;

/// Mode of every folder.
pub(super) const DIR_MODE: u32 = 0o700;
/// Mode of every file.
pub(super) const FILE_MODE: u32 = 0o600;
/// Beginning of every name that is not yet, or no longer, part of the store. Readers skip it, the next writer sweeps it;
/// the configuration may put our files into folders of others, so it is a name that nobody else would give.
pub(super) const TEMP_PREFIX: &str = ".sentry-tmp-";

/// Whether a write has to survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives the death of this process; the kernel writes it when it likes.
    Cached,
    /// Survives a power cut once the call has returned.
    Flushed,
}

/// Flags for a path whose last part must not be a symbolic link and must not make us wait (a FIFO).
pub(super) fn careful() -> i32 {
    (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits().cast_signed()
}

/// A name next to `path` that no other writer uses.
pub(super) fn temp_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let pid = rustix::process::getpid().as_raw_nonzero();
    path.with_file_name(format!("{TEMP_PREFIX}{pid}-{count}-{name}"))
}

/// Makes a folder and its parents, `0700` whatever the umask; one that is there must be a folder, not a link to one.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIR_MODE).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(DIR_MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(path)?.is_dir() {
                Ok(())
            } else {
                Err(io::Error::new(io::ErrorKind::NotADirectory, "something else than a folder is there"))
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = path.parent() else { return Err(error) };
            make_dir(parent)?;
            make_dir(path)
        }
        Err(error) => Err(error),
    }
}

/// A new file, `0600` whatever the umask; one that is there is an error.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).custom_flags(careful()).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Replaces a file: temporary name in the same folder, flush if asked, rename.
///
/// With [`Durability::Flushed`] the folder is flushed too, so that the new name survives.
pub(super) fn write_whole(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let temp = temp_beside(path);
    let written = (|| {
        let mut file = create_new(&temp)?;
        file.write_all(bytes)?;
        if durability == Durability::Flushed {
            file.sync_data()?;
        }
        fs::rename(&temp, path)
    })();
    if written.is_err() {
        // The first error is the one to tell; a leftover is swept by the next writer.
        let _ = fs::remove_file(&temp);
        return written;
    }
    match path.parent() {
        Some(parent) if durability == Durability::Flushed => file::sync_dir(parent).map_err(|error| error.source),
        _ => Ok(()),
    }
}

/// A free name for what is left of a damaged file: `<name>.damaged-<stamp>`, with `-2`, `-3`, … on collision.
pub(super) fn damaged_name(path: &Path, now: Utc) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = format!("{name}.damaged-{}", now.file_stamp());
    let mut target = path.with_file_name(&stem);
    let mut number = 2_u32;
    while fs::symlink_metadata(&target).is_ok() {
        target = path.with_file_name(format!("{stem}-{number}"));
        number = number.saturating_add(1);
    }
    target
}

/// Opens a regular file for reading without following a link at the last step and without waiting.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(careful()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Reads a regular file of at most `cap` bytes.
pub(super) fn read_capped(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let len = file.metadata()?.len().min(cap);
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.take(cap.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > cap {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {cap} bytes")));
    }
    Ok(bytes)
}

/// [`read_capped`], with `None` for a file that is not there.
pub(super) fn read_if_there(path: &Path, cap: u64) -> io::Result<Option<Vec<u8>>> {
    match read_capped(path, cap) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// When a file's content last changed.
pub(super) fn modified(metadata: &fs::Metadata) -> Utc {
    Utc::from_millis(metadata.mtime().saturating_mul(1000).saturating_add(metadata.mtime_nsec() / 1_000_000))
}

/// A file that grows by whole records. A record that could not be written whole is taken back.
#[derive(Debug)]
pub(super) struct AppendFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole records.
    len: u64,
    /// Something behind `len` could not be taken back yet.
    torn: bool,
    /// What is there does not end with a line end, so the next record has to begin with one.
    open_line: bool,
}

impl AppendFile {
    /// Opens or makes the file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(FILE_MODE)
            .custom_flags(careful())
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if metadata.mode() & 0o7777 != FILE_MODE {
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        }
        let len = metadata.len();
        let mut last = [b'\n'];
        if let Some(at) = len.checked_sub(1) {
            file.read_exact_at(&mut last, at)?;
        }
        Ok(Self { path: path.to_owned(), file, len, torn: false, open_line: last != *b"\n" })
    }

    /// Bytes of whole records.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Path it was opened at.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file that is open is still the one at its path.
    pub(super) fn is_in_place(&self) -> bool {
        let (Ok(ours), Ok(there)) = (self.file.metadata(), fs::symlink_metadata(&self.path)) else { return false };
        (ours.dev(), ours.ino()) == (there.dev(), there.ino())
    }

    /// Adds whole lines with one `write`.
    pub(super) fn append(&mut self, lines: &[u8], durability: Durability) -> io::Result<()> {
        if !self.is_in_place() {
            // Somebody took it away under us; what follows must not vanish with it.
            *self = Self::open(&self.path)?;
        }
        if self.torn {
            self.file.set_len(self.len)?;
            self.torn = false;
        }
        let written =
            if self.open_line { self.file.write_all(&[b"\n", lines].concat()) } else { self.file.write_all(lines) };
        let flushed = written.and_then(|()| self.flush(durability));
        if let Err(error) = flushed {
            self.torn = self.file.set_len(self.len).is_err();
            return Err(error);
        }
        let more = lines.len().saturating_add(usize::from(self.open_line));
        self.len = self.len.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        self.open_line = false;
        Ok(())
    }

    /// Flushes what was appended [`Durability::Cached`].
    pub(super) fn flush(&self, durability: Durability) -> io::Result<()> {
        match durability {
            Durability::Cached => Ok(()),
            Durability::Flushed => self.file.sync_data(),
        }
    }

    /// Forgets everything behind `len` bytes, durably.
    pub(super) fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.file.sync_data()?;
        self.len = len;
        self.open_line = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{alone, with_file_limit};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn everything_is_private_whatever_the_umask() {
        if !alone("store::disk::tests::everything_is_private_whatever_the_umask") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let before = rustix::process::umask(rustix::fs::Mode::empty());
        let made = make_dir(&dir.path().join("a/b"));
        let wrote = write_whole(&dir.path().join("a/b/whole"), b"x", Durability::Flushed);
        let appended = AppendFile::open(&dir.path().join("a/b/appended"));
        rustix::process::umask(before);
        made.unwrap();
        wrote.unwrap();
        appended.unwrap();
        assert_eq!(mode(&dir.path().join("a")), DIR_MODE);
        assert_eq!(mode(&dir.path().join("a/b")), DIR_MODE);
        assert_eq!(mode(&dir.path().join("a/b/whole")), FILE_MODE);
        assert_eq!(mode(&dir.path().join("a/b/appended")), FILE_MODE);
    }

    #[test]
    fn links_are_replaced_or_refused_and_never_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "precious").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&outside, &link).unwrap();

        assert!(AppendFile::open(&link).is_err());
        assert!(read_capped(&link, 100).is_err());
        write_whole(&link, b"new", Durability::Cached).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");

        let elsewhere = dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let folder_link = dir.path().join("folder");
        std::os::unix::fs::symlink(&elsewhere, &folder_link).unwrap();
        assert!(make_dir(&folder_link).is_err());
    }

    #[test]
    fn a_fifo_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open_regular(&fifo).is_err());
    }

    #[test]
    fn reading_stops_at_the_cap() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_capped(&path, 5).unwrap(), b"12345");
        assert_eq!(read_capped(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_if_there(&dir.path().join("none"), 4).unwrap(), None);
    }

    #[test]
    fn an_open_line_is_closed_before_the_next_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "torn").unwrap();
        let mut file = AppendFile::open(&path).unwrap();
        file.append(b"whole\n", Durability::Cached).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "torn\nwhole\n");
        assert_eq!(file.len(), 11);
    }

    #[test]
    fn a_removed_file_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut file = AppendFile::open(&path).unwrap();
        file.append(b"one\n", Durability::Cached).unwrap();
        fs::remove_file(&path).unwrap();
        file.append(b"two\n", Durability::Cached).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn a_record_that_does_not_fit_is_taken_back() {
        if !alone("store::disk::tests::a_record_that_does_not_fit_is_taken_back") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut file = AppendFile::open(&path).unwrap();
        file.append(b"one\n", Durability::Cached).unwrap();
        let torn = with_file_limit(6, || file.append(b"too long\n", Durability::Cached));
        assert!(torn.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        file.append(b"two\n", Durability::Cached).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }
}
