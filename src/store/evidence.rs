//! What an incident quotes, gathered from outside the store: source files, configuration files, recent changes, the log.
//!
//! Paths may come from the log, so they are hostile: only regular files inside the given roots are opened, nothing is
//! waited for, and everything has a cap. Redaction is the caller's; what is returned here is raw.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::disk;
use super::error::{At, ReadError};
use super::walk::{self, Walk};
use crate::config::{Config, Globs};
use crate::time::Utc;

/// Largest source file that is read, bytes; parsing a larger one for one frame would take too long.
pub const MAX_SOURCE_BYTES: u64 = 4 * 1024 * 1024;
/// Most configuration files in an incident.
pub const MAX_SNAPSHOTS: usize = 64;
/// Most bytes of one of them.
pub const MAX_SNAPSHOT_BYTES: u64 = 256 * 1024;
/// Most modified files that are named.
pub const MAX_MODIFIED: usize = 50;

/// File systems whose "regular files" are windows into the kernel.
const KERNEL_ROOTS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Where source files may be read from.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Canonical.
    inside: Vec<PathBuf>,
    /// What relative paths are tried against, in order.
    bases: Vec<PathBuf>,
    allow_outside: bool,
}

impl Roots {
    /// `process.cwd`, the project and `source_explode.roots`; those that do not exist are left out.
    pub fn of(config: &Config) -> Self {
        let bases = [&config.process.cwd, &config.project].into_iter().chain(&config.source_explode.roots);
        Self::new(bases.cloned().collect(), config.source_explode.allow_outside)
    }

    /// Roots that are also what relative paths are tried against.
    pub fn new(bases: Vec<PathBuf>, allow_outside: bool) -> Self {
        Self { inside: bases.iter().filter_map(|base| fs::canonicalize(base).ok()).collect(), bases, allow_outside }
    }

    fn admits(&self, canonical: &Path) -> Result<(), Skipped> {
        if KERNEL_ROOTS.iter().any(|root| canonical.starts_with(root)) {
            return Err(Skipped::NotRegular);
        }
        if self.allow_outside || self.inside.iter().any(|root| canonical.starts_with(root)) {
            Ok(())
        } else {
            Err(Skipped::Outside)
        }
    }
}

/// A file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Canonical path.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
    /// When it last changed.
    pub modified: Utc,
}

/// Why a file is not quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// It is not there (any more).
    #[error("the file is not there")]
    Missing,
    /// `source_explode.roots` and the project do not hold it.
    #[error("the file is outside the project (see `source_explode.roots`)")]
    Outside,
    /// A folder, a FIFO, a device.
    #[error("not a regular file")]
    NotRegular,
    /// Above the cap.
    #[error("the file has {0} bytes, more than is read")]
    TooLarge(u64),
    /// The operating system refused.
    #[error("cannot read the file: {0}")]
    Unreadable(String),
}

/// Reads the source file that a frame names, as printed in the trace. A relative path is tried against each root.
///
/// # Errors
/// Why it is not quoted.
pub fn source(roots: &Roots, file: &str) -> Result<Source, Skipped> {
    // Node prints ES modules as URLs.
    let file = Path::new(file.strip_prefix("file://").unwrap_or(file));
    if file.as_os_str().is_empty() || file.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Skipped::Missing);
    }
    let mut why = Skipped::Missing;
    let candidates = if file.is_absolute() {
        vec![file.to_owned()]
    } else {
        roots.bases.iter().map(|base| base.join(file)).collect()
    };
    for candidate in candidates {
        match read_confined(roots, &candidate, MAX_SOURCE_BYTES) {
            Ok((source, false)) => return Ok(source),
            Ok((source, true)) => {
                why = Skipped::TooLarge(fs::metadata(source.path).map_or(0, |metadata| metadata.len()))
            }
            Err(Skipped::Missing) => {}
            Err(other) => why = other,
        }
    }
    Err(why)
}

/// Files of the project whose paths end with the given ones (`shop/Cart.java`), by what was asked for; the nearest to the
/// top where there are several. Looks at `walk::MAX_ENTRIES` entries at most, and at none where nothing is asked.
pub fn ending_with(project: &Path, ends: &[String]) -> BTreeMap<String, String> {
    let mut missing: BTreeSet<&String> = ends.iter().collect();
    let mut found = BTreeMap::new();
    let mut walk = Walk::new(project, usize::MAX);
    while !missing.is_empty() {
        let Some((name, _)) = walk.next() else { break };
        let fits = |end: &str| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        if let Some(end) = missing.iter().copied().find(|end| fits(end)) {
            missing.remove(end);
            found.insert(end.clone(), name);
        }
    }
    found
}

