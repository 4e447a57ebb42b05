//! The only loop: wait, step, apply. One thread, one wait, one deadline.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::apply::Hands;
use super::command::{ControlAnswer, ControlCommand};
use super::earlier;
use super::effect::{Leave, Level};
use super::event::{Event, Seen};
use super::journal_line::{self, JournalLine};
use super::memory::{ChildFacts, Phase, StreamFacts};
use super::picture::Frame;
use super::state::State;
use super::status::ProcessIdentity;
use super::streams::Streams;
use super::talk::Talk;
use crate::config::{Config, ProcessKind, command_line};
use crate::detect::{DetectorSet, Position};
use crate::exit::IO;
use crate::ids::{ChildNo, RunId};
use crate::incident::Redactor;
use crate::os::clock::SystemClock;
use crate::os::signals::{Caught, Signals};
use crate::os::watch::{Watch, WatchId, Woken};
use crate::os::{identity, wait};
use crate::paths::Layout;
use crate::store::{Durability, OpenError, ReadError, Store, WriteError, control, read};
use crate::supervisor::local::Local;
use crate::supervisor::not_yet::NotYet;
use crate::supervisor::record::ChildRecord;
use crate::supervisor::tail::Tail;
use crate::supervisor::{Observed, StopHow, Supervisor};
use crate::time::{Mono, Now};

/// A turn that took longer than this is told in `sentry.log`.
const SLOW_TURN: Duration = Duration::from_millis(500);
/// The journal is compacted into one line beyond this size.
const COMPACT_ABOVE: u64 = 8 * 1024 * 1024;
/// Without inotify the control queue and the child are looked at this often.
const POLL: Duration = Duration::from_millis(500);

/// Most steps of one turn, so that signals, commands and the heartbeat are served whatever the steps ask of each other.
const MOST_STEPS: usize = 10_000;

