//! Looks at the world outside the log: what is asked, and what came of it. Plain data that a process of its own is handed
//! and hands back, so that nothing that hangs can hang the monitor.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Detection, DetectorKind, Severity};
use crate::config;
use crate::ids::{DetectorName, StreamId};

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// The child's processes, the machine's disks, accelerators and kernel log.
    Resources(ResourceQuestion),
    /// `GET url`.
    Http {
        /// `http://…`.
        url: String,
        /// Lowest and highest status that is well.
        status: (u16, u16),
        /// Searched for in the body, as bytes.
        body: Option<String>,
        /// For the whole exchange.
        timeout: Duration,
    },
    /// A connection.
    Tcp {
        /// `host:port`.
        address: String,
        /// Until it is there.
        timeout: Duration,
    },
    /// A command that exits with 0.
    Command {
        /// argv.
        command: Vec<String>,
        /// Absolute.
        cwd: PathBuf,
        /// Set over the monitor's environment, as for the child.
        env: BTreeMap<String, String>,
        /// Then it is killed with all below it.
        timeout: Duration,
    },
}

/// Which resources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceQuestion {
    /// Resident memory of the child's processes.
    pub memory: bool,
    /// Their open files.
    pub open_files: bool,
    /// File systems of these paths.
    pub disks: Vec<PathBuf>,
    /// Accelerators.
    pub gpus: bool,
    /// The kernel's lines.
    pub kernel: Option<KernelQuestion>,
}

/// Which lines of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelQuestion {
    /// From this sequence number on; `None`: none, only the number of the next one is asked.
    pub from: Option<u64>,
    /// The child's processes as last seen: one that was killed is not there any more when the kernel's word of it is read.
    pub pids: Vec<u32>,
}

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// What there is of everything that was asked for and could be looked at.
    Resources(Box<Resources>),
    /// The service is well.
    Well {
        /// In a few words: `answered 200`.
        said: String,
    },
    /// It is not, or it has not answered in time.
    Failed {
        /// In what way.
        reason: Reason,
        /// What goes behind the service's name: `answered 503`.
        said: String,
        /// The status, the exit code.
        value: Option<String>,
    },
    /// Nobody could ask: this says nothing about the service.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// Ways for a service not to be well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Another status than those that are well.
    Status,
    /// The body has not what it should have.
    Body,
    /// Nothing listens.
    Refused,
    /// Listened, and broke the exchange off.
    Closed,
    /// No way there.
    Unreachable,
    /// Something else than HTTP came back.
    NotHttp,
    /// No answer in time.
    Timeout,
    /// The command ended with something else than 0.
    Exit,
}

impl Reason {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Body => "body",
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Unreachable => "unreachable",
            Self::NotHttp => "not_http",
            Self::Timeout => "timeout",
            Self::Exit => "exit",
        }
    }
}

/// What a look at resources brought. What is absent was not asked for or could not be looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory of the child's processes.
    pub memory: Option<Memory>,
    /// The process with the largest part of its limit of open files.
    pub open_files: Option<OpenFiles>,
    /// File systems that answered.
    pub disks: Vec<DiskSpace>,
    /// Accelerators that are there.
    pub gpus: Option<u32>,
    /// The kernel's lines.
    pub kernel: Option<KernelLines>,
    /// Processes of the child.
    pub pids: Vec<u32>,
    /// What could not be looked at and why.
    pub unknown: Vec<String>,
    /// The same where that is usual: the kernel's log, for an ordinary user.
    pub notes: Vec<String>,
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// How much.
    pub bytes: u64,
    /// Who says so.
    pub source: MemorySource,
}

/// Who knows the memory of a tree of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemorySource {
    /// The child's control group: anonymous and shared memory, without the page cache.
    Cgroup,
    /// `/proc`: anonymous memory of all processes, and the shared and file-backed memory of the one that has most of it
    /// (what they share would be counted once for each otherwise).
    Processes,
}

impl MemorySource {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "control group",
            Self::Processes => "processes",
        }
    }
}

/// Open files of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFiles {
    /// Whose.
    pub pid: u32,
    /// How many.
    pub open: u64,
    /// Its soft limit (`RLIMIT_NOFILE`).
    pub limit: u64,
}

/// Room on a file system, for an unprivileged user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpace {
    /// As configured.
    pub path: PathBuf,
    /// Bytes.
    pub free: u64,
    /// Inodes; `None` where they are made as needed.
    pub inodes_free: Option<u64>,
}

/// Lines of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelLines {
    /// Sequence number to go on with.
    pub next: u64,
    /// Those that matter, oldest first.
    pub lines: Vec<String>,
}

/// Where in the child's output a look belongs: what was printed before it was printed earlier.
#[derive(Clone, Debug)]
pub struct Place {
    /// The child's stream.
    pub stream: StreamId,
    /// Bytes read of it.
    pub byte: u64,
}

/// Whose detections are made.
#[derive(Clone, Debug)]
pub(super) struct Source {
    detector: DetectorName,
    kind: DetectorKind,
    severity: Severity,
}

impl Source {
    pub(super) fn of(detector: &config::Detector) -> Self {
        Self { detector: detector.name.clone(), kind: detector.what.kind(), severity: detector.severity }
    }

    /// An anomaly: a stable word for what it is, a sentence, and the numbers by name.
    pub(super) fn detection(
        &self,
        place: &Place,
        reason: &str,
        message: String,
        captures: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Detection {
        let mut captures: BTreeMap<String, String> =
            captures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        captures.insert("reason".to_owned(), reason.to_owned());
        Detection {
            detector: self.detector.clone(),
            kind: self.kind,
            severity: self.severity,
            stream: place.stream.clone(),
            bytes: place.byte..place.byte,
            lines: (0, 0),
            message,
            captures,
            trace: None,
            class: None,
        }
    }
}

/// `512 B`, `1.5 GiB`: the units in which limits are written.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut whole = bytes;
    let mut rest = 0;
    let mut unit = "B";
    for next in UNITS {
        if whole < 1024 {
            break;
        }
        (rest, whole, unit) = (whole % 1024, whole / 1024, next);
    }
    // At most 10 * 1024 * 1024, whatever the unit.
    let tenths = ((whole * 1024 + rest) * 10 + 512) / 1024;
    if tenths.is_multiple_of(10) {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

/// `45 s`, `2.5 s`, `1 h`, `1 h 30 min`.
pub(super) fn span(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (0..60, 1..) => format!("{} s", (time.as_secs_f64() * 10.0).round() / 10.0),
        _ => super::stall::words(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_read_well() {
        let sizes = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (5 << 30, "5 GiB"),
            ((31 << 30) / 10, "3.1 GiB"),
            (3_435_973_837, "3.2 GiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        let spans =
            [(200, "0.2 s"), (5_000, "5 s"), (90_000, "1 min 30 s"), (3_600_000, "1 h"), (5_400_000, "1 h 30 min")];
        for (millis, text) in spans {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn answers_survive_the_way() {
        let answers = [
            Answer::Well { said: "answered 200".into() },
            Answer::Failed { reason: Reason::NotHttp, said: "x".into(), value: None },
            Answer::Unknown { why: "y".into() },
            Answer::Resources(Box::new(Resources {
                memory: Some(Memory { bytes: 7, source: MemorySource::Cgroup }),
                kernel: Some(KernelLines { next: 9, lines: vec!["a".into()] }),
                ..Default::default()
            })),
        ];
        for answer in answers {
            let text = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer, "{text}");
        }
    }
}
