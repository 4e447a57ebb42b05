//! A JVM trace that is being read.

use super::jvm::{Head, may_own_frames};
use super::jvm_lines::{Link, elision, is_note, language_of, parse_frame, parse_link, without_tool};
use super::lex::{begins_record, indent};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a message that are waited through for a frame.
const MESSAGE_LINES: usize = 60;
/// Most lines of standard output between two frames.
const FOREIGN_LINES: usize = 2;

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the message of the head, so many lines so far.
    HeadMessage(usize),
    /// Between frames, after so many blank lines.
    Frames(usize),
    /// In the message of a cause, so many lines so far.
    LinkMessage(usize),
    /// After a `Caused by:` whose type is on the next line (Gradle).
    LinkType,
    /// Behind a report of one line.
    Done,
}

pub(super) struct Open {
    head: Head,
    first_line: u64,
    place: Place,
    message_more: Vec<String>,
    frames: Vec<TraceFrame>,
    /// First frame of each link of the main chain, in the order printed. The head's is 0.
    parts: Vec<usize>,
    links: Vec<Head>,
    wrapped: bool,
    /// Indentation of the suppressed exception that the reader is in.
    suppressed: Option<usize>,
    /// Lines of others since the last frame.
    foreign: usize,
    /// JUnit's console launcher prints the frames without `at`.
    pub(super) launcher: bool,
    /// Before the reported exception: in what Jenkins prints behind `Also:`.
    pub(super) also: bool,
    /// For each frame, whether it is a suppressed exception's, where nobody looks first.
    aside: Vec<bool>,
}

impl Open {
    pub(super) fn new(head: Head, first_line: u64) -> Self {
        Self {
            head,
            first_line,
            place: Place::HeadMessage(0),
            message_more: Vec::new(),
            frames: Vec::new(),
            parts: vec![0],
            links: Vec::new(),
            wrapped: false,
            suppressed: None,
            foreign: 0,
            launcher: false,
            also: false,
            aside: Vec::new(),
        }
    }

    /// A report of one line.
    pub(super) fn without_frames(head: Head, line: u64) -> Self {
        Self { place: Place::Done, ..Self::new(head, line) }
    }

    pub(super) fn frame(&mut self, parsed: Option<TraceFrame>) {
        self.place = Place::Frames(0);
        self.foreign = 0;
        if let Some(parsed) = parsed
            && self.frames.len() < Trace::MAX_FRAMES
        {
            self.frames.push(parsed);
            self.aside.push(self.suppressed.is_some() || self.also);
        }
    }

    fn link(&mut self, link: &Link, depth: usize, rest: &str) {
        if matches!(link, Link::Suppressed) {
            self.suppressed.get_or_insert(depth);
            // kotlinx.coroutines names the coroutine in an exception that has no stack.
            let frameless = rest.contains("DiagnosticCoroutineContextException");
            self.place = if frameless { Place::Frames(0) } else { Place::LinkMessage(0) };
            return;
        }
        if self.suppressed.is_some_and(|outer| depth >= outer) {
            self.place = Place::LinkMessage(0);
            return;
        }
        self.suppressed = None;
        self.wrapped |= matches!(link, Link::Wrapper);
        self.parts.push(self.frames.len());
        if rest.is_empty() {
            self.place = Place::LinkType;
            return;
        }
        if rest.starts_with("[CIRCULAR REFERENCE") {
            // An exception that the chain has named already; it has no frames.
            self.place = Place::Frames(0);
            return;
        }
        self.place = Place::LinkMessage(0);
        let (exception, message) = rest.split_once(": ").unwrap_or((rest.trim_end_matches(':'), ""));
        self.links.push(Head { exception: Some(exception.trim().to_owned()), message: message.to_owned() });
    }

