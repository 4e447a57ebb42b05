//! Traces inside one structured log line (JSON, logfmt): a text with line breaks in a field, or a list of frames.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::driver::Found;
use super::in_app::is_app;
use super::json_beside;
use super::json_fields;
use super::lex::pattern;
use super::prefix::Fields;
use crate::detect::ansi;
use crate::detect::{Language, Trace, TraceFrame};

/// Lines that may carry a trace in a field (structlog, python-json-logger, zap, zerolog, pino, winston, logstash, log4j).
pub(super) const STARTERS: &[&str] = &[
    // A record inside another (docker's `json-file`) has its quotes escaped.
    r#"(?:stack|stack_trace|stacktrace|stackTrace|StackTrace|exc_info|exc_text|exception|Exception|traceback|backtrace|errorVerbose|error_detail|throwable|thrown|"@x)\\*"\s*:\s*\\*["\[{]"#,
    r#""trace"\s*:\s*\["#,
    // A stack in the message itself, as Google Cloud's error reporting wants it.
    r"\\n    at \S",
    r"\\n\\tat \S",
    r"\\ngoroutine \d+ \[",
    r#"\b(?:stack|stacktrace|stack_trace|exc_info|exception|traceback|backtrace)=["']"#,
];

/// Fields that loggers use for a stack.
const STACK_FIELDS: &[&str] = &[
    "stack",
    "stacktrace",
    "stack_trace",
    "exc_info",
    "exc_text",
    "exception",
    "traceback",
    "backtrace",
    "errorverbose",
    "error_detail",
    "throwable",
    "trace",
    "@x",
    "extendedstacktrace",
    "thrown",
    "stacktracestring",
];
/// How deep fields are looked for.
const MAX_DEPTH: usize = 6;
/// How many objects of a list are looked into.
const MAX_ITEMS: usize = 8;
/// How many `{` of a line are tried as the start of an object.
const MAX_STARTS: usize = 4;

/// Reads the trace in a line that is a JSON object, ends with one (zap's console encoder), has a quoted text in a pair, or is a
/// text whose line ends are escaped; with what the record says of itself.
///
/// `read_text` finds the traces in a text of several lines.
pub(super) fn read(text: &str, read_text: impl Fn(&str) -> Vec<Found>) -> Option<(Trace, Fields)> {
    let Some(object) = object_in(text) else {
        let mut texts = quoted_texts(text).into_iter();
        let quoted = texts.find_map(|quoted| from_text(&quoted, true, &read_text));
        let trace = quoted.or_else(|| from_escaped(text, read_text))?;
        return Some((trace, Fields::new()));
    };
    let mut places = Vec::new();
    collect(&object, &mut Vec::new(), &mut places);
    places.sort_by_key(|place| !place.is_stack);
    let mut best: Option<(Trace, &Place<'_>)> = None;
    for place in &places {
        let trace = match place.value {
            Value::String(text) if text.contains('\n') => from_text(text, place.is_stack, &read_text),
            Value::Array(items) if place.is_stack => match text_of_lines(items) {
                Some(text) => from_text(&text, true, &read_text),
                None => from_frames(items),
            },
            Value::Object(fields) if place.is_stack => from_thrown(fields),
            _ => None,
        };
        let Some(trace) = trace.or_else(|| headless(place, &read_text)) else { continue };
        if best.as_ref().is_none_or(|(known, _)| known.frames.len() < trace.frames.len()) {
            best = Some((trace, place));
        }
    }
    let (mut trace, place) = best?;
    complete(&mut trace, &place.parents);
    let mut fields = Fields::new();
    json_fields::describe(&object, &mut fields);
    Some((trace, fields))
}

/// A stack whose type and message stand in the fields beside it.
fn headless(place: &Place<'_>, read_text: impl Fn(&str) -> Vec<Found>) -> Option<Trace> {
    if !place.is_stack || json_beside::is_cause(&place.parents) {
        return None;
    }
    let text = json_beside::with_head(place.value, &place.parents)?;
    let mut trace = from_text(&text, false, read_text)?;
    if trace.cause_chain.is_empty() {
        trace.cause_chain = json_beside::causes(&place.parents);
    }
    Some(trace)
}

/// A stack that is a list of its lines.
fn text_of_lines(items: &[Value]) -> Option<String> {
    let lines: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    lines.filter(|lines| lines.len() > 1).map(|lines| lines.join("\n"))
}

/// The values of `key="…"` pairs that hold a text of several lines (logfmt, structlog's key-value renderer).
fn quoted_texts(text: &str) -> Vec<String> {
    static PAIR: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r#"(?:=|[A-Za-z_]": ?)(?:"((?:[^"\\]|\\.)*\\n(?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*\\n(?:[^'\\]|\\.)*)')"#)
    });
    if !text.contains("\\n") {
        return Vec::new();
    }
    PAIR.captures_iter(text).filter_map(|c| Some(unescape(c.get(1).or(c.get(2))?.as_str()))).collect()
}

