//! From bytes and line numbers to frames.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tree_sitter::{ParseOptions, Parser, Tree};

use super::enclosing::{self, Enclosing};
use super::grammar::{Grammar, language_of};
use super::lines::Lines;
use super::region::{Pieces, candidates};
use super::source_frame::{FrameOptions, SourceFrame};
use super::window::{self, Span};

/// A larger file is shown as plain text.
const MAX_SOURCE: usize = 4 * 1024 * 1024;
/// A longer text is not given to a parser.
const MAX_PARSED: usize = 1024 * 1024;
/// Bytes searched for NUL (the way git and grep tell binary files).
const BINARY_PROBE: usize = 8000;
/// Parser work of one incident, in progress calls of tree-sitter (one per 100 operations, `parser.c`). Counting calls
/// instead of reading a clock keeps frames reproducible. One call is some 15 microseconds: 60 ordinary frames need about
/// 1,500 calls, and nothing takes longer than some 70 ms (`benches/frames.rs`).
const INCIDENT_BUDGET: u32 = 4_000;
/// Of which one text may use this much.
const TEXT_BUDGET: u32 = 2_000;

/// Makes the frames of one incident.
pub struct Exploder {
    options: FrameOptions,
    parsers: BTreeMap<Grammar, Parser>,
    budget: u32,
}

impl Exploder {
    /// A new one, with the whole budget of an incident.
    pub fn new(options: FrameOptions) -> Self {
        Self { options, parsers: BTreeMap::new(), budget: INCIDENT_BUDGET }
    }

    /// Frames around several lines (from 1) of one file, in the order asked for. Never fails: whatever is wrong with the
    /// source is said in [`SourceFrame::note`].
    pub fn explode(&mut self, source: &[u8], file_name: &str, wanted: &[u32]) -> Vec<SourceFrame> {
        let language = language_of(file_name);
        let note = |note: String| SourceFrame { language, note: Some(note), ..SourceFrame::default() };
        if source.get(..BINARY_PROBE.min(source.len())).is_some_and(|head| memchr::memchr(0, head).is_some()) {
            return wanted.iter().map(|_| note("not shown: the file is binary".to_owned())).collect();
        }
        let lines = Lines::new(source);
        let mut file = File { lines: &lines, grammar: None, why_plain: None, parsed: Vec::new() };
        match Grammar::of_file(file_name) {
            _ if source.len() > MAX_SOURCE => file.why_plain = Some("the file is larger than 4 MiB: plain text"),
            Some(grammar)
                if self.options.languages.is_empty()
                    || language.is_some_and(|it| self.options.languages.contains(&it)) =>
            {
                file.grammar = Some(grammar);
            }
            Some(_) | None => {}
        }
        let frame = |&line: &u32| match usize::try_from(line).ok().and_then(|line| line.checked_sub(1)) {
            Some(row) if row < lines.len() => self.frame(&mut file, row, language),
            _ => note(format!("not shown: line {line} is not in the file, which has {} lines now", lines.len())),
        };
        wanted.iter().map(frame).collect()
    }

    fn frame(&mut self, file: &mut File<'_>, row: usize, language: Option<crate::detect::Language>) -> SourceFrame {
        let (around, mut why_plain) = match file.grammar {
            Some(grammar) => match self.around(file, grammar, row) {
                Ok(around) => (around, None),
                Err(why) => (None, Some(why)),
            },
            None => (None, file.why_plain),
        };
        let (enclosing, span) = match around {
            Some((enclosing, span)) => (enclosing, span),
            None => (Enclosing::default(), None),
        };
        let shown = window::show(file.lines, row, span, &self.options);
        if why_plain.is_none() && shown.iter().any(|line| line.text.contains('\u{fffd}')) {
            why_plain = Some("the file is not valid UTF-8; what is not is shown as \u{fffd}");
        }
        SourceFrame {
            language,
            enclosing: (!enclosing.heads.is_empty()).then(|| enclosing.heads.join(" > ")),
            function: enclosing.function,
            lines: shown,
            note: why_plain.map(str::to_owned),
        }
    }

