//! Looks at the world outside the log: when they are made, and what follows from what they see.
//!
//! A look is no intent: it changes nothing, so one that is lost with its monitor is simply made again. What has been seen
//! so far (failures in a row, growth) is forgotten with the child or the monitor, as the clocks of stalls are. Only a
//! child that is up is looked at, and no detector has two looks under way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::effect::{Effect, Effects, Level};
use super::memory::Phase;
use super::state::State;
use super::status::{LookState, LookStatus};
use crate::config;
use crate::detect::DetectorKind;
use crate::detect::look::{Answer, KernelQuestion, Place, Question, Resources};
use crate::detect::probe_watch::ProbeWatch;
use crate::detect::resource_watch::{ResourceWatch, in_words};
use crate::ids::{ChildNo, DetectorName};
use crate::time::Watched;

/// A service is asked for the first time this long after a start, or after its interval if that is shorter.
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// What the looking process may need beyond the time that a service has for its answer.
const PROBE_SLACK: Duration = Duration::from_secs(5);
/// For a look at resources, which waits 3 s for file systems.
const RESOURCE_TIMEOUT: Duration = Duration::from_secs(20);
/// Looks that find nothing out are made more and more seldom, down to once in this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Processes of the child that are remembered for the kernel's word of their end.
const MAX_PIDS: usize = 4096;

/// Number of a look, unique within a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookId(pub u64);

/// A look to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Answered with it.
    pub id: LookId,
    /// For whom; an older look of the same detector is given up.
    pub detector: DetectorName,
    /// At whose processes.
    pub child: ChildNo,
    /// What is asked.
    pub question: Question,
    /// Then whoever looks is given up.
    pub timeout: Duration,
}

/// All detectors that look.
#[derive(Debug, Default)]
pub(super) struct Looks {
    looking: Vec<Looking>,
    last_id: u64,
    /// Where the kernel's log goes on.
    kernel_next: Option<u64>,
    /// The child's processes as last seen.
    pids: Vec<u32>,
}

/// One detector that looks.
#[derive(Debug)]
struct Looking {
    detector: DetectorName,
    kind: DetectorKind,
    every: Duration,
    judge: Judge,
    reads_kernel: bool,
    next: Watched,
    under_way: Option<LookId>,
    /// Looks in a row that found nothing out.
    blind: u32,
    trouble: Option<String>,
    last: Option<LookStatus>,
}

#[derive(Debug)]
enum Judge {
    Resources(Box<ResourceWatch>),
    Probe(Box<ProbeWatch>),
}

impl Looking {
    fn new(detector: &config::Detector, child_start: Watched) -> Option<Self> {
        let (judge, every, first) = match &detector.what {
            config::What::Resource(resource) => {
                (Judge::Resources(Box::new(ResourceWatch::new(detector)?)), resource.every, Duration::ZERO)
            }
            config::What::Probe(probe) => {
                let judge = Judge::Probe(Box::new(ProbeWatch::new(detector, child_start)?));
                (judge, probe.every, probe.every.min(FIRST_PROBE))
            }
            config::What::Pattern { .. }
            | config::What::Traceback { .. }
            | config::What::Stall(_)
            | config::What::ExitCode { .. }
            | config::What::Metric(_)
            | config::What::Rate { .. } => return None,
        };
        Some(Self {
            detector: detector.name.clone(),
            kind: detector.what.kind(),
            every,
            judge,
            reads_kernel: false,
            next: child_start + first,
            under_way: None,
            blind: 0,
            trouble: None,
            last: None,
        })
    }

    /// Between this look and the next.
    fn pause(&self) -> Duration {
        let longer = self.every.saturating_mul(1 << self.blind.min(10));
        longer.min(LONGEST_PAUSE).max(self.every)
    }

    fn timeout(&self) -> Duration {
        match &self.judge {
            Judge::Resources(_) => RESOURCE_TIMEOUT,
            Judge::Probe(probe) => probe.timeout() + PROBE_SLACK,
        }
    }
}

impl State {
    /// Looks start anew with each child, each monitor and each configuration.
    pub(super) fn rearm_looks(&mut self) {
        let now = self.memory.watched;
        self.looks.looking = self.config.detectors.iter().filter_map(|detector| Looking::new(detector, now)).collect();
        // Lines that two detectors read would be found twice.
        let reader = self
            .looks
            .looking
            .iter_mut()
            .find(|looking| matches!(&looking.judge, Judge::Resources(watch) if watch.reads_kernel()));
        if let Some(reader) = reader {
            reader.reads_kernel = true;
        }
        self.warnings.remove("looks");
    }

    fn can_look(&self) -> bool {
        self.memory.phase == Phase::Up && self.unseen.is_none() && self.child_is_alive()
    }

    pub(super) fn look_deadline(&self) -> Option<Watched> {
        let idle = self.looks.looking.iter().filter(|looking| looking.under_way.is_none());
        idle.map(|looking| looking.next).min().filter(|_| self.can_look())
    }