/// What a run is started with.
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The command was given on the command line.
    pub command_given: bool,
    /// The monitor's environment.
    pub environment: BTreeMap<String, String>,
    /// Reads the configuration again; all errors in words.
    pub reload: Box<dyn FnMut() -> Result<Config, String>>,
    /// Where lines for people go.
    pub terminal: Box<dyn Write + Send>,
    /// Says only errors.
    pub quiet: bool,
    /// Shows the child's output here.
    pub follow: Option<Box<dyn Write + Send>>,
    /// Only act on the run that is there, with this command first (`sentry stop` without a monitor).
    pub only: Option<ControlCommand>,
}

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The journal could not be opened.
    #[error(transparent)]
    Journal(#[from] WriteError),
    /// A detector does not compile, which the configuration should have found.
    #[error(transparent)]
    Detectors(#[from] crate::detect::CompileError),
    /// The operating system refused something that the loop needs.
    #[error("cannot {what}")]
    Os {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// Another command is being supervised here.
    #[error("child {child} of run {run} is still supervised here: {command}")]
    AnotherCommand {
        /// Its run.
        run: RunId,
        /// Its number.
        child: ChildNo,
        /// Its command.
        command: String,
    },
    /// The memory has no run that goes on, and yet a child is alive here.
    #[error("child {child} of run {run} (pid {pid}) is still alive here, and nothing else is known of it")]
    StillAlive {
        /// Its run.
        run: RunId,
        /// Its number.
        child: ChildNo,
        /// Its main process.
        pid: u32,
    },
    /// Nobody can say whether a child is alive.
    #[error(transparent)]
    Unlisted(#[from] ReadError),
    /// There is no run to act on.
    #[error("nothing is supervised here")]
    NothingHere,
}

/// Runs until the run is over or the monitor is told to leave. The exit code of `sentry run`.
///
/// # Errors
/// Only when nothing was begun.
pub fn main(setup: Setup) -> Result<u8, RunError> {
    let os = |what| move |source| RunError::Os { what, source };
    // Before any thread is made, and before a signal could kill us between two writes.
    let signals = Signals::block(&[Caught::Terminate, Caught::Interrupt, Caught::Hangup, Caught::Child])
        .map_err(os("collect signals"))?;
    let layout = Layout::of(&setup.config);
    let store = Store::acquire(layout.clone())?;
    let now = SystemClock::now();
    let me = identity::this_process().map_err(os("tell which process this is"))?;
    let (journal, replay) = store.journal::<JournalLine>(now.utc)?;
    let mut troubles: Vec<String> = replay
        .damaged
        .iter()
        .map(|damage| {
            let aside = damage
                .set_aside
                .as_ref()
                .map_or_else(String::new, |path| format!(", and is kept in `{}`", path.display()));
            format!(
                "the journal is damaged from line {} on ({}); what follows was left out{aside}",
                damage.line, damage.why
            )
        })
        .collect();
    let (memory, not_understood) = journal_line::replay(replay.records);
    troubles.extend(not_understood);

    let mut config = setup.config;
    if let Some(run) = memory.run.as_ref().filter(|_| setup.only.is_some() && config.process.command.is_empty()) {
        config.process.command.clone_from(&run.command);
    }
    let set = Arc::new(DetectorSet::compile(&config.detectors)?);
    let redactor = Redactor::new(&redacted_environment(&setup.environment, &config));
    let mut talk = Talk::new(setup.terminal, &layout.sentry_log(), config.retention.max_log_bytes, setup.quiet);
    for trouble in &troubles {
        talk.say(Level::Error, trouble, now.utc);
    }
    let state = State::new(config, memory, setup.environment, me.pid == 1, now);
    let supervisor: Box<dyn Supervisor> = match state.config.process.kind {
        ProcessKind::Local => Box::new(Local::new(layout.clone())),
        ProcessKind::Slurm => Box::new(NotYet::new("slurm")),
        ProcessKind::Docker => Box::new(NotYet::new("docker")),
        ProcessKind::Attach => Box::new(NotYet::new("attach")),
    };
    // Compiled once, before the first incident needs them.
    crate::incident::warm_up();
    let mut monitor = Monitor {
        pending: VecDeque::new(),
        signals,
        watch: Watch::new().ok(),
        control_watch: None,
        look_at_queue: None,
        streams: Streams::new(set, setup.follow),
        hands: Hands::new(
            store,
            journal,
            talk,
            redactor,
            supervisor,
            setup.reload,
            state.memory.todo.iter().map(|intent| intent.id).collect(),
        ),
        layout,
        me,
        started: now,
        heartbeat: now.mono,
        seen: None,
        leaving: None,
        evicted: false,
        state,
    };
    monitor.begin(setup.command_given, setup.only, now)?;
    // What compiling and replaying needed is not needed again.
    crate::os::memory::give_back();
    Ok(monitor.run())
}

struct Monitor {
    state: State,
    hands: Hands,
    streams: Streams,
    pending: VecDeque<Event>,
    signals: Signals,
    watch: Option<Watch>,
    control_watch: Option<WatchId>,
    /// When the control queue is looked at without having been woken.
    look_at_queue: Option<Mono>,
    layout: Layout,
    me: ProcessIdentity,
    started: Now,
    heartbeat: Mono,
    seen: Option<(ChildNo, Seen)>,
    leaving: Option<Leave>,
    /// Somebody has removed `.sentry/` or its lock: what is there now belongs to somebody else.
    evicted: bool,
}

impl Monitor {
    /// Goes on with the run that is there, or begins a new one.
    fn begin(&mut self, command_given: bool, only: Option<ControlCommand>, now: Now) -> Result<(), RunError> {
        let command: Vec<String> =
            self.state.config.process.command.iter().map(|word| self.hands.redact(word)).collect();
        if self.state.run_goes_on() {
            self.adopt(&command, command_given, only.is_some(), now)?;
        } else if let Some(living) = earlier::living(&self.layout)? {
            // The memory was lost or ended too early. A second child beside this one would be the worst of all answers.
            let ChildRecord { run, child, .. } = &living.record;
            if only.is_none() {
                return Err(RunError::StillAlive { run: run.clone(), child: *child, pid: living.pid });
            }
            self.take_over(&living.record);
            self.adopt(&[], false, true, now)?;
        } else if only.is_some() {
            return Err(RunError::NothingHere);
        } else {
            let id =
                RunId::new(format!("{}-{:04x}", now.utc.date_time().format("%Y%m%dT%H%M%SZ"), self.me.pid & 0xffff));
            let words = command_line(&command);
            self.state.new_run(id, command);
            self.hands.say(Level::Info, &format!("supervising `{words}`; see `sentry status`"), now.utc);
        }
        self.watch_queue();
        if let Some(command) = only {
            self.pending.push_back(Event::Command { id: String::new(), command: Ok(command) });
        }
        self.take_commands(now);
        self.pending.push_front(Event::Woke);
        // Whoever reads shall see at once who owns the directory now.
        self.write_picture(Durability::Cached, now);
        Ok(())
    }

    /// Makes a child of which only its record is known the child of this memory. What it has printed so far was somebody
    /// else's to judge.
    fn take_over(&mut self, record: &ChildRecord) {
        let known = read::state(&self.layout).ok().flatten().filter(|state| state.run == record.run);
        self.state.new_run(record.run.clone(), known.map(|state| state.command).unwrap_or_default());
        let printed = Tail::open(self.layout.child_log(&record.run, record.child), 0).len().unwrap_or(0);
        let position = Position { consumed: printed, resume: printed, ..Position::START };
        let memory = &mut self.state.memory;
        memory.streams.insert(record.child.stream(), StreamFacts { position, lines: 0 });
        memory.child = Some(ChildFacts::new(record.child, record.asked));
        memory.phase = Phase::Starting;
    }

    fn adopt(&mut self, command: &[String], command_given: bool, only: bool, now: Now) -> Result<(), RunError> {
        let (Some(run), child) = (self.state.memory.run.clone(), self.state.child_no()) else {
            return Ok(());
        };
        let Some(child) = child else { return Ok(()) };
        if command_given && run.command != command {
            return Err(RunError::AnotherCommand { run: run.id, child, command: command_line(&run.command) });
        }
        let alive = self.state.memory.child.as_ref().is_some_and(|child| child.exit.is_none());
        let started = !self
            .state
            .memory
            .todo
            .iter()
            .any(|intent| matches!(intent.todo, super::todo::Todo::StartChild { child: no, .. } if no == child));
        if started {
            self.hands.supervisor.adopt(&run.id, child);
            self.open_streams(child);
            self.observe(now);
            self.stop_again(child, alive, now);
        }
        if !only {
            let what = match (&self.state.memory.phase, alive) {
                (Phase::Paused { why }, _) => {
                    format!("run {} is still paused ({why}); `sentry resume` goes on", run.id)
                }
                (_, true) => format!("run {} goes on: child {child} is adopted", run.id),
                (_, false) => format!("run {} goes on after child {child}", run.id),
            };
            self.hands.say(Level::Info, &what, now.utc);
        }
        Ok(())
    }

    /// The monitor that asked for the stop may have died before its request was heard; asking twice is harmless.
    fn stop_again(&mut self, child: ChildNo, alive: bool, now: Now) {
        if alive
            && matches!(self.state.memory.phase, Phase::Stopping { .. })
            && let Err(error) = self.hands.supervisor.stop(child, StopHow::Graceful)
        {
            self.hands.complain(&error.to_string(), now.utc);
        }
    }

    fn run(mut self) -> u8 {
        self.handle_pending();
        // Adopting a quiet child changes nothing in the memory, and readers want to see all the same who watches it now.
        self.write_picture(Durability::Cached, SystemClock::now());
        loop {
            let before = SystemClock::mono();
            self.handle_pending();
            self.beat();
            if self.evicted {
                return self.leave_evicted();
            }
            if let Some(leave) = self.leaving {
                return self.leave(leave);
            }
            let took = SystemClock::mono().since(before);
            if took > SLOW_TURN {
                self.hands.log_slow_turn(took);
            }
            self.wait();
        }
    }

    /// Steps through all that has happened, and what follows from it, then lets time pass. What is more than a turn's worth
    /// waits for the next one.
    fn handle_pending(&mut self) {
        for _ in 0..MOST_STEPS {
            if self.evicted {
                return;
            }
            let event = self.pending.pop_front().unwrap_or(Event::Woke);
            let last = matches!(event, Event::Woke) && self.pending.is_empty();
            let now = SystemClock::now();
            let effects = self.state.step(event, now);
            let quiet = effects.list.is_empty() && !effects.changed;
            self.apply(effects, now);
            if last && quiet && self.pending.is_empty() || self.leaving.is_some() {
                return;
            }
        }
    }

    fn apply(&mut self, effects: super::effect::Effects, now: Now) {
        use super::effect::Effect;
        if (effects.changed || !effects.list.is_empty()) && self.is_evicted() {
            return;
        }
        if effects.changed {
            let trouble = self.hands.write_journal(&mut self.state, now, COMPACT_ABOVE);
            if trouble.is_some() || self.state.warnings.contains_key("journal") {
                self.pending.push_back(Event::JournalState { trouble });
            }
        }
        self.hands.begin_round();
        for effect in effects.list {
            match effect {
                Effect::Try(intent) => {
                    let event = self.hands.attempt(&intent, &self.state, now);
                    self.pending.extend(event);
                    self.after_try(&intent.todo, now);
                }
                Effect::FlushSilence(stream) => {
                    if let Some(report) = self.streams.flush_silence(&stream) {
                        self.scanned(report);
                    }
                }
                Effect::Drain(child) => self.streams.begin_drain(child),
                Effect::ReadConfig { command } => {
                    let result = self.hands.read_config(&mut self.streams);
                    self.pending.push_back(Event::ConfigRead { command, result });
                }
                Effect::Answer { id, answer } => self.hands.answer(&id, &answer, now.utc),
                Effect::Say(level, line) => self.hands.say(level, &line, now.utc),
                Effect::Notify(notification) => self.hands.notify(&notification, &self.state.config, now.utc),
                Effect::Leave(leave) => self.leaving = Some(leave),
            }
        }
        if effects.changed {
            self.write_picture(Durability::Cached, now);
        }
    }

    /// What has to be looked at because of something that was done.
    fn after_try(&mut self, todo: &super::todo::Todo, now: Now) {
        use super::todo::Todo;
        match todo {
            Todo::StartChild { child, .. } => {
                self.streams.close_before(*child, &mut self.watch);
                self.open_streams(*child);
                self.observe(now);
            }
            Todo::StopChild { .. } => self.observe(now),
            Todo::WriteIncident { .. }
            | Todo::UpdateIncident { .. }
            | Todo::LookAround { .. }
            | Todo::Ledger { .. }
            | Todo::RunCommand { .. } => {}
        }
    }

    fn open_streams(&mut self, child: ChildNo) {
        for source in self.hands.supervisor.streams(child) {
            let facts = self.state.memory.streams.get(&source.stream).copied().unwrap_or_default();
            self.streams.open(source, child, facts, &mut self.watch);
        }
    }

    fn scanned(&mut self, mut report: super::event::ScanReport) {
        report.detections.iter_mut().for_each(|detection| self.hands.redact_detection(detection));
        self.pending.push_back(Event::Scanned(Box::new(report)));
    }

    /// The one wait.
    fn wait(&mut self) {
        let now = SystemClock::mono();
        let longest = self.state.config.monitor.poll_interval.max(Duration::from_secs(1));
        let by_state = self.state.next_wait(longest);
        let until = |at: Option<Mono>| at.map(|at| at.since(now));
        let timeout = [
            Some(by_state),
            until(self.streams.next_look()),
            until(self.hands.next_deadline()),
            Some((self.heartbeat + longest).since(now)),
            until(self.look_at_queue),
            self.watch.is_none().then_some(POLL),
        ]
        .into_iter()
        .flatten()
        .min();
        let timeout = if self.pending.is_empty() { timeout } else { Some(Duration::ZERO) };

        let ready = {
            let mut fds: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd()];
            fds.extend(self.watch.as_ref().map(AsFd::as_fd));
            fds.extend(self.hands.supervisor.wake());
            fds.extend(self.hands.job_fds());
            wait::wait(&fds, timeout)
        };
        let now = SystemClock::now();
        match ready {
            Ok(ready) => self.collect(&ready, now),
            Err(error) => self.hands.complain(&format!("cannot wait: {error}"), now.utc),
        }
    }

    /// Everything that has happened becomes an event.
    fn collect(&mut self, ready: &wait::Ready, now: Now) {
        if ready.is_ready(0) {
            for caught in self.signals.read().unwrap_or_default() {
                match caught {
                    Caught::Terminate => self.pending.push_back(Event::Terminate),
                    Caught::Interrupt => self.pending.push_back(Event::Interrupt),
                    Caught::Hangup => {
                        let result = self.hands.read_config(&mut self.streams);
                        self.pending.push_back(Event::ConfigRead { command: None, result });
                    }
                    Caught::Child | Caught::Quit | Caught::WindowChanged => {}
                }
            }
        }
        let woken = match &mut self.watch {
            Some(watch) => watch.drain().unwrap_or_default(),
            None => vec![Woken::Overflow],
        };
        let mut commands = self.look_at_queue.is_some_and(|at| at <= now.mono);
        for woken in &woken {
            match woken {
                Woken::Entered(id) => commands |= Some(*id) == self.control_watch,
                Woken::Gone(id) if Some(*id) == self.control_watch => {
                    // Whoever is removing the directory shall get done with it before anybody looks again.
                    if let Some(watch) = &mut self.watch {
                        watch.remove(*id);
                    }
                    self.control_watch = None;
                    self.look_at_queue = Some(now.mono + POLL);
                }
                Woken::Overflow => commands = true,
                Woken::Gone(_) | Woken::Written(_) => {}
            }
        }
        woken.iter().for_each(|woken| self.streams.woken(woken, now.mono));
        if ready.any() || self.watch.is_none() {
            self.observe(now);
        }
        // A child's last words before its end: what was written first is read first.
        let (reports, troubles, drained) = self.streams.read_due(now.mono, &mut self.watch);
        reports.into_iter().for_each(|report| self.scanned(report));
        for trouble in troubles {
            self.hands.complain(&trouble.to_string(), now.utc);
        }
        self.pending.extend(drained.map(|child| Event::Drained { child }));
        self.pending.extend(self.hands.finished_jobs(now));
        if commands {
            self.take_commands(now);
        }
    }

    /// Makes the queue if it was taken away, and watches it.
    fn watch_queue(&mut self) {
        if let Err(error) = crate::store::make_tree(&self.layout) {
            self.hands.complain(&error.to_string(), SystemClock::utc());
        }
        let queue = self.layout.control_new();
        self.control_watch = self.watch.as_mut().and_then(|watch| watch.dir(&queue).ok());
    }

    fn take_commands(&mut self, now: Now) {
        if self.control_watch.is_none() {
            if self.is_evicted() {
                return;
            }
            self.watch_queue();
        }
        let watched = self.control_watch.is_some() && crate::os::watch::sees_all_writers(&self.layout.control_new());
        self.look_at_queue = (!watched).then(|| now.mono + POLL);
        match control::take(&self.layout) {
            Ok(batch) => {
                if batch.more {
                    self.look_at_queue = Some(now.mono);
                }
                for taken in batch.taken {
                    self.pending.push_back(Event::Command { id: taken.id.as_str().to_owned(), command: taken.command });
                }
                for stuck in batch.stuck {
                    self.hands.complain(&stuck.to_string(), now.utc);
                }
            }
            Err(error) => self.hands.complain(&error.to_string(), now.utc),
        }
    }

    /// Asks the supervisor; only news become events.
    fn observe(&mut self, _now: Now) {
        let Some(child) = self.state.child_no() else { return };
        let seen = match self.hands.supervisor.observe(child) {
            Observed::Starting => Seen::Starting,
            Observed::Running { pid } => Seen::Running { process: identity::of(pid) },
            Observed::Ending(exit) => Seen::Ending(exit),
            Observed::Ended(exit) => Seen::Ended(exit),
            Observed::Unknown { why } => Seen::Unknown { why },
        };
        let news = Some((child, seen.clone()));
        if self.seen != news {
            self.seen = news;
            self.pending.push_back(Event::ChildSeen { child, seen });
        }
    }

    /// Heartbeat: the picture, and how far the streams have been read.
    fn beat(&mut self) {
        let now = SystemClock::now();
        if now.mono.since(self.heartbeat) < self.state.config.monitor.poll_interval {
            return;
        }
        self.heartbeat = now.mono;
        if self.evicted || self.is_evicted() {
            return;
        }
        self.observe(now);
        self.take_commands(now);
        self.remember_positions();
        let trouble = self.hands.write_journal(&mut self.state, now, COMPACT_ABOVE);
        if trouble.is_some() || self.state.warnings.contains_key("journal") {
            self.pending.push_back(Event::JournalState { trouble });
        }
        self.write_picture(Durability::Cached, now);
        self.hands.sweep(&self.state, now);
    }

    /// How far the streams have been read, unless something of that has not been weighed yet, as when the monitor leaves at
    /// once: then the next one reads it again.
    fn remember_positions(&mut self) {
        if self.pending.iter().any(|event| matches!(event, Event::Scanned(_))) {
            return;
        }
        for (stream, facts) in self.streams.positions() {
            self.state.memory.streams.insert(stream, facts);
        }
    }

    fn write_picture(&mut self, durability: Durability, now: Now) {
        let frame = Frame {
            monitor: &self.me,
            monitor_started: self.started.utc,
            now: now.utc,
            detached: self.leaving == Some(Leave::Detached),
        };
        let picture = self.state.picture(&frame);
        self.hands.write_state(&picture, durability, now.utc);
    }

    /// Whether the lock is no longer in place, looked up before each heartbeat and before anything is written or done: without
    /// it, another monitor may own the directory, with a memory and a child of its own.
    fn is_evicted(&mut self) -> bool {
        self.evicted |= !self.hands.holds_lock();
        self.evicted
    }

    /// Leaves a directory that is not ours any more: the child goes on, nothing is started and nothing is written.
    fn leave_evicted(mut self) -> u8 {
        let now = SystemClock::now().utc;
        let lock = self.layout.lock();
        let child = self.state.memory.child.as_ref().filter(|child| child.exit.is_none());
        let left = match child.map(|child| (child.no, child.process.as_ref())) {
            Some((no, Some(process))) => {
                format!("child {no} keeps running without supervision: `kill {}` ends it", process.pid)
            }
            Some((no, None)) => format!("child {no} may be running without supervision"),
            None => "no child is running".to_owned(),
        };
        let what = format!("`{}` was removed or replaced while this monitor was using it", lock.display());
        self.hands.say(Level::Error, &format!("{what}; it starts nothing more and leaves; {left}"), now);
        self.hands.end_jobs(now);
        self.streams.end_follow();
        IO
    }

    /// Commands that were taken together with the one that ends this monitor are not obeyed any more, but they are answered.
    fn answer_the_rest(&mut self, now: Now) {
        for event in std::mem::take(&mut self.pending) {
            let id = match event {
                Event::Command { id, .. } | Event::ConfigRead { command: Some(id), .. } => id,
                Event::Woke
                | Event::ChildSeen { .. }
                | Event::Scanned(_)
                | Event::Drained { .. }
                | Event::Done { .. }
                | Event::Terminate
                | Event::Interrupt
                | Event::ConfigRead { command: None, .. }
                | Event::JournalState { .. } => continue,
            };
            let message = "not done: the monitor was leaving already".to_owned();
            self.hands.answer(&id, &ControlAnswer { ok: false, message }, now.utc);
        }
    }

    fn leave(mut self, leave: Leave) -> u8 {
        let now = SystemClock::now();
        self.hands.end_jobs(now.utc);
        self.remember_positions();
        if let Some(trouble) = self.hands.write_journal(&mut self.state, now, COMPACT_ABOVE) {
            self.hands.complain(&trouble, now.utc);
        }
        self.write_picture(Durability::Flushed, now);
        self.answer_the_rest(now);
        self.streams.end_follow();
        match leave {
            Leave::Over { code } => code,
            Leave::Detached => 0,
        }
    }
}

/// Names and values among which the redactor looks for secrets.
fn redacted_environment(environment: &BTreeMap<String, String>, config: &Config) -> BTreeMap<String, String> {
    let mut all = environment.clone();
    all.extend(config.process.env.clone());
    all
}
