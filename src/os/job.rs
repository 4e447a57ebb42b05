//! A short program whose end is an event: a rule's command, a verify command, git.
//!
//! It has a deadline, and its output is read as it comes, so it never blocks on us nor we on it; of the output the last
//! part is kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::os::{proc, process};
use crate::time::Mono;

/// What to run.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// argv, not empty.
    pub argv: Vec<String>,
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// Set over our own environment.
    pub env: BTreeMap<String, String>,
    /// Then its whole tree is killed.
    pub timeout: Duration,
    /// Bytes kept of each output, the last ones.
    pub keep: usize,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobResult {
    /// Its status; `None` when it was killed and its end could not be seen.
    pub status: Option<ExitStatus>,
    /// Last part of its standard output.
    pub stdout: Output,
    /// Last part of its standard error.
    pub stderr: Output,
    /// The deadline had passed.
    pub timed_out: bool,
}

impl JobResult {
    /// Exit 0, in time.
    pub fn is_success(&self) -> bool {
        !self.timed_out && self.status.is_some_and(|s| s.success())
    }
}

/// The last part of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The bytes.
    pub tail: Vec<u8>,
    /// How many came before them.
    pub dropped: u64,
}

impl Output {
    /// The last line that is not blank, without its end.
    pub fn last_line(&self) -> Option<String> {
        String::from_utf8_lossy(&self.tail).lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
    }
}

/// Whether a [`Job`] is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Not yet: wait for [`Job::fds`] until [`Job::deadline`].
    Running,
    /// [`Job::finish`] it.
    Over,
}

/// A program that runs. Dropping it kills it and all below it.
#[derive(Debug)]
pub struct Job {
    child: Child,
    pidfd: OwnedFd,
    out: Pipe<std::process::ChildStdout>,
    err: Pipe<std::process::ChildStderr>,
    deadline: Mono,
    status: Option<ExitStatus>,
    timed_out: bool,
}

/// Bytes read in one turn of one output; the rest waits in the pipe for the next turn.
const PER_TURN: usize = 256 * 1024;

/// How long the end of a killed program is waited for.
const REAP: Duration = Duration::from_millis(200);

impl Job {
    /// Starts it, in a process group of its own, with `/dev/null` as its input.
    ///
    /// # Errors
    /// When it cannot be executed, or its directory is not there.
    pub fn spawn(spec: &JobSpec, now: Mono) -> io::Result<Self> {
        Self::start(spec, Stdio::null(), now)
    }

    /// The same with this as its input.
    ///
    /// # Errors
    /// Those of [`Job::spawn`], and when there is no memory for the input.
    pub fn spawn_with_input(spec: &JobSpec, input: &[u8], now: Mono) -> io::Result<Self> {
        // A file in memory: unlike a pipe it takes all of it at once, whether anybody reads or not.
        let mut file = File::from(rustix::fs::memfd_create("input", rustix::fs::MemfdFlags::CLOEXEC)?);
        file.write_all(input)?;
        file.rewind()?;
        Self::start(spec, Stdio::from(file), now)
    }

