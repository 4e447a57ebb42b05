//! What `step` works on: the memory, and what may be forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::live::LiveStreams;
use super::looks::Looks;
use super::memory::{ChildFacts, Memory, Phase, Progress};
use super::todo::TodoId;
use crate::config::{Config, OnTerminate};
use crate::detect::StallClock;
use crate::ids::{ChildNo, DetectorName};
use crate::time::{Mono, Now, Utc, Watched};

/// A wait that took this much longer than planned was no wait: the machine or the monitor was stopped.
const SLACK: Duration = Duration::from_secs(2);
/// Metric values kept for the report of a stall.
const RECENT_METRICS: usize = 20;

/// The monitor's state.
#[derive(Debug)]
pub struct State {
    /// The configuration in effect.
    pub config: Config,
    /// What survives.
    pub memory: Memory,
    /// The monitor's environment, which a child inherits.
    pub environment: BTreeMap<String, String>,
    /// Whether the monitor is process 1 of a container.
    pub is_init: bool,
    /// Notes for the journal's next line.
    pub notes: Vec<String>,
    /// What is odd with the monitor itself, by subject.
    pub warnings: BTreeMap<&'static str, String>,
    pub(super) clock: WatchClock,
    pub(super) utc: Utc,
    pub(super) live: LiveStreams,
    /// Added to the order in which things arrived: an earlier monitor has counted up to here.
    pub(super) arrivals_before: u64,
    pub(super) stalls: Vec<StallClock>,
    pub(super) looks: Looks,
    /// Looks at the streams so far: each wait ends with one.
    pub(super) stream_looks: u64,
    /// A stall is due, and was so at this number of looks.
    pub(super) suspected: Option<u64>,
    pub(super) metrics: BTreeMap<DetectorName, VecDeque<String>>,
    pub(super) unseen: Option<(Watched, String)>,
    pub(super) in_flight: BTreeSet<TodoId>,
    pub(super) retries: BTreeMap<TodoId, Retry>,
    pub(super) interrupted: bool,
    pub(super) drain_asked: bool,
    pub(super) touched: bool,
    /// The last intent of the steps before this one.
    pub(super) before_step: TodoId,
    pub(super) left: bool,
}

/// An intent that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    /// How often.
    pub(super) failures: u32,
    /// When it is tried again.
    pub(super) at: Watched,
}

impl State {
    /// A state that goes on from `memory`.
    pub fn new(config: Config, memory: Memory, environment: BTreeMap<String, String>, is_init: bool, now: Now) -> Self {
        let mut state = Self {
            clock: WatchClock::new(now.mono),
            config,
            environment,
            is_init,
            notes: Vec::new(),
            warnings: BTreeMap::new(),
            utc: now.utc,
            live: LiveStreams::default(),
            arrivals_before: memory
                .gathering
                .as_ref()
                .map_or(0, |gathering| gathering.arrived.iter().max().map_or(0, |last| last.saturating_add(1))),
            stalls: Vec::new(),
            looks: Looks::default(),
            stream_looks: 0,
            suspected: None,
            metrics: BTreeMap::new(),
            unseen: None,
            in_flight: BTreeSet::new(),
            retries: BTreeMap::new(),
            interrupted: false,
            drain_asked: false,
            touched: false,
            before_step: TodoId(0),
            left: false,
            memory,
        };
        state.rearm_stalls();
        state.rearm_looks();
        state
    }

    /// Whether a child is alive as far as anybody knows.
    pub fn child_is_alive(&self) -> bool {
        self.memory.child.as_ref().is_some_and(|child| child.up.is_some() && child.exit.is_none())
    }

    /// The newest child's number.
    pub fn child_no(&self) -> Option<ChildNo> {
        self.memory.child.as_ref().map(|child| child.no)
    }

    /// Since when the child cannot be seen, and why.
    pub fn unseen(&self) -> Option<(Watched, &str)> {
        self.unseen.as_ref().map(|(since, why)| (*since, why.as_str()))
    }

    /// When the last event happened, for people.
    pub fn now_utc(&self) -> Utc {
        self.utc
    }

    /// The limit of unverified restarts in effect.
    pub fn max_restarts(&self) -> u32 {
        self.memory.limits.max_restarts.unwrap_or(self.config.process.restart_policy.max_restarts)
    }

    /// What SIGTERM to the monitor means here.
    pub(super) fn on_terminate(&self) -> OnTerminate {
        match self.config.monitor.on_terminate {
            OnTerminate::Auto if self.is_init => OnTerminate::Stop,
            OnTerminate::Auto => OnTerminate::Detach,
            chosen @ (OnTerminate::Detach | OnTerminate::Stop) => chosen,
        }
    }

    pub(super) fn remember_metric(&mut self, detector: &DetectorName, value: &str) {
        if let Some(number) = value.parse::<f64>().ok().filter(|number| number.is_finite()) {
            match self.memory.progress.get_mut(detector) {
                Some(progress) => {
                    progress.falls |= number < progress.value;
                    progress.value = number;
                }
                None => {
                    let first = Progress { value: number, falls: false };
                    self.memory.progress.insert(detector.clone(), first);
                }
            }
        }
        let values = self.metrics.entry(detector.clone()).or_default();
        if values.back().is_some_and(|last| last == value) {
            return;
        }
        values.push_back(value.chars().take(80).collect());
        if values.len() > RECENT_METRICS {
            values.pop_front();
        }
    }

    /// How far the newest child has come, where one of its metrics is a counter.
    pub(super) fn progress(&self) -> Option<(DetectorName, f64)> {
        let counter = self.memory.progress.iter().find(|(_, progress)| !progress.falls);
        counter.map(|(detector, progress)| (detector.clone(), progress.value))
    }

    pub(super) fn child_mut(&mut self, no: ChildNo) -> Option<&mut ChildFacts> {
        self.memory.child.as_mut().filter(|child| child.no == no)
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.memory.phase = phase;
        self.touched = true;
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
        self.touched = true;
    }
}

/// Turns monotonic time into watched time.
#[derive(Clone, Copy, Debug)]
pub(super) struct WatchClock {
    last: Mono,
    planned: Option<Duration>,
    rest: Duration,
}

impl WatchClock {
    fn new(now: Mono) -> Self {
        Self { last: now, planned: None, rest: Duration::ZERO }
    }

    /// Advances `watched` to `now`, leaving out what was longer than the planned wait.
    pub(super) fn advance(&mut self, watched: &mut Watched, now: Mono) {
        let passed = now.since(self.last);
        self.last = now;
        // Of a wait that took longer than planned nobody knows how much was really watched.
        let planned = self.planned.unwrap_or(Duration::MAX);
        let counted = if passed > planned.saturating_add(SLACK) { SLACK } else { passed } + self.rest;
        let millis = Duration::from_millis(u64::try_from(counted.as_millis()).unwrap_or(u64::MAX));
        self.rest = counted.saturating_sub(millis);
        self.planned = Some(Duration::ZERO);
        *watched = *watched + millis;
    }

    /// Tells how long the next wait may be.
    pub(super) fn plan(&mut self, wait: Duration) {
        self.planned = Some(wait);
    }
}
