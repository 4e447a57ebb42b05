//! Bytes of one stream → detections, however the bytes are cut.
//!
//! What is found is defined by the bytes alone: each `pattern` on each segment of text between line ends, each trace by the
//! lines it consists of. Every detection is emitted at one point of the stream, the end of the line that completes it. So a scanner
//! that begins where another one stopped ([`Scanner::position`]) goes on with exactly what that one would have said next.

use std::collections::BTreeMap;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memchr2};
use serde::{Deserialize, Serialize};

use super::ansi::{self, Stripped};
use super::hit::{Lines, Segment, headline};
use super::metric::MetricValue;
use super::pieces::{Block, LOOK_AHEAD, MAX_SEGMENT};
use super::set::{DetectorSet, Mark, Pattern, Traceback};
use super::signal::{Signal, SignalKind};
use super::trace_feed::{Place, Starter, TraceFeed};
use super::traceback::Found;
use super::{Detection, DetectorKind};
use crate::ids::{DetectorName, StreamId};

/// Hits of one detector in one fed chunk that become detections; further ones are counted. A detector that fires on every line
/// must not cost more than the scan.
pub const MAX_HITS_PER_CHUNK: u32 = 64;

/// How far a stream has been dealt with. To be stored together with what was found up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Everything that is emitted up to this byte offset has been handed out.
    pub consumed: u64,
    /// Byte offset to read from; at most `consumed`.
    pub resume: u64,
    /// Number of the line that `resume` is part of, from 1.
    pub resume_line: u64,
    /// `consumed` lies inside a line that was looked at because the stream had fallen silent.
    #[serde(default)]
    pub silent: bool,
}

impl Position {
    /// The beginning of a stream.
    pub const START: Self = Self { consumed: 0, resume: 0, resume_line: 1, silent: false };
}

impl Default for Position {
    fn default() -> Self {
        Self::START
    }
}

/// Why a scanner is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Nothing has come for a while; the last line may still grow.
    Silence,
    /// The stream has ended. Should more come all the same, it begins a new line.
    End,
}

/// What some bytes brought.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Scanned {
    /// In the order in which they were completed.
    pub detections: Vec<Detection>,
    /// Hits beyond [`MAX_HITS_PER_CHUNK`], by detector; not among `detections`.
    pub counted: BTreeMap<DetectorName, u64>,
    /// Values of metrics, and begins and ends of phases, in the order of the stream. A value counts when its line has ended, a
    /// begin or end of a phase also when the stream falls silent.
    pub signals: Vec<Signal>,
    /// Newest value of each stall detector's metric, if it was seen.
    pub progress: BTreeMap<DetectorName, MetricValue>,
    /// Lines that ended, by LF.
    pub lines: u64,
    /// Bytes that have not been handed in before.
    pub bytes: u64,
}

/// Scans one stream.
#[derive(Debug)]
pub struct Scanner {
    set: Arc<DetectorSet>,
    stream: StreamId,
    /// Everything emitted up to this offset has been handed out by an earlier scanner.
    consumed: u64,
    /// An earlier scanner looked at an unterminated line that reached to `consumed`; cleared when that has been repeated.
    repeat_silence: bool,
    /// Values from this offset on have not been handed out.
    values_from: u64,
    traces: Option<TraceFeed>,
    /// Where `tail` begins.
    place: Place,
    /// Bytes whose piece is not decided yet.
    tail: Vec<u8>,
    told: Option<Told>,
    buffers: Buffers,
}

/// What was said about an unterminated line.
#[derive(Debug)]
struct Told {
    /// Where the line begins.
    start: u64,
    /// How much of it was there.
    end: u64,
    /// Indices of the patterns that matched.
    patterns: Vec<usize>,
    /// It was handed to the traces as the start of one.
    starter: bool,
}

#[derive(Debug, Default)]
struct Buffers {
    stripped: Stripped,
    terminated: Vec<u8>,
    found: Vec<usize>,
    /// Detections of this chunk so far, by pattern.
    hits: Vec<u32>,
}

/// Hits of a block.
#[derive(Default)]
struct Hits {
    signals: Vec<Signal>,
    /// With the offset at which each is emitted.
    detections: Vec<(u64, Detection)>,
    starters: Vec<Starter>,
    patterns: Vec<usize>,
}

