//! Python: what the interpreter and the `traceback` module print.
//!
//! Format: `traceback.TracebackException.format` of CPython 3.8 to 3.14.

use std::collections::BTreeMap;

use super::python_boxes::Boxed;
use super::python_cells::Cells;
use super::python_elastic;
use super::python_fault::Fault;
use super::python_group;
use super::python_printed::Printed;
use super::python_pytest::Failure;
use super::python_pytest_line::CrashLine;
use super::python_report::{Link, Report};
use super::python_syntax::{self as syntax, FrameLine, Shape};
use super::{Grammar, Next, OpenTrace, Reading};
use crate::detect::Language;
use crate::detect::line::TextLine;

/// Lines of other writers that may stand between two lines of a trace.
const MAX_FOREIGN: usize = 16;
/// Lines behind an exception's line that may turn out to be its message.
const MAX_MESSAGE_HELD: usize = 32;
/// Lines that a logger's record may add to an exception's line, where records stand in front of the trace and behind it.
const MAX_NOTES: usize = 12;

#[path = "python_quotes.rs"]
mod quotes;

/// The grammar.
pub(super) struct Python;

impl Grammar for Python {
    fn language(&self) -> Language {
        Language::Python
    }

    fn starters(&self) -> &'static [&'static str] {
        &[
            r"Traceback \(most recent call last\)",
            r#"File "[^"]+", line [0-9]+"#,
            "Fatal Python error: ",
            r"Timeout \([0-9]+:[0-9][0-9]:[0-9][0-9]",
            r"(?:Cell|Input) In ?\[[0-9]+\]",
            "ImportError while loading conftest '",
            "___ .+ ___",
            r"\.pyx?:[0-9]+: (?:assert |[A-Za-z_.]*[A-Z][A-Za-z]*(?:$|: ))",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        match syntax::shape(&line.text) {
            Shape::Header { indent } => Some(Box::new(Plain::at_header(before, line.number, indent))),
            Shape::GroupHeader => Some(Box::new(Plain::at_group(line))),
            // Only the location of a syntax error stands without a header.
            Shape::Frame(frame) if frame.function.is_none() && frame.bare => {
                Some(Box::new(Plain::at_location(line.number, frame)))
            }
            _ => open_other(before, line),
        }
    }
}

/// Opens what other programs make of a traceback.
fn open_other(before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
    if let Some(boxed) = Boxed::open(line) {
        return Some(Box::new(boxed));
    }
    if let Some(cells) = Cells::open(before, line) {
        return Some(Box::new(cells));
    }
    if let Some(fault) = Fault::open(line) {
        return Some(Box::new(fault));
    }
    if let Some(printed) = Printed::open(before, line) {
        return Some(Box::new(printed));
    }
    if let Some((front, place)) = line.text.split_once("]: ")
        && let Shape::Frame(frame) = syntax::shape(place)
        && frame.function.is_none()
        && syntax::is_prompt(&format!("{front}]: "))
    {
        return Some(Box::new(Plain::at_location(line.number, frame)));
    }
    if let Some(crash) = CrashLine::open(before, line) {
        return Some(Box::new(crash));
    }
    Failure::open(line).map(|failure| Box::new(failure) as Box<dyn OpenTrace>)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between the header and the exception's line.
    Frames,
    /// Behind an exception's line.
    Message,
    /// Behind a line that says how the next exception follows from the last.
    Link(Link),
    /// Inside a report that is framed by two rules of one kind.
    Box { lines: usize, rule: char, of: usize },
    /// Behind the exception that says that a notebook's cell has failed.
    Cell { lines: usize },
}

