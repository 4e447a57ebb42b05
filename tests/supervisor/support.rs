//! A supervisor over a directory of its own, driven by its own descriptors.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sentry::config::StopSignal;
use sentry::detect::ending::Exit;
use sentry::ids::{ChildNo, RunId};
use sentry::os::{identity, proc, process, wait};
use sentry::paths::Layout;
use sentry::supervisor::local::Local;
use sentry::supervisor::record::ChildRecord;
use sentry::supervisor::{ChildSpec, Observed, Supervisor};

/// Longer than anything here takes, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The supervisor under test and its directory.
pub(crate) struct TestEnv {
    pub(crate) local: Local,
    pub(crate) layout: Layout,
    pub(crate) run: RunId,
    dir: tempfile::TempDir,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        // Unlike any other run's, so that processes of tests that run at the same time are told apart.
        let run = RunId::new(format!("run-{}", dir.path().file_name().unwrap().to_str().unwrap().replace('.', "")));
        Self { local: local(&layout), layout, run, dir }
    }

    /// Another monitor of the same directory, that has started nothing.
    pub(crate) fn succeed(&mut self, child: ChildNo) {
        self.local = self.another();
        self.local.adopt(&self.run, child);
    }

    /// Another monitor of the same directory, that knows nothing.
    pub(crate) fn another(&self) -> Local {
        local(&self.layout)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn spec(&self, child: u32, script: &str) -> ChildSpec {
        ChildSpec {
            run: self.run.clone(),
            child: ChildNo(child),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            cwd: self.path().to_path_buf(),
            env: BTreeMap::new(),
            pty: false,
            stop_signal: StopSignal::Term,
            stop_grace: PATIENCE * 10,
        }
    }

    pub(crate) fn start(&mut self, child: u32, script: &str) -> ChildNo {
        let spec = self.spec(child, script);
        self.local.start(&spec).unwrap();
        spec.child
    }

    pub(crate) fn log(&self, child: ChildNo) -> String {
        let bytes = std::fs::read(self.layout.child_log(&self.run, child)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn record(&self, child: ChildNo) -> ChildRecord {
        self.local.record(&self.run, child).unwrap().unwrap()
    }

    /// Looks whenever the supervisor says that there may be something new, until there is.
    pub(crate) fn until(&mut self, child: ChildNo, what: &str, wanted: impl Fn(&Observed) -> bool) -> Observed {
        let begun = Instant::now();
        loop {
            let observed = self.local.observe(child);
            if wanted(&observed) {
                return observed;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let fds = self.local.wake();
            let woken = wait::wait(&fds, Some(left)).unwrap();
            assert!(
                woken.any(),
                "{what}: still {observed:?}\nlog: {}\nrecord: {:?}",
                self.log(child),
                self.local.record(&self.run, child)
            );
        }
    }

    pub(crate) fn until_running(&mut self, child: ChildNo) -> u32 {
        match self.until(child, "to run", |o| matches!(o, Observed::Running { .. } | Observed::Ended(_))) {
            Observed::Running { pid } => pid,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn until_ended(&mut self, child: ChildNo) -> Exit {
        match self.until(child, "to end", |o| matches!(o, Observed::Ended(_))) {
            Observed::Ended(exit) => exit,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the child has printed this.
    pub(crate) fn until_log(&self, child: ChildNo, text: &str) {
        poll_until(text, || self.log(child).contains(text).then_some(()), || self.log(child));
    }

    /// Numbers in lines `pid N` of the log.
    pub(crate) fn pids(&self, child: ChildNo) -> Vec<u32> {
        self.log(child).lines().filter_map(|l| l.strip_prefix("pid ")?.trim().parse().ok()).collect()
    }

    pub(crate) fn assert_all_gone(&self, child: ChildNo) {
        for pid in self.pids(child) {
            // The number may be somebody else's by now, but not with our mark.
            let mark = format!("SENTRY_RUN={}", self.run);
            assert!(identity::of(pid).is_none() || !proc::environ_has(pid, &[mark]), "process {pid} is alive");
        }
    }

    /// Files that hold room for records.
    pub(crate) fn spares(&self) -> usize {
        let entries = std::fs::read_dir(self.layout.run(&self.run)).unwrap();
        entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".spare")).count()
    }

    pub(crate) fn kill_shim(&self, child: ChildNo) {
        let shim = self.record(child).shim.unwrap();
        kill_exactly(shim.pid);
    }
}

fn local(layout: &Layout) -> Local {
    Local::with_shim(layout.clone(), env!("CARGO_BIN_EXE_sentry").into())
}

/// Kills a process that is known to be ours and waits for its end.
pub(crate) fn kill_exactly(pid: u32) {
    let handle = process::pidfd(pid).unwrap();
    assert!(process::signal(&handle, Signal::SIGKILL).unwrap());
    assert!(wait::wait(&[handle.as_fd()], Some(PATIENCE)).unwrap().any());
}

/// Probes until there is an answer; on failure prints the last observation.
pub(crate) fn poll_until<T>(what: &str, mut probe: impl FnMut() -> Option<T>, last: impl Fn() -> String) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}; last: {}", last());
        let _nothing = wait::wait(&[], Some(Duration::from_millis(2))).unwrap();
    }
}

/// No child of this process is left, not even as a zombie, once its supervisor has had the time to look.
pub(crate) fn assert_no_zombies(local: &mut Local) {
    let own = std::process::id();
    let children = || -> Vec<_> {
        let below = proc::descendants(own).unwrap();
        below.into_iter().filter(|p| p.ppid == own).collect()
    };
    let mut look = || {
        local.observe(ChildNo(0));
        children().is_empty().then_some(())
    };
    poll_until("no children", &mut look, || format!("{:?}", children()));
}