/// Reads at most `cap` bytes, and says whether there is more.
fn read_confined(roots: &Roots, path: &Path, cap: u64) -> Result<(Source, bool), Skipped> {
    let path = fs::canonicalize(path).map_err(|error| skipped(&error))?;
    roots.admits(&path)?;
    let file = open_canonical(&path).map_err(|error| skipped(&error))?;
    let metadata = file.metadata().map_err(|error| skipped(&error))?;
    if !metadata.is_file() {
        return Err(Skipped::NotRegular);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(cap)).unwrap_or(0));
    file.take(cap.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| skipped(&error))?;
    let cap = usize::try_from(cap).unwrap_or(usize::MAX);
    let more = bytes.len() > cap;
    bytes.truncate(cap);
    Ok((Source { path, bytes, modified: disk::modified(&metadata) }, more))
}

/// Opens a path that holds no links; one that has been put there since is refused (openat2(2), Linux 5.6).
fn open_canonical(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS) {
        Ok(fd) => Ok(File::from(fd)),
        // Older kernels, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => disk::open_regular(path),
        Err(error) => Err(error.into()),
    }
}

fn skipped(error: &io::Error) -> Skipped {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Skipped::Missing,
        io::ErrorKind::InvalidInput => Skipped::NotRegular,
        // What open(2) says of a socket.
        _ if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Skipped::NotRegular,
        _ => Skipped::Unreadable(error.to_string()),
    }
}

/// A configuration file as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Path below the project, `/` between its parts.
    pub name: String,
    /// Content, at most [`MAX_SNAPSHOT_BYTES`].
    pub bytes: Vec<u8>,
    /// There was more.
    pub cut: bool,
    /// When it last changed.
    pub modified: Utc,
    /// Its permissions, as in chmod(1).
    pub mode: u32,
}

/// The files that `config_snapshots` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshots {
    /// Sorted by name, at most [`MAX_SNAPSHOTS`].
    pub files: Vec<Snapshot>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Reads the files of the project that match.
pub fn snapshots(project: &Path, globs: &Globs) -> Snapshots {
    let mut found = Snapshots::default();
    let (names, complete) = walk::matching(project, globs);
    if !complete {
        found.notes.push(format!("the project has more than {} entries; some were not looked at", walk::MAX_ENTRIES));
    }
    if names.len() > MAX_SNAPSHOTS {
        found.notes.push(format!("{} files match; only the first {MAX_SNAPSHOTS} are kept", names.len()));
    }
    let roots = Roots::new(vec![project.to_owned()], false);
    for name in names.into_iter().take(MAX_SNAPSHOTS) {
        let path = project.join(&name);
        match read_confined(&roots, &path, MAX_SNAPSHOT_BYTES) {
            Ok((Source { path, bytes, modified }, cut)) => {
                let mode = fs::metadata(path).map_or(0, |metadata| metadata.mode() & 0o7777);
                found.files.push(Snapshot { name, bytes, cut, modified, mode });
            }
            Err(why) => found.notes.push(format!("{name}: {why}")),
        }
    }
    found
}

/// Files of the project that changed since a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modified {
    /// Path below the project and time of the change, newest first, at most [`MAX_MODIFIED`].
    pub files: Vec<(String, Utc)>,
    /// How many there were among those looked at.
    pub total: usize,
    /// Everything was looked at.
    pub complete: bool,
}

/// Looks for files whose content changed at or after `since`. At most 20,000 entries are looked at, those near the top
/// first; folders of tools (`.git`, `node_modules`, …) are left out, links are not followed.
pub fn modified_since(project: &Path, since: Utc) -> Modified {
    let mut files = Vec::new();
    let mut walk = Walk::new(project, usize::MAX);
    for (name, path) in walk.by_ref() {
        let changed = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file).map(|m| disk::modified(&m));
        files.extend(changed.filter(|changed| *changed >= since).map(|changed| (name, changed)));
    }
    files.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    let total = files.len();
    files.truncate(MAX_MODIFIED);
    Modified { files, total, complete: walk.is_complete() }
}

/// The last lines before a place in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// Whole lines with their ends; the first may be cut where it alone is longer than the cap.
    pub bytes: Vec<u8>,
    /// Where they begin in the log.
    pub start: u64,
    /// Fewer lines than asked for, because they are longer than the cap.
    pub cut: bool,
}

