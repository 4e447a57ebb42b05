//! Whether a line that was hit is one of a class, and what it says.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

use super::Class;
use super::confine::check_pattern;
use super::hit::read_from_match;
use crate::config::Entry;

/// Lines that say of themselves that nothing is wrong, or no longer: the level of a logger, advice, a failure that was
/// dealt with. They are of no class that does not ask for them (`even_if_handled`).
const HANDLED: &[&str] = &[
    // Levels, as loggers write them at the head of a line or in a field.
    r"^.{0,120}?(?:^|[\s\[|(])(?:DEBUG|INFO|TRACE|NOTICE)(?:[\s\]|):]|$)",
    r#"(?i)"(?:level|severity|levelname|log\.level)"\s*:\s*"(?:debug|info|trace|notice)""#,
    r#"(?i)\blevel="?(?:debug|info|trace|notice)\b"#,
    r"^[DI]\d{4} \d\d:\d\d:\d\d\.\d+ ",
    // Advice and hypotheses.
    r"(?i)\b(?:may|might|could|can|would|will) (?:also )?(?:be (?:caused|due)|cause|result in|lead to|fail|raise|throw)\b",
    r"(?i)\b(?:to (?:avoid|prevent|fix|work around)|in order to (?:avoid|prevent)|in case of|if you (?:see|get|encounter|hit|are seeing)|consider (?:setting|using|reducing)|for example|e\.g\.)\b.{0,200}",
    r"(?i)\b(?:expected|simulat\w+|injected|mock(?:ed)?|fake) (?:error|failure|exception|fault)",
    // Dealt with.
    r"(?i)\b(?:retrying|retried|will retry|will be retried|retry (?:in|after|\d+|attempt|#)|retries left|attempt \d+ ?(?:/|of) ?\d+|trying again|try again in|reconnect(?:ing|ed)|backing off|falling back|fell back|fallback to|recovered|recovering|ignor(?:ed|ing)|skipp(?:ed|ing)|suppress(?:ed|ing)|swallow(?:ed|ing)|handled|tolerated|resolved|succeeded)\b",
    // Comments, counts of none, names of tests.
    r"^\s*(?:# |//|\* |-- |[+-]{1,3} )",
    r"(?i)\b(?:no|0|zero|without(?: any)?) (?:\w+ )?(?:errors?|failures?|warnings?)\b",
    r"::test_\w+|^\s*test[_ ]\S+ |\b(?:PASSED|SKIPPED|XFAIL)\b|^\s*(?:=== RUN|--- PASS|ok )",
];

#[expect(clippy::expect_used, reason = "constant expressions, compiled in every test run")]
static HANDLED_SET: LazyLock<RegexSet> =
    LazyLock::new(|| RegexSetBuilder::new(HANDLED).unicode(false).build().expect("the expressions are constant"));

/// A class of the catalogue, its expressions compiled when a line is first hit: most never are.
#[derive(Debug)]
pub(super) struct ClassMatch {
    entry: Arc<Entry>,
    compiled: OnceLock<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    patterns: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl ClassMatch {
    /// The patterns have been compiled into an automaton, so they are right.
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        Self { entry, compiled: OnceLock::new() }
    }

    pub(super) fn class(&self) -> &Class {
        &self.entry.class
    }

    /// Message and captures; `None` for a line that is none of this class.
    pub(super) fn read(&self, line: &[u8]) -> Option<(String, BTreeMap<String, String>)> {
        let compiled = self.compiled.get_or_init(|| Compiled {
            patterns: compile(&self.entry.patterns),
            exclude: compile(&self.entry.exclude),
        });
        if compiled.exclude.iter().any(|exclude| exclude.is_match(line)) {
            return None;
        }
        if !self.entry.even_if_handled && HANDLED_SET.is_match(line) {
            return None;
        }
        compiled.patterns.iter().find_map(|pattern| read_from_match(pattern, line))
    }
}

/// Expressions that have been checked where they were read.
fn compile(expressions: &[String]) -> Vec<Regex> {
    expressions.iter().filter_map(|expression| check_pattern(expression).ok()).collect()
}
