//! The record of an incident: what its folder holds, gathered once and rendered anew whenever something is added.

use std::path::PathBuf;
use std::time::Duration;

use super::apply::in_words;
use super::frames;
use super::state::State;
use super::todo::IncidentChange;
use crate::config::Config;
use crate::detect::stream_name;
use crate::ids::{IncidentId, RuleName};
use crate::incident::report_view::{self as report, ReportView};
use crate::incident::{Incident, Redactor, frame_file, frame_file_name, render};
use crate::monitor::status::StateFile;
use crate::store::evidence;
use crate::store::{Keep, NewIncident, ReadError, Store, read};
use crate::time::{Now, Utc};

/// What [`ReportView`] is stored as, to render the report anew.
const VIEW: &str = "report.json";
/// Most bytes of a log excerpt.
const MAX_EXCERPT: u64 = 1024 * 1024;
/// Lines of the log in the report itself; the rest is in `log_excerpt.txt`.
const TAIL_LINES: usize = 20;
/// Between sweeps of old incidents and runs.
const SWEEP_EVERY: Duration = Duration::from_secs(300);

/// Writes and rewrites incidents.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    swept: Option<crate::time::Mono>,
    more_to_sweep: bool,
}

impl Recorder {
    /// Writes an incident's folder and its row. `again`: an earlier monitor may have written it already.
    pub(super) fn write(
        &mut self,
        store: &mut Store,
        redactor: &mut Redactor,
        state: &State,
        incident: &Incident,
        before: &StateFile,
        again: bool,
    ) -> Result<(), String> {
        let rule = incident.actions.last().and_then(|action| action.healer.strip_prefix("rule ")).map(RuleName::new);
        let action = incident.actions.last().map(|action| action.action.as_str());
        if again && read::incident(store.layout(), &incident.id).is_ok_and(|there| there.utc == incident.utc) {
            return store.list_incident(incident, rule.as_ref(), action).map_err(|error| error.to_string());
        }
        let mut before = before.clone();
        for (name, value) in &mut before.env_overlay {
            *value = redactor.redact_named(name, value);
        }
        let before = &before;
        if again {
            // Half of it may be on disk since a power cut; whose it is, the id says: names are never given twice.
            store.discard_incident(&incident.id).map_err(|error| error.to_string())?;
        }
        let mut files = Files::default();
        let mut view = ReportView {
            incident: incident.clone(),
            frames: frames::quoted(&state.config, incident),
            changes: report::Changes::default(),
            configuration: configuration(&state.config, before, redactor),
            log_tail: Vec::new(),
            verify_until: None,
        };
        excerpt(store, state, incident, redactor, &mut view, &mut files);
        snapshots(&state.config, redactor, &mut view, &mut files);
        view.redact(redactor);
        store_frames(&mut view, &mut files);
        promise(&mut view, &state.config, incident.utc);
        if let Some(trace) = &view.incident.root.trace {
            files.add("trace.txt", with_line_end(&trace.text));
        }
        files.add_json("state.json", before)?;
        if let Some(rule) = &rule {
            files.add_json("rule_match.json", &serde_json::json!({ "rule": rule, "source": "rule" }))?;
        }
        files.add_actions(&view.incident)?;
        files.add_json(VIEW, &view)?;
        files.add("report.md", render(&view));
        let listed = files.list();
        let new = NewIncident { incident: &view.incident, rule: rule.as_ref(), action, files: &listed };
        store.create_incident(&new).map(drop).map_err(|error| error.to_string())
    }

    /// Adds to an incident and renders its report anew.
    pub(super) fn update(
        &mut self,
        store: &mut Store,
        redactor: &mut Redactor,
        config: &Config,
        id: &IncidentId,
        change: &IncidentChange,
    ) -> Result<(), String> {
        let incident = match read::incident(store.layout(), id) {
            Ok(incident) => incident,
            // Retention or a person has removed it: there is nothing to add to.
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(in_words(&error)),
        };
        let mut view = match read::json::<ReportView>(store.layout(), id, VIEW) {
            Ok(view) => view,
            // It may be there again in a moment; what is written now would replace it for good.
            Err(error @ ReadError::Io { .. }) if !is_missing(&error) => return Err(in_words(&error)),
            Err(error) => view_without_frames(&incident, &error),
        };
        change_view(&mut view, change);
        promise(&mut view, config, incident.utc);
        view.redact(redactor);
        let mut files = Files::default();
        files.add("incident.json", crate::store::incident_json(&view.incident).map_err(|error| error.to_string())?);
        files.add_actions(&view.incident)?;
        files.add_json(VIEW, &view)?;
        files.add("report.md", render(&view));
        store.update_incident(id, &files.list()).map_err(|error| error.to_string())
    }

    /// Keeps incidents and runs under their caps.
    pub(super) fn sweep(&mut self, store: &mut Store, state: &State, now: Now) -> Result<(), String> {
        let due = self.more_to_sweep || self.swept.is_none_or(|at| now.mono.since(at) >= SWEEP_EVERY);
        let Some(run) = state.memory.run.as_ref().filter(|_| due) else { return Ok(()) };
        self.swept = Some(now.mono);
        let pending = state.memory.attempts.iter().map(|attempt| attempt.incident.clone()).collect();
        let keep = Keep { run: &run.id, pending: &pending };
        let swept = store.sweep(&state.config.retention, &keep, now.utc).map_err(|error| error.to_string())?;
        self.more_to_sweep = swept.more;
        Ok(())
    }
}

