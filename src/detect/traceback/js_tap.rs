//! Failed tests of Node's runner in TAP: `not ok 2 - name`, then a YAML block with the stack.

use std::sync::LazyLock;

use regex::Regex;

use super::js::{language_of, reading};
use super::js_lines::{Head, parse_call};
use super::lex::{group, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::TraceFrame;

/// A YAML block that is being read.
pub(super) struct TapBlock {
    first_line: u64,
    head: Head,
    frames: Vec<TraceFrame>,
    /// The key whose value goes on over several lines.
    key: String,
}

impl TapBlock {
    /// Opens at `failureType: '…'`. A test that failed because of its subtests has no error of its own.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        if line.text.contains("subtestsFailed") {
            return None;
        }
        let title = before.iter().rev().find(|title| title.text.trim_start().starts_with("not ok "))?;
        Some(Self { first_line: title.number, head: Head::default(), frames: Vec::new(), key: String::new() })
    }
}

impl OpenTrace for TapBlock {
    fn push(&mut self, line: &TextLine) -> Next {
        static KEY: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^\s*(error|code|name|stack|expected|actual|operator|location|failureType|duration_ms|type|diff): ?(.*)$",
            )
        });
        let text = line.text.as_str();
        if text.trim() == "..." {
            return Next::TakeAndEnd;
        }
        if text.trim_start().starts_with("not ok ") || text.trim_start().starts_with("ok ") {
            return Next::End;
        }
        if self.key == "stack"
            && let Some(frame) = parse_call(text.trim_start().trim_start_matches("at "))
        {
            self.frames.push(frame);
            return Next::Take;
        }
        if let Some(found) = KEY.captures(text) {
            group(&found, 1).clone_into(&mut self.key);
            let value = group(&found, 2);
            let block = matches!(value, "|-" | "|" | ">-" | ">" | "");
            let value = value.trim_matches(['\'', '"']);
            match self.key.as_str() {
                "error" if !block => value.clone_into(&mut self.head.message),
                "name" if !block => self.head.exception = Some(value.to_owned()),
                _ => {}
            }
        } else if self.key == "error" {
            if !self.head.message.is_empty() {
                self.head.message.push('\n');
            }
            self.head.message.push_str(text.trim());
        }
        Next::Take
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if self.frames.is_empty() && self.head.message.is_empty() {
            return None;
        }
        let in_app_top = self.frames.iter().position(|f| f.in_app);
        let language = language_of(&self.frames, in_app_top);
        Some(reading(language, self.head, self.frames, in_app_top, Vec::new(), self.first_line))
    }
}
