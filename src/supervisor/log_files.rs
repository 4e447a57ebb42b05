//! Files of `process.logs`: found below the roots of their globs, and told when they are written to, come, go and move.
//!
//! Directories are watched, not files, and names come from the events, so that a turn costs what happened in it. Where
//! nothing can be watched (no inotify left, a network file system), directories are listed again now and then.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::LogGlobs;
use crate::os::dir_watch::{self, DirNews, DirWatch, Kind, WatchedDir};
use crate::os::watch::sees_all_writers;
use crate::time::Mono;

/// Most files that are read; further ones are told and left alone.
pub const MAX_FILES: usize = 65_536;
/// Most directories that are looked into.
const MAX_DIRS: usize = 16_384;
/// Most names of one directory.
const MAX_NAMES: usize = 1 << 20;
/// Events are taken this often where they come all the time.
const TICK: Duration = Duration::from_millis(8);
/// What is not watched is listed this often …
const POLL: Duration = Duration::from_secs(1);
/// … plus this much for each name in it.
const POLL_NAME: Duration = Duration::from_micros(100);
/// Directories listed in one turn.
const LISTED: usize = 64;

/// A file that is read, by its number.
pub type FileNo = u32;

/// What is new.
#[derive(Debug)]
pub enum FileNews {
    /// A file that is meant.
    Found {
        /// Its number from now on.
        file: FileNo,
        /// Where it is.
        path: PathBuf,
        /// Whether writes to it are told; else it has to be looked at now and then.
        told: bool,
        /// Whether its name is a symbolic link: writes to what it leads to are not told, where they can be watched.
        link: bool,
    },
    /// It may have been written to.
    Written(FileNo),
    /// Its name is gone.
    Left(FileNo),
    /// Its name is gone, and the file has this one now.
    Moved(FileNo, PathBuf),
    /// Its name stands for another file now.
    Again(FileNo),
    /// Events were lost: any of them may have been written to.
    Anything,
    /// A directory or file that cannot be looked at.
    Trouble(PathBuf, io::Error),
}

/// The directories, and the files in them that are meant.
#[derive(Debug)]
pub struct LogFiles {
    globs: LogGlobs,
    watch: Option<DirWatch>,
    dirs: HashMap<u32, Dir>,
    watched: HashMap<WatchedDir, u32>,
    places: HashMap<(u64, u64), u32>,
    /// Roots that are not there yet, and the directories above them that tell when they may be.
    waiting: BTreeSet<PathBuf>,
    above: HashMap<WatchedDir, PathBuf>,
    /// A waiting root whose appearance nobody tells.
    untold: bool,
    to_visit: VecDeque<PathBuf>,
    to_list: VecDeque<u32>,
    /// Directories that are not watched.
    unwatched: usize,
    given: u32,
    given_dirs: u32,
    names: usize,
    listen_from: Mono,
    poll_at: Option<Mono>,
    too_many: bool,
    /// The last directory that was searched for files by their numbers.
    inodes: Option<(PathBuf, HashMap<u64, OsString>)>,
}

#[derive(Debug)]
struct Dir {
    path: PathBuf,
    place: (u64, u64),
    watched: Option<WatchedDir>,
    names: BTreeMap<OsString, FileNo>,
}

impl LogFiles {
    /// Nothing has been looked at yet; [`LogFiles::look`] does.
    pub fn new(globs: LogGlobs) -> Self {
        let watch = if globs.is_empty() { None } else { DirWatch::new().ok() };
        let to_visit = globs.roots().into_iter().map(Path::to_owned).collect();
        Self {
            globs,
            watch,
            dirs: HashMap::new(),
            watched: HashMap::new(),
            places: HashMap::new(),
            waiting: BTreeSet::new(),
            above: HashMap::new(),
            untold: false,
            to_visit,
            to_list: VecDeque::new(),
            unwatched: 0,
            given: 0,
            given_dirs: 0,
            names: 0,
            listen_from: Mono::default(),
            poll_at: None,
            too_many: false,
            inodes: None,
        }
    }

