//! Which parts of its work a child is in: checkpoint, evaluation, compilation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::PhaseMarks;
use crate::ids::{PhaseName, StreamId};
use crate::time::Watched;

/// Streams of which is remembered that they are in a phase. Of thousands of ranks that enter one together, it lasts until these
/// have left.
const MAX_STREAMS: usize = 256;

/// The phases that are on, by the streams that said so.
///
/// A phase is on while any stream of the child is in it. A second begin changes nothing. An end in a stream that has not begun it
/// ends it everywhere. It ends `max` after its begin at the latest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phases {
    on: BTreeMap<PhaseName, BTreeMap<StreamId, Watched>>,
}

impl Phases {
    /// A stream says that a phase begins.
    pub fn begin(&mut self, phase: &PhaseName, stream: &StreamId, now: Watched) {
        if !self.on.contains_key(phase) {
            self.on.insert(phase.clone(), BTreeMap::new());
        }
        let Some(streams) = self.on.get_mut(phase) else { return };
        if streams.len() < MAX_STREAMS && !streams.contains_key(stream) {
            streams.insert(stream.clone(), now);
        }
    }

    /// A stream says that a phase ends.
    pub fn end(&mut self, phase: &PhaseName, stream: &StreamId) {
        let Some(streams) = self.on.get_mut(phase) else { return };
        if streams.remove(stream).is_none() || streams.is_empty() {
            self.on.remove(phase);
        }
    }

    /// Ends those that have lasted too long, or that are not configured any more. When the last of them ended.
    pub fn expire(&mut self, marks: &[PhaseMarks], now: Watched) -> Option<Watched> {
        let mut last = None;
        self.on.retain(|phase, streams| {
            let max = marks.iter().find(|mark| mark.name == *phase).map(|mark| mark.max);
            streams.retain(|_, since| {
                let end = max.map_or(*since, |max| *since + max);
                let on = end > now;
                if !on {
                    last = last.max(Some(end));
                }
                on
            });
            !streams.is_empty()
        });
        last
    }

    /// When the next one ends at the latest.
    pub fn next_end(&self, marks: &[PhaseMarks]) -> Option<Watched> {
        let ends = self.on.iter().filter_map(|(phase, streams)| {
            let max = marks.iter().find(|mark| mark.name == *phase)?.max;
            streams.values().map(|since| *since + max).min()
        });
        ends.min()
    }

    /// Whether one of these is on.
    pub fn any(&self, phases: &[PhaseName]) -> bool {
        !self.on.is_empty() && phases.iter().any(|phase| self.on.contains_key(phase))
    }

    /// Names of those that are on.
    pub fn names(&self) -> impl Iterator<Item = &PhaseName> {
        self.on.keys()
    }

    /// Forgets them: another child begins.
    pub fn clear(&mut self) {
        self.on.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn names(phases: &Phases) -> Vec<&str> {
        phases.names().map(PhaseName::as_str).collect()
    }

    #[test]
    fn begin_end_and_the_longest_time() {
        let mark = |name: &str, max| PhaseMarks {
            name: PhaseName::new(name),
            begin: regex::bytes::Regex::new("b").expect("valid"),
            end: None,
            max: Duration::from_secs(max),
        };
        let marks = [mark("save", 10), mark("eval", 100)];
        let [save, eval] = [PhaseName::new("save"), PhaseName::new("eval")];
        let [one, two] = [StreamId::new("one"), StreamId::new("two")];
        let at = |seconds: u64| Watched::from_millis(seconds * 1000);
        let mut phases = Phases::default();
        phases.begin(&save, &one, at(0));
        phases.begin(&save, &two, at(1));
        phases.begin(&save, &one, at(5));
        phases.end(&save, &one);
        assert!(phases.any(std::slice::from_ref(&save)), "two is still in it");
        phases.end(&save, &two);
        assert_eq!(names(&phases), [""; 0]);

        phases.begin(&save, &one, at(20));
        phases.begin(&save, &one, at(29));
        phases.begin(&eval, &one, at(20));
        assert_eq!(phases.next_end(&marks), Some(at(30)), "a second begin does not make it longer");
        assert_eq!(phases.expire(&marks, at(29)), None);
        assert_eq!(phases.expire(&marks, at(40)), Some(at(30)));
        assert_eq!(names(&phases), ["eval"]);
        phases.end(&eval, &two);
        assert_eq!(names(&phases), [""; 0], "an end from elsewhere ends it");
        phases.begin(&eval, &one, at(50));
        assert_eq!(phases.expire(&marks[..1], at(50)), Some(at(50)), "not configured any more");
    }
}
