//! Feeds lines to the grammars: prefixes, interleaved writers, held lines, caps, traces inside JSON lines.
//!
//! The driver has no clock and reads nothing: the scanner pushes lines from a starter on until [`Driver::idle`], and calls
//! [`Driver::flush`] when the stream falls silent or ends.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use regex::RegexSet;

use super::console_record::Record;
use super::contest::{Contest, Outcome};
use super::little::{Closed, Ending, Item, Little, Route, text_line};
use super::partial::Partial;
use super::prefix::{self, Fields, Layer};
use super::{Grammar, LOOKBACK, OpenTrace, json, openers};
use crate::detect::line::TextLine;
use crate::detect::{Language, Trace};

/// How many lines before a starter the scanner should push as [`Role::Context`].
pub const CONTEXT_LINES: usize = 32;

/// Most open traces: the ranks of a large job that print through each other into one stream.
const MAX_OPEN: usize = 256;
/// Most bytes of text that all open traces may keep.
const MAX_OPEN_BYTES: usize = 64 << 20;
/// An open trace ends when so many lines of other writers have passed since its last line.
const STALE_LINES: u64 = 2_000;
/// Where a text may begin: at the line's start, or behind what ends a prefix. Anywhere would be too often in healthy logs.
const BEHIND_PREFIX: &str = r"(?:^|[\])>:|}ZFP0-9-][ \t]?)";
/// Most bytes of one line that are looked at.
const MAX_LINE: usize = 256 * 1024;

/// One line of a stream as it was written, ANSI sequences removed.
#[derive(Clone, Copy, Debug)]
pub struct RawLine<'a> {
    /// 1-based number; lines are counted by LF.
    pub number: u64,
    /// Byte offset of the line's first byte in its stream.
    pub start: u64,
    /// Byte offset just behind the line's end (its LF included).
    pub end: u64,
    /// The bytes without the line's end and without ANSI sequences, with all prefixes.
    pub bytes: &'a [u8],
}

/// Why a line is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It stands before a starter; only the starter's trace may claim it.
    Context,
    /// One of [`Driver::starters`] matches it.
    Starter,
    /// None of them matches it, but a trace is open.
    Line,
}

/// A trace with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The trace.
    pub trace: Trace,
    /// Number of its first line.
    pub first_line: u64,
    /// Number of its last line. Lines of other writers may stand between the two.
    pub last_line: u64,
    /// From the first byte of the first line to the end of the last.
    pub bytes: Range<u64>,
    /// Values of the prefixes of its first line: `rank`, `node`, `timestamp`, ….
    pub prefix: BTreeMap<String, String>,
}

