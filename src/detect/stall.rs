//! Notices that nothing happens: no output, or a value that does not advance. Pure logic on [`Watched`] time, which stands still
//! while the machine is suspended or the monitor stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use super::learned::{Learned, NOT_LEARNED};
use super::{Detection, DetectorKind, Severity};
use crate::config::{self, Stall, What};
use crate::ids::{DetectorName, PhaseName, StreamId};
use crate::time::Watched;

/// Watches the streams of one child for one detector.
#[derive(Clone, Debug)]
pub struct StallClock {
    detector: DetectorName,
    severity: Severity,
    cooldown: Duration,
    rule: Stall,
    stream: StreamId,
    /// Last progress, or the start of the child; later by the time that the clock has rested since.
    since: Watched,
    /// There has been progress, so what passes now is a gap.
    begun: bool,
    /// An excepted phase is on, since when.
    resting: Option<Watched>,
    /// An excepted phase was on in this gap.
    rested: bool,
    learned: Learned,
    value: Option<String>,
    fired: Option<Watched>,
}

impl StallClock {
    /// Starts at the start of a child, with what was learned from earlier ones. `None` for detectors of other kinds.
    pub fn new(detector: &config::Detector, stream: StreamId, child_start: Watched, learned: Learned) -> Option<Self> {
        let What::Stall(rule) = &detector.what else { return None };
        Some(Self {
            detector: detector.name.clone(),
            severity: detector.severity,
            cooldown: detector.cooldown,
            rule: rule.clone(),
            stream,
            since: child_start,
            begun: false,
            resting: None,
            rested: false,
            learned,
            value: None,
            fired: None,
        })
    }

    /// Name of the detector, as in [`super::Scanned::progress`].
    pub fn detector(&self) -> &DetectorName {
        &self.detector
    }

    /// Phases during which it rests.
    pub fn except(&self) -> &[PhaseName] {
        &self.rule.except
    }

    /// What is known of the healthy gaps.
    pub fn learned(&self) -> Learned {
        self.learned
    }

    /// Takes back what the last gap has taught: it was not a healthy one.
    pub fn unlearn(&mut self, before: Learned) {
        self.learned = before;
    }

    /// The limit in effect is one that this run has taught.
    pub fn has_learned(&self) -> bool {
        self.begun && self.rule.no_progress.is_none() && self.learned.limit(&self.rule).is_some()
    }

    /// An excepted phase is on.
    pub fn is_resting(&self) -> bool {
        self.resting.is_some()
    }

    /// The child has written something. Progress, unless a metric says what progress is.
    pub fn on_output(&mut self, now: Watched) {
        if self.rule.metric.is_none() {
            self.progress(now);
        }
    }

    /// The metric has been seen with this value. Any change is progress: a counter that starts anew with an epoch is alive too.
    pub fn on_metric(&mut self, value: &str, now: Watched) {
        if self.rule.metric.is_some() && self.value.as_deref() != Some(value) {
            self.value = Some(value.to_owned());
            self.progress(now);
        }
    }

    /// An excepted phase has begun: the clock rests, and this gap says nothing about healthy ones.
    pub fn rest(&mut self, now: Watched) {
        if self.resting.is_none() {
            self.resting = Some(now);
            self.rested = true;
        }
    }

    /// No excepted phase is on any more since `since`.
    pub fn go_on(&mut self, since: Watched) {
        if let Some(resting) = self.resting.take() {
            self.since = self.since + since.since(resting.max(self.since));
            if let Some(fired) = &mut self.fired {
                *fired = *fired + since.since(resting.max(*fired));
            }
        }
    }

    /// How long nothing may happen now. Zero: as long as it likes.
    pub fn limit(&self) -> Duration {
        match self.rule.no_progress {
            Some(limit) => limit,
            // A start has pauses of its own: nothing has been learned about it.
            None if self.begun => self.learned.limit(&self.rule).unwrap_or(NOT_LEARNED),
            None => NOT_LEARNED,
        }
    }

