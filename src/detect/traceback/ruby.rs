//! Stack traces of Ruby: uncaught, with the newest call first or last, logged, of Rails, Rake and minitest.
//!
//! RSpec and reports of the interpreter's own crash have readers of their own (`ruby_rspec.rs`, `ruby_bug.rs`). Lines are read
//! in `ruby_lines.rs`.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{frame, group, line_number, pattern, sounds_bad};
use super::ruby_bug::BugReport;
use super::ruby_lines::{
    Head, is_elision, is_hint, is_numbered, is_quoted_code, is_record, logged_head, parse_frame, parse_head,
    parse_suggestion, parse_syntax, without_record,
};
use super::ruby_rspec::Failure;
use super::{Grammar, Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a message that are waited through for a frame.
const MESSAGE_LINES: usize = 40;

/// The grammar of Ruby's stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ruby;

impl Grammar for Ruby {
    fn language(&self) -> Language {
        Language::Ruby
    }

    fn starters(&self) -> &'static [&'static str] {
        // No gap between two literals (`a.*b`): each would double the states of the automaton.
        &[
            r":[0-9]+:in [`']",
            r"\.(?:rb|erb|rake|ru):[0-9]+: syntax error",
            r"\.(?:rb|erb|haml|slim|jbuilder):[0-9]+(?:\]:)?$",
            r": \[BUG\] ",
            r"^\s*Failure/Error: ",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = line.text.trim_end();
        if let Some(report) = BugReport::open(line) {
            return Some(Box::new(report));
        }
        if let Some(failure) = Failure::open(before, line) {
            return Some(Box::new(failure));
        }
        if is_numbered(text) {
            // Python asks for the title itself; this line tells the two apart.
            let title = before.last().filter(|above| above.text.trim_end() == "Traceback (most recent call last):")?;
            let mut open = Open::new(title.number, Vec::new(), Layout::NewestLast);
            open.newest_last(text);
            return Some(Box::new(open));
        }
        if let Some((place, head)) = parse_head(text).or_else(|| parse_syntax(text)) {
            let syntax = head.exception.as_deref() == Some("SyntaxError");
            let mut open = Open::new(line.number, vec![head], Layout::NewestFirst);
            open.syntax = syntax && place.function.is_none();
            if open.syntax {
                open.suggestion(before);
            }
            open.frames.push(place);
            return Some(Box::new(open));
        }
        if let Some(open) = Open::of_assertion(before, line) {
            return Some(Box::new(open));
        }
        let first = parse_frame(text)?;
        if text.trim_start().starts_with("from ") || text.trim_start().starts_with('#') {
            // The rest of a trace whose head is not here.
            return None;
        }
        let mut open = Open::of_frame(before)?;
        open.frames.push(first);
        open.place = Place::Frames;
        Some(Box::new(open))
    }
}

/// How the parts of a trace are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// `head`, `from …`; the causes follow in the same way.
    NewestFirst,
    /// `Traceback (most recent call last):`, `2: from …`, `head`; the causes stand above.
    NewestLast,
    /// The head is a logger's or a framework's; the frames are bare places.
    Logged,
    /// minitest's failure of an assertion, up to the next blank line.
    Assertion,
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a message, so many lines so far.
    Message(usize),
    Frames,
    /// After a blank line behind the frames.
    Blank,
    /// The type of a cause is on the next line.
    CauseType,
}

/// An exception that may be the cause of the one above, or the next report.
struct Pending {
    head: Head,
    frames: Vec<TraceFrame>,
}

struct Open {
    first_line: u64,
    layout: Layout,
    place: Place,
    heads: Vec<Head>,
    /// Index of each exception's first frame, as `heads`.
    parts: Vec<usize>,
    message_more: Vec<String>,
    /// How many lines of `message_more` are known to be the message's.
    told: usize,
    frames: Vec<TraceFrame>,
    pending: Option<Pending>,
    /// A syntax error, followed by quoted code.
    syntax: bool,
    /// The last line was the beginning of a frame.
    cut: bool,
}

