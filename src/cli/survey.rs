//! Looks at resources, for `sentry probe`. What cannot be looked at is said, and keeps nothing else from being looked at.

use std::path::Path;
use std::time::Duration;

use crate::detect::kernel_line;
use crate::detect::look::{
    DiskSpace, KernelLines, KernelQuestion, Memory, MemorySource, OpenFiles, ResourceQuestion, Resources,
};
use crate::os::{identity, kmsg, proc, usage};
use crate::supervisor::record::ChildRecord;

/// A file system that has not answered by then is taken to hang.
const DISK_PATIENCE: Duration = Duration::from_secs(3);
/// Lines of the kernel in one answer, the newest ones.
const MAX_LINES: usize = 200;
/// Characters of a line.
const MAX_LINE: usize = 1000;

/// Looks at all that is asked for.
pub(super) fn look(question: &ResourceQuestion, record: Option<&Path>) -> Resources {
    let mut seen = Resources::default();
    let processes = question.memory || question.open_files || question.kernel.is_some();
    if processes {
        match record.ok_or_else(|| "the child has no record".to_owned()).and_then(tree) {
            Ok((record, pids)) => {
                seen.pids = pids;
                of_processes(question, &record, &mut seen);
            }
            // The kernel's lines alone do without.
            Err(why) if question.memory || question.open_files => {
                seen.unknown.push(format!("processes of the command: {why}"));
            }
            Err(_) => {}
        }
    }
    if question.gpus {
        match usage::gpus() {
            Ok(there) => seen.gpus = Some(there),
            Err(error) => seen.unknown.push(format!("accelerators: {error}")),
        }
    }
    if let Some(question) = &question.kernel {
        match kernel(question, &seen.pids) {
            Ok(lines) => seen.kernel = Some(lines),
            Err(error) => seen.notes.push(format!("kernel log cannot be read ({error})")),
        }
    }
    for (path, room) in question.disks.iter().zip(usage::rooms(&question.disks, DISK_PATIENCE)) {
        match room {
            Ok(usage::Room { free, inodes_free }) => {
                seen.disks.push(DiskSpace { path: path.clone(), free, inodes_free });
            }
            Err(error) => seen.unknown.push(format!("file system of `{}`: {error}", path.display())),
        }
    }
    seen
}

/// The child's record and its living processes: all below its shim, which inherits what loses its parent.
fn tree(record: &Path) -> Result<(ChildRecord, Vec<u32>), String> {
    let record = ChildRecord::read(record)
        .map_err(|error| error.to_line())?
        .ok_or_else(|| "the child has not been started yet".to_owned())?;
    let alive = |process: &Option<_>| process.as_ref().filter(|process| identity::is_alive(process)).map(|it| it.pid);
    let main = alive(&record.process);
    let root = alive(&record.shim).or(main).ok_or_else(|| "the command has ended".to_owned())?;
    let below = proc::descendants(root).map_err(|error| format!("/proc: {error}"))?;
    let mut pids: Vec<u32> = below.iter().filter(|stat| !stat.is_gone()).map(|stat| stat.pid).collect();
    if let Some(main) = main.filter(|main| !pids.contains(main)) {
        pids.push(main);
    }
    Ok((record, pids))
}

fn of_processes(question: &ResourceQuestion, record: &ChildRecord, seen: &mut Resources) {
    if question.memory {
        let group = record.cgroup.as_deref().and_then(usage::group_memory);
        let memory = match group {
            Some(bytes) => Ok(Memory { bytes, source: MemorySource::Cgroup }),
            None => usage::memory(&seen.pids).map(|bytes| Memory { bytes, source: MemorySource::Processes }),
        };
        match memory {
            Ok(memory) => seen.memory = Some(memory),
            Err(error) => seen.unknown.push(format!("memory of the command: {error}")),
        }
    }
    if question.open_files {
        match usage::open_files(&seen.pids) {
            Ok(files) => {
                seen.open_files = files.map(|usage::Files { pid, open, limit }| OpenFiles { pid, open, limit });
            }
            Err(error) => seen.unknown.push(format!("open files of the command: {error}")),
        }
    }
}

fn kernel(question: &KernelQuestion, pids: &[u32]) -> std::io::Result<KernelLines> {
    let known: Vec<u32> = question.pids.iter().chain(pids).copied().collect();
    // What was said before anybody asked belongs to nobody's child.
    let news = question.from.is_some();
    let records = kmsg::read(question.from.unwrap_or(0), |line| news && kernel_line::matters(line, &known))?;
    let surplus = records.messages.len().saturating_sub(MAX_LINES);
    let lines = records.messages.into_iter().skip(surplus).map(|line| line.chars().take(MAX_LINE).collect()).collect();
    Ok(KernelLines { next: records.next, lines })
}
