//! `sentry run`.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::load::{self, Loaded};
use super::status::read_failure;
use super::{Context, ExitCode, Failure, FailureKind, Project};
use crate::config::{Config, ProcessKind};
use crate::monitor::command::ControlCommand;
use crate::monitor::start::{self as monitor, RunError, Setup};
use crate::monitor::status::PhaseName;
use crate::os::lock::LockError;
use crate::paths::Layout;
use crate::store::{OpenError, read};

/// Arguments of `sentry run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry run                             what sentry.yaml says
  sentry run -- python train.py          any command, on built-in defaults
  sentry run --follow -- make test       and show its output
  nohup sentry run &                     survives the terminal

A run that is still there goes on: its child is adopted.

Signals to the monitor:
  INT    stops the command, a second one at once
  TERM   leaves the command running (`monitor.on_terminate`)
  HUP    reads the configuration again

Exit codes: the command's own, 128+n when signal n ended it; 80 gave up, 81 held
for a person, 82 stopped or aborted on request. All are in docs/exit-codes.md.")]
pub struct Args {
    /// Show the command's output as well
    #[arg(short, long)]
    pub follow: bool,
    /// Command to run instead of the configured one
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Runs the monitor until the run is over.
///
/// # Errors
/// When nothing could be started.
pub(super) fn run(args: Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let command = args
        .command
        .into_iter()
        .map(|word| word.into_string().map_err(|word| no_text(&word)))
        .collect::<Result<Vec<_>, _>>()?;
    let command = if command.is_empty() { command_to_go_on_with(context)? } else { Some(command) };
    let Loaded { config, warnings } = load::load(context, command.clone())?;
    super::config::warn(&warnings, context);
    if let kind @ (ProcessKind::Slurm | ProcessKind::Docker | ProcessKind::Attach) = config.process.kind {
        let what = format!("`process.kind: {}` is not there yet", kind.as_str());
        return Err(Failure::new(FailureKind::Configuration, what)
            .hint("`local` is; inside a SLURM job script it supervises the job's own command"));
    }
    if config.process.command.is_empty() {
        return Err(Failure::new(
            FailureKind::Configuration,
            "there is no command to run: `process.stages` is not there yet",
        )
        .hint("give one `process.command`, or use a shell: `command: [sh, -c, \"make fit && make eval\"]`"));
    }
    let follow = if args.follow { Some(own_descriptor(io::stdout())?) } else { None };
    supervise(config, command, follow, None, context)
}

/// The command of a run that was started without a configuration and is not over: `sentry run` alone goes on with that.
fn command_to_go_on_with(context: &Context) -> Result<Option<Vec<String>>, Failure> {
    let project = Project::find_for_run(context)?;
    if project.file().is_some() {
        return Ok(None);
    }
    let state = read::state(&Layout::new(project.root())).map_err(read_failure)?;
    let Some(state) = state.filter(|state| !matches!(state.phase, PhaseName::Over | PhaseName::Held)) else {
        return Ok(None);
    };
    // What is stored is redacted: a placeholder must not be started in place of a password.
    if state.command.iter().any(|word| word.contains("<secret:")) {
        let what = format!("run {} goes on with a command that holds a secret, which is not stored", state.run);
        return Err(Failure::new(FailureKind::Usage, what).hint("give the same command again: `sentry run -- COMMAND`"));
    }
    Ok(Some(state.command))
}

/// Acts on the run of a directory without a monitor: a monitor is started for just that (`stop`, `abort`).
///
/// # Errors
/// When there is no run to act on.
pub(super) fn act_without_monitor(command: ControlCommand, context: &mut Context) -> Result<ExitCode, Failure> {
    let project = Project::find(context)?;
    let config = project.config(context)?;
    supervise(config, None, None, Some(command), context)
}

fn supervise(
    config: Config,
    command: Option<Vec<String>>,
    follow: Option<Box<dyn io::Write + Send>>,
    only: Option<ControlCommand>,
    context: &mut Context,
) -> Result<ExitCode, Failure> {
    let variables = context.env.variables();
    let command_given = command.is_some();
    let environment = variables.clone();
    let file = config.file.clone();
    let setup = Setup {
        config,
        command_given,
        environment,
        reload: Box::new(move || match &file {
            Some(file) => load::load_again(file, command.clone(), &variables),
            None => Err("there is no configuration file: the run was started on built-in defaults".to_owned()),
        }),
        terminal: own_descriptor(io::stderr())?,
        quiet: context.ui.is_quiet(),
        follow,
        only,
    };
    monitor::main(setup).map(ExitCode::of_run).map_err(failure)
}

/// Writes to the same place without the lock of the standard library, which a thread that hangs in a write would hold for
/// ever (a terminal that does not read), and whoever flushes at the end would wait for.
fn own_descriptor(stream: impl AsFd) -> Result<Box<dyn io::Write + Send>, Failure> {
    let descriptor = stream.as_fd().try_clone_to_owned();
    let file = descriptor.map_err(|error| Failure::new(FailureKind::Io, error))?;
    Ok(Box::new(File::from(file)))
}

fn no_text(word: &OsString) -> Failure {
    let path = PathBuf::from(word);
    Failure::new(FailureKind::Usage, format!("`{}` is no UTF-8", path.display()))
        .hint("put the command into a script and run that")
}

fn failure(error: RunError) -> Failure {
    match error {
        RunError::Store(OpenError::Locked(LockError::Held { by })) => {
            let who = by.map_or_else(String::new, |by| format!(" (pid {})", by.pid));
            Failure::new(FailureKind::AnotherMonitor, format!("another monitor{who} owns this directory"))
                .hint("`sentry status` shows what it does, `sentry stop` ends it")
        }
        RunError::Store(error @ OpenError::Newer { .. }) => Failure::new(FailureKind::Refused, error)
            .hint("use that version of sentry, or another directory; this one can still read it"),
        RunError::AnotherCommand { .. } => Failure::new(FailureKind::Refused, error)
            .hint("`sentry run` without a command adopts it, `sentry stop` ends it"),
        RunError::StillAlive(ref living) => {
            let hint = match (&living.host, living.pid) {
                (Some(host), _) => {
                    format!("look at it on `{host}`, and end it there; then `sentry run` starts a new run")
                }
                (None, Some(pid)) => {
                    format!("`sentry stop` ends it (so does `kill {pid}`); then `sentry run` starts a new run")
                }
                (None, None) => "`sentry stop` ends it; then `sentry run` starts a new run".to_owned(),
            };
            Failure::new(FailureKind::Refused, error).hint(hint)
        }
        RunError::NothingHere => super::project::nothing_here(error.to_string()),
        RunError::Detectors(error) => Failure::new(FailureKind::Configuration, error),
        RunError::Store(_) | RunError::Journal(_) | RunError::Os { .. } => Failure::new(FailureKind::Io, error),
    }
}
