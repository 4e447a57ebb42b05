//! Stack traces of Go: panics and runtime throws with their goroutines, race reports, and the bare stacks of loggers.
//!
//! The formats are those of `runtime/traceback.go`, `runtime/panic.go`, ThreadSanitizer's Go reports, `pkg/errors` (`%+v`),
//! zap's console encoder and Gin's recovery.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{begins_record, frame, group, indent, line_number, pattern, sounds_bad};
use super::{Grammar, Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a panic's message that are waited through for its goroutine.
const MESSAGE_LINES: usize = 60;
/// The same where the line with the panic is a logger's.
const LOGGED_MESSAGE_LINES: usize = 4;
/// Most lines of a request that Gin prints above its stack.
const REQUEST_LINES: usize = 40;

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
            r"^fatal error: ",
            r"^SIG[A-Z]+: ",
            r"\bgoroutine \d+ .*\]:",
            r"^\s+\S+\.go:\d+",
            "WARNING: DATA RACE",
            "panic recovered:",
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
        } else if let Some(file) = FileLine::parse(text) {
            of_bare_stack(before, &file)?
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
        let ahead = before
            .iter()
            .rev()
            .take_while(|l| l.text.starts_with("runtime: ") || l.text.starts_with("unexpected fault"));
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
    static PANIC: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?i)\bpanic(?:ked|king)?\b[^:]*?(?: serving \S+)?(?: recovered)?[:\]] ?(.*)$"));
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
            Open::new(Some("panic"), without_recovered(message).to_owned(), first, Place::Stack)
        }
        None => Open::new(None, String::new(), line.number, Place::Stack),
    }
}

/// A stack without goroutine: function, then file, under a log record (zap) or a message (`pkg/errors`).
fn of_bare_stack(before: &[TextLine], file: &FileLine) -> Option<Open> {
    let (function, above) = before.split_last()?;
    let name = bare_function(&function.text)?;
    let head = above.last().filter(|head| is_bare_head(&head.text));
    let message = head.map(|head| logged_message(&head.text)).unwrap_or_default();
    let mut open = Open::new(None, message, head.unwrap_or(function).number, Place::Bare);
    open.frame(file, Some(name));
    Some(open)
}

/// Whether a line above a bare stack is what the stack belongs to.
fn is_bare_head(text: &str) -> bool {
    !text.trim().is_empty() && FileLine::parse(text).is_none() && (!begins_record(text) || sounds_bad(text))
}

/// The error in a record of zap's console encoder, else its message, else the text.
fn logged_message(text: &str) -> String {
    let mut fields: Vec<&str> = text.split('\t').collect();
    if fields.len() < 3 {
        return text.to_owned();
    }
    let json = fields.pop_if(|last| last.starts_with('{'));
    let error = json
        .and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok())
        .and_then(|value| value.get("error").and_then(|error| error.as_str()).map(str::to_owned));
    error.unwrap_or_else(|| fields.pop().unwrap_or_default().to_owned())
}

fn without_recovered(message: &str) -> &str {
    let end = message.rfind(" [recovered").filter(|_| message.ends_with(']')).unwrap_or(message.len());
    message.get(..end).unwrap_or(message)
}

fn is_goroutine(text: &str) -> bool {
    static HEADER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bgoroutine \d+ (?:[a-z]+=\S+ )*\[[^\]]+\]:$"));
    HEADER.is_match(text)
}

/// `/srv/app/main.go:12 +0x1d`, indented.
struct FileLine<'t> {
    file: &'t str,
    line: Option<u32>,
}

impl<'t> FileLine<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        static FILE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^\s+(\S.*\.(?:go|s|S|c|cc|cpp|h|m|swig\S*)|<autogenerated>|\?\?|_\S+):(\d+)(?: \+0x[0-9a-f]+)?(?: [fsp][pc]=.*)?$",
            )
        });
        let found = FILE.captures(text)?;
        let (file, line) = (found.get(1)?.as_str(), found.get(2)?.as_str());
        Some(Self { file, line: line_number(line) })
    }

    /// Gin's `/srv/app/main.go:12 (0x43a7b5)`.
    fn parse_gin(text: &'t str) -> Option<Self> {
        static FILE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\S+\.(?:go|s|S|c)):(\d+) \(0x[0-9a-f]+\)$"));
        let found = FILE.captures(text)?;
        Some(Self { file: found.get(1)?.as_str(), line: line_number(found.get(2)?.as_str()) })
    }
}

