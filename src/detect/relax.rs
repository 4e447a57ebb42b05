//! The part of an expression that is searched for in everything; the rest is asked of the lines that it hits.
//!
//! `srun: error: .*PREEMPTED` keeps the automaton in as many states as there are, once more, from `srun: error: ` to the end
//! of the line: a hundred such expressions are thousands of states. Its longest part between such gaps must be in every line
//! that it matches, and needs as many states as it has bytes.

use regex_syntax::hir::{Hir, HirKind};

/// Parts with fewer bytes would hit too many lines.
const LEAST: usize = 4;
/// A class that may be repeated more often than this is a gap.
const GAP: u32 = 8;

/// An expression that matches in every line in which `hir` does, and in few others.
pub(super) fn relaxed(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Concat(parts) => {
            let pieces = parts.split(is_gap).map(|piece| Hir::concat(piece.to_vec()));
            let length = |piece: &Hir| piece.properties().minimum_len().unwrap_or(0);
            let longest = pieces.max_by_key(length).filter(|piece| length(piece) >= LEAST);
            longest.unwrap_or_else(|| hir.clone())
        }
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(relaxed).collect()),
        HirKind::Capture(capture) => relaxed(&capture.sub),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => {
            hir.clone()
        }
    }
}

fn is_gap(part: &Hir) -> bool {
    match part.kind() {
        HirKind::Repetition(repetition) => {
            repetition.max.is_none_or(|max| max > GAP) && matches!(repetition.sub.kind(), HirKind::Class(_))
        }
        HirKind::Capture(capture) => is_gap(&capture.sub),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::built_in;
    use crate::detect::confine::{check_pattern, confined};

    #[test]
    fn the_longest_part_stays() {
        let rows = [
            ("srun: error: .*PREEMPTED", "srun: error: "),
            (r"worker \(pid (?P<pid>\d+)\) is killed by signal", r"\) is killed by signal"),
            (r"a\d+b", r"a\d+b"),
            ("x{1,9}", "x{1,9}"),
            ("(?:ab.*cdefg|hi.*jklmn)", "(?:cdefg|jklmn)"),
            (r"^\w+: not there$", ": not there$"),
        ];
        for (whole, part) in rows {
            assert_eq!(relaxed(&confined(whole).unwrap()).to_string(), confined(part).unwrap().to_string(), "{whole}");
        }
    }

    #[test]
    fn nothing_is_lost() {
        for entry in built_in().iter().flat_map(|pack| &pack.entries) {
            for pattern in &entry.patterns {
                let (whole, part) = (check_pattern(pattern).unwrap(), relaxed(&confined(pattern).unwrap()).to_string());
                let part = check_pattern(&part).unwrap();
                for line in entry.matches.iter().filter(|line| whole.is_match(line.as_bytes())) {
                    assert!(part.is_match(line.as_bytes()), "{pattern}: {line}");
                }
            }
        }
    }
}
