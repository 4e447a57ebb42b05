//! Children: started, seen, ended, and what an end means when no healer knows better.

use std::time::Duration;

use super::effect::{Effect, Effects, Level, NotificationKind};
use super::event::{Outcome, Seen};
use super::memory::{ChildFacts, Memory, Phase, RunFacts, StreamFacts, Then};
use super::state::State;
use super::step::LOST_SIGHT_AFTER;
use super::todo::{IncidentChange, Todo, TodoId};
use crate::config::Lifecycle;
use crate::detect::ending::{Ending, Exit};
use crate::detect::exit_code;
use crate::exit::{ABORTED, GAVE_UP, HELD, LOST_SIGHT};
use crate::ids::{ChildNo, RunId};
use crate::time::Watched;

impl State {
    /// Makes the memory ready for a run of its own.
    pub fn new_run(&mut self, id: RunId, command: Vec<String>) {
        let last = std::mem::take(&mut self.memory);
        // What an earlier run had decided to write down is still to be written; what it wanted to start or stop is not.
        let todo = last.todo.into_iter().filter(|intent| intent.todo.is_record()).collect();
        self.memory = Memory {
            run: Some(RunFacts { id, started: self.utc, command }),
            last_healthy: last.last_healthy,
            recent_ids: last.recent_ids,
            last_todo: last.last_todo,
            todo,
            ..Default::default()
        };
        self.live.clear();
        self.rearm_stalls();
        self.rearm_looks();
        self.note("run started");
    }

    /// Whether the stored run goes on: its child may be alive, or it is waiting.
    pub fn run_goes_on(&self) -> bool {
        self.memory.run.is_some() && !matches!(self.memory.phase, Phase::Idle | Phase::Over { .. })
    }

    /// The first step of a run starts its first child.
    pub(super) fn begin(&mut self, fx: &mut Effects) {
        if self.memory.run.is_some() && self.memory.phase == Phase::Idle {
            self.start_child(fx);
        }
    }

    pub(super) fn start_child(&mut self, _fx: &mut Effects) {
        let no = self.memory.child.as_ref().map_or(ChildNo(1), |child| child.no.next());
        self.memory.child = Some(ChildFacts::new(no, self.utc));
        self.memory.streams.clear();
        self.memory.logs_of = None;
        self.memory.streams.insert(no.stream(), StreamFacts::default());
        self.memory.rates.clear();
        self.memory.metrics.clear();
        self.memory.phases.clear();
        self.memory.progress.clear();
        self.memory.hints.clear();
        self.live.clear();
        self.unseen = None;
        self.drain_asked = false;
        let overlay = self.memory.overlay.clone();
        self.intend(Todo::StartChild { child: no, overlay });
        self.attempts_get_child(no);
        self.set_phase(Phase::Starting);
        self.rearm_stalls();
        self.rearm_looks();
        self.note(format!("child {no} asked for"));
    }

    pub(super) fn child_seen(&mut self, no: ChildNo, seen: Seen, fx: &mut Effects) {
        if self.child_no() != Some(no) {
            return; // An older child: its life has been told.
        }
        if !matches!(seen, Seen::Unknown { .. }) && self.unseen.take().is_some() {
            fx.say(Level::Info, format!("child {no} can be seen again"));
            self.touched = true;
        }
        match seen {
            Seen::Starting => {}
            Seen::Running { process } => self.child_is_up(no, process, fx),
            Seen::Ending(exit) => self.child_ended(no, exit, false, fx),
            Seen::Ended(exit) => self.child_ended(no, exit, true, fx),
            Seen::Unknown { why } => {
                if self.unseen.is_none() {
                    fx.say(
                        Level::Warn,
                        format!("child {no} cannot be seen: {why}; nothing is restarted because of that"),
                    );
                    self.unseen = Some((self.memory.watched, why));
                    self.touched = true;
                }
            }
        }
    }