    fn start(spec: &JobSpec, input: Stdio, now: Mono) -> io::Result<Self> {
        let (program, args) =
            spec.argv.split_first().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "empty command"))?;
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(&spec.cwd)
            .envs(&spec.env)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        process::unblocked(&mut command);
        let mut child = command.spawn()?;
        let mut parts = || -> io::Result<_> {
            let missing = || io::Error::from(ErrorKind::BrokenPipe);
            let out = Pipe::new(child.stdout.take().ok_or_else(missing)?, spec.keep)?;
            let err = Pipe::new(child.stderr.take().ok_or_else(missing)?, spec.keep)?;
            Ok((process::pidfd(child.id())?, out, err))
        };
        match parts() {
            Ok((pidfd, out, err)) => {
                Ok(Self { child, pidfd, out, err, deadline: now + spec.timeout, status: None, timed_out: false })
            }
            Err(e) => {
                // Out of descriptors: what has just been started must not go on unseen. It is our child and not reaped,
                // so its number is its own.
                let _ = child.kill();
                let _ = child.wait();
                Err(e)
            }
        }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Descriptors to wait for.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let mut fds = vec![self.pidfd.as_fd()];
        fds.extend(self.out.fd());
        fds.extend(self.err.fd());
        fds
    }

    /// When it will be killed.
    pub fn deadline(&self) -> Mono {
        self.deadline
    }

    /// Looks after it: reads what there is, takes its exit, kills it when its time is over. Never blocks for long.
    ///
    /// It is over when the program itself has ended, though something that it left in the background still holds its
    /// output open.
    pub fn on_ready(&mut self, now: Mono) -> JobState {
        // The exit first: whatever was written before it is in the pipe when the pipe is read afterwards.
        let ended = self.take_exit();
        self.out.read_some(PER_TURN);
        self.err.read_some(PER_TURN);
        if ended {
            return JobState::Over;
        }
        if now >= self.deadline {
            self.timed_out = true;
            self.kill_tree();
            return JobState::Over;
        }
        JobState::Running
    }

    /// The result. One that still runs is killed first.
    pub fn finish(mut self) -> JobResult {
        if self.status.is_none() && !self.take_exit() {
            self.kill_tree();
        }
        self.out.read_some(usize::MAX);
        self.err.read_some(usize::MAX);
        JobResult {
            status: self.status,
            stdout: std::mem::take(&mut self.out.kept).into_output(),
            stderr: std::mem::take(&mut self.err.kept).into_output(),
            timed_out: self.timed_out,
        }
    }

    fn take_exit(&mut self) -> bool {
        if self.status.is_none() {
            // Only an error of ours (no such child) can come back, and then there is nothing to wait for.
            self.status = match self.child.try_wait() {
                Ok(status) => status,
                Err(_) => Some(ExitStatus::from_raw(0xff00)),
            };
        }
        self.status.is_some()
    }

    /// Kills everything below it, then its group, it included. What has both left the group and lost its parent escapes.
    fn kill_tree(&mut self) {
        if self.status.is_some() {
            return;
        }
        let pid = self.child.id();
        // Stopped first, so that it cannot start anything new while the tree is walked.
        let _ = process::signal(&self.pidfd, Signal::SIGSTOP);
        for below in proc::descendants(pid).unwrap_or_default() {
            let _ = process::signal_seen(&below, Signal::SIGKILL);
        }
        let _ = process::signal_group(pid, Signal::SIGKILL);
        let _ = process::signal(&self.pidfd, Signal::SIGKILL);
        let _ = crate::os::wait::wait(&[self.pidfd.as_fd()], Some(REAP));
        self.take_exit();
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.take_exit() {
            self.kill_tree();
        }
    }
}

/// One output and what is kept of it.
#[derive(Debug)]
struct Pipe<R> {
    /// `None` after its end.
    source: Option<R>,
    kept: Kept,
}

impl<R: Read + AsFd> Pipe<R> {
    fn new(source: R, keep: usize) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&source, true)?;
        Ok(Self { source: Some(source), kept: Kept { bytes: Vec::new(), keep, dropped: 0 } })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there, but no more than `limit` and a little.
    fn read_some(&mut self, limit: usize) {
        // A background process may write for ever: a pipe's worth and more is enough after the end.
        let limit = limit.min(4 * 1024 * 1024);
        let mut buffer = [0; 16 * 1024];
        let mut total = 0;
        while let Some(source) = self.source.as_mut().filter(|_| total < limit) {
            match source.read(&mut buffer) {
                Ok(0) => self.source = None,
                Ok(n) => {
                    total += n;
                    self.kept.push(buffer.get(..n).unwrap_or_default());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.source = None,
            }
        }
    }
}

/// The last `keep` bytes of what was pushed.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    keep: usize,
    dropped: u64,
}

impl Kept {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Twice as much is held so that a byte is moved at most once on average.
        if self.bytes.len() > self.keep.saturating_mul(2) {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let over = self.bytes.len().saturating_sub(self.keep);
        self.bytes.drain(..over);
        self.dropped += over as u64;
    }

