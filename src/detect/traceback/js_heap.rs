//! The end of a process that V8 or Node itself brings about: out of memory, a fatal error, an abort, each with a native stack.

use std::sync::LazyLock;

use regex::Regex;

use super::js_lines::{Head, parse_call};
use super::js_report::{language_of, reading};
use super::lex::{frame, group, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// A fatal error that is being read.
pub(super) struct FatalError {
    first_line: u64,
    head: Head,
    frames: Vec<TraceFrame>,
}

impl FatalError {
    /// Whether a report begins with this line.
    pub(super) fn begins(text: &str) -> bool {
        text.starts_with("FATAL ERROR: ")
            || text.starts_with("# Fatal ")
            || matches!(text, "<--- Last few GCs --->" | "----- Native stack trace -----")
    }

    /// Opens at `<--- Last few GCs --->`, `FATAL ERROR: …`, `# Fatal error in …` or a native stack.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Self {
        let boxed = before.last().filter(|rule| line.text.starts_with('#') && rule.text == "#");
        let mut open = Self {
            first_line: boxed.map_or(line.number, |rule| rule.number),
            head: Head::default(),
            frames: Vec::new(),
        };
        open.head_of(&line.text);
        // Node says which of its own checks has failed in a box of its own.
        for line in before.iter().rev().take(4).filter(|_| line.text.starts_with("-----")) {
            if let Some(message) = line.text.strip_prefix("  #  Assertion failed: ") {
                open.head.message = format!("Assertion failed: {message}");
            } else if !line.text.trim().is_empty() && !line.text.starts_with("  #  ") {
                break;
            }
            if line.text.starts_with("  #  ") {
                open.first_line = line.number;
            }
        }
        open
    }

    fn head_of(&mut self, text: &str) -> bool {
        let message = match text.strip_prefix("FATAL ERROR: ") {
            Some(message) => message,
            None if text.starts_with("# Fatal ") => text.trim_start_matches("# "),
            None => return false,
        };
        self.head = Head { exception: Some("FATAL ERROR".to_owned()), message: message.to_owned(), indent: 0 };
        true
    }
}

impl OpenTrace for FatalError {
    fn push(&mut self, line: &TextLine) -> Next {
        static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*\d+: (?:0x[0-9a-f]+ ?)?(.*)$"));
        static COLLECTION: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^(?:<--- .* --->|\[\d+:0x[0-9a-f]+\] .*|-+ ?(?:Native|JS|JavaScript) stack trace ?-+|==== (?:JS stack trace|C stack trace|Details) =+|Security context: .*|#.*|\s+\[0x[0-9a-f]+\].*)$",
            )
        });
        let text = line.text.as_str();
        if text.trim().is_empty() {
            return Next::Hold;
        }
        if self.head.exception.is_none() && self.head_of(text) {
            return Next::Take;
        }
        if let Some(check) = text.strip_prefix("# ").filter(|_| self.head.message.starts_with("Fatal ")) {
            check.trim().clone_into(&mut self.head.message);
            return Next::Take;
        }
        if COLLECTION.is_match(text) {
            return Next::Take;
        }
        let Some(found) = CALL.captures(text) else { return Next::End };
        let call = group(&found, 1);
        let native = text.contains(": 0x") || text.ends_with(']');
        let frame = parse_call(call).filter(|_| !native).unwrap_or_else(|| {
            let name = call.split_once(" [").map_or(call, |(name, _)| name);
            let name = name.split_once('(').map_or(name, |(name, _)| name);
            frame(Language::Javascript, None, None, Some(name))
        });
        if self.frames.len() < Trace::MAX_FRAMES {
            self.frames.push(frame);
        }
        Next::Take
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        // An abort that Node was asked for has a stack and no words.
        if self.head.exception.is_none() && self.frames.is_empty() {
            return None;
        }
        let in_app_top = self.frames.iter().position(|frame| frame.in_app && frame.file.is_some());
        let language = language_of(&self.frames, in_app_top);
        Some(reading(language, self.head, self.frames, in_app_top, Vec::new(), self.first_line))
    }
}
