//! An I/O error that says what was tried, and where.

use std::io;
use std::path::{Path, PathBuf};

/// An I/O error with the verb and the path it belongs to: ``cannot read `/x/y` ``; the cause is the source.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{}`", path.display())]
pub struct At {
    /// What was tried, an infinitive with its object if it needs one: `read`, `create directory`.
    pub verb: &'static str,
    /// Where.
    pub path: PathBuf,
    /// The answer of the operating system.
    #[source]
    pub source: io::Error,
}

impl At {
    /// Kind of the underlying error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The disk (or the quota) is full: worth another try later.
    pub fn is_full(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// The error and its cause in one line, for journals and warnings.
    pub fn to_line(&self) -> String {
        format!("{self}: {}", self.source)
    }
}

/// Adds verb and path to an [`io::Result`].
pub trait AtExt<T> {
    /// Says what was tried, and where.
    ///
    /// # Errors
    /// The error of `self`, dressed.
    fn at(self, path: impl AsRef<Path>, verb: &'static str) -> Result<T, At>;
}

impl<T, E: Into<io::Error>> AtExt<T> for Result<T, E> {
    fn at(self, path: impl AsRef<Path>, verb: &'static str) -> Result<T, At> {
        self.map_err(|source| At { verb, path: path.as_ref().to_path_buf(), source: source.into() })
    }
}
