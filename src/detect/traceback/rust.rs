//! Stack traces of Rust: panics in the layouts before and after 1.73 and of custom hooks, aborts, and error chains.
//!
//! Formats: `library/std/src/panicking.rs` (`default_hook`), `std::backtrace`; anyhow and eyre `fmt.rs`, color-eyre, color-backtrace,
//! better-panic, snafu's `Report`, human-panic, `console_error_panic_hook`. Reports drawn as trees are read in `rust_tree.rs`.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{begins_record, group, pattern, sounds_bad};
use super::rust_report::{Numbered, Open, Place, Section, is_abort};
use super::rust_tree::Tree;
use super::{Grammar, OpenTrace, TextLine};
use crate::detect::Language;

/// The grammar of Rust's stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rust;

impl Grammar for Rust {
    fn language(&self) -> Language {
        Language::Rust
    }

    fn starters(&self) -> &'static [&'static str] {
        &[
            "panicked at ",
            "has overflowed its stack",
            "^fatal runtime error: ",
            "^memory allocation of ",
            "The application panicked",
            r"^Backtrace \(most recent call (?:first|last)\):$",
            "^Well, this is embarrassing\\.$",
            r"╴at \S",
            r"^\s+(?:├|╰)─▶ ",
            r"^\s+╭─\[",
            "^ *Caused by:$",
            "^Caused by th(?:is|ese) error",
            "^Stack backtrace:$",
            "^Location:$",
            r"^ +0: .",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = line.text.as_str();
        if let Some(tree) = Tree::open(before, line) {
            return Some(Box::new(tree));
        }
        let open = if text.contains("panicked at ") {
            of_panic(line)?
        } else if text.starts_with("The application panicked") {
            Open::new("panic", String::new(), line.number, Place::Section)
        } else if text.starts_with("Backtrace (most recent call ") {
            Open::new("panic", String::new(), line.number, Place::Listing)
        } else if text == "Well, this is embarrassing." {
            Open::new("panic", String::new(), line.number, Place::Letter)
        } else if is_abort(text) {
            of_abort(line)
        } else {
            of_chain(before, line)?
        };
        Some(Box::new(open))
    }
}

/// `thread 'main' panicked at src/main.rs:4:5:` and the older `panicked at 'message', src/main.rs:4:5`.
fn of_panic(line: &TextLine) -> Option<Open> {
    static NEW: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?:\bthread '.*?'(?: \(\d+\))? |^|[\s:])panicked at ([^']\S*?|[^'].*?\.rs):(\d+):\d+:$")
    });
    static OLD: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:\bthread '.*?'(?: \(\d+\))? |^)panicked at '(.*)$"));
    if let Some(found) = NEW.captures(&line.text) {
        let mut open = Open::new("panic", String::new(), line.number, Place::FirstLine);
        open.location(group(&found, 1), group(&found, 2));
        open.set_margin(&line.text);
        return Some(open);
    }
    let found = OLD.captures(&line.text)?;
    let mut open = Open::new("panic", String::new(), line.number, Place::Quoted(0));
    open.set_margin(&line.text);
    open.quoted(group(&found, 1));
    Some(open)
}

/// `fatal runtime error: …`, and what is printed ahead of it.
fn of_abort(line: &TextLine) -> Open {
    match line.text.strip_prefix("fatal runtime error: ") {
        Some(message) => Open::new("fatal runtime error", message.to_owned(), line.number, Place::Aborted),
        // The allocator's handler goes on like a panic, with a note or a backtrace.
        None if line.text.starts_with("memory ") => {
            Open::new("fatal runtime error", line.text.clone(), line.number, Place::Section)
        }
        None => Open::new("fatal runtime error", line.text.clone(), line.number, Place::Aborting),
    }
}

/// `Error: …` with causes or a backtrace, as anyhow, eyre and color-eyre print it.
fn of_chain(before: &[TextLine], line: &TextLine) -> Option<Open> {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:.*\s)?(Error|error):(?: (.*))?$"));
    let numbered = Numbered::parse(&line.text);
    if numbered.is_none() && !Section::is_title(&line.text) {
        return None;
    }
    let logged = |head: &TextLine| begins_record(&head.text) && sounds_bad(&head.text);
    let at = before.iter().rposition(|head| HEAD.is_match(&head.text) || (numbered.is_none() && logged(head)))?;
    let (head, between) = (before.get(at)?, before.get(at + 1..).unwrap_or_default());
    let found = HEAD.captures(&head.text);
    let message = found.as_ref().map_or_else(|| without_head(&head.text), |found| group(found, 2)).trim();
    // color-eyre puts the whole chain under the label; everybody else says what the error is, then leaves a line.
    if numbered.is_some() != message.is_empty() || between.iter().any(|l| begins_record(&l.text)) {
        return None;
    }
    if numbered.is_none() && !between.last().is_some_and(|last| last.text.trim().is_empty()) {
        return None;
    }
    let mut lines = vec![message];
    lines.extend(between.iter().map(|l| l.text.as_str()));
    let mut open = Open::new("Error", lines.join("\n").trim().to_owned(), head.number, Place::Section);
    open.chain = true;
    match numbered {
        Some(first) => open.message = first.text.to_owned(),
        None => open.section = Section::of(&line.text),
    }
    if numbered.is_some() {
        open.section = Section::Causes;
    }
    Some(open)
}

/// A logged text without the time, the level and the module in front of it (`env_logger`, `tracing-subscriber`).
fn without_head(text: &str) -> &str {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r#"^[^'"]{0,80}?\b(?:ERROR|WARN|FATAL|CRIT|INFO|error|warn)\b\]?:?\s+(?:(?:[\w-]+(?:::[\w-]+)*)[:\]]\s+)?(\S.*)$"#,
        )
    });
    HEAD.captures(text).and_then(|found| found.get(1)).map_or(text, |rest| rest.as_str())
}
