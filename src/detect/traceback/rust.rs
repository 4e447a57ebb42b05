//! Stack traces of Rust: panics in the layouts before and after 1.73, aborts, and error chains of anyhow and eyre.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{begins_record, frame, group, indent, line_number, pattern, sounds_bad};
use super::{Grammar, Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a panic's message that are waited through for its note or backtrace.
const MESSAGE_LINES: usize = 24;

/// The grammar of Rust's stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rust;

impl Grammar for Rust {
    fn language(&self) -> Language {
        Language::Rust
    }

    fn starters(&self) -> &'static [&'static str] {
        &[
            "panicked at ",
            "has overflowed its stack",
            "^fatal runtime error: ",
            "^memory allocation of ",
            "The application panicked",
            "^ *Caused by:$",
            "^Stack backtrace:$",
            "^Location:$",
            r"^ +0: .",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = line.text.as_str();
        let open = if text.contains("panicked at ") {
            of_panic(line)?
        } else if text.starts_with("The application panicked") {
            Open::new("panic", String::new(), line.number, Place::Section)
        } else if is_abort(text) {
            of_abort(line)
        } else {
            of_chain(before, line)?
        };
        Some(Box::new(open))
    }
}

/// `thread 'main' panicked at src/main.rs:4:5:` and the older `panicked at 'message', src/main.rs:4:5`.
fn of_panic(line: &TextLine) -> Option<Open> {
    static NEW: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?:\bthread '.*?'(?: \(\d+\))? |^)panicked at ([^'].*?):(\d+):\d+:$"));
    static OLD: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:\bthread '.*?'(?: \(\d+\))? |^)panicked at '(.*)$"));
    if let Some(found) = NEW.captures(&line.text) {
        let mut open = Open::new("panic", String::new(), line.number, Place::FirstLine);
        open.location(group(&found, 1), group(&found, 2));
        return Some(open);
    }
    let found = OLD.captures(&line.text)?;
    let mut open = Open::new("panic", String::new(), line.number, Place::Quoted(0));
    open.quoted(group(&found, 1));
    Some(open)
}

fn is_abort(text: &str) -> bool {
    static ABORT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:fatal runtime error: .|memory allocation of \d+ bytes failed|thread '.*?'(?: \(\d+\))? has overflowed its stack)",
        )
    });
    ABORT.is_match(text)
}

/// `fatal runtime error: …`, and what is printed ahead of it.
fn of_abort(line: &TextLine) -> Open {
    match line.text.strip_prefix("fatal runtime error: ") {
        Some(message) => Open::new("fatal runtime error", message.to_owned(), line.number, Place::Aborted),
        // The allocator's handler goes on like a panic, with a note or a backtrace.
        None if line.text.starts_with("memory ") => {
            Open::new("fatal runtime error", line.text.clone(), line.number, Place::Section)
        }
        None => Open::new("fatal runtime error", line.text.clone(), line.number, Place::Aborting),
    }
}

/// `Error: …` with causes or a backtrace, as anyhow, eyre and color-eyre print it.
fn of_chain(before: &[TextLine], line: &TextLine) -> Option<Open> {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:.*\s)?(Error|error):(?: (.*))?$"));
    let numbered = Numbered::parse(&line.text);
    if numbered.is_none() && !Section::is_title(&line.text) {
        return None;
    }
    let logged = |head: &TextLine| begins_record(&head.text) && sounds_bad(&head.text);
    let at = before.iter().rposition(|head| HEAD.is_match(&head.text) || (numbered.is_none() && logged(head)))?;
    let (head, between) = (before.get(at)?, before.get(at + 1..).unwrap_or_default());
    let found = HEAD.captures(&head.text);
    let message = found.as_ref().map_or(head.text.as_str(), |found| group(found, 2)).trim();
    // color-eyre puts the whole chain under the label; everybody else says what the error is, then leaves a line.
    if numbered.is_some() != message.is_empty() || between.iter().any(|l| begins_record(&l.text)) {
        return None;
    }
    if numbered.is_none() && !between.last().is_some_and(|last| last.text.trim().is_empty()) {
        return None;
    }
    let mut lines = vec![message];
    lines.extend(between.iter().map(|l| l.text.as_str()));
    let mut open = Open::new("Error", lines.join("\n").trim().to_owned(), head.number, Place::Section);
    open.chain = true;
    match numbered {
        Some(first) => open.message = first.text.to_owned(),
        None => open.section = Section::of(&line.text),
    }
    if numbered.is_some() {
        open.section = Section::Causes;
    }
    Some(open)
}

