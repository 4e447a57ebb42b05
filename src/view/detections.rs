//! What `sentry scan` shows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Palette, clean, one_line};
use crate::detect::{Detection, Language, Role, Severity, Trace, TraceFrame};

/// One line of `sentry scan --json`.
#[derive(Debug, Serialize)]
pub struct DetectionJson<'a> {
    /// Version of this form: 1.
    pub schema: u32,
    /// The log, as named by who asked; `-` is the standard input.
    pub file: &'a str,
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
    /// The trace was cut off: by the end of the stream, by another line, by a cap.
    pub cut: bool,
    /// Name of the known failure class; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<&'a str>,
    /// What it means for the other failures around it: `root`, `confirmation`, `cascade`, `diagnostic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// It explains an end and is no failure of a program that goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_if_ended: bool,
    /// Groups of the regular expression, and what a prefix says (`rank`).
    pub captures: &'a BTreeMap<String, String>,
}

/// For programs.
pub fn json<'a>(file: &'a str, detection: &'a Detection) -> DetectionJson<'a> {
    let trace = detection.trace.as_ref();
    DetectionJson {
        schema: 1,
        file,
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
        cut: trace.is_some_and(|trace| trace.cut),
        class: detection.class.as_ref().map(|class| class.name.as_str()),
        role: detection.class.as_ref().map(|class| class.role.as_str()),
        only_if_ended: detection.class.as_ref().is_some_and(|class| class.only_if_ended),
        captures: &detection.captures,
    }
}

/// Frames shown of one trace; the rest is counted.
const MAX_FRAMES: usize = 30;
/// Lines shown of one trace: its beginning and its end, where the message and the innermost frames are.
const MAX_TRACE: usize = 40;

/// For people: place, detector, what it says; for a trace also its causes, its frames as printed with `>` where to look
/// first, and its lines.
pub fn text(source: &str, detection: &Detection, palette: Palette) -> String {
    let Detection { detector, severity, lines: (first, last), message, trace, .. } = detection;
    let lines = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let place = palette.bold(format!("{}:{lines}", one_line(source)));
    let word = match severity {
        Severity::Info => palette.dim(severity.as_str()),
        Severity::Warning => palette.warn(severity.as_str()),
        Severity::Error | Severity::Critical => palette.bad(severity.as_str()),
    };
    let Some(trace) = trace else {
        let role = detection.class.as_ref().map(|class| class.role).filter(|role| *role != Role::Root);
        let role = role.map_or(String::new(), |role| format!(" ({})", role.as_str()));
        return format!("{place}  {word}  {detector}{role}  {}\n", one_line(message));
    };
    // Only the first line: the whole message may have hundreds.
    let first_line = one_line(trace.message.lines().next().unwrap_or_default());
    let head = match (&trace.exception, first_line.as_str()) {
        (Some(exception), "") => one_line(exception),
        (Some(exception), message) => format!("{}: {message}", one_line(exception)),
        (None, message) => message.to_owned(),
    };
    let mut text = format!("{place}  {word}  {detector}  {head}\n");
    if !trace.cause_chain.is_empty() {
        let causes: Vec<String> = trace.cause_chain.iter().map(|cause| one_line(cause)).collect();
        let _ = writeln!(text, "    caused by {}", causes.join(", "));
    }
    frames(trace, palette, &mut text);
    quote(trace, palette, &mut text);
    text
}

fn frames(trace: &Trace, palette: Palette, text: &mut String) {
    let count = super::words::count(trace.frames.len() as u64, "frame");
    let of = if trace.in_app_top.is_none() && !trace.frames.is_empty() { ", none of the application" } else { "" };
    let _ = writeln!(text, "    {}", palette.dim(format!("{}, {count}{of}", trace.language.name())));
    // Around the one to look at first: it is what a cut must not take away.
    let from = trace.in_app_top.map_or(0, |top| top.saturating_sub(MAX_FRAMES / 2));
    let from = from.min(trace.frames.len().saturating_sub(MAX_FRAMES));
    gap(from, palette, text);
    let rest = trace.frames.len().saturating_sub(from.saturating_add(MAX_FRAMES));
    for (index, frame) in trace.frames.iter().enumerate().skip(from).take(MAX_FRAMES) {
        let line = if trace.in_app_top == Some(index) {
            format!("    {} {}", palette.bad(">"), frame_words(frame, palette))
        } else if frame.in_app {
            format!("      {}", frame_words(frame, palette))
        } else {
            format!("      {}", palette.dim(frame_words(frame, Palette::plain())))
        };
        let _ = writeln!(text, "{line}");
    }
    gap(rest, palette, text);
}