    /// The frame to look at first: in the root cause, else in the link above it, and so on.
    fn in_app_top(&self) -> Option<usize> {
        let mut parts = self.parts.clone();
        if self.wrapped {
            parts.reverse();
        }
        let with_line = |at: &usize| self.frames.get(*at).is_some_and(|f| f.line.is_some());
        let in_part = |start: usize| {
            let end = self.parts.iter().copied().find(|other| *other > start).unwrap_or(self.frames.len());
            let app =
                |at: &usize| self.frames.get(*at).is_some_and(|f| f.in_app) && self.aside.get(*at) == Some(&false);
            // Generated classes have no line.
            (start..end).filter(app).find(with_line).or_else(|| (start..end).find(app))
        };
        parts
            .iter()
            .rev()
            .filter_map(|start| in_part(*start))
            .find(with_line)
            .or_else(|| self.frames.iter().position(|f| f.in_app))
    }
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        if self.place == Place::Done {
            return Next::End;
        }
        let text = without_tool(&line.text);
        let bare = if self.launcher { parse_frame(&format!("at {}", text.trim_start())) } else { None };
        if let Some(parsed) = parse_frame(text).or(bare) {
            self.frame(parsed);
            return Next::Take;
        }
        if let Some((link, rest)) = parse_link(text) {
            self.link(&link, indent(text), rest);
            return Next::Take;
        }
        match self.place {
            Place::HeadMessage(lines) => {
                if lines >= MESSAGE_LINES || begins_record(text) || Head::of_thread(text).is_some() {
                    return Next::End;
                }
                self.place = Place::HeadMessage(lines + 1);
                self.message_more.push(text.to_owned());
                Next::Hold
            }
            Place::Done => Next::End,
            Place::LinkType => {
                let Some(head) = Head::bare(text) else { return Next::End };
                self.links.push(head);
                self.place = Place::LinkMessage(0);
                Next::Take
            }
            Place::LinkMessage(lines) => {
                if elision(text) {
                    self.place = Place::Frames(0);
                    return Next::Take;
                }
                if lines >= MESSAGE_LINES || begins_record(text) || Head::of_thread(text).is_some() {
                    return Next::End;
                }
                self.place = Place::LinkMessage(lines + 1);
                Next::Hold
            }
            Place::Frames(_) if self.also => {
                if text.starts_with("Also:") {
                    return Next::Take;
                }
                let Some(head) = Head::bare(text).filter(|_| indent(text) == 0) else { return Next::End };
                self.head = head;
                self.also = false;
                self.parts = vec![self.frames.len()];
                self.place = Place::HeadMessage(0);
                Next::Take
            }
            Place::Frames(blank) => {
                if elision(text) || is_note(text) {
                    self.place = Place::Frames(0);
                    Next::Take
                } else if text.trim().is_empty() && blank < 2 {
                    self.place = Place::Frames(blank + 1);
                    Next::Hold
                } else if blank == 0 && self.foreign < FOREIGN_LINES && !may_own_frames(text) {
                    self.foreign += 1;
                    Next::Hold
                } else {
                    Next::End
                }
            }
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let in_app_top = self.in_app_top();
        let language = in_app_top
            .and_then(|at| self.frames.get(at))
            .or_else(|| self.frames.iter().find(|f| f.in_app))
            .map_or(Language::Java, |f| language_of(f.file.as_deref()));
        let mut message = self.head.message.clone();
        if !self.frames.is_empty() {
            for more in &self.message_more {
                message.push('\n');
                message.push_str(more);
            }
        }
        let mut exception = self.head.exception.clone();
        let mut cause_chain: Vec<String> = self.links.iter().filter_map(|link| link.exception.clone()).collect();
        if self.wrapped {
            // Printed root cause first: the last one ended the attempt.
            if let Some(outermost) = self.links.last() {
                message.clone_from(&outermost.message);
            }
            cause_chain.insert(0, exception.unwrap_or_default());
            exception = cause_chain.pop();
            cause_chain.reverse();
        }
        if (self.launcher || exception.is_none()) && self.frames.is_empty() {
            return None;
        }
        Some(Reading {
            trace: Trace {
                language,
                exception,
                message: message.trim_end().to_owned(),
                frames: self.frames,
                in_app_top,
                cause_chain,
                text: String::new(),
                cut: false,
            },
            first_line: self.first_line,
            last_line: None,
        })
    }
}
