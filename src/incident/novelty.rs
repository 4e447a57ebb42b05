//! Lines that were never seen while things went well.
//!
//! Lines are folded into templates by an online miner after Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log Parsing Approach
//! with Fixed Depth Tree", ICWS 2017): a fixed tree on the number of words and the first constant ones, and below it templates
//! that are merged with what is similar enough. It is small and bounded: what it has no room for counts as known, so that a
//! log that never repeats itself does not fill a report.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

/// Words of a line that count.
const MAX_WORDS: usize = 32;
/// Templates that are kept.
const MAX_TEMPLATES: usize = 4096;
/// Templates below one node of the tree.
const MAX_IN_GROUP: usize = 64;
/// Part of the words that two lines must share to be one template; Drain's papers use 0.4 to 0.6.
const SIMILAR: f64 = 0.6;
/// Words at the start that lead through the tree.
const DEPTH: usize = 2;
/// Stands for a word that varies.
const ANY: u64 = 0;

/// Templates of the lines that it was shown.
#[derive(Debug, Default)]
pub struct Miner {
    groups: HashMap<(usize, [u64; DEPTH]), Vec<Vec<u64>>>,
    count: usize,
    full: bool,
}

/// A line that is new, with how often its like came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLine {
    /// Number of the first one.
    pub line: u64,
    /// The first one, at most [`NewLine::MAX_TEXT`] characters.
    pub text: String,
    /// How often its like came.
    pub count: u64,
}

impl NewLine {
    /// Characters that are kept.
    pub const MAX_TEXT: usize = 300;
    /// New lines that are kept, the last ones before the failure.
    pub const MAX: usize = 20;
}

impl Miner {
    /// Learns a line.
    pub fn learn(&mut self, line: &str) {
        let words = words(line);
        if words.iter().all(|word| *word == ANY) {
            return;
        }
        let group = self.groups.entry(key(&words)).or_default();
        if let Some(at) = nearest(group, &words) {
            if let Some(template) = group.get_mut(at) {
                for (known, word) in template.iter_mut().zip(&words) {
                    if known != word {
                        *known = ANY;
                    }
                }
            }
        } else if group.len() < MAX_IN_GROUP && self.count < MAX_TEMPLATES {
            group.push(words);
            self.count += 1;
        } else {
            self.full = true;
        }
    }

    /// Whether a line is like one that was learned.
    pub fn knows(&self, line: &str) -> bool {
        let words = words(line);
        let in_group = || self.groups.get(&key(&words)).is_some_and(|group| nearest(group, &words).is_some());
        words.iter().all(|word| *word == ANY) || self.full || in_group()
    }
}

/// The lines of `recent` (number and text, oldest first) that `known` does not know, one of each kind; the last ones when
/// there are many.
pub fn new_lines<'a>(known: &Miner, recent: impl IntoIterator<Item = (u64, &'a str)>) -> Vec<NewLine> {
    let mut seen: Vec<(Miner, NewLine)> = Vec::new();
    for (line, text) in recent {
        if known.knows(text) {
            continue;
        }
        if let Some((_, same)) = seen.iter_mut().find(|(miner, _)| miner.knows(text)) {
            same.count += 1;
            continue;
        }
        if seen.len() >= 8 * NewLine::MAX {
            continue;
        }
        let mut miner = Miner::default();
        miner.learn(text);
        seen.push((miner, NewLine { line, text: text.trim().chars().take(NewLine::MAX_TEXT).collect(), count: 1 }));
    }
    let surplus = seen.len().saturating_sub(NewLine::MAX);
    seen.into_iter().skip(surplus).map(|(_, line)| line).collect()
}

/// Words as hashes; one that holds a digit varies.
fn words(line: &str) -> Vec<u64> {
    let separators = |c: char| c.is_whitespace() || matches!(c, '=' | ',' | ';' | '|' | '"' | '(' | ')' | '[' | ']');
    line.split(separators).filter(|word| !word.is_empty()).take(MAX_WORDS).map(hash).collect()
}

