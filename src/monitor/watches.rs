//! Metrics, rates, phases and stalls of the newest child: what the streams say becomes detections where it is odd.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::effect::Effects;
use super::memory::Phase;
use super::state::State;
use crate::config::{Config, Detector, Metric, What};
use crate::detect::{
    Detection, DetectorKind, Finding, Learned, MetricMemory, Rate, Reached, Signal, SignalKind, StallClock,
    duration_words,
};
use crate::ids::{ChildNo, DetectorName, StreamId};
use crate::time::Watched;

/// Values of all windows together that a line of the journal holds: some 200 KB.
const MAX_KEPT: usize = 10_000;
/// Values in front of a finding that its incident quotes.
const RECENT: usize = 20;

/// What is remembered of each metric in each stream.
///
/// On disk, windows of more than 10,000 values in all are left out, those of the last streams by name first: after a crash
/// their medians are learned anew. Counts, runs and episodes are always kept.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "ByMetric")]
pub struct Metrics {
    of: ByMetric,
    /// Values in all windows.
    held: usize,
}

type ByMetric = BTreeMap<DetectorName, BTreeMap<StreamId, MetricMemory>>;

impl From<ByMetric> for Metrics {
    fn from(of: ByMetric) -> Self {
        let held = of.values().flat_map(BTreeMap::values).map(MetricMemory::held).sum();
        Self { of, held }
    }
}

impl Metrics {
    /// Judges a value of a stream; what is found comes with the values that were well before it.
    fn take(
        &mut self,
        (metric, rule): (&DetectorName, &Metric),
        stream: &StreamId,
        value: f64,
        now: Watched,
        in_phase: bool,
    ) -> Option<(Finding, Vec<f64>)> {
        // Names are copied once; values come by the thousand.
        if !self.of.get(metric).is_some_and(|streams| streams.contains_key(stream)) {
            self.of.entry(metric.clone()).or_default().insert(stream.clone(), MetricMemory::default());
        }
        let memory = self.of.get_mut(metric)?.get_mut(stream)?;
        let before = memory.held();
        let finding = memory.take(rule, value, now, in_phase);
        self.held = self.held.saturating_sub(before).saturating_add(memory.held());
        finding.map(|finding| (finding, memory.newest(RECENT - 1)))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn retain(&mut self, keep: impl Fn(&DetectorName) -> bool) {
        self.of.retain(|metric, _| keep(metric));
        *self = Self::from(std::mem::take(&mut self.of));
    }

    /// Whether some windows are not kept.
    fn is_too_much(&self) -> bool {
        self.held > MAX_KEPT
    }
}

fn fits(memory: &MetricMemory, room: &mut usize) -> bool {
    let left = room.checked_sub(memory.held());
    *room = left.unwrap_or(0);
    left.is_some()
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.is_too_much() {
            return self.of.serialize(serializer);
        }
        let mut room = MAX_KEPT;
        let kept: BTreeMap<_, BTreeMap<_, _>> = self
            .of
            .iter()
            .map(|(metric, streams)| {
                let kept = streams.iter().map(|(stream, memory)| {
                    (stream, if fits(memory, &mut room) { memory.clone() } else { memory.without_window() })
                });
                (metric, kept.collect())
            })
            .collect();
        kept.serialize(serializer)
    }
}

