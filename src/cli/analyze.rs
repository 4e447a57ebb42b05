//! `sentry analyze`.

use super::since::Since;
use super::status::read_failure;
use super::{Context, ExitCode, Failure, Project};
use crate::os::clock::SystemClock;
use crate::store::read;
use crate::view::analysis::Analysis;

/// Arguments of `sentry analyze`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Success is the share of kept attempts among those that were put to the test: kept, regressed and crashed.

Examples:
  sentry analyze --since 24h
  sentry analyze --since 2026-11-01 --json")]
pub struct Args {
    /// Only attempts since then: `90s`, `10m`, `24h`, `7d`, a date, or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let layout = Project::find(context)?.layout(context)?;
    let now = SystemClock::utc();
    let ledger = read::attempts(&layout).map_err(read_failure)?;
    if ledger.damaged > 0 {
        let lines = crate::view::words::count(ledger.damaged, "line");
        context.ui.warn(format_args!("{lines} of the ledger cannot be read; `sentry doctor --fix` mends it"));
    }
    let analysis = Analysis::of(&ledger.rows, ledger.damaged, args.since.map(|since| since.from(now)), now);
    if args.json {
        context.ui.json(&analysis)?;
    } else {
        let (width, palette) = (context.ui.width(), context.ui.palette());
        context.ui.data(analysis.text(width, palette))?;
    }
    Ok(ExitCode::Success)
}
