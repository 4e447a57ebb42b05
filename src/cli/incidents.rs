//! `sentry incidents`.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use super::since::Since;
use super::status::read_failure;
use super::{Context, ExitCode, Failure, FailureKind, Project};
use crate::detect::{DetectorKind, Severity};
use crate::ids::{DetectorName, IncidentId};
use crate::incident::IncidentKind;
use crate::os::clock::SystemClock;
use crate::os::error::AtExt as _;
use crate::paths::Layout;
use crate::store::read::{self, ResolveError};
use crate::store::{IndexQuery, IndexRow, incident_json};
use crate::view::{incidents, markdown};

/// Arguments of `sentry incidents`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry incidents list                  the last 20, newest first
  sentry incidents show latest           the report of the newest
  cd \"$(sentry incidents path latest)\"   its folder")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List incidents, newest first
    List(ListArgs),
    /// Show an incident's report
    Show(ShowArgs),
    /// Print the path of an incident's folder, or of a file in it
    Path(PathArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
On a terminal this is a table with the shortest ids that tell all incidents
apart. In a pipe it is one line per incident with tabs between id, time, kind,
severity, detector, action and message; nothing is cut.

Examples:
  sentry incidents list --since 24h --kind anomaly
  sentry incidents list --severity critical --json
  sentry incidents list --limit 1 | cut -f1")]
struct ListArgs {
    /// Show at most N incidents; 0 is all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Only of this kind
    #[arg(long, value_enum)]
    kind: Option<KindArg>,
    /// Only of this detector
    #[arg(long, value_name = "NAME")]
    detector: Option<String>,
    /// Only since then: `90s`, `10m`, `24h`, `7d`, a date, or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Only this bad or worse
    #[arg(long, value_enum)]
    severity: Option<SeverityArg>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// What an incident is, or what kind of detector saw it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindArg {
    Error,
    Anomaly,
    Pattern,
    Traceback,
    Stall,
    #[value(name = "exit_code", alias = "exit-code")]
    ExitCode,
    Metric,
    Rate,
    Resource,
    Http,
    Tcp,
    Command,
    Catalogue,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SeverityArg {
    Info,
    Warning,
    Error,
    Critical,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
ID is any beginning of the id or of the short id that fits one incident only, or `latest`.

Examples:
  sentry incidents show latest
  sentry incidents show 3f9a --raw > report.md
  sentry incidents show 3f9a --json | jq .fingerprint")]
struct ShowArgs {
    /// Which incident
    #[arg(value_name = "ID")]
    id: String,
    /// Print incident.json
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print report.md as it is
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cd \"$(sentry incidents path latest)\"
  cat \"$(sentry incidents path 3f9a trace.txt)\"")]
struct PathArgs {
    /// Which incident
    #[arg(value_name = "ID")]
    id: String,
    /// A file of it
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `sentry incidents path --json`.
#[derive(Debug, Serialize)]
struct PathJson<'a> {
    /// Version of this form: 1.
    schema: u32,
    /// The whole id.
    id: &'a IncidentId,
    /// Of the folder, or of the file in it; absolute.
    path: Cow<'a, str>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let layout = Project::find(context)?.layout(context)?;
    match &args.command {
        Command::List(args) => list(args, &layout, context),
        Command::Show(args) => show(args, &layout, context),
        Command::Path(args) => path(args, &layout, context),
    }
}

fn list(args: &ListArgs, layout: &Layout, context: &mut Context) -> Result<ExitCode, Failure> {
    let now = SystemClock::utc();
    let limit = if args.limit == 0 { usize::MAX } else { args.limit };
    let (kind, detector_kind) = args.kind.map_or((None, None), KindArg::split);
    let severity = args.severity.map(SeverityArg::least);
    // What the index cannot ask for is left out below, so it must not count towards the limit there.
    let asks_more = detector_kind.is_some() || severity.is_some();
    let query = IndexQuery {
        kind,
        detector: args.detector.clone().map(DetectorName::new),
        since: args.since.map(|since| since.from(now)),
        limit: (!asks_more).then_some(limit),
    };
    let mut page = read::index(layout, &query).map_err(read_failure)?;
    let wanted = |row: &IndexRow| {
        detector_kind.is_none_or(|kind| kind == row.detector_kind) && severity.is_none_or(|least| row.severity >= least)
    };
    page.rows.retain(wanted);
    page.rows.truncate(limit);
    if page.damaged_lines > 0 {
        let lines = crate::view::words::count(page.damaged_lines, "line");
        context.ui.warn(format_args!("{lines} of the index cannot be read; `sentry doctor --fix` rebuilds it"));
    }
    if args.json {
        for row in &page.rows {
            context.ui.json(&incidents::json(row))?;
        }
    } else if page.rows.is_empty() {
        context.ui.say("no incidents");
    } else if context.ui.is_terminal() {
        let (width, palette) = (context.ui.width(), context.ui.palette());
        context.ui.data(incidents::table(&page, now, width, palette))?;
    } else {
        for row in &page.rows {
            context.ui.line(incidents::columns(row))?;
        }
    }
    Ok(ExitCode::Success)
}

fn show(args: &ShowArgs, layout: &Layout, context: &mut Context) -> Result<ExitCode, Failure> {
    let id = resolve(layout, &args.id)?;
    if args.json {
        let incident = read::incident(layout, &id).map_err(read_failure)?;
        let json = incident_json(&incident).map_err(|error| Failure::new(FailureKind::Bug, error))?;
        context.ui.data(json)?;
        return Ok(ExitCode::Success);
    }
    let report = read::report(layout, &id).map_err(read_failure)?;
    if args.raw || !context.ui.is_terminal() {
        context.ui.data(report)?;
    } else {
        let (width, palette) = (context.ui.width(), context.ui.palette());
        context.ui.data(markdown::render(&report, width, palette))?;
    }
    Ok(ExitCode::Success)
}

fn path(args: &PathArgs, layout: &Layout, context: &mut Context) -> Result<ExitCode, Failure> {
    let id = resolve(layout, &args.id)?;
    let folder = layout.incident(&id);
    let Some(file) = &args.file else {
        return say_path(&id, &folder, args.json, context);
    };
    if !file.components().all(|part| matches!(part, Component::Normal(_))) {
        let what = format!("`{}` is no name inside the incident's folder", file.display());
        return Err(Failure::new(FailureKind::Usage, what));
    }
    let path = layout.incident_file(&id, file);
    #[expect(clippy::disallowed_methods, reason = "the answer is whether the file is there")]
    let found = std::fs::symlink_metadata(&path).at(&path, "find");
    found.map_err(|error| {
        Failure::new(FailureKind::NothingHere, error).hint(format!("`ls {}` shows what is there", folder.display()))
    })?;
    say_path(&id, &path, args.json, context)
}

fn say_path(id: &IncidentId, path: &Path, json: bool, context: &mut Context) -> Result<ExitCode, Failure> {
    if json {
        context.ui.json(&PathJson { schema: 1, id, path: path.to_string_lossy() })?;
    } else {
        context.ui.line(path.display())?;
    }
    Ok(ExitCode::Success)
}

/// The incident that a person means.
pub(super) fn resolve(layout: &Layout, text: &str) -> Result<IncidentId, Failure> {
    if text == "latest" {
        let query = IndexQuery { limit: Some(1), ..IndexQuery::default() };
        let page = read::index(layout, &query).map_err(read_failure)?;
        let newest = page.rows.into_iter().next().map(|row| row.id);
        return newest.ok_or_else(|| Failure::new(FailureKind::NothingHere, "there are no incidents"));
    }
    read::resolve(layout, text).map_err(|error| match error {
        ResolveError::NotFound(_) => {
            Failure::new(FailureKind::NothingHere, error).hint("`sentry incidents list` shows the ids")
        }
        ResolveError::Ambiguous { count, ref candidates, .. } => {
            let mut names: Vec<&str> = candidates.iter().map(IncidentId::as_str).collect();
            let rest = count.saturating_sub(names.len());
            let more = format!("and {rest} more");
            if rest > 0 {
                names.push(&more);
            }
            let hint = format!("one of these:\n{}", names.join("\n"));
            Failure::new(FailureKind::No, error).hint(hint)
        }
        ResolveError::Read(error) => read_failure(error),
    })
}

impl KindArg {
    fn split(self) -> (Option<IncidentKind>, Option<DetectorKind>) {
        match self {
            Self::Error => (Some(IncidentKind::Error), None),
            Self::Anomaly => (Some(IncidentKind::Anomaly), None),
            Self::Pattern => (None, Some(DetectorKind::Pattern)),
            Self::Traceback => (None, Some(DetectorKind::Traceback)),
            Self::Stall => (None, Some(DetectorKind::Stall)),
            Self::ExitCode => (None, Some(DetectorKind::ExitCode)),
            Self::Metric => (None, Some(DetectorKind::Metric)),
            Self::Rate => (None, Some(DetectorKind::Rate)),
            Self::Resource => (None, Some(DetectorKind::Resource)),
            Self::Http => (None, Some(DetectorKind::Http)),
            Self::Tcp => (None, Some(DetectorKind::Tcp)),
            Self::Command => (None, Some(DetectorKind::Command)),
            Self::Catalogue => (None, Some(DetectorKind::Catalogue)),
        }
    }
}

impl SeverityArg {
    fn least(self) -> Severity {
        match self {
            Self::Info => Severity::Info,
            Self::Warning => Severity::Warning,
            Self::Error => Severity::Error,
            Self::Critical => Severity::Critical,
        }
    }
}
