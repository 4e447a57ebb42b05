//! Metrics, phases and rates of a log that is over. Nobody knows when its lines were written, so whatever asks for a time is judged
//! without: a rate over the whole log, `confirm_seconds` as passed, phases until the line that ends them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Detector, Metric, PhaseMarks, What};
use crate::detect::{Detection, MetricMemory, Phases, Rate, RateCounter, Signal, SignalKind};
use crate::ids::{DetectorName, PhaseName, StreamId};
use crate::monitor::watches::{by_rate, rate};
use crate::time::Watched;

/// The only time of such a log.
const NOW: Watched = Watched::from_millis(0);

/// Judges one log.
pub(super) struct Judge {
    stream: StreamId,
    metrics: BTreeMap<DetectorName, (Detector, Metric, MetricMemory)>,
    rates: BTreeMap<DetectorName, (Rate, RateCounter)>,
    phases: Phases,
    /// Phases that a line ends; of the others, which only their time ends, nothing can be said.
    closed: Vec<PhaseName>,
}

impl Judge {
    pub(super) fn new(detectors: &[Detector], phases: &[PhaseMarks]) -> Self {
        let metrics = detectors.iter().filter_map(|detector| {
            let What::Metric(metric) = &detector.what else { return None };
            let untimed = Metric { confirm: Duration::ZERO, ..Metric::clone(metric) };
            Some((detector.name.clone(), (detector.clone(), untimed, MetricMemory::default())))
        });
        let rates = detectors.iter().filter_map(|detector| {
            let untimed = Rate { window: Duration::ZERO, ..rate(detector)? };
            Some((detector.name.clone(), (untimed, RateCounter::default())))
        });
        let closed = phases.iter().filter(|phase| phase.end.is_some()).map(|phase| phase.name.clone());
        Self {
            stream: StreamId::new("scan"),
            metrics: metrics.collect(),
            rates: rates.collect(),
            phases: Phases::default(),
            closed: closed.collect(),
        }
    }

    /// What is odd about the values of metrics.
    pub(super) fn values(&mut self, signals: &[Signal]) -> Vec<Detection> {
        let mut found = Vec::new();
        for signal in signals {
            match &signal.what {
                SignalKind::Begin { phase } if self.closed.contains(phase) => {
                    self.phases.begin(phase, &self.stream, NOW);
                }
                SignalKind::Begin { .. } => {}
                SignalKind::End { phase } => self.phases.end(phase, &self.stream),
                SignalKind::Value { metric, value } => {
                    let Some((detector, rule, memory)) = self.metrics.get_mut(&**metric) else { continue };
                    let in_phase = self.phases.any(&rule.except);
                    let finding = memory.take(rule, *value, NOW, in_phase);
                    found.extend(
                        finding.map(|finding| finding.detection(detector, &self.stream, signal.at, signal.line)),
                    );
                }
            }
        }
        found
    }

    /// The detection, unless more matches are needed.
    pub(super) fn rate(&mut self, detection: Detection, matches: u64) -> Option<Detection> {
        let Some((rate, counter)) = self.rates.get_mut(&detection.detector) else { return Some(detection) };
        counter.add(matches, NOW, *rate).map(|reached| by_rate(detection, reached))
    }

    /// Matches without a text, after `last`, which had one: the detection, where they reach a rate.
    pub(super) fn counted(&mut self, last: Detection, matches: u64) -> Option<Detection> {
        self.rates.contains_key(&last.detector).then(|| self.rate(last, matches)).flatten()
    }

    /// Detectors that need more matches than one, and how many.
    pub(super) fn needed(&self) -> impl Iterator<Item = (&DetectorName, u64)> {
        self.rates.iter().map(|(detector, (rate, _))| (detector, rate.count))
    }
}