    fn into_output(mut self) -> Output {
        self.trim();
        Output { tail: self.bytes, dropped: self.dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock::SystemClock;
    use crate::os::identity;
    use crate::os::wait::wait;

    fn spec(script: &str) -> JobSpec {
        JobSpec {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            cwd: std::env::temp_dir(),
            env: BTreeMap::from([("JOB_TEST".to_owned(), "of rule".to_owned())]),
            timeout: Duration::from_secs(30),
            keep: 1000,
        }
    }

    fn run(spec: &JobSpec) -> JobResult {
        let mut job = Job::spawn(spec, SystemClock::mono()).unwrap();
        loop {
            let now = SystemClock::mono();
            if job.on_ready(now) == JobState::Over {
                return job.finish();
            }
            let left = job.deadline().since(now);
            let _ready = wait(&job.fds(), Some(left)).unwrap();
        }
    }

    #[test]
    fn status_and_both_outputs_come_back() {
        let rows = [
            ("good", "echo out; echo err >&2", Some(0), None, "out", "err"),
            ("code", "echo x; exit 3", Some(3), None, "x", ""),
            ("signal", "kill -9 $$", None, Some(9), "", ""),
            ("environment", "echo $JOB_TEST", Some(0), None, "of rule", ""),
            ("no input", "cat; echo done", Some(0), None, "done", ""),
        ];
        for (case, script, code, signal, out, err) in rows {
            let result = run(&spec(script));
            let status = result.status.unwrap();
            assert_eq!((status.code(), status.signal()), (code, signal), "{case}");
            assert_eq!(result.stdout.last_line().unwrap_or_default(), out, "{case}");
            assert_eq!(result.stderr.last_line().unwrap_or_default(), err, "{case}");
            assert!(!result.timed_out, "{case}");
        }
    }

    #[test]
    fn input_of_any_length_is_read_to_its_end() {
        let spec = spec("wc -c");
        let mut job = Job::spawn_with_input(&spec, &vec![b'x'; 300_000], SystemClock::mono()).unwrap();
        while job.on_ready(SystemClock::mono()) == JobState::Running {
            let _ready = wait(&job.fds(), Some(Duration::from_secs(10))).unwrap();
        }
        assert_eq!(job.finish().stdout.last_line().as_deref(), Some("300000"));
    }

    #[test]
    fn much_output_is_read_and_its_end_kept() {
        let result = run(&spec("seq 1 200000; echo last"));
        assert_eq!(result.stdout.last_line().as_deref(), Some("last"));
        assert_eq!(result.stdout.tail.len(), 1000);
        assert!(result.stdout.dropped > 1_000_000);
        assert!(result.is_success());
    }

    #[test]
    fn a_timeout_kills_the_whole_tree_that_ignores_signals_and_changes_session() {
        let script = "trap '' TERM; setsid sleep 600 & echo $!; sleep 600 & echo $!; wait";
        let mut job =
            Job::spawn(&JobSpec { timeout: Duration::from_secs(600), ..spec(script) }, SystemClock::mono()).unwrap();
        let mut pids = Vec::new();
        while pids.len() < 2 {
            let _ready = wait(&job.fds(), Some(Duration::from_secs(10))).unwrap();
            assert_eq!(job.on_ready(SystemClock::mono()), JobState::Running);
            pids = String::from_utf8_lossy(&job.out.kept.bytes).lines().filter_map(|l| l.parse::<u32>().ok()).collect();
        }
        let handles: Vec<_> = pids.iter().filter_map(|p| process::pidfd(*p).ok()).collect();
        let after = SystemClock::mono() + Duration::from_secs(1000);
        assert_eq!(job.on_ready(after), JobState::Over);
        let result = job.finish();
        assert!(result.timed_out && !result.is_success());
        assert_eq!(result.status.and_then(|s| s.signal()), Some(9));
        for handle in handles {
            assert!(wait(&[handle.as_fd()], Some(Duration::from_secs(10))).unwrap().any());
        }
        assert!(pids.iter().all(|p| identity::of(*p).is_none()));
    }

    #[test]
    fn background_holder_of_the_output_does_not_delay_the_end() {
        let result = run(&spec("sleep 600 & echo $!"));
        let pid: u32 = result.stdout.last_line().unwrap().parse().unwrap();
        assert!(result.is_success());
        let handle = process::pidfd(pid).unwrap();
        assert!(process::signal(handle, Signal::SIGKILL).unwrap());
    }

    #[test]
    fn what_cannot_be_started_is_an_error() {
        let missing = JobSpec { argv: vec!["/no/such/program".into()], ..spec("") };
        let no_dir = JobSpec { cwd: "/no/such".into(), ..spec("true") };
        let empty = JobSpec { argv: vec![], ..spec("") };
        for (case, spec) in [("missing", missing), ("directory", no_dir), ("empty", empty)] {
            assert!(Job::spawn(&spec, SystemClock::mono()).is_err(), "{case}");
        }
    }
}
