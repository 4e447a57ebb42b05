//! Whether a line that was hit is one of a class, and what it says.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

use super::Class;
use super::confine::check_pattern;
use super::hit::read_from_match;
use super::traceback::sure_fields;
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
    // Source, as warnings and traces quote it.
    r"^\s*(?:except|raise|throw|catch|if|elif|def|import|from|return|assert|\}\s*catch)\b[\s(]",
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
        let (message, mut captures) = compiled.patterns.iter().find_map(|pattern| read_from_match(pattern, line))?;
        for (name, value) in sure_fields(line) {
            captures.entry(name).or_insert(value);
        }
        Some((message, captures))
    }
}

/// Expressions that have been checked where they were read.
fn compile(expressions: &[String]) -> Vec<Regex> {
    expressions.iter().filter_map(|expression| check_pattern(expression).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::built_in;

    fn class(name: &str) -> ClassMatch {
        let mut entries = built_in().iter().flat_map(|pack| &pack.entries);
        ClassMatch::new(Arc::clone(entries.find(|entry| entry.name().as_str() == name).unwrap()))
    }

    #[test]
    fn message_and_captures() {
        /// Class, line, message, captures.
        type Row = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);
        let rows: &[Row] = &[
            (
                "cuda_oom",
                "[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.  ",
                "CUDA out of memory. Tried to allocate 2.00 GiB.",
                &[("rank", "3")],
            ),
            (
                "gpu_lost",
                "[ 8123.441] NVRM: Xid (PCI:0000:3b:00): 79, pid=4711, gone",
                "NVRM: Xid (PCI:0000:3b:00): 79, pid=4711, gone",
                &[("device", "PCI:0000:3b:00"), ("xid", "79")],
            ),
            (
                "host_oom",
                "[ 8123.441] Out of memory: Killed process 4711 (python)",
                "Out of memory: Killed process 4711 (python)",
                &[("pid", "4711")],
            ),
        ];
        for (name, line, message, captures) in rows {
            let read = class(name).read(line.as_bytes());
            let captures = captures.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(read, Some(((*message).to_owned(), captures)), "{name}");
        }
    }

    #[test]
    fn lines_that_say_that_nothing_is_wrong() {
        let class = class("cuda_oom");
        for line in [
            "2026-11-21 14:03:01,120 INFO probe: CUDA out of memory",
            "[2026-11-21 14:03:01] [DEBUG] CUDA out of memory",
            "INFO:app:CUDA out of memory",
            r#"{"level":"info","msg":"CUDA out of memory"}"#,
            "time=2026 level=info msg=\"CUDA out of memory\"",
            "I1121 14:03:01.120000 4711 probe.go:12] CUDA out of memory",
            "CUDA out of memory may be caused by fragmentation",
            "If you get CUDA out of memory, lower the batch size",
            "WARNING CUDA out of memory, retrying with 32",
            "CUDA out of memory at batch 64, skipping batch",
            "# CUDA out of memory is caught below",
            "tests/test_oom.py::test_cuda CUDA out of memory",
        ] {
            assert_eq!(class.read(line.as_bytes()), None, "{line}");
        }
        for line in [
            "2026-11-21 14:03:01,120 ERROR train: CUDA out of memory",
            "WARNING CUDA out of memory",
            r#"{"level":"error","msg":"CUDA out of memory"}"#,
            "RuntimeError: CUDA out of memory while loading INFORMATION",
        ] {
            assert!(class.read(line.as_bytes()).is_some(), "{line}");
        }
    }
}
