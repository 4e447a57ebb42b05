//! One log after the other through one state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr_iter;

use super::report::{Fired, LogReport, Then};
use super::stamp;
use crate::config::Config;
use crate::detect::ending::{Ending, Exit, OutOfMemory};
use crate::detect::{DetectorSet, Flush, Position, Scanned, Scanner, exit_code};
use crate::ids::{ChildNo, IncidentId, RunId, StreamId};
use crate::incident::Incident;
use crate::incident::report_view::Changes;
use crate::monitor::effect::Effect;
use crate::monitor::event::{Event, Outcome as Done, ScanReport, Seen};
use crate::monitor::memory::{Memory, Phase};
use crate::monitor::state::State;
use crate::monitor::todo::{IncidentChange, Intent, Todo};
use crate::time::{Mono, Now, Utc};

/// Log time that passes between two looks at the log.
const TICK: u64 = 1000;
/// Lines without a stamp come at this rate.
const LINES_PER_SECOND: u64 = 100;
/// A failure within this time, or so few lines, belongs to an incident before it.
const SOON: (u64, u64) = (5 * 60 * 1000, 1000);
/// Longest time without a deadline.
const LONGEST: Duration = Duration::from_secs(60);

/// How a log's child ended, where that is known.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// When it began.
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
    /// Wall clock of the log, in milliseconds since the epoch.
    clock: i64,
    first: Option<i64>,
    stamped: bool,
    lines: u64,
    /// Bytes that wait for the next look.
    held: Vec<u8>,
    /// Unstamped lines since the clock was moved.
    unstamped: u64,
    fired: Vec<(IncidentId, Fired)>,
    outcome: Outcome,
}

impl Log {
    fn new(set: &Arc<DetectorSet>, name: String, outcome: Outcome) -> Self {
        let clock = outcome.started.map_or(0, Utc::millis);
        Self {
            scanner: Scanner::new(Arc::clone(set), StreamId::new(name.clone()), Position::START),
            name,
            clock,
            first: None,
            stamped: false,
            lines: 0,
            held: Vec::new(),
            unstamped: 0,
            fired: Vec::new(),
            outcome,
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.clock - self.first.unwrap_or(self.clock)).unwrap_or(0)
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
            let line = bytes.get(taken..=end).unwrap_or_default();
            self.line(line);
            taken = end + 1;
        }
        self.log.held.extend_from_slice(bytes.get(taken..).unwrap_or_default());
    }

    /// One line, or the end of one whose beginning is held.
    fn line(&mut self, line: &[u8]) {
        let begins = self.log.held.last().is_none_or(|last| *last == b'\n');
        let clock = if begins { self.clock_at(line) } else { self.log.clock };
        if clock >= self.log.clock + i64::try_from(TICK).unwrap_or(i64::MAX) {
            self.look();
            self.pass(clock);
        }
        self.log.lines += 1;
        self.log.held.extend_from_slice(line);
    }

    /// When a line was printed: its stamp, never earlier than the line before.
    fn clock_at(&mut self, line: &[u8]) -> i64 {
        let log = &mut self.log;
        if let Some(stamp) = stamp::stamp_of(line, log.clock) {
            if log.first.is_none() {
                log.first = Some(stamp);
                log.clock = stamp;
            }
            log.stamped = true;
            log.unstamped = 0;
            return stamp.max(log.clock);
        }
        log.first.get_or_insert(log.clock);
        if log.stamped {
            return log.clock;
        }
        log.unstamped += 1;
        log.clock + i64::try_from(log.unstamped * 1000 / LINES_PER_SECOND).unwrap_or(0)
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

    /// Lets log time pass up to `clock`, stopping at every deadline.
    fn pass(&mut self, clock: i64) {
        let mut left = u64::try_from(clock - self.log.clock).unwrap_or(0);
        self.log.unstamped = 0;
        while left > 0 {
            let wait = self.state.next_wait(LONGEST.min(Duration::from_millis(left)));
            let step = u64::try_from(wait.as_millis()).unwrap_or(left).clamp(1, left);
            left -= step;
            self.mono += step;
            self.log.clock += i64::try_from(step).unwrap_or(0);
            self.pending.push_back(Event::Woke);
            self.settle_down();
        }
    }

    /// Ends the log, and its child where its end is known.
    pub fn end(&mut self) -> LogReport {
        self.look();
        let unstamped = i64::try_from(self.log.unstamped * 1000 / LINES_PER_SECOND).unwrap_or(0);
        self.pass(self.log.clock + unstamped);
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
        let (millis, lines) = (log.elapsed(), log.lines);
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
            stamped: log.stamped,
            ended: exit.as_ref().map(exit_code::describe),
            failed,
            fired,
        }
    }

    fn pass_quietly(&mut self) {
        let settle = u64::try_from(self.config.healing.settle.as_millis()).unwrap_or(0) + 2 * TICK;
        let until = self.log.clock + i64::try_from(settle).unwrap_or(0);
        let clock = self.log.clock;
        self.pass(until);
        self.log.clock = clock;
    }

    fn now(&self) -> Now {
        Now { mono: Mono::from_duration(Duration::from_millis(self.mono)), utc: Utc::from_millis(self.log.clock) }
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
            Todo::LookAround { .. } => outcome = Done::LookedAround(Box::new(Changes::default())),
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
            at_millis: log.elapsed(),
            utc: log.stamped.then(|| stamp::words(incident.utc.millis())),
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
        let Some((_, fired)) = self.log.fired.iter_mut().find(|(known, _)| known == id) else { return };
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
        assert_eq!((report.lines, report.millis, report.stamped, report.failed), (104, 99_000, true, Some(true)));

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
    fn a_healthy_log_fires_nothing() {
        let report = run("", &steps(0, 5_000), exited(0));
        assert_eq!(told(&report), Vec::<String>::new());
        let mut plain = String::new();
        (0..500).for_each(|step| plain.push_str(&format!("step {step}\n")));
        let report = run("", &plain, exited(0));
        assert!(!report.stamped && (4_900..=5_000).contains(&report.millis), "{}", report.millis);
    }
}
