//! Files of `process.logs` as streams: which stream a file is, and where it is read from.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::stream::{Stream, Wake};
use super::{StreamTrouble, Streams};
use crate::detect::{Flush, Position, stream_name};
use crate::ids::{ChildNo, StreamId};
use crate::monitor::book::StreamBook;
use crate::monitor::memory::{FileId, StreamFacts};
use crate::os::watch::Watch;
use crate::supervisor::StreamSource;
use crate::supervisor::log_files::{FileNews, FileNo, LogFiles};
use crate::supervisor::tail::{Stat, Tail, stat};
use crate::time::{Mono, Utc};

/// Files of `process.logs` for one child.
pub(super) struct Logs {
    pub(super) child: ChildNo,
    pub(super) files: LogFiles,
}

/// What is known of the files that are there when a child's files are looked for.
#[derive(Clone, Copy)]
pub(in crate::monitor) enum Known<'m> {
    /// The child has not been started: what they hold is not its.
    BeforeStart,
    /// They are read from where they were left; others are the child's from their start on.
    GoOn(&'m StreamBook),
    /// The same, but nobody looked when the child was started: what is older than it is read from its end.
    Since(&'m StreamBook, Utc),
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

impl Streams {
    /// Begins to read the files of `process.logs` for a child. Gives where each of them is read from.
    pub(in crate::monitor) fn open_logs(
        &mut self,
        child: ChildNo,
        files: LogFiles,
        known: Known<'_>,
        watch: &mut Option<Watch>,
        now: Mono,
    ) -> Vec<(StreamId, StreamFacts)> {
        let mut files = files;
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

    /// What has happened to the files of `process.logs`.
    pub(in crate::monitor) fn look_for_files(&mut self, watch: &mut Option<Watch>, now: Mono) {
        let Some(logs) = &mut self.logs else { return };
        let news = logs.files.look(now);
        news.into_iter().for_each(|one| self.news(one, watch, now));
    }

    fn news(&mut self, news: FileNews, watch: &mut Option<Watch>, now: Mono) {
        match news {
            FileNews::Found { file, path, told, link } => {
                let Some(child) = self.logs.as_ref().map(|logs| logs.child) else { return };
                let found = Found { file, path, told, link, child };
                self.found(found, watch, now, |_, _, _, there| (at_start(there), None));
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
            return (if older { at_end(there) } else { at_start(there) }, None);
        };
        let parent = path.parent().unwrap_or(path);
        let Some(logs) = &mut self.logs else { return (*old, None) };
        match logs.files.find(parent, inode) {
            // That name is meant, too, and reads the rest.
            Some(renamed) if logs.files.takes(&renamed) => (StreamFacts { lines: old.lines, ..at_start(there) }, None),
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
            let ended = stream.flush(&self.set, &mut self.buffer, Flush::End);
            let report = ended.map(|read| stream.report(read, before));
            stream.go_on(facts);
            match report {
                Ok(report) => self.extra.0.extend(report),
                Err(source) => self.lose(key, source),
            }
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
    pub(super) fn listed(&mut self, key: u32) {
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
}

fn at_start(there: &Stat) -> StreamFacts {
    StreamFacts { file: Some(there.id), ..StreamFacts::default() }
}

fn at_end(there: &Stat) -> StreamFacts {
    let position = Position { consumed: there.len, resume: there.len, ..Position::START };
    StreamFacts { position, lines: 0, file: Some(there.id) }
}
