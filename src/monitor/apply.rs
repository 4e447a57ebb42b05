//! Hands: does what `step` has decided, and says how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::command::ControlAnswer;
use super::effect::{Level, Notification};
use super::event::{Event, Outcome};
use super::journal_line::{self, Differ, JournalLine};
use super::leftover;
use super::look_around;
use super::looker::{Looked, Looker};
use super::looks::Look;
use super::record::Recorder;
use super::secrets;
use super::state::State;
use super::status::StateFile;
use super::streams::Streams;
use super::talk::Talk;
use super::todo::{Intent, LedgerRow, Todo, TodoId};
use crate::config::{Config, Notifier, command_line};
use crate::detect::look::Answer;
use crate::detect::{Detection, DetectorSet};
use crate::ids::{AttemptNo, ChildNo, RunId};
use crate::incident::Redactor;
use crate::incident::report_view::Changes;
use crate::os::job::{Job, JobResult, JobSpec, JobState};
use crate::store::control::{self, CommandId};
use crate::store::{AttemptRow, AttemptStatus, Durability, Journal, Store, TooLong, WriteError, read};
use crate::supervisor::{ChildSpec, StopHow, Supervisor};
use crate::time::{Mono, Now, Utc};

/// Bytes of a rule's command kept of each of its outputs.
const KEEP_OUTPUT: usize = 64 * 1024;
/// Characters of a rule's command's last line that are looked at.
const MAX_LAST_LINE: usize = 2000;
/// The same complaint is repeated at most this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// What a job is for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// A rule's command.
    Command,
    /// What changed since the last healthy run.
    Changes,
}

