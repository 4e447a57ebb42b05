//! Failures as PHP's test runner and consoles print them: PHPUnit's list, the boxes of Symfony and of Laravel (Collision).

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{group, pattern};
use super::php_lines::{Head, place, typed};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a message that are waited through for a place; a diff of two arrays is long.
const MESSAGE_LINES: usize = 120;

/// A failed test in PHPUnit's list.
pub(super) struct TestFailure {
    first_line: u64,
    place: Place,
    heads: Vec<Head>,
    /// Lines of the message that is being read.
    message: Vec<String>,
    frames: Vec<TraceFrame>,
    /// First frame of each exception.
    parts: Vec<usize>,
}

/// Where the reader of a failed test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a message, which may have blank lines.
    Message,
    /// Among places.
    Frames,
    /// After the blank line behind them: a cause or the next test.
    Blank,
}

impl TestFailure {
    /// `1) CartTest::testTotal`, `2) CartTest::testTotal with data set #0 (1)`.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        static TITLE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^\d+\) [A-Za-z_][\w\\]*::[A-Za-z_]\w*(?: with data set .*)?$"));
        // Tests that are listed for another reason than a failure.
        static OTHER: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"\b(?:risky|skipped|incomplete|useless|deprecations?|notices?|warnings?)\b.*:$"));
        if !TITLE.is_match(line.text.trim_end()) || before.iter().any(|line| OTHER.is_match(&line.text)) {
            return None;
        }
        Some(Self {
            first_line: line.number,
            place: Place::Message,
            heads: Vec::new(),
            message: Vec::new(),
            frames: Vec::new(),
            parts: Vec::new(),
        })
    }

    fn finish_message(&mut self) {
        if self.message.is_empty() {
            return;
        }
        let first = self.message.first().map(String::as_str).unwrap_or_default();
        let mut head = typed(first).unwrap_or_else(|| Head { exception: None, message: first.to_owned(), place: None });
        for more in self.message.iter().skip(1) {
            head.message.push('\n');
            head.message.push_str(more);
        }
        self.message.clear();
        self.heads.push(head);
        self.parts.push(self.frames.len());
    }
}

