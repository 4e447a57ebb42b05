//! A rule's `custom_command`: what follows from its end, and from the line it spoke last.

use std::collections::BTreeMap;

use super::effect::{Effects, Level};
use super::memory::{Phase, Then};
use super::state::State;
use super::todo::{IncidentChange, Todo};
use crate::exit::ABORTED;
use crate::heal::verdict::Verdict;
use crate::ids::AttemptNo;
use crate::incident::Incident;

impl State {
    /// A rule's command was begun while the child lived, and the child has ended of the same incident: the command runs
    /// once, and what it does or did is for the next child. Whether that settles what happens.
    pub(super) fn command_was_for_ended(&mut self, incident: &Incident, fx: &mut Effects) -> bool {
        let Some(no) =
            self.memory.attempts.iter().find(|attempt| attempt.incident == incident.id).map(|attempt| attempt.no)
        else {
            return false; // It has failed: the lifecycle decides.
        };
        let runs = self
            .memory
            .todo
            .iter()
            .any(|intent| matches!(intent.todo, Todo::RunCommand { attempt, .. } if attempt == no));
        if runs {
            self.set_phase(Phase::Deciding);
        } else if let Err(why) = self.may_restart() {
            self.let_fall(no, Verdict::Unverified, why, fx);
            return false;
        } else {
            self.restart_after_command(no, fx);
        }
        true
    }

    /// The command was the fix; the child it is for has to be started again.
    fn restart_after_command(&mut self, no: AttemptNo, fx: &mut Effects) {
        let policy = &self.config.process.restart_policy;
        match self.memory.restarts.allow(policy, self.max_restarts(), self.memory.watched) {
            Ok(()) => {
                self.attempt_restarts(no);
                self.cool(format!("the command of attempt {} has ended", no.0), fx);
            }
            Err(wall) => self.give_up(&wall.to_string(), fx),
        }
    }

    /// A rule's command has ended: its last line may name an action.
    pub(super) fn command_ended(&mut self, no: AttemptNo, status: Option<i32>, last_line: &str, fx: &mut Effects) {
        let deciding = self.memory.phase == Phase::Deciding;
        if deciding {
            self.set_phase(Phase::Settling);
        }
        let Some(attempt) = self.memory.attempts.iter().find(|attempt| attempt.no == no) else { return };
        let (incident, of, fingerprint) = (attempt.incident.clone(), attempt.of, attempt.fingerprint.clone());
        let follow_up = FollowUp::parse(last_line);
        let outcome = match status {
            Some(code) => format!("the command ended with exit code {code}; last line: {last_line}"),
            None => "the command ran out of time and was ended".to_owned(),
        };
        self.change_incident(&incident, IncidentChange::Details { attempt: no, details: vec![outcome.clone()] });
        fx.say(Level::Info, outcome.clone());
        if status != Some(0) {
            self.let_fall(no, Verdict::Crashed, &outcome, fx);
            self.lifecycle_after_command(deciding, fx);
            return;
        }
        let same_child = self.child_no() == Some(of);
        // What the child left is still being read; then this attempt is found, and the next child is for it.
        let soon_decided = same_child && self.memory.phase == Phase::Settling && !deciding;
        let too_late = !deciding && !soon_decided && (!same_child || self.memory.phase != Phase::Up);
        match follow_up {
            None | Some(FollowUp::Restart { .. }) if too_late => {
                self.let_fall(no, Verdict::Superseded, "the child it was for had ended before the command did", fx);
            }
            Some(FollowUp::Restart { set }) if soon_decided => {
                self.memory.overlay.extend(set);
                self.attempt_runs(no);
            }
            Some(FollowUp::Restart { .. }) if self.may_restart().is_err() => {
                let why = self.may_restart().err().unwrap_or_default();
                self.let_fall(no, Verdict::Rejected, &format!("the command asked for a restart, but {why}"), fx);
                self.lifecycle_after_command(deciding, fx);
            }
            Some(FollowUp::Restart { set }) => {
                if !deciding {
                    self.memory.restarts.failed_with(&fingerprint);
                }
                let policy = &self.config.process.restart_policy;
                match self.memory.restarts.allow(policy, self.max_restarts(), self.memory.watched) {
                    Ok(()) => {
                        self.memory.overlay.extend(set);
                        self.attempt_restarts(no);
                        self.restart_for(format!("the command of attempt {} asked for it", no.0), fx);
                    }
                    Err(wall) if deciding => self.give_up(&wall.to_string(), fx),
                    Err(wall) => self.let_fall(
                        no,
                        Verdict::Rejected,
                        &format!("the command asked for a restart after {wall}"),
                        fx,
                    ),
                }
            }
            Some(FollowUp::Pause) => {
                self.let_fall(no, Verdict::Unverified, "the run was paused, so there was nothing to verify", fx);
                self.stop_then(Then::Pause { why: "a rule's command asked for it".to_owned() }, fx);
            }
            Some(FollowUp::Abort) => {
                self.stop_then(Then::End { code: ABORTED, why: "aborted by a rule's command".to_owned() }, fx)
            }
            None if deciding && self.may_restart().is_err() => {
                let why = self.may_restart().err().unwrap_or_default();
                self.let_fall(no, Verdict::Unverified, &format!("nothing was started again: {why}"), fx);
                self.lifecycle_after_command(deciding, fx);
            }
            None if deciding => self.restart_after_command(no, fx),
            None => self.attempt_runs(no),
        }
    }

    fn lifecycle_after_command(&mut self, deciding: bool, fx: &mut Effects) {
        if deciding && let Some(exit) = self.ended_exit() {
            self.lifecycle(&exit, fx);
        }
    }
}

/// What the last output line of a rule's command may ask for: an exact word, nothing that merely contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FollowUp {
    Restart { set: BTreeMap<String, String> },
    Pause,
    Abort,
}

impl FollowUp {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let mut words = line.strip_prefix("ACTION:").unwrap_or(line).split_whitespace();
        let word = words.next()?;
        let rest: Vec<&str> = words.collect();
        match (word, rest.as_slice()) {
            ("restart", []) => Some(Self::Restart { set: Default::default() }),
            ("restart_with_env", pairs) if !pairs.is_empty() => pairs
                .iter()
                .map(|pair| {
                    pair.split_once('=')
                        .filter(|(name, _)| !name.is_empty())
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                })
                .collect::<Option<_>>()
                .map(|set| Self::Restart { set }),
            ("pause", []) => Some(Self::Pause),
            ("abort", []) => Some(Self::Abort),
            _ => None,
        }
    }
}
