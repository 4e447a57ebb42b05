//! The house stays as docs/architecture.md draws it: the pure rooms know nothing of the impure ones, and documents point to
//! what is there.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads the source and stops at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and files that decide and never act.
const PURE: [&str; 28] = [
    "config",
    "detect",
    "exit.rs",
    "frame",
    "heal",
    "ids.rs",
    "incident",
    "monitor/command.rs",
    "monitor/decide.rs",
    "monitor/effect.rs",
    "monitor/event.rs",
    "monitor/journal_line.rs",
    "monitor/lifecycle.rs",
    "monitor/looks.rs",
    "monitor/memory.rs",
    "monitor/obey.rs",
    "monitor/picture.rs",
    "monitor/book.rs",
    "monitor/gathering.rs",
    "monitor/live.rs",
    "monitor/settle.rs",
    "monitor/state.rs",
    "monitor/status.rs",
    "monitor/step.rs",
    "monitor/todo.rs",
    "monitor/verify.rs",
    "paths.rs",
    "time.rs",
];

/// What they must not name.
const IMPURE: [&str; 19] = [
    "crate::cli",
    "crate::os",
    "crate::store",
    "crate::supervisor",
    "crate::view",
    "super::apply",
    "super::follow",
    "super::look_around",
    "super::looker",
    "super::record",
    "super::run",
    "super::streams",
    "super::talk",
    "nix::",
    "rustix::",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let entries = entries.map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_dir() || path.to_string_lossy().ends_with(ending))
        .flat_map(|path| files(&path, ending))
        .collect()
}

#[test]
fn pure_rooms_know_nothing_of_the_world() {
    let mut trespasses = Vec::new();
    let mut seen = 0;
    let files = PURE.iter().flat_map(|room| files(&root().join("src").join(room), ".rs"));
    // `rig.rs` is compiled for tests only.
    for file in files.filter(|file| !file.ends_with("rig.rs")) {
        let text = fs::read_to_string(&file).unwrap();
        // Tests may; documentation may speak of it.
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        seen += 1;
        for (number, line) in product.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            // How a name is made of bytes is no call of the system.
            let line = line.replace("std::os::unix::ffi::", "");
            if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                trespasses.push(format!("{}:{}: {word}", file.strip_prefix(root()).unwrap().display(), number + 1));
            }
        }
    }
    assert!(seen > 80, "only {seen} files were looked at");
    assert!(trespasses.is_empty(), "{}", trespasses.join("\n"));
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    let mut documents = files(&root().join("docs"), ".md");
    documents.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            seen += 1;
            if !document.parent().unwrap().join(path).exists() {
                broken.push(format!("{}: {link}", document.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(seen > 10, "only {seen} links were looked at");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
