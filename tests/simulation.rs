//! The whole pure half under a simulated world: a child that lies, a clock that jumps, a monitor that is killed between any
//! two effects, a disk that fails, people who send commands at the worst moment. A schedule is a seed; a failing one is
//! printed as the trace of its events. `SENTRY_SIM_SEED=…` runs one, `SENTRY_SIM_SCHEDULES=…` that many, from `SENTRY_SIM_FIRST=…` on.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use sentry::config::{self, Action, Config, Detector, EnvChange, Lifecycle, Match, Rule, Stall, What};
use sentry::detect::ending::{Ending, Exit, OutOfMemory};
use sentry::detect::{Detection, DetectorKind, Position, Severity};
use sentry::heal::verdict::Verdict;
use sentry::ids::{AttemptNo, ChildNo, DetectorName, IncidentId, RuleName, RunId};
use sentry::monitor::command::ControlCommand;
use sentry::monitor::effect::{Effect, Leave};
use sentry::monitor::event::{Event, Outcome, ScanReport, Seen};
use sentry::monitor::journal_line::{Differ, JournalLine, replay};
use sentry::monitor::memory::{Memory, Phase};
use sentry::monitor::state::State;
use sentry::monitor::todo::{IncidentChange, Intent, Todo};
use sentry::time::{Mono, Now, Utc};

/// SplitMix64 (Steele, Lea, Flood 2014): a schedule is its seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// A child and what it will do.
struct Child {
    no: ChildNo,
    up_at: u64,
    ends_at: u64,
    gone_at: u64,
    exit: Exit,
    prints: Vec<(u64, Detection)>,
}

impl Child {
    fn new(no: ChildNo, now: u64, chance: &mut Chance) -> Self {
        let up_at = now + chance.below(50);
        let lives = *chance.pick(&[1, 50, 700, 5_000, 60_000, 900_000]);
        let ends_at = up_at + chance.below(lives) + 1;
        let ending = match chance.below(12) {
            0 => Ending::NotStarted { errno: 2, message: "`no-such-command`: not found".into() },
            1..=4 => Ending::Exited { code: 0 },
            5..=8 => Ending::Exited { code: i32::try_from(chance.below(3)).unwrap() + 1 },
            9 | 10 => Ending::Signaled { signal: 9, core_dumped: false },
            _ => Ending::Lost { why: "its shim was killed".into() },
        };
        let runs = !matches!(ending, Ending::NotStarted { .. });
        let mut times: Vec<u64> =
            (0..if runs { chance.below(5) } else { 0 }).map(|_| up_at + chance.below(ends_at - up_at)).collect();
        times.sort_unstable();
        let prints = times.into_iter().enumerate().map(|(at, time)| (time, detection(no, at as u64, chance))).collect();
        let exit = Exit { ending, oom: OutOfMemory::NoSign, leftovers: 0, stop_requested: false, killed: false };
        Self { no, up_at, ends_at, gone_at: ends_at + chance.below(100), exit, prints }
    }

    fn seen(&self, now: u64) -> Seen {
        if now >= self.gone_at {
            Seen::Ended(self.exit.clone())
        } else if now >= self.ends_at {
            Seen::Ending(self.exit.clone())
        } else if now >= self.up_at {
            Seen::Running { process: None }
        } else {
            Seen::Starting
        }
    }

    fn stop(&mut self, now: u64, chance: &mut Chance) {
        if now < self.ends_at {
            self.exit.stop_requested = true;
            self.exit.ending = Ending::Signaled { signal: 15, core_dumped: false };
            self.ends_at = self.ends_at.min(now + chance.below(3_000) + 1);
            self.gone_at = self.ends_at + chance.below(100);
            self.prints.retain(|(time, _)| *time < self.ends_at);
        }
    }
}

