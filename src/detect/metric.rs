//! The newest value of a metric in a chunk, found from its end.
//!
//! Progress lines are most of a healthy log, so a metric must not be one of the automaton's patterns: with one hit per line the scan
//! is three times slower. Found backwards, a metric that is there costs next to nothing.

use memchr::{memchr2, memmem, memrchr2};
use regex::bytes::Regex;

use super::confine::required_literal;
use crate::ids::DetectorName;

/// Value of a metric as printed.
pub type MetricValue = String;

/// Shorter texts are found all over a log and guard nothing.
const MIN_LITERAL: usize = 3;
/// How far back to look for a metric that has no text to search for; the next chunk brings the next chance.
const BUDGET: usize = 64 * 1024;

/// The metric of a stall detector.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) detector: DetectorName,
    regex: Regex,
    literal: Option<Literal>,
}

#[derive(Debug)]
struct Literal {
    forward: memmem::Finder<'static>,
    backward: memmem::FinderRev<'static>,
}

impl Metric {
    /// `hir` is the parsed form of `regex`.
    pub(super) fn new(detector: DetectorName, regex: Regex, hir: &regex_syntax::hir::Hir) -> Self {
        let literal = required_literal(hir).filter(|literal| literal.len() >= MIN_LITERAL).map(|literal| Literal {
            forward: memmem::Finder::new(literal).into_owned(),
            backward: memmem::FinderRev::new(literal).into_owned(),
        });
        Self { detector, regex, literal }
    }

    /// The last value in `text`: the first group that took part, else the whole match.
    pub(super) fn last_value(&self, text: &[u8]) -> Option<MetricValue> {
        match &self.literal {
            Some(literal) => self.last_with(literal, text),
            None => self.last_of_all(text),
        }
    }

    fn last_with(&self, literal: &Literal, text: &[u8]) -> Option<MetricValue> {
        // Forward search is four times faster and most often enough to know that there is nothing.
        literal.forward.find(text)?;
        let mut rest = text;
        while let Some(at) = literal.backward.rfind(rest) {
            let start = memrchr2(b'\n', b'\r', rest.get(..at)?).map_or(0, |line_end| line_end + 1);
            let line = text.get(start..)?;
            let line = memchr2(b'\n', b'\r', line).and_then(|end| line.get(..end)).unwrap_or(line);
            if let Some(value) = self.value(line) {
                return Some(value);
            }
            rest = rest.get(..start)?;
        }
        None
    }

    fn last_of_all(&self, text: &[u8]) -> Option<MetricValue> {
        let mut newest = text;
        if let Some(skipped) = text.len().checked_sub(BUDGET) {
            let first_end = memchr2(b'\n', b'\r', text.get(skipped..)?)?;
            newest = text.get(skipped + first_end..)?;
        }
        newest.rsplit(|byte| matches!(byte, b'\n' | b'\r')).find_map(|line| self.value(line))
    }

    fn value(&self, line: &[u8]) -> Option<MetricValue> {
        let captures = self.regex.captures_iter(line).last()?;
        let value = captures.iter().skip(1).flatten().next().or_else(|| captures.get(0))?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::confine::{check_pattern, confined};

    fn metric(pattern: &str) -> Metric {
        let hir = confined(pattern).expect("valid");
        Metric::new(DetectorName::new("m"), check_pattern(pattern).expect("valid"), &hir)
    }

    #[test]
    fn the_last_value_wins() {
        let log = b"step 1/9 loss 2\nstep 2/9 loss 1\r\nother\nstep x\n".as_slice();
        for (name, pattern, expected) in [
            ("group", "step (\\d+)/", Some("2")),
            ("whole match", "step \\d+", Some("step 2")),
            ("no literal", "(\\d+)", Some("1")),
            ("first group that took part", "step (?:(x)|(\\d+))", Some("x")),
            ("absent", "epoch (\\d+)", None),
        ] {
            assert_eq!(metric(pattern).last_value(log).as_deref(), expected, "{name}");
        }
        assert_eq!(metric("step (\\d+)").last_value(b"step 3 step 4\n").as_deref(), Some("4"), "two on a line");
    }

    proptest! {
        #[test]
        fn as_if_every_line_was_read(text in "(step |[0-9]|/|\n|\r|x){0,40}") {
            let metric = metric("step (\\d+)/");
            let regex = Regex::new("step (\\d+)/").expect("valid");
            let expected = text
                .split(['\n', '\r'])
                .rev()
                .find_map(|line| regex.captures_iter(line.as_bytes()).last().map(|c| c[1].to_vec()));
            prop_assert_eq!(metric.last_value(text.as_bytes()).map(String::into_bytes), expected);
        }
    }
}
