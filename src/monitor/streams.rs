//! Logs as they grow: each has a tail that reads it and a scanner that reads what it says.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::event::ScanReport;
use super::follow::Follower;
use super::memory::StreamFacts;
use crate::detect::{DetectorSet, Flush, Position, Scanned, Scanner};
use crate::ids::{ChildNo, StreamId};
use crate::os::watch::{Watch, WatchId, Woken};
use crate::supervisor::StreamSource;
use crate::supervisor::tail::{Tail, TailEvent};
use crate::time::Mono;

/// Bytes read at a time: stays in the second-level cache, and is the scanner's longest piece (docs/performance.md).
const CHUNK: usize = 256 * 1024;
/// Most bytes read from one stream in one turn, so that commands and deadlines are served in between.
const PER_TURN: u64 = 8 * 1024 * 1024;
/// A stream that writes all the time is looked at this often instead of at each write.
const TICK: Duration = Duration::from_millis(8);
/// A log that cannot be read after its child has ended is tried again for this long before its rest is given up.
const GIVE_UP_READING: Duration = Duration::from_secs(10);
/// Without inotify, and on network file systems, an idle stream is looked at this often.
const POLL: Duration = Duration::from_millis(250);

/// All streams that are being read.
pub(super) struct Streams {
    set: Arc<DetectorSet>,
    open: Vec<Stream>,
    buffer: Vec<u8>,
    draining: Option<ChildNo>,
    follower: Option<Follower>,
}

/// What a look at the streams that were due brought: reports, troubles, and the child whose streams are at their ends.
pub(super) type Looked = (Vec<ScanReport>, Vec<StreamTrouble>, Option<ChildNo>);

struct Stream {
    source: StreamSource,
    child: ChildNo,
    tail: Tail,
    scanner: Scanner,
    lines: u64,
    watch: Option<WatchId>,
    sees_all: bool,
    look_at: Option<Mono>,
    last_read: Option<Mono>,
    /// Since when it cannot be read.
    failing: Option<Mono>,
}

impl Streams {
    pub(super) fn new(set: Arc<DetectorSet>, follow: Option<Box<dyn Write + Send>>) -> Self {
        // Without a thread there is no output to see, and `sentry.log` would not be the place for it.
        let follower = follow.and_then(|out| Follower::new(out).ok());
        Self { set, open: Vec::new(), buffer: vec![0; CHUNK], draining: None, follower }
    }

    /// New detectors for streams that are opened from now on; open ones go on with the new set from where they are.
    pub(super) fn set_detectors(&mut self, set: Arc<DetectorSet>) {
        for stream in &mut self.open {
            let position = stream.scanner.position();
            stream.scanner = Scanner::new(Arc::clone(&set), stream.source.stream.clone(), position);
            stream.tail.seek(position.resume);
            // What is read again may be all there is: nothing else would wake us.
            stream.look_at = Some(Mono::default());
        }
        self.set = set;
    }

    /// Begins to read a child's log from where it was left.
    pub(super) fn open(&mut self, source: StreamSource, child: ChildNo, facts: StreamFacts, watch: &mut Option<Watch>) {
        if self.open.iter().any(|stream| stream.source == source) {
            return;
        }
        let mut facts = facts;
        let mut tail = Tail::open(source.path.clone(), facts.position.resume);
        if tail.len().is_ok_and(|len| len < facts.position.consumed) {
            // It was cut or replaced while nobody looked: what is there now is a stream from its start.
            facts.position = Position::START;
            tail.seek(Position::START.resume);
        }
        if let Some(follower) = &self.follower {
            follower.follow(source.path.clone(), facts.position.consumed);
        }
        let sees_all = crate::os::watch::sees_all_writers(&source.path);
        let id = watch.as_mut().and_then(|watch| watch.file(&source.path).ok());
        self.open.push(Stream {
            tail,
            scanner: Scanner::new(Arc::clone(&self.set), source.stream.clone(), facts.position),
            child,
            lines: facts.lines,
            watch: id,
            sees_all,
            look_at: Some(Mono::default()),
            last_read: None,
            failing: None,
            source,
        });
    }

    /// Stops reading the streams of older children.
    pub(super) fn close_before(&mut self, child: ChildNo, watch: &mut Option<Watch>) {
        self.open.retain(|stream| {
            let keep = stream.child >= child;
            if !keep && let (Some(watch), Some(id)) = (watch.as_mut(), stream.watch) {
                watch.remove(id);
            }
            keep
        });
    }

