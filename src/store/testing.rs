//! What the tests of this room share.

use std::collections::BTreeMap;

use crate::detect::{Detection, DetectorKind, Severity};
use crate::ids::{ChildNo, DetectorName, Fingerprint, IncidentId, RunId};
use crate::incident::{Category, Incident, IncidentKind};
use crate::time::Utc;

/// 2026-11-21T11:54:56.789Z.
pub(super) const NOW: Utc = Utc::from_millis(1_795_262_096_789);

/// An incident of a pattern.
pub(super) fn incident(id: &str, detector: &str) -> Incident {
    Incident {
        id: IncidentId::new(id),
        run: RunId::new("20261121T115456Z-9f3a"),
        child: ChildNo(1),
        utc: NOW,
        kind: IncidentKind::Error,
        severity: Severity::Error,
        category: Category::Runtime,
        fingerprint: Fingerprint::new("v1:0123456789abcdef"),
        message: "out of memory".to_owned(),
        root: Detection {
            detector: DetectorName::new(detector),
            kind: DetectorKind::Pattern,
            severity: Severity::Error,
            stream: ChildNo(1).stream(),
            bytes: 10..24,
            lines: (2, 2),
            message: "out of memory".to_owned(),
            captures: BTreeMap::new(),
            trace: None,
            class: None,
        },
        counted: Vec::new(),
        exit: None,
        recent_metric: Vec::new(),
        actions: Vec::new(),
        not_acted: None,
        class: None,
        copies: None,
    }
}

/// Runs a test that changes its whole process (umask, limits) in a process of its own, whatever runs the tests.
///
/// `true` in that process: go on. `false` in the first one: it has been done, and it has passed.
pub(super) fn alone(test: &str) -> bool {
    const ALONE: &str = "SENTRY_TEST_ALONE";
    if std::env::var_os(ALONE).is_some_and(|name| name == test) {
        return true;
    }
    let binary = std::env::current_exe().unwrap();
    let output =
        std::process::Command::new(binary).args([test, "--exact", "--nocapture"]).env(ALONE, test).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Limits the size of files while `work` runs, which tears a write as a full disk does (setrlimit(2): `EFBIG` after a
/// short write). For tests that run [`alone`].
pub(super) fn with_file_limit<T>(bytes: u64, work: impl FnOnce() -> T) -> T {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // SIGXFSZ would end the test; blocked, the write fails.
    let mut too_long = nix::sys::signal::SigSet::empty();
    too_long.add(nix::sys::signal::Signal::SIGXFSZ);
    too_long.thread_block().unwrap();
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), ..before }).unwrap();
    let done = work();
    setrlimit(Resource::Fsize, before).unwrap();
    done
}
