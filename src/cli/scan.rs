//! `sentry scan`: the detectors over a log that is there already.
#![expect(clippy::disallowed_methods, reason = "the log is opened where it is scanned")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::scan_judge::Judge;
use super::{Context, ExitCode, Failure, FailureKind, Project};
use crate::config::{Detector, What};
use crate::detect::{Class, Detection, DetectorSet, Flush, Position, Role, Scanned, Scanner, stream_name};
use crate::ids::{DetectorName, StreamId};
use crate::os::clock::SystemClock;
use crate::os::error::AtExt as _;
use crate::os::wait::wait;
use crate::time::Mono;
use crate::view::{detections, words};

/// Bytes read at a time.
const CHUNK: usize = 1024 * 1024;
/// A live stream that says nothing for this long has finished its trace.
const SILENCE: Duration = Duration::from_secs(2);
/// Between two drawings of the progress; nothing is drawn for what is done sooner.
const PROGRESS: Duration = Duration::from_millis(500);
/// Bytes from which on the rate means something.
const RATE_WORTH_SAYING: u64 = 10_000_000;

/// Arguments of `sentry scan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Uses the detectors of `-c FILE`, of the sentry.yaml here or above, or the built-in ones.

Examples:
  sentry scan train.log
  sentry scan logs/rank_*.log
  kubectl logs -f api | sentry scan -
  sentry scan --json train.log | jq -r .exception | sort | uniq -c

Exit codes: 0 when nothing was found, 1 when something was.")]
pub struct Args {
    /// Logs to scan, each by itself; `-` is the standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only these detectors
    #[arg(long = "detectors", value_name = "NAME", value_delimiter = ',')]
    detectors: Vec<String>,
    /// Also what only explains an end, and lines that only comment on a failure
    #[arg(long)]
    all: bool,
    /// Print one JSON object per detection
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let config = Project::find_for_run(context)?.config(context)?;
    let detectors = chosen(&config.detectors, &args.detectors)?;
    let set = DetectorSet::with_phases(&detectors, &config.phases);
    let set = Arc::new(set.map_err(|error| Failure::new(FailureKind::Configuration, error))?);
    let mut scan = Scan {
        name: String::new(),
        scanner: Scanner::new(Arc::clone(&set), StreamId::new("-"), Position::START),
        judge: Judge::new(&detectors, &config.phases),
        all: args.all,
        left_out: 0,
        found: BTreeMap::new(),
        unshown: 0,
        lines: 0,
        bytes: 0,
        json: args.json,
        started: SystemClock::mono(),
    };
    for file in &args.files {
        let input = Input::open(file, context)?;
        scan.begin(&input.name, &set, Judge::new(&detectors, &config.phases));
        scan.read(input, context)?;
    }
    scan.summarize(context);
    let nothing = scan.found.is_empty() && scan.unshown == 0;
    Ok(if nothing { ExitCode::Success } else { ExitCode::No })
}

/// What is no failure of a program that may have gone on: a log alone does not tell.
fn is_quiet(class: &Class) -> bool {
    class.only_if_ended || class.role == Role::Diagnostic
}

/// The detectors that are asked for; all of them without a name. The catalogue stands for its classes.
fn chosen(all: &[Detector], names: &[String]) -> Result<Vec<Detector>, Failure> {
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    for name in names {
        if !all.iter().any(|detector| detector.name.as_str() == name) {
            let own = all.iter().filter(|detector| !matches!(detector.what, What::Class(_)));
            let known: Vec<&str> = own.map(|detector| detector.name.as_str()).collect();
            return Err(Failure::new(FailureKind::Usage, format!("unknown detector `{name}`"))
                .hint(format!("known are: {}, and the classes of `sentry catalogue`", known.join(", "))));
        }
    }
    let named = |detector: &Detector| names.iter().any(|name| detector.name.as_str() == name);
    let whole = all.iter().any(|detector| matches!(detector.what, What::Catalogue(_)) && named(detector));
    let wanted = |detector: &&Detector| named(detector) || (whole && matches!(detector.what, What::Class(_)));
    Ok(all.iter().filter(wanted).cloned().collect())
}

struct Input {
    name: String,
    file: File,
    /// Of a regular file.
    size: Option<u64>,
}

impl Input {
    fn open(path: &Path, context: &Context) -> Result<Self, Failure> {
        let io_failure = |error| Failure::new(FailureKind::Io, error);
        let (name, file) = if path == Path::new("-") {
            let stdin = io::stdin().as_fd().try_clone_to_owned().at("-", "open").map_err(io_failure)?;
            ("-".to_owned(), File::from(stdin))
        } else {
            let whole = context.env.cwd().unwrap_or_default().join(path);
            let opened = File::open(&whole).at(path, "open").map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Failure::new(FailureKind::NothingHere, error),
                _ => Failure::new(FailureKind::Io, error),
            })?;
            (path.display().to_string(), opened)
        };
        let metadata = file.metadata().at(path, "look at").map_err(io_failure)?;
        if metadata.is_dir() {
            let what = format!("cannot scan `{name}`: it is a directory");
            return Err(Failure::new(FailureKind::Usage, what));
        }
        Ok(Self { name, file, size: metadata.is_file().then_some(metadata.len()) })
    }
}

struct Scan {
    name: String,
    scanner: Scanner,
    judge: Judge,
    /// Shows everything.
    all: bool,
    /// What was not shown for that.
    left_out: u64,
    found: BTreeMap<DetectorName, u64>,
    /// Hits of noisy detectors that are only counted.
    unshown: u64,
    lines: u64,
    bytes: u64,
    json: bool,
    started: Mono,
}