    /// When to ask [`StallClock::due`] again, unless something happens before. `None`: it never fires.
    pub fn deadline(&self) -> Option<Watched> {
        let limit = self.limit();
        if limit.is_zero() || self.resting.is_some() {
            return None;
        }
        Some(match self.fired {
            None => self.since + limit,
            Some(fired) => fired + self.cooldown.max(limit),
        })
    }

    /// The stall, once it lasts for longer than it may. It fires again only after progress, or when both its cooldown and
    /// another such time have passed.
    pub fn due(&mut self, now: Watched) -> Option<Detection> {
        if self.deadline()? > now {
            return None;
        }
        self.fired = Some(now);
        let silent = now.since(self.since);
        let mut captures = BTreeMap::from([("elapsed_seconds".to_owned(), silent.as_secs().to_string())]);
        captures.extend(self.value.iter().map(|value| ("last_value".to_owned(), value.clone())));
        captures.insert("limit_seconds".to_owned(), self.limit().as_secs().to_string());
        Some(Detection {
            detector: self.detector.clone(),
            kind: DetectorKind::Stall,
            severity: self.severity,
            stream: self.stream.clone(),
            bytes: 0..0,
            lines: (0, 0),
            message: self.message(silent),
            captures,
            trace: None,
            class: None,
        })
    }

    fn progress(&mut self, now: Watched) {
        // Outputs may be reported in any order after a restart of the monitor; the clock never goes back.
        let resting = self.resting.is_some();
        if self.begun && !self.rested {
            self.learned.healthy_gap(now.since(self.since));
        }
        self.begun = true;
        self.rested = resting;
        if resting {
            self.resting = Some(now);
        }
        self.since = self.since.max(now);
        self.fired = None;
    }

    fn message(&self, silent: Duration) -> String {
        let silent = words(silent);
        let what = match (&self.value, self.rule.metric.is_some()) {
            (Some(value), _) => format!("no progress for {silent}: the value is still {value}"),
            (None, true) => format!("no progress for {silent}: the value has not been seen yet"),
            (None, false) => format!("no output for {silent}"),
        };
        if self.has_learned() {
            format!("{what}; the longest healthy pause was {}", words(self.learned.longest()))
        } else {
            what
        }
    }
}

