//! A Go trace that is being read.

use std::sync::LazyLock;

use regex::Regex;

use super::go_lines::{
    FileLine, bare_function, called_function, is_goroutine, is_source_line, is_stack_note, is_wrap_note,
    located_function, margin, past_margin,
};
use super::lex::{begins_record, frame, group, indent, pattern, sounds_bad};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a panic's message that are waited through for its goroutine.
pub(super) const MESSAGE_LINES: usize = 60;
/// The same where the line with the panic is a logger's.
pub(super) const LOGGED_MESSAGE_LINES: usize = 4;
/// Most records of a logger between two lines of a stack: the runtime prints in pieces.
const FOREIGN_LINES: usize = 2;
/// Most messages of wrapping errors between two stacks of one report.
const WRAPPING_LINES: usize = 3;
/// Most lines of a request that Gin prints above its stack.
const REQUEST_LINES: usize = 40;

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the message; so many lines may still come.
    Message(usize),
    /// In the stacks of goroutines.
    Stack,
    /// In a race report, up to its closing rule.
    Race,
    /// In a stack without goroutine.
    Bare,
    /// In the request that Gin prints, so many lines so far.
    Request(usize),
    /// In a stack whose places have addresses: Gin's, go-errors'.
    Addresses,
    /// In chi's stack, which marks the panicking function with arrows.
    Arrows,
}

pub(super) struct Open {
    exception: Option<String>,
    message: String,
    first_line: u64,
    place: Place,
    frames: Vec<TraceFrame>,
    /// First frame of each goroutine.
    parts: Vec<usize>,
    /// The function whose file line comes next.
    function: Option<String>,
    /// The message has ended with a signal or a second panic.
    message_done: bool,
    /// Lines that may be messages of wrapping errors.
    held_text: usize,
    pub(super) confirmed: bool,
    /// The last line was empty.
    blank: bool,
    /// Records of others since the last line of the stack.
    foreign: usize,
    /// Bytes in front of every line of the stack, learned from its first line.
    pub(super) margin: Option<usize>,
    /// Function and place are on one line, with the source around it below (tracerr).
    pub(super) located: bool,
}

impl Open {
    pub(super) fn new(exception: Option<&str>, message: String, first_line: u64, place: Place) -> Self {
        Self {
            exception: exception.map(str::to_owned),
            message,
            first_line,
            place,
            frames: Vec::new(),
            parts: vec![0],
            function: None,
            message_done: false,
            held_text: 0,
            confirmed: false,
            blank: false,
            foreign: 0,
            margin: None,
            located: false,
        }
    }

    pub(super) fn frame(&mut self, file: &FileLine<'_>, function: Option<&str>) {
        if self.frames.len() < Trace::MAX_FRAMES {
            self.frames.push(frame(Language::Go, Some(file.file), file.line, function));
        }
    }

    fn in_message(&mut self, text: &str, left: usize) -> Next {
        if is_goroutine(text) && !begins_record(text) || text == "runtime stack:" {
            self.place = Place::Stack;
            self.function = None;
            if !self.frames.is_empty() {
                self.parts.push(self.frames.len());
            }
            return Next::Take;
        }
        if text.trim_start().starts_with("-> ") {
            self.place = Place::Arrows;
            return self.in_arrows(text);
        }
        // `GOTRACEBACK=none` prints no goroutine.
        if text.starts_with("exit status ") && self.exception.as_deref() == Some("panic") {
            self.confirmed = left + 2 >= MESSAGE_LINES;
            return Next::End;
        }
        let more = text.starts_with("[signal ") || text.starts_with("\tpanic: ");
        self.message_done |= more;
        if more && left > LOGGED_MESSAGE_LINES {
            self.confirmed = true;
            self.place = Place::Message(left - 1);
            return Next::Take;
        }
        if left == 0 || text.starts_with("panic: ") {
            return Next::End;
        }
        self.message_done |= text.starts_with("PC=0x");
        // The value may be an error that prints its own stack.
        match (FileLine::parse(text), self.function.take()) {
            (Some(file), Some(function)) => self.frame(&file, Some(&function)),
            _ => self.function = bare_function(text).map(str::to_owned),
        }
        if !self.message_done {
            self.message.push('\n');
            self.message.push_str(text);
        }
        self.place = Place::Message(left - 1);
        Next::Hold
    }

    fn in_stack(&mut self, text: &str) -> Next {
        if self.margin.is_none() && !text.trim().is_empty() {
            self.margin = Some(margin(text));
        }
        let Some(text) = past_margin(text, self.margin.unwrap_or_default()) else { return Next::End };
        let between = !std::mem::take(&mut self.blank);
        if self.function.is_some()
            && let Some(file) = FileLine::parse_below_function(text)
        {
            let function = self.function.take();
            self.frame(&file, function.as_deref());
            self.foreign = 0;
            return Next::Take;
        }
        if FileLine::parse(text).is_some() {
            return Next::End;
        }
        if between && self.foreign < FOREIGN_LINES && begins_record(text) && !sounds_bad(text) {
            self.foreign += 1;
            return Next::Hold;
        }
        if self.function.is_some() {
            return Next::End;
        }
        if text.trim().is_empty() {
            self.blank = true;
            return if self.foreign == 0 { Next::Hold } else { Next::End };
        }
        if text.starts_with("goroutine ") && is_goroutine(text) || text == "runtime stack:" {
            if self.foreign > 0 {
                return Next::End;
            }
            self.parts.push(self.frames.len());
            return Next::Take;
        }
        if is_stack_note(text) {
            return Next::Take;
        }
        if indent(text) == 0
            && let Some(function) = called_function(text)
        {
            self.function = Some(function.to_owned());
            return Next::Hold;
        }
        Next::End
    }

