//! How far each stream has been read, and what of that is news to the journal.

use std::collections::BTreeMap;

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::memory::StreamFacts;
use crate::ids::StreamId;

/// Most removed streams that are remembered; beyond that, the whole book is told anew. A job may make and delete files for ever.
const MAX_REMOVED: usize = 1024;

/// The streams of the newest child. What a turn costs depends on what it changes, not on how many streams there are.
#[derive(Clone, Debug, Default)]
pub struct StreamBook {
    entries: BTreeMap<StreamId, Entry>,
    /// The stream of each revision that is still the newest of that stream, removals included.
    changes: BTreeMap<u64, StreamId>,
    /// Revisions of streams that were removed.
    removed: BTreeMap<StreamId, u64>,
    last: u64,
    /// Everything up to this revision was swept away at once: who knows less has to be told all.
    swept: u64,
    totals: Totals,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    facts: StreamFacts,
    revision: u64,
}

/// All streams together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes scanned.
    pub bytes: u64,
    /// Lines scanned.
    pub lines: u64,
}

/// What has changed in a [`StreamBook`] since a revision.
#[derive(Debug, PartialEq, Eq)]
pub enum News<'b> {
    /// So much that the whole book says it best.
    All,
    /// These; `None` for one that was removed.
    Some(BTreeMap<&'b StreamId, Option<&'b StreamFacts>>),
}

impl StreamBook {
    /// A stream.
    pub fn get(&self, stream: &StreamId) -> Option<&StreamFacts> {
        self.entries.get(stream).map(|entry| &entry.facts)
    }

    /// All streams by name.
    pub fn iter(&self) -> impl Iterator<Item = (&StreamId, &StreamFacts)> {
        self.entries.iter().map(|(stream, entry)| (stream, &entry.facts))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes and lines of all streams.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Writes down how far a stream has been read.
    pub fn insert(&mut self, stream: StreamId, facts: StreamFacts) {
        let old = self.entries.get(&stream).copied();
        if old.is_some_and(|old| old.facts == facts) {
            return;
        }
        let old_revision = old.map(|old| old.revision).or_else(|| self.removed.remove(&stream));
        let before = old.map(|old| old.facts).unwrap_or_default();
        let revision = self.change(old_revision, &stream);
        let Totals { bytes, lines } = &mut self.totals;
        *bytes = bytes.saturating_sub(before.position.consumed).saturating_add(facts.position.consumed);
        *lines = lines.saturating_sub(before.lines).saturating_add(facts.lines);
        self.entries.insert(stream, Entry { facts, revision });
    }

    /// Forgets a stream.
    pub fn remove(&mut self, stream: &StreamId) {
        let Some(old) = self.entries.remove(stream) else { return };
        self.totals.bytes = self.totals.bytes.saturating_sub(old.facts.position.consumed);
        self.totals.lines = self.totals.lines.saturating_sub(old.facts.lines);
        let revision = self.change(Some(old.revision), stream);
        self.removed.insert(stream.clone(), revision);
        if self.removed.len() > MAX_REMOVED {
            for revision in std::mem::take(&mut self.removed).into_values() {
                self.changes.remove(&revision);
            }
            self.last += 1;
            self.swept = self.last;
        }
    }

    /// Forgets all streams.
    pub fn clear(&mut self) {
        let last = self.last + 1;
        *self = Self { last, swept: last, ..Self::default() };
    }

    /// The newest revision.
    pub fn revision(&self) -> u64 {
        self.last
    }

    /// What has changed since a revision.
    pub fn since(&self, revision: u64) -> News<'_> {
        if revision < self.swept {
            return News::All;
        }
        let changed = self.changes.range(revision + 1..);
        News::Some(changed.map(|(_, stream)| (stream, self.get(stream))).collect())
    }

    fn change(&mut self, old: Option<u64>, stream: &StreamId) -> u64 {
        old.and_then(|old| self.changes.remove(&old));
        self.last += 1;
        self.changes.insert(self.last, stream.clone());
        self.last
    }
}

/// Equal where the streams are: how they came about is nobody's business.
impl PartialEq for StreamBook {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for StreamBook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for StreamBook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut book = Self::default();
        for (stream, facts) in BTreeMap::<StreamId, StreamFacts>::deserialize(deserializer)? {
            book.insert(stream, facts);
        }
        Ok(book)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Position;

    fn id(name: &str) -> StreamId {
        StreamId::new(name)
    }

    fn facts(bytes: u64) -> StreamFacts {
        StreamFacts {
            position: Position { consumed: bytes, resume: bytes, ..Position::START },
            lines: bytes / 10,
            file: None,
        }
    }

    #[test]
    fn only_what_changed_is_news() {
        let mut book = StreamBook::default();
        assert_eq!(book.since(0), News::Some(BTreeMap::new()));
        for name in ["a", "b", "c"] {
            book.insert(id(name), facts(10));
        }
        let known = book.revision();
        book.insert(id("a"), facts(10));
        assert_eq!(book.since(known), News::Some(BTreeMap::new()), "the same again is no news");
        book.insert(id("b"), facts(30));
        book.insert(id("b"), facts(40));
        book.remove(&id("c"));
        book.remove(&id("never there"));
        let (b, c) = (id("b"), id("c"));
        assert_eq!(book.since(known), News::Some(BTreeMap::from([(&b, Some(&facts(40))), (&c, None)])));
        assert_eq!((book.totals(), book.len()), (Totals { bytes: 50, lines: 5 }, 2));
        let known = book.revision();
        book.insert(id("c"), facts(1));
        assert_eq!(book.since(known), News::Some(BTreeMap::from([(&c, Some(&facts(1)))])), "it came back");
        assert_eq!(book.changes.len(), 3, "one entry a stream");
        let known = book.revision();
        for number in 0..=MAX_REMOVED {
            book.insert(id(&number.to_string()), facts(1));
            book.remove(&id(&number.to_string()));
        }
        assert_eq!((book.since(known), book.removed.len(), book.changes.len()), (News::All, 0, 3));
        let known = book.revision();
        book.clear();
        assert_eq!((book.since(known), book.totals()), (News::All, Totals::default()));
        let known = book.revision();
        assert_eq!(book.since(known), News::Some(BTreeMap::new()));
    }
}
