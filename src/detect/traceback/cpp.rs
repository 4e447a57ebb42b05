//! C and C++: sanitizers, aborts of the C library, failed assertions, unhandled C++ exceptions.
//!
//! Formats: LLVM `sanitizer_stacktrace_printer`, glibc `assert/assert.c`, `malloc_printerr`, `__fortify_fail`; libstdc++
//! `__verbose_terminate_handler`; libc++abi `abort_message`.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::cpp_check::{self, Check};
use super::cpp_crash::{self, Crash};
use super::cpp_stack::parse_frame;
use super::cpp_valgrind::Valgrind;
use super::in_app::is_app;
use super::lex::{begins_record, pattern};
use super::{Grammar, Next, OpenTrace, Reading};
use crate::detect::line::TextLine;
use crate::detect::{Language, Trace, TraceFrame};

/// Lines of a sanitizer's report that may be no frame, title or table row in a row.
const MAX_HELD: usize = 8;

/// The lines of sanitizers, of valgrind and of aborts.
const STARTERS: &[&str] = &[
    r"==[0-9]+==\s*ERROR: [A-Za-z]+Sanitizer",
    r"WARNING: (?:Thread|Memory)Sanitizer: ",
    r":[0-9]+:[0-9]+: runtime error: ",
    r": Assertion [`'].*' failed\.",
    r": Assertion failed: ",
    r"Assertion failed: .*, file ",
    r"\(\): (?:double free|invalid (?:pointer|size|next size)|corrupted|memory corruption|unaligned|chunks? )",
    r"corrupted (?:size vs\. prev_size|double-linked list|unsorted chunks)",
    r"\*\*\* (?:stack smashing|buffer overflow) detected \*\*\*",
    r"terminate called (?:after throwing|without an active|recursively)",
    r"(?:pure|deleted) virtual method called$",
    r"libc\+\+abi: ",
    "==[0-9]+==    at 0x",
    r"^Fatal glibc error: ",
    "==[0-9]+== ---Thread-Announcement---",
];

/// The grammar.
pub(super) struct Cpp;

impl Grammar for Cpp {
    fn language(&self) -> Language {
        Language::Cpp
    }

    fn starters(&self) -> &'static [&'static str] {
        static ALL: LazyLock<Vec<&'static str>> =
            LazyLock::new(|| [STARTERS, cpp_crash::STARTERS, cpp_check::STARTERS].concat());
        &ALL
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = line.text.trim_end();
        if let Some(sanitizer) = Sanitizer::open(before, line, text) {
            return Some(Box::new(sanitizer));
        }
        if let Some(valgrind) = Valgrind::open(before, line) {
            return Some(Box::new(valgrind));
        }
        if let Some(check) = Check::open(line) {
            return Some(Box::new(check));
        }
        if let Some(crash) = Crash::open(before, line) {
            return Some(Box::new(crash));
        }
        let abort = abort(text)?;
        let terminates = text.starts_with("terminate called after") || text.contains("uncaught exception of type");
        Some(Box::new(Abort { trace: abort, line: line.number, terminates, more: Vec::new() }))
    }
}

/// Most lines of an exception's message that are waited through for the stack that some exceptions carry in it.
const MESSAGE_LINES: usize = 16;

/// One line that tells of an abort; an unhandled exception's message follows on the next.
struct Abort {
    trace: Trace,
    line: u64,
    terminates: bool,
    /// Lines of the message that only a stack would confirm.
    more: Vec<String>,
}

impl OpenTrace for Abort {
    fn push(&mut self, line: &TextLine) -> Next {
        if let Some(what) = line.text.strip_prefix("  what():").filter(|_| self.terminates && self.more.is_empty()) {
            self.trace.message = what.trim().to_owned();
            return Next::Take;
        }
        if is_virtual(&self.trace.message) && line.text.starts_with("terminate called without ") {
            return Next::TakeAndEnd;
        }
        let lines = self.more.len();
        if !self.terminates || lines >= MESSAGE_LINES || begins_record(&line.text) {
            return Next::End;
        }
        // `c10::Error` has its stack in the message.
        let Some(frame) = parse_frame(&line.text).filter(|_| line.text.starts_with("frame #")) else {
            self.more.push(line.text.clone());
            return Next::Hold;
        };
        for more in self.more.drain(..) {
            self.trace.message.push('\n');
            self.trace.message.push_str(&more);
        }
        self.trace.frames.push(frame);
        Next::Take
    }