impl State {
    /// Takes what a stream said besides detections: phases begin and end, values are judged.
    pub(super) fn heed(&mut self, signals: &[Signal], stream: &StreamId) -> Vec<Detection> {
        let now = self.memory.watched;
        let mut found = Vec::new();
        if signals.is_empty() {
            return found;
        }
        self.expire_phases();
        let mut marked = false;
        let mut known: Option<(&Arc<DetectorName>, usize)> = None;
        for signal in signals {
            match &signal.what {
                SignalKind::Begin { phase } => {
                    self.memory.phases.begin(phase, stream, now);
                    marked = true;
                }
                SignalKind::End { phase } => {
                    self.memory.phases.end(phase, stream);
                    marked = true;
                }
                SignalKind::Value { metric, value } => {
                    let at = match known {
                        Some((last, at)) if Arc::ptr_eq(last, metric) => Some(at),
                        _ => self.config.detectors.iter().position(|detector| detector.name == **metric),
                    };
                    // A configuration without it may have been read meanwhile.
                    let Some(at) = at else { continue };
                    let Some(detector) = self.config.detectors.get(at) else { continue };
                    known = Some((metric, at));
                    let What::Metric(rule) = &detector.what else { continue };
                    let in_phase = self.memory.phases.any(&rule.except);
                    let judged = self.memory.metrics.take((metric, rule), stream, *value, now, in_phase);
                    if let Some((finding, before)) = judged {
                        let recent = before.iter().chain([&finding.value]).map(f64::to_string);
                        self.metrics.insert(detector.name.clone(), recent.collect());
                        found.push(finding.detection(detector, stream, signal.at, signal.line));
                    }
                }
            }
        }
        if marked {
            self.touched = true;
            self.rest_in_phases(now);
        }
        self.say_what_is_not_kept();
        found
    }

    fn say_what_is_not_kept(&mut self) {
        if !self.memory.metrics.is_too_much() {
            self.warnings.remove("metrics");
        } else if !self.warnings.contains_key("metrics") {
            let what = "metrics hold more values than the journal keeps: after a crash of the monitor, some streams learn \
                        their medians anew";
            self.warnings.insert("metrics", what.to_owned());
        }
    }

    /// Ends phases that have lasted too long.
    pub(super) fn expire_phases(&mut self) {
        let now = self.memory.watched;
        if let Some(ended) = self.memory.phases.expire(&self.config.phases, now) {
            self.touched = true;
            self.rest_in_phases(ended.min(now));
        }
    }

    pub(super) fn phase_deadline(&self) -> Option<Watched> {
        self.memory.phases.next_end(&self.config.phases)
    }

    /// Stall clocks rest while a phase is on that they except.
    pub(super) fn rest_in_phases(&mut self, now: Watched) {
        for stall in &mut self.stalls {
            if self.memory.phases.any(stall.except()) {
                stall.rest(now);
            } else {
                stall.go_on(now);
            }
        }
    }

    /// What was learned of a number is of no use when another configuration takes another number.
    pub(super) fn forget_what_changed(&mut self, new: &Config) {
        let same = |name: &DetectorName, number: fn(&What) -> Option<&str>| {
            let of = |config: &Config| {
                let detector = config.detectors.iter().find(|detector| detector.name == *name)?;
                Some(number(&detector.what)?.to_owned())
            };
            of(&self.config).is_some_and(|old| of(new).as_ref() == Some(&old))
        };
        self.memory.metrics.retain(|name| same(name, metric_number));
        self.memory.stalls.retain(|name, _| same(name, progress_number));
    }

    /// Stall clocks start anew with each child, and with each monitor.
    pub(super) fn rearm_stalls(&mut self) {
        let now = self.memory.watched;
        let child = self.child_no().unwrap_or(ChildNo(0));
        let learned = |detector: &Detector| self.memory.stalls.get(&detector.name).copied().unwrap_or_default();
        let clocks = self.config.detectors.iter();
        self.stalls =
            clocks.filter_map(|detector| StallClock::new(detector, child.stream(), now, learned(detector))).collect();
        self.metrics.clear();
        self.suspected = None;
        self.rest_in_phases(now);
    }

    /// Output came: progress for the stalls without a metric.
    pub(super) fn stalls_see_output(&mut self, now: Watched) {
        let learns = self.learns_gaps();
        for stall in &mut self.stalls {
            let before = stall.learned();
            stall.on_output(now);
            keep_learned(&mut self.memory.stalls, stall, before, learns);
        }
    }

    /// A progress value came.
    pub(super) fn stalls_see_metric(&mut self, detector: &DetectorName, value: &str, now: Watched) {
        let learns = self.learns_gaps();
        for stall in self.stalls.iter_mut().filter(|stall| stall.detector() == detector) {
            let before = stall.learned();
            stall.on_metric(value, now);
            keep_learned(&mut self.memory.stalls, stall, before, learns);
        }
    }

