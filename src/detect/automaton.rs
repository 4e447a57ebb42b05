//! All patterns as one automaton that runs over whole chunks at memory speed.
//!
//! A lazy DFA finds the states; a flat table of its transitions, one load per byte, is what runs. A single cursor would wait
//! for each load before it can start the next one, so four cursors walk four quarters of the chunk in step: that is
//! 2.5 times faster, and neither more cursors nor unchecked indexing gain anything (`benches/scan.rs`).
//!
//! The automaton only names lines that may match; [`Automaton::which`] then says which patterns do, on that line alone.

use std::collections::HashMap;

use memchr::{memchr2, memrchr2};
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input, MatchKind, PatternSet};
use regex_syntax::hir::Hir;

/// Most bytes the lazy DFA may hold. 199 patterns of real logs need 1.5 MB; with less than is needed, clearing the cache over and
/// over costs a factor of 4 to 300, so this leaves room for twenty times as much.
pub(super) const CACHE_BYTES: usize = 32 << 20;

/// Most states of the flat table, 1 KiB each. 199 patterns of real logs need 1,938.
const MAX_STATES: usize = 16_384;

/// Shorter chunks are not worth being cut in four.
const MIN_PARALLEL: usize = 4096;

const ROW: usize = 256;
/// Set in a table entry that must not be followed blindly.
const TAG: u32 = 1 << 31;
/// An entry that nobody has computed yet.
const UNKNOWN: u32 = u32::MAX;

/// The compiled patterns.
#[derive(Debug)]
pub(super) struct Automaton {
    dfa: DFA,
    max_states: usize,
}

/// What a search writes to; belongs to one [`Automaton`].
#[derive(Debug)]
pub(super) struct Cache {
    search: dfa::Cache,
    confirm: dfa::Cache,
    table: Table,
    matching: PatternSet,
    stale: u64,
}

impl Cache {
    /// States of the flat table.
    pub(super) fn states(&self) -> usize {
        self.table.ids.len()
    }

    /// How often the table was of no use any more.
    pub(super) fn stale(&self) -> u64 {
        self.stale
    }
}

/// The states found so far are of no use any more: the lazy DFA has thrown them away, or there are too many.
struct Stale;