/// A traceback as the interpreter prints it, with chains, groups and quoted tracebacks.
struct Plain {
    report: Report,
    state: State,
    first_line: u64,
    /// Columns in front of the header.
    indent: usize,
    /// It began at a `File` line.
    headless: bool,
    /// Inside the quotes of a remote traceback.
    quoted: bool,
    /// Inside the tree of an exception group.
    group: bool,
    depth: usize,
    /// Lines held since the last one that was taken.
    held: Vec<String>,
    /// Lines of the message that were taken, the first one included.
    message_lines: usize,
    /// The report of a notebook's cell; it has `report` then.
    cells: Option<Box<Cells>>,
    /// Lines in front of the trace with their numbers folded: what looks like them is no message.
    earlier: Vec<String>,
    /// The trace stands below a logger's record, whose beginning looks like this.
    record: Option<String>,
    /// A record of the same logger has ended the trace.
    ended_by_record: bool,
}

impl Plain {
    fn new(first_line: u64, indent: usize) -> Self {
        Self {
            report: Report::default(),
            state: State::Frames,
            first_line,
            indent,
            headless: false,
            quoted: false,
            group: false,
            depth: 0,
            held: Vec::new(),
            message_lines: 0,
            cells: None,
            earlier: Vec::new(),
            record: None,
            ended_by_record: false,
        }
    }

    /// Opens at the location of a syntax error.
    fn at_location(number: u64, frame: FrameLine<'_>) -> Self {
        let mut plain = Self::new(number, 0);
        plain.headless = true;
        plain.report.begin(Link::First, 0);
        plain.report.frame(frame.into_trace_frame());
        plain
    }

    fn at_header(before: &[TextLine], number: u64, indent: usize) -> Self {
        let mut plain = Self::new(number, indent);
        plain.report.begin(Link::First, 0);
        plain.earlier =
            before.iter().map(|line| syntax::skeleton(&line.text)).filter(|line| !line.is_empty()).collect();
        plain.record = before.last().filter(|line| syntax::is_log(&line.text)).map(|line| record_head(&line.text));
        if let [.., name, quote] = before
            && let Some(exception) = syntax::remote_traceback(&name.text)
            && syntax::is_quote(&quote.text)
        {
            plain.first_line = name.number;
            plain.quoted = true;
            plain.report.name_remote(exception);
        }
        plain
    }

    fn at_group(line: &TextLine) -> Self {
        let mut plain = Self::new(line.number, 0);
        plain.group = true;
        plain.report.begin(Link::First, 0);
        plain
    }

    fn take(&mut self) -> Next {
        self.held.clear();
        Next::Take
    }

    fn hold(&mut self, text: &str, most: usize) -> Next {
        if self.held.len() >= most {
            return Next::End;
        }
        self.held.push(text.to_owned());
        Next::Hold
    }

    fn read(&mut self, text: &str) -> Next {
        match self.state {
            State::Frames => self.read_frames(text),
            State::Message => self.read_message(text),
            State::Link(link) => self.read_link(text, link),
            State::Box { lines, rule, of } => self.read_box(text, lines, rule, of),
            State::Cell { lines } => self.read_cell(text, lines),
        }
    }

    fn read_frames(&mut self, text: &str) -> Next {
        let indent = syntax::indent(text);
        match syntax::shape(text) {
            Shape::Frame(frame) => {
                self.report.frame(frame.into_trace_frame());
                self.take()
            }
            Shape::Header { .. } | Shape::GroupHeader => Next::End,
            Shape::Blank => self.hold(text, MAX_FOREIGN),
            Shape::Exception { name, message }
                if indent <= self.indent && syntax::is_exception_name(name) && !syntax::is_log(text) =>
            {
                if self.headless && !syntax::is_syntax_error(name) {
                    return Next::End;
                }
                self.report.exception(name, message);
                self.state = match name.rsplit('.').next() {
                    Some("CellExecutionError" | "PapermillExecutionError") => State::Cell { lines: 0 },
                    _ => State::Message,
                };
                self.message_lines = 1;
                self.take()
            }
            // An elision in place of the frames: a quotation in prose.
            _ if indent > self.indent && self.report.awaits_frames() => Next::End,
            _ if indent > self.indent + 1 && self.held.is_empty() => self.take(),
            // Only the source line and its caret stand behind the location of a syntax error.
            _ if self.headless => Next::End,
            _ => self.hold(text, MAX_FOREIGN),
        }
    }