/// A function as a goroutine's stack prints it: with its arguments, or behind `created by`.
fn called_function(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    if let Some(creator) = trimmed.strip_prefix("created by ") {
        return Some(creator.split_once(" in goroutine ").map_or(creator, |(name, _)| name));
    }
    let name = without_arguments(trimmed)?;
    (!name.is_empty() && !name.contains(": ")).then_some(name)
}

/// A function as loggers print it, without arguments: a qualified name and nothing else.
fn bare_function(text: &str) -> Option<&str> {
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[\w.~\-/@%*()\[\]…,{}]+\.[\w.\-()*\[\]…,{}]+$"));
    if !text.starts_with(char::is_whitespace) && NAME.is_match(text) && !text.starts_with('[') {
        return Some(without_arguments(text).filter(|name| name.contains('.')).unwrap_or(text));
    }
    text.contains('.').then(|| called_function(text)).flatten().filter(|_| !text.contains(' ') || text.ends_with(')'))
}

/// The text in front of its last, balanced pair of parentheses.
fn without_arguments(text: &str) -> Option<&str> {
    if !text.ends_with(')') {
        return None;
    }
    let mut depth = 0_usize;
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return text.get(..at);
        }
    }
    None
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the message; so many lines may still come.
    Message(usize),
    /// In the stacks of goroutines.
    Stack,
    /// In a race report, up to its closing rule.
    Race,
    /// In a stack without goroutine.
    Bare,
    /// In the request that Gin prints, so many lines so far.
    Request(usize),
    /// In Gin's stack.
    Gin,
}

struct Open {
    exception: Option<String>,
    message: String,
    first_line: u64,
    place: Place,
    frames: Vec<TraceFrame>,
    /// First frame of each goroutine.
    parts: Vec<usize>,
    /// The function whose file line comes next.
    function: Option<String>,
    /// The message has ended with a signal or a second panic.
    message_done: bool,
    /// A line that may be the message of a wrapping error.
    held_text: bool,
    confirmed: bool,
}

impl Open {
    fn new(exception: Option<&str>, message: String, first_line: u64, place: Place) -> Self {
        Self {
            exception: exception.map(str::to_owned),
            message,
            first_line,
            place,
            frames: Vec::new(),
            parts: vec![0],
            function: None,
            message_done: false,
            held_text: false,
            confirmed: false,
        }
    }

    fn frame(&mut self, file: &FileLine, function: Option<&str>) {
        if self.frames.len() < Trace::MAX_FRAMES {
            self.frames.push(frame(Language::Go, Some(file.file), file.line, function));
        }
    }

    fn in_message(&mut self, text: &str, left: usize) -> Next {
        if is_goroutine(text) || text == "runtime stack:" {
            self.place = Place::Stack;
            return Next::Take;
        }
        // `GOTRACEBACK=none` prints no goroutine.
        if text.starts_with("exit status ") && self.exception.as_deref() == Some("panic") {
            self.confirmed = left + 2 >= MESSAGE_LINES;
            return Next::End;
        }
        let more = text.starts_with("[signal ") || text.starts_with("\tpanic: ");
        self.message_done |= more;
        if more && left > LOGGED_MESSAGE_LINES {
            self.confirmed = true;
            self.place = Place::Message(left - 1);
            return Next::Take;
        }
        if left == 0 || text.starts_with("panic: ") {
            return Next::End;
        }
        self.message_done |= text.starts_with("PC=0x");
        if !self.message_done {
            self.message.push('\n');
            self.message.push_str(text);
        }
        self.place = Place::Message(left - 1);
        Next::Hold
    }

    fn in_stack(&mut self, text: &str) -> Next {
        if let Some(file) = FileLine::parse(text) {
            let Some(function) = self.function.take() else { return Next::End };
            self.frame(&file, Some(&function));
            return Next::Take;
        }
        if self.function.is_some() {
            return Next::End;
        }
        if text.trim().is_empty() {
            return Next::Hold;
        }
        if is_goroutine(text) || text == "runtime stack:" {
            self.parts.push(self.frames.len());
            return Next::Take;
        }
        if is_stack_note(text) {
            return Next::Take;
        }
        if indent(text) == 0
            && let Some(function) = called_function(text)
        {
            self.function = Some(function.to_owned());
            return Next::Hold;
        }
        Next::End
    }