    /// A watched file was written to.
    pub(super) fn woken(&mut self, woken: &Woken, now: Mono) {
        for stream in &mut self.open {
            let mine = match woken {
                Woken::Written(id) | Woken::Gone(id) => stream.watch == Some(*id),
                Woken::Overflow => true,
                Woken::Entered(_) => false,
            };
            if mine {
                // A program that writes all the time is looked at in ticks.
                let soon = stream.last_read.map_or(now, |last| (last + TICK).max(now));
                stream.look_at = Some(stream.look_at.map_or(soon, |at| at.min(soon)));
            }
        }
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Mono> {
        let of_draining = |stream: &&Stream| Some(stream.child) == self.draining && stream.failing.is_none();
        if self.draining.is_some_and(|child| self.open.iter().all(|stream| stream.child != child))
            || self.open.iter().any(|stream| of_draining(&stream))
        {
            return Some(Mono::default());
        }
        self.open.iter().filter_map(|stream| stream.look_at).min()
    }

    /// From now on an ended child's streams are read to their ends, a turn's worth at a time.
    pub(super) fn begin_drain(&mut self, child: ChildNo) {
        self.draining = Some(child);
    }

    /// Reads what is due.
    pub(super) fn read_due(&mut self, now: Mono, watch: &mut Option<Watch>) -> Looked {
        let mut reports = Vec::new();
        let mut troubles = Vec::new();
        let mut drained = self.draining;
        for stream in &mut self.open {
            let draining = self.draining == Some(stream.child);
            let due = stream.look_at.is_some_and(|at| at <= now);
            if !due && draining && stream.failing.is_some() {
                drained = None;
                continue;
            }
            if !due && !draining {
                continue;
            }
            match stream.read(&self.set, &mut self.buffer, PER_TURN) {
                Ok(mut read) => {
                    stream.failing = None;
                    if draining && read.caught_up {
                        read.merge(stream.scanner.flush(Flush::End));
                        stream.look_at = None;
                    } else if draining {
                        drained = None;
                    } else {
                        stream.plan(now, &read, watch);
                    }
                    reports.push(stream.report(read));
                }
                Err(source) => {
                    let since = *stream.failing.get_or_insert(now);
                    stream.look_at = Some(now + POLL);
                    let given_up = draining && now.since(since) >= GIVE_UP_READING;
                    if draining && !given_up {
                        drained = None;
                    }
                    troubles.push(StreamTrouble { path: stream.source.path.clone(), source, given_up });
                }
            }
        }
        if drained.is_some() {
            self.draining = None;
        }
        if let Some(follower) = &self.follower {
            follower.look();
        }
        (reports, troubles, drained)
    }

    /// Shows the rest of the output and stops showing.
    pub(super) fn end_follow(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.end();
        }
    }

    /// Nothing has come for a while.
    pub(super) fn flush_silence(&mut self, ids: &[StreamId]) -> Vec<ScanReport> {
        ids.iter().filter_map(|id| self.flush_one(id)).collect()
    }

    fn flush_one(&mut self, id: &StreamId) -> Option<ScanReport> {
        let stream = self.open.iter_mut().find(|stream| stream.source.stream == *id)?;
        let mut read = Read { caught_up: true, ..Read::default() };
        let before = stream.scanner.position();
        read.merge(stream.scanner.flush(Flush::Silence));
        let mut report = stream.report(read);
        if report.detections.is_empty() && report.position == before {
            // It changed nothing, so asking again would change nothing either.
            report.open = false;
        }
        Some(report)
    }
}

/// What one look brought.
#[derive(Default)]
struct Read {
    bytes: u64,
    caught_up: bool,
    scanned: Scanned,
}

impl Read {
    fn merge(&mut self, more: Scanned) {
        let Scanned { detections, counted, progress, lines, bytes } = more;
        let all = &mut self.scanned;
        all.detections.extend(detections);
        for (detector, count) in counted {
            *all.counted.entry(detector).or_default() += count;
        }
        all.progress.extend(progress);
        all.lines += lines;
        all.bytes += bytes;
    }
}

/// A stream that could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read `{}`: {source}; {}",
    path.display(),
    if *given_up { "the rest of it is given up" } else { "trying again" }
)]
pub(super) struct StreamTrouble {
    path: PathBuf,
    source: io::Error,
    given_up: bool,
}

