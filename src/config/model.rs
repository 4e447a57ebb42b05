//! The configuration after parsing: what the rest of the program works with. Nothing below re-checks any of it.
//!
//! Keys, defaults and meanings are documented once, in `templates/sentry.yaml`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use globset::GlobSet;
use regex::Regex;

use super::detector_model::{Detector, PhaseMarks, What};

use crate::detect::{DetectorKind, Language, Severity};
use crate::ids::{ClassName, DetectorName, RuleName};

/// A whole `sentry.yaml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory that relative paths are resolved against: the parent of `.sentry/` or of the file.
    pub project: PathBuf,
    /// File this came from; `None` for built-in defaults (`sentry run -- COMMAND` without a file).
    pub file: Option<PathBuf>,
    /// `process`.
    pub process: Process,
    /// `monitor`.
    pub monitor: Monitor,
    /// `config_snapshots`: files copied (redacted) into each incident.
    pub config_snapshots: Globs,
    /// `source_explode`.
    pub source_explode: SourceExplode,
    /// `phases`, in order; names are unique.
    pub phases: Vec<PhaseMarks>,
    /// `detectors`, in order, those of `kind: catalogue` followed by their classes; names are unique.
    pub detectors: Vec<Detector>,
    /// `rules`, in order; names are unique.
    pub rules: Vec<Rule>,
    /// `healing`.
    pub healing: Healing,
    /// `notifiers`.
    pub notifiers: Vec<Notifier>,
    /// `state_path`, absolute.
    pub state_path: PathBuf,
    /// `incidents_dir`, absolute.
    pub incidents_dir: PathBuf,
    /// `retention`.
    pub retention: Retention,
}

impl Config {
    /// The detectors that the file names, without the classes that they stand for.
    pub fn own_detectors(&self) -> impl Iterator<Item = &Detector> {
        self.detectors.iter().filter(|detector| !matches!(detector.what, What::Class(_)))
    }
}

/// What is supervised and how.
#[derive(Clone, Debug)]
pub struct Process {
    /// Kind of supervisor.
    pub kind: ProcessKind,
    /// argv; never empty after parsing unless the kind needs none.
    pub command: Vec<String>,
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// Variables set over the inherited environment.
    pub env: BTreeMap<String, String>,
    /// Gives the child a terminal.
    pub pty: bool,
    /// First signal of a stop.
    pub stop_signal: StopSignal,
    /// Between the first signal and the kill.
    pub stop_grace: Duration,
    /// What an exit means.
    pub lifecycle: Lifecycle,
    /// Limits and pauses of restarts.
    pub restart_policy: RestartPolicy,
    /// Files that are read besides the output, relative to `cwd`.
    pub logs: Vec<LogGlob>,
}

/// One glob of `process.logs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGlob {
    /// As written.
    pub pattern: String,
    /// The directory before the first wildcard, absolute.
    pub root: PathBuf,
    /// What is below it, as a glob in which `*` does not cross directories and `**` does.
    pub rest: String,
}

/// `process.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessKind {
    /// A command on this machine.
    Local,
    /// A SLURM job.
    Slurm,
    /// A container.
    Docker,
    /// A process that somebody else started.
    Attach,
}

impl ProcessKind {
    /// The name used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Slurm => "slurm",
            Self::Docker => "docker",
            Self::Attach => "attach",
        }
    }
}

/// `process.stop_signal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// Please end.
    Term,
    /// As Ctrl-C.
    Int,
    /// As a closed terminal.
    Hup,
    /// As Ctrl-\; usually dumps core.
    Quit,
    /// First of the program's own.
    Usr1,
    /// Second of the program's own.
    Usr2,
    /// At once.
    Kill,
}

impl StopSignal {
    /// The name used in the configuration: without `SIG`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Hup => "HUP",
            Self::Quit => "QUIT",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Kill => "KILL",
        }
    }
}

/// `process.lifecycle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lifecycle {
    /// Exit 0 ends the run, anything else is a failure that is restarted.
    #[default]
    RestartOnFailure,
    /// Any exit ends the run.
    OneShot,
    /// Exit 0 starts the command again after the cooldown, without spending the budget.
    RestartAlways,
}

impl Lifecycle {
    /// The name used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RestartOnFailure => "restart_on_failure",
            Self::OneShot => "one_shot",
            Self::RestartAlways => "restart_always",
        }
    }
}

