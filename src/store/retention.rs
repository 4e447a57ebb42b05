//! Keeps sentry's own files within their caps, a bounded piece of work at a time.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, Durability};
use super::error::{At, ReadError, StoreError, WriteError};
use super::index::{self, IndexRow};
use super::writer::{Store, remove_tree};
use crate::config::Retention;
use crate::ids::{IncidentId, RunId};
use crate::time::Utc;

/// Most incidents removed in one call: their folders hold a few dozen files each.
const MAX_REMOVED_INCIDENTS: usize = 16;
/// Most runs removed in one call; a child's log may be large, and unlinking a large file takes time.
const MAX_REMOVED_RUNS: usize = 1;
/// Answered control commands kept, so that who asked can still look.
const MAX_DONE_COMMANDS: usize = 256;

/// What must stay whatever the caps say.
#[derive(Clone, Debug)]
pub struct Keep<'a> {
    /// The run that is going on.
    pub run: &'a RunId,
    /// Incidents whose attempts wait for a verdict.
    pub pending: &'a BTreeSet<IncidentId>,
}

/// What a call has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Incidents removed.
    pub incidents: Vec<IncidentId>,
    /// Runs whose logs were removed.
    pub runs: Vec<RunId>,
    /// There is more to do: call again soon.
    pub more: bool,
}

impl Store {
    /// Removes what exceeds the caps, oldest first, a bounded number per call. Reads the whole index, so a call every few
    /// minutes is enough.
    ///
    /// # Errors
    /// When something could not be looked at or removed; the rest is left for the next call.
    pub fn sweep(&mut self, caps: &Retention, keep: &Keep<'_>, now: Utc) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        self.sweep_incidents(caps, keep, now, &mut swept)?;
        self.sweep_runs(caps, keep, &mut swept)?;
        self.sweep_commands()?;
        Ok(swept)
    }

    fn sweep_incidents(
        &mut self,
        caps: &Retention,
        keep: &Keep<'_>,
        now: Utc,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let path = self.layout.index();
        let (rows, _) = index::read_all(&path)?;
        let mut rows: Vec<IndexRow> = rows.into_values().collect();
        rows.sort_by(|a, b| (a.utc, &a.id).cmp(&(b.utc, &b.id)));
        let (doomed, more) = choose(&rows, caps, keep, now);
        swept.more |= more;
        if doomed.is_empty() {
            return Ok(());
        }
        // Folders leave first, by rename; the index follows with one replacement; what is left is only garbage, which the
        // next start sweeps if we die here.
        let mut garbage = Vec::new();
        for id in &doomed {
            let folder = self.layout.incident(id);
            let temp = disk::temp_beside(&folder);
            match fs::rename(&folder, &temp) {
                Ok(()) => garbage.push(temp),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).write_at("remove", &folder).map_err(StoreError::from),
            }
        }
        rows.retain(|row| !doomed.contains(&row.id));
        self.replace_index(&rows)?;
        for path in garbage {
            remove_tree(&path).write_at("remove", &path)?;
        }
        swept.incidents.extend(doomed);
        Ok(())
    }

    /// Replaces the index by `rows`.
    pub(super) fn replace_index(&mut self, rows: &[IndexRow]) -> Result<(), WriteError> {
        let path = self.layout.index();
        // The open file would go on appending to what is replaced here.
        self.index = None;
        write_index(&path, rows)
    }

    fn sweep_runs(&mut self, caps: &Retention, keep: &Keep<'_>, swept: &mut Swept) -> Result<(), StoreError> {
        let Ok(max) = usize::try_from(caps.max_runs) else { return Ok(()) };
        if max == 0 {
            return Ok(());
        }
        let dir = self.layout.runs();
        // Names of runs begin with their start, so they sort by age.
        let runs: Vec<PathBuf> =
            names(&dir)?.into_iter().filter(|name| name != keep.run.as_str()).map(|n| dir.join(n)).collect();
        let surplus = runs.len().saturating_add(1).saturating_sub(max);
        for path in runs.iter().take(surplus.min(MAX_REMOVED_RUNS)) {
            remove_tree(path).write_at("remove", path)?;
            swept.runs.extend(path.file_name().and_then(|name| name.to_str()).map(RunId::new));
        }
        swept.more |= surplus > MAX_REMOVED_RUNS;
        Ok(())
    }

    fn sweep_commands(&mut self) -> Result<(), StoreError> {
        let dir = self.layout.control_done();
        let names = names(&dir)?;
        // Two files each: the command and its answer.
        let surplus = names.len().saturating_sub(MAX_DONE_COMMANDS.saturating_mul(2));
        for name in names.iter().take(surplus) {
            let path = dir.join(name);
            fs::remove_file(&path).write_at("remove", &path)?;
        }
        Ok(())
    }
}

/// Writes a whole index.
pub(super) fn write_index(path: &Path, rows: &[IndexRow]) -> Result<(), WriteError> {
    let mut text = Vec::new();
    for row in rows {
        text.extend(row.to_line().write_at("encode for", path)?);
    }
    disk::write_whole(path, &text, Durability::Flushed).write_at("replace", path)
}