impl Open {
    fn new(first_line: u64, heads: Vec<Head>, layout: Layout) -> Self {
        let parts = heads.iter().map(|_| 0).collect();
        Self {
            first_line,
            layout,
            place: Place::Message(0),
            heads,
            parts,
            message_more: Vec::new(),
            told: 0,
            frames: Vec::new(),
            pending: None,
            syntax: false,
            cut: false,
        }
    }

    /// Claims what Ruby prints above a syntax error: what seems to be missing, and the lines that it means.
    fn suggestion(&mut self, before: &[TextLine]) {
        let above = before.iter().rev().take_while(|line| !is_record(&line.text));
        let found = above.filter_map(|line| Some((line.number, parse_suggestion(&line.text)?))).next();
        if let Some((first_line, place)) = found {
            self.first_line = first_line;
            self.frames.extend(place);
        }
    }

    /// minitest: `CartTest#test_total [test/cart_test.rb:4]:`, under `  1) Failure:`.
    fn of_assertion(before: &[TextLine], line: &TextLine) -> Option<Self> {
        static TITLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\S+#\S.*) \[(.+):(\d+)\]:$"));
        let c = TITLE.captures(line.text.trim_end())?;
        let above = before.last().filter(|above| above.text.trim_end().ends_with("Failure:"))?;
        let mut open = Self::new(above.number, vec![Head::default()], Layout::Assertion);
        open.frames.push(frame(Language::Ruby, Some(group(&c, 2)), line_number(group(&c, 3)), None));
        Some(open)
    }

    /// A logged trace that was noticed at its first frame.
    fn of_frame(before: &[TextLine]) -> Option<Self> {
        let mut last_text = None;
        for (index, line) in before.iter().enumerate().rev() {
            let text = line.text.as_str();
            if parse_frame(text).is_some() || text.starts_with("Traceback (most recent") {
                break;
            }
            if text.trim().is_empty() || is_quoted_code(text) || is_hint(text) {
                continue;
            }
            last_text.get_or_insert(index);
            if let Some(head) = logged_head(text) {
                let mut open = Self::new(line.number, vec![head], Layout::Logged);
                let more = before.iter().skip(index + 1).map(|line| line.text.as_str());
                open.message_more = more.filter(|text| !is_quoted_code(text)).map(str::to_owned).collect();
                open.told = open.message_more.len();
                open.first_line = title_above(before, index).unwrap_or(line.number);
                open.rails_causes(before, index);
                return Some(open);
            }
            if gives_up(text) {
                let message: Vec<&str> = before.iter().skip(index + 1).map(|line| line.text.as_str()).collect();
                return Some(Self::new(line.number, vec![Head::new("", &message.join("\n"))], Layout::Logged));
            }
            if is_record(text) {
                break;
            }
        }
        // A record that says that something failed, with the places below it.
        let line = before.get(last_text?)?;
        let text = line.text.as_str();
        let bad = sounds_bad(text) || text.starts_with("E, [") || text.starts_with("F, [");
        let lower = text.to_ascii_lowercase();
        // A record of structured data has its own stack, if any.
        let prose = !lower.contains("deprecat") && !text.ends_with('}');
        let adjacent = last_text == before.len().checked_sub(1) && !lower.contains("warn");
        let told = (is_record(text) || adjacent) && bad && prose;
        told.then(|| Self::new(line.number, vec![Head::new("", without_record(text))], Layout::Logged))
    }

    /// Rails lists an exception with its causes above the traces of each.
    fn rails_causes(&mut self, before: &[TextLine], index: usize) {
        if !before.get(index).is_some_and(|line| line.text.trim_start().starts_with("Information for: ")) {
            return;
        }
        let name = self.heads.first().and_then(|head| head.exception.clone()).unwrap_or_default();
        let above = before.iter().take(index).rev().take_while(|line| !is_record(&line.text));
        let first = above.filter(|line| line.text.starts_with(&format!("{name} ("))).last();
        if let Some(first) = first {
            self.first_line = first.number;
        }
    }

    /// Takes the head of a cause whose frames follow.
    fn link(&mut self, head: Head) {
        self.heads.push(head);
        self.parts.push(self.frames.len());
    }

