//! Logs as they grow: the child's output, and the files of `process.logs`.
//!
//! Thousands of files are read by one thread, so nothing here walks through all of them: events name the files that were
//! written to, those that are due stand in an ordered queue, and an idle one holds neither scanner nor descriptor.

mod drain;
mod files;
mod recent;
mod stream;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::event::ScanReport;
use super::follow::Follower;
use super::memory::{FileId, StreamFacts};
use crate::detect::{DetectorSet, Flush, Position};
use crate::ids::{ChildNo, StreamId};
use crate::os::dir_watch::open_files_limit;
use crate::os::watch::{Watch, WatchId, Woken};
use crate::supervisor::StreamSource;
use crate::supervisor::log_files::FileNo;
use crate::supervisor::tail::Tail;
use crate::time::Mono;

use drain::Draining;
pub(super) use files::Known;
use files::Logs;
use recent::Recent;
use stream::{Read, Stream, Wake};

/// Bytes read at a time: stays in the second-level cache, and is the scanner's longest piece (docs/performance.md).
const CHUNK: usize = 256 * 1024;
/// Most bytes read from one stream in one turn, so that commands and deadlines are served in between.
const PER_TURN: u64 = 8 * 1024 * 1024;
/// Most bytes read in one turn from all streams.
const ALL_PER_TURN: u64 = 32 * 1024 * 1024;
/// Most streams looked at in one turn.
const LOOKS: usize = 1024;
/// A stream that writes all the time is looked at this often instead of at each write.
const TICK: Duration = Duration::from_millis(8);
/// A log that cannot be read after its child has ended is tried again for this long before its rest is given up.
const GIVE_UP_READING: Duration = Duration::from_secs(10);
/// A file of `process.logs` that cannot be read is tried again this often.
const RETRY: Duration = Duration::from_secs(5);
/// Without inotify, and on network file systems, an idle stream is looked at this often …
const POLL: Duration = Duration::from_millis(250);
/// … but all streams together no more often than once in this time each.
const POLL_EACH: Duration = Duration::from_millis(1);
/// A deleted file whose writer says nothing for this long is closed and forgotten.
const GONE: Duration = Duration::from_secs(5);
/// Scanners kept for streams that wrote last.
const SCANNERS: usize = 512;
/// Files kept open, unless the limit of the process is lower than twice that.
const OPEN_FILES: usize = 2048;
/// A scanner that has dealt with so much at once holds buffers of that size, and is given up when its stream is idle.
const LARGE: u64 = 64 * 1024;
/// Streams in trouble that are named.
const TROUBLED: usize = 16;

/// All streams that are being read.
pub(super) struct Streams {
    set: Arc<DetectorSet>,
    streams: HashMap<u32, Stream>,
    given: u32,
    by_id: HashMap<StreamId, u32>,
    by_watch: HashMap<WatchId, u32>,
    by_file: HashMap<FileId, u32>,
    by_number: HashMap<FileNo, u32>,
    /// When each stream is due, and in which order.
    due: BTreeSet<(Mono, u64, u32)>,
    /// How much has arrived: the order of all streams.
    arrivals: u64,
    scanners: Recent,
    open_files: Recent,
    most_open_files: usize,
    logs: Option<Logs>,
    cwd: PathBuf,
    buffer: Vec<u8>,
    draining: Option<Draining>,
    follower: Option<Follower>,
    troubled: BTreeMap<StreamId, String>,
    /// What was found outside of a look.
    extra: (Vec<ScanReport>, Vec<StreamTrouble>),
}

/// What a look at the streams that were due brought: reports, troubles, and the child whose streams are at their ends.
pub(super) type Looked = (Vec<ScanReport>, Vec<StreamTrouble>, Option<ChildNo>);

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

