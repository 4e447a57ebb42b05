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
            | config::What::Rate { .. }
            | config::What::Catalogue(_)
            | config::What::Class(_) => return None,
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
            looking.next = now + looking.every;
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
            looking.next = now + looking.pause();
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
            self.detected(detection, None, child, fx);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::detect::ending::{Ending, Exit, OutOfMemory};
    use crate::detect::look::{KernelLines, Reason};
    use crate::ids::RunId;
    use crate::monitor::event::{Event, Outcome, Seen};
    use crate::monitor::memory::Memory;
    use crate::time::{Mono, Now, Utc};

    const PROBE: &str =
        "{name: port, kind: tcp, address: '127.0.0.1:1', every_seconds: 10, failures: 2, start_grace_seconds: 0}";
    const MACHINE: &str = "{name: machine, kind: resource, gpus: 2, every_seconds: 10, confirmations: 1}";

    /// A state on simulated time, and what it has asked for.
    struct Rig {
        state: State,
        now: u64,
        looks: Vec<Look>,
    }

    impl Rig {
        fn new(detectors: &str) -> Self {
            let text =
                format!("process: {{command: [serve]}}\ndetectors: [{detectors}]\nhealing: {{settle_seconds: 0}}");
            let (config, _) = config::parse(&text, None, Path::new("/p"), &|_| None).unwrap();
            let state = State::new(config, Memory::default(), BTreeMap::new(), false, Now::default());
            let mut rig = Self { state, now: 0, looks: Vec::new() };
            rig.state.new_run(RunId::new("run"), vec!["serve".to_owned()]);
            rig.step(Event::Woke);
            rig
        }

        fn up(detectors: &str) -> Self {
            let mut rig = Self::new(detectors);
            rig.step(Event::ChildSeen { child: ChildNo(1), seen: Seen::Running { process: None } });
            rig
        }

        fn step(&mut self, event: Event) {
            let now = Now {
                mono: Mono::from_duration(Duration::from_millis(self.now)),
                utc: Utc::from_millis(1_000_000_000_000 + i64::try_from(self.now).unwrap()),
            };
            let fx = self.state.step(event, now);
            let mut events = Vec::new();
            for effect in fx.list {
                match effect {
                    Effect::Look(look) => self.looks.push(*look),
                    Effect::Try(intent) => events.push(Event::Done { id: intent.id, result: Ok(Outcome::Done) }),
                    _ => {}
                }
            }
            events.into_iter().for_each(|event| self.step(event));
        }

        /// Lets time pass in the steps that the state asks for.
        fn wait(&mut self, seconds: u64) {
            let end = self.now + seconds * 1000;
            while self.now < end {
                let wait = self.state.next_wait(Duration::from_millis(end - self.now));
                self.now += u64::try_from(wait.as_millis()).unwrap().max(1);
                self.step(Event::Woke);
            }
        }

        /// Answers the only look that is under way.
        #[track_caller]
        fn answer(&mut self, answer: Answer) -> Look {
            assert_eq!(self.looks.len(), 1, "{:?}", self.looks);
            let look = self.looks.remove(0);
            self.step(Event::Looked { id: look.id, answer: Box::new(answer) });
            look
        }

        fn incidents(&self) -> u64 {
            self.state.memory.incidents_total
        }
    }

    fn refused() -> Answer {
        Answer::Failed { reason: Reason::Refused, said: "refused the connection".to_owned(), value: None }
    }

    fn unknown() -> Answer {
        Answer::Unknown { why: "no name".to_owned() }
    }

    fn ended(exit: i32) -> Event {
        let ending = Ending::Exited { code: exit };
        let exit = Exit { ending, oom: OutOfMemory::NoSign, leftovers: 0, stop_requested: false, killed: false };
        Event::ChildSeen { child: ChildNo(1), seen: Seen::Ended(exit) }
    }

    #[test]
    fn only_a_child_that_is_up_is_looked_at() {
        let mut rig = Rig::new(PROBE);
        rig.wait(100);
        assert_eq!(rig.looks, [], "not up yet");
        rig.step(Event::ChildSeen { child: ChildNo(1), seen: Seen::Running { process: None } });
        rig.wait(1);
        assert_eq!(rig.looks.len(), 1);
        rig.wait(100);
        assert_eq!(rig.looks.len(), 1, "no two at once");
        rig.answer(refused());
        rig.wait(1);
        rig.step(ended(0));
        rig.answer(refused());
        rig.wait(100);
        assert_eq!(
            (rig.looks.len(), rig.incidents()),
            (0, 0),
            "what is refused by a service that has ended is no failure"
        );
    }

    #[test]
    fn failures_in_a_row_are_one_incident() {
        let mut rig = Rig::up(PROBE);
        for _ in 0..5 {
            rig.wait(10);
            rig.answer(refused());
        }
        assert_eq!(rig.incidents(), 1);
        let last = &rig.state.looks_in_words()[&DetectorName::new("port")];
        assert_eq!((last.state, last.failed_in_a_row), (LookState::Failed, 5));
        // The answer to a look that nobody waits for any more.
        rig.step(Event::Looked { id: LookId(1), answer: Box::new(refused()) });
        assert_eq!(rig.state.looks_in_words()[&DetectorName::new("port")].failed_in_a_row, 5);
    }

    #[test]
    fn who_cannot_look_says_so_and_looks_more_seldom() {
        let mut rig = Rig::up(PROBE);
        let mut looks = Vec::new();
        for _ in 0..400 {
            rig.wait(10);
            if !rig.looks.is_empty() {
                looks.push(rig.now / 1000);
                rig.answer(unknown());
            }
        }
        assert_eq!(rig.incidents(), 0);
        assert!(looks.len() < 20, "{looks:?}");
        assert!(looks.windows(2).all(|pair| pair[1] - pair[0] <= 620), "{looks:?}");
        assert_eq!(rig.state.warnings["looks"], "port cannot look: no name");
        rig.wait(620);
        rig.answer(Answer::Well { said: "accepted a connection".to_owned() });
        assert_eq!(rig.state.warnings.get("looks"), None);
        rig.wait(10);
        assert_eq!(rig.looks.len(), 1, "at its usual pace again");
    }

    #[test]
    fn resources_are_judged_and_the_kernel_is_read_on_by_one() {
        let mut rig = Rig::up(&format!("{MACHINE}, {{name: other, kind: resource, gpus: 1, every_seconds: 10000}}"));
        let kernel_of = |look: &Look| match &look.question {
            Question::Resources(question) => question.kernel.as_ref().map(|kernel| (kernel.from, kernel.pids.clone())),
            _ => None,
        };
        rig.looks.retain(|look| look.detector.as_str() == "machine" || kernel_of(look).is_some());
        let kernel = KernelLines { next: 77, lines: Vec::new() };
        let seen = Resources { gpus: Some(1), kernel: Some(kernel), pids: vec![5], ..Resources::default() };
        let first = rig.answer(Answer::Resources(Box::new(seen.clone())));
        assert_eq!(kernel_of(&first), Some((None, Vec::new())));
        assert_eq!(rig.incidents(), 1);
        rig.wait(10);
        let second = rig.answer(Answer::Resources(Box::new(seen)));
        assert_eq!(kernel_of(&second), Some((Some(77), vec![5])));
        assert_eq!(rig.incidents(), 1, "once per episode");
    }
}