    fn finish(mut self: Box<Self>) -> Option<Reading> {
        self.trace.in_app_top = cpp_crash::top(&self.trace.frames);
        Some(Reading { trace: self.trace, first_line: self.line, last_line: None })
    }
}

/// What libstdc++ says ahead of its `terminate called without an active exception`.
fn is_virtual(text: &str) -> bool {
    matches!(text, "pure virtual method called" | "deleted virtual method called")
}

/// Reads a line by which a runtime says that it aborts the program.
fn abort(text: &str) -> Option<Trace> {
    static ASSERT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(?:[^\s:]+: )?([^\s:][^:]*):(\d+): (?:(.+): )?(Assertion [`'].*' failed\.)$"));
    static APPLE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(Assertion failed: .*), (?:function ([^,]+), )?file ([^,]+), line (\d+)\.?$"));
    static MUSL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(Assertion failed: .*) \((\S+): ([^:]+): (\d+)\)$"));
    static GLIBC: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:(?:malloc|free|realloc|calloc|munmap_chunk|malloc_consolidate|_int_malloc|_int_free|tcache_thread_shutdown)\(\): .+|corrupted (?:size vs\. prev_size|double-linked list|unsorted chunks).*|Fatal glibc error: .*|\*\*\* (?:stack smashing|buffer overflow) detected \*\*\*.*)$",
        )
    });
    static TERMINATE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:terminate called after throwing an instance of '(.+)'|terminate called (?:without an active exception|recursively)|libc\+\+abi: terminating (?:due to|with) uncaught exception of type ([^:]+(?:::[^:]+)*)(?:: (.*))?|libc\+\+abi: .+)$",
        )
    });
    let at = |c: &Captures<'_>, file: usize, line: usize, function: usize| TraceFrame {
        file: text_of(c, file),
        line: text_of(c, line).and_then(|line| line.parse().ok()),
        function: text_of(c, function),
        in_app: true,
    };
    if let Some(c) = ASSERT.captures(text) {
        return Some(trace(None, text_of(&c, 4).unwrap_or_default(), vec![at(&c, 1, 2, 3)]));
    }
    if let Some(c) = APPLE.captures(text) {
        return Some(trace(None, text_of(&c, 1).unwrap_or_default(), vec![at(&c, 3, 4, 2)]));
    }
    if let Some(c) = MUSL.captures(text) {
        return Some(trace(None, text_of(&c, 1).unwrap_or_default(), vec![at(&c, 2, 4, 3)]));
    }
    if GLIBC.is_match(text) || is_virtual(text) {
        return Some(trace(None, text.to_owned(), Vec::new()));
    }
    let c = TERMINATE.captures(text)?;
    let exception = text_of(&c, 1).or_else(|| text_of(&c, 2));
    let message = match exception {
        Some(_) => text_of(&c, 3).unwrap_or_default(),
        None => text.to_owned(),
    };
    Some(trace(exception, message, Vec::new()))
}

/// A report of AddressSanitizer and its kin.
struct Sanitizer {
    trace: Trace,
    first_line: u64,
    held: usize,
    /// The report of a thread or of undefined behaviour has no closing line of its own.
    kind: Kind,
    summary: bool,
    /// Frames of the first stack, in which a person looks.
    first_stack: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `==pid==ERROR: …Sanitizer: …`, ended by its summary, by the shadow bytes or by `ABORTING`.
    Error,
    /// `WARNING: ThreadSanitizer: …` between two rules.
    Warning,
    /// `file:line:column: runtime error: …`.
    Undefined,
}

impl Sanitizer {
    fn open(before: &[TextLine], line: &TextLine, text: &str) -> Option<Self> {
        static ERROR: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^(?:==\d+==\s*)?(ERROR|WARNING): ((?:[A-Za-z]+Sanitizer)(?:: (.*))?)$"));
        static UNDEFINED: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^([^\s:][^:]*):(\d+):\d+: runtime error: (.+)$"));
        let ruled = before.last().filter(|before| is_rule(&before.text)).map(|before| before.number);
        if let Some(c) = ERROR.captures(text) {
            let kind = if c.get(1).is_some_and(|m| m.as_str() == "ERROR") { Kind::Error } else { Kind::Warning };
            let message = text_of(&c, 2).unwrap_or_default();
            let name = error_name(&message, c.get(3).map_or("", |m| m.as_str()));
            let first_line = ruled.unwrap_or(line.number);
            return Some(Self::new(trace(Some(name), message, Vec::new()), first_line, kind));
        }
        let c = UNDEFINED.captures(text)?;
        let (file, function) = (text_of(&c, 1), None);
        let in_app = is_app(Language::Cpp, file.as_deref(), None);
        let frame = TraceFrame { file, line: text_of(&c, 2).and_then(|line| line.parse().ok()), function, in_app };
        let found = trace(Some("runtime error".to_owned()), text_of(&c, 3).unwrap_or_default(), vec![frame]);
        Some(Self::new(found, line.number, Kind::Undefined))
    }

    fn new(trace: Trace, first_line: u64, kind: Kind) -> Self {
        Self { trace, first_line, held: 0, kind, summary: false, first_stack: None }
    }

    /// Learns the class of an error that the first line only describes: `AddressSanitizer: bad-free a.cc:3 in free`.
    fn name_from(&mut self, summary: &str) {
        let described = self.trace.exception.as_deref().is_some_and(|name| name.ends_with("Sanitizer"));
        let class = summary.split_once(": ").and_then(|(_, rest)| rest.split(' ').next());
        if let Some(class) = class.filter(|class| described && class.contains('-') && !class.contains(['/', '.'])) {
            self.trace.exception = Some(class.to_owned());
        }
    }

    fn take(&mut self) -> Next {
        self.held = 0;
        Next::Take
    }
}

impl OpenTrace for Sanitizer {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        if let Some(frame) = stack_frame(text) {
            if frame.1 == 0 && !self.trace.frames.is_empty() && self.kind != Kind::Undefined {
                self.first_stack.get_or_insert(self.trace.frames.len());
            }
            self.trace.frames.push(frame.0);
            return self.take();
        }
        if self.kind == Kind::Undefined {
            // The source line, its caret, and the summary.
            let trimmed = text.trim_start();
            let is_note = text.contains(": note: ") || trimmed.starts_with('^') || trimmed.starts_with('~');
            return match text {
                _ if text.starts_with("SUMMARY: ") => Next::TakeAndEnd,
                _ if is_note => self.take(),
                "" => Next::Hold,
                _ if self.held == 0 && text.starts_with(' ') => {
                    self.held += 1;
                    Next::Hold
                }
                _ => Next::End,
            };
        }
        if is_aborting(text) {
            return Next::TakeAndEnd;
        }
        if self.kind == Kind::Warning && is_rule(text) {
            return Next::TakeAndEnd;
        }
        if let Some(summary) = text.strip_prefix("SUMMARY: ") {
            self.summary = true;
            self.name_from(summary);
            return self.take();
        }
        if is_table(text) || (is_title(text) && !self.summary) {
            return self.take();
        }
        if self.summary {
            return if text.is_empty() { Next::Hold } else { Next::End };
        }
        if self.held >= MAX_HELD || self.trace.frames.is_empty() && self.held > 2 {
            return Next::End;
        }
        self.held += 1;
        Next::Hold
    }

    fn finish(mut self: Box<Self>) -> Option<Reading> {
        if self.trace.frames.is_empty() && !self.summary {
            return None;
        }
        let first = self.first_stack.unwrap_or(self.trace.frames.len());
        let app = |frame: &TraceFrame| frame.in_app && frame.file.is_some();
        let frames = &self.trace.frames;
        self.trace.in_app_top = frames
            .iter()
            .take(first)
            .position(app)
            .or_else(|| frames.iter().position(app))
            .or_else(|| frames.iter().position(|frame| frame.in_app));
        self.trace.cut = !self.summary && self.kind == Kind::Error;
        Some(Reading { trace: self.trace, first_line: self.first_line, last_line: None })
    }
}

/// What kind of error it is: `heap-use-after-free`, `data race`, or the sanitizer itself.
fn error_name(message: &str, description: &str) -> String {
    let tool = message.split(':').next().unwrap_or(message);
    let description = description.strip_prefix("attempting ").unwrap_or(description);
    let ends = [" on ", " (", " by ", ": ", " at "];
    let end = ends.iter().filter_map(|end| description.find(end)).min().unwrap_or(description.len());
    let name = description.get(..end).unwrap_or(description).trim();
    let class = name.contains('-')
        || matches!(name, "SEGV" | "BUS" | "FPE" | "ILL" | "data race" | "use-of-uninitialized-value");
    if class && !name.contains(": ") && name.split(' ').count() <= 3 { name.to_owned() } else { tool.to_owned() }
}

/// `    #1 0x55b3a27311d0 in make_buffer(int) src/main.cpp:4`, with its number.
fn stack_frame(text: &str) -> Option<(TraceFrame, u32)> {
    static FRAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+#(\d+) (?:0x[0-9a-f]+ (?:in )?)?(.+)$"));
    static MODULE: LazyLock<Regex> = LazyLock::new(|| pattern(r" ?\((?:BuildId: [^()]*|[^()]*\+0x[0-9a-f]+)\)$"));
    let c = FRAME.captures(text)?;
    let number = text_of(&c, 1)?.parse().ok()?;
    let mut rest = c.get(2)?.as_str();
    while let Some(module) = MODULE.find(rest) {
        rest = rest.get(..module.start())?;
    }
    let (name, place) = split_place(rest);
    let (name, place) = match path_and_line(place) {
        Some(place) => (name, Some(place)),
        None if place == "<null>" => (name, None),
        None => (rest, None),
    };
    let function = Some(name).filter(|name| !name.is_empty() && *name != "<null>");
    let in_app = is_app(Language::Cpp, place.map(|(file, _)| file), function);
    let (file, line) = place.unzip();
    Some((TraceFrame { file: file.map(str::to_owned), line, function: function.map(str::to_owned), in_app }, number))
}

/// Splits `name(arguments) place` at the last blank outside of brackets.
fn split_place(text: &str) -> (&str, &str) {
    let mut depth = 0_i32;
    let mut split = None;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '<' | '[' | '{' => depth += 1,
            ')' | '>' | ']' | '}' => depth -= 1,
            ' ' if depth <= 0 => split = Some(at),
            _ => {}
        }
    }
    split.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))).unwrap_or(("", text))
}