    fn read_message(&mut self, text: &str) -> Next {
        if let Some(link) = syntax::link(text) {
            self.state = State::Link(link);
            return self.take();
        }
        if self.quoted && syntax::is_quote(text) {
            self.quoted = false;
            self.message_lines = usize::MAX;
            return self.take();
        }
        if syntax::is_quoted_traceback(text) {
            return self.nest(syntax::indent(text));
        }
        if self.in_definition() {
            return self.read_definition(text);
        }
        match syntax::shape(text) {
            Shape::Header { indent } if self.introduces_nested() => self.nest(indent),
            Shape::Header { .. } | Shape::GroupHeader => Next::End,
            // A quoted traceback without a header, as Ray prints it.
            Shape::Frame(frame) if frame.function.is_some() && self.held.is_empty() => {
                let next = self.nest(self.indent);
                self.report.frame(frame.into_trace_frame());
                next
            }
            Shape::Blank if self.held.iter().filter(|held| held.trim().is_empty()).count() < 2 => {
                self.hold(text, MAX_MESSAGE_HELD)
            }
            Shape::Blank => Next::End,
            _ if self.quoted => self.message_line(text),
            _ if self.held.is_empty()
                && self.message_lines == 1
                && self.report.message_is_empty()
                && syntax::is_rule(text) =>
            {
                let rule = text.trim_start().chars().next().unwrap_or_default();
                self.state = State::Box { lines: 0, rule, of: self.report.current() };
                self.take()
            }
            _ if self.held.iter().all(|held| held.trim().is_empty() || syntax::is_short_rule(held))
                && syntax::is_known_continuation(text) =>
            {
                self.message_line(text)
            }
            _ if syntax::is_short_rule(text) => self.hold(text, MAX_MESSAGE_HELD),
            _ if self.continues_message(text) => self.message_line(text),
            _ if syntax::is_log(text) || syntax::begins_prompt(text) => {
                self.ended_by_record = self.record.as_deref() == Some(record_head(text).as_str());
                Next::End
            }
            // What `stack_info=True` adds.
            _ if text == "Stack (most recent call last):" => Next::End,
            _ if syntax::is_progress(text) || self.earlier.contains(&syntax::skeleton(text)) => Next::End,
            _ => self.hold(text, MAX_MESSAGE_HELD),
        }
    }

    /// Whether `text` is one more line of a message that announces that it has several.
    fn continues_message(&self, text: &str) -> bool {
        if self.message_lines == usize::MAX {
            return false;
        }
        let opened = self.report.message_opens_list();
        if syntax::indent(text) > self.indent {
            // One held line is the title of what is indented below it.
            return opened && self.held.len() <= 1 && self.held.iter().all(|held| !held.trim().is_empty());
        }
        let bullet = text.starts_with("- ") || text.starts_with("* ");
        opened
            && self.held.is_empty()
            && (bullet || (self.message_lines > 1 && self.report.message_ends_in_prose(text)))
    }

    fn message_line(&mut self, text: &str) -> Next {
        let held = std::mem::take(&mut self.held);
        for line in held.iter().map(String::as_str).chain([text]) {
            self.report.message_line(line);
            self.message_lines = self.message_lines.saturating_add(1);
        }
        Next::Take
    }

