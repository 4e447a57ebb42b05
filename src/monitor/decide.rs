//! The ladder: what is done about an incident, and the reason when nothing is.

use super::effect::{Effects, Level, NotificationKind};
use super::memory::{Attempt, Phase, Then};
use super::state::State;
use super::todo::{IncidentChange, LedgerRow, Todo};
use crate::config::{Action, Lifecycle, Rule};
use crate::detect::ending::{Ending, Exit};
use crate::detect::{ClassAction, Severity};
use crate::exit::ABORTED;
use crate::heal::overlay::{Bases, Changed, change};
use crate::heal::rules::{self, Seen};
use crate::heal::verdict::Verdict;
use crate::ids::{AttemptNo, ClassName, IncidentId};
use crate::incident::{ActionTaken, Incident};

/// Healer of restarts that no rule asked for.
const POLICY: &str = "policy";
const RESTART: &str = "restart";
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// What is done about an incident.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// Nothing by a healer.
    Nothing { why: String },
    /// A rule acts.
    Act { attempt: AttemptNo, healer: String, action: Action, changed: Changed, notify: bool },
    /// A budget is spent, and the child has ended.
    GiveUp { why: String },
    /// Only a person can help: the command cannot even be started, or the class of the failure says so.
    Hold { why: String },
    /// The class of the failure says that the world outside was not ready.
    Wait { attempt: AttemptNo, class: ClassName },
}

/// Why no rule acts.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum NoRule {
    #[error("its severity is below `healing.min_severity: {}`", .0.as_str())]
    Below(Severity),
    #[error("an earlier fix for this detector regressed, and `healing.regression_action` is `escalate`")]
    Escalated,
    #[error("no rule matches")]
    Matches,
}

/// Healer of what a failure class asks for.
fn class_healer(class: &ClassName) -> String {
    format!("class {class}")
}

impl State {
    /// Climbs the ladder. Changes nothing but the count of failures.
    pub(super) fn decide(&mut self, incident: &Incident) -> Decision {
        self.decide_among(incident, |_| true)
    }

    /// The same with some of the rules only.
    fn decide_among(&mut self, incident: &Incident, eligible: impl Fn(&Rule) -> bool) -> Decision {
        if let Phase::Stopping { .. } = self.memory.phase {
            return Decision::Nothing { why: "the child was being stopped already".to_owned() };
        }
        let ended = self.ended_exit();
        if let Some(Exit { ending: Ending::NotStarted { message, .. }, .. }) = &ended {
            return Decision::Hold { why: message.clone() };
        }
        let rule = self.eligible_rule(incident, eligible).cloned();
        if let Err(NoRule::Matches) = &rule
            && let Some(decision) = self.by_class(incident)
        {
            return decision;
        }
        if ended.is_some() {
            self.memory.restarts.failed_with(&incident.fingerprint);
        }
        let rule = match rule {
            Ok(rule) => rule,
            Err(why) => return Decision::Nothing { why: why.to_string() },
        };
        if let Some(wall) = self.heal_wall(incident, &rule) {
            return self.wall_reached(wall);
        }
        let restarts = matches!(rule.action, Action::Restart | Action::RestartWithEnv { .. });
        if restarts {
            if let Err(why) = self.may_restart() {
                return Decision::Nothing { why: format!("rule `{}` would restart, but {why}", rule.name) };
            }
            if ended.is_none() {
                self.memory.restarts.failed_with(&incident.fingerprint);
            }
            let policy = &self.config.process.restart_policy;
            if let Err(wall) = self.memory.restarts.allow(policy, self.max_restarts(), self.memory.watched) {
                return self.wall_reached(wall.to_string());
            }
        }
        self.memory.last_attempt += 1;
        Decision::Act {
            attempt: AttemptNo(self.memory.last_attempt),
            healer: format!("rule {}", rule.name),
            changed: self.env_change(&rule.action),
            notify: rule.notify,
            action: rule.action,
        }
    }

    fn eligible_rule(&self, incident: &Incident, eligible: impl Fn(&Rule) -> bool) -> Result<&Rule, NoRule> {
        let least = self.config.healing.min_severity;
        if incident.severity < least {
            return Err(NoRule::Below(least));
        }
        if self.memory.escalated.contains(&incident.root.detector) {
            return Err(NoRule::Escalated);
        }
        let seen = Seen { history: &self.memory.history, now: self.memory.watched };
        let rules = self.config.rules.iter().filter(|rule| eligible(rule));
        rules::first_match(rules, incident, seen).ok_or(NoRule::Matches)
    }

