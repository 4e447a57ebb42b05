use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;

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

/// What stands in front of each line, `%` for a number that moves, and what is told of it.
const PREFIXES: &[(&str, &str)] = &[
    ("[rank3]:", "rank=3"),
    ("[Rank 3] ", "rank=3"),
    ("rank3: ", "rank=3"),
    ("[default3]:", "local_rank=3 role=default"),
    ("  3: ", "rank=3"),
    ("(f pid=47) ", "pid=47 worker=f"),
    ("(pid=47, ip=10.0.0.7) ", "node=10.0.0.7 pid=47"),
    ("[1,3]<stderr>:", "rank=3"),
    ("[1,3]<node01>:", "node=node01 rank=3"),
    ("[1,mpirank:3,algo-1]<stderr>:", "node=algo-1 rank=3"),
    ("[prterun-n1-99@1,3]<stderr>: ", "rank=3"),
    ("web-7d9f5-x7k2p app ", "container=app pod=web-7d9f5-x7k2p"),
    ("web-7d9f5-x7k2p app | ", "container=app pod=web-7d9f5-x7k2p"),
    ("[web-7d9f5-x7k2p] ", "pod=web-7d9f5-x7k2p"),
    ("[pod/web-7d9f5-x7k2p/app] ", "container=app pod=web-7d9f5-x7k2p"),
    ("2026-11-21T10:00:0%.1Z stderr F ", "timestamp=2026-11-21T10:00:02.1Z"),
    ("2026-11-21T10:00:0%.1Z 01E ", "timestamp=2026-11-21T10:00:02.1Z"),
    ("2026-11-21T10:00:0%.1Z ##[error]", "timestamp=2026-11-21T10:00:02.1Z"),
    ("2026-11-21T10:00:0%Z train-job/algo-1 ", "service=train-job/algo-1 timestamp=2026-11-21T10:00:02Z"),
    ("Nov 21 10:00:0%.123456 n1 train[47]: ", "node=n1 pid=47 program=train timestamp=Nov 21 10:00:02.123456"),
    ("Nov 21 10:00:0% ", "timestamp=Nov 21 10:00:02"),
    ("<11>1 2026-11-21T10:00:0%Z n1 train 47 - - ", "node=n1 pid=47 program=train timestamp=2026-11-21T10:00:02Z"),
    (
        "<11>1 2026-11-21T10:00:0%Z n1 train - ID47 [x@1 i=\"3\"] ",
        "node=n1 program=train timestamp=2026-11-21T10:00:02Z",
    ),
    ("0|web  | ", "service=web"),
    ("web │ ", "service=web"),
    ("[web] ", "service=web"),
    ("job7\t", "service=job7"),
    ("node01.cluster: ", "node=node01.cluster"),
    ("[gpu-01:3] ", ""),
    ("12.3% ", ""),
    ("    | ", ""),
    ("179527636%.5 ", "timestamp=1795276362.5"),
    ("[2026-11-21 10:00:00,12%] [ERROR] [rank 3] ", "rank=3 timestamp=2026-11-21 10:00:00,122"),
];

