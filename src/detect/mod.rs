//! Bytes in, detections out. Never reads a file or a clock; knows nothing of children, incidents or rules.

pub mod ansi;
mod automaton;
pub mod confine;
mod detection;
pub mod ending;
pub mod exit_code;
pub mod line;
pub mod traceback;

pub use detection::{Detection, DetectorKind, Language, Severity, Trace, TraceFrame};
