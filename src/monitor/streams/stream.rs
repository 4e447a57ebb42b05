//! One log: a tail that reads it, and a scanner that reads what it says.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::detect::{DetectorSet, Flush, Position, Scanned, Scanner, stream_name};
use crate::ids::{ChildNo, StreamId};
use crate::monitor::event::ScanReport;
use crate::monitor::memory::{FileId, StreamFacts};
use crate::os::watch::{Watch, WatchId};
use crate::supervisor::StreamSource;
use crate::supervisor::tail::{Tail, TailEvent};
use crate::time::Mono;

/// Most reads of a stream whose arrival is remembered: those that an open trace may have begun in.
const ARRIVALS: usize = 8;
/// What would have to be read again for a scanner that is given up must not be more.
const READ_AGAIN: u64 = 256 * 1024;

/// Values of metrics read from one stream in one turn, some 40 bytes each; one chunk may bring more.
const MAX_SIGNALS: usize = 100_000;

/// How a stream wakes us.
#[derive(Debug)]
pub(super) enum Wake {
    /// Its file is watched by itself. `sees_all`: nobody can write to it unnoticed.
    File { watch: Option<WatchId>, sees_all: bool },
    /// Its directory is watched.
    Directory,
    /// It does not: it is looked at now and then.
    Never,
}

/// One log of a child.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) source: StreamSource,
    pub(super) child: ChildNo,
    /// The child's own output, not a file of `process.logs`.
    pub(super) own: bool,
    pub(super) tail: Tail,
    pub(super) wake: Wake,
    /// When to look at it, and its place among those that are looked at then.
    pub(super) look_at: Option<(Mono, u64)>,
    pub(super) last_read: Option<Mono>,
    /// Since when it cannot be read.
    pub(super) failing: Option<Mono>,
    /// Since when its name is gone.
    pub(super) left: Option<Mono>,
    /// When the bytes arrived that have not been read yet.
    pub(super) arriving: Option<u64>,
    /// File that others know it by.
    pub(super) listed_as: Option<FileId>,
    /// An idle stream has none: where another one would go on is `parked`.
    scanner: Option<Box<Scanner>>,
    parked: Position,
    /// A trace or a line was open when the scanner was given up.
    parked_open: bool,
    lines: u64,
    /// Offsets at which reads began, and when what they read had arrived.
    arrivals: Vec<(u64, u64)>,
    /// What the last report said of it: something open, all read.
    told: (bool, bool),
}

/// What one look brought.
#[derive(Default)]
pub(super) struct Read {
    /// Bytes that nobody had read before.
    pub(super) bytes: u64,
    /// Bytes in all.
    pub(super) raw: u64,
    pub(super) caught_up: bool,
    pub(super) scanned: Scanned,
}

impl Read {
    pub(super) fn merge(&mut self, more: Scanned) {
        let Scanned { detections, counted, signals, progress, lines, bytes } = more;
        let all = &mut self.scanned;
        all.detections.extend(detections);
        all.signals.extend(signals);
        for (detector, count) in counted {
            *all.counted.entry(detector).or_default() += count;
        }
        all.progress.extend(progress);
        all.lines += lines;
        all.bytes += bytes;
        self.bytes += bytes;
    }
}

impl Stream {
    pub(super) fn new(
        source: StreamSource,
        child: ChildNo,
        own: bool,
        tail: Tail,
        wake: Wake,
        facts: StreamFacts,
    ) -> Self {
        Self {
            source,
            child,
            own,
            tail,
            wake,
            look_at: None,
            last_read: None,
            failing: None,
            left: None,
            arriving: None,
            listed_as: facts.file,
            scanner: None,
            parked: facts.position,
            parked_open: false,
            lines: facts.lines,
            arrivals: Vec::new(),
            told: (false, true),
        }
    }

    pub(super) fn id(&self) -> &StreamId {
        &self.source.stream
    }

    /// Where another scanner would go on.
    pub(super) fn position(&self) -> Position {
        self.scanner.as_ref().map_or(self.parked, |scanner| scanner.position())
    }

    pub(super) fn facts(&self) -> StreamFacts {
        StreamFacts { position: self.position(), lines: self.lines, file: self.file() }
    }

    fn file(&self) -> Option<FileId> {
        self.tail.id().filter(|_| !self.own)
    }

    pub(super) fn has_scanner(&self) -> bool {
        self.scanner.is_some()
    }

    pub(super) fn has_open(&self) -> bool {
        self.scanner.as_ref().map_or(self.parked_open, |scanner| scanner.has_open())
    }

    /// Gives the scanner up, unless too much would have to be read again.
    pub(super) fn park(&mut self) -> bool {
        let position = self.position();
        let cheap = position.consumed.saturating_sub(position.resume) <= READ_AGAIN;
        if cheap {
            self.park_at(position);
            self.arrivals.shrink_to_fit();
        }
        cheap
    }

    /// Goes on with the detectors that are there now.
    pub(super) fn begin_anew(&mut self) {
        self.park_at(self.position());
    }

    fn park_at(&mut self, position: Position) {
        self.parked_open = self.has_open();
        self.scanner = None;
        self.parked = position;
    }

    /// Goes on elsewhere: at this place of this file.
    pub(super) fn go_on(&mut self, facts: StreamFacts) {
        self.tail = Tail::go_on(self.source.path.clone(), facts.position.resume, facts.file);
        self.park_at(facts.position);
        self.parked_open = false;
        self.lines = facts.lines;
        self.arrivals.clear();
    }

    fn scanner(&mut self, set: &Arc<DetectorSet>) -> &mut Scanner {
        let (tail, at, stream) = (&mut self.tail, self.parked, &self.source.stream);
        self.scanner.get_or_insert_with(|| {
            tail.seek(at.resume);
            Box::new(Scanner::new(Arc::clone(set), stream.clone(), at))
        })
    }