impl Streams {
    pub(super) fn new(set: Arc<DetectorSet>, cwd: PathBuf, follow: Option<Box<dyn Write + Send>>) -> Self {
        // Without a thread there is no output to see, and `sentry.log` would not be the place for it.
        let follower = follow.and_then(|out| Follower::new(out).ok());
        Self {
            set,
            streams: HashMap::new(),
            given: 0,
            by_id: HashMap::new(),
            by_watch: HashMap::new(),
            by_file: HashMap::new(),
            by_number: HashMap::new(),
            due: BTreeSet::new(),
            arrivals: 0,
            scanners: Recent::default(),
            open_files: Recent::default(),
            most_open_files: OPEN_FILES.min(open_files_limit() / 2),
            logs: None,
            cwd,
            buffer: vec![0; CHUNK],
            draining: None,
            follower,
            troubled: BTreeMap::new(),
            extra: (Vec::new(), Vec::new()),
        }
    }

    /// New detectors for streams that are opened from now on; open ones go on with the new set from where they are.
    pub(super) fn set_detectors(&mut self, set: Arc<DetectorSet>) {
        let with_scanner: Vec<u32> =
            self.streams.iter().filter(|(_, stream)| stream.has_scanner()).map(|(key, _)| *key).collect();
        for key in with_scanner {
            if let Some(stream) = self.streams.get_mut(&key) {
                stream.begin_anew();
            }
            self.scanners.forget(key);
            // What is read again may be all there is: nothing else would wake us.
            self.plan(key, Some(Mono::default()));
        }
        self.set = set;
    }

    /// Names of files are relative to this directory from the next child on.
    pub(super) fn set_cwd(&mut self, cwd: &Path) {
        cwd.clone_into(&mut self.cwd);
    }

    /// Begins to read a child's own log from where it was left.
    pub(super) fn open(&mut self, source: StreamSource, child: ChildNo, facts: StreamFacts, watch: &mut Option<Watch>) {
        if self.by_id.get(&source.stream).and_then(|key| self.streams.get(key)).is_some_and(|it| it.source == source) {
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
        let wake = Self::by_itself(&source.path, watch);
        let key = self.add(Stream::new(source, child, true, tail, wake, facts));
        self.plan(key, Some(Mono::default()));
    }

    /// Whether files are being looked for on behalf of a child.
    pub(super) fn has_logs_of(&self, child: ChildNo) -> bool {
        self.logs.as_ref().is_some_and(|logs| logs.child == child)
    }

    /// Stops reading the streams of older children.
    pub(super) fn close_before(&mut self, child: ChildNo, watch: &mut Option<Watch>) {
        let old: Vec<u32> =
            self.streams.iter().filter(|(_, stream)| stream.child < child).map(|(key, _)| *key).collect();
        old.into_iter().for_each(|key| self.close(key, watch));
        if self.logs.as_ref().is_some_and(|logs| logs.child < child) {
            self.logs = None;
            self.by_number.clear();
            self.troubled.clear();
        }
    }

    /// The child's own log was written to.
    pub(super) fn woken(&mut self, woken: &Woken, now: Mono) {
        let keys: Vec<u32> = match woken {
            Woken::Written(id) | Woken::Gone(id) => self.by_watch.get(id).copied().into_iter().collect(),
            Woken::Overflow => self.by_watch.values().copied().chain(self.own()).collect(),
            Woken::Entered(_) => Vec::new(),
        };
        keys.into_iter().for_each(|key| self.written(key, now));
    }

    /// The descriptor that wakes for files.
    pub(super) fn wake(&self, now: Mono) -> Option<BorrowedFd<'_>> {
        self.logs.as_ref().and_then(|logs| logs.files.wake(now))
    }

    /// When to look again.
    pub(super) fn next_look(&self, now: Mono) -> Option<Mono> {
        let waits = |key: &u32| self.streams.get(key).is_none_or(|stream| stream.failing.is_none());
        let drains = self.draining.as_ref().is_some_and(|it| it.left.is_empty() || it.left.keys().any(waits));
        if drains || !self.extra.0.is_empty() || !self.extra.1.is_empty() {
            return Some(Mono::default());
        }
        let files = self.logs.as_ref().and_then(|logs| logs.files.next_look(now));
        self.due.first().map(|(at, _, _)| *at).into_iter().chain(files).min()
    }

