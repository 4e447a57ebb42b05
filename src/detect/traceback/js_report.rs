//! A report of an error: its head, message, frames, printed properties and causes.

use std::sync::LazyLock;

use regex::Regex;

use super::js_lines::{Head, is_caret, is_code, is_elision, parse_call, parse_frame, parse_header, parse_pointed};
use super::lex::{begins_record, frame, indent, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a message that are waited through for a frame; a diff of two objects is long.
const MESSAGE_LINES: usize = 80;
/// From so many lines on, one frame does not make a message of what stands above it.
const LONG_MESSAGE: usize = 40;
/// Most lines of code that Vitest prints between frames.
const CODE_LINES: usize = 16;

/// Most empty lines between the caret and the head: two where source maps are on.
pub(super) const SOURCE_BLANKS: usize = 2;

/// Who prints the report, where it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Node and most others.
    Plain,
    /// Code between frames, which begin with `❯`.
    Vitest,
    /// The code stands above the head, causes below with code of their own.
    Bun,
    /// The members of an aggregate stand ahead of its own stack.
    Deno,
    /// `Message:` and `Stack:`.
    Jasmine,
    /// The message quotes what another program has printed, traces included.
    Quoting,
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Ahead of the error that a test runner prints below the test's name.
    RunnerHead,
    /// In the message of the head, so many lines so far.
    Message(usize),
    /// Between frames, after so many lines that are no frame.
    Frames(usize),
    /// In the properties that Node prints behind the last frame: ` { … }`.
    Properties,
    /// Ahead of the type of a cause.
    LinkType,
    /// In the message of a cause, so many lines so far.
    LinkMessage(usize),
    /// Nothing more can come.
    Done,
}

/// A report that is being read.
pub(super) struct Open {
    pub(super) head: Head,
    pub(super) first_line: u64,
    /// The last line, where it is in front of the starter.
    pub(super) last_line: Option<u64>,
    pub(super) place: Place,
    /// The place that Node prints above the code.
    pub(super) header: Option<(String, Option<u32>)>,
    more: Vec<String>,
    frames: Vec<TraceFrame>,
    /// For each frame, whether it is of a member of an aggregate.
    aside: Vec<bool>,
    /// First frame of each link of the chain.
    parts: Vec<usize>,
    causes: Vec<String>,
    /// Indentation of `[errors]: [`.
    members: Option<usize>,
    pub(super) dialect: Dialect,
    /// What was read is a trace even with a single frame or none.
    pub(super) proved: bool,
    /// The error stands inside something printed with braces (`Promise { <rejected> Error: …`).
    braced: bool,
    /// An empty line has come since the last frame.
    blank: bool,
}

impl Open {
    pub(super) fn new(head: Head, first_line: u64, place: Place) -> Self {
        Self {
            head,
            first_line,
            last_line: None,
            place,
            header: None,
            more: Vec::new(),
            frames: Vec::new(),
            aside: Vec::new(),
            parts: vec![0],
            causes: Vec::new(),
            members: None,
            dialect: Dialect::Plain,
            proved: false,
            braced: false,
            blank: false,
        }
    }

    fn is(&self, dialect: Dialect) -> bool {
        self.dialect == dialect
    }

    /// A trace with its head, and the part of `above` that belongs to it.
    pub(super) fn below(above: &[TextLine], head: Head, number: u64) -> Self {
        let mut open = Self::new(head, number, Place::Message(0));
        let blank = above.iter().rev().take_while(|l| l.text.trim().is_empty()).count();
        let close = above.get(..above.len() - blank).unwrap_or_default();
        let caret = close.last().filter(|last| blank <= SOURCE_BLANKS && is_caret(&last.text));
        if caret.is_some() {
            let code = close.get(..close.len() - 1).unwrap_or_default();
            if let Some(header) = header_above(code) {
                open.header = parse_header(&header.text).map(|(file, line)| (file.to_owned(), line));
                open.first_line = header.number;
            } else {
                open.below_code(code);
            }
        } else if let Some(title) = above.last().filter(|l| is_failed_test(&l.text)).or_else(|| mocha_title(above)) {
            open.first_line = title.number;
        }
        open.braced = open.head.indent > 0 && above.last().is_some_and(|l| l.text.ends_with('{'));
        open
    }