fn hash(word: &str) -> u64 {
    let varies = word.bytes().any(|byte| byte.is_ascii_digit()) || !word.bytes().any(|byte| byte.is_ascii_alphabetic());
    if varies {
        return ANY;
    }
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    hasher.finish().max(1)
}

/// Number of words, and the first that do not vary: a level and a logger's name, most often.
fn key(words: &[u64]) -> (usize, [u64; DEPTH]) {
    let mut first = [ANY; DEPTH];
    for (slot, word) in first.iter_mut().zip(words.iter().filter(|word| **word != ANY)) {
        *slot = *word;
    }
    (words.len(), first)
}

fn nearest(group: &[Vec<u64>], words: &[u64]) -> Option<usize> {
    // Words that vary say nothing about how alike two lines are.
    let similarity = |template: &Vec<u64>| {
        let constant = || template.iter().zip(words).filter(|(known, _)| **known != ANY);
        let same = constant().filter(|(known, word)| known == word).count();
        same as f64 / constant().count().max(1) as f64
    };
    let scored = group.iter().map(similarity).enumerate().filter(|(_, similar)| *similar >= SIMILAR);
    scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(known: &[&str], recent: &[&str]) -> Vec<(u64, u64, String)> {
        let mut miner = Miner::default();
        known.iter().for_each(|line| miner.learn(line));
        let recent = (1..).zip(recent.iter().copied());
        new_lines(&miner, recent).into_iter().map(|new| (new.line, new.count, new.text)).collect()
    }

    #[test]
    fn only_what_was_never_seen_is_new() {
        let healthy = [
            "2026-11-21 10:00:00 INFO train: step 17 loss 2.31 tok/s 1234",
            "2026-11-21 10:00:01 INFO data: opened /data/shard-003.bin in 0.3 s",
            "2026-11-21 10:00:02 WARNING net: retrying in 3 s",
        ];
        let recent = [
            "2026-11-22 11:11:11 INFO train: step 99 loss 1.07 tok/s 999",
            "2026-11-22 11:11:12 INFO data: opened /data/shard-777.bin in 9.9 s",
            "2026-11-22 11:11:13 ERROR net: retrying in 3 s",
            "2026-11-22 11:11:14 WARNING net: link mlx5_0 is down",
            "2026-11-22 11:11:15 WARNING net: link mlx5_1 is down",
            "",
            "----",
        ];
        let expected = [(3, 1, recent[2].to_owned()), (4, 2, recent[3].to_owned())];
        assert_eq!(of(&healthy, &recent), expected, "a level alone makes a line new; numbers and names do not");
        assert_eq!(of(&recent, &recent), []);
    }

    #[test]
    fn it_is_bounded_and_a_full_miner_finds_nothing_new() {
        let mut miner = Miner::default();
        for number in 0..3 * MAX_TEMPLATES {
            let word: String = number.to_string().bytes().map(|digit| char::from(digit + 17 + 32)).collect();
            miner.learn(&format!("{word} happened to {word} here"));
        }
        assert_eq!(miner.count, MAX_TEMPLATES);
        assert!(miner.knows("something that was never said"));
        let many: Vec<String> = (0..100).map(|n| format!("{} {}", "x".repeat(n + 1), "y".repeat(n + 1))).collect();
        let new = of(&[], &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((new.len(), new[0].0), (NewLine::MAX, 81), "the last ones before the failure");
    }

    proptest! {
        #[test]
        fn what_was_learned_is_known(lines in proptest::collection::vec("[a-c0-9 =]{0,30}", 0..60)) {
            let mut miner = Miner::default();
            lines.iter().for_each(|line| miner.learn(line));
            let all = lines.iter().map(String::as_str);
            prop_assert!(all.clone().all(|line| miner.knows(line)));
            prop_assert_eq!(new_lines(&miner, (1..).zip(all)), vec![]);
        }
    }
}
