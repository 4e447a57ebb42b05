//! Whether a line that was hit is one of a class, and what it says.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use regex::bytes::Regex;

use super::Class;
use super::confine::check_pattern;
use super::hit::read_from_match;
use super::tone::{Tone, tone};
use super::traceback::sure_fields;
use crate::config::Entry;

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

    /// Message, captures, and the class as far as this line is of it; `None` for a line that is none of this class. Whoever
    /// warns goes on: of a warning, every class only explains an end.
    pub(super) fn read(&self, line: &[u8]) -> Option<(String, BTreeMap<String, String>, Class)> {
        let compiled = self.compiled.get_or_init(|| Compiled {
            patterns: compile(&self.entry.patterns),
            exclude: compile(&self.entry.exclude),
        });
        if compiled.exclude.iter().any(|exclude| exclude.is_match(line)) {
            return None;
        }
        let mut class = self.entry.class.clone();
        let (pattern, matched) = compiled.patterns.iter().find_map(|it| Some((it, it.find(line)?.range())))?;
        if !self.entry.even_if_handled {
            match tone(line, matched) {
                Tone::Plain => {}
                Tone::Warning => class.only_if_ended = true,
                Tone::Handled => return None,
            }
        }
        let (message, mut captures) = read_from_match(pattern, line)?;
        for (name, value) in sure_fields(line) {
            captures.entry(name).or_insert(value);
        }
        Some((message, captures, class))
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
            ("permission_denied", "./run.sh: ./solver: Permission denied", "./solver: Permission denied", &[]),
            (
                "host_oom",
                "[ 8123.441] Out of memory: Killed process 4711 (python)",
                "Out of memory: Killed process 4711 (python)",
                &[("pid", "4711")],
            ),
        ];
        for (name, line, message, captures) in rows {
            let read = class(name).read(line.as_bytes()).map(|(message, captures, _)| (message, captures));
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
            r#"{"level":"error","msg":"CUDA out of memory"}"#,
            "RuntimeError: CUDA out of memory while loading INFORMATION",
        ] {
            let (_, _, read) = class.read(line.as_bytes()).unwrap();
            assert!(!read.only_if_ended, "{line}");
        }
        let (_, _, warned) = class.read(b"WARNING CUDA out of memory").unwrap();
        assert!(warned.only_if_ended, "whoever warns goes on");
    }
}
