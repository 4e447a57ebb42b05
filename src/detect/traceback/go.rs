//! Stack traces of Go: panics and runtime throws with their goroutines, race reports, and the bare stacks of loggers.
//!
//! The formats are those of `runtime/traceback.go`, `runtime/panic.go`, ThreadSanitizer's Go reports, `pkg/errors` (`%+v`) and
//! its successors, zap's console encoder, Gin's and chi's recovery. `go_lines` knows the lines, `go_open` reads a trace on,
//! `go_testify` reads testify's reports.

use std::sync::LazyLock;

use regex::Regex;

use super::go_lines::{
    FileLine, bare_function, is_ahead_of_throw, is_goroutine, located_function, margin, past_margin, record_text,
};
use super::go_open::{LOGGED_MESSAGE_LINES, MESSAGE_LINES, Open, Place};
use super::go_testify::Testify;
use super::lex::{begins_record, group, pattern, sounds_bad};
use super::{Grammar, OpenTrace, TextLine};
use crate::detect::Language;

/// The grammar of Go's stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Go;

impl Grammar for Go {
    fn language(&self) -> Language {
        Language::Go
    }

    fn starters(&self) -> &'static [&'static str] {
        &[
            r"\bpanic: ",
            r"\bfatal error: ",
            r"\bSIG(?:QUIT|ABRT|SEGV|BUS|FPE|ILL|TRAP|SYS|TERM|HUP|INT): ",
            r"\bgoroutine \d+ .*[\]}]:",
            r"^[\s|]+\S+\.go:\d+",
            "WARNING: DATA RACE",
            "panic recovered:",
            r"Error Trace:\s",
            r"\.go:\d+ (?:\(0x[0-9a-f]+\)|\S+\(\))$",
            // A stack inside a quoted text.
            r"\\n\\t\S+?\.go:\d+",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = line.text.as_str();
        let open = if is_goroutine(text) {
            of_goroutine(before, line)
        } else if text.ends_with("panic recovered:") {
            Open::new(Some("panic"), String::new(), line.number, Place::Request(0))
        } else if text.trim_end().ends_with("WARNING: DATA RACE") {
            let rule = before.last().filter(|rule| rule.text.starts_with("====="));
            Open::new(Some("DATA RACE"), String::new(), rule.unwrap_or(line).number, Place::Race)
        } else if text.contains("Error Trace:") {
            return Some(Box::new(Testify::open(before, line)?));
        } else if let Some(file) = FileLine::parse_address(text) {
            of_addresses(before, &file)?
        } else if let Some((file, function)) =
            located_function(past_margin(text, margin(text))?).or_else(|| located_function(text))
        {
            of_located(before, line, &file, function)?
        } else if FileLine::parse(text).is_some() {
            of_bare_stack(before, text)?
        } else {
            of_message(before, line)?
        };
        Some(Box::new(open))
    }
}

/// `panic: …`, `fatal error: …`, `SIGQUIT: quit`, on a line of its own or behind a logger's head.
fn of_message(before: &[TextLine], line: &TextLine) -> Option<Open> {
    static LABEL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(panic|fatal error|SIG[A-Z]+): (.*)$"));
    static LOGGED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bpanic: (.*)$"));
    if let Some(found) = LABEL.captures(&line.text) {
        // What the runtime says ahead of a throw: `runtime: goroutine stack exceeds 1000000000-byte limit`.
        let ahead = before.iter().rev().take_while(|l| is_ahead_of_throw(&l.text));
        let first = ahead.last().unwrap_or(line).number;
        let message = without_recovered(group(&found, 2)).to_owned();
        return Some(Open::new(Some(group(&found, 1)), message, first, Place::Message(MESSAGE_LINES)));
    }
    let found = LOGGED.captures(&line.text)?;
    let message = without_recovered(group(&found, 1)).to_owned();
    Some(Open::new(Some("panic"), message, line.number, Place::Message(LOGGED_MESSAGE_LINES)))
}

