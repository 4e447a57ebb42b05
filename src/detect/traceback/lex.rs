//! Small pieces that the grammars share. Knows no language.

use regex::{Captures, Regex};
use std::sync::LazyLock;

use super::in_app::is_app;
use crate::detect::{Language, TraceFrame};

/// Compiles a pattern that is written in the source.
#[expect(clippy::expect_used, reason = "the patterns are literals of this crate and compiled by its tests")]
pub(super) fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("a pattern in the source is valid")
}

/// Text of group `index`, empty where it took no part in the match.
pub(super) fn group<'t>(captures: &Captures<'t>, index: usize) -> &'t str {
    captures.get(index).map_or("", |found| found.as_str())
}

/// White space in front of the text, in characters (a tab is one).
pub(super) fn indent(text: &str) -> usize {
    text.chars().take_while(|c| c.is_whitespace()).count()
}

/// A frame, judged by its path and name alone. Empty names and files are absent ones.
pub(super) fn frame(language: Language, file: Option<&str>, line: Option<u32>, function: Option<&str>) -> TraceFrame {
    let file = file.filter(|text| !text.is_empty());
    let function = function.map(str::trim).filter(|text| !text.is_empty());
    let in_app = is_app(language, file, function);
    TraceFrame { file: file.map(str::to_owned), line, function: function.map(str::to_owned), in_app }
}

/// Whether the line begins a log record of its own: a time, a level, a JSON object.
pub(super) fn begins_record(text: &str) -> bool {
    static RECORD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r#"^(?:\[?\d{4}[-/.]\d\d[-/.]\d\d|\[?\d\d:\d\d:\d\d|\[?\d\d[-/ ][A-Z][a-z]{2}[-/ ]\d{4}|[IWEF]\d{4} \d\d:\d\d|\{"|"#,
            r"[A-Z][a-z]{2} \d{1,2},? (?:\d{4} )?\d{1,2}:\d\d|",
            r"\[?(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|SEVERE|FATAL|CRITICAL|FINE|CONFIG|NOTICE)\b)",
        ))
    });
    RECORD.is_match(text)
}

/// Whether the line says that something went wrong: an error level or a word for failure.
pub(super) fn sounds_bad(text: &str) -> bool {
    static BAD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(?:error|err|severe|fatal|critical|warn|warning|exception|failed|failure|panic|uncaught|unhandled)\b",
        )
    });
    BAD.is_match(text)
}

/// Number of a line in a file; absent where it is no number.
pub(super) fn line_number(text: &str) -> Option<u32> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_begin_with_a_time_a_level_or_a_brace() {
        for (text, expected) in [
            ("2026-11-21 01:38:53.527 [main] INFO  x", true),
            ("2026/11/21 01:19:39 shop", true),
            ("[2023-10-21 11:54:11,203] INFO x", true),
            ("01:38:55 ERROR StockService: failed", true),
            ("I1121 01:27:01.531289   10831 main.go:12] x", true),
            ("Nov 21, 2026 1:38:56 AM com.acme.Feed main", true),
            (r#"{"level":"info"}"#, true),
            ("SEVERE: bad line", true),
            ("java.lang.RuntimeException: 2026", false),
            ("  - empty step", false),
            ("", false),
        ] {
            assert_eq!(begins_record(text), expected, "{text}");
        }
    }
}
