//! What processes and the machine use: memory, open files, disks, accelerators. Some of it may hang (a network file system),
//! so only processes made for it call this, never the monitor's loop.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, io, thread};

use crate::os::clock::SystemClock;

/// Room on a file system as statvfs(3) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes for an unprivileged user.
    pub free: u64,
    /// Inodes for an unprivileged user; `None` where the file system makes them as needed and counts none (btrfs).
    pub inodes_free: Option<u64>,
}

/// Open files of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// Whose.
    pub pid: u32,
    /// How many.
    pub open: u64,
    /// Its soft limit.
    pub limit: u64,
}

/// Anonymous and shared memory of a control group and all below it, in bytes: what cannot simply be dropped, as the page
/// cache in `memory.current` can (cgroup-v2.rst, `memory.stat`). `None` where the group counts no memory.
pub fn group_memory(dir: &Path) -> Option<u64> {
    let text = fs::read_to_string(dir.join("memory.stat")).ok()?;
    let value =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse::<u64>().ok());
    // shmem is a part of `file`, so the two do not overlap.
    Some(value("anon")?.saturating_add(value("shmem").unwrap_or(0)))
}

/// Resident memory of processes, in bytes: all their anonymous memory, and the file-backed and shared memory of the one
/// that has most, since that of the others is mostly the same.
///
/// # Errors
/// When not one of them can be looked at.
pub fn memory(pids: &[u32]) -> io::Result<u64> {
    let (mut anonymous, mut file, mut shared) = (0_u64, 0, 0);
    let mut seen = false;
    let mut trouble = io::Error::from(io::ErrorKind::NotFound);
    for pid in pids {
        match fs::read_to_string(format!("/proc/{pid}/status")) {
            Ok(text) => {
                seen = true;
                let Resident { anonymous: own, file: of_file, shared: of_shared } = Resident::parse(&text);
                anonymous = own.saturating_add(anonymous);
                file = of_file.max(file);
                shared = of_shared.max(shared);
            }
            Err(error) => trouble = error,
        }
    }
    if seen { Ok(anonymous.saturating_add(file).saturating_add(shared)) } else { Err(trouble) }
}

/// Parts of the resident memory of a process, in bytes (proc_pid_status(5)).
#[derive(Debug, Default, PartialEq, Eq)]
struct Resident {
    anonymous: u64,
    file: u64,
    shared: u64,
}

impl Resident {
    fn parse(status: &str) -> Self {
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        let bytes = |key: &str| kib(key).unwrap_or(0).saturating_mul(1024);
        if kib("RssAnon:").is_none() {
            // Before Linux 4.5 nobody tells them apart.
            return Self { anonymous: bytes("VmRSS:"), ..Self::default() };
        }
        Self { anonymous: bytes("RssAnon:"), file: bytes("RssFile:"), shared: bytes("RssShmem:") }
    }
}

/// The process whose open files are the largest part of its limit; `None` where none has a limit.
///
/// # Errors
/// When not one of them can be looked at, as those of another user cannot.
pub fn open_files(pids: &[u32]) -> io::Result<Option<Files>> {
    let mut most: Option<Files> = None;
    let mut seen = false;
    let mut trouble = io::Error::from(io::ErrorKind::NotFound);
    for pid in pids {
        match files_of(*pid) {
            Ok(files) => {
                seen = true;
                let part = |files: &Files| u128::from(files.open) * (1 << 32) / u128::from(files.limit.max(1));
                if let Some(files) = files
                    && most.as_ref().is_none_or(|most| part(&files) > part(most))
                {
                    most = Some(files);
                }
            }
            Err(error) => trouble = error,
        }
    }
    if seen { Ok(most) } else { Err(trouble) }
}

fn files_of(pid: u32) -> io::Result<Option<Files>> {
    let open = u64::try_from(fs::read_dir(format!("/proc/{pid}/fd"))?.count()).unwrap_or(u64::MAX);
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    Ok(file_limit(&limits).map(|limit| Files { pid, open, limit }))
}

