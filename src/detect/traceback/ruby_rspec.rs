//! Failures as RSpec prints them: `Failure/Error:`, the expectation or the exception, and places behind `#`.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{group, pattern};
use super::ruby_lines::{Head, parse_frame};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of an expectation's message; a diff of two objects is long.
const MESSAGE_LINES: usize = 100;

/// A failure that is being read.
pub(super) struct Failure {
    first_line: u64,
    head: Head,
    /// Lines of the message, the quoted code in front included until the first blank line.
    message: Vec<String>,
    /// After the quoted code.
    in_message: bool,
    lines: usize,
    causes: Vec<Head>,
    frames: Vec<TraceFrame>,
    /// First frame of each exception.
    parts: Vec<usize>,
}

impl Failure {
    /// `     Failure/Error: expect(1 + 1).to eq 3`, under `  1) Cart adds`.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        static TITLE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^\s*\d+(?:\.\d+)*\) \S|^An error occurred (?:while|in|outside)"));
        line.text.trim_start().strip_prefix("Failure/Error:")?;
        let title = before.last().filter(|above| TITLE.is_match(&above.text));
        Some(Self {
            first_line: title.map_or(line.number, |title| title.number),
            head: Head::default(),
            message: Vec::new(),
            in_message: false,
            lines: 0,
            causes: Vec::new(),
            frames: Vec::new(),
            parts: vec![0],
        })
    }

    fn comment(&mut self, rest: &str) {
        static TYPE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ ?([A-Z]\w*(?:::[A-Z]\w*)*):(?: (.*))?$"));
        if let Some(frame) = parse_frame(rest) {
            self.frames.push(frame);
        } else if rest.contains("--- Caused by: ---") {
            self.causes.push(Head::default());
            self.parts.push(self.frames.len());
        } else if let Some(cause) = self.causes.last_mut().filter(|cause| cause.exception.is_none())
            && let Some(c) = TYPE.captures(rest.trim_end())
        {
            *cause = Head::new(group(&c, 1), group(&c, 2));
        }
    }
}

impl OpenTrace for Failure {
    fn push(&mut self, line: &TextLine) -> Next {
        static TYPE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*([A-Z]\w*(?:::[A-Z]\w*)*):$"));
        let text = line.text.trim_end();
        let trimmed = text.trim_start();
        if let Some(rest) = trimmed.strip_prefix('#').filter(|rest| rest.starts_with(' ')) {
            self.comment(rest);
            return Next::Take;
        }
        self.lines += 1;
        if !self.frames.is_empty() || self.lines > MESSAGE_LINES {
            return Next::End;
        }
        if trimmed.is_empty() {
            self.in_message = true;
        }
        if self.in_message {
            match TYPE.captures(text) {
                Some(c) if self.head.exception.is_none() && self.message.is_empty() => {
                    self.head = Head::new(group(&c, 1), "");
                }
                _ if trimmed.is_empty() && self.message.is_empty() => {}
                _ => self.message.push(trimmed.to_owned()),
            }
        }
        Next::Hold
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if self.frames.is_empty() {
            return None;
        }
        let app = |at: &usize| self.frames.get(*at).is_some_and(|frame| frame.in_app);
        let ends = self.parts.iter().skip(1).copied().chain([self.frames.len()]);
        let parts: Vec<(usize, usize)> = self.parts.iter().copied().zip(ends).collect();
        let in_app_top = parts.iter().rev().find_map(|&(start, end)| (start..end).find(app));
        Some(Reading {
            trace: Trace {
                language: Language::Ruby,
                exception: self.head.exception,
                message: self.message.join("\n").trim().to_owned(),
                in_app_top,
                frames: self.frames,
                cause_chain: self.causes.into_iter().filter_map(|cause| cause.exception).collect(),
                text: String::new(),
                cut: false,
            },
            first_line: self.first_line,
            last_line: None,
        })
    }
}