impl Automaton {
    /// Compiles expressions that have been confined to one line.
    pub(super) fn new(patterns: &[Hir], cache_bytes: usize) -> Result<Self, String> {
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().utf8(false).which_captures(thompson::WhichCaptures::None))
            .build_many_from_hir(patterns)
            .map_err(|error| error.to_string())?;
        let config =
            DFA::config().match_kind(MatchKind::All).cache_capacity(cache_bytes).skip_cache_capacity_check(true);
        let dfa = dfa::Builder::new().configure(config).build_from_nfa(nfa).map_err(|error| error.to_string())?;
        Ok(Self { dfa, max_states: MAX_STATES })
    }

    pub(super) fn cache(&self) -> Cache {
        Cache {
            search: self.dfa.create_cache(),
            confirm: self.dfa.create_cache(),
            table: Table::default(),
            matching: PatternSet::new(self.dfa.pattern_len()),
            stale: 0,
        }
    }

    /// Finds every segment (text between two line ends, CR or LF) in which some pattern matches: `found` gets the position
    /// of one byte inside of each, ascending, and nothing twice. A segment too many is possible, one too few is not.
    ///
    /// `text` must end with a line end; the empty text is fine.
    pub(super) fn find(&self, cache: &mut Cache, text: &[u8], found: &mut Vec<usize>) {
        let mut cursors = quarters(text);
        if self.run(cache, text, &mut cursors, found).is_err() {
            cache.table.clear();
            cache.stale = cache.stale.saturating_add(1);
            for cursor in &cursors {
                self.find_slowly(cache, text, cursor, found);
            }
        }
        found.sort_unstable();
    }

    /// The patterns that match in a segment.
    pub(super) fn which<'c>(&self, cache: &'c mut Cache, segment: &[u8]) -> impl Iterator<Item = usize> + 'c {
        cache.matching.clear();
        let input = Input::new(segment);
        if self.dfa.try_which_overlapping_matches(&mut cache.confirm, &input, &mut cache.matching).is_err() {
            // Impossible without quit bytes and without a limit of cache clears. Then all of them may match, and the single
            // expressions decide.
            for index in 0..self.dfa.pattern_len() {
                if let Ok(id) = regex_automata::PatternID::new(index) {
                    cache.matching.insert(id);
                }
            }
        }
        cache.matching.iter().map(|id| id.as_usize())
    }

    fn run(
        &self,
        cache: &mut Cache,
        text: &[u8],
        cursors: &mut [Cursor; 4],
        found: &mut Vec<usize>,
    ) -> Result<(), Stale> {
        let start = self.start(cache)?;
        for cursor in cursors.iter_mut() {
            cursor.state = start;
        }
        while cache.table.walk_four(text, cursors) == Stop::Tagged {
            for cursor in cursors.iter_mut() {
                self.step(cache, text, start, cursor, found)?;
            }
        }
        for cursor in cursors {
            while cache.table.walk_one(text, cursor) == Stop::Tagged {
                self.step(cache, text, start, cursor, found)?;
            }
        }
        Ok(())
    }

    /// Takes one byte, whatever it leads to.
    fn step(
        &self,
        cache: &mut Cache,
        text: &[u8],
        start: u32,
        cursor: &mut Cursor,
        found: &mut Vec<usize>,
    ) -> Result<(), Stale> {
        let Some(&byte) = text.get(cursor.at) else { return Ok(()) };
        let mut next = cache.table.next(cursor.state, byte);
        if next == UNKNOWN {
            next = self.fill(cache, cursor.state, byte)?;
        }
        if next & TAG == 0 {
            cursor.at += 1;
            cursor.state = next;
        } else {
            // The DFA reports a match one byte late, at the latest on the line end.
            let inside = cursor.at.saturating_sub(1);
            found.push(inside);
            cursor.at = segment_end(text, inside, cursor.end) + 1;
            cursor.state = start;
        }
        Ok(())
    }

    #[cold]
    fn start(&self, cache: &mut Cache) -> Result<u32, Stale> {
        if let Some(start) = cache.table.start {
            return Ok(start);
        }
        let id = self.dfa.start_state_forward(&mut cache.search, &Input::new("")).map_err(|_| Stale)?;
        let start = cache.table.intern(id, self.max_states)? & !TAG;
        cache.table.start = Some(start);
        Ok(start)
    }

    #[cold]
    fn fill(&self, cache: &mut Cache, state: u32, byte: u8) -> Result<u32, Stale> {
        let id = cache.table.id(state).ok_or(Stale)?;
        let clears = cache.search.clear_count();
        let id = self.dfa.next_state(&mut cache.search, id, byte).map_err(|_| Stale)?;
        if cache.search.clear_count() != clears {
            return Err(Stale);
        }
        let next = cache.table.intern(id, self.max_states)?;
        cache.table.set(state, byte, next);
        Ok(next)
    }

    /// One cursor of the library's own, which copes with a cache that is too small for the text.
    #[cold]
    fn find_slowly(&self, cache: &mut Cache, text: &[u8], cursor: &Cursor, found: &mut Vec<usize>) {
        let end = cursor.end;
        let Some(walked) = text.get(cursor.begin..cursor.at.min(end)) else { return };
        let mut at = cursor.begin + memrchr2(b'\n', b'\r', walked).map_or(0, |line_end| line_end + 1);
        while at < end {
            let input = Input::new(text).span(at..end).anchored(Anchored::No).earliest(true);
            match self.dfa.try_search_fwd(&mut cache.search, &input) {
                Ok(None) => return,
                Ok(Some(found_end)) => {
                    let inside = found_end.offset().saturating_sub(1);
                    found.push(inside);
                    at = segment_end(text, inside, end) + 1;
                }
                // Impossible for the reason given in `which`; the segment is then looked at alone.
                Err(_) => {
                    let segment_end = segment_end(text, at, end);
                    if segment_end > at {
                        found.push(at);
                    }
                    at = segment_end + 1;
                }
            }
        }
    }
}

/// A reader of one part of the text. All of `begin..at` has been dealt with, or is the beginning of a segment without a match so far.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    begin: usize,
    at: usize,
    end: usize,
    state: u32,
}

