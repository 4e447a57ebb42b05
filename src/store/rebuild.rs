//! Finds what is wrong with a store and mends it: `sentry doctor [--fix]`.
//!
//! What is derived (the index, the picture, the ledger) is written anew from what is not (the incidents' folders, whole
//! rows); what does not hold is set aside as `<name>.damaged-<stamp>`, never thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::attempts::{self, AttemptRow, AttemptStatus, Ledger, LedgerWriter};
use super::disk::{self, Durability};
use super::error::{At, ReadError, StoreError, WriteError};
use super::index::{self, IndexRow};
use super::journal::{self, Journal};
use super::read;
use super::retention::write_index;
use super::version::{self, STORE_VERSION};
use super::walk::Walk;
use super::writer::{is_leftover, make_tree, remove_tree};
use crate::ids::{AttemptNo, IncidentId, RuleName};
use crate::incident::Incident;
use crate::os::lock::DirLock;
use crate::paths::Layout;
use crate::time::Utc;

/// What is younger may be in the hands of a living monitor.
const YOUNG: Duration = Duration::from_secs(60);
/// Largest ledger that is mended, bytes.
const MAX_LEDGER: u64 = 256 * 1024 * 1024;

/// Kinds of what can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// The store has no format, or one that cannot be read.
    Version,
    /// The store was written by a newer version.
    Newer,
    /// A folder or file of the tree is missing.
    TreeMissing,
    /// Others may read or write what is private.
    OpenToOthers,
    /// Something half-written lies about.
    Leftover,
    /// The journal is not believable from some line on.
    Journal,
    /// `state.json` cannot be understood.
    State,
    /// The ledger has lines that are no rows.
    Ledger,
    /// The index has lines that are no rows, or rows that come twice.
    Index,
    /// The index names incidents that have no folder.
    RowWithoutFolder,
    /// Incidents are missing in the index.
    FolderWithoutRow,
    /// The ledger lacks attempts or verdicts that incidents tell of.
    LedgerIncomplete,
    /// An incident's `incident.json` cannot be understood, so nothing can be made of it.
    Incident,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Kind.
    pub wrong: Wrong,
    /// In words, a fragment: `2 lines are no rows`.
    pub what: String,
    /// Where.
    pub path: PathBuf,
    /// What mends it, in words.
    pub remedy: &'static str,
    /// Whether [`fix`] does.
    pub fixable: bool,
}

/// Looks for what is wrong, without changing anything; a monitor may be alive. A directory without a store has nothing wrong.
///
/// # Errors
/// When something is there and cannot be looked at.
pub fn check(layout: &Layout, now: Utc) -> Result<Vec<Finding>, ReadError> {
    if fs::symlink_metadata(layout.dot()).is_err() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    if let Some(finding) = check_version(layout)? {
        let newer = finding.wrong == Wrong::Newer;
        findings.push(finding);
        if newer {
            return Ok(findings);
        }
    }
    check_tree(layout, now, &mut findings)?;
    let remembered = check_journal(layout, &mut findings)?;
    check_state(layout, remembered, &mut findings)?;
    check_ledger(layout, &mut findings)?;
    let incidents = Incidents::look(layout, now)?;
    incidents.tell(layout, &mut findings);
    check_attempts(layout, &incidents, &mut findings)?;
    Ok(findings)
}

/// Mends what [`check`] finds, as far as it can be, and says what it was. The lock keeps a monitor from starting meanwhile.
///
/// # Errors
/// At the first thing that could not be mended; what was mended before stays so.
pub fn fix(layout: &Layout, _lock: &DirLock, now: Utc) -> Result<Vec<Finding>, StoreError> {
    let findings: Vec<Finding> = check(layout, now)?.into_iter().filter(|finding| finding.fixable).collect();
    let mut index_done = false;
    for finding in &findings {
        let path = finding.path.as_path();
        match finding.wrong {
            Wrong::Newer | Wrong::Incident => {}
            Wrong::Version => version::write(layout)?,
            Wrong::TreeMissing => make_tree(layout)?,
            Wrong::OpenToOthers => make_private(path)?,
            Wrong::Leftover => remove_tree(path).write_at("remove", path)?,
            // Opening a journal sets its damaged end aside.
            Wrong::Journal => drop(Journal::<serde_json::Value>::open(path, now)?),
            // The picture itself is painted by the caller, who knows the configuration.
            Wrong::State => {
                if fs::symlink_metadata(path).is_ok() {
                    set_aside(path, now)?;
                }
            }
            Wrong::Ledger => mend_ledger(path, now)?,
            Wrong::LedgerIncomplete => {
                let mut ledger = LedgerWriter::closed();
                for row in missing_rows(&Incidents::look(layout, now)?, &read::attempts(layout)?) {
                    ledger.append(layout, &row)?;
                }
            }
            Wrong::Index | Wrong::RowWithoutFolder | Wrong::FolderWithoutRow => {
                if !index_done {
                    mend_index(layout, now)?;
                    index_done = true;
                }
            }
        }
    }
    Ok(findings)
}

