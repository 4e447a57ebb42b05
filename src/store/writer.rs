//! The writer: everything that only the one monitor of a directory may do.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::attempts::{AttemptRow, LedgerWriter};
use super::disk::{self, Durability};
use super::error::{At, ReadError, StoreError, WriteError};
use super::folder::{self, NewIncident, Written};
use super::index::IndexRow;
use super::journal::{Journal, Replay};
use super::version::{self, STORE_VERSION};
use crate::ids::{ChildNo, DetectorName, IncidentId, RuleName, RunId};
use crate::incident::{Incident, IncidentKind};
use crate::monitor::status::StateFile;
use crate::os::file;
use crate::os::lock::{DirLock, LockError};
use crate::paths::Layout;
use crate::time::Utc;

/// The store of a directory, open for writing. It exists only while the directory's lock is held.
#[derive(Debug)]
pub struct Store {
    pub(super) layout: Layout,
    pub(super) index: Option<disk::AppendFile>,
    ledger: LedgerWriter,
    lock: DirLock,
}

/// Why a store could not be opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another monitor owns the directory.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The store is of a newer format, which this version must not write.
    #[error("`{}` was written by a newer version (store format {found}, known {STORE_VERSION})", path.display())]
    Newer {
        /// `.sentry/version`.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its format cannot be told.
    #[error(transparent)]
    Version(ReadError),
    /// Its tree could not be made.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Store {
    /// Makes `.sentry/` if need be, takes its lock and opens it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn acquire(layout: Layout) -> Result<Self, OpenError> {
        let dot = layout.dot();
        file::create_dir_private(&dot)?;
        let lock = DirLock::acquire(&layout.lock())?;
        Self::open(layout, lock)
    }

    /// Opens the store whose lock is held: checks the format, makes the tree, sweeps what a dead writer left half-written.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(layout: Layout, lock: DirLock) -> Result<Self, OpenError> {
        match version::found(&layout).map_err(OpenError::Version)? {
            Some(found) if found > STORE_VERSION => {
                return Err(OpenError::Newer { path: layout.store_version(), found });
            }
            Some(STORE_VERSION) => {}
            Some(_) | None => version::write(&layout)?,
        }
        make_tree(&layout)?;
        for dir in
            [layout.dot(), layout.incidents(), layout.logs(), layout.control_done(), parent(&layout.state_json())]
        {
            sweep_leftovers(&dir)?;
        }
        Ok(Self { layout, index: None, ledger: LedgerWriter::closed(), lock })
    }

    /// Where everything is.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The lock that this store lives by; [`DirLock::is_in_place`] tells when somebody has removed it.
    pub fn lock(&self) -> &DirLock {
        &self.lock
    }

    /// Replays the journal and opens it; see [`Journal::open`].
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn journal<T>(&self, now: Utc) -> Result<(Journal<T>, Replay<T>), WriteError>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        Journal::open(&self.layout.journal(), now)
    }

    /// Replaces `state.json`. A heartbeat may be [`Durability::Cached`]; a change of phase is worth a flush.
    ///
    /// # Errors
    /// When it was not replaced.
    pub fn write_state(&mut self, state: &StateFile, durability: Durability) -> Result<(), WriteError> {
        let path = self.layout.state_json();
        let encoded = serde_json::to_vec_pretty(state).map_err(io::Error::from);
        let written = encoded.and_then(|mut json| {
            json.push(b'\n');
            disk::write_whole(&path, &json, durability)
        });
        written.write_at("replace", &path)
    }

    /// Makes the folder of a run, for its children's logs and records.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_run(&mut self, run: &RunId) -> Result<PathBuf, WriteError> {
        let dir = self.layout.run(run);
        disk::make_dir(&dir).write_at("make", &dir)?;
        Ok(dir)
    }

    /// Points `logs/process.log` at a child's log, atomically.
    ///
    /// # Errors
    /// When the link could not be replaced.
    pub fn point_process_log(&mut self, run: &RunId, child: ChildNo) -> Result<(), WriteError> {
        let link = self.layout.process_log();
        let log = self.layout.child_log(run, child);
        let target = relative_target(&link, &log, &self.layout.dot());
        let temp = disk::temp_beside(&link);
        let pointed = std::os::unix::fs::symlink(target, &temp).and_then(|()| fs::rename(&temp, &link));
        if pointed.is_err() {
            // The first error is the one to tell; a leftover is swept by the next writer.
            let _ = fs::remove_file(&temp);
        }
        pointed.write_at("replace", &link)
    }

    /// A name for a new incident: `<file stamp>-<kind>-<detector>`, with `-2`, `-3`, … where that is taken.
    pub fn new_incident_id(&self, utc: Utc, kind: IncidentKind, detector: &DetectorName) -> IncidentId {
        folder::free_id(&self.layout, utc, kind, detector)
    }

    /// Writes an incident: its folder appears complete or not at all, then its row in the index.
    ///
    /// `incident.json` is written from [`NewIncident::incident`]; all other files are given. Everything has been redacted by
    /// the caller.
    ///
    /// # Errors
    /// When it could not be written; neither folder nor row is there then.
    pub fn create_incident(&mut self, new: &NewIncident<'_>) -> Result<Written, WriteError> {
        folder::create(self, new)
    }

    /// Lists an incident whose folder is there: a writer may have died between the folder and the row. Does nothing when it
    /// is listed.
    ///
    /// # Errors
    /// When the index can neither be read nor written.
    pub fn list_incident(
        &mut self,
        incident: &Incident,
        rule: Option<&RuleName>,
        action: Option<&str>,
    ) -> Result<(), StoreError> {
        let path = self.layout.index();
        let (rows, _) = super::index::read_all(&path)?;
        if rows.contains_key(&incident.id) {
            return Ok(());
        }
        let row = IndexRow::of(incident, rule.cloned(), action.map(str::to_owned), 0);
        let listed = row.to_line().and_then(|line| self.index_file()?.append(&line, Durability::Flushed));
        listed.write_at("append to", &path).map_err(StoreError::from)
    }

    /// Whether something is at a path of this store.
    pub fn has(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok()
    }

    /// Removes the folder of an incident that a power cut has left half on disk, to write it again.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn discard_incident(&mut self, id: &IncidentId) -> Result<(), WriteError> {
        folder::discard(&self.layout, id)
    }

    /// Replaces files of an incident, each atomically: `report.md`, `incident.json`, `fix/action.json`.
    ///
    /// # Errors
    /// At the first file that was not replaced.
    pub fn update_incident(&mut self, id: &IncidentId, files: &[(&str, &[u8])]) -> Result<(), WriteError> {
        folder::update(&self.layout, id, files)
    }

    /// Adds a row to the ledger.
    ///
    /// # Errors
    /// When it could not be written whole.
    pub fn append_attempt(&mut self, row: &AttemptRow) -> Result<(), WriteError> {
        self.ledger.append(&self.layout, row)
    }

    /// Adds a row to the index; the caller flushes.
    pub(super) fn index_file(&mut self) -> io::Result<&mut disk::AppendFile> {
        match &mut self.index {
            Some(file) => Ok(file),
            empty => Ok(empty.insert(disk::AppendFile::open(&self.layout.index())?)),
        }
    }
}

