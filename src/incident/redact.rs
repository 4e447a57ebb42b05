//! Replaces secrets by stable placeholders.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use memchr::memmem;
use regex::{Captures, Regex, RegexSet};

use super::redact_rules::{Check, RULES};
use super::secret_name::{Secrecy, secrecy};

/// Shorter values of variables are too likely to be words of the log.
const MIN_ENV_VALUE: usize = 6;
/// Most secrets that get a number of their own, so that a log full of them does not fill the memory; all others share one.
const MAX_NUMBERED: usize = 10_000;
/// Looks at a text that had secrets in it.
const MAX_PASSES: usize = 4;

/// Replaces secrets by `<secret:1>`, `<secret:2>`, …: the same value by the same placeholder as long as one redactor lives
/// (one incident).
///
/// Known shapes are found by a table of rules (`redact_rules.rs`), values of secret-looking environment variables by
/// themselves. A secret over several lines leaves one placeholder on each, so line numbers stay right. Redacting twice
/// changes nothing.
#[derive(Clone)]
pub struct Redactor {
    /// Longest first, so that a value inside a longer one does not tear it.
    known: Vec<(String, memmem::Finder<'static>)>,
    numbers: HashMap<String, usize>,
}

impl std::fmt::Debug for Redactor {
    /// Says nothing of what it knows.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("known", &self.known.len()).field("numbers", &self.numbers.len()).finish()
    }
}

impl Redactor {
    /// A redactor that knows the values of the secret-looking variables of `env`.
    pub fn new(env: &BTreeMap<String, String>) -> Self {
        let secret = |(name, value): &(&String, &String)| {
            value.len() >= MIN_ENV_VALUE && secrecy(name) != Secrecy::None && !is_switch(value)
        };
        let mut known: Vec<&String> = env.iter().filter(secret).map(|(_, value)| value).collect();
        known.sort_by_key(|value| (std::cmp::Reverse(value.len()), value.as_str()));
        known.dedup();
        let finder = |value: &String| (value.clone(), memmem::Finder::new(value.as_bytes()).into_owned());
        Self { known: known.into_iter().map(finder).collect(), numbers: HashMap::new() }
    }

    /// Knows these variables from now on, instead of those it knew. Placeholders stay as they are.
    pub fn learn(&mut self, env: &BTreeMap<String, String>) {
        self.known = Self::new(env).known;
    }

    /// The text without its secrets.
    pub fn redact(&mut self, text: &str) -> String {
        let mut redacted = text.to_owned();
        // A match may have stood in the way of another one: look again until nothing is found.
        for _ in 0..MAX_PASSES {
            let spans = self.spans(&redacted);
            if spans.is_empty() {
                break;
            }
            redacted = self.replace(&redacted, spans);
        }
        redacted
    }

    /// The value of a named variable or key: replaced whole where the name says that it is secret.
    pub fn redact_named(&mut self, name: &str, value: &str) -> String {
        if secrecy(name) == Secrecy::None || is_switch(value) || is_placeholder(value) {
            return self.redact(value);
        }
        self.placeholder(value)
    }

    /// An argument vector: also the argument behind a secret-looking option (`--password hunter2`).
    pub fn redact_argv(&mut self, argv: &[String]) -> Vec<String> {
        let mut option: Option<&str> = None;
        let mut redacted = Vec::with_capacity(argv.len());
        for argument in argv {
            let value_of = option.take();
            if argument.starts_with('-') && !argument.contains('=') {
                option = Some(argument.trim_start_matches('-'));
            }
            redacted.push(match value_of {
                Some(name) if !argument.starts_with('-') => self.redact_named(name, argument),
                _ => self.redact(argument),
            });
        }
        redacted
    }