fn check_version(layout: &Layout) -> Result<Option<Finding>, ReadError> {
    let finding = |wrong, what: String, remedy, fixable| {
        Some(Finding { wrong, what, path: layout.store_version(), remedy, fixable })
    };
    match version::found(layout) {
        Ok(Some(found)) if found > STORE_VERSION => Ok(finding(
            Wrong::Newer,
            format!("the store has format {found}, this version knows {STORE_VERSION}"),
            "use the newer version of sentry",
            false,
        )),
        Ok(Some(_)) => Ok(None),
        Ok(None) => Ok(finding(Wrong::Version, "the store's format is not given".to_owned(), "write it", true)),
        Err(ReadError::Damaged { why, .. }) => Ok(finding(Wrong::Version, why, "write it anew", true)),
        Err(other) => Err(other),
    }
}

fn check_tree(layout: &Layout, now: Utc, findings: &mut Vec<Finding>) -> Result<(), ReadError> {
    let dirs =
        [layout.dot(), layout.runs(), layout.logs(), layout.incidents(), layout.control_new(), layout.control_done()];
    for dir in dirs {
        let Ok(metadata) = fs::symlink_metadata(&dir) else {
            let what = "a folder is missing".to_owned();
            findings.push(Finding { wrong: Wrong::TreeMissing, what, path: dir, remedy: "make it", fixable: true });
            continue;
        };
        check_mode(&dir, &metadata, findings);
        for entry in fs::read_dir(&dir).read_at("list", &dir)? {
            let entry = entry.read_at("list", &dir)?;
            // Gone by now: a living monitor has renamed it.
            let Ok(metadata) = entry.metadata() else { continue };
            let path = entry.path();
            if is_leftover(&entry.file_name()) {
                if disk::modified(&metadata).age(now) > YOUNG {
                    let what = "something half-written was left behind".to_owned();
                    findings.push(Finding { wrong: Wrong::Leftover, what, path, remedy: "remove it", fixable: true });
                }
            } else if metadata.is_file() {
                check_mode(&path, &metadata, findings);
            }
        }
    }
    Ok(())
}

fn check_mode(path: &Path, metadata: &fs::Metadata, findings: &mut Vec<Finding>) {
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_symlink() && mode & 0o077 != 0 {
        findings.push(Finding {
            wrong: Wrong::OpenToOthers,
            what: format!("others than you may use it (mode {mode:04o})"),
            path: path.to_owned(),
            remedy: "take their rights away",
            fixable: true,
        });
    }
}

/// Tells whether the journal holds anything.
fn check_journal(layout: &Layout, findings: &mut Vec<Finding>) -> Result<bool, ReadError> {
    let path = layout.journal();
    if fs::symlink_metadata(&path).is_err() && has_runs(layout) {
        findings.push(Finding {
            wrong: Wrong::Journal,
            what: "it is missing, though there have been runs".to_owned(),
            path,
            remedy: "`sentry run` starts a new run with a new journal; what is recorded stays",
            fixable: false,
        });
        return Ok(false);
    }
    let replay = journal::replay::<serde::de::IgnoredAny>(&path)?;
    if let Some(damage) = replay.damaged {
        findings.push(Finding {
            wrong: Wrong::Journal,
            what: format!("line {} does not hold: {}", damage.line, damage.why),
            path,
            remedy: "set it and what follows aside",
            fixable: true,
        });
    }
    Ok(!replay.records.is_empty())
}

fn has_runs(layout: &Layout) -> bool {
    fs::read_dir(layout.runs()).is_ok_and(|mut runs| runs.next().is_some())
}

