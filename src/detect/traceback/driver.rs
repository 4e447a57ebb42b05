//! Feeds lines to the grammars: prefixes, interleaved writers, held lines, caps, traces inside JSON lines.
//!
//! The driver has no clock and reads nothing: the scanner pushes lines from a starter on until [`Driver::idle`], and calls
//! [`Driver::flush`] when the stream falls silent or ends.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use regex::RegexSet;

use super::little::{Closed, Item, Little, Offered, Rival, Route, text_from};
use super::prefix::{self, Fields, Layer, Peel};
use super::{Grammar, LOOKBACK, json};
use crate::detect::line::TextLine;
use crate::detect::{Language, Trace};

/// How many lines before a starter the scanner should push as [`Role::Context`].
pub const CONTEXT_LINES: usize = 32;

/// Most little streams with an open trace.
const MAX_OPEN: usize = 64;
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
    /// Lines that belong to no trace, newest last, each with its prefixes.
    recent: VecDeque<(TextLine, Vec<Layer>)>,
    open: Vec<Little>,
    seen: u64,
    embedded: bool,
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
        Self { grammars, recent: VecDeque::new(), open: Vec::new(), seen: 0, embedded }
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
        if self.open.is_empty() && line.number != self.seen + 1 {
            self.recent.clear();
        }
        self.seen = line.number;
        let line = to_text(line);
        match role {
            Role::Context => self.remember(line),
            Role::Starter | Role::Line => {
                self.feed(vec![Item { line, starter: role == Role::Starter, from: 0 }], &mut found);
                self.retire_stale(&mut found);
            }
        }
        found
    }

    /// Whether no trace is open, so that lines without a starter need not be pushed.
    pub fn idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Byte offset and number of the first line that an open trace may still need.
    pub fn oldest_needed(&self) -> Option<(u64, u64)> {
        self.open.iter().filter_map(Little::oldest).min()
    }

    /// Ends all open traces: the stream is silent or at its end.
    pub fn flush(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        while !self.open.is_empty() {
            self.close(0, false, &mut found);
        }
        found
    }

    fn feed(&mut self, items: Vec<Item>, found: &mut Vec<Found>) {
        let mut queue = VecDeque::from(items);
        while let Some(item) = queue.pop_front() {
            let Some((index, at)) = self.route(&item.line.text) else {
                self.start(item, found);
                continue;
            };
            let Some(little) = self.open.get_mut(index) else { continue };
            let (closing, cut) = match little.offer(&item, at) {
                Offered::Kept => (false, false),
                Offered::Ended => (true, false),
                Offered::Full => (true, true),
                Offered::Refused => {
                    queue.push_front(item);
                    (true, false)
                }
            };
            if closing {
                for released in self.end(index, cut, found).into_iter().rev() {
                    queue.push_front(released);
                }
            }
        }
    }

    /// The open trace that a line belongs to, with the byte offset of its text.
    fn route(&mut self, text: &str) -> Option<(usize, usize)> {
        if self.open.is_empty() {
            return None;
        }
        let peel = if self.open.iter().all(|little| little.route.key.is_empty()) { Peel::Sure } else { Peel::All };
        let layers = prefix::layers(text, peel);
        self.reconsider(&layers, text);
        for little in &mut self.open {
            let Some(fallback) = little.route.fallback.clone() else { continue };
            if little.route.text_at(&layers, text).is_some() {
                little.route.fallback = None;
            } else if layers.iter().any(|layer| layer.key == fallback) {
                little.route = Route { key: fallback, head: None, fallback: None };
            }
        }
        let places = self
            .open
            .iter()
            .enumerate()
            .filter_map(|(index, little)| Some((index, little.route.text_at(&layers, text)?)));
        places.max_by_key(|&(index, at)| (at, usize::MAX - index))
    }

    /// Opens a trace anew behind its first line's head when the second line has the same head.
    fn reconsider(&mut self, layers: &[Layer], text: &str) {
        for index in 0..self.open.len() {
            let Some(little) = self.open.get_mut(index) else { break };
            let Some(layer) = layers.iter().find(|layer| layer.key == little.route.key) else { continue };
            let rivals = little.take_rivals();
            let Some(item) = little.starter().filter(|_| !rivals.is_empty()).cloned() else { continue };
            let rest = text.get(layer.at..).unwrap_or_default();
            let anew = rivals.into_iter().rev().filter(|rival| rival.head.strip(rest).is_some()).find_map(|rival| {
                let route = Route { key: layer.key.clone(), head: Some(rival.head), fallback: None };
                self.open_route(&item, route, rival.at, rival.fields)
            });
            if let (Some(anew), Some(little)) = (anew, self.open.get_mut(index)) {
                *little = anew;
            }
        }
    }

    /// Opens a trace at a line that belongs to none, or remembers the line.
    fn start(&mut self, item: Item, found: &mut Vec<Found>) {
        if item.starter {
            if !self.embedded
                && item.from == 0
                && let Some(trace) = json::read(&item.line.text, |text| read_text(&self.grammars, text))
            {
                let prefix =
                    prefix::layers(&item.line.text, Peel::All).pop().map_or_else(Fields::new, |layer| layer.fields);
                let TextLine { number, start, end, text: _ } = item.line;
                self.forget_through(number, "");
                found.push(Found { trace, first_line: number, last_line: number, bytes: start..end, prefix });
                return;
            }
            if let Some(little) = self.open_at(&item) {
                if self.open.len() >= MAX_OPEN {
                    self.close(0, true, found);
                }
                self.open.push(little);
                return;
            }
        }
        self.remember(item.line);
    }

    /// Looks for a trace behind the prefixes and heads of a line, the surest place first.
    fn open_at(&self, item: &Item) -> Option<Little> {
        let text = &item.line.text;
        let layers = prefix::layers(text, Peel::All);
        for (depth, layer) in layers.iter().enumerate().rev() {
            let fallback =
                (depth > 0).then(|| layers.get(depth - 1).map(|layer| layer.key.clone()).unwrap_or_default());
            let route = Route { key: layer.key.clone(), head: None, fallback };
            if let Some(little) = self.open_route(item, route, layer.at, layer.fields.clone()) {
                let heads = prefix::heads(text.get(layer.at..).unwrap_or_default()).into_iter();
                let rivals = heads.map(|(at, head, more)| {
                    let mut fields = layer.fields.clone();
                    fields.extend(more);
                    Rival { at: layer.at + at, head, fields }
                });
                return Some(little.with_rivals(rivals.collect()));
            }
        }
        // A head is looked for behind the prefix that names the writer, and behind all prefixes.
        for layer in [layers.first(), layers.last().filter(|_| layers.len() > 1)].into_iter().flatten() {
            for (at, head, more) in prefix::heads(text.get(layer.at..)?) {
                let route = Route { key: layer.key.clone(), head: Some(head), fallback: Some(layer.key.clone()) };
                let mut fields = layer.fields.clone();
                fields.extend(more);
                if let Some(little) = self.open_route(item, route, layer.at + at, fields) {
                    return Some(little);
                }
            }
        }
        None
    }

    fn open_route(&self, item: &Item, route: Route, at: usize, fields: Fields) -> Option<Little> {
        let line = text_from(&item.line, at);
        let before = self.before(&route, item.line.number);
        self.grammars.iter().enumerate().skip(item.from).find_map(|(index, grammar)| {
            let trace = grammar.open(&before, &line)?;
            Some(Little::new(route.clone(), index, trace, fields.clone(), before.clone(), item.clone(), at))
        })
    }

    /// The lines of a little stream in front of line `number`.
    fn before(&self, route: &Route, number: u64) -> Vec<TextLine> {
        let mut before: Vec<TextLine> = Vec::new();
        for (line, layers) in self.recent.iter().rev().filter(|(line, _)| line.number < number) {
            if before.len() >= LOOKBACK {
                break;
            }
            if let Some(at) = route.text_at(layers, &line.text) {
                before.push(text_from(line, at));
            }
        }
        before.reverse();
        before
    }

    fn remember(&mut self, line: TextLine) {
        let at = self.recent.partition_point(|(known, _)| known.number <= line.number);
        let layers = prefix::layers(&line.text, Peel::All);
        self.recent.insert(at, (line, layers));
        if self.recent.len() > CONTEXT_LINES {
            self.recent.pop_front();
        }
    }

    /// Forgets the lines of a little stream up to line `number`: they belong to a trace or stand before one.
    fn forget_through(&mut self, number: u64, key: &str) {
        self.recent.retain(|(line, layers)| line.number > number || !layers.iter().any(|layer| layer.key == key));
    }

    fn retire_stale(&mut self, found: &mut Vec<Found>) {
        while let Some(index) = self.open.iter().position(|little| self.seen > little.newest() + STALE_LINES) {
            self.close(index, false, found);
        }
    }

    /// Ends one trace and feeds its held lines to the others.
    fn close(&mut self, index: usize, cut: bool, found: &mut Vec<Found>) {
        let released = self.end(index, cut, found);
        self.feed(released, found);
    }

    /// Ends one trace and returns the lines it gives back.
    fn end(&mut self, index: usize, cut: bool, found: &mut Vec<Found>) -> Vec<Item> {
        let little = self.open.remove(index);
        let key = little.route.key.clone();
        let Closed { found: trace, released, covered } = little.close(cut);
        if let Some(last) = covered {
            self.forget_through(last, &key);
        }
        found.extend(trace);
        released
    }
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
    let text = json::unwrap_container_line(text).unwrap_or_else(|| text.to_owned());
    // rsyslog escapes control characters.
    let text = if text.contains("#011") { text.replace("#011", "\t") } else { text };
    TextLine { number: line.number, start: line.start, end: line.end, text }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::super::little::MAX_LINES;
    use super::*;

    /// Pushes a text as a scanner does; every line is offered, context and all.
    fn push_all(driver: &mut Driver, text: &str) -> Vec<Found> {
        static STARTERS: LazyLock<RegexSet> = LazyLock::new(all_starters);
        let mut found = Vec::new();
        let (mut number, mut offset) = (driver.seen, 0);
        for line in text.split_inclusive('\n') {
            number += 1;
            let end = offset + line.len() as u64;
            let bytes = line.trim_end_matches('\n').as_bytes();
            let role = match (STARTERS.is_match(line), driver.idle()) {
                (true, _) => Role::Starter,
                (false, true) => Role::Context,
                (false, false) => Role::Line,
            };
            found.extend(driver.push(&RawLine { number, start: offset, end, bytes }, role));
            offset = end;
        }
        found
    }

    fn read(text: &str) -> Vec<Found> {
        let mut driver = Driver::new(&[]);
        let mut found = push_all(&mut driver, text);
        found.extend(driver.flush());
        found
    }

    /// `lines type: message {prefix}` of each trace.
    fn told(text: &str) -> Vec<String> {
        let tell = |found: &Found| {
            let trace = &found.trace;
            let name = trace.exception.as_deref().unwrap_or("-");
            let cut = if trace.cut { " cut" } else { "" };
            format!(
                "{}-{} {name}: {} ({} frames){cut}",
                found.first_line,
                found.last_line,
                trace.message,
                trace.frames.len()
            )
        };
        read(text).iter().map(tell).collect()
    }

    const KEY_ERROR: &str =
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    d[0]\nKeyError: 0\n";

    #[test]
    fn a_trace_is_found_with_its_place() {
        let text = format!("hello\n{KEY_ERROR}2026-11-21 10:00:00 INFO bye\n");
        let mut driver = Driver::new(&[Language::Python]);
        let found = push_all(&mut driver, &text);
        assert!(driver.idle());
        assert_eq!(driver.oldest_needed(), None);
        let [found] = &found[..] else { panic!("one trace: {found:?}") };
        assert_eq!((found.first_line, found.last_line), (2, 5));
        assert_eq!(found.bytes, 6..6 + KEY_ERROR.len() as u64);
        assert_eq!(found.trace.text, KEY_ERROR.trim_end());
        assert!(!found.trace.cut);
    }

    #[test]
    fn an_open_trace_needs_its_lines() {
        let mut driver = Driver::new(&[]);
        assert_eq!(push_all(&mut driver, "one\ntwo\nTraceback (most recent call last):\n"), []);
        assert!(!driver.idle());
        assert_eq!(driver.oldest_needed(), Some((0, 1)), "a trace may claim lines above its starter");
    }

    #[test]
    fn prefixes_and_their_absence() {
        let json = |text: &str| {
            let lines =
                text.lines().map(|l| serde_json::json!({"log": format!("{l}\n"), "stream": "stderr"}).to_string());
            lines.collect::<Vec<_>>().join("\n")
        };
        let rows: &[(&str, String, &[&str])] = &[
            ("only the first line has a head", format!("ERROR:root:{KEY_ERROR}"), &["1-4 KeyError: 0 (1 frames)"]),
            ("behind a progress bar", format!("50%|##  | 1/2 [00:01]{KEY_ERROR}"), &["1-4 KeyError: 0 (1 frames)"]),
            ("behind a carriage return", format!("50%\r{KEY_ERROR}"), &["1-4 KeyError: 0 (1 frames)"]),
            ("docker's json-file", json(KEY_ERROR), &["1-4 KeyError: 0 (1 frames)"]),
            (
                "go test -json",
                ["panic: boom", "", "goroutine 1 [running]:", "main.f()", "\t/a/main.go:3 +0x1"]
                    .map(|l| format!("{{\"Time\":\"2026-11-21T16:03:53Z\",\"Action\":\"output\",\"Output\":{:?}}}", format!("{l}\n")))
                    .join("\n"),
                &["1-5 panic: boom (1 frames)"],
            ),
            (
                "rsyslog's tabs",
                "n7 shop[4]: panic: boom\nn7 shop[4]: \nn7 shop[4]: goroutine 1 [running]:\nn7 shop[4]: main.f()\nn7 shop[4]: #011/a/main.go:3 +0x1\n".to_owned(),
                &["1-5 panic: boom (1 frames)"],
            ),
            (
                "another rank's lines do not end it",
                KEY_ERROR.replace("    d[0]", "[rank1]: step 3\n    d[0]"),
                &["1-5 KeyError: 0 (1 frames)"],
            ),
            (
                "back to back",
                format!("{KEY_ERROR}{KEY_ERROR}"),
                &["1-4 KeyError: 0 (1 frames)", "5-8 KeyError: 0 (1 frames)"],
            ),
            (
                "held lines are offered anew",
                format!("{KEY_ERROR}some text\nmore\nfree(): invalid pointer\n"),
                &["1-4 KeyError: 0 (1 frames)", "7-7 -: free(): invalid pointer (0 frames)"],
            ),
            (
                "the stream ends inside",
                KEY_ERROR.lines().take(3).collect::<Vec<_>>().join("\n"),
                &["1-3 -:  (1 frames) cut"],
            ),
            ("a header alone is none", "Traceback (most recent call last):\nall is well\n".to_owned(), &[]),
            ("a diff is none", KEY_ERROR.lines().map(|line| format!("+{line}\n")).collect(), &[]),
        ];
        for (name, text, expected) in rows {
            assert_eq!(told(text), *expected, "{name}");
        }
    }

    #[test]
    fn fields_of_the_prefix_are_told() {
        let text: String =
            KEY_ERROR.lines().map(|line| format!("2026-11-21T10:00:00Z (train pid=7, ip=10.0.0.3) {line}\n")).collect();
        let found = read(&text);
        let fields: Vec<(&str, &str)> =
            found[0].prefix.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [("node", "10.0.0.3"), ("pid", "7"), ("timestamp", "2026-11-21T10:00:00Z"), ("worker", "train")];
        assert_eq!(fields, expected);
    }

    #[test]
    fn growth_is_bounded() {
        let mut endless = String::from("Traceback (most recent call last):\n");
        for line in 1..=MAX_LINES {
            let _ = writeln!(endless, "  File \"a.py\", line {line}, in f");
        }
        let found = read(&endless);
        assert!(found[0].trace.cut);
        assert_eq!(found[0].trace.frames.len(), Trace::MAX_FRAMES);
        assert!(found[0].trace.text.len() <= Trace::MAX_TEXT);

        let mut driver = Driver::new(&[]);
        let ranks: String =
            (0..=MAX_OPEN).map(|rank| format!("[rank{rank}]: Traceback (most recent call last):\n")).collect();
        push_all(&mut driver, &ranks);
        assert_eq!(driver.open.len(), MAX_OPEN);
    }

    #[test]
    fn a_forgotten_trace_ends() {
        let mut text =
            String::from("[rank0]: Traceback (most recent call last):\n[rank0]:   File \"a.py\", line 1, in f\n");
        for step in 0..=STALE_LINES {
            let _ = writeln!(text, "[rank1]: step {step}");
        }
        let mut driver = Driver::new(&[]);
        let found = push_all(&mut driver, &text);
        assert_eq!(found.len(), 1);
        assert!(found[0].trace.cut && driver.idle());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_mix_of_lines_is_survived(picks in proptest::collection::vec((0..MIX.len(), 0..4usize), 0..60), noise in ".{0,40}") {
            let prefixes = ["", "[rank1]: ", "2026-11-21 10:00:00,123 INFO x: ", "w | "];
            let text: String = picks
                .iter()
                .map(|&(line, prefix)| format!("{}{}\n", prefixes[prefix], MIX[line].replace('@', &noise)))
                .collect();
            let found = read(&text);
            for found in &found {
                prop_assert!(found.first_line <= found.last_line && found.last_line <= picks.len() as u64);
                prop_assert!(found.bytes.start < found.bytes.end);
                prop_assert!(found.trace.in_app_top.is_none_or(|top| top < found.trace.frames.len()));
            }
            prop_assert_eq!(read(&text), found, "reading is deterministic");
        }
    }

    const MIX: &[&str] = &[
        "@",
        "",
        "Traceback (most recent call last):",
        "  File \"@.py\", line 3, in f",
        "    @",
        "KeyError: @",
        "During handling of the above exception, another exception occurred:",
        "  + Exception Group Traceback (most recent call last):",
        "  | ValueError: @",
        "  +-+---------------- 1 ----------------",
        "multiprocessing.pool.RemoteTraceback: ",
        "\"\"\"",
        "Fatal Python error: @",
        "_________________________ test_@ _________________________",
        "E   KeyError: @",
        "t.py:3: KeyError",
        "╭──────────── Traceback (most recent call last) ────────────╮",
        "│ /a/@.py:3 in f │",
        "╰───────────────────────────────────────────────────────────╯",
        "==7==ERROR: AddressSanitizer: SEGV on @",
        "    #0 0x1 in f@ a.c:3",
        "SUMMARY: AddressSanitizer: SEGV",
        "panic: @",
        "goroutine 1 [running]:",
        "main.main()",
        "\t/a/main.go:3 +0x1",
        "thread 'main' panicked at src/main.rs:3:5:",
        "stack backtrace:",
        "   0: a::b",
        "Exception in thread \"main\" java.lang.@",
        "\tat a.B.c(B.java:3)",
        "Caused by: a.E: @",
        "    at f (/a/@.js:3:5)",
        "TypeError: @",
        "    at upload (./d.sh:3)",
        "a.sh: line 3: syntax error near @",
        "{\"stack\": \"Traceback (most recent call last):\\n  File \\\"a.py\\\", line 3, in f\\nKeyError: 1\", \"a\": \"@\"}",
    ];
}
