//! Tracebacks that Rich draws in a box.
//!
//! Format: `rich.traceback.Traceback` of Rich 10 to 14, on a terminal, in a pipe and behind `RichHandler`.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::pattern;
use super::python_report::{Link, Report};
use super::python_syntax::{self as syntax, Shape};
use super::{Next, OpenTrace, Reading};
use crate::detect::TraceFrame;
use crate::detect::line::TextLine;

/// Lines of other writers that may stand between two lines of the box.
const MAX_FOREIGN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Inside the box.
    Box,
    /// Below the box: the exception's line is next.
    Below,
    /// Behind the exception's line.
    Message,
    /// Behind a line that links two exceptions.
    Link(Link),
}

/// A boxed traceback.
pub(super) struct Boxed {
    report: Report,
    state: State,
    first_line: u64,
    /// Columns in front of the box.
    column: usize,
    /// Columns of the box.
    width: usize,
    /// Characters of the newest line of the message.
    message_width: usize,
    /// Inside the box of a group's member.
    member: bool,
    /// Start of a path that goes on in the next line.
    path: String,
    held: usize,
}

impl Boxed {
    /// Opens at the top of a box.
    pub(super) fn open(line: &TextLine) -> Option<Self> {
        let column = top_column(&line.text)?;
        let mut report = Report::default();
        report.begin(Link::First, 0);
        Some(Self {
            report,
            state: State::Box,
            first_line: line.number,
            column,
            width: line.text.trim().chars().count(),
            message_width: 0,
            member: false,
            path: String::new(),
            held: 0,
        })
    }

    /// Whether the message's newest line had no room for the first word of `text`.
    fn is_wrapped(&self, text: &str) -> bool {
        let word = text.split_whitespace().next().map_or(0, |word| word.chars().count());
        self.column == 0
            && syntax::indent(text) == 0
            && self.message_width <= self.width
            && self.message_width + 1 + word > self.width
            && !syntax::is_log(text)
    }

    fn take(&mut self) -> Next {
        self.held = 0;
        Next::Take
    }

    fn hold(&mut self) -> Next {
        self.held += 1;
        if self.held > MAX_FOREIGN { Next::End } else { Next::Hold }
    }

    fn read_box(&mut self, text: &str) -> Next {
        if is_bottom(text) {
            self.state = if self.member { State::Message } else { State::Below };
            self.member = false;
            return self.take();
        }
        let Some(inner) = inside(text) else { return self.hold() };
        if self.member
            && self.report.exception_name().is_none()
            && let Shape::Exception { name, message } = syntax::shape(inner)
            && syntax::is_exception_name(name)
        {
            self.report.exception(name, message);
            return self.take();
        }
        if inner.starts_with(['│', '|', '╭', '╰', '❱', '>']) {
            // Locals and the line that failed.
            self.path.clear();
            return self.take();
        }
        let whole = format!("{}{inner}", self.path);
        if let Some(frame) = frame(&whole) {
            self.path.clear();
            self.report.frame(frame);
        } else if !inner.contains(' ') && (self.path.is_empty() == inner.starts_with(['/', '~', '<'])) {
            self.path = whole;
        } else {
            self.path.clear();
        }
        self.take()
    }

    fn read_message(&mut self, text: &str) -> Next {
        if let Some(link) = syntax::link(text) {
            self.state = State::Link(link);
            return self.take();
        }
        if text.trim().is_empty() {
            return self.hold();
        }
        if is_member_top(text) {
            self.report.begin(Link::Member, 1);
            self.state = State::Box;
            self.member = true;
            return self.take();
        }
        if self.held == 0 && (text.trim_start().starts_with("[NOTE] ") || self.is_wrapped(text)) {
            self.message_width = text.chars().count();
            self.report.message_line(text.trim());
            return self.take();
        }
        // Behind a handler the message is wrapped at the box's own column.
        if self.held == 0 && self.column > 0 && syntax::indent(text) >= self.column {
            self.report.message_line(text.trim());
            return self.take();
        }
        // A long message is wrapped by the console; only a chained exception below tells that it was one.
        if self.held < 4 && !syntax::is_log(text) { self.hold() } else { Next::End }
    }
}

impl OpenTrace for Boxed {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        match self.state {
            State::Box => self.read_box(text),
            State::Below => match syntax::shape(text) {
                Shape::Exception { name, message } => {
                    self.report.exception(name, message);
                    self.state = State::Message;
                    self.message_width = text.chars().count();
                    self.take()
                }
                // The source of code that cannot be compiled stands in a box of its own.
                _ if is_drawn(text) => self.take(),
                _ => self.hold(),
            },
            State::Message => self.read_message(text),
            State::Link(link) => {
                if text.trim().is_empty() {
                    return Next::Take;
                }
                if top_column(text).is_none() {
                    return self.hold();
                }
                self.report.begin(link, 0);
                self.state = State::Box;
                self.take()
            }
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let trace = self.report.into_trace()?;
        Some(Reading { trace, first_line: self.first_line, last_line: None })
    }
}

/// Columns in front of `╭──── Traceback (most recent call last) ────╮`.
fn top_column(text: &str) -> Option<usize> {
    let trimmed = text.trim_start();
    let drawn = trimmed.starts_with(['╭', '┌', '+']) && trimmed.trim_end().ends_with(['╮', '┐', '+']);
    let titled = trimmed.contains("─ Traceback (most recent call last) ─")
        || trimmed.contains("- Traceback (most recent call last) -");
    (drawn && titled).then_some(text.len() - trimmed.len())
}

/// `╭──── Sub-exception #1 ────╮`.
fn is_member_top(text: &str) -> bool {
    let trimmed = text.trim();
    trimmed.starts_with(['╭', '┌', '+']) && trimmed.contains(" Sub-exception #")
}

/// Any line of a box.
fn is_drawn(text: &str) -> bool {
    let trimmed = text.trim();
    trimmed.starts_with(['╭', '│', '╰', '┌', '└', '|', '+']) && trimmed.ends_with(['╮', '│', '╯', '┐', '┘', '|', '+'])
}

fn is_bottom(text: &str) -> bool {
    let trimmed = text.trim();
    let drawn = |open: char, close: char, fill: char| {
        let inner = trimmed.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        inner.is_some_and(|inner| inner.len() > 20 && inner.chars().all(|c| c == fill))
    };
    drawn('╰', '╯', '─') || drawn('└', '┘', '─') || drawn('+', '+', '-')
}

/// The text between the box's sides.
fn inside(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix(['│', '|'])?;
    Some(inner.strip_suffix(['│', '|']).unwrap_or(inner).trim())
}

/// `/srv/app/jobs.py:12 in main`, or `in <module>:3` where the source is not known.
fn frame(text: &str) -> Option<TraceFrame> {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^\s\d].*?):(\d+)(?: in (\S.*))?$"));
    static BARE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^in (\S+):(\d+)$"));
    if let Some(c) = BARE.captures(text) {
        let line = c.get(2).and_then(|m| m.as_str().parse().ok());
        return Some(TraceFrame { file: None, line, function: c.get(1).map(|m| m.as_str().to_owned()), in_app: false });
    }
    let c = PLACE.captures(text)?;
    let file = c.get(1)?.as_str();
    let is_path = file.contains(['/', '\\']) || file.ends_with(".py") || file.starts_with('<');
    is_path.then(|| TraceFrame {
        file: Some(file.to_owned()),
        line: c.get(2).and_then(|m| m.as_str().parse().ok()),
        function: c.get(3).map(|m| m.as_str().to_owned()),
        in_app: false,
    })
}
