//! What is looked at, and what is proposed.

use std::collections::BTreeMap;

/// Largest file that is looked into, in bytes.
pub const MAX_FILE: u64 = 256 * 1024;

/// What a directory holds: names relative to it (`train.py`, `cmd/api/main.go`, directories with a slash at the end),
/// and the text of the files that [`super::wants`] names.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Name → text, empty where it was not read.
    pub files: BTreeMap<String, String>,
}

/// What `sentry init` proposes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Stacks that were recognised, for people: "Python".
    pub stacks: Vec<&'static str>,
    /// The best command; empty when nothing was recognised.
    pub command: Vec<String>,
    /// Other commands that would make sense.
    pub alternatives: Vec<Vec<String>>,
    /// Variables for `process.env`.
    pub env: Vec<Variable>,
    /// Globs for `config_snapshots`.
    pub snapshots: Vec<String>,
    /// Packs of the catalogue; empty is all of them.
    pub packs: Vec<PackChoice>,
    /// Rules.
    pub rules: Vec<ExtraRule>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// A variable of `process.env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Why.
    pub why: &'static str,
}

/// A pack of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackChoice {
    /// Its name.
    pub pack: &'static str,
    /// Why it was chosen.
    pub why: &'static str,
}

/// A rule; `when` and `action` in YAML flow style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraRule {
    /// Name.
    pub name: &'static str,
    /// `match`.
    pub when: &'static str,
    /// `action`.
    pub action: &'static str,
    /// What it is for.
    pub why: &'static str,
}