/// `45 s`, `30 min`, `1 h 5 min`.
pub fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, _) if seconds < 1 => format!("{} ms", time.as_millis()),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1000;

    fn clock(metric: bool, no_progress: u64, cooldown: u64) -> StallClock {
        let detector = detector(metric, Some(no_progress), cooldown);
        StallClock::new(&detector, StreamId::new("child-001"), at(100), Learned::default()).expect("a stall detector")
    }

    fn learning(learned: Learned) -> StallClock {
        let detector = detector(false, None, 0);
        StallClock::new(&detector, StreamId::new("child-001"), at(100), learned).expect("a stall detector")
    }

    fn detector(metric: bool, no_progress: Option<u64>, cooldown: u64) -> config::Detector {
        config::Detector {
            name: DetectorName::new("stuck"),
            severity: Severity::Error,
            cooldown: Duration::from_secs(cooldown),
            what: What::Stall(Stall {
                metric: metric.then(|| regex::bytes::Regex::new("step (\\d+)").expect("valid")),
                no_progress: no_progress.map(Duration::from_secs),
                learn_factor: 5.0,
                learn_min: Duration::from_secs(300),
                except: vec![PhaseName::new("checkpoint")],
            }),
        }
    }

    fn at(seconds: u64) -> Watched {
        Watched::from_millis(seconds * SECOND)
    }

    fn message(clock: &mut StallClock, now: Watched) -> Option<String> {
        clock.due(now).map(|found| found.message)
    }

    #[test]
    fn silence_counts_from_the_start_of_the_child() {
        let mut clock = clock(false, 60, 0);
        assert_eq!(clock.deadline(), Some(at(160)));
        assert_eq!(message(&mut clock, at(159)), None);
        assert_eq!(message(&mut clock, at(160)).as_deref(), Some("no output for 1 min"));
        assert_eq!(message(&mut clock, at(161)), None, "once per stall");
    }

    #[test]
    fn output_is_progress_without_a_metric_only() {
        let mut plain = clock(false, 60, 0);
        plain.on_output(at(150));
        assert_eq!(plain.deadline(), Some(at(210)));
        let mut metric = clock(true, 60, 0);
        metric.on_output(at(150));
        assert_eq!(
            message(&mut metric, at(160)).as_deref(),
            Some("no progress for 1 min: the value has not been seen yet")
        );
    }

    #[test]
    fn a_value_must_change() {
        let mut clock = clock(true, 60, 0);
        clock.on_metric("17", at(110));
        clock.on_metric("17", at(150));
        assert_eq!(message(&mut clock, at(175)).as_deref(), Some("no progress for 1 min 5 s: the value is still 17"));
        clock.on_metric("18", at(180));
        assert_eq!(clock.deadline(), Some(at(240)), "progress arms it again");
        clock.on_metric("1", at(200));
        assert_eq!(clock.deadline(), Some(at(260)), "a counter that starts anew is progress");
    }

    #[test]
    fn a_long_stall_is_told_again_after_the_cooldown() {
        let mut clock = clock(false, 60, 600);
        assert!(clock.due(at(160)).is_some());
        assert_eq!(clock.deadline(), Some(at(760)));
        assert_eq!(message(&mut clock, at(760)).as_deref(), Some("no output for 11 min"));
    }

    #[test]
    fn zero_is_off_and_time_never_goes_back() {
        assert_eq!(clock(false, 0, 0).deadline(), None);
        assert!(clock(false, 0, 0).due(at(10_000)).is_none());
        let mut clock = clock(false, 60, 0);
        clock.on_output(at(200));
        clock.on_output(at(150));
        assert_eq!(clock.deadline(), Some(at(260)));
    }

    #[test]
    fn a_limit_is_learned_from_healthy_gaps() {
        let mut clock = learning(Learned::default());
        assert_eq!(clock.deadline(), Some(at(1900)), "a start has a limit of its own");
        clock.on_output(at(1000));
        for n in 1..20 {
            clock.on_output(at(1000 + n * 40));
        }
        assert_eq!(clock.limit(), NOT_LEARNED, "19 gaps; the start was none");
        clock.on_output(at(1900));
        assert_eq!(clock.limit(), Duration::from_secs(700), "5 times 140 s");
        assert_eq!(message(&mut clock, at(2599)), None);
        assert_eq!(
            message(&mut clock, at(2600)).as_deref(),
            Some("no output for 11 min 40 s; the longest healthy pause was 2 min 20 s")
        );
        clock.on_output(at(2700));
        assert_eq!(clock.limit(), Duration::from_secs(4000), "it came back by itself: that gap was healthy");

        let mut next = learning(clock.learned());
        assert_eq!(next.limit(), NOT_LEARNED, "the start of the next child");
        next.on_output(at(500));
        assert_eq!(next.limit(), Duration::from_secs(4000));
    }

    #[test]
    fn a_phase_lets_the_clock_rest() {
        let mut clock = clock(false, 60, 0);
        clock.on_output(at(100));
        clock.rest(at(130));
        assert_eq!(clock.deadline(), None);
        assert!(clock.due(at(10_000)).is_none());
        clock.go_on(at(500));
        assert_eq!(clock.deadline(), Some(at(530)), "30 s were left");
        assert_eq!(message(&mut clock, at(530)).as_deref(), Some("no output for 1 min"));
        clock.rest(at(540));
        clock.on_output(at(600));
        clock.go_on(at(640));
        assert_eq!(clock.deadline(), Some(at(700)), "nothing is expected before the phase ends");
    }

    #[test]
    fn gaps_with_a_phase_are_not_learned() {
        let mut clock = learning(Learned::default());
        for n in 0..=30 {
            clock.on_output(at(1000 + n * 20));
        }
        clock.rest(at(1610));
        clock.go_on(at(4000));
        clock.on_output(at(4010));
        assert_eq!(clock.learned().longest(), Duration::from_secs(20));
        clock.on_output(at(4040));
        assert_eq!(clock.learned().longest(), Duration::from_secs(30), "the next one is");
    }
}
