//! What single lines of JavaScript's traces say: frames, heads, carets, code.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{frame, group, indent, line_number, pattern};
use crate::detect::{Language, TraceFrame};

/// Reads `at f (file:1:2)` and its relatives, `› f (file:1:2)`, and `f@http://host/file.js:1:2` of Firefox and Safari.
pub(super) fn parse_frame(text: &str) -> Option<TraceFrame> {
    let text = text.trim();
    // AVA has a mark of its own.
    match text.strip_prefix("at ").or_else(|| text.strip_prefix("› ")) {
        Some(call) => parse_call(call),
        None => parse_at_sign(text),
    }
}

/// Reads `f@http://host/file.js:1:2`, `@file:///srv/a.html:3:4`, `map@[native code]`.
fn parse_at_sign(text: &str) -> Option<TraceFrame> {
    static FRAME: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^((?:global|eval|module) code|(?:[A-Za-z]+(?: [a-z]+)*\*)*[\w$.<>/\[\]-]{0,120})@(?:\[native code\]|((?:https?|file|webpack|webpack-internal|resource|moz-extension|safari-extension|blob|app):\S+?):(\d+):\d+)$",
        )
    });
    let found = FRAME.captures(text)?;
    let file = found.get(2).map(|file| file.as_str());
    let line = found.get(3).and_then(|line| line_number(line.as_str()));
    Some(frame(Language::Javascript, file, line, Some(group(&found, 1))))
}

/// Reads a frame without its `at`, as TAP prints it.
pub(super) fn parse_call(text: &str) -> Option<TraceFrame> {
    let body = text.trim().trim_end_matches(" {").trim_end_matches(',').trim_end_matches(" [");
    let body = body.strip_prefix("async ").unwrap_or(body);
    // WebAssembly has offsets instead of lines.
    if body.trim_end_matches(')').rsplit_once(":0x").is_some_and(|(place, _)| place.contains("wasm")) {
        let function = body.strip_suffix(')').and_then(|inner| inner.split_once(" (")).map(|(function, _)| function);
        return Some(frame(Language::Javascript, None, None, function));
    }
    let named = body.strip_suffix(')').and_then(|inner| inner.split_once(" ("));
    let Some((function, place)) = named else {
        if matches!(body, "<anonymous>" | "<Jasmine>") {
            return Some(frame(Language::Javascript, None, None, Some(body)));
        }
        let (file, line) = parse_place(body)?;
        return Some(frame(Language::Javascript, file, line, None));
    };
    let unplaced = ["<anonymous>", "native", "unknown location", "ext:", "wasm://"];
    let (file, line) = if unplaced.contains(&place)
        || ["eval at ", "index ", "wasm://"].iter().any(|start| place.starts_with(start))
    {
        (None, None)
    } else {
        parse_place(place)?
    };
    let function = function.rfind(" [as ").and_then(|at| function.get(..at)).unwrap_or(function);
    Some(frame(Language::Javascript, file, line, Some(function)))
}

/// Reads `❯ f src/x.ts:1:2`, as Vitest prints it.
pub(super) fn parse_pointed(text: &str) -> Option<TraceFrame> {
    let body = text.trim().strip_prefix("❯ ")?;
    let (function, place) = body.rsplit_once(' ').map_or((None, body), |(function, place)| (Some(function), place));
    let (file, line) = parse_place(place)?;
    Some(frame(Language::Javascript, file, line, function))
}

/// Splits `file:line:column`. Places inside evaluated or native code have no file.
fn parse_place(text: &str) -> Option<(Option<&str>, Option<u32>)> {
    let (rest, column) = text.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(column) || !digits(line) {
        return None;
    }
    if matches!(file, "<anonymous>" | "native" | "unknown") {
        return Some((None, None));
    }
    is_file(file).then(|| (Some(file), line_number(line)))
}