fn gap(left_out: usize, palette: Palette, text: &mut String) {
    if left_out > 0 {
        let _ = writeln!(text, "      {}", palette.dim(format!("… {}", super::words::count(left_out as u64, "frame"))));
    }
}

fn quote(trace: &Trace, palette: Palette, text: &mut String) {
    let lines: Vec<&str> = trace.text.lines().collect();
    let half = MAX_TRACE / 2;
    let left_out = lines.len().saturating_sub(MAX_TRACE);
    for (index, line) in lines.iter().enumerate() {
        if left_out > 0 && index == half {
            let _ =
                writeln!(text, "    {}", palette.dim(format!("| … {}", super::words::count(left_out as u64, "line"))));
        }
        if left_out > 0 && (half..half.saturating_add(left_out)).contains(&index) {
            continue;
        }
        let _ = writeln!(text, "    {}", palette.dim(format!("| {}", clean(line)).trim_end()));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::DetectorKind;
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
            class: None,
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
            text: "Traceback (most recent call last):\n  File \"/srv/app/x.py\", line 3, in load\nKeyError: 'port'\u{1b}[2J\n".to_owned(),
            cut: false,
        }
    }

    #[test]
    fn long_traces_are_cut_around_what_matters() {
        let mut long = trace();
        long.frames = (0..100).map(|line| TraceFrame { line: Some(line), ..long.frames[0].clone() }).collect();
        long.in_app_top = Some(60);
        long.text = (0..100).map(|line| format!("line {line}\n")).collect();
        let page = text("train.log", &detection(Some(long)), Palette::plain());
        let lines: Vec<&str> = page.lines().map(str::trim).collect();
        assert!(lines.contains(&"… 45 frames") && lines.contains(&"… 25 frames"), "{page}");
        assert!(lines.contains(&"> /srv/app/x.py:60 in load"), "{page}");
        assert!(
            lines.contains(&"| … 60 lines") && lines.contains(&"| line 0") && lines.contains(&"| line 99"),
            "{page}"
        );
        assert_eq!(lines.len(), 3 + MAX_FRAMES + 2 + MAX_TRACE + 1);
    }

    #[test]
    fn text_and_json() {
        let page =
            [Some(trace()), None, Some(Trace { in_app_top: None, exception: None, cause_chain: vec![], ..trace() })]
                .map(|trace| text("train.log", &detection(trace), Palette::plain()));
        insta::assert_snapshot!(page.concat(), @r#"
        train.log:12-17  error  traceback  KeyError: 'port'
            caused by ValueError
            Python, 2 frames
            > /srv/app/x.py:3 in load
              /usr/lib/y.py:9 in get
            | Traceback (most recent call last):
            |   File "/srv/app/x.py", line 3, in load
            | KeyError: 'port'
        train.log:4  error  oom  CUDA out of memory
        train.log:12-17  error  traceback  'port'
            Python, 2 frames, none of the application
              /srv/app/x.py:3 in load
              /usr/lib/y.py:9 in get
            | Traceback (most recent call last):
            |   File "/srv/app/x.py", line 3, in load
            | KeyError: 'port'
        "#);
        insta::assert_snapshot!(serde_json::to_string(&json("train.log", &detection(Some(trace())))).unwrap(), @r#"{"schema":1,"file":"train.log","detector":"traceback","kind":"traceback","severity":"error","language":"python","exception":"KeyError","message":"'port'\nsecond line","start_line":12,"end_line":17,"frames":[{"file":"/srv/app/x.py","line":3,"function":"load","in_app":true},{"file":"/usr/lib/y.py","line":9,"function":"get","in_app":false}],"in_app_top":0,"cause_chain":["ValueError"],"cut":false,"captures":{}}"#);
        insta::assert_snapshot!(serde_json::to_string(&json("-", &detection(None))).unwrap(), @r#"{"schema":1,"file":"-","detector":"oom","kind":"pattern","severity":"error","language":null,"exception":null,"message":"CUDA out of memory\u001b[2J","start_line":4,"end_line":4,"frames":[],"in_app_top":null,"cause_chain":[],"cut":false,"captures":{}}"#);
    }
}
