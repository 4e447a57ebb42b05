//! `detectors` and `phases`, parsed.

use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex as BytesRegex;

use super::catalogue::{Catalogue, Entry};
use crate::detect::{DetectorKind, Language, Severity};
use crate::ids::{DetectorName, PhaseName};

/// One entry of `detectors`.
#[derive(Clone, Debug)]
pub struct Detector {
    /// Unique name.
    pub name: DetectorName,
    /// Severity of what it finds.
    pub severity: Severity,
    /// The same fingerprint within this time of the same child is counted, not a new incident.
    pub cooldown: Duration,
    /// What it looks for.
    pub what: What,
}

/// The kinds of detectors with their own keys.
#[derive(Clone, Debug)]
pub enum What {
    /// `kind: pattern`.
    Pattern {
        /// Compiled as the scanner will: bytes, no Unicode.
        regex: BytesRegex,
        /// Fires at the `min_count`-th match …
        min_count: u32,
        /// … within this time; zero is no limit.
        window: Duration,
    },
    /// `kind: traceback`.
    Traceback {
        /// Languages; empty is all.
        languages: Vec<Language>,
    },
    /// `kind: stall`.
    Stall(Stall),
    /// `kind: exit_code`.
    ExitCode {
        /// Leaves exit 0 alone.
        nonzero_only: bool,
    },
    /// `kind: metric`.
    Metric(Box<Metric>),
    /// `kind: rate`.
    Rate {
        /// As in [`What::Pattern`].
        regex: BytesRegex,
        /// Fires at the `count`-th match …
        count: u32,
        /// … within this time.
        window: Duration,
    },
    /// `kind: resource`.
    Resource(Box<Resource>),
    /// `kind: http`, `tcp` and `command`.
    Probe(Box<Probe>),
    /// `kind: catalogue`: the entry of the file. It looks for nothing itself; its classes follow as detectors.
    Catalogue(Box<Catalogue>),
    /// A class of the catalogue, by its own name.
    Class(Arc<Entry>),
}

/// `kind: stall`.
#[derive(Clone, Debug)]
pub struct Stall {
    /// First group (or the whole match) is the progress value; `None`: any output is progress.
    pub metric: Option<BytesRegex>,
    /// Fires when the value has not advanced for this long; `None`: learned from the run.
    pub no_progress: Option<Duration>,
    /// Learned limit: this multiple of the longest healthy gap …
    pub learn_factor: f64,
    /// … but never less than this.
    pub learn_min: Duration,
    /// Phases during which nothing is expected.
    pub except: Vec<PhaseName>,
}

/// `kind: metric`.
#[derive(Clone, Debug)]
pub struct Metric {
    /// First group (or the whole match) is the number.
    pub regex: BytesRegex,
    /// Fires on `nan` and `inf`.
    pub non_finite: bool,
    /// Fires above this.
    pub above: Option<f64>,
    /// Fires below this.
    pub below: Option<f64>,
    /// Fires when a value is this many MADs above the median of the window.
    pub spike_mads: Option<f64>,
    /// Fires when a value is this many MADs below it.
    pub drop_mads: Option<f64>,
    /// Fires when a value is more than this multiple of the median.
    pub spike_ratio: Option<f64>,
    /// Fires when a value is less than this part of the median.
    pub drop_ratio: Option<f64>,
    /// Values that the median is taken of.
    pub window: u32,
    /// Consecutive values that must agree; non-finite ones and thresholds too.
    pub confirmations: u32,
    /// They must also last for this long.
    pub confirm: Duration,
    /// Values at the start of a child that are not judged, except for being finite.
    pub warm_up: u32,
    /// Phases whose values are left out, except for being finite.
    pub except: Vec<PhaseName>,
}

/// `kind: resource`. Every limit that is `None` is not watched.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Between two looks.
    pub every: Duration,
    /// Resident memory of the child's tree, in bytes.
    pub memory_above: Option<u64>,
    /// Its steady growth, in bytes per hour.
    pub memory_growth_per_hour: Option<u64>,
    /// Over at least this time.
    pub growth_window: Duration,
    /// Open files of the process that has most, as a part of its limit.
    pub open_files_above: Option<f64>,
    /// Paths whose file systems are watched, absolute.
    pub disks: Vec<std::path::PathBuf>,
    /// Free bytes there.
    pub disk_free_below: Option<u64>,
    /// Free inodes there.
    pub inodes_free_below: Option<u64>,
    /// Accelerators that must be there; fewer is a detection.
    pub gpus: Option<u32>,
    /// Looks for lines of the kernel about accelerators (Xid) and killed processes.
    pub kernel_log: bool,
    /// Looks that must agree.
    pub confirmations: u32,
}

/// `kind: http`, `tcp` or `command`: asks a service whether it is well.
#[derive(Clone, Debug)]
pub struct Probe {
    /// How it is asked.
    pub ask: Ask,
    /// Between two questions.
    pub every: Duration,
    /// For one answer.
    pub timeout: Duration,
    /// Failed questions in a row that are a detection.
    pub failures: u32,
    /// After the start of a child, until the first answer at most.
    pub start_grace: Duration,
}

/// How a service is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// `GET url`.
    Http {
        /// `http://…`.
        url: String,
        /// Lowest and highest status that is well.
        status: (u16, u16),
        /// Found in the body (its first MiB).
        body: Option<BytesRegex>,
    },
    /// A connection.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// A command that exits with 0.
    Command {
        /// argv.
        command: Vec<String>,
        /// Absolute.
        cwd: std::path::PathBuf,
    },
}

impl What {
    /// The kind's name.
    pub fn kind(&self) -> DetectorKind {
        match self {
            Self::Pattern { .. } => DetectorKind::Pattern,
            Self::Traceback { .. } => DetectorKind::Traceback,
            Self::Stall(_) => DetectorKind::Stall,
            Self::ExitCode { .. } => DetectorKind::ExitCode,
            Self::Metric(_) => DetectorKind::Metric,
            Self::Rate { .. } => DetectorKind::Rate,
            Self::Resource(_) => DetectorKind::Resource,
            Self::Probe(probe) => match probe.ask {
                Ask::Http { .. } => DetectorKind::Http,
                Ask::Tcp { .. } => DetectorKind::Tcp,
                Ask::Command { .. } => DetectorKind::Command,
            },
            Self::Catalogue(_) | Self::Class(_) => DetectorKind::Catalogue,
        }
    }
}

/// One entry of `phases`: a part of the work in which other numbers and longer pauses are healthy.
#[derive(Clone, Debug)]
pub struct PhaseMarks {
    /// Unique name: `checkpoint`.
    pub name: PhaseName,
    /// The line that begins it.
    pub begin: BytesRegex,
    /// The line that ends it; `None`: `max` alone does.
    pub end: Option<BytesRegex>,
    /// It ends after this time at the latest: what takes longer is a stall.
    pub max: Duration,
}
