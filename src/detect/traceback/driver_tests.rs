use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::little::MAX_LINES;
use super::*;

/// Pushes a text as a scanner does; every line is offered, context and all.
fn push_all(driver: &mut Driver, text: &str) -> Vec<Found> {
    static STARTERS: LazyLock<RegexSet> = LazyLock::new(all_starters);
    let mut found = Vec::new();
    let (mut number, mut offset) = (driver.seen, 0);
    for line in text.split_inclusive('\n') {
        number += 1;
        let end = offset + line.len() as u64;
        let bytes = line.trim_end_matches('\n').as_bytes();
        let role = match (STARTERS.is_match(line), driver.idle()) {
            (true, _) => Role::Starter,
            (false, true) => Role::Context,
            (false, false) => Role::Line,
        };
        found.extend(driver.push(&RawLine { number, start: offset, end, bytes }, role));
        offset = end;
    }
    found
}

fn read(text: &str) -> Vec<Found> {
    let mut driver = Driver::new(&[]);
    let mut found = push_all(&mut driver, text);
    found.extend(driver.flush());
    found
}

/// `lines type: message {prefix}` of each trace.
fn told(text: &str) -> Vec<String> {
    let tell = |found: &Found| {
        let trace = &found.trace;
        let name = trace.exception.as_deref().unwrap_or("-");
        let cut = if trace.cut { " cut" } else { "" };
        format!(
            "{}-{} {name}: {} ({} frames){cut}",
            found.first_line,
            found.last_line,
            trace.message,
            trace.frames.len()
        )
    };
    read(text).iter().map(tell).collect()
}

const KEY_ERROR: &str = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    d[0]\nKeyError: 0\n";

#[test]
fn a_trace_is_found_with_its_place() {
    let text = format!("hello\n{KEY_ERROR}2026-11-21 10:00:00 INFO bye\n");
    let mut driver = Driver::new(&[Language::Python]);
    let found = push_all(&mut driver, &text);
    assert!(driver.idle());
    assert_eq!(driver.oldest_needed(), None);
    let [found] = &found[..] else { panic!("one trace: {found:?}") };
    assert_eq!((found.first_line, found.last_line), (2, 5));
    assert_eq!(found.bytes, 6..6 + KEY_ERROR.len() as u64);
    assert_eq!(found.trace.text, KEY_ERROR.trim_end());
    assert!(!found.trace.cut);
}

#[test]
fn an_open_trace_needs_its_lines() {
    let mut driver = Driver::new(&[]);
    assert_eq!(push_all(&mut driver, "one\ntwo\nTraceback (most recent call last):\n"), []);
    assert!(!driver.idle());
    assert_eq!(driver.oldest_needed(), Some((0, 1)), "a trace may claim lines above its starter");
}

#[test]
fn prefixes_and_their_absence() {
    let json = |text: &str| {
        let lines = text.lines().map(|l| serde_json::json!({"log": format!("{l}\n"), "stream": "stderr"}).to_string());
        lines.collect::<Vec<_>>().join("\n")
    };
    let rows: &[(&str, String, &[&str])] = &[
        ("only the first line has a head", format!("ERROR:root:{KEY_ERROR}"), &["1-4 KeyError: 0 (1 frames)"]),
        ("behind a progress bar", format!("50%|##  | 1/2 [00:01]{KEY_ERROR}"), &["1-4 KeyError: 0 (1 frames)"]),
        ("behind a carriage return", format!("50%\r{KEY_ERROR}"), &["1-4 KeyError: 0 (1 frames)"]),
        ("docker's json-file", json(KEY_ERROR), &["1-4 KeyError: 0 (1 frames)"]),
        (
            "another rank's lines do not end it",
            KEY_ERROR.replace("    d[0]", "[rank1]: step 3\n    d[0]"),
            &["1-5 KeyError: 0 (1 frames)"],
        ),
        (
            "back to back",
            format!("{KEY_ERROR}{KEY_ERROR}"),
            &["1-4 KeyError: 0 (1 frames)", "5-8 KeyError: 0 (1 frames)"],
        ),
        (
            "held lines are offered anew",
            format!("{KEY_ERROR}some text\nmore\nfree(): invalid pointer\n"),
            &["1-4 KeyError: 0 (1 frames)", "7-7 -: free(): invalid pointer (0 frames)"],
        ),
        (
            "the stream ends inside",
            KEY_ERROR.lines().take(3).collect::<Vec<_>>().join("\n"),
            &["1-3 -:  (1 frames) cut"],
        ),
        ("a header alone is none", "Traceback (most recent call last):\nall is well\n".to_owned(), &[]),
        ("a diff is none", KEY_ERROR.lines().map(|line| format!("+{line}\n")).collect(), &[]),
    ];
    for (name, text, expected) in rows {
        assert_eq!(told(text), *expected, "{name}");
    }
}

