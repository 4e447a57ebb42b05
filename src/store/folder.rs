//! The folder of an incident: it appears by one rename, with everything in it on disk.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::thread;

use rustix::fs::{Advice, fadvise};

use super::disk::{self, Durability};
use super::error::{At, WriteError};
use super::index::IndexRow;
use super::writer::{Store, remove_tree};
use crate::ids::{DetectorName, IncidentId, RuleName};
use crate::incident::{Incident, IncidentKind};
use crate::os::file;
use crate::paths::Layout;
use crate::time::Utc;

/// The incident itself, as JSON.
pub(super) const INCIDENT_JSON: &str = "incident.json";
/// Longest part of a folder's name that comes from the detector, bytes.
const MAX_SLUG: usize = 60;
/// Flushes that are asked for at the same time; more gained nothing.
const FLUSHERS: usize = 4;
/// Bytes of stack of a flusher, which does nothing but wait.
const FLUSHER_STACK: usize = 64 * 1024;

/// An incident to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewIncident<'a> {
    /// The incident; its id comes from [`Store::new_incident_id`].
    pub incident: &'a Incident,
    /// Rule that decided, for the index.
    pub rule: Option<&'a RuleName>,
    /// What was decided, for the index.
    pub action: Option<&'a str>,
    /// Path inside the folder (`report.md`, `frames/01-app.py.md`) and content.
    pub files: &'a [(&'a str, &'a [u8])],
}

pub(super) fn free_id(layout: &Layout, utc: Utc, kind: IncidentKind, detector: &DetectorName) -> IncidentId {
    let stem = format!("{}-{}-{}", utc.file_stamp(), kind.as_str(), slug(detector.as_str()));
    let mut id = IncidentId::new(stem.as_str());
    let mut number = 2_u32;
    while fs::symlink_metadata(layout.incident(&id)).is_ok() {
        id = IncidentId::new(format!("{stem}-{number}"));
        number = number.saturating_add(1);
    }
    id
}

/// What of a detector's name is fit for a folder's: letters, digits, `.`, `_`, and single `-` for all else.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
        if slug.len() < MAX_SLUG && !(c == '-' && slug.ends_with('-')) {
            slug.push(c);
        }
    }
    let slug = slug.trim_matches(['-', '.']);
    if slug.is_empty() { "detector".to_owned() } else { slug.to_owned() }
}

/// Whether an id could be the name of an incident's folder and of nothing else.
pub(super) fn is_folder_name(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !id.is_empty() && id.len() <= 200 && !id.starts_with('.') && id.bytes().all(fits) && id != "index.jsonl"
}

/// An incident that is in its folder and in the index.
#[derive(Debug)]
pub struct Written {
    /// Its row.
    pub row: IndexRow,
    /// Why a power cut in this moment might cost its folder's name or its row: they could not be flushed.
    pub unflushed: Option<WriteError>,
}

pub(super) fn create(store: &mut Store, new: &NewIncident<'_>) -> Result<Written, WriteError> {
    let folder = store.layout.incident(&new.incident.id);
    let incidents = store.layout.incidents();
    let temp = disk::temp_beside(&folder);
    let (row, written) = match fill(&temp, &folder, new) {
        Ok(filled) => filled,
        Err(error) => {
            abandon(&temp);
            return Err(error).write_at("write", &folder);
        }
    };
    // Readers see the folder and its row before either is flushed: nobody waits for the disk to read what has happened. That
    // is safe because the intent to write this incident is in the journal, flushed, until this function has returned: after a
    // power cut in between it is written again (`Store::discard_incident`), and `sentry doctor --fix` mends the rest.
    let listed = row.to_line().and_then(|line| store.index_file()?.append(&line, Durability::Cached));
    if let Err(error) = listed {
        // Nobody has been told of it yet. What cannot even be moved back is found by `sentry doctor`.
        match fs::rename(&folder, &temp) {
            Ok(()) => abandon(&temp),
            Err(_) => abandon(&folder),
        }
        return Err(error).write_at("append to", &store.layout.index());
    }
    // Readers have seen it by now, so a flush that fails is told and nothing is undone.
    let index = store.layout.index();
    let flushed = flush_together(&written)
        .write_at("flush", &folder)
        .and_then(|()| file::sync_dir(&incidents))
        .and_then(|()| store.index_file().and_then(|file| file.flush(Durability::Flushed)).write_at("flush", &index));
    Ok(Written { row, unflushed: flushed.err() })
}

