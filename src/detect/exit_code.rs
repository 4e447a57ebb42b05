//! How a child ended, as a detection that a person understands.

use std::collections::BTreeMap;

use super::ending::{Ending, Exit, OutOfMemory};
use super::{Class, Detection, DetectorKind, Severity};
use crate::config::{self, What};
use crate::ids::{ChildNo, DetectorName};

/// Name of the detector that stands in when the configuration has none of this kind.
pub const IMPLICIT_NAME: &str = "exit_code";

/// Says whether an end is a failure, and in which words.
///
/// An end that nobody asked for and that is not exit 0 always is, configured or not. An end that follows from our own stop never
/// is. With `nonzero_only: false`, exit 0 is reported as well, as [`Severity::Info`].
pub fn detect(detectors: &[config::Detector], exit: &Exit, child: ChildNo) -> Option<Detection> {
    if exit.stop_requested {
        return None;
    }
    let configured = detectors.iter().find_map(|detector| match detector.what {
        What::ExitCode { nonzero_only } => Some((detector, nonzero_only)),
        _ => None,
    });
    let (detector, severity, nonzero_only) = match configured {
        Some((detector, nonzero_only)) => (detector.name.clone(), detector.severity, nonzero_only),
        None => (DetectorName::new(IMPLICIT_NAME), Severity::Error, true),
    };
    if exit.is_success() && nonzero_only {
        return None;
    }
    Some(Detection {
        detector,
        kind: DetectorKind::ExitCode,
        severity: if exit.is_success() { Severity::Info } else { severity },
        stream: child.stream(),
        bytes: 0..0,
        lines: (0, 0),
        message: describe(exit),
        captures: captures(exit),
        trace: None,
        class: class(detectors, exit),
    })
}

/// The class of the catalogue that an end means.
///
/// SIGKILL alone says nothing: only where the kernel's out-of-memory killer was certainly at work, it is memory.
fn class(detectors: &[config::Detector], exit: &Exit) -> Option<Class> {
    let code = match exit.ending {
        Ending::Exited { code } => Some(code),
        // As shells and containers report it.
        Ending::Signaled { signal, .. } => Some(128_i32.saturating_add(signal)),
        // What a shell exits with: ENOENT, EACCES.
        Ending::NotStarted { errno: 2, .. } => Some(127),
        Ending::NotStarted { errno: 13, .. } => Some(126),
        Ending::NotStarted { .. } | Ending::Lost { .. } => None,
    };
    let entries = || {
        detectors.iter().filter_map(|detector| match &detector.what {
            What::Class(entry) => Some(entry),
            _ => None,
        })
    };
    let killed = entries().find(|entry| entry.oom_kill && exit.oom == OutOfMemory::Certain);
    let meant = || entries().find(|entry| code.is_some_and(|code| entry.exit_codes.contains(&code)));
    killed.or_else(meant).map(|entry| entry.class.clone())
}

/// The end in words: `exit code 3`, `killed by SIGSEGV (core dumped)`.
pub fn describe(exit: &Exit) -> String {
    match &exit.ending {
        Ending::Exited { code } => match exit.oom {
            // A worker of the child was killed, and the child gave up because of it.
            OutOfMemory::Certain => format!("exit code {code}; the kernel's out-of-memory killer was at work"),
            OutOfMemory::NoSign | OutOfMemory::Likely => format!("exit code {code}"),
        },
        Ending::Signaled { signal, core_dumped } => {
            let name = signal_name(*signal);
            let core = if *core_dumped { " (core dumped)" } else { "" };
            let oom = match exit.oom {
                OutOfMemory::NoSign => "",
                OutOfMemory::Likely => "; probably by the kernel's out-of-memory killer",
                OutOfMemory::Certain => "; the kernel's out-of-memory killer was at work",
            };
            format!("killed by {name}{core}{oom}")
        }
        // ENOENT; the message names the command.
        Ending::NotStarted { errno: 2, message } => format!("command not found: {message}"),
        // EACCES.
        Ending::NotStarted { errno: 13, message } => format!("command may not be executed: {message}"),
        Ending::NotStarted { message, .. } => format!("command could not be started: {message}"),
        Ending::Lost { why } => format!("ended, and nobody saw how: {why}"),
    }
}

fn captures(exit: &Exit) -> BTreeMap<String, String> {
    let mut captures = BTreeMap::new();
    match exit.ending {
        Ending::Exited { code } => {
            captures.insert("exit_code".to_owned(), code.to_string());
        }
        Ending::Signaled { signal, .. } => {
            captures.insert("signal".to_owned(), signal_name(signal));
        }
        Ending::NotStarted { errno, .. } => {
            captures.insert("errno".to_owned(), errno.to_string());
        }
        Ending::Lost { .. } => {}
    }
    captures
}