/// Whether the text looks like the name of a source: a path, a module, a name with an ending, `[eval]`.
fn is_file(text: &str) -> bool {
    const OTHERS: &[&str] = &[".rs", ".go", ".py", ".java", ".kt", ".scala", ".cs", ".php", ".rb", ".c", ".cc", ".cpp"];
    if OTHERS.iter().any(|ending| text.ends_with(ending)) {
        return false;
    }
    let has_letter = text.chars().any(char::is_alphabetic);
    let path = text.contains(['/', '\\']);
    let module = text.starts_with("node:") || text.starts_with("bun:") || text.starts_with("REPL");
    has_letter && (path || module || text.starts_with('[') || (text.contains('.') && !text.contains(' ')))
}

/// `/srv/app.js:12`, the line that Node prints above the code that threw.
pub(super) fn parse_header(text: &str) -> Option<(&str, Option<u32>)> {
    static HEADER: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(?:(/.*|[A-Za-z]:\\.*|file://.*)|(?:.*?\s)??(\[worker eval\]|\S+)):(\d+)$"));
    let found = HEADER.captures(text)?;
    let file = found.get(1).or_else(|| found.get(2))?.as_str();
    (is_file(file) || file.starts_with('<') || file.starts_with("evalmachine") || file == "undefined")
        .then(|| (file, line_number(group(&found, 3))))
}

/// `      ^^^^`
pub(super) fn is_caret(text: &str) -> bool {
    let trimmed = text.trim();
    !trimmed.is_empty() && trimmed.bytes().all(|b| matches!(b, b'^' | b'~'))
}

/// `> 18 |   code`, `     |   ^`, `  3| code`
pub(super) fn is_code(text: &str) -> bool {
    static CODE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:>\s*)?\d*\s*[|│](?:\s|$)"));
    CODE.is_match(text)
}

/// `... 5 lines matching cause stack trace ...`
pub(super) fn is_elision(text: &str) -> bool {
    let trimmed = text.trim_start();
    (trimmed.starts_with("... ") || trimmed.starts_with("[... ")) && trimmed.contains("lines matching ")
}

/// Type and message of an error as it is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) exception: Option<String>,
    pub(super) message: String,
    pub(super) indent: usize,
}

impl Head {
    /// `TypeError [ERR_X]: message` on a line of its own, whose name says that it is an error.
    pub(super) fn bare(text: &str) -> Option<Self> {
        static BARE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^\s*(?:[⨯✖×✗] +)?(?:<ref \*\d+> )?(?:ERROR |error: )?(?:Uncaught )?(?:\(in promise\) )?(\[?)([A-Za-z_$][\w$.]*)((?: \[[\w ]+\])+)?(?::(?: (.*))?)?$",
            )
        });
        let found = BARE.captures(text)?;
        let name = group(&found, 2);
        let coded =
            found.get(3).is_some() && name.trim_start_matches('_').starts_with(|c: char| c.is_ascii_uppercase());
        if !is_error_name(name) && !coded {
            return None;
        }
        let mut message = group(&found, 4);
        if !group(&found, 1).is_empty() {
            message = message.trim_end_matches(" {").strip_suffix(']')?;
        }
        Some(Self::of(name, message.trim_end_matches(" {"), indent(text)))
    }

    /// Any capitalised name and a message, where the frame below says what it is.
    pub(super) fn named(text: &str) -> Option<Self> {
        static NAMED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*([A-Z][\w$]*[a-z][\w$]*)(?:: (.*))?$"));
        let found = NAMED.captures(text)?;
        let name = group(&found, 1);
        (!matches!(name, "Trace" | "Info" | "Debug" | "Warn" | "Stack"))
            .then(|| Self::of(name, group(&found, 2), indent(text)))
    }

    /// An error somewhere in a line: `2026-… error: Error: handler failed`.
    pub(super) fn inside(text: &str) -> Option<Self> {
        static INSIDE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r#"(?:^|[\s:(\[<"'])((?:[A-Z][\w$]*)?(?:Error|Exception|Warning)|[A-Z][\w$]*(?: \[[A-Z]\w*Error\]))(?: \[\w+\])?(?:: |:?$)"#,
            )
        });
        let mut best = None;
        let mut at = 0;
        // Overlapping: the blank behind one name's colon is the one in front of the next name.
        while let Some(found) = text.get(at..).and_then(|rest| INSIDE.captures(rest)) {
            let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { break };
            let rest = text.get(at + whole.end()..).unwrap_or_default();
            // `NotFound [NotFoundError]`: the class, and the name that it gives itself.
            let class = name.as_str().split(' ').next().unwrap_or_default();
            let head = Self::of(class, rest, indent(text));
            let report =
                name.as_str().starts_with("Unhandled") || matches!(name.as_str(), "Exception" | "UncaughtException");
            if !report {
                return Some(head);
            }
            best.get_or_insert(head);
            at += name.end();
        }
        best
    }

    /// A message without a type.
    pub(super) fn untyped(text: &str) -> Self {
        Self { exception: None, message: text.trim().to_owned(), indent: 0 }
    }

    fn of(name: &str, message: &str, indent: usize) -> Self {
        Self { exception: Some(name.to_owned()), message: message.trim_end().to_owned(), indent }
    }
}

