//! Everything that a report tells, as plain data: made once per incident, stored beside it, rendered anew when a verdict
//! falls.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::novelty::NewLine;
use super::{Incident, Redactor};
use crate::detect::Trace;
use crate::frame::SourceFrame;
use crate::ids::{ChildNo, RunId};
use crate::time::Utc;

/// What `report.md` is rendered from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportView {
    /// The incident with its trace and its actions.
    pub incident: Incident,
    /// Frames in the order of [`frame_order`].
    pub frames: Vec<FrameView>,
    /// What changed since the last healthy run.
    pub changes: Changes,
    /// What was in effect.
    pub configuration: Configuration,
    /// Last lines of the log up to the incident, oldest first.
    pub log_tail: Vec<String>,
    /// When the action that is being verified will count as kept, if nothing happens.
    pub verify_until: Option<Utc>,
}

/// One frame of the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameView {
    /// File as it should be shown (relative to the project where it is inside).
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Function as the trace names it.
    pub function: Option<String>,
    /// Belongs to the application.
    pub in_app: bool,
    /// The source around it; `None` for library frames and where it could not be read.
    pub source: Option<SourceFrame>,
    /// Why there is no source, in words.
    pub note: Option<String>,
    /// Where the frame is stored, relative to the incident (`frames/01-config.py.md`).
    pub stored_as: Option<String>,
}

/// What changed since the last healthy run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The last life that was healthy; `None`: no such is known.
    pub since: Option<Healthy>,
    /// Files that are different now.
    pub files: Vec<ChangedFile>,
    /// Recent commits that touched files of the frames, newest first.
    pub commits: Vec<CommitView>,
    /// Lines before the failure that are new; `None`: nobody knows.
    #[serde(default)]
    pub new_lines: Option<NewLines>,
    /// What could not be found out, in words.
    pub notes: Vec<String>,
}

/// Lines that were never printed while things went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLines {
    /// The lines.
    pub lines: Vec<NewLine>,
    /// What they were compared with, in words.
    pub compared: String,
}

/// A child that did well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthy {
    /// Its run.
    pub run: RunId,
    /// Its number.
    pub child: ChildNo,
    /// When it was last known to be healthy.
    pub utc: Utc,
}

/// A file that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFile {
    /// Path as it should be shown.
    pub path: String,
    /// In words: `modified`, `added`, `removed`.
    pub how: String,
    /// When, where known.
    pub utc: Option<Utc>,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitView {
    /// Abbreviated id.
    pub id: String,
    /// When.
    pub utc: Utc,
    /// Author's name.
    pub author: String,
    /// First line of its message.
    pub subject: String,
    /// Files of the frames that it touched.
    pub files: Vec<String>,
}

/// What was in effect when it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// argv.
    pub command: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// `local`, …
    pub kind: String,
    /// Variables that rules had changed, with their values.
    pub overlay: BTreeMap<String, String>,
    /// Names of the variables of `process.env`.
    pub env_names: Vec<String>,
    /// Files copied into the incident.
    pub snapshots: Vec<SnapshotView>,
}

/// A file of `config_snapshots`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// Path as it should be shown.
    pub path: String,
    /// Where it is stored, relative to the incident; `None` when it is not.
    pub stored_as: Option<String>,
    /// Why it is not, or not whole, in words.
    pub note: Option<String>,
}

/// Indices of a trace's frames in the order in which a report shows them: those of the application first, beginning where
/// a person would look first and then outwards; then the others, innermost first. Frames that repeat (recursion) come once.
pub fn frame_order(trace: &Trace) -> Vec<usize> {
    let mut inwards: Vec<usize> = (0..trace.frames.len()).collect();
    if trace.language.innermost_last() {
        inwards.reverse();
    }
    let top = trace.in_app_top.filter(|&top| top < trace.frames.len());
    let in_app = |at: &usize| trace.frames.get(*at).is_some_and(|frame| frame.in_app);
    let (application, library): (Vec<usize>, Vec<usize>) =
        inwards.into_iter().filter(|at| Some(*at) != top).partition(in_app);
    let mut seen = BTreeSet::new();
    let is_new =
        |at: &usize| trace.frames.get(*at).is_some_and(|frame| seen.insert((&frame.file, frame.line, &frame.function)));
    top.into_iter().chain(application).chain(library).filter(is_new).collect()
}

