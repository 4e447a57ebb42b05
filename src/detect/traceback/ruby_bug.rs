//! Reports of a crash of the Ruby interpreter itself: `[BUG] Segmentation fault at 0x…`.
//!
//! Format: `rb_bug` of CRuby (error.c, vm_dump.c): titled sections, the last of which asks for a bug report.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{begins_record, frame, group, line_number, pattern};
use super::ruby_lines::parse_frame;
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a report; the list of loaded features is long.
const REPORT_LINES: usize = 5_000;

/// A report that is being read.
pub(super) struct BugReport {
    first_line: u64,
    message: String,
    frames: Vec<TraceFrame>,
    /// In the section with Ruby's own frames.
    ruby_level: bool,
    lines: usize,
    /// The second line names the interpreter; anything else may be text that quotes the first.
    confirmed: bool,
}

impl BugReport {
    /// `a.rb:3: [BUG] Segmentation fault at 0x0000000000000010`.
    pub(super) fn open(line: &TextLine) -> Option<Self> {
        static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:(\S.*?):(\d+): )?\[BUG\] (.+)$"));
        let c = HEAD.captures(line.text.trim_end())?;
        let place = c.get(1).map(|_| frame(Language::Ruby, Some(group(&c, 1)), line_number(group(&c, 2)), None));
        Some(Self {
            first_line: line.number,
            message: group(&c, 3).to_owned(),
            frames: place.into_iter().collect(),
            ruby_level: false,
            lines: 0,
            confirmed: false,
        })
    }
}

impl OpenTrace for BugReport {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        static INTERPRETER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:\w*ruby\w*) \d+\.\d"));
        self.lines += 1;
        if !self.confirmed && !text.is_empty() {
            self.confirmed = INTERPRETER.is_match(text);
            return if self.confirmed { Next::Take } else { Next::End };
        }
        if self.lines > REPORT_LINES || begins_record(text) {
            return Next::End;
        }
        if text.starts_with("-- ") {
            self.ruby_level = text.starts_with("-- Ruby level backtrace");
            return Next::Take;
        }
        if text.starts_with("For details: ") {
            return Next::TakeAndEnd;
        }
        if self.ruby_level
            && let Some(frame) = parse_frame(text)
        {
            self.frames.push(frame);
        }
        if text.is_empty() { Next::Hold } else { Next::Take }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if !self.confirmed {
            return None;
        }
        // The newest call is printed last.
        let in_app_top = self.frames.iter().rposition(|frame| frame.in_app);
        let trace = Trace {
            language: Language::Ruby,
            exception: Some("[BUG]".to_owned()),
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