    /// Whether a frame is the lowest of the first exception's: causes come from the same thread.
    fn is_bottom(&self, frame: &TraceFrame) -> bool {
        let end = self.parts.get(1).copied().unwrap_or(self.frames.len());
        let bottom = end.checked_sub(1).and_then(|at| self.frames.get(at));
        bottom.is_some_and(|bottom| bottom.file == frame.file && plain(bottom) == plain(frame))
    }

    fn pend(&mut self, text: &str) -> Next {
        if let Some((place, head)) = parse_head(text) {
            // A second head ends the wait for the first one's frames: the two are reports of their own.
            if self.pending.is_some() || self.heads.contains(&head) {
                return Next::End;
            }
            let bottom = self.is_bottom(&place);
            self.pending = Some(Pending { head, frames: vec![place] });
            return if bottom { self.commit() } else { Next::Hold };
        }
        let Some(pending) = self.pending.as_mut() else { return Next::End };
        let from = text.trim_start().starts_with("from ");
        match parse_frame(text).filter(|_| from) {
            Some(frame) => {
                pending.frames.push(frame.clone());
                if self.is_bottom(&frame) { self.commit() } else { Next::Hold }
            }
            None if is_elision(text) || (pending.frames.len() == 1 && !is_record(text)) => Next::Hold,
            None => Next::End,
        }
    }

    fn commit(&mut self) -> Next {
        if let Some(pending) = self.pending.take() {
            self.link(pending.head);
            self.frames.extend(pending.frames);
        }
        Next::Take
    }

    fn newest_first(&mut self, text: &str) -> Next {
        if self.pending.is_some() {
            return self.pend(text);
        }
        let from = text.trim_start().starts_with("from ");
        if let Some(frame) = parse_frame(text).filter(|_| from) {
            self.place = Place::Frames;
            if self.frames.len() < Trace::MAX_FRAMES {
                self.frames.push(frame);
            }
            return Next::Take;
        }
        if is_elision(text) {
            return Next::Take;
        }
        if text.starts_with("\tfrom ") {
            // The stream ends inside a frame.
            self.cut = true;
            return Next::Take;
        }
        if parse_head(text).is_some() {
            return self.pend(text);
        }
        match self.place {
            Place::Message(lines) => self.in_message(text, lines),
            _ => Next::End,
        }
    }

    fn in_message(&mut self, text: &str, lines: usize) -> Next {
        if lines >= MESSAGE_LINES || is_record(text) {
            return Next::End;
        }
        if self.syntax && parse_syntax(text).is_some() {
            // Before 3.4, each error of the file has a line of its own.
            return Next::Take;
        }
        self.place = Place::Message(lines + 1);
        self.message_more.push(text.to_owned());
        let code = self.syntax && is_quoted_code(text);
        let indented = text.starts_with([' ', '\t']) && lines < 8;
        if is_hint(text) || code || (indented && !self.message_more.iter().any(|line| line.trim().is_empty())) {
            return Next::Take;
        }
        Next::Hold
    }

    fn newest_last(&mut self, text: &str) -> Next {
        if is_numbered(text)
            && let Some(frame) = parse_frame(text)
        {
            if self.place != Place::Frames {
                self.parts.push(self.frames.len());
            }
            self.place = Place::Frames;
            self.frames.push(frame);
            return Next::Take;
        }
        if is_elision(text) && self.place == Place::Frames {
            return Next::Take;
        }
        if let Some((place, head)) = parse_head(text) {
            if self.place != Place::Frames {
                if !self.heads.is_empty() {
                    return Next::End;
                }
                self.parts.push(self.frames.len());
            }
            self.frames.push(place);
            self.heads.push(head);
            self.message_more.clear();
            self.place = Place::Message(0);
            return Next::Take;
        }
        match self.place {
            Place::Message(lines) if !self.heads.is_empty() => self.in_message(text, lines),
            _ => Next::End,
        }
    }

