//! Judges looks at memory, open files, disks, accelerators and the kernel's lines. Pure logic: looks come in, detections
//! come out.

use std::collections::{BTreeMap, BTreeSet};

use super::Detection;
use super::alarm::Alarm;
use super::growth::Growth;
use super::look::{KernelQuestion, Place, Question, ResourceQuestion, Resources, Source, size, span};
use super::xid::{self, Xid, XidAction};
use crate::config::{self, Resource, What};
use crate::time::Watched;

/// A value within this part of its limit is near it.
const NEAR: f64 = 0.05;

/// Looks for one `resource` detector after one child. What could not be looked at neither confirms nor clears anything.
#[derive(Clone, Debug)]
pub struct ResourceWatch {
    limits: Resource,
    source: Source,
    growth: Option<Growth>,
    /// When growth was last seen.
    grew: Option<Watched>,
    /// By what is watched: a disk has one for space and one for inodes.
    alarms: BTreeMap<String, Alarm>,
}

/// Something beyond its limit, or not.
struct Finding {
    key: String,
    reason: &'static str,
    bad: bool,
    /// Not beyond its limit, and not far from it: an alarm that is on stays on.
    near: bool,
    message: String,
    captures: Vec<(&'static str, String)>,
}

impl ResourceWatch {
    /// `None` for detectors of other kinds.
    pub fn new(detector: &config::Detector) -> Option<Self> {
        let What::Resource(limits) = &detector.what else { return None };
        let limits = (**limits).clone();
        let growth = limits.memory_growth_per_hour.map(|_| Growth::new(limits.growth_window, limits.every));
        Some(Self { limits, source: Source::of(detector), growth, grew: None, alarms: BTreeMap::new() })
    }

    /// What is to be looked at. `kernel` where this detector is the one that reads the kernel's lines.
    pub fn question(&self, kernel: Option<KernelQuestion>) -> Question {
        let limits = &self.limits;
        Question::Resources(ResourceQuestion {
            memory: limits.memory_above.is_some() || limits.memory_growth_per_hour.is_some(),
            open_files: limits.open_files_above.is_some(),
            disks: limits.disks.clone(),
            gpus: limits.gpus.is_some(),
            kernel: kernel.filter(|_| limits.kernel_log),
        })
    }

    /// Whether it wants the kernel's lines.
    pub fn reads_kernel(&self) -> bool {
        self.limits.kernel_log
    }

    /// Judges what a look has brought.
    pub fn judge(&mut self, seen: &Resources, now: Watched, place: &Place) -> Vec<Detection> {
        let mut findings = Vec::new();
        findings.extend(self.memory_above(seen));
        findings.extend(self.memory_growth(seen, now));
        findings.extend(self.open_files(seen));
        findings.extend(self.disks(seen));
        findings.extend(self.gpus(seen));
        let mut detections = Vec::new();
        for Finding { key, reason, bad, near, message, captures } in findings {
            let alarm = self.alarms.entry(key).or_default();
            // A value that plays around its limit is one episode.
            if !(alarm.is_on() && !bad && near) && alarm.see(bad, self.limits.confirmations) {
                detections.push(self.source.detection(place, reason, message, captures));
            }
        }
        detections.extend(self.xids(seen, place));
        detections
    }

    /// Whether something was beyond its limit when last looked at.
    pub fn is_bad(&self) -> bool {
        self.alarms.values().any(|alarm| alarm.in_a_row() > 0)
    }

    fn memory_above(&self, seen: &Resources) -> Option<Finding> {
        let (limit, memory) = (self.limits.memory_above?, seen.memory?);
        Some(Finding {
            key: "memory".to_owned(),
            reason: "memory_above",
            bad: memory.bytes > limit,
            near: memory.bytes > limit - part_of(limit),
            message: format!(
                "memory of the command is {} ({}), above {}",
                size(memory.bytes),
                memory.source.as_str(),
                size(limit)
            ),
            captures: vec![("value", memory.bytes.to_string()), ("limit", limit.to_string())],
        })
    }