impl Stream {
    fn read(&mut self, set: &Arc<DetectorSet>, buffer: &mut [u8], most: u64) -> io::Result<Read> {
        let mut read = Read::default();
        while read.bytes < most {
            match self.tail.read(buffer)? {
                TailEvent::Bytes(count) => {
                    let Some(chunk) = buffer.get(..count) else { break };
                    read.bytes = read.bytes.saturating_add(u64::try_from(count).unwrap_or(0));
                    read.merge(self.scanner.feed(chunk));
                }
                TailEvent::UpToDate | TailEvent::Absent => {
                    read.caught_up = true;
                    break;
                }
                TailEvent::Truncated { .. } | TailEvent::Replaced { .. } => {
                    // What the old file left open ends here, and the new one is a stream from its start.
                    read.merge(self.scanner.flush(Flush::End));
                    self.scanner = Scanner::new(Arc::clone(set), self.source.stream.clone(), Position::START);
                }
            }
        }
        Ok(read)
    }

    /// Decides when to look again: at the next write if the program is quiet, in a tick if it writes all the time.
    fn plan(&mut self, now: Mono, read: &Read, watch: &mut Option<Watch>) {
        if !read.caught_up {
            self.look_at = Some(now);
            return;
        }
        let busy = read.bytes > 0 && self.last_read.is_some_and(|last| now.since(last) < TICK * 2);
        if read.bytes > 0 {
            self.last_read = Some(now);
        }
        let armed = !busy && self.sees_all && self.arm(watch);
        self.look_at = match (busy, armed) {
            (true, _) => Some(now + TICK),
            // What was written before the watch was armed wakes nobody.
            (false, true) if self.tail.len().is_ok_and(|len| len > self.tail.position()) => Some(now),
            (false, true) => None,
            (false, false) => Some(now + if read.bytes > 0 { TICK } else { POLL }),
        };
    }

    fn arm(&mut self, watch: &mut Option<Watch>) -> bool {
        let Some(watch) = watch else { return false };
        match self.watch {
            Some(id) => watch.rearm(id).is_ok(),
            None => {
                self.watch = watch.file(&self.source.path).ok();
                self.watch.is_some()
            }
        }
    }

    fn report(&mut self, read: Read) -> ScanReport {
        self.lines = self.lines.saturating_add(read.scanned.lines);
        ScanReport {
            stream: self.source.stream.clone(),
            child: self.child,
            detections: read.scanned.detections,
            counted: read.scanned.counted,
            metrics: read.scanned.progress.into_iter().collect(),
            arrived: Vec::new(),
            position: self.scanner.position(),
            file: None,
            lines: self.lines,
            read_something: read.bytes > 0,
            caught_up: read.caught_up,
            open: self.scanner.has_open(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "writes the logs that are read")]
mod tests {
    use super::*;

    fn streams(log: &std::path::Path, position: Position) -> Streams {
        let mut streams = Streams::new(Arc::new(DetectorSet::compile(&[]).unwrap()), None);
        let source = StreamSource { stream: ChildNo(1).stream(), path: log.to_owned() };
        streams.open(source, ChildNo(1), StreamFacts { position, lines: 0, file: None }, &mut None);
        streams
    }

    fn after(seconds: u64) -> Mono {
        Mono::from_duration(Duration::from_secs(seconds))
    }

    #[test]
    fn a_log_that_is_shorter_than_it_was_is_read_from_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "one\ntwo\n").unwrap();
        for (consumed, resume) in [(100, 4), (100, 100), (8, 4)] {
            let mut streams = streams(&log, Position { consumed, resume, ..Position::START });
            let (reports, troubles, _) = streams.read_due(after(1), &mut None);
            assert!(troubles.is_empty());
            assert_eq!(reports.last().unwrap().position.consumed, 8, "{consumed}, {resume}");
        }
    }

    #[test]
    fn a_log_that_cannot_be_read_is_given_up_after_a_while_only() {
        let dir = tempfile::tempdir().unwrap();
        // A folder is no log.
        let mut streams = streams(dir.path(), Position::START);
        streams.begin_drain(ChildNo(1));
        for (second, drained) in [(1, None), (6, None), (10, None), (11, Some(ChildNo(1)))] {
            assert!(streams.next_look().is_some_and(|at| at <= after(second)));
            let (_, troubles, over) = streams.read_due(after(second), &mut None);
            assert_eq!((troubles.len(), over), (1, drained), "{second}");
            assert!(streams.read_due(after(second), &mut None).1.is_empty(), "not at once");
        }
        assert!(streams.next_look().is_some_and(|at| at > after(11)));
    }
}
