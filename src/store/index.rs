//! `incidents/index.jsonl`: one line per incident, so that a list needs one file however many incidents there are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use memchr::memmem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk;
use super::error::{At, ReadError};
use crate::detect::{DetectorKind, Language, Severity};
use crate::ids::{ChildNo, ClassName, DetectorName, Fingerprint, IncidentId, RuleName, RunId};
use crate::incident::{Category, Incident, IncidentKind};
use crate::paths::Layout;
use crate::time::Utc;

/// Format of a row.
pub const INDEX_SCHEMA: u32 = 1;
/// Hexadecimal digits of a short id.
pub const SHORT_DIGITS: usize = 8;
/// Fewest digits that are shown of it.
pub const MIN_SHORT_DIGITS: usize = 4;
/// Longest message in a row, characters.
const MAX_MESSAGE: usize = 300;
/// Bytes read at a time, from the end.
const CHUNK: u64 = 256 * 1024;
/// Longest line that could be a row, bytes.
const MAX_LINE: usize = 1024 * 1024;

/// What the list knows of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRow {
    /// [`INDEX_SCHEMA`].
    pub schema: u32,
    /// [`short_id`] of `id`.
    pub short: String,
    /// Name of the folder.
    pub id: IncidentId,
    /// When the root was seen.
    pub utc: Utc,
    /// Run and child it happened in.
    pub run: RunId,
    /// See `run`.
    pub child: ChildNo,
    /// Failure or oddity.
    pub kind: IncidentKind,
    /// Detector of the root.
    pub detector: DetectorName,
    /// Its kind.
    pub detector_kind: DetectorKind,
    /// How bad.
    pub severity: Severity,
    /// What kind of repair.
    pub category: Category,
    /// Same failure, same fingerprint.
    pub fingerprint: Fingerprint,
    /// One line, at most 300 characters.
    pub message: String,
    /// Language of the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Exception type of the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// Known failure class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassName>,
    /// Rule that decided.
    pub rule: Option<RuleName>,
    /// What was decided when the incident was written.
    pub action: Option<String>,
    /// Bytes of its folder when it was written.
    #[serde(default)]
    pub bytes: u64,
}

impl IndexRow {
    /// The row of an incident.
    pub(super) fn of(incident: &Incident, rule: Option<RuleName>, action: Option<String>, bytes: u64) -> Self {
        let trace = incident.root.trace.as_ref();
        Self {
            schema: INDEX_SCHEMA,
            short: short_id(&incident.id),
            id: incident.id.clone(),
            utc: incident.utc,
            run: incident.run.clone(),
            child: incident.child,
            kind: incident.kind,
            detector: incident.root.detector.clone(),
            detector_kind: incident.root.kind,
            severity: incident.severity,
            category: incident.category,
            fingerprint: incident.fingerprint.clone(),
            message: incident.message.chars().take(MAX_MESSAGE).collect(),
            language: trace.map(|trace| trace.language),
            exception: trace.and_then(|trace| trace.exception.clone()),
            class: incident.class.as_ref().map(|class| class.name.clone()),
            rule,
            action,
            bytes,
        }
    }