    /// The descriptor that wakes, unless it is not listened to just now.
    pub fn wake(&self, now: Mono) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().filter(|_| self.listen_from <= now).map(AsFd::as_fd)
    }

    /// When to look without having been woken.
    pub fn next_look(&self, now: Mono) -> Option<Mono> {
        if !self.to_visit.is_empty() || !self.to_list.is_empty() {
            return Some(now);
        }
        let listen = Some(self.listen_from).filter(|from| self.watch.is_some() && *from > now);
        listen.into_iter().chain(self.poll_at).min()
    }

    /// Looks at everything again, watched or not, at the next look.
    pub fn look_again(&mut self) {
        self.listen_from = Mono::default();
        let unwatched = self.dirs.iter().filter(|(_, dir)| dir.watched.is_none());
        self.to_list.extend(unwatched.map(|(number, _)| *number));
        self.visit_waiting();
    }

    /// Takes what has happened, and looks at directories; those beyond a turn's worth are left for the next one.
    pub fn look(&mut self, now: Mono) -> Vec<FileNews> {
        let mut news = Vec::new();
        self.inodes = None;
        self.take_events(now, &mut news);
        if self.poll_at.is_some_and(|at| at <= now) {
            self.look_again();
        }
        let mut looked = 0;
        while looked < LISTED {
            if let Some(path) = self.to_visit.pop_front() {
                self.visit(&path, &mut news);
            } else if let Some(number) = self.to_list.pop_front() {
                self.list(number, &mut news);
            } else {
                break;
            }
            looked += 1;
        }
        let polled = !self.waiting.is_empty() && self.untold || self.unwatched > 0;
        let names = u32::try_from(self.names).unwrap_or(u32::MAX);
        self.poll_at = polled.then(|| now + POLL + POLL_NAME.saturating_mul(names)).map(|at| match self.poll_at {
            Some(before) if before > now => before.min(at),
            _ => at,
        });
        news
    }

    /// Looks until everything that is there has been found.
    pub fn look_whole(&mut self, now: Mono) -> Vec<FileNews> {
        let mut news = self.look(now);
        while !self.to_visit.is_empty() || !self.to_list.is_empty() {
            news.extend(self.look(now));
        }
        news
    }

    /// Whether a path is meant.
    pub fn takes(&self, path: &Path) -> bool {
        self.globs.takes(path)
    }

    /// Where in a directory the file with this number is.
    pub fn find(&mut self, directory: &Path, inode: u64) -> Option<PathBuf> {
        if self.inodes.as_ref().is_none_or(|(of, _)| of != directory) {
            let entries = dir_watch::list(directory, MAX_NAMES).unwrap_or_default();
            let files = entries.into_iter().filter(|entry| entry.kind == Kind::File);
            self.inodes = Some((directory.to_owned(), files.map(|entry| (entry.inode, entry.name)).collect()));
        }
        let (_, names) = self.inodes.as_ref()?;
        names.get(&inode).map(|name| directory.join(name))
    }

    fn take_events(&mut self, now: Mono, news: &mut Vec<FileNews>) {
        if self.listen_from > now {
            return;
        }
        let Some(watch) = &mut self.watch else { return };
        let events = match watch.drain() {
            Ok(events) => events,
            Err(error) => {
                news.push(FileNews::Trouble(PathBuf::from("inotify"), error));
                Vec::new()
            }
        };
        if !events.is_empty() {
            self.listen_from = now + TICK;
        }
        let mut leaving = HashMap::new();
        for event in events {
            match event {
                DirNews::Written(dir, name) => self.written(dir, &name, news),
                DirNews::Appeared(dir, name, cookie) => {
                    let from = (cookie != 0).then(|| leaving.remove(&cookie)).flatten();
                    self.appeared(dir, &name, from, news);
                }
                DirNews::Left(dir, name, cookie) => {
                    let file = self.dir_mut(dir).and_then(|dir| dir.names.remove(&name));
                    if let Some(file) = file {
                        self.names = self.names.saturating_sub(1);
                        if cookie == 0 {
                            news.push(FileNews::Left(file));
                        } else {
                            leaving.insert(cookie, file);
                        }
                    }
                }
                DirNews::Gone(dir) => self.gone(dir, news),
                DirNews::Overflow => {
                    news.push(FileNews::Anything);
                    self.to_list = self.dirs.keys().copied().collect();
                    self.visit_waiting();
                }
            }
        }
        // They went where nobody watches.
        let mut leaving: Vec<FileNo> = leaving.into_values().collect();
        leaving.sort_unstable();
        news.extend(leaving.into_iter().map(FileNews::Left));
    }

    fn dir_mut(&mut self, watched: WatchedDir) -> Option<&mut Dir> {
        self.watched.get(&watched).and_then(|number| self.dirs.get_mut(number))
    }

    fn written(&mut self, watched: WatchedDir, name: &OsStr, news: &mut Vec<FileNews>) {
        let Some(number) = self.watched.get(&watched).copied() else { return };
        match self.dirs.get(&number).and_then(|dir| dir.names.get(name)) {
            Some(file) => news.push(FileNews::Written(*file)),
            None => {
                let path = self.dirs.get(&number).map(|dir| dir.path.join(name));
                if let Some(path) = path.filter(|path| self.globs.takes(path)) {
                    self.name(number, &path, news);
                }
            }
        }
    }

    /// A name has appeared, perhaps that of a file that had another one.
    fn appeared(&mut self, watched: WatchedDir, name: &OsStr, from: Option<FileNo>, news: &mut Vec<FileNews>) {
        if self.above.contains_key(&watched) {
            self.visit_waiting();
        }
        let number = self.watched.get(&watched).copied();
        let Some((number, path)) = number.and_then(|number| Some((number, self.dirs.get(&number)?.path.join(name))))
        else {
            news.extend(from.map(FileNews::Left));
            return;
        };
        if let Some(file) = from {
            news.push(FileNews::Moved(file, path.clone()));
            if !self.globs.takes(&path)
                && let Some(dir) = self.dirs.get_mut(&number)
            {
                // Its writer may go on writing to it.
                dir.names.insert(name.to_owned(), file);
                self.names += 1;
                return;
            }
        }
        self.name(number, &path, news);
    }

    /// Looks at one name of a directory.
    fn name(&mut self, number: u32, path: &Path, news: &mut Vec<FileNews>) {
        let Ok(own) = path.symlink_metadata() else { return }; // It went again.
        let link = own.is_symlink();
        let there = if link { path.metadata() } else { Ok(own) };
        let there = match there {
            Ok(there) => there,
            // A link that leads nowhere may be of use later.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return news.push(FileNews::Trouble(path.to_owned(), error)),
        };
        if there.is_dir() {
            if self.globs.enters(path) {
                self.to_visit.push_back(path.to_owned());
            }
        } else if there.is_file() && self.globs.takes(path) {
            self.file(number, path, link, news);
        }
    }

    fn file(&mut self, number: u32, path: &Path, link: bool, news: &mut Vec<FileNews>) {
        let (Some(dir), Some(name)) = (self.dirs.get_mut(&number), path.file_name()) else { return };
        if let Some(file) = dir.names.get(name) {
            news.push(FileNews::Again(*file));
            return;
        }
        if self.names >= MAX_FILES {
            if !std::mem::replace(&mut self.too_many, true) {
                let what = format!(
                    "more than {MAX_FILES} files are meant by `process.logs`; this and further ones are not read"
                );
                news.push(FileNews::Trouble(path.to_owned(), io::Error::other(what)));
            }
            return;
        }
        self.given += 1;
        self.names += 1;
        dir.names.insert(name.to_owned(), self.given);
        news.push(FileNews::Found { file: self.given, path: path.to_owned(), told: dir.watched.is_some(), link });
    }

    /// Looks into a directory for the first time.
    fn visit(&mut self, path: &Path, news: &mut Vec<FileNews>) {
        let there = match path.metadata() {
            Ok(there) if there.is_dir() => there,
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                news.push(FileNews::Trouble(path.to_owned(), error));
                return self.wait_for(path);
            }
            Ok(_) | Err(_) => return self.wait_for(path),
        };
        self.waiting.remove(path);
        let place = (there.dev(), there.ino());
        if let Some(known) = self.places.get(&place).copied() {
            // By another path: a link, perhaps one that leads upwards. Unless that path has become wrong.
            let still = |dir: &Dir| dir.path.metadata().is_ok_and(|there| (there.dev(), there.ino()) == place);
            if self.dirs.get(&known).is_some_and(still) {
                return;
            }
            self.forget(known, news);
        }
        if self.dirs.len() >= MAX_DIRS {
            if !std::mem::replace(&mut self.too_many, true) {
                let what = format!(
                    "more than {MAX_DIRS} directories lie below the roots of `process.logs`; this and further ones are not looked into"
                );
                news.push(FileNews::Trouble(path.to_owned(), io::Error::other(what)));
            }
            return;
        }
        let watch = self.watch.as_ref().filter(|_| sees_all_writers(path));
        let watched =
            watch.and_then(|watch| if self.globs.reads(path) { watch.files(path) } else { watch.names(path) }.ok());
        self.given_dirs += 1;
        let number = self.given_dirs;
        self.places.insert(place, number);
        self.unwatched += usize::from(watched.is_none());
        self.watched.extend(watched.map(|watched| (watched, number)));
        self.dirs.insert(number, Dir { path: path.to_owned(), place, watched, names: BTreeMap::new() });
        // After it is watched: what appears in between is told twice rather than never.
        self.list(number, news);
    }

    /// Compares a directory with what is known of it.
    fn list(&mut self, number: u32, news: &mut Vec<FileNews>) {
        let Some(dir) = self.dirs.get(&number) else { return };
        let path = dir.path.clone();
        let entries = match dir_watch::list(&path, MAX_NAMES) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.forget(number, news),
            Err(error) => {
                news.push(FileNews::Trouble(path, error));
                return;
            }
        };
        let missing: Vec<OsString> = {
            let there: std::collections::HashSet<&OsString> = entries.iter().map(|entry| &entry.name).collect();
            dir.names.keys().filter(|name| !there.contains(name)).cloned().collect()
        };
        for entry in &entries {
            let path = path.join(&entry.name);
            match entry.kind {
                Kind::File if self.globs.takes(&path) => self.file(number, &path, false, news),
                Kind::Directory if self.globs.enters(&path) => self.to_visit.push_back(path),
                Kind::Link if self.globs.takes(&path) || self.globs.enters(&path) => self.name(number, &path, news),
                Kind::File | Kind::Directory | Kind::Link | Kind::Other => {}
            }
        }
        let Some(dir) = self.dirs.get_mut(&number) else { return };
        for name in missing {
            news.extend(dir.names.remove(&name).map(FileNews::Left));
            self.names = self.names.saturating_sub(1);
        }
    }

    fn gone(&mut self, watched: WatchedDir, news: &mut Vec<FileNews>) {
        if self.above.remove(&watched).is_some() {
            self.visit_waiting();
        }
        if let Some(number) = self.watched.get(&watched).copied() {
            self.forget(number, news);
        }
    }

    /// A directory is not there any more, at least not under its path.
    fn forget(&mut self, number: u32, news: &mut Vec<FileNews>) {
        let Some(dir) = self.dirs.remove(&number) else { return };
        self.places.remove(&dir.place);
        self.unwatched -= usize::from(dir.watched.is_none());
        dir.watched.map(|watched| self.watched.remove(&watched));
        self.names = self.names.saturating_sub(dir.names.len());
        news.extend(dir.names.into_values().map(FileNews::Left));
        if self.globs.roots().contains(&dir.path.as_path()) {
            self.to_visit.push_back(dir.path);
        }
    }

    /// A root is not there: what is above it tells when it may be.
    fn wait_for(&mut self, root: &Path) {
        if !self.globs.roots().contains(&root) {
            return; // Found below a root, and gone again.
        }
        self.waiting.insert(root.to_owned());
        self.untold = true;
        let Some(watch) = &self.watch else { return };
        // Each look may be outrun by who makes the directories; it is repeated until nothing has changed.
        for _ in 0..64 {
            let Some(above) = dir_watch::nearest(root).filter(|above| sees_all_writers(above)) else { return };
            let Ok(watched) = watch.names(&above) else { return };
            self.above.insert(watched, above.clone());
            if root.is_dir() {
                self.to_visit.push_back(root.to_owned());
                return;
            }
            if dir_watch::nearest(root).as_ref() == Some(&above) {
                self.untold = false;
                return;
            }
        }
    }

    fn visit_waiting(&mut self) {
        self.to_visit.extend(std::mem::take(&mut self.waiting));
    }
}

