//! The incident itself: what `incident.json` holds and `report.md` is rendered from.

use serde::{Deserialize, Serialize};

use super::{Category, Copies};
use crate::detect::ending::Exit;
use crate::detect::{Class, Detection, DetectorKind, Severity};
use crate::heal::verdict::Verdict;
use crate::ids::{AttemptNo, ChildNo, DetectorName, Fingerprint, IncidentId, RunId};
use crate::time::Utc;

/// Failure or oddity: the `<kind>` in the folder's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// Something failed.
    Error,
    /// Something is odd (a stall).
    Anomaly,
}

impl IncidentKind {
    /// The name used in folders, on disk and as a filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Anomaly => "anomaly",
        }
    }
}

/// Detections of one detector that were counted in an incident besides its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Which detector.
    pub detector: DetectorName,
    /// Its kind.
    pub kind: DetectorKind,
    /// How often.
    pub count: u64,
    /// First message.
    pub message: String,
    /// Line of the first one; 0 where none is meant.
    pub line: u64,
}

/// What was done about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionTaken {
    /// Row of the ledger.
    pub attempt: AttemptNo,
    /// When.
    pub utc: Utc,
    /// Who decided: `rule oom_halve_batch`, `policy`, `person`.
    pub healer: String,
    /// `restart`, `restart_with_env`, …
    pub action: String,
    /// What it came to, in words: `BATCH_SIZE: 8 → 4`. May be empty.
    pub details: Vec<String>,
    /// How it turned out; `None` while it is being verified.
    pub verdict: Option<VerdictFallen>,
}

/// A verdict with its grounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictFallen {
    /// Which.
    pub verdict: Verdict,
    /// When.
    pub utc: Utc,
    /// Why, in words.
    pub why: String,
}

/// A settled group of detections with one root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Name of its folder.
    pub id: IncidentId,
    /// Run and child it happened in.
    pub run: RunId,
    /// See `run`.
    pub child: ChildNo,
    /// When the root was seen.
    pub utc: Utc,
    /// Failure or oddity.
    pub kind: IncidentKind,
    /// How bad.
    pub severity: Severity,
    /// What kind of repair.
    pub category: Category,
    /// Same failure, same fingerprint.
    pub fingerprint: Fingerprint,
    /// One line: `KeyError: 'port'`, `exit code 3`.
    pub message: String,
    /// What it began with.
    pub root: Detection,
    /// The known failure class, where the root or what it covers has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Who printed the root, where that was more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<Copies>,
    /// What else belongs to it.
    pub counted: Vec<Counted>,
    /// How the child ended, where that belongs to the incident.
    pub exit: Option<Exit>,
    /// Recent progress values, oldest first, for anomalies.
    #[serde(default)]
    pub recent_metric: Vec<String>,
    /// What was done, oldest first.
    #[serde(default)]
    pub actions: Vec<ActionTaken>,
    /// Why nothing was done, where that was decided.
    #[serde(default)]
    pub not_acted: Option<String>,
}
