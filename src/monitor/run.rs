//! The only loop: wait, step, apply. One thread, one wait, one deadline.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::apply::Hands;
use super::command::ControlAnswer;
use super::effect::{Leave, Level};
use super::event::{Event, Seen};
use super::memory::StreamFacts;
use super::picture::Frame;
use super::state::State;
use super::status::ProcessIdentity;
use super::streams::{Known, Streams};
use crate::config::{Config, LogGlobs};
use crate::exit::IO;
use crate::ids::{ChildNo, StreamId};
use crate::os::clock::SystemClock;
use crate::os::signals::{Caught, Signals};
use crate::os::watch::{Watch, WatchId, Woken};
use crate::os::{identity, process, wait};
use crate::paths::Layout;
use crate::store::{Durability, control};
use crate::supervisor::Observed;
use crate::supervisor::log_files::LogFiles;
use crate::time::{Mono, Now};

/// A turn that took longer than this is told in `sentry.log`.
const SLOW_TURN: Duration = Duration::from_millis(500);
/// The journal is compacted into one line beyond this size.
const COMPACT_ABOVE: u64 = 8 * 1024 * 1024;
/// Without inotify the control queue and the child are looked at this often.
const POLL: Duration = Duration::from_millis(500);

/// Most steps of one turn, so that signals, commands and the heartbeat are served whatever the steps ask of each other.
const MOST_STEPS: usize = 10_000;

/// The loop and all it holds.
pub(super) struct Monitor {
    pub(super) state: State,
    pub(super) hands: Hands,
    pub(super) streams: Streams,
    pub(super) pending: VecDeque<Event>,
    pub(super) signals: Signals,
    pub(super) watch: Option<Watch>,
    pub(super) control_watch: Option<WatchId>,
    /// When the control queue is looked at without having been woken.
    pub(super) look_at_queue: Option<Mono>,
    pub(super) layout: Layout,
    pub(super) me: ProcessIdentity,
    pub(super) started: Now,
    pub(super) heartbeat: Mono,
    pub(super) seen: Option<(ChildNo, Seen)>,
    pub(super) leaving: Option<Leave>,
    /// Somebody has removed `.sentry/` or its lock: what is there now belongs to somebody else.
    pub(super) evicted: bool,
}

