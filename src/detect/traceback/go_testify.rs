//! testify's report of a failed assertion: `Error Trace:`, `Error:`, `Test:`, `Messages:` and what stands indented under each.

use std::sync::LazyLock;

use regex::Regex;

use super::go_lines::{FileLine, bare_function};
use super::lex::{frame, group, line_number, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Which part of the report the last label has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Trace,
    Error,
    Rest,
}

/// A report that is being read.
pub(super) struct Testify {
    first_line: u64,
    /// Blanks in front of the labels; a line with fewer is not the report's.
    margin: usize,
    part: Part,
    message: Vec<String>,
    frames: Vec<TraceFrame>,
    /// The function whose place comes next, in an error that prints its stack.
    function: Option<String>,
}

impl Testify {
    /// Opens a report at its `Error Trace:` line.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        static TEST_LOG: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+\S+\.go:\d+:\s*$"));
        if !line.text.starts_with([' ', '\t']) {
            return None;
        }
        let margin = blanks(&line.text);
        let first = before.last().filter(|head| TEST_LOG.is_match(&head.text)).unwrap_or(line);
        let mut open = Self {
            first_line: first.number,
            margin,
            part: Part::Trace,
            message: Vec::new(),
            frames: Vec::new(),
            function: None,
        };
        let (_, place) = line.text.split_once("Error Trace:")?;
        open.place(place).then_some(open)
    }

    /// Reads `/srv/x_test.go:12`.
    fn place(&mut self, text: &str) -> bool {
        let Some((file, line)) = text.trim().rsplit_once(':').filter(|(file, _)| file.ends_with(".go")) else {
            return false;
        };
        let Some(line) = line_number(line) else { return false };
        self.push_frame(file, Some(line), None);
        true
    }

    fn push_frame(&mut self, file: &str, line: Option<u32>, function: Option<&str>) {
        if self.frames.len() < Trace::MAX_FRAMES {
            self.frames.push(frame(Language::Go, Some(file), line, function));
        }
    }

    fn error_text(&mut self, text: &str) {
        let trimmed = text.trim();
        if let (Some(file), Some(function)) = (FileLine::parse(text), self.function.take()) {
            self.push_frame(file.file, file.line, Some(&function));
            return;
        }
        self.function = bare_function(trimmed).map(str::to_owned);
        self.message.push(trimmed.to_owned());
    }
}

/// Blanks at the start of a line.
fn blanks(text: &str) -> usize {
    text.bytes().take_while(|&byte| byte == b' ').count()
}

impl OpenTrace for Testify {
    fn push(&mut self, line: &TextLine) -> Next {
        static LABEL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+(Error Trace|Error|Test|Messages):\s*(.*)$"));
        let text = line.text.as_str();
        if blanks(text) < self.margin || !text.starts_with([' ', '\t']) {
            return Next::End;
        }
        let Some(found) = LABEL.captures(text) else {
            match self.part {
                Part::Trace => {
                    if !self.place(text) {
                        return Next::End;
                    }
                }
                Part::Error => self.error_text(text),
                Part::Rest => {}
            }
            return Next::Take;
        };
        match group(&found, 1) {
            "Error Trace" => return Next::End,
            "Error" => {
                self.part = Part::Error;
                self.error_text(group(&found, 2));
            }
            _ => self.part = Part::Rest,
        }
        Next::Take
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if self.message.is_empty() {
            return None;
        }
        let in_app_top = self.frames.iter().position(|frame| frame.in_app);
        Some(Reading {
            trace: Trace {
                language: Language::Go,
                exception: None,
                message: self.message.join("\n").trim_end().to_owned(),
                frames: self.frames,
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