/// Reads the last `lines` lines that end at or before `before`, at most `max_bytes` bytes.
///
/// # Errors
/// When the log cannot be read. A log that has become shorter is read from its end.
pub fn last_lines(log: &Path, before: u64, lines: usize, max_bytes: u64) -> Result<Excerpt, ReadError> {
    let file = disk::open_regular(log).read_at("open", log)?;
    let end = file.metadata().read_at("read", log)?.len().min(before);
    let lowest = end.saturating_sub(max_bytes);
    let mut window = 64 * 1024;
    loop {
        let start = end.saturating_sub(window).max(lowest);
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
        file.read_exact_at(&mut bytes, start).read_at("read", log)?;
        let found = nth_line_from_end(&bytes, lines);
        let (skip, cut) = match found {
            Some(at) => (at, false),
            None if start == 0 => (0, false),
            // Not enough lines within the cap: begin with a whole one, if there is any.
            None if start == lowest => (memchr::memchr(b'\n', &bytes).map_or(0, |at| at.saturating_add(1)), true),
            None => {
                window = window.saturating_mul(4);
                continue;
            }
        };
        // A single line that is longer than the cap: its end is better than nothing.
        let skip = if skip == bytes.len() && lines > 0 { 0 } else { skip };
        let bytes = bytes.split_off(skip);
        let start = start.saturating_add(u64::try_from(skip).unwrap_or(u64::MAX));
        return Ok(Excerpt { bytes, start, cut });
    }
}

