//! Bytes in, detections out. Never reads a file or a clock; knows nothing of children, incidents or rules.

pub mod ansi;
mod automaton;
mod class;
pub mod confine;
mod detection;
pub mod ending;
pub mod exit_code;
mod hit;
pub mod line;
mod metric;
mod pieces;
mod scan;
mod set;
mod stall;
pub mod stream_name;
mod trace_feed;
pub mod traceback;

pub use class::{Class, ClassAction, Role};
pub use detection::{Detection, DetectorKind, Language, Severity, Trace, TraceFrame};
pub use exit_code::signal_name;
pub use metric::MetricValue;
pub use scan::{Flush, MAX_HITS_PER_CHUNK, Position, Scanned, Scanner};
pub use set::{CompileError, DetectorSet};
pub use stall::StallClock;
