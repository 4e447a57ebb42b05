//! `process.kind: local`: a command on this machine, kept by a shim.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ids::{ChildNo, RunId};
use crate::os::clock::SystemClock;
use crate::os::error::At;
use crate::os::watch::Watch;
use crate::os::{file, process};
use crate::paths::Layout;
use crate::supervisor::orphans::{CHILD_VARIABLE, RECORD, RUN_VARIABLE, SHIM};
use crate::supervisor::record::ChildRecord;
use crate::supervisor::room;
use crate::supervisor::sight::Sight;
use crate::supervisor::{ChildSpec, Observed, StartError, StopError, StopHow, StreamSource, Supervisor};

/// Starts children by way of shims, and finds those that an earlier monitor started.
#[derive(Debug)]
pub struct Local {
    layout: Layout,
    shim_program: PathBuf,
    children: BTreeMap<ChildNo, Sight>,
    /// Wakes when a record changes. `None`: watching does not work here, and every look reads the record.
    watch: Option<Watch>,
}

impl Local {
    /// Children of the project with this layout.
    ///
    /// The shim is this very program, also after an upgrade has replaced or deleted its file: the kernel's link
    /// `/proc/self/exe` means the program that runs, not a name.
    pub fn new(layout: Layout) -> Self {
        Self::with_shim(layout, PathBuf::from("/proc/self/exe"))
    }

    /// The same with another program as the shim, absolute: for callers that are not `sentry` themselves.
    pub fn with_shim(layout: Layout, shim_program: PathBuf) -> Self {
        Self { layout, shim_program, children: BTreeMap::new(), watch: Watch::new().ok() }
    }

    /// The record of a child, as it is on disk now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn record(&self, run: &RunId, child: ChildNo) -> Result<Option<ChildRecord>, At> {
        ChildRecord::read(&self.layout.child_record(run, child))
    }

    fn ask(&mut self, spec: &ChildSpec) -> Result<Sight, Refused> {
        let record_path = self.layout.child_record(&spec.run, spec.child);
        file::create_dir_private(&self.layout.run(&spec.run)).map_err(Refused::nothing)?;
        if !ChildRecord::read(&record_path).is_ok_and(|found| found.is_none()) {
            // A monitor never asks for the same child twice; if it does, the first one may be alive.
            let what = format!("`{}` is there already", record_path.display());
            return Err(Refused { what, source: io::ErrorKind::AlreadyExists.into(), never_was: false });
        }
        let grace = u64::try_from(spec.stop_grace.as_millis()).unwrap_or(u64::MAX);
        let record = ChildRecord::asked(spec.run.clone(), spec.child, SystemClock::utc(), spec.stop_signal, grace);
        let asked = self.write_down(spec, &record, &record_path).map_err(Refused::nothing).and_then(|()| {
            self.watch_run(&spec.run);
            let failed = |source| Refused { what: "cannot start the shim".to_owned(), source, never_was: true };
            self.spawn_shim(spec, grace).map_err(failed)
        });
        match asked {
            Ok(pid) => Ok(Sight::of_own(spec.run.clone(), spec.child, record_path, record, pid, SystemClock::mono())),
            Err(refused) => {
                // Nothing was started, and nobody shall think so.
                let _ = fs::remove_file(&record_path);
                room::give_up(&record_path);
                Err(refused)
            }
        }
    }

    /// All that must be on disk before a shim is started.
    fn write_down(&self, spec: &ChildSpec, record: &ChildRecord, record_path: &Path) -> Result<(), At> {
        file::open_append_private(&self.layout.child_log(&spec.run, spec.child))?;
        room::reserve(record_path)?;
        record.write(record_path)
    }

    fn spawn_shim(&self, spec: &ChildSpec, grace: u64) -> io::Result<u32> {
        let mut command = Command::new(&self.shim_program);
        command.arg(SHIM).arg(RECORD).arg(self.layout.child_record(&spec.run, spec.child));
        command.arg("--log").arg(self.layout.child_log(&spec.run, spec.child));
        command.args(["--run", spec.run.as_str(), "--child", &spec.child.to_string()]);
        command.arg("--cwd").arg(&spec.cwd);
        command.args(["--stop-signal", spec.stop_signal.as_str(), "--grace-ms", &grace.to_string()]);
        if spec.pty {
            let columns = window_size(spec, "COLUMNS", 80).to_string();
            let lines = window_size(spec, "LINES", 24).to_string();
            command.args(["--pty", "--columns", &columns, "--lines", &lines]);
        }
        command.arg("--").args(&spec.command);
        command.envs(&spec.env);
        command.env(RUN_VARIABLE, spec.run.as_str()).env(CHILD_VARIABLE, spec.child.to_string());
        // Nothing of ours is held open, neither our terminal nor a directory that somebody wants to unmount.
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        process::detached(&mut command);
        Ok(command.spawn()?.id())
    }

    /// Best effort: without a watch the record is read in every look.
    fn watch_run(&mut self, run: &RunId) {
        if let Some(watch) = &mut self.watch
            && watch.dir(&self.layout.run(run)).is_err()
        {
            self.watch = None;
        }
    }

    /// Takes what has changed; what changed for one child is news for all.
    fn take_news(&mut self) {
        let news = match &mut self.watch {
            Some(watch) => watch.drain().map_or(true, |woken| !woken.is_empty()),
            None => true,
        };
        for sight in self.children.values_mut() {
            sight.settle();
            if news {
                sight.has_news();
            }
        }
    }
}