impl Monitor {
    /// Turns until the run is over or the monitor is told to leave. The exit code.
    pub(super) fn run(mut self) -> u8 {
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
            let configured = matches!(event, Event::ConfigRead { .. });
            let effects = self.state.step(event, now);
            if configured {
                self.hands.learn_secrets(&self.state);
            }
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
            self.hands.learn_overlay(&self.state);
            let trouble = self.hands.write_journal(&mut self.state, now, COMPACT_ABOVE);
            if trouble.is_some() || self.state.warnings.contains_key("journal") {
                self.pending.push_back(Event::JournalState { trouble });
            }
        }
        self.hands.begin_round();
        for effect in effects.list {
            match effect {
                Effect::Try(intent) => {
                    self.before_try(&intent.todo, now);
                    let event = self.hands.attempt(&intent, &self.state, now);
                    self.pending.extend(event);
                    self.after_try(&intent.todo, now);
                }
                Effect::FlushSilence(streams) => {
                    let reports = self.streams.flush_silence(&streams);
                    self.scanned(reports);
                }
                Effect::Look(look) => {
                    let event = self.hands.look(&look, &self.state, now);
                    self.pending.extend(event);
                }
                Effect::Drain(child) => self.streams.begin_drain(child),
                Effect::ReadConfig { command } => {
                    self.read_config(command, now);
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

    /// What has to be looked at before something is done: what the files of `process.logs` hold when a child is started is not
    /// that child's, and must not be forgotten when the monitor dies right after the start.
    fn before_try(&mut self, todo: &super::todo::Todo, now: Now) {
        let super::todo::Todo::StartChild { child, .. } = todo else { return };
        self.streams.close_before(*child, &mut self.watch);
        self.streams.set_cwd(&self.state.config.process.cwd);
        let globs = log_globs(&self.state.config, &self.layout);
        if globs.is_empty() || self.state.memory.logs_of == Some(*child) {
            return;
        }
        let found = self.streams.open_logs(*child, LogFiles::new(globs), Known::BeforeStart, &mut self.watch, now.mono);
        self.remember_logs(*child, found, now);
    }

    fn remember_logs(&mut self, child: ChildNo, found: Vec<(StreamId, StreamFacts)>, now: Now) {
        let memory = &mut self.state.memory;
        memory.logs_of = Some(child);
        found.into_iter().for_each(|(stream, facts)| memory.streams.insert(stream, facts));
        if let Some(trouble) = self.hands.write_journal(&mut self.state, now, COMPACT_ABOVE) {
            self.pending.push_back(Event::JournalState { trouble: Some(trouble) });
        }
    }

    /// Reads the configuration again. Files of new globs of `process.logs` are read from now on.
    fn read_config(&mut self, command: Option<String>, now: Now) {
        let result = self.hands.read_config(&mut self.streams);
        if let (Ok(config), Some(child)) = (&result, self.state.child_no())
            && config.process.logs != self.state.config.process.logs
        {
            let globs = log_globs(config, &self.layout);
            self.open_logs(child, globs, now);
        }
        self.pending.push_back(Event::ConfigRead { command, result });
    }

    /// Goes on with the files of `process.logs`.
    fn open_logs(&mut self, child: ChildNo, globs: LogGlobs, now: Now) {
        let memory = &self.state.memory;
        let started = memory.child.as_ref().map_or(self.started.utc, |child| child.started);
        let reopened = self.streams.has_logs_of(child);
        let known = if memory.logs_of == Some(child) && !reopened {
            Known::GoOn(&memory.streams)
        } else {
            Known::Since(&memory.streams, started)
        };
        let empty = globs.is_empty();
        let found = self.streams.open_logs(child, LogFiles::new(globs), known, &mut self.watch, now.mono);
        if !empty {
            self.remember_logs(child, found, now);
        }
    }

    /// What has to be looked at because of something that was done.
    fn after_try(&mut self, todo: &super::todo::Todo, now: Now) {
        use super::todo::Todo;
        match todo {
            Todo::StartChild { child, .. } => {
                self.open_streams(*child, now);
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

    pub(super) fn open_streams(&mut self, child: ChildNo, now: Now) {
        for source in self.hands.supervisor.streams(child) {
            let facts = self.state.memory.streams.get(&source.stream).copied().unwrap_or_default();
            self.streams.open(source, child, facts, &mut self.watch);
        }
        let globs = log_globs(&self.state.config, &self.layout);
        if !globs.is_empty() && !self.streams.has_logs_of(child) {
            self.open_logs(child, globs, now);
        }
    }

    fn scanned(&mut self, mut reports: Vec<super::event::ScanReport>) {
        for detection in reports.iter_mut().flat_map(|report| &mut report.detections) {
            self.hands.redact_detection(detection);
        }
        self.pending.extend((!reports.is_empty()).then_some(Event::Scanned(reports)));
    }

    /// The one wait.
    fn wait(&mut self) {
        let now = SystemClock::mono();
        let longest = self.state.config.monitor.poll_interval.max(Duration::from_secs(1));
        let by_state = self.state.next_wait(longest);
        let until = |at: Option<Mono>| at.map(|at| at.since(now));
        let timeout = [
            Some(by_state),
            until(self.streams.next_look(now)),
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
            fds.extend(self.streams.wake(now));
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
                        self.read_config(None, now);
                    }
                    // As process 1 of a container we inherit what others have left.
                    Caught::Child => {
                        if let Err(error) = process::reap_strangers(|pid| self.hands.is_job(pid)) {
                            self.hands.complain(&format!("cannot reap: {error}"), now.utc);
                        }
                    }
                    Caught::Quit | Caught::WindowChanged => {}
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
        self.streams.look_for_files(&mut self.watch, now.mono);
        if ready.any() || self.watch.is_none() {
            self.observe(now);
        }
        // A child's last words before its end: what was written first is read first.
        let (reports, troubles, drained) = self.streams.read_due(now.mono, &mut self.watch);
        self.scanned(reports);
        for trouble in troubles {
            self.hands.complain(&trouble.to_string(), now.utc);
        }
        self.pending.extend(drained.map(|child| Event::Drained { child }));
        self.pending.extend(self.hands.finished_jobs(now));
        for looked in self.hands.finished_looks(now) {
            self.scanned(looked.report.into_iter().collect());
            self.pending.push_back(Event::Looked { id: looked.id, answer: Box::new(looked.answer) });
        }
        if commands {
            self.take_commands(now);
        }
    }

    /// Makes the queue if it was taken away, and watches it.
    pub(super) fn watch_queue(&mut self) {
        if let Err(error) = crate::store::make_tree(&self.layout) {
            self.hands.complain(&error.to_string(), SystemClock::utc());
        }
        let queue = self.layout.control_new();
        self.control_watch = self.watch.as_mut().and_then(|watch| watch.dir(&queue).ok());
    }

    pub(super) fn take_commands(&mut self, now: Now) {
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
    pub(super) fn observe(&mut self, _now: Now) {
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

    /// Heartbeat: the picture, and how far the streams have been read and weighed.
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
        let trouble = self.hands.write_journal(&mut self.state, now, COMPACT_ABOVE);
        if trouble.is_some() || self.state.warnings.contains_key("journal") {
            self.pending.push_back(Event::JournalState { trouble });
        }
        self.write_picture(Durability::Cached, now);
        self.hands.sweep(&self.state, now);
    }

    pub(super) fn write_picture(&mut self, durability: Durability, now: Now) {
        let frame = Frame {
            monitor: &self.me,
            monitor_started: self.started.utc,
            now: now.utc,
            detached: self.leaving == Some(Leave::Detached),
        };
        let mut picture = self.state.picture(&frame);
        picture.stream_totals.troubled.clone_from(self.streams.troubled());
        self.hands.redact_picture(&mut picture);
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
                | Event::Looked { .. }
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

/// Files that are read besides the output; ours are never.
fn log_globs(config: &Config, layout: &Layout) -> LogGlobs {
    let own = vec![layout.dot(), config.incidents_dir.clone(), config.monitor.log_dir.clone()];
    LogGlobs::new(&config.process.logs, own)
}
