//! What the monitor must not forget: written to the journal field by field before anything follows from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::book::StreamBook;
use super::todo::Intent;
use crate::detect::ending::Exit;
use crate::detect::{Detection, DetectorKind, Learned, Phases, Position, RateCounter};
use crate::heal::budget::Restarts;
use crate::heal::verdict::Verdict;
use crate::ids::{AttemptNo, ChildNo, DetectorName, Fingerprint, IncidentId, RunId};
use crate::incident::{Copies, Counted, Incident};
use crate::monitor::status::ProcessIdentity;
use crate::monitor::watches::Metrics;
use crate::time::{Utc, Watched};

/// Everything that survives the monitor. Each field is one entry of a journal line's `set`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The run; `None` before the first one.
    pub run: Option<RunFacts>,
    /// Where it is.
    pub phase: Phase,
    /// The newest child.
    pub child: Option<ChildFacts>,
    /// Variables that rules have changed.
    pub overlay: BTreeMap<String, String>,
    /// Limits that a person has changed for this run.
    pub limits: Limits,
    /// Restarts so far.
    pub restarts: Restarts,
    /// How far each stream has been read.
    pub streams: StreamBook,
    /// The child before whose start the files of `process.logs` were looked at: what they held then is not its.
    pub logs_of: Option<ChildNo>,
    /// Totals of each detector.
    pub detectors: BTreeMap<DetectorName, DetectorFacts>,
    /// Matches of `rate` detectors, and of `pattern` detectors with `min_count`.
    pub rates: BTreeMap<DetectorName, RateCounter>,
    /// Values of metrics, of the newest child.
    pub metrics: Metrics,
    /// Phases that the newest child is in.
    pub phases: Phases,
    /// Healthy gaps of stall detectors, of all children.
    pub stalls: BTreeMap<DetectorName, Learned>,
    /// Detections that are not an incident yet.
    pub gathering: Option<Gathering>,
    /// What may explain an end and is no failure before, oldest first, one per class.
    pub hints: Vec<Hint>,
    /// The last incidents, oldest first, at most [`Memory::MAX_INCIDENTS`].
    pub incidents: Vec<IncidentNote>,
    /// Names of the last incidents, those of earlier runs included: a name is never given twice.
    pub recent_ids: Vec<IncidentId>,
    /// Incidents of this run.
    pub incidents_total: u64,
    /// Fingerprint and time of the last failures, oldest first, at most [`Memory::MAX_HISTORY`].
    pub history: Vec<(Fingerprint, Watched)>,
    /// Attempts whose verdict has not fallen.
    pub attempts: Vec<Attempt>,
    /// Number of the last attempt.
    pub last_attempt: u32,
    /// When healers acted on each detector, for the hourly budget.
    pub attempt_times: Vec<(DetectorName, Watched)>,
    /// Detectors that are not acted on any more (`regression_action: escalate`).
    pub escalated: Vec<DetectorName>,
    /// What has been decided and not been done.
    pub todo: Vec<Intent>,
    /// Number of the last intent.
    pub last_todo: u64,
    /// What the metrics of the newest child say.
    pub progress: BTreeMap<DetectorName, Progress>,
    /// When the run was last known to be healthy.
    pub last_healthy: Option<Utc>,
    /// Watched time.
    pub watched: Watched,
}

impl Memory {
    /// Most incidents kept in memory; all are on disk.
    pub const MAX_INCIDENTS: usize = 32;
    /// Most failures kept for rules that count.
    pub const MAX_HISTORY: usize = 256;
}

/// The run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Name.
    pub id: RunId,
    /// Start.
    pub started: Utc,
    /// argv as configured, redacted.
    pub command: Vec<String>,
}

/// Where the run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has been started.
    #[default]
    Idle,
    /// A child has been asked for.
    Starting,
    /// A child is alive.
    Up,
    /// A child is being stopped by us.
    Stopping {
        /// What follows.
        then: Then,
    },
    /// A child has ended by itself, and what it left is being read.
    Settling,
    /// A child has ended and a command of a rule decides what follows.
    Deciding,
    /// Waiting before the next child.
    Cooling {
        /// Until when.
        until: Watched,
        /// Why there will be a next child.
        because: String,
        /// It waits for the world outside: the restart spends no budget.
        #[serde(default)]
        free: bool,
    },
    /// Nothing runs until `sentry resume`.
    Paused {
        /// Why.
        why: String,
    },
    /// The run has ended.
    Over {
        /// Exit code of `sentry run`.
        code: u8,
        /// Whether a person has to look.
        held: bool,
        /// Why.
        why: String,
    },
}

/// What follows a stop of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "then", rename_all = "snake_case")]
pub enum Then {
    /// A restart that counts, after the pause.
    Restart {
        /// Why.
        because: String,
    },
    /// A start at once that does not count: a person asked.
    StartNow {
        /// Why.
        because: String,
    },
    /// Nothing until `sentry resume`.
    Pause {
        /// Why.
        why: String,
    },
    /// The run ends.
    End {
        /// Exit code.
        code: u8,
        /// Why.
        why: String,
    },
}

