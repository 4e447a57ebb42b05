//! Stack traces of .NET: C#, F#, Visual Basic; Mono, Unity; test runners (vstest, xUnit, NUnit, MSTest).
//!
//! A frame line opens a trace and looks back for its head, as on the JVM. The innermost exception's frames are printed first:
//! the chain is read into levels, and `--- End of inner exception stack trace ---` goes one level out. Lines are read in
//! `dotnet_lines.rs`.

use std::sync::LazyLock;

use regex::Regex;

use super::dotnet_lines::{
    Head, Separator, chain, inside, is_sure, member, parse_frame, separator, typed, without_tool,
};
use super::lex::{begins_record, group, pattern, sounds_bad};
use super::{Grammar, Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a message that are waited through for a frame.
const MESSAGE_LINES: usize = 60;

/// The grammar of .NET stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dotnet;

impl Grammar for Dotnet {
    fn language(&self) -> Language {
        Language::Dotnet
    }

    fn starters(&self) -> &'static [&'static str] {
        // No gap between two literals (`a.*b`): each would double the states of the automaton.
        &[
            r"(?:Unhandled [Ee]xception[.:]|FATAL UNHANDLED EXCEPTION:)",
            r"^(?:Process terminated\.|Fatal error\. |Stack overflow\.$)",
            r":line [0-9]+",
            r"\) \[0x[0-9a-f]+\] in ",
            r"\.(?:cs|fs|vb|razor)(?::[0-9]+\)?\s*$|\([0-9]+,[0-9]+\): at )",
            r"^\s*at [A-Za-z_<][^ ()/:]*\([^():/]*\)\s*$",
            r"^\s*Error Message:\s*$",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = without_tool(&line.text);
        if let Some(open) = Open::of_crash(line, text) {
            return Some(Box::new(open));
        }
        if text.trim() == "Error Message:" {
            return Some(Box::new(Open::of_test(before, line)?));
        }
        if let Some(open) = Open::of_one_line(line, text) {
            return Some(Box::new(open));
        }
        let first = parse_frame(text)?;
        let mut open = Open::of_frame(before, is_sure(text))?;
        open.frame(first);
        Some(Box::new(open))
    }
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After a header that names no type: the type follows on the next line.
    Type,
    /// In a message, so many lines so far.
    Message(usize),
    /// In the message of a test runner, whose stack has a title.
    TestMessage(usize),
    /// Among frames.
    Frames,
    /// Among the pairs of `Exception.Data`.
    Data,
    /// After the blank line that may stand in front of an aggregate's next member.
    Blank,
    /// The whole report stands on one line.
    Done,
}

struct Open {
    first_line: u64,
    place: Place,
    /// The reported exception and its causes, the outermost first.
    levels: Vec<Head>,
    /// Index into `levels` of the exception whose frames are read.
    level: usize,
    /// In a member of an aggregate other than the first cause.
    aside: bool,
    message_more: Vec<String>,
    frames: Vec<TraceFrame>,
    /// For each frame, the level that it belongs to; `None` in an aggregate's further members.
    owners: Vec<Option<usize>>,
    /// A report even when no frame follows.
    sure: bool,
    /// The last line was the beginning of a frame.
    cut: bool,
}

impl Open {
    fn new(first_line: u64, levels: Vec<Head>, place: Place) -> Self {
        let level = levels.len().saturating_sub(1);
        Self {
            first_line,
            place,
            levels,
            level,
            aside: false,
            message_more: Vec::new(),
            frames: Vec::new(),
            owners: Vec::new(),
            sure: false,
            cut: false,
        }
    }

    /// `Unhandled exception. System.X: message`, `Process terminated. message`, `Stack overflow.`
    fn of_crash(line: &TextLine, text: &str) -> Option<Self> {
        static UNHANDLED: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"(?:Unhandled [Ee]xception[.:]|FATAL UNHANDLED EXCEPTION:)(?: (.*))?$"));
        let trimmed = text.trim_end();
        if let Some(c) = UNHANDLED.captures(trimmed) {
            let rest = group(&c, 1);
            if rest.trim().is_empty() {
                return Some(Self::new(line.number, Vec::new(), Place::Type));
            }
            let levels = chain(rest);
            let sure = levels.first().is_some_and(|head| {
                head.exception.as_deref().is_some_and(|name| name.contains('.') || name.ends_with("Exception"))
            });
            // What cannot be a type is prose, or another runtime's line.
            return sure.then(|| Self { sure, ..Self::new(line.number, levels, Place::Message(0)) });
        }
        let plain =
            |label: &str, message: &str| Head { exception: Some(label.to_owned()), message: message.trim().to_owned() };
        if let Some(message) = trimmed.strip_prefix("Process terminated.") {
            return Some(Self::new(line.number, vec![plain("Process terminated", message)], Place::Message(0)));
        }
        if let Some(message) = trimmed.strip_prefix("Fatal error. ") {
            let levels = vec![typed(message).unwrap_or_else(|| plain("Fatal error", message))];
            return Some(Self::new(line.number, levels, Place::Message(0)));
        }
        (trimmed == "Stack overflow.")
            .then(|| Self::new(line.number, vec![plain("Stack overflow", "")], Place::Message(0)))
    }

    /// `Error Message:` of vstest, under the line that names the failed test.
    fn of_test(before: &[TextLine], line: &TextLine) -> Option<Self> {
        static FAILED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:Failed|X|\[Failed\]|✗) \S"));
        let title = before.last().filter(|above| FAILED.is_match(&above.text));
        let first = title.map_or(line.number, |title| title.number);
        Some(Self::new(first, Vec::new(), Place::TestMessage(0)))
    }

    /// A report that a formatter has put on one line: `… System.X: message    at A.B() in /f.cs:line 3    at C.D()`.
    fn of_one_line(line: &TextLine, text: &str) -> Option<Self> {
        static AT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\s{2,}at "));
        let starts: Vec<(usize, usize)> = AT.find_iter(text).map(|m| (m.start(), m.end())).collect();
        let &(head_end, _) = starts.first().filter(|&&(at, _)| at > 0)?;
        let head = text.get(..head_end)?;
        let levels = inside(head).or_else(|| typed(head).map(|head| vec![head]))?;
        let mut open = Self::new(line.number, levels, Place::Done);
        for (index, &(_, from)) in starts.iter().enumerate() {
            let to = starts.get(index + 1).map_or(text.len(), |next| next.0);
            let part = text.get(from..to)?.split("   --- ").next()?.trim_end();
            open.frame_at(parse_frame(&format!("at {part}"))?);
        }
        (open.frames.len() > 1 || is_sure(text)).then_some(open)
    }

    /// A trace that was noticed at its first frame.
    fn of_frame(before: &[TextLine], sure: bool) -> Option<Self> {
        let mut start = None;
        let mut stack_title = false;
        for (index, line) in before.iter().enumerate().rev() {
            let text = without_tool(&line.text);
            if parse_frame(text).is_some() || separator(text).is_some() {
                break;
            }
            if is_stack_title(text) {
                stack_title = true;
                continue;
            }
            let inner = text.trim_start().starts_with("---> ");
            if !inner && typed(text).is_some() && !begins_record(text) {
                start = Some(index);
                // xUnit and NUnit name the test above.
                if index > 0 && before.get(index - 1).is_some_and(|above| is_test_title(without_tool(&above.text))) {
                    start = Some(index - 1);
                }
                break;
            }
            if is_test_title(text) {
                start = Some(index);
                break;
            }
            if text.starts_with("UnityEngine.Debug:LogE") {
                start = index.checked_sub(1);
                break;
            }
            if !inner && (begins_record(text) || is_console_head(text)) {
                let bad = sure && begins_record(text) && sounds_bad(text);
                if inside(text).is_some() || bad {
                    start = Some(index);
                }
                break;
            }
        }
        // A head that is neither on a line of its own nor behind what looks like a record.
        let last = before.len().checked_sub(1)?;
        let start = start.or_else(|| {
            let text = before.get(last)?.text.as_str();
            (inside(text).is_some() || (sure && (stack_title || (begins_record(text) && sounds_bad(text)))))
                .then_some(last)
        })?;
        let first = before.get(start)?;
        let mut open = Self::new(first.number, Vec::new(), Place::Message(0));
        let title = is_test_title(without_tool(&first.text));
        for (index, line) in before.iter().enumerate().skip(start) {
            let text = without_tool(&line.text);
            if (title && index == start) || is_stack_title(text) || text.starts_with("UnityEngine.Debug:LogE") {
                continue;
            }
            if open.levels.is_empty() {
                let heads = chain(text);
                open.levels = if heads.is_empty() { loose_chain(text) } else { heads };
                open.level = open.levels.len() - 1;
            } else {
                open.message_line(text);
            }
        }
        (!open.levels.is_empty()).then_some(open)
    }

    /// A line in front of the frames: the next exception of the chain, or more of the message.
    fn message_line(&mut self, text: &str) {
        if let Some(rest) = text.trim_start().strip_prefix("---> ") {
            self.levels.extend(chain(rest));
            self.level = self.levels.len().saturating_sub(1);
            return;
        }
        if self.levels.is_empty() {
            self.levels = chain(text);
            if self.levels.is_empty() && text.trim_end().ends_with("threw exception:") {
                // MSTest names the test in front of the type.
                return;
            }
            if self.levels.is_empty() {
                self.levels.push(Head { exception: None, message: text.trim().to_owned() });
            }
            self.level = self.levels.len() - 1;
            return;
        }
        // The last line of a message may name the next exception: `Parameter name: y ---> System.X: z`.
        let more = text.find(" ---> ").map(|at| text.split_at(at));
        let (own, rest) = more.unwrap_or((text, ""));
        if self.level == 0 && !self.aside {
            self.message_more.push(own.to_owned());
        }
        if !rest.is_empty() {
            self.levels.extend(chain(rest));
            self.level = self.levels.len().saturating_sub(1);
        }
    }

    fn frame(&mut self, frame: TraceFrame) {
        self.place = Place::Frames;
        self.frame_at(frame);
    }

    fn frame_at(&mut self, frame: TraceFrame) {
        self.cut = false;
        if self.frames.len() < Trace::MAX_FRAMES {
            self.frames.push(frame);
            self.owners.push((!self.aside).then_some(self.level));
        }
    }

    /// The application's first frame of the root cause, else of the exception around it, and so on; frames with a place first.
    fn in_app_top(&self) -> Option<usize> {
        let pick = |level: usize, located: bool| {
            self.frames
                .iter()
                .zip(&self.owners)
                .position(|(frame, owner)| frame.in_app && *owner == Some(level) && (!located || frame.line.is_some()))
        };
        let levels = || (0..self.levels.len().max(1)).rev();
        levels()
            .find_map(|level| pick(level, true))
            .or_else(|| levels().find_map(|level| pick(level, false)))
            .or_else(|| self.frames.iter().position(|frame| frame.in_app))
    }

    fn in_message(&mut self, text: &str, lines: usize) -> Next {
        if lines >= MESSAGE_LINES || (begins_record(text) && !text.starts_with(char::is_whitespace)) {
            return Next::End;
        }
        self.place = Place::Message(lines + 1);
        if self.aside {
            return Next::Hold;
        }
        let chained = text.trim_start().starts_with("---> ");
        self.message_line(text);
        if chained { Next::Take } else { Next::Hold }
    }

    fn among_frames(&mut self, text: &str) -> Next {
        if let Some(heads) = member(text) {
            // The runtime repeats the first member or goes on with the others; their frames are nobody's cause.
            self.aside = true;
            self.place = Place::Message(0);
            return if heads.is_empty() { Next::End } else { Next::Take };
        }
        if self.place == Place::Blank {
            return Next::End;
        }
        match separator(text) {
            Some(Separator::EndOfInner) => {
                self.level = self.level.saturating_sub(1);
                return Next::Take;
            }
            Some(Separator::GoesOn) => return Next::Take,
            None => {}
        }
        if text.trim_start().starts_with("---> ") {
            self.message_line(text);
            self.place = Place::Message(0);
            return Next::Take;
        }
        // Npgsql and others print the exception's data below.
        if text.trim() == "Exception data:" || (self.place == Place::Data && text.starts_with("    ")) {
            self.place = Place::Data;
            return Next::Take;
        }
        if text.trim().is_empty() {
            self.place = Place::Blank;
            return Next::Hold;
        }
        // A frame that was cut off, or one that nobody can read.
        self.cut = text.starts_with(' ') && text.trim_start().starts_with("at ");
        if self.cut { Next::Take } else { Next::End }
    }
}

