//! V8 out of memory and its other fatal errors: the last collections, `FATAL ERROR: …`, a native stack.

use std::sync::LazyLock;

use regex::Regex;

use super::js::reading;
use super::js_lines::Head;
use super::lex::{frame, group, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// A fatal error of V8 that is being read.
pub(super) struct FatalError {
    first_line: u64,
    head: Head,
    frames: Vec<TraceFrame>,
}

impl FatalError {
    /// Opens at `<--- Last few GCs --->` or `FATAL ERROR: …`.
    pub(super) fn open(line: &TextLine) -> Self {
        let mut open = Self { first_line: line.number, head: Head::default(), frames: Vec::new() };
        open.head_of(&line.text);
        open
    }

    fn head_of(&mut self, text: &str) -> bool {
        let Some(message) = text.strip_prefix("FATAL ERROR: ") else { return false };
        self.head = Head { exception: Some("FATAL ERROR".to_owned()), message: message.to_owned(), indent: 0 };
        true
    }
}

impl OpenTrace for FatalError {
    fn push(&mut self, line: &TextLine) -> Next {
        static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*\d+: (?:0x[0-9a-f]+ ?)?(.*)$"));
        static COLLECTION: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^(?:<--- .* --->|\[\d+:0x[0-9a-f]+\] .*|-+ ?(?:Native|JS) stack trace ?-+|==== JS stack trace =+|Security context: .*)$",
            )
        });
        let text = line.text.as_str();
        if text.trim().is_empty() {
            return Next::Hold;
        }
        if self.head.exception.is_none() && self.head_of(text) {
            return Next::Take;
        }
        if COLLECTION.is_match(text) {
            return Next::Take;
        }
        if let Some(found) = CALL.captures(text) {
            let call = group(&found, 1);
            let name = call.split_once(" [").map_or(call, |(name, _)| name);
            let name = name.split_once('(').map_or(name, |(name, _)| name);
            if self.frames.len() < Trace::MAX_FRAMES {
                self.frames.push(frame(Language::Javascript, None, None, Some(name)));
            }
            return Next::Take;
        }
        Next::End
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        self.head
            .exception
            .is_some()
            .then(|| reading(Language::Javascript, self.head, self.frames, None, Vec::new(), self.first_line))
    }
}
