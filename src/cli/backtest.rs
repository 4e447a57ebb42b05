//! `sentry backtest`: recorded logs through detectors, settling, ladder and rules. Nothing is executed.
#![expect(clippy::disallowed_methods, reason = "the logs are opened where they are replayed")]

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Context, ExitCode, Failure, FailureKind, Project, load};
use crate::backtest::{Backtest, Outcome, Replay};
use crate::config::{self, Config};
use crate::detect::DetectorSet;
use crate::ids::ChildNo;
use crate::os::clock::SystemClock;
use crate::os::error::AtExt as _;
use crate::supervisor::record::ChildRecord;
use crate::time::Utc;
use crate::view::{backtest, words};

/// Bytes read at a time.
const CHUNK: usize = 1024 * 1024;
/// Between two drawings of the progress.
const PROGRESS: Duration = Duration::from_millis(500);

/// Arguments of `sentry backtest`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads logs in their own time where lines are stamped, and says what would have fired, what would have been done about it
and what really followed. The end of a command is known from the record beside its log (child-001.json). Nothing is
executed, written or sent.

Examples:
  sentry backtest .sentry/runs/*/child-*.log
  sentry backtest --rules new-rules.yaml train-*.log
  sentry backtest --json old.log | jq '.detectors'

Exit codes: 0 when nothing would have fired, 1 when something would.")]
pub struct Args {
    /// Logs to replay; several children of one run in their order
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// Rules of this file instead of the configuration's
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let mut config = Project::find_for_run(context)?.config(context)?;
    if let Some(file) = &args.rules {
        config.rules = rules(file, &config, context)?;
    }
    let set =
        DetectorSet::compile(&config.detectors).map_err(|error| Failure::new(FailureKind::Configuration, error))?;
    let mut replay = Replay::new(config, Arc::new(set));
    let mut backtest = Backtest::default();
    let mut last: Option<Recorded> = None;
    for path in &args.logs {
        let log = Recorded::open(path, context)?;
        let goes_on = last.as_ref().is_some_and(|last| log.follows(last));
        replay.begin(&path.display().to_string(), log.outcome(), goes_on);
        feed(&mut replay, &log, context)?;
        backtest.add(replay.end());
        last = Some(log);
    }
    if args.json {
        context.ui.json(&backtest)?;
    } else {
        let (width, palette) = (context.ui.width(), context.ui.palette());
        context.ui.data(backtest::text(&backtest, width, palette))?;
    }
    let nothing = backtest.logs.iter().all(|log| log.fired.is_empty());
    Ok(if nothing { ExitCode::Success } else { ExitCode::No })
}

fn rules(file: &Path, config: &Config, context: &mut Context) -> Result<Vec<config::Rule>, Failure> {
    let cwd = context.env.cwd().unwrap_or_default();
    let bytes = load::read(&cwd.join(file))?;
    let variables = context.env.variables();
    let vars = |name: &str| variables.get(name).cloned();
    let coloured = context.ui.talk_palette().is_coloured();
    let parsed = config::decode(&bytes, Some(file))
        .and_then(|text| config::parse_rules(text, Some(file), config, &vars))
        .map_err(|errors| load::failure(errors, file, &cwd, coloured))?;
    super::config::warn(&parsed.1, context);
    Ok(parsed.0)
}

/// A log, and what its child's record says.
struct Recorded {
    name: String,
    file: File,
    size: Option<u64>,
    /// When it was last written to; of a log without a record it is all that is known of its time.
    modified: Option<Utc>,
    record: Option<ChildRecord>,
}

impl Recorded {
    fn open(path: &Path, context: &mut Context) -> Result<Self, Failure> {
        let whole = context.env.cwd().unwrap_or_default().join(path);
        let file = File::open(&whole).at(path, "open").map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::new(FailureKind::NothingHere, error),
            _ => Failure::new(FailureKind::Io, error),
        })?;
        let metadata = file.metadata().at(path, "look at").map_err(|error| Failure::new(FailureKind::Io, error))?;
        if metadata.is_dir() {
            let what = format!("cannot replay `{}`: it is a directory", path.display());
            return Err(Failure::new(FailureKind::Usage, what).hint("name the logs in it"));
        }
        let record = match ChildRecord::read(&whole.with_extension("json")) {
            Ok(record) => record.filter(|record| whole.file_stem().is_some_and(|stem| *stem == *record.child.stem())),
            // A file that is no record says nothing about the log.
            Err(_) => None,
        };
        let size = metadata.is_file().then_some(metadata.len());
        let since_epoch = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let modified = since_epoch.and_then(|at| i64::try_from(at.as_millis()).ok()).map(Utc::from_millis);
        Ok(Self { name: path.display().to_string(), file, size, modified, record })
    }

    fn outcome(&self) -> Outcome {
        let unknown = || Outcome { started: self.modified, exit: None };
        self.record.as_ref().map_or_else(unknown, |record| Outcome {
            started: record.started.or(Some(record.asked)),
            exit: record.exit.clone().filter(|exit| !exit.stop_requested),
        })
    }

    /// Whether it is the next child of the same run.
    fn follows(&self, last: &Self) -> bool {
        match (&last.record, &self.record) {
            (Some(last), Some(this)) => {
                let next: ChildNo = last.child.next();
                last.run == this.run && next == this.child
            }
            _ => false,
        }
    }
}

fn feed(replay: &mut Replay, log: &Recorded, context: &mut Context) -> Result<(), Failure> {
    let mut buffer = vec![0; CHUNK];
    let (mut done, mut drawn) = (0_u64, SystemClock::mono());
    let mut shown = false;
    let mut file = &log.file;
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let failed = Err::<(), _>(error).at(&log.name, "read");
                return failed.map_err(|error| Failure::new(FailureKind::Io, error));
            }
        };
        replay.feed(buffer.get(..count).unwrap_or_default());
        done = done.saturating_add(u64::try_from(count).unwrap_or(0));
        if context.ui.shows_progress() && SystemClock::mono().since(drawn) >= PROGRESS {
            drawn = SystemClock::mono();
            shown = true;
            let of = log.size.map_or_else(String::new, |size| format!(" of {}", words::bytes(size)));
            context.ui.talk(format_args!("\r\u{1b}[Kreplaying {}: {}{of}", log.name, words::bytes(done)));
        }
    }
    if shown {
        context.ui.talk("\r\u{1b}[K");
    }
    Ok(())
}