/// A goroutine's header without a panic: a recovered panic that a logger reports, or a stack printed on purpose.
fn of_goroutine(before: &[TextLine], line: &TextLine) -> Open {
    static PANIC: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?i)\b(?:panic(?:ked|king)?|recovered)\b[^:]*?(?: serving \S+)?(?: recovered)?[:\]] ?(.*)$")
    });
    let same_line =
        line.text.rfind("goroutine ").and_then(|at| line.text.get(..at)).map(str::trim_end).unwrap_or_default();
    let (head, first) = match before.last() {
        _ if !same_line.is_empty() => (same_line, line.number),
        Some(last) => (last.text.as_str(), last.number),
        None => ("", line.number),
    };
    match PANIC.captures(head) {
        Some(found) => {
            let message = group(&found, 1).split(" goroutine ").next().unwrap_or_default();
            let message = without_label(message).unwrap_or(message);
            Open::new(Some("panic"), without_recovered(message).to_owned(), first, Place::Stack)
        }
        None if sounds_bad(head) || is_klog_error(head) => {
            let message = without_label(record_text(head)).unwrap_or(record_text(head));
            let message = message.trim_end_matches([',', ' ', ';', '(', '[']);
            Open::new(None, message.to_owned(), line.number, Place::Stack)
        }
        None => Open::new(None, String::new(), line.number, Place::Stack),
    }
}

/// A message in front of `stack:`, `stacktrace=`; `None` without such a label.
fn without_label(message: &str) -> Option<&str> {
    let labelled = message.trim_end_matches(|c: char| c.is_whitespace() || ",:;=-".contains(c));
    let message = ["stack trace", "stacktrace", "stack"].iter().find_map(|label| labelled.strip_suffix(label))?;
    let separate = message.ends_with(|c: char| !c.is_alphanumeric());
    separate.then(|| message.trim_end_matches([',', ' ', ';', '(', '[', '.']))
}

/// Places with addresses below a line with type and message: go-errors' `ErrorStack`.
fn of_addresses(before: &[TextLine], file: &FileLine<'_>) -> Option<Open> {
    static TYPED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\*?(?:[\w./-]+/)?[A-Za-z_]\w*\.\w+) (.*)$"));
    let head = before.last().filter(|head| is_bare_head(&head.text))?;
    let typed = TYPED.captures(&head.text).map(|found| (group(&found, 1), group(&found, 2)));
    let (exception, message) = typed.map_or((None, record_text(&head.text)), |(name, rest)| (Some(name), rest));
    let mut open = Open::new(exception, message.to_owned(), head.number, Place::Addresses);
    open.frame(file, None);
    Some(open)
}

/// Function and place on one line below a message: eris, tracerr, oops.
fn of_located(before: &[TextLine], line: &TextLine, file: &FileLine<'_>, function: &str) -> Option<Open> {
    let near = before.last().filter(|head| is_bare_head(&head.text))?;
    // oops repeats the messages in its list of stacks; the report begins further up.
    let oops =
        before.iter().rev().find(|above| above.text.starts_with("Oops: ")).filter(|_| line.text.contains("--- at "));
    let head = oops.unwrap_or(near);
    let message = record_text(&head.text).trim_start();
    let message = message.strip_prefix("Oops: ").unwrap_or(message);
    let mut open = Open::new(None, message.to_owned(), head.number, Place::Bare);
    open.located = true;
    open.confirmed = line.text.contains("--- at ");
    open.frame(file, Some(function));
    Some(open)
}

/// A stack without goroutine: function, then file, under a log record (zap) or a message (`pkg/errors`).
fn of_bare_stack(before: &[TextLine], text: &str) -> Option<Open> {
    let (function, above) = before.split_last()?;
    let margin = margin(&function.text);
    let name = bare_function(past_margin(&function.text, margin)?)?;
    let file = FileLine::parse(past_margin(text, margin)?)?;
    let (exception, message, first) = bare_head(above).unwrap_or((None, String::new(), function.number));
    let mut open = Open::new(exception, message, first, Place::Bare);
    open.margin = Some(margin);
    open.frame(&file, Some(name));
    Some(open)
}