    pub(super) fn look_when_due(&mut self, fx: &mut Effects) {
        let Some(child) = self.child_no().filter(|_| self.can_look()) else { return };
        let now = self.memory.watched;
        for at in 0..self.looks.looking.len() {
            let kernel = KernelQuestion { from: self.looks.kernel_next, pids: self.looks.pids.clone() };
            let last_id = self.looks.last_id + 1;
            let Some(looking) = self.looks.looking.get_mut(at) else { continue };
            if looking.under_way.is_some() || looking.next > now {
                continue;
            }
            let question = match &looking.judge {
                Judge::Resources(watch) => watch.question(looking.reads_kernel.then_some(kernel)),
                Judge::Probe(watch) => {
                    let mut env = self.config.process.env.clone();
                    env.extend(self.memory.overlay.clone());
                    watch.question(env)
                }
            };
            let id = LookId(last_id);
            looking.under_way = Some(id);
            looking.next = now + looking.pause();
            let (detector, timeout) = (looking.detector.clone(), looking.timeout());
            self.looks.last_id = last_id;
            fx.push(Effect::Look(Box::new(Look { id, detector, child, question, timeout })));
        }
    }

    /// A look has come to an end.
    pub(super) fn looked(&mut self, id: LookId, answer: &Answer, fx: &mut Effects) {
        if let Answer::Resources(seen) = answer {
            self.remember_seen(seen);
        }
        // One of a child that is gone, or of another configuration, was asked in vain.
        let can_look = self.can_look();
        let Some(child) = self.child_no() else { return };
        let (now, utc) = (self.memory.watched, self.utc);
        let byte = self.memory.streams.get(&child.stream()).map_or(0, |facts| facts.position.consumed);
        let place = Place { stream: child.stream(), byte };
        let Some(looking) = self.looks.looking.iter_mut().find(|looking| looking.under_way == Some(id)) else { return };
        looking.under_way = None;
        if !can_look {
            return;
        }
        let trouble = trouble(answer);
        let found_nothing = matches!(answer, Answer::Unknown { .. });
        looking.blind = if found_nothing { looking.blind.saturating_add(1) } else { 0 };
        if found_nothing {
            looking.next = looking.next.max(now + looking.pause());
        }
        let detections = match (&mut looking.judge, answer) {
            (Judge::Resources(watch), Answer::Resources(seen)) => watch.judge(seen, now, &place),
            (Judge::Probe(watch), _) => watch.judge(answer, now, &place).into_iter().collect(),
            (Judge::Resources(_), Answer::Well { .. } | Answer::Failed { .. } | Answer::Unknown { .. }) => Vec::new(),
        };
        let state = match (answer, &looking.judge) {
            (Answer::Well { .. }, _) => LookState::Well,
            (Answer::Failed { .. }, _) => LookState::Failed,
            (Answer::Unknown { .. }, _) => LookState::Unknown,
            (Answer::Resources(_), Judge::Resources(watch)) if watch.is_bad() => LookState::Failed,
            (Answer::Resources(_), _) => LookState::Well,
        };
        let said = match answer {
            Answer::Well { said } | Answer::Failed { said, .. } => said.clone(),
            Answer::Unknown { why } => why.clone(),
            Answer::Resources(seen) => in_words(seen),
        };
        let failed_in_a_row = match &looking.judge {
            Judge::Probe(watch) => watch.failed(),
            Judge::Resources(_) => 0,
        };
        let news = looking.last.as_ref().is_none_or(|last| last.state != state);
        looking.last = Some(LookStatus { kind: looking.kind, utc, state, said, failed_in_a_row });
        // A reader of the picture sees a change at once; numbers that merely differ can wait for the heartbeat.
        self.touched |= news;
        let detector = looking.detector.clone();
        if looking.trouble != trouble {
            looking.trouble.clone_from(&trouble);
            if let Some(why) = trouble {
                fx.say(Level::Warn, format!("{detector} cannot look: {why}"));
            }
            self.warn_of_blindness();
        }
        for detection in detections {
            self.detected(detection, child, fx);
        }
    }

    fn remember_seen(&mut self, seen: &Resources) {
        if let Some(kernel) = &seen.kernel {
            self.looks.kernel_next = Some(kernel.next);
        }
        if !seen.pids.is_empty() {
            self.looks.pids = seen.pids.iter().take(MAX_PIDS).copied().collect();
        }
    }

    fn warn_of_blindness(&mut self) {
        self.touched = true;
        let troubles: Vec<String> = self
            .looks
            .looking
            .iter()
            .filter_map(|looking| Some(format!("{} cannot look: {}", looking.detector, looking.trouble.as_ref()?)))
            .collect();
        if troubles.is_empty() {
            self.warnings.remove("looks");
        } else {
            self.warnings.insert("looks", troubles.join("; "));
        }
    }

    /// The last answers, for the picture.
    pub(super) fn looks_in_words(&self) -> BTreeMap<DetectorName, LookStatus> {
        let last = |looking: &Looking| Some((looking.detector.clone(), looking.last.clone()?));
        self.looks.looking.iter().filter_map(last).collect()
    }
}

/// What could not be looked at.
fn trouble(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Unknown { why } => Some(why.clone()),
        Answer::Resources(seen) => (!seen.unknown.is_empty()).then(|| seen.unknown.join("; ")),
        Answer::Well { .. } | Answer::Failed { .. } => None,
    }
}
