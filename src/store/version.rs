//! `.sentry/version`: which format of the store is in the directory.

use std::path::PathBuf;

use super::disk::{self, Durability};
use super::error::{At, ReadError, WriteError};
use crate::paths::Layout;

/// The format that this version reads and writes.
///
/// Raised when an older version would misread or destroy what is written; additions that it would ignore do not count.
pub const STORE_VERSION: u32 = 1;

const MAX_BYTES: u64 = 64;

/// Reads the format; `None` for a directory without one.
///
/// # Errors
/// When the file cannot be read or is no number.
pub fn found(layout: &Layout) -> Result<Option<u32>, ReadError> {
    let path = path(layout);
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES).read_at("read", &path)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    match text.trim().parse() {
        Ok(version) => Ok(Some(version)),
        Err(_) => Err(ReadError::Damaged { path, why: "it should hold one number, the store's format".to_owned() }),
    }
}

/// Writes [`STORE_VERSION`].
pub(super) fn write(layout: &Layout) -> Result<(), WriteError> {
    let path = path(layout);
    disk::write_whole(&path, format!("{STORE_VERSION}\n").as_bytes(), Durability::Flushed).write_at("write", &path)
}

fn path(layout: &Layout) -> PathBuf {
    layout.store_version()
}
