//! Stack traces of PHP: uncaught exceptions and fatal errors, as PHP, servers, Monolog and Xdebug print them.
//!
//! PHP prints the root cause first and each exception around it behind `Next`; Monolog prints the reported one first and its
//! causes behind `[previous exception]`. Lines are read in `php_lines.rs`, test runners and consoles in `php_runners.rs`.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{begins_record, pattern, sounds_bad};
use super::php_lines::{
    Head, StackLine, fatal, object, split_object_place, split_place, stack_line, typed, typed_inside, unescaped,
};
use super::php_runners::{Boxed, TestFailure};
use super::{Grammar, Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a message that are waited through for its end.
const MESSAGE_LINES: usize = 60;

/// The grammar of PHP's stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Php;

impl Grammar for Php {
    fn language(&self) -> Language {
        Language::Php
    }

    fn starters(&self) -> &'static [&'static str] {
        // No gap between two literals (`a.*b`): each would double the states of the automaton.
        &[
            r"(?:atal|Parse) error: ",
            r"#0 (?:[/{]|\[internal function\]|[A-Z]:|phar:)",
            r"\[object\] \(",
            r"^[0-9]+\) [A-Za-z_\\][A-Za-z0-9_\\]*::",
            r"\.php line [0-9]+:$",
            r"\.php:[0-9]+$",
            r"Uncaught PHP Exception ",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = line.text.as_str();
        if let Some(failure) = TestFailure::open(before, line) {
            return Some(Box::new(failure));
        }
        if let Some(boxed) = Boxed::open(before, line) {
            return Some(Box::new(boxed));
        }
        let open = Open::of_fatal(line).or_else(|| Open::of_object(line)).or_else(|| Open::of_symfony(line));
        if let Some(open) = open {
            return Some(Box::new(open));
        }
        // Calls that Xdebug prints belong to warnings, too: only what stands above them opens a trace.
        let first = stack_line(text).filter(|_| text.trim_start().starts_with(['#', '-']))?;
        let mut open = Open::of_stack(before)?;
        open.stack(first);
        Some(Box::new(open))
    }
}

/// Who prints, which says in which order the exceptions of a chain come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// The root cause first.
    Php,
    /// The reported exception first.
    Monolog,
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a message whose place is still to come, so many lines so far.
    Message(usize),
    /// After a message: `Stack trace:` or the end.
    Head,
    /// Among frames.
    Stack,
    /// After `{main}`.
    Main,
    /// After a blank line.
    Blank,
    /// Among the calls that Xdebug prints below a title.
    Calls,
    /// All of it stood on one line.
    Done,
}

struct Open {
    first_line: u64,
    writer: Writer,
    place: Place,
    heads: Vec<Head>,
    /// Index of each exception's first frame.
    parts: Vec<usize>,
    frames: Vec<TraceFrame>,
}

impl Open {
    fn new(first_line: u64, writer: Writer) -> Self {
        Self { first_line, writer, place: Place::Head, heads: Vec::new(), parts: Vec::new(), frames: Vec::new() }
    }

    /// `PHP Fatal error:  Uncaught Type: message in /srv/x.php:3`, `Parse error: message in /srv/x.php on line 3`.
    fn of_fatal(line: &TextLine) -> Option<Self> {
        let (label, rest) = fatal(&line.text)?;
        let mut open = Self::new(line.number, Writer::Php);
        // Apache's log has the whole report on one line.
        let expanded = rest.replace("\\n", "\n");
        let mut lines = if rest.contains("\\nStack trace:\\n") { expanded.lines() } else { rest.lines() };
        let first = lines.next()?;
        if let Some(uncaught) = without_server(first).strip_prefix("Uncaught ") {
            open.head(typed_loosely(uncaught)?);
        } else {
            let (message, place) = split_place(without_server(first))?;
            let head =
                Head { exception: Some(label.to_owned()), message: message.to_owned(), place: Some(place.clone()) };
            open.heads.push(head);
            open.parts.push(0);
            open.frames.push(place);
        }
        let mut whole = false;
        for line in lines {
            whole = true;
            let _ = open.line(without_server(line));
        }
        if whole {
            open.place = Place::Done;
        }
        Some(open)
    }

    /// Monolog's `[object] (Type(code: 0): message at /srv/x.php:3)`.
    fn of_object(line: &TextLine) -> Option<Self> {
        let text = line.text.as_str();
        object(text)?;
        let mut open = Self::new(line.number, Writer::Monolog);
        let at = text.find("[object] (")?;
        let rest = text.get(at..)?;
        // Without line breaks allowed, Monolog escapes them.
        let expanded = rest.replace("\\n", "\n");
        let one_line = rest.contains(")\\n[") || rest.trim_end().ends_with(['}', ']']);
        let mut lines = if one_line { expanded.lines() } else { rest.lines() };
        open.object(lines.next()?);
        for line in lines {
            let _ = open.line(line);
        }
        if one_line {
            open.place = Place::Done;
        }
        Some(open)
    }

