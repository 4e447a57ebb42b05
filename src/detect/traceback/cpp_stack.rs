//! Frames of native stacks, as the many printers of such stacks write them.
//!
//! | printer | frame |
//! | --- | --- |
//! | gdb | `#1  0x0000 in f (n=3) at a.cpp:39`, `#2  0x0000 in ?? () from /lib/libc.so.6` |
//! | coredumpctl | `#0  0x0000 f (prog + 0x1b0a)` |
//! | glibc `backtrace_symbols(3)`, Open MPI | `./prog(f+0x1a) [0x5581]`, `[ 1] ./prog(+0x123a)[0x560f]` |
//! | glog, Abseil, folly | `    @     0x55f2a07352d3  inner()` |
//! | Boost.Stacktrace | ` 0# inner() at /srv/a.cc:5` |
//! | backward-cpp | `#1    Source "/srv/a.cpp", line 12, in f` |
//! | LLVM | ` #4 0x0000 clang::f(int) /srv/a.cpp:12:3` |
//! | `c10::Error` | `frame #0: f() + 0x57 (0x7f81 in /opt/lib.so)` |
//! | gfortran | `#3  0x560b in step`, the place on the next line |
//! | Intel Fortran | `a.out  000000000040  step_  12  model.f90` |

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::in_app::is_app;
use super::lex::{group, line_number, pattern};
use crate::detect::{Language, TraceFrame};

/// Reads one frame.
pub(super) fn parse_frame(text: &str) -> Option<TraceFrame> {
    static GDB: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\S.*?) \((?:.*)\)(?: at (\S.*?):(\d+)| from (\S.*))?$"));
    static CORE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*#\d+ +0x[0-9a-f]+ (\S+) \((\S+) \+ 0x[0-9a-f]+\)$"));
    static SYMBOL: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(?:\[ ?\d+\] )?([^\s(]+)\(([^+]*?)(?:\+0x[0-9a-f]+)?\) ?\[0x[0-9a-f]+\]$"));
    static AT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\s*(?:PC: )?@ +(?:0x[0-9a-f]+|[0-9a-f]{8,16}) +(?:(?:\d+|\(unknown\)) +)?(\S.*)$"));
    static BOOST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ *\d+# (\S.*?)(?: at (\S.*):(\d+)| in (\S+))?$"));
    static BACKWARD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r#"^#\d+ +(?:Source "(.*)", line (\d+), in (.*?)(?: \[(?:0x)?[0-9a-f]+\])?|Object "(.*)", at (?:0x)?[0-9a-f]+, in (.*?)(?: \[(?:0x)?[0-9a-f]+\])?)$"#,
        )
    });
    static LLVM: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^ *#\d+ 0x[0-9a-f]+ (?:(\S.*?) )??(?:([^\s(]\S*?):(\d+)(?::\d+)?|\((\S+?)\+0x[0-9a-f]+\))$")
    });
    static C10: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^frame #\d+: (.*?)(?: \+ 0x[0-9a-f]+)? \(0x[0-9a-f]+ in (.*)\)$"));
    static GFORTRAN: LazyLock<Regex> = LazyLock::new(|| pattern(r"^#\d+ +0x[0-9A-Fa-f]+(?: in (\S+))?$"));
    if let Some(c) = CORE.captures(text) {
        return Some(native(function_of(&c, 1), None, Some(group(&c, 2))));
    }
    if let Some(c) = BACKWARD.captures(text) {
        return Some(match c.get(1) {
            Some(file) => native(function_of(&c, 3), Some((file.as_str(), group(&c, 2))), None),
            None => native(function_of(&c, 5), None, Some(group(&c, 4))),
        });
    }
    if let Some(c) = LLVM.captures(text) {
        return Some(native(function_of(&c, 1), place_of(&c, 2), c.get(4).map(|m| m.as_str())));
    }
    if let Some(c) = GDB.captures(text) {
        return Some(native(function_of(&c, 1), place_of(&c, 2), c.get(4).map(|m| m.as_str())));
    }
    if let Some(c) = SYMBOL.captures(text) {
        return Some(native(function_of(&c, 2), None, Some(group(&c, 1))));
    }
    if let Some(c) = AT.captures(text) {
        return Some(native(function_of(&c, 1), None, None));
    }
    if let Some(c) = BOOST.captures(text) {
        return Some(native(function_of(&c, 1), place_of(&c, 2), c.get(4).map(|m| m.as_str())));
    }
    if let Some(c) = C10.captures(text) {
        return Some(native(function_of(&c, 1), None, Some(group(&c, 2))));
    }
    if let Some(c) = GFORTRAN.captures(text) {
        return Some(native(function_of(&c, 1), None, None));
    }
    parse_row(text)
}

