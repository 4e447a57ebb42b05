//! What a line says of itself: a failure, a warning after which the program goes on, or that nothing is wrong.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

/// How a line that matched a class is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing in it takes the failure back.
    Plain,
    /// A logger wrote it as a warning: whoever warns goes on.
    Warning,
    /// Information, advice, something that was dealt with: no failure.
    Handled,
}

/// Anywhere in the line: levels as loggers write them, source, comments, counts of none, names of tests.
const NOTHING_WRONG: &[&str] = &[
    r"^.{0,120}?(?:^|[\s\[|(])(?:DEBUG|INFO|TRACE|NOTICE)(?:[\s\]|):]|$)",
    r#"(?i)"(?:level|severity|levelname|log\.level)"\s*:\s*(?:"(?:debug|info|trace|notice)"|[123]0\b)"#,
    r#"(?i)\blevel="?(?:debug|info|trace|notice)\b"#,
    r"^(?:\[\w+\]: ?)?\[?[DI]\d{4} \d\d:\d\d:\d\d\.\d+ ",
    r"^\s*(?:except|raise|throw|catch|if|elif|def|import|from|return|assert|\}\s*catch)\b[\s(]",
    r"^\s*(?:# |//|\* |-- |[+-]{1,3} )",
    r"(?i)\b(?:no|0|zero|without(?: any)?) (?:\w+ )?(?:errors?|failures?|warnings?)\b",
    r"::test_\w+|^\s*test[_ ]\S+ |\b(?:PASSED|SKIPPED|XFAIL)\b|^\s*(?:=== RUN|--- PASS|ok )",
    r"(?i)\b(?:expected|simulat\w+|injected|mock(?:ed)?|fake) (?:error|failure|exception|fault)",
];

/// Before the failure: advice about it, hypotheses of it. After it, they are what to do now that it has happened.
const ADVICE: &[&str] = &[
    r"(?i)\b(?:to (?:avoid|prevent|fix|work around)|in order to (?:avoid|prevent)|in case of|if you (?:see|get|encounter|hit|are seeing)|consider (?:setting|using|reducing)|for example)\b",
    r"(?i)\be\.g\. ",
    r"(?i)\b(?:may|might|could|can|would|will) (?:also )?(?:be (?:caused|due)|cause|result in|lead to|fail|raise|throw)\b",
];

/// After the failure, before its sentence ends: what the sentence says of it in general.
const GENERAL: &str = r"^[^.:;!]{0,80}\b(?:may|might|could|can|would|will) (?:also )?(?:be (?:caused|due)|cause|result in|lead to|fail|raise|throw)\b|^\s*\((?:expected|simulated|injected|harmless)\b";

/// Words of programs that go on.
const DEALT_WITH: &str = r"(?i)\b(?:retrying|retried|will retry|will be retried|retry (?:in|after|\d+|attempt|#)|[1-9]\d* retries left|trying again|try again in|reconnect(?:ing|ed)|backing off|falling back|fell back|fallback to|recovered|recovering|remounted|ignor(?:ed|ing)|skipp(?:ed|ing)|suppress(?:ed|ing)|swallow(?:ed|ing)|handled|tolerated|resolved|succeeded|continuing|(?:using|switching to) \w+(?: \w+)? instead)\b";

/// Right before one of these words: it is not so.
const NEGATED: &str =
    r"(?i)(?:\b(?:not|never|cannot|without|nor|failed(?: to)?|unable to)|n't)(?: (?:be|been|being|yet|even))?[\s-]+$";

/// The program tries no more, whatever it has tried.
const GIVEN_UP: &str = r"(?i)\b(?:giving up|gave up|given up|no (?:more )?retries|0 retries left|retries (?:exceeded|exhausted)|(?:max|maximum)(?: number of)? retries|retry limit|exit(?:ing)? now|aborting)\b";

/// `attempt 2/5`, `retry 2 of 5`.
const ATTEMPT: &str = r"(?i)\b(?:attempt|retry|try)(?: no\.?)?[ :=#]{0,2}(\d{1,6}) ?(?:/|of) ?(\d{1,6})\b";

/// A logger's level: warning. Only before the failure, where loggers write it.
const WARNING_BEFORE: &[&str] = &[
    r"^.{0,120}?(?:^|[\s\[|(])(?:WARN|WARNING)(?:[\s\]|):]|$)",
    r"^(?:\[\w+\]: ?)?\[?W\d{4} \d\d:\d\d:\d\d",
    r"(?:^|[\s\[(/])\w*[Ww]arning: ",
];

