//! `sentry run`.

use std::ffi::OsString;

use super::load::{self, Loaded};
use super::{Context, ExitCode, Failure, FailureKind};

/// Arguments of `sentry run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry run                             what sentry.yaml says
  sentry run -- python train.py          any command, on built-in defaults
  sentry run --follow -- make test       and show its output
  nohup sentry run &                     survives the terminal

Exit codes: the command's own when it is done; otherwise see docs/exit-codes.md.")]
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
    let command = args.command.into_iter().map(OsString::into_string).collect::<Result<Vec<String>, OsString>>();
    let command = command.map_err(|argument| {
        let shown = argument.to_string_lossy();
        Failure::new(FailureKind::Usage, format!("argument `{shown}` of the command is not UTF-8"))
    })?;
    let command = (!command.is_empty()).then_some(command);
    let Loaded { config, warnings } = load::load(context, command)?;
    super::config::warn(&warnings, context);
    let _ = (config, args.follow);
    Err(Failure::new(FailureKind::Bug, "the monitor is not part of this build"))
}
