//! What a detector says.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Class;
use crate::ids::{DetectorName, StreamId};

/// How bad a detection is, from least to worst.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth recording, not worth acting on.
    Info,
    /// Something went wrong and was probably handled.
    Warning,
    /// A failure.
    #[default]
    Error,
    /// A failure that cannot wait.
    Critical,
}

impl Severity {
    /// The name used in the configuration and on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// Kinds of detectors, as written in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetectorKind {
    /// A regular expression on one line.
    Pattern,
    /// A stack trace of any known language.
    Traceback,
    /// No output or no progress for too long.
    Stall,
    /// How the child ended.
    ExitCode,
    /// A number in the log that is not finite, beyond a limit, or far from what it was.
    Metric,
    /// Too many matches of a regular expression within a time.
    Rate,
    /// Memory, open files, disks, accelerators.
    Resource,
    /// A service that does not answer an HTTP request.
    Http,
    /// A service that does not accept a connection.
    Tcp,
    /// A command that says the service is not well.
    Command,
    /// A known failure class.
    Catalogue,
}

impl DetectorKind {
    /// The name used in the configuration and on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pattern => "pattern",
            Self::Traceback => "traceback",
            Self::Stall => "stall",
            Self::ExitCode => "exit_code",
            Self::Metric => "metric",
            Self::Rate => "rate",
            Self::Resource => "resource",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Command => "command",
            Self::Catalogue => "catalogue",
        }
    }

    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Pattern,
        Self::Traceback,
        Self::Stall,
        Self::ExitCode,
        Self::Metric,
        Self::Rate,
        Self::Resource,
        Self::Http,
        Self::Tcp,
        Self::Command,
        Self::Catalogue,
    ];

    /// Whether it says that something is odd, not that something failed.
    pub fn is_anomaly(self) -> bool {
        match self {
            Self::Stall | Self::Metric | Self::Rate | Self::Resource | Self::Http | Self::Tcp | Self::Command => true,
            Self::Pattern | Self::Traceback | Self::ExitCode | Self::Catalogue => false,
        }
    }
}

/// Language of a stack trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Python.
    Python,
    /// JavaScript; TypeScript where the file says so.
    Javascript,
    /// TypeScript.
    Typescript,
    /// Go.
    Go,
    /// Rust.
    Rust,
    /// Java; the JVM where nothing says otherwise.
    Java,
    /// Kotlin on the JVM.
    Kotlin,
    /// Scala on the JVM.
    Scala,
    /// C and C++: sanitizers, glibc aborts, assertions.
    Cpp,
    /// Shell.
    Shell,
    /// C#, F# and Visual Basic on .NET.
    Dotnet,
    /// Ruby.
    Ruby,
    /// PHP.
    Php,
}

impl Language {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Javascript => "JavaScript",
            Self::Typescript => "TypeScript",
            Self::Go => "Go",
            Self::Rust => "Rust",
            Self::Java => "Java",
            Self::Kotlin => "Kotlin",
            Self::Scala => "Scala",
            Self::Cpp => "C/C++",
            Self::Shell => "shell",
            Self::Dotnet => ".NET",
            Self::Ruby => "Ruby",
            Self::Php => "PHP",
        }
    }

    /// The language whose traces look the same.
    pub fn family(self) -> Self {
        match self {
            Self::Typescript => Self::Javascript,
            Self::Kotlin | Self::Scala => Self::Java,
            other => other,
        }
    }

    /// Whether the innermost frame is printed last, as only Python does.
    pub fn innermost_last(self) -> bool {
        self == Self::Python
    }
}

/// One frame as printed in a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceFrame {
    /// File as printed; absent where only a function or module offset is given.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Function as printed, without arguments, addresses, hashes and module prefixes.
    pub function: Option<String>,
    /// Whether the frame seems to belong to the application, judged by the path and name alone.
    pub in_app: bool,
}

/// A stack trace, read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Language.
    pub language: Language,
    /// Exception type as printed; `panic` or `fatal error` where a language prints no type.
    pub exception: Option<String>,
    /// The whole message (may have several lines), without the type.
    pub message: String,
    /// All frames in the order printed, causes included.
    pub frames: Vec<TraceFrame>,
    /// Index into `frames`: where a person would look first.
    pub in_app_top: Option<usize>,
    /// Types of the causes, nearest first, root cause last.
    pub cause_chain: Vec<String>,
    /// The lines of the report as they were read (ANSI and prefixes removed), capped at [`Trace::MAX_TEXT`] bytes.
    pub text: String,
    /// The trace was cut off by the end of the stream, by another line or by the cap.
    pub cut: bool,
}

impl Trace {
    /// Most bytes of a trace that are kept in `text`.
    pub const MAX_TEXT: usize = 256 * 1024;
    /// Most frames of a trace that are kept.
    pub const MAX_FRAMES: usize = 4096;
}

/// One thing a detector saw: "this happened here".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// Which detector.
    pub detector: DetectorName,
    /// Its kind.
    pub kind: DetectorKind,
    /// How bad.
    pub severity: Severity,
    /// Where: the stream …
    pub stream: StreamId,
    /// … the bytes of it …
    pub bytes: Range<u64>,
    /// … and the lines, 1-based, both inclusive (a line ends at LF). Zero where no line is meant (stall, exit).
    pub lines: (u64, u64),
    /// One line for people: the matched text, the exception's message, "exit code 3".
    pub message: String,
    /// Named and numbered groups of the regular expression; fields of a prefix (`rank`, `node`).
    pub captures: BTreeMap<String, String>,
    /// The trace, for `traceback`.
    pub trace: Option<Trace>,
    /// The known failure class, for `catalogue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
}
