//! A Python report under construction: a chain of exceptions with their frames.

use std::ops::Range;

use super::in_app::is_app;
use crate::detect::{Language, Trace, TraceFrame};

/// How an exception follows from the one printed before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// It is the first.
    First,
    /// `The above exception was the direct cause …`.
    Cause,
    /// `During handling of the above exception …`.
    Context,
    /// It is quoted in the message of the one before it.
    Nested,
    /// It is quoted in the same message as the one before it, which is its cause.
    NestedChain,
    /// It is a member of the group before it.
    Member,
}

#[derive(Debug)]
struct Segment {
    link: Link,
    depth: usize,
    exception: Option<String>,
    /// The exception is named by the header of a remote traceback.
    remote: bool,
    message: Vec<String>,
    frames: Range<usize>,
}

/// Exceptions in the order printed.
#[derive(Debug, Default)]
pub(super) struct Report {
    frames: Vec<TraceFrame>,
    segments: Vec<Segment>,
    headless: bool,
}

impl Report {
    /// Begins the next exception.
    pub(super) fn begin(&mut self, link: Link, depth: usize) {
        let at = self.frames.len();
        self.segments.push(Segment {
            link,
            depth,
            exception: None,
            remote: false,
            message: Vec::new(),
            frames: at..at,
        });
    }

    /// Adds a frame to the exception that was begun last.
    pub(super) fn frame(&mut self, mut frame: TraceFrame) {
        frame.in_app = is_app(Language::Python, frame.file.as_deref(), frame.function.as_deref());
        if self.frames.len() <= Trace::MAX_FRAMES {
            self.frames.push(frame);
        }
        let end = self.frames.len();
        if let Some(segment) = self.segments.last_mut() {
            segment.frames.end = end;
        }
    }

    /// Names the exception that was begun last.
    pub(super) fn exception(&mut self, name: &str, message: &str) {
        if let Some(segment) = self.segments.last_mut() {
            if !segment.remote {
                segment.exception = Some(name.to_owned());
            }
            segment.message = vec![message.to_owned()];
        }
    }

    /// Names the exception that was begun last by the header of its remote traceback.
    pub(super) fn name_remote(&mut self, name: &str) {
        if let Some(segment) = self.segments.last_mut() {
            segment.exception = Some(name.to_owned());
            segment.remote = true;
        }
    }

    /// Adds a line to the message of the exception that was begun last.
    pub(super) fn message_line(&mut self, line: &str) {
        if let Some(segment) = self.segments.last_mut() {
            segment.message.push(line.to_owned());
        }
    }

    /// Adds a line to the message of the exception at `index`.
    pub(super) fn message_line_of(&mut self, index: usize, line: &str) {
        if let Some(segment) = self.segments.get_mut(index) {
            segment.message.push(line.to_owned());
        }
    }

    /// Index of the exception that was begun last.
    pub(super) fn current(&self) -> usize {
        self.segments.len().saturating_sub(1)
    }

    /// Type of the exception that was begun last.
    pub(super) fn exception_name(&self) -> Option<&str> {
        self.segments.last()?.exception.as_deref()
    }

    /// The message of the exception at `index`, line by line.
    pub(super) fn message_of(&self, index: usize) -> &[String] {
        self.segments.get(index).map_or(&[], |segment| &segment.message)
    }

    /// Whether `text` names the exception that was begun last with its message.
    pub(super) fn repeats_exception(&self, text: &str) -> bool {
        let Some(rest) = self.exception_name().and_then(|name| text.strip_prefix(name)) else { return false };
        rest.strip_prefix(": ").unwrap_or(rest) == self.last_message().first().map_or("", String::as_str)
    }

    /// The trace has lost its beginning.
    pub(super) fn lost_head(&mut self) {
        self.headless = true;
    }

    /// Whether the exception that was begun last has no frames and no message yet.
    pub(super) fn awaits_frames(&self) -> bool {
        self.segments.last().is_some_and(|segment| segment.frames.is_empty() && segment.message.is_empty())
    }

    /// Whether any exception has been named.
    pub(super) fn has_exception(&self) -> bool {
        self.segments.iter().any(|segment| segment.exception.is_some())
    }

    /// Whether nothing is printed behind the last exception's type.
    pub(super) fn message_is_empty(&self) -> bool {
        self.last_message().iter().all(|line| line.trim().is_empty())
    }