fn path_and_line(place: &str) -> Option<(&str, u32)> {
    static PATH: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^()\s].*?):(\d+)(?::\d+)?$"));
    let c = PATH.captures(place)?;
    Some((c.get(1)?.as_str(), c.get(2)?.as_str().parse().ok()?))
}

fn is_rule(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 18 && text.bytes().all(|b| b == b'=')
}

fn is_aborting(text: &str) -> bool {
    text.starts_with("==") && text.ends_with("==ABORTING")
}

/// Rows of the shadow memory, its legend, and the lines around them.
fn is_table(text: &str) -> bool {
    static ROW: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:=>|  )0x[0-9a-f]+: ?[0-9a-f\[\] ]+$|^Shadow bytes? |^  [A-Z][A-Za-z ]+: +[0-9a-f ]+$|^==\d+==|^HINT: |^NOTE: |^  +This frame has |^ +\[\d+, \d+\)|^AddressSanitizer can not ",
        )
    });
    ROW.is_match(text)
}

/// Lines that introduce a stack or say what an address is.
fn is_title(text: &str) -> bool {
    static TITLE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:READ|WRITE|Direct leak|Indirect leak|freed by|previously allocated|allocated by|Thread T\d+|Address 0x|0x[0-9a-f]+ is|The signal is|  (?:Write|Read|Previous|Atomic|Location|Mutex|Thread|As if|Uninitialized) |    #|Uninitialized value|  [A-Z].* (?:created|stored|acquired) )",
        )
    });
    TITLE.is_match(text)
}

pub(super) fn trace(exception: Option<String>, message: String, frames: Vec<TraceFrame>) -> Trace {
    let in_app_top = frames.iter().position(|frame| frame.in_app);
    Trace {
        language: Language::Cpp,
        exception,
        message,
        frames,
        in_app_top,
        cause_chain: Vec::new(),
        text: String::new(),
        cut: false,
    }
}

fn text_of(captures: &Captures<'_>, index: usize) -> Option<String> {
    captures.get(index).map(|found| found.as_str().to_owned())
}