    /// Claims the code frame that Bun prints above the head, and the text in front of its first line.
    fn below_code(&mut self, code: &[TextLine]) {
        static LABELLED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\S \d+ \| "));
        let listed = code.iter().rev().take_while(|l| is_code(&l.text)).count();
        let (above, listing) = code.split_at(code.len() - listed);
        let Some(top) = listing.first() else { return };
        self.dialect = Dialect::Bun;
        self.first_line = above.last().filter(|l| LABELLED.is_match(&l.text)).unwrap_or(top).number;
    }

    pub(super) fn frame(&mut self, frame: TraceFrame, text: &str) {
        if self.frames.len() < Trace::MAX_FRAMES {
            self.frames.push(frame);
            self.aside.push(self.members.is_some());
        }
        self.after(text);
    }

    /// Where a frame or an elision leaves the reader.
    fn after(&mut self, text: &str) {
        self.blank = false;
        let open = text.ends_with(" {");
        if open || self.place == Place::Properties {
            self.place = Place::Properties;
        } else {
            self.place = Place::Frames(0);
        }
    }

    /// Whether the line is the head of a member that an aggregate lists below its own head.
    fn is_member(&self, text: &str) -> bool {
        let aggregate = self.head.exception.as_deref().is_some_and(|name| name.ends_with("AggregateError"));
        aggregate && self.more.is_empty() && indent(text) > self.head.indent && Head::bare(text).is_some()
    }

    fn link(&mut self, text: &str, place: Place) -> Next {
        if let Some(head) = Head::bare(text).or_else(|| Head::named(text)) {
            if self.members.is_none() {
                self.parts.push(self.frames.len());
                self.causes.extend(head.exception);
            }
            self.place = place;
        } else if matches!(place, Place::LinkMessage(_)) {
            // A cause of which only the message is printed has frames too.
            self.parts.push(self.frames.len());
            self.place = place;
        }
        Next::Take
    }

    fn in_properties(&mut self, text: &str) -> Next {
        let (depth, trimmed) = (indent(text), text.trim());
        if trimmed.is_empty() {
            return Next::Hold;
        }
        if let Some(frame) = parse_frame(text) {
            self.frame(frame, text);
            return Next::Take;
        }
        if depth <= self.head.indent {
            if !trimmed.starts_with('}') {
                return Next::End;
            }
            self.place = Place::Done;
            return Next::TakeAndEnd;
        }
        if trimmed.starts_with("[errors]: [") && !trimmed.ends_with(']') {
            self.members.get_or_insert(depth);
        } else if self.members.is_some_and(|outer| depth <= outer) && trimmed.starts_with(']') {
            self.members = None;
        } else if let Some(cause) = trimmed.strip_prefix("[cause]: ") {
            return self.link(cause, Place::Properties);
        }
        Next::Take
    }

