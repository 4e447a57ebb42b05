//! The commands that ask something of the monitor: `stop`, `detach`, `pause`, `resume`, `restart`, `abort`, `reset`, `reload`,
//! `set`, `approve`, `reject`.

use std::time::Duration;

use serde::Serialize;

use super::status::{bring_up_to_date, child_life, read_failure};
use super::{Context, ExitCode, Failure, FailureKind, Project, incidents};
use crate::monitor::command::{ControlAnswer, ControlCommand};
use crate::monitor::status::{PhaseName, StateFile};
use crate::os::clock::SystemClock;
use crate::os::lock;
use crate::paths::Layout;
use crate::store::{control, read};
use crate::supervisor::record::living;
use crate::view::status::Life;

/// How long an answer is waited for. The monitor answers when it has begun, not when it is done.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of every control command.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct AskArgs {
    /// Do not wait for the monitor's answer
    #[arg(long)]
    no_wait: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `sentry set`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry set max_restarts 20             for the rest of this run")]
pub struct SetArgs {
    /// Which limit: `max_restarts`
    #[arg(value_name = "KEY")]
    key: String,
    /// Its new value
    #[arg(value_name = "VALUE")]
    value: String,
    #[command(flatten)]
    ask: AskArgs,
}

/// Arguments of `sentry approve` and `sentry reject`.
#[derive(Debug, clap::Args)]
pub struct DecideArgs {
    /// Incident whose attempt waits; any beginning that fits one only, or `latest`
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    ask: AskArgs,
}

/// `--json`.
#[derive(Debug, Serialize)]
struct AnswerJson<'a> {
    /// Version of this form: 1.
    schema: u32,
    /// The id of the command in the queue.
    id: &'a str,
    /// Whether it was done; `null` when the answer was not waited for.
    ok: Option<bool>,
    /// What the monitor says.
    message: &'a str,
}

pub(super) fn set(args: SetArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    ask(&ControlCommand::Set { key: args.key, value: args.value }, args.ask, context)
}

pub(super) fn approve(args: &DecideArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let id = meant(args, context)?;
    ask(&ControlCommand::Approve { id }, args.ask, context)
}

pub(super) fn reject(args: &DecideArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let id = meant(args, context)?;
    ask(&ControlCommand::Reject { id }, args.ask, context)
}

fn meant(args: &DecideArgs, context: &mut Context) -> Result<String, Failure> {
    let layout = Project::find(context)?.layout(context)?;
    Ok(incidents::resolve(&layout, &args.id)?.as_str().to_owned())
}

/// Puts a command into the queue and waits for the answer.
pub(super) fn ask(command: &ControlCommand, args: AskArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let layout = Project::find(context)?.layout(context)?;
    let holder = lock::holder(&layout.lock()).map_err(|error| Failure::new(FailureKind::Io, error))?;
    let Some(monitor) = holder else { return without_monitor(command, &layout, context) };
    let io = |error| Failure::new(FailureKind::Io, error);
    let id = control::submit(&layout, command, SystemClock::utc()).map_err(io)?;
    if args.no_wait {
        return answered(None, "put into the queue", &id, args, context);
    }
    let waited = control::wait(&layout, &id, PATIENCE).map_err(read_failure)?;
    match waited {
        control::Waited::Answered(ControlAnswer { ok, message }) => answered(Some(ok), &message, &id, args, context),
        control::Waited::NotTaken if control::withdraw(&layout, &id).map_err(io)? => {
            let what =
                format!("the monitor (pid {}) did not take the command within 10 s; it was withdrawn", monitor.pid);
            let hint = format!("see whether it is stopped (`ps -o stat= -p {}`), or use `--no-wait`", monitor.pid);
            Err(Failure::new(FailureKind::Deadline, what).hint(hint))
        }
        // Taken in the very moment in which it should have been withdrawn, or a while ago.
        control::Waited::NotTaken | control::Waited::Taken => {
            let what = format!("the monitor (pid {}) has taken the command and not answered within 10 s", monitor.pid);
            Err(Failure::new(FailureKind::Deadline, what).hint("`sentry status` shows what it is doing"))
        }
    }
}

fn answered(
    ok: Option<bool>,
    message: &str,
    id: &control::CommandId,
    args: AskArgs,
    context: &mut Context,
) -> Result<ExitCode, Failure> {
    if args.json {
        context.ui.json(&AnswerJson { schema: 1, id: id.as_str(), ok, message })?;
        return Ok(if ok == Some(false) { ExitCode::No } else { ExitCode::Success });
    }
    if ok == Some(false) {
        return Err(Failure::new(FailureKind::No, message));
    }
    context.ui.say(crate::view::one_line(message));
    Ok(ExitCode::Success)
}

/// Nobody is there to ask. A living child can still be stopped; everything else needs a monitor.
fn without_monitor(command: &ControlCommand, layout: &Layout, context: &mut Context) -> Result<ExitCode, Failure> {
    if matches!(command, ControlCommand::Stop | ControlCommand::Abort) && !living(layout).is_empty() {
        // Whatever is remembered of it.
        return act_alone(command, context);
    }
    let state = read::state(layout).map_err(read_failure)?;
    let Some(mut state) = state else {
        return Err(super::project::nothing_here("no monitor is running, and nothing was ever run here"));
    };
    bring_up_to_date(&mut state, layout)?;
    let alive = child_life(&state) == Life::Alive;
    match command {
        // A monitor is started for just that: it reads what the child has left, too.
        ControlCommand::Stop | ControlCommand::Abort
            if alive || !matches!(state.phase, PhaseName::Over | PhaseName::Held) =>
        {
            act_alone(command, context)
        }
        ControlCommand::Stop
        | ControlCommand::Abort
        | ControlCommand::Pause
        | ControlCommand::Resume
        | ControlCommand::Restart
        | ControlCommand::Detach
        | ControlCommand::Reset
        | ControlCommand::Reload
        | ControlCommand::Set { .. }
        | ControlCommand::Approve { .. }
        | ControlCommand::Reject { .. } => Err(no_monitor(&state, alive)),
    }
}

fn act_alone(command: &ControlCommand, context: &mut Context) -> Result<ExitCode, Failure> {
    super::run::act_without_monitor(command.clone(), context).map(|code| match code {
        ExitCode::Aborted => ExitCode::Success,
        other => other,
    })
}

fn no_monitor(state: &StateFile, alive: bool) -> Failure {
    let failure = |what: String| Failure::new(FailureKind::NothingHere, what);
    match (&state.child, alive) {
        (Some(child), true) => {
            let pid = child.process.as_ref().map_or(0, |process| process.pid);
            failure(format!("no monitor is running; child {} (pid {pid}) is alive without one", child.no))
                .hint("`sentry run` takes it over; then this command works")
        }
        _ if matches!(state.phase, PhaseName::Over | PhaseName::Held) => {
            failure("no monitor is running, and the run is over".to_owned()).hint("`sentry run` starts a new one")
        }
        _ => failure("no monitor is running, and neither is the command".to_owned())
            .hint("`sentry run` goes on with the run"),
    }
}
