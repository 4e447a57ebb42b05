//! `sentry status`.

use super::project::nothing_here;
use super::{Context, ExitCode, Failure, FailureKind, Project};
use crate::monitor::status::StateFile;
use crate::os::clock::SystemClock;
use crate::os::{identity, lock};
use crate::paths::Layout;
use crate::store::read;
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
        return Err(nothing_here(what));
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
    let state = read::state(layout).map_err(read_failure)?;
    let child = state.as_ref().map_or(Life::None, child_life);
    Ok(StatusView { state, holder, child, unseen_exit: None, now: SystemClock::utc() })
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