fn unescape(quoted: &str) -> String {
    let mut plain = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') | None => {}
            Some(other) => plain.push(other),
        }
    }
    plain
}

/// A report that was squeezed into one line: rsyslog writes `#012` for a line feed, others `\n`, some inside quotes.
fn from_escaped(text: &str, read_text: impl Fn(&str) -> Vec<Found>) -> Option<Trace> {
    const HEADER: &str = "Traceback (most recent call last):";
    let start = text.find(HEADER)?;
    let (before, report) = text.split_at(start);
    let report = match before.chars().next_back() {
        // Up to the closing quote, which is not escaped.
        Some(quote @ ('"' | '\'')) => {
            let mut escaped = false;
            let end = report.char_indices().find_map(|(at, c)| {
                let closes = c == quote && !escaped;
                escaped = c == '\\' && !escaped;
                closes.then_some(at)
            });
            report.get(..end.unwrap_or(report.len())).unwrap_or(report)
        }
        _ => report,
    };
    let plain = match report.get(HEADER.len()..)? {
        rest if rest.starts_with("#012") => report.replace("#012", "\n").replace("#011", "\t"),
        rest if rest.starts_with("\\n") => unescape(report),
        _ => return None,
    };
    from_text(&plain, false, read_text).filter(|trace| trace.exception.is_some() && !trace.frames.is_empty())
}

struct Place<'v> {
    value: &'v Value,
    is_stack: bool,
    /// The objects around it, outermost first.
    parents: Vec<&'v Map<String, Value>>,
}

fn object_in(text: &str) -> Option<Map<String, Value>> {
    let text = text.trim_end();
    if !text.ends_with('}') {
        return None;
    }
    let starts = text.match_indices('{').map(|(at, _)| at).take(MAX_STARTS);
    starts.filter_map(|at| serde_json::from_str(text.get(at..)?).ok()).next()
}

fn collect<'v>(object: &'v Map<String, Value>, parents: &mut Vec<&'v Map<String, Value>>, places: &mut Vec<Place<'v>>) {
    if parents.len() >= MAX_DEPTH {
        return;
    }
    parents.push(object);
    for (name, value) in object {
        let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
        places.push(Place { value, is_stack: STACK_FIELDS.contains(&last.as_str()), parents: parents.clone() });
        match value {
            Value::Object(inner) => collect(inner, parents, places),
            // Sentry's events: `exception: {values: [{type, value, stacktrace}]}`.
            Value::Array(items) => {
                for inner in items.iter().filter_map(Value::as_object).take(MAX_ITEMS) {
                    collect(inner, parents, places);
                }
            }
            _ => {}
        }
    }
    parents.pop();
}

fn from_text(text: &str, is_stack: bool, read_text: impl Fn(&str) -> Vec<Found>) -> Option<Trace> {
    // Loggers that colour what they print colour the field too.
    let plain = ansi::strip(text.as_bytes());
    let text = String::from_utf8_lossy(&plain);
    let text = text.as_ref();
    let traces = read_text(text).into_iter().map(|found| found.trace);
    let mut trace = traces.reduce(|best, trace| if trace.frames.len() > best.frames.len() { trace } else { best });
    if trace.is_none() && is_stack {
        trace = from_go_stack(text);
    }
    let mut trace = trace?;
    trace.text = text.chars().take(Trace::MAX_TEXT / 4).collect();
    Some(trace)
}

/// Function and place in turns, as zap and `pkg/errors` write a Go stack without a header.
fn from_go_stack(text: &str) -> Option<Trace> {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+(\S.*\.(?:go|s)):(\d+)(?: \+0x[0-9a-f]+)?$"));
    let lines: Vec<&str> = text.lines().collect();
    let mut frames = Vec::new();
    for pair in lines.windows(2) {
        let [name, place] = pair else { continue };
        let Some(c) = PLACE.captures(place) else { continue };
        let function = name.trim().strip_suffix("(...)").unwrap_or(name.trim());
        frames.push(frame(
            Language::Go,
            c.get(1).map(|m| m.as_str()),
            c.get(2).and_then(|m| m.as_str().parse().ok()),
            Some(function).filter(|function| !function.is_empty()),
        ));
    }
    with_frames(Language::Go, frames)
}

/// A list of frames: zerolog's `pkgerrors` marshaler, structlog's `dict_tracebacks`, log4j's `extendedStackTrace`.
fn from_frames(items: &[Value]) -> Option<Trace> {
    if let Some(Value::Object(first)) = items.first()
        && let Some(Value::Array(frames)) = first.get("frames")
    {
        return from_stacks(items, first, frames);
    }
    let objects: Vec<&Map<String, Value>> = items.iter().filter_map(Value::as_object).collect();
    let files: Vec<String> =
        objects.iter().filter_map(|item| string(item, &["file", "source", "filename", "fileName", "path"])).collect();
    let language = files.iter().find_map(|file| language_of(file))?;
    let frames = objects.into_iter().filter_map(|item| {
        let file = string(item, &["file", "source", "filename", "fileName", "path"]);
        let function = string(item, &["func", "function", "method", "name", "methodName"]);
        let class = string(item, &["class", "className", "declaringClass"]);
        let function = match (class, function) {
            (Some(class), Some(function)) => Some(format!("{class}.{function}")),
            (None, function) => function,
            (class, None) => class,
        };
        let line = string(item, &["line", "lineno", "lineNumber", "line_number"]).and_then(|line| line.parse().ok());
        (file.is_some() || function.is_some()).then(|| frame(language, file.as_deref(), line, function.as_deref()))
    });
    with_frames(language, frames.collect())
}

