//! Which lines of the kernel's log may explain a failure. The others (devices, networks, audits) are no business of ours.

/// Stream that the kernel's lines are scanned as.
pub const KERNEL_STREAM: &str = "kernel";

/// Parts of lines about accelerators, disks, network file systems and processors that stand still (the kernel's own
/// format strings: `drivers/`, `fs/`, `kernel/watchdog.c`, `kernel/hung_task.c`).
const PARTS: [&str; 19] = [
    "NVRM: Xid",
    "amdgpu: GPU reset",
    "GPU recovery",
    "I/O error",
    "critical medium error",
    "reset controller",
    "Remounting filesystem read-only",
    "EXT4-fs error",
    "BTRFS error",
    "BTRFS critical",
    "Corruption detected",
    "nfs: server",
    "NFS: server",
    "LustreError",
    "was evicted by",
    "soft lockup",
    "hard LOCKUP",
    "blocked for more than",
    "file-max limit",
];

/// Parts of lines about processes that were killed for want of memory (`mm/oom_kill.c`).
const KILLS: [&str; 2] = ["oom-kill:", "ut of memory: Kill"];

/// Whether a line matters to a child with these processes. A process that was killed matters if it is one of them.
pub fn matters(line: &str, pids: &[u32]) -> bool {
    if KILLS.iter().any(|part| line.contains(part)) {
        return killed(line).is_some_and(|pid| pids.contains(&pid));
    }
    PARTS.iter().any(|part| line.contains(part))
}

/// `… task=python,pid=1234,uid=0`, `Out of memory: Killed process 1234 (python) …`.
fn killed(line: &str) -> Option<u32> {
    let after = line
        .rsplit_once(",pid=")
        .or_else(|| line.split_once("Killed process "))
        .or_else(|| line.split_once("Kill process "))?
        .1;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_explain_a_failure_matters() {
        let rows = [
            ("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.", true),
            ("nvme nvme0: I/O 12 QID 3 timeout, reset controller", true),
            ("blk_update_request: I/O error, dev sda, sector 12", true),
            ("nfs: server filer not responding, still trying", true),
            ("watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [python:77]", true),
            ("INFO: task python:77 blocked for more than 120 seconds.", true),
            ("Out of memory: Killed process 77 (python) total-vm:1kB", true),
            ("Memory cgroup out of memory: Killed process 77 (python) total-vm:1kB", true),
            ("oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/x,task=python,pid=77,uid=0", true),
            ("Out of memory: Killed process 770 (java) total-vm:1kB", false),
            ("oom-kill:constraint=CONSTRAINT_NONE,task=java,pid=7,uid=0", false),
            ("IPv6: ADDRCONF(NETDEV_CHANGE): veth1: link becomes ready", false),
            ("audit: type=1400 apparmor=\"DENIED\"", false),
            ("", false),
        ];
        for (line, expected) in rows {
            assert_eq!(matters(line, &[76, 77]), expected, "{line}");
        }
    }
}