/// The soft limit in `/proc/PID/limits`; `None` for `unlimited`.
fn file_limit(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

/// Room on the file systems of these paths, in their order, each with its own answer. One that has not answered after
/// `patience` is left behind in a thread of its own.
pub fn rooms(paths: &[PathBuf], patience: Duration) -> Vec<io::Result<Room>> {
    let (sender, receiver) = mpsc::channel();
    let mut answers: Vec<Option<io::Result<Room>>> = paths.iter().map(|_| None).collect();
    for (at, path) in paths.iter().cloned().enumerate() {
        let sender = sender.clone();
        let asked = thread::Builder::new().name("statvfs".to_owned()).spawn(move || {
            // Nobody waits any more when it comes too late.
            let _ = sender.send((at, room(&path)));
        });
        if let (Err(error), Some(answer)) = (asked, answers.get_mut(at)) {
            *answer = Some(Err(error));
        }
    }
    drop(sender);
    let deadline = SystemClock::mono() + patience;
    while let Ok((at, room)) = receiver.recv_timeout(deadline.since(SystemClock::mono())) {
        if let Some(answer) = answers.get_mut(at) {
            *answer = Some(room);
        }
    }
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the file system has not answered");
    answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(late()))).collect()
}

fn room(path: &Path) -> io::Result<Room> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Room {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes_free: (stat.f_files > 0).then_some(stat.f_favail),
    })
}

/// Accelerators that are there: NVIDIA's by its driver (else by its devices), AMD's by the nodes of its compute driver.
///
/// # Errors
/// When a directory is there and cannot be read.
pub fn gpus() -> io::Result<u32> {
    let nvidia = match names("/proc/driver/nvidia/gpus")? {
        Some(gpus) => gpus.len(),
        None => {
            let devices = names("/dev")?.unwrap_or_default();
            let is_gpu = |name: &&String| {
                name.strip_prefix("nvidia").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            };
            devices.iter().filter(is_gpu).count()
        }
    };
    let nodes = "/sys/class/kfd/kfd/topology/nodes";
    // A processor is a node as well, with the id 0 (`amdkfd/kfd_topology.c`).
    let is_gpu = |node: &&String| {
        fs::read_to_string(format!("{nodes}/{node}/gpu_id")).is_ok_and(|id| !matches!(id.trim(), "" | "0"))
    };
    let amd = names(nodes)?.unwrap_or_default().iter().filter(is_gpu).count();
    Ok(u32::try_from(nvidia.saturating_add(amd)).unwrap_or(u32::MAX))
}

fn names(dir: &str) -> io::Result<Option<BTreeSet<String>>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()
            .map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_status() {
        let new =
            "Name:\tx\nVmRSS:\t    900 kB\nRssAnon:\t     700 kB\nRssFile:\t     150 kB\nRssShmem:\t      50 kB\n";
        assert_eq!(Resident::parse(new), Resident { anonymous: 700 << 10, file: 150 << 10, shared: 50 << 10 });
        let old = "VmRSS:\t    900 kB\n";
        assert_eq!(Resident::parse(old), Resident { anonymous: 900 << 10, file: 0, shared: 0 });
        assert_eq!(Resident::parse("State: Z (zombie)\n"), Resident::default());
    }

    #[test]
    fn limits_are_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max open files            1024                 1048576              files\n";
        assert_eq!(file_limit(text), Some(1024));
        assert_eq!(file_limit("Max open files            unlimited            unlimited            files\n"), None);
        assert_eq!(file_limit(""), None);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let own = std::process::id();
        assert!(memory(&[own, 4_194_305]).unwrap() > 100_000);
        let files = open_files(&[own]).unwrap().unwrap();
        assert!(files.pid == own && files.open >= 3 && files.limit >= files.open, "{files:?}");
        // pid_max is at most 4194304 (proc(5)).
        assert!(memory(&[4_194_305]).is_err() && open_files(&[]).is_err());
        gpus().unwrap();
    }

    #[test]
    fn each_path_has_an_answer_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let rooms = rooms(&[dir.path().into(), dir.path().join("missing"), "/".into()], Duration::from_secs(30));
        assert!(rooms[0].as_ref().unwrap().free > 0);
        assert_eq!(rooms[1].as_ref().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(rooms[2].is_ok());
    }

    #[test]
    fn a_group_counts_what_cannot_be_dropped() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(group_memory(dir.path()), None);
        fs::write(dir.path().join("memory.stat"), "anon 1000\nfile 5000\nanon_thp 7\nshmem 20\n").unwrap();
        assert_eq!(group_memory(dir.path()), Some(1020));
    }
}
