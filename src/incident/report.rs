//! `report.md`: what a stranger reads first.
//!
//! Everything that came from a log, a trace, a file or a person is in a code span or a fence, or goes through
//! [`prose`]; see `safe_text.rs`. Secrets have been replaced before ([`ReportView::redact`]).

use std::fmt::Write as _;

use super::IncidentKind;
use super::report_frames;
use super::report_view::{Changes, CommitView, Configuration, NewLines, ReportView};
use super::report_words::{category_words, exit_words, verdict_words, what_was_seen, when};
use super::safe_text::{code, code_cell, fence, prose};
use crate::config::command_line;
use crate::detect::DetectorKind;

/// Lines of the trace that are shown; the rest is in `trace.txt`.
const MAX_TRACE_LINES: usize = 120;
/// Lines of the log that are shown; more are in `log_excerpt.txt`.
const MAX_LOG_LINES: usize = 20;
/// Ranks and other writers that are named.
const MAX_WRITERS: usize = 8;
/// Files and commits that are listed.
const MAX_LISTED: usize = 20;

/// Renders the whole report.
pub fn render(view: &ReportView) -> String {
    let mut out = String::with_capacity(8 * 1024);
    title(&mut out, view);
    header(&mut out, view);
    what_happened(&mut out, view);
    what_was_done(&mut out, view);
    out.push_str(&report_frames::section(&view.frames));
    match view.incident.kind {
        IncidentKind::Error => trace(&mut out, view),
        IncidentKind::Anomaly => recent_values(&mut out, view),
    }
    changes(&mut out, &view.changes);
    configuration(&mut out, &view.configuration);
    log(&mut out, view);
    let kept = out.trim_end().len();
    out.truncate(kept);
    out.push('\n');
    out
}

/// `` # `KeyError: 'port'` in `load` (`app/config.py`, line 42) ``.
fn title(out: &mut String, view: &ReportView) {
    let _ = write!(out, "# {}", code(&view.incident.message));
    if let Some(top) = view.frames.first().filter(|frame| frame.in_app) {
        if let Some(function) = report_frames::function(top) {
            let _ = write!(out, " in {}", code(function));
        }
        if let Some(file) = &top.file {
            let line = top.line.map(|line| format!(", line {line}")).unwrap_or_default();
            let _ = write!(out, " ({}{line})", code(file));
        }
    }
    out.push_str("\n\n");
}

fn header(out: &mut String, view: &ReportView) {
    let incident = &view.incident;
    let root = &incident.root;
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "| {name} | {value} |");
    };
    row("Incident", code_cell(incident.id.as_str()));
    row("---", "---".to_owned());
    row("When", when(incident.utc));
    row("Where", format!("run {}, child {}", code_cell(incident.run.as_str()), incident.child));
    row("Detected by", format!("{} ({})", code_cell(root.detector.as_str()), root.kind.as_str()));
    row("Severity", incident.severity.as_str().to_owned());
    row("Category", format!("{}: {}", incident.category.as_str(), category_words(incident.category)));
    if let Some(class) = &incident.class {
        row("Known as", format!("{} ({})", code_cell(class.name.as_str()), class.role.as_str()));
    }
    if let Some(copies) = &incident.copies {
        let others = copies.writers.len().saturating_sub(1);
        let more = if others == 1 { "another".to_owned() } else { format!("{others} others") };
        row("First printed by", format!("{}, then by {more}", code_cell(&copies.first.name())));
    }
    row("Fingerprint", code_cell(incident.fingerprint.as_str()));
    if let Some(exit) = &incident.exit {
        row("Exit", prose(&exit_words(exit)));
    }
    row("Outcome", outcome(view));
    out.push('\n');
}

/// The last word in one line.
fn outcome(view: &ReportView) -> String {
    match (view.incident.actions.last(), &view.incident.not_acted) {
        (Some(action), _) => {
            let how = match (&action.verdict, view.verify_until) {
                (Some(fallen), _) => fallen.verdict.as_str().to_owned(),
                (None, Some(until)) => format!("being verified until {}", when(until)),
                (None, None) => "being verified".to_owned(),
            };
            format!("{}: {how}", code_cell(&action.action))
        }
        (None, Some(why)) => format!("nothing was done: {}", prose(why)),
        (None, None) => "open".to_owned(),
    }
}