fn is_error_name(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let capital = last.starts_with(|c: char| c.is_ascii_uppercase());
    let named = ["Error", "Exception", "Warning", "Failure", "Rejection"].iter().any(|end| last.ends_with(end));
    capital && named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_a_confirmed_shape() {
        for (text, expected) in [
            ("    at f (/srv/a.js:1:2)", Some((Some("/srv/a.js"), Some(1), Some("f")))),
            (
                "    at async A.b [as c] (file:///srv/a.mjs:3:4) {",
                Some((Some("file:///srv/a.mjs"), Some(3), Some("A.b"))),
            ),
            ("    at new X (C:\\a\\b.ts:5:6),", Some((Some("C:\\a\\b.ts"), Some(5), Some("new X")))),
            ("    at node:internal/main/run:28:49", Some((Some("node:internal/main/run"), Some(28), None))),
            ("    at async Promise.all (index 0)", Some((None, None, Some("Promise.all")))),
            ("    at eval (eval at run (/srv/a.js:1:2), <anonymous>:1:7)", Some((None, None, Some("eval")))),
            (
                "    at P (webpack-internal:///(rsc)/./app/[id]/page.tsx:24:27)",
                Some((Some("webpack-internal:///(rsc)/./app/[id]/page.tsx"), Some(24), Some("P"))),
            ),
            ("    at wasm://wasm/0127f252:wasm-function[0]:0x20", Some((None, None, None))),
            ("    at parse (wasm://wasm/0127f252:wasm-function[7]:0x2f)", Some((None, None, Some("parse")))),
            ("load@http://localhost:3000/a.js:3:5", Some((Some("http://localhost:3000/a.js"), Some(3), Some("load")))),
            ("@file:///srv/a.html:9:1", Some((Some("file:///srv/a.html"), Some(9), None))),
            (
                "setTimeout handler*f@http://localhost/a.js:3:5",
                Some((Some("http://localhost/a.js"), Some(3), Some("setTimeout handler*f"))),
            ),
            ("INFO - f@http://localhost/a.js:3:5", None),
            ("map@[native code]", Some((None, None, Some("map")))),
            ("user@example.org:22:33", None),
            ("             at /rustc/59/library/core/src/cell.rs:9:5", None),
            ("    at 10:05 the job was paused", None),
            ("    at 10:05:30", None),
            ("    at 10:07 disk usage fell to 41% (node-3:9100)", None),
            ("    at a.B.c (B.java:3)", None),
            ("\tat a.B.c(B.java:3)", None),
        ] {
            let got = parse_frame(text);
            let got = got.as_ref().map(|f| (f.file.as_deref(), f.line, f.function.as_deref()));
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn heads_are_found_in_records() {
        for (text, expected) in [
            ("2026 error: Error: handler failed", Some(("Error", "handler failed"))),
            ("(node:1) UnhandledPromiseRejectionWarning: TypeError: x: y", Some(("TypeError", "x: y"))),
            ("Uncaught Exception: RangeError [ERR_X]: z", Some(("RangeError", "z"))),
            ("0 errors, no exception: fine", None),
        ] {
            let got = Head::inside(text);
            let got = got.as_ref().map(|h| (h.exception.as_deref().unwrap(), h.message.as_str()));
            assert_eq!(got, expected, "{text}");
        }
    }
}
