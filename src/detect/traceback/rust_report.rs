//! A report of a panic or an error: its message, sections, backtrace and notes.

use std::sync::LazyLock;

use regex::Regex;

use super::js_lines;
use super::lex::{begins_record, frame, group, indent, line_number, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a panic's message that are waited through for its note or backtrace; a printed structure is long.
const MESSAGE_LINES: usize = 80;
/// Most lines of a section of somebody's own that are waited through for a section of color-eyre's.
const SECTION_LINES: usize = 16;

/// Most lines of others in a backtrace.
const FOREIGN_LINES: usize = 2;
/// What anyhow and eyre print above the backtrace of an error.
const QUOTED_BACKTRACE: &str = "Stack backtrace:";

/// Whether the test runner goes on to the next test.
fn is_test_head(text: &str) -> bool {
    (text.starts_with("---- ") && text.ends_with(" ----")) || text == "failures:" || text.starts_with("test result: ")
}

/// Whether the runtime says that it ends the process.
pub(super) fn is_abort(text: &str) -> bool {
    static ABORT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:fatal runtime error: .|memory allocation of \d+ bytes failed|thread '.*?'(?: \(\d+\))? has overflowed its stack)",
        )
    });
    ABORT.is_match(text)
}

/// `   3: text`
#[derive(Clone, Copy)]
pub(super) struct Numbered<'t> {
    pub(super) text: &'t str,
}

impl<'t> Numbered<'t> {
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        static NUMBERED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ *\d+: +(?:0x[0-9a-f]+ - )?(\S.*)$"));
        Some(Self { text: NUMBERED.captures(text)?.get(1)?.as_str().trim_end() })
    }

    /// The text as a function: without hash, crate disambiguators and the address of old layouts.
    pub(super) fn function(self) -> Option<String> {
        static NOISE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r"::h[0-9a-f]{16}\b|\[[0-9a-f]{16}\]| \(0x[0-9a-f]+\)$|^0x[0-9a-f]+ - |\b<unknown>$")
        });
        let name = NOISE.replace_all(self.text, "");
        (name != "<unknown>" && !name.starts_with("0x")).then(|| name.trim().to_owned())
    }
}

/// `             at ./src/main.rs:7:33`
pub(super) fn parse_location(text: &str) -> Option<(&str, &str)> {
    static AT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+at (\S.*?):(\d+)(?::\d+)?\s*$"));
    let found = AT.captures(text)?;
    Some((found.get(1)?.as_str(), found.get(2)?.as_str()))
}

/// Part of an error report that the reader is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Causes,
    Backtrace,
    Location,
    /// Spans of `tracing`, printed like a backtrace.
    Spans,
    /// A stack of JavaScript below a panic in WebAssembly.
    Browser,
    Other,
}

impl Section {
    pub(super) fn of(text: &str) -> Self {
        let title = text.trim_matches(|c: char| c.is_whitespace() || c == '━' || c == ':');
        if title.eq_ignore_ascii_case("stack backtrace") || title == "BACKTRACE" {
            Self::Backtrace
        } else if title.starts_with("Caused by") {
            Self::Causes
        } else if title == "SPANTRACE" {
            Self::Spans
        } else if title == "Location" {
            Self::Location
        } else {
            Self::Other
        }
    }

    /// Whether the line is a title that opens a section.
    pub(super) fn is_title(text: &str) -> bool {
        let titled = text.trim_start().starts_with('━') && text.trim_end().ends_with('━');
        let snafu = text.starts_with("Caused by th") && text.ends_with(':');
        titled || snafu || matches!(text.trim(), "Caused by:" | "Stack backtrace:" | "stack backtrace:" | "Location:")
    }
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the first line of a panic's message.
    FirstLine,
    /// In the further lines of a panic's message, so many so far.
    Message(usize),
    /// In the quoted message of the old layout, so many lines so far.
    Quoted(usize),
    /// After the message, in what follows it.
    Section,
    /// In the lines of a message that color-eyre's `Location:` ends, so many so far.
    Told(usize),
    /// In better-panic's frames, which come ahead of the panic, so many lines so far.
    Listing,
    /// In human-panic's letter to the user.
    Letter,
    /// After a panic's note; only an abort may follow.
    Noted,
    /// Ahead of the runtime's last words.
    Aborting,
    /// After them.
    Aborted,
}

