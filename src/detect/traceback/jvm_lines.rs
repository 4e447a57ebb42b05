//! Lines of the JVM's stack traces: frames, links of the chain, what was left out.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{frame, group, line_number, pattern};
use crate::detect::{Language, TraceFrame};

/// `... 12 more`, `... 3 common frames omitted`.
pub(super) fn elision(text: &str) -> bool {
    static ELISION: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^\s*(?:\.\.\.|…)(?: ?\d+ (?:more|common|frames?|lines?|skipped|omitted|excluded|truncated|trimmed|filtered|stack frames)\b|\s*$)",
        )
    });
    ELISION.is_match(text)
}

/// The line without the tag that a build tool puts in front of the output it passes on, or JUnit's drawing of a tree.
pub(super) fn without_tool(text: &str) -> &str {
    static TOOL: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(?:\s*\[(?i:error|warn|warning|info|java|junit|exec|stdout|stderr)\] ?|(?:│ *)+)"));
    TOOL.find(text).map_or(text, |found| text.get(found.end()..).unwrap_or(text))
}

/// Reads a frame line. `Some(None)` is a line in a frame's place that names no code (`at (Coroutine boundary)`).
pub(super) fn parse_frame(text: &str) -> Option<Option<TraceFrame>> {
    static FRAME: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"^\s*at ([^()]*[^()\s]) ?\(([^()]*)\)(?: ~?\[[^\]]*\])*"?\s*$"#));
    static SOURCE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^:()\s][^:()]*?)(?::(-?\d+))?$"));
    if text.trim() == "at (Coroutine boundary)" || text.trim() == "(Coroutine boundary)" {
        return Some(None);
    }
    let found = FRAME.captures(text)?;
    let function = without_module(group(&found, 1));
    if !function.contains('.') || function.contains("://") {
        return None;
    }
    // A thread dump has the module here: `java.base@17.0.15/Thread.java:840`.
    let place = group(&found, 2);
    let place = place.split_once('/').filter(|(module, _)| module.contains('@')).map_or(place, |(_, source)| source);
    let source = SOURCE.captures(place)?;
    let (name, line) = (group(&source, 1), line_number(group(&source, 2)));
    let file = match name {
        "Native Method" | "Unknown Source" | "<generated>" | "<Unknown>" | "NO_SOURCE_FILE" => None,
        "SourceFile" => Some(name),
        // Two numbers are JavaScript's; a space or slash is no name of a source file.
        _ if name.contains('.') && !name.contains(['/', '\\']) => Some(name),
        // A script that has a name only: Jenkins' `WorkflowScript`, Clojure's `REPL`.
        _ if line.is_some() && name.starts_with(|c: char| c.is_ascii_uppercase()) && is_word(name) => Some(name),
        _ => return None,
    };
    let language = language_of(file);
    let line = if file.is_some() { line } else { None };
    Some(Some(frame(language, file, line, Some(function))))
}

/// The function without class loader and module: `app//`, `java.base@17.0.1/`.
fn without_module(function: &str) -> &str {
    let mut rest = function;
    while let Some((prefix, tail)) = rest.split_once('/') {
        // The address of a hidden class: `Foo$$Lambda/0x00007f.run`.
        if tail.starts_with("0x") || prefix.contains('$') {
            break;
        }
        rest = tail;
    }
    rest
}

pub(super) fn language_of(file: Option<&str>) -> Language {
    match file.and_then(|file| file.rsplit_once('.')).map(|(_, ending)| ending) {
        Some("kt" | "kts") => Language::Kotlin,
        Some("scala" | "sc") => Language::Scala,
        _ => Language::Java,
    }
}

/// What a line between frames says about the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Cause,
    Wrapper,
    Suppressed,
}

pub(super) fn parse_link(text: &str) -> Option<(Link, &str)> {
    let trimmed = text.trim_start();
    for (label, link) in [
        ("Caused by:", Link::Cause),
        ("Wrapped by:", Link::Wrapper),
        ("Suppressed:", Link::Suppressed),
        // Jenkins prints the root cause first, ScalaTest has a label of its own.
        ("Caused: ", Link::Wrapper),
        ("Cause: ", Link::Cause),
    ] {
        if let Some(rest) = trimmed.strip_prefix(label) {
            let rest = rest.trim_start();
            // Logback's encoder for Logstash puts a hash of the stack in front.
            let hashed = rest.strip_prefix("<#").and_then(|rest| rest.split_once("> ")).map(|(_, rest)| rest);
            return Some((link, hashed.unwrap_or(rest)));
        }
    }
    None
}

/// Lines between frames that belong to the trace: a circular reference, Spark's second stack, a coroutine's boundary.
pub(super) fn is_note(text: &str) -> bool {
    let trimmed = text.trim_start();
    trimmed.starts_with("[CIRCULAR REFERENCE")
        || trimmed == "[...]"
        || trimmed == "Driver stacktrace:"
        || trimmed.starts_with("Original Stack Trace:")
        || trimmed.starts_with("*__checkpoint")
        || trimmed.starts_with("|_ ")
}

fn is_word(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
