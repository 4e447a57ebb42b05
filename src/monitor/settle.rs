//! Detections gather until their cascade is over; then they are one incident, or are counted in one.

use std::time::Duration;

use super::effect::{Effect, Effects, Level};
use super::event::ScanReport;
use super::gathering::{count_one, merge};
use super::memory::{DetectorFacts, Gathering, Hint, IncidentNote, Memory, Phase, StreamFacts, Then};
use super::state::State;
use super::todo::{IncidentChange, Todo};
use crate::detect::{Detection, DetectorKind, Role, Severity};
use crate::ids::{ChildNo, DetectorName, IncidentId};
use crate::incident::{Copies, Counted, Incident, Writer, fingerprint, judge};
use crate::time::{Utc, Watched};

/// A cascade that never becomes quiet settles after this much longer than a quiet one.
const LONGEST_CASCADE: Duration = Duration::from_secs(30);
/// An unterminated line or an open trace is taken for whole after this much silence, or `healing.settle_seconds` if longer.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);
/// So much longer is waited where several streams have fallen silent.
const TOGETHER: Duration = Duration::from_millis(200);
/// An end so soon after an incident belongs to it …
const EXIT_FOLLOWS_WITHIN: Duration = Duration::from_secs(10);
/// … and so does one after so few further lines.
const EXIT_FOLLOWS_LINES: u64 = 50;
/// … in at most this time.
const EXIT_FOLLOWS_SLOWLY: Duration = Duration::from_secs(300);

impl State {
    /// Part of a stream was scanned.
    pub(super) fn scanned(&mut self, report: ScanReport, fx: &mut Effects) {
        let now = self.memory.watched;
        if Some(report.child) != self.child_no() {
            return; // An older child: its life has been told, and its streams are forgotten.
        }
        self.live.update(&report.stream, now, report.read_something, report.open, report.caught_up);
        let stream = report.stream.clone();
        let facts = StreamFacts { position: report.position, lines: report.lines, file: report.file };
        if report.ended {
            self.memory.streams.remove(&report.stream);
        } else {
            self.memory.streams.insert(report.stream, facts);
        }
        if report.read_something {
            self.stalls_see_output(now);
        }
        for (detector, value) in &report.metrics {
            self.remember_metric(detector, value);
            self.stalls_see_metric(detector, value, now);
        }
        let arrived = report.arrived.into_iter().map(Some).chain(std::iter::repeat(None));
        let mut detections: Vec<_> = report.detections.into_iter().zip(arrived).collect();
        let odd = self.heed(&report.signals, &stream);
        if !odd.is_empty() {
            detections.extend(odd.into_iter().map(|detection| (detection, None)));
            // As they were completed in the stream.
            detections.sort_by_key(|(detection, _)| detection.bytes.end);
        }
        let newest = |name: &DetectorName| detections.iter().rfind(|(detection, _)| detection.detector == *name);
        let samples: Vec<Detection> =
            report.counted.keys().filter_map(|name| newest(name).map(|(detection, _)| detection.clone())).collect();
        for (detection, arrived) in detections {
            let arrived = arrived.map(|arrived| arrived.saturating_add(self.arrivals_before));
            self.detected(detection, arrived, report.child, fx);
        }
        for (detector, count) in report.counted {
            let sample = samples.iter().find(|sample| sample.detector == detector);
            self.counted(detector, count, sample, report.child, fx);
        }
    }

    /// Matches that came without their text: they count, and when they reach a rate, the last one with a text says so.
    fn counted(
        &mut self,
        detector: DetectorName,
        count: u64,
        sample: Option<&Detection>,
        child: ChildNo,
        fx: &mut Effects,
    ) {
        let kind = sample.map_or(DetectorKind::Pattern, |sample| sample.kind);
        self.count_totals(&detector, kind, count);
        if sample.and_then(|sample| sample.class.as_ref()).is_some_and(|class| class.only_if_ended) {
            return; // The newest of them is kept as a hint.
        }
        self.touched = true;
        if self.rate(&detector).is_none() {
            self.count_among(detector, kind, count, child);
        } else if let Some(sample) = sample
            && let Some(detection) = self.reaches_rate(sample.clone(), count)
        {
            self.gather(detection, None, child, fx);
        }
    }

