//! A little stream with an open trace: which lines the trace has taken, and which it holds.

use std::collections::BTreeMap;

use super::driver::Found;
use super::prefix::{Fields, Head, Layer};
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
    pub(super) line: TextLine,
    /// A starter's regular expression matches it.
    pub(super) starter: bool,
    /// Grammars before this one have already been refused at this line.
    pub(super) from: usize,
}

/// What became of a line that was offered to an open trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// Taken or held.
    Kept,
    /// Taken; the trace has ended with it.
    Ended,
    /// Refused; the trace has ended before it.
    Refused,
    /// Kept, and the trace has grown so large that it must end.
    Full,
}

/// How a little stream's lines are told from others.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Key of the prefixes.
    pub(super) key: String,
    /// A logger's head behind the prefixes.
    pub(super) head: Option<Head>,
    /// Where the rest of the trace goes when only its first line has the prefix; `None` once that is decided.
    pub(super) fallback: Option<String>,
}

impl Route {
    /// Byte offset of the text of a line of this little stream.
    pub(super) fn text_at(&self, layers: &[Layer], text: &str) -> Option<usize> {
        let layer = layers.iter().rev().find(|layer| layer.key == self.key)?;
        let Some(head) = &self.head else { return Some(layer.at) };
        head.strip(text.get(layer.at..)?).map(|end| layer.at + end)
    }
}

/// A little stream with an open trace.
pub(super) struct Little {
    pub(super) route: Route,
    grammar: usize,
    trace: Box<dyn OpenTrace>,
    fields: Fields,
    before: Vec<TextLine>,
    taken: Vec<(Item, usize)>,
    held: Vec<(Item, usize)>,
    bytes: usize,
    /// Heads that the first line may have: the second line tells whether every line has one.
    rivals: Vec<Rival>,
}

/// A logger's head that may stand in front of every line of a trace.
#[derive(Clone, Debug)]
pub(super) struct Rival {
    /// Byte offset of the text behind it in the trace's first line.
    pub(super) at: usize,
    pub(super) head: Head,
    pub(super) fields: Fields,
}

/// What is left of a little stream when its trace has ended.
pub(super) struct Closed {
    /// The trace, if it was one.
    pub(super) found: Option<Found>,
    /// Lines to be offered anew, in order.
    pub(super) released: Vec<Item>,
    /// The lines up to this one belong to the trace.
    pub(super) covered: Option<u64>,
}

impl Little {
    /// Opens a little stream at `item`, whose text begins at byte `at`.
    pub(super) fn new(
        route: Route,
        grammar: usize,
        trace: Box<dyn OpenTrace>,
        fields: Fields,
        before: Vec<TextLine>,
        item: Item,
        at: usize,
    ) -> Self {
        let bytes = item.line.text.len();
        Self {
            route,
            grammar,
            trace,
            fields,
            before,
            taken: vec![(item, at)],
            held: Vec::new(),
            bytes,
            rivals: Vec::new(),
        }
    }

    /// Adds heads that the first line may have.
    pub(super) fn with_rivals(mut self, rivals: Vec<Rival>) -> Self {
        self.rivals = rivals;
        self
    }

    /// The heads that are still possible, once.
    pub(super) fn take_rivals(&mut self) -> Vec<Rival> {
        std::mem::take(&mut self.rivals)
    }

    /// The line at which the trace was opened.
    pub(super) fn starter(&self) -> Option<&Item> {
        self.taken.first().map(|(item, _)| item)
    }

    /// Number of the newest line of this little stream.
    pub(super) fn newest(&self) -> u64 {
        self.held.last().or(self.taken.last()).map_or(0, |(item, _)| item.line.number)
    }

    /// The first line that the trace may still claim.
    pub(super) fn oldest(&self) -> Option<(u64, u64)> {
        let line = self.before.first().or(self.taken.first().map(|(item, _)| &item.line))?;
        Some((line.start, line.number))
    }

    /// Offers a line whose text begins at byte `at`. A refused line is not kept.
    pub(super) fn offer(&mut self, item: &Item, at: usize) -> Offered {
        let next = self.trace.push(&text_from(&item.line, at));
        match next {
            Next::End => return Offered::Refused,
            Next::Hold => self.held.push((item.clone(), at)),
            Next::Take | Next::TakeAndEnd => {
                self.taken.append(&mut self.held);
                self.taken.push((item.clone(), at));
            }
        }
        self.bytes += item.line.text.len();
        if next == Next::TakeAndEnd {
            Offered::Ended
        } else if self.taken.len() + self.held.len() >= MAX_LINES || self.bytes >= MAX_BYTES {
            Offered::Full
        } else {
            Offered::Kept
        }
    }

    /// Ends the trace. `cut` says that something else than the trace itself ended it.
    pub(super) fn close(self, cut: bool) -> Closed {
        let Self { route: _, grammar, trace, fields, before, taken, held, bytes: _, rivals: _ } = self;
        let Some(reading) = trace.finish() else {
            // No trace after all: another grammar may read its first line.
            let mut released: Vec<Item> = taken.into_iter().chain(held).map(|(item, _)| item).collect();
            if let Some(first) = released.first_mut() {
                first.from = grammar + 1;
            }
            return Closed { found: None, released, covered: None };
        };
        let last = reading.last_line.unwrap_or_else(|| taken.last().map_or(0, |(item, _)| item.line.number));
        let split = taken.partition_point(|(item, _)| item.line.number <= last);
        let mut taken = taken;
        let rest = taken.split_off(split.max(1));
        let found = found(reading, fields, &before, &taken, cut);
        let released = rest.into_iter().chain(held).map(|(item, _)| item).collect();
        Closed { covered: Some(found.last_line), found: Some(found), released }
    }
}

/// The line's text from byte `at` on.
pub(super) fn text_from(line: &TextLine, at: usize) -> TextLine {
    TextLine {
        number: line.number,
        start: line.start,
        end: line.end,
        text: line.text.get(at..).unwrap_or_default().to_owned(),
    }
}

fn found(
    reading: Reading,
    prefix: BTreeMap<String, String>,
    before: &[TextLine],
    taken: &[(Item, usize)],
    cut: bool,
) -> Found {
    let Reading { mut trace, first_line, last_line: _ } = reading;
    let claimed = before.iter().filter(|line| line.number >= first_line);
    let spans = claimed.clone().map(|line| (line.number, line.start, line.end));
    let spans = spans.chain(taken.iter().map(|(item, _)| (item.line.number, item.line.start, item.line.end)));
    let mut lines = (u64::MAX, 0);
    let mut bytes = (u64::MAX, 0);
    for (number, start, end) in spans.filter(|&(number, ..)| number >= first_line) {
        lines = (lines.0.min(number), lines.1.max(number));
        bytes = (bytes.0.min(start), bytes.1.max(end));
    }
    trace.cut |= cut;
    trace.text.clear();
    let texts = claimed.map(|line| line.text.as_str()).chain(
        taken
            .iter()
            .filter(|(item, _)| item.line.number >= first_line)
            .map(|(item, at)| item.line.text.get(*at..).unwrap_or_default()),
    );
    for text in texts {
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