    /// Reads at most `most` bytes, and none that lie behind `until`. `arrived`: when what is new has arrived.
    pub(super) fn read(
        &mut self,
        set: &Arc<DetectorSet>,
        buffer: &mut [u8],
        most: u64,
        until: u64,
        arrived: u64,
    ) -> io::Result<Read> {
        let mut read = Read::default();
        self.scanner(set);
        while read.raw < most && read.scanned.signals.len() < MAX_SIGNALS {
            match self.tail.read(buffer)? {
                TailEvent::Bytes(count) => {
                    let Some(chunk) = buffer.get(..count) else { break };
                    read.raw = read.raw.saturating_add(u64::try_from(count).unwrap_or(0));
                    let before = (read.bytes, self.position().consumed);
                    read.merge(self.scanner(set).feed(chunk));
                    if read.bytes > before.0 {
                        self.arrived_at(before.1, arrived);
                    }
                    if self.tail.position() >= until {
                        read.caught_up = true;
                        break;
                    }
                }
                TailEvent::UpToDate | TailEvent::Absent => {
                    read.caught_up = true;
                    break;
                }
                TailEvent::Truncated { .. } | TailEvent::Replaced { .. } => {
                    // What the old file left open ends here, and the new one is a stream from its start.
                    read.merge(self.scanner(set).flush(Flush::End));
                    self.park_at(Position::START);
                    self.scanner(set);
                    self.arrivals.clear();
                }
            }
        }
        Ok(read)
    }

    /// Ends what waits for more. A scanner that was given up has to get there again first.
    pub(super) fn flush(&mut self, set: &Arc<DetectorSet>, buffer: &mut [u8], why: Flush) -> io::Result<Read> {
        let mut read = Read::default();
        if !self.has_scanner() {
            if !self.parked_open {
                read.caught_up = true;
                return Ok(read);
            }
            let until = self.position().consumed;
            read = self.read(set, buffer, u64::MAX, until, 0)?;
        }
        read.merge(self.scanner(set).flush(why));
        read.caught_up = true;
        Ok(read)
    }

    fn arrived_at(&mut self, offset: u64, arrived: u64) {
        if self.arrivals.len() >= ARRIVALS {
            self.arrivals.remove(0);
        }
        self.arrivals.push((offset, arrived));
    }

    /// What a look found; `None` where it says nothing new of a file that others know of already.
    pub(super) fn report(&mut self, read: Read, before: StreamFacts) -> Option<ScanReport> {
        self.lines = self.lines.saturating_add(read.scanned.lines);
        let told = (self.has_open(), read.caught_up);
        let facts = self.facts();
        let same = std::mem::replace(&mut self.told, told) == told && facts == before && read.bytes == 0;
        if same && !self.own && read.scanned.detections.is_empty() {
            return None;
        }
        let mut detections = read.scanned.detections;
        if !self.own {
            detections.iter_mut().for_each(stream_name::fill);
        }
        let arrived = detections.iter().map(|detection| self.arrival_of(detection.bytes.start)).collect();
        if !told.0
            && let Some(last) = self.arrivals.pop()
        {
            self.arrivals.clear();
            self.arrivals.push(last);
        }
        Some(ScanReport {
            stream: self.source.stream.clone(),
            child: self.child,
            detections,
            arrived,
            counted: read.scanned.counted,
            signals: read.scanned.signals,
            metrics: read.scanned.progress.into_iter().collect(),
            position: facts.position,
            file: facts.file,
            lines: self.lines,
            read_something: read.bytes > 0,
            caught_up: told.1,
            open: told.0,
            ended: false,
        })
    }

    fn arrival_of(&self, offset: u64) -> u64 {
        let covering = self.arrivals.iter().rev().find(|(begin, _)| *begin <= offset);
        covering.or(self.arrivals.first()).map_or(0, |(_, arrived)| *arrived)
    }

    /// Says that nothing waits for more, whatever the scanner thinks: asking again would change nothing.
    pub(super) fn calm(&mut self, report: &mut ScanReport) {
        report.open = false;
        self.told.0 = false;
        self.parked_open = false;
    }

    /// Decides when to look again: at the next write if the program is quiet, in a tick if it writes all the time.
    pub(super) fn next_look(
        &mut self,
        now: Mono,
        read: &Read,
        watch: &mut Option<Watch>,
        tick: Duration,
        poll: Duration,
    ) -> Option<Mono> {
        if !read.caught_up {
            return Some(now);
        }
        let busy = read.bytes > 0 && self.last_read.is_some_and(|last| now.since(last) < tick * 2);
        if read.bytes > 0 {
            self.last_read = Some(now);
        }
        match &mut self.wake {
            Wake::Directory => None,
            Wake::Never => Some(now + poll),
            Wake::File { .. } if busy => Some(now + tick),
            Wake::File { watch: id, sees_all } => {
                let armed = *sees_all && arm(id, &self.source, watch);
                match armed {
                    // What was written before the watch was armed wakes nobody.
                    true if self.tail.len().is_ok_and(|len| len > self.tail.position()) => Some(now),
                    true => None,
                    false => Some(now + if read.bytes > 0 { tick } else { poll }),
                }
            }
        }
    }
}

fn arm(id: &mut Option<WatchId>, source: &StreamSource, watch: &mut Option<Watch>) -> bool {
    let Some(watch) = watch else { return false };
    match *id {
        Some(id) => watch.rearm(id).is_ok(),
        None => {
            *id = watch.file(&source.path).ok();
            id.is_some()
        }
    }
}