/// `process.restart_policy`.
#[derive(Clone, Debug)]
pub struct RestartPolicy {
    /// Unverified restarts until the run gives up; 0 is no limit.
    pub max_restarts: u32,
    /// Pause before a restart.
    pub cooldown: Duration,
    /// How the pause grows.
    pub backoff: Backoff,
    /// Same fingerprint this often in a row: give up; 0 is no limit.
    pub max_identical_failures: u32,
    /// Restarts within `restart_window`, verified or not; 0 is no limit.
    pub max_restarts_in_window: u32,
    /// See `max_restarts_in_window`.
    pub restart_window: Duration,
    /// A child that lived this long without a failure clears the count of restarts; zero is never.
    pub reset_after_healthy: Duration,
}

/// `process.restart_policy.backoff`. The n-th unverified restart waits `cooldown * factor^(n-1)`, at most `max`,
/// plus or minus `jitter` of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    /// 1.0 is a fixed pause.
    pub factor: f64,
    /// Longest pause.
    pub max: Duration,
    /// 0.0 to 1.0.
    pub jitter: f64,
}

/// `monitor`.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// Between heartbeats of `state.json` and looks at what cannot wake us.
    pub poll_interval: Duration,
    /// Directory of `sentry.log` and `process.log`, absolute.
    pub log_dir: PathBuf,
    /// Lines of the log kept in an incident.
    pub log_excerpt_lines: usize,
    /// What SIGTERM to the monitor means.
    pub on_terminate: OnTerminate,
}

/// `monitor.on_terminate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnTerminate {
    /// `stop` as process 1 of a container, otherwise `detach`.
    #[default]
    Auto,
    /// Leave the child running; the next `sentry run` adopts it.
    Detach,
    /// Stop the child.
    Stop,
}

impl OnTerminate {
    /// The name used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Detach => "detach",
            Self::Stop => "stop",
        }
    }
}

/// `source_explode`.
#[derive(Clone, Debug)]
pub struct SourceExplode {
    /// Off: reports show frames without source.
    pub enabled: bool,
    /// Lines around the frame's line when the function is not found or too long.
    pub context_lines: usize,
    /// Languages whose functions are looked up.
    pub languages: Vec<Language>,
    /// Path parts that mark library code (`site-packages/`).
    pub skip_paths: Vec<String>,
    /// Most frames in a report.
    pub max_frames: usize,
    /// Directories besides the project that frames may be read from, absolute.
    pub roots: Vec<PathBuf>,
    /// Reads frames from anywhere.
    pub allow_outside: bool,
}

/// One entry of `rules`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique name; `rule-3` when the file gives none.
    pub name: RuleName,
    /// When.
    pub when: Match,
    /// What.
    pub action: Action,
    /// Sends a notification when it acts.
    pub notify: bool,
}

/// `rules[].match`: every given key must hold.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// Name of the detector of the incident's root.
    pub detector: Option<DetectorName>,
    /// Kind of that detector.
    pub kind: Option<DetectorKind>,
    /// Known failure class of the incident.
    pub class: Option<ClassName>,
    /// Found in the incident's message or in the message of any detection counted in it.
    pub message_regex: Option<Regex>,
    /// Language of the trace.
    pub language: Option<Language>,
    /// Exception type: whole, or its last part (`OutOfMemoryError`).
    pub exception: Option<String>,
    /// Exit code of the child.
    pub exit_code: Option<i32>,
    /// Signal that ended the child, without `SIG`.
    pub signal: Option<String>,
    /// Category of the incident.
    pub category: Option<crate::incident::Category>,
    /// At least `count` incidents of this fingerprint …
    pub count: Option<u32>,
    /// … within this time; zero is the whole run.
    pub within: Duration,
}

/// `rules[].action`.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Stop the child and start it again.
    Restart,
    /// The same with variables changed for the rest of the run.
    RestartWithEnv {
        /// Name → how it changes.
        set: BTreeMap<String, EnvChange>,
    },
    /// Stop the child and wait for `sentry resume`.
    Pause,
    /// Stop the child and end the run.
    Abort,
    /// Run a command; its last output line may name another action.
    CustomCommand {
        /// argv.
        command: Vec<String>,
        /// Absolute.
        cwd: PathBuf,
        /// Over `process.env`.
        env: BTreeMap<String, String>,
        /// Then its whole tree is ended.
        timeout: Duration,
    },
    /// Only tell.
    Notify,
    /// Only record.
    Ignore,
}

