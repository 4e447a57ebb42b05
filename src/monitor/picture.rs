//! The picture for readers, painted from the state.

use std::collections::BTreeMap;
use std::time::Duration;

use super::memory::{IncidentNote, Phase, Then};
use super::state::State;
use super::status::{
    ChildStatus, DetectorStatus, IncidentStatus, PendingStatus, PhaseName, ProcessIdentity, RestartStatus, SCHEMA,
    StallStatus, StateFile, StreamStatus, StreamTotals,
};
use crate::detect::StallClock;
use crate::ids::{RunId, StreamId};
use crate::time::{Utc, Watched};

/// Incidents in the picture.
const LAST_INCIDENTS: usize = 10;

/// Streams in the picture besides the child's own.
const SHOWN_STREAMS: usize = 16;

/// What the shell adds to the state.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// This monitor.
    pub monitor: &'a ProcessIdentity,
    /// When it started.
    pub monitor_started: Utc,
    /// Now.
    pub now: Utc,
    /// Whether it is leaving while the child stays.
    pub detached: bool,
}

impl State {
    /// Paints the picture.
    pub fn picture(&self, frame: &Frame<'_>) -> StateFile {
        let memory = &self.memory;
        let (phase, waiting_for, why, exit_code) = self.phase_in_words(frame.detached);
        let policy = &self.config.process.restart_policy;
        StateFile {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            updated: frame.now,
            monitor: frame.monitor.clone(),
            monitor_started: frame.monitor_started,
            run: memory.run.as_ref().map_or_else(|| RunId::new(""), |run| run.id.clone()),
            run_started: memory.run.as_ref().map_or(frame.now, |run| run.started),
            phase,
            waiting_for,
            why,
            exit_code,
            command: memory.run.as_ref().map(|run| run.command.clone()).unwrap_or_default(),
            child: memory.child.as_ref().map(|child| ChildStatus {
                no: child.no,
                process: child.process.clone(),
                started: child.started,
                alive: child.up.is_some() && child.exit.is_none(),
                exit: child.exit.clone(),
            }),
            restarts: RestartStatus {
                unverified: memory.restarts.unverified,
                max: self.max_restarts(),
                total: memory.restarts.total,
                in_window: memory.restarts.in_window(policy, memory.watched),
                max_in_window: policy.max_restarts_in_window,
                identical: memory.restarts.identical.as_ref().map_or(0, |(_, times)| *times),
                max_identical: policy.max_identical_failures,
            },
            env_overlay: memory.overlay.clone(),
            detectors: memory
                .detectors
                .iter()
                .map(|(name, facts)| {
                    let status =
                        DetectorStatus { kind: facts.kind, detections: facts.detections, incidents: facts.incidents };
                    (name.clone(), status)
                })
                .collect(),
            probes: self.looks_in_words(),
            stalls: self.stalls.iter().map(|stall| (stall.detector().clone(), stall_status(stall))).collect(),
            in_phases: memory.phases.names().cloned().collect(),
            streams: self.shown_streams(),
            stream_totals: StreamTotals {
                count: memory.streams.len(),
                bytes: memory.streams.totals().bytes,
                lines: memory.streams.totals().lines,
                troubled: BTreeMap::new(),
            },
            incidents: last(&memory.incidents).iter().map(incident_status).collect(),
            incidents_total: memory.incidents_total,
            pending: memory
                .attempts
                .iter()
                .map(|attempt| PendingStatus {
                    attempt: attempt.no,
                    incident: attempt.incident.clone(),
                    action: attempt.action.clone(),
                    left_ms: self.left_ms(attempt.child.map(|(_, since)| since)),
                })
                .collect(),
            watched_ms: memory.watched.millis(),
            warnings: self.warnings.values().cloned().collect(),
        }
    }

    /// The picture of the run alone, whoever watches it.
    pub(super) fn picture_of_run(&self) -> StateFile {
        let nobody = ProcessIdentity { pid: 0, start_time: 0, boot_id: String::new() };
        let now = self.now_utc();
        self.picture(&Frame { monitor: &nobody, monitor_started: now, now, detached: false })
    }

