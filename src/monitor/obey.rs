//! Control commands and signals.

use super::command::{ControlAnswer, ControlCommand};
use super::effect::{Effect, Effects, Leave, Level};
use super::memory::{Phase, Then};
use super::state::State;
use super::todo::Todo;
use crate::config::{Config, OnTerminate};
use crate::exit::ABORTED;

impl State {
    pub(super) fn obey(&mut self, id: &str, command: Result<ControlCommand, String>, fx: &mut Effects) {
        let answer = match command {
            Ok(ControlCommand::Reload) => {
                fx.push(Effect::ReadConfig { command: Some(id.to_owned()) });
                return;
            }
            Ok(command) => {
                self.note(format!("command {command:?}"));
                self.serve(command, fx)
            }
            Err(why) => Err(why),
        };
        let answer = match answer {
            Ok(message) => ControlAnswer { ok: true, message },
            Err(message) => ControlAnswer { ok: false, message },
        };
        fx.push(Effect::Answer { id: id.to_owned(), answer });
    }

    fn serve(&mut self, command: ControlCommand, fx: &mut Effects) -> Result<String, String> {
        match command {
            ControlCommand::Pause => self.pause(fx),
            ControlCommand::Resume => self.resume(fx),
            ControlCommand::Restart => self.restart(fx),
            ControlCommand::Abort => self.finish("aborted on request", fx),
            ControlCommand::Stop => self.finish("stopped on request", fx),
            ControlCommand::Detach => Ok(self.detach(fx)),
            ControlCommand::Reset => Ok(self.reset(fx)),
            ControlCommand::Reload => Err("a reload is answered elsewhere".to_owned()),
            ControlCommand::Set { key, value } => self.set_limit(&key, &value),
            ControlCommand::Approve { id } | ControlCommand::Reject { id } => {
                Err(format!("nothing waits for approval under `{id}`"))
            }
        }
    }

    fn pause(&mut self, fx: &mut Effects) -> Result<String, String> {
        match &self.memory.phase {
            Phase::Paused { why } => Err(format!("already paused: {why}")),
            Phase::Over { why, .. } => Err(format!("the run is over: {why}")),
            Phase::Idle
            | Phase::Starting
            | Phase::Up
            | Phase::Stopping { .. }
            | Phase::Settling
            | Phase::Deciding
            | Phase::Cooling { .. } => {
                self.supersede_all("a person paused the run", fx);
                self.stop_then(Then::Pause { why: "a person asked for it".to_owned() }, fx);
                Ok("pausing: the child is stopped, `sentry resume` starts it again".to_owned())
            }
        }
    }

    fn resume(&mut self, fx: &mut Effects) -> Result<String, String> {
        match &self.memory.phase {
            Phase::Paused { .. } => {
                fx.say(Level::Info, "resumed by a person");
                self.start_child(fx);
                Ok("resumed".to_owned())
            }
            Phase::Cooling { .. } => {
                fx.say(Level::Info, "the pause before the restart is cut short by a person");
                let now = self.memory.watched;
                if let Phase::Cooling { until, .. } = &mut self.memory.phase {
                    *until = now;
                }
                self.touched = true;
                Ok("starting now".to_owned())
            }
            Phase::Stopping { then: Then::Pause { .. } } => {
                self.set_phase(Phase::Stopping {
                    then: Then::StartNow { because: "a person asked for it".to_owned() },
                });
                Ok("the child starts again once it has stopped".to_owned())
            }
            Phase::Over { why, .. } => Err(format!("the run is over: {why}")),
            Phase::Idle | Phase::Starting | Phase::Up | Phase::Stopping { .. } | Phase::Settling | Phase::Deciding => {
                Err("nothing is paused".to_owned())
            }
        }
    }

    fn restart(&mut self, fx: &mut Effects) -> Result<String, String> {
        match &self.memory.phase {
            Phase::Over { why, .. } => Err(format!("the run is over: {why}")),
            Phase::Idle
            | Phase::Starting
            | Phase::Up
            | Phase::Stopping { .. }
            | Phase::Settling
            | Phase::Deciding
            | Phase::Cooling { .. }
            | Phase::Paused { .. } => {
                self.supersede_all("a person restarted the child", fx);
                self.stop_then(Then::StartNow { because: "a person asked for it".to_owned() }, fx);
                Ok("restarting".to_owned())
            }
        }
    }