    fn memory_growth(&mut self, seen: &Resources, now: Watched) -> Option<Finding> {
        let (limit, memory) = (self.limits.memory_growth_per_hour?, seen.memory?);
        let growth = self.growth.as_mut()?;
        growth.see(as_float(memory.bytes), now);
        let steady = growth.steady(as_float(limit));
        if steady.is_some() {
            self.grew = Some(now);
        }
        // A leak that pauses is still the same leak. After a pause a whole window has to pass before it can be seen again.
        let near = self.grew.is_some_and(|at| now.since(at) < self.limits.growth_window * 2);
        let (per_hour, over) =
            steady.map_or((0, String::new()), |steady| (as_whole(steady.per_hour), span(round(steady.over))));
        Some(Finding {
            key: "growth".to_owned(),
            reason: "memory_growth",
            bad: steady.is_some(),
            near,
            message: format!(
                "memory of the command grew by {}/h over {over}, to {} ({})",
                size(per_hour),
                size(memory.bytes),
                memory.source.as_str()
            ),
            captures: vec![
                ("value", memory.bytes.to_string()),
                ("per_hour", per_hour.to_string()),
                ("limit", limit.to_string()),
            ],
        })
    }

    fn open_files(&self, seen: &Resources) -> Option<Finding> {
        let (part, files) = (self.limits.open_files_above?, seen.open_files.as_ref()?);
        Some(Finding {
            key: "open_files".to_owned(),
            reason: "open_files",
            bad: as_float(files.open) > part * as_float(files.limit),
            near: as_float(files.open) > part * (1.0 - NEAR) * as_float(files.limit),
            message: format!(
                "process {} has {} of {} files open, more than {}",
                files.pid,
                files.open,
                files.limit,
                percent(part)
            ),
            captures: vec![
                ("value", files.open.to_string()),
                ("limit", files.limit.to_string()),
                ("pid", files.pid.to_string()),
            ],
        })
    }

    fn disks(&self, seen: &Resources) -> Vec<Finding> {
        let mut findings = Vec::new();
        for disk in &seen.disks {
            let path = disk.path.display().to_string();
            if let Some(limit) = self.limits.disk_free_below {
                findings.push(Finding {
                    key: format!("space {path}"),
                    reason: "disk_free",
                    bad: disk.free < limit,
                    near: disk.free < limit.saturating_add(part_of(limit)),
                    message: format!("free space on {path} is {}, below {}", size(disk.free), size(limit)),
                    captures: vec![
                        ("value", disk.free.to_string()),
                        ("limit", limit.to_string()),
                        ("path", path.clone()),
                    ],
                });
            }
            if let (Some(limit), Some(free)) = (self.limits.inodes_free_below, disk.inodes_free) {
                findings.push(Finding {
                    key: format!("inodes {path}"),
                    reason: "inodes_free",
                    bad: free < limit,
                    near: free < limit.saturating_add(part_of(limit)),
                    message: format!("free inodes on {path} are {free}, below {limit}"),
                    captures: vec![("value", free.to_string()), ("limit", limit.to_string()), ("path", path.clone())],
                });
            }
        }
        findings
    }

    fn gpus(&self, seen: &Resources) -> Option<Finding> {
        let (wanted, there) = (self.limits.gpus?, seen.gpus?);
        Some(Finding {
            key: "gpus".to_owned(),
            reason: "gpus",
            bad: there < wanted,
            near: false,
            message: format!("{there} of {wanted} accelerators are there"),
            captures: vec![("value", there.to_string()), ("limit", wanted.to_string())],
        })
    }