/// What `incident.json` alone tells, and that there was more.
fn view_without_frames(incident: &Incident, error: &ReadError) -> ReportView {
    let note = format!("frames, changes and configuration of this report are lost: {}", in_words(error));
    ReportView {
        incident: incident.clone(),
        frames: Vec::new(),
        changes: report::Changes { notes: vec![note], ..report::Changes::default() },
        configuration: report::Configuration::default(),
        log_tail: Vec::new(),
        verify_until: None,
    }
}

fn is_missing(error: &ReadError) -> bool {
    matches!(error, ReadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

fn change_view(view: &mut ReportView, change: &IncidentChange) {
    change.apply(&mut view.incident);
    if let IncidentChange::Changes { changes } = change {
        view.changes = (**changes).clone();
    }
}

/// When the newest action will count as kept; for people, so the wall clock will do.
fn promise(view: &mut ReportView, config: &Config, _since: Utc) {
    let pending = view.incident.actions.last().filter(|action| action.verdict.is_none());
    let window = i64::try_from(config.healing.verify_window.as_millis()).unwrap_or(i64::MAX);
    view.verify_until = pending.map(|action| Utc::from_millis(action.utc.millis().saturating_add(window)));
}

/// Frames get files of their own, named in the report.
fn store_frames(view: &mut ReportView, files: &mut Files) {
    for (at, frame) in view.frames.iter_mut().enumerate() {
        if frame.source.is_some() || frame.note.is_some() {
            let name = format!("frames/{}", frame_file_name(at + 1, frame.file.as_deref().unwrap_or("unknown")));
            frame.stored_as = Some(name.clone());
            files.add(name, frame_file(frame));
        }
    }
}

fn configuration(config: &Config, before: &StateFile, redactor: &mut Redactor) -> report::Configuration {
    report::Configuration {
        command: redactor.redact_argv(&config.process.command),
        cwd: config.process.cwd.display().to_string(),
        kind: config.process.kind.as_str().to_owned(),
        overlay: before.env_overlay.clone(),
        env_names: config.process.env.keys().cloned().collect(),
        snapshots: Vec::new(),
    }
}

fn excerpt(
    store: &Store,
    state: &State,
    incident: &Incident,
    redactor: &mut Redactor,
    view: &mut ReportView,
    files: &mut Files,
) {
    let (log, before) = place_of_root(store, state, incident);
    match evidence::last_lines(&log, before, state.config.monitor.log_excerpt_lines, MAX_EXCERPT) {
        Ok(excerpt) => {
            let text = redactor.redact(&String::from_utf8_lossy(&excerpt.bytes));
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(TAIL_LINES);
            view.log_tail = lines.into_iter().skip(from).map(str::to_owned).collect();
            files.add("log_excerpt.txt", text);
        }
        Err(error) => files.add("log_excerpt.txt", format!("(the log could not be read: {error})\n")),
    }
}

/// The file that the root was read from and where it ended there; the end of the child's log where there is none, or none any
/// more.
fn place_of_root(store: &Store, state: &State, incident: &Incident) -> (PathBuf, u64) {
    let root = &incident.root;
    let childs = store.layout().child_log(&incident.run, incident.child);
    if root.stream == incident.child.stream() {
        return (childs, if root.lines.0 == 0 { u64::MAX } else { root.bytes.end });
    }
    let facts = state.memory.streams.get(&root.stream).filter(|facts| facts.file.is_some());
    match facts {
        // A file that was cut or replaced since does not hold these lines any more; what it holds now is better than nothing.
        Some(facts) => {
            let end = if facts.position.consumed < root.bytes.end { u64::MAX } else { root.bytes.end };
            (stream_name::path_of(&state.config.process.cwd, &root.stream), end)
        }
        None => (childs, u64::MAX),
    }
}

fn snapshots(config: &Config, redactor: &mut Redactor, view: &mut ReportView, files: &mut Files) {
    if config.config_snapshots.patterns.is_empty() {
        return;
    }
    let found = evidence::snapshots(&config.project, &config.config_snapshots);
    for snapshot in found.files {
        let name = format!("configs/{}", snapshot.name);
        let text = redactor.redact(&String::from_utf8_lossy(&snapshot.bytes));
        files.add(name.clone(), text);
        let note = snapshot.cut.then(|| "only its beginning is kept".to_owned());
        view.configuration.snapshots.push(report::SnapshotView { path: snapshot.name, stored_as: Some(name), note });
    }
    for note in found.notes {
        view.configuration.snapshots.push(report::SnapshotView {
            path: "(not kept)".to_owned(),
            stored_as: None,
            note: Some(note),
        });
    }
}

fn with_line_end(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// Files of a folder: path inside it and content.
#[derive(Debug, Default)]
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    fn add(&mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.0.push((name.into(), content.into()));
    }

    fn add_json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<(), String> {
        let mut text = serde_json::to_vec_pretty(value).map_err(|error| error.to_string())?;
        text.push(b'\n');
        self.add(name, text);
        Ok(())
    }

    /// `fix/action.json` holds all actions, the newest last.
    fn add_actions(&mut self, incident: &Incident) -> Result<(), String> {
        if incident.actions.is_empty() { Ok(()) } else { self.add_json("fix/action.json", &incident.actions) }
    }

    fn list(&self) -> Vec<(&str, &[u8])> {
        self.0.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect()
    }
}