#[test]
fn prefixes_of_all_kinds_are_taken_off_and_told() {
    let mut wrong = Vec::new();
    for (prefix, expected) in PREFIXES {
        for other in ["", "another writer\n"] {
            let lines = ["step 1", "step 2"].into_iter().chain(KEY_ERROR.lines()).chain(["step 3", "step 4"]);
            let text: String = lines
                .enumerate()
                .map(|(n, line)| {
                    format!("{}{line}\n{}", prefix.replace('%', &n.to_string()), if n == 2 { other } else { "" })
                })
                .collect();
            let found = read(&text);
            let last = if other.is_empty() { 6 } else { 7 };
            let told: Vec<String> =
                found.iter().flat_map(|f| &f.prefix).map(|(name, value)| format!("{name}={value}")).collect();
            let whole = found.len() == 1
                && (found[0].first_line, found[0].last_line, found[0].trace.frames.len()) == (3, last, 1);
            if !whole || told.join(" ") != *expected {
                wrong.push(format!("{prefix:?} {other:?}: {told:?} {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn many_writers_print_through_each_other() {
    for (prefix, ranks) in [
        ("[rank#]: ", 64),
        ("#: ", 64),
        ("2026-11-21T10:00:00Z [rank#]: ", 64),
        ("node#: ", 64),
        ("[gpu-1:#] ", 64),
        ("web-#  | ", 4),
    ] {
        let mut text = String::new();
        for line in KEY_ERROR.lines() {
            for rank in 0..ranks {
                let _ = writeln!(text, "{}{line}", prefix.replace('#', &rank.to_string()));
            }
        }
        let found = read(&text);
        assert_eq!(found.len(), ranks, "{prefix}");
        assert!(
            found.iter().all(|f| f.trace.frames.len() == 1 && f.trace.exception.as_deref() == Some("KeyError")),
            "{prefix}"
        );
    }
}

#[test]
fn a_prefix_of_the_first_line_alone_is_taken_off() {
    for prefix in [
        "[rank3]: ",
        "2026-11-21T10:00:00Z ",
        "ERROR:root:",
        "[2026-11-21 10:00:00,1: ERROR/Main] ",
        "11/21/2026 10:00:00 - ERROR - x - ",
    ] {
        assert_eq!(told(&format!("step 1\n{prefix}{KEY_ERROR}step 2\n")), ["2-5 KeyError: 0 (1 frames)"], "{prefix}");
    }
}

#[test]
fn pieces_of_a_line_are_put_together() {
    let record = serde_json::json!({"message": "failed", "exc_info": KEY_ERROR, "rank": 3}).to_string();
    let (a, b) = record.split_at(60);
    let docker =
        |text: &str| format!("{{\"log\":{},\"stream\":\"stderr\",\"time\":\"t\"}}\n", Value::String(text.to_owned()));
    for text in [
        format!(
            "2026-11-21T10:00:00Z stderr P {a}\n2026-11-21T10:00:00Z stdout F hello\n2026-11-21T10:00:00Z stderr F {b}\n"
        ),
        format!(
            "{}{{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"t\"}}\n{}",
            docker(a),
            docker(&format!("{b}\n"))
        ),
    ] {
        let found = read(&text);
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!((found[0].first_line, found[0].last_line), (1, 3), "{text}");
        assert_eq!(found[0].prefix.get("rank").map(String::as_str), Some("3"));
    }
}

#[test]
fn structured_records_say_where_they_come_from() {
    let rows = [
        (
            serde_json::json!({"level": 50, "time": 17, "pid": 4, "hostname": "n1", "err": {"stack": KEY_ERROR}}),
            "level=error node=n1 pid=4 timestamp=17",
        ),
        (
            serde_json::json!({"severity": "ERROR", "textPayload": KEY_ERROR, "resource": {"labels": {"pod_name": "w-1", "container_name": "app"}}}),
            "container=app level=ERROR pod=w-1",
        ),
        (
            serde_json::json!({"@timestamp": "t", "log.level": "error", "error": {"stack_trace": KEY_ERROR}, "host": {"name": "n1"}}),
            "level=error node=n1 timestamp=t",
        ),
        (
            serde_json::json!({"levelname": "ERROR", "exc_info": KEY_ERROR.lines().collect::<Vec<_>>(), "rank": 3}),
            "level=ERROR rank=3",
        ),
        (
            serde_json::json!({"log": KEY_ERROR, "kubernetes": {"pod_name": "w-1", "container_name": "app", "host": "n1"}}),
            "container=app node=n1 pod=w-1",
        ),
    ];
    for (record, expected) in rows {
        let found = read(&format!("{record}\n"));
        assert_eq!(found.len(), 1, "{record}");
        assert_eq!(
            (found[0].trace.exception.as_deref(), found[0].trace.frames.len()),
            (Some("KeyError"), 1),
            "{record}"
        );
        let told: Vec<String> = found[0].prefix.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(told.join(" "), expected);
    }
    for silent in
        [r#"{"level":"info","error":null,"stack":"","errors":0}"#, r#"{"stack":["web","db"],"exception":"none"}"#]
    {
        assert_eq!(told(silent), [] as [&str; 0], "{silent}");
    }
}

#[test]
fn a_stack_may_stand_in_the_message_be_coloured_or_have_a_line_of_its_own() {
    let node = "NotFoundError: no order 7\n    at load (/srv/web/lib.js:3:46)\n    at run (/srv/web/a.js:3:4)";
    let java = "java.io.IOException: gone\n\tat App.f(App.java:3)\n\tat App.g(App.java:4)";
    let go = "panic: down\n\ngoroutine 1 [running]:\nmain.f()\n\t/srv/main.go:7 +0x1\nmain.g()\n\t/srv/main.go:9 +0x1";
    let coloured = node.replace("Not", "\u{1b}[31mNot").replace("no", "\u{1b}[39mno");
    for (record, expected) in [
        (
            serde_json::json!({"severity": "ERROR", "message": node}).to_string(),
            "1-1 NotFoundError: no order 7 (2 frames)",
        ),
        (serde_json::json!({"msg": java}).to_string(), "1-1 java.io.IOException: gone (2 frames)"),
        (serde_json::json!({"message": go}).to_string(), "1-1 panic: down (2 frames)"),
        (serde_json::json!({"stack": coloured}).to_string(), "1-1 NotFoundError: no order 7 (2 frames)"),
        (
            format!("{{\n  \"stack\": {},\n  \"a\": 1\n}}", Value::String(node.to_owned())),
            "2-2 NotFoundError: no order 7 (2 frames)",
        ),
    ] {
        assert_eq!(told(&record), [expected], "{record}");
    }
}

#[test]
fn records_of_one_line_each_and_escaped_line_ends_hold_a_trace() {
    let records: String = KEY_ERROR
        .lines()
        .flat_map(|line| ["w-1", "w-2"].map(|pod| format!("{}\n", serde_json::json!({"message": line, "pod": pod}))))
        .collect();
    assert_eq!(told(&records), ["1-7 KeyError: 0 (1 frames)", "2-8 KeyError: 0 (1 frames)"]);
    let one_line = KEY_ERROR.trim_end();
    for text in [
        format!("Nov 21 10:00:00 n1 app[4]: {}", one_line.replace('\n', "#012")),
        format!("ERROR failed {{'exc': '{}', 'a': 1}}", one_line.replace('\n', "\\n")),
    ] {
        assert_eq!(told(&text), ["1-1 KeyError: 0 (1 frames)"], "{text}");
    }
}

#[test]
fn heads_of_the_first_line_or_of_all_are_taken_off() {
    let each = |head: &str| KEY_ERROR.lines().map(|line| format!("{head}{line}\n")).collect::<String>();
    let watchdog = concat!(
        "[default0]:[rank0]:[E1119 10:00:00.1 ProcessGroupNCCL.cpp:1515] [PG 0 Rank 0] Process group watchdog thread terminated ",
        "with exception: CUDA error: bad\n[default0]:\n",
        "[default0]:Exception raised from check at ../c10/x.cpp:43 (most recent call first):\n",
        "[default0]:frame #0: c10::Error::Error() + 0x96 (0x7f1d in /opt/libc10.so)\n[default0]:\n",
        "[default0]:terminate called after throwing an instance of 'c10::DistBackendError'\n",
        "[default0]:  what():  [PG 0 Rank 0] CUDA error: bad\n[default0]:\n",
        "[default0]:Exception raised from watchdog at ../x.cpp:9 (most recent call first):\n",
        "[default0]:frame #0: clone + 0x44 (0x7f1e in /lib/libc.so.6)\n[default0]:done\n",
    );
    let zap = concat!(
        "2026-11-21T10:00:01.1Z\tERROR\ta/main.go:14\tfailed\t{\"error\": \"boom\", \"errorVerbose\": ",
        "\"boom\\nmain.load\\n\\t/srv/load.go:12\\nmain.main\\n\\t/srv/main.go:13\"}\n",
        "main.main\n\t/srv/main.go:14\nruntime.main\n\t/usr/local/go/src/runtime/proc.go:272\nnext\n",
    );
    let line_style = concat!(
        "==== FAILURES ====\nE   ZeroDivisionError: division by zero\n\nThe above exception was the direct cause of the ",
        "following exception:\nE   test_l.Boom: v\n/srv/test_l.py:19: test_l.Boom: v\n/srv/test_l.py:3: assert 1 == 2\n",
        "/srv/a.py:4: DeprecationWarning: old\n",
    );
    let rows = [
        ("behind words", format!("job failed: {KEY_ERROR}"), "1-4 KeyError: 0 (1 frames)"),
        ("behind a level", each("2026-11-21 10:00:00,1 svc[47]: ERROR "), "1-4 KeyError: 0 (1 frames)"),
        ("behind a level and names", each("ERROR 2026-11-21 10:00:00,1 gen 47 1406 "), "1-4 KeyError: 0 (1 frames)"),
        ("BuildKit", each("#8 0.312 [2026-11-21 10:00:00] [4] [ERROR] "), "1-4 KeyError: 0 (1 frames)"),
        ("prose", "it printed Traceback (most recent call last):\n  File \"a.py\", line 1\nand so on\n".to_owned(), ""),
        (
            "a group behind a head",
            "ERROR - x -   + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 1, in f\n  | ExceptionGroup: two (1 sub-exception)\n  +-+---------------- 1 ----------------\n    | KeyError: 0\n    +------------------------------------\n".to_owned(),
            "1-6 ExceptionGroup: two (1 sub-exception) (1 frames)",
        ),
        (
            "a remote traceback behind a head",
            format!("ERROR:svc:multiprocessing.pool.RemoteTraceback: \n\"\"\"\n{KEY_ERROR}\"\"\"\n\nThe above exception was the direct cause of the following exception:\n\n{KEY_ERROR}"),
            "1-14 KeyError: 0 (2 frames)",
        ),
        ("a watchdog and the abort", watchdog.to_owned(), "1-10 c10::DistBackendError: CUDA error: bad\n\nException raised from check at ../c10/x.cpp:43 (most recent call first): (2 frames)"),
        ("a record and its stack", zap.to_owned(), "1-5 -: boom (4 frames)"),
        ("one line each", line_style.to_owned(), "2-6 test_l.Boom: v (1 frames)\n7-7 AssertionError: assert 1 == 2 (1 frames)"),
    ];
    for (name, text, expected) in rows {
        assert_eq!(told(&text).join("\n"), expected, "{name}");
    }
}

#[test]
fn an_empty_message_is_not_filled_in() {
    let text = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError\n";
    let record = serde_json::json!({"message": "job failed", "exc_info": text}).to_string();
    assert_eq!(told(&record), ["1-1 KeyError:  (1 frames)"]);
}

#[test]
fn a_living_childs_trace_is_told_soon() {
    let mut driver = Driver::new(&[]);
    for (name, before, after) in [
        ("a record", "", "2026-11-21 10:00:00 INFO next\n"),
        ("what was printed before", "fetched 3 pages\n", "fetched 4 pages\n"),
        ("progress", "", "step 4 loss 1.25\n"),
    ] {
        let mut found = push_all(&mut driver, &format!("{before}{KEY_ERROR}"));
        assert!(found.is_empty(), "{name}");
        found.extend(push_all(&mut driver, after));
        assert_eq!((found.len(), driver.idle()), (1, true), "{name}");
    }
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
