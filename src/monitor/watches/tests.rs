use std::path::Path;

use super::*;
use crate::config;
use crate::detect::{Class, ClassAction, Position, Role, Severity};
use crate::ids::{ClassName, PhaseName, RunId};
use crate::incident::Category;
use crate::monitor::event::{Event, ScanReport, Seen};
use crate::monitor::journal_line::{Differ, replay};
use crate::monitor::memory::Memory;
use crate::time::{Mono, Now, Utc};

fn slow_disk(kind: DetectorKind) -> Detection {
    Detection {
        detector: DetectorName::new("slow"),
        kind,
        severity: Severity::Error,
        stream: StreamId::new("child-001"),
        bytes: 0..4,
        lines: (1, 1),
        message: "slow disk".into(),
        captures: BTreeMap::new(),
        trace: None,
        class: None,
    }
}

/// A run with one child that is up, in a world without I/O.
struct World {
    state: State,
    millis: u64,
    said: u64,
}

impl World {
    fn new(yaml: &str) -> Self {
        let text = format!("process: {{command: [train]}}\nhealing: {{settle_seconds: 0}}\n{yaml}");
        let config = match config::parse(&text, None, Path::new("/project"), &|_| None) {
            Ok((config, _)) => config,
            Err(errors) => panic!("{errors:?}"),
        };
        let state = State::new(config, Memory::default(), BTreeMap::new(), false, Now::default());
        let mut world = Self { state, millis: 0, said: 0 };
        world.state.new_run(RunId::new("r"), vec!["train".into()]);
        world.step(Event::Woke);
        world.step(Event::ChildSeen { child: ChildNo(1), seen: Seen::Running { process: None } });
        world
    }

    fn step(&mut self, event: Event) {
        let mono = Mono::from_duration(Duration::from_millis(self.millis));
        let _ = self.state.step(event, Now { mono, utc: Utc::from_millis(0) });
    }

    /// The loop until then: it waits for deadlines, and each wait ends with a look that brings nothing.
    fn wait(&mut self, seconds: u64) {
        let end = self.millis + seconds * 1000;
        loop {
            self.step(Event::Woke);
            let left = Duration::from_millis(end - self.millis);
            let wait = self.state.next_wait(left);
            self.millis += u64::try_from(wait.as_millis()).expect("short");
            if self.millis >= end && wait == left {
                self.step(Event::Woke);
                return;
            }
        }
    }

    /// Time that nobody watched: a suspend, a stopped monitor.
    fn sleep(&mut self, seconds: u64) {
        self.state.next_wait(Duration::from_secs(1));
        self.millis += seconds * 1000;
    }

    fn report(&mut self, stream: &str, signals: Vec<SignalKind>, detections: Vec<Detection>, counted: u64) {
        self.said += 10;
        let (at, line) = (self.said, self.said / 10);
        let counted =
            if counted > 0 { BTreeMap::from([(DetectorName::new("slow"), counted)]) } else { BTreeMap::new() };
        self.step(Event::Scanned(vec![ScanReport {
            stream: StreamId::new(stream),
            child: ChildNo(1),
            detections,
            counted,
            signals: signals.into_iter().map(|what| Signal { at, line, what }).collect(),
            metrics: Vec::new(),
            arrived: Vec::new(),
            file: None,
            position: Position { consumed: at, resume: at, ..Position::START },
            lines: line,
            read_something: true,
            caught_up: true,
            open: false,
            ended: false,
        }]));
    }

    fn prints(&mut self) {
        self.report("child-001", Vec::new(), Vec::new(), 0);
    }

    fn value(&mut self, value: f64) {
        self.report(
            "child-001",
            vec![SignalKind::Value { metric: Arc::new(DetectorName::new("loss")), value }],
            vec![],
            0,
        );
    }

    fn phase(&mut self, begins: bool) {
        let phase = Arc::new(PhaseName::new("checkpoint"));
        let what = if begins { SignalKind::Begin { phase } } else { SignalKind::End { phase } };
        self.report("child-001", vec![what], vec![], 0);
    }

    /// A match of the detector `slow`, and so many more without their texts.
    fn matches(&mut self, kind: DetectorKind, more: u64) {
        self.report("child-001", Vec::new(), vec![slow_disk(kind)], more);
    }

    /// A line of a class that is no failure of a child that lives on.
    fn hint(&mut self, class: &str) {
        let class = Class {
            name: ClassName::new(class),
            role: Role::Root,
            category: Category::Infrastructure,
            action: ClassAction::Backoff,
            agent: false,
            only_if_ended: true,
        };
        let detection = Detection { class: Some(class), ..slow_disk(DetectorKind::Catalogue) };
        self.report("child-001", Vec::new(), vec![detection], 0);
    }