    fn in_frames(&mut self, text: &str, others: usize) -> Next {
        let trimmed = text.trim();
        for label in ["Caused by: ", "caused by: ", "Cause: ", "[cause]: "] {
            if let Some(cause) = trimmed.strip_prefix(label) {
                self.link(cause, Place::LinkMessage(0));
                return Next::Take;
            }
        }
        if matches!(trimmed, "Cause:" | "Caused by:") {
            self.place = Place::LinkType;
            return Next::Take;
        }
        if is_elision(text) {
            self.after(text);
            return Next::Take;
        }
        // Node 12 to 14 print where a frame comes from below it.
        if let Some(mut origin) = trimmed.strip_prefix("-> ").and_then(parse_call) {
            origin.function = self.frames.last().and_then(|last| last.function.clone());
            self.frame(origin, text);
            return Next::Take;
        }
        if trimmed == "Errors contained in AggregateError:" {
            self.members.get_or_insert(indent(text));
            return Next::Take;
        }
        if let Some(next) = self.aside(text, others) {
            return next;
        }
        // Next.js opens the braces around the digest at the end of a line of code.
        self.braced |= trimmed.starts_with("digest: ") && indent(text) > 0;
        if is_between_frames(trimmed) || (self.braced && trimmed.starts_with('}')) {
            self.place = Place::Frames(0);
            return Next::Take;
        }
        if trimmed.is_empty() {
            self.blank = true;
        }
        // Jest prints the code of a log line below an empty one.
        if self.blank && is_code(text) && !self.is(Dialect::Vitest) {
            return Next::End;
        }
        let limit = if self.is(Dialect::Vitest) { CODE_LINES } else { 2 };
        if is_code(text) || (is_caret(text) && self.is(Dialect::Vitest)) {
            self.place = Place::Frames(others + 1);
            // Next.js closes with the code; Vitest goes on behind it.
            return match (self.is(Dialect::Vitest), others) {
                (false, _) if others < CODE_LINES => Next::Take,
                (true, _) if others < limit => Next::Hold,
                _ => Next::End,
            };
        }
        if trimmed.is_empty() && others < limit {
            self.place = Place::Frames(others + 1);
            return Next::Hold;
        }
        Next::End
    }

    /// Lines between frames that some printers put there: members of an aggregate, the code of a cause, quoted output.
    fn aside(&mut self, text: &str, others: usize) -> Option<Next> {
        let listed = self.members.is_some_and(|outer| {
            text.trim().is_empty() || indent(text) >= outer || (self.is(Dialect::Deno) && others < CODE_LINES)
        });
        let quoted = self.is(Dialect::Quoting) && !begins_record(text);
        let bun = self.is(Dialect::Bun) && self.blank;
        self.blank |= text.trim().is_empty();
        if (listed || quoted) && others < MESSAGE_LINES {
            self.place = Place::Frames(others + 1);
            return Some(Next::Hold);
        }
        if bun && is_code(text) {
            return Some(Next::Hold);
        }
        if bun && is_caret(text) {
            self.place = Place::LinkType;
            return Some(Next::Hold);
        }
        // Vitest rules off what it says about an error's other properties.
        (self.is(Dialect::Vitest) && others < CODE_LINES && is_rule(text)).then_some(Next::Hold)
    }

    fn in_message(&mut self, text: &str, lines: usize) -> bool {
        let foreign =
            text.starts_with("Traceback (most recent") || text.starts_with("\tat ") || text.starts_with("  File \"");
        if lines >= MESSAGE_LINES || foreign || (begins_record(text) && indent(text) == 0) {
            return false;
        }
        if self.is(Dialect::Jasmine) && text.trim() == "Stack:" {
            return true;
        }
        // Test runners indent the message as a whole.
        let shared = text.char_indices().take(self.head.indent).take_while(|(_, c)| *c == ' ').count();
        self.more.push(text.get(shared..).unwrap_or(text).to_owned());
        true
    }

    /// The application's frame nearest to the failure: in the root cause, else in the link above it, and so on.
    fn in_app_top(&self) -> Option<usize> {
        let mut end = self.frames.len();
        for &start in self.parts.iter().rev() {
            let found = (start..end).find(|at| {
                let in_app = self.frames.get(*at).is_some_and(|f| f.in_app && f.file.is_some());
                in_app && self.aside.get(*at) == Some(&false)
            });
            if found.is_some() {
                return found;
            }
            end = start;
        }
        self.frames.iter().position(|f| f.in_app && f.file.is_some())
    }