    fn child_is_up(&mut self, no: ChildNo, process: Option<super::status::ProcessIdentity>, fx: &mut Effects) {
        let now = self.memory.watched;
        let Some(child) = self.child_mut(no) else { return };
        if child.up.is_some() {
            return;
        }
        child.up = Some(now);
        child.process = process;
        let pid = child.process.as_ref().map(|process| process.pid);
        if self.memory.phase == Phase::Starting {
            self.set_phase(Phase::Up);
        }
        // What it has printed before anybody saw it run counts: the clocks have been running since its start.
        if self.memory.streams.get(&no.stream()).is_none_or(|facts| facts.position.consumed == 0) {
            self.rearm_stalls();
        }
        self.attempts_see_child(no);
        self.note(format!("child {no} is up"));
        if no.0 > 1 {
            let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
            fx.say(Level::Info, format!("child {no} started{pid}"));
        }
    }

    fn child_ended(&mut self, no: ChildNo, exit: Exit, gone: bool, fx: &mut Effects) {
        let Some(child) = self.child_mut(no) else { return };
        if child.exit.is_none() {
            let words = exit_code::describe(&exit);
            let success = exit.is_success();
            child.exit = Some(exit);
            match self.memory.phase {
                Phase::Starting | Phase::Up => self.set_phase(Phase::Settling),
                Phase::Stopping { .. } | Phase::Settling => {}
                Phase::Idle | Phase::Deciding | Phase::Cooling { .. } | Phase::Paused { .. } | Phase::Over { .. } => {}
            }
            self.note(format!("child {no} ended: {words}"));
            if !success {
                fx.say(Level::Info, format!("child {no} ended: {words}"));
            }
        }
        let Some(child) = self.child_mut(no) else { return };
        if gone && !child.gone {
            child.gone = true;
            self.touched = true;
        }
        self.ask_for_drain(fx);
    }

    /// An ended child's output is read to its end before anything is made of its end. Asked for once per monitor.
    pub(super) fn ask_for_drain(&mut self, fx: &mut Effects) {
        let Some(child) = &self.memory.child else { return };
        if child.gone && !child.drained && !self.drain_asked {
            self.drain_asked = true;
            fx.push(Effect::Drain(child.no));
        }
    }

    pub(super) fn drained(&mut self, no: ChildNo, fx: &mut Effects) {
        let Some(child) = self.child_mut(no) else { return };
        if child.drained {
            return;
        }
        child.drained = true;
        let Some(exit) = child.exit.clone() else { return };
        self.note(format!("child {no}: all output read"));
        match self.memory.phase.clone() {
            Phase::Stopping { then } => {
                // It may have ended by itself in the moment in which it was to be stopped.
                if let Some(detection) = exit_code::detect(&self.config.detectors, &exit, no) {
                    self.gather(detection, None, no, fx);
                }
                self.settle_now(fx);
                self.write_counts();
                self.child_stopped(then, fx);
            }
            Phase::Settling | Phase::Starting | Phase::Up => self.child_is_done(no, exit, fx),
            Phase::Idle | Phase::Deciding | Phase::Cooling { .. } | Phase::Paused { .. } | Phase::Over { .. } => {}
        }
    }

    /// A child ended by itself: its end is a detection unless it was a success, and a healer or the lifecycle decides.
    fn child_is_done(&mut self, no: ChildNo, exit: Exit, fx: &mut Effects) {
        self.set_phase(Phase::Settling);
        if exit.is_success() {
            self.memory.restarts.succeeded();
        }
        if exit.was_never_tried() {
            // No failure of the command: an earlier monitor died between the decision and the start.
            fx.say(Level::Info, format!("child {no} was never started; starting the next one"));
            self.attempts_lose_child(no);
            self.start_child(fx);
            return;
        }
        if let Some(detection) = exit_code::detect(&self.config.detectors, &exit, no) {
            self.gather(detection, None, no, fx);
        }
        let decided = self.settle_now(fx);
        self.write_counts();
        self.attempts_see_end(no, &exit, fx);
        if !decided {
            self.lifecycle(&exit, fx);
        }
    }

