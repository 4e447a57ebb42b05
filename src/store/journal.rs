//! The monitor's memory: one record a line, each with a checksum, flushed before its effect.
//!
//! A line is `{"crc":"0123abcd","record":…}`, so that `grep`, `jq` and `cat` work on it. The checksum covers the record as
//! written. The first line that does not hold ends the replay: what follows it was built on something that is lost, so it
//! is set aside under a name of its own rather than believed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::crc32::crc32;
use super::disk::{self, AppendFile, Durability};
use super::error::{At, ReadError, WriteError};
use crate::os::file;
use crate::time::Utc;

/// Longest line that is written and believed, bytes, its end included; far above any record, far below what hurts. A longer
/// line would be lost to the reader, and all that follows with it, so it is never written.
pub(super) const MAX_LINE: u64 = 16 * 1024 * 1024;

const BEFORE_CRC: &[u8] = br#"{"crc":""#;
const CRC_DIGITS: usize = 8;
const AFTER_CRC: &[u8] = br#"","record":"#;
const LINE_END: &[u8] = b"}\n";

/// What a journal held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay<T> {
    /// Whole records, oldest first.
    pub records: Vec<T>,
    /// Why the replay ended before the file did.
    pub damaged: Option<Damage>,
}

/// Where a journal stops being believable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// First byte that is not believed.
    pub offset: u64,
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
    /// Where the rest of the file was put; `None` when it was only read.
    pub set_aside: Option<PathBuf>,
}

/// Why a record is not written: its line would be longer than 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {0} bytes is longer than the {MAX_LINE} that are believed when it is read")]
pub struct TooLong(pub u64);

impl TooLong {
    /// Whether this is why a write did not happen.
    pub fn caused(error: &WriteError) -> bool {
        error.source.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// The journal, open for writing. Made by [`Journal::open`], which replays it first: nobody can append unread.
#[derive(Debug)]
pub struct Journal<T> {
    file: AppendFile,
    records: PhantomData<fn(&T)>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Replays the journal at `path` and opens it for appending; a damaged tail is moved into
    /// `<name>.damaged-<stamp>` beside it. A missing file is an empty journal.
    ///
    /// # Errors
    /// When the file can neither be read nor made, or when the damaged tail cannot be saved elsewhere.
    pub fn open(path: &Path, now: Utc) -> Result<(Self, Replay<T>), WriteError> {
        let mut journal = AppendFile::open(path).write_at("open", path)?;
        if let (0, Some(parent)) = (journal.len(), path.parent()) {
            // A new file is lost with its name, however well its content is flushed.
            file::sync_dir(parent)?;
        }
        let mut replay = replay_file(path).write_at("read", path)?;
        if let Some(damage) = &mut replay.damaged {
            damage.set_aside = Some(set_aside(path, damage.offset, now)?);
            journal.cut(damage.offset).write_at("cut the damaged end off", path)?;
        }
        Ok((Self { file: journal, records: PhantomData }, replay))
    }

    /// Appends one record.
    ///
    /// # Errors
    /// When it could not be written whole (and flushed, if asked), or is [`TooLong`]; the journal is then as before.
    pub fn append(&mut self, record: &T, durability: Durability) -> Result<(), WriteError> {
        self.append_all(std::slice::from_ref(record), durability)
    }

    /// Appends several records with one write and one flush: all of them or none.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_all(&mut self, records: &[T], durability: Durability) -> Result<(), WriteError> {
        if records.is_empty() {
            return Ok(());
        }
        let lines = self.encode(records)?;
        let in_place = self.is_in_place();
        self.file.append(&lines, durability).write_at("append to", self.file.path())?;
        match self.file.path().parent() {
            // It was made again just now: a new name is lost with a power cut, however well its content is flushed.
            Some(parent) if !in_place && durability == Durability::Flushed => file::sync_dir(parent),
            _ => Ok(()),
        }
    }

    /// Whether the file at the journal's path is still the one that is written. When it is not, the next record begins a new
    /// file, and has to hold everything.
    pub fn is_in_place(&self) -> bool {
        self.file.is_in_place()
    }

    /// Replaces everything by `records`, atomically and durably: compaction, or the start of a new run.
    ///
    /// # Errors
    /// When the new file could not be written, or a record is [`TooLong`]; the old one is then still in use.
    pub fn replace(&mut self, records: &[T]) -> Result<(), WriteError> {
        let lines = self.encode(records)?;
        let path = self.file.path().to_owned();
        disk::write_whole(&path, &lines, Durability::Flushed).write_at("replace", &path)?;
        self.file = AppendFile::open(&path).write_at("open", &path)?;
        Ok(())
    }

    /// Bytes of the file; what compaction is decided by.
    pub fn bytes(&self) -> u64 {
        self.file.len()
    }

    fn encode(&self, records: &[T]) -> Result<Vec<u8>, WriteError> {
        let mut lines = Vec::new();
        for record in records {
            let json = serde_json::to_vec(record).map_err(io::Error::from).write_at("encode for", self.file.path())?;
            let around = BEFORE_CRC.len() + CRC_DIGITS + AFTER_CRC.len() + LINE_END.len();
            let line = u64::try_from(json.len().saturating_add(around)).unwrap_or(u64::MAX);
            if line > MAX_LINE {
                return Err(io::Error::other(TooLong(line))).write_at("encode for", self.file.path());
            }
            lines.extend_from_slice(BEFORE_CRC);
            lines.extend_from_slice(format!("{:08x}", crc32(&json)).as_bytes());
            lines.extend_from_slice(AFTER_CRC);
            lines.extend_from_slice(&json);
            lines.extend_from_slice(LINE_END);
        }
        Ok(lines)
    }
}

/// Reads a journal without touching it; for readers beside a living writer. A missing file is an empty journal.
///
/// # Errors
/// When the file cannot be read. Damage is not an error: it is told in the [`Replay`].
pub fn replay<T: DeserializeOwned>(path: &Path) -> Result<Replay<T>, ReadError> {
    match replay_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Replay { records: Vec::new(), damaged: None }),
        other => other.read_at("read", path),
    }
}

