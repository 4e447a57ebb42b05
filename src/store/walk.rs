//! A bounded walk over a project: nearest entries first, links not followed, folders of tools left out.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::config::Globs;

/// Most entries that one walk looks at: about 100 ms where a look takes 5 µs. A count and not a clock, so that the same
/// project gives the same answer on a loaded machine.
pub(super) const MAX_ENTRIES: usize = 20_000;

/// Folders that hold what tools wrote, and far too much of it.
const SKIPPED_FOLDERS: [&str; 7] = [".git", ".hg", "node_modules", ".venv", ".sentry", "target", "__pycache__"];

/// Files below a folder with their names relative to it. Breadth first.
pub(super) struct Walk {
    /// Folders to be listed: name relative to the root, path, depth of its entries.
    folders: VecDeque<(String, PathBuf, usize)>,
    files: VecDeque<(String, PathBuf)>,
    max_depth: usize,
    looked_at: usize,
}

impl Walk {
    /// A walk over the files in `root` that are at most `max_depth` folders down (1: only its own).
    pub(super) fn new(root: &Path, max_depth: usize) -> Self {
        Self::below(String::new(), root.to_owned(), max_depth)
    }

    fn below(name: String, root: PathBuf, max_depth: usize) -> Self {
        Self { folders: VecDeque::from([(name, root, 1)]), files: VecDeque::new(), max_depth, looked_at: 0 }
    }

    /// Whether the walk has ended because everything was looked at.
    pub(super) fn is_complete(&self) -> bool {
        self.looked_at < MAX_ENTRIES
    }

    fn list(&mut self, prefix: &str, folder: &Path, depth: usize) {
        // A folder that cannot be listed holds nothing that could be quoted.
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            if !self.is_complete() {
                return;
            }
            self.looked_at = self.looked_at.saturating_add(1);
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else { continue };
            let name = if prefix.is_empty() { file_name.to_owned() } else { format!("{prefix}/{file_name}") };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    if depth < self.max_depth && !SKIPPED_FOLDERS.contains(&file_name) {
                        self.folders.push_back((name, entry.path(), depth.saturating_add(1)));
                    }
                }
                Ok(_) => self.files.push_back((name, entry.path())),
                Err(_) => {}
            }
        }
    }
}

impl Iterator for Walk {
    type Item = (String, PathBuf);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(file) = self.files.pop_front() {
                return Some(file);
            }
            let (name, path, depth) = self.folders.pop_front()?;
            self.list(&name, &path, depth);
        }
    }
}

/// Sorted names of the files below `project` that match, and whether everything was looked at.
///
/// Only the folder that a pattern begins with is walked, and only as deep as the pattern goes, so that `configs/*.yaml` is
/// found in a project of any size.
pub(super) fn matching(project: &Path, globs: &Globs) -> (BTreeSet<String>, bool) {
    let mut names = BTreeSet::new();
    let mut complete = true;
    for pattern in &globs.patterns {
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        let path = Path::new(pattern);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            continue;
        }
        let parts: Vec<&str> = pattern.split('/').collect();
        let literal: Vec<&str> = parts.iter().copied().take_while(|part| !has_wildcard(part)).collect();
        if literal.len() == parts.len() {
            if fs::symlink_metadata(project.join(path)).is_ok_and(|metadata| !metadata.is_dir()) {
                names.insert(pattern.to_owned());
            }
            continue;
        }
        // `**` and alternatives with a slash inside may match at any depth.
        let bounded = !pattern.contains("**") && !pattern.contains('{');
        let depth = if bounded { parts.len().saturating_sub(literal.len()) } else { usize::MAX };
        let base = literal.join("/");
        let mut walk = Walk::below(base.clone(), project.join(&base), depth);
        names.extend(walk.by_ref().map(|(name, _)| name).filter(|name| globs.set.is_match(name)));
        complete &= walk.is_complete();
    }
    (names, complete)
}

fn has_wildcard(part: &str) -> bool {
    part.contains(['*', '?', '[', '{', '\\'])
}
