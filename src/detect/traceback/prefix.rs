//! What launchers, collectors and loggers put in front of a line.
//!
//! A prefix that names its writer (`[rank3]:`) makes a little stream of its own. Others (a time stamp, a logger's head) are
//! only taken off once a trace has been seen behind one, because the same text may just as well be part of a line.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::lex::{group, pattern};

/// Most prefixes that are taken off one line.
const MAX_LAYERS: usize = 4;
/// Most places of one line at which a trace is looked for behind a logger's head.
const MAX_HEADS: usize = 12;
/// A logger's head is looked for in so many bytes at the start of a line.
const HEAD_WINDOW: usize = 240;

/// Named values found in prefixes (`rank`, `node`, `timestamp`, …).
pub(super) type Fields = BTreeMap<String, String>;

/// A line after some of its prefixes have been taken off.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Identifies the little stream: equal for lines of one writer.
    pub(super) key: String,
    /// Byte offset of the remaining text.
    pub(super) at: usize,
    /// Values of the prefixes so far.
    pub(super) fields: Fields,
}

/// A logger's head in front of a trace, as learned from the first line of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    shape: String,
}

/// Whether prefixes that could just as well be text are taken off too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peel {
    /// Only prefixes that cannot be anything else.
    Sure,
    /// All.
    All,
}

/// The line with more and more of its prefixes taken off, the whole line first.
///
/// A prefix that names its writer hides what is in front of it: such a line belongs to that writer alone.
pub(super) fn layers(text: &str, peel: Peel) -> Vec<Layer> {
    let mut layers = vec![Layer { key: String::new(), at: 0, fields: Fields::new() }];
    for _ in 0..MAX_LAYERS {
        let Some(last) = layers.last() else { break };
        let rest = text.get(last.at..).unwrap_or_default();
        if !may_begin_prefix(rest) {
            break;
        }
        let Some((kind, captures)) = KINDS.iter().find_map(|kind| kind.regex.captures(rest).map(|c| (kind, c))) else {
            break;
        };
        if !kind.sure && peel == Peel::Sure {
            break;
        }
        let mut next = last.clone();
        next.at += captures.get(0).map_or(0, |whole| whole.end());
        (kind.describe)(&captures, &mut next);
        if kind.sure {
            layers.clear();
        }
        layers.push(next);
    }
    layers
}

/// Values of the prefixes in front of a line that cannot be anything else: `rank`, `node`.
pub(in crate::detect) fn sure_fields(line: &[u8]) -> Fields {
    // Prefixes are short; the rest of a long line is not looked at.
    let start = String::from_utf8_lossy(line.get(..HEAD_WINDOW).unwrap_or(line));
    layers(&start, Peel::Sure).pop().map(|layer| layer.fields).unwrap_or_default()
}

/// Byte offsets at which a logged text may begin in a line, with the head in front of each, nearest first.
pub(super) fn heads(text: &str) -> Vec<(usize, Head, Fields)> {
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([A-Za-z][\w.-]*): "));
    static SIGN: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(?:trace|debug|info|notice|warn|warning|error|err|critical|crit|fatal|severe|panic|stderr|stdout)\b|\d\d:\d\d:\d\d|^[IWEF]\d{4} ",
        )
    });
    static BREAK: LazyLock<Regex> = LazyLock::new(|| pattern(r"[:\]|>)}-] |\t|\| ?|:"));
    let window = text.get(..floor_char_boundary(text, HEAD_WINDOW)).unwrap_or(text);
    let mut found = Vec::new();
    if let Some(captures) = NAME.captures(window) {
        let (end, name) = (captures.get(0).map_or(0, |m| m.end()), group(&captures, 1));
        // A host or service name; its digits tell writers apart.
        found.push((end, Head { shape: format!("={name}: ") }, Fields::from([("node".to_owned(), name.to_owned())])));
    }
    let Some(sign) = SIGN.find(window) else { return found };
    for separator in BREAK.find_iter(window) {
        if separator.end() < sign.end() || found.len() >= MAX_HEADS {
            continue;
        }
        // `INFO:name:text` has no blank of its own: one that follows is the text's.
        let tight = separator.as_str() == ": " && !window.get(..separator.start()).unwrap_or_default().contains(' ');
        for end in tight.then_some(separator.start() + 1).into_iter().chain([separator.end()]) {
            let head = window.get(..end).unwrap_or_default();
            found.push((end, Head { shape: shape_of(head) }, timestamp_of(head)));
        }
    }
    found
}

impl Head {
    /// Byte offset behind this head in `text`, where `text` begins with one of the same shape.
    pub(super) fn strip(&self, text: &str) -> Option<usize> {
        if let Some(exact) = self.shape.strip_prefix('=') {
            // Tools that trim line ends leave `name:` in front of an empty line.
            return text
                .starts_with(exact)
                .then_some(exact.len())
                .or_else(|| (text == exact.trim_end()).then_some(text.len()));
        }
        let mut rest = text.char_indices().peekable();
        for expected in self.shape.chars() {
            let Some((_, found)) = rest.next() else {
                // A head whose last blank was trimmed, in front of an empty line.
                return (expected == ' ').then_some(text.len());
            };
            if fold(found) != expected {
                return None;
            }
            while expected == '0' && rest.peek().is_some_and(|&(_, next)| next.is_ascii_digit()) {
                rest.next();
            }
        }
        Some(rest.peek().map_or(text.len(), |&(at, _)| at))
    }
}