/// A row of the table that Intel's Fortran prints below `Image PC Routine Line Source`.
fn parse_row(text: &str) -> Option<TraceFrame> {
    static ROW: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\S+) +[0-9A-F]{8,16} +(\S+) +(\d+|Unknown) +(\S+)\s*$"));
    let c = ROW.captures(text)?;
    let place = Some((group(&c, 4), group(&c, 3))).filter(|(_, line)| *line != "Unknown");
    Some(native(Some(group(&c, 2)).filter(|name| *name != "Unknown"), place, Some(group(&c, 1))))
}

/// Reads the place that some printers put on a line of its own below the frame.
pub(super) fn parse_place(text: &str) -> Option<(&str, &str)> {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:\s+at | {12,})(\S.*?):(\d+)(?::\d+)?$"));
    let c = PLACE.captures(text)?;
    Some((c.get(1)?.as_str(), c.get(2)?.as_str()))
}

/// The frame with the place that stands below it.
pub(super) fn placed(frame: &TraceFrame, (file, line): (&str, &str)) -> TraceFrame {
    native(frame.function.as_deref(), Some((file, line)), None)
}

fn function_of<'t>(captures: &Captures<'t>, index: usize) -> Option<&'t str> {
    let name = captures.get(index)?.as_str().trim();
    let nameless = name.is_empty() || matches!(name, "??" | "???" | "(unknown)" | "n/a" | "<unknown>");
    // The arguments that gdb knows nothing of are no part of the name.
    (!nameless).then(|| name.strip_suffix(" ()").unwrap_or(name))
}

fn place_of<'t>(captures: &Captures<'t>, file: usize) -> Option<(&'t str, &'t str)> {
    Some((captures.get(file)?.as_str(), captures.get(file + 1)?.as_str()))
}

/// A frame; one of a system library is not the application's.
fn native(function: Option<&str>, place: Option<(&str, &str)>, module: Option<&str>) -> TraceFrame {
    let (file, line) = place.unzip();
    let system = module.is_some_and(|module| {
        let name = module.rsplit('/').next().unwrap_or(module);
        ["/lib/", "/lib64/", "/usr/"].iter().any(|start| module.starts_with(start))
            || name.starts_with("lib") && name.contains(".so")
    });
    TraceFrame {
        file: file.map(str::to_owned),
        line: line.and_then(line_number),
        function: function.map(str::to_owned),
        in_app: !system && is_app(Language::Cpp, file, function),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printer_is_understood() {
        for (text, expected) in [
            ("#0  0x0000555555557b0a in main (argc=2, argv=0x7ffe) at a.cpp:39", "a.cpp:39 main app"),
            ("#1  std::thread::join (this=0x1) at src/t.cc:7", "src/t.cc:7 std::thread::join -"),
            ("#4  0x00007ffff7c9d919 in ?? () from /lib/x86_64-linux-gnu/libstdc++.so.6", "-:0 - -"),
            ("#0  0x0000559c9c8ef17b run_job (worker + 0x117b)", "-:0 run_job app"),
            ("#1  0x00007f2c n/a (libc.so.6 + 0x29d90)", "-:0 - -"),
            ("./prog(_Z5innerv+0x1a) [0x5581]", "-:0 _Z5innerv app"),
            ("/lib/x86_64-linux-gnu/libc.so.6(+0x3c050)[0x7f1d9f25a050]", "-:0 - -"),
            ("[ 3] /usr/lib/libc.so.6(__libc_start_main+0x85)[0x7f7c561f8305]", "-:0 __libc_start_main -"),
            ("    @     0x55f2a07352d3  inner()", "-:0 inner() app"),
            ("    @ 00000000004010f7 folly::run()", "-:0 folly::run() app"),
            (" 0# inner() at /srv/app/bs.cc:5", "/srv/app/bs.cc:5 inner() app"),
            (" 4# _start in ./bs", "-:0 _start -"),
            ("#1    Source \"/srv/app/a.cpp\", line 12, in load", "/srv/app/a.cpp:12 load app"),
            (
                " #4 0x000000000341 clang::Sema::f(int) /srv/llvm/Sema.cpp:12:3",
                "/srv/llvm/Sema.cpp:12 clang::Sema::f(int) app",
            ),
            (
                "frame #1: c10::cuda::f(int, bool) + 0x118 (0x7f81 in /opt/torch/lib/libc10_cuda.so)",
                "-:0 c10::cuda::f(int, bool) -",
            ),
            ("#3  0x560b7a8fb2c8 in step", "-:0 step app"),
            ("model.x            0000000000404A3C  step_                      12  model.f90", "model.f90:12 step_ app"),
        ] {
            let frame = parse_frame(text).unwrap();
            let got = format!(
                "{}:{} {} {}",
                frame.file.as_deref().unwrap_or("-"),
                frame.line.unwrap_or(0),
                frame.function.as_deref().unwrap_or("-"),
                if frame.in_app { "app" } else { "-" }
            );
            assert_eq!(got, expected, "{text}");
        }
        for text in ["#1 in the charts", "meet @ 10", "a(b) [c]", "3 # of flour", "frame #1: done"] {
            assert_eq!(parse_frame(text), None, "{text}");
        }
    }
}
