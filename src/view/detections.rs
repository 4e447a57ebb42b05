//! What `sentry scan` shows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::status::severity_word;
use super::{Palette, one_line};
use crate::detect::{Detection, Language, Severity, TraceFrame};

/// One line of `sentry scan --json`.
#[derive(Debug, Serialize)]
pub struct DetectionJson<'a> {
    /// Version of this form: 1.
    pub schema: u32,
    /// Name of the detector.
    pub detector: &'a str,
    /// Its kind: `pattern`, `traceback`.
    pub kind: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Language of the trace; `null` where there is no trace.
    pub language: Option<Language>,
    /// Exception type as printed; `null` where none is printed.
    pub exception: Option<&'a str>,
    /// Message without the type; the matched text of a pattern.
    pub message: &'a str,
    /// First line, from 1.
    pub start_line: u64,
    /// Last line, inclusive.
    pub end_line: u64,
    /// Frames in the order printed.
    pub frames: &'a [TraceFrame],
    /// Index into `frames`: where to look first.
    pub in_app_top: Option<usize>,
    /// Types of the causes, nearest first.
    pub cause_chain: &'a [String],
    /// Groups of the regular expression, and what a prefix says (`rank`).
    pub captures: &'a BTreeMap<String, String>,
}

/// For programs.
pub fn json(detection: &Detection) -> DetectionJson<'_> {
    let trace = detection.trace.as_ref();
    DetectionJson {
        schema: 1,
        detector: detection.detector.as_str(),
        kind: detection.kind.as_str(),
        severity: detection.severity,
        language: trace.map(|trace| trace.language),
        exception: trace.and_then(|trace| trace.exception.as_deref()),
        message: trace.map_or(detection.message.as_str(), |trace| trace.message.as_str()),
        start_line: detection.lines.0,
        end_line: detection.lines.1,
        frames: trace.map_or(&[], |trace| trace.frames.as_slice()),
        in_app_top: trace.and_then(|trace| trace.in_app_top),
        cause_chain: trace.map_or(&[], |trace| trace.cause_chain.as_slice()),
        captures: &detection.captures,
    }
}

/// For people: place, detector, what it says; for a trace also where to look first and what it was caused by.
pub fn text(source: &str, detection: &Detection, palette: Palette) -> String {
    let Detection { detector, severity, lines: (first, last), message, trace, .. } = detection;
    let lines = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let place = palette.bold(format!("{}:{lines}", one_line(source)));
    let word = match severity {
        Severity::Info => palette.dim(severity_word(*severity)),
        Severity::Warning => palette.warn(severity_word(*severity)),
        Severity::Error | Severity::Critical => palette.bad(severity_word(*severity)),
    };
    let Some(trace) = trace else {
        return format!("{place}  {word}  {detector}  {}\n", one_line(message));
    };
    // Only the first line: the whole message may have hundreds.
    let first_line = one_line(trace.message.lines().next().unwrap_or_default());
    let head = match (&trace.exception, first_line.as_str()) {
        (Some(exception), "") => one_line(exception),
        (Some(exception), message) => format!("{}: {message}", one_line(exception)),
        (None, message) => message.to_owned(),
    };
    let mut text = format!("{place}  {word}  {detector}  {head}\n");
    let frames = super::words::count(trace.frames.len() as u64, "frame");
    let language = language_word(trace.language);
    if let Some(frame) = trace.in_app_top.and_then(|top| trace.frames.get(top)) {
        let _ = writeln!(
            text,
            "    at {}  {}",
            frame_words(frame, palette),
            palette.dim(format!("({language}, {frames})"))
        );
    } else {
        let _ = writeln!(text, "    {}", palette.dim(format!("{language}, {frames}, none of the application")));
    }
    if !trace.cause_chain.is_empty() {
        let causes: Vec<String> = trace.cause_chain.iter().map(|cause| one_line(cause)).collect();
        let _ = writeln!(text, "    caused by {}", causes.join(", "));
    }
    text
}

fn frame_words(frame: &TraceFrame, palette: Palette) -> String {
    let mut place = one_line(frame.file.as_deref().unwrap_or("?"));
    if let Some(line) = frame.line {
        let _ = write!(place, ":{line}");
    }
    match &frame.function {
        Some(function) => format!("{} in {}", palette.name(place), palette.name(one_line(function))),
        None => palette.name(place),
    }
}

fn language_word(language: Language) -> &'static str {
    match language {
        Language::Python => "Python",
        Language::Javascript => "JavaScript",
        Language::Typescript => "TypeScript",
        Language::Go => "Go",
        Language::Rust => "Rust",
        Language::Java => "Java",
        Language::Kotlin => "Kotlin",
        Language::Scala => "Scala",
        Language::Cpp => "C/C++",
        Language::Shell => "shell",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{DetectorKind, Trace};
    use crate::ids::{DetectorName, StreamId};

    fn detection(trace: Option<Trace>) -> Detection {
        Detection {
            detector: DetectorName::new(if trace.is_some() { "traceback" } else { "oom" }),
            kind: if trace.is_some() { DetectorKind::Traceback } else { DetectorKind::Pattern },
            severity: Severity::Error,
            stream: StreamId::new("scan"),
            bytes: 10..200,
            lines: if trace.is_some() { (12, 17) } else { (4, 4) },
            message: "CUDA out of memory\u{1b}[2J".to_owned(),
            captures: BTreeMap::new(),
            trace,
        }
    }

    fn trace() -> Trace {
        let frame = |file: &str, line, function: &str, in_app| TraceFrame {
            file: Some(file.to_owned()),
            line: Some(line),
            function: Some(function.to_owned()),
            in_app,
        };
        Trace {
            language: Language::Python,
            exception: Some("KeyError".to_owned()),
            message: "'port'\nsecond line".to_owned(),
            frames: vec![frame("/srv/app/x.py", 3, "load", true), frame("/usr/lib/y.py", 9, "get", false)],
            in_app_top: Some(0),
            cause_chain: vec!["ValueError".to_owned()],
            text: String::new(),
            cut: false,
        }
    }

    #[test]
    fn text_and_json() {
        let page =
            [Some(trace()), None, Some(Trace { in_app_top: None, exception: None, cause_chain: vec![], ..trace() })]
                .map(|trace| text("train.log", &detection(trace), Palette::plain()));
        insta::assert_snapshot!(page.concat(), @r"
        train.log:12-17  error  traceback  KeyError: 'port'
            at /srv/app/x.py:3 in load  (Python, 2 frames)
            caused by ValueError
        train.log:4  error  oom  CUDA out of memory
        train.log:12-17  error  traceback  'port'
            Python, 2 frames, none of the application
        ");
        insta::assert_snapshot!(serde_json::to_string(&json(&detection(Some(trace())))).unwrap(), @r#"{"schema":1,"detector":"traceback","kind":"traceback","severity":"error","language":"python","exception":"KeyError","message":"'port'\nsecond line","start_line":12,"end_line":17,"frames":[{"file":"/srv/app/x.py","line":3,"function":"load","in_app":true},{"file":"/usr/lib/y.py","line":9,"function":"get","in_app":false}],"in_app_top":0,"cause_chain":["ValueError"],"captures":{}}"#);
        insta::assert_snapshot!(serde_json::to_string(&json(&detection(None))).unwrap(), @r#"{"schema":1,"detector":"oom","kind":"pattern","severity":"error","language":null,"exception":null,"message":"CUDA out of memory\u001b[2J","start_line":4,"end_line":4,"frames":[],"in_app_top":null,"cause_chain":[],"captures":{}}"#);
    }
}