    /// The row as one line.
    pub(super) fn to_line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// A short name of an incident: the first eight hexadecimal digits of the SHA-256 of its id.
pub fn short_id(id: &IncidentId) -> String {
    let digest = Sha256::digest(id.as_str().as_bytes());
    digest.iter().take(SHORT_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// What is wanted of the index; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexQuery {
    /// Failure or oddity.
    pub kind: Option<IncidentKind>,
    /// Name of the root's detector.
    pub detector: Option<DetectorName>,
    /// Seen then or later.
    pub since: Option<Utc>,
    /// At most this many, the newest.
    pub limit: Option<usize>,
}

/// What the index says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexPage {
    /// Newest first, in the order they were written.
    pub rows: Vec<IndexRow>,
    /// Lines among those read that are no rows.
    pub damaged_lines: u64,
    /// Digits of a short id that tell all incidents apart, at least [`MIN_SHORT_DIGITS`].
    pub short_digits: usize,
}

/// Reads the index from its end. A missing one is empty.
///
/// # Errors
/// When the file cannot be read. Lines that are no rows are counted.
pub(super) fn read(layout: &Layout, query: &IndexQuery) -> Result<IndexPage, ReadError> {
    let path = layout.index();
    let mut page = IndexPage { short_digits: MIN_SHORT_DIGITS, ..IndexPage::default() };
    let file = match disk::open_regular(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(page),
        Err(error) => return Err(error).read_at("open", &path),
    };
    let detector = query.detector.as_ref().map(|name| memmem::Finder::new(name.as_str().as_bytes()).into_owned());
    let mut shorts = Vec::new();
    lines_backwards(&file, &path, |line| {
        shorts.extend(quick_short(line));
        if query.limit.is_some_and(|limit| page.rows.len() >= limit) {
            return;
        }
        // A name with characters that JSON escapes is found by parsing only.
        let plain =
            |name: &DetectorName| name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let cannot_match = detector.as_ref().is_some_and(|finder| finder.find(line).is_none());
        if cannot_match && query.detector.as_ref().is_some_and(plain) {
            return;
        }
        match serde_json::from_slice::<IndexRow>(line) {
            Ok(row) if query.wants(&row) => page.rows.push(row),
            Ok(_) => {}
            Err(_) => page.damaged_lines = page.damaged_lines.saturating_add(1),
        }
    })?;
    page.short_digits = telling_apart(shorts);
    Ok(page)
}

impl IndexQuery {
    fn wants(&self, row: &IndexRow) -> bool {
        let Self { kind, detector, since, limit: _ } = self;
        kind.is_none_or(|kind| kind == row.kind)
            && detector.as_ref().is_none_or(|detector| *detector == row.detector)
            && since.is_none_or(|since| row.utc >= since)
    }
}

/// Fewest leading digits in which all short ids differ; all eight when two are equal.
fn telling_apart(mut shorts: Vec<[u8; SHORT_DIGITS]>) -> usize {
    shorts.sort_unstable();
    shorts.dedup();
    let pairs = shorts.iter().zip(shorts.iter().skip(1));
    let common = pairs.map(|(a, b)| a.iter().zip(b).take_while(|(a, b)| a == b).count()).max();
    common.map_or(MIN_SHORT_DIGITS, |common| common.saturating_add(1).clamp(MIN_SHORT_DIGITS, SHORT_DIGITS))
}

/// The short id of a row without parsing it: [`IndexRow`] puts it second.
fn quick_short(line: &[u8]) -> Option<[u8; SHORT_DIGITS]> {
    let head = line.get(..line.len().min(64))?;
    let at = memmem::find(head, br#""short":""#)?.checked_add(br#""short":""#.len())?;
    line.get(at..at.checked_add(SHORT_DIGITS)?)?.try_into().ok()
}

/// Calls `visit` with every line (without its end), last line first. A last line without an end is a line too.
fn lines_backwards(file: &File, path: &Path, mut visit: impl FnMut(&[u8])) -> Result<(), ReadError> {
    let mut end = file.metadata().read_at("read", path)?.len();
    // Bytes behind `end` whose line begins before it.
    let mut tail: Vec<u8> = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut chunk = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
        file.read_exact_at(&mut chunk, start).read_at("read", path)?;
        chunk.append(&mut tail);
        let mut rest: &[u8] = &chunk;
        while let Some(newline) = memchr::memrchr(b'\n', rest) {
            let (before, line) = rest.split_at(newline);
            if let Some((_, line)) = line.split_first().filter(|(_, line)| !line.is_empty()) {
                visit(line);
            }
            rest = before;
        }
        tail = rest.to_vec();
        if tail.len() > MAX_LINE {
            // No row is that long. Its beginning goes too, so that it stays one line that is no row.
            tail.truncate(1);
        }
        end = start;
    }
    if !tail.is_empty() {
        visit(&tail);
    }
    Ok(())
}

/// All rows by id, oldest first, and how many lines are no rows or come twice; for mending.
pub(super) fn read_all(path: &Path) -> Result<(BTreeMap<IncidentId, IndexRow>, u64), ReadError> {
    let mut rows = BTreeMap::new();
    let mut bad = 0_u64;
    let file = match disk::open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((rows, bad)),
        Err(error) => return Err(error).read_at("open", path),
    };
    lines_backwards(&file, path, |line| match serde_json::from_slice::<IndexRow>(line) {
        Ok(row) => {
            if rows.insert(row.id.clone(), row).is_some() {
                bad = bad.saturating_add(1);
            }
        }
        Err(_) => bad = bad.saturating_add(1),
    })?;
    Ok((rows, bad))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::testing;

