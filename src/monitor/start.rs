//! How a monitor begins: it takes the directory, reads what it must not have forgotten, and goes on with the run that is
//! there or makes a new one.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::sync::Arc;

use super::apply::Hands;
use super::command::ControlCommand;
use super::effect::Level;
use super::event::Event;
use super::journal_line::{self, JournalLine};
use super::looker::Looker;
use super::memory::{ChildFacts, Phase, StreamFacts};
use super::run::Monitor;
use super::state::State;
use super::streams::Streams;
use super::talk::Talk;
use crate::config::{Config, ProcessKind, command_line};
use crate::detect::{DetectorSet, Position};
use crate::ids::{ChildNo, RunId};
use crate::os::clock::SystemClock;
use crate::os::identity;
use crate::os::signals::{Caught, Signals};
use crate::os::watch::Watch;
use crate::paths::Layout;
use crate::store::{Durability, OpenError, Store, WriteError, read};
use crate::supervisor::local::Local;
use crate::supervisor::not_yet::NotYet;
use crate::supervisor::record::{Living, living};
use crate::supervisor::tail::Tail;
use crate::supervisor::{StopHow, Supervisor};
use crate::time::Now;

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
    #[error("child {} of run {}{}", .0.child, .0.run, still_alive(.0))]
    StillAlive(Box<Living>),
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
    crate::os::memory::share_heap();
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
    let set = Arc::new(DetectorSet::with_phases(&config.detectors, &config.phases)?);
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
        streams: Streams::new(Arc::clone(&set), state.config.process.cwd.clone(), setup.follow),
        hands: Hands::new(
            store,
            journal,
            talk,
            supervisor,
            Looker::new(set),
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

impl Monitor {
    /// Goes on with the run that is there, or begins a new one.
    fn begin(&mut self, command_given: bool, only: Option<ControlCommand>, now: Now) -> Result<(), RunError> {
        self.hands.learn_secrets(&self.state);
        let command = self.hands.redact_argv(&self.state.config.process.command);
        if self.state.run_goes_on() {
            self.adopt(&command, command_given, only.is_some(), now)?;
        } else if let Some(living) = living(&self.layout).into_iter().next() {
            // The memory was lost or ended too early. A second child beside this one would be the worst of all answers.
            if only.is_none() || living.host.is_some() {
                return Err(RunError::StillAlive(Box::new(living)));
            }
            self.take_over(&living);
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
    fn take_over(&mut self, living: &Living) {
        let known = read::state(&self.layout).ok().flatten().filter(|state| state.run == living.run);
        self.state.new_run(living.run.clone(), known.map(|state| state.command).unwrap_or_default());
        let printed = Tail::open(self.layout.child_log(&living.run, living.child), 0).len().unwrap_or(0);
        let position = Position { consumed: printed, resume: printed, ..Position::START };
        let memory = &mut self.state.memory;
        memory.streams.insert(living.child.stream(), StreamFacts { position, lines: 0, file: None });
        memory.child = Some(ChildFacts::new(living.child, self.started.utc));
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
            self.open_streams(child, now);
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
}

fn still_alive(living: &Living) -> String {
    let pid = living.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    match &living.host {
        Some(host) => format!("{pid} may still be alive on host `{host}`, which cannot be seen from here"),
        None => format!("{pid} is still alive here, and nothing else is known of it"),
    }
}
