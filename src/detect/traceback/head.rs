//! Prefixes of no known form, learned from the first line of a trace: loggers' heads, tags, hosts.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{group, pattern};
use super::prefix::Fields;

/// Most places of one line at which a trace is looked for behind a head.
const MAX_HEADS: usize = 12;
/// Most places behind text that shows no sign of being a head.
const MAX_TAGS: usize = 16;
/// A head is looked for in so many bytes at the start of a line.
const HEAD_WINDOW: usize = 240;

/// Text in front of a trace's first line, which the other lines may have too.
///
/// Its times and counters may differ from line to line, and in a logger's head any number that does not name a writer. All
/// other text tells writers apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The text, with `\0` for each run of digits that may differ.
    shape: String,
}

/// A place at which the logged text may begin.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Byte offset.
    pub(super) at: usize,
    pub(super) head: Head,
    /// What the head says.
    pub(super) fields: Fields,
    /// Nothing but a level and a blank end the head: it may as well go on.
    pub(super) behind_level: bool,
}

/// Places behind what looks like a logger's head or a name: by their nearness, but those behind a bare level last.
pub(super) fn heads(text: &str) -> Vec<Candidate> {
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([A-Za-z][\w.-]*): "));
    static SIGN: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(?:trace|debug|info|notice|warn|warning|error|err|critical|crit|fatal|severe|panic|stderr|stdout)\b|\d\d:\d\d:\d\d|^[IWEF]\d{4} ",
        )
    });
    static BREAK: LazyLock<Regex> = LazyLock::new(|| pattern(r"[:\]|>)}-] |\t|\| ?|:"));
    // A level may be all that ends a head.
    static LEVEL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\b(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|CRITICAL|CRIT|FATAL|SEVERE|error|stderr) +")
    });
    let window = window(text);
    let mut found = Vec::new();
    if let Some(captures) = NAME.captures(window) {
        let end = captures.get(0).map_or(0, |m| m.end());
        let mut name = candidate(text, end, Numbers::Fixed);
        // A host or service name.
        name.fields.entry("node".to_owned()).or_insert_with(|| group(&captures, 1).to_owned());
        found.push(name);
    }
    let Some(sign) = SIGN.find(window) else { return found };
    let mut ends = Vec::new();
    for separator in BREAK.find_iter(window).filter(|separator| separator.end() >= sign.end()) {
        // `INFO:name:text` has no blank of its own: one that follows is the text's.
        let tight = separator.as_str() == ": " && !window.get(..separator.start()).unwrap_or_default().contains(' ');
        ends.extend(tight.then_some(separator.start() + 1));
        ends.push(separator.end());
    }
    found.extend(ends.into_iter().take(MAX_HEADS).map(|end| candidate(text, end, Numbers::Moving)));
    // After the others: behind the level often stands the logger's name.
    let levels = LEVEL.find_iter(window).map(|level| candidate(text, level.end(), Numbers::Moving));
    found.extend(levels.map(|level| Candidate { behind_level: true, ..level }));
    found
}

/// Places behind any word or bracket, nearest first. Only a second line with the same text in front proves such a head.
pub(super) fn tags(text: &str) -> Vec<Candidate> {
    static BREAK: LazyLock<Regex> = LazyLock::new(|| pattern(r"[ \t]+|[:\]>)}|│]"));
    let ends = BREAK.find_iter(window(text)).map(|found| found.end());
    // Marks of quotations, comments and diffs are no writers.
    let is_tag = |head: &str| head.contains(|c: char| c.is_alphanumeric() || matches!(c, '|' | '│'));
    ends.filter(|end| text.get(..*end).is_some_and(is_tag))
        .filter(|end| text.get(*end..).is_some_and(|rest| !rest.starts_with([' ', '\t'])))
        .take(MAX_TAGS)
        .map(|end| candidate(text, end, Numbers::Fixed))
        .collect()
}

/// Whether numbers that are no times may differ from line to line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    /// They are part of a name.
    Fixed,
    /// Threads, requests, lines of a source.
    Moving,
}