    fn logged(&mut self, text: &str) -> Next {
        static CAUSE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:Information for cause: |Caused by:)(.*)$"));
        if let Some(frame) = parse_frame(text) {
            self.place = Place::Frames;
            if self.frames.len() < Trace::MAX_FRAMES {
                self.frames.push(frame);
            }
            return Next::Take;
        }
        if self.place == Place::CauseType {
            self.place = Place::Message(0);
            self.link(logged_head(text).unwrap_or_else(|| Head::new("", text)));
            return Next::Take;
        }
        if let Some(c) = CAUSE.captures(text.trim_end()) {
            if group(&c, 1).trim().is_empty() {
                self.place = Place::CauseType;
            } else {
                self.link(logged_head(text).unwrap_or_else(|| Head::new("", group(&c, 1))));
                self.place = Place::Message(0);
            }
            return Next::Take;
        }
        match self.place {
            _ if is_elision(text) => Next::Take,
            Place::Message(lines) if lines < MESSAGE_LINES && !is_record(text) => {
                self.place = Place::Message(lines + 1);
                Next::Hold
            }
            Place::Frames if text.trim().is_empty() => {
                self.place = Place::Blank;
                Next::Hold
            }
            _ => Next::End,
        }
    }

    fn assertion(&mut self, text: &str) -> Next {
        let Place::Message(lines) = self.place else { return Next::End };
        if text.trim().is_empty() || lines >= MESSAGE_LINES {
            return Next::End;
        }
        self.place = Place::Message(lines + 1);
        self.message_more.push(text.to_owned());
        Next::Take
    }

    /// The application's frame nearest to the root cause's failure.
    fn in_app_top(&self) -> Option<usize> {
        let part = |index: usize| {
            let start = self.parts.get(index).copied().unwrap_or(0);
            let end = self.parts.get(index + 1).copied().unwrap_or(self.frames.len());
            start..end
        };
        let app = |at: &usize| self.frames.get(*at).is_some_and(|frame| frame.in_app);
        let count = self.parts.len();
        if self.layout == Layout::NewestLast {
            return (0..count).find_map(|index| part(index).rev().find(app));
        }
        (0..count).rev().find_map(|index| part(index).find(app))
    }
}

/// The method without what Ruby puts in front: a block in it, its rescue clause.
fn plain(frame: &TraceFrame) -> &str {
    let name = frame.function.as_deref().unwrap_or_default();
    name.rsplit(" in ").next().unwrap_or(name)
}

/// `rake aborted!`, `cap aborted!`.
fn gives_up(text: &str) -> bool {
    text.trim_end().strip_suffix(" aborted!").is_some_and(|tool| !tool.contains(' '))
}

/// minitest names the test above the exception, Rake says that it gives up.
fn title_above(before: &[TextLine], index: usize) -> Option<u64> {
    let above = before.get(index.checked_sub(1)?)?;
    let text = above.text.trim_end();
    if gives_up(text) {
        return Some(above.number);
    }
    let title = before.get(index.checked_sub(2)?)?;
    (text.ends_with(':') && text.contains('#') && title.text.trim_end().ends_with("Error:")).then_some(title.number)
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        let next = match self.layout {
            Layout::NewestFirst => self.newest_first(text),
            Layout::NewestLast => self.newest_last(text),
            Layout::Logged => self.logged(text),
            Layout::Assertion => self.assertion(text),
        };
        if next == Next::Take {
            self.told = self.message_more.len();
        }
        next
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if self.heads.is_empty() && self.frames.is_empty() {
            return None;
        }
        let in_app_top = self.in_app_top();
        let mut heads = self.heads;
        if self.layout == Layout::NewestLast {
            heads.reverse();
        }
        let mut heads = heads.into_iter();
        let head = heads.next().unwrap_or_default();
        let mut message = head.message;
        for more in self.message_more.iter().take(self.told) {
            message.push('\n');
            message.push_str(more);
        }
        Some(Reading {
            trace: Trace {
                language: Language::Ruby,
                exception: head.exception,
                message: message.trim().to_owned(),
                frames: self.frames,
                in_app_top,
                cause_chain: heads.filter_map(|head| head.exception).collect(),
                text: String::new(),
                cut: self.cut,
            },
            first_line: self.first_line,
            last_line: None,
        })
    }
}
