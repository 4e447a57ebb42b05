//! One log after the other through one state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr_iter;

use super::clock::{LogClock, Move};
use super::report::{Fired, LogReport, Then};
use super::stamp;
use crate::config::{Config, What};
use crate::detect::ending::{Ending, Exit, OutOfMemory};
use crate::detect::{DetectorSet, Flush, Position, Scanned, Scanner, exit_code};
use crate::ids::{ChildNo, IncidentId, RunId, StreamId};
use crate::incident::Incident;
use crate::monitor::effect::Effect;
use crate::monitor::event::{Event, Outcome as Done, ScanReport, Seen};
use crate::monitor::memory::{Memory, Phase};
use crate::monitor::state::State;
use crate::monitor::todo::{IncidentChange, Intent, Todo};
use crate::time::{Mono, Now, Utc};

/// Log time that passes between two looks at the log.
const TICK: u64 = 1000;
/// A failure within this time, or so few lines, belongs to an incident before it.
const SOON: (u64, u64) = (5 * 60 * 1000, 1000);
/// Longest time without a deadline.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Bytes that wait for a look at most, and of a line until its stamp is read.
const MOST_HELD: usize = 1024 * 1024;
const MOST_BEGUN: usize = 4096;

/// How a log's child ended, where that is known.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// When it began, as good as that is known: the years of stamps without one are the nearest to it.
    pub started: Option<Utc>,
    /// How it ended.
    pub exit: Option<Exit>,
}

/// Replays logs.
pub struct Replay {
    config: Config,
    set: Arc<DetectorSet>,
    state: State,
    /// Runs so far: one that is over is followed by another, so that the rest of the log is seen too.
    runs: u32,
    /// Simulated monotonic time, in milliseconds.
    mono: u64,
    pending: VecDeque<Event>,
    log: Log,
}

/// The log that is being replayed.
struct Log {
    name: String,
    scanner: Scanner,
    clock: LogClock,
    lines: u64,
    /// Bytes that wait for the next look.
    held: Vec<u8>,
    /// A line whose end has not come.
    begun: Vec<u8>,
    /// What comes belongs to a line whose beginning is held or scanned already.
    within_line: bool,
    fired: Vec<(IncidentId, Fired)>,
    outcome: Outcome,
}

impl Log {
    fn new(set: &Arc<DetectorSet>, name: String, outcome: Outcome) -> Self {
        Self {
            scanner: Scanner::new(Arc::clone(set), StreamId::new(name.clone()), Position::START),
            name,
            clock: LogClock::new(outcome.started.map_or(0, Utc::millis)),
            lines: 0,
            held: Vec::new(),
            begun: Vec::new(),
            within_line: false,
            fired: Vec::new(),
            outcome,
        }
    }
}

impl Replay {
    /// A replay with this configuration. Pauses before restarts are left out: the log does not wait.
    pub fn new(mut config: Config, set: Arc<DetectorSet>) -> Self {
        let policy = &mut config.process.restart_policy;
        policy.cooldown = Duration::ZERO;
        policy.backoff.jitter = 0.0;
        let log = Log::new(&set, String::new(), Outcome::default());
        let state = State::new(config.clone(), Memory::default(), BTreeMap::new(), false, Now::default());
        Self { config, set, state, runs: 0, mono: 0, pending: VecDeque::new(), log }
    }

    /// Begins a log. `goes_on`: it is the next child of the same run as the log before.
    pub fn begin(&mut self, name: &str, outcome: Outcome, goes_on: bool) {
        self.log = Log::new(&self.set, name.to_owned(), outcome);
        let waits = matches!(self.state.memory.phase, Phase::Up | Phase::Starting | Phase::Cooling { .. });
        if !goes_on || !waits {
            self.begin_run();
        }
        self.settle_down();
    }

    fn begin_run(&mut self) {
        self.runs += 1;
        self.pending.clear();
        let memory = Memory::default();
        self.state = State::new(self.config.clone(), memory, BTreeMap::new(), false, self.now());
        self.state.new_run(RunId::new(format!("backtest-{}", self.runs)), Vec::new());
        self.pending.push_back(Event::Woke);
    }