fn what_happened(out: &mut String, view: &ReportView) {
    let incident = &view.incident;
    out.push_str("## What happened\n\n");
    out.push_str(&what_was_seen(incident));
    if let Some(trace) = &incident.root.trace {
        if let Some(frame) = view.frames.first() {
            let whose = if frame.in_app { "The place to look first is" } else { "It was raised in library code," };
            let _ = write!(out, " {whose} {}.", report_frames::place(frame));
        }
        if !trace.cause_chain.is_empty() {
            let causes: Vec<String> = trace.cause_chain.iter().take(8).map(|cause| code(cause)).collect();
            let _ = write!(out, " It was caused by {}.", causes.join(", which was caused by "));
        }
        if trace.cut {
            out.push_str(" The trace was cut off.");
        }
    }
    if let Some(copies) = &incident.copies {
        let first = code(&copies.first.name());
        let writers = copies.writers.len();
        let _ =
            write!(out, " It was printed by {writers} writers, first by {first}: {}.", code(&copies.list(MAX_WRITERS)));
    }
    if let Some(exit) = &incident.exit {
        let _ = write!(out, " The child {}.", prose(&exit_words(exit)));
    }
    out.push_str("\n\n");
    if !incident.counted.is_empty() {
        out.push_str("Also counted in this incident:\n\n");
        for counted in incident.counted.iter().take(MAX_LISTED) {
            let times = if counted.count == 1 { String::new() } else { format!(" {} times", counted.count) };
            let line = if counted.line == 0 { String::new() } else { format!(", first on line {}", counted.line) };
            let what = match counted.kind {
                DetectorKind::ExitCode => "the exit",
                DetectorKind::Pattern => "a pattern",
                DetectorKind::Traceback => "a stack trace",
                DetectorKind::Stall => "a stall",
                DetectorKind::Metric => "an odd value",
                DetectorKind::Rate => "too many matches",
                DetectorKind::Resource => "a resource at its limit",
                DetectorKind::Http | DetectorKind::Tcp | DetectorKind::Command => "a failed probe",
                DetectorKind::Catalogue => "a known failure",
            };
            let detector = code(counted.detector.as_str());
            let _ = writeln!(out, "- {what}{times} by {detector}{line}: {}", code(&counted.message));
        }
        more(out, incident.counted.len());
        out.push('\n');
    }
}

fn what_was_done(out: &mut String, view: &ReportView) {
    let incident = &view.incident;
    out.push_str("## What was done and how it turned out\n\n");
    for action in &incident.actions {
        let _ = write!(
            out,
            "- {}: {} decided {} (attempt {})",
            when(action.utc),
            code(&action.healer),
            code(&action.action),
            action.attempt.0
        );
        for detail in &action.details {
            let _ = write!(out, "\n  - {}", code(detail));
        }
        let _ = match (&action.verdict, view.verify_until) {
            (Some(fallen), _) => write!(
                out,
                "\n  - **{}** on {}: {} ({})",
                fallen.verdict.as_str(),
                when(fallen.utc),
                verdict_words(fallen.verdict),
                prose(&fallen.why)
            ),
            (None, Some(until)) => write!(out, "\n  - being verified until {}", when(until)),
            (None, None) => write!(out, "\n  - being verified"),
        };
        out.push('\n');
    }
    match &incident.not_acted {
        Some(why) => {
            let lead = if incident.actions.is_empty() { "Nothing was done" } else { "\nNothing more was done" };
            let _ = writeln!(out, "{lead}: {}.", prose(why.trim_end_matches('.')));
        }
        None if incident.actions.is_empty() => out.push_str("Nothing has been decided yet.\n"),
        None => {}
    }
    out.push('\n');
}

fn trace(out: &mut String, view: &ReportView) {
    let Some(trace) = view.incident.root.trace.as_ref().filter(|trace| !trace.text.trim().is_empty()) else { return };
    out.push_str("## Trace\n\n");
    let lines: Vec<&str> = trace.text.lines().collect();
    match lines.len().checked_sub(MAX_TRACE_LINES).filter(|left_out| *left_out > 0) {
        None => out.push_str(&fence("text", &trace.text)),
        Some(left_out) => {
            let half = MAX_TRACE_LINES / 2;
            let head = lines.get(..half).unwrap_or_default().join("\n");
            let tail = lines.get(half + left_out..).unwrap_or_default().join("\n");
            let text = format!("{head}\n... {left_out} lines left out, all are in trace.txt ...\n{tail}");
            out.push_str(&fence("text", &text));
        }
    }
    out.push('\n');
}

fn recent_values(out: &mut String, view: &ReportView) {
    let values = &view.incident.recent_metric;
    let stalled = view.incident.root.kind == DetectorKind::Stall;
    if values.is_empty() && !stalled {
        return; // Of a rate or a probe there are none.
    }
    out.push_str("## Recent values\n\n");
    if values.is_empty() {
        out.push_str("No progress value had been seen.\n\n");
    } else {
        let which = if stalled { "Progress values" } else { "Values that were well, then the odd one" };
        let _ = write!(out, "{which}, oldest first:\n\n");
        out.push_str(&fence("text", &values.join("\n")));
        out.push('\n');
    }
}