/// The same in a field, which may come after it.
const WARNING_FIELD: &[&str] = &[
    r#"(?i)"(?:level|severity|levelname|log\.level)"\s*:\s*(?:"warn(?:ing)?"|40\b)"#,
    r#"(?i)\blevel="?warn(?:ing)?\b"#,
];

/// NCCL writes every error of its own as a warning.
const NO_WARNING: &str = "NCCL WARN ";

#[expect(clippy::expect_used, reason = "constant expressions, compiled in every test run")]
fn set(expressions: &[&str]) -> RegexSet {
    RegexSetBuilder::new(expressions).unicode(false).build().expect("the expressions are constant")
}

#[expect(clippy::expect_used, reason = "constant expressions, compiled in every test run")]
fn one(expression: &str) -> Regex {
    regex::bytes::RegexBuilder::new(expression).unicode(false).build().expect("the expression is constant")
}

struct Words {
    nothing_wrong: RegexSet,
    advice: RegexSet,
    general: Regex,
    dealt_with: Regex,
    negated: Regex,
    given_up: Regex,
    attempt: Regex,
    warning_before: RegexSet,
    warning_field: RegexSet,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| Words {
    nothing_wrong: set(NOTHING_WRONG),
    advice: set(ADVICE),
    general: one(GENERAL),
    dealt_with: one(DEALT_WITH),
    negated: one(NEGATED),
    given_up: one(GIVEN_UP),
    attempt: one(ATTEMPT),
    warning_before: set(WARNING_BEFORE),
    warning_field: set(WARNING_FIELD),
});

/// The tone of a line in which a failure stands at `matched`.
pub(super) fn tone(line: &[u8], matched: Range<usize>) -> Tone {
    let words = &*WORDS;
    let before = line.get(..matched.start).unwrap_or_default();
    let after = line.get(matched.end..).unwrap_or_default();
    if words.nothing_wrong.is_match(line)
        || words.advice.is_match(before)
        || words.general.is_match(after)
        || dealt_with(words, line, matched)
    {
        Tone::Handled
    } else if (words.warning_before.is_match(before) && memchr::memmem::find(before, NO_WARNING.as_bytes()).is_none())
        || words.warning_field.is_match(line)
    {
        Tone::Warning
    } else {
        Tone::Plain
    }
}

fn dealt_with(words: &Words, line: &[u8], matched: Range<usize>) -> bool {
    let said = without_names(line, matched);
    if words.given_up.is_match(&said) {
        return false;
    }
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u32>().ok();
    let attempt = words.attempt.captures(line).and_then(|found| {
        let (now, last) = (found.get(1)?, found.get(2)?);
        Some((number(now.as_bytes())?, number(last.as_bytes())?))
    });
    match attempt {
        Some((now, last)) if now < last => return true,
        // The last one: no other comes.
        Some(_) => return false,
        None => {}
    }
    words.dealt_with.find_iter(&said).any(|word| {
        let before = said.get(..word.start()).unwrap_or_default();
        !words.negated.is_match(before)
    })
}

/// The line with spaces for what it only names: paths, and quoted values other than the message itself, be it the one in
/// which the failure stands or a field of a line of JSON or `key="value"`.
fn without_names(line: &[u8], matched: Range<usize>) -> Vec<u8> {
    let mut out = line.to_vec();
    let mut blank = |range: Range<usize>| {
        if let Some(part) = out.get_mut(range) {
            part.fill(b' ');
        }
    };
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        let before = at.checked_sub(1).and_then(|before| line.get(before)).copied();
        // An apostrophe stands inside a word.
        let opens = matches!(byte, b'"' | b'\'' | b'`') && !before.is_some_and(|before| before.is_ascii_alphanumeric());
        let rest = line.get(at + 1..).unwrap_or_default();
        if opens && let Some(length) = closing(rest, byte) {
            let inside = at + 1..at + 1 + length;
            let field = byte == b'"' && is_field(line.get(..at).unwrap_or_default());
            let holds_match = inside.start <= matched.start && matched.start < inside.end;
            if field || holds_match {
                // What stands in it is read as the rest is.
                at += 1;
            } else {
                at = inside.end + 1;
                blank(inside);
            }
            continue;
        }
        if byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`') {
            at += 1;
            continue;
        }
        let word = rest.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`'));
        let end = word.map_or(line.len(), |length| at + 1 + length);
        if line.get(at..end).is_some_and(|word| word.contains(&b'/')) {
            blank(at..end);
        }
        at = end;
    }
    out
}

/// Length of a quoted text that ends with `quote`; a quote between two letters does not end it.
fn closing(rest: &[u8], quote: u8) -> Option<usize> {
    memchr::memchr_iter(quote, rest).find(|at| {
        let escaped = at.checked_sub(1).and_then(|before| rest.get(before)) == Some(&b'\\');
        let inside_word = quote == b'\'' && rest.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
        !escaped && !inside_word
    })
}