/// The newest child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildFacts {
    /// Number.
    pub no: ChildNo,
    /// When it was asked for.
    pub started: Utc,
    /// When it was seen alive.
    pub up: Option<Watched>,
    /// Its process.
    pub process: Option<ProcessIdentity>,
    /// How it ended.
    pub exit: Option<Exit>,
    /// Its whole tree is gone.
    pub gone: bool,
    /// Its streams have been read to their ends.
    pub drained: bool,
}

impl ChildFacts {
    /// A child that has just been asked for.
    pub fn new(no: ChildNo, started: Utc) -> Self {
        Self { no, started, up: None, process: None, exit: None, gone: false, drained: false }
    }
}

/// Limits that a person has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `sentry set max_restarts`.
    pub max_restarts: Option<u32>,
}

/// A stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamFacts {
    /// Where to go on.
    pub position: Position,
    /// Lines scanned.
    pub lines: u64,
    /// The file that the position is one of, where files come and go (`process.logs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileId>,
}

/// A file whatever its name: its number, and when it was made, because numbers of deleted files are given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// Inode.
    pub inode: u64,
    /// Birth, nanoseconds since 1970 (statx(2)); 0 where the file system keeps none.
    pub born: i64,
}

/// Totals of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectorFacts {
    /// Kind.
    pub kind: DetectorKind,
    /// Detections.
    pub detections: u64,
    /// Incidents whose root it was.
    pub incidents: u64,
}

/// A metric of a child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Its newest value.
    pub value: f64,
    /// It has fallen: it is no counter, and says nothing about how far the work has come.
    pub falls: bool,
}

/// Detections of one cascade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathering {
    /// Child they belong to.
    pub child: ChildNo,
    /// First one seen.
    pub since: Watched,
    /// Last one seen.
    pub last: Watched,
    /// When the first one was seen, for people.
    pub utc: Utc,
    /// The earliest ones, candidates for the root, earliest first; at most [`Gathering::MAX_CANDIDATES`].
    pub candidates: Vec<Detection>,
    /// When each of them arrived, in an order over all streams; empty in journals of older versions.
    #[serde(default)]
    pub arrived: Vec<u64>,
    /// All others.
    pub others: Vec<Counted>,
    /// What each candidate is known by; empty in what an older version has written.
    #[serde(default)]
    pub prints: Vec<Option<Fingerprint>>,
    /// Who printed which failure; at most [`Gathering::MAX_CANDIDATES`] failures.
    #[serde(default)]
    pub copies: Vec<(Fingerprint, Copies)>,
}

/// A detection of a class that only explains an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// When it was seen.
    pub at: Watched,
    /// What was seen.
    pub detection: Detection,
}

impl Hint {
    /// Most hints kept.
    pub const MAX: usize = 16;
}

impl Gathering {
    /// Most detections kept whole.
    pub const MAX_CANDIDATES: usize = 16;
    /// Most bytes of traces kept in all; what is beyond keeps its first lines and frames.
    pub const MAX_BULK: usize = 512 * 1024;
}

/// An incident that may still be counted in, joined or verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentNote {
    /// The incident without the bulk of its trace and without its actions.
    pub incident: Incident,
    /// When it was settled.
    pub opened: Watched,
    /// When its last detection was seen.
    pub last: Watched,
    /// Last line of it; 0 where none is meant.
    pub last_line: u64,
    /// Detections counted in it after it was written.
    pub counted: Vec<Counted>,
    /// Whether `counted` holds more than the folder does.
    pub unwritten: bool,
    /// What was done.
    pub action: Option<String>,
    /// How it turned out.
    pub verdict: Option<Verdict>,
}

/// One application of one healer's action to one incident, being verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Row of the ledger.
    pub no: AttemptNo,
    /// Incident.
    pub incident: IncidentId,
    /// Child that the incident happened in.
    pub of: ChildNo,
    /// `rule oom_halve_batch`, `policy`.
    pub healer: String,
    /// `restart`, …
    pub action: String,
    /// Fingerprint that must not come back.
    pub fingerprint: Fingerprint,
    /// Detector that must not fire.
    pub detector: DetectorName,
    /// Message, for the ledger.
    pub description: String,
    /// When it began.
    pub began: Watched,
    /// Whether a new child proves it (or the one that was alive).
    pub needs_restart: bool,
    /// Child that proves it, and since when that is alive.
    pub child: Option<(ChildNo, Watched)>,
    /// Something else failed meanwhile: it cannot be kept any more.
    pub tainted: Option<String>,
    /// Progress at the failure, where a counter was known: the fix must go beyond.
    pub point_of_failure: Option<(DetectorName, f64)>,
}