fn detection(child: ChildNo, at: u64, chance: &mut Chance) -> Detection {
    let (name, kind) = *chance.pick(&[
        ("oom", DetectorKind::Pattern),
        ("net", DetectorKind::Pattern),
        ("traceback", DetectorKind::Traceback),
    ]);
    let severity = *chance.pick(&[Severity::Error, Severity::Error, Severity::Warning, Severity::Critical]);
    Detection {
        detector: DetectorName::new(name),
        kind,
        severity,
        stream: child.stream(),
        bytes: at * 10..at * 10 + 10,
        lines: (at + 1, at + 1),
        message: format!("{name} failed in {}", chance.pick(&["alpha", "beta"])),
        captures: BTreeMap::new(),
        trace: None,
        class: None,
    }
}

/// What is on disk. It survives the monitor.
#[derive(Default)]
struct Disk {
    journal: Vec<String>,
    /// Detections that an incident accounts for: its root and those settled with it, those counted later, its child's end.
    incidents: BTreeMap<IncidentId, (u64, u64, bool)>,
    ledger: BTreeMap<(AttemptNo, Option<Verdict>), u32>,
    started: BTreeSet<ChildNo>,
}

/// What a monitor holds in its hands; gone with it.
struct Hands {
    state: State,
    differ: Differ,
    reading: ChildNo,
    read: usize,
    last_seen: Option<Seen>,
    restored: BTreeSet<u64>,
    jobs: Vec<(u64, Event)>,
    leaving: Option<Leave>,
}