fn changes(out: &mut String, changes: &Changes) {
    out.push_str("## What changed since the last healthy run\n\n");
    match &changes.since {
        None => out.push_str("No earlier healthy run is known.\n"),
        Some(since) => {
            let _ = match since.run.as_str() {
                // Only the time is known.
                "" => writeln!(out, "The last healthy time was {}.", when(since.utc)),
                run => writeln!(out, "Child {} of run {} was healthy on {}.", since.child, code(run), when(since.utc)),
            };
            if changes.files.is_empty() && changes.notes.is_empty() {
                out.push_str("No file that is known to matter has changed since.\n");
            }
        }
    }
    if !changes.files.is_empty() {
        out.push('\n');
        for file in changes.files.iter().take(MAX_LISTED) {
            let utc = file.utc.map(|utc| format!(" on {}", when(utc))).unwrap_or_default();
            let _ = writeln!(out, "- {}: {}{utc}", code(&file.path), prose(&file.how));
        }
        more(out, changes.files.len());
    }
    if !changes.commits.is_empty() {
        out.push_str("\nRecent commits that touched these frames:\n\n");
        changes.commits.iter().take(MAX_LISTED).for_each(|it| commit(out, it));
        more(out, changes.commits.len());
    }
    if let Some(new) = &changes.new_lines {
        new_lines(out, new);
    }
    if !changes.notes.is_empty() {
        out.push('\n');
        for note in &changes.notes {
            let _ = writeln!(out, "({})", prose(note));
        }
    }
    out.push('\n');
}

fn new_lines(out: &mut String, new: &NewLines) {
    if new.lines.is_empty() {
        let _ = writeln!(out, "\nNo line before the failure is new, compared with {}.", prose(&new.compared));
        return;
    }
    let _ = writeln!(out, "\nNew lines before the failure, compared with {}:\n", prose(&new.compared));
    for line in &new.lines {
        let times = if line.count == 1 { String::new() } else { format!(" ({} times)", line.count) };
        let _ = writeln!(out, "- line {}{times}: {}", line.line, code(&line.text));
    }
}

fn commit(out: &mut String, commit: &CommitView) {
    let files: Vec<String> = commit.files.iter().take(5).map(|file| code(file)).collect();
    let files = if files.is_empty() { String::new() } else { format!(" ({})", files.join(", ")) };
    let _ = writeln!(
        out,
        "- {} {}, {}: {}{files}",
        code(&commit.id),
        when(commit.utc),
        prose(&commit.author),
        code(&commit.subject)
    );
}

fn configuration(out: &mut String, configuration: &Configuration) {
    let Configuration { command, cwd, kind, overlay, env_names, snapshots } = configuration;
    out.push_str("## Configuration in effect\n\n");
    let _ = writeln!(out, "- Command ({}): {}", prose(kind), code(&command_line(command)));
    let _ = writeln!(out, "- Working directory: {}", code(cwd));
    let changed: Vec<String> = overlay.iter().map(|(name, value)| code(&format!("{name}={value}"))).collect();
    if !changed.is_empty() {
        let _ = writeln!(out, "- Changed by rules: {}", changed.join(", "));
    }
    let names: Vec<String> = env_names.iter().map(|name| code(name)).collect();
    if !names.is_empty() {
        let _ = writeln!(out, "- Variables set by `process.env`: {}", names.join(", "));
    }
    for snapshot in snapshots {
        let stored = snapshot.stored_as.as_deref().map(|at| format!(", kept in {}", code(at))).unwrap_or_default();
        let note = snapshot.note.as_deref().map(|note| format!(" ({})", prose(note))).unwrap_or_default();
        let _ = writeln!(out, "- Snapshot of {}{stored}{note}", code(&snapshot.path));
    }
    out.push('\n');
}

fn log(out: &mut String, view: &ReportView) {
    let tail = view.log_tail.get(view.log_tail.len().saturating_sub(MAX_LOG_LINES)..).unwrap_or_default();
    if tail.is_empty() {
        return;
    }
    out.push_str("## Last lines of the log\n\n");
    out.push_str(&fence("text", &tail.join("\n")));
    out.push_str("\nMore in `log_excerpt.txt`.\n");
}

/// An argument as a person would type it; for reading, not for running.
fn more(out: &mut String, all: usize) {
    if let Some(more) = all.checked_sub(MAX_LISTED).filter(|more| *more > 0) {
        let _ = writeln!(out, "- … and {more} more");
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
