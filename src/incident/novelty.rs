//! Lines that were never seen while things went well.
//!
//! Lines are folded into templates by an online miner after Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log Parsing Approach
//! with Fixed Depth Tree", ICWS 2017): a fixed tree on the number of words and the first constant ones, and below it templates
//! that are merged with what is similar enough. It is small and bounded: what it has no room for counts as known, so that a
//! log that never repeats itself does not fill a report.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::line_fields::{Token, Tokens, is_separator};

/// Words of a line that count.
const MAX_WORDS: usize = 32;
/// Words and values of a line that are looked at: the message may come after long fields.
const MAX_TOKENS: usize = 256;
/// Bytes of a line that are looked at.
const MAX_LINE: usize = 16 * 1024;
/// Fields that hold what a line says, and how bad it is: `logging`, `structlog`, logrus, zap, pino, slog, `tracing`, the journal.
const MESSAGES: [&str; 5] = ["msg", "message", "MESSAGE", "event", "short_message"];
const LEVELS: [&str; 6] = ["level", "levelname", "severity", "lvl", "log.level", "loglevel"];
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
    groups: HashMap<Key, Group>,
    count: usize,
    full: bool,
}

/// Fields and number of words of a line, and the first words that do not vary: a level and a logger's name, most often.
type Key = (u64, usize, [u64; DEPTH]);

