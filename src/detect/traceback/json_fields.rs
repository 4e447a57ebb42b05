//! What a structured log record says about where it comes from, whatever the logger calls it.

use serde_json::{Map, Value};

use super::prefix::Fields;

/// How deep fields are looked for: `kubernetes.pod_name`, `resource.labels.pod_name`.
const MAX_DEPTH: usize = 3;

/// Fields that tell writers apart.
pub(super) const WRITERS: &[&str] = &["rank", "local_rank", "node", "pod", "container", "worker", "pid"];

/// Our name of a field, and how loggers and shippers call it: docker, Fluent Bit, GCP, ECS, Datadog, logstash, pino, bunyan, zap,
/// python-json-logger, structlog, Serilog, journald. Dots separate nested names; a flat name with dots counts too.
const NAMES: &[(&str, &[&str])] = &[
    (
        "timestamp",
        &["timestamp", "@timestamp", "time", "ts", "asctime", "@t", "datetime", "date", "eventTime", "t", "Timestamp"],
    ),
    (
        "level",
        &["level", "severity", "levelname", "log.level", "lvl", "@l", "status", "loglevel", "level_name", "Level"],
    ),
    ("rank", &["rank", "global_rank", "RANK"]),
    ("local_rank", &["local_rank", "LOCAL_RANK"]),
    (
        "node",
        &[
            "host",
            "hostname",
            "node",
            "host.name",
            "host.hostname",
            "HOSTNAME",
            "_HOSTNAME",
            "kubernetes.host",
            "resource.labels.node_name",
            "MachineName",
        ],
    ),
    (
        "pod",
        &[
            "pod",
            "pod_name",
            "kubernetes.pod_name",
            "kubernetes.pod.name",
            "k8s.pod.name",
            "resource.labels.pod_name",
            "resource.k8s.pod.name",
        ],
    ),
    (
        "container",
        &[
            "container",
            "container_name",
            "kubernetes.container_name",
            "kubernetes.container.name",
            "k8s.container.name",
            "resource.labels.container_name",
        ],
    ),
    ("worker", &["worker", "worker_id"]),
    ("pid", &["pid", "process.pid", "process_id", "_PID"]),
    ("service", &["service", "service.name", "service_name"]),
];

/// Fields whose value may be one line of a program's output.
const LINES: &[&str] =
    &["log", "message", "msg", "textPayload", "MESSAGE", "line", "event", "jsonPayload.message", "Output"];

/// Adds what the record says. What a prefix in front of it has said stays.
pub(super) fn describe(object: &Map<String, Value>, fields: &mut Fields) {
    for (ours, theirs) in NAMES {
        if fields.contains_key(*ours) {
            continue;
        }
        let found = theirs.iter().find_map(|name| plain(lookup(object, name, 0)?));
        if let Some(value) = found {
            let value = if *ours == "level" { level_name(&value).map_or(value, str::to_owned) } else { value };
            fields.insert((*ours).to_owned(), value);
        }
    }
}

/// The one line of text that the record has been made of.
pub(super) fn line_in(object: &Map<String, Value>) -> Option<String> {
    let line = LINES.iter().find_map(|name| lookup(object, name, 0)?.as_str())?;
    let line = line.trim_end_matches(['\n', '\r']);
    // A text of several lines is a report of its own.
    (!line.contains('\n')).then(|| line.to_owned())
}

/// The value of `name`, whose dots may be part of a key or lead into objects.
fn lookup<'v>(object: &'v Map<String, Value>, name: &str, depth: usize) -> Option<&'v Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    if depth >= MAX_DEPTH {
        return None;
    }
    name.match_indices('.').find_map(|(dot, _)| {
        let inner = object.get(name.get(..dot)?)?.as_object()?;
        lookup(inner, name.get(dot + 1..)?, depth + 1)
    })
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= 200 => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The numbers of pino and bunyan in words.
fn level_name(value: &str) -> Option<&'static str> {
    Some(match value {
        "10" => "trace",
        "20" => "debug",
        "30" => "info",
        "40" => "warn",
        "50" => "error",
        "60" => "fatal",
        _ => return None,
    })
}