impl Supervisor for Local {
    fn start(&mut self, spec: &ChildSpec) -> Result<(), StartError> {
        self.children.retain(|_, sight| !sight.settle());
        match self.ask(spec) {
            Ok(sight) => {
                self.children.insert(spec.child, sight);
                Ok(())
            }
            Err(Refused { what, source, never_was }) => {
                if never_was {
                    let record = self.layout.child_record(&spec.run, spec.child);
                    let errno = source.raw_os_error().unwrap_or(0);
                    let message = format!("{what}: {source}");
                    let sight =
                        Sight::of_none(spec.run.clone(), spec.child, record, errno, message, SystemClock::mono());
                    self.children.insert(spec.child, sight);
                }
                Err(StartError::Os { child: spec.child, what, source })
            }
        }
    }

    fn adopt(&mut self, run: &RunId, child: ChildNo) {
        self.watch_run(run);
        let record = self.layout.child_record(run, child);
        let log = self.layout.child_log(run, child);
        let sight = Sight::of_stranger(run.clone(), child, record, log, SystemClock::mono());
        self.children.insert(child, sight);
    }

    fn stop(&mut self, child: ChildNo, how: StopHow) -> Result<(), StopError> {
        // Never started, or its start failed: there is nothing to stop.
        let Some(sight) = self.children.get_mut(&child) else { return Ok(()) };
        sight.stop(how, SystemClock::mono()).map_err(|(what, source)| StopError { child, what, source })
    }

    fn observe(&mut self, child: ChildNo) -> Observed {
        self.take_news();
        match self.children.get_mut(&child) {
            Some(sight) => sight.observe(SystemClock::mono()),
            None => Observed::Unknown { why: format!("child {child} was neither started nor adopted") },
        }
    }

    fn streams(&self, child: ChildNo) -> Vec<StreamSource> {
        let Some(sight) = self.children.get(&child) else {
            return Vec::new();
        };
        vec![StreamSource { stream: child.stream(), path: self.layout.child_log(sight.run(), child) }]
    }

    fn wake(&self) -> Vec<BorrowedFd<'_>> {
        let mut fds: Vec<BorrowedFd<'_>> = self.watch.iter().map(AsFd::as_fd).collect();
        for sight in self.children.values() {
            fds.extend(sight.fds());
        }
        fds
    }
}

/// Why a child was not started.
struct Refused {
    what: String,
    source: io::Error,
    /// Certainly nothing of this child exists.
    never_was: bool,
}

impl Refused {
    fn nothing(e: At) -> Self {
        Self { what: e.to_string(), source: e.source, never_was: true }
    }
}

/// A window size from the child's environment, else ours, else the default.
fn window_size(spec: &ChildSpec, name: &str, default: u16) -> u16 {
    let own = || std::env::var(name).ok();
    spec.env.get(name).cloned().or_else(own).and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or(default)
}
