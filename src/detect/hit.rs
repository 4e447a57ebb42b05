//! Where in a block something was hit, and in which words it is told.

use std::collections::BTreeMap;

use memchr::{memchr_iter, memrchr2};
use regex::bytes::{Captures, Regex};

use super::Trace;
use super::pieces::Block;

/// Most characters of a message.
const MAX_MESSAGE: usize = 200;
/// Most characters of a capture.
const MAX_CAPTURE: usize = 1000;

/// A segment that was hit.
pub(super) struct Segment<'b> {
    pub(super) text: &'b [u8],
    /// Position in the block.
    pub(super) start: usize,
    /// End of its piece: where its detections are emitted.
    pub(super) emitted_at: usize,
}

impl<'b> Segment<'b> {
    pub(super) fn around(block: Block<'b>, inside: usize) -> Self {
        let before = block.bytes.get(..inside).unwrap_or_default();
        let start = memrchr2(b'\n', b'\r', before).map_or(0, |at| at + 1);
        let piece = block.piece(start);
        let text = block.bytes.get(start..piece.text_end).unwrap_or_default();
        Self { text, start, emitted_at: piece.end }
    }
}

/// Counts lines up to ascending positions.
pub(super) struct Lines {
    pub(super) number: u64,
    pub(super) at: usize,
}

impl Lines {
    pub(super) fn number_at(&mut self, bytes: &[u8], at: usize) -> u64 {
        self.number += memchr_iter(b'\n', bytes.get(self.at..at).unwrap_or_default()).count() as u64;
        self.at = at;
        self.number
    }
}

/// What a pattern matched, and its groups by name or number.
pub(super) fn read_match(regex: &Regex, text: &[u8]) -> (String, BTreeMap<String, String>) {
    let Some(captures) = regex.captures(text) else { return (String::new(), BTreeMap::new()) };
    let message = captures.get(0).map_or(String::new(), |whole| shorten(whole.as_bytes(), MAX_MESSAGE));
    (message, groups(regex, &captures))
}

/// The text from where a pattern matched to the end of the line, and its groups; `None` without a match. A pattern that
/// begins with a colon means what stands before it: `./solver: Permission denied`.
pub(super) fn read_from_match(regex: &Regex, text: &[u8]) -> Option<(String, BTreeMap<String, String>)> {
    let captures = regex.captures(text)?;
    let start = captures.get(0).map_or(0, |whole| whole.start());
    let start = if text.get(start) == Some(&b':') {
        let before = text.get(..start).unwrap_or_default();
        before.iter().rposition(u8::is_ascii_whitespace).map_or(0, |space| space + 1)
    } else {
        start
    };
    let message = text.get(start..).unwrap_or_default().trim_ascii();
    Some((shorten(message, MAX_MESSAGE), groups(regex, &captures)))
}

fn groups(regex: &Regex, captures: &Captures<'_>) -> BTreeMap<String, String> {
    let groups = regex.capture_names().zip(captures.iter()).enumerate().skip(1);
    let groups = groups.filter_map(|(index, (name, group))| {
        let name = name.map_or_else(|| index.to_string(), str::to_owned);
        Some((name, shorten(group?.as_bytes(), MAX_CAPTURE)))
    });
    groups.collect()
}

/// `Type: first line of the message`, or whichever part there is.
pub(super) fn headline(trace: &Trace) -> String {
    let first = trace.message.lines().next().unwrap_or_default().trim_end();
    let whole = match trace.exception.as_deref() {
        Some(exception) if first.is_empty() => exception.to_owned(),
        Some(exception) => format!("{exception}: {first}"),
        None => first.to_owned(),
    };
    shorten(whole.as_bytes(), MAX_MESSAGE)
}

fn shorten(text: &[u8], most: usize) -> String {
    // A character has at most four bytes.
    let enough = text.get(..most * 4).unwrap_or(text);
    String::from_utf8_lossy(enough).chars().take(most).collect()
}