/// `   3: text`
#[derive(Clone, Copy)]
struct Numbered<'t> {
    text: &'t str,
}

impl<'t> Numbered<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        static NUMBERED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ *\d+: +(?:0x[0-9a-f]+ - )?(\S.*)$"));
        Some(Self { text: NUMBERED.captures(text)?.get(1)?.as_str().trim_end() })
    }

    /// The text as a function: without hash, crate disambiguators and the address of old layouts.
    fn function(self) -> Option<String> {
        static NOISE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"::h[0-9a-f]{16}\b|\[[0-9a-f]{16}\]| \(0x[0-9a-f]+\)$|^0x[0-9a-f]+ - "));
        let name = NOISE.replace_all(self.text, "");
        (name != "<unknown>" && !name.starts_with("0x")).then(|| name.trim().to_owned())
    }
}

/// `             at ./src/main.rs:7:33`
fn parse_location(text: &str) -> Option<(&str, &str)> {
    static AT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+at (\S.*?):(\d+)(?::\d+)?\s*$"));
    let found = AT.captures(text)?;
    Some((found.get(1)?.as_str(), found.get(2)?.as_str()))
}

/// Part of an error report that the reader is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Causes,
    Backtrace,
    Location,
    Other,
}

impl Section {
    fn of(text: &str) -> Self {
        let title = text.trim_matches(|c: char| c.is_whitespace() || c == '━' || c == ':');
        if title.eq_ignore_ascii_case("stack backtrace") || title == "BACKTRACE" {
            Self::Backtrace
        } else if title == "Caused by" {
            Self::Causes
        } else if title == "Location" {
            Self::Location
        } else {
            Self::Other
        }
    }

    /// Whether the line is a title that opens a section.
    fn is_title(text: &str) -> bool {
        let titled = text.trim_start().starts_with('━') && text.trim_end().ends_with('━');
        titled || matches!(text.trim(), "Caused by:" | "Stack backtrace:" | "stack backtrace:" | "Location:")
    }
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the first line of a panic's message.
    FirstLine,
    /// In the further lines of a panic's message, so many so far.
    Message(usize),
    /// In the quoted message of the old layout, so many lines so far.
    Quoted(usize),
    /// After the message, in what follows it.
    Section,
    /// After a panic's note; only an abort may follow.
    Noted,
    /// Ahead of the runtime's last words.
    Aborting,
    /// After them.
    Aborted,
}

struct Open {
    exception: &'static str,
    message: String,
    first_line: u64,
    place: Place,
    section: Section,
    /// An error chain, not a panic.
    chain: bool,
    /// The lines of the message that were held, in case that a note confirms them.
    held: Vec<String>,
    frames: Vec<TraceFrame>,
    /// The first frame is the place of the panic.
    located: bool,
    causes: Vec<String>,
}

impl Open {
    fn new(exception: &'static str, message: String, first_line: u64, place: Place) -> Self {
        Self {
            exception,
            message,
            first_line,
            place,
            section: Section::Other,
            chain: false,
            held: Vec::new(),
            frames: Vec::new(),
            located: false,
            causes: Vec::new(),
        }
    }

    fn location(&mut self, file: &str, line: &str) {
        if !self.located {
            self.located = true;
            self.frames.insert(0, frame(Language::Rust, Some(file), line_number(line), None));
        }
    }

