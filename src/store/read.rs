//! What anybody may read, without a lock and beside a living writer.

use std::fs;
use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::attempts::{self, Ledger};
use super::disk;
use super::error::{At, ReadError};
use super::folder::{INCIDENT_JSON, is_folder_name};
use super::index::{self, IndexPage, IndexQuery, short_id};
use crate::ids::IncidentId;
use crate::incident::Incident;
use crate::monitor::status::{self, StateFile};
use crate::paths::Layout;

/// Largest `state.json` or `incident.json` that is read, bytes: far above a trace of 4,096 frames.
const MAX_JSON: u64 = 16 * 1024 * 1024;
/// Largest report that is read, bytes.
const MAX_REPORT: u64 = 64 * 1024 * 1024;
/// Most candidates that an ambiguous prefix is answered with.
const MAX_CANDIDATES: usize = 10;

/// Why a prefix names no incident.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// None begins with it.
    #[error("no incident begins with `{0}`")]
    NotFound(String),
    /// Several do.
    #[error("`{prefix}` is the beginning of {count} incidents")]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// How many begin with it.
        count: usize,
        /// The newest of them, at most ten.
        candidates: Vec<IncidentId>,
    },
    /// They could not be listed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The picture that the monitor keeps; `None` where none was ever written.
///
/// # Errors
/// When it cannot be read or understood.
pub fn state(layout: &Layout) -> Result<Option<StateFile>, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let path = layout.state_json();
    let Some(bytes) = disk::read_if_there(&path, MAX_JSON).read_at("read", &path)? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(state) => Ok(Some(state)),
        Err(error) => match serde_json::from_slice::<Head>(&bytes) {
            Ok(Head { schema }) if schema > status::SCHEMA => {
                Err(ReadError::Newer { path, found: schema, known: status::SCHEMA })
            }
            Ok(_) | Err(_) => Err(ReadError::Damaged { path, why: error.to_string() }),
        },
    }
}

/// The list of incidents.
///
/// # Errors
/// When it cannot be read.
pub fn index(layout: &Layout, query: &IndexQuery) -> Result<IndexPage, ReadError> {
    index::read(layout, query)
}

/// The ledger.
///
/// # Errors
/// When it cannot be read.
pub fn attempts(layout: &Layout) -> Result<Ledger, ReadError> {
    attempts::read(layout)
}

/// The incident whose folder's name or short id begins with `prefix`; a whole name is always meant as such.
///
/// # Errors
/// When none or several do.
pub fn resolve(layout: &Layout, prefix: &str) -> Result<IncidentId, ResolveError> {
    let mut found = Vec::new();
    for id in folders(layout)? {
        if id.as_str() == prefix {
            return Ok(id);
        }
        if !prefix.is_empty() && (id.as_str().starts_with(prefix) || short_id(&id).starts_with(prefix)) {
            found.push(id);
        }
    }
    match found.as_slice() {
        [] => Err(ResolveError::NotFound(prefix.to_owned())),
        [one] => Ok(one.clone()),
        many => {
            let count = many.len();
            found.sort_by(|a, b| b.cmp(a));
            found.truncate(MAX_CANDIDATES);
            Err(ResolveError::Ambiguous { prefix: prefix.to_owned(), count, candidates: found })
        }
    }
}

/// One incident.
///
/// # Errors
/// When it is not there, cannot be read or is damaged.
pub fn incident(layout: &Layout, id: &IncidentId) -> Result<Incident, ReadError> {
    json(layout, id, INCIDENT_JSON)
}

/// `report.md` of an incident.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn report(layout: &Layout, id: &IncidentId) -> Result<String, ReadError> {
    let path = inside(layout, id, "report.md")?;
    let bytes = disk::read_capped(&path, MAX_REPORT).read_at("read", &path)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Names of all incidents' folders, in no order. A missing `incidents/` holds none.
pub(super) fn folders(layout: &Layout) -> Result<Vec<IncidentId>, ReadError> {
    let dir = layout.incidents();
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).read_at("list", &dir),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.read_at("list", &dir)?;
        let is_dir = entry.file_type().read_at("list", &dir)?.is_dir();
        if let Some(name) = entry.file_name().to_str().filter(|name| is_dir && is_folder_name(name)) {
            ids.push(IncidentId::new(name));
        }
    }
    Ok(ids)
}

