//! Logs as they grow: the child's output, and the files of `process.logs`.
//!
//! Thousands of files are read by one thread, so nothing here walks through all of them: events name the files that were
//! written to, those that are due stand in an ordered queue, and an idle one holds neither scanner nor descriptor.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::book::StreamBook;
use super::event::ScanReport;
use super::follow::Follower;
use super::memory::{FileId, StreamFacts};
use super::recent::Recent;
use super::stream::{Read, Stream, Wake};
use crate::config::LogGlobs;
use crate::detect::{DetectorSet, Flush, Position, stream_name};
use crate::ids::{ChildNo, StreamId};
use crate::os::dir_watch::open_files_limit;
use crate::os::watch::{Watch, WatchId, Woken};
use crate::supervisor::StreamSource;
use crate::supervisor::log_files::{FileNews, FileNo, LogFiles};
use crate::supervisor::tail::{Stat, Tail, stat};
use crate::time::{Mono, Utc};

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

/// Files of `process.logs` for one child.
struct Logs {
    child: ChildNo,
    files: LogFiles,
}

/// An ended child's streams that are still to be read to their ends, each up to where it ended when that began.
struct Draining {
    child: ChildNo,
    left: BTreeMap<u32, Option<u64>>,
}

/// What is known of the files that are there when a child's files are looked for.
#[derive(Clone, Copy)]
pub(super) enum Known<'m> {
    /// The child has not been started: what they hold is not its.
    BeforeStart,
    /// They are read from where they were left; others are the child's from their start on.
    GoOn(&'m StreamBook),
    /// The same, but nobody looked when the child was started: what is older than it is read from its end.
    Since(&'m StreamBook, Utc),
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

    /// Begins to read the files of `process.logs` for a child. Gives where each of them is read from.
    pub(super) fn open_logs(
        &mut self,
        child: ChildNo,
        globs: LogGlobs,
        known: Known<'_>,
        watch: &mut Option<Watch>,
        now: Mono,
    ) -> Vec<(StreamId, StreamFacts)> {
        if globs.is_empty() {
            self.logs = None;
            return Vec::new();
        }
        let mut files = LogFiles::new(globs);
        self.by_number.clear();
        let news = files.look_whole(now);
        self.logs = Some(Logs { child, files });
        let before = self.given;
        let known_files: HashMap<FileId, StreamFacts> = match known {
            Known::BeforeStart => HashMap::new(),
            Known::GoOn(book) | Known::Since(book, _) => {
                book.iter().filter_map(|(_, facts)| Some((facts.file?, *facts))).collect()
            }
        };
        for one in news {
            match one {
                FileNews::Found { file, path, told, link } => {
                    let place = Found { file, path, told, link, child };
                    self.found(place, watch, now, |streams, id, path, there| match known {
                        Known::BeforeStart => (at_end(there), None),
                        Known::GoOn(book) => {
                            streams.left_at(book.get(id), &known_files, path, there, Known::GoOn(book))
                        }
                        Known::Since(book, since) => {
                            streams.left_at(book.get(id), &known_files, path, there, Known::Since(book, since))
                        }
                    });
                }
                other => self.news(other, watch, now),
            }
        }
        // Globs that were taken out of the configuration.
        let meant: HashSet<u32> = self.by_number.values().copied().collect();
        let unmeant = self.streams.iter().filter(|(key, it)| !it.own && it.left.is_none() && !meant.contains(key));
        let unmeant: Vec<u32> = unmeant.map(|(key, _)| *key).collect();
        unmeant.into_iter().for_each(|key| self.close(key, watch));
        let new = (before..self.given).filter_map(|key| self.streams.get(&key));
        new.map(|stream| (stream.id().clone(), stream.facts())).collect()
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

    /// What has happened to the files of `process.logs`.
    pub(super) fn look_for_files(&mut self, watch: &mut Option<Watch>, now: Mono) {
        let Some(logs) = &mut self.logs else { return };
        let news = logs.files.look(now);
        news.into_iter().for_each(|one| self.news(one, watch, now));
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

    /// From now on an ended child's streams are read to their ends, a turn's worth at a time.
    pub(super) fn begin_drain(&mut self, child: ChildNo) {
        if let Some(logs) = &mut self.logs {
            logs.files.look_again();
        }
        let of_child = self.streams.iter().filter(|(_, stream)| stream.child == child);
        self.draining = Some(Draining { child, left: of_child.map(|(key, _)| (*key, None)).collect() });
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
        // What cannot be read again now is looked at when it can be.
        let read = stream.flush(&self.set, &mut self.buffer, Flush::Silence).unwrap_or_default();
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

    fn news(&mut self, news: FileNews, watch: &mut Option<Watch>, now: Mono) {
        match news {
            FileNews::Found { file, path, told, link } => {
                let Some(child) = self.logs.as_ref().map(|logs| logs.child) else { return };
                let found = Found { file, path, told, link, child };
                self.found(found, watch, now, |_, _, _, _| (StreamFacts::default(), None));
            }
            FileNews::Written(file) => {
                if let Some(key) = self.by_number.get(&file).copied() {
                    self.written(key, now);
                }
            }
            FileNews::Again(file) => {
                let Some(key) = self.by_number.get(&file).copied() else { return };
                self.takes_over(key, now);
                self.plan(key, Some(now));
            }
            FileNews::Moved(file, path) => {
                let stream = self.by_number.get(&file).and_then(|key| self.streams.get_mut(key));
                if let Some(stream) = stream {
                    stream.tail.find_at(&path);
                }
            }
            FileNews::Left(file) => {
                let Some(key) = self.by_number.remove(&file) else { return };
                if let Some(stream) = self.streams.get_mut(&key) {
                    stream.left = Some(now);
                }
                self.plan(key, Some(now));
            }
            FileNews::Anything => {
                let files: Vec<u32> = self.by_number.values().copied().collect();
                files.into_iter().for_each(|key| self.plan(key, Some(now)));
            }
            FileNews::Trouble(path, source) => {
                let told = self.tell(stream_name::of_path(&self.cwd, &path), &source);
                if told {
                    self.extra.1.push(StreamTrouble { path, source, given_up: false });
                }
            }
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

    /// A file that is meant. `from` says where it is read from, unless it is one that is read already.
    fn found(
        &mut self,
        found: Found,
        watch: &mut Option<Watch>,
        now: Mono,
        from: impl FnOnce(&mut Self, &StreamId, &Path, &Stat) -> (StreamFacts, Option<PathBuf>),
    ) {
        let Found { file, path, told, link, child } = found;
        let id = stream_name::of_path(&self.cwd, &path);
        if let Some(key) = self.by_id.get(&id).copied() {
            // It was gone for a while, or the globs were read again.
            self.by_number.insert(file, key);
            if let Some(stream) = self.streams.get_mut(&key) {
                stream.left = None;
            }
            self.takes_over(key, now);
            self.plan(key, Some(now));
            return;
        }
        let Ok(there) = stat(&path) else { return }; // It went again; if it comes back, that is told.
        let handed_over = match self.reader_of(&there.id) {
            Reader::ByAnotherName => return,
            Reader::Renamed(other) => self.hand_over(other, now),
            Reader::Nobody => None,
        };
        let (facts, rest_at) = match handed_over {
            Some(facts) => (facts, None),
            None => from(self, &id, &path, &there),
        };
        let mut tail = Tail::go_on(path.clone(), facts.position.resume, facts.file);
        if let Some(rest_at) = rest_at {
            tail.find_at(&rest_at);
        }
        let wake = match (told, link) {
            (_, true) => Self::by_itself(&path, watch),
            (true, false) => Wake::Directory,
            (false, false) => Wake::Never,
        };
        let source = StreamSource { stream: id, path };
        let holds_file = tail.is_open();
        let nothing_new = facts.file == Some(there.id) && facts.position.consumed == there.len && !holds_file;
        let rearm = matches!(wake, Wake::File { .. } | Wake::Never);
        let key = self.add(Stream::new(source, child, false, tail, wake, facts));
        self.by_number.insert(file, key);
        facts.file.map(|file| self.by_file.insert(file, key));
        if holds_file {
            self.open_files.touch(key);
        }
        if !nothing_new || rearm || facts.position.resume < facts.position.consumed {
            self.plan(key, Some(now));
        }
    }

    /// Where a file is read from that an earlier monitor may have read, and where the rest of an older one of its name is.
    fn left_at(
        &mut self,
        own: Option<&StreamFacts>,
        known_files: &HashMap<FileId, StreamFacts>,
        path: &Path,
        there: &Stat,
        known: Known<'_>,
    ) -> (StreamFacts, Option<PathBuf>) {
        if let Some(facts) = own.filter(|own| own.file == Some(there.id)).or_else(|| known_files.get(&there.id)) {
            // One that is shorter than it was has been cut while nobody looked.
            let cut = there.len < facts.position.consumed;
            let position = if cut { Position::START } else { facts.position };
            return (StreamFacts { position, ..*facts }, None);
        }
        let Some((old, inode)) = own.and_then(|own| Some((own, own.file?.inode))) else {
            let older = matches!(known, Known::Since(_, since) if there.born_ms() < since.millis());
            return (if older { at_end(there) } else { StreamFacts::default() }, None);
        };
        let parent = path.parent().unwrap_or(path);
        let Some(logs) = &mut self.logs else { return (*old, None) };
        match logs.files.find(parent, inode) {
            // That name is meant, too, and reads the rest.
            Some(renamed) if logs.files.takes(&renamed) => {
                (StreamFacts { lines: old.lines, ..StreamFacts::default() }, None)
            }
            renamed => (*old, renamed),
        }
    }

    /// A name that is known stands for another file now: if that is one that was read under another name, this goes on with it.
    fn takes_over(&mut self, key: u32, now: Mono) {
        let Some(there) = self.streams.get(&key).and_then(|stream| stat(&stream.source.path).ok()) else { return };
        let Reader::Renamed(other) = self.reader_of(&there.id) else { return };
        if other == key {
            return;
        }
        let Some(facts) = self.hand_over(other, now) else { return };
        if let Some(stream) = self.streams.get_mut(&key) {
            let before = stream.facts();
            if let Ok(read) = stream.flush(&self.set, &mut self.buffer, Flush::End) {
                self.extra.0.extend(stream.report(read, before));
            }
            stream.go_on(facts);
        }
        self.listed(key);
    }

    /// Who reads a file already.
    fn reader_of(&self, file: &FileId) -> Reader {
        let Some(key) = self.by_file.get(file).copied() else { return Reader::Nobody };
        let Some(stream) = self.streams.get(&key) else { return Reader::Nobody };
        match stat(&stream.source.path) {
            Ok(there) if there.id == *file => Reader::ByAnotherName,
            Ok(_) | Err(_) => Reader::Renamed(key),
        }
    }

    /// A stream gives its file to another one, and begins with the next file of its name.
    fn hand_over(&mut self, key: u32, now: Mono) -> Option<StreamFacts> {
        let stream = self.streams.get_mut(&key)?;
        let facts = stream.facts();
        stream.go_on(StreamFacts { lines: facts.lines, ..StreamFacts::default() });
        self.scanners.forget(key);
        self.open_files.forget(key);
        self.listed(key);
        self.plan(key, Some(now));
        Some(facts)
    }

    /// Keeps the index by file right.
    fn listed(&mut self, key: u32) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let file = stream.tail.id().filter(|_| !stream.own);
        let before = std::mem::replace(&mut stream.listed_as, file);
        if before == file && file.is_none_or(|file| self.by_file.get(&file) == Some(&key)) {
            return;
        }
        if let Some(before) = before.filter(|before| self.by_file.get(before) == Some(&key)) {
            self.by_file.remove(&before);
        }
        file.map(|file| self.by_file.insert(file, key));
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

    /// Whether an ended child's stream cannot be waited for any longer. A file that could not be read before the child ended
    /// is not waited for at all.
    fn is_given_up(&self, key: u32, now: Mono) -> bool {
        let draining = self.draining.as_ref().is_some_and(|draining| draining.left.contains_key(&key));
        let Some(stream) = self.streams.get(&key).filter(|_| draining) else { return false };
        match stream.failing {
            Some(since) => now.since(since) >= if stream.own { GIVE_UP_READING } else { POLL },
            None => false,
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
        let read = stream.flush(&self.set, &mut self.buffer, Flush::End).unwrap_or_default();
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

    /// Reads streams of an ended child to their ends. The child, once all of them are there.
    fn drain(
        &mut self,
        now: Mono,
        most: usize,
        bytes: &mut u64,
        reports: &mut Vec<ScanReport>,
        troubles: &mut Vec<StreamTrouble>,
    ) -> Option<ChildNo> {
        let keys: Vec<u32> = self.draining.as_ref()?.left.keys().copied().take(most.max(1)).collect();
        for key in keys {
            if *bytes >= ALL_PER_TURN {
                return None;
            }
            let Some(stream) = self.streams.get(&key) else {
                self.draining.as_mut()?.left.remove(&key);
                continue;
            };
            // It was tried in this turn, and is tried again when it is due.
            let waits = stream.failing.is_some() && stream.look_at.is_some_and(|(at, _)| at > now);
            if waits && stream.own {
                continue;
            }
            if self.is_given_up(key, now) && waits {
                self.draining.as_mut()?.left.remove(&key);
                continue;
            }
            *bytes += self.drain_one(key, now, reports, troubles);
        }
        let draining = self.draining.take_if(|draining| draining.left.is_empty())?;
        if self.logs.as_ref().is_some_and(|logs| logs.files.next_look(now).is_some_and(|at| at <= now)) {
            // There may be files that nobody has seen yet.
            self.draining = Some(draining);
            return None;
        }
        Some(draining.child)
    }

    fn drain_one(
        &mut self,
        key: u32,
        now: Mono,
        reports: &mut Vec<ScanReport>,
        troubles: &mut Vec<StreamTrouble>,
    ) -> u64 {
        let arrived = self.arrivals;
        let (Some(stream), Some(draining)) = (self.streams.get_mut(&key), &mut self.draining) else { return 0 };
        let quiet = !stream.own && !stream.has_open() && stream.tail.has_news().is_ok_and(|news| !news);
        if quiet && !stream.has_scanner() {
            draining.left.remove(&key);
            return 0;
        }
        // Others may go on writing to a file: it is read to where it ended when this began.
        let until = match draining.left.get(&key).copied().flatten() {
            Some(until) => until,
            None if stream.own => u64::MAX,
            None => stream.tail.len().unwrap_or(u64::MAX),
        };
        draining.left.insert(key, Some(until));
        let before = stream.facts();
        let arrived = stream.arriving.take().unwrap_or(arrived);
        match stream.read(&self.set, &mut self.buffer, PER_TURN, until, arrived) {
            Ok(mut read) => {
                stream.failing = None;
                let (raw, caught_up) = (read.raw, read.caught_up);
                if caught_up {
                    match stream.flush(&self.set, &mut self.buffer, Flush::End) {
                        Ok(flushed) => read.merge(flushed.scanned),
                        Err(source) => {
                            self.failed(key, source, now, troubles);
                            return raw;
                        }
                    }
                    draining.left.remove(&key);
                }
                reports.extend(stream.report(read, before));
                if caught_up {
                    if !stream.own {
                        stream.park();
                    }
                    let next = self.streams.get_mut(&key).and_then(|stream| match stream.wake {
                        Wake::Never => Some(now + POLL),
                        Wake::Directory | Wake::File { .. } => None,
                    });
                    self.plan(key, next);
                }
                self.read_well(key);
                self.watch_listed(key);
                raw
            }
            Err(source) => {
                self.failed(key, source, now, troubles);
                0
            }
        }
    }
}

/// A file that is meant.
struct Found {
    file: FileNo,
    path: PathBuf,
    told: bool,
    link: bool,
    child: ChildNo,
}

/// Who reads a file.
enum Reader {
    Nobody,
    /// It is read, and that name still stands for it: this is a link to it.
    ByAnotherName,
    /// It was read under a name that stands for something else now.
    Renamed(u32),
}

fn at_end(there: &Stat) -> StreamFacts {
    let position = Position { consumed: there.len, resume: there.len, ..Position::START };
    StreamFacts { position, lines: 0, file: Some(there.id) }
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
}
