//! Tracebacks without the interpreter's header: stackprinter's, and those that have lost their beginning.
//!
//! Format of the first: `stackprinter.formatting` of stackprinter 0.2. Its frames are not indented and stand apart, each with
//! numbered source lines and its variables below it.

use super::python_report::{Link, Report};
use super::python_syntax::{self as syntax, Shape};
use super::{Next, OpenTrace, Reading};
use crate::detect::line::TextLine;

/// Lines of variables and source below one frame.
const MAX_BELOW: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Below a frame, which nothing has followed so far.
    Frame,
    /// Among source lines and variables.
    Below { lines: usize },
    /// Behind the exception's line.
    Message,
    /// Behind a line that links two exceptions.
    Link(Link),
}

/// A traceback of such a form.
pub(super) struct Printed {
    report: Report,
    state: State,
    first_line: u64,
    /// The first frames are missing: the rest is as the interpreter prints it.
    beheaded: bool,
    held: usize,
}

impl Printed {
    /// Opens at `File "app.py", line 3, in main` where no header is in front.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        let Shape::Frame(frame) = syntax::shape(&line.text) else { return None };
        frame.function?;
        let beheaded = match syntax::indent(&line.text) {
            0 => false,
            2 => true,
            _ => return None,
        };
        let mut above = before.iter().rev().map(|line| line.text.trim_end());
        let above = above.find(|text| !(text.is_empty() && !beheaded || syntax::indent(text) > 3 || is_source(text)));
        // A stack that was printed on purpose, a dump of all threads, one that has been given up already.
        let given_up = |text: &str| {
            (text.ends_with("):") && text.contains("(most recent call "))
                || matches!(syntax::shape(text), Shape::Frame(frame) if frame.function.is_some())
        };
        if above.is_some_and(given_up) {
            return None;
        }
        let mut report = Report::default();
        report.begin(Link::First, 0);
        report.frame(frame.into_trace_frame());
        if beheaded {
            report.lost_head();
        }
        Some(Self { report, state: State::Frame, first_line: line.number, beheaded, held: 0 })
    }

    fn take(&mut self, state: State) -> Next {
        self.state = state;
        self.held = 0;
        Next::Take
    }

    fn hold(&mut self, most: usize) -> Next {
        self.held += 1;
        if self.held > most { Next::End } else { Next::Hold }
    }

    fn read_frames(&mut self, text: &str, lines: usize) -> Next {
        let indent = syntax::indent(text);
        match syntax::shape(text) {
            Shape::Frame(frame) if (indent == 2) == self.beheaded => {
                self.report.frame(frame.into_trace_frame());
                self.take(State::Frame)
            }
            Shape::Blank if self.beheaded => Next::End,
            Shape::Blank => self.hold(2),
            Shape::Exception { name, message }
                if indent == 0 && is_error_name(name) && (self.beheaded || self.held > 0) =>
            {
                self.report.exception(name, message);
                self.take(State::Message)
            }
            _ if self.beheaded && indent < 4 => Next::End,
            // Directly below a frame stand its source lines.
            _ if !self.beheaded && self.state == State::Frame && !is_source(text) => Next::End,
            _ if (indent > 0 || is_source(text)) && lines < MAX_BELOW => self.take(State::Below { lines: lines + 1 }),
            _ => Next::End,
        }
    }

    fn read_message(&mut self, text: &str) -> Next {
        if let Some(link) = syntax::link(text) {
            return self.take(State::Link(link));
        }
        if text.trim().is_empty() { self.hold(2) } else { Next::End }
    }

    fn read_link(&mut self, text: &str, link: Link) -> Next {
        match syntax::shape(text) {
            Shape::Blank => Next::Take,
            Shape::Header { .. } if self.beheaded => {
                self.report.begin(link, 0);
                self.take(State::Below { lines: 0 })
            }
            Shape::Frame(frame) => {
                if !self.beheaded {
                    self.report.begin(link, 0);
                }
                self.report.frame(frame.into_trace_frame());
                self.take(State::Frame)
            }
            _ => Next::End,
        }
    }
}

impl OpenTrace for Printed {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        match self.state {
            State::Frame => self.read_frames(text, 0),
            State::Below { lines } => self.read_frames(text, lines),
            State::Message => self.read_message(text),
            State::Link(link) => self.read_link(text, link),
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if !self.report.has_exception() {
            return None;
        }
        let trace = self.report.into_trace()?;
        Some(Reading { trace, first_line: self.first_line, last_line: None })
    }
}

/// `    3    def go():`, `--> 4        load(1)`, `    ......`.
fn is_source(text: &str) -> bool {
    let inner = text.strip_prefix("-->").unwrap_or(text);
    let rest = inner.trim_start();
    inner.len() > rest.len() && rest.starts_with(|c: char| c.is_ascii_digit() || c == '.')
}

/// Without a header only names that speak for themselves are believed.
fn is_error_name(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    ["Error", "Exception", "Exit", "Interrupt", "Timeout", "Group"].iter().any(|end| last.ends_with(end))
        || last == "StopIteration"
}