/// A list of exceptions, each with its frames, as structlog writes it: the reported one first, its causes behind it.
fn from_stacks(items: &[Value], first: &Map<String, Value>, frames: &[Value]) -> Option<Trace> {
    let mut trace = from_frames(frames)?;
    trace.exception = string(first, &["exc_type", "type", "name"]);
    trace.message = string(first, &["exc_value", "value", "message"]).unwrap_or_default();
    let mut direct = true;
    for stack in items.iter().skip(1).filter_map(Value::as_object) {
        trace.cause_chain.extend(string(stack, &["exc_type", "type", "name"]));
        let start = trace.frames.len();
        let Some(inner) = stack.get("frames").and_then(Value::as_array).and_then(|frames| from_frames(frames)) else {
            continue;
        };
        trace.frames.extend(inner.frames);
        // Where one follows directly from the next, a person looks at the last.
        direct &= stack.get("is_cause").and_then(Value::as_bool).unwrap_or(true);
        if direct && let Some(top) = inner.in_app_top {
            trace.in_app_top = Some(start + top);
        }
    }
    Some(trace)
}

/// log4j's `thrown` object, and others that keep the frames beside the type.
fn from_thrown(fields: &Map<String, Value>) -> Option<Trace> {
    let frames = ["extendedStackTrace", "stackTrace", "stack_trace", "frames", "stack"]
        .iter()
        .find_map(|name| fields.get(*name).and_then(Value::as_array))?;
    let mut trace = from_frames(frames)?;
    trace.exception = string(fields, &["name", "type", "class", "className"]);
    trace.message = string(fields, &["message", "localizedMessage", "value"]).unwrap_or_default();
    Some(trace)
}

/// Fills in the type and the message from the fields beside the stack.
fn complete(trace: &mut Trace, parents: &[&Map<String, Value>]) {
    // A report that names the type has said all it knows: its message is empty.
    let told = trace.exception.is_some();
    for (depth, fields) in parents.iter().enumerate().rev() {
        let outermost = depth == 0;
        if trace.exception.is_none() {
            let named = if outermost {
                string(
                    fields,
                    &["error.type", "exception.type", "exc_type", "exception_class", "error_type", "err.type"],
                )
            } else {
                string(fields, &["type", "name", "class", "exc_type", "exception_class"])
            };
            trace.exception = named;
        }
        if trace.message.is_empty() && !told {
            let names: &[&str] = if outermost {
                &["error", "err", "panic", "error.message", "exception.message", "msg", "message"]
            } else {
                &["message", "msg", "value", "exc_value"]
            };
            trace.message = string(fields, names).unwrap_or_default();
        }
    }
}

fn with_frames(language: Language, frames: Vec<TraceFrame>) -> Option<Trace> {
    if frames.is_empty() {
        return None;
    }
    // Python prints the newest call last.
    let in_app_top = match language {
        Language::Python => frames.iter().rposition(|frame| frame.in_app),
        _ => frames.iter().position(|frame| frame.in_app),
    };
    Some(Trace {
        language,
        exception: None,
        message: String::new(),
        frames,
        in_app_top,
        cause_chain: Vec::new(),
        text: String::new(),
        cut: false,
    })
}

fn frame(language: Language, file: Option<&str>, line: Option<u32>, function: Option<&str>) -> TraceFrame {
    TraceFrame {
        file: file.map(str::to_owned),
        line,
        function: function.map(str::to_owned),
        in_app: is_app(language, file, function),
    }
}

fn language_of(file: &str) -> Option<Language> {
    let (_, extension) = file.rsplit_once('.')?;
    Some(match extension {
        "py" | "pyx" => Language::Python,
        "go" => Language::Go,
        "rs" => Language::Rust,
        "java" => Language::Java,
        "kt" => Language::Kotlin,
        "scala" => Language::Scala,
        "js" | "mjs" | "cjs" | "jsx" => Language::Javascript,
        "ts" | "tsx" | "mts" => Language::Typescript,
        "c" | "cc" | "cpp" | "cxx" | "h" | "hpp" => Language::Cpp,
        "cs" | "fs" | "vb" => Language::Dotnet,
        "rb" => Language::Ruby,
        "php" => Language::Php,
        _ => return None,
    })
}

/// The first of these fields that is a text or a number.
fn string(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match fields.get(*name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}