/// The types in a line, wherever they stand, else the text behind a record's level as a message.
fn loose_chain(text: &str) -> Vec<Head> {
    static LEVEL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?i)^.*?\b(?:error|err|fatal|ftl|warn|warning|wrn|critical|crit|fail)\b[\])]?(?: ?[:|-])?\s+")
    });
    inside(text).unwrap_or_else(|| {
        let message = LEVEL.find(text).filter(|_| begins_record(text)).and_then(|level| text.get(level.end()..));
        let message = message.unwrap_or(text);
        vec![Head { exception: None, message: message.trim().to_owned() }]
    })
}

fn is_stack_title(text: &str) -> bool {
    matches!(
        text.trim(),
        "Stack Trace:" | "StackTrace:" | "Stack trace:" | "Stacktrace:" | "[Exception]" | "Exception:"
    )
}

/// `    Acme.Tests.CartTests.Total [FAIL]`, NUnit's `1) Error : Acme.Tests.CartTests.Total`.
fn is_test_title(text: &str) -> bool {
    static TITLE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^\s*(?:\S.* \[FAIL\]|failed \S.* \(\d[\w .]*\)|\d+\) (?:Error|Failed|Invalid|Warning) : \S+.*)$")
    });
    TITLE.is_match(text.trim_end())
}

