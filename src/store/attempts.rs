//! `attempts.tsv`: the ledger. Append-only: one row when an attempt starts, one more when its verdict falls.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use super::disk::{self, AppendFile, Durability};
use super::error::{At, ReadError, WriteError};
use crate::heal::verdict::Verdict;
use crate::ids::{AttemptNo, DetectorName, Fingerprint, IncidentId};
use crate::paths::Layout;
use crate::time::Utc;

const COLUMNS: [&str; 11] = [
    "timestamp",
    "incident_id",
    "detector",
    "source",
    "branch",
    "status",
    "duration_seconds",
    "description",
    "attempt",
    "action",
    "fingerprint",
];

/// Longest value, characters; a ledger is for reading.
const MAX_VALUE: usize = 200;
/// Largest ledger that is read, bytes.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Where an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptStatus {
    /// It is being verified.
    Pending,
    /// It has ended.
    Fallen(Verdict),
}

impl AttemptStatus {
    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Fallen(verdict) => verdict.as_str(),
        }
    }

    fn parse(word: &str) -> Option<Self> {
        if word == "pending" {
            return Some(Self::Pending);
        }
        Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == word).map(Self::Fallen)
    }
}

/// One row of the ledger. Tabs, line ends and other control characters in its values are written as spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// When the attempt started, or when its verdict fell; in a merged view always the former.
    pub utc: Utc,
    /// Incident.
    pub incident: IncidentId,
    /// Detector of its root.
    pub detector: DetectorName,
    /// Who decided: `rule oom_halve_batch`, `policy`, `person`.
    pub source: String,
    /// Fix branch; empty when there is none.
    pub branch: String,
    /// Where it is.
    pub status: AttemptStatus,
    /// From its start to its verdict, to the millisecond; zero while pending.
    pub duration: Duration,
    /// The incident's message.
    pub description: String,
    /// Number in the run.
    pub attempt: AttemptNo,
    /// What was done: `restart`.
    pub action: String,
    /// Of the incident.
    pub fingerprint: Fingerprint,
}

/// The ledger, one row per attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// In the order the attempts started, each with its last status.
    pub rows: Vec<AttemptRow>,
    /// Lines that are no rows.
    pub damaged: u64,
}

/// Reads the ledger. A missing one is empty.
///
/// # Errors
/// When the file cannot be read. Rows that do not parse are counted.
pub(super) fn read(layout: &Layout) -> Result<Ledger, ReadError> {
    let path = layout.attempts();
    let bytes = disk::read_if_there(&path, MAX_BYTES).read_at("read", &path)?;
    Ok(merge(&String::from_utf8_lossy(&bytes.unwrap_or_default())))
}

fn merge(text: &str) -> Ledger {
    let mut ledger = Ledger::default();
    let mut places: HashMap<(IncidentId, AttemptNo), usize> = HashMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !is_header(line)) {
        let Some(row) = parse(line) else {
            ledger.damaged = ledger.damaged.saturating_add(1);
            continue;
        };
        let key = (row.incident.clone(), row.attempt);
        match places.get(&key).and_then(|place| ledger.rows.get_mut(*place)) {
            Some(known) => *known = AttemptRow { utc: known.utc, ..row },
            None => {
                places.insert(key, ledger.rows.len());
                ledger.rows.push(row);
            }
        }
    }
    ledger
}

/// Whether a line is a row.
pub(super) fn is_row(line: &str) -> bool {
    parse(line).is_some()
}

fn is_header(line: &str) -> bool {
    line.starts_with("timestamp\t")
}

fn parse(line: &str) -> Option<AttemptRow> {
    let values: Vec<&str> = line.split('\t').collect();
    let values: [&str; COLUMNS.len()] = values.try_into().ok()?;
    let [utc, incident, detector, source, branch, status, duration, description, attempt, action, fingerprint] = values;
    Some(AttemptRow {
        utc: Utc::from_millis(chrono::DateTime::parse_from_rfc3339(utc).ok()?.timestamp_millis()),
        incident: IncidentId::new(incident),
        detector: DetectorName::new(detector),
        source: source.to_owned(),
        branch: branch.to_owned(),
        status: AttemptStatus::parse(status)?,
        duration: Duration::try_from_secs_f64(duration.parse().ok()?).ok()?,
        description: description.to_owned(),
        attempt: AttemptNo(attempt.parse().ok()?),
        action: action.to_owned(),
        fingerprint: Fingerprint::new(fingerprint),
    })
}

pub(super) fn header() -> String {
    format!("{}\n", COLUMNS.join("\t"))
}

pub(super) fn format_row(row: &AttemptRow) -> String {
    let AttemptRow {
        utc,
        incident,
        detector,
        source,
        branch,
        status,
        duration,
        description,
        attempt,
        action,
        fingerprint,
    } = row;
    let values: [&str; COLUMNS.len()] = [
        &utc.rfc3339(),
        incident.as_str(),
        detector.as_str(),
        source,
        branch,
        status.as_str(),
        &format!("{}.{:03}", duration.as_secs(), duration.subsec_millis()),
        description,
        &attempt.0.to_string(),
        action,
        fingerprint.as_str(),
    ];
    let mut line = values.map(one_value).join("\t");
    line.push('\n');
    line
}