struct World {
    chance: Chance,
    config: Config,
    now: u64,
    utc_skew: i64,
    disk: Disk,
    child: Option<Child>,
    printed: u64,
    trace: Vec<String>,
    disk_broken_until: u64,
    killed: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let config = random_config(&mut chance);
        Self {
            chance,
            config,
            now: 1,
            utc_skew: 1_800_000_000_000,
            disk: Disk::default(),
            child: None,
            printed: 0,
            trace: Vec::new(),
            disk_broken_until: 0,
            killed: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: Mono::from_duration(Duration::from_millis(self.now)),
            utc: Utc::from_millis(self.utc_skew + i64::try_from(self.now).unwrap()),
        }
    }

    /// Starts a monitor on what is on disk.
    fn monitor(&mut self) -> Hands {
        let lines = self.disk.journal.iter().map(|line| serde_json::from_str::<JournalLine>(line).unwrap());
        let (memory, troubles) = replay(lines);
        assert!(troubles.is_empty(), "{troubles:?}");
        let restored = memory.todo.iter().map(|intent| intent.id.0).collect();
        let state = State::new(self.config.clone(), memory, BTreeMap::new(), false, self.now());
        let mut hands = Hands {
            state,
            differ: Differ::default(),
            reading: ChildNo(0),
            read: 0,
            last_seen: None,
            restored,
            jobs: Vec::new(),
            leaving: None,
        };
        if hands.state.memory.run.is_none() {
            hands.state.new_run(RunId::new("run"), vec!["train".into()]);
        }
        hands
    }

    /// Lives through one schedule. `Err` is a broken promise.
    fn live(&mut self) -> Result<(), String> {
        let mut hands = self.monitor();
        for _ in 0..3_000 {
            let ended = match self.turn(&mut hands) {
                Turn::Goes => false,
                Turn::Killed => {
                    self.killed += 1;
                    self.note("monitor killed");
                    self.now += self.chance.below(20_000);
                    hands = self.monitor();
                    if let Phase::Over { .. } = hands.state.memory.phase {
                        // What the dead monitor left on its list is done by the next run, whatever that is.
                        return self.do_the_rest(&mut hands).and_then(|()| self.check_end(&hands));
                    }
                    false
                }
                Turn::Broken(why) => return Err(why),
                Turn::Left(Leave::Detached) => {
                    self.note("monitor detached");
                    self.now += self.chance.below(20_000);
                    hands = self.monitor();
                    false
                }
                Turn::Left(Leave::Over { .. }) => true,
            };
            if ended {
                return self.check_end(&hands);
            }
        }
        Ok(()) // Long schedules (healthy children for hours) are cut; every step was checked.
    }

    fn do_the_rest(&mut self, hands: &mut Hands) -> Result<(), String> {
        self.disk_broken_until = 0;
        for intent in std::mem::take(&mut hands.state.memory.todo) {
            if intent.todo.is_record() {
                let (_, result) = self.attempt(&intent, hands)?;
                result.map(drop)?;
            }
        }
        Ok(())
    }

    fn turn(&mut self, hands: &mut Hands) -> Turn {
        let mut events = self.collect(hands);
        events.push(Event::Woke);
        for event in events {
            self.note(&format!("{:>9} {}", self.now, short(&event)));
            let now = self.now();
            let effects = hands.state.step(event, now);
            if effects.changed {
                let notes = std::mem::take(&mut hands.state.notes);
                let line = hands.differ.line(&hands.state.memory, notes, now.utc).unwrap();
                self.disk.journal.push(serde_json::to_string(&line).unwrap());
            }
            for effect in effects.list {
                if self.chance.one_in(60) {
                    return Turn::Killed;
                }
                if let Err(why) = self.apply(effect, hands) {
                    return Turn::Broken(why);
                }
            }
            if let Err(why) = self.check_always(hands) {
                return Turn::Broken(why);
            }
            if self.chance.one_in(400) {
                return Turn::Killed;
            }
        }
        if let Some(leave) = hands.leaving {
            return Turn::Left(leave);
        }
        self.pass_time(hands);
        Turn::Goes
    }

    /// Everything that has happened by now becomes an event.
    fn collect(&mut self, hands: &mut Hands) -> Vec<Event> {
        let mut events = Vec::new();
        let due = hands.jobs.iter().filter(|(at, _)| *at <= self.now).count();
        hands.jobs.sort_by_key(|(at, _)| *at);
        events.extend(hands.jobs.drain(..due).map(|(_, event)| event));
        if let Some(child) = self.child.as_ref().filter(|child| Some(child.no) == hands.state.child_no()) {
            let seen = child.seen(self.now);
            let lied = self.chance.one_in(50);
            if lied {
                hands.last_seen = None;
                events.push(Event::ChildSeen { child: child.no, seen: Seen::Unknown { why: "no answer".into() } });
            } else if hands.last_seen.as_ref() != Some(&seen) {
                hands.last_seen = Some(seen.clone());
                events.push(Event::ChildSeen { child: child.no, seen });
            }
        }
        events.extend(self.scan(hands, self.now));
        if self.chance.one_in(40) {
            let command = match self.chance.below(9) {
                0 => ControlCommand::Pause,
                1..=3 => ControlCommand::Resume,
                4 => ControlCommand::Restart,
                5 => ControlCommand::Reset,
                6 => ControlCommand::Detach,
                7 => ControlCommand::Set { key: "max_restarts".into(), value: "3".into() },
                _ if self.chance.one_in(4) => ControlCommand::Stop,
                _ => ControlCommand::Approve { id: "x".into() },
            };
            events.push(Event::Command { id: "c".into(), command: Ok(command) });
        }
        events
    }

    /// What the child has printed up to `until` and the monitor has not read.
    fn scan(&mut self, hands: &mut Hands, until: u64) -> Option<Event> {
        let child = self.child.as_ref().filter(|child| Some(child.no) == hands.state.child_no())?;
        if !self.disk.started.contains(&child.no) {
            return None;
        }
        if hands.reading != child.no {
            // As the loop does: a stream is opened at the position that the memory holds for it.
            hands.reading = child.no;
            let facts = hands.state.memory.streams.get(&child.no.stream()).copied().unwrap_or_default();
            hands.read = usize::try_from(facts.position.consumed / 10).unwrap();
        }
        let from = hands.read;
        let to = child.prints.iter().filter(|(time, _)| *time <= until).count().max(from);
        hands.read = to;
        let detections: Vec<_> = child.prints[from..to].iter().map(|(_, detection)| detection.clone()).collect();
        let consumed = to as u64 * 10;
        Some(Event::Scanned(vec![ScanReport {
            stream: child.no.stream(),
            child: child.no,
            read_something: !detections.is_empty(),
            detections,
            counted: BTreeMap::new(),
            arrived: (from as u64..to as u64).collect(),
            file: None,
            signals: Vec::new(),
            metrics: Vec::new(),
            position: Position { consumed, resume: consumed, ..Position::default() },
            lines: to as u64,
            caught_up: true,
            open: false,
            ended: false,
        }]))
    }

    fn apply(&mut self, effect: Effect, hands: &mut Hands) -> Result<(), String> {
        match effect {
            Effect::Try(intent) => {
                let (at, result) = self.attempt(&intent, hands)?;
                if result.is_ok() {
                    hands.restored.remove(&intent.id.0);
                }
                hands.jobs.push((at, Event::Done { id: intent.id, result }));
            }
            Effect::Drain(no) => {
                // The child is gone: all it has printed can be read.
                let scanned = self.scan(hands, u64::MAX);
                hands.jobs.extend(scanned.map(|event| (0, event)));
                hands.jobs.push((1, Event::Drained { child: no }));
            }
            Effect::Say(_, line) => self.note(&format!("          {line}")),
            Effect::Leave(leave) => hands.leaving = Some(leave),
            Effect::Look(_)
            | Effect::Notify(_)
            | Effect::FlushSilence(_)
            | Effect::ReadConfig { .. }
            | Effect::Answer { .. } => {}
        }
        Ok(())
    }

    fn attempt(&mut self, intent: &Intent, hands: &Hands) -> Result<(u64, Result<Outcome, String>), String> {
        let broken = self.now < self.disk_broken_until;
        let done = |this: &Self| Ok((this.now, Ok(Outcome::Done)));
        match &intent.todo {
            Todo::StartChild { child: no, .. } => {
                if self.disk.started.contains(no) {
                    return done(self);
                }
                if let Some(old) = self.child.as_ref().filter(|old| self.now < old.gone_at) {
                    return Err(format!("child {no} was started while child {} was alive", old.no));
                }
                self.child = Some(Child::new(*no, self.now, &mut self.chance));
                self.disk.started.insert(*no);
                done(self)
            }
            Todo::StopChild { child: no, .. } => {
                let (now, chance) = (self.now, &mut self.chance);
                if let Some(child) = self.child.as_mut().filter(|child| child.no == *no) {
                    child.stop(now, chance);
                }
                done(self)
            }
            _ if broken => Ok((self.now, Err("no space left on device".into()))),
            Todo::WriteIncident { incident, .. } => {
                let counted: u64 = incident.counted.iter().map(|counted| counted.count).sum();
                let new = (1 + counted, 0, incident.exit.is_some());
                if let Some(old) = self.disk.incidents.insert(incident.id.clone(), new)
                    && !hands.restored.contains(&intent.id.0)
                {
                    return Err(format!("incident {} was written twice: {old:?}", incident.id));
                }
                done(self)
            }
            Todo::UpdateIncident { id, change } => {
                let Some(incident) = self.disk.incidents.get_mut(id) else {
                    return Err(format!("incident {id} was changed before it was written"));
                };
                match &**change {
                    IncidentChange::Exit { .. } => incident.2 = true,
                    IncidentChange::Counted { counted } => {
                        incident.1 = counted.iter().map(|counted| counted.count).sum()
                    }
                    IncidentChange::Action { .. }
                    | IncidentChange::Details { .. }
                    | IncidentChange::NotActed { .. }
                    | IncidentChange::Changes { .. }
                    | IncidentChange::Verdict { .. } => {}
                }
                done(self)
            }
            Todo::Ledger { row } => {
                let again = hands.restored.contains(&intent.id.0);
                let rows = self.disk.ledger.entry((row.attempt, row.verdict)).or_default();
                if *rows == 0 || !again {
                    *rows += 1;
                }
                done(self)
            }
            Todo::LookAround { .. } => {
                let takes = self.chance.below(2_000);
                Ok((self.now + takes, Ok(Outcome::LookedAround(Box::default()))))
            }
            Todo::RunCommand { .. } => {
                let status = *self.chance.pick(&[Some(0), Some(0), Some(1), None]);
                let last_line =
                    self.chance.pick(&["restart", "done", "restart_with_env N=1", "pause", "abort", ""]).to_string();
                let takes = self.chance.below(5_000);
                Ok((self.now + takes, Ok(Outcome::CommandEnded { status, last_line })))
            }
        }
    }

    /// Jumps to the next thing that can happen.
    fn pass_time(&mut self, hands: &mut Hands) {
        let wait = hands.state.next_wait(Duration::from_secs(30));
        let mut next = self.now + u64::try_from(wait.as_millis()).unwrap() + 1;
        if let Some(child) = &self.child {
            let moments = [child.up_at, child.ends_at, child.gone_at]
                .into_iter()
                .chain(child.prints.iter().map(|(time, _)| *time));
            next = moments.filter(|moment| *moment > self.now).chain([next]).min().unwrap();
        }
        next = hands.jobs.iter().map(|(at, _)| (*at).max(self.now)).chain([next]).min().unwrap();
        self.now = next;
        if self.chance.one_in(50) {
            self.now += self.chance.below(3_600_000); // The monitor was stopped, or the machine slept.
        }
        if self.chance.one_in(50) {
            self.utc_skew += i64::try_from(self.chance.below(7_200_000)).unwrap() - 3_600_000;
        }
        if self.chance.one_in(100) {
            self.disk_broken_until = self.now + self.chance.below(10_000);
        }
    }

    fn check_always(&self, hands: &Hands) -> Result<(), String> {
        let memory: &Memory = &hands.state.memory;
        let max = hands.state.max_restarts().max(self.config.process.restart_policy.max_restarts).max(3);
        if self.config.process.restart_policy.max_restarts > 0 && memory.restarts.unverified > max {
            return Err(format!("{} unverified restarts, the wall is {max}", memory.restarts.unverified));
        }
        if memory.incidents.len() > Memory::MAX_INCIDENTS || memory.history.len() > Memory::MAX_HISTORY {
            return Err("the memory grows without bound".into());
        }
        Ok(())
    }

    /// What must hold when a run is over.
    fn check_end(&self, hands: &Hands) -> Result<(), String> {
        let memory = &hands.state.memory;
        let Phase::Over { code, why, .. } = &memory.phase else { return Err("left without being over".into()) };
        if let Some(child) = self.child.as_ref().filter(|child| self.now < child.gone_at && *code != 84) {
            return Err(format!("the run is over ({why}) and child {} is alive", child.no));
        }
        if !memory.attempts.is_empty() {
            return Err(format!("attempts without a verdict: {:?}", memory.attempts));
        }
        if !memory.todo.is_empty() {
            return Ok(()); // The disk was broken at the very end: the rest is on the list in the journal.
        }
        let mut attempts: BTreeMap<AttemptNo, (u32, u32)> = BTreeMap::new();
        for ((no, verdict), rows) in &self.disk.ledger {
            let counts = attempts.entry(*no).or_default();
            if verdict.is_none() { counts.0 += rows } else { counts.1 += rows }
        }
        if let Some((no, counts)) = attempts.iter().find(|(_, counts)| **counts != (1, 1)) {
            return Err(format!("attempt {} has {} rows and {} verdicts", no.0, counts.0, counts.1));
        }
        let seen: u64 = memory.detectors.values().map(|facts| facts.detections).sum();
        let told: u64 = self.disk.incidents.values().map(|(whole, later, _)| whole + later).sum();
        if seen != told {
            return Err(format!("{seen} detections were seen, {told} are in incidents"));
        }
        if self.disk.incidents.len() as u64 != memory.incidents_total {
            return Err(format!(
                "{} incidents were counted, {} written",
                memory.incidents_total,
                self.disk.incidents.len()
            ));
        }
        let _ = self.printed;
        Ok(())
    }

    fn note(&mut self, line: &str) {
        self.trace.push(line.to_owned());
    }
}