    fn in_race(&mut self, text: &str) -> Next {
        if text.starts_with("=====") {
            return Next::TakeAndEnd;
        }
        if let Some(file) = FileLine::parse(text) {
            let function = self.function.take();
            self.frame(&file, function.as_deref());
            return Next::Take;
        }
        if text.trim().is_empty() {
            return Next::Hold;
        }
        if indent(text) > 0 {
            self.function = called_function(text).map(str::to_owned);
            return Next::Take;
        }
        if text.ends_with(':') { Next::Take } else { Next::End }
    }

    fn in_bare(&mut self, text: &str) -> Next {
        if is_wrap_note(text) {
            self.function = None;
            return if text.starts_with("Error types: ") { Next::TakeAndEnd } else { Next::Take };
        }
        let Some(text) = past_margin(text, self.margin.unwrap_or_default()) else { return Next::End };
        if let Some((file, function)) = located_function(text) {
            if self.begins_anew(function) {
                return Next::End;
            }
            self.frame(&file, Some(function));
            self.held_text = 0;
            return Next::Take;
        }
        if let Some(file) = FileLine::parse(text) {
            let Some(function) = self.function.take() else { return Next::End };
            self.frame(&file, Some(&function));
            self.held_text = 0;
            return Next::Take;
        }
        if self.located && is_source_line(text) {
            return Next::Take;
        }
        if self.located && text.trim().is_empty() {
            return Next::Hold;
        }
        if self.function.is_some() || text.trim().is_empty() || begins_record(text) {
            return Next::End;
        }
        if let Some(function) = bare_function(text) {
            if self.begins_anew(function) {
                return Next::End;
            }
            self.function = Some(function.to_owned());
            return Next::Hold;
        }
        if self.held_text >= WRAPPING_LINES || text.starts_with("Oops: ") {
            return Next::End;
        }
        self.held_text += 1;
        Next::Hold
    }

    /// Whether a stack below a message is the next report's: a wrapping error's begins further out, at another function.
    fn begins_anew(&self, function: &str) -> bool {
        self.held_text > 0 && self.frames.first().and_then(|frame| frame.function.as_deref()) == Some(function)
    }

    fn in_arrows(&mut self, text: &str) -> Next {
        let line = text.trim_start().strip_prefix("->").unwrap_or(text);
        if let Some(file) = FileLine::parse(line) {
            let Some(function) = self.function.take() else { return Next::End };
            self.frame(&file, Some(&function));
            return Next::Take;
        }
        if line.trim().is_empty() {
            return Next::Hold;
        }
        if self.function.is_some() || indent(line) == 0 {
            return Next::End;
        }
        let name = line.trim();
        self.function = Some(called_function(name).unwrap_or(name).to_owned());
        Next::Hold
    }

    fn in_addresses(&mut self, text: &str) -> Next {
        static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\t(\S.*?): .*$"));
        if let Some(file) = FileLine::parse_address(text) {
            self.place = Place::Addresses;
            self.frame(&file, None);
            return Next::Take;
        }
        if let Place::Request(lines) = self.place {
            if !text.trim().is_empty() {
                text.clone_into(&mut self.message);
            }
            self.place = Place::Request(lines + 1);
            return if lines < REQUEST_LINES { Next::Hold } else { Next::End };
        }
        let (Some(found), Some(last)) = (CALL.captures(text), self.frames.last_mut()) else { return Next::End };
        *last = frame(Language::Go, last.file.as_deref(), last.line, Some(group(&found, 1)));
        Next::Take
    }

    /// The application's frame nearest to the panic: below the innermost `panic` of the first goroutine that has one.
    fn in_app_top(&self) -> Option<usize> {
        let ends = self.parts.iter().skip(1).copied().chain([self.frames.len()]);
        let in_range =
            |start: usize, end: usize| (start..end).find(|at| self.frames.get(*at).is_some_and(|f| f.in_app));
        self.parts.iter().zip(ends).find_map(|(&start, end)| {
            let panicked = (start..end).rev().find(|at| {
                let function = self.frames.get(*at).and_then(|f| f.function.as_deref());
                matches!(function, Some("panic" | "runtime.gopanic" | "runtime.sigpanic"))
            });
            panicked.and_then(|at| in_range(at, end)).or_else(|| in_range(start, end))
        })
    }
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.as_str();
        match self.place {
            Place::Message(left) => self.in_message(text, left),
            Place::Stack => self.in_stack(text),
            Place::Race => self.in_race(text),
            Place::Bare => self.in_bare(text),
            Place::Request(_) | Place::Addresses => self.in_addresses(text),
            Place::Arrows => self.in_arrows(text),
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let confirmed = match self.place {
            Place::Bare => self.confirmed || self.frames.len() > 1,
            Place::Message(_) => self.confirmed,
            Place::Stack | Place::Race | Place::Request(_) | Place::Addresses | Place::Arrows => {
                !self.frames.is_empty()
            }
        };
        if !confirmed {
            return None;
        }
        let in_app_top = if matches!(self.place, Place::Message(_)) { None } else { self.in_app_top() };
        let mut frames = self.frames;
        let message = if matches!(self.place, Place::Message(_)) {
            // The held lines were no part of it.
            frames.clear();
            self.message.lines().next().unwrap_or_default().to_owned()
        } else {
            self.message.trim_end().to_owned()
        };
        Some(Reading {
            trace: Trace {
                language: Language::Go,
                exception: self.exception,
                message,
                frames,
                in_app_top,
                cause_chain: Vec::new(),
                text: String::new(),
                cut: false,
            },
            first_line: self.first_line,
            last_line: None,
        })
    }
}