    /// Whether the last exception's message announces more lines.
    pub(super) fn message_opens_list(&self) -> bool {
        self.last_message().first().is_some_and(|line| {
            let line = line.trim_end();
            line.ends_with(':') || line.contains(" validation error")
        })
    }

    /// Whether `text` reads like the closing sentence of a message.
    pub(super) fn message_ends_in_prose(&self, text: &str) -> bool {
        let words = text.split(' ').filter(|word| word.bytes().any(|b| b.is_ascii_alphabetic())).count();
        let plain = !text.contains('=') && !text.split(' ').next().unwrap_or_default().ends_with(':');
        words >= 4 && plain && text.starts_with(|c: char| c.is_alphabetic()) && !super::python_syntax::is_log(text)
    }

    fn last_message(&self) -> &[String] {
        self.message_of(self.current())
    }

    /// The trace; `None` when neither a frame nor an exception has been read.
    pub(super) fn into_trace(self) -> Option<Trace> {
        let Self { frames, segments, headless } = self;
        if frames.is_empty() && segments.iter().all(|segment| segment.exception.is_none()) {
            return None;
        }
        let chain: Vec<usize> =
            (0..segments.len()).filter(|&i| segments.get(i).is_some_and(Segment::is_outermost)).collect();
        let reported = *chain.last()?;
        let in_app_top = search_order(&segments, &chain).into_iter().find_map(|index| {
            let range = segments.get(index)?.frames.clone();
            let start = range.start;
            frames.get(range)?.iter().rposition(|frame| frame.in_app).map(|at| start + at)
        });
        let mut cause_chain = Vec::new();
        for &index in chain.iter().rev() {
            if index != reported {
                cause_chain.extend(segments.get(index).and_then(|segment| segment.exception.clone()));
            }
            for run in nested_runs(&segments, index) {
                let names = run.iter().rev().filter_map(|&index| segments.get(index)?.exception.clone());
                cause_chain.extend(names);
            }
        }
        let cut = headless || segments.last().is_some_and(|segment| segment.message.is_empty());
        let segment = segments.into_iter().nth(reported)?;
        let message = segment.message.join("\n").trim_end().to_owned();
        Some(Trace {
            language: Language::Python,
            exception: segment.exception,
            message,
            frames,
            in_app_top,
            cause_chain,
            text: String::new(),
            cut,
        })
    }
}

impl Segment {
    fn is_nested(&self) -> bool {
        matches!(self.link, Link::Nested | Link::NestedChain)
    }

    fn is_outermost(&self) -> bool {
        self.depth == 0 && !matches!(self.link, Link::Nested | Link::NestedChain | Link::Member)
    }
}

/// The exceptions that are quoted in the message of the one at `of`: chains in the order printed, the root of each first.
fn nested_runs(segments: &[Segment], of: usize) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let inner = segments.iter().enumerate().skip(of + 1).take_while(|(_, segment)| !segment.is_outermost());
    for (index, segment) in inner.filter(|(_, segment)| segment.depth == 0 && segment.is_nested()) {
        match runs.last_mut().filter(|_| segment.link == Link::NestedChain) {
            Some(run) => run.push(index),
            None => runs.push(vec![index]),
        }
    }
    runs
}

/// In which exceptions a person looks first: the root of a chain of causes, what is quoted in it, then outwards.
fn search_order(segments: &[Segment], chain: &[usize]) -> Vec<usize> {
    let mut causes = Vec::new();
    for &index in chain.iter().rev() {
        causes.push(index);
        if segments.get(index).is_none_or(|segment| segment.link != Link::Cause) {
            break;
        }
    }
    let mut order = Vec::new();
    for &index in causes.iter().rev() {
        let inner: Vec<usize> =
            (index + 1..segments.len()).take_while(|&i| segments.get(i).is_some_and(|s| !s.is_outermost())).collect();
        let is_member = |i: &usize| segments.get(*i).is_some_and(|s| !s.is_nested());
        order.extend(inner.iter().filter(|i| is_member(i)));
        order.extend(nested_runs(segments, index).into_iter().rev().flatten());
        order.extend(inner.iter().rev().filter(|i| !is_member(i)));
        order.push(index);
    }
    order.extend((0..segments.len()).rev());
    order
}
