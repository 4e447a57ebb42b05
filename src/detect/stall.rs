//! Notices that nothing happens: no output, or a value that does not advance. Pure logic on [`Watched`] time, which stands still
//! while the machine is suspended or the monitor stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Detection, DetectorKind, Severity};
use crate::config::{self, Stall, What};
use crate::ids::{DetectorName, StreamId};
use crate::time::Watched;

/// Limit until one has been learned.
const NOT_LEARNED: Duration = Duration::from_secs(1800);

/// Watches one stream of one child for one detector.
#[derive(Clone, Debug)]
pub struct StallClock {
    detector: DetectorName,
    severity: Severity,
    cooldown: Duration,
    no_progress: Duration,
    by_metric: bool,
    stream: StreamId,
    /// Last progress, or the start of the child.
    since: Watched,
    value: Option<String>,
    fired: Option<Watched>,
}

impl StallClock {
    /// Starts at the start of a child. `None` for detectors of other kinds.
    pub fn new(detector: &config::Detector, stream: StreamId, child_start: Watched) -> Option<Self> {
        let What::Stall(Stall { metric, no_progress, .. }) = &detector.what else { return None };
        Some(Self {
            detector: detector.name.clone(),
            severity: detector.severity,
            cooldown: detector.cooldown,
            no_progress: no_progress.unwrap_or(NOT_LEARNED),
            by_metric: metric.is_some(),
            stream,
            since: child_start,
            value: None,
            fired: None,
        })
    }

    /// Name of the detector, as in [`super::Scanned::progress`].
    pub fn detector(&self) -> &DetectorName {
        &self.detector
    }

    /// The child has written something. Progress, unless a metric says what progress is.
    pub fn on_output(&mut self, now: Watched) {
        if !self.by_metric {
            self.progress(now);
        }
    }

    /// The metric has been seen with this value. Any change is progress: a counter that starts anew with an epoch is alive too.
    pub fn on_metric(&mut self, value: &str, now: Watched) {
        if self.by_metric && self.value.as_deref() != Some(value) {
            self.value = Some(value.to_owned());
            self.progress(now);
        }
    }

    /// When to ask [`StallClock::due`] again, unless something happens before. `None`: it never fires.
    pub fn deadline(&self) -> Option<Watched> {
        if self.no_progress.is_zero() {
            return None;
        }
        Some(match self.fired {
            None => self.since + self.no_progress,
            Some(fired) => fired + self.cooldown.max(self.no_progress),
        })
    }

    /// The stall, once it lasts for as long as configured. It fires again only after progress, or when both its cooldown and
    /// another such time have passed.
    pub fn due(&mut self, now: Watched) -> Option<Detection> {
        if self.deadline()? > now {
            return None;
        }
        self.fired = Some(now);
        let silent = now.since(self.since);
        let mut captures = BTreeMap::from([("elapsed_seconds".to_owned(), silent.as_secs().to_string())]);
        captures.extend(self.value.iter().map(|value| ("last_value".to_owned(), value.clone())));
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
        self.since = self.since.max(now);
        self.fired = None;
    }

    fn message(&self, silent: Duration) -> String {
        let silent = words(silent);
        match (&self.value, self.by_metric) {
            (Some(value), _) => format!("no progress for {silent}: the value is still {value}"),
            (None, true) => format!("no progress for {silent}: the value has not been seen yet"),
            (None, false) => format!("no output for {silent}"),
        }
    }
}

/// `45 s`, `30 min`, `1 h 5 min`.
fn words(time: Duration) -> String {
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
        let detector = config::Detector {
            name: DetectorName::new("stuck"),
            severity: Severity::Error,
            cooldown: Duration::from_secs(cooldown),
            what: What::Stall(Stall {
                metric: metric.then(|| regex::bytes::Regex::new("step (\\d+)").expect("valid")),
                no_progress: Some(Duration::from_secs(no_progress)),
                learn_factor: 5.0,
                learn_min: Duration::from_secs(300),
                except: Vec::new(),
            }),
        };
        StallClock::new(&detector, StreamId::new("child-001"), at(100)).expect("a stall detector")
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
}