    fn index(rows: &[IndexRow]) -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        disk::make_dir(&layout.incidents()).unwrap();
        let bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_line().unwrap()).collect();
        fs::write(layout.index(), bytes).unwrap();
        (dir, layout)
    }

    fn rows(count: usize) -> Vec<IndexRow> {
        (0..count)
            .map(|n| {
                let mut incident = testing::incident(&format!("i-{n}"), if n % 3 == 0 { "stall" } else { "oom" });
                incident.utc = Utc::from_millis(n as i64);
                incident.kind = if n % 3 == 0 { IncidentKind::Anomaly } else { IncidentKind::Error };
                IndexRow::of(&incident, None, Some("restart".to_owned()), 10)
            })
            .collect()
    }

    #[test]
    fn queries_filter_and_limit_from_the_newest() {
        let all = rows(3_000);
        let (_dir, layout) = index(&all);
        let count = |query: IndexQuery| read(&layout, &query).unwrap().rows.len();
        assert_eq!(read(&layout, &IndexQuery::default()).unwrap().rows, all.iter().rev().cloned().collect::<Vec<_>>());
        assert_eq!(count(IndexQuery { kind: Some(IncidentKind::Anomaly), ..IndexQuery::default() }), 1_000);
        assert_eq!(count(IndexQuery { detector: Some(DetectorName::new("oom")), ..IndexQuery::default() }), 2_000);
        assert_eq!(count(IndexQuery { detector: Some(DetectorName::new("oo")), ..IndexQuery::default() }), 0);
        assert_eq!(count(IndexQuery { since: Some(Utc::from_millis(2_990)), ..IndexQuery::default() }), 10);
        let page = read(&layout, &IndexQuery { limit: Some(2), ..IndexQuery::default() }).unwrap();
        assert_eq!(page.rows, [all[2_999].clone(), all[2_998].clone()]);
        assert!(page.short_digits > MIN_SHORT_DIGITS, "told apart from all, not from the page only");
        let shown: std::collections::HashSet<_> = all.iter().map(|row| &row.short[..page.short_digits]).collect();
        assert_eq!(shown.len(), all.len());
    }

    #[test]
    fn damaged_lines_are_counted_and_a_torn_end_is_one() {
        let (_dir, layout) = index(&rows(2));
        let mut bytes = fs::read(layout.index()).unwrap();
        bytes.extend_from_slice(b"{\"schema\":1}\n\xff\xfe\n{\"sch");
        fs::write(layout.index(), bytes).unwrap();
        let page = read(&layout, &IndexQuery::default()).unwrap();
        assert_eq!((page.rows.len(), page.damaged_lines), (2, 3));
    }

    #[test]
    fn no_index_is_an_empty_page() {
        let dir = tempfile::tempdir().unwrap();
        let page = read(&Layout::new(dir.path()), &IndexQuery::default()).unwrap();
        assert_eq!((page.rows.len(), page.short_digits), (0, MIN_SHORT_DIGITS));
    }

    #[test]
    fn detector_names_that_json_escapes_are_found() {
        let row = IndexRow::of(&testing::incident("i", "a\"b"), None, None, 0);
        let (_dir, layout) = index(std::slice::from_ref(&row));
        let query = IndexQuery { detector: Some(DetectorName::new("a\"b")), ..IndexQuery::default() };
        assert_eq!(read(&layout, &query).unwrap().rows, [row]);
    }

    proptest::proptest! {
        #[test]
        fn lines_come_backwards_whatever_they_are(lines in proptest::collection::vec("[a-c]{1,9}", 0..40), ended: bool) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("lines");
            let end = if ended { "\n" } else { "" };
            fs::write(&path, lines.join("\n") + end).unwrap();
            let mut seen = Vec::new();
            let file = disk::open_regular(&path).unwrap();
            lines_backwards(&file, &path, |line| seen.push(String::from_utf8(line.to_vec()).unwrap())).unwrap();
            seen.reverse();
            proptest::prop_assert_eq!(seen, lines);
        }
    }
}