    /// The place above the code as a frame, unless the stack repeats it or it is Node's own.
    fn header_frame(&self) -> Option<TraceFrame> {
        let (file, line) = self.header.as_ref()?;
        let plain = |file: &str| file.trim_start_matches("file://").to_owned();
        let repeated = self.frames.iter().any(|f| f.line == *line && f.file.as_deref().map(plain) == Some(plain(file)));
        let own = ["node:", "<", "wasm:"].iter().any(|start| file.starts_with(start)) || file == "undefined";
        let placed = frame(Language::Javascript, Some(file), *line, None);
        (!repeated && !own && (placed.in_app || file.contains("node_modules"))).then_some(placed)
    }
}

/// `⎯⎯⎯⎯⎯⎯`, without the number of an error.
fn is_rule(text: &str) -> bool {
    let trimmed = text.trim();
    !trimmed.is_empty() && trimmed.chars().all(|c| c == '⎯')
}

/// `Emitted 'error' event on Socket instance at:`
pub(super) fn is_emitted(trimmed: &str) -> bool {
    trimmed.starts_with("Emitted '") && trimmed.ends_with("at:")
}

/// Lines between frames that say where the next ones come from.
fn is_between_frames(trimmed: &str) -> bool {
    is_emitted(trimmed)
        || matches!(trimmed, "Thrown at:" | "From previous event:")
        || trimmed.starts_with("digest: ")
        || trimmed.starts_with("} reason: ")
        || trimmed.starts_with("Serialized Error: ")
}

impl OpenTrace for Open {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.as_str();
        if self.place == Place::Done {
            return Next::End;
        }
        if self.place == Place::Properties {
            return self.in_properties(text);
        }
        if matches!(self.place, Place::Message(_)) && self.is_member(text) {
            self.members = Some(indent(text));
            self.dialect = Dialect::Deno;
            self.place = Place::Frames(0);
            return Next::Hold;
        }
        if self.place != Place::RunnerHead
            && let Some(frame) =
                parse_frame(text).or_else(|| if self.is(Dialect::Vitest) { parse_pointed(text) } else { None })
        {
            self.members = self.members.filter(|outer| indent(text) > *outer);
            self.frame(frame, text);
            return Next::Take;
        }
        match self.place {
            Place::RunnerHead => {
                let more_names = self.is(Dialect::Vitest) && text.trim_start().starts_with("FAIL ");
                if text.trim().is_empty() || more_names {
                    return Next::Hold;
                }
                self.head = Head::bare(text)
                    .or_else(|| Head::named(text).filter(|h| !h.message.is_empty()))
                    .unwrap_or_else(|| Head { indent: indent(text), ..Head::untyped(text) });
                self.place = Place::Message(0);
                Next::Hold
            }
            // An error without frames of its own.
            Place::Message(_) if is_emitted(text.trim()) => {
                self.place = Place::Frames(0);
                Next::Hold
            }
            Place::Message(lines) => {
                self.place = Place::Message(lines + 1);
                let runner = text.trim_start().starts_with("● ") || text.trim_start().starts_with("FAIL ");
                if !runner && self.in_message(text, lines) { Next::Hold } else { Next::End }
            }
            Place::LinkType => {
                if text.trim().is_empty() {
                    return Next::Hold;
                }
                // The same error once more was logged once more.
                if self.is(Dialect::Bun) && Head::bare(text).is_none_or(|link| link == self.head) {
                    return Next::End;
                }
                self.link(text, Place::LinkMessage(0))
            }
            Place::LinkMessage(lines) => {
                self.place = Place::LinkMessage(lines + 1);
                if lines < MESSAGE_LINES && !begins_record(text) { Next::Hold } else { Next::End }
            }
            Place::Frames(others) => self.in_frames(text, others),
            Place::Properties | Place::Done => Next::End,
        }
    }

    fn finish(mut self: Box<Self>) -> Option<Reading> {
        let located = self.frames.iter().filter(|f| f.file.is_some()).count();
        let enough = self.proved
            || located > 1
            || (located == 1 && self.head.exception.is_some())
            || (located == 1 && (!self.more.is_empty() || self.is(Dialect::Jasmine)));
        // A long text in which a single line looks like a frame is a page of documentation.
        let strange = !self.proved && located < 2 && self.more.len() > LONG_MESSAGE;
        if !enough || strange {
            return None;
        }
        if !self.frames.is_empty() {
            // Deno shows the code that threw, and a caret.
            let quoting = self.is(Dialect::Quoting);
            if let Some(caret) = self.more.iter().position(|more| is_caret(more)).filter(|_| !quoting) {
                self.more.truncate(caret.saturating_sub(1));
            }
            // A test runner's code frame stands below the message.
            for more in self.more.iter().take_while(|more| !is_code(more)) {
                self.head.message.push('\n');
                self.head.message.push_str(more);
            }
        }
        // The braces around the printed properties are still open.
        let unclosed = self.place == Place::Properties;
        let mut in_app_top = self.in_app_top();
        if let Some(place) = self.header_frame() {
            let syntax = self.head.exception.as_deref() == Some("SyntaxError");
            in_app_top =
                if place.in_app && (syntax || in_app_top.is_none()) { Some(0) } else { in_app_top.map(|at| at + 1) };
            self.frames.insert(0, place);
        }
        let language = language_of(&self.frames, in_app_top);
        self.head.message = self.head.message.trim_start_matches('\n').trim_end().to_owned();
        let Self { head, frames, causes, first_line, last_line, .. } = *self;
        let mut reading = reading(language, head, frames, in_app_top, causes, first_line);
        reading.trace.cut = unclosed;
        Some(Reading { last_line, ..reading })
    }
}