#[test]
fn fields_of_the_prefix_are_told() {
    let text: String =
        KEY_ERROR.lines().map(|line| format!("2026-11-21T10:00:00Z (train pid=7, ip=10.0.0.3) {line}\n")).collect();
    let found = read(&text);
    let fields: Vec<(&str, &str)> =
        found[0].prefix.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("node", "10.0.0.3"), ("pid", "7"), ("timestamp", "2026-11-21T10:00:00Z"), ("worker", "train")];
    assert_eq!(fields, expected);
}

#[test]
fn growth_is_bounded() {
    let mut endless = String::from("Traceback (most recent call last):\n");
    for line in 1..=MAX_LINES {
        let _ = writeln!(endless, "  File \"a.py\", line {line}, in f");
    }
    let found = read(&endless);
    assert!(found[0].trace.cut);
    assert_eq!(found[0].trace.frames.len(), Trace::MAX_FRAMES);
    assert!(found[0].trace.text.len() <= Trace::MAX_TEXT);

    let mut driver = Driver::new(&[]);
    let ranks: String =
        (0..=MAX_OPEN).map(|rank| format!("[rank{rank}]: Traceback (most recent call last):\n")).collect();
    push_all(&mut driver, &ranks);
    assert_eq!(driver.open.len(), MAX_OPEN);
}

#[test]
fn a_forgotten_trace_ends() {
    let mut text =
        String::from("[rank0]: Traceback (most recent call last):\n[rank0]:   File \"a.py\", line 1, in f\n");
    for step in 0..=STALE_LINES {
        let _ = writeln!(text, "[rank1]: step {step}");
    }
    let mut driver = Driver::new(&[]);
    let found = push_all(&mut driver, &text);
    assert_eq!(found.len(), 1);
    assert!(found[0].trace.cut && driver.idle());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_mix_of_lines_is_survived(picks in proptest::collection::vec((0..MIX.len(), 0..4usize), 0..60), noise in ".{0,40}") {
        let prefixes = ["", "[rank1]: ", "2026-11-21 10:00:00,123 INFO x: ", "w | "];
        let text: String = picks
            .iter()
            .map(|&(line, prefix)| format!("{}{}\n", prefixes[prefix], MIX[line].replace('@', &noise)))
            .collect();
        let found = read(&text);
        for found in &found {
            prop_assert!(found.first_line <= found.last_line && found.last_line <= picks.len() as u64);
            prop_assert!(found.bytes.start < found.bytes.end);
            prop_assert!(found.trace.in_app_top.is_none_or(|top| top < found.trace.frames.len()));
        }
        prop_assert_eq!(read(&text), found, "reading is deterministic");
    }
}

const MIX: &[&str] = &[
    "@",
    "",
    "Traceback (most recent call last):",
    "  File \"@.py\", line 3, in f",
    "    @",
    "KeyError: @",
    "During handling of the above exception, another exception occurred:",
    "  + Exception Group Traceback (most recent call last):",
    "  | ValueError: @",
    "  +-+---------------- 1 ----------------",
    "multiprocessing.pool.RemoteTraceback: ",
    "\"\"\"",
    "Fatal Python error: @",
    "_________________________ test_@ _________________________",
    "E   KeyError: @",
    "t.py:3: KeyError",
    "╭──────────── Traceback (most recent call last) ────────────╮",
    "│ /a/@.py:3 in f │",
    "╰───────────────────────────────────────────────────────────╯",
    "==7==ERROR: AddressSanitizer: SEGV on @",
    "    #0 0x1 in f@ a.c:3",
    "SUMMARY: AddressSanitizer: SEGV",
    "panic: @",
    "goroutine 1 [running]:",
    "main.main()",
    "\t/a/main.go:3 +0x1",
    "thread 'main' panicked at src/main.rs:3:5:",
    "stack backtrace:",
    "   0: a::b",
    "Exception in thread \"main\" java.lang.@",
    "\tat a.B.c(B.java:3)",
    "Caused by: a.E: @",
    "    at f (/a/@.js:3:5)",
    "TypeError: @",
    "    at upload (./d.sh:3)",
    "a.sh: line 3: syntax error near @",
    "{\"stack\": \"Traceback (most recent call last):\\n  File \\\"a.py\\\", line 3, in f\\nKeyError: 1\", \"a\": \"@\"}",
];
