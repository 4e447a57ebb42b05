//! Globs of files.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::model::{Globs, LogGlob};
use super::read::{Context, Section, resolve};
use super::scalar;

pub(super) fn one(pattern: &str) -> Result<Glob, globset::Error> {
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

/// `process.logs`: each glob with the directory that has to be watched for it.
pub(super) fn logs(process: &Section<'_>, context: &mut Context<'_>) -> Vec<LogGlob> {
    let cwd = process.path("cwd", context);
    let items = process.given("logs").map(super::yaml::Node::items).unwrap_or_default();
    let written = items.iter().filter_map(|node| Some((node, scalar::text(node)?)));
    let written: Vec<_> = written.filter(|(_, pattern)| check(pattern).is_ok()).collect();
    written
        .into_iter()
        .map(|(node, pattern)| {
            let filled = context.fill(node, pattern);
            let literal = filled.split_inclusive('/').take_while(|part| !part.contains(['*', '?', '[', '{'])).count();
            // The last part names files even where it has no wildcard.
            let parts: Vec<&str> = filled.split_inclusive('/').collect();
            let (root, rest) = parts.split_at(literal.min(parts.len().saturating_sub(1)));
            LogGlob { pattern: pattern.to_owned(), root: resolve(&cwd, &root.concat()), rest: rest.concat() }
        })
        .collect()
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