    fn replace(&mut self, text: &str, mut spans: Vec<Range<usize>>) -> String {
        // Where two meet, the one that begins first wins, and of those the longer one.
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        let mut spans = spans.into_iter().peekable();
        while let Some(mut span) = spans.next() {
            while let Some(next) = spans.next_if(|next| next.start < span.end) {
                span.end = span.end.max(next.end);
            }
            out.push_str(text.get(copied..span.start).unwrap_or_default());
            let secret = text.get(span.clone()).unwrap_or_default();
            copied = span.end;
            let placeholder = self.placeholder(secret);
            out.push_str(&placeholder);
            for _ in memchr::memchr_iter(b'\n', secret.as_bytes()) {
                out.push('\n');
                out.push_str(&placeholder);
            }
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        out
    }

    fn placeholder(&mut self, secret: &str) -> String {
        let next = self.numbers.len() + 1;
        let number = match self.numbers.get(secret) {
            Some(number) => *number,
            None if next > MAX_NUMBERED => next,
            None => *self.numbers.entry(secret.to_owned()).or_insert(next),
        };
        format!("<secret:{number}>")
    }

    fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        for (value, finder) in &self.known {
            spans.extend(finder.find_iter(text.as_bytes()).map(|at| at..at + value.len()));
        }
        for rule in COMPILED.set.matches(text) {
            let (Some(regex), Some(rule)) = (COMPILED.each.get(rule), RULES.get(rule)) else { continue };
            let regex = regex.get_or_init(|| compile(rule.pattern));
            let found = regex.captures_iter(text).filter(|found| holds(rule.check, found));
            spans.extend(found.filter_map(|found| Some(secret_of(&found)?.range())));
        }
        // What has been replaced before stays; a secret with a (forged) placeholder inside is still a secret.
        let replaced: Vec<Range<usize>> = PLACEHOLDER.find_iter(text).map(|found| found.range()).collect();
        let touches = |span: &Range<usize>, at: &Range<usize>| span.start < at.end && at.start < span.end;
        let around =
            |span: &Range<usize>, at: &Range<usize>| span != at && span.start <= at.start && at.end <= span.end;
        spans.retain(|span| !span.is_empty() && replaced.iter().all(|at| !touches(span, at) || around(span, at)));
        spans
    }
}

pub(super) fn warm_up() {
    LazyLock::force(&COMPILED);
    LazyLock::force(&PLACEHOLDER);
}

/// A private key, a password, … in the match of a rule.
fn secret_of<'t>(found: &Captures<'t>) -> Option<regex::Match<'t>> {
    found.name("secret").or_else(|| found.name("secret2")).or_else(|| found.get(0))
}

fn holds(check: Check, found: &Captures<'_>) -> bool {
    const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "digest", "apikey", "aws4-hmac-sha256"];
    match check {
        Check::None => true,
        Check::NoScheme => secret_of(found)
            .is_some_and(|secret| !SCHEMES.iter().any(|scheme| secret.as_str().eq_ignore_ascii_case(scheme))),
        Check::NamedValue => is_secret_value(found),
    }
}

/// Whether `name: value` is a secret and not code, prose or a number.
fn is_secret_value(found: &Captures<'_>) -> bool {
    let (Some(name), Some(value)) = (found.name("name"), secret_of(found)) else { return false };
    let (name, value) = (name.as_str(), value.as_str());
    let secrecy = secrecy(name);
    if secrecy == Secrecy::None
        || is_switch(value)
        || value.starts_with('$')
        || value.chars().all(|char| "*x.•".contains(char))
    {
        return false;
    }
    let Some(sign) = found.name("sign") else { return true };
    // From here on: a value without quotes, which may be an expression in a source line or a word of a sentence.
    if found.name("next").is_some_and(|next| !next.as_str().is_empty()) || value.starts_with(['&', '*', '@', '.']) {
        return false;
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_code = value.eq_ignore_ascii_case(last) || is_path_of_names(value) || TYPES.contains(&value);
    let is_tight = !sign.as_str().contains([' ', '\t', ':']);
    let is_word = !value.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_punctuation()) && value.len() < 20;
    !is_code
        && (secrecy == Secrecy::Sure
            || is_tight && !value.bytes().all(|byte| byte.is_ascii_digit())
            || !is_word && value.len() >= 6)
}

/// Names of types as they stand behind a parameter.
const TYPES: [&str; 11] =
    ["str", "string", "String", "bytes", "int", "bool", "any", "Any", "Optional", "Option", "SecretStr"];

/// `self.password`, `config.auth.token`: names joined by dots.
fn is_path_of_names(value: &str) -> bool {
    value.contains('.')
        && value.split('.').all(|part| {
            part.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
                && part.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        })
}

/// Values that switch something instead of opening it.
fn is_switch(value: &str) -> bool {
    const SWITCHES: [&str; 12] =
        ["", "true", "false", "none", "null", "nil", "undefined", "yes", "no", "on", "off", "required"];
    SWITCHES.iter().any(|switch| value.eq_ignore_ascii_case(switch))
}