enum Turn {
    Goes,
    Killed,
    Left(Leave),
    Broken(String),
}

fn short(event: &Event) -> String {
    let mut text = format!("{event:?}");
    text.truncate(text.char_indices().nth(160).map_or(text.len(), |(at, _)| at));
    text
}

fn random_config(chance: &mut Chance) -> Config {
    let mut config = config::defaults(vec!["train".into()], Path::new("/project"));
    let policy = &mut config.process.restart_policy;
    policy.max_restarts = u32::try_from(chance.below(6)).unwrap();
    policy.cooldown = Duration::from_secs(chance.below(3) * 5);
    policy.max_identical_failures = u32::try_from(chance.below(4)).unwrap();
    policy.max_restarts_in_window = u32::try_from(chance.below(2) * 4).unwrap();
    policy.reset_after_healthy = Duration::from_secs(chance.below(2) * 300);
    config.process.lifecycle = *chance.pick(&[
        Lifecycle::RestartOnFailure,
        Lifecycle::RestartOnFailure,
        Lifecycle::OneShot,
        Lifecycle::RestartAlways,
    ]);
    config.healing.settle = Duration::from_secs(chance.below(3));
    config.healing.verify_window = Duration::from_secs(*chance.pick(&[0, 10, 600]));
    config.healing.budget.max_attempts_per_detector_per_hour = u32::try_from(chance.below(2) * 5).unwrap();
    config.detectors = ["oom", "net"]
        .into_iter()
        .map(|name| Detector {
            name: DetectorName::new(name),
            severity: Severity::Error,
            cooldown: Duration::from_secs(chance.below(2) * 60),
            what: What::Pattern {
                regex: regex::bytes::Regex::new(name).unwrap(),
                min_count: 1,
                window: Duration::ZERO,
            },
        })
        .chain([Detector {
            name: DetectorName::new("stall"),
            severity: Severity::Error,
            cooldown: Duration::from_secs(60),
            what: What::Stall(Stall {
                metric: None,
                no_progress: Some(Duration::from_secs(100)),
                learn_factor: 5.0,
                learn_min: Duration::from_secs(300),
                except: Vec::new(),
            }),
        }])
        .chain([Detector {
            name: DetectorName::new("traceback"),
            severity: Severity::Error,
            cooldown: Duration::ZERO,
            what: What::Traceback { languages: Vec::new() },
        }])
        .collect();
    let actions = [
        Action::Restart,
        Action::RestartWithEnv { set: BTreeMap::from([("N".into(), EnvChange::Half)]) },
        Action::Pause,
        Action::Abort,
        Action::CustomCommand {
            command: vec!["fix".into()],
            cwd: "/project".into(),
            env: BTreeMap::new(),
            timeout: Duration::from_secs(5),
        },
        Action::Notify,
        Action::Ignore,
    ];
    config.rules = (0..chance.below(4))
        .map(|at| Rule {
            name: RuleName::new(format!("rule-{at}")),
            when: Match {
                detector: Some(DetectorName::new(*chance.pick(&["oom", "net", "traceback", "exit_code", "stall"]))),
                ..Match::default()
            },
            action: chance.pick(&actions).clone(),
            notify: true,
        })
        .collect();
    config
}

fn from_environment(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the test's own switches")]
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn promises_hold_on_every_schedule() {
    let one = from_environment("SENTRY_SIM_SEED");
    let first = one.or_else(|| from_environment("SENTRY_SIM_FIRST")).unwrap_or(1);
    let count = if one.is_some() { 1 } else { from_environment("SENTRY_SIM_SCHEDULES").unwrap_or(2_000) };
    let mut killed = 0;
    for seed in first..first + count {
        let mut world = World::new(seed);
        if let Err(why) = world.live() {
            let trace = world.trace.join("\n");
            panic!("seed {seed}: {why}\n(SENTRY_SIM_SEED={seed} repeats it)\n{trace}");
        }
        killed += world.killed;
    }
    assert!(one.is_some() || killed > 100, "the schedules hardly ever killed the monitor ({killed})");
}