fn replay_file<T: DeserializeOwned>(path: &Path) -> io::Result<Replay<T>> {
    let mut reader = BufReader::with_capacity(256 * 1024, disk::open_regular(path)?);
    let mut records = Vec::new();
    let (mut offset, mut line) = (0_u64, 0_u64);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(Replay { records, damaged: None });
        }
        line = line.saturating_add(1);
        match decode(&bytes) {
            Ok(record) => records.push(record),
            Err(why) => {
                return Ok(Replay { records, damaged: Some(Damage { offset, line, why, set_aside: None }) });
            }
        }
        offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    let line = line.strip_suffix(b"\n").ok_or("the line has no end")?;
    let rest = line.strip_prefix(BEFORE_CRC).ok_or("no checksum at its beginning")?;
    let (written, rest) = rest.split_at_checked(CRC_DIGITS).ok_or("the checksum is cut off")?;
    let json =
        rest.strip_prefix(AFTER_CRC).and_then(|rest| rest.strip_suffix(b"}")).ok_or("no record behind the checksum")?;
    if written != format!("{:08x}", crc32(json)).as_bytes() {
        return Err("the checksum does not fit the record".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| format!("a record that this version does not know: {error}"))
}

/// Copies everything from `offset` on into a file of its own.
fn set_aside(path: &Path, offset: u64, now: Utc) -> Result<PathBuf, WriteError> {
    let target = disk::damaged_name(path, now);
    let copied = (|| {
        let mut from: File = disk::open_regular(path)?;
        from.seek(SeekFrom::Start(offset))?;
        let mut to = disk::create_new(&target)?;
        io::copy(&mut from, &mut to)?;
        to.sync_data()
    })();
    copied.write_at("set the damaged end of the journal aside in", &target)?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    const NOW: Utc = Utc::from_millis(1_795_262_096_789);

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Note {
        n: u32,
        text: String,
    }

    fn note(n: u32) -> Note {
        Note { n, text: format!("line\nend, \"quote\", }}\u{0}, é {n}") }
    }

    fn written(count: u32) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let (mut journal, replay) = Journal::open(&path, NOW).unwrap();
        assert_eq!(replay, Replay { records: Vec::<Note>::new(), damaged: None });
        let notes: Vec<Note> = (1..=count).map(note).collect();
        journal.append_all(&notes, Durability::Flushed).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(journal.bytes(), bytes.len() as u64);
        (dir, path, bytes)
    }

    /// How many whole lines end at or before `len`.
    fn whole_lines(bytes: &[u8], len: usize) -> usize {
        bytes[..len].iter().filter(|byte| **byte == b'\n').count()
    }

    #[test]
    fn lines_are_json_that_tools_understand() {
        let (_dir, _path, bytes) = written(1);
        let text = String::from_utf8(bytes).unwrap();
        insta::assert_snapshot!(text.trim_end(), @r#"{"crc":"0d23d25b","record":{"n":1,"text":"line\nend, \"quote\", }\u0000, é 1"}}"#);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["record"]["n"], 1);
    }

    #[test]
    fn a_cut_at_every_byte_keeps_the_whole_records_before_it() {
        let (_dir, path, bytes) = written(4);
        for len in 0..=bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            let whole = whole_lines(&bytes, len);
            let (mut journal, replay) = Journal::<Note>::open(&path, NOW).unwrap();
            assert_eq!(replay.records, (1..=4).map(note).take(whole).collect::<Vec<_>>(), "cut at {len}");
            let end: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(whole).map(<[u8]>::len).sum();
            match replay.damaged {
                None => assert_eq!(end, len),
                Some(damage) => {
                    assert_eq!((damage.offset, damage.line), (end as u64, whole as u64 + 1));
                    let aside = damage.set_aside.unwrap();
                    assert_eq!(fs::read(&aside).unwrap(), &bytes[end..len]);
                }
            }
            journal.append(&note(9), Durability::Cached).unwrap();
            let again = super::replay::<Note>(&path).unwrap();
            assert_eq!(again.records.len(), whole + 1);
            assert_eq!(again.damaged, None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_flipped_bit_ends_the_replay_at_its_line(at in 0_usize..10_000, bit in 0_u8..8) {
            let (_dir, path, mut bytes) = written(5);
            let at = at % bytes.len();
            let whole = whole_lines(&bytes, at);
            bytes[at] ^= 1 << bit;
            fs::write(&path, &bytes).unwrap();
            let (_journal, replay) = Journal::<Note>::open(&path, NOW).unwrap();
            prop_assert_eq!(replay.records, (1..=5).map(note).take(whole).collect::<Vec<_>>());
            prop_assert!(replay.damaged.is_some());
            prop_assert!(super::replay::<Note>(&path).unwrap().damaged.is_none());
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("journal.jsonl");
            fs::write(&path, &bytes).unwrap();
            let (_journal, replay) = Journal::<Note>::open(&path, NOW).unwrap();
            prop_assert_eq!(replay.damaged.is_none(), bytes.is_empty());
        }
    }

    #[test]
    fn two_damages_in_one_second_are_both_kept() {
        let (_dir, path, bytes) = written(1);
        let mut names = Vec::new();
        for _ in 0..2 {
            fs::write(&path, &bytes[1..]).unwrap();
            let (_journal, replay) = Journal::<Note>::open(&path, NOW).unwrap();
            names.push(replay.damaged.unwrap().set_aside.unwrap());
        }
        let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(
            names,
            ["journal.jsonl.damaged-2026-11-21T11-54-56Z", "journal.jsonl.damaged-2026-11-21T11-54-56Z-2"]
        );
    }

    #[test]
    fn a_record_of_another_version_is_told_as_such() {
        let (_dir, path, _bytes) = written(1);
        let read = replay::<Vec<String>>(&path).unwrap();
        assert!(read.damaged.unwrap().why.starts_with("a record that this version does not know"));
    }

    #[test]
    fn replacing_keeps_only_the_new_records_and_goes_on() {
        let (_dir, path, _bytes) = written(3);
        let (mut journal, _) = Journal::open(&path, NOW).unwrap();
        journal.replace(&[note(7)]).unwrap();
        journal.append(&note(8), Durability::Cached).unwrap();
        assert_eq!(replay::<Note>(&path).unwrap().records, [note(7), note(8)]);
    }

    #[test]
    fn a_line_that_no_reader_would_believe_is_not_written() {
        let (_dir, path, bytes) = written(1);
        let (mut journal, _) = Journal::open(&path, NOW).unwrap();
        let around = usize::try_from(MAX_LINE).unwrap() - r#"{"crc":"01234567","record":{"n":1,"text":""}}"#.len() - 1;
        let long = |more: usize| Note { n: 1, text: "x".repeat(around + more) };
        for refused in [journal.append(&long(1), Durability::Cached), journal.replace(&[note(2), long(1)])] {
            assert!(TooLong::caused(&refused.unwrap_err()));
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        journal.append(&long(0), Durability::Cached).unwrap();
        assert_eq!(replay::<Note>(&path).unwrap(), Replay { records: vec![note(1), long(0)], damaged: None });
    }

    #[test]
    fn a_journal_that_was_taken_away_is_noticed_and_begun_again() {
        for away in [|path: &Path| fs::remove_file(path), |path: &Path| fs::rename(path, path.with_extension("old"))] {
            let (_dir, path, _bytes) = written(1);
            let (mut journal, _) = Journal::open(&path, NOW).unwrap();
            assert!(journal.is_in_place());
            away(&path).unwrap();
            assert!(!journal.is_in_place());
            journal.append(&note(2), Durability::Flushed).unwrap();
            assert!(journal.is_in_place());
            assert_eq!(replay::<Note>(&path).unwrap().records, [note(2)]);
        }
    }

    #[test]
    fn a_missing_journal_is_empty_for_readers_and_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        assert_eq!(replay::<Note>(&path).unwrap(), Replay { records: vec![], damaged: None });
        assert!(!path.exists());
    }
}