fn check_state(layout: &Layout, remembered: bool, findings: &mut Vec<Finding>) -> Result<(), ReadError> {
    match read::state(layout) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            if remembered {
                findings.push(Finding {
                    wrong: Wrong::State,
                    what: "it is missing, though something was run".to_owned(),
                    path: layout.state_json(),
                    remedy: "write it anew from the journal",
                    fixable: true,
                });
            }
            Ok(())
        }
        Err(ReadError::Damaged { path, why }) => {
            let remedy = "set it aside and write it anew from the journal";
            findings.push(Finding { wrong: Wrong::State, what: why, path, remedy, fixable: true });
            Ok(())
        }
        Err(error @ ReadError::Newer { .. }) => {
            let what = error.to_string();
            let remedy = "use the newer version of sentry";
            findings.push(Finding { wrong: Wrong::Newer, what, path: layout.state_json(), remedy, fixable: false });
            Ok(())
        }
        Err(other) => Err(other),
    }
}

fn check_ledger(layout: &Layout, findings: &mut Vec<Finding>) -> Result<(), ReadError> {
    let damaged = read::attempts(layout)?.damaged;
    if damaged > 0 {
        findings.push(Finding {
            wrong: Wrong::Ledger,
            what: format!("{} no rows", lines(damaged)),
            path: layout.attempts(),
            remedy: "keep the rows, set the old file aside",
            fixable: true,
        });
    }
    Ok(())
}

fn check_attempts(layout: &Layout, incidents: &Incidents, findings: &mut Vec<Finding>) -> Result<(), ReadError> {
    let missing = missing_rows(incidents, &read::attempts(layout)?).len();
    if missing > 0 {
        findings.push(Finding {
            wrong: Wrong::LedgerIncomplete,
            what: if missing == 1 {
                "1 row that an incident tells of is missing".to_owned()
            } else {
                format!("{missing} rows that incidents tell of are missing")
            },
            path: layout.attempts(),
            remedy: "add them from the incidents",
            fixable: true,
        });
    }
    Ok(())
}

/// Rows that the ledger lacks: of attempts, and of verdicts, that incidents tell of.
fn missing_rows(incidents: &Incidents, ledger: &Ledger) -> Vec<AttemptRow> {
    let known: BTreeMap<(&IncidentId, AttemptNo), AttemptStatus> =
        ledger.rows.iter().map(|row| ((&row.incident, row.attempt), row.status)).collect();
    let mut missing = Vec::new();
    for (id, incident) in incidents.told.iter().filter_map(|(id, told)| Some((id, told.as_ref().ok()?))) {
        for action in &incident.actions {
            let row = |utc: Utc, status| AttemptRow {
                utc,
                incident: id.clone(),
                detector: incident.root.detector.clone(),
                source: action.healer.clone(),
                branch: String::new(),
                status,
                duration: action.utc.age(utc),
                description: incident.message.clone(),
                attempt: action.attempt,
                action: action.action.clone(),
                fingerprint: incident.fingerprint.clone(),
            };
            let found = known.get(&(id, action.attempt));
            if found.is_none() {
                missing.push(row(action.utc, AttemptStatus::Pending));
            }
            if let Some(fallen) =
                action.verdict.as_ref().filter(|_| found.is_none_or(|status| *status == AttemptStatus::Pending))
            {
                missing.push(row(fallen.utc, AttemptStatus::Fallen(fallen.verdict)));
            }
        }
    }
    missing.sort_by_key(|row| row.utc);
    missing
}

/// Folders and rows beside each other.
struct Incidents {
    rows: BTreeMap<IncidentId, IndexRow>,
    bad_lines: u64,
    folders: BTreeSet<IncidentId>,
    /// What the folders hold that no living monitor is at work on.
    told: BTreeMap<IncidentId, Result<Incident, ReadError>>,
}

impl Incidents {
    fn look(layout: &Layout, now: Utc) -> Result<Self, ReadError> {
        // Folders first: one that appears meanwhile has its row by the time the index is read.
        let folders: BTreeSet<IncidentId> = read::folders(layout)?.into_iter().collect();
        let (rows, bad_lines) = index::read_all(&layout.index())?;
        let young = |id: &IncidentId| {
            let file = layout.incident_file(id, Path::new("incident.json"));
            [layout.incident(id), file]
                .iter()
                .any(|path| fs::symlink_metadata(path).is_ok_and(|metadata| disk::modified(&metadata).age(now) < YOUNG))
        };
        let old = folders.iter().filter(|id| !young(id));
        let told = old.map(|id| (id.clone(), read::incident(layout, id))).collect();
        Ok(Self { rows, bad_lines, folders, told })
    }