    /// What the class of a failure asks for where no rule does and the lifecycle would start the command again.
    fn by_class(&mut self, incident: &Incident) -> Option<Decision> {
        let class = incident.class.as_ref().filter(|_| self.config.healing.class_actions)?;
        let failed = self.ended_exit().is_some_and(|exit| !exit.is_success());
        if !failed || self.may_restart().is_err() {
            return None;
        }
        let held = |why: &str| Some(Decision::Hold { why: format!("{}: {why}", class.name) });
        match class.action {
            ClassAction::Hold => held("starting again would not help"),
            ClassAction::Requeue => held("it needs another machine, and there is no scheduler to ask"),
            ClassAction::Clean => held("room has to be made first, and no rule says how"),
            ClassAction::Backoff => {
                let policy = &self.config.process.restart_policy;
                if let Err(wall) = self.memory.restarts.allow_wait(policy, self.memory.watched) {
                    return Some(self.wall_reached(wall.to_string()));
                }
                self.memory.last_attempt += 1;
                Some(Decision::Wait { attempt: AttemptNo(self.memory.last_attempt), class: class.name.clone() })
            }
            ClassAction::Policy
            | ClassAction::Restart
            | ClassAction::Rollback
            | ClassAction::Adjust
            | ClassAction::Ignore => None,
        }
    }

