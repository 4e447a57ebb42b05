//! Facts in words.

use super::safe_text::code;
use super::{Category, Incident};
use crate::detect::ending::{Ending, Exit, OutOfMemory};
use crate::detect::{DetectorKind, Language};
use crate::heal::verdict::Verdict;
use crate::time::Utc;

/// How a child ended: `exited with code 3`, `was ended by signal 9 (SIGKILL)`; fits behind "The child". Plain text; what
/// the operating system said is quoted as it is.
pub fn exit_words(exit: &Exit) -> String {
    let mut words = match &exit.ending {
        Ending::Exited { code } => format!("exited with code {code}"),
        Ending::Signaled { signal, core_dumped } => {
            let name = signal_name(*signal).map(|name| format!(" ({name})")).unwrap_or_default();
            let core = if *core_dumped { " and left a core dump" } else { "" };
            format!("was ended by signal {signal}{name}{core}")
        }
        Ending::NotStarted { message, .. } => format!("could not be started: {message}"),
        Ending::Lost { why } => format!("ended and nobody saw how: {why}"),
    };
    match exit.oom {
        OutOfMemory::NoSign => {}
        OutOfMemory::Likely => words.push_str("; probably by the kernel's out-of-memory killer"),
        OutOfMemory::Certain => words.push_str("; the kernel's out-of-memory killer did it"),
    }
    if exit.killed {
        words.push_str("; it had been asked to stop, did not, and was killed");
    } else if exit.stop_requested {
        words.push_str("; it had been asked to stop");
    }
    match exit.leftovers {
        0 => {}
        1 => words.push_str("; one process of its tree outlived it and was ended"),
        many => words.push_str(&format!("; {many} processes of its tree outlived it and were ended")),
    }
    words
}

/// Signal numbers of Linux on x86 and ARM, signal(7).
fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    NAMES.get(usize::try_from(signal).ok()?.checked_sub(1)?).copied()
}

pub(super) fn category_words(category: Category) -> &'static str {
    match category {
        Category::Timeout => "something took too long or stopped moving",
        Category::Test => "a test failed",
        Category::Lint => "a linter refused",
        Category::Type => "a type checker refused",
        Category::Build => "a build failed",
        Category::Runtime => "the program failed while running",
        Category::Syntax => "the source does not parse",
        Category::Import => "a module or library was not found",
        Category::Permission => "rights, credentials or quotas",
        Category::Infrastructure => "machine, network, storage or memory, not the program's code",
        Category::Unknown => "no repair category is clear",
    }
}

/// Info string of a fence.
pub(super) fn fence_language(language: Option<Language>) -> &'static str {
    match language {
        Some(Language::Python) => "python",
        Some(Language::Javascript) => "javascript",
        Some(Language::Typescript) => "typescript",
        Some(Language::Go) => "go",
        Some(Language::Rust) => "rust",
        Some(Language::Java) => "java",
        Some(Language::Kotlin) => "kotlin",
        Some(Language::Scala) => "scala",
        Some(Language::Cpp) => "cpp",
        Some(Language::Shell) => "sh",
        Some(Language::Dotnet) => "csharp",
        Some(Language::Ruby) => "ruby",
        Some(Language::Php) => "php",
        None => "text",
    }
}

pub(super) fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Kept => "it held",
        Verdict::Regressed => "the same failure came back",
        Verdict::Crashed => "it could not be carried out, or the child died of something else",
        Verdict::Rejected => "it was refused",
        Verdict::Superseded => "another action took its place first",
        Verdict::Unverified => "there was nothing to verify",
    }
}

/// `2026-11-21 12:34:56 UTC`.
pub(super) fn when(utc: Utc) -> String {
    utc.date_time().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What was seen first, as a sentence.
pub(super) fn what_was_seen(incident: &Incident) -> String {
    let root = &incident.root;
    let child = format!("child {} of run {}", incident.child, code(incident.run.as_str()));
    let place = match root.lines {
        (0, _) => String::new(),
        (first, last) if first == last => format!(" (line {first} of {})", code(root.stream.as_str())),
        (first, last) => format!(" (lines {first} to {last} of {})", code(root.stream.as_str())),
    };
    let stamp = when(incident.utc);
    match (&root.trace, root.kind) {
        (Some(trace), _) => {
            format!(
                "On {stamp}, {child} printed a {} stack trace{place}: {}.",
                trace.language.name(),
                code(&incident.message)
            )
        }
        (None, DetectorKind::Metric | DetectorKind::Rate) => {
            format!(
                "On {stamp}, {child} printed values{place} that detector {} watches for: {}.",
                code(root.detector.as_str()),
                code(&incident.message)
            )
        }
        (None, DetectorKind::Resource) => {
            format!("On {stamp}, a resource of {child} was at its limit: {}.", code(&incident.message))
        }
        (None, DetectorKind::Http | DetectorKind::Tcp | DetectorKind::Command) => {
            format!("On {stamp}, {child} did not answer as a healthy service does: {}.", code(&incident.message))
        }
        (None, DetectorKind::Pattern | DetectorKind::Traceback | DetectorKind::Catalogue) => {
            format!(
                "On {stamp}, {child} printed a line{place} that detector {} watches for: {}.",
                code(root.detector.as_str()),
                code(&incident.message)
            )
        }
        (None, DetectorKind::Stall) => {
            format!("On {stamp}, {child} seemed to have stopped moving: {}.", code(&incident.message))
        }
        (None, DetectorKind::ExitCode) => {
            format!("On {stamp}, {child} ended, and nothing in its output said why: {}.", code(&incident.message))
        }
    }
}