/// Removes the folder of an incident that is to be written again.
pub(super) fn discard(layout: &Layout, id: &IncidentId) -> Result<(), WriteError> {
    let folder = layout.incident(id);
    if !is_folder_name(id.as_str()) {
        return Err(invalid("this is no name for an incident")).write_at("remove", &folder);
    }
    match remove_tree(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).write_at("remove", &folder),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Best effort: the first error is the one to tell, and a leftover is swept by the next writer.
fn abandon(path: &Path) {
    let _ = remove_tree(path);
}

/// Writes all files below `temp` and gives the folder its name. The files and folders are open, to be flushed.
fn fill(temp: &Path, folder: &Path, new: &NewIncident<'_>) -> io::Result<(IndexRow, Vec<File>)> {
    if !is_folder_name(new.incident.id.as_str()) {
        return Err(invalid("this is no name for an incident"));
    }
    if fs::symlink_metadata(folder).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let json = incident_json(new.incident)?;
    let mut files = vec![(PathBuf::from(INCIDENT_JSON), json.as_slice())];
    for (name, content) in new.files {
        files.push((checked(name)?, content));
    }
    private_dir(temp)?;
    let mut subfolders = BTreeSet::new();
    for (name, _) in &files {
        subfolders.extend(name.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned));
    }
    for subfolder in &subfolders {
        private_dir(&temp.join(subfolder))?;
    }
    let mut written = Vec::new();
    let mut bytes = 0_u64;
    for (name, content) in &files {
        let mut file = disk::create_new(&temp.join(name))?;
        file.write_all(content)?;
        bytes = bytes.saturating_add(u64::try_from(content.len()).unwrap_or(u64::MAX));
        written.push(file);
    }
    for subfolder in subfolders.iter().map(PathBuf::as_path).chain([Path::new("")]) {
        written.push(File::open(temp.join(subfolder))?);
    }
    fs::rename(temp, folder)?;
    Ok((IndexRow::of(new.incident, new.rule.cloned(), new.action.map(str::to_owned), bytes), written))
}

/// Puts all files (and folders: their names) on disk.
///
/// Writing is begun for all of them before the first is waited for: their allocations then share one commit of the file
/// system's journal, and the later flushes find theirs done. `fadvise(DONTNEED)` is the way to begin writing that needs no
/// rights and exists everywhere (`mm/fadvise.c`). Each flush still asks the device to empty its cache; asked at the same
/// time, the kernel merges these requests (`block/blk-flush.c`). Measured on ext4 with a busy disk: 64 files take 164 ms one
/// after the other and 7 ms with four flushers, 5 files 12 ms and 0.7 ms. `syncfs` is not used: it would wait for the
/// child's checkpoints, too.
fn flush_together(files: &[File]) -> io::Result<()> {
    for file in files {
        // A hint; its failure changes nothing.
        let _ = fadvise(file, 0, None, Advice::DontNeed);
    }
    // fsync(2), EINVAL: some network file systems do not flush folders; there is nothing to do then.
    let flush_one = |file: &File| match file.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    };
    let flush = |share: &[File]| share.iter().try_for_each(flush_one);
    let (own, rest) = files.split_at(files.len().div_ceil(FLUSHERS));
    thread::scope(|scope| {
        let shares = rest.chunks(own.len().max(1));
        let others: Vec<_> = shares
            .map(|share| {
                let flusher = thread::Builder::new().stack_size(FLUSHER_STACK);
                (share, flusher.spawn_scoped(scope, move || flush(share)))
            })
            .collect();
        let mut flushed = flush(own);
        for (share, other) in others {
            flushed = flushed.and(match other {
                Ok(flusher) => flusher.join().unwrap_or_else(|_| Err(io::Error::other("a flush came to no end"))),
                // No thread to be had (`RLIMIT_NPROC`): slower, not worse.
                Err(_) => flush(share),
            });
        }
        flushed
    })
}

