//! Stack traces of the JVM: Java, Kotlin, Scala, and whatever else prints a `Throwable`.
//!
//! A trace is opened at its first frame line and looks back for its head, because the head is only a type name and may stand
//! under or inside a log record. `Exception in thread "…"` is told apart at once and may have a message of any length. `jvm_lines`
//! knows the lines, `jvm_open` reads a trace on; `jvm_short` and `jvm_vm` read what is no stack: one place, the VM's own reports.

use std::sync::LazyLock;

use regex::Regex;

use super::jvm_lines::{elision, parse_frame, without_tool};
use super::jvm_open::Open;
use super::jvm_short::Short;
use super::jvm_vm::VmReport;
use super::lex::{begins_record, group, indent, pattern, sounds_bad};
use super::{Grammar, OpenTrace, TextLine};
use crate::detect::Language;

/// The grammar of JVM stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Jvm;

impl Grammar for Jvm {
    fn language(&self) -> Language {
        Language::Java
    }

    fn starters(&self) -> &'static [&'static str] {
        &[
            r#"Exception in thread \\?""#,
            "thrown from the UncaughtExceptionHandler",
            r"# (?:A fatal error has been detected|There is insufficient memory)",
            "Java-level deadlock",
            r"(?:Execution|Syntax|Unexpected) error .*\)\.$",
            r" at [\w$]+\.(?:java|kt|groovy|scala):\d+$",
            r"^\s+=> (?:[\w$]+\.)*[A-Z][\w$]*(?:Exception|Error|Failure|\$)",
            r"(?:\b|\\t|\\u0009|#011)at [^()]+\.[^()]+ ?\((?:[^()]*\.(?:java|kt|kts|scala|groovy|clj|sc|rb|mirah|xtend)(?::\d+)?|Native Method|Unknown Source(?::\d+)?|<generated>|<Unknown>|SourceFile(?::\d+)?|NO_SOURCE_FILE:\d+|[A-Z]\w*:\d+)\)",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = without_tool(&line.text);
        if let Some(first) = parse_frame(text) {
            let (head, first_line) = find_head(before)?;
            let mut open = Open::new(head, first_line);
            open.also = before.iter().any(|line| line.number == first_line && line.text.starts_with("Also:"));
            open.frame(first);
            return Some(Box::new(open));
        }
        if let Some(failure) = text.trim_start().strip_prefix("=> ") {
            let mut open = Open::new(Head::bare(failure)?, line.number);
            open.launcher = true;
            return Some(Box::new(open));
        }
        if let Some(report) = VmReport::open(before, line) {
            return Some(Box::new(report));
        }
        if let Some(short) = Short::open(before, line) {
            return Some(Box::new(short));
        }
        if let Some(head) = Head::thrown_in_handler(text) {
            return Some(Box::new(Open::without_frames(head, line.number)));
        }
        let head = Head::of_thread(text)?;
        Some(Box::new(Open::new(head, line.number)))
    }
}

/// Type and message at the top of a trace or of a part of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) exception: Option<String>,
    pub(super) message: String,
}

