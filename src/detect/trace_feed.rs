//! Hands the lines around a starter to the trace driver, and knows from where on a stream must be read again to get into the same
//! state.
//!
//! The driver's state depends on the lines it was given since its last beginning from nothing, so the runs of lines that it has seen
//! are chained: a run whose context touches the run before belongs to the same chain. Reading again from the start of the newest chain
//! repeats exactly what was done. A chain that grows too long is broken off; where, is decided by the bytes alone.

use memchr::{memchr2_iter, memrchr, memrchr2};

use super::Language;
use super::ansi;
use super::pieces::{Block, End, Piece};
use super::traceback::{CONTEXT_LINES, Driver, Found, RawLine, Role};

/// How far before a starter its context may begin, in bytes.
const CONTEXT_BYTES: usize = 32 * 1024;
/// Longest chain, in bytes: what has to be read again after a restart at most. A trace keeps 256 KiB of text.
const MAX_CHAIN: u64 = 16 << 20;

/// A line that a starter matches: position in its block and number.
pub(super) type Starter = (usize, u64);

/// Where a block stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Byte offset.
    pub(super) offset: u64,
    /// Number of the line that this byte is part of, from 1.
    pub(super) line: u64,
}

/// Feeds one driver from one stream.
#[derive(Debug)]
pub(super) struct TraceFeed {
    languages: Vec<Language>,
    driver: Driver,
    /// Number of the newest line the driver has seen.
    seen: u64,
    /// Start of the newest chain.
    chain: Option<Place>,
    /// The newest whole pieces of the stream: at least [`CONTEXT_BYTES`], as far as there are that many.
    history: Vec<u8>,
    /// No context is taken from before this offset.
    barrier: u64,
}

#[derive(Clone, Copy)]
struct ContextLine {
    /// In the history, or in the block.
    in_history: bool,
    from: usize,
    text_end: usize,
    end: usize,
    place: Place,
}

impl TraceFeed {
    /// For traces of these languages (none: all) in a stream that is read from `start` on.
    pub(super) fn new(languages: Vec<Language>, start: u64) -> Self {
        Self { driver: Driver::new(&languages), languages, seen: 0, chain: None, history: Vec::new(), barrier: start }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.driver.idle()
    }

    /// Takes the next block. `starters` are ascending. Each trace comes with the offset of the end of the line that closed it.
    pub(super) fn block(
        &mut self,
        block: Block<'_>,
        place: Place,
        starters: &[Starter],
        found: &mut Vec<(u64, Found)>,
    ) {
        self.walk(block, place, starters, found);
        let end = place.offset + len(block.bytes);
        self.remember(block.bytes);
        if block.cut {
            // The next piece is the rest of the same line: nothing in the bytes shows where it begins.
            self.history.clear();
            self.barrier = end;
        }
    }

    /// Shows the driver an unterminated line that may still grow, then ends all traces. Afterwards the driver is as new, and the
    /// line may be handed over as if it had never been seen.
    pub(super) fn silence(&mut self, tail: &[u8], place: Place, starters: &[Starter]) -> Vec<Found> {
        let mut found = Vec::new();
        if !tail.is_empty() {
            self.walk(Block { bytes: tail, cut: true }, place, starters, &mut found);
        }
        let mut found: Vec<Found> = found.into_iter().map(|(_, found)| found).collect();
        found.extend(self.driver.flush());
        self.begin_anew(place.offset);
        found
    }

    /// From where to read again to get here, if the stream has been taken up to `here`.
    pub(super) fn resume(&self, here: Place) -> Place {
        let context = self.context(&[], 0, here);
        let oldest = context.last().map_or(here, |line| line.place);
        match self.chain {
            Some(chain) if self.is_open() || self.touches(oldest) => chain,
            _ => oldest,
        }
    }

    fn walk(&mut self, block: Block<'_>, place: Place, starters: &[Starter], found: &mut Vec<(u64, Found)>) {
        let mut starters = starters.iter().copied().peekable();
        let (mut at, mut line) = (0, place.line);
        while at < block.bytes.len() {
            if !self.is_open() {
                let Some((start, number)) = starters.by_ref().find(|(start, _)| *start >= at) else { return };
                let piece = block.piece(start);
                if piece.how != End::Redraw {
                    self.open(block, place, piece, number);
                    self.push(block.bytes, place, piece, number, Role::Starter, found);
                }
                (at, line) = after(piece, number);
                continue;
            }
            let piece = block.piece(at);
            if piece.how != End::Redraw {
                while starters.next_if(|(start, _)| *start < at).is_some() {}
                let starts = starters.next_if(|(start, _)| *start == at).is_some();
                self.push(block.bytes, place, piece, line, if starts { Role::Starter } else { Role::Line }, found);
            }
            (at, line) = after(piece, line);
        }
    }

