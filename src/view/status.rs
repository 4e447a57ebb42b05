//! What `sentry status` shows: the monitor's picture and what was seen of it a moment ago.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::table::{Cell, Look, Table};
use super::{Palette, looks, one_line, words};
use crate::config::command_line;
use crate::detect::Severity;
use crate::detect::exit_code::describe;
use crate::heal::verdict::Verdict;
use crate::ids::PhaseName as PhaseOfWork;
use crate::monitor::status::{ChildStatus, IncidentStatus, PhaseName, ProcessIdentity, RestartStatus, StateFile};
use crate::time::Utc;

/// Attempts shown one by one, the newest ones.
const MAX_PENDING: usize = 3;

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
        // Without its monitor, a run that is held for a person has ended; the next one is a new one.
        let ended = matches!(state.phase, PhaseName::Over | PhaseName::Held);
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
            (None, Life::Gone | Life::None) if ended => Situation::Over,
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
        page.field("command", &one_line(&command_line(&state.command)));
        self.processes(situation, state, &mut page);
        page.field("run", &format!("{}, started {} ago", state.run, words::duration(state.run_started.age(self.now))));
        page.field("restarts", &restarts(&state.restarts));
        if !state.env_overlay.is_empty() {
            let set: Vec<String> = state.env_overlay.iter().map(|(name, value)| format!("{name}={value}")).collect();
            page.field("changed", &one_line(&set.join(" ")));
        }
        let older = state.pending.len().saturating_sub(MAX_PENDING);
        if older > 0 {
            page.field("verifying", &format!("{older} older {}", if older == 1 { "attempt" } else { "attempts" }));
        }
        for pending in state.pending.iter().skip(older) {
            let left = words::duration(Duration::from_millis(pending.left_ms));
            page.field("verifying", &format!("{} for {}, kept in {left}", pending.action, pending.incident));
        }
        // Of a child that is gone nobody asks any more.
        for (detector, look) in state.probes.iter().filter(|_| self.child == Life::Alive) {
            page.field("probe", &looks::line(detector, look, self.now, palette));
        }
        for (detector, stall) in state.stalls.iter().filter(|(_, stall)| stall.learned) {
            let [limit, longest] =
                [stall.limit_ms, stall.longest_pause_ms].map(|millis| words::duration(Duration::from_millis(millis)));
            let pauses = words::count(u64::from(stall.pauses), "pause");
            let what = format!("{detector}: after {limit}, learned from {pauses} of at most {longest}");
            page.field("stall", &one_line(&what));
        }
        if !state.in_phases.is_empty() {
            let names: Vec<&str> = state.in_phases.iter().map(PhaseOfWork::as_str).collect();
            page.field("phase", &one_line(&names.join(", ")));
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
                match state.monitor.pid {
                    // A picture that `sentry doctor` has painted names no monitor.
                    0 => format!("gone, last seen {seen} ago"),
                    pid => format!("gone (was pid {pid}), last seen {seen} ago"),
                }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::detect::ending::{Ending, Exit, OutOfMemory};
    use crate::ids::{AttemptNo, ChildNo, DetectorName, IncidentId, RunId};
    use crate::monitor::status::{PendingStatus, SCHEMA, StallStatus};

    const NOW: Utc = Utc::from_millis(1_795_262_096_789);

    fn ago(seconds: i64) -> Utc {
        Utc::from_millis(NOW.millis() - seconds * 1_000)
    }

    fn process(pid: u32) -> ProcessIdentity {
        ProcessIdentity { pid, start_time: 17, boot_id: "b".to_owned() }
    }

    fn exit(code: i32) -> Exit {
        let ending = Ending::Exited { code };
        Exit { ending, oom: OutOfMemory::NoSign, leftovers: 0, stop_requested: false, killed: false }
    }

    fn state(phase: PhaseName, waiting_for: &str, why: Option<&str>) -> StateFile {
        let incident = IncidentStatus {
            id: IncidentId::new("2026-11-21T11-34-56Z-error-oom"),
            utc: ago(1_200),
            detector: DetectorName::new("oom"),
            severity: Severity::Error,
            message: "CUDA out of memory".to_owned(),
            action: Some("restart_with_env".to_owned()),
            verdict: Some(Verdict::Kept),
        };
        StateFile {
            schema: SCHEMA,
            version: "0.1.0".to_owned(),
            updated: ago(5),
            monitor: process(100),
            monitor_started: ago(7_200),
            run: RunId::new("20261121T103456Z-9f3a"),
            run_started: ago(7_200),
            phase,
            waiting_for: waiting_for.to_owned(),
            why: why.map(str::to_owned),
            exit_code: (phase == PhaseName::Over).then_some(80),
            command: vec!["python".to_owned(), "train.py".to_owned()],
            child: Some(ChildStatus {
                no: ChildNo(2),
                process: Some(process(200)),
                started: ago(1_190),
                alive: true,
                exit: None,
            }),
            restarts: RestartStatus {
                unverified: 1,
                max: 10,
                total: 3,
                max_identical: 5,
                identical: 2,
                ..RestartStatus::default()
            },
            env_overlay: BTreeMap::from([("BATCH_SIZE".to_owned(), "4".to_owned())]),
            detectors: BTreeMap::new(),
            probes: BTreeMap::new(),
            stalls: BTreeMap::new(),
            in_phases: Vec::new(),
            streams: BTreeMap::new(),
            stream_totals: crate::monitor::status::StreamTotals::default(),
            incidents: vec![
                IncidentStatus {
                    id: IncidentId::new("2026-11-21T10-34-56Z-error-exit"),
                    utc: ago(4_800),
                    verdict: None,
                    action: None,
                    message: "exit code 3".to_owned(),
                    severity: Severity::Critical,
                    ..incident.clone()
                },
                incident,
            ],
            incidents_total: 2,
            pending: vec![PendingStatus {
                attempt: AttemptNo(3),
                incident: IncidentId::new("2026-11-21T11-34-56Z-error-oom"),
                action: "restart_with_env".to_owned(),
                left_ms: 65_000,
            }],
            watched_ms: 7_200_000,
            warnings: vec!["sentry.yaml was not loaded: 2 errors".to_owned()],
        }
    }

    fn view(state: StateFile, holder: Option<u32>, child: Life) -> StatusView {
        StatusView { state: Some(state), holder: holder.map(process), child, now: NOW }
    }

    fn text(view: &StatusView) -> String {
        view.text(100, Palette::plain())
    }

    #[test]
    fn what_was_learned_and_where_the_work_is() {
        let mut state = state(PhaseName::Up, "the child", None);
        let learned =
            StallStatus { limit_ms: 300_000, learned: true, pauses: 1200, longest_pause_ms: 40_000, resting: true };
        let fixed = StallStatus { learned: false, ..learned.clone() };
        state.stalls = BTreeMap::from([(DetectorName::new("quiet"), learned), (DetectorName::new("fixed"), fixed)]);
        state.in_phases = vec![PhaseOfWork::new("checkpoint")];
        let text = text(&view(state, Some(100), Life::Alive));
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("stall") || line.contains("phase")).collect();
        assert_eq!(
            lines,
            ["  stall      quiet: after 5 m, learned from 1,200 pauses of at most 40 s", "  phase      checkpoint"]
        );
    }

    #[test]
    fn alive_and_well() {
        let view = view(state(PhaseName::Up, "new output or the end of the child", None), Some(100), Life::Alive);
        insta::assert_snapshot!(text(&view), @r"
        running
          command    python train.py
          child      2, pid 200, up 19 m 50 s
          monitor    pid 100, up 2 h
          waits for  new output or the end of the child
          run        20261121T103456Z-9f3a, started 2 h ago
          restarts   1 unverified (of 10), 3 in all, the same failure 2 times in a row (of 5)
          changed    BATCH_SIZE=4
          verifying  restart_with_env for 2026-11-21T11-34-56Z-error-oom, kept in 1 m 5 s
          warning    sentry.yaml was not loaded: 2 errors
          incidents  2

        when          incident                         outcome                 message
        20 m ago      2026-11-21T11-34-56Z-error-oom   restart_with_env: kept  CUDA out of memory
        1 h 20 m ago  2026-11-21T10-34-56Z-error-exit  recorded                exit code 3
        ");
    }

    #[test]
    fn other_situations_begin_with_what_is_wrong() {
        let bare = |phase, waits, why| {
            let mut state = state(phase, waits, why);
            (state.incidents, state.pending, state.warnings) = (Vec::new(), Vec::new(), Vec::new());
            state.env_overlay.clear();
            state
        };
        let ended = |phase, waits, why| {
            let mut state = bare(phase, waits, why);
            state.child = state.child.map(|child| ChildStatus { alive: false, exit: Some(exit(3)), ..child });
            state
        };
        let pages = [
            view(ended(PhaseName::Cooling, "restart in 40 s", None), Some(100), Life::Gone),
            view(ended(PhaseName::Held, "`sentry resume`", Some("five identical failures")), Some(100), Life::Gone),
            view(bare(PhaseName::Up, "new output", None), None, Life::Alive),
            view(bare(PhaseName::Detached, "", None), None, Life::Alive),
            view(bare(PhaseName::Up, "new output", None), None, Life::Gone),
            view(ended(PhaseName::Over, "", Some("restart budget spent: 10 of 10")), None, Life::Gone),
            view(bare(PhaseName::Up, "", None), None, Life::Unknown),
            view(bare(PhaseName::Over, "", None), Some(101), Life::Gone),
            StatusView { state: None, holder: Some(process(101)), child: Life::None, now: NOW },
        ];
        let pages: Vec<String> = pages.iter().map(text).collect();
        insta::assert_snapshot!(pages.join("\n"), @r"
        nothing is supervised now: waiting before a restart
          command    python train.py
          child      2, gone: exit code 3
          monitor    pid 100, up 2 h
          waits for  restart in 40 s
          run        20261121T103456Z-9f3a, started 2 h ago
          restarts   1 unverified (of 10), 3 in all, the same failure 2 times in a row (of 5)
          incidents  2

        nothing is supervised now: held for a person: five identical failures
          help: look at the last incident, then `sentry resume` or `sentry stop`
          command    python train.py
          child      2, gone: exit code 3
          monitor    pid 100, up 2 h
          waits for  `sentry resume`
          run        20261121T103456Z-9f3a, started 2 h ago
          restarts   1 unverified (of 10), 3 in all, the same failure 2 times in a row (of 5)
          incidents  2

        running without a monitor: it has ended and left the command running
          help: `sentry run` takes it over again, `sentry stop` ends it
          command    python train.py
          child      2, pid 200, up 19 m 50 s
          monitor    gone (was pid 100), last seen 5 s ago
          run        20261121T103456Z-9f3a, started 2 h ago
          restarts   1 unverified (of 10), 3 in all, the same failure 2 times in a row (of 5)
          incidents  2

        running without a monitor, as asked by `detach`
          help: `sentry run` takes it over again, `sentry stop` ends it
          command    python train.py
          child      2, pid 200, up 19 m 50 s
          monitor    gone (was pid 100), last seen 5 s ago
          run        20261121T103456Z-9f3a, started 2 h ago
          restarts   1 unverified (of 10), 3 in all, the same failure 2 times in a row (of 5)
          incidents  2

        interrupted: the monitor has ended without ending the run, and nothing runs
          help: `sentry run` goes on with this run
          command    python train.py
          child      2, gone: how it ended is not known yet
          monitor    gone (was pid 100), last seen 5 s ago
          run        20261121T103456Z-9f3a, started 2 h ago
          restarts   1 unverified (of 10), 3 in all, the same failure 2 times in a row (of 5)
          incidents  2

        over with exit code 80: restart budget spent: 10 of 10
          help: `sentry run` starts a new run
          command    python train.py
          child      2, gone: exit code 3
          monitor    gone (was pid 100), last seen 5 s ago
          run        20261121T103456Z-9f3a, started 2 h ago
          restarts   1 unverified (of 10), 3 in all, the same failure 2 times in a row (of 5)
          incidents  2

        cannot be seen
          help: nothing is restarted or stopped until it can be seen again
          command    python train.py
          child      2, pid 200, started 19 m 50 s ago, cannot be seen
          monitor    gone (was pid 100), last seen 5 s ago
          run        20261121T103456Z-9f3a, started 2 h ago
          restarts   1 unverified (of 10), 3 in all, the same failure 2 times in a row (of 5)
          incidents  2

        starting: a new monitor owns the directory; below is what the one before left
          command    python train.py
          child      2, gone: how it ended is not known yet
          monitor    pid 101
          run        20261121T103456Z-9f3a, started 2 h ago
          restarts   1 unverified (of 10), 3 in all, the same failure 2 times in a row (of 5)
          incidents  2

        starting: a monitor (pid 101) owns the directory and has shown nothing yet
        ");
    }

    #[test]
    fn every_situation_is_reached() {
        let table = [
            (Situation::Supervised, PhaseName::Up, Some(100), Life::Alive),
            (Situation::Supervised, PhaseName::Stopping, Some(100), Life::Alive),
            (Situation::NothingSupervised, PhaseName::Paused, Some(100), Life::Gone),
            (Situation::NothingSupervised, PhaseName::Starting, Some(100), Life::None),
            (Situation::Unknown, PhaseName::Unknown, Some(100), Life::Gone),
            (Situation::Unknown, PhaseName::Up, None, Life::Unknown),
            (Situation::Starting, PhaseName::Up, Some(7), Life::Alive),
            (Situation::Over, PhaseName::Over, Some(100), Life::Gone),
            (Situation::Over, PhaseName::Over, None, Life::Gone),
            (Situation::Over, PhaseName::Held, None, Life::Gone),
            (Situation::Unwatched, PhaseName::Up, None, Life::Alive),
            (Situation::Interrupted, PhaseName::Cooling, None, Life::Gone),
        ];
        for (expected, phase, holder, child) in table {
            let seen = view(state(phase, "", None), holder, child).situation();
            assert_eq!(seen, expected, "{phase:?} {holder:?} {child:?}");
        }
    }

    #[test]
    fn json_names_the_situation() {
        let view = view(state(PhaseName::Up, "", None), None, Life::Alive);
        let mut json = serde_json::to_value(view.json()).unwrap();
        json.as_object_mut().unwrap().remove("state");
        insta::assert_snapshot!(json.to_string(), @r#"{"child":"alive","monitor":null,"schema":1,"situation":"unwatched","supervised":false}"#);
    }
}
