//! The heart: what happened → what to do. No I/O, no clock, no randomness.
//!
//! Here is the dispatch and time; `lifecycle` knows children, `settle` makes incidents, `decide` climbs the ladder,
//! `verify` lets verdicts fall, `obey` serves commands.

use std::time::Duration;

use super::effect::{Effect, Effects, Leave, Level};
use super::event::Event;
use super::memory::Phase;
use super::state::{Retry, State};
use super::todo::{Intent, Todo, TodoId};
use crate::time::{Now, Watched};

/// A child that cannot be seen for this long ends the monitor with exit code 84.
pub const LOST_SIGHT_AFTER: Duration = Duration::from_secs(3600);

impl State {
    /// Takes one event and says what to do. The same state and events always give the same effects.
    pub fn step(&mut self, event: Event, now: Now) -> Effects {
        let mut fx = Effects::default();
        if self.left {
            return fx;
        }
        self.utc = now.utc;
        self.before_step = TodoId(self.memory.last_todo);
        self.clock.advance(&mut self.memory.watched, now.mono);
        // Nothing else has happened that is yet to be weighed.
        let idle = matches!(event, Event::Woke);
        self.take(event, &mut fx);
        self.pass_time(idle, &mut fx);
        self.try_todos(&mut fx);
        self.leave_when_over(&mut fx);
        fx.changed = std::mem::take(&mut self.touched);
        fx
    }

    /// How long the loop may wait for the next event, at most `longest`.
    pub fn next_wait(&mut self, longest: Duration) -> Duration {
        let now = self.memory.watched;
        let wait = self.deadlines().min().map_or(longest, |deadline| deadline.since(now).min(longest));
        self.clock.plan(wait);
        self.stream_looks += 1;
        wait
    }

    fn take(&mut self, event: Event, fx: &mut Effects) {
        match event {
            Event::Woke => self.begin(fx),
            Event::ChildSeen { child, seen } => self.child_seen(child, seen, fx),
            Event::Scanned(reports) => reports.into_iter().for_each(|report| self.scanned(report, fx)),
            Event::Drained { child } => self.drained(child, fx),
            Event::Done { id, result } => self.done(id, result, fx),
            Event::Looked { id, answer } => self.looked(id, &answer, fx),
            Event::Command { id, command } => self.obey(&id, command, fx),
            Event::Terminate => self.terminate(fx),
            Event::Interrupt => self.interrupt(fx),
            Event::ConfigRead { command, result } => self.config_read(command, result, fx),
            Event::JournalState { trouble } => self.journal_state(trouble, fx),
        }
    }

    /// Everything that happens because time has passed.
    fn pass_time(&mut self, idle: bool, fx: &mut Effects) {
        self.expire_phases();
        self.flush_silent_streams(fx);
        if idle {
            self.judge_stalls(fx);
        }
        self.look_when_due(fx);
        self.settle_when_quiet(fx);
        self.start_when_cooled(fx);
        self.verify_when_due(fx);
        self.reset_when_healthy(fx);
        self.give_up_when_unseen(fx);
    }

    fn deadlines(&self) -> impl Iterator<Item = Watched> {
        [
            self.silence_deadline(),
            self.stall_deadline(),
            self.look_deadline(),
            self.phase_deadline(),
            self.settle_deadline(),
            self.cooling_deadline(),
            self.verify_deadline(),
            self.healthy_deadline(),
            self.unseen.as_ref().map(|(since, _)| *since + LOST_SIGHT_AFTER),
            self.retries.values().map(|retry| retry.at).min(),
        ]
        .into_iter()
        .flatten()
    }

    /// Writes an intent down; it is tried at the end of the step.
    pub(super) fn intend(&mut self, todo: Todo) {
        self.memory.last_todo += 1;
        self.memory.todo.push(Intent { id: TodoId(self.memory.last_todo), todo });
        self.touched = true;
    }

    fn try_todos(&mut self, fx: &mut Effects) {
        let now = self.memory.watched;
        // A change must not overtake what it changes: records wait for each other.
        let mut records_wait = false;
        for intent in &self.memory.todo {
            let record = intent.todo.writes();
            let waits = self.retries.get(&intent.id).is_some_and(|retry| retry.at > now) || (record && records_wait);
            // One that is being tried may yet fail; those of one round are held back by whoever tries them.
            records_wait |= record && (waits || self.in_flight.contains(&intent.id));
            if !waits && self.in_flight.insert(intent.id) {
                fx.push(Effect::Try(intent.clone()));
            }
        }
    }

    /// Takes a finished intent off the list; a failed one stays for later.
    pub(super) fn settle_todo(&mut self, id: TodoId, result: Result<(), String>, fx: &mut Effects) -> Option<Intent> {
        self.in_flight.remove(&id);
        match result {
            Ok(()) => {
                self.retries.remove(&id);
                if self.retries.is_empty() {
                    self.warnings.remove("write");
                }
                self.touched = true;
                let at = self.memory.todo.iter().position(|intent| intent.id == id)?;
                Some(self.memory.todo.remove(at))
            }
            Err(why) => {
                let failures = self.retries.get(&id).map_or(1, |retry| retry.failures.saturating_add(1));
                let pause = Duration::from_millis(250).saturating_mul(1 << failures.min(7));
                self.retries.insert(id, Retry { failures, at: self.memory.watched + pause });
                if self.warnings.insert("write", why.clone()).is_none() {
                    fx.say(Level::Error, format!("{why}; trying again until it works"));
                }
                None
            }
        }
    }

    fn leave_when_over(&mut self, fx: &mut Effects) {
        let Phase::Over { code, .. } = self.memory.phase else { return };
        // A disk that stays full must not keep a finished run for ever: what failed once stays on the list in the journal.
        let all_tried = self.memory.todo.iter().all(|intent| self.retries.contains_key(&intent.id));
        if all_tried {
            self.left = true;
            fx.push(Effect::Leave(Leave::Over { code }));
        }
    }

    fn journal_state(&mut self, trouble: Option<String>, fx: &mut Effects) {
        match trouble {
            Some(why) => {
                if self.warnings.insert("journal", why.clone()).is_none() {
                    fx.say(Level::Error, format!("{why}; going on from memory"));
                }
            }
            None => {
                if self.warnings.remove("journal").is_some() {
                    fx.say(Level::Info, "the journal can be written again");
                    self.touched = true;
                }
            }
        }
    }
}