impl Scanner {
    /// Begins at `at`: the bytes from `at.resume` on are to be fed.
    pub fn new(set: Arc<DetectorSet>, stream: StreamId, at: Position) -> Self {
        let place = Place { offset: at.resume, line: at.resume_line.max(1) };
        let buffers = Buffers { hits: vec![0; set.patterns.len()], ..Buffers::default() };
        Self {
            traces: set.languages().map(|languages| TraceFeed::new(languages, place.offset)),
            set,
            stream,
            consumed: at.consumed.max(at.resume),
            repeat_silence: at.silent,
            // Of a line that was only looked at, the values were not handed out. Where it begins shows when its beginning has been
            // read again.
            values_from: if at.silent { u64::MAX } else { at.consumed.max(at.resume) },
            place,
            tail: Vec::new(),
            told: None,
            buffers,
        }
    }

    /// Takes the next bytes of the stream. How they are cut has no influence on what is found, except for which hits of a noisy
    /// detector are only counted.
    pub fn feed(&mut self, chunk: &[u8]) -> Scanned {
        let mut out = Scanned::default();
        self.buffers.hits.fill(0);
        let fed = self.fed();
        let old = usize::try_from(self.consumed.saturating_sub(fed)).unwrap_or(usize::MAX).min(chunk.len());
        let (repeated, new) = chunk.split_at(old);
        out.bytes = new.len() as u64;
        if self.repeat_silence && fed <= self.consumed {
            self.take(repeated, &mut out);
            if self.fed() == self.consumed {
                self.repeat_silence = false;
                self.values_from = 0;
                self.silence(&mut out, Emit::Never);
            }
            self.take(new, &mut out);
        } else {
            self.take(chunk, &mut out);
        }
        out
    }

    /// Ends what waits for more.
    ///
    /// On [`Flush::Silence`], open traces end, and the unterminated line is looked at as it is; once: nothing that was found in
    /// it is found again when it grows. On [`Flush::End`] the line is complete.
    pub fn flush(&mut self, why: Flush) -> Scanned {
        let mut out = Scanned::default();
        self.buffers.hits.fill(0);
        // While bytes are repeated, the silence is not the stream's.
        let repeating = self.repeat_silence || self.fed() < self.consumed;
        match why {
            Flush::Silence if repeating => {}
            Flush::Silence => self.silence(&mut out, Emit::Always),
            Flush::End => {
                self.repeat_silence = false;
                self.values_from = self.values_from.min(self.place.offset);
                self.end(&mut out);
            }
        }
        out
    }

    /// Where another scanner would go on.
    pub fn position(&self) -> Position {
        let resume = self.traces.as_ref().map_or(self.place, |traces| traces.resume(self.place));
        let told = self.told.as_ref().filter(|told| told.start == self.place.offset);
        let reached = told.map_or(self.place.offset, |told| told.end);
        Position {
            consumed: reached.max(self.consumed),
            resume: resume.offset,
            resume_line: resume.line,
            silent: self.repeat_silence || (told.is_some() && reached >= self.consumed),
        }
    }

    /// Whether an open trace or an unterminated line waits: if nothing comes for a while, [`Scanner::flush`] should be called.
    pub fn has_open(&self) -> bool {
        let told = self.told.as_ref().is_some_and(|told| told.start == self.place.offset);
        self.traces.as_ref().is_some_and(TraceFeed::is_open) || (!self.tail.is_empty() && !told)
    }

    /// Offset behind the last byte that was fed.
    pub fn fed(&self) -> u64 {
        self.place.offset + self.tail.len() as u64
    }

    fn take(&mut self, chunk: &[u8], out: &mut Scanned) {
        let mut rest = chunk;
        while !self.tail.is_empty() && !rest.is_empty() {
            rest = self.take_with_tail(rest, out);
        }
        while let Some(block) = Block::take(rest) {
            self.scan(block, out);
            rest = rest.get(block.bytes.len()..).unwrap_or_default();
        }
        self.tail.extend_from_slice(rest);
    }