    /// Reads on in a message of the old layout. Says whether it is complete.
    fn quoted(&mut self, text: &str) -> bool {
        static END: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(.*)'[,:] ?([^':\s][^':]*):(\d+)(?::\d+)?$"));
        let found = END.captures(text);
        let part = found.as_ref().map_or(text, |found| group(found, 1));
        if !self.message.is_empty() {
            self.message.push('\n');
        }
        self.message.push_str(part);
        if let Some(found) = &found {
            self.location(group(found, 2), group(found, 3));
            self.place = Place::Section;
        }
        found.is_some()
    }

    /// What may follow a panic's message. `None` when the line is nothing of the kind.
    fn tail(&mut self, text: &str) -> Option<Next> {
        if text.trim() == "stack backtrace:" {
            self.section = Section::Backtrace;
            self.place = Place::Section;
        } else if text.starts_with("note: ") {
            self.place = Place::Noted;
        } else if is_last_word(text) {
            self.place = Place::Aborted;
        } else {
            return None;
        }
        for line in self.held.drain(..) {
            self.message.push('\n');
            self.message.push_str(&line);
        }
        Some(Next::Take)
    }

    fn in_message(&mut self, text: &str, lines: usize) -> Next {
        if let Some(next) = self.tail(text) {
            return next;
        }
        if lines >= MESSAGE_LINES || text.contains(" panicked at ") || is_abort(text) {
            return Next::End;
        }
        self.place = Place::Message(lines + 1);
        self.held.push(text.to_owned());
        // What assert_eq! prints, and what is indented below the first line, is the message's without any proof.
        let indented = indent(text) > 0 && !text.trim().is_empty() && self.held.len() == lines + 1;
        if indented && self.held.iter().all(|held| indent(held) > 0) {
            return Next::Take;
        }
        Next::Hold
    }

    fn in_section(&mut self, text: &str) -> Next {
        if let Some(next) = self.tail(text) {
            return next;
        }
        if Section::is_title(text) {
            self.section = Section::of(text);
            return Next::Take;
        }
        if text.trim().is_empty() {
            return Next::Hold;
        }
        match self.section {
            Section::Backtrace => self.in_backtrace(text),
            Section::Causes => self.in_causes(text),
            Section::Location => self.in_location(text),
            Section::Other => self.in_report(text),
        }
    }

    fn in_backtrace(&mut self, text: &str) -> Next {
        if let Some((file, line)) = parse_location(text) {
            let function =
                self.frames.last().filter(|last| !(self.located && self.frames.len() == 1) || last.function.is_some());
            let function = function.and_then(|last| last.function.clone());
            let placed = frame(Language::Rust, Some(file), line_number(line), function.as_deref());
            // A function inlined into another shares its number and has a location of its own.
            match self.frames.last_mut() {
                Some(last) if last.file.is_none() => *last = placed,
                _ => self.push(placed),
            }
            return Next::Take;
        }
        if let Some(numbered) = Numbered::parse(text) {
            let function = numbered.function();
            self.push(frame(Language::Rust, None, None, function.as_deref()));
            return Next::Take;
        }
        let trimmed = text.trim_start();
        let elided = trimmed.starts_with("[...") || trimmed.starts_with('⋮') || trimmed.starts_with("...");
        let inlined = indent(text) >= 10 && text.contains(" - ");
        if inlined {
            let name = text.rsplit_once(" - ").map_or("", |(_, name)| name);
            let function = Numbered { text: name }.function();
            self.push(frame(Language::Rust, None, None, function.as_deref()));
        }
        if elided || inlined { Next::Take } else { Next::End }
    }

    fn in_causes(&mut self, text: &str) -> Next {
        if indent(text) == 0 {
            return Next::End;
        }
        let cause = Numbered::parse(text).map_or(text.trim(), |numbered| numbered.text);
        let further = Numbered::parse(text).is_none() && !self.causes.is_empty();
        if !further {
            self.causes.push(cause.to_owned());
        }
        Next::Take
    }

    fn in_location(&mut self, text: &str) -> Next {
        static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+(?:at )?(\S.*?):(\d+)(?::\d+)?\s*$"));
        let Some(found) = PLACE.captures(text) else { return Next::End };
        self.location(group(&found, 1), group(&found, 2));
        self.section = Section::Other;
        Next::Take
    }