impl Scan {
    fn begin(&mut self, name: &str, set: &Arc<DetectorSet>, judge: Judge) {
        name.clone_into(&mut self.name);
        self.scanner = Scanner::new(Arc::clone(set), StreamId::new(name), Position::START);
        self.judge = judge;
    }

    fn read(&mut self, mut input: Input, context: &mut Context) -> Result<(), Failure> {
        let mut buffer = vec![0; CHUNK];
        let mut drawn = self.started;
        loop {
            if input.size.is_none() {
                // Somebody may be watching a live stream: nothing found stays in a buffer while we wait.
                context.ui.flush()?;
                self.wait_for_more(&input.file, context)?;
            }
            let count = match input.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let failed = Err::<(), _>(error).at(&input.name, "read");
                    return failed.map_err(|error| Failure::new(FailureKind::Io, error));
                }
            };
            let scanned = self.scanner.feed(buffer.get(..count).unwrap_or_default());
            self.take(scanned, context)?;
            if context.ui.shows_progress() {
                let now = SystemClock::mono();
                if now.since(drawn) >= PROGRESS {
                    drawn = now;
                    self.draw(input.size, context);
                }
            }
        }
        if drawn != self.started {
            context.ui.talk("\r\u{1b}[K");
        }
        let scanned = self.scanner.flush(Flush::End);
        self.take(scanned, context)
    }

    fn wait_for_more(&mut self, file: &File, context: &mut Context) -> Result<(), Failure> {
        while self.scanner.has_open() {
            let ready = wait(&[file.as_fd()], Some(SILENCE)).map_err(|error| Failure::new(FailureKind::Io, error))?;
            if ready.any() {
                return Ok(());
            }
            let scanned = self.scanner.flush(Flush::Silence);
            self.take(scanned, context)?;
            context.ui.flush()?;
        }
        Ok(())
    }

    fn take(&mut self, scanned: Scanned, context: &mut Context) -> Result<(), Failure> {
        let Scanned { mut detections, counted, signals, progress: _, lines, bytes } = scanned;
        self.lines = self.lines.saturating_add(lines);
        self.bytes = self.bytes.saturating_add(bytes);
        let odd = self.judge.values(&signals);
        if !odd.is_empty() {
            detections.extend(odd);
            // As they were completed in the stream.
            detections.sort_by_key(|detection| detection.bytes.end);
        }
        let mut last: BTreeMap<DetectorName, Detection> = BTreeMap::new();
        for mut detection in detections {
            stream_name::fill(&mut detection);
            if !self.all && detection.class.as_ref().is_some_and(is_quiet) {
                self.left_out = self.left_out.saturating_add(1);
                continue;
            }
            let count = self.found.entry(detection.detector.clone()).or_default();
            *count = count.saturating_add(1);
            if counted.contains_key(&detection.detector) {
                last.insert(detection.detector.clone(), detection.clone());
            }
            if let Some(detection) = self.judge.rate(detection, 1) {
                self.show(&detection, context)?;
            }
        }
        for (detector, hits) in counted {
            self.unshown = self.unshown.saturating_add(hits);
            let reached = last.remove(&detector).and_then(|detection| self.judge.counted(detection, hits));
            let count = self.found.entry(detector).or_default();
            *count = count.saturating_add(hits);
            if let Some(detection) = reached {
                self.show(&detection, context)?;
            }
        }
        Ok(())
    }

    fn show(&self, detection: &Detection, context: &mut Context) -> Result<(), Failure> {
        if self.json {
            return context.ui.json(&detections::json(&self.name, detection));
        }
        let palette = context.ui.palette();
        context.ui.data(detections::text(&self.name, detection, palette))
    }

    fn draw(&self, size: Option<u64>, context: &mut Context) {
        let done = words::bytes(self.bytes);
        let of = match size {
            Some(size) if size > 0 => {
                let percent = u128::from(self.bytes) * 100 / u128::from(size);
                format!("{} %, {done} of {}", percent.min(100), words::bytes(size))
            }
            Some(_) | None => done,
        };
        context.ui.talk(format_args!("\r\u{1b}[Kscanning: {of}, {} found", self.found.values().sum::<u64>()));
    }

    fn summarize(&self, context: &mut Context) {
        if self.json {
            return;
        }
        let took = SystemClock::mono().since(self.started);
        // Of a short log it would say how fast the program starts.
        let rate = if self.bytes < RATE_WORTH_SAYING {
            String::new()
        } else {
            let rate = u128::from(self.bytes) * 1_000_000 / took.as_micros().max(1);
            format!(" ({}/s)", words::bytes(u64::try_from(rate).unwrap_or(u64::MAX)))
        };
        let found = if self.found.is_empty() {
            "nothing found".to_owned()
        } else {
            let counts: Vec<String> =
                self.found.iter().map(|(detector, count)| format!("{detector} {}", words::thousands(*count))).collect();
            format!("found: {}", counts.join(", "))
        };
        context.ui.say(format_args!(
            "{found}; {}, {} in {}{rate}",
            words::count(self.lines, "line"),
            words::bytes(self.bytes),
            words::duration(took),
        ));
        if self.left_out > 0 {
            let lines = words::count(self.left_out, "line");
            context.ui.say(format_args!("{lines} that only explain or comment on an end are not shown (`--all` does)"));
        }
        if self.unshown > 0 {
            let hits = words::count(self.unshown, "hit");
            context.ui.say(format_args!("{hits} of noisy detectors were counted and not shown"));
        }
        for (detector, count) in self.judge.needed() {
            if self.found.contains_key(detector) {
                context.ui.say(format_args!(
                    "`{detector}` fires at every {count} matches, over the whole log: its lines are not timed here"
                ));
            }
        }
    }
}
