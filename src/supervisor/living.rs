//! Which children of earlier runs may still be alive: for whoever is about to start another one. Only reads.

use std::fs;
use std::path::Path;

use crate::ids::{ChildNo, RunId};
use crate::monitor::status::ProcessIdentity;
use crate::os::{identity, proc, process};
use crate::paths::Layout;
use crate::supervisor::orphans;
use crate::supervisor::record::ChildRecord;

/// So many runs are looked at, the newest ones.
const RUNS: usize = 20;
/// So many children of each, the newest ones: at most one child of a run is alive.
const CHILDREN: usize = 8;

/// A child that is alive, or may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Living {
    /// Its run.
    pub run: RunId,
    /// Its number.
    pub child: ChildNo,
    /// Its main process, or its shim where that is all that is alive; absent when another machine has not said it yet.
    pub pid: Option<u32>,
    /// What it runs, as far as it can be seen from here: arguments, separated by spaces.
    pub command: Option<String>,
    /// Name of the machine that it runs on, when that is not this one: whether it is alive cannot be seen from here then.
    pub host: Option<String>,
}

/// Children of the newest 20 runs whose end is not recorded and whose main process or shim is alive on this machine, or may
/// be on another one; the newest run first. What cannot be read is left out, unless its shim is found alive.
pub fn living(layout: &Layout) -> Vec<Living> {
    let mut found = Vec::new();
    // Names of runs begin with their time.
    for name in newest(names(&layout.runs()), RUNS) {
        let run = RunId::new(name);
        let children = names(&layout.run(&run)).iter().filter_map(|name| child_of(name)).collect();
        found.extend(newest(children, CHILDREN).into_iter().filter_map(|child| look(layout, &run, child)));
    }
    found
}

fn look(layout: &Layout, run: &RunId, child: ChildNo) -> Option<Living> {
    let path = layout.child_record(run, child);
    let record = ChildRecord::read(&path).ok().flatten();
    if record.as_ref().is_some_and(|record| record.tree_gone.is_some()) {
        return None;
    }
    let alive = |pid: Option<u32>, command, host| Living { run: run.clone(), child, pid, command, host };
    let boot_id = identity::boot_id().ok();
    if let (Some(record), Some(boot_id)) = (&record, &boot_id)
        && let Some(host) = record.elsewhere(boot_id)
    {
        let pid = record.process.as_ref().or(record.shim.as_ref()).map(|process| process.pid);
        return Some(alive(pid, None, Some(host.name.clone())));
    }
    let (main, shim) = record.map_or((None, None), |record| (record.process, record.shim));
    // What cannot be told may be alive.
    let is_alive = |known: &ProcessIdentity| process::pidfd_of(known).map_or(true, |handle| handle.is_some());
    let unknown_shim = shim.is_none();
    let found = [main, shim].into_iter().flatten().find(is_alive).or_else(|| {
        // It has not written itself down yet, or its record is spoilt.
        unknown_shim.then(|| orphans::find_shim(&path).ok().flatten()).flatten()
    })?;
    Some(alive(Some(found.pid), command(found.pid), None))
}

fn command(pid: u32) -> Option<String> {
    let arguments = proc::cmdline(pid);
    let words: Vec<_> = arguments.iter().map(|argument| String::from_utf8_lossy(argument)).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn newest<T: Ord>(mut all: Vec<T>, count: usize) -> Vec<T> {
    all.sort_unstable();
    all.into_iter().rev().take(count).collect()
}

/// The child of a record's file name.
fn child_of(name: &str) -> Option<ChildNo> {
    let number = name.strip_prefix("child-")?.strip_suffix(".json")?.parse().ok()?;
    Some(ChildNo(number))
}
