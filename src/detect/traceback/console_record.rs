//! A record with a stack in one of its fields, which is printed once more below it: zap's console encoder.
//!
//! ```text
//! 2026-11-21T10:00:00.000Z\tERROR\tjob failed\t{"error": "boom", "errorVerbose": "boom\\nmain.run\\n\\t/srv/main.go:9"}
//! main.run
//! \t/srv/main.go:9
//! ```

use super::go_lines::{FileLine, bare_function};
use super::lex::frame;
use super::{Next, OpenTrace, Reading};
use crate::detect::line::TextLine;
use crate::detect::{Language, Trace};

/// A record whose stack may follow.
pub(super) struct Record {
    trace: Trace,
    line: u64,
    /// The function whose place comes next.
    function: Option<String>,
}

impl Record {
    /// Goes on behind the trace of a record's field. Only Go's loggers print a stack of their own.
    pub(super) fn open(trace: &Trace, text: &str, line: u64) -> Option<Self> {
        let console = trace.language == Language::Go && !text.starts_with('{') && text.trim_end().ends_with('}');
        console.then(|| Self { trace: trace.clone(), line, function: None })
    }
}

impl OpenTrace for Record {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        if let Some(function) = self.function.take() {
            let Some(place) = FileLine::parse(text) else { return Next::End };
            if self.trace.frames.len() < Trace::MAX_FRAMES {
                self.trace.frames.push(frame(Language::Go, Some(place.file), place.line, Some(&function)));
            }
            return Next::Take;
        }
        self.function = bare_function(text).map(str::to_owned);
        if self.function.is_some() { Next::Hold } else { Next::End }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        Some(Reading { trace: self.trace, first_line: self.line, last_line: None })
    }
}