/// Type, message and first line of what stands above a bare stack.
fn bare_head(above: &[TextLine]) -> Option<(Option<&'static str>, String, u64)> {
    let (last, further) = above.split_last()?;
    let label = last.text.trim();
    if label == "-- stack trace:" {
        // cockroachdb/errors: the message, then `(1) attached stack trace`.
        let at = further.iter().rposition(|line| line.text.starts_with("(1) "))?;
        let head = at.checked_sub(1).and_then(|at| further.get(at)).filter(|head| is_bare_head(&head.text));
        return head.map(|head| (None, record_text(&head.text).to_owned(), head.number));
    }
    if label == "Full Stack Trace" {
        // Ginkgo: `Test Panicked`, in version 2 a line of places, then the value.
        let at = further.iter().rposition(|line| line.text.trim_end().ends_with("Test Panicked"))?;
        let message = further.iter().skip(at + 1).map(|line| line.text.trim());
        let mut message = message.filter(|text| !text.is_empty() && !text.starts_with("In ["));
        let first = further.get(at)?.number;
        return Some((Some("panic"), message.next().unwrap_or_default().to_owned(), first));
    }
    if !is_bare_head(&last.text) {
        return None;
    }
    // `pkg/errors` prints the innermost message first and each wrapping one on a line of its own.
    let outer = further.last().filter(|line| line.text.contains(": ") && is_bare_head(&line.text));
    let head = outer.filter(|_| !begins_record(&last.text)).unwrap_or(last);
    Some((None, logged_message(&head.text), head.number))
}

/// Whether a line above a bare stack is what the stack belongs to.
fn is_bare_head(text: &str) -> bool {
    !text.trim().is_empty() && FileLine::parse(text).is_none() && (!begins_record(text) || sounds_bad(text))
}

/// The error in a record of zap's console encoder, else its message, else the text.
fn logged_message(text: &str) -> String {
    let mut fields: Vec<&str> = text.split('\t').collect();
    if fields.len() < 3 {
        return record_text(text).to_owned();
    }
    let json = fields.pop_if(|last| last.starts_with('{'));
    let error = json
        .and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok())
        .and_then(|value| value.get("error").and_then(|error| error.as_str()).map(str::to_owned));
    error.unwrap_or_else(|| fields.pop().unwrap_or_default().to_owned())
}

/// klog and glog print all goroutines below a fatal record.
fn is_klog_error(text: &str) -> bool {
    static RECORD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[EF]\d{4} \d\d:\d\d:\d\d"));
    RECORD.is_match(text)
}