    /// Reads what is due.
    pub(super) fn read_due(&mut self, now: Mono, watch: &mut Option<Watch>) -> Looked {
        let (mut reports, mut troubles) = std::mem::take(&mut self.extra);
        let mut bytes = 0;
        let mut looks = 0;
        while looks < LOOKS && bytes < ALL_PER_TURN {
            let Some(&(at, order, key)) = self.due.first().filter(|(at, _, _)| *at <= now) else { break };
            self.due.remove(&(at, order, key));
            looks += 1;
            bytes += self.look(key, now, watch, &mut reports, &mut troubles);
        }
        let drained = self.drain(now, LOOKS - looks, &mut bytes, &mut reports, &mut troubles);
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

    /// Streams that cannot be read, and why.
    pub(super) fn troubled(&self) -> &BTreeMap<StreamId, String> {
        &self.troubled
    }

    fn flush_one(&mut self, id: &StreamId) -> Option<ScanReport> {
        let key = self.by_id.get(id).copied()?;
        let stream = self.streams.get_mut(&key)?;
        let before = stream.facts();
        let read = match stream.flush(&self.set, &mut self.buffer, Flush::Silence) {
            Ok(read) => read,
            Err(source) => {
                self.lose(key, source);
                return None;
            }
        };
        let stream = self.streams.get_mut(&key)?;
        let mut report = stream.report(Read { caught_up: true, ..read }, before)?;
        if report.detections.is_empty() && report.position == before.position {
            // It changed nothing, so asking again would change nothing either.
            stream.calm(&mut report);
        }
        self.keep_few(key);
        Some(report)
    }

    fn own(&self) -> Vec<u32> {
        self.streams.iter().filter(|(_, stream)| stream.own).map(|(key, _)| *key).collect()
    }

    fn by_itself(path: &Path, watch: &mut Option<Watch>) -> Wake {
        let sees_all = crate::os::watch::sees_all_writers(path);
        Wake::File { watch: watch.as_mut().and_then(|watch| watch.file(path).ok()), sees_all }
    }

    fn add(&mut self, stream: Stream) -> u32 {
        let key = self.given;
        self.given += 1;
        self.by_id.insert(stream.id().clone(), key);
        if let Wake::File { watch: Some(id), .. } = stream.wake {
            self.by_watch.insert(id, key);
        }
        if let Some(draining) = self.draining.as_mut().filter(|draining| draining.child == stream.child) {
            draining.left.insert(key, None);
        }
        self.streams.insert(key, stream);
        key
    }

    fn close(&mut self, key: u32, watch: &mut Option<Watch>) {
        self.plan(key, None);
        let Some(stream) = self.streams.remove(&key) else { return };
        if self.by_id.get(stream.id()) == Some(&key) {
            self.by_id.remove(stream.id());
        }
        if let Wake::File { watch: Some(id), .. } = stream.wake {
            self.by_watch.remove(&id);
            if let Some(watch) = watch {
                watch.remove(id);
            }
        }
        if let Some(file) = stream.listed_as.filter(|file| self.by_file.get(file) == Some(&key)) {
            self.by_file.remove(&file);
        }
        if let Some(draining) = &mut self.draining {
            draining.left.remove(&key);
        }
        self.scanners.forget(key);
        self.open_files.forget(key);
        self.troubled.remove(stream.id());
    }

    /// Puts a stream into the queue of those that are due, or takes it out.
    fn plan(&mut self, key: u32, at: Option<Mono>) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if let Some((at, order)) = stream.look_at.take() {
            self.due.remove(&(at, order, key));
        }
        if let Some(at) = at {
            self.arrivals += 1;
            let order = stream.arriving.unwrap_or(self.arrivals);
            stream.look_at = Some((at, order));
            self.due.insert((at, order, key));
        }
    }

