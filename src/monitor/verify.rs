//! Verdicts: kept means progress, not silence.

use super::effect::{Effects, Level, NotificationKind};
use super::memory::Attempt;
use super::state::State;
use super::todo::{IncidentChange, Todo};
use crate::config::RegressionAction;
use crate::detect::Severity;
use crate::detect::ending::Exit;
use crate::heal::verdict::Verdict;
use crate::ids::{AttemptNo, ChildNo};
use crate::incident::{Incident, VerdictFallen};
use crate::time::Watched;

/// Windows that a fix has to get beyond the point of failure.
const PATIENCE: u32 = 3;

impl State {
    /// The attempt is proven by the next child.
    pub(super) fn attempt_restarts(&mut self, no: AttemptNo) {
        if let Some(attempt) = self.memory.attempts.iter_mut().find(|attempt| attempt.no == no) {
            attempt.needs_restart = true;
            attempt.child = None;
        }
    }

    /// The attempt is proven by the child that is alive.
    pub(super) fn attempt_runs(&mut self, no: AttemptNo) {
        let child = self.child_no().map(|child| (child, self.memory.watched));
        if let Some(attempt) = self.memory.attempts.iter_mut().find(|attempt| attempt.no == no) {
            attempt.child = child;
        }
        self.touched = true;
    }

    /// A child is started: it is the one that proves what waits for a restart, even if nobody ever sees it run.
    pub(super) fn attempts_get_child(&mut self, no: ChildNo) {
        let now = self.memory.watched;
        for attempt in
            self.memory.attempts.iter_mut().filter(|attempt| attempt.needs_restart && attempt.child.is_none())
        {
            attempt.child = Some((no, now));
        }
    }

    /// The child is up: the window begins.
    pub(super) fn attempts_see_child(&mut self, no: ChildNo) {
        let now = self.memory.watched;
        for attempt in self.memory.attempts.iter_mut().filter(|attempt| attempt.needs_restart) {
            if let Some((_, since)) = attempt.child.as_mut().filter(|(child, _)| *child == no) {
                *since = now;
            }
        }
    }

    /// The child was never started: the next one proves what this one was to prove.
    pub(super) fn attempts_lose_child(&mut self, no: ChildNo) {
        for attempt in self.memory.attempts.iter_mut().filter(|attempt| attempt.needs_restart) {
            attempt.child = attempt.child.filter(|(child, _)| *child != no);
        }
    }

    /// Something failed: what is being verified has not held.
    pub(super) fn failure_seen(&mut self, incident: &Incident, fx: &mut Effects) {
        let died = self.ended_exit().is_some();
        let judged: Vec<_> = self
            .memory
            .attempts
            .iter()
            .filter(|attempt| attempt.incident != incident.id)
            .filter(|attempt| attempt.child.is_some_and(|(child, _)| child == incident.child))
            .map(|attempt| {
                (attempt.no, attempt.fingerprint == incident.fingerprint, attempt.detector == incident.root.detector)
            })
            .collect();
        for (no, same, same_detector) in judged {
            if same {
                self.let_fall(no, Verdict::Regressed, &format!("seen again as {}", incident.id), fx);
            } else if same_detector {
                self.let_fall(
                    no,
                    Verdict::Regressed,
                    &format!("detector `{}` fired again, see {}", incident.root.detector, incident.id),
                    fx,
                );
            } else if incident.severity < Severity::Error {
                // A warning about something else says nothing about the fix.
            } else if died {
                self.let_fall(
                    no,
                    Verdict::Crashed,
                    &format!("the child died of something else, see {}", incident.id),
                    fx,
                );
            } else if let Some(attempt) = self.memory.attempts.iter_mut().find(|attempt| attempt.no == no) {
                attempt.tainted.get_or_insert_with(|| format!("something else failed meanwhile, see {}", incident.id));
                self.touched = true;
            }
        }
    }