struct Kind {
    regex: Regex,
    sure: bool,
    describe: fn(&Captures<'_>, &mut Layer),
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kind = |source: &str, sure: bool, describe: fn(&Captures<'_>, &mut Layer)| Kind {
        regex: pattern(source),
        sure,
        describe,
    };
    vec![
        // torch.distributed: `[rank3]: text`.
        kind(r"^\[rank ?(\d+)\]:(?: |$)", true, |c, layer| writer(layer, "rank", group(c, 1))),
        // torchrun --tee/--redirects: `[default3]:text`, the role's name and the local rank.
        kind(r"^\[([A-Za-z_]+)(\d+)\]:", true, |c, layer| {
            writer(layer, "role", group(c, 1));
            writer(layer, "local_rank", group(c, 2));
        }),
        // mpirun --tag-output: `[1,3]<stderr>:text`.
        kind(r"^\[(?:[^\]\s,]*,)(\d+)\]<std(?:out|err|diag)>:", true, |c, layer| writer(layer, "rank", group(c, 1))),
        // Ray: `(train pid=4711, ip=10.0.0.7) text`.
        kind(r"^\(([\w.<>:+ \[\]-]+?) pid=(\d+)(?:, ip=([0-9a-fA-F.:]+))?(?:, [^)]*)?\)(?: |$)", true, |c, layer| {
            writer(layer, "worker", group(c, 1));
            writer(layer, "pid", group(c, 2));
            if c.get(3).is_some() {
                writer(layer, "node", group(c, 3));
            }
        }),
        // kubectl logs --prefix.
        kind(r"^\[pod/([^\]\s]+)\](?: |$)", true, |c, layer| writer(layer, "pod", group(c, 1))),
        // srun --label: `3: text`, padded to the width of the greatest.
        kind(r"^ {0,5}(\d{1,6}):(?: |$)", false, |c, layer| writer(layer, "rank", group(c, 1))),
        // mpiexec -l of MPICH, concurrently.
        kind(r"^\[(\d{1,6})\] ", false, |c, layer| writer(layer, "rank", group(c, 1))),
        // docker compose, foreman, pm2: `web-1  | text`.
        kind(r"^((?:\d+\|)?[A-Za-z][\w./-]*) *\|(?: |$)", false, |c, layer| writer(layer, "service", group(c, 1))),
        // docker logs -t, kubectl logs --timestamps, CRI files, GitHub Actions, Jenkins.
        kind(
            r"^\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?Z|[+-]\d\d:?\d\d)?)\]?(?: (?:stdout|stderr) [FP])?(?: |$)",
            false,
            |c, layer| stamp(layer, group(c, 1)),
        ),
        kind(r"^\[?(\d\d:\d\d:\d\d(?:[.,]\d+)?)\]? ", false, |c, layer| stamp(layer, group(c, 1))),
        // Android's logcat, brief: `E/AndroidRuntime( 4711): text`.
        kind(r"^[VDIWEFA]/([\w.$-]{1,40}) *\( *(\d+)\):(?: |$)", false, |c, layer| {
            writer(layer, "program", group(c, 1));
            writer(layer, "pid", group(c, 2));
        }),
        // syslog, RFC 3164 as rsyslog and journalctl print it.
        kind(
            r"^((?:<\d+>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (\S+) ([^\s:\[]+)(?:\[\d+\])?:(?: |$)",
            false,
            |c, layer| {
                stamp(layer, group(c, 1));
                writer(layer, "node", group(c, 2));
                writer(layer, "program", group(c, 3));
            },
        ),
        // The same behind an RFC 3339 stamp.
        kind(r"^([\w.-]+) ([\w./-]+)\[(\d+)\]:(?: |$)", false, |c, layer| {
            writer(layer, "node", group(c, 1));
            writer(layer, "program", group(c, 2));
            writer(layer, "pid", group(c, 3));
        }),
    ]
});

/// A cheap look at the first byte, so that most lines cost nothing.
fn may_begin_prefix(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| matches!(byte, b'[' | b'(' | b'<' | b' ') || byte.is_ascii_alphanumeric())
}

fn writer(layer: &mut Layer, name: &str, value: &str) {
    layer.key.push_str(name);
    layer.key.push('=');
    layer.key.push_str(value);
    layer.key.push(';');
    layer.fields.insert(name.to_owned(), value.to_owned());
}

fn stamp(layer: &mut Layer, value: &str) {
    layer.key.push_str("stamp;");
    layer.fields.entry("timestamp".to_owned()).or_insert_with(|| value.to_owned());
}

fn timestamp_of(head: &str) -> Fields {
    static STAMP: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"\d{4}[-/.]\d\d[-/.]\d\d[T ,]+\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?|\d\d:\d\d:\d\d(?:[.,]\d+)?",
        )
    });
    STAMP.find(head).map(|found| ("timestamp".to_owned(), found.as_str().to_owned())).into_iter().collect()
}

/// The text with runs of digits folded to one `0`.
fn shape_of(head: &str) -> String {
    let mut shape = String::with_capacity(head.len());
    for c in head.chars() {
        let folded = fold(c);
        if folded != '0' || !shape.ends_with('0') {
            shape.push(folded);
        }
    }
    shape
}

fn fold(c: char) -> char {
    if c.is_ascii_digit() { '0' } else { c }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
