//! What `sentry status` shows: the monitor's picture and what was seen of it a moment ago.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::table::{Cell, Look, Table};
use super::{Palette, one_line, words};
use crate::detect::Severity;
use crate::detect::exit_code::describe;
use crate::heal::verdict::Verdict;
use crate::monitor::status::{ChildStatus, IncidentStatus, PhaseName, ProcessIdentity, RestartStatus, StateFile};
use crate::time::Utc;

/// Incidents shown.
const SHOWN_INCIDENTS: usize = 5;

/// Whether a process lives, as far as one can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// It does.
    Alive,
    /// It does not.
    Gone,
    /// It could not be seen.
    Unknown,
    /// There is none.
    None,
}

/// What the picture and the look at the processes come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// A monitor starts: it owns the directory and has not written its picture yet.
    Starting,
    /// A monitor watches a living child.
    Supervised,
    /// A monitor lives, and no child.
    NothingSupervised,
    /// A child lives, and no monitor.
    Unwatched,
    /// Neither lives, and the run has not ended.
    Interrupted,
    /// The run has ended.
    Over,
    /// The processes cannot be seen.
    Unknown,
}

/// Everything `sentry status` needs.
#[derive(Clone, Debug)]
pub struct StatusView {
    /// The picture; absent while the first monitor starts.
    pub state: Option<StateFile>,
    /// Living process that holds the directory.
    pub holder: Option<ProcessIdentity>,
    /// Child of the picture, looked at now.
    pub child: Life,
    /// Now.
    pub now: Utc,
}

/// `sentry status --json`.
#[derive(Debug, Serialize)]
pub struct StatusJson<'a> {
    /// Version of this form: 1.
    pub schema: u32,
    /// What it comes to.
    pub situation: Situation,
    /// Whether a child lives under a living monitor.
    pub supervised: bool,
    /// Living process that holds the directory; `null` when there is none.
    pub monitor: Option<&'a ProcessIdentity>,
    /// Child of the picture, looked at now.
    pub child: Life,
    /// `state.json`, its child brought up to date; `null` while the first monitor starts.
    pub state: Option<&'a StateFile>,
}

impl StatusView {
    /// What it comes to.
    pub fn situation(&self) -> Situation {
        let Some(state) = &self.state else { return Situation::Starting };
        let by_holder = self.holder.as_ref() == Some(&state.monitor);
        match (&self.holder, self.child) {
            // A new monitor has the lock; what is there to read is of the one before.
            (Some(_), _) if !by_holder => Situation::Starting,
            (Some(_), Life::Alive) => Situation::Supervised,
            (Some(_), Life::Unknown) => Situation::Unknown,
            (Some(_), Life::Gone | Life::None) if state.phase == PhaseName::Unknown => Situation::Unknown,
            (Some(_), Life::Gone | Life::None) if state.phase == PhaseName::Over => Situation::Over,
            (Some(_), Life::Gone | Life::None) => Situation::NothingSupervised,
            (None, Life::Alive) => Situation::Unwatched,
            (None, Life::Unknown) => Situation::Unknown,
            (None, Life::Gone | Life::None) if state.phase == PhaseName::Over => Situation::Over,
            (None, Life::Gone | Life::None) => Situation::Interrupted,
        }
    }