fn is_placeholder(value: &str) -> bool {
    let number = value.strip_prefix("<secret:").and_then(|rest| rest.strip_suffix('>'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[expect(clippy::expect_used, reason = "a constant expression, compiled in every test run")]
static PLACEHOLDER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("<secret:[0-9]+>").expect("the expression is constant"));

struct Compiled {
    set: RegexSet,
    /// Compiled when the set has found something: most never are.
    each: Vec<OnceLock<Regex>>,
}

#[expect(clippy::expect_used, reason = "constant expressions, compiled in every test run")]
fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the rules are constant")
}

#[expect(clippy::expect_used, reason = "constant expressions, compiled in every test run")]
static COMPILED: LazyLock<Compiled> = LazyLock::new(|| Compiled {
    set: RegexSet::new(RULES.iter().map(|rule| rule.pattern)).expect("the rules are constant"),
    each: RULES.iter().map(|_| OnceLock::new()).collect(),
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(&BTreeMap::new())
    }

    #[test]
    fn every_rule_hides_and_keeps_its_samples() {
        for rule in RULES {
            assert!(!rule.hides.is_empty() && !rule.keeps.is_empty(), "{}: no samples", rule.name);
            for sample in rule.hides {
                let (before, rest) = sample.split_once('«').unwrap();
                let (secret, after) = rest.split_once('»').unwrap();
                let text = format!("{before}{secret}{after}");
                let lines = "\n<secret:1>".repeat(secret.matches('\n').count());
                assert_eq!(redactor().redact(&text), format!("{before}<secret:1>{lines}{after}"), "{}", rule.name);
            }
            for sample in rule.keeps {
                assert_eq!(redactor().redact(sample), *sample, "{}", rule.name);
            }
        }
    }

    #[test]
    fn values_of_secret_variables_are_hidden_wherever_they_stand() {
        let env = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut redactor = Redactor::new(&env(&[
            ("DB_PASSWORD", "correct horse"),
            ("DB_PASSWORD_OLD", "correct horse battery"),
            ("API_TOKEN", "short"),
            ("HOME", "/home/me"),
            ("USE_SECRET", "disabled"),
        ]));
        let text = "at /home/me: correct horse battery, then correct horse; short; correct horse battery";
        let hidden = "at /home/me: <secret:1>, then <secret:2>; short; <secret:1>";
        assert_eq!(redactor.redact(text), hidden);
        assert_eq!(redactor.redact("correct horse"), "<secret:2>", "the number stays");
        assert_eq!(redactor.redact("password=hunter2 x correct horse"), "password=<secret:3> x <secret:2>");
        assert_eq!(redactor.redact(hidden), hidden, "twice changes nothing");
        assert_eq!(redactor.redact_named("token", "hunter2"), "<secret:3>");
        assert_eq!(redactor.redact_named("BATCH_SIZE", "8"), "8");
    }

    #[test]
    fn numbers_are_bounded() {
        let mut redactor = redactor();
        for n in 0..MAX_NUMBERED + 100 {
            redactor.redact_named("password", &format!("hunter{n}"));
        }
        assert_eq!(redactor.numbers.len(), MAX_NUMBERED);
        assert_eq!(redactor.redact_named("password", "another"), "<secret:10001>");
        assert_eq!(redactor.redact_named("password", "hunter1"), "<secret:2>");
    }

    #[test]
    fn arguments() {
        let argv =
            ["run", "--password", "hunter2", "--api-key=abc123", "--verbose", "x", "--token", "--y"].map(str::to_owned);
        let hidden = ["run", "--password", "<secret:1>", "--api-key=<secret:2>", "--verbose", "x", "--token", "--y"];
        assert_eq!(redactor().redact_argv(&argv), hidden);
    }

    proptest! {
        #[test]
        fn lines_stay_and_twice_is_once(text in "([a-zA-Z0-9_=:\"' \n@/.é-]|password|token=|://|-----BEGIN RSA PRIVATE KEY-----|Bearer ){0,80}") {
            let mut redactor = redactor();
            let once = redactor.redact(&text);
            prop_assert_eq!(once.matches('\n').count(), text.matches('\n').count());
            let twice = redactor.redact(&once);
            prop_assert_eq!(once, twice);
        }
    }
}
