//! Traces inside one JSON log line.

use super::driver::Found;
use crate::detect::Trace;

/// Lines that may carry a trace in a field.
pub(super) const STARTERS: &[&str] = &[
    r#""[A-Za-z_.@]*(?:stack|stacktrace|stack_trace|stackTrace|exc_info|exc_text|exception|traceback|backtrace|errorVerbose|StackTrace)"\s*:\s*["\[{]"#,
];

/// Reads the trace in a line that is a JSON object, or ends with one.
pub(super) fn read(_text: &str, _read_text: impl Fn(&str) -> Vec<Found>) -> Option<Trace> {
    None
}