    /// The function around a row: the smallest snippet that parses cleanly decides, else the widest that knows a function.
    fn around(&mut self, file: &mut File<'_>, grammar: Grammar, row: usize) -> Result<Option<Around>, &'static str> {
        let Some((from, to)) = columns(file.lines.row(row)) else { return Ok(None) };
        let mut second_best = None;
        let mut why = None;
        for pieces in candidates(file.lines, row, grammar.is_indented()) {
            let at = match self.parsed(file, grammar, pieces) {
                Ok(at) => at,
                Err(reason) => {
                    why = Some(reason);
                    continue;
                }
            };
            let Some(parsed) = file.parsed.get(at) else { continue };
            let Some(base) = parsed.offset_of(row) else { continue };
            let enclosing = enclosing::find(&parsed.tree, &parsed.text, base + from, base + to, grammar);
            let span = enclosing.rows.and_then(|rows| parsed.span(rows, enclosing.head_end));
            let clean = !parsed.tree.root_node().has_error();
            let knows = enclosing.function.is_some() || enclosing.rows.is_some();
            let plausible = grammar.has_free_statements()
                || !enclosing.heads.is_empty()
                || from == 0
                || parsed.is_whole(file.lines);
            if clean && plausible {
                return Ok(Some((enclosing, span)));
            }
            if knows || second_best.is_none() {
                second_best = Some((enclosing, span));
            }
        }
        match second_best {
            Some((enclosing, span)) if span.is_some() => Ok(Some((enclosing, span))),
            Some(_) => Err("the source does not parse here: plain text"),
            None => Err(why.unwrap_or("the source does not parse here: plain text")),
        }
    }

    /// Index in `file.parsed` of these pieces.
    fn parsed(&mut self, file: &mut File<'_>, grammar: Grammar, pieces: Pieces) -> Result<usize, &'static str> {
        if let Some(at) = file.parsed.iter().position(|parsed| parsed.pieces == pieces) {
            return Ok(at);
        }
        let mut text = Vec::new();
        for piece in &pieces {
            let bytes = file.lines.bytes(piece.start, piece.end);
            if text.len() + bytes.len() > MAX_PARSED {
                return Err("too much source to look for the function: plain text");
            }
            // The grammars are C code: they get valid UTF-8 only. Line ends stay where they are.
            text.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes());
        }
        let tree = self.parse(grammar, &text)?;
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', &text).map(|at| at + 1)).collect();
        file.parsed.push(Parsed { pieces, text, starts, tree });
        Ok(file.parsed.len() - 1)
    }

    fn parse(&mut self, grammar: Grammar, text: &[u8]) -> Result<Tree, &'static str> {
        const SPENT: &str = "looking for the function took too long: plain text";
        let parser = self.parsers.entry(grammar).or_default();
        if parser.language().is_none() && parser.set_language(&grammar.load()).is_err() {
            return Err("the grammar could not be loaded: plain text");
        }
        let allowed = self.budget.min(TEXT_BUDGET);
        if allowed == 0 {
            return Err(SPENT);
        }
        let mut calls = 0;
        let mut progress = |_: &tree_sitter::ParseState| {
            calls += 1;
            if calls > allowed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = ParseOptions::new().progress_callback(&mut progress);
        let tree = parser.parse_with_options(&mut |at, _| text.get(at..).unwrap_or_default(), None, Some(options));
        if tree.is_none() {
            parser.reset();
        }
        self.budget = self.budget.saturating_sub(calls);
        tree.ok_or(SPENT)
    }
}

/// The frame around one line of one file; see [`Exploder::explode`].
pub fn explode(source: &[u8], file_name: &str, line: u32, options: &FrameOptions) -> SourceFrame {
    Exploder::new(options.clone()).explode(source, file_name, &[line]).pop().unwrap_or_default()
}

type Around = (Enclosing, Option<Span>);

struct File<'a> {
    lines: &'a Lines<'a>,
    grammar: Option<Grammar>,
    why_plain: Option<&'static str>,
    parsed: Vec<Parsed>,
}

/// A snippet that has been parsed.
struct Parsed {
    pieces: Pieces,
    text: Vec<u8>,
    starts: Vec<usize>,
    tree: Tree,
}

impl Parsed {
    /// Byte in the text at which a row of the file begins.
    fn offset_of(&self, file_row: usize) -> Option<usize> {
        let mut before = 0;
        for piece in &self.pieces {
            if piece.contains(&file_row) {
                return self.starts.get(before + file_row - piece.start).copied();
            }
            before += piece.len();
        }
        None
    }

    fn is_whole(&self, lines: &Lines<'_>) -> bool {
        self.pieces.len() == 1 && self.pieces.iter().all(|piece| *piece == (0..lines.len()))
    }

    fn file_row(&self, row: usize) -> Option<usize> {
        let mut before = 0;
        for piece in &self.pieces {
            if row < before + piece.len() {
                return Some(piece.start + row - before);
            }
            before += piece.len();
        }
        None
    }

    fn span(&self, (first, last): (usize, usize), head_end: usize) -> Option<Span> {
        Some(Span { first: self.file_row(first)?, head_end: self.file_row(head_end)?, last: self.file_row(last)? })
    }
}

/// First and last non-blank byte of a line (the end exclusive), in the text that the parser sees.
fn columns(row: &[u8]) -> Option<(usize, usize)> {
    let text = String::from_utf8_lossy(row);
    let from = text.len() - text.trim_start().len();
    let to = text.trim_end().len();
    (from < to).then_some((from, to))
}
