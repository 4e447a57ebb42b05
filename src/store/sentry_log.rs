//! `sentry.log`: what the monitor did. Rotated by size into `sentry.log.1`, so that two files are all there ever is.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::{AppendFile, Durability};

/// The log, open for appending. Each [`Write::write`] is one record; a full disk costs records, never the program.
#[derive(Debug)]
pub struct SentryLog {
    file: AppendFile,
    path: PathBuf,
    max_bytes: u64,
}

impl SentryLog {
    /// Opens or makes the log; `max_bytes` of zero is no limit (`retention.max_log_bytes`).
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, max_bytes: u64) -> io::Result<Self> {
        Ok(Self { file: AppendFile::open(path)?, path: path.to_owned(), max_bytes })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        fs::rename(&self.path, &older)?;
        self.file = AppendFile::open(&self.path)?;
        Ok(())
    }
}

impl Write for SentryLog {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let after = self.file.len().saturating_add(u64::try_from(record.len()).unwrap_or(u64::MAX));
        if self.max_bytes != 0 && after > self.max_bytes && self.file.len() > 0 {
            self.rotate()?;
        }
        self.file.append(record, Durability::Cached)?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_and_its_predecessor_stay_within_their_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sentry.log");
        let mut log = SentryLog::open(&path, 100).unwrap();
        for n in 0..50 {
            log.write_all(format!("record number {n:02}\n").as_bytes()).unwrap();
        }
        let newest = fs::read_to_string(&path).unwrap();
        let older = fs::read_to_string(dir.path().join("sentry.log.1")).unwrap();
        assert!(newest.ends_with("record number 49\n"));
        assert!(newest.len() <= 100 && older.len() <= 100);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let mut lines = older.lines().chain(newest.lines()).map(|line| line[14..].parse::<u32>().unwrap());
        let first = lines.next().unwrap();
        assert!(lines.eq(first + 1..50), "no record is lost between the two");
    }

    #[test]
    fn a_record_longer_than_the_limit_is_still_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sentry.log");
        let mut log = SentryLog::open(&path, 4).unwrap();
        log.write_all(b"a long record\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a long record\n");
    }
}