    /// What an end means when no healer acted on it.
    pub(super) fn lifecycle(&mut self, exit: &Exit, fx: &mut Effects) {
        if self.memory.phase != Phase::Settling {
            return;
        }
        let status = exit.shell_status();
        let words = exit_code::describe(exit);
        match (&exit.ending, self.config.process.lifecycle) {
            (Ending::NotStarted { .. }, _) => self.hold(words, fx),
            (_, Lifecycle::RestartAlways) if exit.is_success() => {
                let policy = self.config.process.restart_policy.clone();
                match self.memory.restarts.allow(&policy, 0, self.memory.watched) {
                    Ok(()) => {
                        self.memory.last_healthy = Some(self.utc);
                        let until = self.memory.watched + policy.cooldown;
                        self.set_phase(Phase::Cooling {
                            until,
                            because: format!("`process.lifecycle: restart_always` after {words}"),
                            free: true,
                        });
                    }
                    Err(wall) => self.give_up(&wall.to_string(), fx),
                }
            }
            (_, Lifecycle::RestartOnFailure | Lifecycle::OneShot) if exit.is_success() => {
                self.memory.last_healthy = Some(self.utc);
                self.end(0, "the command has finished".to_owned(), fx);
            }
            (_, Lifecycle::OneShot) => {
                let code = status.and_then(|code| u8::try_from(code).ok()).unwrap_or(LOST_SIGHT);
                self.end(code, format!("the command failed ({words}), and `process.lifecycle` is `one_shot`"), fx);
            }
            (_, Lifecycle::RestartOnFailure | Lifecycle::RestartAlways) => self.restart_by_policy(&words, fx),
        }
    }

    /// What follows a stop of ours.
    fn child_stopped(&mut self, then: Then, fx: &mut Effects) {
        match then {
            Then::Restart { because } => self.cool(because, fx),
            Then::StartNow { because } => {
                self.memory.restarts.started_again(&self.config.process.restart_policy, self.memory.watched);
                fx.say(Level::Info, format!("starting again: {because}"));
                self.start_child(fx);
            }
            Then::Pause { why } => {
                fx.say(Level::Warn, format!("paused: {why}; `sentry resume` goes on"));
                self.set_phase(Phase::Paused { why });
            }
            Then::End { code, why } => self.end(code, why, fx),
        }
    }

    /// Waits before a restart that counts.
    pub(super) fn cool(&mut self, because: String, fx: &mut Effects) {
        let pause = self.memory.restarts.pause(&self.config.process.restart_policy, self.chance());
        self.cool_for(pause, because, false, fx);
    }

    /// Waits before a restart that spends no budget: the world outside was not ready.
    pub(super) fn wait_outside(&mut self, because: String, fx: &mut Effects) {
        let pause = self.memory.restarts.wait(&self.config.process.restart_policy, self.chance());
        self.memory.restarts.waited();
        self.cool_for(pause, because, true, fx);
    }

    fn cool_for(&mut self, pause: Duration, because: String, free: bool, fx: &mut Effects) {
        let until = self.memory.watched + pause;
        if !pause.is_zero() {
            fx.say(Level::Info, format!("restarting in {:.1} s: {because}", pause.as_secs_f64()));
        }
        self.set_phase(Phase::Cooling { until, because, free });
    }

