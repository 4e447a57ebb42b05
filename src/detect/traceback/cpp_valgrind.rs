//! Errors that valgrind's tools print while the program runs on.
//!
//! Format: `VG_(pp_ExeContext)` of valgrind 3.14 to 3.24: `==pid==` in front of every line, an empty one behind each error.

use std::sync::LazyLock;

use regex::Regex;

use super::cpp::trace;
use super::in_app::is_app;
use super::lex::pattern;
use super::{Next, OpenTrace, Reading};
use crate::detect::line::TextLine;
use crate::detect::{Language, TraceFrame};

/// Lines that the program itself may print between two lines of an error.
const MAX_FOREIGN: usize = 16;

/// One error.
pub(super) struct Valgrind {
    pid: String,
    message: String,
    first_line: u64,
    frames: Vec<TraceFrame>,
    /// Frames of the first stack.
    first_stack: Option<usize>,
    held: usize,
}

impl Valgrind {
    /// Opens at the first frame; what is wrong stands above it.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        let (pid, text) = parts(&line.text)?;
        let first = frame(text)?;
        let head = before.iter().rev().map_while(|before| {
            let (other, text) = parts(&before.text)?;
            (other == pid && !text.trim().is_empty()).then_some((before.number, text.trim()))
        });
        let (first_line, message) = head.last()?;
        Some(Self {
            pid: pid.to_owned(),
            message: message.to_owned(),
            first_line,
            frames: vec![first],
            first_stack: None,
            held: 0,
        })
    }
}

impl OpenTrace for Valgrind {
    fn push(&mut self, line: &TextLine) -> Next {
        let Some((_, text)) = parts(&line.text).filter(|(pid, _)| *pid == self.pid) else {
            self.held += 1;
            return if self.held > MAX_FOREIGN { Next::End } else { Next::Hold };
        };
        if text.trim().is_empty() {
            return Next::End;
        }
        self.held = 0;
        match frame(text) {
            Some(frame) => self.frames.push(frame),
            None => {
                self.first_stack.get_or_insert(self.frames.len());
            }
        }
        Next::Take
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let first = self.first_stack.unwrap_or(self.frames.len());
        let app = |frame: &TraceFrame| frame.in_app && frame.file.is_some();
        let in_app_top = self.frames.iter().take(first).position(app).or_else(|| self.frames.iter().position(app));
        let mut trace = trace(None, self.message, self.frames);
        trace.in_app_top = in_app_top;
        Some(Reading { trace, first_line: self.first_line, last_line: None })
    }
}

/// Process number and text of `==4711== text`.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (pid, rest) = text.strip_prefix("==")?.split_once("==")?;
    (!pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit())).then_some((pid, rest))
}

/// `    at 0x10915B: main (t.c:4)`, `    by 0x4A: f (in /usr/lib/libx.so)`.
fn frame(text: &str) -> Option<TraceFrame> {
    static FRAME: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^    (?:at|by) 0x[0-9A-F]+: (.+?)(?: \((?:in .+|([^()]+):(\d+))\))?$"));
    let c = FRAME.captures(text)?;
    let function = c.get(1).map(|m| m.as_str()).filter(|name| *name != "???");
    let file = c.get(2).map(|m| m.as_str());
    Some(TraceFrame {
        file: file.map(str::to_owned),
        line: c.get(3).and_then(|m| m.as_str().parse().ok()),
        function: function.map(str::to_owned),
        in_app: file.is_some_and(|file| !file.starts_with("vg_")) && is_app(Language::Cpp, file, function),
    })
}