/// Why the memory was not written.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error("cannot put the memory into words: {0}")]
    Words(#[from] serde_json::Error),
    #[error(transparent)]
    Store(#[from] WriteError),
}

/// Everything that acts on the world.
pub(super) struct Hands {
    pub(super) supervisor: Box<dyn Supervisor>,
    store: Store,
    journal: Journal<JournalLine>,
    differ: Differ,
    talk: Talk,
    redactor: Redactor,
    /// The overlay that the redactor has been told.
    known_overlay: BTreeMap<String, String>,
    recorder: Recorder,
    reload: Box<dyn FnMut() -> Result<Config, String>>,
    jobs: Vec<(TodoId, Asked, Job)>,
    looker: Looker,
    /// Intents of an earlier monitor: they may have been carried out already.
    restored: BTreeSet<TodoId>,
    complaints: BTreeMap<String, Utc>,
    /// A record of this turn could not be written: what follows it waits, too.
    records_blocked: bool,
}

impl Hands {
    pub(super) fn new(
        store: Store,
        journal: Journal<JournalLine>,
        talk: Talk,
        supervisor: Box<dyn Supervisor>,
        looker: Looker,
        reload: Box<dyn FnMut() -> Result<Config, String>>,
        restored: BTreeSet<TodoId>,
    ) -> Self {
        Self {
            supervisor,
            store,
            journal,
            differ: Differ::default(),
            talk,
            redactor: Redactor::new(&BTreeMap::new()),
            known_overlay: BTreeMap::new(),
            recorder: Recorder::default(),
            reload,
            jobs: Vec::new(),
            looker,
            restored,
            complaints: BTreeMap::new(),
            records_blocked: false,
        }
    }

    /// Writes what has changed in the memory. `Some` says why it could not be written.
    pub(super) fn write_journal(&mut self, state: &mut State, now: Now, compact_above: u64) -> Option<String> {
        let notes = std::mem::take(&mut state.notes);
        let compact = self.journal.bytes() > compact_above;
        if compact || !self.journal.is_in_place() {
            // The line begins a file, and must hold everything.
            self.differ.forget();
        }
        let mut written = self.write_line(state, notes.clone(), compact, now);
        if matches!(&written, Err(Unwritten::Store(error)) if TooLong::caused(error)) {
            // A memory without the texts of traces is worth more than none.
            journal_line::without_bulk(&mut state.memory);
            self.differ.forget();
            written = self.write_line(state, notes, true, now);
        }
        let trouble = written.err()?;
        // The next line that can be written holds everything.
        self.differ.forget();
        Some(trouble.to_string())
    }

    fn write_line(&mut self, state: &State, notes: Vec<String>, compact: bool, now: Now) -> Result<(), Unwritten> {
        let line = self.differ.line(&state.memory, notes, now.utc)?;
        if compact {
            self.journal.replace(&[line])?;
        } else {
            self.journal.append(&line, Durability::Flushed)?;
        }
        Ok(())
    }

    /// Whether the directory is still ours.
    pub(super) fn holds_lock(&self) -> bool {
        !self.store.lock().is_lost()
    }

    /// A new round of intents begins.
    pub(super) fn begin_round(&mut self) {
        self.records_blocked = false;
    }

    /// Tries an intent. What takes longer comes back by [`Hands::finished_jobs`].
    pub(super) fn attempt(&mut self, intent: &Intent, state: &State, now: Now) -> Option<Event> {
        let again = self.restored.contains(&intent.id);
        if intent.todo.writes() && self.records_blocked {
            let why = "an earlier record could not be written".to_owned();
            return Some(Event::Done { id: intent.id, result: Err(why) });
        }
        let result = match &intent.todo {
            Todo::StartChild { child, overlay } => self.start(*child, overlay, state),
            Todo::StopChild { child, now } => {
                let how = if *now { StopHow::Now } else { StopHow::Graceful };
                self.supervisor.stop(*child, how).map_err(in_words)
            }
            Todo::WriteIncident { incident, before } => {
                self.recorder.write(&mut self.store, &mut self.redactor, state, incident, before, again)
            }
            Todo::UpdateIncident { id, change } => {
                self.recorder.update(&mut self.store, &mut self.redactor, &state.config, id, change)
            }
            Todo::LookAround { since, files, at, .. } => {
                let project = &state.config.project;
                let files: Vec<String> = files.iter().map(|file| look_around::shown(project, file)).collect();
                let run = state.memory.run.as_ref().map(|run| &run.id);
                let log = run.zip(at.as_ref()).map(|(run, &(child, until, line))| look_around::LogPlace {
                    log: self.store.layout().child_log(run, child),
                    until,
                    line,
                });
                let job = look_around::job(project, *since, &files, log.as_ref());
                return self.spawn(intent.id, Asked::Changes, &job, now);
            }
            Todo::Ledger { row } => self.append_row(row, again),
            Todo::RunCommand { attempt, command, cwd, env, timeout } => {
                return self.start_job(intent.id, *attempt, command, cwd, env, *timeout, state, again, now);
            }
        };
        match &result {
            Ok(()) => drop(self.restored.remove(&intent.id)),
            Err(_) => self.records_blocked |= intent.todo.writes(),
        }
        Some(Event::Done { id: intent.id, result: result.map(|()| Outcome::Done) })
    }

    fn start(&mut self, child: ChildNo, overlay: &BTreeMap<String, String>, state: &State) -> Result<(), String> {
        let Some(run) = state.memory.run.as_ref().map(|run| run.id.clone()) else {
            return Err("there is no run to start a child in".to_owned());
        };
        if self.was_started(&run, child) {
            self.supervisor.adopt(&run, child);
            return Ok(());
        }
        self.store.make_run(&run).map_err(in_words)?;
        let process = &state.config.process;
        let mut env = process.env.clone();
        env.extend(overlay.clone());
        let spec = ChildSpec {
            run: run.clone(),
            child,
            command: process.command.clone(),
            cwd: process.cwd.clone(),
            env,
            pty: process.pty,
            stop_signal: process.stop_signal,
            stop_grace: process.stop_grace,
        };
        self.supervisor.start(&spec).map_err(in_words)?;
        if let Err(error) = self.store.point_process_log(&run, child) {
            self.complain(&in_words(error), state.now_utc());
        }
        Ok(())
    }

    /// A child whose record exists was started by a monitor that died before it could say so.
    fn was_started(&self, run: &RunId, child: ChildNo) -> bool {
        self.store.has(&self.store.layout().child_record(run, child))
    }

    fn append_row(&mut self, row: &LedgerRow, again: bool) -> Result<(), String> {
        let status = row.verdict.map_or(AttemptStatus::Pending, AttemptStatus::Fallen);
        if again {
            let ledger = read::attempts(self.store.layout()).map_err(in_words)?;
            let same = |other: &AttemptRow| {
                other.incident == row.incident
                    && other.attempt == row.attempt
                    && (other.status == status || status == AttemptStatus::Pending)
            };
            if ledger.rows.iter().any(same) {
                return Ok(());
            }
        }
        let row = AttemptRow {
            utc: row.utc,
            incident: row.incident.clone(),
            detector: row.detector.clone(),
            source: row.healer.clone(),
            branch: String::new(),
            status,
            duration: row.duration,
            description: row.description.clone(),
            attempt: row.attempt,
            action: row.action.clone(),
            fingerprint: row.fingerprint.clone(),
        };
        self.store.append_attempt(&row).map_err(in_words)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one intent")]
    fn start_job(
        &mut self,
        id: TodoId,
        attempt: AttemptNo,
        command: &[String],
        cwd: &std::path::Path,
        env: &BTreeMap<String, String>,
        timeout: Duration,
        state: &State,
        again: bool,
        now: Now,
    ) -> Option<Event> {
        let ended = |status, last_line: String| {
            Some(Event::Done { id, result: Ok(Outcome::CommandEnded { status, last_line }) })
        };
        let marks = leftover::marks(state.memory.run.as_ref().map(|run| &run.id), attempt);
        if again {
            // It may have run to its end or half-way; running it twice is not ours to risk, nor is leaving it to itself.
            self.restored.remove(&id);
            match leftover::end(&marks) {
                Ok(0) => {}
                Ok(count) => {
                    let what =
                        format!("ended {count} processes of a rule's command that an earlier monitor had started");
                    self.say(Level::Warn, &what, now.utc);
                }
                Err(error) => self.complain(&format!("cannot look for what a rule's command left: {error}"), now.utc),
            }
            return ended(None, "the monitor was restarted while it ran".to_owned());
        }
        let mut all = state.config.process.env.clone();
        all.extend(state.memory.overlay.clone());
        all.extend(env.clone());
        all.extend(marks);
        let spec = JobSpec { argv: command.to_vec(), cwd: PathBuf::from(cwd), env: all, timeout, keep: KEEP_OUTPUT };
        self.spawn(id, Asked::Command, &spec, now)
    }

    fn spawn(&mut self, id: TodoId, asked: Asked, spec: &JobSpec, now: Now) -> Option<Event> {
        match Job::spawn(spec, now.mono) {
            Ok(job) => {
                self.jobs.push((id, asked, job));
                None
            }
            Err(error) => {
                let why = format!("cannot run `{}`: {error}", command_line(&spec.argv));
                let outcome = match asked {
                    Asked::Command => Outcome::CommandEnded { status: Some(127), last_line: why },
                    Asked::Changes => Outcome::LookedAround(Box::new(unknown_changes(why))),
                };
                Some(Event::Done { id, result: Ok(outcome) })
            }
        }
    }

    /// Jobs that have ended.
    pub(super) fn finished_jobs(&mut self, now: Now) -> Vec<Event> {
        let mut events = Vec::new();
        let mut running = Vec::new();
        for (id, asked, mut job) in std::mem::take(&mut self.jobs) {
            match job.on_ready(now.mono) {
                JobState::Running => running.push((id, asked, job)),
                JobState::Over => {
                    let result = job.finish();
                    let outcome = match asked {
                        Asked::Command => command_outcome(&result),
                        Asked::Changes => {
                            // From here on it is on disk in more than one place.
                            let mut changes = changes_in(&result);
                            changes.redact(&mut self.redactor);
                            Outcome::LookedAround(Box::new(changes))
                        }
                    };
                    events.push(Event::Done { id, result: Ok(outcome) });
                }
            }
        }
        self.jobs = running;
        events
    }

    /// Begins a look. What comes of it is told by [`Hands::finished_looks`], and here where nobody can look.
    pub(super) fn look(&mut self, look: &Look, state: &State, now: Now) -> Option<Event> {
        let run = state.memory.run.as_ref().map(|run| run.id.clone()).unwrap_or_else(|| RunId::new(""));
        let record = self.store.layout().child_record(&run, look.child);
        let error = self.looker.begin(look, &record, now.mono).err()?;
        let why = format!("no process can be started to look: {error}");
        Some(Event::Looked { id: look.id, answer: Box::new(Answer::Unknown { why }) })
    }

    /// Looks that have ended. What they say is redacted here, before anything is made of it.
    pub(super) fn finished_looks(&mut self, now: Now) -> Vec<Looked> {
        let mut looked = self.looker.finished(now.mono);
        for looked in &mut looked {
            match &mut looked.answer {
                Answer::Well { said } | Answer::Failed { said, .. } | Answer::Unknown { why: said } => {
                    *said = self.redactor.redact(said);
                }
                Answer::Resources(seen) => {
                    for said in seen.unknown.iter_mut().chain(&mut seen.notes) {
                        *said = self.redactor.redact(said);
                    }
                }
            }
        }
        looked
    }

    /// Ends the commands of rules that still run: nobody would be there to hear how they ended.
    pub(super) fn end_jobs(&mut self, now: Utc) {
        self.looker.end_all();
        for (_, asked, job) in std::mem::take(&mut self.jobs) {
            if matches!(asked, Asked::Command) {
                let what = format!("the monitor leaves and ends the command of a rule (pid {})", job.pid());
                self.say(Level::Warn, &what, now);
            }
            // Dropping it ends it with all below it.
            drop(job);
        }
    }

    /// Whether a process is one of our jobs.
    pub(super) fn is_job(&self, pid: u32) -> bool {
        self.jobs.iter().any(|(_, _, job)| job.pid() == pid) || self.looker.is_job(pid)
    }

    pub(super) fn job_fds(&self) -> Vec<BorrowedFd<'_>> {
        self.jobs.iter().flat_map(|(_, _, job)| job.fds()).chain(self.looker.fds()).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.jobs.iter().map(|(_, _, job)| job.deadline()).chain(self.looker.deadline()).min()
    }

    /// Reads the configuration again; the streams get the new detectors.
    pub(super) fn read_config(&mut self, streams: &mut Streams) -> Result<Box<Config>, String> {
        let config = (self.reload)()?;
        let set = DetectorSet::with_phases(&config.detectors, &config.phases).map_err(in_words)?;
        let set = Arc::new(set);
        self.looker.set_detectors(Arc::clone(&set));
        streams.set_detectors(set);
        Ok(Box::new(config))
    }

    pub(super) fn answer(&mut self, id: &str, answer: &ControlAnswer, now: Utc) {
        if id.is_empty() {
            return;
        }
        let answered = match CommandId::try_from(id.to_owned()) {
            Ok(id) => control::answer(self.store.layout(), &id, answer).map_err(in_words),
            Err(why) => Err(format!("cannot answer `{id}`: {why}")),
        };
        if let Err(error) = answered {
            self.complain(&error, now);
        }
    }

    pub(super) fn write_state(&mut self, picture: &StateFile, durability: Durability, now: Utc) {
        if let Err(error) = self.store.write_state(picture, durability) {
            self.complain(&in_words(error), now);
        }
    }

    pub(super) fn say(&mut self, level: Level, line: &str, now: Utc) {
        let line = self.redactor.redact(line);
        self.talk.say(level, &line, now);
    }

    /// Tells whoever is to be told. `log` is the only way there is: a line in `sentry.log`, marked as a notification.
    pub(super) fn notify(&mut self, notification: &Notification, config: &Config, now: Utc) {
        let title = self.redactor.redact(&notification.title);
        for notifier in &config.notifiers {
            match notifier {
                Notifier::Log => {
                    self.talk.notify(notification.kind.as_str(), &title, notification.incident.as_ref(), now)
                }
            }
        }
    }

    /// Says what is wrong with the monitor itself, the same thing once a minute at most.
    pub(super) fn complain(&mut self, trouble: &str, now: Utc) {
        let recently = self.complaints.get(trouble).is_some_and(|at| at.age(now) < COMPLAIN_EVERY);
        if !recently {
            self.complaints.retain(|_, at| at.age(now) < COMPLAIN_EVERY);
            self.complaints.insert(trouble.to_owned(), now);
            self.say(Level::Error, trouble, now);
        }
    }

    pub(super) fn log_slow_turn(&mut self, took: Duration) {
        let now = crate::os::clock::SystemClock::utc();
        self.talk.log("debug", &format!("a turn of the loop took {} ms", took.as_millis()), now);
    }

    /// An argument vector as it may be shown and stored.
    pub(super) fn redact_argv(&mut self, argv: &[String]) -> Vec<String> {
        self.redactor.redact_argv(argv)
    }

    /// The picture as it may be stored.
    pub(super) fn redact_picture(&mut self, picture: &mut StateFile) {
        for (name, value) in &mut picture.env_overlay {
            *value = self.redactor.redact_named(name, value);
        }
    }

    /// Tells the redactor all variables that there are: of the environment, of the configuration and its rules, and those
    /// that rules have set.
    pub(super) fn learn_secrets(&mut self, state: &State) {
        self.redactor.learn(&secrets::variables(state));
        self.known_overlay.clone_from(&state.memory.overlay);
    }

    /// The same where a rule has set a variable.
    pub(super) fn learn_overlay(&mut self, state: &State) {
        if self.known_overlay != state.memory.overlay {
            self.learn_secrets(state);
        }
    }

    /// Takes secrets out of a detection before anything is made of it.
    pub(super) fn redact_detection(&mut self, detection: &mut Detection) {
        detection.message = self.redactor.redact(&detection.message);
        for value in detection.captures.values_mut() {
            *value = self.redactor.redact(value);
        }
        if let Some(trace) = &mut detection.trace {
            trace.message = self.redactor.redact(&trace.message);
            trace.text = self.redactor.redact(&trace.text);
        }
    }

    /// Keeps sentry's own files under their caps, a little at a time.
    pub(super) fn sweep(&mut self, state: &State, now: Now) {
        if let Err(error) = self.recorder.sweep(&mut self.store, state, now) {
            self.complain(&error, now.utc);
        }
    }
}

/// The last line is taken as it is: it may name an action with values. It is redacted where it is shown.
fn command_outcome(result: &JobResult) -> Outcome {
    let status = match result.status {
        _ if result.timed_out => None,
        Some(status) => status.code().or_else(|| status.signal().map(|signal| 128 + signal)),
        None => None,
    };
    let last_line = result.stdout.last_line().or_else(|| result.stderr.last_line()).unwrap_or_default();
    Outcome::CommandEnded { status, last_line: last_line.chars().take(MAX_LAST_LINE).collect() }
}

fn changes_in(result: &JobResult) -> Changes {
    if result.timed_out {
        return unknown_changes("looking for changes took too long and was given up".to_owned());
    }
    serde_json::from_slice(&result.stdout.tail).unwrap_or_else(|error| {
        let said = result.stderr.last_line().unwrap_or_else(|| error.to_string());
        unknown_changes(format!("looking for changes failed: {said}"))
    })
}

fn unknown_changes(why: String) -> Changes {
    Changes { notes: vec![why], ..Changes::default() }
}

/// An error with its causes.
pub(super) fn in_words(error: impl std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.ends_with(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}
