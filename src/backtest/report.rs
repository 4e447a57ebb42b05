//! What a backtest tells.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::detect::{DetectorKind, Severity};
use crate::ids::{ClassName, DetectorName};

/// All logs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Backtest {
    /// Version of this form.
    pub schema: u32,
    /// One per log, in the order given.
    pub logs: Vec<LogReport>,
    /// One per detector that fired.
    pub detectors: BTreeMap<DetectorName, DetectorScore>,
}

/// One log.
#[derive(Clone, Debug, Serialize)]
pub struct LogReport {
    /// Its name as given.
    pub log: String,
    /// Lines.
    pub lines: u64,
    /// Milliseconds from its first to its last line.
    pub millis: u64,
    /// Whether lines bear stamps; otherwise the time is assumed.
    pub stamped: bool,
    /// How its child ended, in words, where that is known.
    pub ended: Option<String>,
    /// Whether that was a failure.
    pub failed: Option<bool>,
    /// Incidents, in order.
    pub fired: Vec<Fired>,
}

/// An incident that would have been written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fired {
    /// Lines of its root; 0 where none is meant.
    pub lines: (u64, u64),
    /// Line of the log that had been read when it was settled.
    pub at_line: u64,
    /// Milliseconds after the log's start.
    pub at_millis: u64,
    /// Its time as the log has it.
    pub utc: Option<String>,
    /// Detector of the root.
    pub detector: DetectorName,
    /// Its kind.
    pub kind: DetectorKind,
    /// Known failure class.
    pub class: Option<ClassName>,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub message: String,
    /// Detections counted in it besides the root.
    pub counted: u64,
    /// What would have been done: `rule oom: restart_with_env`, `policy: restart`; empty: nothing.
    pub actions: Vec<String>,
    /// Why nothing would have been done.
    pub not_acted: Option<String>,
    /// What really followed.
    pub then: Then,
}

/// What really followed an incident in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The child failed soon afterwards.
    Failed,
    /// The child went on for longer than a verify window, or finished its work.
    WentOn,
    /// The log ends before anybody can tell.
    Unknown,
}

/// A detector over all logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DetectorScore {
    /// Incidents.
    pub fired: u64,
    /// Of them, those that a failure followed.
    pub failed: u64,
    /// Of them, those after which the child went on.
    pub went_on: u64,
    /// `failed` of those whose outcome is known; `None` where none is.
    pub precision: Option<f64>,
}

impl Then {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "the command failed",
            Self::WentOn => "the command went on",
            Self::Unknown => "unknown",
        }
    }
}

impl Backtest {
    /// Version of [`Backtest`].
    pub const SCHEMA: u32 = 1;

    /// Adds a log.
    pub fn add(&mut self, log: LogReport) {
        self.schema = Self::SCHEMA;
        for fired in &log.fired {
            let score = self.detectors.entry(fired.detector.clone()).or_default();
            score.fired += 1;
            match fired.then {
                Then::Failed => score.failed += 1,
                Then::WentOn => score.went_on += 1,
                Then::Unknown => {}
            }
            let known = score.failed + score.went_on;
            score.precision = (known > 0).then(|| score.failed as f64 / known as f64);
        }
        self.logs.push(log);
    }
}