/// TypeScript where the frame to look at first says so.
pub(super) fn language_of(frames: &[TraceFrame], in_app_top: Option<usize>) -> Language {
    let file = in_app_top.and_then(|at| frames.get(at)).and_then(|f| f.file.as_deref()).unwrap_or_default();
    let file = file.split('?').next().unwrap_or(file);
    let typescript = [".ts", ".tsx", ".mts", ".cts"].iter().any(|ending| file.ends_with(ending));
    if typescript { Language::Typescript } else { Language::Javascript }
}

/// A reading without what the driver fills in.
pub(super) fn reading(
    language: Language,
    head: Head,
    frames: Vec<TraceFrame>,
    in_app_top: Option<usize>,
    cause_chain: Vec<String>,
    first_line: u64,
) -> Reading {
    let Head { exception, message, .. } = head;
    let trace =
        Trace { language, exception, message, frames, in_app_top, cause_chain, text: String::new(), cut: false };
    Reading { trace, first_line, last_line: None }
}

/// The line with file and line number above a line of code.
pub(super) fn header_above(code: &[TextLine]) -> Option<&TextLine> {
    code.iter().rev().take(4).find(|l| parse_header(&l.text).is_some())
}

/// The number of the test that mocha lists, above the test's title.
fn mocha_title(above: &[TextLine]) -> Option<&TextLine> {
    let numbered = |text: &str| {
        let number = text.trim_start();
        indent(text) >= 2
            && number.split_once(") ").is_some_and(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut titled = false;
    for line in above.iter().rev().take(8) {
        if numbered(&line.text) {
            return (titled || line.text.ends_with(':')).then_some(line);
        }
        let text = line.text.trim_end();
        if !text.is_empty() && indent(text) < 5 {
            return None;
        }
        titled |= text.ends_with(':');
    }
    None
}

/// `✖ adds (1.9ms)`, as the reporter of Node's test runner prints it.
fn is_failed_test(text: &str) -> bool {
    text.trim_start().starts_with("✖ ") && text.trim_end().ends_with("ms)")
}
