//! A little stream with an open trace: which lines the trace has taken, and which it holds.

use std::sync::Arc;

use super::driver::Found;
use super::head::Head;
use super::prefix::{Fields, Layer};
use super::{Next, OpenTrace, Reading};
use crate::detect::Trace;
use crate::detect::line::TextLine;

/// Most lines that one open trace may cover.
pub(super) const MAX_LINES: usize = 20_000;
/// Most bytes of text that one open trace may keep.
const MAX_BYTES: usize = 2 * Trace::MAX_TEXT;

/// A line as it came, with what the driver has tried on it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The whole line, prefixes included.
    pub(super) line: Arc<TextLine>,
    /// Number and first byte of the line at which it began, where a collector has cut it into several.
    pub(super) first: (u64, u64),
    /// The line behind its prefixes.
    pub(super) layers: Arc<[Layer]>,
    /// A starter's regular expression matches it.
    pub(super) starter: bool,
    /// Grammars before this one have already been refused at this line.
    pub(super) from: usize,
}

/// What became of a line that was offered to an open trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// Part of the trace.
    Taken,
    /// Perhaps part of it.
    Held,
    /// Taken; the trace has ended with it.
    Ended,
    /// Refused; the trace has ended before it.
    Refused,
    /// Kept, and the trace has grown so large that it must end.
    Full,
}

/// How a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself, by another line, by silence.
    Plain,
    /// Something else than the trace itself ended it.
    Cut,
    /// With the text of the field that holds it.
    Whole,
}

/// How a little stream's lines are told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Key of the prefixes.
    pub(super) key: String,
    /// A learned head behind the prefixes.
    pub(super) head: Option<Head>,
}

impl Route {
    /// The text of a line of this little stream.
    pub(super) fn text_of<'l>(&self, layers: &'l [Layer]) -> Option<&'l str> {
        let layer = layers.iter().rev().find(|layer| layer.key == self.key)?;
        match &self.head {
            None => Some(&layer.rest),
            Some(head) => head.strip(&layer.rest),
        }
    }
}

/// A little stream with an open trace.
pub(super) struct Little {
    pub(super) route: Route,
    /// Nothing but a second line of the same kind shows that the route is right.
    unproven: bool,
    pub(super) grammar: usize,
    trace: Box<dyn OpenTrace>,
    fields: Fields,
    before: Vec<TextLine>,
    taken: Vec<(Item, String)>,
    held: Vec<(Item, String)>,
    bytes: usize,
}

/// What is left of a little stream when its trace has ended.
pub(super) struct Closed {
    /// The trace, if it was one.
    pub(super) found: Option<Found>,
    /// Lines to be offered anew, in order.
    pub(super) released: Vec<Item>,
}

impl Little {
    /// Opens a little stream at `item`, whose text is `text`.
    pub(super) fn new(
        route: Route,
        (grammar, trace): (usize, Box<dyn OpenTrace>),
        fields: Fields,
        before: Vec<TextLine>,
        item: Item,
        text: String,
    ) -> Self {
        let bytes = item.line.text.len();
        let taken = vec![(item, text)];
        Self { route, unproven: false, grammar, trace, fields, before, taken, held: Vec::new(), bytes }
    }

    /// Says that the route is a mere guess.
    pub(super) fn unproven(mut self) -> Self {
        self.unproven = true;
        self
    }

    /// Whether only a second line can show that the route is right.
    pub(super) fn is_guess(&self) -> bool {
        self.unproven
    }

    /// Adds what a head says, where the prefixes have not said it.
    pub(super) fn add_fields(&mut self, fields: &Fields) {
        for (name, value) in fields {
            self.fields.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    /// The line at which the trace was opened.
    pub(super) fn starter(&self) -> Option<&Item> {
        self.taken.first().map(|(item, _)| item)
    }

    /// The line at which the trace was opened, when it has taken no other.
    pub(super) fn only_line(&self) -> Option<&Item> {
        self.starter().filter(|_| self.taken.len() == 1)
    }

    /// Number of the newest line of this little stream.
    pub(super) fn newest(&self) -> u64 {
        self.held.last().or(self.taken.last()).map_or(0, |(item, _)| item.line.number)
    }

    /// Bytes of text that it keeps.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first line that the trace may still claim.
    pub(super) fn oldest(&self) -> Option<(u64, u64)> {
        let first = self.taken.first().map(|(item, _)| (item.first.1, item.first.0));
        self.before.first().map(|line| (line.start, line.number)).or(first)
    }

    /// The text of a line, if it is one of this little stream. Lines that were given back by another trace may be older than
    /// what has been read here: these are not.
    pub(super) fn text_of<'l>(&self, item: &'l Item) -> Option<&'l str> {
        self.route.text_of(&item.layers).filter(|_| item.line.number > self.newest())
    }