impl OpenTrace for TestFailure {
    fn push(&mut self, line: &TextLine) -> Next {
        static PLACE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^((?:/|[A-Za-z]:[\\/]|phar://)?[^:\s][^:]*\.(?:php|phpt|phtml|inc)):(\d+)$"));
        let text = line.text.trim_end();
        if let Some(c) = PLACE.captures(text).filter(|_| self.place != Place::Blank) {
            self.finish_message();
            self.frames.push(place(group(&c, 1), group(&c, 2), None));
            self.place = Place::Frames;
            return Next::Take;
        }
        match self.place {
            Place::Message if self.message.len() < MESSAGE_LINES => {
                self.message.push(text.to_owned());
                Next::Hold
            }
            Place::Frames | Place::Blank if text == "Caused by" => {
                self.place = Place::Message;
                Next::Take
            }
            Place::Frames if text.is_empty() => {
                self.place = Place::Blank;
                Next::Hold
            }
            Place::Message | Place::Frames | Place::Blank => Next::End,
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let head = self.heads.first()?.clone();
        if head.message.starts_with("This test ") && head.exception.is_none() {
            return None;
        }
        let starts = self.parts.iter().copied();
        let ends = self.parts.iter().skip(1).copied().chain([self.frames.len()]);
        let parts: Vec<(usize, usize)> = starts.zip(ends).collect();
        let app = |at: &usize| self.frames.get(*at).is_some_and(|frame| frame.in_app);
        let in_app_top = parts.iter().rev().find_map(|&(start, end)| (start..end).find(app));
        let causes = self.heads.iter().skip(1).filter_map(|head| head.exception.clone()).collect();
        Some(reading(self.first_line, head, self.frames, in_app_top, causes))
    }
}

/// An error in a box: Symfony's `In Command.php line 12:`, Collision's type, message and `at app/x.php:12`.
pub(super) struct Boxed {
    first_line: u64,
    style: Style,
    heads: Vec<Head>,
    frames: Vec<TraceFrame>,
    /// First frame of each exception, the reported one's first.
    parts: Vec<usize>,
    /// Reading a box's text.
    inside: bool,
    blanks: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Symfony,
    Collision,
}

/// `In Command.php line 12:`.
fn symfony_title(text: &str) -> Option<TraceFrame> {
    static TITLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^In ([\w.-]+\.php) line (\d+):$"));
    let c = TITLE.captures(text)?;
    Some(place(group(&c, 1), group(&c, 2), None))
}

impl Boxed {
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        static AT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^  at (\S+\.php):(\d+)$"));
        let text = line.text.trim_end();
        if let Some(place) = symfony_title(text) {
            let (first_line, style) = (line.number, Style::Symfony);
            return Some(Self {
                first_line,
                style,
                heads: vec![Head::default()],
                frames: vec![place],
                parts: vec![0],
                inside: true,
                blanks: 0,
            });
        }
        let c = AT.captures(text)?;
        let place = place(group(&c, 1), group(&c, 2), None);
        let mut above = before.iter().rev().filter(|line| !line.text.trim().is_empty());
        let message = above.next()?;
        let name = above.next()?;
        let title = name.text.trim();
        // Pest names the test in front of the type.
        let title = title.strip_prefix("FAILED ").and_then(|rest| rest.rsplit("  ").next()).unwrap_or(title);
        let head = typed(title).filter(|_| name.text.starts_with("   "))?;
        let head = Head { exception: head.exception, message: message.text.trim().to_owned(), place: None };
        Some(Self {
            first_line: name.number,
            style: Style::Collision,
            heads: vec![head],
            frames: vec![place],
            parts: vec![0],
            inside: false,
            blanks: 0,
        })
    }

    fn symfony(&mut self, text: &str) -> Next {
        static CALL: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^ *(?:(\S.*?)(?:\(\))? )?at ((?:/|[A-Za-z]:\\)?[^:\s][^:]*):(\d+)$"));
        static TYPE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\[([A-Za-z_][\w\\]*)(?: \(\S+\))?\]$"));
        let trimmed = text.trim();
        if let Some(place) = symfony_title(text) {
            self.heads.push(Head::default());
            self.parts.push(self.frames.len());
            self.frames.push(place);
            (self.inside, self.blanks) = (true, 0);
            return Next::Take;
        }
        if trimmed.is_empty() {
            // A blank line of the box's width is drawn in its colour.
            self.blanks += 1;
            return if self.blanks > 3 { Next::End } else { Next::Hold };
        }
        self.blanks = 0;
        if trimmed == "Exception trace:" {
            self.inside = false;
            return Next::Take;
        }
        if let Some(c) = CALL.captures(text).filter(|_| !self.inside) {
            self.frames.push(place(group(&c, 2), group(&c, 3), Some(group(&c, 1))));
            return Next::Take;
        }
        if !self.inside || !text.starts_with("  ") {
            return Next::End;
        }
        let Some(head) = self.heads.last_mut() else { return Next::End };
        match TYPE.captures(trimmed) {
            Some(c) if head.message.is_empty() => head.exception = Some(group(&c, 1).to_owned()),
            _ => {
                if !head.message.is_empty() {
                    head.message.push('\n');
                }
                head.message.push_str(trimmed);
            }
        }
        Next::Take
    }

    fn collision(&mut self, text: &str) -> Next {
        static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^  +\d+ +(\S+):(\d+)$"));
        static SKIPPED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ +\+\d+ vendor frames?$"));
        let text = text.trim_end();
        if let Some(c) = CALL.captures(text) {
            self.frames.push(place(group(&c, 1), group(&c, 2), None));
            self.inside = true;
            self.blanks = 0;
            return Next::Take;
        }
        if text.trim().is_empty() {
            self.blanks += 1;
            return if self.blanks > 2 { Next::End } else { Next::Hold };
        }
        let code = text.contains('▕') || text.trim_start().starts_with('➜') || SKIPPED.is_match(text);
        if code {
            self.blanks = 0;
            return Next::Take;
        }
        if std::mem::take(&mut self.inside) && text.starts_with("      ") {
            if let Some(last) = self.frames.last_mut() {
                last.function = text.trim().split('(').next().map(str::to_owned);
            }
            return Next::Take;
        }
        Next::End
    }
}

impl OpenTrace for Boxed {
    fn push(&mut self, line: &TextLine) -> Next {
        match self.style {
            Style::Symfony => self.symfony(&line.text),
            Style::Collision => self.collision(&line.text),
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let head = self.heads.first()?.clone();
        if head.message.is_empty() && head.exception.is_none() {
            return None;
        }
        let ends = self.parts.iter().skip(1).copied().chain([self.frames.len()]);
        let parts: Vec<(usize, usize)> = self.parts.iter().copied().zip(ends).collect();
        let app = |at: &usize| self.frames.get(*at).is_some_and(|frame| frame.in_app);
        let in_app_top = parts.iter().rev().find_map(|&(start, end)| (start..end).find(app));
        let causes = self.heads.iter().skip(1).filter_map(|head| head.exception.clone()).collect();
        Some(reading(self.first_line, head, self.frames, in_app_top, causes))
    }
}

fn reading(
    first_line: u64,
    head: Head,
    frames: Vec<TraceFrame>,
    in_app_top: Option<usize>,
    cause_chain: Vec<String>,
) -> Reading {
    let trace = Trace {
        language: Language::Php,
        exception: head.exception,
        message: head.message.trim().to_owned(),
        frames,
        in_app_top,
        cause_chain,
        text: String::new(),
        cut: false,
    };
    Reading { trace, first_line, last_line: None }
}
