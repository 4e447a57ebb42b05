//! `sentry probe` (hidden): looks at what the monitor wants to know about the world outside the log. It may block and may be
//! killed for it; the monitor never waits.

use std::io::Read as _;
use std::path::PathBuf;

use super::{Context, ExitCode, Failure, FailureKind, ask, survey};
use crate::detect::look::{Answer, Question};

/// Longest question, in bytes.
const MAX_QUESTION: u64 = 16 * 1024 * 1024;

/// Arguments of `sentry probe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Record of the child whose processes are looked at.
    #[arg(long)]
    record: Option<PathBuf>,
}

/// Reads a [`Question`] from its input and prints an [`Answer`], each one line of JSON.
///
/// # Errors
/// When there is no question, or the answer cannot be printed.
pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_QUESTION)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(FailureKind::Io, error))?;
    let question: Question = serde_json::from_str(&text).map_err(|error| Failure::new(FailureKind::Usage, error))?;
    if !matches!(question, Question::Command { .. }) {
        die_with_asker();
    }
    context.ui.json(&answer(&question, args))?;
    Ok(ExitCode::Success)
}

/// Nobody waits for an answer after the monitor has been killed. One who runs a command looks after that himself: the
/// command must not be left behind.
fn die_with_asker() {
    // Where this is refused, the question's own deadline ends it a little later.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

fn answer(question: &Question, args: &Args) -> Answer {
    match question {
        Question::Resources(question) => Answer::Resources(Box::new(survey::look(question, args.record.as_deref()))),
        Question::Http { url, status, body, timeout } => ask::http(url, *status, body.as_deref(), *timeout),
        Question::Tcp { address, timeout } => ask::tcp(address, *timeout),
        Question::Command { command, cwd, env, timeout } => ask::command(command, cwd, env, *timeout),
    }
}