/// Where the last `lines` lines begin; `None` when there are not that many line ends before them.
fn nth_line_from_end(bytes: &[u8], lines: usize) -> Option<usize> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if lines == 0 {
        return Some(bytes.len());
    }
    memchr::memrchr_iter(b'\n', body).nth(lines.checked_sub(1)?).map(|at| at.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use globset::{Glob, GlobSetBuilder};

    use super::*;
    use crate::store::testing::NOW;

    fn globs(patterns: &[&str]) -> Globs {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(Glob::new(pattern).unwrap());
        }
        Globs { patterns: patterns.iter().map(|&p| p.to_owned()).collect(), set: set.build().unwrap() }
    }

    #[test]
    fn sources_are_read_inside_the_roots_only() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["project/src", "project/work", "extra", "outside"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in ["project/src/a.py", "project/work/b.py", "extra/c.py", "outside/secret"] {
            fs::write(at(file), file).unwrap();
        }
        symlink(at("outside/secret"), at("project/link.py")).unwrap();
        symlink(at("outside"), at("project/out")).unwrap();
        symlink(at("project/src/a.py"), at("project/same.py")).unwrap();
        nix::unistd::mkfifo(&at("project/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        File::create(at("project/huge")).unwrap().set_len(MAX_SOURCE_BYTES + 1).unwrap();
        let bases = vec![at("project/work"), at("project"), at("extra"), at("none")];
        let read = |file: &str, allow_outside| {
            source(&Roots::new(bases.clone(), allow_outside), file).map(|s| String::from_utf8(s.bytes).unwrap())
        };
        let absolute = |name: &str| at(name).to_str().unwrap().to_owned();
        let rows: [(&str, String, Result<&str, Skipped>); 15] = [
            ("absolute", absolute("project/src/a.py"), Ok("project/src/a.py")),
            ("against the working directory", "b.py".into(), Ok("project/work/b.py")),
            ("against the project", "src/a.py".into(), Ok("project/src/a.py")),
            ("against a configured root", "c.py".into(), Ok("extra/c.py")),
            ("up and down again", "../src/a.py".into(), Ok("project/src/a.py")),
            ("a URL", format!("file://{}", absolute("project/src/a.py")), Ok("project/src/a.py")),
            ("a link that stays", "same.py".into(), Ok("project/src/a.py")),
            ("outside", absolute("outside/secret"), Err(Skipped::Outside)),
            ("out by dots", "../../outside/secret".into(), Err(Skipped::Outside)),
            ("out by a link", "link.py".into(), Err(Skipped::Outside)),
            ("out by a linked folder", "out/secret".into(), Err(Skipped::Outside)),
            ("a FIFO", "fifo".into(), Err(Skipped::NotRegular)),
            ("a folder", absolute("project/src"), Err(Skipped::NotRegular)),
            ("too large", "huge".into(), Err(Skipped::TooLarge(MAX_SOURCE_BYTES + 1))),
            ("missing", "none.py".into(), Err(Skipped::Missing)),
        ];
        for (name, file, expected) in rows {
            assert_eq!(read(&file, false), expected.map(str::to_owned), "{name}");
        }
        assert_eq!(read("link.py", true).unwrap(), "outside/secret");
        for file in ["", "a\0b"] {
            assert_eq!(read(file, true), Err(Skipped::Missing));
        }
        for file in ["/dev/zero", "/proc/self/environ", "/proc/kmsg"] {
            assert_eq!(read(file, true), Err(Skipped::NotRegular), "{file}");
        }
    }

    #[test]
    fn snapshots_take_what_matches_within_caps() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        for folder in ["conf/deep/er", "node_modules/x"] {
            fs::create_dir_all(project.join(folder)).unwrap();
        }
        fs::write(dir.path().join("secret.yaml"), "secret").unwrap();
        symlink(dir.path().join("secret.yaml"), project.join("conf/link.yaml")).unwrap();
        for file in ["top.yaml", "conf/a.yaml", "conf/b.toml", "conf/deep/er/c.yaml", "node_modules/x/d.yaml", ".env"] {
            fs::write(project.join(file), file).unwrap();
        }
        fs::write(project.join("conf/long.yaml"), vec![b'x'; 300_000]).unwrap();
        let names = |patterns: &[&str]| {
            snapshots(&project, &globs(patterns)).files.into_iter().map(|file| file.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[".env", "missing.yaml"]), [".env"]);
        assert_eq!(names(&["conf/*.toml", "top.yaml"]), ["conf/b.toml", "top.yaml"]);
        assert_eq!(names(&["**/c.yaml"]), ["conf/deep/er/c.yaml"]);
        assert_eq!(names(&["../secret.yaml", "/etc/passwd"]), [""; 0]);
        let all = snapshots(&project, &globs(&["conf/**/*.yaml"]));
        assert_eq!(all.notes, ["conf/link.yaml: the file is outside the project (see `source_explode.roots`)"]);
        let long = all.files.iter().find(|file| file.name == "conf/long.yaml").unwrap();
        assert_eq!((long.bytes.len(), long.cut), (256 * 1024, true));
        for n in 0..70 {
            fs::write(project.join(format!("many-{n:02}")), "").unwrap();
        }
        let many = snapshots(&project, &globs(&["many-*"]));
        assert_eq!((many.files.len(), many.notes.len()), (MAX_SNAPSHOTS, 1));
    }

    #[test]
    fn modified_files_come_newest_first_without_those_of_tools() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["src", ".git", ".sentry", "target"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let stamp = |name: &str, seconds: i64| {
            let path = dir.path().join(name);
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis((NOW.millis() + seconds * 1000) as u64);
            File::create(&path).unwrap().set_modified(time).unwrap();
        };
        for (name, seconds) in
            [("old", -1), ("same", 0), ("src/new", 5), (".git/x", 5), (".sentry/x", 5), ("target/x", 5)]
        {
            stamp(name, seconds);
        }
        let modified = modified_since(dir.path(), NOW);
        let names: Vec<_> = modified.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, modified.total, modified.complete), (vec!["src/new", "same"], 2, true));
    }

    #[test]
    fn last_lines_are_whole_and_capped() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        // Name, content, before, lines, cap; the excerpt's content, start, cut.
        type Row = (&'static str, &'static str, u64, usize, u64, (&'static str, u64, bool));
        let rows: [Row; 11] = [
            ("empty", "", 99, 2, 99, ("", 0, false)),
            ("fewer than asked", "a\nb\n", 99, 5, 99, ("a\nb\n", 0, false)),
            ("the last two", "a\nb\nc\n", 99, 2, 99, ("b\nc\n", 2, false)),
            ("without an end", "a\nb\nc", 99, 2, 99, ("b\nc", 2, false)),
            ("before a place", "a\nb\nc\n", 4, 1, 99, ("b\n", 2, false)),
            ("exactly all", "a\nb\n", 99, 2, 99, ("a\nb\n", 0, false)),
            ("none", "a\nb\n", 99, 0, 99, ("", 4, false)),
            ("empty lines count", "a\n\n\n", 99, 2, 99, ("\n\n", 2, false)),
            ("capped at a whole line", "aaaa\nbb\ncc\n", 99, 3, 8, ("bb\ncc\n", 5, true)),
            ("one line beyond the cap", "aaaaaaaa", 99, 3, 4, ("aaaa", 4, true)),
            ("one ended line beyond the cap", "aaaaaaaa\n", 99, 3, 4, ("aaa\n", 5, true)),
        ];
        for (name, content, before, lines, cap, (bytes, start, cut)) in rows {
            fs::write(&log, content).unwrap();
            let excerpt = last_lines(&log, before, lines, cap).unwrap();
            assert_eq!(excerpt, Excerpt { bytes: bytes.into(), start, cut }, "{name}");
        }
        let long: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
        fs::write(&log, &long).unwrap();
        let excerpt = last_lines(&log, u64::MAX, 20_000, 1 << 20).unwrap();
        let text = String::from_utf8(excerpt.bytes).unwrap();
        assert_eq!((text.lines().count(), text.lines().next()), (20_000, Some("line 30000")));
        assert!(!excerpt.cut);
    }
}