    /// Detections that came without their text belong to the cascade or the incident of their detector.
    fn count_among(&mut self, detector: DetectorName, kind: DetectorKind, count: u64, child: ChildNo) {
        let more = Counted { detector, kind, count, message: String::new(), line: 0 };
        if let Some(gathering) = &mut self.memory.gathering {
            merge(&mut gathering.others, more);
        } else if let Some(note) = self.memory.incidents.iter_mut().rfind(|note| note.incident.child == child) {
            merge(&mut note.counted, more);
            note.unwritten = true;
        }
    }

    /// A detection is counted in the totals, weighed against the rate that its detector needs, and gathered.
    pub(super) fn detected(&mut self, detection: Detection, arrived: Option<u64>, child: ChildNo, fx: &mut Effects) {
        self.count_totals(&detection.detector, detection.kind, 1);
        match &detection.class {
            Some(class) if class.role == Role::Diagnostic => {
                if let Some(gathering) = &mut self.memory.gathering {
                    count_one(&mut gathering.others, &detection);
                }
                return;
            }
            Some(class) if class.only_if_ended => {
                self.hint(detection);
                return;
            }
            Some(_) | None => {}
        }
        self.touched = true;
        if let Some(detection) = self.reaches_rate(detection, 1) {
            self.gather(detection, arrived, child, fx);
        }
    }

    /// Totals alone are no reason to write the journal: they are written with the next reason.
    fn count_totals(&mut self, detector: &DetectorName, kind: DetectorKind, count: u64) {
        let facts = self.memory.detectors.entry(detector.clone()).or_insert(DetectorFacts {
            kind,
            detections: 0,
            incidents: 0,
        });
        facts.detections = facts.detections.saturating_add(count);
    }

    /// Remembers the newest detection of a class that explains an end, should one follow. One is printed with each retry:
    /// that alone is no reason to write the journal.
    fn hint(&mut self, detection: Detection) {
        let same = |hint: &Hint| hint.detection.detector == detection.detector;
        self.memory.hints.retain(|hint| !same(hint));
        let surplus = (self.memory.hints.len() + 1).saturating_sub(Hint::MAX);
        self.memory.hints.drain(..surplus);
        self.memory.hints.push(Hint { at: self.memory.watched, detection });
    }

    /// What was seen shortly before a child's end, unless the end belongs to an incident that is there already.
    fn hints_of(&mut self, exit: &Detection, child: ChildNo) -> Vec<Detection> {
        let hints = std::mem::take(&mut self.memory.hints);
        if self.joins(exit, child).is_some() {
            return Vec::new();
        }
        let (now, streams) = (self.memory.watched, &self.memory.streams);
        let near = |hint: &Hint| {
            let lines = streams.get(&hint.detection.stream).map_or(0, |facts| facts.lines);
            now.since(hint.at) <= EXIT_FOLLOWS_WITHIN
                || (lines.saturating_sub(hint.detection.lines.1) <= EXIT_FOLLOWS_LINES
                    && now.since(hint.at) <= EXIT_FOLLOWS_SLOWLY)
        };
        hints.into_iter().filter(near).map(|hint| hint.detection).collect()
    }

    /// `arrived`: its place among all that arrived; `None` for what no stream has said, which comes after all that is there.
    pub(super) fn gather(&mut self, detection: Detection, arrived: Option<u64>, child: ChildNo, fx: &mut Effects) {
        let now = self.memory.watched;
        let utc = self.utc;
        if detection.kind == DetectorKind::ExitCode {
            self.count_totals(&detection.detector.clone(), detection.kind, 1);
            if detection.severity > Severity::Info {
                for hint in self.hints_of(&detection, child) {
                    self.gather(hint, None, child, fx);
                }
            }
        }
        let print = fingerprint(&detection, None);
        let gathering = self.memory.gathering.get_or_insert_with(|| {
            let place = if detection.lines.0 == 0 { String::new() } else { format!(", line {}", detection.lines.0) };
            fx.say(
                Level::Warn,
                format!("detected {}: {} (child {child}{place})", detection.detector, detection.message),
            );
            Gathering {
                child,
                since: now,
                last: now,
                utc,
                candidates: Vec::new(),
                arrived: Vec::new(),
                others: Vec::new(),
                prints: Vec::new(),
                copies: Vec::new(),
            }
        });
        gathering.last = now;
        if let Some((_, copies)) = gathering.copies.iter_mut().find(|(known, _)| *known == print) {
            copies.add(&detection);
        } else if gathering.copies.len() < Gathering::MAX_CANDIDATES {
            gathering.copies.push((print.clone(), Copies::of(&detection)));
        }
        if detection.kind == DetectorKind::Stall {
            // A mount that does not answer ends nothing: what was printed of it tells why nothing moves.
            let near = self.memory.hints.iter().filter(|hint| now.since(hint.at) <= EXIT_FOLLOWS_SLOWLY);
            near.for_each(|hint| count_one(&mut gathering.others, &hint.detection));
        }
        gathering.add(detection, arrived, print);
        self.touched = true;
    }

