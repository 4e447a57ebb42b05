//! Whole traces of Rust, as its tools print them.

use super::rig::{read_all, summary};
use super::rust::Rust;

#[test]
fn traces_are_read_whole() {
    for (name, log, expected) in [
        (
            "the next test's head ends a message without a note",
            "---- tests::idx stdout ----\n\nthread 'tests::idx' (17003) panicked at src/lib.rs:1:234:\nindex out of bounds\n\n---- tests::sp stdout ----\nnote: test did not panic as expected at src/lib.rs:1:268\n---- tests::sp2 stdout ----\n\nthread 'tests::sp2' (17007) panicked at src/lib.rs:1:329:\nabc\nnote: panic did not contain expected string\n      panic message: \"abc\"",
            "3-4 rust panic \"index out of bounds\" [src/lib.rs:1 -] top 0 causes []\n10-11 rust panic \"abc\" [src/lib.rs:1 -] top 0 causes []",
        ),
        (
            "an unwrapped error has a backtrace of its own",
            "thread 'main' (9) panicked at src/main.rs:17:395:\ncalled `Result::unwrap()` on an `Err` value: starting\n\nCaused by:\n    0: reading cfg\n\nStack backtrace:\n   0: app::any\n             at ./src/main.rs:4:78\n   1: app::main\n             at ./src/main.rs:17:389\n\nstack backtrace:\n   0: app::main\n             at ./src/main.rs:17:395\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.",
            "1-16 rust panic \"called `Result::unwrap()` on an `Err` value: starting\\n\\nCaused by:\\n    0: reading cfg\" [src/main.rs:17 -, ./src/main.rs:4 app::any, ./src/main.rs:17 app::main, ./src/main.rs:17 app::main] top 2 causes []",
        ),
        (
            "standard output between a backtrace's lines",
            "thread 'tests::idx' (9) panicked at src/lib.rs:1:234:\nboom\nstack backtrace:\nout\n   0: app::f\n             at ./src/lib.rs:1:234\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\ntest tests::idx ... FAILED",
            "1-7 rust panic \"boom\" [src/lib.rs:1 -, ./src/lib.rs:1 app::f] top 1 causes []",
        ),
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
        (
            "a hook of the program's own",
            "custom hook: panicked at src/bin/p.rs:41:88:\nhooked\nnext",
            "1-2 rust panic \"hooked\" [src/bin/p.rs:41 -] top 0 causes []",
        ),
        (
            "nextest indents what the test has printed",
            "    thread 'a' (7) panicked at src/lib.rs:7:65:\n    other\n      left: 1\n    stack backtrace:\n       0: core::f\n                 at /rustc/59/library/core/src/x.rs:1:1\n       1: app::a\n                 at ./src/lib.rs:7:65\n    note: Some details are omitted, run with `RUST_BACKTRACE=full`.\n\n────",
            "1-9 rust panic \"other\\n  left: 1\" [src/lib.rs:7 -, /rustc/59/library/core/src/x.rs:1 core::f, ./src/lib.rs:7 app::a] top 2 causes []",
        ),
        (
            "color-eyre with a section of the program's, spans and hints",
            "Error: \n   0: outer\n   1: inner\n\nLocation:\n   src/main.rs:18\n\nextra section\n  line 2\n\n  ━━━━ SPANTRACE ━━━━\n\n   0: app::load with n=3\n      at src/main.rs:17\n\n  ━━━━ BACKTRACE ━━━━\n                 ⋮ 4 frames hidden ⋮\n   5: app::main::h0123456789abcdef\n      at /srv/app/src/main.rs:32\n\nSuggestion: try again\n\nRun with RUST_BACKTRACE=full to include source snippets.\nbye",
            "1-23 rust Error \"outer\" [src/main.rs:18 -, src/main.rs:17 app::load, /srv/app/src/main.rs:32 app::main] top 0 causes [inner]",
        ),
        (
            "color-eyre's panic with a message of two lines",
            "The application panicked (crashed).\nMessage:  first\nsecond\nLocation: src/main.rs:52\n\n  ━━━━ BACKTRACE ━━━━\n   4: std::rt<unknown>\n      at /rustc/59/library/std/src/rt.rs:9\n   9: app::main\n      at /srv/app/src/main.rs:52\n\nbye",
            "1-10 rust panic \"first\\nsecond\" [src/main.rs:52 -, /rustc/59/library/std/src/rt.rs:9 std::rt, /srv/app/src/main.rs:52 app::main] top 2 causes []",
        ),
        (
            "better-panic",
            "Backtrace (most recent call last):\n  File \"/srv/app/src/main.rs\", line 50, in app::main\n    panic!(x);\n  File \"/rustc/59/library/core/src/panicking.rs\", line 80, in core::panicking::panic_fmt\n    x()\n\nThe application panicked (crashed).\n  it failed\nin src/main.rs, line 50\nthread: main\nbye",
            "1-10 rust panic \"it failed\" [src/main.rs:50 -, /srv/app/src/main.rs:50 app::main, /rustc/59/library/core/src/panicking.rs:80 core::panicking::panic_fmt] top 1 causes []",
        ),
        (
            "frames that the backtrace crate does not number",
            "Error: job\n\nCaused by:\n    io\n\nStack backtrace:\n   0: anyhow::f\n             at /usr/local/cargo/registry/src/x/anyhow-1/src/error.rs:5:5\n      std::panicking::g\n             at /rustc/59/library/std/src/p.rs:1:1\n   1: app::run\n             at ./src/main.rs:5:9\nbye",
            "1-12 rust Error \"job\" [/usr/local/cargo/registry/src/x/anyhow-1/src/error.rs:5 anyhow::f, /rustc/59/library/std/src/p.rs:1 std::panicking::g, ./src/main.rs:5 app::run] top 2 causes [io]",
        ),
        (
            "error-stack",
            "Error: starting\n├╴at src/main.rs:19:199\n├╴note: retry later\n│\n├─▶ parsing\n│   ├╴at src/main.rs:18:132\n│   ╰╴file: db\n│\n╰─▶ No such file\n    ├╴at src/main.rs:17:1\n    ╰╴backtrace (1)\n\n━━━━━━\n\nbacktrace no. 1\n   0: error_stack::f\n             at /usr/local/cargo/registry/src/x/lib.rs:1:1\n   1: app::load\n             at ./src/main.rs:17:1\nbye",
            "1-19 rust Error \"starting\" [src/main.rs:19 -, src/main.rs:18 -, src/main.rs:17 -, /usr/local/cargo/registry/src/x/lib.rs:1 error_stack::f, ./src/main.rs:17 app::load] top 2 causes [parsing, No such file]",
        ),
        (
            "miette",
            "Error: app::parse\n\n  × parse failed\n  ╰─▶ bad token\n   ╭─[conf.toml:2:8]\n 2 │ b = [1 2]\n   ·        ┬\n   ╰────\n  help: try a comma\n\nbye",
            "1-9 rust Error \"parse failed\" [conf.toml:2 -] top 0 causes [bad token]",
        ),
        (
            "miette's panics",
            "Error:   × Main thread panicked.\n  ├─▶ at src/main.rs:38:102\n  ╰─▶ boom\n  help: set RUST_BACKTRACE\n\nbye",
            "1-4 rust panic \"boom\" [src/main.rs:38 -] top 0 causes []",
        ),
        (
            "snafu",
            "Error: cannot open\n\nCaused by these errors (recent errors listed first):\n  1: middle\n  2: root\n\nbye",
            "1-5 rust Error \"cannot open\" [] top - causes [middle, root]",
        ),
        (
            "a panic in a browser",
            "panicked at src/lib.rs:12:5:\nindex out of bounds\n\nStack:\n\nError\n    at wbg (http://localhost/pkg/app.js:123:19)\n    at app::run::h0123456789abcdef (http://localhost/pkg/app_bg.wasm:wasm-function[7]:0x234)\n\nok",
            "1-8 rust panic \"index out of bounds\" [src/lib.rs:12 -, http://localhost/pkg/app.js:123 wbg, -:0 app::run] top 0 causes []",
        ),
        (
            "human-panic",
            "Well, this is embarrassing.\n\napp had a problem and crashed. To help us diagnose the problem you can send us a crash report.\n\nWe have generated a report file at \"/tmp/r.toml\". Submit an issue.\n\n- Homepage: https://example.org\n\nWe take privacy seriously.\n\nThank you kindly!\nbye",
            "1-11 rust panic \"app had a problem and crashed\" [] top - causes []",
        ),
    ] {
        assert_eq!(summary(&read_all(&Rust, log)), expected, "{name}");
    }
}

#[test]
fn prose_and_lists_are_silent() {
    for log in [
        "steps\n├── src\n│   ╰╴at home",
        "  ╰─▶ next step",
        "Well, this is embarrassing.\nbut fine",
        "Backtrace (most recent call last):\nnone",
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
    super::rig::assert_corpus(&Rust, &["rust"], 18);
}