/// Makes the folders of the store and its `.gitignore`; for `sentry init`, too.
///
/// # Errors
/// When one cannot be made.
pub fn make_tree(layout: &Layout) -> Result<(), WriteError> {
    let dot = layout.dot();
    file::create_dir_private(&dot)?;
    let dirs = [layout.runs(), layout.logs(), layout.incidents(), layout.control_new(), layout.control_done()];
    for dir in dirs.into_iter().chain([parent(&layout.state_json())]) {
        // What the configuration puts elsewhere may be reached through links; what is ours may not.
        if dir != dot && dir.starts_with(&dot) {
            disk::make_dir(&dir).write_at("make", &dir)?;
        } else {
            file::create_dir_private(&dir)?;
        }
    }
    let ignore = layout.gitignore();
    if fs::symlink_metadata(&ignore).is_err() {
        disk::write_whole(&ignore, b"*\n", Durability::Cached).write_at("write", &ignore)?;
    }
    Ok(())
}

/// Makes the tree of a store that nobody has opened yet, its format included. What is there stays as it is.
///
/// # Errors
/// When a part cannot be made or the format cannot be read.
pub fn make(layout: &Layout) -> Result<(), WriteError> {
    make_tree(layout)?;
    let version = layout.store_version();
    if fs::symlink_metadata(&version).is_err() { version::write(layout) } else { Ok(()) }
}