/// Whether a quote after this text opens the value of a field: `"key": "`, `key="`.
fn is_field(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    before.ends_with(b"=") || before.ends_with(b"\":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone_of(line: &str) -> Tone {
        let start = line.find("No space left").unwrap();
        tone(line.as_bytes(), start..start + "No space left on device".len())
    }

    #[test]
    fn advice_stands_before() {
        for (line, expected) in [
            ("No space left on device. Set TMPDIR to avoid this", Tone::Plain),
            ("to avoid No space left on device set TMPDIR", Tone::Handled),
            ("write: No space left on device (in case of quotas see df -i)", Tone::Plain),
            ("in case of No space left on device clear the cache", Tone::Handled),
            ("No space left on device may be caused by a full /tmp", Tone::Handled),
            ("No space left on device. This might be caused by a full /tmp", Tone::Plain),
            ("No space left on device (expected on this host)", Tone::Handled),
        ] {
            assert_eq!(tone_of(line), expected, "{line}");
        }
    }

    #[test]
    fn tries_and_what_became_of_them() {
        for (line, expected) in [
            ("attempt 2/5: No space left on device", Tone::Handled),
            ("upload failed on attempt 5/5: No space left on device", Tone::Plain),
            ("attempt 5 of 5, retrying did not help: No space left on device", Tone::Plain),
            ("retrying: No space left on device", Tone::Handled),
            ("retried 3 times, giving up: No space left on device", Tone::Plain),
            ("No space left on device, 2 retries left", Tone::Handled),
            ("No space left on device, 0 retries left", Tone::Plain),
            ("No space left on device was not handled", Tone::Plain),
            ("No space left on device cannot be ignored", Tone::Plain),
            ("No space left on device, ignored", Tone::Handled),
            ("No space left on device on cache tier, using memory tier instead", Tone::Handled),
        ] {
            assert_eq!(tone_of(line), expected, "{line}");
        }
    }

    #[test]
    fn names_say_nothing() {
        for (line, expected) in [
            ("OSError: [Errno 28] No space left on device: '/ckpt/ignored/model.pt'", Tone::Plain),
            ("OSError: No space left on device: /ckpt/ignored/model.pt", Tone::Plain),
            ("open \"skipped\": No space left on device", Tone::Plain),
            ("can't write 'all ignored ones': No space left on device", Tone::Plain),
            ("can't write: No space left on device, we're retrying", Tone::Handled),
            (r#"{"level":"error","msg":"retrying","error":"No space left on device"}"#, Tone::Handled),
            (r#"{"level":"error","msg":"No space left on device","file":"/ignored"}"#, Tone::Plain),
            (r#"level=error msg="No space left on device, retrying""#, Tone::Handled),
        ] {
            assert_eq!(tone_of(line), expected, "{line}");
        }
    }

    #[test]
    fn levels() {
        for (line, expected) in [
            ("2026-11-21 14:03:01,120 WARNING app: No space left on device", Tone::Warning),
            ("[WARN] No space left on device", Tone::Warning),
            ("WARNING:app:No space left on device", Tone::Warning),
            ("[rank3]:[W1121 14:03:01.120000000 store.cpp:7] No space left on device", Tone::Warning),
            (r#"{"level":"warn","msg":"No space left on device"}"#, Tone::Warning),
            (r#"{"msg":"No space left on device","level":40}"#, Tone::Warning),
            (r#"{"level":30,"msg":"No space left on device"}"#, Tone::Handled),
            (r#"{"level":50,"msg":"No space left on device"}"#, Tone::Plain),
            ("time=1 level=warning msg=\"No space left on device\"", Tone::Warning),
            ("app.py:7: RuntimeWarning: No space left on device", Tone::Warning),
            ("node1:1:2 [3] net.cc:7 NCCL WARN No space left on device", Tone::Plain),
            ("No space left on device WARNING light", Tone::Plain),
            ("INFO No space left on device", Tone::Handled),
            ("ERROR No space left on device", Tone::Plain),
        ] {
            assert_eq!(tone_of(line), expected, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(line in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120), at in 0..130_usize, length in 0..130_usize) {
            tone(&line, at..at.saturating_add(length));
        }

        #[test]
        fn quotes_never_panic(line in "[a/'\"`= :\\\\]{0,60}", at in 0..70_usize) {
            proptest::prop_assert_eq!(without_names(line.as_bytes(), at..at + 1).len(), line.len());
        }
    }
}