/// Which incidents go, and whether more should; `rows` are oldest first.
fn choose(rows: &[IndexRow], caps: &Retention, keep: &Keep<'_>, now: Utc) -> (BTreeSet<IncidentId>, bool) {
    let mut count = rows.len();
    let mut bytes = rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.bytes));
    let max_count = usize::try_from(caps.max_incidents).unwrap_or(usize::MAX);
    let mut doomed = BTreeSet::new();
    for row in rows {
        let too_many = max_count != 0 && count > max_count;
        let too_large = caps.max_bytes != 0 && bytes > caps.max_bytes;
        let too_old = !caps.max_age.is_zero() && row.utc.age(now) > caps.max_age;
        if keep.pending.contains(&row.id) || !(too_many || too_large || too_old) {
            continue;
        }
        if doomed.len() == MAX_REMOVED_INCIDENTS {
            return (doomed, true);
        }
        count = count.saturating_sub(1);
        bytes = bytes.saturating_sub(row.bytes);
        doomed.insert(row.id.clone());
    }
    (doomed, false)
}

/// Sorted names in a folder; a missing folder has none.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, ReadError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).read_at("list", dir),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.read_at("list", dir)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::paths::Layout;
    use crate::store::testing::{NOW, incident};
    use crate::store::{IndexQuery, NewIncident, read};

    const FREE: Retention =
        Retention { max_incidents: 0, max_age: Duration::ZERO, max_bytes: 0, max_runs: 0, max_log_bytes: 0 };

    fn rows(count: i64) -> Vec<IndexRow> {
        (0..count)
            .map(|n| {
                let mut incident = incident(&format!("i-{n:03}"), "oom");
                incident.utc = Utc::from_millis(n * 1_000);
                IndexRow::of(&incident, None, None, 100)
            })
            .collect()
    }

    #[test]
    fn the_oldest_go_and_what_is_pending_stays() {
        let run = RunId::new("r");
        let pending = BTreeSet::from([IncidentId::new("i-000")]);
        let now = Utc::from_millis(10_000);
        let table: [(&str, Retention, i64, &[&str], bool); 6] = [
            ("no caps", FREE, 10, &[], false),
            ("count", Retention { max_incidents: 8, ..FREE }, 10, &["i-001", "i-002"], false),
            ("bytes", Retention { max_bytes: 799, ..FREE }, 10, &["i-001", "i-002", "i-003"], false),
            ("age", Retention { max_age: Duration::from_secs(8), ..FREE }, 10, &["i-001"], false),
            ("only a pending one", Retention { max_incidents: 1, ..FREE }, 1, &[], false),
            ("bounded", Retention { max_incidents: 1, ..FREE }, 100, &[], true),
        ];
        for (name, caps, count, expected, more) in table {
            let keep = Keep { run: &run, pending: &pending };
            let (doomed, left) = choose(&rows(count), &caps, &keep, now);
            assert_eq!(left, more, "{name}");
            if more {
                assert_eq!(doomed.len(), MAX_REMOVED_INCIDENTS, "{name}");
            } else {
                assert_eq!(doomed.iter().map(IncidentId::as_str).collect::<Vec<_>>(), expected, "{name}");
            }
        }
    }

    #[test]
    fn swept_incidents_leave_folder_and_index_and_later_ones_are_still_listed() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::acquire(Layout::new(dir.path())).unwrap();
        let create = |store: &mut Store, id: &str| {
            let incident = incident(id, "oom");
            store.create_incident(&NewIncident { incident: &incident, rule: None, action: None, files: &[] }).unwrap();
        };
        for id in ["i-1", "i-2", "i-3"] {
            create(&mut store, id);
        }
        let run = RunId::new("20261121T115456Z-9f3a");
        let pending = BTreeSet::from([IncidentId::new("i-1")]);
        let keep = Keep { run: &run, pending: &pending };
        let caps = Retention { max_incidents: 2, ..FREE };
        let swept = store.sweep(&caps, &keep, NOW).unwrap();
        assert_eq!(swept.incidents, [IncidentId::new("i-2")]);
        create(&mut store, "i-4");
        let listed: Vec<_> =
            read::index(store.layout(), &IndexQuery::default()).unwrap().rows.into_iter().map(|r| r.id).collect();
        assert_eq!(listed, ["i-4", "i-3", "i-1"].map(IncidentId::new));
        let mut there = names(&store.layout().incidents()).unwrap();
        there.retain(|name| name != "index.jsonl");
        assert_eq!(there, ["i-1", "i-3", "i-4"]);
    }

    #[test]
    fn old_runs_go_one_at_a_time_and_never_the_one_going_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::acquire(Layout::new(dir.path())).unwrap();
        let ids = ["20260101T000000Z-a", "20260102T000000Z-b", "20260103T000000Z-c"];
        for id in ids {
            let folder = store.make_run(&RunId::new(id)).unwrap();
            fs::write(folder.join("child-001.log"), "x").unwrap();
        }
        // The clock was wrong when the current run began.
        let run = RunId::new(ids[0]);
        let pending = BTreeSet::new();
        let keep = Keep { run: &run, pending: &pending };
        let caps = Retention { max_runs: 1, ..FREE };
        let first = store.sweep(&caps, &keep, NOW).unwrap();
        assert_eq!((first.runs, first.more), (vec![RunId::new(ids[1])], true));
        let second = store.sweep(&caps, &keep, NOW).unwrap();
        assert_eq!((second.runs, second.more), (vec![RunId::new(ids[2])], false));
        assert_eq!(names(&store.layout().runs()).unwrap(), [ids[0]]);
    }
}
