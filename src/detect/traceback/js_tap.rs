//! Failed tests in TAP: `not ok 2 - name`, then a YAML block with the error. Node's runner, tape, AVA, Vitest.

use std::sync::LazyLock;

use regex::Regex;

use super::js_lines::{Head, parse_call};
use super::js_report::{language_of, reading};
use super::lex::{group, indent, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::TraceFrame;

/// Most lines of one block; a diff of two objects is long.
const MAX_LINES: usize = 400;

/// A YAML block that is being read.
pub(super) struct TapBlock {
    first_line: u64,
    /// Indentation of `not ok`.
    depth: usize,
    head: Head,
    frames: Vec<TraceFrame>,
    /// The place that stands beside the stack or instead of it.
    place: Option<TraceFrame>,
    /// The key whose value goes on over several lines.
    key: String,
    lines: usize,
    /// Indentation of the block's own keys.
    margin: Option<usize>,
    /// The test has failed because of its subtests, or was expected to: it has no error of its own.
    excused: bool,
}

impl TapBlock {
    /// Opens at `not ok 2 - name`.
    pub(super) fn open(line: &TextLine) -> Self {
        Self {
            first_line: line.number,
            depth: indent(&line.text),
            head: Head::default(),
            frames: Vec::new(),
            place: None,
            key: String::new(),
            lines: 0,
            margin: None,
            excused: line.text.contains("# TODO") || line.text.contains("# SKIP"),
        }
    }

    fn value(&mut self, value: &str) {
        let block = matches!(value, "|-" | "|" | ">-" | ">" | "|2-" | "");
        let plain = value.trim_matches(['\'', '"']);
        match self.key.as_str() {
            "error" | "message" if !block && self.head.message.is_empty() => plain.clone_into(&mut self.head.message),
            "name" if !block => self.head.exception = Some(plain.to_owned()),
            "at" if !block => self.place = parse_call(plain),
            "failureType" if plain == "subtestsFailed" => self.excused = true,
            _ => {}
        }
    }

    fn more(&mut self, text: &str) {
        match self.key.as_str() {
            "at" => self.place = self.place.take().or_else(|| parse_call(text)),
            "stack" => match parse_call(text.trim_start().trim_start_matches("at ")) {
                Some(frame) => self.frames.push(frame),
                None => self.head_of(text),
            },
            "error" | "message" => {
                if !self.head.message.is_empty() {
                    self.head.message.push('\n');
                }
                self.head.message.push_str(text.trim());
            }
            _ => {}
        }
    }

    /// The head of the stack, as tape prints it.
    fn head_of(&mut self, text: &str) {
        let Some(head) = Head::bare(text) else { return };
        self.head.exception = self.head.exception.take().or(head.exception);
        if self.head.message.is_empty() {
            self.head.message = head.message;
        }
    }
}

impl OpenTrace for TapBlock {
    fn push(&mut self, line: &TextLine) -> Next {
        static KEY: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^\s+(error|code|name|message|stack|expected|actual|operator|assertion|details|values|at|location|failureType|duration_ms|type|diff): ?(.*)$",
            )
        });
        let text = line.text.as_str();
        self.lines += 1;
        if self.lines == 1 && (text.trim() != "---" || indent(text) <= self.depth) {
            return Next::End;
        }
        if self.excused || self.lines > MAX_LINES {
            return Next::End;
        }
        if text.trim() == "..." {
            return Next::TakeAndEnd;
        }
        if text.trim_start().starts_with("not ok ") || text.trim_start().starts_with("ok ") {
            return Next::End;
        }
        let margin = if self.lines > 1 { *self.margin.get_or_insert(indent(text)) } else { usize::MAX };
        // What the test compared may have such keys of its own.
        let quoted = matches!(self.key.as_str(), "details" | "values" | "expected" | "actual" | "diff");
        match KEY.captures(text).filter(|_| !quoted || indent(text) <= margin) {
            // A stack has no keys, but the message of its head may look like one.
            Some(found) if self.key != "stack" || parse_call(text.trim_start()).is_none() => {
                group(&found, 1).clone_into(&mut self.key);
                let value = group(&found, 2).to_owned();
                self.value(&value);
            }
            _ => self.more(text),
        }
        Next::Take
    }

    fn finish(mut self: Box<Self>) -> Option<Reading> {
        if self.excused || self.lines < 2 {
            return None;
        }
        if self.frames.is_empty() {
            self.frames.extend(self.place);
        }
        if self.frames.is_empty() && self.head.message.is_empty() {
            return None;
        }
        let in_app_top = self.frames.iter().position(|f| f.in_app);
        let language = language_of(&self.frames, in_app_top);
        Some(reading(language, self.head, self.frames, in_app_top, Vec::new(), self.first_line))
    }
}
