//! A project under supervision, and what `/proc` says about its monitor.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Result, child};

/// The program that is measured.
pub(super) const SENTRY: &str = env!("CARGO_BIN_EXE_sentry");

pub(super) struct Project {
    dir: TempDir,
    monitor: Option<Child>,
}

impl Project {
    /// A directory whose `sentry.yaml` runs this program in the role of a child; `rest` is added to the configuration.
    pub(super) fn new(args: &[&str], rest: &str) -> Result<Self> {
        let project = Self { dir: tempfile::tempdir()?, monitor: None };
        let command = child::command(args)?;
        fs::write(project.path("sentry.yaml"), format!("process:\n  command: {command}\n{rest}"))?;
        Ok(project)
    }

    /// The same with keys of `process`.
    pub(super) fn new_with(args: &[&str], process: &str, rest: &str) -> Result<Self> {
        Self::new(args, &format!("  {process}\n{rest}"))
    }

    /// Waits until something is so, for a minute at most.
    pub(super) fn until(&self, what: &str, so: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !so(self).unwrap_or(false) {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(format!("{what}: not within a minute").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub(super) fn start(&mut self) -> Result<()> {
        let log = fs::File::create(self.path("monitor.log"))?;
        let mut command = Command::new(SENTRY);
        command.arg("run").current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.monitor = Some(command.spawn()?);
        Ok(())
    }

    /// Whether the run is over.
    pub(super) fn is_over(&mut self) -> Result<bool> {
        Ok(match &mut self.monitor {
            Some(monitor) => monitor.try_wait()?.is_some(),
            None => true,
        })
    }

    /// A figure of `/proc/PID/status`, KiB.
    pub(super) fn status_kib(&self, key: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        Ok(line.and_then(|line| line.split_whitespace().next()).unwrap_or("0").parse()?)
    }

    /// Time that the monitor has spent on a processor (proc(5), `/proc/PID/schedstat`, first field).
    pub(super) fn cpu(&self) -> Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.pid()?))?;
        Ok(Duration::from_nanos(text.split(' ').next().unwrap_or("0").parse()?))
    }

    /// Voluntary context switches: how often it slept, and so how often it woke.
    pub(super) fn wakes(&self) -> Result<u64> {
        self.status_kib("voluntary_ctxt_switches")
    }

    pub(super) fn state(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&fs::read(self.path(".sentry/state.json"))?)?)
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.monitor.as_ref().ok_or("not started")?.id())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Stops the child as well; twice, not to wait for its grace.
        let Some(mut monitor) = self.monitor.take() else { return };
        while matches!(monitor.try_wait(), Ok(None)) {
            if let Some(pid) = i32::try_from(monitor.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::INT);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