    /// The monitor dies; the next one goes on from what the journal holds.
    fn die(&mut self) {
        let line = Differ::default().line(&self.state.memory, Vec::new(), Utc::from_millis(0)).expect("json");
        let line = serde_json::from_str(&serde_json::to_string(&line).expect("json")).expect("json");
        let (memory, troubles) = replay([line]);
        assert_eq!(troubles, [""; 0]);
        let mono = Mono::from_duration(Duration::from_millis(self.millis));
        let now = Now { mono, utc: Utc::from_millis(0) };
        self.state = State::new(self.state.config.clone(), memory, BTreeMap::new(), false, now);
    }

    fn incidents(&self) -> Vec<String> {
        self.state.memory.incidents.iter().map(|note| note.incident.message.clone()).collect()
    }
}

const LOSS: &str = "detectors: [{name: loss, kind: metric, regex: 'loss (\\S+)', spike_mads: 6, confirmations: 3, \
                    warm_up: 0, window: 50, except: [checkpoint]}]\n\
                    phases: [{name: checkpoint, begin: saving, end: saved, max_seconds: 100}]";

#[test]
fn a_metric_is_an_incident_with_the_values_before() {
    let mut world = World::new(LOSS);
    for n in 0..60 {
        world.value(2.0 + f64::from(n % 5) / 10.0);
    }
    world.value(f64::NAN);
    world.die();
    world.value(f64::NAN);
    assert_eq!(world.incidents(), [""; 0]);
    world.value(f64::NAN);
    world.value(f64::NAN);
    assert_eq!(world.incidents(), ["loss is nan (3 in a row)"], "what was counted survives the monitor");
    let root = &world.state.metrics[&DetectorName::new("loss")];
    assert_eq!((root.len(), root.back().map(String::as_str)), (RECENT, Some("NaN")));
    world.die();
    [2.0, 2.1, 2.2].into_iter().for_each(|value| world.value(value));
    world.wait(100);
    [30.0; 3].into_iter().for_each(|value| world.value(value));
    assert_eq!(world.incidents().len(), 2);
    assert!(world.incidents()[1].starts_with("loss 30 is "), "{:?}", world.incidents());
    assert!(world.incidents()[1].ends_with(" above the median 2.2 of the last 50 values (3 in a row)"));
}

#[test]
fn another_number_is_learned_anew() {
    let read = |world: &mut World, yaml: &str| {
        let config = World::new(yaml).state.config;
        world.step(Event::ConfigRead { command: None, result: Ok(Box::new(config)) });
        world.state.memory.metrics.held
    };
    let mut world = World::new(LOSS);
    (0..30).for_each(|_| world.value(2.0));
    assert_eq!(read(&mut world, &LOSS.replace("spike_mads: 6", "spike_mads: 9")), 30);
    assert_eq!(read(&mut world, &LOSS.replace("loss (", "val_loss (")), 0);
}

#[test]
fn a_metric_belongs_to_its_stream() {
    let mut world = World::new(LOSS);
    let value = |value| SignalKind::Value { metric: Arc::new(DetectorName::new("loss")), value };
    for rank in ["rank0", "rank1", "rank2"] {
        world.report(rank, vec![value(f64::NAN)], vec![], 0);
    }
    assert_eq!(world.incidents(), [""; 0]);
    world.report("rank1", vec![value(f64::NAN), value(f64::NAN)], vec![], 0);
    assert_eq!(world.incidents().len(), 1);
}

#[test]
fn values_of_a_phase_are_left_out_until_it_lasts_too_long() {
    let mut world = World::new(LOSS);
    (0..60).for_each(|n| world.value(2.0 + f64::from(n % 5) / 10.0));
    world.phase(true);
    world.wait(50);
    world.die();
    (0..10).for_each(|_| world.value(9.0));
    assert_eq!(world.incidents(), [""; 0]);
    world.wait(51);
    (0..3).for_each(|_| world.value(9.0));
    assert_eq!(world.incidents().len(), 1);
}

#[test]
fn windows_that_are_too_large_are_not_kept_and_that_is_said() {
    let large = LOSS.replace("window: 50", "window: 10000");
    let mut world = World::new(&large);
    let value = |n: i32| SignalKind::Value { metric: Arc::new(DetectorName::new("loss")), value: f64::from(n) };
    for rank in ["rank0", "rank1", "rank2"] {
        world.report(rank, (0..6000).map(value).collect(), vec![], 0);
    }
    let warning = world.state.warnings.get("metrics").expect("a warning");
    assert!(warning.contains("some streams learn their medians anew"), "{warning}");
    world.die();
    assert_eq!(world.state.memory.metrics.held, 6000);
}