    fn finish(&mut self, why: &str, fx: &mut Effects) -> Result<String, String> {
        if let Phase::Over { why, .. } = &self.memory.phase {
            return Err(format!("the run is over: {why}"));
        }
        self.run_ends_for_attempts(why, fx);
        self.stop_then(Then::End { code: ABORTED, why: why.to_owned() }, fx);
        Ok(match self.ended_exit() {
            None if self.memory.child.is_some() => "stopping the child".to_owned(),
            _ => "the run is over".to_owned(),
        })
    }

    fn detach(&mut self, fx: &mut Effects) -> String {
        self.note("detached");
        fx.say(Level::Info, self.farewell());
        self.left = true;
        fx.push(Effect::Leave(Leave::Detached));
        "detached: the child keeps running, `sentry run` adopts it".to_owned()
    }

    fn farewell(&self) -> String {
        match self.memory.child.as_ref().filter(|child| child.exit.is_none()).and_then(|child| child.process.as_ref()) {
            Some(process) => format!(
                "detached: the child (pid {}) keeps running; `sentry run` adopts it, `sentry stop` ends it",
                process.pid
            ),
            None => "detached; `sentry run` goes on from here".to_owned(),
        }
    }

    fn reset(&mut self, fx: &mut Effects) -> String {
        self.memory.restarts.verified();
        self.memory.restarts.recent.clear();
        self.memory.attempt_times.clear();
        self.memory.escalated.clear();
        self.touched = true;
        fx.say(Level::Info, "counters cleared by a person");
        "restarts, identical failures, attempts and escalations are cleared".to_owned()
    }

    fn set_limit(&mut self, key: &str, value: &str) -> Result<String, String> {
        match key {
            "max_restarts" => {
                let number = value
                    .parse()
                    .map_err(|_| format!("`max_restarts` takes a whole number, 0 for no limit, not `{value}`"))?;
                self.memory.limits.max_restarts = Some(number);
                self.touched = true;
                Ok(format!("max_restarts is {number} for this run"))
            }
            _ => Err(format!(
                "`{key}` cannot be set while running; `max_restarts` can, everything else by `sentry reload`"
            )),
        }
    }

    /// SIGTERM.
    pub(super) fn terminate(&mut self, fx: &mut Effects) {
        match self.on_terminate() {
            OnTerminate::Stop => self.interrupt(fx),
            OnTerminate::Auto | OnTerminate::Detach => {
                self.detach(fx);
            }
        }
    }

    /// SIGINT: stop; a second one hurries.
    pub(super) fn interrupt(&mut self, fx: &mut Effects) {
        let no = self.child_no();
        if self.interrupted {
            if let (Some(child), None) = (no, self.ended_exit()) {
                fx.say(Level::Warn, "killing the child at once");
                self.intend(Todo::StopChild { child, now: true });
            }
            return;
        }
        self.interrupted = true;
        if self.finish("stopped by a signal", fx).is_ok() && self.child_is_alive() {
            let grace = self.config.process.stop_grace.as_secs();
            fx.say(Level::Info, format!("stopping the child (up to {grace} s); once more kills it at once"));
        }
    }

    /// A configuration was read again, or could not be.
    pub(super) fn config_read(
        &mut self,
        command: Option<String>,
        result: Result<Box<Config>, String>,
        fx: &mut Effects,
    ) {
        let answer = match result {
            Ok(config) => {
                self.forget_what_changed(&config);
                self.config = *config;
                self.rearm_stalls();
                self.rearm_looks();
                self.warnings.remove("config");
                self.note("configuration read again");
                fx.say(Level::Info, "the configuration was read again and is in effect");
                ControlAnswer {
                    ok: true,
                    message: "the new configuration is in effect; `process` keys take effect with the next child"
                        .to_owned(),
                }
            }
            Err(why) => {
                self.warnings
                    .insert("config", format!("the configuration on disk was not loaded: {}", first_line(&why)));
                self.touched = true;
                fx.say(
                    Level::Error,
                    format!("the configuration was not read again, the old one stays in effect: {}", first_line(&why)),
                );
                ControlAnswer { ok: false, message: format!("the old configuration stays in effect\n{why}") }
            }
        };
        if let Some(id) = command {
            fx.push(Effect::Answer { id, answer });
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}