    /// color-eyre's report of a panic, and what stands between sections.
    fn in_report(&mut self, text: &str) -> Next {
        if let Some(message) = text.strip_prefix("Message: ") {
            message.trim().clone_into(&mut self.message);
            return Next::Take;
        }
        if let Some(place) = text.strip_prefix("Location: ") {
            return self.in_location(&format!(" {place}"));
        }
        // Some hooks print the frames without a title.
        if !self.chain && Numbered::parse(text).is_some() {
            self.section = Section::Backtrace;
            return self.in_backtrace(text);
        }
        let hint =
            ["Backtrace omitted.", "Run with RUST_BACKTRACE=", "Warning: SpanTrace", "Suggestion:", "Note:", "Help:"];
        if hint.iter().any(|start| text.trim_start().starts_with(start)) { Next::Take } else { Next::End }
    }

    fn push(&mut self, frame: TraceFrame) {
        if self.frames.len() < Trace::MAX_FRAMES {
            self.frames.push(frame);
        }
    }

    /// The application's frame nearest to the failure: where the panic says it is, with its function if a frame has it.
    fn in_app_top(&self) -> Option<usize> {
        let stack = usize::from(self.located);
        let place = self.frames.first().filter(|first| self.located && first.in_app);
        let named = place.and_then(|place| {
            let file = place.file.as_deref().unwrap_or_default().trim_start_matches("./");
            self.frames
                .iter()
                .skip(stack)
                .position(|f| f.line == place.line && f.file.as_deref().is_some_and(|other| other.ends_with(file)))
        });
        let by_frames = || self.frames.iter().skip(stack).position(|f| f.in_app && f.file.is_some());
        named
            .map(|at| at + stack)
            .or(place.map(|_| 0))
            .or_else(|| by_frames().map(|at| at + stack))
            .or_else(|| self.frames.iter().position(|f| f.in_app))
    }
}

/// The last words of a process whose panic cannot unwind.
fn is_last_word(text: &str) -> bool {
    text.starts_with("fatal runtime error: ")
        || (text.starts_with("thread ") && text.ends_with(" aborting."))
        || text.starts_with("stack backtrace:")
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.as_str();
        match self.place {
            Place::FirstLine => {
                if let Some(next) = self.tail(text) {
                    return next;
                }
                text.clone_into(&mut self.message);
                self.place = Place::Message(0);
                Next::Take
            }
            Place::Message(lines) => self.in_message(text, lines),
            Place::Quoted(lines) => {
                if lines >= MESSAGE_LINES {
                    return Next::End;
                }
                self.place = Place::Quoted(lines + 1);
                self.quoted(text);
                Next::Take
            }
            Place::Section => self.in_section(text),
            Place::Noted => {
                if text.trim().is_empty() {
                    Next::Hold
                } else if is_last_word(text) {
                    Next::TakeAndEnd
                } else {
                    Next::End
                }
            }
            Place::Aborting => match text.strip_prefix("fatal runtime error: ") {
                Some(message) => {
                    message.clone_into(&mut self.message);
                    Next::TakeAndEnd
                }
                None if text.trim().is_empty() => Next::Hold,
                None => Next::End,
            },
            Place::Aborted => Next::End,
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let unfinished = matches!(self.place, Place::Quoted(_));
        let proved = !self.chain || !self.causes.is_empty() || !self.frames.is_empty();
        if unfinished || !proved {
            return None;
        }
        let in_app_top = self.in_app_top();
        Some(Reading {
            trace: Trace {
                language: Language::Rust,
                exception: Some(self.exception.to_owned()),
                message: self.message.trim_end().to_owned(),
                frames: self.frames,
                in_app_top,
                cause_chain: self.causes,
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
                "1-5 rust Error \"2026-01-01T10:00:00Z ERROR app: sync failed\" [] top - causes [timeout, host down]",
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
        super::super::rig::assert_corpus(&Rust, &["rust"], 13);
    }
}
