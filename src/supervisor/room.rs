//! Room on the disk for what a shim still has to write: a child's end must be recorded on a full disk too.
//!
//! A few spare files, as long as any record and made before anything is started, lie beside the record. Writing a record
//! means overwriting a spare and renaming it, for which no file system that overwrites in place needs more room.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::os::error::{At, AtExt};
use crate::os::file;

/// The writes of a shim: the start, the end of the main process, the end of its tree.
const SPARES: u32 = 3;
/// A page, and more than a record needs unless it holds many notes.
const LENGTH: usize = 4096;

/// Makes the spares of a record. They are not flushed: only their room is wanted, not what is in them.
///
/// # Errors
/// `ENOSPC`, `EDQUOT` when there is no room; none of them is left then.
pub(super) fn reserve(record: &Path) -> Result<(), At> {
    let blank = [b' '; LENGTH];
    for number in 1..=SPARES {
        let spare = spare(record, number);
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&spare)
            .and_then(|mut file| file.write_all(&blank));
        if let Err(source) = made {
            give_up(record);
            return Err(At { verb: "reserve room in", path: spare, source });
        }
    }
    Ok(())
}

/// Removes the spares that are left.
pub(super) fn give_up(record: &Path) {
    for number in 1..=SPARES {
        // Best effort: they go with their run at the latest.
        let _ = fs::remove_file(spare(record, number));
    }
}

/// Replaces a record as a whole and durably, by way of a spare if there is one that is long enough.
///
/// # Errors
/// The record is the old or the new one then.
pub(super) fn write(record: &Path, bytes: &[u8]) -> Result<(), At> {
    for number in 1..=SPARES {
        let spare = spare(record, number);
        match fill(&spare, bytes) {
            Ok(true) => {}
            // This one cannot be used; the usual way tells what is wrong, if it does not go either.
            Ok(false) | Err(_) => continue,
        }
        fs::rename(&spare, record).at(record, "replace")?;
        // Blanks after a record are still a record, so their end may come later, or never.
        let _ = OpenOptions::new().write(true).open(record).and_then(|file| file.set_len(bytes.len() as u64));
        return file::sync_dir(record.parent().unwrap_or(record));
    }
    file::write_atomic_durable(record, bytes)
}

/// Whether the bytes are in the spare, on disk. Its length stays, so that no metadata must be flushed.
fn fill(spare: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut file = OpenOptions::new().write(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(spare)?;
    if bytes.len() > LENGTH || file.metadata()?.len() != LENGTH as u64 {
        return Ok(false);
    }
    let mut whole = bytes.to_vec();
    whole.resize(LENGTH, b' ');
    file.write_all(&whole)?;
    file.sync_data()?;
    Ok(true)
}

/// `.child-001.json.1.spare`
fn spare(record: &Path, number: u32) -> PathBuf {
    let name = record.file_name().unwrap_or_default().to_string_lossy();
    record.with_file_name(format!(".{name}.{number}.spare"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn spares_are_used_up_and_then_done_without() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("r.json");
        reserve(&record).unwrap();
        for (left, text) in [(2, "first"), (1, "second and longer"), (0, "3"), (0, "fourth")] {
            write(&record, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&record).unwrap(), text);
            assert_eq!(names(dir.path()).len(), 1 + left, "{text}");
        }
    }

    #[test]
    fn what_is_too_long_or_spoilt_goes_the_usual_way() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("r.json");
        reserve(&record).unwrap();
        let long = vec![b'x'; LENGTH + 1];
        write(&record, &long).unwrap();
        assert_eq!(fs::read(&record).unwrap(), long);
        fs::write(spare(&record, 1), "short").unwrap();
        write(&record, b"by the second").unwrap();
        assert_eq!(names(dir.path()), [".r.json.1.spare", ".r.json.3.spare", "r.json"]);
        give_up(&record);
        assert_eq!(names(dir.path()), ["r.json"]);
    }
}
