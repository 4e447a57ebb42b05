//! Detections of one cascade, the earliest of them whole.

use super::memory::Gathering;
use crate::detect::Detection;
use crate::incident::Counted;
use crate::incident::order::earlier;

impl Gathering {
    /// Adds a detection where it belongs by when it arrived; `None`: after all that is there. When there are too many, the
    /// latest is only counted.
    pub(super) fn add(&mut self, detection: Detection, arrived: Option<u64>) {
        let newest = self.arrived.iter().max().copied().unwrap_or(0);
        let arrived = arrived.unwrap_or(newest);
        // A journal of an older version holds no order: what is there was written down as it came.
        self.arrived.resize(self.candidates.len(), 0);
        let later = |(at, candidate): &(usize, &Detection)| {
            earlier((&detection, arrived), (candidate, self.arrived.get(*at).copied().unwrap_or(0)))
        };
        let surpassed = self.candidates.iter().enumerate().rev().take_while(later).count();
        let at = self.candidates.len() - surpassed;
        if at >= Self::MAX_CANDIDATES {
            count_one(&mut self.others, &detection);
            return;
        }
        let bulk: usize = self.candidates.iter().filter_map(|one| one.trace.as_ref()).map(|one| one.text.len()).sum();
        self.candidates.insert(at, within(detection, Self::MAX_BULK.saturating_sub(bulk)));
        self.arrived.insert(at, arrived);
        if self.candidates.len() > Self::MAX_CANDIDATES {
            self.arrived.pop();
            if let Some(latest) = self.candidates.pop() {
                count_one(&mut self.others, &latest);
            }
        }
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
