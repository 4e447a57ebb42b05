//! Stack traces of the JVM: Java, Kotlin, Scala, and whatever else prints a `Throwable`.
//!
//! A trace is opened at its first frame line and looks back for its head, because the head is only a type name and may stand
//! under or inside a log record. `Exception in thread "…"` is told apart at once and may have a message of any length.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{begins_record, frame, group, indent, line_number, pattern, sounds_bad};
use super::{Grammar, Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a message that are waited through for a frame.
const MESSAGE_LINES: usize = 60;

/// The grammar of JVM stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Jvm;

impl Grammar for Jvm {
    fn language(&self) -> Language {
        Language::Java
    }

    fn starters(&self) -> &'static [&'static str] {
        &[
            r#"Exception in thread ""#,
            r"^\s+=> [a-z][\w.]*\.[A-Z][\w$]*",
            r"\bat [^()]+\.[^()]+ ?\((?:[^()]*\.(?:java|kt|kts|scala|groovy|clj|sc|rb|mirah|xtend)(?::\d+)?|Native Method|Unknown Source(?::\d+)?|<generated>|<Unknown>|SourceFile(?::\d+)?|NO_SOURCE_FILE:\d+)\)",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = without_tool(&line.text);
        if let Some(first) = parse_frame(text) {
            let (head, first_line) = find_head(before)?;
            let mut open = Open::new(head, first_line);
            open.frame(first);
            return Some(Box::new(open));
        }
        if let Some(failure) = text.trim_start().strip_prefix("=> ") {
            let mut open = Open::new(Head::bare(failure)?, line.number);
            open.launcher = true;
            return Some(Box::new(open));
        }
        let head = Head::of_thread(text)?;
        Some(Box::new(Open::new(head, line.number)))
    }
}

/// Type and message at the top of a trace or of a part of it.
#[derive(Clone, Debug, Default)]
struct Head {
    exception: Option<String>,
    message: String,
}

impl Head {
    /// `java.lang.IllegalStateException: message`, alone on its line.
    fn bare(text: &str) -> Option<Self> {
        static BARE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^\s*(?:<#[0-9a-f]+> )?((?:[\p{L}_$][\w$-]*[./])*[\p{L}_$][\w$]*)(?:: ?(.*))?$"));
        let found = BARE.captures(text)?;
        let name = group(&found, 1);
        (is_type(name) && !text.contains("java.lang.Thread.State:"))
            .then(|| Self { exception: Some(name.to_owned()), message: group(&found, 2).to_owned() })
    }

    /// `Exception in thread "main" java.lang.Error: message`.
    fn of_thread(text: &str) -> Option<Self> {
        static THREAD: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r#"Exception in thread ".*?" ((?:[\p{L}_$][\w$]*\.)*[\p{L}_$][\w$]*)(?:: ?(.*))?$"#)
        });
        let found = THREAD.captures(text)?;
        Some(Self { exception: Some(group(&found, 1).to_owned()), message: group(&found, 2).to_owned() })
    }

    /// What a type's own `toString` makes of it: `Boom[code=5]`, `a.Boom{code=5}`.
    fn described(text: &str) -> Option<Self> {
        static DESCRIBED: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^\s*((?:[\p{L}_$][\w$]*\.)*\p{Lu}[\w$]*)([\[({@].*)$"));
        let found = DESCRIBED.captures(text)?;
        Some(Self { exception: Some(group(&found, 1).to_owned()), message: group(&found, 2).to_owned() })
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
    for line in before.iter().rev() {
        let text = without_tool(&line.text);
        // The rest of a trace or dump whose head was not taken; its frames are nothing on their own.
        if parse_frame(text).is_some() || text.contains("java.lang.Thread.State:") {
            return None;
        }
        let record = begins_record(text);
        let head = Head::of_thread(text)
            .or_else(|| Head::bare(text))
            .or_else(|| if record { Head::inside(text) } else { None });
        if let Some(mut head) = head {
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

/// `... 12 more`, `... 3 common frames omitted`.
fn elision(text: &str) -> bool {
    static ELISION: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^\s*(?:\.\.\.|…) ?\d+ (?:more|common|frames?|lines?|skipped|omitted|excluded|truncated)\b")
    });
    ELISION.is_match(text)
}

/// The line without the tag that a build tool puts in front of the output it passes on.
fn without_tool(text: &str) -> &str {
    static TOOL: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\s*\[(?i:error|warn|warning|info|java|junit|exec|stdout|stderr)\] ?"));
    TOOL.find(text).map_or(text, |found| text.get(found.end()..).unwrap_or(text))
}

/// Reads a frame line. `Some(None)` is a line in a frame's place that names no code (`at (Coroutine boundary)`).
fn parse_frame(text: &str) -> Option<Option<TraceFrame>> {
    static FRAME: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"^\s*at ([^()]*[^()\s]) ?\(([^()]*)\)(?: ~?\[[^\]]*\])*"?\s*$"#));
    static SOURCE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^:()\s][^:()]*?)(?::(-?\d+))?$"));
    if text.trim() == "at (Coroutine boundary)" || text.trim() == "(Coroutine boundary)" {
        return Some(None);
    }
    let found = FRAME.captures(text)?;
    let function = without_module(group(&found, 1));
    if !function.contains('.') || function.contains("://") {
        return None;
    }
    let source = SOURCE.captures(group(&found, 2))?;
    let (name, line) = (group(&source, 1), line_number(group(&source, 2)));
    let file = match name {
        "Native Method" | "Unknown Source" | "<generated>" | "<Unknown>" | "NO_SOURCE_FILE" => None,
        "SourceFile" => Some(name),
        // Two numbers are JavaScript's; a space or slash is no name of a source file.
        _ if name.contains('.') && !name.contains(['/', '\\']) => Some(name),
        _ => return None,
    };
    let language = language_of(file);
    let line = if file.is_some() { line } else { None };
    Some(Some(frame(language, file, line, Some(function))))
}

/// The function without class loader and module: `app//`, `java.base@17.0.1/`.
fn without_module(function: &str) -> &str {
    let mut rest = function;
    while let Some((prefix, tail)) = rest.split_once('/') {
        // The address of a hidden class: `Foo$$Lambda/0x00007f.run`.
        if tail.starts_with("0x") || prefix.contains('$') {
            break;
        }
        rest = tail;
    }
    rest
}

fn language_of(file: Option<&str>) -> Language {
    match file.and_then(|file| file.rsplit_once('.')).map(|(_, ending)| ending) {
        Some("kt" | "kts") => Language::Kotlin,
        Some("scala" | "sc") => Language::Scala,
        _ => Language::Java,
    }
}

/// What a line between frames says about the chain.
enum Link {
    Cause,
    Wrapper,
    Suppressed,
}

fn parse_link(text: &str) -> Option<(Link, &str)> {
    let trimmed = text.trim_start();
    for (label, link) in
        [("Caused by:", Link::Cause), ("Wrapped by:", Link::Wrapper), ("Suppressed:", Link::Suppressed)]
    {
        if let Some(rest) = trimmed.strip_prefix(label) {
            let rest = rest.trim_start();
            // Logback's encoder for Logstash puts a hash of the stack in front.
            let hashed = rest.strip_prefix("<#").and_then(|rest| rest.split_once("> ")).map(|(_, rest)| rest);
            return Some((link, hashed.unwrap_or(rest)));
        }
    }
    None
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the message of the head, so many lines so far.
    HeadMessage(usize),
    /// Between frames, after so many blank lines.
    Frames(usize),
    /// In the message of a cause, so many lines so far.
    LinkMessage(usize),
    /// After a `Caused by:` whose type is on the next line (Gradle).
    LinkType,
}

struct Open {
    head: Head,
    first_line: u64,
    place: Place,
    message_more: Vec<String>,
    frames: Vec<TraceFrame>,
    /// First frame of each link of the main chain, in the order printed. The head's is 0.
    parts: Vec<usize>,
    links: Vec<Head>,
    wrapped: bool,
    /// Indentation of the suppressed exception that the reader is in.
    suppressed: Option<usize>,
    /// JUnit's console launcher prints the frames without `at`.
    launcher: bool,
    /// For each frame, whether it is a suppressed exception's, where nobody looks first.
    aside: Vec<bool>,
}

impl Open {
    fn new(head: Head, first_line: u64) -> Self {
        Self {
            head,
            first_line,
            place: Place::HeadMessage(0),
            message_more: Vec::new(),
            frames: Vec::new(),
            parts: vec![0],
            links: Vec::new(),
            wrapped: false,
            suppressed: None,
            launcher: false,
            aside: Vec::new(),
        }
    }

    fn frame(&mut self, parsed: Option<TraceFrame>) {
        self.place = Place::Frames(0);
        if let Some(parsed) = parsed
            && self.frames.len() < Trace::MAX_FRAMES
        {
            self.frames.push(parsed);
            self.aside.push(self.suppressed.is_some());
        }
    }

    fn link(&mut self, link: &Link, depth: usize, rest: &str) {
        if matches!(link, Link::Suppressed) {
            self.suppressed.get_or_insert(depth);
            self.place = Place::LinkMessage(0);
            return;
        }
        if self.suppressed.is_some_and(|outer| depth >= outer) {
            self.place = Place::LinkMessage(0);
            return;
        }
        self.suppressed = None;
        self.wrapped |= matches!(link, Link::Wrapper);
        self.parts.push(self.frames.len());
        if rest.is_empty() {
            self.place = Place::LinkType;
            return;
        }
        if rest.starts_with("[CIRCULAR REFERENCE") {
            // An exception that the chain has named already; it has no frames.
            self.place = Place::Frames(0);
            return;
        }
        self.place = Place::LinkMessage(0);
        let (exception, message) = rest.split_once(": ").unwrap_or((rest.trim_end_matches(':'), ""));
        self.links.push(Head { exception: Some(exception.trim().to_owned()), message: message.to_owned() });
    }

    /// The frame to look at first: in the root cause, else in the link above it, and so on.
    fn in_app_top(&self) -> Option<usize> {
        let mut parts = self.parts.clone();
        if self.wrapped {
            parts.reverse();
        }
        let in_part = |start: usize| {
            let end = self.parts.iter().copied().find(|other| *other > start).unwrap_or(self.frames.len());
            (start..end)
                .find(|at| self.frames.get(*at).is_some_and(|f| f.in_app) && self.aside.get(*at) == Some(&false))
        };
        let with_line = |at: &usize| self.frames.get(*at).is_some_and(|f| f.line.is_some());
        parts
            .iter()
            .rev()
            .filter_map(|start| in_part(*start))
            .find(with_line)
            .or_else(|| self.frames.iter().position(|f| f.in_app))
    }
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = without_tool(&line.text);
        let bare = if self.launcher { parse_frame(&format!("at {}", text.trim_start())) } else { None };
        if let Some(parsed) = parse_frame(text).or(bare) {
            self.frame(parsed);
            return Next::Take;
        }
        if let Some((link, rest)) = parse_link(text) {
            self.link(&link, indent(text), rest);
            return Next::Take;
        }
        match self.place {
            Place::HeadMessage(lines) => {
                if lines >= MESSAGE_LINES || begins_record(text) || Head::of_thread(text).is_some() {
                    return Next::End;
                }
                self.place = Place::HeadMessage(lines + 1);
                self.message_more.push(text.to_owned());
                Next::Hold
            }
            Place::LinkType => {
                let Some(head) = Head::bare(text) else { return Next::End };
                self.links.push(head);
                self.place = Place::LinkMessage(0);
                Next::Take
            }
            Place::LinkMessage(lines) => {
                if elision(text) {
                    self.place = Place::Frames(0);
                    return Next::Take;
                }
                if lines >= MESSAGE_LINES || begins_record(text) || Head::of_thread(text).is_some() {
                    return Next::End;
                }
                self.place = Place::LinkMessage(lines + 1);
                Next::Hold
            }
            Place::Frames(blank) => {
                if elision(text) || is_note(text) {
                    self.place = Place::Frames(0);
                    Next::Take
                } else if text.trim().is_empty() && blank < 2 {
                    self.place = Place::Frames(blank + 1);
                    Next::Hold
                } else {
                    Next::End
                }
            }
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let in_app_top = self.in_app_top();
        let language = in_app_top
            .and_then(|at| self.frames.get(at))
            .or_else(|| self.frames.iter().find(|f| f.in_app))
            .map_or(Language::Java, |f| language_of(f.file.as_deref()));
        let mut message = self.head.message.clone();
        if !self.frames.is_empty() {
            for more in &self.message_more {
                message.push('\n');
                message.push_str(more);
            }
        }
        let mut exception = self.head.exception.clone();
        let mut cause_chain: Vec<String> = self.links.iter().filter_map(|link| link.exception.clone()).collect();
        if self.wrapped {
            // Printed root cause first: the last one ended the attempt.
            if let Some(outermost) = self.links.last() {
                message.clone_from(&outermost.message);
            }
            cause_chain.insert(0, exception.unwrap_or_default());
            exception = cause_chain.pop();
            cause_chain.reverse();
        }
        if self.launcher && self.frames.is_empty() {
            return None;
        }
        Some(Reading {
            trace: Trace {
                language,
                exception,
                message: message.trim_end().to_owned(),
                frames: self.frames,
                in_app_top,
                cause_chain,
                text: String::new(),
                cut: false,
            },
            first_line: self.first_line,
            last_line: None,
        })
    }
}

/// Lines between frames that belong to the trace: a circular reference, Spark's second stack, a coroutine's boundary.
fn is_note(text: &str) -> bool {
    let trimmed = text.trim_start();
    trimmed.starts_with("[CIRCULAR REFERENCE")
        || trimmed == "[...]"
        || trimmed == "Driver stacktrace:"
        || trimmed.starts_with("Original Stack Trace:")
        || trimmed.starts_with("*__checkpoint")
        || trimmed.starts_with("|_ ")
}

#[cfg(test)]
mod tests {
    use super::super::rig::{read_all, summary};
    use super::*;

    #[test]
    fn traces_are_read_whole() {
        for (name, log, expected) in [
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
            "[0.023s][info][class,load] java.lang.Error source: shared objects file",
        ] {
            assert_eq!(summary(&read_all(&Jvm, log)), "", "{log}");
        }
    }

    #[test]
    fn the_corpus_is_read() {
        super::super::rig::assert_corpus(&Jvm, &["java", "kotlin", "scala"], 21);
    }
}
