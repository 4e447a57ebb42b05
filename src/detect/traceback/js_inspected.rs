//! A stack inside a printed object: `stack: 'Error: x\n' +`, then a quoted line per frame, as `util.inspect` breaks long texts.
//!
//! Printed so by `console.log({ stack })`, by winston's `prettyPrint`, and for errors that came from another process.

use super::js_lines::{Head, parse_frame};
use super::js_report::{Open, Place};
use super::{Next, OpenTrace, Reading, TextLine};

/// Most lines of a message above the first frame.
const MESSAGE_LINES: usize = 24;

/// A quoted stack that is being read.
pub(super) struct Inspected(Box<Open>);

impl Inspected {
    /// Opens at the first quoted frame; the quoted head is above it.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        let (frame, _) = unquote(&line.text)?;
        parse_frame(&frame)?;
        let (at, head) = before.iter().enumerate().rev().take(MESSAGE_LINES).find_map(|(at, above)| {
            let value = keyed(&above.text).unwrap_or(&above.text);
            let head = unquote(value).filter(|(_, more)| *more).and_then(|(text, _)| Head::bare(&text));
            head.map(|head| (at, head))
        })?;
        let mut open = Open::new(Head { indent: 0, ..head }, before.get(at)?.number, Place::Message(0));
        for above in before.get(at + 1..).unwrap_or_default() {
            let (text, _) = unquote(&above.text).filter(|(_, more)| *more)?;
            open.push(&TextLine { text, ..above.clone() });
        }
        open.push(&TextLine { text: frame, ..line.clone() });
        Some(Self(Box::new(open)))
    }
}

impl OpenTrace for Inspected {
    fn push(&mut self, line: &TextLine) -> Next {
        let Some((text, more)) = unquote(&line.text) else { return Next::End };
        let next = self.0.push(&TextLine { text, ..line.clone() });
        if more || next != Next::Take { next } else { Next::TakeAndEnd }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        self.0.finish()
    }
}

/// The value of `stack: '…`.
fn keyed(text: &str) -> Option<&str> {
    let (key, value) = text.trim_start().split_once(": ")?;
    let named = key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '\'' | '"' | '[' | ']' | '{' | ' '));
    named.then_some(value)
}

/// The text between the quotes without its line end, and whether the string goes on in the next line.
fn unquote(text: &str) -> Option<(String, bool)> {
    let body = text.trim();
    let quote = body.chars().next().filter(|c| matches!(c, '\'' | '"' | '`'))?;
    let (inner, more) = match body.strip_suffix(" +").and_then(|body| body.strip_suffix(quote)) {
        Some(inner) => (inner, true),
        None => (body.trim_end_matches([',', ' ', '}', ']', ')']).strip_suffix(quote)?, false),
    };
    let inner = inner.strip_prefix(quote)?;
    let inner = inner.strip_suffix("\\n").unwrap_or(inner);
    Some((inner.replace("\\'", "'").replace("\\\\", "\\"), more))
}
