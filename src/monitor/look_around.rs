//! "What changed since the last healthy run": found out by a process of its own, because a large project or a slow file
//! system may take its time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::os::job::JobSpec;
use crate::time::Utc;

/// Then it is given up; the report goes without.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of its answer; more is no answer of ours.
const KEEP: usize = 256 * 1024;
/// Most files that are asked about.
const MAX_FILES: usize = 20;

/// A path as it is shown and looked up: relative to the project where it is inside.
pub(super) fn shown(project: &Path, file: &str) -> String {
    let plain = file.strip_prefix("file://").unwrap_or(file);
    match Path::new(plain).strip_prefix(project) {
        Ok(inside) => inside.display().to_string(),
        Err(_) => file.to_owned(),
    }
}

/// Where a failure begins in its child's log.
pub(super) struct LogPlace {
    pub(super) log: PathBuf,
    pub(super) until: u64,
    pub(super) line: u64,
}

/// The hidden subcommand `look-around` of this very program.
pub(super) fn job(project: &Path, since: Option<Utc>, files: &[String], place: Option<&LogPlace>) -> JobSpec {
    let mut argv = vec![
        "/proc/self/exe".to_owned(),
        "look-around".to_owned(),
        "--project".to_owned(),
        project.display().to_string(),
    ];
    if let Some(since) = since {
        argv.extend(["--since-ms".to_owned(), since.millis().to_string()]);
    }
    if let Some(LogPlace { log, until, line }) = place {
        let options =
            [("--log", log.display().to_string()), ("--until", until.to_string()), ("--line", line.to_string())];
        argv.extend(options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    }
    argv.push("--".to_owned());
    argv.extend(files.iter().take(MAX_FILES).cloned());
    JobSpec { argv, cwd: PathBuf::from(project), env: Default::default(), timeout: TIMEOUT, keep: KEEP }
}