pub(crate) fn json<T: DeserializeOwned>(layout: &Layout, id: &IncidentId, name: &str) -> Result<T, ReadError> {
    let path = inside(layout, id, name)?;
    let bytes = disk::read_capped(&path, MAX_JSON).read_at("read", &path)?;
    serde_json::from_slice(&bytes).map_err(|error| ReadError::Damaged { path, why: error.to_string() })
}

/// A file of an incident; an id that is no plain name (it may come from a person) leads nowhere.
fn inside(layout: &Layout, id: &IncidentId, name: &str) -> Result<std::path::PathBuf, ReadError> {
    let folder = layout.incident(id);
    if is_folder_name(id.as_str()) {
        Ok(folder.join(name))
    } else {
        Err(io::Error::from(io::ErrorKind::NotFound)).read_at("read", &folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn folder(layout: &Layout, name: &str) -> IncidentId {
        disk::make_dir(&layout.incidents().join(name)).unwrap();
        IncidentId::new(name)
    }

    #[test]
    fn prefixes_of_names_and_of_short_ids_find_the_one() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let oom = folder(&layout, "2026-11-21T11-54-56Z-error-oom");
        let oom2 = folder(&layout, "2026-11-21T11-54-56Z-error-oom-2");
        folder(&layout, ".sentry-tmp-1-0-2026-11-22T11-54-56Z-error-half-written");
        fs::write(layout.index(), "").unwrap();
        let names = |prefix: &str| match resolve(&layout, prefix) {
            Ok(id) => vec![id],
            Err(ResolveError::Ambiguous { candidates, .. }) => candidates,
            Err(_) => vec![],
        };
        assert_eq!(names(oom.as_str()), std::slice::from_ref(&oom), "a whole name, though another begins with it");
        assert_eq!(names(oom2.as_str()), std::slice::from_ref(&oom2));
        assert_eq!(names("2026"), [oom2.clone(), oom.clone()]);
        assert_eq!(names(&short_id(&oom)[..4]), [oom]);
        assert_eq!(names(&short_id(&oom2)), [oom2]);
        for nothing in ["", ".", "..", ".sentry-tmp", "index.jsonl", "2027", "../incidents"] {
            assert!(matches!(resolve(&layout, nothing), Err(ResolveError::NotFound(_))), "{nothing}");
        }
    }

    #[test]
    fn nothing_there_is_no_error_and_an_id_cannot_leave() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(state(&layout).unwrap(), None);
        assert!(matches!(resolve(&layout, "x"), Err(ResolveError::NotFound(_))));
        fs::create_dir_all(layout.dot()).unwrap();
        fs::write(layout.dot().join("report.md"), "secret").unwrap();
        assert!(report(&layout, &IncidentId::new("..")).is_err());
    }

    #[test]
    fn a_damaged_or_newer_picture_is_told_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        disk::make_dir(&layout.dot()).unwrap();
        for (content, newer) in [("", false), ("{", false), (r#"{"schema":1}"#, false), (r#"{"schema":2,"x":0}"#, true)]
        {
            fs::write(layout.state_json(), content).unwrap();
            let error = state(&layout).unwrap_err();
            assert_eq!(matches!(error, ReadError::Newer { found: 2, .. }), newer, "{content}: {error}");
        }
    }

    #[test]
    fn an_incident_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = crate::store::Store::acquire(Layout::new(dir.path())).unwrap();
        let written = testing::incident("2026-11-21T11-54-56Z-error-oom", "oom");
        let files: [(&str, &[u8]); 1] = [("report.md", b"# \xff")];
        let new = crate::store::NewIncident { incident: &written, rule: None, action: Some("restart"), files: &files };
        let row = store.create_incident(&new).unwrap().row;
        assert_eq!(incident(store.layout(), &written.id).unwrap(), written);
        assert_eq!(report(store.layout(), &written.id).unwrap(), "# \u{fffd}");
        assert_eq!(index(store.layout(), &IndexQuery::default()).unwrap().rows, [row]);
    }
}
