//! What `sentry catalogue` shows.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Palette, one_line};
use crate::config::{Entry, Pack};
use crate::detect::samples::{Broken, Why};
use crate::detect::{Class, Severity};

/// One line of `sentry catalogue --json`.
#[derive(Debug, Serialize)]
pub struct EntryJson<'a> {
    /// Version of this form: 1.
    pub schema: u32,
    /// The pack it stands in.
    pub pack: &'a str,
    /// Name, role, category, action, whether an agent may act, whether it only explains an end.
    #[serde(flatten)]
    pub class: &'a Class,
    /// What it is.
    pub title: &'a str,
    /// How bad.
    pub severity: Severity,
    /// What is searched for in each line.
    pub patterns: &'a [String],
    /// Lines in which one of these matches are none.
    pub exclude: &'a [String],
    /// Exit codes that mean it.
    pub exit_codes: &'a [i32],
    /// NVIDIA's error numbers that mean it.
    pub xids: &'a [u32],
    /// Where the strings come from.
    pub provenance: &'a str,
}

/// For programs.
pub fn json(entry: &Entry) -> EntryJson<'_> {
    EntryJson {
        schema: 1,
        pack: &entry.pack,
        class: &entry.class,
        title: &entry.title,
        severity: entry.severity,
        patterns: &entry.patterns,
        exclude: &entry.exclude,
        exit_codes: &entry.exit_codes,
        xids: &entry.xids,
        provenance: &entry.provenance,
    }
}

/// A pack and the names of its classes.
pub fn pack(pack: &Pack, palette: Palette) -> String {
    let width = pack.entries.iter().map(|entry| entry.name().as_str().len()).max().unwrap_or(0);
    let mut text = format!("{}  {}\n", palette.bold(one_line(&pack.name)), palette.dim(one_line(&pack.about)));
    for entry in &pack.entries {
        let _ = writeln!(text, "  {:width$}  {}", one_line(entry.name().as_str()), one_line(&entry.title));
    }
    text
}

/// A class with all that is known of it.
pub fn entry(entry: &Entry, palette: Palette) -> String {
    let Class { name, role, category, action, agent, only_if_ended } = &entry.class;
    let mut text = format!("{}  {}\n", palette.bold(one_line(name.as_str())), one_line(&entry.title));
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:10}  {value}");
    };
    row("pack", one_line(&entry.pack));
    row("role", role.as_str().to_owned());
    row("category", category.as_str().to_owned());
    row("severity", entry.severity.as_str().to_owned());
    row("action", action.as_str().to_owned());
    row("agent", if *agent { "may be asked" } else { "never" }.to_owned());
    if *only_if_ended {
        row("only", "when the command has ended: one that lives on may try again".to_owned());
    }
    if !entry.exit_codes.is_empty() {
        row("exit codes", numbers(&entry.exit_codes));
    }
    if !entry.xids.is_empty() {
        row("xids", numbers(&entry.xids));
    }
    row("source", one_line(&entry.provenance));
    for (name, lines) in [
        ("patterns", &entry.patterns),
        ("exclude", &entry.exclude),
        ("fires on", &entry.matches),
        ("not on", &entry.no_matches),
    ] {
        for (index, line) in lines.iter().enumerate() {
            row(if index == 0 { name } else { "" }, one_line(line));
        }
    }
    text
}

fn numbers<N: ToString>(numbers: &[N]) -> String {
    numbers.iter().map(N::to_string).collect::<Vec<_>>().join(", ")
}

/// A sample that does not hold.
pub fn broken(broken: &Broken) -> String {
    let Broken { class, line, why } = broken;
    let (class, line) = (one_line(class.as_str()), one_line(line));
    match why {
        Why::Silent => format!("{class}: does not fire on {line}"),
        Why::Fires => format!("{class}: fires on {line}"),
        Why::OtherFires(other) => format!("{class}: {} fires on {line}", one_line(other.as_str())),
    }
}
