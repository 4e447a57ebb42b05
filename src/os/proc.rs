//! What `/proc` says about processes (proc(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, io};

/// Fields of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Field 1.
    pub pid: u32,
    /// Field 3: `R`, `S`, `D`, `Z`, `T`, …
    pub state: u8,
    /// Field 4.
    pub ppid: u32,
    /// Field 5.
    pub pgrp: u32,
    /// Field 6.
    pub session: u32,
    /// Field 22: start in clock ticks since boot.
    pub start_time: u64,
}

impl Stat {
    /// A zombie, or already being removed: it runs nothing and holds nothing any more.
    pub fn is_gone(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Parses a whole `/proc/PID/stat`. The command (field 2) is in parentheses and may hold anything, `)` and line ends
    /// included, so the fields are counted from the last `)`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let open = bytes.iter().position(|&b| b == b'(')?;
        let close = bytes.iter().rposition(|&b| b == b')')?;
        let pid = std::str::from_utf8(bytes.get(..open)?).ok()?.trim().parse().ok()?;
        let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let ppid = fields.next()?.parse().ok()?;
        let pgrp = fields.next()?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        // Field 22; field 7 is next.
        let start_time = fields.nth(22 - 7)?.parse().ok()?;
        Some(Self { pid, state, ppid, pgrp, session, start_time })
    }
}

/// Looks at one process. `Ok(None)`: there is none with this number.
///
/// # Errors
/// When `/proc` cannot be read for any other reason: the process may well exist.
pub fn stat(pid: u32) -> io::Result<Option<Stat>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(bytes) => Stat::parse(&bytes).map(Some).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has an unknown shape"))
        }),
        Err(e) if is_no_process(&e) => {
            // Without /proc nothing can be said about any process, and absence must not be read as an end.
            if fs::metadata("/proc/self").is_ok() { Ok(None) } else { Err(e) }
        }
        Err(e) => Err(e),
    }
}

/// All processes that can be seen; those that vanish meanwhile are left out.
///
/// # Errors
/// When `/proc` itself cannot be read.
pub fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        if let Ok(Some(stat)) = stat(pid) {
            found.push(stat);
        }
    }
    Ok(found)
}

/// Everything below `root` by parent links, zombies included, `root` itself not; parents before children.
///
/// # Errors
/// When `/proc` itself cannot be read.
pub fn descendants(root: u32) -> io::Result<Vec<Stat>> {
    Ok(below(root, &all()?))
}

fn below(root: u32, all: &[Stat]) -> Vec<Stat> {
    let mut children: BTreeMap<u32, Vec<Stat>> = BTreeMap::new();
    for stat in all {
        children.entry(stat.ppid).or_default().push(*stat);
    }
    let mut seen = BTreeSet::from([root]);
    let mut queue = vec![root];
    let mut found = Vec::new();
    // The list is no snapshot, so parent links may form a circle: `seen` breaks it.
    while let Some(parent) = queue.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if seen.insert(child.pid) {
                found.push(*child);
                queue.push(child.pid);
            }
        }
    }
    found
}

/// argv of a process; empty for zombies, kernel threads and processes that have gone.
pub fn cmdline(pid: u32) -> Vec<Vec<u8>> {
    split_nul(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
}

/// Whether the environment that a process was started with holds every one of `wanted` (`NAME=value`). A process that
/// cannot be looked into does not.
pub fn environ_has(pid: u32, wanted: &[String]) -> bool {
    let environ = split_nul(&fs::read(format!("/proc/{pid}/environ")).unwrap_or_default());
    !wanted.is_empty() && wanted.iter().all(|w| environ.iter().any(|e| e == w.as_bytes()))
}

/// `oom_kill` of `/proc/vmstat`: processes that the kernel has killed for want of memory since boot. `None` where it is
/// not counted (Linux before 4.13).
pub fn oom_kills() -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse().ok())
}

fn split_nul(bytes: &[u8]) -> Vec<Vec<u8>> {
    let trimmed = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if trimmed.is_empty() {
        return Vec::new();
    }
    trimmed.split(|&b| b == 0).map(<[u8]>::to_vec).collect()
}

/// ENOENT: no such entry. ESRCH: it went away between open and read.
fn is_no_process(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAIL: &str = " S 7 42 41 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 20 18446744073709551615\n";

    #[test]
    fn stat_survives_any_command_name() {
        let names: [(&str, &[u8]); 5] = [
            ("plain", b"bash"),
            ("spaces", b"tmux: server"),
            ("a closing parenthesis", b"a) R 1 2 (b"),
            ("line end", b"x\ny"),
            ("no text", b"\xff\xfe"),
        ];
        for (case, name) in names {
            let mut bytes = b"42 (".to_vec();
            bytes.extend_from_slice(name);
            bytes.push(b')');
            bytes.extend_from_slice(TAIL.as_bytes());
            let expected = Stat { pid: 42, state: b'S', ppid: 7, pgrp: 42, session: 41, start_time: 987_654 };
            assert_eq!(Stat::parse(&bytes), Some(expected), "{case}");
        }
    }

    #[test]
    fn own_stat_is_seen_and_an_impossible_process_is_absent() {
        let own = stat(std::process::id()).unwrap().unwrap();
        assert_eq!(own.ppid, rustix::process::getppid().unwrap().as_raw_nonzero().get() as u32);
        // pid_max is at most 4194304 (proc(5)).
        assert_eq!(stat(4_194_305).unwrap(), None);
    }

    #[test]
    fn descendants_follow_parents_through_any_order_and_circles() {
        let p = |pid, ppid| Stat { pid, state: b'S', ppid, pgrp: 0, session: 0, start_time: 0 };
        let all = [p(5, 4), p(4, 2), p(2, 1), p(3, 1), p(9, 8), p(8, 9)];
        let pids: BTreeSet<u32> = below(2, &all).iter().map(|s| s.pid).collect();
        assert_eq!(pids, BTreeSet::from([4, 5]));
        assert_eq!(below(9, &all).len(), 1);
    }

    proptest! {
        #[test]
        fn stat_parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Stat::parse(&bytes);
        }
    }
}
