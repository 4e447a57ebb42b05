//! Feeds one grammar with whole logs, for the tests of the grammars: a driver without prefixes, interleaving and caps.
#![expect(clippy::disallowed_methods, reason = "reads the corpus of the repository")]

use std::path::Path;

use regex::bytes::{RegexSet, RegexSetBuilder};
use serde_json::Value;

use super::{Grammar, LOOKBACK, Next, Reading, TextLine};

/// What was read, with its last line.
pub(super) type Found = (Reading, u64);

/// Reads all traces of `log`.
pub(super) fn read_all(grammar: &dyn Grammar, log: &str) -> Vec<Found> {
    let lines = lines_of(log);
    let starters = starters_of(grammar);
    let mut found = Vec::new();
    let mut before: Vec<TextLine> = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        let opened = if starters.is_match(line.text.as_bytes()) {
            grammar.open(&before[before.len().saturating_sub(LOOKBACK)..], line)
        } else {
            None
        };
        if let Some(mut open) = opened {
            let mut last = line.number;
            for next in &lines[at..] {
                match open.push(next) {
                    Next::Take => last = next.number,
                    Next::Hold => {}
                    Next::TakeAndEnd => {
                        last = next.number;
                        break;
                    }
                    Next::End => break,
                }
            }
            if let Some(reading) = open.finish() {
                let last = reading.last_line.unwrap_or(last);
                at = usize::try_from(last.max(line.number)).unwrap();
                before.clear();
                found.push((reading, last));
                continue;
            }
        }
        before.push(line.clone());
    }
    found
}

fn starters_of(grammar: &dyn Grammar) -> RegexSet {
    RegexSetBuilder::new(grammar.starters()).unicode(false).build().unwrap()
}

fn lines_of(log: &str) -> Vec<TextLine> {
    let ansi = regex::Regex::new("\x1b\\[[0-9;]*[A-Za-z]").unwrap();
    log.split('\n')
        .zip(1..)
        .map(|(text, number)| TextLine {
            number,
            text: ansi.replace_all(text.trim_end_matches('\r'), "").into_owned(),
            ..TextLine::default()
        })
        .collect()
}