fn one_value(value: &str) -> String {
    // U+2028 and U+2029 end lines for some readers; `lines()` of others knows U+0085, which is a control character.
    let plain = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    value.chars().take(MAX_VALUE).map(plain).collect()
}

/// The ledger, open for writing.
#[derive(Debug)]
pub(super) struct LedgerWriter(Option<AppendFile>);

impl LedgerWriter {
    pub(super) fn closed() -> Self {
        Self(None)
    }

    /// Appends a row, below the header if it is the first.
    pub(super) fn append(&mut self, layout: &Layout, row: &AttemptRow) -> Result<(), WriteError> {
        let path = layout.attempts();
        let appended = self.open(layout).and_then(|file| {
            let mut text = if file.len() == 0 { header() } else { String::new() };
            text.push_str(&format_row(row));
            file.append(text.as_bytes(), Durability::Flushed)
        });
        appended.write_at("append to", &path)
    }

    fn open(&mut self, layout: &Layout) -> io::Result<&mut AppendFile> {
        match &mut self.0 {
            Some(file) => Ok(file),
            empty => Ok(empty.insert(AppendFile::open(&layout.attempts())?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(attempt: u32, status: AttemptStatus) -> AttemptRow {
        AttemptRow {
            utc: Utc::from_millis(1_795_262_096_789 + i64::from(attempt)),
            incident: IncidentId::new("2026-11-21T11-54-56Z-error-oom"),
            detector: DetectorName::new("oom"),
            source: "rule halve".to_owned(),
            branch: String::new(),
            status,
            duration: Duration::from_millis(1_500),
            description: "out\tof\nmemory\r\u{1b}[31m".to_owned(),
            attempt: AttemptNo(attempt),
            action: "restart_with_env".to_owned(),
            fingerprint: Fingerprint::new("v1:0123456789abcdef"),
        }
    }

    #[test]
    fn the_ledger_has_a_header_and_one_row_per_event() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        disk::make_dir(&layout.dot()).unwrap();
        let mut writer = LedgerWriter::closed();
        writer.append(&layout, &row(1, AttemptStatus::Pending)).unwrap();
        let mut writer = LedgerWriter::closed();
        writer.append(&layout, &row(2, AttemptStatus::Pending)).unwrap();
        let mut verdict = row(1, AttemptStatus::Fallen(Verdict::Kept));
        verdict.utc = Utc::from_millis(1_795_262_696_789);
        writer.append(&layout, &verdict).unwrap();
        let text = std::fs::read_to_string(layout.attempts()).unwrap();
        insta::assert_snapshot!(text.replace('\t', " | "), @r"
        timestamp | incident_id | detector | source | branch | status | duration_seconds | description | attempt | action | fingerprint
        2026-11-21T11:54:56.790Z | 2026-11-21T11-54-56Z-error-oom | oom | rule halve |  | pending | 1.500 | out of memory  [31m | 1 | restart_with_env | v1:0123456789abcdef
        2026-11-21T11:54:56.791Z | 2026-11-21T11-54-56Z-error-oom | oom | rule halve |  | pending | 1.500 | out of memory  [31m | 2 | restart_with_env | v1:0123456789abcdef
        2026-11-21T12:04:56.789Z | 2026-11-21T11-54-56Z-error-oom | oom | rule halve |  | kept | 1.500 | out of memory  [31m | 1 | restart_with_env | v1:0123456789abcdef
        ");
        let ledger = read(&layout).unwrap();
        let seen: Vec<_> =
            ledger.rows.iter().map(|row| (row.attempt.0, row.status.as_str(), row.utc.millis())).collect();
        assert_eq!(seen, [(1, "kept", 1_795_262_096_790), (2, "pending", 1_795_262_096_791)]);
        assert_eq!(ledger.damaged, 0);
    }

    #[test]
    fn bad_rows_are_counted_and_the_rest_is_used() {
        let good = format_row(&row(1, AttemptStatus::Pending));
        let rows: [(&str, String); 7] = [
            ("torn", good[..40].to_owned()),
            ("a column too many", good.trim_end().to_owned() + "\tx"),
            ("no number", good.replace("1.500", "soon")),
            ("negative duration", good.replace("1.500", "-1")),
            ("infinite duration", good.replace("1.500", "inf")),
            ("unknown status", good.replace("pending", "dancing")),
            ("no time", good.replace("2026-11-21T11", "yesterday")),
        ];
        for (name, bad) in rows {
            let ledger = merge(&format!("{}{}\n{good}", header(), bad.trim_end()));
            assert_eq!((ledger.rows.len(), ledger.damaged), (1, 1), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            merge(&text);
        }

        #[test]
        fn any_value_stays_in_its_column(text in any::<String>()) {
            let mut one = row(1, AttemptStatus::Fallen(Verdict::Crashed));
            one.description = text.clone();
            one.source = text;
            let line = format_row(&one);
            let ledger = merge(&line);
            prop_assert_eq!((ledger.rows.len(), ledger.damaged), (1, 0));
            prop_assert_eq!(&ledger.rows[0].action, "restart_with_env");
        }
    }
}