    /// Whether the lines since the exception's line introduce a traceback that belongs to its message.
    fn introduces_nested(&self) -> bool {
        self.quoted
            || self.held.iter().rev().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("-- "))
            || (self.held.is_empty() && self.message_lines > 1 && self.report.message_opens_list())
    }

    fn nest(&mut self, indent: usize) -> Next {
        self.report.begin(Link::Nested, self.depth);
        self.indent = indent;
        self.state = State::Frames;
        self.take()
    }

    fn read_link(&mut self, text: &str, link: Link) -> Next {
        if let Some(exception) = syntax::remote_traceback(text) {
            self.report.begin(link, self.depth);
            self.report.name_remote(exception);
            self.quoted = true;
            return self.take();
        }
        match syntax::shape(text) {
            Shape::Blank => Next::Take,
            Shape::Header { indent } => {
                if !(self.quoted && self.report.awaits_frames()) {
                    self.report.begin(link, self.depth);
                }
                self.indent = indent;
                self.state = State::Frames;
                self.take()
            }
            Shape::GroupHeader => {
                self.report.begin(link, self.depth);
                self.group = true;
                self.indent = 0;
                self.state = State::Frames;
                self.take()
            }
            _ if self.quoted && syntax::is_quote(text) => self.take(),
            // `ray::f() (pid=47)` in place of the header: the chain is that of the remote task.
            _ if text.starts_with("ray::") => {
                self.report.begin(Link::NestedChain, self.depth);
                self.state = State::Frames;
                self.take()
            }
            Shape::Frame(frame) => {
                self.report.begin(link, self.depth);
                self.report.frame(frame.into_trace_frame());
                self.state = State::Frames;
                self.take()
            }
            Shape::Exception { name, message } if !syntax::is_log(text) => {
                self.report.begin(link, self.depth);
                self.report.exception(name, message);
                self.message_lines = 1;
                self.state = State::Message;
                self.take()
            }
            _ => self.hold(text, MAX_FOREIGN),
        }
    }

    /// A line of an exception group's tree, with the tree's drawing taken off.
    fn read_group(&mut self, text: &str) -> Next {
        let Some(branch) = python_group::branch(text) else {
            self.group = false;
            self.depth = 0;
            if self.state == State::Frames && syntax::indent(text) == 0 && !text.trim().is_empty() {
                return Next::End;
            }
            self.state = State::Message;
            self.message_lines = usize::MAX;
            return self.read_message(text);
        };
        if branch.opens_member {
            self.depth = branch.depth;
            self.report.begin(Link::Member, branch.depth);
            self.indent = 0;
            self.state = State::Frames;
            return self.take();
        }
        if branch.closes {
            self.state = State::Message;
            self.message_lines = usize::MAX;
            return self.take();
        }
        if matches!(syntax::shape(branch.text), Shape::Header { .. } | Shape::GroupHeader)
            && self.report.awaits_frames()
        {
            self.indent = 0;
            self.state = State::Frames;
            return self.take();
        }
        match self.read(branch.text) {
            // Whatever stands inside the tree belongs to it.
            Next::Hold | Next::End => self.take(),
            next => next,
        }
    }
}

impl OpenTrace for Plain {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        match &mut self.cells {
            Some(cells) => cells.push(line),
            None if self.group => self.read_group(text),
            None => self.read(text),
        }
    }

    fn claims_held(&mut self, whole: bool) -> bool {
        let notes = self.held.iter().filter(|line| !line.trim().is_empty()).count();
        let claims = self.state == State::Message
            && notes > 0
            && self.message_lines != usize::MAX
            && (whole || (self.ended_by_record && self.held.len() <= MAX_NOTES));
        if claims {
            for line in std::mem::take(&mut self.held) {
                self.report.message_line(&line);
            }
        }
        claims
    }

    fn fields(&self) -> BTreeMap<String, String> {
        python_elastic::first_failure(self.report.message_of(0))
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let first_line = self.first_line;
        if let Some(cells) = self.cells {
            return cells.finish().map(|reading| Reading { first_line, ..reading });
        }
        if self.headless && !self.report.has_exception() {
            return None;
        }
        let trace = self.report.into_trace()?;
        Some(Reading { trace, first_line, last_line: None })
    }
}

/// The beginning of a log record, as far as records of one logger look alike.
fn record_head(text: &str) -> String {
    syntax::skeleton(text).chars().take(8).collect()
}

#[cfg(test)]
#[path = "python_tests.rs"]
mod tests;