#[derive(PartialEq, Eq)]
enum Stop {
    /// A cursor has come to its end.
    End,
    /// A cursor stands before a byte that leads to a match or to an unknown state.
    Tagged,
}

/// Cuts a text into four parts that end at line ends, some of them empty.
fn quarters(text: &[u8]) -> [Cursor; 4] {
    let mut begin = 0;
    std::array::from_fn(|part| {
        let end = if part == 3 || text.len() < MIN_PARALLEL {
            text.len()
        } else {
            segment_end(text, (text.len() / 4 * (part + 1)).max(begin), text.len()).saturating_add(1).min(text.len())
        };
        let cursor = Cursor { begin, at: begin, end, state: 0 };
        begin = end;
        cursor
    })
}

fn segment_end(text: &[u8], from: usize, end: usize) -> usize {
    text.get(from..end).and_then(|rest| memchr2(b'\n', b'\r', rest)).map_or(end, |at| from + at)
}

/// Transitions of the states seen so far; a state is its row times [`ROW`].
#[derive(Debug, Default)]
struct Table {
    next: Vec<u32>,
    ids: Vec<LazyStateID>,
    rows: HashMap<LazyStateID, u32>,
    start: Option<u32>,
}

impl Table {
    fn clear(&mut self) {
        self.next.clear();
        self.ids.clear();
        self.rows.clear();
        self.start = None;
    }

    fn next(&self, state: u32, byte: u8) -> u32 {
        entry(&self.next, state, byte)
    }

    fn set(&mut self, state: u32, byte: u8, next: u32) {
        if let Some(entry) = self.next.get_mut(state as usize + usize::from(byte)) {
            *entry = next;
        }
    }

    fn id(&self, state: u32) -> Option<LazyStateID> {
        self.ids.get(state as usize / ROW).copied()
    }

    fn intern(&mut self, id: LazyStateID, max_states: usize) -> Result<u32, Stale> {
        let tag = if id.is_match() { TAG } else { 0 };
        if let Some(state) = self.rows.get(&id) {
            return Ok(state | tag);
        }
        if self.ids.len() >= max_states {
            return Err(Stale);
        }
        let state = u32::try_from(self.next.len()).map_err(|_| Stale)?;
        self.next.resize(self.next.len() + ROW, UNKNOWN);
        self.ids.push(id);
        self.rows.insert(id, state);
        Ok(state | tag)
    }

    /// Moves four cursors in step.
    fn walk_four(&self, text: &[u8], cursors: &mut [Cursor; 4]) -> Stop {
        let length = cursors.iter().map(|cursor| cursor.end.saturating_sub(cursor.at)).min().unwrap_or(0);
        let part = |cursor: &Cursor| text.get(cursor.at..cursor.at + length).unwrap_or_default();
        let [first, second, third, fourth] = cursors;
        let (mut a, mut b, mut c, mut d) = (first.state, second.state, third.state, fourth.state);
        let table = self.next.as_slice();
        let bytes = part(first).iter().zip(part(second)).zip(part(third)).zip(part(fourth));
        let mut walked = 0;
        let mut stop = Stop::End;
        for (((&byte_a, &byte_b), &byte_c), &byte_d) in bytes {
            let next_a = entry(table, a, byte_a);
            let next_b = entry(table, b, byte_b);
            let next_c = entry(table, c, byte_c);
            let next_d = entry(table, d, byte_d);
            if (next_a | next_b | next_c | next_d) & TAG != 0 {
                stop = Stop::Tagged;
                break;
            }
            (a, b, c, d) = (next_a, next_b, next_c, next_d);
            walked += 1;
        }
        for (cursor, state) in cursors.iter_mut().zip([a, b, c, d]) {
            cursor.at += walked;
            cursor.state = state;
        }
        stop
    }

    fn walk_one(&self, text: &[u8], cursor: &mut Cursor) -> Stop {
        let table = self.next.as_slice();
        for &byte in text.get(cursor.at..cursor.end).unwrap_or_default() {
            let next = entry(table, cursor.state, byte);
            if next & TAG != 0 {
                return Stop::Tagged;
            }
            cursor.state = next;
            cursor.at += 1;
        }
        Stop::End
    }
}

