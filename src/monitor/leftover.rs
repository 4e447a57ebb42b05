//! What a rule's command leaves when its monitor dies: found by what its processes carry, and ended.

use std::collections::BTreeSet;
use std::io;

use nix::sys::signal::Signal;

use crate::ids::{AttemptNo, RunId};
use crate::os::{proc, process};

/// Looks, so that what is started while we look is found as well.
const PASSES: usize = 3;

/// Variables of every process of a rule's command: its run and its attempt.
pub(super) fn marks(run: Option<&RunId>, attempt: AttemptNo) -> [(String, String); 2] {
    let run = run.map_or_else(String::new, |run| run.as_str().to_owned());
    [("SENTRY_RUN".to_owned(), run), ("SENTRY_ATTEMPT".to_owned(), attempt.0.to_string())]
}

/// Kills every process that carries these variables. How many there were.
pub(super) fn end(marks: &[(String, String)]) -> io::Result<usize> {
    let wanted: Vec<String> = marks.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut ended = BTreeSet::new();
    for _ in 0..PASSES {
        let mut found = proc::all()?;
        found.retain(|stat| !stat.is_gone() && proc::environ_has(stat.pid, &wanted));
        for stat in &found {
            if process::signal_seen(stat, Signal::SIGKILL)? {
                ended.insert(stat.pid);
            }
        }
        if found.is_empty() {
            break;
        }
    }
    Ok(ended.len())
}
