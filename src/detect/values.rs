//! Every value of a metric in a block.
//!
//! Lines with a metric are most of a healthy log, so it is none of the automaton's patterns: the text that each match holds is
//! searched for, the expression runs from there only, and the number is read without a copy (`benches/scan.rs`).

use std::sync::Arc;

use memchr::{memchr2, memmem, memrchr2};
use regex_automata::Input;
use regex_automata::meta::Regex;
use regex_automata::util::primitives::NonMaxUsize;
use regex_syntax::hir::{Hir, HirKind, Literal};

use super::confine::required_literal;
use super::number;
use super::straight::Straight;
use crate::ids::DetectorName;

/// Shorter texts are found all over a log and guard nothing.
const MIN_LITERAL: usize = 3;

/// The values of a `metric` detector.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) metric: Arc<DetectorName>,
    regex: Regex,
    guard: Guard,
    /// Tried before `regex` where a match may begin.
    straight: Option<Straight>,
}

/// Where the expression is tried.
#[derive(Debug)]
enum Guard {
    /// Each match begins with this text.
    Begins(memmem::Finder<'static>),
    /// Each match holds this text.
    Holds(memmem::Finder<'static>),
    /// No such text is known.
    None,
}

impl Values {
    /// `hir` has been confined to one line.
    pub(super) fn new(metric: DetectorName, hir: &Hir) -> Result<Self, String> {
        let regex = Regex::builder().build_from_hir(hir).map_err(|error| error.to_string())?;
        let finder = |literal: &[u8]| memmem::Finder::new(literal).into_owned();
        let long = |literal: &&[u8]| literal.len() >= MIN_LITERAL;
        let guard = match (leading_literal(hir).filter(long), required_literal(hir).filter(long)) {
            (Some(literal), _) => Guard::Begins(finder(literal)),
            (None, Some(literal)) => Guard::Holds(finder(literal)),
            (None, None) => Guard::None,
        };
        Ok(Self { metric: Arc::new(metric), regex, guard, straight: Straight::new(hir) })
    }

    /// Hands each value of `text` to `tell`, with the position at which its match begins, ascending: what the expression finds in
    /// each line alone, one match after the other; of each match the first group that took part, else the whole. What is no
    /// number is left out.
    pub(super) fn each(&self, text: &[u8], mut tell_at: impl FnMut(usize, f64)) {
        let mut slots = vec![None; self.regex.group_info().slot_len()];
        let tell = |slots: &[Option<NonMaxUsize>], tell_at: &mut dyn FnMut(usize, f64)| {
            let (start, end) = span(slots)?;
            if let Some(value) = value(slots, text) {
                tell_at(start, value);
            }
            Some(end)
        };
        match &self.guard {
            Guard::Begins(literal) => {
                let mut from = 0;
                while let Some(found) = text.get(from..).and_then(|rest| literal.find(rest)) {
                    let start = from + found;
                    if let Some(spans) = self.straight.as_ref().and_then(|straight| straight.at(text, start)) {
                        let (first, last) = spans.value;
                        if let Some(value) = text.get(first..last).and_then(number::parse) {
                            tell_at(start, value);
                        }
                        from = spans.end;
                        continue;
                    }
                    // Not from this place alone: a line with a thousand of these texts and no match is to be read once.
                    let end = line_end(text, start);
                    let rest = Input::new(text).span(start..end);
                    let matched = self.regex.search_slots(&rest, &mut slots).and_then(|_| tell(&slots, &mut tell_at));
                    from = matched.unwrap_or(end).max(start + 1);
                }
            }
            Guard::Holds(literal) => {
                let mut from = 0;
                while let Some(found) = text.get(from..).and_then(|rest| literal.find(rest)) {
                    let inside = from + found;
                    let before = text.get(from..inside).unwrap_or_default();
                    let start = memrchr2(b'\n', b'\r', before).map_or(from, |at| from + at + 1);
                    let end = line_end(text, inside);
                    self.all_in(text, start, end, &mut slots, &mut |slots| tell(slots, &mut tell_at));
                    from = end.max(inside + 1);
                }
            }
            Guard::None => {
                self.all_in(text, 0, text.len(), &mut slots, &mut |slots| tell(slots, &mut tell_at));
            }
        }
    }

    fn all_in(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
        slots: &mut [Option<NonMaxUsize>],
        tell: &mut impl FnMut(&[Option<NonMaxUsize>]) -> Option<usize>,
    ) {
        let mut at = start;
        while at < end {
            let matched = self.regex.search_slots(&Input::new(text).span(at..end), slots).and_then(|_| tell(slots));
            // No match is empty: the configuration refuses such expressions.
            let Some(next) = matched.filter(|next| *next > at) else { return };
            at = next;
        }
    }
}

fn line_end(text: &[u8], inside: usize) -> usize {
    let rest = text.get(inside..).unwrap_or_default();
    memchr2(b'\n', b'\r', rest).map_or(text.len(), |at| inside + at)
}

fn span(slots: &[Option<NonMaxUsize>]) -> Option<(usize, usize)> {
    match slots {
        [Some(start), Some(end), ..] => Some((start.get(), end.get())),
        _ => None,
    }
}

fn value(slots: &[Option<NonMaxUsize>], text: &[u8]) -> Option<f64> {
    let (start, end) = slots.chunks(2).skip(1).find_map(span).or_else(|| span(slots))?;
    number::parse(text.get(start..end)?)
}

/// The text that every match begins with.
fn leading_literal(hir: &Hir) -> Option<&[u8]> {
    match hir.kind() {
        HirKind::Literal(Literal(bytes)) => Some(bytes),
        HirKind::Capture(capture) => leading_literal(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => leading_literal(&repetition.sub),
        HirKind::Concat(parts) => {
            parts.iter().find(|part| !matches!(part.kind(), HirKind::Look(_))).and_then(leading_literal)
        }
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::confine::{check_pattern, confined};

    fn values(pattern: &str) -> Values {
        Values::new(DetectorName::new("m"), &confined(pattern).expect("valid")).expect("compiles")
    }

    fn all(pattern: &str, text: &str) -> Vec<(usize, String)> {
        let mut all = Vec::new();
        values(pattern).each(text.as_bytes(), |at, value| all.push((at, value.to_string())));
        all
    }

    /// The definition: line by line, match by match.
    fn by_definition(pattern: &str, text: &str) -> Vec<(usize, String)> {
        let regex = check_pattern(pattern).expect("valid");
        let mut all = Vec::new();
        let mut start = 0;
        for line in text.split(['\n', '\r']) {
            for captures in regex.captures_iter(line.as_bytes()) {
                let whole = captures.get(0).expect("matched");
                let group = captures.iter().skip(1).flatten().next().unwrap_or(whole);
                if let Some(value) = number::parse(group.as_bytes()) {
                    all.push((start + whole.start(), value.to_string()));
                }
            }
            start += line.len() + 1;
        }
        all
    }

    #[test]
    fn every_value_counts() {
        let log = "loss: 2.31, lr 1e-4\nloss: nan\nno loss: here\rloss: 1 loss: 3\nloss:\n";
        let found = all("loss: ?(\\S+)", log);
        let found: Vec<(usize, &str)> = found.iter().map(|(at, value)| (*at, value.as_str())).collect();
        assert_eq!(found, [(0, "2.31"), (20, "NaN"), (44, "1"), (52, "3")]);
        assert_eq!(all("epoch (\\d+)", log), []);
        assert_eq!(all("(?i)LR (\\S+)", log), [(12, "0.0001".to_owned())], "no text to look for");
        assert_eq!(all("\\d+e-\\d", log), [(15, "0.0001".to_owned())], "the whole match");
        assert_eq!(all("loss: (?:(nan)|(\\d+))", log).len(), 4, "the first group that took part");
    }

    #[test]
    fn a_long_line_is_read_once() {
        // Quadratic, this would take minutes.
        let line = "loss ".repeat(50_000);
        for pattern in ["loss.*=(\\d)", "loss[^=]*=(\\d)", "x?loss.*=(\\d)"] {
            assert_eq!(all(pattern, &line), [], "{pattern}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn as_if_line_by_line(text in "(loss|train_|=|: |[0-9]|\\.|nan|/|\n|\r|x| ){0,60}") {
            for pattern in [
                "loss[=: ]+(\\S+)", "\\bloss=(\\d+)", "^loss=(\\S+)", "(?:train_)?loss=(\\d+)", "x.*loss (\\S+)", "(?i)LOSS=(\\d)",
                "(\\d+)/(\\d+)", "loss=(\\d)$", "(?:loss|nan)", "[^x]\\d",
            ] {
                prop_assert_eq!(all(pattern, &text), by_definition(pattern, &text), "{}", pattern);
            }
        }
    }
}
