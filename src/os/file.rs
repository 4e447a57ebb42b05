//! Files: written whole or not at all, appended record by record, read with a cap.
//!
//! Everything made here is private to the user: files `0600`, directories `0700`, whatever the umask is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

use crate::os::error::{At, AtExt};

const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIR: u32 = 0o700;

/// Start and end of the names of files that are being written; a crash may leave some behind.
const TEMPORARY: (&str, &str) = (".sentry-", ".tmp");

/// Whether a file name is one of a file that was being written by [`write_atomic`] when its process died. Safe to delete
/// when no process that writes to this directory is alive.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1)
}

/// Replaces a file as a whole: readers see the old content or the new one, after a power failure too (though perhaps the
/// old one: see [`write_atomic_durable`]).
///
/// # Errors
/// The file is untouched then.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), At> {
    let temporary = temporary_beside(path);
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path).at(path, "replace"));
    if written.is_err() {
        // Best effort: the first error is the one to tell, and leftovers are swept by name.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// [`write_atomic`], and the replacement itself is on disk when this returns.
///
/// # Errors
/// The file holds the old content or the new one then.
pub fn write_atomic_durable(path: &Path, bytes: &[u8]) -> Result<(), At> {
    write_atomic(path, bytes)?;
    sync_dir(parent(path))
}

/// Puts the entries of a directory on disk: files made, renamed or removed in it.
///
/// # Errors
/// Of open(2) and fsync(2).
pub fn sync_dir(dir: &Path) -> Result<(), At> {
    match File::open(dir).and_then(|d| d.sync_all()) {
        // fsync(2) EINVAL: this file system (some network ones) does not do it for directories; there is nothing to do then.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other.at(dir, "flush directory"),
    }
}

/// Appends one record with one `write(2)`. With one writer per file, records are whole or absent: a part that the disk had
/// no more room for is taken back.
///
/// # Errors
/// Nothing was appended then, or (when taking back failed too) an unfinished last line is left, which readers skip.
pub fn append_record(mut file: &File, record: &[u8]) -> io::Result<()> {
    let written = loop {
        match file.write(record) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if written == record.len() {
        return Ok(());
    }
    let end = file.metadata()?.len();
    file.set_len(end.saturating_sub(written as u64))?;
    Err(io::Error::new(io::ErrorKind::StorageFull, format!("{written} of {} bytes fitted", record.len())))
}

/// Opens a private file for appending, and makes it if need be. A symbolic link in its place is refused.
///
/// # Errors
/// Of open(2); `ELOOP` for a symbolic link.
pub fn open_append_private(path: &Path) -> Result<File, At> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(PRIVATE_FILE)
        .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK))
        .open(path)
        .and_then(regular)
        .at(path, "open for appending")
}

/// Makes a private directory and its missing parents. One that exists already is left as it is.
///
/// # Errors
/// Of mkdir(2), or something else is in its place.
pub fn create_dir_private(path: &Path) -> Result<(), At> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        create_dir_private(parent)?;
    }
    match fs::DirBuilder::new().mode(PRIVATE_DIR).create(path) {
        // The mode of mkdir(2) is subject to the umask.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIR)).at(path, "set permissions of"),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(e).at(path, "create directory"),
    }
}

/// Whether a symbolic link in the last place of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLink {
    /// Yes.
    Follow,
    /// No: it is an error (`ELOOP`).
    Refuse,
}

/// The first bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capped {
    /// At most as many as were asked for.
    pub bytes: Vec<u8>,
    /// There is more.
    pub truncated: bool,
}

/// Reads at most `max` bytes of a regular file. Anything else (a FIFO, a device, a directory) is refused without waiting
/// for it: paths may come from a log.
///
/// # Errors
/// Of open(2) and read(2); `InvalidInput` for what is no regular file.
pub fn read_capped(path: &Path, max: u64, last: LastLink) -> Result<Capped, At> {
    let mut extra = OFlags::NONBLOCK | OFlags::NOCTTY;
    if last == LastLink::Refuse {
        extra |= OFlags::NOFOLLOW;
    }
    let file =
        OpenOptions::new().read(true).custom_flags(flags(extra)).open(path).and_then(regular).at(path, "open")?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).at(path, "read")?;
    let truncated = bytes.len() as u64 > max;
    bytes.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    Ok(Capped { bytes, truncated })
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), At> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path).at(path, "create")?;
    file.write_all(bytes).at(path, "write")?;
    file.sync_all().at(path, "flush")
}

/// A name in the same directory that no other writer uses: this process and a number of its own.
fn temporary_beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let unique = format!("{}{}-{number}-{}{}", TEMPORARY.0, std::process::id(), nanos(), TEMPORARY.1);
    parent(path).join(unique)
}

/// Tells processes with the same number in different containers apart when they share a directory.
fn nanos() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn atomic_write_replaces_privately_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(&path, "old and longer").unwrap();
        write_atomic_durable(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn failed_atomic_write_says_where_and_cleans_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = write_atomic(&path, b"x").unwrap_err();
        assert_eq!((error.verb, &error.path), ("replace", &path));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let error = write_atomic(&dir.path().join("no/such"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn temporary_names_are_known() {
        let name = temporary_beside(Path::new("/x/y"));
        assert_eq!(name.parent(), Some(Path::new("/x")));
        assert!(is_temporary(name.file_name().unwrap().to_str().unwrap()));
        assert!(!is_temporary("state.json"));
    }

    #[test]
    fn directories_are_private_and_existing_ones_keep_their_mode() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let deep = dir.path().join("a/b/c");
        create_dir_private(&deep).unwrap();
        create_dir_private(&deep).unwrap();
        assert_eq!((mode(&deep), mode(&dir.path().join("a")), mode(dir.path())), (0o700, 0o700, 0o755));
        fs::write(dir.path().join("f"), "").unwrap();
        let error = create_dir_private(&dir.path().join("f/x")).unwrap_err();
        assert!(error.path.ends_with("f"), "{error}");
    }

    #[test]
    fn append_adds_records_to_a_private_file_and_refuses_links() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        append_record(&open_append_private(&path).unwrap(), b"one\n").unwrap();
        append_record(&open_append_private(&path).unwrap(), b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(mode(&path), 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open_append_private(&link).is_err());
    }

    #[test]
    fn full_disk_is_an_error_that_says_so() {
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        assert_eq!(append_record(&full, b"x\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn capped_reading_takes_regular_files_only_and_never_waits() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "0123456789").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let read = |name: &str, max, last| read_capped(&at(name), max, last).map(|c| (c.bytes.len(), c.truncated)).ok();
        let rows = [
            ("whole", "file", 100, LastLink::Refuse, Some((10, false))),
            ("exactly", "file", 10, LastLink::Refuse, Some((10, false))),
            ("cut", "file", 9, LastLink::Refuse, Some((9, true))),
            ("link followed", "link", 9, LastLink::Follow, Some((9, true))),
            ("link refused", "link", 9, LastLink::Refuse, None),
            ("fifo", "fifo", 9, LastLink::Follow, None),
            ("directory", ".", 9, LastLink::Follow, None),
            ("missing", "none", 9, LastLink::Follow, None),
        ];
        for (case, name, max, last, expected) in rows {
            assert_eq!(read(name, max, last), expected, "{case}");
        }
        assert!(read_capped(Path::new("/dev/zero"), 9, LastLink::Follow).is_err());
    }
}
