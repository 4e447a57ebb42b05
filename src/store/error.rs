//! Why something could not be read or written: what was tried, where, and what the system said.

use std::io;
use std::path::{Path, PathBuf};

/// A write that did not happen; what was there before is still there.
pub type WriteError = crate::os::error::At;

/// A read that gave nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// Where.
        path: PathBuf,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// The content is not what it should be.
    #[error("`{}` is damaged: {why}", path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The content was written by a newer version, in a way that this one does not understand.
    #[error("`{}` was written by a newer version (format {found}, known {known})", path.display())]
    Newer {
        /// Where.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version knows.
        known: u32,
    },
}

/// Why work that reads and writes stopped.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not look.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not change.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Puts verb and path to what the operating system says.
pub(super) trait At<T> {
    fn write_at(self, verb: &'static str, path: &Path) -> Result<T, WriteError>;
    fn read_at(self, verb: &'static str, path: &Path) -> Result<T, ReadError>;
}

impl<T> At<T> for io::Result<T> {
    fn write_at(self, verb: &'static str, path: &Path) -> Result<T, WriteError> {
        self.map_err(|source| WriteError { verb, path: path.to_owned(), source })
    }

    fn read_at(self, verb: &'static str, path: &Path) -> Result<T, ReadError> {
        self.map_err(|source| ReadError::Io { verb, path: path.to_owned(), source })
    }
}
