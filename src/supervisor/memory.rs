//! Whether the kernel killed a child for want of memory, and the control group that knows best (and kills best).

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::detect::ending::{Ending, OutOfMemory};
use crate::os::cgroup::{ChildGroup, OwnGroups};
use crate::os::proc;

const SIGKILL: i32 = 9;

/// Counters before a child's start, to be compared with those after its end.
pub(super) struct MemoryWatch {
    own: OwnGroups,
    own_before: Option<u64>,
    machine_before: Option<u64>,
    group: Option<ChildGroup>,
    note: Option<String>,
}

impl MemoryWatch {
    /// Reads the counters, and makes a control group of this name where that is possible.
    pub(super) fn begin(name: &str) -> Self {
        let own = OwnGroups::find();
        let (group, note) = match ChildGroup::make(&own, name) {
            Ok(group) => (Some(group), None),
            Err(e) => (None, Some(format!("no control group of its own: {}", e.to_line()))),
        };
        Self { own_before: own.oom_kills(), machine_before: proc::oom_kills(), own, group, note }
    }

    pub(super) fn group_dir(&self) -> Option<PathBuf> {
        self.group.as_ref().map(|group| group.dir().to_path_buf())
    }

    /// Why there is no group, once.
    pub(super) fn take_note(&mut self) -> Option<String> {
        self.note.take()
    }

    pub(super) fn entrance(&self) -> Option<OwnedFd> {
        self.group.as_ref().and_then(|group| group.entrance().ok()).map(OwnedFd::from)
    }

    /// Kills the group's processes; nothing where there is none.
    pub(super) fn kill_group(&self) {
        if let Some(group) = &self.group {
            // The walk through /proc kills them as well, only slower.
            let _ = group.kill();
        }
    }

    /// Removes the group.
    pub(super) fn end(&self) {
        if let Some(group) = &self.group {
            group.remove();
        }
    }

    /// Judges an end. `ours`: we have sent SIGKILL ourselves.
    pub(super) fn judge(&self, ending: &Ending, ours: bool) -> OutOfMemory {
        let rose = |before: Option<u64>, after: Option<u64>| matches!((before, after), (Some(b), Some(a)) if a > b);
        if self.group.as_ref().and_then(ChildGroup::oom_kills).is_some_and(|n| n > 0) {
            return OutOfMemory::Certain;
        }
        // The other counters count for others too.
        if ours || !matches!(ending, Ending::Signaled { signal: SIGKILL, .. }) {
            return OutOfMemory::NoSign;
        }
        if rose(self.own_before, self.own.oom_kills()) {
            OutOfMemory::Certain
        } else if rose(self.machine_before, proc::oom_kills()) {
            OutOfMemory::Likely
        } else {
            OutOfMemory::NoSign
        }
    }
}