impl Head {
    /// `java.lang.IllegalStateException: message`, alone on its line.
    pub(super) fn bare(text: &str) -> Option<Self> {
        static BARE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^\s*(?:<#[0-9a-f]+> )?((?:[\p{L}_$][\w$-]*[./])*[\p{L}_$][\w$]*)(?:: ?(.*))?$"));
        static LABEL: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^\s*(?:Error|Exception|[Cc]aught|Uncaught exception|Stack trace|Reason|Failure|Also): +((?:(?:[a-z_][\w$]*\.)+\p{Lu}[\w$]*|\p{Lu}\w*\$[\w$]+)(?:: .*)?)$",
            )
        });
        let text = LABEL.captures(text).and_then(|found| found.get(1)).map_or(text, |rest| rest.as_str());
        let found = BARE.captures(text)?;
        let name = group(&found, 1);
        (is_type(name) && !text.contains("java.lang.Thread.State:"))
            .then(|| Self { exception: Some(name.to_owned()), message: group(&found, 2).to_owned() })
    }

    /// `Exception in thread "main" java.lang.Error: message`.
    pub(super) fn of_thread(text: &str) -> Option<Self> {
        static THREAD: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r#"Exception in thread ".*?" ((?:[\p{L}_$][\w$]*\.)*[\p{L}_$][\w$]*)(?:: ?(.*))?$"#)
        });
        if let Some(found) = THREAD.captures(text) {
            let (exception, message) = (group(&found, 1).to_owned(), group(&found, 2).to_owned());
            return Some(Self { exception: Some(exception), message });
        }
        // A type's own `toString` may leave the type out.
        let (_, rest) = text.split_once("Exception in thread \"")?;
        let (_, message) = rest.rsplit_once("\" ")?;
        Some(Self { exception: None, message: message.to_owned() })
    }

    /// What the JVM says when it cannot even print the stack.
    fn thrown_in_handler(text: &str) -> Option<Self> {
        static HANDLER: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^Exception: ((?:[\p{L}_$][\w$]*\.)*[\p{L}_$][\w$]*) (thrown from the UncaughtExceptionHandler .*)$",
            )
        });
        let found = HANDLER.captures(text)?;
        Some(Self { exception: Some(group(&found, 1).to_owned()), message: group(&found, 2).to_owned() })
    }

    /// A failed assertion of Groovy or Spock, which print the expression and no type.
    fn of_assertion(text: &str) -> Option<Self> {
        let text = text.trim();
        let known = ["Assertion failed:", "Condition not satisfied:", "Condition failed with Exception:"];
        known.contains(&text).then(|| Self { exception: None, message: text.to_owned() })
    }

    /// What a type's own `toString` makes of it: `Boom[code=5]`, `a.Boom{code=5}`.
    fn described(text: &str) -> Option<Self> {
        static DESCRIBED: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r"^\s*(?:Stack trace: )?((?:[\p{L}_$][\w$]*\.)*\p{Lu}[\w$]*)([\[({@].*| \w+=.*)$")
        });
        let found = DESCRIBED.captures(text)?;
        Some(Self { exception: Some(group(&found, 1).to_owned()), message: group(&found, 2).trim_start().to_owned() })
    }

    /// A type inside a log record: `… ERROR Worker - failed: java.io.IOException: message`.
    fn inside(text: &str) -> Option<Self> {
        static INSIDE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"(?:^|[\s:(\[,;=])((?:[a-z_][\w$]*\.)+[A-Z][\w$]*(?:Exception|Error|Throwable|Failure|Fault)[\w$]*)(?:: ?(.*))?(?:$|\s)",
            )
        });
        static SHORT: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"(?:^|[\s:(\[,;=])([A-Z][\w$]*(?:Exception|Error|Throwable))(?:: (.*))?$"));
        let found = INSIDE.captures(text).or_else(|| SHORT.captures(text))?;
        Some(Self { exception: Some(group(&found, 1).to_owned()), message: group(&found, 2).to_owned() })
    }
}

/// Whether a name in front of frames is a type: qualified, or named like a throwable, or nested.
fn is_type(name: &str) -> bool {
    let last = name.rsplit(['.', '/']).next().unwrap_or(name);
    let starts_upper = last.starts_with(|c: char| c.is_uppercase() || c == '$');
    let throwable =
        ["Exception", "Error", "Throwable", "Failure", "Fault", "Death"].iter().any(|end| last.ends_with(end));
    let shouting = last.chars().all(|c| c.is_uppercase() || c.is_ascii_digit() || c == '_');
    if name.contains('.') {
        return starts_upper || throwable;
    }
    starts_upper && !shouting && (throwable || last.contains('$'))
}

/// Finds the head of a trace whose first frame follows `before`.
fn find_head(before: &[TextLine]) -> Option<(Head, u64)> {
    for (at, line) in before.iter().enumerate().rev() {
        let text = without_tool(&line.text);
        // The rest of a trace or dump whose head was not taken; its frames are nothing on their own.
        if parse_frame(text).is_some() || text.contains("java.lang.Thread.State:") {
            return None;
        }
        let record = begins_record(text);
        let head = Head::of_thread(text)
            .or_else(|| Head::bare(text))
            .or_else(|| Head::of_assertion(text))
            .or_else(|| if record { Head::inside(text) } else { None });
        if let Some(head) = head {
            let above = before.get(..at).unwrap_or_default();
            let (line, mut head) = enclosing_head(above, text).unwrap_or((line, head));
            for more in before.iter().filter(|more| more.number > line.number) {
                head.message.push('\n');
                head.message.push_str(without_tool(&more.text));
            }
            return Some((head, line.number));
        }
        // Neither a record nor the end of another trace can stand inside a message.
        if record || elision(text) {
            break;
        }
    }
    // Not every head is on a line of its own or has a record in front.
    let last = before.last()?;
    let text = without_tool(&last.text);
    if let Some(head) = Head::inside(text).or_else(|| Head::described(text)) {
        return Some((head, last.number));
    }
    (begins_record(text) && sounds_bad(text))
        .then(|| (Head { message: text.to_owned(), ..Head::default() }, last.number))
}