    /// Whether a child that has ended may be started again at all.
    pub(super) fn may_restart(&self) -> Result<(), &'static str> {
        match self.ended_exit() {
            Some(_) if self.config.process.lifecycle == Lifecycle::OneShot => Err("`process.lifecycle` is `one_shot`"),
            Some(exit) if exit.is_success() => Err("the command has finished its work"),
            Some(_) | None => Ok(()),
        }
    }

    /// The hourly budget of healers; telling and recording spend nothing.
    fn heal_wall(&mut self, incident: &Incident, rule: &Rule) -> Option<String> {
        if matches!(rule.action, Action::Notify | Action::Ignore) {
            return None;
        }
        let max = self.config.healing.budget.max_attempts_per_detector_per_hour;
        let now = self.memory.watched;
        self.memory.attempt_times.retain(|(_, at)| now.since(*at) <= HOUR);
        let spent =
            self.memory.attempt_times.iter().filter(|(detector, _)| *detector == incident.root.detector).count();
        (max > 0 && u32::try_from(spent).unwrap_or(u32::MAX) >= max).then(|| {
            format!(
                "{max} attempts on detector `{}` within an hour (`healing.budget.max_attempts_per_detector_per_hour`)",
                incident.root.detector
            )
        })
    }

    /// A wall ends the run only when there is no child left to wait for: a living child is never ended by a budget.
    fn wall_reached(&self, wall: String) -> Decision {
        if self.ended_exit().is_some() {
            Decision::GiveUp { why: wall }
        } else {
            Decision::Nothing { why: format!("a budget is spent: {wall}; the child is left alone") }
        }
    }

    fn env_change(&self, action: &Action) -> Changed {
        match action {
            Action::RestartWithEnv { set } => change(
                set,
                Bases {
                    overlay: &self.memory.overlay,
                    process_env: &self.config.process.env,
                    environment: &self.environment,
                },
            ),
            Action::Restart
            | Action::Pause
            | Action::Abort
            | Action::CustomCommand { .. }
            | Action::Notify
            | Action::Ignore => Changed::default(),
        }
    }

    /// Puts a decision into the incident before that is written.
    pub(super) fn write_down(&self, decision: &Decision, incident: &mut Incident) {
        match decision {
            Decision::Nothing { why } => incident.not_acted = Some(why.clone()),
            Decision::GiveUp { why } => incident.not_acted = Some(format!("gave up after {why}")),
            Decision::Hold { why } => incident.not_acted = Some(format!("held for a person: {why}")),
            Decision::Act { attempt, healer, action, changed, notify: _ } => {
                incident.actions.push(self.action_taken(*attempt, healer, action.as_str(), changed.notes.clone()));
            }
            Decision::Wait { attempt, class } => {
                incident.actions.push(self.action_taken(*attempt, &class_healer(class), RESTART, Vec::new()));
            }
        }
    }

    fn action_taken(&self, attempt: AttemptNo, healer: &str, action: &str, details: Vec<String>) -> ActionTaken {
        ActionTaken {
            attempt,
            utc: self.utc,
            healer: healer.to_owned(),
            action: action.to_owned(),
            details,
            verdict: None,
        }
    }

    /// Does what was decided. Whether that settles what happens to an ended child.
    pub(super) fn carry_out(&mut self, decision: Decision, incident: &Incident, fx: &mut Effects) -> bool {
        let (notify, what) = match &decision {
            Decision::Act { healer, action, notify, .. } => (*notify, format!("{healer}: {}", action.as_str())),
            Decision::Wait { class, .. } => (true, format!("{}: {RESTART}", class_healer(class))),
            Decision::Nothing { why } | Decision::GiveUp { why } | Decision::Hold { why } => (true, why.clone()),
        };
        if notify {
            let title = format!("[{}] {} ({what})", incident.root.detector, incident.message);
            fx.notify(NotificationKind::Incident, title, Some(incident.id.clone()));
        }
        match decision {
            Decision::Nothing { why } => {
                if self.ended_exit().is_none() {
                    fx.say(Level::Info, format!("not acted on: {why}"));
                }
                false
            }
            Decision::GiveUp { why } => {
                self.give_up(&why, fx);
                true
            }
            Decision::Hold { why } => {
                self.hold(why, fx);
                true
            }
            Decision::Act { attempt, healer, action, changed, notify: _ } => {
                self.act(attempt, healer, action, changed, incident, fx)
            }
            Decision::Wait { attempt, class } => {
                let healer = class_healer(&class);
                fx.say(Level::Info, format!("{healer}: {RESTART}"));
                self.begin_attempt(attempt, healer.clone(), RESTART, incident);
                self.attempt_restarts(attempt);
                self.wait_outside(format!("{healer} on {}: not a failure of the code", incident.id), fx);
                true
            }
        }
    }

    /// An incident got its child's end after it had been decided: only what can still help is done.
    pub(super) fn decide_again(&mut self, incident: &Incident, fx: &mut Effects) -> bool {
        if self.acted_on(incident, &["notify", "ignore"]) {
            let told =
                self.memory.attempts.iter().find(|attempt| attempt.incident == incident.id).map(|attempt| attempt.no);
            if let Some(no) = told {
                self.let_fall(no, Verdict::Unverified, "nothing was changed, so there was nothing to verify", fx);
            }
            // The end is news: a rule that does something about it may follow one that only told.
            let acts = |rule: &Rule| !matches!(rule.action, Action::Notify | Action::Ignore);
            let decision = self.decide_among(incident, acts);
            return self.carry_out_again(decision, incident, fx);
        }
        if self.memory.phase == Phase::Settling && self.acted_on(incident, &["custom_command"]) {
            self.memory.restarts.failed_with(&incident.fingerprint);
            return self.command_was_for_ended(incident, fx);
        }
        let decision = self.decide(incident);
        self.carry_out_again(decision, incident, fx)
    }

    fn carry_out_again(&mut self, decision: Decision, incident: &Incident, fx: &mut Effects) -> bool {
        match decision {
            Decision::Nothing { .. } => false,
            Decision::Act { attempt, healer, action, changed, notify: _ } => {
                let taken = self.action_taken(attempt, &healer, action.as_str(), changed.notes.clone());
                self.change_incident(&incident.id, IncidentChange::Action { action: taken });
                self.act(attempt, healer, action, changed, incident, fx)
            }
            Decision::Wait { attempt, ref class } => {
                let taken = self.action_taken(attempt, &class_healer(class), RESTART, Vec::new());
                self.change_incident(&incident.id, IncidentChange::Action { action: taken });
                self.carry_out(decision, incident, fx)
            }
            other @ (Decision::GiveUp { .. } | Decision::Hold { .. }) => {
                if let Decision::GiveUp { why } | Decision::Hold { why } = &other {
                    self.change_incident(&incident.id, IncidentChange::NotActed { why: why.clone() });
                }
                self.carry_out(other, incident, fx)
            }
        }
    }

    /// Whether one of these actions has been taken for the incident.
    fn acted_on(&self, incident: &Incident, actions: &[&str]) -> bool {
        let note = self.memory.incidents.iter().find(|note| note.incident.id == incident.id);
        note.and_then(|note| note.action.as_deref()).is_some_and(|action| actions.contains(&action))
    }

    fn act(
        &mut self,
        no: AttemptNo,
        healer: String,
        action: Action,
        changed: Changed,
        incident: &Incident,
        fx: &mut Effects,
    ) -> bool {
        let ended = self.ended_exit().is_some();
        let details = if changed.notes.is_empty() { String::new() } else { format!(" ({})", changed.notes.join(", ")) };
        fx.say(Level::Info, format!("{healer}: {}{details}", action.as_str()));
        self.begin_attempt(no, healer.clone(), action.as_str(), incident);
        match action {
            Action::Restart | Action::RestartWithEnv { .. } => {
                self.memory.attempt_times.push((incident.root.detector.clone(), self.memory.watched));
                self.memory.overlay.extend(changed.set);
                self.attempt_restarts(no);
                self.restart_for(format!("{healer} on {}", incident.id), fx);
                true
            }
            Action::Pause => {
                self.let_fall(no, Verdict::Unverified, "the run was paused, so there was nothing to verify", fx);
                self.stop_then(Then::Pause { why: format!("{healer} on {}", incident.id) }, fx);
                true
            }
            Action::Abort => {
                self.stop_then(Then::End { code: ABORTED, why: format!("aborted by {healer} on {}", incident.id) }, fx);
                true
            }
            Action::CustomCommand { command, cwd, env, timeout } => {
                self.memory.attempt_times.push((incident.root.detector.clone(), self.memory.watched));
                self.intend(Todo::RunCommand { attempt: no, command, cwd, env, timeout });
                if ended {
                    self.set_phase(Phase::Deciding);
                }
                ended
            }
            Action::Notify | Action::Ignore => {
                if ended {
                    self.let_fall(no, Verdict::Unverified, "nothing was changed, so there was nothing to verify", fx);
                } else {
                    self.attempt_runs(no);
                }
                false
            }
        }
    }

    /// A restart that counts: stop what is alive, wait, start.
    pub(super) fn restart_for(&mut self, because: String, fx: &mut Effects) {
        if self.ended_exit().is_some() {
            self.cool(because, fx);
        } else {
            self.stop_then(Then::Restart { because }, fx);
        }
    }

    /// No healer acted on an ended child, and the lifecycle wants it alive.
    pub(super) fn restart_by_policy(&mut self, words: &str, fx: &mut Effects) {
        let policy = &self.config.process.restart_policy;
        let child = self.child_no();
        let of_child = self.memory.incidents.iter().rfind(|note| Some(note.incident.child) == child);
        let incident = of_child.map(|note| note.incident.clone());
        if let Err(wall) = self.memory.restarts.allow(policy, self.max_restarts(), self.memory.watched) {
            if let Some(incident) = incident {
                self.change_incident(&incident.id, IncidentChange::NotActed { why: format!("gave up after {wall}") });
            }
            self.give_up(&wall.to_string(), fx);
            return;
        }
        if let Some(incident) = incident {
            self.memory.last_attempt += 1;
            let no = AttemptNo(self.memory.last_attempt);
            let taken = self.action_taken(no, POLICY, "restart", Vec::new());
            self.change_incident(&incident.id, IncidentChange::Action { action: taken });
            fx.say(Level::Info, format!("{POLICY}: restart"));
            self.begin_attempt(no, POLICY.to_owned(), "restart", &incident);
            self.attempt_restarts(no);
        }
        self.cool(format!("{words}, and `process.lifecycle` says restart"), fx);
    }

    fn begin_attempt(&mut self, no: AttemptNo, healer: String, action: &str, incident: &Incident) {
        let attempt = Attempt {
            no,
            incident: incident.id.clone(),
            of: incident.child,
            healer,
            action: action.to_owned(),
            fingerprint: incident.fingerprint.clone(),
            detector: incident.root.detector.clone(),
            description: incident.message.clone(),
            began: self.memory.watched,
            needs_restart: false,
            child: None,
            tainted: None,
            point_of_failure: self.progress(),
        };
        self.intend(Todo::Ledger { row: Box::new(self.ledger_row(&attempt, None)) });
        if let Some(note) = self.memory.incidents.iter_mut().find(|note| note.incident.id == incident.id) {
            note.action = Some(action.to_owned());
        }
        self.note(format!("attempt {}: {} by {}", no.0, attempt.action, attempt.healer));
        self.memory.attempts.push(attempt);
    }

    pub(super) fn ledger_row(&self, attempt: &Attempt, verdict: Option<Verdict>) -> LedgerRow {
        LedgerRow {
            utc: self.utc,
            attempt: attempt.no,
            incident: attempt.incident.clone(),
            detector: attempt.detector.clone(),
            healer: attempt.healer.clone(),
            action: attempt.action.clone(),
            verdict,
            duration: self.memory.watched.since(attempt.began),
            description: attempt.description.clone(),
            fingerprint: attempt.fingerprint.clone(),
        }
    }

    /// Changes an incident: before it is written where that can be, in its folder otherwise.
    pub(super) fn change_incident(&mut self, id: &IncidentId, change: IncidentChange) {
        self.touched = true;
        if change.is_of_incident() {
            // Only what this very step has decided: anything older may be on disk already.
            let unwritten = self.memory.todo.iter_mut().filter(|intent| intent.id > self.before_step);
            for intent in unwritten {
                if let Todo::WriteIncident { incident, .. } = &mut intent.todo
                    && incident.id == *id
                {
                    change.apply(incident);
                    return;
                }
            }
        }
        self.intend(Todo::UpdateIncident { id: id.clone(), change: Box::new(change) });
    }

    /// How the newest child ended, once it has.
    pub(super) fn ended_exit(&self) -> Option<Exit> {
        self.memory.child.as_ref().and_then(|child| child.exit.clone())
    }
}