/// The first line of a record of the console logger: `fail: Acme.Worker[0]`.
fn is_console_head(text: &str) -> bool {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:trce|dbug|info|warn|fail|crit): \S+\[-?\d+\]"));
    HEAD.is_match(text)
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = without_tool(&line.text);
        if self.place == Place::Done {
            return Next::End;
        }
        if let Place::TestMessage(lines) = self.place {
            if is_stack_title(text) {
                self.place = Place::Message(0);
                return Next::Take;
            }
            if lines >= MESSAGE_LINES {
                return Next::End;
            }
            self.place = Place::TestMessage(lines + 1);
            self.message_line(text);
            return Next::Hold;
        }
        if self.place != Place::Blank
            && let Some(frame) = parse_frame(text)
        {
            self.frame(frame);
            return Next::Take;
        }
        match self.place {
            Place::Type => {
                self.levels = chain(text);
                self.level = self.levels.len().saturating_sub(1);
                self.place = Place::Message(0);
                if self.levels.is_empty() { Next::End } else { Next::Take }
            }
            Place::Message(_) if separator(text).is_some() => Next::Take,
            Place::Message(lines) => self.in_message(text, lines),
            Place::Frames | Place::Data | Place::Blank => self.among_frames(text),
            Place::TestMessage(_) | Place::Done => Next::End,
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if self.frames.is_empty() && !self.sure {
            return None;
        }
        let in_app_top = self.in_app_top();
        let mut levels = self.levels.into_iter();
        let head = levels.next().unwrap_or_default();
        let mut message = head.message;
        if !self.frames.is_empty() {
            for more in &self.message_more {
                message.push('\n');
                message.push_str(more);
            }
        }
        Some(Reading {
            trace: Trace {
                language: Language::Dotnet,
                exception: head.exception,
                message: message.trim().to_owned(),
                frames: self.frames,
                in_app_top,
                cause_chain: levels.filter_map(|level| level.exception).collect(),
                text: String::new(),
                cut: self.cut,
            },
            first_line: self.first_line,
            last_line: None,
        })
    }
}
