//! Detections of one cascade, the earliest of them whole.

use super::memory::Gathering;
use crate::detect::Detection;
use crate::ids::Fingerprint;
use crate::incident::order::earlier;
use crate::incident::{Counted, judge};

impl Gathering {
    /// Adds a detection where it belongs by when it arrived; `None`: after all that is there. When there are too many, the
    /// latest copy of a failure is only counted, or else what says least about the cause.
    pub(super) fn add(&mut self, detection: Detection, arrived: Option<u64>, print: Fingerprint) {
        let newest = self.arrived.iter().max().copied().unwrap_or(0);
        let arrived = arrived.unwrap_or(newest);
        // A journal of an older version holds no order: what is there was written down as it came.
        self.arrived.resize(self.candidates.len(), 0);
        self.prints.resize(self.candidates.len(), None);
        let later = |(at, candidate): &(usize, &Detection)| {
            earlier((&detection, arrived), (candidate, self.arrived.get(*at).copied().unwrap_or(0)))
        };
        let surpassed = self.candidates.iter().enumerate().rev().take_while(later).count();
        let at = self.candidates.len() - surpassed;
        let bulk: usize = self.candidates.iter().filter_map(|one| one.trace.as_ref()).map(|one| one.text.len()).sum();
        self.candidates.insert(at, within(detection, Self::MAX_BULK.saturating_sub(bulk)));
        self.arrived.insert(at, arrived);
        self.prints.insert(at, Some(print));
        if self.candidates.len() > Self::MAX_CANDIDATES {
            // A failure that is there already, from another rank; else what says least.
            let again = |at: &usize| {
                self.prints.iter().take(*at).any(|print| print.is_some() && Some(print) == self.prints.get(*at))
            };
            let copy = (0..self.prints.len()).rev().find(again);
            self.count_only(copy.unwrap_or_else(|| judge::least_telling(&self.candidates)));
        }
    }

    /// A candidate becomes a number.
    fn count_only(&mut self, at: usize) {
        self.arrived.remove(at);
        self.prints.remove(at);
        let candidate = self.candidates.remove(at);
        count_one(&mut self.others, &candidate);
    }
}

/// The detection with as much of its trace as there is room for. What JSON would blow up is replaced on the way.
fn within(mut detection: Detection, room: usize) -> Detection {
    const ALWAYS: usize = 4 * 1024;
    const FRAMES: usize = 64;
    if let Some(trace) = &mut detection.trace {
        let harmless = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c };
        trace.text = trace.text.chars().map(harmless).collect();
        let room = room.max(ALWAYS);
        if trace.text.len() > room {
            let end = (0..=room).rev().find(|at| trace.text.is_char_boundary(*at)).unwrap_or(0);
            trace.text.truncate(end);
            trace.cut = true;
            // The innermost frames are at either end.
            let surplus = trace.frames.len().saturating_sub(FRAMES);
            if surplus > 0 && trace.in_app_top.is_none_or(|top| top < FRAMES / 2) {
                trace.frames.truncate(FRAMES);
            }
        }
    }
    detection
}

pub(super) fn count_one(counted: &mut Vec<Counted>, detection: &Detection) {
    merge(
        counted,
        Counted {
            detector: detection.detector.clone(),
            kind: detection.kind,
            count: 1,
            message: detection.message.clone(),
            line: detection.lines.0,
        },
    );
}

pub(super) fn merge(counted: &mut Vec<Counted>, more: Counted) {
    match counted.iter_mut().find(|other| other.detector == more.detector) {
        Some(same) => same.count = same.count.saturating_add(more.count),
        None => counted.push(more),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::detect::{DetectorKind, Severity};
    use crate::ids::{ChildNo, DetectorName, StreamId};
    use crate::time::{Utc, Watched};

    fn of_rank(rank: u64) -> Detection {
        Detection {
            detector: DetectorName::new("boom"),
            kind: DetectorKind::Pattern,
            severity: Severity::Error,
            stream: StreamId::new(format!("rank_{rank}.log")),
            bytes: 0..4,
            lines: (1, 1),
            message: "boom".into(),
            captures: BTreeMap::new(),
            trace: None,
            class: None,
        }
    }

    fn gathering() -> Gathering {
        Gathering {
            child: ChildNo(1),
            since: Watched::default(),
            last: Watched::default(),
            utc: Utc::from_millis(1),
            candidates: Vec::new(),
            arrived: Vec::new(),
            others: Vec::new(),
            prints: Vec::new(),
            copies: Vec::new(),
        }
    }

    fn print(name: impl std::fmt::Display) -> Fingerprint {
        Fingerprint::new(name.to_string())
    }

    fn counted(gathering: &Gathering) -> u64 {
        gathering.others.iter().map(|it| it.count).sum()
    }

    #[test]
    fn the_earliest_stay_whatever_the_order_of_their_reports() {
        let mut gathering = gathering();
        // As thousands of ranks in any order, each with a failure of its own; each arrived at the time of its number.
        for rank in (0..1000_u64).map(|at| at * 617 % 1000) {
            gathering.add(of_rank(rank), Some(rank), print(rank));
        }
        let first: Vec<_> = gathering.candidates.iter().map(|it| it.stream.as_str().to_owned()).collect();
        let expected: Vec<_> = (0..16).map(|rank| format!("rank_{rank}.log")).collect();
        assert_eq!(first, expected);
        assert_eq!(gathering.arrived, (0..16).collect::<Vec<u64>>());
        assert_eq!(counted(&gathering), 984, "none is lost");
        gathering.candidates.truncate(2);
        gathering.arrived.clear();
        gathering.prints.clear();
        gathering.add(of_rank(5), None, print(5));
        assert_eq!(gathering.candidates[2].stream.as_str(), "rank_5.log", "a journal without an order");
    }

    #[test]
    fn copies_leave_room_for_what_comes_late() {
        let mut gathering = gathering();
        for rank in (0..1000_u64).map(|at| at * 617 % 1000) {
            gathering.add(of_rank(rank), Some(10 + rank), print("same"));
        }
        let mut root = of_rank(2000);
        root.message = "why".into();
        gathering.add(root, Some(5000), print("why"));
        let kept: Vec<_> = gathering.candidates.iter().map(|it| it.stream.as_str()).collect();
        assert_eq!((kept[0], kept[15]), ("rank_0.log", "rank_2000.log"), "{kept:?}");
        assert_eq!(counted(&gathering), 985);
    }

    #[test]
    fn what_says_least_makes_room() {
        let mut gathering = gathering();
        for rank in 0..16_u64 {
            let mut warning = of_rank(rank);
            warning.severity = if rank == 3 { Severity::Error } else { Severity::Warning };
            gathering.add(warning, Some(rank), print(rank));
        }
        gathering.add(of_rank(99), Some(99), print(99));
        let kept: Vec<_> = gathering.candidates.iter().map(|it| it.stream.as_str()).collect();
        assert!(kept.contains(&"rank_3.log") && kept.contains(&"rank_99.log"), "{kept:?}");
        assert_eq!((kept.len(), counted(&gathering)), (16, 1));
    }
}