    /// Takes the next bytes of the log.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut taken = 0;
        for end in memchr_iter(b'\n', bytes) {
            self.piece(bytes.get(taken..=end).unwrap_or_default(), true);
            taken = end + 1;
        }
        self.piece(bytes.get(taken..).unwrap_or_default(), false);
    }

    /// A line, or a part of one; `ends`: its last.
    fn piece(&mut self, piece: &[u8], ends: bool) {
        if self.log.within_line {
            self.hold(piece);
        } else if ends && self.log.begun.is_empty() {
            self.line(piece);
        } else {
            self.log.begun.extend_from_slice(piece);
            if !ends && self.log.begun.len() < MOST_BEGUN {
                return;
            }
            let begun = std::mem::take(&mut self.log.begun);
            self.line(&begun);
        }
        self.log.within_line = !ends;
    }

    /// One line, or the beginning of a long one.
    fn line(&mut self, line: &[u8]) {
        let stamp = stamp::stamp_of(line, self.log.clock.now());
        match self.log.clock.line(stamp) {
            Move::After(millis) if millis < TICK => {}
            Move::After(millis) => {
                self.look();
                self.pass(millis);
            }
            Move::Anew { at, silent } => {
                self.look();
                self.pass(self.log.clock.assumed());
                if silent {
                    self.pass(self.longest_silence());
                }
                self.log.clock.set(at);
            }
        }
        self.log.lines += 1;
        self.hold(line);
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.log.held.extend_from_slice(bytes);
        if self.log.held.len() >= MOST_HELD {
            self.look();
        }
    }

    /// After so many milliseconds without a line everything has happened that happens for that: nothing gathers any more, and
    /// every stall with a limit has been told.
    fn longest_silence(&self) -> u64 {
        let limit = |what: &What| match what {
            What::Stall(stall) => stall.no_progress.unwrap_or(stall.learn_min),
            _ => Duration::ZERO,
        };
        let stalls = self.config.detectors.iter().map(|detector| limit(&detector.what)).max().unwrap_or_default();
        u64::try_from((stalls + self.config.healing.settle).as_millis()).unwrap_or(u64::MAX).saturating_add(2 * TICK)
    }

    /// Scans what is held.
    fn look(&mut self) {
        let held = std::mem::take(&mut self.log.held);
        if !held.is_empty() {
            let scanned = self.log.scanner.feed(&held);
            self.report(scanned);
        }
        self.settle_down();
    }

    fn report(&mut self, scanned: Scanned) {
        let Some(child) = self.state.child_no() else { return };
        let Scanned { mut detections, counted, progress, signals, lines: _, bytes } = scanned;
        // The log is one stream, however many children a rule would have made of it.
        detections.iter_mut().for_each(|detection| detection.stream = child.stream());
        let report = ScanReport {
            stream: child.stream(),
            child,
            read_something: bytes > 0,
            detections,
            // They come in the order of the log.
            arrived: Vec::new(),
            counted,
            metrics: progress.into_iter().collect(),
            signals,
            position: self.log.scanner.position(),
            file: None,
            lines: self.log.lines,
            caught_up: true,
            open: self.log.scanner.has_open(),
            ended: false,
        };
        self.pending.push_back(Event::Scanned(vec![report]));
    }

    /// Lets so many milliseconds of log time pass, stopping at every deadline.
    fn pass(&mut self, mut left: u64) {
        let mut least = 1;
        while left > 0 {
            let wait = self.state.next_wait(LONGEST.min(Duration::from_millis(left)));
            // A deadline that is over and stays must not make it creep.
            let step = u64::try_from(wait.as_millis()).unwrap_or(left).max(least).min(left);
            least = if wait.is_zero() { TICK } else { 1 };
            left -= step;
            self.mono += step;
            self.log.clock.advance(step);
            self.pending.push_back(Event::Woke);
            self.settle_down();
        }
    }

    /// Ends the log, and its child where its end is known.
    pub fn end(&mut self) -> LogReport {
        if !self.log.begun.is_empty() {
            let begun = std::mem::take(&mut self.log.begun);
            self.line(&begun);
        }
        self.look();
        self.pass(self.log.clock.assumed());
        let scanned = self.log.scanner.flush(Flush::End);
        self.report(scanned);
        self.settle_down();
        let exit = self.log.outcome.exit.clone();
        match (&exit, self.state.child_no()) {
            (Some(exit), Some(child)) => {
                self.pending.push_back(Event::ChildSeen { child, seen: Seen::Ended(exit.clone()) });
                self.settle_down();
            }
            // Whatever still gathers becomes an incident.
            _ => self.pass_quietly(),
        }
        let failed = exit.as_ref().map(|exit| !exit.is_success());
        let log = &mut self.log;
        let (millis, lines) = (log.clock.elapsed(), log.lines);
        let window = u64::try_from(self.config.healing.verify_window.as_millis()).unwrap_or(u64::MAX);
        let mut fired: Vec<Fired> = std::mem::take(&mut log.fired).into_iter().map(|(_, fired)| fired).collect();
        for one in &mut fired {
            let (time, more) = (millis.saturating_sub(one.at_millis), lines.saturating_sub(one.at_line));
            let soon = time <= SOON.0 && more <= SOON.1;
            one.then = match failed {
                Some(true) if soon => Then::Failed,
                Some(false) => Then::WentOn,
                _ if time >= window && more > 0 => Then::WentOn,
                _ => Then::Unknown,
            };
        }
        LogReport {
            log: log.name.clone(),
            lines,
            millis,
            stamped: log.clock.is_stamped(),
            ended: exit.as_ref().map(exit_code::describe),
            failed,
            fired,
        }
    }

    fn pass_quietly(&mut self) {
        let settle = u64::try_from(self.config.healing.settle.as_millis()).unwrap_or(0) + 2 * TICK;
        let clock = self.log.clock;
        self.pass(settle);
        self.log.clock = clock;
    }

    fn now(&self) -> Now {
        Now { mono: Mono::from_duration(Duration::from_millis(self.mono)), utc: Utc::from_millis(self.log.clock.now()) }
    }

    /// Steps until nothing happens any more.
    fn settle_down(&mut self) {
        while let Some(event) = self.pending.pop_front() {
            let now = self.now();
            let effects = self.state.step(event, now);
            for effect in effects.list {
                self.answer(effect);
            }
        }
        if let Phase::Over { .. } = self.state.memory.phase {
            self.begin_run();
            self.settle_down();
        }
    }

    fn answer(&mut self, effect: Effect) {
        match effect {
            Effect::Try(intent) => self.pretend(&intent),
            Effect::FlushSilence(_) => {
                let scanned = self.log.scanner.flush(Flush::Silence);
                self.report(scanned);
            }
            Effect::Drain(child) => self.pending.push_back(Event::Drained { child }),
            // A log cannot be asked how a service was.
            Effect::Look(_)
            | Effect::ReadConfig { .. }
            | Effect::Answer { .. }
            | Effect::Say(..)
            | Effect::Notify(_)
            | Effect::Leave(_) => {}
        }
    }

    /// An intent is answered as if it had been done.
    fn pretend(&mut self, intent: &Intent) {
        let mut outcome = Done::Done;
        let mut after = None;
        match &intent.todo {
            Todo::StartChild { child, .. } => after = Some((*child, Seen::Running { process: None })),
            Todo::StopChild { child, .. } => after = Some((*child, Seen::Ended(stopped()))),
            Todo::WriteIncident { incident, .. } => self.fired(incident),
            Todo::UpdateIncident { id, change } => self.changed(id, change),
            Todo::LookAround { .. } => outcome = Done::LookedAround(Box::default()),
            Todo::RunCommand { .. } => outcome = Done::CommandEnded { status: Some(0), last_line: String::new() },
            Todo::Ledger { .. } => {}
        }
        self.pending.push_back(Event::Done { id: intent.id, result: Ok(outcome) });
        let seen = |(child, seen): (ChildNo, Seen)| Event::ChildSeen { child, seen };
        self.pending.extend(after.map(seen));
    }

    fn fired(&mut self, incident: &Incident) {
        let log = &mut self.log;
        let action = |action: &crate::incident::ActionTaken| format!("{}: {}", action.healer, action.action);
        let fired = Fired {
            lines: incident.root.lines,
            at_line: if incident.root.lines.0 > 0 { incident.root.lines.1 } else { log.lines },
            at_millis: log.clock.elapsed(),
            utc: log.clock.is_stamped().then(|| stamp::words(incident.utc.millis())),
            detector: incident.root.detector.clone(),
            kind: incident.root.kind,
            class: incident.class.as_ref().map(|class| class.name.clone()),
            severity: incident.severity,
            message: incident.message.clone(),
            counted: incident.counted.iter().map(|counted| counted.count).sum(),
            actions: incident.actions.iter().map(action).collect(),
            not_acted: incident.not_acted.clone(),
            then: Then::Unknown,
        };
        log.fired.push((incident.id.clone(), fired));
    }

    fn changed(&mut self, id: &IncidentId, change: &IncidentChange) {
        // From the newest on: of many, only the last ones change.
        let Some((_, fired)) = self.log.fired.iter_mut().rev().find(|(known, _)| known == id) else { return };
        match change {
            IncidentChange::Action { action } => fired.actions.push(format!("{}: {}", action.healer, action.action)),
            IncidentChange::NotActed { why } => fired.not_acted = Some(why.clone()),
            IncidentChange::Counted { counted } => fired.counted = counted.iter().map(|counted| counted.count).sum(),
            IncidentChange::Exit { .. }
            | IncidentChange::Details { .. }
            | IncidentChange::Changes { .. }
            | IncidentChange::Verdict { .. } => {}
        }
    }
}