/// Reads stack traces of all languages out of one stream.
pub struct Driver {
    grammars: Arc<[Box<dyn Grammar>]>,
    /// Lines that belong to no trace, newest last.
    recent: VecDeque<Item>,
    open: Vec<Contest>,
    seen: u64,
    embedded: bool,
    partial: Partial,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("grammars", &self.grammars.len())
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl Driver {
    /// A driver for traces of these languages; an empty list means all.
    pub fn new(languages: &[Language]) -> Self {
        let wanted =
            |language: Language| languages.is_empty() || languages.iter().any(|&l| l.family() == language.family());
        Self::with(super::grammars().into_iter().filter(|grammar| wanted(grammar.language())).collect(), false)
    }

    fn with(grammars: Arc<[Box<dyn Grammar>]>, embedded: bool) -> Self {
        Self { grammars, recent: VecDeque::new(), open: Vec::new(), seen: 0, embedded, partial: Partial::default() }
    }

    /// Regular expressions (bytes, no Unicode, no look-around) of the lines that must be pushed as [`Role::Starter`].
    ///
    /// They run over raw lines without ANSI sequences but with prefixes: what a grammar expects at a line's start may stand
    /// behind one.
    pub fn starters(&self) -> Vec<String> {
        let mut starters: Vec<String> = Vec::new();
        let own = json::STARTERS.iter().copied();
        for starter in self.grammars.iter().flat_map(|grammar| grammar.starters().iter().copied()).chain(own) {
            let starter = match starter.strip_prefix('^') {
                Some(rest) => format!("{BEHIND_PREFIX}{rest}"),
                None => starter.to_owned(),
            };
            if !starters.contains(&starter) {
                starters.push(starter);
            }
        }
        starters
    }

    /// Takes the next line; returns the traces that ended with it or before it.
    ///
    /// Lines come in order; one that was pushed before is ignored.
    pub fn push(&mut self, line: &RawLine<'_>, role: Role) -> Vec<Found> {
        let mut found = Vec::new();
        if line.number <= self.seen {
            return found;
        }
        if self.idle() && line.number != self.seen + 1 {
            self.recent.clear();
        }
        self.seen = line.number;
        let Some((line, first, starter)) = self.partial.join(to_text(line), role == Role::Starter) else {
            return found;
        };
        let layers = prefix::layers(&line.text).into();
        let item = Item { line: Arc::new(line), first, layers, starter, from: 0 };
        if role == Role::Context {
            self.remember(item);
        } else {
            self.feed(vec![item], &mut found);
            self.retire(&mut found);
        }
        found
    }

    /// Whether no trace is open, so that lines without a starter need not be pushed.
    pub fn idle(&self) -> bool {
        self.open.is_empty() && self.partial.is_empty()
    }

    /// Byte offset and number of the first line that an open trace may still need.
    pub fn oldest_needed(&self) -> Option<(u64, u64)> {
        self.open.iter().filter_map(Contest::oldest).min()
    }

    /// Ends all open traces: the stream is silent or at its end.
    pub fn flush(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        if let Some((line, first, starter)) = self.partial.take() {
            let layers = prefix::layers(&line.text).into();
            self.feed(vec![Item { line: Arc::new(line), first, layers, starter, from: 0 }], &mut found);
        }
        let end = if self.embedded { Ending::Whole } else { Ending::Plain };
        while !self.open.is_empty() {
            self.close(0, end, &mut found);
        }
        found
    }

    fn feed(&mut self, items: Vec<Item>, found: &mut Vec<Found>) {
        let mut queue = VecDeque::from(items);
        while let Some(item) = queue.pop_front() {
            let Some(index) = self.route(&item) else {
                self.start(item, found);
                continue;
            };
            let Some(contest) = self.open.get_mut(index) else { continue };
            let mut released = Vec::new();
            match contest.offer(&item, &mut released) {
                Outcome::Kept => {}
                Outcome::Foreign => released.push(item),
                Outcome::Ended => released.extend(self.end(index, Ending::Plain, found)),
                Outcome::Full => released.extend(self.end(index, Ending::Cut, found)),
                Outcome::Refused => {
                    released.extend(self.end(index, Ending::Plain, found));
                    released.push(item);
                }
            }
            for released in released.into_iter().rev() {
                queue.push_front(released);
            }
        }
    }

    /// The open trace that a line belongs to: the one that knows most of what stands in front of it.
    fn route(&self, item: &Item) -> Option<usize> {
        let nearest = self.open.iter().enumerate().filter_map(|(index, open)| Some((open.nearest(item)?, index)));
        nearest.min().map(|(_, index)| index)
    }

    /// Opens a trace at a line that belongs to none, or remembers the line.
    fn start(&mut self, item: Item, found: &mut Vec<Found>) {
        if item.starter {
            if !self.embedded
                && item.from == 0
                && let Some(trace) = self.structured(&item)
            {
                self.forget_through(item.line.number, "");
                if let Some(contest) = going_on(&trace, &item) {
                    self.make_room(found);
                    self.open.push(contest);
                } else {
                    found.push(trace);
                }
                return;
            }
            if let Some(contest) = openers::open(&self.grammars, &item, |route| self.before(route, item.line.number)) {
                self.make_room(found);
                self.open.push(contest);
                return;
            }
        }
        self.remember(item);
    }

    /// The trace inside a structured line.
    fn structured(&self, item: &Item) -> Option<Found> {
        let texts = std::iter::once(item.line.text.as_str()).chain(item.layers.iter().map(|layer| layer.rest.as_str()));
        let (trace, said) = texts
            .filter(|text| text.trim_end().ends_with('}') || text.contains("\\n") || text.contains("#012"))
            .find_map(|text| json::read(text, |text| read_text(&self.grammars, text)))?;
        let mut prefix = item.layers.last().map_or_else(Fields::new, |layer| layer.fields.clone());
        for (name, value) in said {
            prefix.entry(name).or_insert(value);
        }
        let lines = (item.first.0, item.line.number);
        Some(Found { trace, first_line: lines.0, last_line: lines.1, bytes: item.first.1..item.line.end, prefix })
    }

    /// The lines of a little stream in front of line `number`.
    fn before(&self, route: &Route, number: u64) -> Vec<TextLine> {
        // A line at which a trace may have begun, which nothing has followed so far, is no trace yet.
        let pending = self.open.iter().filter_map(Contest::pending);
        let earlier = self.recent.iter().chain(pending).filter(|item| item.line.number < number);
        let mut before: Vec<TextLine> =
            earlier.filter_map(|item| Some(text_line(&item.line, route.text_of(&item.layers)?))).collect();
        before.sort_by_key(|line| line.number);
        before.split_off(before.len().saturating_sub(LOOKBACK))
    }

    fn remember(&mut self, item: Item) {
        let at = self.recent.partition_point(|known| known.line.number <= item.line.number);
        self.recent.insert(at, item);
        if self.recent.len() > CONTEXT_LINES {
            self.recent.pop_front();
        }
    }

    /// Forgets the lines of a little stream up to line `number`: they belong to a trace or stand before one.
    fn forget_through(&mut self, number: u64, key: &str) {
        self.recent.retain(|item| item.line.number > number || !item.layers.iter().any(|layer| layer.key == key));
    }

    /// Ends the oldest traces when there are too many. The lines they held stand before other traces now, at most.
    fn make_room(&mut self, found: &mut Vec<Found>) {
        while self.open.len() >= MAX_OPEN {
            for released in self.end(0, Ending::Cut, found) {
                self.remember(released);
            }
        }
    }

    /// Ends traces of which nothing is heard any more, and the oldest when their text is too large.
    fn retire(&mut self, found: &mut Vec<Found>) {
        while let Some(index) = self.open.iter().position(|open| open.is_stale(self.seen, STALE_LINES)) {
            self.close(index, Ending::Plain, found);
        }
        while self.open.iter().map(Contest::bytes).sum::<usize>() > MAX_OPEN_BYTES {
            self.close(0, Ending::Cut, found);
        }
    }

    /// Ends one trace and feeds its held lines to the others.
    fn close(&mut self, index: usize, end: Ending, found: &mut Vec<Found>) {
        let released = self.end(index, end, found);
        self.feed(released, found);
    }

    /// Ends one trace and returns the lines it gives back.
    fn end(&mut self, index: usize, end: Ending, found: &mut Vec<Found>) -> Vec<Item> {
        let open = self.open.remove(index);
        let route = open.route().cloned();
        let Closed { found: trace, released } = open.close(end);
        if let (Some(trace), Some(route)) = (&trace, route) {
            self.forget_through(trace.last_line, &route.key);
            let covers = |item: &Item| {
                (trace.first_line..=trace.last_line).contains(&item.line.number)
                    && route.text_of(&item.layers).is_some()
            };
            self.open.retain(|open| !open.pending().is_some_and(covers));
        }
        found.extend(trace);
        released
    }
}

/// A record's trace that may go on below the record.
fn going_on(found: &Found, item: &Item) -> Option<Contest> {
    let way = |layer: &Layer| {
        let route = Route { key: layer.key.clone(), head: None };
        let record = Record::open(&found.trace, &layer.rest, found.first_line)?;
        let opened: (usize, Box<dyn OpenTrace>) = (usize::MAX, Box::new(record));
        Some(Little::new(route, opened, found.prefix.clone(), Vec::new(), item.clone(), layer.rest.clone()))
    };
    Contest::new(item.layers.iter().rev().filter_map(way).collect())
}

/// The traces in a text that was found inside a field.
fn read_text(grammars: &Arc<[Box<dyn Grammar>]>, text: &str) -> Vec<Found> {
    static STARTERS: LazyLock<RegexSet> = LazyLock::new(all_starters);
    let mut driver = Driver::with(Arc::clone(grammars), true);
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let raw = RawLine { number, start: 0, end: 0, bytes: line.as_bytes() };
        let role = if STARTERS.is_match(line) { Role::Starter } else { Role::Line };
        found.extend(driver.push(&raw, role));
    }
    found.extend(driver.flush());
    found
}

#[expect(clippy::expect_used, reason = "the patterns are literals of this crate, and a test builds them")]
fn all_starters() -> RegexSet {
    RegexSet::new(Driver::new(&[]).starters()).expect("the starters are valid regular expressions")
}

fn to_text(line: &RawLine<'_>) -> TextLine {
    let bytes = line.bytes.get(..MAX_LINE).unwrap_or(line.bytes);
    let text = String::from_utf8_lossy(bytes);
    // A progress bar rewrites its line: what stands last is what a person sees.
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.rsplit('\r').next().unwrap_or(text);
    // rsyslog escapes control characters.
    let text = if text.contains("#011") { text.replace("#011", "\t") } else { text.to_owned() };
    TextLine { number: line.number, start: line.start, end: line.end, text }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