#[cfg(test)]
impl LogFiles {
    /// As where nothing can be watched.
    pub(crate) fn unwatched(globs: LogGlobs) -> Self {
        Self { watch: None, ..Self::new(globs) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::LogGlob;

    fn files(root: &Path, rest: &str, watched: bool) -> LogFiles {
        let glob = LogGlob { pattern: rest.to_owned(), root: root.to_owned(), rest: rest.to_owned() };
        let globs = LogGlobs::new(&[glob], Vec::new());
        if watched { LogFiles::new(globs) } else { LogFiles::unwatched(globs) }
    }

    /// What is new `second` seconds after the start: letter and name, or number.
    fn news(files: &mut LogFiles, second: u64) -> Vec<String> {
        let now = Mono::from_duration(Duration::from_secs(second));
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let word = |news: FileNews| match news {
            FileNews::Found { file, path, link, .. } => {
                format!("{}{} {file}", if link { "link " } else { "" }, name(&path))
            }
            FileNews::Written(file) => format!("{file} written"),
            FileNews::Left(file) => format!("{file} left"),
            FileNews::Moved(file, path) => format!("{file} moved to {}", name(&path)),
            FileNews::Again(file) => format!("{file} again"),
            FileNews::Anything => "anything".to_owned(),
            FileNews::Trouble(path, _) => format!("trouble {}", name(&path)),
        };
        let mut words: Vec<String> = files.look_whole(now).into_iter().map(word).collect();
        // What appears while it is looked for is told twice, and one write may be two events.
        words.dedup();
        words.retain(|word| !word.ends_with("again"));
        words
    }

    #[test]
    fn files_and_directories_are_found_whenever_they_appear() {
        for watched in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("not/there/yet");
            let mut files = files(&root, "**/*.log", watched);
            assert_eq!(news(&mut files, 10), [""; 0], "{watched}");
            fs::create_dir_all(root.join("a/b")).unwrap();
            fs::write(root.join("a/b/one.log"), "").unwrap();
            fs::write(root.join("a/b/one.txt"), "").unwrap();
            fs::create_dir(root.join("dir.log")).unwrap();
            assert_eq!(news(&mut files, 20), ["one.log 1"], "{watched}");
            fs::create_dir_all(root.join("a/c")).unwrap();
            assert_eq!(news(&mut files, 30), [""; 0], "{watched}");
            fs::write(root.join("a/c/two.log"), "").unwrap();
            std::os::unix::fs::symlink("../..", root.join("a/c/up")).unwrap();
            std::os::unix::fs::symlink("two.log", root.join("a/c/zwei.log")).unwrap();
            let found = news(&mut files, 40);
            assert!(
                found.contains(&"two.log 2".to_owned()) && found.contains(&"link zwei.log 3".to_owned()),
                "{found:?}"
            );
            fs::remove_dir_all(root.join("a/b")).unwrap();
            let left = news(&mut files, 50);
            assert!(left.contains(&"1 left".to_owned()), "{watched}: {left:?}");
            fs::remove_dir_all(&root).unwrap();
            let _ = news(&mut files, 60);
            fs::create_dir_all(&root).unwrap();
            fs::write(root.join("three.log"), "").unwrap();
            let found = news(&mut files, 70);
            assert!(found.contains(&"three.log 4".to_owned()), "{watched}: the root came back: {found:?}");
        }
    }

    #[test]
    fn events_say_what_became_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir_in(dir.path().parent().unwrap()).unwrap();
        let root = dir.path();
        let mut files = files(root, "*.log", true);
        fs::write(root.join("a.log"), "").unwrap();
        assert_eq!(news(&mut files, 10), ["a.log 1"]);
        fs::write(root.join("a.log"), "x").unwrap();
        fs::write(root.join("other"), "x").unwrap();
        assert_eq!(news(&mut files, 20), ["1 written"]);
        fs::rename(root.join("a.log"), root.join("a.1")).unwrap();
        fs::write(root.join("a.1"), "y").unwrap();
        assert_eq!(news(&mut files, 30), ["1 moved to a.1", "1 written"], "its writer may go on");
        fs::write(root.join("a.log"), "x").unwrap();
        assert_eq!(news(&mut files, 40)[0], "a.log 2");
        fs::rename(root.join("a.log"), root.join("b.log")).unwrap();
        assert_eq!(news(&mut files, 50), ["2 moved to b.log", "b.log 3"]);
        fs::rename(root.join("b.log"), elsewhere.path().join("b.log")).unwrap();
        assert_eq!(news(&mut files, 60), ["3 left"]);
    }

    #[test]
    fn a_file_is_found_by_its_number() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.log"), "").unwrap();
        let inode = fs::metadata(dir.path().join("a.log")).unwrap().ino();
        fs::rename(dir.path().join("a.log"), dir.path().join("a.log.1")).unwrap();
        let mut files = files(dir.path(), "*.log", true);
        assert_eq!(files.find(dir.path(), inode), Some(dir.path().join("a.log.1")));
        assert_eq!(files.find(dir.path(), 1), None);
    }
}
