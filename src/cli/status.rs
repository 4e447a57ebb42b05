//! `sentry status`.

use super::project::nothing_here;
use super::{Context, ExitCode, Failure, FailureKind, Project};
use crate::ids::ChildNo;
use crate::monitor::status::{ChildStatus, StateFile};
use crate::os::clock::SystemClock;
use crate::os::{identity, lock};
use crate::paths::Layout;
use crate::store::read;
use crate::supervisor::record::ChildRecord;
use crate::view::status::{Life, StatusView};

/// Arguments of `sentry status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry status                          here or in the directory above
  sentry -C ~/train status --json        for programs; `situation` and `supervised` say it in a word

Exit codes: 0 when there is something to show, 4 when nothing was ever run here.")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let project = Project::find(context)?;
    let layout = project.layout(context)?;
    let view = look(&layout)?;
    if view.state.is_none() && view.holder.is_none() {
        let what = format!("nothing was ever run in `{}`", project.root().display());
        return Err(match project.file() {
            Some(_) => {
                Failure::new(FailureKind::NothingHere, what).hint("`sentry run` starts what the configuration says")
            }
            None => nothing_here(what),
        });
    }
    if args.json {
        context.ui.json(&view.json())?;
    } else {
        let (width, palette) = (context.ui.width(), context.ui.palette());
        context.ui.data(view.text(width, palette))?;
    }
    Ok(ExitCode::Success)
}

/// The picture, and the processes in it looked at now: a picture alone may be old.
pub(super) fn look(layout: &Layout) -> Result<StatusView, Failure> {
    // The holder first: a monitor that starts in between is then no holder of a picture that is not its own.
    let holder = lock::holder(&layout.lock()).map_err(|error| Failure::new(FailureKind::Io, error))?;
    let mut state = read::state(layout).map_err(read_failure)?;
    if let Some(state) = &mut state {
        bring_up_to_date(state, layout)?;
    }
    let child = state.as_ref().map_or(Life::None, child_life);
    Ok(StatusView { state, holder, child, now: SystemClock::utc() })
}

/// The newest child as its own record tells it: its shim writes that, monitor or not.
pub(super) fn bring_up_to_date(state: &mut StateFile, layout: &Layout) -> Result<(), Failure> {
    let mut child = state.child.as_ref().map_or(ChildNo(1), |child| child.no);
    loop {
        let path = layout.child_record(&state.run, child);
        let record = ChildRecord::read(&path).map_err(|error| Failure::new(FailureKind::Io, error))?;
        let Some(record) = record else { return Ok(()) };
        state.child = Some(ChildStatus {
            no: child,
            started: record.started.unwrap_or(record.asked),
            alive: record.process.is_some() && record.exit.is_none(),
            process: record.process,
            exit: record.exit,
        });
        child = child.next();
    }
}

/// Whether the child of the picture lives.
pub(super) fn child_life(state: &StateFile) -> Life {
    let Some(child) = &state.child else { return Life::None };
    let Some(process) = &child.process else { return if child.alive { Life::Unknown } else { Life::Gone } };
    match identity::check(process) {
        Ok(true) => Life::Alive,
        Ok(false) => Life::Gone,
        Err(_) => Life::Unknown,
    }
}

/// A store that cannot be read, as a failure.
pub(super) fn read_failure(error: crate::store::ReadError) -> Failure {
    use crate::store::ReadError;
    match error {
        ReadError::Io { .. } => Failure::new(FailureKind::Io, error),
        ReadError::Damaged { .. } => {
            Failure::new(FailureKind::Io, error).hint("`sentry doctor --fix` rebuilds what can be rebuilt")
        }
        ReadError::Newer { .. } => Failure::new(FailureKind::Refused, error).hint("update `sentry`"),
    }
}
