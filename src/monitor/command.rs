//! What a person or a program asks of the monitor.

use serde::{Deserialize, Serialize};

/// A control command, one file each in `.sentry/control/new/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlCommand {
    /// Stop the child and wait for `resume`.
    Pause,
    /// Go on after a pause or a hold.
    Resume,
    /// Stop the child and start it anew.
    Restart,
    /// Stop the child and end the run as aborted.
    Abort,
    /// Stop the child and end the run.
    Stop,
    /// End the monitor and leave the child running.
    Detach,
    /// Clear counters: restarts, identical failures, holds.
    Reset,
    /// Read the configuration again.
    Reload,
    /// Change a limit of this run: `max_restarts`.
    Set {
        /// Which.
        key: String,
        /// To what.
        value: String,
    },
    /// Approve an attempt that waits.
    Approve {
        /// Incident.
        id: String,
    },
    /// Reject an attempt that waits.
    Reject {
        /// Incident.
        id: String,
    },
}

/// The answer to a control command, one file each in `.sentry/control/done/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlAnswer {
    /// Whether it was done.
    pub ok: bool,
    /// What was done, or why not.
    pub message: String,
}
