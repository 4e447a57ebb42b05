//! What the interpreter prints when it dies: `Fatal Python error`, and the stacks of `faulthandler`.
//!
//! Format: `fatal_error` in CPython's `Python/pylifecycle.c` and `Python/traceback.c`.

use std::sync::LazyLock;

use regex::Regex;

use super::in_app::is_app;
use super::lex::pattern;
use super::python_syntax::{self as syntax, Shape};
use super::{Next, OpenTrace, Reading};
use crate::detect::line::TextLine;
use crate::detect::{Language, Trace, TraceFrame};

/// A report of a dying interpreter.
pub(super) struct Fault {
    exception: &'static str,
    message: String,
    first_line: u64,
    frames: Vec<TraceFrame>,
    /// Frames of the thread that failed.
    current: Option<(usize, usize)>,
    in_current: bool,
    held: usize,
}

impl Fault {
    /// Opens at `Fatal Python error: Segmentation fault` or `Timeout (0:00:05)!`.
    pub(super) fn open(line: &TextLine) -> Option<Self> {
        static TIMEOUT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^Timeout \(\d+:\d\d:\d\d(?:\.\d+)?\)!$"));
        let text = line.text.trim_end();
        let (exception, message) = match text.strip_prefix("Fatal Python error: ") {
            Some(message) => ("Fatal Python error", message.to_owned()),
            None if TIMEOUT.is_match(text) => ("Timeout", text.to_owned()),
            None => return None,
        };
        Some(Self {
            exception,
            message,
            first_line: line.number,
            frames: Vec::new(),
            current: None,
            in_current: false,
            held: 0,
        })
    }

    fn take(&mut self) -> Next {
        self.held = 0;
        Next::Take
    }
}

impl OpenTrace for Fault {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        if let Shape::Frame(frame) = syntax::shape(text) {
            let mut frame = frame.into_trace_frame();
            frame.in_app = is_app(Language::Python, frame.file.as_deref(), frame.function.as_deref());
            self.frames.push(frame);
            if self.in_current {
                self.current =
                    Some((self.current.map_or(self.frames.len() - 1, |(start, _)| start), self.frames.len()));
            }
            return self.take();
        }
        if text.ends_with("(most recent call first):") {
            self.in_current = text.starts_with("Current thread") && self.current.is_none();
            return self.take();
        }
        let known = text.starts_with("Python runtime state: ")
            || text.starts_with("Extension modules: ")
            || ["  <", "  Garbage-collecting", "  ...", "  Binary file "].iter().any(|start| text.starts_with(start));
        if known {
            return self.take();
        }
        self.held += 1;
        if text.is_empty() && self.held <= 1 { Next::Hold } else { Next::End }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if self.exception == "Timeout" && self.frames.is_empty() {
            return None;
        }
        let app = |from: usize, to: usize| {
            self.frames.iter().enumerate().take(to).skip(from).find(|(_, frame)| frame.in_app).map(|(index, _)| index)
        };
        let in_app_top = self.current.and_then(|(from, to)| app(from, to)).or_else(|| app(0, self.frames.len()));
        let trace = Trace {
            language: Language::Python,
            exception: Some(self.exception.to_owned()),
            message: self.message,
            frames: self.frames,
            in_app_top,
            cause_chain: Vec::new(),
            text: String::new(),
            cut: false,
        };
        Some(Reading { trace, first_line: self.first_line, last_line: None })
    }
}