    /// The child's own output, and the first others by name.
    fn shown_streams(&self) -> BTreeMap<StreamId, StreamStatus> {
        let own = self.child_no().map(|child| child.stream());
        let own = own.and_then(|stream| Some((stream.clone(), *self.memory.streams.get(&stream)?)));
        let others = self.memory.streams.iter().map(|(stream, facts)| (stream.clone(), *facts));
        let status =
            |facts: super::memory::StreamFacts| StreamStatus { bytes: facts.position.consumed, lines: facts.lines };
        own.into_iter().chain(others.take(SHOWN_STREAMS)).map(|(stream, facts)| (stream, status(facts))).collect()
    }

    fn left_ms(&self, since: Option<Watched>) -> u64 {
        let window = self.config.healing.verify_window;
        let left = since.map_or(window, |since| window.saturating_sub(self.memory.watched.since(since)));
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
    }

    fn phase_in_words(&self, detached: bool) -> (PhaseName, String, Option<String>, Option<u8>) {
        let plain = |name, waiting: &str| (name, waiting.to_owned(), None, None);
        if let Some((_, why)) = self.unseen() {
            return (PhaseName::Unknown, "the child can be seen again".to_owned(), Some(why.to_owned()), None);
        }
        let leaving = detached && !matches!(self.memory.phase, Phase::Over { .. });
        if leaving {
            return plain(PhaseName::Detached, "`sentry run` to adopt the child");
        }
        match &self.memory.phase {
            Phase::Idle => plain(PhaseName::Starting, "the first child"),
            Phase::Starting => plain(PhaseName::Starting, "the child to be up"),
            Phase::Up => plain(
                PhaseName::Up,
                if self.memory.gathering.is_some() { "the failure to settle" } else { "the child" },
            ),
            Phase::Stopping { then } => {
                let what = match then {
                    Then::Restart { .. } | Then::StartNow { .. } => "the child to stop, then a restart",
                    Then::Pause { .. } => "the child to stop, then a pause",
                    Then::End { .. } => "the child to stop, then the end of the run",
                };
                plain(PhaseName::Stopping, what)
            }
            Phase::Settling => plain(PhaseName::Settling, "the rest of the child's output and processes"),
            Phase::Deciding => plain(PhaseName::Settling, "the command of a rule"),
            Phase::Cooling { until, because, free: _ } => {
                let left = until.since(self.memory.watched).as_secs_f64();
                (PhaseName::Cooling, format!("{left:.0} s to pass before the restart"), Some(because.clone()), None)
            }
            Phase::Paused { why } => (PhaseName::Paused, "`sentry resume`".to_owned(), Some(why.clone()), None),
            Phase::Over { code, held, why } => {
                let name = if *held { PhaseName::Held } else { PhaseName::Over };
                (name, if *held { "a person" } else { "nothing" }.to_owned(), Some(why.clone()), Some(*code))
            }
        }
    }
}

fn last(incidents: &[IncidentNote]) -> &[IncidentNote] {
    incidents.get(incidents.len().saturating_sub(LAST_INCIDENTS)..).unwrap_or_default()
}

fn stall_status(stall: &StallClock) -> StallStatus {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    StallStatus {
        limit_ms: millis(stall.limit()),
        learned: stall.has_learned(),
        pauses: stall.learned().gaps(),
        longest_pause_ms: millis(stall.learned().longest()),
        resting: stall.is_resting(),
    }
}

fn incident_status(note: &IncidentNote) -> IncidentStatus {
    IncidentStatus {
        id: note.incident.id.clone(),
        utc: note.incident.utc,
        detector: note.incident.root.detector.clone(),
        severity: note.incident.severity,
        message: note.incident.message.clone(),
        action: note.action.clone(),
        verdict: note.verdict,
    }
}
