//! A trace that has begun, and how its other lines may look.
//!
//! The first line of a trace may stand behind a prefix. Whether the other lines have the prefix too, and which part of it, is
//! not written anywhere: each way to read on is a [`Little`] of its own, and the first whose trace takes a line has it.

use super::little::{Closed, Ending, Item, Little, Offered, Route};

/// Most ways to read on.
pub(super) const MAX_WAYS: usize = 8;
/// A trace ends when so many lines have not shown which way is right.
const MAX_UNDECIDED: usize = 64;

/// Ways to read one trace, the surest first. There is at least one.
pub(super) struct Contest {
    ways: Vec<Little>,
    /// Lines seen that have not decided between the ways.
    undecided: usize,
    /// What the last way that is no mere guess has told, when it has ended.
    told: Option<Closed>,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It belongs to the trace, or may do so.
    Kept,
    /// It belongs to the trace, which has ended with it.
    Ended,
    /// The trace has ended before it.
    Refused,
    /// The trace has ended with it because it is too large.
    Full,
    /// It was none of this trace's lines.
    Foreign,
}

impl Contest {
    /// `None` when there is no way.
    pub(super) fn new(ways: Vec<Little>) -> Option<Self> {
        (!ways.is_empty()).then_some(Self { ways, undecided: 0, told: None })
    }

    /// Length of what is left of a line behind the most prefixes that a way knows; `None` when no way sees the line.
    pub(super) fn nearest(&self, item: &Item) -> Option<usize> {
        self.ways.iter().filter_map(|way| way.text_of(item)).map(str::len).min()
    }

    /// The surest way's route.
    pub(super) fn route(&self) -> Option<&Route> {
        self.ways.first().map(|way| &way.route)
    }

    /// The line that opened the trace, as long as no other has been taken.
    pub(super) fn pending(&self) -> Option<&Item> {
        self.ways.first().and_then(Little::only_line)
    }

    /// Whether nothing has been heard of it for too long.
    pub(super) fn is_stale(&self, seen: u64, stale: u64) -> bool {
        let newest = self.ways.iter().map(Little::newest).max().unwrap_or_default();
        seen > newest.saturating_add(stale) || (self.ways.len() > 1 && self.undecided > MAX_UNDECIDED)
    }

    /// Bytes of text that it keeps.
    pub(super) fn bytes(&self) -> usize {
        self.ways.iter().map(Little::bytes).sum()
    }

    /// The first line that the trace may still claim.
    pub(super) fn oldest(&self) -> Option<(u64, u64)> {
        self.ways.iter().filter_map(Little::oldest).min()
    }

    /// Offers a line to the ways that take most off it. Lines that a dropped way had held are added to `released`.
    pub(super) fn offer(&mut self, item: &Item, released: &mut Vec<Item>) -> Outcome {
        let mut seeing: Vec<(usize, usize)> =
            self.ways.iter().enumerate().filter_map(|(index, way)| Some((way.text_of(item)?.len(), index))).collect();
        seeing.sort_unstable();
        let nearest = seeing.first().map_or(0, |&(rest, _)| rest);
        let mut held = false;
        let mut dropped = Vec::new();
        for &(rest, index) in &seeing {
            if rest > nearest {
                // The prefix is on this line too: a way that does not take it off reads it as text.
                dropped.push(index);
                continue;
            }
            let Some(way) = self.ways.get_mut(index) else { continue };
            let Some(text) = way.text_of(item).map(str::to_owned) else { continue };
            let outcome = match way.offer(item, text) {
                Offered::Held => {
                    held = true;
                    continue;
                }
                Offered::Refused => {
                    dropped.push(index);
                    continue;
                }
                Offered::Taken => Outcome::Kept,
                Offered::Ended => Outcome::Ended,
                Offered::Full => Outcome::Full,
            };
            self.decide(index, item, released);
            return outcome;
        }
        self.undecided += 1;
        if held {
            return Outcome::Kept;
        }
        if dropped.len() == self.ways.len() {
            return Outcome::Refused;
        }
        dropped.sort_unstable();
        let opened = self.pending().map_or(0, |item| item.line.number);
        for index in dropped.into_iter().rev() {
            let way = self.ways.remove(index);
            let mut held = if !way.is_guess() && self.ways.iter().all(Little::is_guess) {
                let closed = way.close(Ending::Plain);
                if closed.found.is_some() {
                    self.told = Some(closed);
                    return Outcome::Refused;
                }
                closed.released
            } else {
                way.into_held()
            };
            // Another way has seen some of them too.
            held.retain(|held| self.ways.iter().all(|way| way.route.text_of(&held.layers).is_none()));
            released.extend(held.into_iter().filter(|held| held.line.number != opened));
        }
        sort(released);
        Outcome::Foreign
    }

    /// Ends the trace: the surest way that has read one tells it.
    pub(super) fn close(self, end: Ending) -> Closed {
        let told = self.told.unwrap_or(Closed { found: None, released: Vec::new() });
        let Closed { mut found, mut released } = told;
        let mut grammar = usize::MAX;
        for way in self.ways {
            if found.is_some() {
                released.extend(way.into_held());
                continue;
            }
            grammar = grammar.min(way.grammar);
            let starter = way.starter().map_or(0, |item| item.line.number);
            let closed = way.close(end);
            released.extend(closed.released);
            if closed.found.is_some() {
                released.retain(|item| item.line.number != starter);
                found = closed.found;
            }
        }
        if let Some(found) = &found {
            // What a way that came to nothing had seen may be part of the trace that was read.
            released.retain(|item| item.line.number > found.last_line || item.line.number < found.first_line);
        } else if let Some(first) = released.iter_mut().min_by_key(|item| item.line.number) {
            // No trace after all: another grammar may read its first line.
            first.from = grammar.saturating_add(1);
            let (number, from) = (first.line.number, first.from);
            for item in released.iter_mut().filter(|item| item.line.number == number) {
                item.from = from;
            }
        }
        sort(&mut released);
        Closed { found, released }
    }

    /// One way has taken a line: the others are dropped.
    fn decide(&mut self, winner: usize, item: &Item, released: &mut Vec<Item>) {
        if self.ways.len() < 2 {
            return;
        }
        let winner = self.ways.swap_remove(winner);
        for way in std::mem::replace(&mut self.ways, vec![winner]) {
            released.extend(way.into_held());
        }
        let Some(winner) = self.ways.first() else { return };
        // Lines that the winner has seen as well are its own.
        released.retain(|held| held.line.number != item.line.number && winner.route.text_of(&held.layers).is_none());
        sort(released);
    }
}

fn sort(items: &mut Vec<Item>) {
    items.sort_by_key(|item| item.line.number);
    items.dedup_by_key(|item| item.line.number);
}