    /// The driver says it once, so nothing is waited for; the same of one accelerator is told once per look.
    fn xids(&self, seen: &Resources, place: &Place) -> Vec<Detection> {
        let lines = seen.kernel.iter().flat_map(|kernel| &kernel.lines);
        let mut told = BTreeSet::new();
        let mut detections = Vec::new();
        for found in lines.filter_map(|line| Xid::parse(line)) {
            let action = xid::action(found.number);
            if action == XidAction::Ignore || !told.insert((found.number, found.device.clone())) {
                continue;
            }
            let text = if found.text.is_empty() { String::new() } else { format!(": {}", found.text) };
            let message =
                format!("Xid {} on GPU {}{text} (NVIDIA's action: {})", found.number, found.device, action.words());
            let captures =
                [("value", found.number.to_string()), ("path", found.device), ("action", action.words().to_owned())];
            detections.push(self.source.detection(place, &format!("xid_{}", found.number), message, captures));
        }
        detections
    }
}

/// What a look saw, in a few words for people.
pub fn in_words(seen: &Resources) -> String {
    let mut words = Vec::new();
    words.extend(seen.memory.map(|memory| format!("memory {} ({})", size(memory.bytes), memory.source.as_str())));
    words.extend(seen.open_files.as_ref().map(|files| format!("{} of {} files open", files.open, files.limit)));
    for disk in &seen.disks {
        let inodes = disk.inodes_free.map_or_else(String::new, |free| format!(", {free} inodes"));
        words.push(format!("{} free on {}{inodes}", size(disk.free), disk.path.display()));
    }
    words.extend(seen.gpus.map(|there| format!("{there} accelerators")));
    words.extend(seen.notes.iter().cloned());
    if words.is_empty() { "nothing could be seen".to_owned() } else { words.join("; ") }
}

/// What is near a limit, in its unit.
fn part_of(limit: u64) -> u64 {
    as_whole(as_float(limit) * NEAR)
}

/// To the minute where that is enough.
fn round(time: std::time::Duration) -> std::time::Duration {
    let seconds = time.as_secs();
    if seconds >= 600 { std::time::Duration::from_secs((seconds + 30) / 60 * 60) } else { time }
}

fn percent(part: f64) -> String {
    format!("{} %", (part * 1000.0).round() / 10.0)
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "sizes are compared, not added up")]
fn as_float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, which is right for a size"
)]
fn as_whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::look::{DiskSpace, KernelLines, Memory, MemorySource, OpenFiles};
    use super::*;
    use crate::detect::Severity;
    use crate::ids::{DetectorName, StreamId};

    const GIB: u64 = 1 << 30;

    fn limits() -> Resource {
        Resource {
            every: Duration::from_secs(30),
            memory_above: None,
            memory_growth_per_hour: None,
            growth_window: Duration::from_secs(3600),
            open_files_above: None,
            disks: Vec::new(),
            disk_free_below: None,
            inodes_free_below: None,
            gpus: None,
            kernel_log: true,
            confirmations: 2,
        }
    }

    fn watch(limits: Resource) -> ResourceWatch {
        let detector = config::Detector {
            name: DetectorName::new("machine"),
            severity: Severity::Error,
            cooldown: Duration::ZERO,
            what: What::Resource(Box::new(limits)),
        };
        ResourceWatch::new(&detector).unwrap()
    }

    fn place() -> Place {
        Place { stream: StreamId::new("child-001"), byte: 17 }
    }

    fn judge(watch: &mut ResourceWatch, seen: &Resources, second: u64) -> Vec<(String, String)> {
        let found = watch.judge(seen, Watched::from_millis(second * 1000), &place());
        found.into_iter().map(|found| (found.captures["reason"].clone(), found.message)).collect()
    }

    fn memory(bytes: u64) -> Resources {
        Resources { memory: Some(Memory { bytes, source: MemorySource::Processes }), ..Resources::default() }
    }

    fn disk(free: u64, inodes_free: Option<u64>) -> Resources {
        Resources { disks: vec![DiskSpace { path: PathBuf::from("/data"), free, inodes_free }], ..Resources::default() }
    }

    #[test]
    fn each_limit_fires_once_when_looks_agree() {
        let rows = [
            (
                Resource { memory_above: Some(8 * GIB), ..limits() },
                memory(9 * GIB),
                memory(7 * GIB),
                "memory_above",
                "memory of the command is 9 GiB (processes), above 8 GiB",
            ),
            (
                Resource { disk_free_below: Some(5 * GIB), ..limits() },
                disk(3_328_599_654, None),
                disk(6 * GIB, None),
                "disk_free",
                "free space on /data is 3.1 GiB, below 5 GiB",
            ),
            (
                Resource { inodes_free_below: Some(1000), ..limits() },
                disk(0, Some(999)),
                disk(0, Some(1100)),
                "inodes_free",
                "free inodes on /data are 999, below 1000",
            ),
            (
                Resource { gpus: Some(8), ..limits() },
                Resources { gpus: Some(7), ..Resources::default() },
                Resources { gpus: Some(8), ..Resources::default() },
                "gpus",
                "7 of 8 accelerators are there",
            ),
            (
                Resource { open_files_above: Some(0.9), ..limits() },
                Resources { open_files: Some(OpenFiles { pid: 7, open: 95, limit: 100 }), ..Resources::default() },
                Resources { open_files: Some(OpenFiles { pid: 7, open: 80, limit: 100 }), ..Resources::default() },
                "open_files",
                "process 7 has 95 of 100 files open, more than 90 %",
            ),
        ];
        for (limits, bad, good, reason, message) in rows {
            let mut watch = watch(limits);
            let expected = vec![(reason.to_owned(), message.to_owned())];
            assert_eq!(judge(&mut watch, &bad, 0), [], "{reason}: one look is not enough");
            assert!(watch.is_bad());
            assert_eq!(judge(&mut watch, &Resources::default(), 1), [], "{reason}: no look is no recovery");
            assert_eq!(judge(&mut watch, &bad, 2), expected);
            assert_eq!(judge(&mut watch, &bad, 3), [], "{reason}: once per episode");
            assert_eq!(judge(&mut watch, &good, 4), []);
            assert_eq!(judge(&mut watch, &good, 5), []);
            assert!(!watch.is_bad(), "{reason}");
            assert_eq!(judge(&mut watch, &bad, 6), []);
            assert_eq!(judge(&mut watch, &bad, 7), expected, "{reason}: armed again");
        }
    }

    #[test]
    fn a_value_around_its_limit_is_one_episode() {
        let mut watch = watch(Resource { disk_free_below: Some(100 * GIB), confirmations: 1, ..limits() });
        for (at, (free, fires)) in
            [(99, true), (101, false), (99, false), (104, false), (98, false), (106, false), (101, false), (99, true)]
                .into_iter()
                .enumerate()
        {
            let found = judge(&mut watch, &disk(free * GIB, None), at as u64);
            assert_eq!(found.len(), usize::from(fires), "look {at}");
        }
    }

    #[test]
    fn disks_have_alarms_of_their_own() {
        let mut watch = watch(Resource { disk_free_below: Some(GIB), confirmations: 1, ..limits() });
        let two = |first, second| Resources {
            disks: vec![
                DiskSpace { path: "/a".into(), free: first, inodes_free: None },
                DiskSpace { path: "/dev/shm".into(), free: second, inodes_free: None },
            ],
            ..Resources::default()
        };
        assert_eq!(judge(&mut watch, &two(0, GIB), 0).len(), 1);
        let second = judge(&mut watch, &two(0, 0), 1);
        assert_eq!(second, [("disk_free".to_owned(), "free space on /dev/shm is 0 B, below 1 GiB".to_owned())]);
    }

    #[test]
    fn growth_is_told_with_its_numbers() {
        let mut watch = watch(Resource { memory_growth_per_hour: Some(GIB), ..limits() });
        let found: Vec<_> = (0..240)
            .flat_map(|look| judge(&mut watch, &memory(10 * GIB + look * 30 * (GIB / 2400)), look * 30))
            .collect();
        let [(reason, message)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(reason, "memory_growth");
        assert_eq!(message, "memory of the command grew by 1.5 GiB/h over 1 h, to 11.5 GiB (processes)");
    }

    #[test]
    fn a_leak_that_pauses_is_one_leak() {
        let mut watch = watch(Resource { memory_growth_per_hour: Some(GIB), ..limits() });
        // Of every two hours it grows for one and a half; after eight it has been found.
        let bytes = |second: u64| 10 * GIB + (second / 7200 * 5400 + (second % 7200).min(5400)) * (GIB / 1200);
        let told: Vec<u64> = (0..960)
            .map(|look| look * 30)
            .filter(|second| !judge(&mut watch, &memory(bytes(*second)), *second).is_empty())
            .collect();
        assert_eq!(told.len(), 1, "{told:?}");
        let after: usize = (960..2000).map(|look| judge(&mut watch, &memory(bytes(28_800)), look * 30).len()).sum();
        assert_eq!((after, watch.is_bad()), (0, false));
    }

    #[test]
    fn xids_are_told_with_what_nvidia_says_about_them() {
        let mut watch = watch(limits());
        let lines = [
            "NVRM: Xid (PCI:0000:3b:00): 79, pid=7, name=python, GPU has fallen off the bus.",
            "NVRM: Xid (PCI:0000:3b:00): 79, pid=8, name=python, GPU has fallen off the bus.",
            "NVRM: Xid (PCI:0000:3b:00): 43, pid=8, name=python, Ch 00000010",
            "nfs: server filer not responding, still trying",
        ];
        let kernel = KernelLines { next: 5, lines: lines.map(str::to_owned).to_vec() };
        let seen = Resources { kernel: Some(kernel), ..Resources::default() };
        let message =
            "Xid 79 on GPU PCI:0000:3b:00: GPU has fallen off the bus. (NVIDIA's action: restart the machine)";
        assert_eq!(judge(&mut watch, &seen, 0), [("xid_79".to_owned(), message.to_owned())]);
    }

    #[test]
    fn asks_only_for_what_has_a_limit() {
        let asked = |limits: Resource| match watch(limits).question(Some(KernelQuestion::default())) {
            Question::Resources(asked) => (asked.memory, asked.open_files, asked.gpus, asked.kernel.is_some()),
            other => panic!("{other:?}"),
        };
        assert_eq!(asked(limits()), (false, false, false, true));
        assert_eq!(asked(Resource { memory_growth_per_hour: Some(1), ..limits() }), (true, false, false, true));
        assert_eq!(asked(Resource { gpus: Some(1), kernel_log: false, ..limits() }), (false, false, true, false));
    }
}
