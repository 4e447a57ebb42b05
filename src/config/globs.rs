//! Globs of files.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::model::Globs;

fn one(pattern: &str) -> Result<Glob, globset::Error> {
    // `*` stays inside a directory, as in a shell; `**` crosses them.
    GlobBuilder::new(pattern.strip_prefix("./").unwrap_or(pattern)).literal_separator(true).build()
}

/// Whether a glob can be used.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    if pattern.is_empty() {
        return Err("it is empty".to_owned());
    }
    one(pattern).map(|_| ()).map_err(|error| error.kind().to_string())
}

/// Compiles globs that were checked.
pub(super) fn compile(patterns: Vec<String>) -> Globs {
    let mut builder = GlobSetBuilder::new();
    for glob in patterns.iter().filter_map(|pattern| one(pattern).ok()) {
        builder.add(glob);
    }
    // Fails only for automata beyond globset's own limits; then nothing is copied rather than everything.
    Globs { set: builder.build().unwrap_or_else(|_| GlobSet::empty()), patterns }
}