fn entry(table: &[u32], state: u32, byte: u8) -> u32 {
    table.get(state as usize + usize::from(byte)).copied().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::confine::{check_pattern, confined};

    /// Expressions that tell chunks from lines wherever they can.
    const PATTERNS: &[&str] = &[
        "\\Apanic",
        "error\\z",
        "^ERR",
        "x$",
        "(?s)a.b",
        "[^x]y",
        "a\\Wb",
        "(?m)^a.*b$",
        "(?R)b$",
        ".{3}",
        "[\\x80-\\xff]+",
        "\\x00",
        "\\bERR\\b",
        "a\\B",
        "(?i)err",
        "a\\s+b",
        "NC.*err",
        "(?:a|b){2,5}x",
        "[[:^alpha:]]{4}",
        "b[^a]{0,20}a",
        "(?s).ab",
        "\\s\\S\\s",
        "xx+",
        "(?u:\\p{L}+)é",
        "^a|b$",
        "(?-s)a.x",
        "ab",
        "\\d+x",
    ];

    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let tokens: Vec<&'static [u8]> = vec![
            b"\n",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\r",
            b"a",
            b"b",
            b"x",
            b"y",
            b"ERR",
            b"err",
            b"error",
            b"panic",
            b" ",
            b"\t",
            b"\0",
            b"\xff",
            b"\xc3\xa9",
            b"\xc3",
            b"NC",
            b"12",
            b"aab",
            b"\x1b[1m",
        ];
        proptest::collection::vec(proptest::sample::select(tokens), 0..60).prop_map(|tokens| tokens.concat())
    }

    /// The definition: every pattern on every segment alone.
    fn by_definition(patterns: &[&str], text: &[u8]) -> Vec<(usize, usize)> {
        let regexes: Vec<_> = patterns.iter().map(|pattern| check_pattern(pattern).expect("valid")).collect();
        let mut hits = Vec::new();
        let mut start = 0;
        for segment in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
            hits.extend(
                regexes
                    .iter()
                    .enumerate()
                    .filter(|(_, regex)| regex.is_match(segment))
                    .map(|(index, _)| (start, index)),
            );
            start += segment.len() + 1;
        }
        hits
    }

    fn by_automaton(automaton: &Automaton, cache: &mut Cache, text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        automaton.find(cache, text, &mut found);
        let mut hits = Vec::new();
        for inside in found {
            let start = memrchr2(b'\n', b'\r', &text[..inside]).map_or(0, |at| at + 1);
            let end = segment_end(text, inside, text.len());
            hits.extend(automaton.which(cache, &text[start..end]).map(|index| (start, index)));
        }
        hits
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn chunks_agree_with_lines(
            chosen in proptest::sample::subsequence(PATTERNS.to_vec(), 1..8),
            blocks in proptest::collection::vec(texts(), 1..4),
            repeat in prop_oneof![Just(1_usize), Just(1), Just(60)],
            tiny_cache in any::<bool>(),
            max_states in prop_oneof![Just(MAX_STATES), Just(3)],
        ) {
            let hirs: Vec<Hir> = chosen.iter().map(|pattern| confined(pattern).expect("valid")).collect();
            let mut automaton = Automaton::new(&hirs, if tiny_cache { 0 } else { 4 << 20 }).expect("builds");
            automaton.max_states = max_states;
            let mut cache = automaton.cache();
            for block in blocks {
                // Long enough for four cursors now and then; the cache lives on from block to block.
                let mut text = block.repeat(repeat);
                text.push(b'\n');
                prop_assert_eq!(by_automaton(&automaton, &mut cache, &text), by_definition(&chosen, &text));
            }
        }
    }

    #[test]
    fn quarters_end_at_line_ends_and_cover_everything() {
        for text in
            [b"a".repeat(9000), b"ab\n".repeat(3000), [b"\n".repeat(5000), b"x".repeat(5000)].concat(), Vec::new()]
        {
            let parts = quarters(&text);
            let mut expected = 0;
            for part in parts {
                assert_eq!(part.begin, expected);
                assert!(part.end == text.len() || matches!(text[part.end - 1], b'\n' | b'\r'));
                expected = part.end;
            }
            assert_eq!(expected, text.len());
        }
    }
}