    pub(super) fn settle_deadline(&self) -> Option<Watched> {
        let gathering = self.memory.gathering.as_ref()?;
        let settle = self.config.healing.settle;
        let ended = self.memory.child.as_ref().is_some_and(|child| child.exit.is_some());
        if ended {
            return None; // It settles when all that the child has printed has been read.
        }
        let longest = gathering.since + settle + LONGEST_CASCADE;
        // A trace that is still being printed belongs to the cascade, unless every detection is to stand alone.
        let open = !settle.is_zero() && self.live.any_open();
        Some(if open { longest } else { (gathering.last + settle).min(longest) })
    }

    pub(super) fn settle_when_quiet(&mut self, fx: &mut Effects) {
        if self.settle_deadline().is_some_and(|deadline| self.memory.watched >= deadline) {
            self.settle_now(fx);
        }
    }

    /// Makes an incident of what has gathered. Whether that decided what happens to an ended child.
    pub(super) fn settle_now(&mut self, fx: &mut Effects) -> bool {
        let Some(gathering) = self.memory.gathering.take() else { return false };
        self.touched = true;
        let root_at = judge::root(&gathering.candidates);
        let Some(root) = gathering.candidates.get(root_at) else { return false };
        let root = root.clone();
        let mut counted = gathering.others;
        for (_, detection) in gathering.candidates.iter().enumerate().filter(|(at, _)| *at != root_at) {
            count_one(&mut counted, detection);
        }
        let exit = self
            .memory
            .child
            .as_ref()
            .filter(|child| child.no == gathering.child)
            .and_then(|child| child.exit.clone())
            .filter(|exit| !exit.stop_requested && !exit.is_success());

        if let Some(at) = self.joins(&root, gathering.child) {
            return self.join(at, &root, counted, fx);
        }
        let known_as = fingerprint(&root, exit.as_ref());
        let times = 1 + self.memory.history.iter().filter(|(other, _)| *other == known_as).count();
        let severity = judge::severity(&gathering.candidates, times);
        let kind = judge::kind(&root);
        // Inside a trace a line tells its class even where it is no failure of its own.
        let hints = self.memory.hints.iter().map(|hint| &hint.detection);
        let class = judge::class(&root, gathering.candidates.iter().chain(hints));
        let class = class.or_else(|| judge::class_of_group(&root, &gathering.candidates)).cloned();
        let print = fingerprint(&root, None);
        let copies = gathering.copies.into_iter().find(|(known, _)| *known == print);
        let mut copies = copies.map(|(_, copies)| copies).filter(Copies::is_shared);
        if let Some(copies) = &mut copies {
            // Reports come in any order; the root is the earliest.
            copies.first = Writer::of(&root);
        }
        let id = self.incident_id(kind, &root.detector, gathering.utc);
        let Some(run) = self.memory.run.as_ref().map(|run| run.id.clone()) else { return false };
        let recent_metric =
            self.metrics.get(&root.detector).map(|values| values.iter().cloned().collect()).unwrap_or_default();
        let incident = Incident {
            id,
            run,
            child: gathering.child,
            utc: gathering.utc,
            kind,
            severity,
            category: judge::category(&root, class.as_ref(), exit.as_ref()),
            fingerprint: known_as,
            message: root.message.clone(),
            root,
            counted,
            exit,
            recent_metric,
            actions: Vec::new(),
            not_acted: None,
            class,
            copies,
        };
        self.open_incident(incident, fx)
    }