    /// For programs.
    pub fn json(&self) -> StatusJson<'_> {
        let situation = self.situation();
        StatusJson {
            schema: 1,
            situation,
            supervised: situation == Situation::Supervised,
            monitor: self.holder.as_ref(),
            child: self.child,
            state: self.state.as_ref(),
        }
    }

    /// For people.
    pub fn text(&self, width: usize, palette: Palette) -> String {
        let mut page = Page { text: String::new(), palette };
        let situation = self.situation();
        let Some(state) = &self.state else {
            let pid = self.holder.as_ref().map_or_else(String::new, |holder| format!(" (pid {})", holder.pid));
            return format!(
                "{}\n",
                palette.warn(format!("starting: a monitor{pid} owns the directory and has shown nothing yet"))
            );
        };
        self.headline(situation, state, &mut page);
        page.field("command", &one_line(&state.command.join(" ")));
        self.processes(situation, state, &mut page);
        page.field("run", &format!("{}, started {} ago", state.run, words::duration(state.run_started.age(self.now))));
        page.field("restarts", &restarts(&state.restarts));
        if !state.env_overlay.is_empty() {
            let set: Vec<String> = state.env_overlay.iter().map(|(name, value)| format!("{name}={value}")).collect();
            page.field("changed", &one_line(&set.join(" ")));
        }
        for pending in &state.pending {
            let left = words::duration(Duration::from_millis(pending.left_ms));
            page.field("verifying", &format!("{} for {}, kept in {left}", pending.action, pending.incident));
        }
        for warning in &state.warnings {
            page.field("warning", &palette.warn(one_line(warning)));
        }
        self.incidents(state, width, &mut page);
        page.text
    }

    fn headline(&self, situation: Situation, state: &StateFile, page: &mut Page) {
        let palette = page.palette;
        let because =
            |text: &Option<String>| text.as_ref().map_or_else(String::new, |why| format!(": {}", one_line(why)));
        let (head, advice) = match situation {
            Situation::Starting => {
                (palette.warn("starting: a new monitor owns the directory; below is what the one before left"), None)
            }
            Situation::Supervised => {
                let phase = match state.phase {
                    PhaseName::Stopping => "stopping",
                    PhaseName::Settling => "running, a failure is being read",
                    PhaseName::Detached => "running, the monitor is leaving",
                    PhaseName::Starting
                    | PhaseName::Up
                    | PhaseName::Cooling
                    | PhaseName::Paused
                    | PhaseName::Held
                    | PhaseName::Unknown
                    | PhaseName::Over => "running",
                };
                (palette.good(phase), None)
            }
            Situation::NothingSupervised => {
                let (phase, advice) = match state.phase {
                    PhaseName::Paused => {
                        ("paused", Some("`sentry resume` starts it again, `sentry stop` ends the run"))
                    }
                    PhaseName::Held => {
                        ("held for a person", Some("look at the last incident, then `sentry resume` or `sentry stop`"))
                    }
                    PhaseName::Cooling => ("waiting before a restart", None),
                    PhaseName::Settling => ("the child has ended, and what it left is being read", None),
                    PhaseName::Starting => ("starting", None),
                    PhaseName::Stopping => ("stopping", None),
                    PhaseName::Up | PhaseName::Unknown | PhaseName::Over | PhaseName::Detached => {
                        ("between children", None)
                    }
                };
                let why = because(&state.why);
                (palette.warn(format!("nothing is supervised now: {phase}{why}")), advice)
            }
            Situation::Unwatched => {
                let head = if state.phase == PhaseName::Detached {
                    "running without a monitor, as asked by `detach`"
                } else {
                    "running without a monitor: it has ended and left the command running"
                };
                (palette.warn(head), Some("`sentry run` takes it over again, `sentry stop` ends it"))
            }
            Situation::Interrupted => {
                let head = "interrupted: the monitor has ended without ending the run, and nothing runs";
                (palette.bad(head), Some("`sentry run` goes on with this run"))
            }
            Situation::Over => {
                let code = state.exit_code.map_or_else(String::new, |code| format!(" with exit code {code}"));
                let text = format!("over{code}{}", because(&state.why));
                let head = if state.exit_code == Some(0) { palette.good(text) } else { palette.bad(text) };
                (head, Some("`sentry run` starts a new run"))
            }
            Situation::Unknown => {
                let head = format!("cannot be seen{}", because(&state.why));
                (palette.warn(head), Some("nothing is restarted or stopped until it can be seen again"))
            }
        };
        page.line(&head);
        if let Some(advice) = advice {
            page.line(&format!("  {}: {advice}", palette.good("help")));
        }
    }

    fn processes(&self, situation: Situation, state: &StateFile, page: &mut Page) {
        if let Some(child) = &state.child {
            page.field("child", &self.child_words(child));
        } else {
            page.field("child", "none yet");
        }
        let monitor = match &self.holder {
            Some(holder) => {
                let up = words::duration(state.monitor_started.age(self.now));
                if *holder == state.monitor {
                    format!("pid {}, up {up}", holder.pid)
                } else {
                    format!("pid {}", holder.pid)
                }
            }
            None => {
                let seen = words::duration(state.updated.age(self.now));
                format!("gone (was pid {}), last seen {seen} ago", state.monitor.pid)
            }
        };
        page.field("monitor", &monitor);
        if self.holder.is_some() && situation != Situation::Over && !state.waiting_for.is_empty() {
            page.field("waits for", &one_line(&state.waiting_for));
        }
    }

    fn child_words(&self, child: &ChildStatus) -> String {
        let number = child.no;
        let pid =
            child.process.as_ref().map_or_else(|| "no pid yet".to_owned(), |process| format!("pid {}", process.pid));
        let since = words::duration(child.started.age(self.now));
        match self.child {
            Life::Alive => format!("{number}, {pid}, up {since}"),
            Life::Unknown => format!("{number}, {pid}, started {since} ago, cannot be seen"),
            Life::Gone | Life::None => {
                let exit = child.exit.as_ref();
                let how =
                    exit.map_or_else(|| "how it ended is not known yet".to_owned(), |exit| one_line(&describe(exit)));
                format!("{number}, gone: {how}")
            }
        }
    }

    fn incidents(&self, state: &StateFile, width: usize, page: &mut Page) {
        page.field("incidents", &words::thousands(state.incidents_total));
        if state.incidents.is_empty() {
            return;
        }
        let mut table = Table::new(["when", "incident", "outcome", "message"]);
        for incident in state.incidents.iter().rev().take(SHOWN_INCIDENTS) {
            let ago = format!("{} ago", words::duration(incident.utc.age(self.now)));
            let (outcome, look) = outcome(incident);
            table.row([
                Cell::new(&ago, Look::Dim),
                Cell::new(incident.id.as_str(), Look::Bold),
                Cell::new(&outcome, look),
                Cell::new(&incident.message, severity_look(incident.severity)),
            ]);
        }
        page.text.push('\n');
        page.text.push_str(&table.aligned(width, page.palette));
    }
}