    /// Offers a line of this little stream. A refused line is not kept.
    pub(super) fn offer(&mut self, item: &Item, text: String) -> Offered {
        let line = text_line(&item.line, &text);
        let next = self.trace.push(&line);
        match next {
            Next::End => return Offered::Refused,
            Next::Hold => self.held.push((item.clone(), text)),
            Next::Take | Next::TakeAndEnd => {
                self.taken.append(&mut self.held);
                self.taken.push((item.clone(), text));
            }
        }
        self.bytes += item.line.text.len();
        if next == Next::TakeAndEnd {
            Offered::Ended
        } else if self.taken.len() + self.held.len() >= MAX_LINES || self.bytes >= MAX_BYTES {
            Offered::Full
        } else if next == Next::Hold {
            Offered::Held
        } else {
            Offered::Taken
        }
    }

    /// Gives the held lines back; the trace is dropped.
    pub(super) fn into_held(self) -> Vec<Item> {
        self.held.into_iter().map(|(item, _)| item).collect()
    }

    /// Ends the trace.
    pub(super) fn close(self, end: Ending) -> Closed {
        let Self { route: _, unproven, grammar: _, mut trace, mut fields, before, mut taken, mut held, bytes: _ } =
            self;
        if trace.claims_held(end == Ending::Whole) {
            let last = held.iter().rposition(|(_, text)| !text.trim().is_empty()).map_or(0, |last| last + 1);
            let blank = held.split_off(last);
            taken.append(&mut held);
            held = blank;
        }
        for (name, value) in trace.fields() {
            fields.insert(name, value);
        }
        let Some(reading) = trace.finish().filter(|_| !unproven || taken.len() > 1) else {
            let released = taken.into_iter().chain(held).map(|(item, _)| item).collect();
            return Closed { found: None, released };
        };
        let last = reading.last_line.unwrap_or_else(|| taken.last().map_or(0, |(item, _)| item.line.number));
        let split = taken.partition_point(|(item, _)| item.line.number <= last);
        let rest = taken.split_off(split.max(1));
        let found = found(reading, fields, &before, &taken, end == Ending::Cut);
        let released = rest.into_iter().chain(held).map(|(item, _)| item).collect();
        Closed { found: Some(found), released }
    }
}

/// The line with another text.
pub(super) fn text_line(line: &TextLine, text: &str) -> TextLine {
    TextLine { number: line.number, start: line.start, end: line.end, text: text.to_owned() }
}

fn found(reading: Reading, prefix: Fields, before: &[TextLine], taken: &[(Item, String)], cut: bool) -> Found {
    let Reading { mut trace, first_line, last_line: _ } = reading;
    let claimed = before.iter().filter(|line| line.number >= first_line);
    let taken = taken.iter().filter(|(item, _)| item.line.number >= first_line);
    let spans = claimed.clone().map(|line| (line.number, line.number, line.start, line.end));
    let spans =
        spans.chain(taken.clone().map(|(Item { line, first, .. }, _)| (first.0, line.number, first.1, line.end)));
    let mut lines = (u64::MAX, 0);
    let mut bytes = (u64::MAX, 0);
    for (first, last, start, end) in spans {
        lines = (lines.0.min(first), lines.1.max(last));
        bytes = (bytes.0.min(start), bytes.1.max(end));
    }
    trace.cut |= cut;
    trace.text.clear();
    for text in claimed.map(|line| line.text.as_str()).chain(taken.map(|(_, text)| text.as_str())) {
        if trace.text.len() + text.len() + 1 > Trace::MAX_TEXT {
            trace.cut = true;
            break;
        }
        if !trace.text.is_empty() {
            trace.text.push('\n');
        }
        trace.text.push_str(text);
    }
    cap_frames(&mut trace);
    Found { trace, first_line: lines.0, last_line: lines.1, bytes: bytes.0..bytes.1, prefix }
}

/// Keeps the first [`Trace::MAX_FRAMES`] frames.
pub(super) fn cap_frames(trace: &mut Trace) {
    if trace.frames.len() > Trace::MAX_FRAMES {
        trace.frames.truncate(Trace::MAX_FRAMES);
        trace.cut = true;
        trace.in_app_top = trace.in_app_top.filter(|&index| index < Trace::MAX_FRAMES);
    }
}