    /// What a child prints while it is stopped, or after it has ended, says nothing about healthy pauses.
    fn learns_gaps(&self) -> bool {
        self.memory.phase == Phase::Up && self.unseen.is_none()
    }

    pub(super) fn stall_deadline(&self) -> Option<Watched> {
        let watching = self.memory.phase == Phase::Up && self.unseen.is_none();
        watching.then(|| self.stalls.iter().filter_map(StallClock::deadline).min()).flatten()
    }

    /// Judges the stalls, when nothing else waits to be weighed. Only where all output has been read: a stall is suspected first, and
    /// told once another look at the streams has brought nothing. What was written while the monitor was stopped is found by that
    /// look.
    pub(super) fn judge_stalls(&mut self, fx: &mut Effects) {
        let now = self.memory.watched;
        let due = self.stall_deadline().is_some_and(|deadline| deadline <= now);
        if !due || !self.live.all_caught_up() {
            self.suspected = None;
            return;
        }
        if *self.suspected.get_or_insert(self.stream_looks) == self.stream_looks {
            return;
        }
        self.suspected = None;
        let Some(child) = self.child_no() else { return };
        let due: Vec<_> = self.stalls.iter_mut().filter_map(|stall| stall.due(now)).collect();
        for detection in due {
            self.detected(detection, None, child, fx);
        }
    }

    /// Whether a match is one of so many that are needed; then what it says.
    pub(super) fn reaches_rate(&mut self, detection: Detection, more: u64) -> Option<Detection> {
        let Some(rate) = self.rate(&detection.detector) else { return Some(detection) };
        let now = self.memory.watched;
        let reached = self.memory.rates.entry(detection.detector.clone()).or_default().add(more, now, rate)?;
        Some(by_rate(detection, reached))
    }

    /// How many matches a detector needs; `None` when each one counts.
    pub(super) fn rate(&self, name: &DetectorName) -> Option<Rate> {
        self.config.detectors.iter().find(|detector| detector.name == *name).and_then(rate)
    }
}

/// How many matches a detector needs.
pub fn rate(detector: &Detector) -> Option<Rate> {
    match detector.what {
        What::Pattern { min_count, window, .. } if min_count > 1 => Some(Rate { count: min_count.into(), window }),
        What::Rate { count, window, .. } => Some(Rate { count: count.into(), window }),
        _ => None,
    }
}

/// The match that reached the rate, with how many there were, and in which time where that is known. A `pattern` says what it
/// matched, however many it needed.
pub fn by_rate(mut detection: Detection, reached: Reached) -> Detection {
    if detection.kind == DetectorKind::Rate {
        let Reached { count, within } = reached;
        let time = match within {
            None => String::new(),
            Some(within) if within < Duration::from_secs(1) => " in less than 1 s".to_owned(),
            Some(within) => format!(" in {}", duration_words(within)),
        };
        detection.message = format!("{count} matches{time}: {}", detection.message);
        detection.captures.insert("reason".to_owned(), "rate".to_owned());
        detection.captures.insert("count".to_owned(), count.to_string());
        if let Some(within) = within {
            detection.captures.insert("seconds".to_owned(), within.as_secs().to_string());
        }
    }
    detection
}

/// The number that a metric judges.
fn metric_number(what: &What) -> Option<&str> {
    match what {
        What::Metric(metric) => Some(metric.regex.as_str()),
        _ => None,
    }
}

/// The number that a stall takes for progress; empty for any output.
fn progress_number(what: &What) -> Option<&str> {
    match what {
        What::Stall(stall) => Some(stall.metric.as_ref().map_or("", |regex| regex.as_str())),
        _ => None,
    }
}

fn keep_learned(kept: &mut BTreeMap<DetectorName, Learned>, stall: &mut StallClock, before: Learned, learns: bool) {
    let learned = stall.learned();
    if learned == before {
        return;
    }
    if !learns {
        stall.unlearn(before);
        return;
    }
    match kept.get_mut(stall.detector()) {
        Some(kept) => *kept = learned,
        None => {
            kept.insert(stall.detector().clone(), learned);
        }
    }
}

#[cfg(test)]
mod tests;