    fn tell(&self, layout: &Layout, findings: &mut Vec<Finding>) {
        let index = layout.index();
        if self.bad_lines > 0 {
            findings.push(Finding {
                wrong: Wrong::Index,
                what: format!("{} no rows, or rows that come twice", lines(self.bad_lines)),
                path: index.clone(),
                remedy: "write it anew from the incidents, set the old file aside",
                fixable: true,
            });
        }
        for id in self.rows.keys().filter(|id| !self.folders.contains(*id)) {
            findings.push(Finding {
                wrong: Wrong::RowWithoutFolder,
                what: format!("it lists `{id}`, which has no folder"),
                path: index.clone(),
                remedy: "drop the row",
                fixable: true,
            });
        }
        for (id, incident) in &self.told {
            let path = layout.incident(id);
            let listed = self.rows.contains_key(id);
            match incident {
                Ok(_) if listed => {}
                Ok(_) => findings.push(Finding {
                    wrong: Wrong::FolderWithoutRow,
                    what: "the index does not list it".to_owned(),
                    path,
                    remedy: "add a row",
                    fixable: true,
                }),
                Err(error) => findings.push(Finding {
                    wrong: Wrong::Incident,
                    what: if listed { error.to_string() } else { format!("the index does not list it, and {error}") },
                    path,
                    remedy: "read what is left in the folder (report.md says the same in words), then remove it",
                    fixable: false,
                }),
            }
        }
    }
}

fn mend_index(layout: &Layout, now: Utc) -> Result<(), StoreError> {
    let Incidents { mut rows, bad_lines, folders, told } = Incidents::look(layout, now)?;
    let path = layout.index();
    if bad_lines > 0 {
        let aside = disk::damaged_name(&path, now);
        let bytes = fs::read(&path).write_at("read", &path)?;
        disk::write_whole(&aside, &bytes, Durability::Flushed).write_at("write", &aside)?;
    }
    rows.retain(|id, _| folders.contains(id));
    for (id, incident) in told {
        if let (Ok(incident), false) = (incident, rows.contains_key(&id)) {
            let row = row_of_folder(layout, &id, incident);
            rows.insert(id, row);
        }
    }
    let mut rows: Vec<IndexRow> = rows.into_values().collect();
    rows.sort_by(|a, b| (a.utc, &a.id).cmp(&(b.utc, &b.id)));
    write_index(&path, &rows)?;
    Ok(())
}

fn row_of_folder(layout: &Layout, id: &IncidentId, incident: Incident) -> IndexRow {
    let sizes = Walk::new(&layout.incident(id), usize::MAX)
        .map(|(_, path)| fs::symlink_metadata(path).map_or(0, |metadata| metadata.len()));
    let bytes = sizes.fold(0, u64::saturating_add);
    let first = incident.actions.first();
    let rule = first.and_then(|action| action.healer.strip_prefix("rule ")).map(RuleName::new);
    let action = first.map(|action| action.action.clone());
    // The folder is what `show` opens, whatever the file inside says.
    let incident = Incident { id: id.clone(), ..incident };
    IndexRow::of(&incident, rule, action, bytes)
}

fn mend_ledger(path: &Path, now: Utc) -> Result<(), WriteError> {
    let bytes = disk::read_capped(path, MAX_LEDGER).write_at("read", path)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut whole = attempts::header();
    for line in text.lines().filter(|line| attempts::is_row(line)) {
        whole.push_str(line);
        whole.push('\n');
    }
    let aside = disk::damaged_name(path, now);
    disk::write_whole(&aside, &bytes, Durability::Flushed).write_at("write", &aside)?;
    disk::write_whole(path, whole.as_bytes(), Durability::Flushed).write_at("replace", path)
}

fn set_aside(path: &Path, now: Utc) -> Result<(), WriteError> {
    fs::rename(path, disk::damaged_name(path, now)).write_at("set aside", path)
}

