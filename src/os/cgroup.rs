//! Control groups (cgroups(7), and the kernel's `cgroup-v2.rst`), as far as an ordinary user may use them. All of it is a
//! bonus: whatever fails is gone without.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::os::error::{At, AtExt};

/// The groups that this process is in; `None` where there is none or its mount cannot be found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnGroups {
    /// Directory of the group in the unified hierarchy.
    pub v2: Option<PathBuf>,
    /// Directory of the group in the memory hierarchy of version 1.
    pub v1_memory: Option<PathBuf>,
}

impl OwnGroups {
    /// Finds them.
    pub fn find() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::from_proc(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
    }

    /// Finds them in the texts of `/proc/self/cgroup` and `/proc/self/mountinfo` (proc(5)).
    fn from_proc(cgroup: &str, mountinfo: &str) -> Self {
        let mut own = Self::default();
        for line in cgroup.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            if number == "0" && controllers.is_empty() {
                own.v2 = locate(mountinfo, path, |kind, _| kind == "cgroup2");
            } else if controllers.split(',').any(|c| c == "memory") {
                own.v1_memory = locate(mountinfo, path, |kind, options| {
                    kind == "cgroup" && options.split(',').any(|o| o == "memory")
                });
            }
        }
        own
    }

    /// Kills for want of memory that these groups have counted. `None` where nobody counts.
    pub fn oom_kills(&self) -> Option<u64> {
        let v2 = self.v2.as_ref().and_then(|dir| counted(&dir.join("memory.events")));
        let v1 = self.v1_memory.as_ref().and_then(|dir| counted(&dir.join("memory.oom_control")));
        match (v2, v1) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
        }
    }
}

/// A group of the unified hierarchy made for one child.
#[derive(Debug)]
pub struct ChildGroup {
    dir: PathBuf,
}

impl ChildGroup {
    /// Makes a group below ours.
    ///
    /// # Errors
    /// Commonly: no unified hierarchy, read-only, or not ours.
    pub fn make(own: &OwnGroups, name: &str) -> Result<Self, At> {
        let Some(parent) = &own.v2 else {
            return Err(At {
                verb: "find the mount of cgroup v2 in",
                path: "/proc/self/mountinfo".into(),
                source: io::ErrorKind::NotFound.into(),
            });
        };
        let dir = parent.join(name);
        fs::create_dir(&dir).at(&dir, "create control group")?;
        let group = Self { dir };
        // Linux 5.14; without it the group is of no use.
        fs::metadata(group.dir.join("cgroup.kill")).at(&group.dir, "find cgroup.kill in")?;
        Ok(group)
    }

    /// The group of an earlier process, by its directory.
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A descriptor: whoever writes `0` to it enters the group.
    ///
    /// # Errors
    /// Of open(2).
    pub fn entrance(&self) -> Result<File, At> {
        let path = self.dir.join("cgroup.procs");
        OpenOptions::new().write(true).open(&path).at(&path, "open")
    }

    /// Kills every process in it, and all that they start meanwhile.
    ///
    /// # Errors
    /// Of open(2) and write(2).
    pub fn kill(&self) -> Result<(), At> {
        let path = self.dir.join("cgroup.kill");
        OpenOptions::new().write(true).open(&path).and_then(|mut f| f.write_all(b"1")).at(&path, "write")
    }

    /// Kills for want of memory that it has counted.
    pub fn oom_kills(&self) -> Option<u64> {
        counted(&self.dir.join("memory.events"))
    }

    /// Removes it; one that has processes or is gone stays as it is.
    pub fn remove(&self) {
        // Nothing depends on it: an empty group costs a directory entry in memory.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Directory of the group `path` below the mount that `wanted(type, options)` picks.
fn locate(mountinfo: &str, path: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, mount) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        if !wanted(kind, options) {
            return None;
        }
        // In a container the mount may show a part of the hierarchy only, from `root` on.
        let below = if root == "/" { path } else { path.strip_prefix(root)? };
        Some(Path::new(mount).join(below.trim_start_matches('/')))
    })
}

/// The number behind `oom_kill` in a file of `key value` lines.
fn counted(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_through_mounts() {
        let mixed = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                     35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        let unified = "24 23 0:21 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let part = "24 23 0:21 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let rows = [
            (
                "mixed",
                "4:memory:/a\n1:name=systemd:/\n0::/",
                mixed,
                Some("/sys/fs/cgroup/unified/"),
                Some("/sys/fs/cgroup/memory/a"),
            ),
            ("unified", "0::/user.slice/x", unified, Some("/sys/fs/cgroup/user.slice/x"), None),
            ("container", "0::/docker/abc/y", part, Some("/sys/fs/cgroup/y"), None),
            ("outside the mount", "0::/other", part, None, None),
            ("nothing", "", "", None, None),
        ];
        for (case, cgroup, mounts, v2, v1) in rows {
            let own = OwnGroups::from_proc(cgroup, mounts);
            assert_eq!(own.v2.as_deref(), v2.map(Path::new), "{case}");
            assert_eq!(own.v1_memory.as_deref(), v1.map(Path::new), "{case}");
        }
    }
}
