//! `state.json`: the picture for readers. Written by the monitor, rendered by `view`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::detect::ending::Exit;
use crate::detect::{DetectorKind, Severity};
use crate::heal::verdict::Verdict;
use crate::ids::{AttemptNo, ChildNo, DetectorName, IncidentId, RunId, StreamId};
use crate::time::Utc;

/// Version of the format.
pub const SCHEMA: u32 = 1;

/// Where the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// A child has been asked for.
    Starting,
    /// A child is alive.
    Up,
    /// A child is being stopped.
    Stopping,
    /// A child has ended and what it left is being read.
    Settling,
    /// Waiting before the next child.
    Cooling,
    /// Nothing runs until `sentry resume`.
    Paused,
    /// Nothing runs until a person has looked.
    Held,
    /// The child cannot be seen.
    Unknown,
    /// The run has ended.
    Over,
    /// The monitor has left; the child may be alive.
    Detached,
}

/// A process, told apart from a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Number.
    pub pid: u32,
    /// Start in clock ticks since boot (field 22 of `/proc/PID/stat`, proc(5)).
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// The child in the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildStatus {
    /// Number in the run.
    pub no: ChildNo,
    /// Its process; absent until it is known.
    pub process: Option<ProcessIdentity>,
    /// When it was started.
    pub started: Utc,
    /// Whether it is alive.
    pub alive: bool,
    /// How it ended.
    pub exit: Option<Exit>,
}

/// Restarts and their limits; 0 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartStatus {
    /// Restarts that no kept fix has cleared.
    pub unverified: u32,
    /// Their limit.
    pub max: u32,
    /// All of this run.
    pub total: u32,
    /// Within the rolling window.
    pub in_window: u32,
    /// Their limit.
    pub max_in_window: u32,
    /// Same failure in a row.
    pub identical: u32,
    /// Their limit.
    pub max_identical: u32,
}

/// What one detector saw in this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectorStatus {
    /// Kind.
    pub kind: DetectorKind,
    /// Detections.
    pub detections: u64,
    /// Incidents whose root it was.
    pub incidents: u64,
}

/// What a look at the world outside the log came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookState {
    /// All is well.
    Well,
    /// The service has not answered as it should; a resource is beyond its limit.
    Failed,
    /// Nobody could look.
    Unknown,
}

/// The last look of one detector (`resource`, `http`, `tcp`, `command`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookStatus {
    /// Kind.
    pub kind: DetectorKind,
    /// When.
    pub utc: Utc,
    /// What it came to.
    pub state: LookState,
    /// The answer, in words.
    pub said: String,
    /// Failed answers of a service in a row that count.
    pub failed_in_a_row: u32,
}

/// How long a stall detector lets nothing happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StallStatus {
    /// The limit in effect, milliseconds; 0 is none.
    pub limit_ms: u64,
    /// It is learned from this run; `false`: it is the configured one, or too little has been seen.
    pub learned: bool,
    /// Healthy pauses seen; of a configured limit too.
    pub pauses: u32,
    /// The longest of them.
    pub longest_pause_ms: u64,
    /// An excepted phase is on: the clock rests.
    pub resting: bool,
}

/// An incident in a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentStatus {
    /// Folder.
    pub id: IncidentId,
    /// When.
    pub utc: Utc,
    /// Detector of the root.
    pub detector: DetectorName,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub message: String,
    /// What was done, if anything.
    pub action: Option<String>,
    /// How that turned out.
    pub verdict: Option<Verdict>,
}

/// An attempt whose verdict has not fallen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingStatus {
    /// Row of the ledger.
    pub attempt: AttemptNo,
    /// Incident.
    pub incident: IncidentId,
    /// Action.
    pub action: String,
    /// Watched milliseconds until it is kept.
    pub left_ms: u64,
}

/// How far a stream has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// Bytes scanned.
    pub bytes: u64,
    /// Lines scanned.
    pub lines: u64,
}

/// All streams of the child.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotals {
    /// How many there are.
    pub count: usize,
    /// Bytes scanned.
    pub bytes: u64,
    /// Lines scanned.
    pub lines: u64,
    /// Those that cannot be read, at most 16, and why.
    pub troubled: BTreeMap<StreamId, String>,
}

/// The whole picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// When it was written.
    pub updated: Utc,
    /// The monitor.
    pub monitor: ProcessIdentity,
    /// When the monitor started.
    pub monitor_started: Utc,
    /// The run.
    pub run: RunId,
    /// When the run started.
    pub run_started: Utc,
    /// Where it is.
    pub phase: PhaseName,
    /// What it is waiting for, in words.
    pub waiting_for: String,
    /// Why it is where it is (why held, how it ended), in words.
    pub why: Option<String>,
    /// Exit code of `sentry run`, once over.
    pub exit_code: Option<u8>,
    /// argv, redacted.
    pub command: Vec<String>,
    /// The newest child.
    pub child: Option<ChildStatus>,
    /// Restarts.
    pub restarts: RestartStatus,
    /// Variables that rules have changed, redacted.
    pub env_overlay: BTreeMap<String, String>,
    /// Detectors.
    pub detectors: BTreeMap<DetectorName, DetectorStatus>,
    /// The last looks, of detectors that look.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<DetectorName, LookStatus>,
    /// Stall detectors.
    #[serde(default)]
    pub stalls: BTreeMap<DetectorName, StallStatus>,
    /// Phases (`phases` of the configuration) that the child is in.
    #[serde(default)]
    pub in_phases: Vec<crate::ids::PhaseName>,
    /// The child's own output and the first 16 others by name.
    pub streams: BTreeMap<StreamId, StreamStatus>,
    /// All streams together.
    #[serde(default)]
    pub stream_totals: StreamTotals,
    /// Last incidents, newest last, at most 10.
    pub incidents: Vec<IncidentStatus>,
    /// Incidents of this run.
    pub incidents_total: u64,
    /// Attempts being verified.
    pub pending: Vec<PendingStatus>,
    /// Watched milliseconds of this run.
    pub watched_ms: u64,
    /// What is odd with the monitor itself (a configuration that was not loaded, a disk that is full).
    pub warnings: Vec<String>,
}
