//! What a stream says besides detections: values of metrics, begins and ends of phases.

use std::sync::Arc;

use crate::ids::{DetectorName, PhaseName};

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Byte offset in the stream: of a value's match, of a mark's line.
    pub at: u64,
    /// Line, from 1.
    pub line: u64,
    /// What.
    pub what: SignalKind,
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum SignalKind {
    /// A value of a metric.
    Value {
        /// Whose.
        metric: Arc<DetectorName>,
        /// May be infinite or not a number.
        value: f64,
    },
    /// A phase begins.
    Begin {
        /// Which.
        phase: Arc<PhaseName>,
    },
    /// A phase ends.
    End {
        /// Which.
        phase: Arc<PhaseName>,
    },
}