    /// A number from 0 to 1 that differs from run to run and restart to restart, and is the same after a replay.
    fn chance(&self) -> f64 {
        let run = self.memory.run.as_ref().map_or("", |run| run.id.as_str());
        // FNV-1a, 64 bit (Fowler, Noll, Vo): spreads well enough for a jitter.
        let hash = run
            .bytes()
            .chain(self.memory.restarts.total.to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        f64::from(u32::try_from(hash >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    pub(super) fn cooling_deadline(&self) -> Option<Watched> {
        match self.memory.phase {
            Phase::Cooling { until, .. } => Some(until),
            Phase::Idle
            | Phase::Starting
            | Phase::Up
            | Phase::Stopping { .. }
            | Phase::Settling
            | Phase::Deciding
            | Phase::Paused { .. }
            | Phase::Over { .. } => None,
        }
    }

    pub(super) fn start_when_cooled(&mut self, fx: &mut Effects) {
        let Phase::Cooling { until, because, free } = self.memory.phase.clone() else { return };
        if self.memory.watched < until {
            return;
        }
        let policy = self.config.process.restart_policy.clone();
        if free {
            self.memory.restarts.started_again(&policy, self.memory.watched);
        } else {
            self.memory.restarts.restarted(&policy, self.memory.watched);
        }
        self.note(format!("restart: {because}"));
        self.start_child(fx);
    }

    /// Stops the child if there is one; goes on with `then` at once otherwise.
    pub(super) fn stop_then(&mut self, then: Then, fx: &mut Effects) {
        let Some(child) = &self.memory.child else {
            self.child_stopped(then, fx);
            return;
        };
        let (no, ended, over) = (child.no, child.exit.is_some(), child.gone && child.drained);
        self.supersede_on(no, fx);
        if over || self.take_back_start(no) {
            self.child_stopped(then, fx);
            return;
        }
        if !ended {
            self.intend(Todo::StopChild { child: no, now: false });
        }
        self.set_phase(Phase::Stopping { then });
    }

    /// A child that could not be started yet need not be stopped.
    fn take_back_start(&mut self, no: ChildNo) -> bool {
        let failed = |id| self.retries.contains_key(&id);
        let at = self.memory.todo.iter().position(|intent| {
            matches!(intent.todo, Todo::StartChild { child, .. } if child == no) && failed(intent.id)
        });
        if let Some(at) = at {
            let intent = self.memory.todo.remove(at);
            self.retries.remove(&intent.id);
            self.note(format!("child {no} is not started any more"));
        }
        at.is_some()
    }

    /// Ends the run.
    pub(super) fn end(&mut self, code: u8, why: String, fx: &mut Effects) {
        let level = match code {
            0 | ABORTED => Level::Info,
            _ => Level::Error,
        };
        self.run_ends_for_attempts(&why, fx);
        // Nothing is started any more, and nobody waits for a rule's command.
        self.memory.todo.retain(|intent| !matches!(intent.todo, Todo::StartChild { .. } | Todo::RunCommand { .. }));
        let code_in_words = if code == 0 { String::new() } else { format!(" (exit code {code})") };
        fx.say(level, format!("run over: {why}{code_in_words}"));
        if code != 0 {
            fx.notify(NotificationKind::Exit, format!("run over: {why} (exit code {code})"), None);
        }
        self.note(format!("run over: {why}"));
        self.set_phase(Phase::Over { code, held: code == HELD, why });
    }

    /// A budget is spent.
    pub(super) fn give_up(&mut self, wall: &str, fx: &mut Effects) {
        self.end(GAVE_UP, format!("gave up after {wall}"), fx);
    }

    /// Nobody but a person can go on.
    pub(super) fn hold(&mut self, why: String, fx: &mut Effects) {
        self.end(HELD, format!("held for a person: {why}"), fx);
    }

    pub(super) fn give_up_when_unseen(&mut self, fx: &mut Effects) {
        let Some((since, why)) = self.unseen.clone() else { return };
        if let Phase::Over { .. } = self.memory.phase {
            return;
        }
        if self.memory.watched.since(since) >= LOST_SIGHT_AFTER {
            self.end(LOST_SIGHT, format!("lost sight of the child for too long: {why}; it may still be alive"), fx);
        }
    }

    /// An intent was tried.
    pub(super) fn done(&mut self, id: TodoId, result: Result<Outcome, String>, fx: &mut Effects) {
        let (result, outcome) = match result {
            Ok(outcome) => (Ok(()), Some(outcome)),
            Err(why) => (Err(why), None),
        };
        let Some(intent) = self.settle_todo(id, result, fx) else { return };
        match (intent.todo, outcome) {
            (Todo::RunCommand { attempt, .. }, Some(Outcome::CommandEnded { status, last_line })) => {
                self.command_ended(attempt, status, &last_line, fx);
            }
            (Todo::LookAround { id, .. }, Some(Outcome::LookedAround(changes))) => {
                self.change_incident(&id, IncidentChange::Changes { changes });
            }
            (
                Todo::LookAround { .. }
                | Todo::StartChild { .. }
                | Todo::StopChild { .. }
                | Todo::WriteIncident { .. }
                | Todo::UpdateIncident { .. }
                | Todo::Ledger { .. }
                | Todo::RunCommand { .. },
                _,
            ) => {}
        }
    }
}