    fn in_race(&mut self, text: &str) -> Next {
        if text.starts_with("=====") {
            return Next::TakeAndEnd;
        }
        if let Some(file) = FileLine::parse(text) {
            let function = self.function.take();
            self.frame(&file, function.as_deref());
            return Next::Take;
        }
        if text.trim().is_empty() {
            return Next::Hold;
        }
        if indent(text) > 0 {
            self.function = called_function(text).map(str::to_owned);
            return Next::Take;
        }
        if text.ends_with(':') { Next::Take } else { Next::End }
    }

    fn in_bare(&mut self, text: &str) -> Next {
        if let Some(file) = FileLine::parse(text) {
            let Some(function) = self.function.take() else { return Next::End };
            self.frame(&file, Some(&function));
            self.held_text = false;
            return Next::Take;
        }
        if self.function.is_some() || text.trim().is_empty() || begins_record(text) {
            return Next::End;
        }
        if let Some(function) = bare_function(text) {
            self.function = Some(function.to_owned());
            return Next::Hold;
        }
        if self.held_text {
            return Next::End;
        }
        self.held_text = true;
        Next::Hold
    }

    fn in_gin(&mut self, text: &str) -> Next {
        static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\t(\S.*?): .*$"));
        if let Some(file) = FileLine::parse_gin(text) {
            self.place = Place::Gin;
            self.frame(&file, None);
            return Next::Take;
        }
        if let Place::Request(lines) = self.place {
            if !text.trim().is_empty() {
                text.clone_into(&mut self.message);
            }
            self.place = Place::Request(lines + 1);
            return if lines < REQUEST_LINES { Next::Hold } else { Next::End };
        }
        let (Some(found), Some(last)) = (CALL.captures(text), self.frames.last_mut()) else { return Next::End };
        *last = frame(Language::Go, last.file.as_deref(), last.line, Some(group(&found, 1)));
        Next::Take
    }

    /// The application's frame nearest to the panic: below the innermost `panic` of the first goroutine that has one.
    fn in_app_top(&self) -> Option<usize> {
        let ends = self.parts.iter().skip(1).copied().chain([self.frames.len()]);
        let in_range =
            |start: usize, end: usize| (start..end).find(|at| self.frames.get(*at).is_some_and(|f| f.in_app));
        self.parts.iter().zip(ends).find_map(|(&start, end)| {
            let panicked = (start..end).rev().find(|at| {
                let function = self.frames.get(*at).and_then(|f| f.function.as_deref());
                matches!(function, Some("panic" | "runtime.gopanic" | "runtime.sigpanic"))
            });
            panicked.and_then(|at| in_range(at, end)).or_else(|| in_range(start, end))
        })
    }
}

/// Lines inside a goroutine's stack that are no frame.
fn is_stack_note(text: &str) -> bool {
    static NOTE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:\.\.\..*frames? elided\.*|\t?goroutine running on other thread.*|\[originating from goroutine \d+\]:?|(?:r[a-z0-9]{1,5}|[cdefgs]s|eflags|lr|sp|pc|fault|trap|error|oldmask|cpsr|far) +0x[0-9a-f]+|PC=0x.*|-----)$",
        )
    });
    NOTE.is_match(text)
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.as_str();
        match self.place {
            Place::Message(left) => self.in_message(text, left),
            Place::Stack => self.in_stack(text),
            Place::Race => self.in_race(text),
            Place::Bare => self.in_bare(text),
            Place::Request(_) | Place::Gin => self.in_gin(text),
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let confirmed = match self.place {
            Place::Bare => self.frames.len() > 1,
            Place::Message(_) => self.confirmed,
            Place::Stack | Place::Race | Place::Request(_) | Place::Gin => !self.frames.is_empty(),
        };
        if !confirmed {
            return None;
        }
        let message = if matches!(self.place, Place::Message(_)) {
            // The held lines were no part of it.
            self.message.lines().next().unwrap_or_default().to_owned()
        } else {
            self.message.trim_end().to_owned()
        };
        let in_app_top = self.in_app_top();
        Some(Reading {
            trace: Trace {
                language: Language::Go,
                exception: self.exception,
                message,
                frames: self.frames,
                in_app_top,
                cause_chain: Vec::new(),
                text: String::new(),
                cut: false,
            },
            first_line: self.first_line,
            last_line: None,
        })
    }
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
        ] {
            assert_eq!(summary(&read_all(&Go, log)), "", "{log}");
        }
    }

    #[test]
    fn the_corpus_is_read() {
        super::super::rig::assert_corpus(&Go, &["go"], 13);
    }
}