pub(super) fn update(layout: &Layout, id: &IncidentId, files: &[(&str, &[u8])]) -> Result<(), WriteError> {
    let folder = layout.incident(id);
    let there = fs::symlink_metadata(&folder).and_then(|metadata| match metadata.is_dir() {
        true if is_folder_name(id.as_str()) => Ok(()),
        _ => Err(invalid("this is no folder of an incident")),
    });
    there.write_at("update", &folder)?;
    let mut temps = Vec::new();
    let replaced = replace(&folder, files, &mut temps);
    if replaced.is_err() {
        // Those that were renamed are gone; what cannot be removed is swept by the next writer.
        temps.iter().for_each(|temp| drop(fs::remove_file(temp)));
    }
    replaced
}

/// All new contents are on disk before the first old one is replaced, and one flush of the folders covers all new names.
fn replace(folder: &Path, files: &[(&str, &[u8])], temps: &mut Vec<PathBuf>) -> Result<(), WriteError> {
    let mut written = Vec::new();
    let mut renames = Vec::new();
    for (name, content) in files {
        let path = folder.join(name);
        let mut write = || {
            let relative = relative(name)?;
            if let Some(subfolder) = relative.parent().filter(|path| !path.as_os_str().is_empty()) {
                disk::make_dir(&folder.join(subfolder))?;
            }
            let path = folder.join(relative);
            let temp = disk::temp_beside(&path);
            temps.push(temp.clone());
            let mut file = disk::create_new(&temp)?;
            file.write_all(content)?;
            Ok((file, temp, path))
        };
        let (file, temp, path) = write().write_at("replace", &path)?;
        written.push(file);
        renames.push((temp, path));
    }
    flush_together(&written).write_at("flush", folder)?;
    let mut folders = BTreeSet::new();
    for (temp, path) in renames {
        fs::rename(&temp, &path).write_at("replace", &path)?;
        folders.extend(path.parent().map(Path::to_owned));
    }
    folders.iter().try_for_each(|folder| file::sync_dir(folder))
}

/// The incident as it is kept in its folder.
///
/// # Errors
/// When it cannot be encoded.
pub fn incident_json(incident: &Incident) -> io::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(incident)?;
    json.push(b'\n');
    Ok(json)
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(disk::DIR_MODE).create(path)?;
    // mkdir(2) takes the umask off.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(disk::DIR_MODE))
}

/// A name that a caller may give to a new incident's file.
fn checked(name: &str) -> io::Result<PathBuf> {
    let path = relative(name)?;
    if path == Path::new(INCIDENT_JSON) {
        return Err(invalid("`incident.json` is written from the incident itself"));
    }
    Ok(path)
}

/// A path that stays inside the folder it is joined to.
fn relative(name: &str) -> io::Result<PathBuf> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || name.contains('\0') || !plain {
        return Err(invalid("the file's name leaves the incident's folder"));
    }
    Ok(path.to_owned())
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_plain_and_short() {
        let rows = [
            ("oom", "oom"),
            ("CUDA out of memory!", "CUDA-out-of-memory"),
            ("../../etc", "etc"),
            ("a - b", "a-b"),
            ("é", "detector"),
            ("", "detector"),
            ("nan_loss.v2", "nan_loss.v2"),
        ];
        for (name, expected) in rows {
            assert_eq!(slug(name), expected, "{name}");
        }
        assert_eq!(slug(&"x".repeat(500)).len(), MAX_SLUG);
    }

    #[test]
    fn folder_names_cannot_be_paths() {
        for (name, fits) in [("2026-error-oom", true), ("..", false), (".tmp-1", false), ("a/b", false), ("", false)] {
            assert_eq!(is_folder_name(name), fits, "{name}");
        }
    }
}