fn without_recovered(message: &str) -> &str {
    let end = message.rfind(" [recovered").filter(|_| message.ends_with(']')).unwrap_or(message.len());
    message.get(..end).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::super::rig::{read_all, summary};
    use super::*;

    #[test]
    fn traces_are_read_whole() {
        for (name, log, expected) in [
            (
                "a panic of several lines, then its goroutine",
                "panic: bad:\n  - a\n\ngoroutine 1 [running]:\nmain.(*T).f(0x1, {0x2, 0x3})\n\t/srv/a/main.go:7 +0x1\nmain.main()\n\t/srv/a/main.go:9 +0x2\nexit status 2",
                "1-8 go panic \"bad:\\n  - a\" [/srv/a/main.go:7 main.(*T).f, /srv/a/main.go:9 main.main] top 0 causes []",
            ),
            (
                "panicked again in a deferred call of a test",
                "--- FAIL: TestX (0.00s)\npanic: boom [recovered]\n\tpanic: boom\n\ngoroutine 6 [running]:\ntesting.tRunner.func1.2({0x1, 0x2})\n\t/usr/local/go/src/testing/testing.go:1545 +0x1\npanic({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:914 +0x1\nexample.com/x.TestX(0x1)\n\t/srv/x/x_test.go:6 +0x25\ncreated by testing.(*T).Run in goroutine 1\n\t/usr/local/go/src/testing/testing.go:1648 +0x1\nFAIL\texample.com/x\t0.005s",
                "2-13 go panic \"boom\" [/usr/local/go/src/testing/testing.go:1545 testing.tRunner.func1.2, /usr/local/go/src/runtime/panic.go:914 panic, /srv/x/x_test.go:6 example.com/x.TestX, /usr/local/go/src/testing/testing.go:1648 testing.(*T).Run] top 2 causes []",
            ),
            (
                "stack overflow",
                "runtime: goroutine stack exceeds 1000000000-byte limit\nruntime: sp=0xc0200e0398 stack=[0xc0200e0000, 0xc0400e0000]\nfatal error: stack overflow\n\nruntime stack:\nruntime.throw({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:1077 +0x5c fp=0x1 sp=0x2 pc=0x3\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/srv/a/main.go:5 +0x1 fp=0x1 sp=0x2 pc=0x3\n...additional frames elided...\n\nrax    0x0\nrbx    0x1\ndone",
                "1-15 go fatal error \"stack overflow\" [/usr/local/go/src/runtime/panic.go:1077 runtime.throw, /srv/a/main.go:5 main.f] top 1 causes []",
            ),
            (
                "a race",
                "==================\nWARNING: DATA RACE\nWrite at 0x00c0 by goroutine 7:\n  main.main.func1()\n      /srv/a/main.go:10 +0x3c\n\nPrevious read at 0x00c0 by main goroutine:\n  main.main()\n      /srv/a/main.go:12 +0x3c\n==================\nFound 1 data race(s)",
                "1-10 go DATA RACE \"\" [/srv/a/main.go:10 main.main.func1, /srv/a/main.go:12 main.main] top 0 causes []",
            ),
            (
                "pkg/errors, wrapped",
                "open x: no such file\nmain.read\n\t/srv/a/main.go:5\nmain.main\n\t/srv/a/main.go:9\nload failed\nmain.load\n\t/srv/a/main.go:7\nbye",
                "1-8 go - \"open x: no such file\" [/srv/a/main.go:5 main.read, /srv/a/main.go:9 main.main, /srv/a/main.go:7 main.load] top 0 causes []",
            ),
            (
                "Gin's recovery",
                "2026/11/21 10:00:00 [Recovery] 2026/11/21 - 10:00:00 panic recovered:\nGET /x HTTP/1.1\n\nindex out of range [5]\n/usr/local/go/src/runtime/panic.go:114 (0x43a7b5)\n\tgoPanicIndex: panic(boundsError{})\n/srv/a/main.go:12 (0x1)\n\tmain.func1: _ = xs[5]\n[GIN] 500",
                "1-8 go panic \"index out of range [5]\" [/usr/local/go/src/runtime/panic.go:114 goPanicIndex, /srv/a/main.go:12 main.func1] top 1 causes []",
            ),
            ("no goroutine is printed", "panic: boom\n\nexit status 2\nx", "1-1 go panic \"boom\" [] top - causes []"),
            (
                "a test's log moves the stack to the right",
                "--- FAIL: FuzzTotal (0.01s)\n        testing.go:1356: panic: boom\n            goroutine 13 [running]:\n            main.f()\n            \t/srv/a/main.go:7 +0x1\n            created by main.g\n            \t/srv/a/main.go:9 +0x2\n            \n    Failing input written to testdata\nFAIL",
                "2-7 go panic \"boom\" [/srv/a/main.go:7 main.f, /srv/a/main.go:9 main.g] top 0 causes []",
            ),
            (
                "a recovered panic with a labelled stack",
                "2026/11/21 17:23:26 [PANIC] deep down stack=goroutine 1 [running]:\nmain.f()\n\t/srv/a/main.go:7 +0x1\n",
                "1-3 go panic \"deep down\" [/srv/a/main.go:7 main.f] top 0 causes []",
            ),
            (
                "a recovered panic, then a record with a stack of its own",
                "2026/11/21 15:51:27 recovered: boom\ngoroutine 1 [running]:\nmain.f()\n\t/srv/a/main.go:7 +0x1\n\n2026/11/21 15:51:27 [ERROR] worker crashed: x, stack: goroutine 1 [running]:\nmain.g()\n\t/srv/a/main.go:9 +0x1\n",
                "1-4 go panic \"boom\" [/srv/a/main.go:7 main.f] top 0 causes []\n6-8 go - \"worker crashed: x\" [/srv/a/main.go:9 main.g] top 0 causes []",
            ),
            (
                "the value of a panic prints a stack",
                "panic: load: eof\nmain.read\n\t/srv/a/file.go:5\n\ngoroutine 1 [running]:\nmain.main()\n\t/srv/a/main.go:9 +0x2\n",
                "1-7 go panic \"load: eof\\nmain.read\\n\\t/srv/a/file.go:5\" [/srv/a/file.go:5 main.read, /srv/a/main.go:9 main.main] top 0 causes []",
            ),
            (
                "pkg/errors with messages only, and the next report",
                "E1121 10:00:00.1 1 main.go:9] failed: open x: no such file\nopen\nmain.read\n\t/srv/a/main.go:5\nmain.main\n\t/srv/a/main.go:9\nload\nrun\nmain.load\n\t/srv/a/main.go:7\nfatal: eof\nmain.read\n\t/srv/a/main.go:5\nmain.main\n\t/srv/a/main.go:9\n",
                "1-10 go - \"failed: open x: no such file\" [/srv/a/main.go:5 main.read, /srv/a/main.go:9 main.main, /srv/a/main.go:7 main.load] top 0 causes []\n11-15 go - \"fatal: eof\" [/srv/a/main.go:5 main.read, /srv/a/main.go:9 main.main] top 0 causes []",
            ),
            (
                "cockroachdb/errors",
                "cannot start: open x\n(1) attached stack trace\n  -- stack trace:\n  | main.read\n  | \t/srv/a/main.go:5\n  | [...repeated from below...]\nWraps: (2) cannot start\nWraps: (3) attached stack trace\n  -- stack trace:\n  | main.main\n  | \t/srv/a/main.go:9\nError types: (1) *withstack.withStack\nbye",
                "1-12 go - \"cannot start: open x\" [/srv/a/main.go:5 main.read, /srv/a/main.go:9 main.main] top 0 causes []",
            ),
            (
                "eris, tracerr, oops",
                "eof\n\tmain.load:/srv/a/main.go:12\n\tmain.main:/srv/a/main.go:30\nmore: eof\n/srv/a/main.go:14 main.load()\n13\tfunc load() {\n/srv/a/main.go:30 main.main()\nOops: no user: denied\nStacktrace:\n  Oops: denied\n    --- at /srv/a/main.go:32 permission()\n",
                "1-3 go - \"eof\" [/srv/a/main.go:12 main.load, /srv/a/main.go:30 main.main] top 0 causes []\n4-7 go - \"more: eof\" [/srv/a/main.go:14 main.load, /srv/a/main.go:30 main.main] top 0 causes []\n8-11 go - \"no user: denied\" [/srv/a/main.go:32 permission] top 0 causes []",
            ),
            (
                "go-errors",
                "*errors.errorString this is a crash\n/srv/a/main.go:46 (0x7fcdd5)\n\tmain: func load() error {\n/usr/lib/go-1.19/src/runtime/proc.go:250 (0x43b7b2)\n\tmain: fn()\n\nbye",
                "1-5 go *errors.errorString \"this is a crash\" [/srv/a/main.go:46 main, /usr/lib/go-1.19/src/runtime/proc.go:250 main] top 0 causes []",
            ),
            (
                "chi's recoverer",
                "\n panic: boom\n \n -> main.(*T).f\n ->   /srv/a/main.go:32\n\n    main.main.func3\n      /srv/a/main.go:71\n    created by net/http.(*Server).Serve\n      /usr/lib/go-1.19/src/net/http/server.go:3102\n    \n2026/11/21 16:10:52 GET /x",
                "2-10 go panic \"boom\" [/srv/a/main.go:32 main.(*T).f, /srv/a/main.go:71 main.main.func3, /usr/lib/go-1.19/src/net/http/server.go:3102 net/http.(*Server).Serve] top 0 causes []",
            ),
            (
                "Ginkgo",
                "  panics [It]\n\n  Test Panicked\n  boom\n  /usr/lib/go-1.19/src/runtime/panic.go:113\n\n  Full Stack Trace\n  a/b.F(0x0?)\n  \t/srv/a/main.go:32 +0x2f\n  a/b.G()\n  \t/srv/a/main.go:41 +0x3c\n-----",
                "3-11 go panic \"boom\" [/srv/a/main.go:32 a/b.F, /srv/a/main.go:41 a/b.G] top 0 causes []",
            ),
            (
                "testify",
                "--- FAIL: TestX (0.00s)\n    x_test.go:21: \n        \tError Trace:\t/srv/x/x_test.go:21\n        \t            \t\t\t\t/srv/x/x_test.go:19\n        \tError:      \tReceived unexpected error:\n        \t            \topen x\n        \t            \ta/b.open\n        \t            \t\t/srv/x/main.go:36\n        \tTest:       \tTestX\n    x_test.go:22: \n        \tError Trace:\t/srv/x/x_test.go:22\n        \tError:      \tNot equal: \n        \t            \texpected: 1\nFAIL",
                "2-9 go - \"Received unexpected error:\\nopen x\\na/b.open\" [/srv/x/x_test.go:21 -, /srv/x/x_test.go:19 -, /srv/x/main.go:36 a/b.open] top 0 causes []\n10-13 go - \"Not equal:\\nexpected: 1\" [/srv/x/x_test.go:22 -] top 0 causes []",
            ),
            (
                "a fatal record of klog",
                "F1121 10:00:00.1 1 main.go:12] cannot open db: refused\ngoroutine 1 [running]:\nk8s.io/klog/v2.Fatalf(...)\n\t/go/pkg/mod/k8s.io/klog/v2@v2.5.0/klog.go:1514\nmain.main()\n\t/srv/a/main.go:12 +0x1d\n",
                "2-6 go - \"cannot open db: refused\" [/go/pkg/mod/k8s.io/klog/v2@v2.5.0/klog.go:1514 k8s.io/klog/v2.Fatalf, /srv/a/main.go:12 main.main] top 1 causes []",
            ),
            (
                "trimmed lines, no empty ones",
                "panic: boom\ngoroutine 7 [running]:\nmain.f(0x1, ...)\n/srv/a/main.go:7 +0x1\ngoroutine 21 [chan receive]:\nmain.g()\n/srv/a/main.go:9 +0x1\nbye",
                "1-7 go panic \"boom\" [/srv/a/main.go:7 main.f, /srv/a/main.go:9 main.g] top 0 causes []",
            ),
            (
                "a logger's records inside the stack, and a stack below the next one",
                "panic: boom\n\ngoroutine 7 [running]:\nmain.f()\n2026/11/21 10:00:00 GET /x\n\t/srv/a/main.go:7 +0x1\n2026/11/21 10:00:00 GET /y\nmain.g()\n\t/srv/a/main.go:9 +0x1\n2026/11/21 10:00:01 slow request\ngoroutine 1 [running]:\nmain.main()\n\t/srv/a/main.go:12 +0x1",
                "1-9 go panic \"boom\" [/srv/a/main.go:7 main.f, /srv/a/main.go:9 main.g] top 0 causes []\n11-13 go - \"\" [/srv/a/main.go:12 main.main] top 0 causes []",
            ),
        ] {
            assert_eq!(summary(&read_all(&Go, log)), expected, "{name}");
        }
    }

    #[test]
    fn prose_and_test_names_are_silent() {
        for log in [
            "panic: stop all jobs at the first error\nfatal error: see above\nx",
            "- Fixed: \"panic: runtime error\" in the importer",
            "    x_test.go:16: ok goroutine 1 [running]",
            "2026/11/21 01:49:33 fatal: cannot start\nexit status 1",
            "\tmain.go:12\n\tmain.go:13",
            "    x_test.go:28: \n        Error Trace: is empty\n    x_test.go:29: panic: expected 1, got 2\n",
            "/srv/shop/main.go:14 main.load()\nmain.go:15 main() is deprecated",
            "foo.c:1:10: fatal error: foo.h: No such file or directory\nI1121 10:00:00 main.go:12] SIGTERM: terminated",
        ] {
            assert_eq!(summary(&read_all(&Go, log)), "", "{log}");
        }
    }

    #[test]
    fn the_corpus_is_read() {
        super::super::rig::assert_corpus(&Go, &["go"], 33);
    }
}