/// Removes what a dead writer left half-written in `dir`.
fn sweep_leftovers(dir: &Path) -> Result<(), WriteError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).write_at("list", dir),
    };
    for entry in entries {
        let entry = entry.write_at("list", dir)?;
        if is_leftover(&entry.file_name()) {
            let path = entry.path();
            remove_tree(&path).write_at("sweep", &path)?;
        }
    }
    Ok(())
}

/// Whether a name is one that was never, or is no longer, part of the store.
pub(super) fn is_leftover(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(disk::TEMP_PREFIX) || file::is_temporary(name))
}

/// Removes a file, a link or a folder with all that is in it; links are never followed.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

/// The link's target, relative as long as both are in the store, so that a moved project keeps it.
fn relative_target(link: &Path, target: &Path, dot: &Path) -> PathBuf {
    let (Ok(link), Ok(inside)) = (link.strip_prefix(dot), target.strip_prefix(dot)) else {
        return target.to_owned();
    };
    let up = link.components().count().saturating_sub(1);
    std::iter::repeat_n(Path::new(".."), up).collect::<PathBuf>().join(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{NOW, alone, incident, with_file_limit};

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::acquire(Layout::new(dir.path().join("project"))).unwrap();
        (dir, store)
    }

    #[test]
    fn opening_makes_a_private_tree_that_git_ignores() {
        let (_dir, store) = store();
        let layout = store.layout();
        assert_eq!(fs::read_to_string(layout.gitignore()).unwrap(), "*\n");
        assert_eq!(fs::read_to_string(layout.store_version()).unwrap(), "1\n");
        for path in [layout.dot(), layout.incidents(), layout.control_new(), layout.runs(), layout.logs()] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn one_writer_at_a_time() {
        let (_dir, store) = store();
        assert!(matches!(Store::acquire(store.layout().clone()), Err(OpenError::Locked(_))));
        let layout = store.layout().clone();
        drop(store);
        Store::acquire(layout).unwrap();
    }

    #[test]
    fn a_newer_store_is_not_written_and_an_unreadable_format_is_told() {
        let (_dir, store) = store();
        let layout = store.layout().clone();
        drop(store);
        fs::write(layout.store_version(), "2\n").unwrap();
        fs::remove_file(layout.gitignore()).unwrap();
        let error = Store::acquire(layout.clone()).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 2, .. }), "{error}");
        assert!(!layout.gitignore().exists());
        fs::write(layout.store_version(), "two").unwrap();
        assert!(matches!(Store::acquire(layout), Err(OpenError::Version(_))));
    }

    #[test]
    fn half_written_leftovers_are_swept() {
        let (_dir, store) = store();
        let layout = store.layout().clone();
        drop(store);
        let folder = layout.incidents().join(".sentry-tmp-1-0-x");
        fs::create_dir_all(folder.join("frames")).unwrap();
        let file = layout.dot().join(".sentry-tmp-1-1-state.json");
        fs::write(&file, "{").unwrap();
        Store::acquire(layout).unwrap();
        assert!(!folder.exists() && !file.exists());
    }

    #[test]
    fn process_log_follows_the_newest_child_and_survives_a_move() {
        let (dir, mut store) = store();
        let run = RunId::new("20261121T115456Z-9f3a");
        let folder = store.make_run(&run).unwrap();
        for child in [1, 2] {
            fs::write(folder.join(format!("child-00{child}.log")), format!("child {child}")).unwrap();
            store.point_process_log(&run, ChildNo(child)).unwrap();
        }
        drop(store);
        let moved = dir.path().join("moved");
        fs::rename(dir.path().join("project"), &moved).unwrap();
        assert_eq!(fs::read_to_string(Layout::new(moved).process_log()).unwrap(), "child 2");
    }

    #[test]
    fn folders_that_are_links_out_of_the_store_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("project"));
        fs::create_dir_all(layout.dot()).unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), layout.incidents()).unwrap();
        assert!(matches!(Store::acquire(layout), Err(OpenError::Write(_))));
    }

    #[test]
    fn an_incident_is_written_whole_and_listed() {
        let (_dir, mut store) = store();
        let detector = DetectorName::new("out of/memory");
        for expected in ["out-of-memory", "out-of-memory-2", "out-of-memory-3"] {
            let id = store.new_incident_id(NOW, IncidentKind::Error, &detector);
            assert_eq!(id.as_str(), format!("2026-11-21T11-54-56Z-error-{expected}"));
            let incident = incident(id.as_str(), "out of/memory");
            let files: [(&str, &[u8]); 2] = [("report.md", b"# report"), ("frames/01-app.py.md", b"frame")];
            store
                .create_incident(&NewIncident { incident: &incident, rule: None, action: None, files: &files })
                .unwrap();
            let folder = store.layout().incident(&id);
            assert_eq!(fs::read_to_string(folder.join("frames/01-app.py.md")).unwrap(), "frame");
            store.update_incident(&id, &[("report.md", b"# rewritten"), ("fix/action.json", b"{}")]).unwrap();
            assert_eq!(fs::read_to_string(folder.join("report.md")).unwrap(), "# rewritten");
            assert_eq!(fs::read_to_string(folder.join("fix/action.json")).unwrap(), "{}");
        }
        let text = fs::read_to_string(store.layout().index()).unwrap();
        assert_eq!(text.lines().count(), 3);
        let names: Vec<_> = fs::read_dir(store.layout().incidents()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 4, "three folders and the index: {names:?}");
    }

    #[test]
    fn file_names_cannot_leave_the_incident() {
        let (_dir, mut store) = store();
        let incident = incident("2026-11-21T11-54-56Z-error-oom", "oom");
        for name in ["../x", "/tmp/x", "", ".", "frames/../../x", "a//../b", "incident.json"] {
            let files: [(&str, &[u8]); 1] = [(name, b"x")];
            let new = NewIncident { incident: &incident, rule: None, action: None, files: &files };
            assert!(store.create_incident(&new).is_err(), "{name}");
        }
        assert_eq!(fs::read_dir(store.layout().incidents()).unwrap().count(), 0);
        assert!(store.update_incident(&IncidentId::new(".."), &[("x", b"")]).is_err());
        assert!(store.update_incident(&IncidentId::new("not-there"), &[("x", b"")]).is_err());
    }

    #[test]
    fn an_incident_whose_row_cannot_be_written_leaves_no_folder() {
        let (_dir, mut store) = store();
        fs::create_dir(store.layout().index()).unwrap();
        let incident = incident("2026-11-21T11-54-56Z-error-oom", "oom");
        let new = NewIncident { incident: &incident, rule: None, action: None, files: &[] };
        assert!(store.create_incident(&new).is_err());
        let names: Vec<_> = fs::read_dir(store.layout().incidents()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["index.jsonl"]);
    }

    #[test]
    fn a_full_disk_leaves_nothing_half_written_and_passes() {
        if !alone("store::writer::tests::a_full_disk_leaves_nothing_half_written_and_passes") {
            return;
        }
        let (_dir, mut store) = store();
        let (mut journal, _) = store.journal::<String>(NOW).unwrap();
        journal.append(&"first".to_owned(), Durability::Flushed).unwrap();
        let incident = incident("2026-11-21T11-54-56Z-error-oom", "oom");
        let files: [(&str, &[u8]); 1] = [("log_excerpt.txt", &[b'x'; 4096])];
        let new = NewIncident { incident: &incident, rule: None, action: None, files: &files };
        let names = |store: &Store| fs::read_dir(store.layout().incidents()).unwrap().count();
        with_file_limit(2048, || {
            assert!(store.create_incident(&new).is_err());
            assert_eq!(names(&store), 0);
            assert!(journal.append(&"x".repeat(4096), Durability::Flushed).is_err());
            assert!(store.update_incident(&incident.id, &[("report.md", &[b'x'; 4096])]).is_err());
        });
        journal.append(&"second".to_owned(), Durability::Flushed).unwrap();
        store.create_incident(&new).unwrap();
        assert_eq!(names(&store), 2, "the folder and the index");
        let replay = crate::store::replay_journal::<String>(&store.layout().journal()).unwrap();
        assert_eq!((replay.records, replay.damaged), (vec!["first".to_owned(), "second".to_owned()], None));
    }
}