fn candidate(text: &str, at: usize, numbers: Numbers) -> Candidate {
    let head = text.get(..at).unwrap_or_default();
    Candidate { at, head: Head::of(head, numbers), fields: fields_of(head), behind_level: false }
}

fn window(text: &str) -> &str {
    text.get(..floor_char_boundary(text, HEAD_WINDOW)).unwrap_or(text)
}

impl Head {
    fn of(head: &str, numbers: Numbers) -> Self {
        // What names a writer; dates; times of the day; other numbers.
        static PARTS: LazyLock<Regex> = LazyLock::new(|| {
            pattern(concat!(
                r"(?i)(?:rank|node|worker|gpu|host|pod)[ :=_-]?\d+|",
                r"\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4}|",
                r"\d+:\d\d(?::\d\d)?(?:[.,]\d+)?|\d[\d.]*",
            ))
        });
        let mut shape = String::with_capacity(head.len());
        let mut at = 0;
        for found in PARTS.find_iter(head) {
            shape.push_str(head.get(at..found.start()).unwrap_or_default());
            at = found.end();
            let text = found.as_str();
            let is_number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let moves = match (is_number, numbers) {
                (false, _) => text.starts_with(|c: char| c.is_ascii_digit()),
                (true, Numbers::Moving) => true,
                // `1.25` and `1795276366` are times, `10.0.0.7` is a host, `3` a rank.
                (true, Numbers::Fixed) => text.matches('.').count() == 1 || (text.len() >= 9 && !text.contains('.')),
            };
            if !moves {
                shape.push_str(text);
                continue;
            }
            for c in text.chars() {
                if !c.is_ascii_digit() {
                    shape.push(c);
                } else if !shape.ends_with('\0') {
                    shape.push('\0');
                }
            }
        }
        shape.push_str(head.get(at..).unwrap_or_default());
        Self { shape }
    }

    /// The text behind this head in `text`, where `text` begins with one of the same shape.
    pub(super) fn strip<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = text;
        let mut shape = self.shape.chars();
        while let Some(expected) = shape.next() {
            if expected == '\0' {
                let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                if digits == 0 {
                    return None;
                }
                rest = rest.get(digits..)?;
                continue;
            }
            match rest.strip_prefix(expected) {
                Some(behind) => rest = behind,
                // Tools that trim line ends leave a head without its last blank in front of an empty line.
                None => {
                    let trimmed = rest.is_empty() && expected.is_whitespace() && shape.all(char::is_whitespace);
                    return trimmed.then_some(rest);
                }
            }
        }
        Some(rest)
    }
}

/// What a head says, as far as it can be told.
fn fields_of(head: &str) -> Fields {
    static STAMP: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"\d{4}[-/.]\d\d[-/.]\d\d[T ,]+\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?|",
            r"\d\d?[-/.]\d\d[-/.]\d{4}[ ,]+\d\d:\d\d:\d\d(?:[.,]\d+)?|",
            r"\d\d:\d\d:\d\d(?:[.,]\d+)?",
        ))
    });
    static RANK: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\brank[ :=_-]?(\d+)\b"));
    static SERVICE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\[([A-Za-z][\w.-]*)\] $|^([A-Za-z][\w./-]*)[ \t]*[|│]? ?$"));
    static LEVEL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?i)^(?:trace|debug|info|notice|warn|warning|error|err|critical|fatal|severe|panic|stderr|stdout)$")
    });
    let mut fields = Fields::new();
    let mut tell = |name: &str, value: &str| {
        fields.insert(name.to_owned(), value.to_owned());
    };
    if let Some(stamp) = STAMP.find(head) {
        tell("timestamp", stamp.as_str());
    }
    if let Some(rank) = RANK.captures(head) {
        tell("rank", group(&rank, 1));
    }
    let service = SERVICE.captures(head).and_then(|c| c.get(1).or(c.get(2))).map_or("", |m| m.as_str());
    if !service.is_empty() && !LEVEL.is_match(service) {
        tell("service", service);
    }
    fields
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
