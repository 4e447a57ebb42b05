//! Whole traces of Rust, as its tools print them.

use super::rig::{read_all, summary};
use super::rust::Rust;

#[test]
fn traces_are_read_whole() {
    for (name, log, expected) in [
        (
            "new layout, indented message, note",
            "x\nthread 'main' (629) panicked at src/main.rs:4:5:\nassertion failed\n  left: 1\n right: 2\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\ny",
            "2-6 rust panic \"assertion failed\\n  left: 1\\n right: 2\" [src/main.rs:4 -] top 0 causes []",
        ),
        (
            "new layout without a note",
            "thread '<unnamed>' panicked at src/main.rs:5:5:\nindex out of bounds\nmain: b ok = false\nnothing\n",
            "1-2 rust panic \"index out of bounds\" [src/main.rs:5 -] top 0 causes []",
        ),
        (
            "old layout over several lines",
            "thread 'main' panicked at 'assertion failed: `(left == right)`\n  left: `1`,\n right: `2`', src/main.rs:4:5\nnote: Run with `RUST_BACKTRACE=1` for a backtrace.",
            "1-4 rust panic \"assertion failed: `(left == right)`\\n  left: `1`,\\n right: `2`\" [src/main.rs:4 -] top 0 causes []",
        ),
        (
            "backtrace, hashes, elision, abort",
            "thread 'main' panicked at /srv/a/src/x.rs:4:5:\nboom\nstack backtrace:\n   0:     0x56 - std[e28293b1aa0f68bd]::rt::f\n                               at /rustc/59/library/std/src/rt.rs:9:9\n   1:     0x57 - a::x::h0123456789abcdef\n                               at /srv/a/src/x.rs:4:5\n   2:     0x0 - <unknown>\n[... omitted 3 frames ...]\nnote: Some details are omitted\nthread caused non-unwinding panic. aborting.\nAborted",
            "1-11 rust panic \"boom\" [/srv/a/src/x.rs:4 -, /rustc/59/library/std/src/rt.rs:9 std::rt::f, /srv/a/src/x.rs:4 a::x, -:0 -] top 2 causes []",
        ),
        (
            "panic in a library called by the application",
            "thread 'main' panicked at library/core/src/cell.rs:9:5:\nalready borrowed\nstack backtrace:\n   0: core::cell::f\n             at /rustc/59/library/core/src/cell.rs:9:5\n   1: a::main\n             at ./src/main.rs:7:3",
            "1-7 rust panic \"already borrowed\" [library/core/src/cell.rs:9 -, /rustc/59/library/core/src/cell.rs:9 core::cell::f, ./src/main.rs:7 a::main] top 2 causes []",
        ),
        (
            "stack overflow",
            "\nthread 'main' (3) has overflowed its stack\nfatal runtime error: stack overflow, aborting\nAborted (core dumped)",
            "2-3 rust fatal runtime error \"stack overflow, aborting\" [] top - causes []",
        ),
        (
            "allocation failed",
            "memory allocation of 64 bytes failed\nstack backtrace:\n   0: a::main\n             at ./src/main.rs:7:3\nnote: Some details are omitted\nAborted",
            "1-5 rust fatal runtime error \"memory allocation of 64 bytes failed\" [./src/main.rs:7 a::main] top 0 causes []",
        ),
        (
            "anyhow with causes and a backtrace",
            "Error: cannot load\n\nCaused by:\n    0: cannot read x\n    1: No such file\n\nStack backtrace:\n   0: anyhow::error::f\n             at /root/.cargo/registry/src/x/anyhow-1/src/error.rs:5:5\n   1: a::load\n             at ./src/main.rs:5:9\nexit 1",
            "1-11 rust Error \"cannot load\" [/root/.cargo/registry/src/x/anyhow-1/src/error.rs:5 anyhow::error::f, ./src/main.rs:5 a::load] top 1 causes [cannot read x, No such file]",
        ),
        (
            "an error chain in a log record",
            "2026-01-01T10:00:00Z ERROR app: sync failed\n\nCaused by:\n    0: timeout\n    1: host down\n2026-01-01T10:00:01Z INFO x",
            "1-5 rust Error \"sync failed\" [] top - causes [timeout, host down]",
        ),
        (
            "a hook that logs panics, frames without a title",
            "[ERROR panic] thread 'w' panicked at 'boom': src/main.rs:5\n   0: a::main\n             at src/main.rs:5:3\nx",
            "1-3 rust panic \"boom\" [src/main.rs:5 -, src/main.rs:5 a::main] top 1 causes []",
        ),
        (
            "anyhow with one cause, eyre's location",
            "Error: outer\n\nCaused by:\n    inner\n\nLocation:\n    src/main.rs:5:9\nbye",
            "1-7 rust Error \"outer\" [src/main.rs:5 -] top 0 causes [inner]",
        ),
        (
            "color-eyre",
            "Error: \n   0: outer\n   1: inner\n\nLocation:\n   src/main.rs:12\n\nBacktrace omitted. Run with RUST_BACKTRACE=1 environment variable to display it.\nbye",
            "1-8 rust Error \"outer\" [src/main.rs:12 -] top 0 causes [inner]",
        ),
    ] {
        assert_eq!(summary(&read_all(&Rust, log)), expected, "{name}");
    }
}

#[test]
fn prose_and_lists_are_silent() {
    for log in [
        "- The message `thread 'main' panicked at` is now hidden unless RUST_BACKTRACE is set.",
        "- Caused by: section is documented.",
        "Error: cannot open x\nbye",
        "report\n\nCaused by:\n    nothing",
        "steps:\n   0: wash\n   1: rinse",
    ] {
        assert_eq!(summary(&read_all(&Rust, log)), "", "{log}");
    }
}

#[test]
fn the_corpus_is_read() {
    super::rig::assert_corpus(&Rust, &["rust"], 13);
}
