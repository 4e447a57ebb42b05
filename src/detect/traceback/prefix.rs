//! What launchers, collectors and containers put in front of a line.
//!
//! A prefix that names its writer (`[rank3]:`) makes a little stream of its own. Others (a time stamp, `3: `) are only taken
//! off once a trace has been seen behind one, because the same text may just as well be part of a line. Prefixes of no known
//! form are learned from the first line of a trace: see `head`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::json_fields;
use super::lex::pattern;

/// Most prefixes that are taken off one line.
const MAX_LAYERS: usize = 5;
/// Longest line that is tried as a JSON object around one line of text, in bytes.
const MAX_OBJECT: usize = 64 * 1024;

/// Named values found in prefixes (`rank`, `node`, `timestamp`, …).
pub(super) type Fields = BTreeMap<String, String>;

/// A line after some of its prefixes have been taken off.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Identifies the little stream: equal for lines of one writer.
    pub(super) key: String,
    /// The remaining text.
    pub(super) rest: String,
    /// Values of the prefixes so far.
    pub(super) fields: Fields,
}

/// The line with more and more of its prefixes taken off, the whole line first.
///
/// A prefix that names its writer hides what is in front of it: such a line belongs to that writer alone. A JSON object that
/// holds one line of text (docker's `json-file`, a shipper's record) is a prefix too.
pub(super) fn layers(text: &str) -> Vec<Layer> {
    let whole = Layer { key: String::new(), rest: text.to_owned(), fields: Fields::new() };
    let mut layers = peel(whole);
    let Some(inner) = layers.last().and_then(unwrap_object) else { return layers };
    if text.starts_with("{\"log\":\"") || (text.starts_with("{\"Time\":\"") && text.contains("\"Action\":\"output\"")) {
        // The file of a container, the stream of `go test -json`: every line is wrapped.
        layers.clear();
    }
    layers.extend(peel(inner));
    layers
}

/// The kinds of prefixes in front of `whole`.
fn peel(whole: Layer) -> Vec<Layer> {
    let mut layers = vec![whole];
    let mut sure = false;
    for _ in 0..MAX_LAYERS {
        let Some(last) = layers.last() else { break };
        if !may_begin_prefix(&last.rest) {
            break;
        }
        let Some((kind, captures)) = KINDS.iter().find_map(|kind| Some((kind, kind.regex.captures(&last.rest)?)))
        else {
            break;
        };
        let end = captures.get(0).map_or(0, |whole| whole.end());
        let mut next = Layer {
            key: last.key.clone(),
            rest: last.rest.get(end..).unwrap_or_default().to_owned(),
            fields: last.fields.clone(),
        };
        kind.describe(&captures, &mut next);
        // A launcher's prefix may stand on every line, and behind it the program's own on the first only.
        if kind.sure && !sure {
            layers.clear();
            sure = true;
        }
        layers.push(next);
    }
    layers
}

/// Values of the prefixes in front of a line that cannot be anything else: `rank`, `node`.
pub(in crate::detect) fn sure_fields(line: &[u8]) -> Fields {
    /// Prefixes are short; the rest of a long line is not looked at.
    const WINDOW: usize = 256;
    let rest = String::from_utf8_lossy(line.get(..WINDOW).unwrap_or(line)).into_owned();
    let mut layer = Layer { key: String::new(), rest, fields: Fields::new() };
    for _ in 0..MAX_LAYERS {
        let sure = KINDS.iter().filter(|kind| kind.sure);
        let found = sure.filter_map(|kind| Some((kind, kind.regex.captures(&layer.rest)?))).next();
        let Some((kind, captures)) = found else { break };
        let mut next = Layer { key: String::new(), rest: String::new(), fields: layer.fields.clone() };
        kind.describe(&captures, &mut next);
        let end = captures.get(0).map_or(0, |whole| whole.end());
        next.rest = layer.rest.get(end..).unwrap_or_default().to_owned();
        layer = next;
    }
    layer.fields
}

struct Kind {
    regex: Regex,
    /// Nothing else looks like it.
    sure: bool,
}