    /// A stream was written to.
    fn written(&mut self, key: u32, now: Mono) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        self.arrivals += 1;
        stream.arriving.get_or_insert(self.arrivals);
        // A program that writes all the time is looked at in ticks.
        let soon = stream.last_read.map_or(now, |last| (last + TICK).max(now));
        if stream.look_at.is_none_or(|(at, _)| at > soon) {
            self.plan(key, Some(soon));
        }
    }

    /// Notes a stream in trouble; whether that is news.
    fn tell(&mut self, stream: StreamId, why: &io::Error) -> bool {
        let why = why.to_string();
        if self.troubled.get(&stream) == Some(&why) {
            return false;
        }
        if self.troubled.len() < TROUBLED || self.troubled.contains_key(&stream) {
            self.troubled.insert(stream, why);
        }
        true
    }

    /// Reads one stream that is due; how much.
    fn look(
        &mut self,
        key: u32,
        now: Mono,
        watch: &mut Option<Watch>,
        reports: &mut Vec<ScanReport>,
        troubles: &mut Vec<StreamTrouble>,
    ) -> u64 {
        let poll = self.poll();
        let arrived = self.arrivals;
        let Some(stream) = self.streams.get_mut(&key) else { return 0 };
        stream.look_at = None;
        let quiet = !stream.own
            && !stream.tail.is_open()
            && !stream.has_open()
            && stream.tail.has_news().is_ok_and(|news| !news);
        if quiet && stream.failing.is_none() {
            stream.arriving = None;
            let nothing = Read { caught_up: true, ..Read::default() };
            let next = stream.next_look(now, &nothing, watch, TICK, poll);
            self.watch_listed(key);
            self.plan(key, next);
            self.forget_gone(key, now, &nothing, watch, reports);
            return 0;
        }
        let before = stream.facts();
        let arrived = stream.arriving.take().unwrap_or(arrived);
        match stream.read(&self.set, &mut self.buffer, PER_TURN, u64::MAX, arrived) {
            Ok(read) => {
                stream.failing = None;
                let next = stream.next_look(now, &read, watch, TICK, poll);
                let (bytes, large, nothing) = (read.raw, read.raw > LARGE, read.bytes == 0 && read.caught_up);
                let caught_up = read.caught_up;
                reports.extend(stream.report(read, before));
                if large && caught_up && !stream.own && !stream.has_open() {
                    stream.park();
                }
                self.read_well(key);
                self.watch_listed(key);
                self.plan(key, next);
                if nothing {
                    self.forget_gone(key, now, &Read { caught_up, ..Read::default() }, watch, reports);
                }
                bytes
            }
            Err(source) => {
                self.failed(key, source, now, troubles);
                0
            }
        }
    }

    fn poll(&self) -> Duration {
        let streams = u32::try_from(self.streams.len()).unwrap_or(u32::MAX);
        POLL.max(POLL_EACH.saturating_mul(streams))
    }

    /// What a stream had left open cannot be read again.
    fn lose(&mut self, key: u32, source: io::Error) {
        if let Some(stream) = self.streams.get(&key) {
            self.extra.1.push(StreamTrouble { path: stream.source.path.clone(), source, given_up: true });
        }
    }

    fn read_well(&mut self, key: u32) {
        if let Some(stream) = self.streams.get(&key)
            && !self.troubled.is_empty()
        {
            self.troubled.remove(stream.id());
        }
        self.listed(key);
        self.keep_few(key);
    }

    fn watch_listed(&mut self, key: u32) {
        if let Some(Wake::File { watch: Some(id), .. }) = self.streams.get(&key).map(|stream| &stream.wake) {
            self.by_watch.insert(*id, key);
        }
    }

    fn failed(&mut self, key: u32, source: io::Error, now: Mono, troubles: &mut Vec<StreamTrouble>) {
        let given_up = self.is_given_up(key, now);
        let Some(stream) = self.streams.get_mut(&key) else { return };
        stream.failing.get_or_insert(now);
        let (own, path, id) = (stream.own, stream.source.path.clone(), stream.id().clone());
        if given_up && let Some(draining) = &mut self.draining {
            draining.left.remove(&key);
        }
        self.plan(key, Some(now + if own || self.draining.is_some() { POLL } else { RETRY }));
        let news = self.tell(id, &source);
        if own || news {
            troubles.push(StreamTrouble { path, source, given_up });
        }
    }

    /// A stream whose file is deleted and silent is closed.
    fn forget_gone(
        &mut self,
        key: u32,
        now: Mono,
        nothing: &Read,
        watch: &mut Option<Watch>,
        reports: &mut Vec<ScanReport>,
    ) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let Some(left) = stream.left.filter(|_| nothing.caught_up && stream.tail.is_deleted()) else { return };
        if now.since(left) < GONE {
            self.plan(key, Some(left + GONE));
            return;
        }
        let before = stream.facts();
        let read = match stream.flush(&self.set, &mut self.buffer, Flush::End) {
            Ok(read) => read,
            Err(source) => {
                self.lose(key, source);
                Read::default()
            }
        };
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let own = std::mem::replace(&mut stream.own, true);
        let report = stream.report(Read { caught_up: true, ..read }, before);
        stream.own = own;
        reports.extend(report.map(|report| ScanReport { ended: true, open: false, ..report }));
        self.close(key, watch);
    }

    /// Gives up what streams hold that have been idle for longest.
    fn keep_few(&mut self, key: u32) {
        let Some(stream) = self.streams.get(&key).filter(|stream| !stream.own) else { return };
        let (has_scanner, is_open) = (stream.has_scanner(), stream.tail.is_open());
        if has_scanner {
            self.scanners.touch(key)
        } else {
            self.scanners.forget(key)
        }
        if is_open {
            self.open_files.touch(key)
        } else {
            self.open_files.forget(key)
        }
        // One that would have to read much again keeps its scanner, and gets to the end of the line.
        for _ in 0..4 {
            let Some(old) = self.scanners.surplus(SCANNERS) else { break };
            if self.streams.get_mut(&old).is_none_or(Stream::park) {
                self.scanners.forget(old);
            } else {
                self.scanners.touch(old);
            }
        }
        while let Some(old) = self.open_files.surplus(self.most_open_files) {
            if let Some(stream) = self.streams.get_mut(&old) {
                stream.tail.park();
            }
            self.open_files.forget(old);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "writes the logs that are read")]