    /// A child ended by itself, and its failure (if it was one) has been seen.
    pub(super) fn attempts_see_end(&mut self, no: ChildNo, exit: &Exit, fx: &mut Effects) {
        let of_child: Vec<Attempt> = self
            .memory
            .attempts
            .iter()
            .filter(|attempt| attempt.child.is_some_and(|(child, _)| child == no))
            .cloned()
            .collect();
        for attempt in of_child {
            if !exit.is_success() {
                self.let_fall(attempt.no, Verdict::Crashed, "the child did not live", fx);
            } else if let Some(why) = &attempt.tainted {
                self.let_fall(attempt.no, Verdict::Unverified, why, fx);
            } else if let Some(why) = self.short_of_failure(&attempt).filter(|_| self.progress_on(&attempt).is_some()) {
                self.let_fall(attempt.no, Verdict::Unverified, &format!("the command ended early: {why}"), fx);
            } else {
                self.let_fall(attempt.no, Verdict::Kept, "the command has finished its work", fx);
            }
        }
    }

    /// Newest value of the metric that told how far the failed child had come.
    fn progress_on(&self, attempt: &Attempt) -> Option<f64> {
        let (detector, _) = attempt.point_of_failure.as_ref()?;
        self.memory.progress.get(detector).map(|progress| progress.value)
    }

    fn short_of_failure(&self, attempt: &Attempt) -> Option<String> {
        let (_, then) = attempt.point_of_failure.as_ref()?;
        match self.progress_on(attempt) {
            Some(now) if now > *then => None,
            Some(now) => Some(format!("progress is at {now}, and it failed at {then}")),
            None => Some(format!("no progress was seen, and it failed at {then}")),
        }
    }

    /// When a verdict falls by time: after the window, or, where the point of failure is not passed, after
    /// [`PATIENCE`] windows. A window of zero asks for the end of the work.
    fn verify_due(&self, attempt: &Attempt) -> Option<Watched> {
        let (child, since) = attempt.child?;
        let window = self.config.healing.verify_window;
        let alive = self.child_is_alive() && self.child_no() == Some(child) && self.unseen.is_none();
        let short = attempt.tainted.is_none() && self.short_of_failure(attempt).is_some();
        let wait = if short { window.saturating_mul(PATIENCE) } else { window };
        (alive && !window.is_zero()).then(|| since + wait)
    }

    pub(super) fn verify_deadline(&self) -> Option<Watched> {
        self.memory.attempts.iter().filter_map(|attempt| self.verify_due(attempt)).min()
    }

    pub(super) fn verify_when_due(&mut self, fx: &mut Effects) {
        let now = self.memory.watched;
        let due: Vec<Attempt> = self
            .memory
            .attempts
            .iter()
            .filter(|attempt| self.verify_due(attempt).is_some_and(|due| due <= now))
            .cloned()
            .collect();
        // What has gathered may be the very failure that decides.
        if due.is_empty() || self.memory.gathering.is_some() || !self.live.all_caught_up() {
            return;
        }
        let window = self.config.healing.verify_window.as_secs();
        for attempt in due {
            match attempt.tainted.clone().or_else(|| self.short_of_failure(&attempt)) {
                Some(why) => self.let_fall(attempt.no, Verdict::Unverified, &why, fx),
                None => self.let_fall(
                    attempt.no,
                    Verdict::Kept,
                    &format!("the child has lived for {window} s without a failure"),
                    fx,
                ),
            }
        }
    }