/// Whether frames below this line may be its own. Other lines between two frames are somebody else's: standard output is
/// not synchronised with standard error.
pub(super) fn may_own_frames(text: &str) -> bool {
    begins_record(text) && sounds_bad(text)
        || Head::of_thread(text).is_some()
        || Head::bare(text).is_some()
        || Head::of_assertion(text).is_some()
        || Head::inside(text).is_some()
        || Head::described(text).is_some()
        || text.starts_with("Also:")
}

/// The head above a line that looks like one and is indented below it: JUnit lists the failures of `assertAll` in the message.
fn enclosing_head<'l>(above: &'l [TextLine], text: &str) -> Option<(&'l TextLine, Head)> {
    let depth = indent(text);
    let mut heads = above.iter().rev().map_while(|line| Some((line, Head::bare(without_tool(&line.text))?)));
    heads.find(|(line, _)| indent(without_tool(&line.text)) < depth)
}

#[cfg(test)]
mod tests {
    use super::super::rig::{read_all, summary};
    use super::*;

    #[test]
    fn traces_are_read_whole() {
        for (name, log, expected) in [
            (
                "a description without a type, with and without frames",
                "Exception in thread \"main\" order 7 is gone\n\tat App.f(App.java:17)\n\tat App.main(App.java:51)\nException in thread \"w\" nothing more\nbye",
                "1-3 java - \"order 7 is gone\" [App.java:17 App.f, App.java:51 App.main] top 0 causes []",
            ),
            (
                "any thread, no message",
                "x\nException in thread \"w-1\" App$Lost\n\tat App.run(App.java:7)\n\tat java.base/java.lang.Thread.run(Thread.java:840)\ny",
                "2-4 java App$Lost \"\" [App.java:7 App.run, Thread.java:840 java.lang.Thread.run] top 0 causes []",
            ),
            (
                "causes, suppressed with their own cause, circular",
                "a.B: outer\n\tat a.C.f(C.java:1)\n\tSuppressed: a.S: s\n\t\tat a.R.close(R.java:2)\n\t\tCaused by: a.T: t\n\t\t\tat a.R.g(R.java:3)\nCaused by: a.D: inner\n\tat a.E.h(E.java:4)\n\t... 1 more\nCaused by: [CIRCULAR REFERENCE: a.B: outer]",
                "1-10 java a.B \"outer\" [C.java:1 a.C.f, R.java:2 a.R.close, R.java:3 a.R.g, E.java:4 a.E.h] top 3 causes [a.D]",
            ),
            (
                "inside a log record",
                "2026-01-01 10:00:00 ERROR w - cannot poll: java.io.IOException: reset\n\tat a.P.poll(P.java:5)\nok",
                "1-2 java java.io.IOException \"reset\" [P.java:5 a.P.poll] top 0 causes []",
            ),
            (
                "modules, loaders, lambdas, packaging data",
                "a.X: m\n\tat app//a.B.c(B.java:1) ~[app.jar:1.0]\n\tat java.base@17.0.1/java.util.A.b(A.java:2) [?:?]\n\tat a.B$$Lambda/0x00007f1234.run(Unknown Source)\n\tat app/my.mod@1/a.D.e(D.java:3)",
                "1-5 java a.X \"m\" [B.java:1 a.B.c, A.java:2 java.util.A.b, -:0 a.B$$Lambda/0x00007f1234.run, D.java:3 a.D.e] top 0 causes []",
            ),
            (
                "Gradle's indented causes",
                "    java.lang.RuntimeException: outer\n        at a.T.t(T.kt:1)\n\n        Caused by:\n        a.D: inner\n            at a.E.h(E.kt:4)\n            ... 80 more\n\n3 tests completed, 1 failed",
                "1-7 kotlin java.lang.RuntimeException \"outer\" [T.kt:1 a.T.t, E.kt:4 a.E.h] top 1 causes [a.D]",
            ),
            (
                "Maven's space and Spark's second stack",
                "org.x.FailureException: a\nb\n    at org.x.Y.z (Y.java:3)\n\nDriver stacktrace:\n    at org.x.Q.r (Q.scala:9)\nBUILD FAILED",
                "1-6 java org.x.FailureException \"a\\nb\" [Y.java:3 org.x.Y.z, Q.scala:9 org.x.Q.r] top 0 causes []",
            ),
            (
                "two traces back to back",
                "a.B: x\n\tat a.C.d(C.scala:1)\na.B: x\n\tat a.C.d(C.scala:1)",
                "1-2 scala a.B \"x\" [C.scala:1 a.C.d] top 0 causes []\n3-4 scala a.B \"x\" [C.scala:1 a.C.d] top 0 causes []",
            ),
            (
                "without frames",
                "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\nbye",
                "1-1 java java.lang.OutOfMemoryError \"Java heap space\" [] top - causes []",
            ),
            (
                "a type that describes itself",
                "Boom[code=5]\n\tat a.B.c(B.java:1)",
                "1-2 java Boom \"[code=5]\" [B.java:1 a.B.c] top 0 causes []",
            ),
            (
                "JUnit's console launcher",
                "    => org.opentest4j.AssertionFailedError: expected: <1>\n       org.junit.jupiter.api.AssertionUtils.fail(AssertionUtils.java:55)\n       a.T.t(T.java:9)\n       [...]\n\nTest run finished",
                "1-4 java org.opentest4j.AssertionFailedError \"expected: <1>\" [AssertionUtils.java:55 org.junit.jupiter.api.AssertionUtils.fail, T.java:9 a.T.t] top 1 causes []",
            ),
            (
                "hashes of stacks",
                "<#1a2b> a.X: m\n\tat a.B.c(B.java:1)\n\t... 27 frames excluded\nCaused by: <#3c4d> a.Y: n\n\tat a.B.d(B.java:2)",
                "1-5 java a.X \"m\" [B.java:1 a.B.c, B.java:2 a.B.d] top 1 causes [a.Y]",
            ),
            (
                "sbt's tags",
                "[error] java.lang.IllegalStateException: x\n[error] \tat a.Main$.run(Main.scala:5)\n[error] (run / Compile) failed",
                "1-2 scala java.lang.IllegalStateException \"x\" [Main.scala:5 a.Main$.run] top 0 causes []",
            ),
            (
                "failures listed in the message",
                "[ERROR] all  Time elapsed: 0.01 s  <<< FAILURE!\norg.opentest4j.MultipleFailuresError: stock (2 failures)\n\torg.opentest4j.AssertionFailedError: n\n\torg.opentest4j.AssertionFailedError: m\n\tat a.T.t(T.java:9)\n",
                "2-5 java org.opentest4j.MultipleFailuresError \"stock (2 failures)\\n\\torg.opentest4j.AssertionFailedError: n\\n\\torg.opentest4j.AssertionFailedError: m\" [T.java:9 a.T.t] top 0 causes []",
            ),
            (
                "Jenkins prints the root cause first, and what was suppressed before it",
                "Also:   hudson.remoting.Channel$CallSite: to agent\n\t\tat hudson.A.b(A.java:1)\njava.io.IOException: full\n\tat hudson.F.w(F.java:2)\nCaused: a.RemoteException: failed\n\tat a.R.r(R.java:3)\n\tat WorkflowScript.run(WorkflowScript:12)\nFinished: FAILURE",
                "1-7 java a.RemoteException \"failed\" [A.java:1 hudson.A.b, F.java:2 hudson.F.w, R.java:3 a.R.r, WorkflowScript:12 WorkflowScript.run] top 2 causes [java.io.IOException]",
            ),
            (
                "ScalaTest's causes and elisions",
                "- should load *** FAILED ***\n  a.X: m\n  at a.S.f(S.scala:1)\n  ...\n  Cause: a.Y: n\n  at a.S.g(S.scala:2)\n  ...\nRun completed",
                "2-7 scala a.X \"m\" [S.scala:1 a.S.f, S.scala:2 a.S.g] top 1 causes [a.Y]",
            ),
            (
                "a label in front of the type",
                "Error: java.io.IOException: Type mismatch\n\tat a.M.map(M.java:5)\n\nStack trace: ExitCodeException exitCode=1: \n\tat a.S.run(S.java:9)\n",
                "1-2 java java.io.IOException \"Type mismatch\" [M.java:5 a.M.map] top 0 causes []\n4-5 java ExitCodeException \"exitCode=1:\" [S.java:9 a.S.run] top 0 causes []",
            ),
            (
                "Groovy's and Spock's assertions have no type",
                "Assertion failed: \n\nassert x == 2\n       | |\n       1 false\n\n\tat job.check(job.groovy:2)\n",
                "1-7 java - \"Assertion failed:\\n\\nassert x == 2\\n       | |\\n       1 false\" [job.groovy:2 job.check] top 0 causes []",
            ),
            (
                "generated classes are not looked at first",
                "a.X: m\n\tat a.Stock_Subclass.f(Unknown Source)\n\tat a.Stock.f(Stock.java:5)",
                "1-3 java a.X \"m\" [-:0 a.Stock_Subclass.f, Stock.java:5 a.Stock.f] top 1 causes []",
            ),
            (
                "Clojure's triage",
                "Execution error (ArithmeticException) at shop.core/price (core.clj:12).\nDivide by zero\n\nFull report at:\n/tmp/x.edn\nuser=> Syntax error compiling at (shop/core.clj:3:1).\nUnable to resolve symbol: foo\n",
                "1-2 java ArithmeticException \"Divide by zero\" [core.clj:12 shop.core/price] top 0 causes []\n6-7 java - \"Unable to resolve symbol: foo\" [shop/core.clj:3 -] top 0 causes []",
            ),
            (
                "Gradle's short form",
                "StockTest > load() FAILED\n    java.lang.IllegalStateException at StockTest.kt:30\n        Caused by: java.io.IOException at Stock.kt:22\n\n1 test completed",
                "2-3 kotlin java.lang.IllegalStateException \"\" [StockTest.kt:30 -, Stock.kt:22 -] top 1 causes [java.io.IOException]",
            ),
            (
                "a crash of the VM",
                "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n#  SIGSEGV (0xb) at pc=0x7f, pid=1, tid=2\n#\n# Problematic frame:\n# C  [libz.so.1+0xed27f4]  inflate+0x124\n#\nAborted",
                "1-8 java SIGSEGV \"(0xb) at pc=0x7f, pid=1, tid=2\" [libz.so.1:0 inflate] top - causes []",
            ),
            (
                "a deadlock in a thread dump",
                "\"main\" #1 prio=5\n\tat a.B.c(B.java:1)\n\nFound one Java-level deadlock:\n====\n\"first\":\n  waiting to lock monitor 0x1,\n  which is held by \"second\"\n\nJava stack information for the threads listed above:\n====\n\"first\":\n\tat a.D.x(D.java:7)\n\t- waiting to lock <0x2>\n\tat java.lang.Thread.run(java.base@17.0.15/Thread.java:840)\n\nFound 1 deadlock.\n\nHeap",
                "4-17 java - \"Found one Java-level deadlock\" [D.java:7 a.D.x, Thread.java:840 java.lang.Thread.run] top 0 causes []",
            ),
            (
                "the stack could not even be printed",
                "Exception: java.lang.OutOfMemoryError thrown from the UncaughtExceptionHandler in thread \"main\"\nCaused by: nothing\n",
                "1-1 java java.lang.OutOfMemoryError \"thrown from the UncaughtExceptionHandler in thread \\\"main\\\"\" [] top - causes []",
            ),
            (
                "JUnit's tree",
                "│  │     caught: a.B$Lost: x\n│  │           \tat a.T.t(T.java:9)\n│  │   duration: 5 ms",
                "1-2 java a.B$Lost \"x\" [T.java:9 a.T.t] top 0 causes []",
            ),
            (
                "standard output between the frames, but not another trace",
                "a.X: m\n\tat a.B.c(B.java:1)\nstep 3\n\tat a.B.d(B.java:2)\n2026-11-21 10:00:00 INFO fine\n\tat a.B.e(B.java:3)\nBoom[code=5]\n\tat a.F.g(F.java:6)\n",
                "1-6 java a.X \"m\" [B.java:1 a.B.c, B.java:2 a.B.d, B.java:3 a.B.e] top 0 causes []\n7-8 java Boom \"[code=5]\" [F.java:6 a.F.g] top 0 causes []",
            ),
        ] {
            assert_eq!(summary(&read_all(&Jvm, log)), expected, "{name}");
        }
    }

    #[test]
    fn prose_dumps_and_lone_frames_are_silent() {
        for log in [
            "\tat com.acme.Feed.parse(Feed.java:9)",
            "see at com.acme.Feed.parse(Feed.java:9) for more",
            "Caused by: section is documented.",
            "\"main\" #1 prio=5\n   java.lang.Thread.State: RUNNABLE\n\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)",
            "Exception in thread pools is counted, not printed.",
            "StockTest > load() PASSED\n    java.lang.String at Foo.java:12\n",
            "Syntax error at (foo.clj:12).\nExecution error handlers are documented (see core.clj:12).",
            "Found 0 deadlocks.\nNo Java-level deadlock found.",
            "# A comment that says: a fatal error has been detected",
            "    at the office (Main.java:12)",
            "[0.023s][info][class,load] java.lang.Error source: shared objects file",
        ] {
            assert_eq!(summary(&read_all(&Jvm, log)), "", "{log}");
        }
    }

    #[test]
    fn the_corpus_is_read() {
        super::super::rig::assert_corpus(&Jvm, &["java", "kotlin", "scala"], 42);
    }
}