    /// Completes the piece that the tail begins, as far as `rest` goes; returns what is left of it.
    fn take_with_tail<'c>(&mut self, rest: &'c [u8], out: &mut Scanned) -> &'c [u8] {
        let had = self.tail.len();
        let line_end = memchr2(b'\n', b'\r', rest);
        let room = (MAX_SEGMENT + LOOK_AHEAD).saturating_sub(had).max(1);
        let enough = line_end.map_or(rest.len(), |at| at + 1 + LOOK_AHEAD).min(room).min(rest.len());
        let (added, later) = rest.split_at(enough);
        self.tail.extend_from_slice(added);
        let may_end = line_end.is_some() || self.tail.get(had - 1) == Some(&b'\r') || self.tail.len() > MAX_SEGMENT;
        if !may_end {
            return later;
        }
        let tail = std::mem::take(&mut self.tail);
        let Some(block) = Block::take_piece(&tail) else {
            self.tail = tail;
            return later;
        };
        let end = block.bytes.len();
        self.scan(block, out);
        self.tail = tail;
        if end < had {
            self.tail.truncate(had);
            self.tail.drain(..end);
            rest
        } else {
            self.tail.clear();
            rest.get(end - had..).unwrap_or_default()
        }
    }

    /// Scans whole pieces and moves on.
    fn scan(&mut self, block: Block<'_>, out: &mut Scanned) {
        let place = self.place;
        let mut hits = self.hits(block, Line::Ended, out);
        out.signals.append(&mut hits.signals);
        let mut found = Vec::new();
        if let Some(traces) = &mut self.traces {
            traces.block(block, place, &hits.starters, &mut found);
            // It has been shown as a starter while it was shorter; a scanner that reads it again must not meet it as a new one.
            if self.told.as_ref().is_some_and(|told| told.starter && told.start == place.offset) {
                traces.begin_anew(place.offset + block.bytes.len() as u64);
            }
        }
        for (end, found) in found {
            hits.detections.extend(self.told_by_traces(found).map(|detection| (end, detection)));
        }
        hits.detections.sort_by_key(|(end, _)| *end);
        let new = hits.detections.into_iter().filter(|(end, _)| *end > self.consumed);
        out.detections.extend(new.map(|(_, detection)| detection));

        let length = block.bytes.len() as u64;
        let old = usize::try_from(self.consumed.saturating_sub(place.offset)).unwrap_or(usize::MAX);
        let (old, new) = block.bytes.split_at(old.min(block.bytes.len()));
        let ended = memchr_iter(b'\n', new).count() as u64;
        out.lines += ended;
        self.place =
            Place { offset: place.offset + length, line: place.line + ended + memchr_iter(b'\n', old).count() as u64 };
    }

    fn silence(&mut self, out: &mut Scanned, emit: Emit) {
        let place = self.place;
        let already = self.told.as_ref().is_some_and(|told| told.start == place.offset);
        let tail = if already { Vec::new() } else { std::mem::take(&mut self.tail) };
        let mut hits = Hits::default();
        if !tail.is_empty() {
            hits = self.hits(Block { bytes: &tail, cut: true }, Line::MayGrow, out);
            let end = place.offset + tail.len() as u64;
            let patterns = std::mem::take(&mut hits.patterns);
            self.told = Some(Told { start: place.offset, end, patterns, starter: !hits.starters.is_empty() });
        }
        let found = self.traces.as_mut().map(|traces| traces.silence(&tail, place, &hits.starters));
        if !already {
            self.tail = tail;
        }
        if emit == Emit::Always {
            out.signals.append(&mut hits.signals);
            out.detections.extend(hits.detections.into_iter().map(|(_, detection)| detection));
            for found in found.into_iter().flatten() {
                out.detections.extend(self.told_by_traces(found));
            }
        }
    }

    fn end(&mut self, out: &mut Scanned) {
        let tail = std::mem::take(&mut self.tail);
        if !tail.is_empty() {
            self.scan(Block { bytes: &tail, cut: true }, out);
        }
        let place = self.place;
        let found = self.traces.as_mut().map(|traces| traces.silence(&[], place, &[]));
        for found in found.into_iter().flatten() {
            out.detections.extend(self.told_by_traces(found));
        }
    }

    /// Searches a block: hits of patterns, starters of traces, values of metrics.
    fn hits(&mut self, block: Block<'_>, last: Line, out: &mut Scanned) -> Hits {
        let mut buffers = std::mem::take(&mut self.buffers);
        let escapes = memchr(0x1b, block.bytes).is_some();
        if escapes {
            buffers.stripped.fill(block.bytes);
        }
        let clean = if escapes { buffers.stripped.bytes() } else { block.bytes };
        let text = if block.cut {
            buffers.terminated.clear();
            buffers.terminated.extend_from_slice(clean);
            buffers.terminated.push(b'\n');
            buffers.terminated.as_slice()
        } else {
            clean
        };

        let mut hits = Hits::default();
        let set = Arc::clone(&self.set);
        set.search(|automaton, cache| {
            buffers.found.clear();
            automaton.find(cache, text, &mut buffers.found);
            let mut line = Lines { number: self.place.line, at: 0 };
            for inside in &buffers.found {
                let inside = if escapes { buffers.stripped.raw(*inside) } else { *inside };
                let segment = Segment::around(block, inside);
                let clean = ansi::strip(segment.text);
                let number = line.number_at(block.bytes, segment.start);
                let told = self.told.as_ref().filter(|told| told.start == self.place.offset + segment.start as u64);
                let mut starter = false;
                for index in automaton.which(cache, &clean) {
                    let mark = index.checked_sub(set.patterns.len()).and_then(|at| set.marks.get(at));
                    let Some(pattern) = set.patterns.get(index) else {
                        match mark {
                            Some(mark) if told.is_none_or(|told| !told.patterns.contains(&index)) => {
                                hits.patterns.push(index);
                                self.mark(mark, number, &segment, &mut hits);
                            }
                            Some(_) => {}
                            None => starter = true,
                        }
                        continue;
                    };
                    if told.is_none_or(|told| !told.patterns.contains(&index)) {
                        hits.patterns.push(index);
                        let hit = Hit { index, pattern, number, segment: &segment, clean: &clean };
                        self.hit(&hit, &mut buffers.hits, &mut hits, out);
                    }
                }
                if starter && told.is_none_or(|told| !told.starter) {
                    hits.starters.push((segment.start, number));
                }
            }
        });
        if last == Line::Ended {
            self.values(&set, block, text, escapes.then_some(&buffers.stripped), &mut hits);
        }
        if self.place.offset + block.bytes.len() as u64 > self.consumed {
            for metric in &set.metrics {
                if let Some(value) = metric.last_value(text) {
                    out.progress.insert(metric.detector.clone(), value);
                }
            }
        }
        self.buffers = buffers;
        hits
    }

    fn mark(&self, mark: &Mark, line: u64, segment: &Segment<'_>, hits: &mut Hits) {
        if self.place.offset + segment.emitted_at as u64 > self.consumed {
            let phase = Arc::clone(&mark.phase);
            let what = if mark.begins { SignalKind::Begin { phase } } else { SignalKind::End { phase } };
            hits.signals.push(Signal { at: self.place.offset + segment.start as u64, line, what });
        }
    }

    /// Every value of every metric in a block whose lines have ended.
    fn values(&self, set: &DetectorSet, block: Block<'_>, text: &[u8], stripped: Option<&Stripped>, hits: &mut Hits) {
        if self.place.offset + (block.bytes.len() as u64) <= self.values_from {
            return;
        }
        let marks = !hits.signals.is_empty();
        for values in &set.values {
            let mut line = Lines { number: self.place.line, at: 0 };
            values.each(text, |inside, value| {
                let inside = stripped.map_or(inside, |stripped| stripped.raw(inside));
                let at = self.place.offset + inside as u64;
                if at >= self.values_from {
                    let what = SignalKind::Value { metric: Arc::clone(&values.metric), value };
                    hits.signals.push(Signal { at, line: line.number_at(block.bytes, inside), what });
                }
            });
        }
        if marks || set.values.len() > 1 {
            hits.signals.sort_by_key(|signal| signal.at);
        }
    }

    fn hit(&self, hit: &Hit<'_>, counts: &mut [u32], hits: &mut Hits, out: &mut Scanned) {
        let start = self.place.offset + hit.segment.start as u64;
        let emitted_at = self.place.offset + hit.segment.emitted_at as u64;
        if emitted_at <= self.consumed {
            return;
        }
        let Some((message, captures, class)) = hit.pattern.read(hit.clean) else { return };
        let Some(count) = counts.get_mut(hit.index) else { return };
        if *count >= MAX_HITS_PER_CHUNK {
            *out.counted.entry(hit.pattern.name.clone()).or_default() += 1;
            return;
        }
        *count += 1;
        let bytes = start..start + hit.segment.text.len() as u64;
        hits.detections.push((
            emitted_at,
            Detection {
                detector: hit.pattern.name.clone(),
                kind: hit.pattern.kind,
                severity: hit.pattern.severity,
                stream: self.stream.clone(),
                bytes,
                lines: (hit.number, hit.number),
                message,
                captures,
                trace: None,
                class,
            },
        ));
    }

    /// A trace as each of the detectors that want it says it.
    fn told_by_traces(&self, found: Found) -> impl Iterator<Item = Detection> + use<'_> {
        let wanting = |detector: &&Traceback| detector.wants(found.trace.language);
        let detectors: Vec<&Traceback> = self.set.tracebacks.iter().filter(wanting).collect();
        detectors.into_iter().map(move |detector| Detection {
            detector: detector.name.clone(),
            kind: DetectorKind::Traceback,
            severity: detector.severity,
            stream: self.stream.clone(),
            bytes: found.bytes.clone(),
            lines: (found.first_line, found.last_line),
            message: headline(&found.trace),
            captures: found.prefix.clone(),
            trace: Some(found.trace.clone()),
            class: None,
        })
    }
}

/// Whether a block's last line has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Ended,
    MayGrow,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Emit {
    Always,
    /// An earlier scanner has done it.
    Never,
}

/// One pattern in one segment.
struct Hit<'h> {
    index: usize,
    pattern: &'h Pattern,
    number: u64,
    segment: &'h Segment<'h>,
    clean: &'h [u8],
}

#[cfg(test)]
mod tests;