    /// A new incident is weighed against pending attempts, decided and written.
    fn open_incident(&mut self, mut incident: Incident, fx: &mut Effects) -> bool {
        let now = self.memory.watched;
        self.memory.incidents_total += 1;
        if let Some(facts) = self.memory.detectors.get_mut(&incident.root.detector) {
            facts.incidents += 1;
        }
        self.memory.history.push((incident.fingerprint.clone(), now));
        let surplus = self.memory.history.len().saturating_sub(Memory::MAX_HISTORY);
        self.memory.history.drain(..surplus);
        self.memory.recent_ids.push(incident.id.clone());
        let surplus = self.memory.recent_ids.len().saturating_sub(Memory::MAX_HISTORY);
        self.memory.recent_ids.drain(..surplus);
        fx.say(Level::Warn, format!("incident {}: {}", incident.id, incident.message));
        self.note(format!("incident {}", incident.id));
        self.failure_seen(&incident, fx);

        let before = Box::new(self.picture_of_run());
        let decision = self.decide(&incident);
        self.write_down(&decision, &mut incident);
        self.memory.incidents.push(IncidentNote {
            incident: slim(&incident),
            opened: now,
            last: now,
            last_line: incident.root.lines.1,
            counted: Vec::new(),
            unwritten: false,
            action: incident.actions.last().map(|action| action.action.clone()),
            verdict: None,
        });
        let surplus = self.memory.incidents.len().saturating_sub(Memory::MAX_INCIDENTS);
        if surplus > 0 {
            self.write_counts();
        }
        self.memory.incidents.drain(..surplus);
        let slim = slim(&incident);
        let (since, files) = (self.last_healthy(&incident), files_of_frames(&incident));
        let id = incident.id.clone();
        // Other streams have no healthy counterpart in an earlier run.
        let own = incident.root.stream == incident.child.stream();
        let at = own.then(|| match incident.root.lines.0 {
            // An end or a stall stands behind all that has been read.
            0 => {
                let read = self.memory.streams.get(&incident.root.stream).copied().unwrap_or_default();
                (incident.child, read.position.consumed, read.lines + 1)
            }
            line => (incident.child, incident.root.bytes.start, line),
        });
        self.intend(Todo::WriteIncident { incident: Box::new(incident), before });
        if since.is_some() || !files.is_empty() || at.is_some() {
            self.intend(Todo::LookAround { id, since, files, at });
        }
        self.carry_out(decision, &slim, fx)
    }

    /// When things were last known to go well: a kept fix, a finished run, or the start of a child that had lived for a whole
    /// verify window before this, its first failure.
    fn last_healthy(&self, incident: &Incident) -> Option<Utc> {
        let first = !self
            .memory
            .incidents
            .iter()
            .any(|note| note.incident.child == incident.child && note.incident.id != incident.id);
        let child = self.memory.child.as_ref().filter(|child| child.no == incident.child && first);
        let healthy_start = child.and_then(|child| {
            let lived = self.memory.watched.since(child.up?);
            (lived >= self.config.healing.verify_window).then_some(child.started)
        });
        self.memory.last_healthy.max(healthy_start)
    }

    /// The incident that a detection belongs to although it was settled before.
    fn joins(&self, root: &Detection, child: ChildNo) -> Option<usize> {
        let now = self.memory.watched;
        let of_child = |note: &&IncidentNote| note.incident.child == child;
        if let Phase::Stopping { then: Then::Restart { .. } } = self.memory.phase {
            // What a child prints while a healer stops it follows from why it is stopped, or from the stop.
            return self.memory.incidents.iter().rposition(|note| of_child(&note));
        }
        if root.kind == DetectorKind::ExitCode && root.severity > Severity::Info {
            let lines = |stream| self.memory.streams.get(stream).map_or(0, |facts| facts.lines);
            return self.memory.incidents.iter().rposition(|note| {
                of_child(&note)
                    && note.incident.exit.is_none()
                    && note.incident.severity >= Severity::Error
                    && (now.since(note.last) <= EXIT_FOLLOWS_WITHIN
                        || (lines(&note.incident.root.stream).saturating_sub(note.last_line) <= EXIT_FOLLOWS_LINES
                            && now.since(note.last) <= EXIT_FOLLOWS_SLOWLY))
            });
        }
        let cooldown = self.config.detectors.iter().find(|detector| detector.name == root.detector)?.cooldown;
        let print = fingerprint(root, None);
        self.memory.incidents.iter().rposition(|note| {
            of_child(&note)
                && note.incident.fingerprint == print
                && !cooldown.is_zero()
                && now.since(note.opened) <= cooldown
        })
    }

