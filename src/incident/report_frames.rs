//! The frames of a report: the function around each frame of the application, one line for each frame of a library.

use std::fmt::Write as _;

use super::report_view::FrameView;
use super::report_words::fence_language;
use super::safe_text::{code, fence, prose, safe_name};
use crate::frame::SourceFrame;

/// Frames of the application that are shown with their source in `report.md`; all are in `frames/`.
const MAX_WITH_SOURCE: usize = 8;
/// Frames that get one line.
const MAX_STUBS: usize = 12;

/// The section "Where", empty when there are no frames.
pub(super) fn section(frames: &[FrameView]) -> String {
    let mut out = String::new();
    if frames.is_empty() {
        return out;
    }
    out.push_str("## Where\n\n");
    let (application, library): (Vec<&FrameView>, Vec<&FrameView>) = frames.iter().partition(|frame| frame.in_app);
    if application.is_empty() {
        out.push_str("No frame of the trace is in the application's own code.\n\n");
    }
    for frame in application.iter().take(MAX_WITH_SOURCE) {
        let _ = writeln!(out, "### {}\n", place(frame));
        out.push_str(&body(frame));
        out.push('\n');
    }
    let rest = application.get(MAX_WITH_SOURCE..).unwrap_or_default();
    stubs(&mut out, "More frames of the application", rest);
    stubs(&mut out, "Library frames", &library);
    out
}

/// The text of `frames/NN-<file>.md`.
pub fn frame_file(frame: &FrameView) -> String {
    format!("# {}\n\n{}", place(frame), body(frame))
}

/// Name of the file of the `number`-th frame (from 1): `01-config.py.md`.
pub fn frame_file_name(number: usize, file: &str) -> String {
    format!("{number:02}-{}.md", safe_name(file))
}

fn stubs(out: &mut String, title: &str, frames: &[&FrameView]) {
    if frames.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}:\n");
    for frame in frames.iter().take(MAX_STUBS) {
        let _ = writeln!(out, "- {}", place(frame));
    }
    if let Some(more) = frames.len().checked_sub(MAX_STUBS).filter(|more| *more > 0) {
        let _ = writeln!(out, "- … and {more} more, see `trace.txt`");
    }
    out.push('\n');
}

/// The function as the trace names it, else as the source does.
pub(super) fn function(frame: &FrameView) -> Option<&str> {
    frame.function.as_deref().or_else(|| frame.source.as_ref()?.function.as_deref())
}

/// `` `load` in `app/config.py`, line 42 ``.
pub(super) fn place(frame: &FrameView) -> String {
    let file = frame.file.as_deref().map(code);
    let line = frame.line.map(|line| format!(", line {line}")).unwrap_or_default();
    match (function(frame).map(code), file) {
        (Some(function), Some(file)) => format!("{function} in {file}{line}"),
        (Some(function), None) => function,
        (None, Some(file)) => format!("{file}{line}"),
        (None, None) => "a frame without a name".to_owned(),
    }
}

fn body(frame: &FrameView) -> String {
    let mut out = String::new();
    if let Some(source) = &frame.source {
        if let Some(enclosing) = &source.enclosing {
            let _ = writeln!(out, "In {}:\n", code(enclosing));
        }
        if !source.lines.is_empty() {
            out.push_str(&fence(fence_language(source.language), &listing(source)));
        }
    }
    let notes = [frame.source.as_ref().and_then(|source| source.note.as_deref()), frame.note.as_deref()];
    for note in notes.into_iter().flatten() {
        if !out.is_empty() && !out.ends_with("\n\n") {
            out.push('\n');
        }
        let _ = writeln!(out, "({})", prose(note));
    }
    if out.is_empty() {
        out.push_str("(no source)\n");
    }
    out
}

/// Lines with numbers; `>>>` marks the line of the frame, `...` stands for lines that are left out.
fn listing(source: &SourceFrame) -> String {
    let width = source.lines.last().map_or(1, |line| line.number.to_string().len());
    let mut out = String::new();
    let mut previous = None;
    for line in &source.lines {
        if previous.is_some_and(|previous: u32| previous.saturating_add(1) != line.number) {
            let _ = writeln!(out, "    {:>width$}", "...");
        }
        let mark = if line.hot { ">>>" } else { "   " };
        let _ = writeln!(out, "{}", format!("{mark} {:>width$} | {}", line.number, line.text).trim_end());
        previous = Some(line.number);
    }
    out
}