/// One line per trace: everything that a grammar decides.
pub(super) fn summary(found: &[Found]) -> String {
    let lines = found.iter().map(|(Reading { trace, first_line, .. }, last)| {
        let frames: Vec<String> = trace
            .frames
            .iter()
            .map(|f| {
                let file = f.file.as_deref().unwrap_or("-");
                format!("{file}:{} {}", f.line.unwrap_or(0), f.function.as_deref().unwrap_or("-"))
            })
            .collect();
        format!(
            "{first_line}-{last} {} {} {:?} [{}] top {} causes [{}]",
            serde_json::to_value(trace.language).unwrap().as_str().unwrap(),
            trace.exception.as_deref().unwrap_or("-"),
            trace.message,
            frames.join(", "),
            trace.in_app_top.map_or("-".to_owned(), |at| at.to_string()),
            trace.cause_chain.join(", "),
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn accepted<'v>(event: &'v Value, key: &str) -> Vec<&'v Value> {
    let alternatives = event.get(format!("{key}_alt")).and_then(Value::as_array);
    std::iter::once(&event[key]).chain(alternatives.into_iter().flatten()).collect()
}

/// Runs the grammar over the corpus: `events` events of `languages`, each found with its type and lines, nothing else found.
///
/// Streams whose traces stand inside JSON or behind a collector's prefix are the driver's to prove.
pub(super) fn assert_corpus(grammar: &dyn Grammar, languages: &[&str], events: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/traces");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let label: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let log = std::fs::read(path.with_extension("log")).unwrap();
        let found = read_all(grammar, &String::from_utf8_lossy(&log));
        let mine: Vec<&Value> = label["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| {
                let language = event.get("language").unwrap_or(&label["language"]);
                languages.contains(&language.as_str().unwrap()) && event["start_line"] != event["end_line"]
            })
            .collect();
        seen += mine.len();
        if mine.len() != found.len() {
            wrong.push(format!("{name}: {} traces instead of {}: {}", found.len(), mine.len(), summary(&found)));
            continue;
        }
        for (event, (reading, last)) in mine.iter().zip(&found) {
            let exception = serde_json::to_value(&reading.trace.exception).unwrap();
            let fits = accepted(event, "start_line").contains(&&Value::from(reading.first_line))
                && accepted(event, "end_line").contains(&&Value::from(*last))
                && accepted(event, "exception").contains(&&exception);
            if !fits {
                wrong.push(format!("{name}: {}", summary(&[(reading.clone(), *last)])));
            }
        }
    }
    assert!(seen >= events, "{seen} events of {languages:?} in the corpus, at least {events} expected");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

mod tests {
    use proptest::prelude::*;

    use super::super::{
        cpp::Cpp, dotnet::Dotnet, go::Go, js::JavaScript, jvm::Jvm, php::Php, ruby::Ruby, rust::Rust, shell::Shell,
    };
    use super::*;

    /// Lines that some grammar has a word for, so that random logs reach the depths of all of them.
    const LINES: &[&str] = &[
        "",
        "x",
        "}",
        "  ^^^",
        "panic: a [recovered]",
        "\tpanic: b",
        "goroutine 1 [running]:",
        "main.main()",
        "\t/srv/a/main.go:3 +0x1d",
        "==================",
        "WARNING: DATA RACE",
        "2026/01/01 [Recovery] panic recovered:",
        "/srv/a.go:1 (0x1)",
        "Exception in thread \"main\" a.B: x",
        "\tat a.B.c(B.java:1)",
        "Caused by: a.B: é",
        "\tSuppressed: a.C",
        "\t... 3 more",
        "[CIRCULAR REFERENCE: a.B]",
        "Caused by:",
        "thread 'main' panicked at src/a.rs:1:2:",
        "thread 'main' panicked at 'é",
        "b', src/a.rs:1:2",
        "stack backtrace:",
        "   0: a::b",
        "             at src/a.rs:1:2",
        "note: run with",
        "Error: é",
        "Location:",
        "/srv/a.js:1",
        "TypeError: é {",
        "    at f (/srv/a.js:1:2) {",
        "    at /srv/a.js:1:2",
        "  [errors]: [",
        "  [cause]: Error: é",
        "  ]",
        "  ● é › x",
        " FAIL  a > é",
        " ❯ f a.ts:1:2",
        "  failureType: 'é'",
        "not ok 1 - x",
        "  stack: |-",
        "<--- Last few GCs --->",
        "FATAL ERROR: x",
        "(Use `node --trace-uncaught ...",
        "Node.js v20",
        "Unhandled exception. a.B: x",
        " ---> a.C: y",
        "   at A.B.C() in /srv/a.cs:line 3",
        "   at A.B.D(Int32 x)",
        "   --- End of inner exception stack trace ---",
        " ---> (Inner Exception #1) a.D: z<---",
        "  Error Message:",
        "  Stack Trace:",
        "Process terminated. é",
        "1) Error : A.B",
        "System.FormatException: é    at A.B() in /a.cs:line 3    at A.C()",
        "a.rb:3:in 'f': é (A::B)",
        "\tfrom a.rb:4:in 'g'",
        "\t2: from a.rb:4:in `g'",
        "a.rb:3:in 'f'",
        "Traceback (most recent call last):",
        "A::B (é):",
        "Caused by:",
        "rake aborted!",
        "     Failure/Error: é",
        "     # ./a.rb:3:in 'f'",
        "     # --- Caused by: ---",
        "a.rb: [BUG] é",
        "a.rb:3: syntax error, é",
        "T#t [a.rb:3]:",
        "PHP Fatal error:  Uncaught A: é in /a.php:3",
        "Stack trace:",
        "#0 /a.php(3): f()",
        "#1 {main}",
        "Next A: é in /a.php:4",
        "  thrown in /a.php on line 3",
        "[object] (A(code: 0): é at /a.php:3)",
        "[previous exception] [object] (A(code: 0): é",
        "1) T::t",
        "/a.php:3",
        "In A.php line 3:",
        "  at a.php:3",
        "a.sh: line 3: é: command not found",
        "    at f (./a.sh:3)",
        "At C:\\a.ps1:3 char:1",
        "A: /a.ps1:3",
        "Line |",
        "   3 | é",
        "(node:1) é",
        "^",
        "not ok 2 - é",
        "  ---",
        "  at: 'f (/srv/a.js:1:2)'",
        "  ...",
        "Errors contained in AggregateError:",
        "Error: é",
        "├╴at src/a.rs:1:2",
        "╰─▶ é",
        "backtrace no. 1",
        "The application panicked (crashed).",
        "Message:  é",
        "Location: src/a.rs:1",
        "Program received signal SIGSEGV, é",
        "#0  0x01 in f () at a.c:1",
        "    @     0x7f41  f()",
        "F1121 10:00:00.1 1 a.cc:1] Check failed: é",
        "*** Check failure stack trace: ***",
        "[h:1] *** Process received signal ***",
        "==7== Possible data race é",
        "==7==    at 0x10: f (a.c:1)",
        "==7== ",
        "a.cc:1: Failure",
        "terminate called after throwing an instance of 'é'",
        "  what():  é",
        "frame #0: é + 0x1 (0x1 in /lib/é)",
    ];

    proptest! {
        #[test]
        fn any_log_is_read_in_order(picks in prop::collection::vec((0..LINES.len(), ".{0,12}"), 0..40)) {
            let lines: Vec<String> =
                picks.iter().map(|(at, noise)| if noise.len() % 5 == 4 { noise.clone() } else { LINES[*at].to_owned() }).collect();
            let log = lines.join("\n");
            let grammars: [&dyn Grammar; 9] =
                [&JavaScript, &Jvm, &Go, &Rust, &Cpp, &Dotnet, &Ruby, &Php, &Shell];
            for grammar in grammars {
                let mut ahead = 0;
                for (reading, last) in read_all(grammar, &log) {
                    prop_assert!(ahead < reading.first_line && reading.first_line <= last);
                    prop_assert!(last <= log.split('\n').count() as u64);
                    prop_assert!(reading.trace.in_app_top.is_none_or(|at| reading.trace.frames[at].in_app));
                    ahead = last;
                }
            }
        }
    }
}
