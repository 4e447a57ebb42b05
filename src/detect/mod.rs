//! Bytes in, detections out. Never reads a file or a clock; knows nothing of children, incidents or rules.

mod alarm;
pub mod ansi;
mod automaton;
mod class;
pub mod confine;
mod detection;
pub mod ending;
pub mod exit_code;
mod growth;
mod hit;
pub mod kernel_line;
pub mod line;
pub mod look;
mod metric;
mod pieces;
pub mod probe_watch;
pub mod resource_watch;
mod scan;
mod set;
mod stall;
pub mod stream_name;
mod trace_feed;
pub mod traceback;
pub mod xid;

pub use class::{Class, ClassAction, Role};
pub use detection::{Detection, DetectorKind, Language, Severity, Trace, TraceFrame};
pub use exit_code::signal_name;
pub use metric::MetricValue;
pub use scan::{Flush, MAX_HITS_PER_CHUNK, Position, Scanned, Scanner};
pub use set::{CompileError, DetectorSet};
pub use stall::StallClock;
