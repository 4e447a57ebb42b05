//! Keeps a regular expression inside one line.
//!
//! Detectors are defined line by line and run over whole chunks. Both agree because no confined expression can consume a
//! line end, and because its anchors and word boundaries take a line end for the end of the text. The rewrite works on
//! the parsed expression: on its text, `[^x]`, `\s` and `(?s).` would slip through.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{
    Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Literal, Look,
};

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// What is wrong, in one line.
    pub message: String,
    /// Where in the pattern, in bytes, if a part of it is to blame.
    pub span: Option<Range<usize>>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl PatternError {
    fn whole(message: impl Into<String>, hint: Option<&str>) -> Self {
        Self { message: message.into(), span: None, hint: hint.map(str::to_owned) }
    }
}

/// Compiles the pattern of a detector: on bytes, `\d`, `\w`, `\b`, `(?i)` are ASCII.
///
/// # Errors
/// Besides syntax errors and expressions that become too large: patterns that can never match inside one line, that match
/// the empty string (they would fire on every line), or that use Unicode word boundaries.
pub fn check_pattern(pattern: &str) -> Result<Regex, PatternError> {
    confined(pattern)?;
    RegexBuilder::new(pattern).unicode(false).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => PatternError::whole(
            format!("the pattern needs more than {limit} bytes when compiled"),
            Some("repeat less: `{1,1000}` copies what it repeats a thousand times"),
        ),
        other => PatternError::whole(other.to_string(), None),
    })
}

/// Parses a pattern as [`check_pattern`] does and rewrites it so that it cannot leave its line.
pub(super) fn confined(pattern: &str) -> Result<Hir, PatternError> {
    let hir = parse(pattern)?;
    if hir.properties().look_set().contains_word_unicode() {
        return Err(PatternError {
            message: "Unicode word boundaries are not supported".to_owned(),
            span: pattern.find("\\b").or_else(|| pattern.find("\\B")).map(|at| at..at + 2),
            hint: Some("write `\\b` outside of `(?u:…)`: it then knows ASCII words".to_owned()),
        });
    }
    let hir = confine(hir);
    match hir.properties().minimum_len() {
        None => Err(PatternError::whole(
            "the pattern can never match: detectors see one line",
            Some("match one of the lines; `kind: traceback` reads traces of many lines"),
        )),
        Some(0) => Err(PatternError::whole(
            "the pattern matches the empty string, so it would fire on every line",
            Some("require at least one character: `x+` instead of `x*`"),
        )),
        Some(_) => Ok(hir),
    }
}

fn parse(pattern: &str) -> Result<Hir, PatternError> {
    let parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
    parser.map_err(|error| {
        let (message, span) = match &error {
            regex_syntax::Error::Parse(error) => (error.kind().to_string(), Some(error.span())),
            regex_syntax::Error::Translate(error) => (error.kind().to_string(), Some(error.span())),
            other => (other.to_string(), None),
        };
        PatternError { message, span: span.map(|span| span.start.offset..span.end.offset), hint: None }
    })
}

fn confine(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(Literal(bytes)) if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) => Hir::fail(),
        HirKind::Literal(Literal(bytes)) => Hir::literal(bytes),
        HirKind::Class(Class::Bytes(mut class)) => {
            class
                .difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n'), ClassBytesRange::new(b'\r', b'\r')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Class(Class::Unicode(mut class)) => {
            class.difference(&ClassUnicode::new([
                ClassUnicodeRange::new('\n', '\n'),
                ClassUnicodeRange::new('\r', '\r'),
            ]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Look(look) => Hir::look(at_line_edges(look)),
        HirKind::Repetition(mut repetition) => {
            *repetition.sub = confine(std::mem::replace(&mut *repetition.sub, Hir::empty()));
            Hir::repetition(repetition)
        }
        HirKind::Capture(mut capture) => {
            *capture.sub = confine(std::mem::replace(&mut *capture.sub, Hir::empty()));
            Hir::capture(capture)
        }
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(confine).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(confine).collect()),
    }
}

fn at_line_edges(look: Look) -> Look {
    match look {
        Look::Start | Look::StartLF | Look::StartCRLF => Look::StartCRLF,
        Look::End | Look::EndLF | Look::EndCRLF => Look::EndCRLF,
        Look::WordAscii | Look::WordUnicode => Look::WordAscii,
        Look::WordAsciiNegate | Look::WordUnicodeNegate => Look::WordAsciiNegate,
        Look::WordStartAscii | Look::WordStartUnicode => Look::WordStartAscii,
        Look::WordEndAscii | Look::WordEndUnicode => Look::WordEndAscii,
        Look::WordStartHalfAscii | Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
        Look::WordEndHalfAscii | Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
    }
}

/// The longest text that every match of the pattern holds; `None` when no such text is known.
pub(super) fn required_literal(hir: &Hir) -> Option<&[u8]> {
    match hir.kind() {
        HirKind::Literal(Literal(bytes)) => Some(bytes),
        HirKind::Capture(capture) => required_literal(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required_literal(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required_literal).max_by_key(|literal| literal.len()),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_and_why() {
        for (name, pattern, expected) in [
            ("across lines", "Traceback.*\\n\\s+File", "can never match: detectors see one line"),
            ("only a line end", "[\\r\\n]", "can never match"),
            ("star", "x*", "matches the empty string"),
            ("anchors only", "^$", "matches the empty string"),
            ("boundary only", "\\b", "matches the empty string"),
            ("Unicode boundary", "(?u:\\bfoo)", "Unicode word boundaries"),
            ("syntax", "foo(", "unclosed group"),
            ("too large", "((a{100}){100}){100}", "when compiled"),
        ] {
            let error = check_pattern(pattern).expect_err(name);
            assert!(error.message.contains(expected), "{name}: {error}");
        }
        assert_eq!(check_pattern("ab(c").expect_err("open group").span, Some(2..3));
    }

    #[test]
    fn bytes_and_ascii() {
        let regex = check_pattern("bad.block").expect("compiles");
        assert!(regex.is_match(b"bad\xffblock"));
        assert!(!check_pattern("(?i)kill").expect("compiles").is_match("\u{212a}ill".as_bytes()), "Kelvin sign");
        assert!(check_pattern("(?u:\\p{L}+)").expect("compiles").is_match("é".as_bytes()));
    }

    #[test]
    fn literals_that_must_be_there() {
        for (pattern, literal) in [
            ("step (\\d+)/", Some("step ")),
            ("(?:loss|grad)=(\\S+)", Some("=")),
            ("(?i)step", None),
            ("(abc)+d?", Some("abc")),
            ("x|y", None),
        ] {
            let hir = confined(pattern).expect("valid");
            assert_eq!(required_literal(&hir), literal.map(str::as_bytes), "{pattern}");
        }
    }
}
