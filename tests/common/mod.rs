//! A place of its own for every test: an empty project, an empty environment, and the program to run in it.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests start processes, write files, and stop at the first surprise"
)]
#![allow(dead_code, unreachable_pub, reason = "every test file uses another part")]

use std::ffi::{OsStr, OsString};
use std::fmt::{Debug, Write as _};
use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a test waits for something that should happen at once; generous, because a loaded machine is no bug.
pub const SOON: Duration = Duration::from_secs(20);

/// Marks every process of an environment, however far it has run away.
const MARK: &str = "SENTRY_TEST_ENV";

/// An empty project directory with a HOME, a TMPDIR and nothing else. When it goes, so does every process started in it.
pub struct TestEnv {
    root: TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Default for TestEnv {
    fn default() -> Self {
        Self::new()
    }
}

impl TestEnv {
    /// Makes one.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("sentry-test-").tempdir().expect("a temporary directory");
        for name in ["project", "home", "tmp"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let own = |name: &str| root.path().join(name).into_os_string();
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let variables = [
            ("HOME", own("home")),
            ("TMPDIR", own("tmp")),
            ("XDG_CONFIG_HOME", own("home")),
            (MARK, root.path().as_os_str().to_owned()),
            ("PATH", path),
            ("LC_ALL", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_CONFIG_SYSTEM", "/dev/null".into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Self { root, variables }
    }

    /// Sets a variable for everything that is started from here.
    #[must_use]
    pub fn with_var(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The project directory.
    pub fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// A path below the project directory.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.project().join(relative)
    }

    /// Writes a file below the project directory, with its directories.
    pub fn write(&self, relative: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Reads a file below the project directory.
    pub fn read(&self, relative: impl AsRef<Path>) -> String {
        let path = self.path(relative);
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read `{}`: {error}\n{}", path.display(), self.tree()))
    }

    /// `sentry` with arguments, to be changed and then run.
    pub fn sentry(&self, args: &[&str]) -> Call<'_> {
        self.program(env!("CARGO_BIN_EXE_sentry"), args)
    }

    /// Another program in the same surroundings.
    pub fn program(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Call<'_> {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(self.variables.iter().cloned()).current_dir(self.project());
        command.stdin(Stdio::null()).process_group(0);
        Call { env: self, command, input: None, has_reader: true, limit: Duration::from_secs(60) }
    }

    /// Runs `sentry` to its end.
    pub fn run(&self, args: &[&str]) -> Outcome {
        self.sentry(args).run()
    }

    /// Text with everything that differs from test to test replaced: `[PROJECT]`, `[ROOT]`.
    pub fn normalise(&self, text: &str) -> String {
        let project = self.project();
        text.replace(project.to_str().unwrap(), "[PROJECT]").replace(self.root.path().to_str().unwrap(), "[ROOT]")
    }

    /// Every file below the project with its size: what a failed test prints.
    pub fn tree(&self) -> String {
        let mut listing = String::from("files:\n");
        list(&self.project(), 1, &mut listing);
        listing
    }

    /// Ids of all living processes of this environment.
    pub fn processes(&self) -> Vec<i32> {
        let mark = [MARK.as_bytes(), b"=", self.root.path().as_os_str().as_encoded_bytes()].concat();
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|&byte| byte == 0).any(|variable| variable == mark)
        })
        .collect()
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        // A supervisor may start something between the look and the signal: look again until nobody is left.
        for _ in 0..50 {
            let alive = self.processes();
            if alive.is_empty() {
                break;
            }
            for pid in alive {
                let _ = signal(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A command that has not been started.
#[must_use]
pub struct Call<'env> {
    env: &'env TestEnv,
    command: Command,
    input: Option<Vec<u8>>,
    has_reader: bool,
    limit: Duration,
}

impl<'env> Call<'env> {
    /// Sets a variable.
    pub fn var(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it below the project directory.
    pub fn within(mut self, relative: &str) -> Self {
        self.command.current_dir(self.env.path(relative));
        self
    }

    /// Gives it input; without, it has none.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Makes its stdout a pipe that nobody reads any more.
    pub fn without_reader(mut self) -> Self {
        self.has_reader = false;
        self
    }

    /// Starts it and goes on.
    pub fn start(mut self) -> Running<'env> {
        // Files, not pipes: whoever inherits them can neither block nor keep the test waiting for an end of file.
        let file = || tempfile::NamedTempFile::new_in(self.env.root.path().join("tmp")).unwrap();
        let (out, err) = (file(), file());
        self.command.stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap());
        if !self.has_reader {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            self.command.stdout(writer);
        }
        if let Some(input) = &self.input {
            let stdin = file();
            fs::write(stdin.path(), input).unwrap();
            self.command.stdin(File::open(stdin.path()).unwrap());
        }
        let shown = format!("{:?} {:?}", self.command.get_program(), self.command.get_args().collect::<Vec<_>>());
        let child = self.command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        Running { env: self.env, child, shown, out, err, limit: self.limit }
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().wait()
    }
}

/// A process that was started. It is killed when this goes away; what it has started stays until the [`TestEnv`] goes.
pub struct Running<'env> {
    env: &'env TestEnv,
    child: Child,
    shown: String,
    out: tempfile::NamedTempFile,
    err: tempfile::NamedTempFile,
    limit: Duration,
}

impl Running<'_> {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, what: Signal) {
        signal(self.pid(), what).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.shown));
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.out.path()).unwrap()).into_owned()
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.err.path()).unwrap()).into_owned()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Outcome {
        let what = format!("end of {}", self.shown);
        let status = poll_until(self.limit, &what, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(format!(
                "still running; stdout:\n{}\nstderr:\n{}\n{}",
                self.stdout(),
                self.stderr(),
                self.env.tree()
            )),
            Err(error) => panic!("cannot wait for {}: {error}", self.shown),
        });
        Outcome {
            shown: self.shown.clone(),
            status,
            stdout: self.env.normalise(&self.stdout()),
            stderr: self.env.normalise(&self.stderr()),
            tree: self.env.tree(),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How a command ended, paths normalised.
#[must_use]
pub struct Outcome {
    shown: String,
    status: ExitStatus,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
    tree: String,
}

impl Outcome {
    /// Exit code as a shell gives it: 128+n for signal n.
    pub fn code(&self) -> i32 {
        self.status.code().or_else(|| self.status.signal().map(|number| 128 + number)).unwrap()
    }

    /// Both streams and the code on one page, for a snapshot: nothing can be left out.
    pub fn page(&self) -> String {
        let mut page = format!("exit: {}\n", self.code());
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                let _ = write!(page, "--- {name}\n{text}");
            }
        }
        page
    }

    /// Requires a code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self:?}");
        self
    }

    /// Requires success and silence on stderr; gives the data.
    #[track_caller]
    pub fn expect_quiet_success(self) -> String {
        assert!(self.code() == 0 && self.stderr.is_empty(), "{self:?}");
        self.stdout
    }
}

impl Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shown, status, stdout, stderr, tree } = self;
        write!(f, "\n$ {shown}\n{status}\n--- stdout\n{stdout}--- stderr\n{stderr}--- {tree}")
    }
}

/// Asks until the answer is `Ok`; panics with the last `Err` when the time is over.
#[track_caller]
pub fn poll_until<T, E: std::fmt::Display>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(seen) if start.elapsed() > limit => panic!("waited {limit:?} for: {what}\nlast seen: {seen}"),
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Sends a signal to one process.
pub fn signal(pid: i32, what: Signal) -> rustix::io::Result<()> {
    kill_process(Pid::from_raw(pid).expect("a process id is not zero"), what)
}

fn list(dir: &Path, depth: usize, listing: &mut String) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let indent = "  ".repeat(depth);
        if path.is_dir() && !path.is_symlink() {
            let _ = writeln!(listing, "{indent}{name}/");
            list(&path, depth + 1, listing);
        } else {
            let bytes = fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
            let _ = writeln!(listing, "{indent}{name} {bytes}");
        }
    }
}
