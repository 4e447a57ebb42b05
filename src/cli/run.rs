//! `sentry run`.

use std::ffi::OsString;

use super::{Context, ExitCode, Failure};

/// Arguments of `sentry run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry run                             what sentry.yaml says
  sentry run -- python train.py          any command, on built-in defaults
  sentry run --follow -- make test       and show its output
  nohup sentry run &                     survives the terminal")]
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
    let _ = (args, context);
    Ok(ExitCode::Success)
}