/// Templates below one node of the tree.
#[derive(Debug, Default)]
struct Group {
    templates: Vec<Vec<u64>>,
    /// It had no room for one: nothing of its key can be told to be new.
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
        let line = Line::of(line);
        if line.says_nothing() {
            return;
        }
        let group = self.groups.entry(line.key()).or_default();
        if let Some(at) = nearest(&group.templates, &line.words) {
            if let Some(template) = group.templates.get_mut(at) {
                for (known, word) in template.iter_mut().zip(&line.words) {
                    if known != word {
                        *known = ANY;
                    }
                }
            }
        } else if self.count >= MAX_TEMPLATES {
            self.full = true;
        } else if group.templates.len() >= MAX_IN_GROUP {
            group.full = true;
        } else {
            group.templates.push(line.words);
            self.count += 1;
        }
    }

    /// Whether a line is like one that was learned, or it cannot be told.
    pub fn knows(&self, line: &str) -> bool {
        if self.full {
            return true;
        }
        let line = Line::of(line);
        let in_group = |group: &Group| group.full || nearest(&group.templates, &line.words).is_some();
        line.says_nothing() || self.groups.get(&line.key()).is_some_and(in_group)
    }

    /// Whether there was more than it has room for: then it cannot tell what is new.
    pub fn is_full(&self) -> bool {
        self.full
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

/// What counts of a line.
struct Line {
    /// Names of its fields, digits left out; 0 where it has none or a message among them.
    fields: u64,
    /// Hashes; [`ANY`] for one that varies.
    words: Vec<u64>,
}

impl Line {
    /// Names of fields are no words: every line of a log has the same ones. Of a line with a message among its fields what stands
    /// before them, its level and its message count; of another the values.
    fn of(line: &str) -> Self {
        let end = (0..=MAX_LINE.min(line.len())).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
        let line = line.get(..end).unwrap_or_default();
        let tokens: Vec<Token<'_>> = Tokens::of(line).take(MAX_TOKENS).collect();
        let has_message = tokens.iter().any(|token| token.is_of(&MESSAGES));
        let mut before_fields = true;
        let mut names = DefaultHasher::new();
        let mut words = Vec::new();
        for token in &tokens {
            before_fields &= token.name.is_none();
            if token.begins
                && let Some(name) = token.name
            {
                name.bytes().filter(|byte| !byte.is_ascii_digit()).for_each(|byte| names.write_u8(byte));
                names.write_u8(0);
            }
            if !has_message || before_fields || token.is_of(&MESSAGES) || token.is_of(&LEVELS) {
                words.extend(token.value.split(is_separator).filter(|word| !word.is_empty()).map(hash));
            }
        }
        words.truncate(MAX_WORDS);
        let fields = if has_message || before_fields { 0 } else { names.finish().max(1) };
        Self { fields, words }
    }

    fn says_nothing(&self) -> bool {
        self.fields == 0 && self.words.iter().all(|word| *word == ANY)
    }

    fn key(&self) -> Key {
        let mut first = [ANY; DEPTH];
        for (slot, word) in first.iter_mut().zip(self.words.iter().filter(|word| **word != ANY)) {
            *slot = *word;
        }
        (self.fields, self.words.len(), first)
    }
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

fn nearest(group: &[Vec<u64>], words: &[u64]) -> Option<usize> {
    // Words that vary say nothing about how alike two lines are.
    let similarity = |template: &Vec<u64>| {
        let constant = || template.iter().zip(words).filter(|(known, _)| **known != ANY);
        let same = constant().filter(|(known, word)| known == word).count();
        match constant().count() {
            0 => 1.0, // All of it varies, as in every line of this key.
            of => same as f64 / of as f64,
        }
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
    fn a_group_that_is_full_blinds_no_other_and_names_of_fields_are_no_words() {
        let word = |n: usize| format!("{}{}", "abcdefgh".repeat(1 + n / 26), char::from(b'a' + (n % 26) as u8));
        let varied: Vec<String> =
            (0..80).map(|n| format!("INFO loaded {} from {} as {}", word(n), word(n + 80), word(n + 160))).collect();
        let json = |level: &str, message: &str, step: u32| {
            format!(
                "{{\"ts\": \"2026-11-21T10:00:00Z\", \"level\": \"{level}\", \"logger\": \"a.b\", \"msg\": \"{message}\", \"step\": {step}}}"
            )
        };
        let logfmt =
            |message: &str, step: u32| format!("time=10:00:0{step} level=info msg=\"{message}\" step={step} host=a");
        let rows: Vec<(&str, Vec<String>, String, bool)> = vec![
            ("another key", varied.clone(), "ERROR raid array degraded".into(), true),
            ("the full key", varied, "INFO loaded this from that as such".into(), false),
            ("message", vec![json("info", "step done", 1)], json("info", "checksum mismatch", 2), true),
            ("same message", vec![json("info", "step done", 1)], json("info", "step done", 2), false),
            ("level", vec![json("info", "step done", 1)], json("error", "step done", 2), true),
            ("logfmt", vec![logfmt("step done", 1)], logfmt("checksum mismatch", 2), true),
            ("same logfmt", vec![logfmt("step done", 1)], logfmt("step done", 2), false),
            ("values", vec!["state=ok disk=sda took=3".into()], "state=degraded disk=sda took=5".into(), true),
            ("numbers", vec!["{'loss': 2.31, 'epoch': 1}".into()], "{'loss': 2.4, 'epoch': 2}".into(), false),
            ("other fields", vec!["{'loss': 2.31, 'epoch': 1}".into()], "{'overflow': 1, 'scale': 2}".into(), true),
            ("numbered fields", vec!["gpu0=81 gpu1=80".into()], "gpu2=31 gpu3=30".into(), false),
        ];
        for (name, healthy, line, new) in rows {
            let healthy: Vec<&str> = healthy.iter().map(String::as_str).collect();
            assert_eq!(of(&healthy, &[&line]).len(), usize::from(new), "{name}: {line}");
        }
    }

    #[test]
    fn it_is_bounded_and_a_full_miner_finds_nothing_new() {
        let mut miner = Miner::default();
        for number in 0..3 * MAX_TEMPLATES {
            let word: String = number.to_string().bytes().map(|digit| char::from(digit + 17 + 32)).collect();
            miner.learn(&format!("{word} happened to {word} here"));
        }
        assert_eq!(miner.count, MAX_TEMPLATES);
        assert!(miner.is_full() && miner.knows("something that was never said"));
        let many: Vec<String> = (0..100).map(|n| format!("{} {}", "x".repeat(n + 1), "y".repeat(n + 1))).collect();
        let new = of(&[], &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((new.len(), new[0].0), (NewLine::MAX, 81), "the last ones before the failure");
    }

    proptest! {
        #[test]
        fn what_was_learned_is_known(lines in proptest::collection::vec("[a-c0-9 =:\"'{]{0,30}", 0..60)) {
            let mut miner = Miner::default();
            lines.iter().for_each(|line| miner.learn(line));
            let all = lines.iter().map(String::as_str);
            prop_assert!(all.clone().all(|line| miner.knows(line)));
            prop_assert_eq!(new_lines(&miner, (1..).zip(all)), vec![]);
        }
    }
}