mod tests {
    use super::*;

    fn streams(log: &Path, position: Position) -> Streams {
        let mut streams = Streams::new(Arc::new(DetectorSet::compile(&[]).unwrap()), PathBuf::from("/"), None);
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
            assert!(streams.next_look(after(second)).is_some_and(|at| at <= after(second)));
            let (_, troubles, over) = streams.read_due(after(second), &mut None);
            assert_eq!((troubles.len(), over), (1, drained), "{second}");
            assert!(streams.read_due(after(second), &mut None).1.is_empty(), "not at once");
        }
        assert!(streams.next_look(after(11)).is_some_and(|at| at > after(11)));
    }

    #[test]
    fn files_that_nobody_tells_of_are_looked_at_now_and_then() {
        use crate::config::{LogGlob, LogGlobs};
        use crate::supervisor::log_files::LogFiles;

        let dir = tempfile::tempdir().unwrap();
        let append = |name: &str, text: &str| {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(dir.path().join(name));
            file.unwrap().write_all(text.as_bytes()).unwrap();
        };
        append("old.log", "not the child's\n");
        let glob = LogGlob { pattern: "*.log".into(), root: dir.path().to_owned(), rest: "*.log".into() };
        let files = LogFiles::unwatched(LogGlobs::new(&[glob], Vec::new()));
        let mut streams = Streams::new(Arc::new(DetectorSet::compile(&[]).unwrap()), dir.path().to_owned(), None);
        let found = streams.open_logs(ChildNo(1), files, Known::BeforeStart, &mut None, after(1));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1.position.consumed, 16);
        let mut look = |second: u64| {
            assert!(streams.next_look(after(second)).is_some_and(|at| at <= after(second)), "{second}");
            streams.look_for_files(&mut None, after(second));
            let (reports, troubles, _) = streams.read_due(after(second), &mut None);
            assert!(troubles.is_empty());
            reports
                .into_iter()
                .map(|it| (it.stream.as_str().to_owned(), it.position.consumed, it.lines))
                .collect::<Vec<_>>()
        };
        assert_eq!(look(3), []);
        append("old.log", "its\n");
        append("new.log", "one\n");
        let mut seen = look(10);
        seen.sort();
        assert_eq!(seen, [("new.log".to_owned(), 4, 1), ("old.log".to_owned(), 20, 1)]);
        assert_eq!(look(20), []);
        std::fs::remove_file(dir.path().join("new.log")).unwrap();
        assert_eq!(look(30), [], "its writer may still say something");
        assert_eq!(look(40), [("new.log".to_owned(), 4, 1)], "its end");
        assert_eq!(look(50), []);
    }
}