    /// A verdict falls.
    pub(super) fn let_fall(&mut self, no: AttemptNo, verdict: Verdict, why: &str, fx: &mut Effects) {
        let Some(at) = self.memory.attempts.iter().position(|attempt| attempt.no == no) else { return };
        let attempt = self.memory.attempts.remove(at);
        let row = self.ledger_row(&attempt, Some(verdict));
        self.intend(Todo::Ledger { row: Box::new(row) });
        let fallen = VerdictFallen { verdict, utc: self.utc, why: why.to_owned() };
        self.change_incident(&attempt.incident, IncidentChange::Verdict { attempt: no, fallen });
        if let Some(note) = self.memory.incidents.iter_mut().find(|note| note.incident.id == attempt.incident) {
            note.verdict = Some(verdict);
        }
        let level = if verdict == Verdict::Kept { Level::Info } else { Level::Warn };
        fx.say(
            level,
            format!("attempt {} ({} by {}): {}, {why}", no.0, attempt.action, attempt.healer, verdict.as_str()),
        );
        self.note(format!("attempt {}: {}", no.0, verdict.as_str()));
        if verdict == Verdict::Regressed {
            let title = format!("[{}] {} did not hold: {why}", attempt.detector, attempt.action);
            fx.notify(NotificationKind::Regression, title, Some(attempt.incident.clone()));
        }
        match verdict {
            // What changed nothing has mended nothing, either.
            Verdict::Kept if matches!(attempt.action.as_str(), "ignore" | "notify") => {}
            Verdict::Kept => {
                self.memory.restarts.verified();
                self.memory.last_healthy = Some(self.utc);
            }
            Verdict::Regressed if self.config.healing.regression_action == RegressionAction::Escalate => {
                if !self.memory.escalated.contains(&attempt.detector) {
                    self.memory.escalated.push(attempt.detector);
                }
            }
            Verdict::Regressed | Verdict::Crashed | Verdict::Rejected | Verdict::Superseded | Verdict::Unverified => {}
        }
    }

    /// A person took over.
    pub(super) fn supersede_all(&mut self, why: &str, fx: &mut Effects) {
        for no in self.pending_attempts() {
            self.let_fall(no, Verdict::Superseded, why, fx);
        }
    }

    /// A child is being stopped: what was to be proven on it will not be.
    pub(super) fn supersede_on(&mut self, no: ChildNo, fx: &mut Effects) {
        let on_it = |attempt: &&Attempt| attempt.child.is_some_and(|(child, _)| child == no);
        let all: Vec<AttemptNo> = self.memory.attempts.iter().filter(on_it).map(|attempt| attempt.no).collect();
        for attempt in all {
            self.let_fall(attempt, Verdict::Superseded, "the child was stopped before it was proven", fx);
        }
    }

    /// The failure that an attempt was for goes on in the same child.
    pub(super) fn failure_goes_on(&mut self, incident: &Incident, fx: &mut Effects) {
        let now = self.memory.watched;
        let of_it = |attempt: &&Attempt| {
            attempt.incident == incident.id
                && attempt.child.is_some_and(|(child, since)| child == incident.child && since < now)
        };
        let all: Vec<AttemptNo> = self.memory.attempts.iter().filter(of_it).map(|attempt| attempt.no).collect();
        for attempt in all {
            self.let_fall(attempt, Verdict::Regressed, &format!("seen again in {}", incident.id), fx);
        }
    }

    pub(super) fn run_ends_for_attempts(&mut self, why: &str, fx: &mut Effects) {
        for no in self.pending_attempts() {
            self.let_fall(no, Verdict::Unverified, &format!("the run ended first: {why}"), fx);
        }
    }

    fn pending_attempts(&self) -> Vec<AttemptNo> {
        self.memory.attempts.iter().map(|attempt| attempt.no).collect()
    }

    pub(super) fn healthy_deadline(&self) -> Option<Watched> {
        let after = self.config.process.restart_policy.reset_after_healthy;
        let pending =
            self.memory.restarts.unverified > 0 && !after.is_zero() && self.child_is_alive() && self.unseen.is_none();
        let up = self.memory.child.as_ref().and_then(|child| child.up)?;
        let last_failure = self.memory.history.last().map_or(up, |(_, at)| up.max(*at));
        pending.then(|| last_failure + after)
    }

    /// A child that has been healthy for long enough clears the count of restarts.
    pub(super) fn reset_when_healthy(&mut self, fx: &mut Effects) {
        if self.healthy_deadline().is_some_and(|deadline| self.memory.watched >= deadline) {
            self.memory.restarts.verified();
            self.memory.last_healthy = Some(self.utc);
            self.note("restarts cleared: healthy for long enough");
            fx.say(Level::Info, "the count of restarts is cleared: the child has been healthy for long enough");
        }
    }
}