impl Kind {
    /// Adds what the prefix says. The names of the groups are those of the fields; all but the time tell writers apart.
    fn describe(&self, captures: &Captures<'_>, layer: &mut Layer) {
        let before = layer.key.len();
        for name in self.regex.capture_names().flatten() {
            let Some(value) = captures.name(name).map(|found| found.as_str()) else { continue };
            if name == "timestamp" {
                layer.key.push_str("stamp;");
                layer.fields.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            } else if value != "-" {
                layer.key.extend([name, "=", value, ";"]);
                layer.fields.insert(name.to_owned(), value.to_owned());
            }
        }
        if layer.key.len() == before {
            layer.key.push_str("mark;");
        }
    }
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let sure = [
        // torch.distributed: `[rank3]: text`; by hand: `[Rank 3] text`, `(rank 3) text`, `rank3: text`.
        r"^\[(?i:rank)[ _:=-]?(?P<rank>\d+)\](?::? |:|$)",
        r"^\((?i:rank)[ _:=-]?(?P<rank>\d+)\):?(?: |$)",
        r"^(?i:rank)[ _]?(?P<rank>\d+)(?::| ?[|>])(?: |$)",
        // torchrun --tee/--redirects: `[default3]:text`, the role's name and the local rank.
        r"^\[(?P<role>[A-Za-z_]+)(?P<local_rank>\d+)\]:",
        // mpirun --tag-output: `[1,3]<stderr>:text`, `[prterun-node01-99@1,3]<stderr>: text`, SageMaker's `[1,mpirank:3,algo-1]<stderr>:`.
        r"^\[[^\]\s,]*@\d+,(?P<rank>\d+)\]<std(?:out|err|diag)>:(?: |$)",
        r"^\[[^\]\s,]*,(?:mpirank:)?(?P<rank>\d+)(?:,(?P<node>[^\]\s,]+))?\]<std(?:out|err|diag)>:",
        // The same with a host's name in place of the channel.
        r"^\[[^\]\s,]*,(?P<rank>\d+)\]<(?P<node>[A-Za-z][\w.-]*)>:",
        // Ray: `(train pid=4711, ip=10.0.0.7) text`, `(pid=4711) text`.
        r"^\((?:(?P<worker>[\w.<>:+ \[\]-]+?) )?pid=(?P<pid>\d+)(?:, ip=(?P<node>[0-9a-fA-F.:]+))?(?:, [^)]*)?\)(?: |$)",
        // kubectl logs --prefix.
        r"^\[pod/(?P<pod>[^\]\s/]+)(?:/(?P<container>[^\]\s/]+))?\](?: |$)",
    ];
    let unsure = [
        // srun --label: `3: text`, padded to the width of the greatest.
        r"^ {0,5}(?P<rank>\d{1,6}):(?: |$)",
        // mpiexec -l of MPICH, concurrently.
        r"^\[(?P<rank>\d{1,6})\] ",
        // docker compose, foreman, overmind, tilt, pm2: `web-1  | text`, `0|web  | text`.
        r"^(?:\d+\|)?(?P<service>[A-Za-z][\w./-]*) *[|│](?: |$)",
        // stern, kubetail: pods end with five of these letters, which Kubernetes draws names from.
        r"^(?P<pod>[a-z0-9][a-z0-9.-]*-[bcdfghjklmnpqrstvwxz2456789]{5}) (?P<container>[a-z0-9][a-z0-9-]*) (?:[|│›] )?",
        r"^\[(?P<pod>[a-z0-9][a-z0-9.-]*-[bcdfghjklmnpqrstvwxz2456789]{5})(?: (?P<container>[a-z0-9][a-z0-9-]*))?\] ",
        // Android's logcat, brief: `E/AndroidRuntime( 4711): text`.
        r"^[VDIWEFA]/(?P<program>[\w.$-]{1,40}) *\( *(?P<pid>\d+)\):(?: |$)",
        // syslog, RFC 5424.
        r"^<\d+>1 (?P<timestamp>\S+) (?P<node>\S+) (?P<program>\S+) (?P<pid>\S+) \S+ (?:-|(?:\[[^\]]*\])+)(?: \u{feff}?|$)",
        // docker logs -t, kubectl logs --timestamps, CRI files, GitHub Actions, GitLab, Jenkins, pm2.
        concat!(
            r"^\[?(?P<timestamp>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?Z| ?[+-]\d\d:?\d\d)?)\]?",
            r"(?: (?:stdout|stderr) [FP](?: |$)| \d\d[OE](?:[ +]|$)| \| |:? |$)"
        ),
        r"^\[?(?P<timestamp>\d\d:\d\d:\d\d(?:[.,]\d+)?)\]? ",
        r"^\[?(?P<timestamp>\d{9,10}\.\d{1,9}|\d{13})\]?:? ",
        // syslog, RFC 3164 as rsyslog and journalctl print it, with microseconds for `-o short-precise`.
        concat!(
            r"^(?:<\d+>)?(?P<timestamp>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?) ",
            r"(?P<node>[\w.-]+) (?P<program>[^\s:\[]+)(?:\[(?P<pid>\d+)\])?:(?: |$)"
        ),
        r"^(?:<\d+>)?(?P<timestamp>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?) ",
        // The same behind an RFC 3339 stamp.
        r"^(?P<node>[\w.-]+) (?P<program>[\w./-]+)\[(?P<pid>\d+)\]:(?: |$)",
        // BuildKit's plain progress: the step, then seconds since its start. The summary of a failed step has the seconds only.
        r"^#(?P<step>\d{1,5}) \d{1,6}\.\d{1,3}(?: |$)",
        // GitHub Actions.
        r"^##\[[a-z]+\]",
    ];
    let kind = |sure| move |source: &&str| Kind { regex: pattern(source), sure };
    sure.iter().map(kind(true)).chain(unsure.iter().map(kind(false))).collect()
});

/// A cheap look at the first byte, so that most lines cost nothing.
fn may_begin_prefix(text: &str) -> bool {
    match text.as_bytes() {
        // Most lines of a trace are indented; only a padded number begins with a blank.
        [b' ', rest @ ..] => rest.iter().take(5).find(|byte| **byte != b' ').is_some_and(u8::is_ascii_digit),
        [first, ..] => matches!(first, b'[' | b'(' | b'<' | b'#') || first.is_ascii_alphanumeric(),
        [] => false,
    }
}

/// The line inside a record that a container runtime or a shipper has made of it.
fn unwrap_object(layer: &Layer) -> Option<Layer> {
    let text = layer.rest.trim_end();
    if !text.ends_with('}') || text.len() > MAX_OBJECT {
        return None;
    }
    let start = text.find("{\"")?;
    let object: Map<String, Value> = serde_json::from_str(text.get(start..)?).ok()?;
    let line = json_fields::line_in(&object)?;
    let mut fields = layer.fields.clone();
    json_fields::describe(&object, &mut fields);
    let mut key = format!("{}json;", layer.key);
    for name in json_fields::WRITERS {
        if let Some(value) = fields.get(*name) {
            key.extend([*name, "=", value, ";"]);
        }
    }
    Some(Layer { key, rest: line, fields })
}