/// How a child ends that a rule stops.
fn stopped() -> Exit {
    let ending = Ending::Signaled { signal: 15, core_dumped: false };
    Exit { ending, oom: OutOfMemory::NoSign, leftovers: 0, stop_requested: true, killed: false }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const FAILED: &str = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    d[0]\nKeyError: 0\n";

    fn replay(yaml: &str) -> Replay {
        let text = format!("process: {{command: [a]}}\n{yaml}");
        let (config, _) = crate::config::parse(&text, None, Path::new("/p"), &|_| None).expect("valid");
        let set = Arc::new(DetectorSet::compile(&config.detectors).expect("compiles"));
        Replay::new(config, set)
    }

    fn steps(from: u32, to: u32) -> String {
        (from..to).map(|s| format!("2026-11-21 {:02}:{:02}:{:02} step {s}\n", s / 3600, s / 60 % 60, s % 60)).collect()
    }

    fn exited(code: i32) -> Outcome {
        let exit = Exit { ending: Ending::Exited { code }, stop_requested: false, ..stopped() };
        Outcome { started: None, exit: Some(exit) }
    }

    fn run(yaml: &str, log: &str, outcome: Outcome) -> LogReport {
        let mut replay = replay(yaml);
        replay.begin("a.log", outcome, false);
        for piece in log.as_bytes().chunks(777) {
            replay.feed(piece);
        }
        replay.end()
    }

    fn told(report: &LogReport) -> Vec<String> {
        let tell = |fired: &Fired| {
            let done = fired.actions.last().or(fired.not_acted.as_ref()).cloned().unwrap_or_default();
            format!("{} at line {}: {} [{done}] {:?}", fired.detector, fired.at_line, fired.message, fired.then)
        };
        report.fired.iter().map(tell).collect()
    }

    #[test]
    fn what_would_have_fired_and_what_followed() {
        let rules = "rules: [{name: again, match: {exception: KeyError}, action: restart}]";
        let died = format!("{}{FAILED}", steps(0, 100));
        let report = run(rules, &died, exited(1));
        assert_eq!(told(&report), ["traceback at line 104: KeyError: 0 [rule again: restart] Failed"]);
        assert_eq!((report.lines, report.millis, report.stamped, report.failed), (104, 99_040, true, Some(true)));

        let survived = format!("{}{FAILED}{}", steps(0, 100), steps(100, 2_000));
        let report = run(rules, &survived, exited(0));
        assert_eq!(told(&report), ["traceback at line 104: KeyError: 0 [rule again: restart] WentOn"]);
        let unknown = run("", &died, Outcome::default());
        assert_eq!(told(&unknown), ["traceback at line 104: KeyError: 0 [no rule matches] Unknown"]);
    }

    #[test]
    fn budgets_and_time_are_those_of_the_log() {
        let rules = "healing: {budget: {max_attempts_per_detector_per_hour: 1}}\ndetectors: [{kind: traceback, cooldown_seconds: 0}, {kind: stall, no_progress_seconds: 300}]\nrules: [{name: again, match: {kind: traceback}, action: restart}]";
        let log = format!("{}{FAILED}{}{FAILED}{}", steps(0, 10), steps(60, 70), steps(4_000, 4_010));
        let report = run(rules, &log, Outcome::default());
        let told = told(&report);
        assert!(told[0].contains("[rule again: restart]"), "{told:?}");
        assert!(told[1].contains("a budget is spent"), "{told:?}");
        assert!(told[2].starts_with("stall at line 28: no output for 5 min"), "{told:?}");
        assert_eq!(told.len(), 3 + (4_000 - 70 - 300) / 300, "a long silence is told again and again: {told:?}");
    }

    #[test]
    fn time_goes_on_after_the_last_stamp_and_wrong_stamps_neither_stop_nor_stretch_it() {
        let rules =
            "detectors: [{kind: traceback, cooldown_seconds: 0}, {name: quiet, kind: stall, no_progress_seconds: 300}]";
        let of = |name: &str, told: &[String]| told.iter().filter(|told| told.starts_with(name)).count();
        let part = format!("{}{FAILED}", "no stamp\n".repeat(5_000));
        let bare = format!("2026-11-21 12:00:00 begin\n{}", part.repeat(3));
        let report = run(rules, &bare, Outcome::default());
        assert_eq!(of("traceback", &told(&report)), 3, "{:?}", told(&report));
        assert_eq!(report.millis, 150_120);

        let (day, later) = (steps(0, 50), steps(0, 50).replace("11-21", "12-30"));
        let rows = [
            ("one old stamp at first", format!("1970-01-01T00:00:03Z boot\n{day}"), 0),
            ("one old stamp, one line", "1999-01-01 00:00:00 a\n2026-11-21 00:00:00 b\n".to_owned(), 0),
            ("one stamp far ahead", format!("{day}2026-12-30 00:00:00 x\n{}", steps(50, 100)), 0),
            ("a first stamp far ahead", format!("2026-12-30 00:00:00 x\n{}", steps(0, 500)), 0),
            ("a silence of weeks", format!("{day}{later}"), 1),
        ];
        for (name, log, stalls) in rows {
            let report = run(rules, &format!("{log}{FAILED}"), Outcome::default());
            let told = told(&report);
            assert_eq!((of("quiet", &told), of("traceback", &told)), (stalls, 1), "{name}: {told:?}");
            assert!(report.millis < 1_000_000, "{name}: {}", report.millis);
        }
    }

    #[test]
    fn what_waits_for_a_look_is_bounded() {
        let mut replay = replay("");
        replay.begin("a.log", Outcome::default(), false);
        let stamped = "2026-11-21 12:00:00 the same second\n".repeat(1_000);
        let endless = "x".repeat(stamped.len());
        for piece in [&stamped, &endless] {
            for _ in 0..200 {
                replay.feed(piece.as_bytes());
                assert!(replay.log.held.len() <= MOST_HELD && replay.log.begun.len() <= MOST_BEGUN);
            }
        }
        assert_eq!(replay.end().lines, 200_001);
    }

    #[test]
    fn a_healthy_log_fires_nothing() {
        let report = run("", &steps(0, 5_000), exited(0));
        assert_eq!(told(&report), Vec::<String>::new());
        let mut plain = String::new();
        (0..500).for_each(|step| plain.push_str(&format!("step {step}\n")));
        let report = run("", &plain, exited(0));
        assert!(!report.stamped && (4_900..=5_000).contains(&report.millis), "{}", report.millis);
    }
}
