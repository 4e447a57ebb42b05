//! Regular expressions: compiled once while the file is read, and errors that point at the character.

use regex::Regex;
use regex::bytes::{Regex as BytesRegex, RegexBuilder as BytesRegexBuilder};
use regex_syntax::hir::{Class, ClassUnicodeRange, Hir, HirKind};

use super::yaml::{At, Node, Value};

/// Most memory of one compiled expression, in bytes; less than half of the crate's default, since there may be many.
const SIZE_LIMIT: usize = 4 * 1024 * 1024;

/// Why an expression is refused.
pub(super) struct Bad {
    pub(super) message: String,
    pub(super) offset: Option<std::ops::Range<usize>>,
    pub(super) help: Option<&'static str>,
}

/// For lines of output: bytes, Unicode off unless the expression turns it on with `(?u)`. That is how the scanner reads
/// it; with Unicode on, scanning is 40 times slower.
pub(super) fn for_lines(pattern: &str) -> Result<BytesRegex, regex::Error> {
    let build = |pattern: &str| BytesRegexBuilder::new(pattern).unicode(false).size_limit(SIZE_LIMIT).build();
    build(pattern).or_else(|error| match error {
        // Such as `[é]` or `\p{Greek}`, which mean nothing without Unicode.
        regex::Error::Syntax(_) => build(&format!("(?u:{pattern})")).map_err(|_| error),
        error => Err(error),
    })
}

/// For messages, which are text.
pub(super) fn for_text(pattern: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build()
}

/// Whether an expression can be used, for lines and for messages.
pub(super) fn check(pattern: &str) -> Result<(), Bad> {
    if pattern.is_empty() {
        return Err(Bad { message: "it is empty".to_owned(), offset: None, help: None });
    }
    if let Err(error) = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern) {
        return Err(syntax(&error));
    }
    for_text(pattern).map(|_| ()).and_then(|()| for_lines(pattern).map(|_| ())).map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => Bad {
            message: format!("it needs more than {limit} bytes when compiled"),
            offset: None,
            help: Some("lower the counts in `{…}`"),
        },
        // The parser's last line says what is wrong; the lines before it draw a caret of their own.
        error => Bad {
            message: error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
            offset: None,
            help: None,
        },
    })
}

/// Whether what a metric reads, the first group or the whole match, can be a number: a digit, `nan` or `inf` can stand in
/// it. A pattern that is no expression can, as far as this goes.
pub(super) fn can_hold_number(pattern: &str) -> bool {
    let Ok(hir) = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern) else {
        return true;
    };
    let mut alphabet = [false; 256];
    letters(first_group(&hir).unwrap_or(&hir), &mut alphabet);
    let has = |letters: &[u8]| letters.iter().all(|letter| alphabet.get(usize::from(*letter)) == Some(&true));
    let word = |letters: &[u8]| letters.iter().all(|letter| has(&[*letter]) || has(&[letter.to_ascii_uppercase()]));
    (b'0'..=b'9').any(|digit| has(&[digit])) || word(b"nan") || word(b"inf")
}

fn first_group(hir: &Hir) -> Option<&Hir> {
    match hir.kind() {
        HirKind::Capture(group) if group.index == 1 => Some(&group.sub),
        HirKind::Capture(group) => first_group(&group.sub),
        HirKind::Repetition(repeated) => first_group(&repeated.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().find_map(first_group),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => None,
    }
}

/// The bytes that a match may be made of.
fn letters(hir: &Hir, alphabet: &mut [bool; 256]) {
    let mut add = |byte: u8| {
        if let Some(letter) = alphabet.get_mut(usize::from(byte)) {
            *letter = true;
        }
    };
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.iter().copied().for_each(add),
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().flat_map(|range| range.start()..=range.end()).for_each(add);
        }
        HirKind::Class(Class::Unicode(class)) => {
            let ascii = |at: &ClassUnicodeRange| (u32::from(at.start()), u32::from(at.end()).min(127));
            class.ranges().iter().map(ascii).flat_map(|(first, last)| first..=last).for_each(|at| {
                add(u8::try_from(at).unwrap_or_default());
            });
        }
        HirKind::Capture(group) => letters(&group.sub, alphabet),
        HirKind::Repetition(repeated) => letters(&repeated.sub, alphabet),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().for_each(|part| letters(part, alphabet)),
        HirKind::Empty | HirKind::Look(_) => {}
    }
}

fn syntax(error: &regex_syntax::Error) -> Bad {
    use regex_syntax::ast::ErrorKind;
    let (message, span, help) = match error {
        regex_syntax::Error::Parse(error) => {
            let help = match error.kind() {
                ErrorKind::UnsupportedLookAround | ErrorKind::UnsupportedBackreference => {
                    Some("look-around and backreferences are not supported: every expression runs in linear time")
                }
                ErrorKind::EscapeUnrecognized => {
                    Some("`\\Z` is `\\z` here; a backslash before a letter must mean something")
                }
                _ => None,
            };
            (error.kind().to_string(), Some(*error.span()), help)
        }
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), Some(*error.span()), None),
        error => (error.to_string(), None, None),
    };
    Bad { message, offset: span.map(|span| span.start.offset..span.end.offset), help }
}

/// Where a part of a scalar stands in the file, if it is written there as it reads; else the whole scalar.
pub(super) fn place(node: &Node, text: &str, part: Option<std::ops::Range<usize>>) -> At {
    let width = node.at.end.saturating_sub(node.at.start);
    let quotes = match &node.value {
        Value::Scalar { plain: true, .. } if width == text.len() => 0,
        // Without escapes a quoted scalar is its text and two quotes.
        Value::Scalar { plain: false, .. } if width == text.len().saturating_add(2) => 1,
        _ => return node.at.clone(),
    };
    let Some(part) = part else { return node.at.clone() };
    let start = node.at.start.saturating_add(quotes);
    start.saturating_add(part.start)..start.saturating_add(part.end.max(part.start.saturating_add(1)))
}