    /// Begins a run: pushes the context of the starter at `piece`.
    fn open(&mut self, block: Block<'_>, place: Place, piece: Piece, number: u64) {
        let here = Place { offset: place.offset + position(piece.start), line: number };
        let context = self.context(block.bytes, piece.start, here);
        let oldest = context.last().map_or(here, |line| line.place);
        if self.chain.is_none() || !self.touches(oldest) {
            self.chain = Some(oldest);
        }
        let history = std::mem::take(&mut self.history);
        for line in context.iter().rev().filter(|line| line.place.line > self.seen) {
            let buffer = if line.in_history { history.as_slice() } else { block.bytes };
            let bytes = ansi::strip(buffer.get(line.from..line.text_end).unwrap_or_default());
            let Place { offset: start, line: number } = line.place;
            let end = start + position(line.end - line.from);
            // A line of context never ends a trace: none is open.
            self.driver.push(&RawLine { number, start, end, bytes: &bytes }, Role::Context);
        }
        self.history = history;
    }

    fn push(
        &mut self,
        bytes: &[u8],
        place: Place,
        piece: Piece,
        number: u64,
        role: Role,
        found: &mut Vec<(u64, Found)>,
    ) {
        let text = ansi::strip(bytes.get(piece.start..piece.text_end).unwrap_or_default());
        let (start, end) = (place.offset + position(piece.start), place.offset + position(piece.end));
        let line = RawLine { number, start, end, bytes: &text };
        found.extend(self.driver.push(&line, role).into_iter().map(|trace| (end, trace)));
        self.seen = number;
        if self.chain.is_some_and(|chain| end.saturating_sub(chain.offset) > MAX_CHAIN) {
            found.extend(self.driver.flush().into_iter().map(|trace| (end, trace)));
            self.begin_anew(end);
        }
    }

    /// Forgets everything that came before `barrier`. No trace may be open.
    pub(super) fn begin_anew(&mut self, barrier: u64) {
        self.driver = Driver::new(&self.languages);
        self.seen = 0;
        self.chain = None;
        self.barrier = barrier;
    }

    /// Whether a run whose first line is `first` belongs to the current chain: the driver keeps what it remembers as long as no line
    /// is left out.
    fn touches(&self, first: Place) -> bool {
        first.line <= self.seen + 1
    }

    /// Lines in front of `here`, which is byte `at` of `block`, newest first.
    fn context(&self, block: &[u8], at: usize, here: Place) -> Vec<ContextLine> {
        let floor = self.barrier.max(here.offset.saturating_sub(CONTEXT_BYTES as u64));
        let block_offset = here.offset - position(at);
        let mut context = Vec::new();
        let mut number = here.line;
        let history = (self.history.as_slice(), self.history.len(), block_offset - len(&self.history), true);
        for (bytes, until, offset, in_history) in [(block, at, block_offset, false), history] {
            let mut before = bytes.get(..until).unwrap_or_default();
            while let Some(line_feed) = memrchr(b'\n', before) {
                let line = before.get(..line_feed).unwrap_or_default();
                let text_end = line.len() - line.iter().rev().take(4).take_while(|byte| **byte == b'\r').count();
                let from = memrchr2(b'\n', b'\r', line.get(..text_end).unwrap_or_default()).map_or(0, |at| at + 1);
                number = number.saturating_sub(1);
                let place = Place { offset: offset + position(from), line: number };
                if place.offset < floor || context.len() >= CONTEXT_LINES {
                    return context;
                }
                context.push(ContextLine { in_history, from, text_end, end: line_feed + 1, place });
                before = line;
            }
        }
        context
    }

    fn remember(&mut self, block: &[u8]) {
        if block.len() >= 2 * CONTEXT_BYTES {
            self.history.clear();
            self.history.extend_from_slice(newest(block));
            return;
        }
        self.history.extend_from_slice(block);
        if self.history.len() > 4 * CONTEXT_BYTES {
            let kept = newest(&self.history).len();
            self.history.drain(..self.history.len() - kept);
        }
    }
}

/// The pieces that begin in the last [`CONTEXT_BYTES`] of `bytes`.
fn newest(bytes: &[u8]) -> &[u8] {
    let Some(before) = bytes.len().checked_sub(CONTEXT_BYTES + 1) else { return bytes };
    let newest = bytes.get(before..).unwrap_or_default();
    let piece_end = memchr2_iter(b'\n', b'\r', newest)
        .find(|at| newest.get(*at) == Some(&b'\n') || !matches!(newest.get(at + 1), None | Some(b'\n' | b'\r')));
    piece_end.and_then(|at| newest.get(at + 1..)).unwrap_or_default()
}

fn after(piece: Piece, number: u64) -> (usize, u64) {
    (piece.end, number + u64::from(piece.how == End::Line))
}

fn position(at: usize) -> u64 {
    at as u64
}

fn len(bytes: &[u8]) -> u64 {
    position(bytes.len())
}