impl ReportView {
    /// Replaces the secrets of every text that came from outside.
    pub fn redact(&mut self, redactor: &mut Redactor) {
        let Self { incident, frames, changes, configuration, log_tail, verify_until: _ } = self;
        redact_incident(incident, redactor);
        for frame in frames {
            let FrameView { file, line: _, function, in_app: _, source, note, stored_as: _ } = frame;
            for text in [file, function, note] {
                redact_option(text, redactor);
            }
            if let Some(source) = source {
                redact_source(source, redactor);
            }
        }
        changes.redact(redactor);
        let Configuration { command, cwd, kind: _, overlay, env_names: _, snapshots } = configuration;
        *command = redactor.redact_argv(command);
        redact_text(cwd, redactor);
        for (name, value) in overlay {
            *value = redactor.redact_named(name, value);
        }
        for snapshot in snapshots {
            redact_text(&mut snapshot.path, redactor);
            redact_option(&mut snapshot.note, redactor);
        }
        // As one text: a private key has several lines.
        let tail = redactor.redact(&log_tail.join("\n"));
        *log_tail = if log_tail.is_empty() { Vec::new() } else { tail.split('\n').map(str::to_owned).collect() };
    }
}

impl Changes {
    /// Replaces secrets.
    pub fn redact(&mut self, redactor: &mut Redactor) {
        let Changes { since: _, files, commits, new_lines, notes } = self;
        for new in new_lines.iter_mut().flat_map(|new| &mut new.lines) {
            redact_text(&mut new.text, redactor);
        }
        files.iter_mut().for_each(|file| redact_text(&mut file.path, redactor));
        for commit in commits {
            redact_text(&mut commit.subject, redactor);
        }
        notes.iter_mut().for_each(|note| redact_text(note, redactor));
    }
}

/// Replaces the secrets of an incident.
pub fn redact_incident(incident: &mut Incident, redactor: &mut Redactor) {
    redact_text(&mut incident.message, redactor);
    redact_text(&mut incident.root.message, redactor);
    for (name, value) in &mut incident.root.captures {
        *value = redactor.redact_named(name, value);
    }
    if let Some(trace) = &mut incident.root.trace {
        let Trace { language: _, exception, message, frames, in_app_top: _, cause_chain, text, cut: _ } = trace;
        redact_option(exception, redactor);
        redact_text(message, redactor);
        redact_text(text, redactor);
        cause_chain.iter_mut().for_each(|cause| redact_text(cause, redactor));
        for frame in frames {
            redact_option(&mut frame.file, redactor);
            redact_option(&mut frame.function, redactor);
        }
    }
    incident.counted.iter_mut().for_each(|counted| redact_text(&mut counted.message, redactor));
    incident.recent_metric.iter_mut().for_each(|value| redact_text(value, redactor));
    for action in &mut incident.actions {
        action.details.iter_mut().for_each(|detail| redact_text(detail, redactor));
        if let Some(verdict) = &mut action.verdict {
            redact_text(&mut verdict.why, redactor);
        }
    }
    redact_option(&mut incident.not_acted, redactor);
}

/// Replaces the secrets of a source frame, also those over several lines.
pub fn redact_source(source: &mut SourceFrame, redactor: &mut Redactor) {
    redact_option(&mut source.enclosing, redactor);
    let text = source.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n");
    let redacted = redactor.redact(&text);
    for (line, text) in source.lines.iter_mut().zip(redacted.split('\n')) {
        text.clone_into(&mut line.text);
    }
}

fn redact_text(text: &mut String, redactor: &mut Redactor) {
    *text = redactor.redact(text);
}

fn redact_option(text: &mut Option<String>, redactor: &mut Redactor) {
    if let Some(text) = text {
        redact_text(text, redactor);
    }
}