impl Action {
    /// The name used in the configuration and on disk.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::RestartWithEnv { .. } => "restart_with_env",
            Self::Pause => "pause",
            Self::Abort => "abort",
            Self::CustomCommand { .. } => "custom_command",
            Self::Notify => "notify",
            Self::Ignore => "ignore",
        }
    }
}

/// How a variable changes in `restart_with_env`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvChange {
    /// Half of the current whole number, rounded down, never below 1.
    Half,
    /// Twice the current whole number.
    Double,
    /// This text.
    Literal(String),
}

/// `healing`, as far as it acts in this version; the agent's keys are parsed and kept in [`Healing::agent`].
#[derive(Clone, Debug)]
pub struct Healing {
    /// Quiet time after which a cascade is one incident.
    pub settle: Duration,
    /// How long a fix must hold.
    pub verify_window: Duration,
    /// What follows a regression.
    pub regression_action: RegressionAction,
    /// Incidents below are recorded and not acted on.
    pub min_severity: Severity,
    /// Where no rule matches, the class of a failure decides what follows from it.
    pub class_actions: bool,
    /// `healing.budget`.
    pub budget: Budget,
    /// `healing.escalate_to_agent_after`; `None`: `max(1, max_restarts / 5)`.
    pub escalate_to_agent_after: Option<u32>,
    /// `healing.escalate_on_rule_regression`.
    pub escalate_on_rule_regression: bool,
    /// `healing.agent` (alias `claude`).
    pub agent: Agent,
    /// `healing.git`.
    pub git: Git,
}

/// `healing.regression_action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RegressionAction {
    /// Take the fix back.
    #[default]
    Revert,
    /// Stop acting on this detector and tell a person.
    Escalate,
    /// Go on.
    Ignore,
}

impl RegressionAction {
    /// The name used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revert => "revert",
            Self::Escalate => "escalate",
            Self::Ignore => "ignore",
        }
    }
}

/// `healing.budget`.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Attempts per detector and hour of watched time; 0 is no limit.
    pub max_attempts_per_detector_per_hour: u32,
    /// Most time spent on one incident; zero is no limit.
    pub max_wall_per_incident: Duration,
}

/// `healing.agent`: parsed now, used when agents come.
#[derive(Clone, Debug)]
pub struct Agent {
    /// `enabled`: `true`, `false` or `auto`.
    pub enabled: Option<bool>,
    /// `mode`.
    pub mode: AgentMode,
    /// `command`.
    pub command: Vec<String>,
    /// `timeout_seconds`.
    pub timeout: Duration,
    /// `prompt_template`, absolute.
    pub prompt_template: PathBuf,
    /// `include_in_context`.
    pub include_in_context: Vec<String>,
    /// `request_path`, absolute.
    pub request_path: PathBuf,
    /// `response_path`, absolute.
    pub response_path: PathBuf,
    /// `subagents`: detector name or `default` → (type, description).
    pub subagents: BTreeMap<String, (String, String)>,
}

/// `healing.agent.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AgentMode {
    /// A session if one is open, else a subprocess.
    #[default]
    Auto,
    /// Its program without a terminal.
    Subprocess,
    /// A person's open editor session; autosentry's `interactive`.
    Session,
}

impl AgentMode {
    /// The name used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Subprocess => "subprocess",
            Self::Session => "session",
        }
    }
}

/// `healing.git`.
#[derive(Clone, Debug)]
pub struct Git {
    /// `enabled`: looks into git.
    pub enabled: bool,
    /// `write_enabled`: may make branches.
    pub write_enabled: bool,
    /// `branch_prefix`.
    pub branch_prefix: String,
    /// `auto_merge`: merges a fix that held.
    pub auto_merge: bool,
}

/// One entry of `notifiers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notifier {
    /// A line in `sentry.log` and on the terminal.
    Log,
}

/// `retention`: caps on sentry's own files; zero is no limit.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Incidents kept.
    pub max_incidents: u32,
    /// Age of incidents.
    pub max_age: Duration,
    /// Bytes of all incidents.
    pub max_bytes: u64,
    /// Child logs of finished runs kept, newest first.
    pub max_runs: u32,
    /// Size at which `sentry.log` is rotated.
    pub max_log_bytes: u64,
}

/// A compiled list of globs that still prints as written.
#[derive(Clone, Debug)]
pub struct Globs {
    /// As written.
    pub patterns: Vec<String>,
    /// Compiled, relative to the project.
    pub set: GlobSet,
}