    /// Symfony's `Uncaught PHP Exception Type: "message" at /srv/x.php line 3`.
    fn of_symfony(line: &TextLine) -> Option<Self> {
        static UNCAUGHT: LazyLock<Regex> =
            LazyLock::new(|| pattern(r#"Uncaught PHP Exception ([\w\\@]+): "?(.*?)"? at (\S.*?) line (\d+)"#));
        let c = UNCAUGHT.captures(&line.text)?;
        let place = super::php_lines::place(c.get(3)?.as_str(), c.get(4)?.as_str(), None);
        let mut open = Self::new(line.number, Writer::Monolog);
        open.heads.push(Head {
            exception: Some(unescaped(c.get(1)?.as_str())),
            message: c.get(2)?.as_str().to_owned(),
            place: Some(place.clone()),
        });
        open.parts.push(0);
        open.frames.push(place);
        open.place = Place::Done;
        Some(open)
    }

    /// A stack that was noticed at its first line, under an exception that was made a text.
    fn of_stack(before: &[TextLine]) -> Option<Self> {
        let mut above = before.iter().rposition(|line| !line.text.trim().is_empty())?;
        let titled = matches!(
            before.get(above)?.text.trim(),
            "Stack trace:" | "Stack Trace:" | "Stack trace" | "[stacktrace]" | "Backtrace:"
        );
        if titled {
            above = above.checked_sub(1)?;
        }
        for index in (0..=above).rev() {
            let line = before.get(index)?;
            let text = line.text.as_str();
            if stack_line(text).is_some() {
                break;
            }
            if let Some(head) = typed(text).or_else(|| typed_inside(text)) {
                let mut open = Self::new(line.number, Writer::Php);
                open.head(head);
                for more in before.iter().take(above + 1).skip(index + 1) {
                    open.message(&more.text);
                }
                return Some(open);
            }
            if begins_record(text) {
                break;
            }
        }
        let line = before.get(above)?;
        if titled || begins_record(&line.text) || sounds_bad(&line.text) {
            let mut open = Self::new(line.number, Writer::Php);
            let message = without_record(&line.text);
            open.head(Head { exception: None, message: message.to_owned(), place: None });
            return Some(open);
        }
        None
    }

    /// Begins the next exception of the chain.
    fn head(&mut self, head: Head) {
        self.parts.push(self.frames.len());
        let (message, place) = match split_place(without_server(&head.message)) {
            Some((message, place)) => (message.to_owned(), Some(place)),
            None => (head.message, None),
        };
        self.place = if place.is_some() { Place::Head } else { Place::Message(0) };
        self.frames.extend(place.clone());
        self.heads.push(Head { exception: head.exception, message, place });
    }

    /// Goes on with the message of the last exception.
    fn message(&mut self, text: &str) {
        let Some(head) = self.heads.last_mut() else { return };
        let (more, place) = match self.writer {
            Writer::Php => split_place(without_server(text)),
            Writer::Monolog => split_object_place(text),
        }
        .map_or((text, None), |(more, place)| (more, Some(place)));
        head.message.push('\n');
        head.message.push_str(more);
        if let Some(place) = place {
            head.place = Some(place.clone());
            self.frames.push(place);
            self.place = Place::Head;
        }
    }

    /// Begins an exception as Monolog prints it.
    fn object(&mut self, text: &str) {
        let Some((name, rest)) = object(text) else { return };
        self.parts.push(self.frames.len());
        let (message, place) = split_object_place(rest).map_or((rest, None), |(message, place)| (message, Some(place)));
        self.place = if place.is_some() { Place::Head } else { Place::Message(0) };
        self.frames.extend(place.clone());
        self.heads.push(Head { exception: Some(unescaped(name)), message: message.to_owned(), place });
    }

    fn stack(&mut self, line: StackLine) {
        match line {
            StackLine::Frame(mut frame) => {
                if self.writer == Writer::Monolog {
                    frame.function = frame.function.map(|name| unescaped(&name));
                }
                self.place = Place::Stack;
                if self.frames.len() < Trace::MAX_FRAMES {
                    self.frames.push(frame);
                }
            }
            StackLine::Main => self.place = Place::Main,
        }
    }

    fn line(&mut self, text: &str) -> Next {
        let trimmed = text.trim_end();
        if let Place::Message(lines) = self.place {
            if let Some(line) = stack_line(text) {
                self.stack(line);
                return Next::Take;
            }
            if lines >= MESSAGE_LINES || (self.writer == Writer::Php && begins_record(text)) {
                return Next::End;
            }
            self.place = Place::Message(lines + 1);
            self.message(text);
            return if self.place == Place::Head { Next::Take } else { Next::Hold };
        }
        if self.place == Place::Done {
            return Next::End;
        }
        if let Some(line) = stack_line(text) {
            let calls = text.starts_with(' ');
            self.stack(line);
            if calls {
                self.place = Place::Calls;
            }
            return Next::Take;
        }
        if matches!(trimmed, "Stack trace:" | "[stacktrace]" | "Call Stack:") {
            return Next::Take;
        }
        if trimmed.trim_start().starts_with("thrown in ") {
            return Next::TakeAndEnd;
        }
        if let Some(next) = trimmed.strip_prefix("Next ").and_then(typed_loosely) {
            self.head(next);
            return Next::Take;
        }
        if trimmed.starts_with("[previous exception] ") {
            self.object(trimmed);
            return Next::Take;
        }
        if self.writer == Writer::Monolog && trimmed.starts_with('"') {
            return Next::TakeAndEnd;
        }
        // Xdebug repeats the exception above its own stack.
        let again =
            typed(trimmed).is_some_and(|head| self.heads.last().is_some_and(|last| last.exception == head.exception));
        if again && matches!(self.place, Place::Blank | Place::Head) && trimmed.contains(" on line ") {
            return Next::Hold;
        }
        if trimmed.starts_with('#') && self.place == Place::Stack {
            // A logger writes its context behind the last one, or the stream ends inside a frame.
            if trimmed.contains("{main}") {
                self.place = Place::Main;
            }
            return Next::Take;
        }
        if trimmed.is_empty() && self.place != Place::Calls {
            self.place = Place::Blank;
            return Next::Hold;
        }
        Next::End
    }

    /// The place of the root cause's throw, else its first frame of the application, then the exceptions around it.
    fn in_app_top(&self) -> Option<usize> {
        let part = |index: usize| {
            let start = self.parts.get(index).copied().unwrap_or(0);
            let end = self.parts.get(index + 1).copied().unwrap_or(self.frames.len());
            (start..end).find(|at| self.frames.get(*at).is_some_and(|frame| frame.in_app))
        };
        let count = self.parts.len();
        match self.writer {
            Writer::Php => (0..count).find_map(part),
            Writer::Monolog => (0..count).rev().find_map(part),
        }
    }
}

/// The head of an exception whose type may have any name.
fn typed_loosely(text: &str) -> Option<Head> {
    static TYPED: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\\?([A-Za-z_]\w*(?:\\[A-Za-z_]\w*)*(?:@anonymous)?)(?:: (.*)|( in .*)|)$"));
    let c = TYPED.captures(text.trim_end())?;
    let message = c.get(2).or(c.get(3)).map_or("", |m| m.as_str());
    Some(Head { exception: Some(c.get(1)?.as_str().to_owned()), message: message.to_owned(), place: None })
}

/// The text without what a web server puts behind it: nginx quotes PHP's lines and adds the request.
fn without_server(text: &str) -> &str {
    static TAIL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r#"(?:" while reading (?:response header from )?upstream.*|, referer: \S+|"?; PHP message: .*)$"#)
    });
    let text = text.trim_end();
    // PHP-FPM quotes each line of a worker.
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let odd = text.bytes().filter(|&byte| byte == b'"').count() % 2 == 1;
    let text = text.strip_suffix('"').filter(|_| odd).unwrap_or(text);
    TAIL.find(text).map_or(text, |tail| text.get(..tail.start()).unwrap_or(text))
}

/// The message of a record whose head is `[21-Nov-2026 10:00:00 UTC] `.
fn without_record(text: &str) -> &str {
    static RECORD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\[[^\]]*\d\d:\d\d:\d\d[^\]]*\] (?:[\w.]+: )?"));
    RECORD.find(text).map_or(text, |found| text.get(found.end()..).unwrap_or(text))
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        self.line(without_server(&line.text))
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if self.frames.is_empty() && self.heads.iter().all(|head| head.exception.is_none()) {
            return None;
        }
        let in_app_top = self.in_app_top();
        // Every stack of PHP's own ends with `{main}`, and the report with the place of the throw.
        let cut = self.writer == Writer::Php && self.place == Place::Stack;
        let mut heads = self.heads;
        if self.writer == Writer::Php {
            heads.reverse();
        }
        let mut heads = heads.into_iter();
        let head = heads.next()?;
        Some(Reading {
            trace: Trace {
                language: Language::Php,
                exception: head.exception,
                message: head.message.trim().to_owned(),
                frames: self.frames,
                in_app_top,
                cause_chain: heads.filter_map(|head| head.exception).collect(),
                text: String::new(),
                cut,
            },
            first_line: self.first_line,
            last_line: None,
        })
    }
}