/// A report that is being read.
pub(super) struct Open {
    exception: &'static str,
    pub(super) message: String,
    first_line: u64,
    place: Place,
    pub(super) section: Section,
    /// An error chain, not a panic.
    pub(super) chain: bool,
    /// The lines of the message that were held, in case that a note confirms them.
    held: Vec<String>,
    frames: Vec<TraceFrame>,
    /// The first frame is the place of the panic.
    located: bool,
    causes: Vec<String>,
    /// Blanks in front of every line, where a test runner indents what a test has printed.
    margin: usize,
    /// Lines that have been held for a section to come.
    unknown: usize,
}

impl Open {
    pub(super) fn new(exception: &'static str, message: String, first_line: u64, place: Place) -> Self {
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
            margin: 0,
            unknown: 0,
        }
    }

    /// Learns how far the report is indented.
    pub(super) fn set_margin(&mut self, text: &str) {
        self.margin = text.bytes().take_while(|b| *b == b' ').count();
    }

    pub(super) fn location(&mut self, file: &str, line: &str) {
        if !self.located {
            self.located = true;
            self.frames.insert(0, frame(Language::Rust, Some(file), line_number(line), None));
        }
    }

    /// Reads on in a message of the old layout. Says whether it is complete.
    pub(super) fn quoted(&mut self, text: &str) -> bool {
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
        } else if is_note(text) {
            self.place = Place::Noted;
        } else if text.trim() == "Stack:" {
            self.section = Section::Browser;
            self.place = Place::Section;
        } else if is_last_word(text) {
            self.place = Place::Aborted;
        } else {
            return None;
        }
        let (section, mut quoted) = (self.section, false);
        for line in std::mem::take(&mut self.held) {
            // The error of a failed `unwrap()` may have a backtrace of its own.
            quoted |= line.trim() == QUOTED_BACKTRACE;
            if quoted {
                self.in_backtrace(&line);
                continue;
            }
            self.message.push('\n');
            self.message.push_str(&line);
        }
        self.section = section;
        Some(Next::Take)
    }

    fn in_message(&mut self, text: &str, lines: usize) -> Next {
        if let Some(next) = self.tail(text) {
            return next;
        }
        if lines >= MESSAGE_LINES || text.contains(" panicked at ") || is_abort(text) || is_test_head(text) {
            return Next::End;
        }
        let quoted = self.held.iter().any(|held| held.trim() == QUOTED_BACKTRACE);
        let frame = quoted && (parse_location(text).is_some() || Numbered::parse(text).is_some());
        self.place = Place::Message(if frame { lines } else { lines + 1 });
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
            Section::Spans => self.in_spans(text),
            Section::Browser => self.in_browser(text),
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
        if is_hint(text) {
            self.section = Section::Other;
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
        // The `backtrace` crate leaves out the number instead.
        if !inlined && indent(text) >= 6 && (trimmed.contains("::") || trimmed.starts_with('<')) {
            let function = Numbered { text: trimmed }.function();
            self.push(frame(Language::Rust, None, None, function.as_deref()));
            return Next::Take;
        }
        if elided || inlined {
            return Next::Take;
        }
        // Standard output of other threads.
        self.unknown += 1;
        let foreign = self.unknown <= FOREIGN_LINES && indent(text) == 0 && !self.chain;
        if foreign && !text.contains(" panicked at ") && !begins_record(text) { Next::Hold } else { Next::End }
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

    /// `   0: app::load with path="x"`, then the place.
    fn in_spans(&mut self, text: &str) -> Next {
        if let Some(numbered) = Numbered::parse(text) {
            let name = numbered.text.split_once(" with ").map_or(numbered.text, |(name, _)| name);
            self.push(frame(Language::Rust, None, None, Some(name)));
            return Next::Take;
        }
        if parse_location(text).is_some() { self.in_backtrace(text) } else { self.in_report(text) }
    }

    fn in_browser(&mut self, text: &str) -> Next {
        let Some(call) = js_lines::parse_frame(text) else {
            return if text.trim() == "Error" { Next::Take } else { Next::End };
        };
        let function = call.function.as_deref().and_then(|name| Numbered { text: name }.function());
        self.push(frame(Language::Rust, call.file.as_deref(), call.line, function.as_deref()));
        Next::Take
    }

    /// better-panic: frames as Python prints them, then the panic.
    fn in_listing(&mut self, text: &str) -> Next {
        static FILE: LazyLock<Regex> = LazyLock::new(|| pattern(r#"^  File "(.*)", line (\d+), in (.*)$"#));
        if let Some(found) = FILE.captures(text) {
            let function = Numbered { text: group(&found, 3) }.function();
            let line = line_number(group(&found, 2));
            self.push(frame(Language::Rust, Some(group(&found, 1)), line, function.as_deref()));
            return Next::Take;
        }
        if text.starts_with("The application panicked") {
            self.place = Place::Section;
            return Next::Take;
        }
        match text.trim() {
            "" => Next::Hold,
            _ if text.starts_with("    ") || text.trim() == "..." => Next::Take,
            _ => Next::End,
        }
    }

    /// human-panic: what has happened, where the report is, whom to write to.
    fn in_letter(&mut self, text: &str) -> Next {
        if text.trim().is_empty() {
            return Next::Hold;
        }
        if self.message.is_empty() {
            if !text.contains(" had a problem and crashed") {
                return Next::End;
            }
            let message = text.split_once(". ").map_or(text, |(first, _)| first);
            message.trim().trim_end_matches('.').clone_into(&mut self.message);
            return Next::Take;
        }
        let known = ["We have generated ", "- ", "We take privacy ", "Thank you kindly!"];
        match known.iter().position(|start| text.starts_with(start)) {
            Some(3) => Next::TakeAndEnd,
            Some(_) => Next::Take,
            None => Next::End,
        }
    }

    /// color-eyre's report of a panic, and what stands between sections.
    fn in_report(&mut self, text: &str) -> Next {
        if let Some(message) = text.strip_prefix("Message: ") {
            message.trim().clone_into(&mut self.message);
            self.place = Place::Told(0);
            return Next::Take;
        }
        static FILE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^in (\S.*), line (\d+)$"));
        if let Some(found) = FILE.captures(text).filter(|_| !self.chain) {
            self.location(group(&found, 1), group(&found, 2));
            return Next::Take;
        }
        if self.exception == "panic" && !self.chain && !self.located && text.starts_with("  ") {
            if !self.message.is_empty() {
                self.message.push('\n');
            }
            self.message.push_str(text.get(2..).unwrap_or_default());
            return Next::Take;
        }
        if self.located && text.starts_with("thread: ") {
            return Next::TakeAndEnd;
        }
        if let Some(place) = text.strip_prefix("Location: ") {
            return self.in_location(&format!(" {place}"));
        }
        // Some hooks print the frames without a title.
        if !self.chain && Numbered::parse(text).is_some() {
            self.section = Section::Backtrace;
            return self.in_backtrace(text);
        }
        if is_hint(text) {
            return Next::Take;
        }
        // A section of the program's own: only a title of color-eyre's tells where it ends.
        self.unknown += 1;
        if self.chain && self.located && self.unknown <= SECTION_LINES && !begins_record(text) {
            return Next::Hold;
        }
        Next::End
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

/// What the default hook says below a panic; compilers have notes too.
fn is_note(text: &str) -> bool {
    let words = ["RUST_BACKTRACE", "Some details are omitted", "panic"];
    // Of the test runner.
    let verdict = text.contains("did not panic") || text.contains("did not contain expected");
    text.starts_with("note: ") && words.iter().any(|word| text.contains(word)) && !verdict
}

/// What error reports say about themselves, and what a person may try.
fn is_hint(text: &str) -> bool {
    let hints = ["Backtrace omitted.", "Run with ", "Warning: SpanTrace", "Suggestion:", "Note:", "Warning:", "Help:"];
    hints.iter().any(|start| text.trim_start().starts_with(start))
}

/// The last words of a process whose panic cannot unwind.
fn is_last_word(text: &str) -> bool {
    text.starts_with("fatal runtime error: ")
        || (text.starts_with("thread ") && text.ends_with(" aborting."))
        || text.starts_with("stack backtrace:")
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        let indented = line.text.bytes().take(self.margin).take_while(|b| *b == b' ').count();
        let text = line.text.get(indented..).unwrap_or_default();
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
            Place::Told(lines) => {
                if text.starts_with("Location: ") {
                    self.place = Place::Section;
                    return self.in_section(text);
                }
                self.place = Place::Told(lines + 1);
                self.message.push('\n');
                self.message.push_str(text);
                if lines < MESSAGE_LINES { Next::Take } else { Next::End }
            }
            Place::Listing => self.in_listing(text),
            Place::Letter => self.in_letter(text),
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
        let unfinished = match self.place {
            Place::Quoted(_) | Place::Listing => true,
            Place::Letter => self.message.is_empty(),
            _ => false,
        };
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