struct Page {
    text: String,
    palette: Palette,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn field(&mut self, name: &str, value: &str) {
        let name = self.palette.dim(format_args!("{name:<9}"));
        let _ = writeln!(self.text, "  {name}  {value}");
    }
}

fn restarts(status: &RestartStatus) -> String {
    let RestartStatus { unverified, max, total, in_window, max_in_window, identical, max_identical } = *status;
    let of = |max: u32| if max == 0 { "no limit".to_owned() } else { format!("of {max}") };
    let mut text = format!("{unverified} unverified ({}), {total} in all", of(max));
    if max_in_window > 0 {
        let _ = write!(text, ", {in_window} of {max_in_window} in the window");
    }
    if identical > 1 {
        let _ = write!(text, ", the same failure {identical} times in a row ({})", of(max_identical));
    }
    text
}

fn outcome(incident: &IncidentStatus) -> (String, Look) {
    let action = incident.action.as_deref().unwrap_or("recorded");
    match incident.verdict {
        None => (action.to_owned(), Look::Plain),
        Some(verdict) => (format!("{action}: {}", verdict.as_str()), verdict_look(verdict)),
    }
}

/// How a verdict looks.
pub(super) fn verdict_look(verdict: Verdict) -> Look {
    match verdict {
        Verdict::Kept => Look::Good,
        Verdict::Regressed | Verdict::Crashed => Look::Bad,
        Verdict::Rejected | Verdict::Superseded | Verdict::Unverified => Look::Warn,
    }
}

/// How a severity looks.
pub(super) fn severity_look(severity: Severity) -> Look {
    match severity {
        Severity::Info => Look::Dim,
        Severity::Warning => Look::Warn,
        Severity::Error => Look::Plain,
        Severity::Critical => Look::Bad,
    }
}

/// The word for a severity, as in the configuration.
pub fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}
