//! Finds and ends processes of a child whose shim is gone: without the shim nobody is their parent, so they are known by
//! what they carry.

use std::io;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::ids::{ChildNo, RunId};
use crate::monitor::status::ProcessIdentity;
use crate::os::cgroup::ChildGroup;
use crate::os::{identity, proc, process};
use crate::supervisor::record::ChildRecord;

/// Variable of every process of a child: its run.
pub(super) const RUN_VARIABLE: &str = "SENTRY_RUN";
/// Variable of every process of a child: its number.
pub(super) const CHILD_VARIABLE: &str = "SENTRY_CHILD";
/// Name of the hidden subcommand.
pub(super) const SHIM: &str = "shim";
/// First option of the shim.
pub(super) const RECORD: &str = "--record";

/// The living shim that writes this record, found by its arguments.
pub(super) fn find_shim(record: &Path) -> io::Result<Option<ProcessIdentity>> {
    use std::os::unix::ffi::OsStrExt;
    for stat in proc::all()? {
        let argv = proc::cmdline(stat.pid);
        let is_it = argv.get(1).is_some_and(|a| a == SHIM.as_bytes())
            && argv.get(2).is_some_and(|a| a == RECORD.as_bytes())
            && argv.get(3).is_some_and(|a| a == record.as_os_str().as_bytes());
        if is_it {
            return identity::look(stat.pid);
        }
    }
    Ok(None)
}

/// Living processes of a child, whoever their parent is now: those that carry its variables, those below its main process,
/// and that itself. Its shim carries the variables as well and is left out.
pub(super) fn of_child(run: &RunId, child: ChildNo, record: Option<&ChildRecord>) -> io::Result<Vec<proc::Stat>> {
    let marks = marks(run, child);
    let main = record.and_then(|r| r.process.as_ref());
    let main = main.filter(|p| identity::is_alive(p)).map(|p| p.pid);
    let below: Vec<u32> = match main {
        Some(pid) => proc::descendants(pid)?.iter().map(|s| s.pid).chain([pid]).collect(),
        None => Vec::new(),
    };
    let shim = record.and_then(|r| r.shim.as_ref()).filter(|p| identity::is_alive(p)).map(|p| p.pid);
    let mut found = proc::all()?;
    found.retain(|stat| {
        !stat.is_gone() && Some(stat.pid) != shim && (below.contains(&stat.pid) || proc::environ_has(stat.pid, &marks))
    });
    Ok(found)
}

/// Asks the child's group to stop, if its main process is alive and so the number of the group is its own; otherwise every
/// process that is left.
pub(super) fn ask(record: Option<&ChildRecord>, left: &[proc::Stat], signal: Signal) -> io::Result<()> {
    let main = record.and_then(|r| r.process.as_ref());
    if let Some(main) = main.filter(|p| identity::is_alive(p)) {
        process::signal_group(main.pid, signal)?;
        process::signal_group(main.pid, Signal::SIGCONT)?;
        return Ok(());
    }
    for stat in left {
        process::signal_seen(stat, signal)?;
        process::signal_seen(stat, Signal::SIGCONT)?;
    }
    Ok(())
}

/// Kills what is left, once.
pub(super) fn kill(record: Option<&ChildRecord>, left: &[proc::Stat]) -> io::Result<()> {
    if let Some(group) = record.and_then(group_of) {
        // The walk below finds most of them too.
        let _ = group.kill();
    }
    for stat in left {
        process::signal_seen(stat, Signal::SIGKILL)?;
    }
    Ok(())
}

/// Name of the control group of a child.
pub(super) fn group_name(run: &RunId, child: ChildNo) -> String {
    format!("sentry-{run}-{}", child.stem())
}

/// The control group of a child. A recorded directory with any other name than its own is not believed.
pub(super) fn group_of(record: &ChildRecord) -> Option<ChildGroup> {
    let name = group_name(&record.run, record.child);
    record.cgroup.as_ref().filter(|dir| dir.ends_with(&name)).map(|dir| ChildGroup::at(dir.clone()))
}

fn marks(run: &RunId, child: ChildNo) -> Vec<String> {
    vec![format!("{RUN_VARIABLE}={run}"), format!("{CHILD_VARIABLE}={child}")]
}