/// Name of a signal on Linux x86-64 and aarch64: `SIGSEGV`, `SIGRTMIN+3`; `signal 99` for what has none. Source: signal(7).
pub fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let standard = usize::try_from(signal).ok().and_then(|number| number.checked_sub(1)).and_then(|at| NAMES.get(at));
    match (standard, signal) {
        (Some(name), _) => format!("SIG{name}"),
        // glibc keeps 32 and 33 for itself.
        (None, 34) => "SIGRTMIN".to_owned(),
        (None, 35..=64) => format!("SIGRTMIN+{}", signal - 34),
        (None, _) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn exit(ending: Ending) -> Exit {
        Exit { ending, oom: OutOfMemory::NoSign, leftovers: 0, stop_requested: false, killed: false }
    }

    fn signaled(signal: i32, core_dumped: bool, oom: OutOfMemory) -> Exit {
        Exit { oom, ..exit(Ending::Signaled { signal, core_dumped }) }
    }

    #[test]
    fn ends_in_words() {
        let not_started = |errno, message: &str| exit(Ending::NotStarted { errno, message: message.to_owned() });
        for (expected, exit) in [
            ("exit code 3", exit(Ending::Exited { code: 3 })),
            (
                "exit code 1; the kernel's out-of-memory killer was at work",
                Exit { oom: OutOfMemory::Certain, ..exit(Ending::Exited { code: 1 }) },
            ),
            ("killed by SIGSEGV (core dumped)", signaled(11, true, OutOfMemory::NoSign)),
            ("killed by SIGKILL", signaled(9, false, OutOfMemory::NoSign)),
            (
                "killed by SIGKILL; the kernel's out-of-memory killer was at work",
                signaled(9, false, OutOfMemory::Certain),
            ),
            (
                "killed by SIGKILL; probably by the kernel's out-of-memory killer",
                signaled(9, false, OutOfMemory::Likely),
            ),
            ("killed by SIGRTMIN+2", signaled(36, false, OutOfMemory::NoSign)),
            ("killed by signal 0", signaled(0, false, OutOfMemory::NoSign)),
            ("command not found: pythn", not_started(2, "pythn")),
            ("command may not be executed: ./train.sh", not_started(13, "./train.sh")),
            ("command could not be started: ./a.out: Exec format error", not_started(8, "./a.out: Exec format error")),
            (
                "ended, and nobody saw how: the shim was killed",
                exit(Ending::Lost { why: "the shim was killed".to_owned() }),
            ),
        ] {
            assert_eq!(describe(&exit), expected);
        }
    }

    #[test]
    fn which_ends_are_failures() {
        let configured = |nonzero_only| {
            vec![config::Detector {
                name: DetectorName::new("end"),
                severity: Severity::Critical,
                cooldown: Duration::ZERO,
                what: What::ExitCode { nonzero_only },
            }]
        };
        let found = |detectors: &[config::Detector], exit: &Exit| {
            detect(detectors, exit, ChildNo(2)).map(|found| (found.detector.to_string(), found.severity, found.message))
        };
        let three = exit(Ending::Exited { code: 3 });
        let zero = exit(Ending::Exited { code: 0 });
        let stopped = Exit { stop_requested: true, ..signaled(15, false, OutOfMemory::NoSign) };
        let row = |name: &str, severity, message: &str| Some((name.to_owned(), severity, message.to_owned()));

        assert_eq!(found(&[], &three), row("exit_code", Severity::Error, "exit code 3"));
        assert_eq!(found(&[], &zero), None);
        assert_eq!(found(&[], &stopped), None);
        assert_eq!(found(&configured(true), &three), row("end", Severity::Critical, "exit code 3"));
        assert_eq!(found(&configured(true), &zero), None);
        assert_eq!(found(&configured(false), &zero), row("end", Severity::Info, "exit code 0"));
        assert_eq!(detect(&[], &three, ChildNo(2)).map(|found| found.stream), Some(ChildNo(2).stream()));
    }

    #[test]
    fn ends_have_their_classes() {
        let config = config::defaults(vec!["a".to_owned()], std::path::Path::new("/p"));
        let found =
            |exit: &Exit| detect(&config.detectors, exit, ChildNo(1))?.class.map(|class| class.name.to_string());
        let not_started = |errno| exit(Ending::NotStarted { errno, message: String::new() });
        for (exit, expected) in [
            (exit(Ending::Exited { code: 1 }), None),
            (exit(Ending::Exited { code: 2 }), None),
            (exit(Ending::Exited { code: 75 }), Some("temporary_failure")),
            (exit(Ending::Exited { code: 127 }), Some("command_not_found")),
            (exit(Ending::Exited { code: 139 }), Some("segfault")),
            (not_started(2), Some("command_not_found")),
            (not_started(13), Some("not_executable")),
            (not_started(8), None),
            (signaled(11, true, OutOfMemory::NoSign), Some("segfault")),
            (signaled(7, true, OutOfMemory::NoSign), Some("shared_memory")),
            (signaled(15, false, OutOfMemory::NoSign), Some("terminated")),
            // SIGKILL says nothing of memory unless the kernel does.
            (signaled(9, false, OutOfMemory::NoSign), Some("killed")),
            (signaled(9, false, OutOfMemory::Likely), Some("killed")),
            (signaled(9, false, OutOfMemory::Certain), Some("host_oom")),
            (Exit { oom: OutOfMemory::Certain, ..exit(Ending::Exited { code: 1 }) }, Some("host_oom")),
        ] {
            assert_eq!(found(&exit).as_deref(), expected, "{exit:?}");
        }
    }

    #[test]
    fn signals_have_their_numbers() {
        for (number, name) in
            [(1, "SIGHUP"), (9, "SIGKILL"), (15, "SIGTERM"), (16, "SIGSTKFLT"), (19, "SIGSTOP"), (31, "SIGSYS")]
        {
            assert_eq!(signal_name(number), name);
        }
    }
}