    /// Counts a settled group in an earlier incident of the same child.
    fn join(&mut self, at: usize, root: &Detection, others: Vec<Counted>, fx: &mut Effects) -> bool {
        let now = self.memory.watched;
        let exit = self.memory.child.as_ref().and_then(|child| child.exit.clone());
        let Some(note) = self.memory.incidents.get_mut(at) else { return false };
        count_one(&mut note.counted, root);
        others.into_iter().for_each(|other| merge(&mut note.counted, other));
        note.unwritten = true;
        note.last = now;
        if note.incident.root.stream == root.stream {
            note.last_line = note.last_line.max(root.lines.1);
        }
        let total: u64 = note.counted.iter().map(|counted| counted.count).sum();
        if root.kind == DetectorKind::ExitCode
            && let Some(exit) = exit
        {
            note.incident.exit = Some(exit.clone());
            let incident = note.incident.clone();
            self.intend(Todo::UpdateIncident {
                id: incident.id.clone(),
                change: Box::new(IncidentChange::Exit { exit }),
            });
            self.failure_seen(&incident, fx);
            return self.decide_again(&incident, fx);
        }
        let incident = note.incident.clone();
        self.failure_goes_on(&incident, fx);
        // A storm must not rewrite the report each time.
        if total.is_power_of_two() {
            self.write_counts();
        }
        false
    }

    /// Writes what has been counted since into the folders.
    pub(super) fn write_counts(&mut self) {
        let changes: Vec<_> = self
            .memory
            .incidents
            .iter_mut()
            .filter_map(|note| {
                std::mem::take(&mut note.unwritten).then(|| (note.incident.id.clone(), note.counted.clone()))
            })
            .collect();
        for (id, counted) in changes {
            self.intend(Todo::UpdateIncident { id, change: Box::new(IncidentChange::Counted { counted }) });
        }
    }

    /// `2026-11-21T12-34-56Z-error-oom`, with `-2`, `-3`, … for further ones of the same second.
    fn incident_id(&self, kind: crate::incident::IncidentKind, detector: &DetectorName, utc: Utc) -> IncidentId {
        let base = format!("{}-{}-{}", utc.file_stamp(), kind.as_str(), slug(detector.as_str()));
        let taken = |id: &str| self.memory.recent_ids.iter().any(|recent| recent.as_str() == id);
        if !taken(&base) {
            return IncidentId::new(base);
        }
        let free = (2_u32..).map(|n| format!("{base}-{n}")).find(|id| !taken(id));
        IncidentId::new(free.unwrap_or(base))
    }

    pub(super) fn silence_deadline(&self) -> Option<Watched> {
        let silence = self.config.healing.settle.max(SHORTEST_SILENCE);
        let (oldest, newest) = self.live.silent_since()?;
        // Streams that fell silent together are dealt with together.
        Some((oldest + silence + TOGETHER).min(newest + silence))
    }

    pub(super) fn flush_silent_streams(&mut self, fx: &mut Effects) {
        let silence = self.config.healing.settle.max(SHORTEST_SILENCE);
        let now = self.memory.watched;
        if self.silence_deadline().is_some_and(|deadline| now >= deadline) {
            let since = Watched::from_millis(now.millis().saturating_sub(millis(silence)));
            let silent = self.live.take_silent(since);
            fx.list.extend((!silent.is_empty()).then_some(Effect::FlushSilence(silent)));
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Files of the application that the trace names, each once.
fn files_of_frames(incident: &Incident) -> Vec<String> {
    let mut files = Vec::new();
    for frame in incident.root.trace.iter().flat_map(|trace| &trace.frames).filter(|frame| frame.in_app) {
        if let Some(file) = frame.file.as_ref().filter(|file| !files.contains(*file)) {
            files.push(file.clone());
        }
    }
    files
}

/// The incident without the bulk of its trace.
fn slim(incident: &Incident) -> Incident {
    let mut slim = incident.clone();
    if let Some(trace) = &mut slim.root.trace {
        trace.text.clear();
        trace.message.clear();
        trace.frames.clear();
    }
    slim.root.captures.clear();
    slim.actions.clear();
    slim.recent_metric.clear();
    slim
}

/// A detector's name as part of a folder's name: letters, digits, `.`, `_` and `-`, at most 60.
fn slug(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).take(60).collect();
    safe.trim_matches(['-', '.']).to_owned()
}
