//! What has been decided and is to be done. Each is written down before it is tried, and doing it twice is harmless.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::detect::ending::Exit;
use crate::heal::verdict::Verdict;
use crate::ids::{AttemptNo, ChildNo, DetectorName, Fingerprint, IncidentId};
use crate::incident::report_view::Changes;
use crate::incident::{ActionTaken, Counted, Incident, VerdictFallen};
use crate::monitor::status::StateFile;
use crate::time::Utc;

/// Number of an intent inside its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TodoId(pub u64);

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Number.
    pub id: TodoId,
    /// What.
    pub todo: Todo,
}

/// Things to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Todo {
    /// Start a child, unless its record says that it was started.
    StartChild {
        /// Number.
        child: ChildNo,
        /// Variables over `process.env`.
        overlay: BTreeMap<String, String>,
    },
    /// Stop a child and its tree.
    StopChild {
        /// Number.
        child: ChildNo,
        /// Without grace.
        now: bool,
    },
    /// Write an incident's folder and its row in the index.
    WriteIncident {
        /// The incident.
        incident: Box<Incident>,
        /// The picture before anything was done about it.
        before: Box<StateFile>,
    },
    /// Change an incident's folder.
    UpdateIncident {
        /// Which.
        id: IncidentId,
        /// How.
        change: Box<IncidentChange>,
    },
    /// Find out what changed since the last healthy run, and add it to an incident.
    LookAround {
        /// Which.
        id: IncidentId,
        /// When the run was last known to be healthy.
        since: Option<Utc>,
        /// Files of the frames.
        files: Vec<String>,
        /// Where the failure begins in its child's own log: byte offset and line.
        #[serde(default)]
        at: Option<(ChildNo, u64, u64)>,
    },
    /// Append a row to the ledger.
    Ledger {
        /// The row.
        row: Box<LedgerRow>,
    },
    /// Run a rule's command.
    RunCommand {
        /// Attempt it belongs to.
        attempt: AttemptNo,
        /// argv.
        command: Vec<String>,
        /// Absolute.
        cwd: PathBuf,
        /// Over `process.env` and the overlay.
        env: BTreeMap<String, String>,
        /// Then its tree is ended.
        timeout: Duration,
    },
}

impl Todo {
    /// Whether it writes a part of the record. Such are done in their order.
    pub fn writes(&self) -> bool {
        match self {
            Self::WriteIncident { .. } | Self::UpdateIncident { .. } | Self::Ledger { .. } => true,
            Self::LookAround { .. } | Self::StartChild { .. } | Self::StopChild { .. } | Self::RunCommand { .. } => {
                false
            }
        }
    }

    /// Whether it only writes the record, and so makes sense after its run is over.
    pub fn is_record(&self) -> bool {
        match self {
            Self::WriteIncident { .. }
            | Self::UpdateIncident { .. }
            | Self::LookAround { .. }
            | Self::Ledger { .. } => true,
            Self::StartChild { .. } | Self::StopChild { .. } | Self::RunCommand { .. } => false,
        }
    }
}

/// A change of an incident's folder. Applying one twice changes nothing the second time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum IncidentChange {
    /// Its child ended.
    Exit {
        /// How.
        exit: Exit,
    },
    /// More detections belong to it.
    Counted {
        /// All that were counted after it was written.
        counted: Vec<Counted>,
    },
    /// Something was done.
    Action {
        /// What.
        action: ActionTaken,
    },
    /// What was done came to more than was known at first.
    Details {
        /// Attempt.
        attempt: AttemptNo,
        /// Lines to add.
        details: Vec<String>,
    },
    /// Nothing was done.
    NotActed {
        /// Why.
        why: String,
    },
    /// What changed since the last healthy run.
    Changes {
        /// What.
        changes: Box<Changes>,
    },
    /// A verdict fell.
    Verdict {
        /// Attempt.
        attempt: AttemptNo,
        /// Which, and why.
        fallen: VerdictFallen,
    },
}

impl IncidentChange {
    /// Makes the change; a second time it changes nothing. What is not part of the incident itself is left to the record.
    pub fn apply(&self, incident: &mut Incident) {
        match self {
            Self::Exit { exit } => incident.exit = Some(exit.clone()),
            Self::Counted { counted } => {
                // These are all that were counted later: what was settled with the root stays.
                for later in counted {
                    let same = |one: &&mut Counted| one.detector == later.detector && one.line == later.line;
                    match incident.counted.iter_mut().find(same) {
                        Some(same) => *same = later.clone(),
                        None => incident.counted.push(later.clone()),
                    }
                }
            }
            Self::Action { action } => {
                if incident.actions.iter().all(|one| one.attempt != action.attempt) {
                    incident.actions.push(action.clone());
                }
                incident.not_acted = None;
            }
            Self::Details { attempt, details } => {
                if let Some(action) = incident.actions.iter_mut().find(|one| one.attempt == *attempt) {
                    let new: Vec<_> =
                        details.iter().filter(|detail| !action.details.contains(detail)).cloned().collect();
                    action.details.extend(new);
                }
            }
            Self::NotActed { why } => incident.not_acted = Some(why.clone()),
            Self::Verdict { attempt, fallen } => {
                if let Some(action) = incident.actions.iter_mut().find(|one| one.attempt == *attempt) {
                    action.verdict = Some(fallen.clone());
                }
            }
            Self::Changes { .. } => {}
        }
    }

    /// Whether it may as well be made before the incident is written.
    pub fn is_of_incident(&self) -> bool {
        match self {
            Self::Exit { .. }
            | Self::Action { .. }
            | Self::Details { .. }
            | Self::NotActed { .. }
            | Self::Verdict { .. } => true,
            Self::Counted { .. } | Self::Changes { .. } => false,
        }
    }
}

/// A row of `attempts.tsv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// When.
    pub utc: Utc,
    /// Attempt.
    pub attempt: AttemptNo,
    /// Incident.
    pub incident: IncidentId,
    /// Detector of its root.
    pub detector: DetectorName,
    /// Who decided.
    pub healer: String,
    /// What.
    pub action: String,
    /// `None` while pending.
    pub verdict: Option<Verdict>,
    /// Watched time since the attempt began.
    pub duration: Duration,
    /// One line.
    pub description: String,
    /// Fingerprint of the incident.
    pub fingerprint: Fingerprint,
}