fn make_private(path: &Path) -> Result<(), WriteError> {
    let changed = (|| {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_symlink() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it has become a link"));
        }
        let mode = if metadata.is_dir() { disk::DIR_MODE } else { disk::FILE_MODE };
        fs::set_permissions(path, Permissions::from_mode(mode))
    })();
    changed.write_at("change the permissions of", path)
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line is".to_owned() } else { format!("{count} lines are") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heal::verdict::Verdict;
    use crate::incident::{ActionTaken, VerdictFallen};
    use crate::store::testing::incident;
    use crate::store::{IndexQuery, NewIncident, Store};

    /// Long enough after anything a test writes.
    fn later() -> Utc {
        let now = crate::os::clock::SystemClock::utc();
        Utc::from_millis(now.millis() + 3_600_000)
    }

    fn store_with(ids: &[&str]) -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::acquire(Layout::new(dir.path())).unwrap();
        for id in ids {
            let incident = incident(id, "oom");
            let files: [(&str, &[u8]); 1] = [("report.md", b"# report")];
            store
                .create_incident(&NewIncident { incident: &incident, rule: None, action: None, files: &files })
                .unwrap();
        }
        let layout = store.layout().clone();
        (dir, layout)
    }

    fn wrongs(layout: &Layout) -> Vec<Wrong> {
        check(layout, later()).unwrap().into_iter().map(|finding| finding.wrong).collect()
    }

    fn mend(layout: &Layout) {
        let lock = DirLock::acquire(&layout.lock()).unwrap();
        fix(layout, &lock, later()).unwrap();
    }

    #[test]
    fn a_store_as_it_is_written_has_nothing_wrong() {
        let (_dir, layout) = store_with(&["i-1", "i-2"]);
        assert_eq!(wrongs(&layout), []);
        assert_eq!(wrongs(&Layout::new("/nonexistent")), []);
    }

    #[test]
    fn every_damage_is_found_mended_and_kept_aside() {
        type Harm = fn(&Layout);
        let rows: [(&str, Harm, &[Wrong]); 12] = [
            ("version", |l| fs::write(l.store_version(), "x").unwrap(), &[Wrong::Version]),
            ("no version", |l| fs::remove_file(l.store_version()).unwrap(), &[Wrong::Version]),
            ("no folder", |l| fs::remove_dir(l.runs()).unwrap(), &[Wrong::TreeMissing]),
            (
                "open",
                |l| fs::set_permissions(l.index(), Permissions::from_mode(0o644)).unwrap(),
                &[Wrong::OpenToOthers],
            ),
            ("leftover", |l| fs::create_dir(l.incidents().join(".sentry-tmp-1-0-x")).unwrap(), &[Wrong::Leftover]),
            ("journal", |l| write(&l.journal(), "{\"crc\":"), &[Wrong::Journal]),
            ("state", |l| write(&l.state_json(), ""), &[Wrong::State]),
            ("ledger", |l| write(&l.attempts(), "what\nis\nthis\n"), &[Wrong::Ledger]),
            (
                "torn index",
                |l| write(&l.index(), "{\"schema\""),
                &[Wrong::Index, Wrong::FolderWithoutRow, Wrong::FolderWithoutRow],
            ),
            ("no index", |l| fs::remove_file(l.index()).unwrap(), &[Wrong::FolderWithoutRow, Wrong::FolderWithoutRow]),
            (
                "no folder of a row",
                |l| fs::remove_dir_all(l.incidents().join("i-1")).unwrap(),
                &[Wrong::RowWithoutFolder],
            ),
            ("a row twice", |l| write(&l.index(), &fs::read_to_string(l.index()).unwrap().repeat(2)), &[Wrong::Index]),
        ];
        for (name, harm, expected) in rows {
            let (_dir, layout) = store_with(&["i-1", "i-2"]);
            let before = read::index(&layout, &IndexQuery::default()).unwrap().rows;
            harm(&layout);
            assert_eq!(wrongs(&layout), expected, "{name}");
            mend(&layout);
            assert_eq!(wrongs(&layout), [], "{name} after mending");
            let mut after = read::index(&layout, &IndexQuery::default()).unwrap().rows;
            after.retain(|row| layout.incident(&row.id).exists());
            let mut kept = before.clone();
            kept.retain(|row| layout.incident(&row.id).exists());
            assert_eq!(after, kept, "{name}: the list is as before");
        }
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(disk::FILE_MODE)).unwrap();
    }

    #[test]
    fn damaged_content_is_never_thrown_away() {
        let (_dir, layout) = store_with(&["i-1"]);
        let good = fs::read_to_string(layout.index()).unwrap();
        write(&layout.index(), &format!("garbage\n{good}"));
        write(&layout.attempts(), "only garbage\n");
        write(&layout.state_json(), "no json");
        mend(&layout);
        let aside = |dir: PathBuf, name: &str| {
            let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
            let found = names.into_iter().find(|entry| entry.file_name().to_string_lossy().starts_with(name)).unwrap();
            fs::read_to_string(found.path()).unwrap()
        };
        assert_eq!(aside(layout.incidents(), "index.jsonl.damaged-"), format!("garbage\n{good}"));
        assert_eq!(aside(layout.dot(), "attempts.tsv.damaged-"), "only garbage\n");
        assert_eq!(aside(layout.dot(), "state.json.damaged-"), "no json");
        assert_eq!(fs::read_to_string(layout.index()).unwrap(), good);
    }

    #[test]
    fn attempts_come_back_from_the_incidents() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::acquire(Layout::new(dir.path())).unwrap();
        let action = |number, verdict: Option<Verdict>| ActionTaken {
            attempt: AttemptNo(number),
            utc: Utc::from_millis(1_000),
            healer: "rule halve".to_owned(),
            action: "restart".to_owned(),
            details: Vec::new(),
            verdict: verdict.map(|verdict| VerdictFallen { verdict, utc: Utc::from_millis(3_500), why: String::new() }),
        };
        let incident =
            Incident { actions: vec![action(1, Some(Verdict::Kept)), action(2, None)], ..incident("i-1", "oom") };
        let files: [(&str, &[u8]); 1] = [("report.md", b"# report")];
        store.create_incident(&NewIncident { incident: &incident, rule: None, action: None, files: &files }).unwrap();
        let layout = store.layout().clone();
        drop(store);
        let seen = |layout: &Layout| -> Vec<(u32, &str, u128)> {
            let rows = read::attempts(layout).unwrap().rows;
            rows.iter().map(|row| (row.attempt.0, row.status.as_str(), row.duration.as_millis())).collect()
        };
        assert_eq!(wrongs(&layout), [Wrong::LedgerIncomplete]);
        mend(&layout);
        assert_eq!((wrongs(&layout), seen(&layout)), (vec![], vec![(1, "kept", 2_500), (2, "pending", 0)]));
        // A verdict that got lost after its attempt.
        let text = fs::read_to_string(layout.attempts()).unwrap();
        let pending: String =
            text.lines().filter(|line| !line.contains("kept")).map(|line| format!("{line}\n")).collect();
        write(&layout.attempts(), &pending);
        assert_eq!(wrongs(&layout), [Wrong::LedgerIncomplete]);
        mend(&layout);
        assert_eq!((wrongs(&layout), seen(&layout)), (vec![], vec![(1, "kept", 2_500), (2, "pending", 0)]));
    }

    #[test]
    fn an_incident_that_cannot_be_read_is_told_listed_or_not() {
        let (_dir, layout) = store_with(&["i-1"]);
        fs::remove_file(layout.incident(&IncidentId::new("i-1")).join("incident.json")).unwrap();
        assert_eq!(wrongs(&layout), [Wrong::Incident]);
    }

    #[test]
    fn runs_without_a_journal_are_told() {
        let (_dir, layout) = store_with(&[]);
        fs::create_dir(layout.runs().join("r-1")).unwrap();
        assert_eq!(wrongs(&layout), [Wrong::Journal]);
    }

    #[test]
    fn what_cannot_be_mended_is_left_and_told() {
        let (_dir, layout) = store_with(&["i-1"]);
        write(&layout.incident(&IncidentId::new("i-1")).join("incident.json"), "{");
        fs::remove_file(layout.index()).unwrap();
        mend(&layout);
        let findings = check(&layout, later()).unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].wrong, findings[0].fixable), (Wrong::Incident, false));
        assert!(layout.incident(&IncidentId::new("i-1")).join("report.md").exists());
    }

    #[test]
    fn a_newer_store_is_told_and_not_touched() {
        let (_dir, layout) = store_with(&["i-1"]);
        write(&layout.store_version(), "2\n");
        write(&layout.index(), "another format\n");
        assert_eq!(wrongs(&layout), [Wrong::Newer]);
        mend(&layout);
        assert_eq!(fs::read_to_string(layout.index()).unwrap(), "another format\n");
    }

    #[test]
    fn what_a_living_monitor_is_writing_is_not_wrong() {
        let (_dir, layout) = store_with(&["i-1"]);
        fs::create_dir(layout.incidents().join(".sentry-tmp-1-0-x")).unwrap();
        fs::remove_file(layout.index()).unwrap();
        let now = crate::os::clock::SystemClock::utc();
        assert_eq!(check(&layout, now).unwrap(), []);
    }
}