#[test]
fn a_rate_fires_in_its_window_and_in_a_burst() {
    let rate = "detectors: [{name: slow, kind: rate, regex: slow, count: 20, window_seconds: 60, cooldown_seconds: 0}]";
    let mut world = World::new(rate);
    for _ in 0..100 {
        world.matches(DetectorKind::Rate, 0);
        world.wait(4);
    }
    assert_eq!(world.incidents(), [""; 0], "one in 4 s are 16 in 60 s");
    let mut world = World::new(rate);
    for _ in 0..10 {
        world.matches(DetectorKind::Rate, 0);
        world.wait(2);
    }
    world.die();
    for _ in 0..10 {
        world.matches(DetectorKind::Rate, 0);
        world.wait(2);
    }
    assert_eq!(world.incidents(), ["20 matches in 38 s: slow disk"]);
    let mut world = World::new(rate);
    world.matches(DetectorKind::Rate, 18);
    assert_eq!(world.incidents(), [""; 0]);
    world.wait(30);
    world.matches(DetectorKind::Rate, 500);
    assert_eq!(world.incidents(), ["20 matches in 30 s: slow disk"]);
    let mut pattern = World::new("detectors: [{name: slow, kind: pattern, regex: slow, min_count: 100}]");
    pattern.matches(DetectorKind::Pattern, 98);
    assert_eq!(pattern.incidents(), [""; 0]);
    pattern.matches(DetectorKind::Pattern, 0);
    assert_eq!(pattern.incidents(), ["slow disk"]);
}

const STALL: &str = "detectors: [{name: quiet, kind: stall, learn_factor: 4, learn_min_seconds: 60, except: [checkpoint]}]\n\
                     phases: [{name: checkpoint, begin: saving, end: saved, max_seconds: 600}]\n\
                     rules: [{name: leave, match: {detector: quiet}, action: ignore}]";

/// Learned: at most 30 s between two lines, so the limit is 120 s.
fn taught() -> World {
    let mut world = World::new(STALL);
    for _ in 0..=20 {
        world.prints();
        world.wait(30);
    }
    world.prints();
    world
}

#[test]
fn a_stall_learns_what_is_usual() {
    let mut world = taught();
    world.wait(119);
    assert_eq!(world.incidents(), [""; 0]);
    world.wait(2);
    assert_eq!(world.incidents(), ["no output for 2 min; the longest healthy pause was 30 s"]);
}

#[test]
fn a_stall_tells_what_may_explain_it() {
    let mut world = taught();
    world.hint("mount_gone");
    world.wait(121);
    let incident = &world.state.memory.incidents.last().expect("a stall").incident;
    let counted: Vec<&str> = incident.counted.iter().map(|it| it.message.as_str()).collect();
    assert_eq!((incident.root.kind, counted), (DetectorKind::Stall, vec!["slow disk"]));
}

#[test]
fn the_start_of_a_child_and_of_a_monitor_has_a_limit_of_its_own() {
    let mut world = World::new(STALL);
    world.wait(1799);
    assert_eq!(world.incidents(), [""; 0]);
    world.wait(2);
    assert_eq!(world.incidents(), ["no output for 30 min"]);
    let mut world = taught();
    world.die();
    world.wait(1000);
    assert_eq!(world.incidents(), [""; 0], "the monitor knows nothing of the time before it");
    world.prints();
    world.wait(121);
    assert_eq!(world.incidents().len(), 1, "what was learned is kept");
}

#[test]
fn a_phase_lets_the_stall_rest() {
    let mut world = taught();
    world.phase(true);
    world.wait(500);
    world.phase(false);
    world.wait(119);
    assert_eq!(world.incidents(), [""; 0]);
    world.wait(2);
    assert_eq!(world.incidents().len(), 1);

    let mut endless = taught();
    endless.phase(true);
    endless.wait(600 + 119);
    assert_eq!(endless.incidents(), [""; 0]);
    endless.wait(2);
    assert_eq!(
        endless.incidents(),
        ["no output for 2 min; the longest healthy pause was 30 s"],
        "after its longest time"
    );
}

#[test]
fn time_that_nobody_watched_is_no_stall() {
    let mut world = taught();
    for _ in 0..50 {
        world.sleep(3600);
        world.step(Event::Woke);
    }
    assert_eq!(world.incidents(), [""; 0]);
}

#[test]
fn output_that_waits_unread_is_no_stall() {
    let mut world = taught();
    world.wait(119);
    // Stopped at the last moment, for an hour: two seconds of it count.
    world.sleep(3600);
    world.step(Event::ChildSeen { child: ChildNo(1), seen: Seen::Running { process: None } });
    world.step(Event::Woke);
    assert_eq!(world.incidents(), [""; 0], "only suspected");
    world.state.next_wait(Duration::from_secs(1));
    world.prints();
    world.step(Event::Woke);
    world.state.next_wait(Duration::from_secs(1));
    world.step(Event::Woke);
    assert_eq!(world.incidents(), [""; 0]);
}
