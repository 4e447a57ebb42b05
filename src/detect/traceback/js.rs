//! Stack traces of JavaScript and TypeScript: Node, Deno, Bun, loggers, Jest, Vitest, mocha, node:test.
//!
//! A frame line opens a trace and looks back for the error's head and for what Node prints above it (place, code, caret). A
//! head opens one too, because a message may have more lines than a look back reaches. Lines are read in `js_lines.rs`.

use super::js_heap::FatalError;
use super::js_lines::{Head, is_caret, is_code, is_elision, parse_frame, parse_header, parse_pointed};
use super::js_tap::TapBlock;
use super::lex::{begins_record, frame, indent, sounds_bad};
use super::{Grammar, Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a message that are waited through for a frame; a diff of two objects is long.
const MESSAGE_LINES: usize = 80;
/// Most lines of code that Vitest prints between frames.
const CODE_LINES: usize = 16;

/// The grammar of JavaScript's stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JavaScript;

impl Grammar for JavaScript {
    fn language(&self) -> Language {
        Language::Javascript
    }

    fn starters(&self) -> &'static [&'static str] {
        &[
            r"^\s*at .*(?::\d+:\d+\)?|\((?:<anonymous>|native|index \d+)\))(?: \{|,)?$",
            r"❯ .*:\d+:\d+$",
            r"^\s*(?:Uncaught )?\[?[A-Z][A-Za-z]*Error(?: \[\w+\])?: ",
            r"\[UnhandledPromiseRejection: ",
            r"\(Use `node --trace-uncaught ",
            r"^Node\.js v\d",
            r"^  ● .",
            r"^ *FAIL +\S.* > ",
            r"^ *failureType: '",
            "<--- Last few GCs --->",
            "^FATAL ERROR: ",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = line.text.as_str();
        let trimmed = text.trim_start();
        if trimmed.starts_with("failureType: ") {
            return Some(Box::new(TapBlock::open(before, line)?));
        }
        if text.starts_with("FATAL ERROR: ") || text == "<--- Last few GCs --->" {
            return Some(Box::new(FatalError::open(line)));
        }
        let open = if let Some(first) = parse_frame(text).or_else(|| parse_pointed(text)) {
            of_frame(before, text, first)?
        } else if trimmed.starts_with("(Use `node --trace-uncaught") {
            of_thrown(before)?
        } else if text.starts_with("Node.js v") {
            let mut open = of_thrown(before)?;
            open.last_line = before.iter().rev().find(|l| !l.text.trim().is_empty()).map(|l| l.number);
            open
        } else if let Some(name) = text.strip_prefix("  ● ") {
            let console = name.starts_with("Console") || name.starts_with("Validation");
            return (!console)
                .then(|| Box::new(Open::new(Head::default(), line.number, Place::RunnerHead)) as Box<dyn OpenTrace>);
        } else if trimmed.starts_with("FAIL ") && text.contains(" > ") {
            let mut open = Open::new(Head::default(), line.number, Place::RunnerHead);
            open.vitest = true;
            open
        } else {
            of_head(before, line)?
        };
        Some(Box::new(open))
    }
}

/// A trace whose first frame has come: its head is above.
fn of_frame(before: &[TextLine], text: &str, first: TraceFrame) -> Option<Open> {
    let (mut open, proved) = find_head(before)?;
    open.vitest = text.trim_start().starts_with('❯');
    open.proved |= proved;
    open.frame(first, text);
    Some(open)
}

/// A trace whose head has come: frames must follow, or Node has said where it was thrown.
fn of_head(before: &[TextLine], line: &TextLine) -> Option<Open> {
    let mut open = Open::below(before, Head::bare(&line.text)?, line.number);
    if line.text.ends_with(" {") {
        open.proved = open.header.is_some();
        open.place = Place::Properties;
    }
    Some(open)
}

/// A thrown value that is no error: Node prints the place, the code, the value, and how to learn more.
fn of_thrown(before: &[TextLine]) -> Option<Open> {
    let caret = before.iter().rposition(|l| is_caret(&l.text))?;
    let header = header_above(before.get(..caret)?)?;
    let value: Vec<&str> = before.iter().skip(caret + 1).map(|l| l.text.as_str()).collect();
    let value = value.join("\n");
    let value = value.trim().trim_start_matches("Uncaught:").trim_start_matches("Uncaught ").trim().to_owned();
    let mut open = Open::new(Head { message: value, ..Head::default() }, header.number, Place::Done);
    open.header = parse_header(&header.text).map(|(file, line)| (file.to_owned(), line));
    open.proved = true;
    Some(open)
}

/// Finds the head of the trace whose first frame follows `before`, and whether it alone proves that this is a trace.
fn find_head(before: &[TextLine]) -> Option<(Open, bool)> {
    if let Some((label, value)) = before.split_last()
        && label.text.trim() == "Thrown at:"
    {
        return of_thrown(value).map(|open| (open, true));
    }
    let mut nearest = true;
    for (at, line) in before.iter().enumerate().rev() {
        let text = line.text.as_str();
        if text.trim().is_empty() || is_caret(text) {
            continue;
        }
        if parse_frame(text).is_some() {
            return None;
        }
        let record = begins_record(text);
        let head = Head::bare(text)
            .or_else(|| if record || nearest { Head::inside(text) } else { None })
            .or_else(|| if nearest && !record { Head::named(text).or_else(|| bun(text)) } else { None });
        if let Some(mut head) = head {
            let below = before.get(at + 1..).unwrap_or_default();
            // Deno prints the code that threw between the head and the stack.
            let code = below.iter().any(|more| is_caret(&more.text));
            for more in below.iter().filter(|more| !code && !is_code(&more.text)) {
                head.message.push('\n');
                head.message.push_str(&more.text);
            }
            let above = before.get(..at).unwrap_or_default();
            return Some((Open::below(above, head, line.number), true));
        }
        if record {
            break;
        }
        nearest = false;
    }
    let last = before.iter().rev().find(|l| !l.text.trim().is_empty()).filter(|l| sounds_bad(&l.text))?;
    let head = Head { exception: None, message: last.text.trim().to_owned(), indent: indent(&last.text) };
    Some((Open::new(head, last.number, Place::Frames(0)), false))
}

/// `error: message`, as Bun prints a plain error.
fn bun(text: &str) -> Option<Head> {
    let message = text.strip_prefix("error: ")?;
    Some(Head { exception: Some("error".to_owned()), message: message.to_owned(), indent: 0 })
}

/// The line with file and line number above a line of code.
fn header_above(code: &[TextLine]) -> Option<&TextLine> {
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

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
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

struct Open {
    head: Head,
    first_line: u64,
    /// The last line, where it is in front of the starter.
    last_line: Option<u64>,
    place: Place,
    /// The place that Node prints above the code.
    header: Option<(String, Option<u32>)>,
    more: Vec<String>,
    frames: Vec<TraceFrame>,
    /// For each frame, whether it is of a member of an aggregate.
    aside: Vec<bool>,
    /// First frame of each link of the chain.
    parts: Vec<usize>,
    causes: Vec<String>,
    /// Indentation of `[errors]: [`.
    members: Option<usize>,
    vitest: bool,
    /// What was read is a trace even with a single frame or none.
    proved: bool,
    /// The error stands inside something printed with braces (`Promise { <rejected> Error: …`).
    braced: bool,
}

impl Open {
    fn new(head: Head, first_line: u64, place: Place) -> Self {
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
            vitest: false,
            proved: false,
            braced: false,
        }
    }

    /// A trace with its head, and the part of `above` that belongs to it.
    fn below(above: &[TextLine], head: Head, number: u64) -> Self {
        let mut open = Self::new(head, number, Place::Message(0));
        let blank = above.iter().rev().take_while(|l| l.text.trim().is_empty()).count();
        let close = above.get(..above.len() - blank).unwrap_or_default();
        let caret = close.last().filter(|last| blank <= 1 && is_caret(&last.text));
        if caret.is_some() {
            let code = close.get(..close.len() - 1).unwrap_or_default();
            if let Some(header) = header_above(code) {
                open.header = parse_header(&header.text).map(|(file, line)| (file.to_owned(), line));
                open.first_line = header.number;
            } else if let Some(top) = code.iter().rev().take_while(|l| is_code(&l.text)).last() {
                open.first_line = top.number;
            }
        } else if let Some(title) = above.last().filter(|l| is_failed_test(&l.text)).or_else(|| mocha_title(above)) {
            open.first_line = title.number;
        }
        open.braced = open.head.indent > 0 && above.last().is_some_and(|l| l.text.ends_with('{'));
        open
    }

    fn frame(&mut self, frame: TraceFrame, text: &str) {
        if self.frames.len() < Trace::MAX_FRAMES {
            self.frames.push(frame);
            self.aside.push(self.members.is_some());
        }
        self.after(text);
    }

    /// Where a frame or an elision leaves the reader.
    fn after(&mut self, text: &str) {
        let open = text.ends_with(" {");
        if open || self.place == Place::Properties {
            self.place = Place::Properties;
        } else {
            self.place = Place::Frames(0);
        }
    }

    fn link(&mut self, text: &str, place: Place) -> Next {
        if let Some(head) = Head::bare(text).or_else(|| Head::named(text)) {
            if self.members.is_none() {
                self.parts.push(self.frames.len());
                self.causes.extend(head.exception);
            }
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
            return match trimmed {
                "}" | "}," => Next::TakeAndEnd,
                _ if trimmed.starts_with('}') => Next::TakeAndEnd,
                _ => Next::End,
            };
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
        for label in ["Caused by: ", "caused by: ", "Cause: "] {
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
        // Next.js opens the braces around the digest at the end of a line of code.
        self.braced |= trimmed.starts_with("digest: ") && indent(text) > 0;
        if is_between_frames(trimmed) || (self.braced && trimmed.starts_with('}')) {
            self.place = Place::Frames(0);
            return Next::Take;
        }
        let limit = if self.vitest { CODE_LINES } else { 2 };
        if is_code(text) || (is_caret(text) && self.vitest) {
            self.place = Place::Frames(others + 1);
            // Next.js closes with the code; Vitest goes on behind it.
            return match (self.vitest, others) {
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

    fn in_message(&mut self, text: &str, lines: usize) -> bool {
        let foreign =
            text.starts_with("Traceback (most recent") || text.starts_with("\tat ") || text.starts_with("  File \"");
        if lines >= MESSAGE_LINES || foreign || (begins_record(text) && indent(text) == 0) {
            return false;
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
        let own = file.starts_with("node:") || file.starts_with('<');
        (!repeated && !own).then(|| frame(Language::Javascript, Some(file), *line, None))
    }
}

/// Lines between frames that say where the next ones come from.
fn is_between_frames(trimmed: &str) -> bool {
    (trimmed.starts_with("Emitted '") && trimmed.ends_with("at:"))
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
        if self.place != Place::RunnerHead
            && let Some(frame) = parse_frame(text).or_else(|| if self.vitest { parse_pointed(text) } else { None })
        {
            self.frame(frame, text);
            return Next::Take;
        }
        match self.place {
            Place::RunnerHead => {
                let more_names = self.vitest && text.trim_start().starts_with("FAIL ");
                if text.trim().is_empty() || more_names {
                    return Next::Hold;
                }
                let plain = || Head { exception: None, message: text.trim().to_owned(), indent: indent(text) };
                self.head = Head::bare(text)
                    .or_else(|| Head::named(text).filter(|h| !h.message.is_empty()))
                    .unwrap_or_else(plain);
                self.place = Place::Message(0);
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
            || (located == 1 && !self.more.is_empty());
        if !enough {
            return None;
        }
        if !self.frames.is_empty() {
            // A test runner's code frame stands below the message.
            for more in self.more.iter().take_while(|more| !is_code(more)) {
                self.head.message.push('\n');
                self.head.message.push_str(more);
            }
        }
        let mut in_app_top = self.in_app_top();
        if let Some(place) = self.header_frame() {
            let syntax = self.head.exception.as_deref() == Some("SyntaxError");
            in_app_top =
                if place.in_app && (syntax || in_app_top.is_none()) { Some(0) } else { in_app_top.map(|at| at + 1) };
            self.frames.insert(0, place);
        }
        let language = language_of(&self.frames, in_app_top);
        self.head.message = self.head.message.trim_end().to_owned();
        let Self { head, frames, causes, first_line, last_line, .. } = *self;
        Some(Reading { last_line, ..reading(language, head, frames, in_app_top, causes, first_line) })
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

#[cfg(test)]
mod tests {
    use super::super::rig::{read_all, summary};
    use super::*;

    #[test]
    fn traces_are_read_whole() {
        for (name, log, expected) in [
            (
                "uncaught, with its place, code and caret",
                "up\n/srv/a.js:3\n  throw new Error('x')\n        ^\n\nError: x\n    at f (/srv/a.js:3:9)\n    at node:internal/main/run:28:49 {\n  code: 'E'\n}\n\nNode.js v20.20.2",
                "2-10 javascript Error \"x\" [/srv/a.js:3 f, node:internal/main/run:28 -] top 0 causes []",
            ),
            (
                "unhandled rejection of a plain value",
                "node:internal/process/promises:394\n      triggerUncaughtException(err, true /* fromPromise */);\n      ^\n\n[UnhandledPromiseRejection: This error originated … reason \"lost\".] {\n  code: 'ERR_UNHANDLED_REJECTION'\n}\n\nNode.js v20.20.2",
                "1-7 javascript UnhandledPromiseRejection \"This error originated … reason \\\"lost\\\".\" [] top - causes []",
            ),
            (
                "aggregate without a stack of its own",
                "[AggregateError: All promises were rejected] {\n  [errors]: [\n    TypeError: a\n        at f (/srv/a.ts:1:2),\n    RangeError: b\n        at g (/srv/a.ts:2:2) {\n      [cause]: Error: c\n          at h (/srv/a.ts:3:2)\n    }\n  ]\n}\nbye",
                "1-11 typescript AggregateError \"All promises were rejected\" [/srv/a.ts:1 f, /srv/a.ts:2 g, /srv/a.ts:3 h] top 0 causes []",
            ),
            (
                "causes, one inside the other",
                "A_Error: a\n    at f (/srv/a.js:1:2) {\n  [cause]: TypeError: b\n      at g (/srv/a.js:2:2) {\n    [cause]: RangeError [ERR_Z]: c\n        at h (/srv/a.js:3:2)\n  }\n}\nbye",
                "1-8 javascript A_Error \"a\" [/srv/a.js:1 f, /srv/a.js:2 g, /srv/a.js:3 h] top 2 causes [TypeError, RangeError]",
            ),
            (
                "an event that nobody handles",
                "node:events:497\n      throw er; // Unhandled 'error' event\n      ^\n\nError: listen EADDRINUSE: address already in use :::3000\n    at Server.listen (node:net:1:2)\n    at f (/srv/a.js:1:2)\nEmitted 'error' event on Server instance at:\n    at emitErrorNT (node:net:3:4) {\n  port: 3000\n}\nx",
                "1-11 javascript Error \"listen EADDRINUSE: address already in use :::3000\" [node:net:1 Server.listen, /srv/a.js:1 f, node:net:3 emitErrorNT] top 1 causes []",
            ),
            (
                "a warning of an old Node, then its advice",
                "(node:12) UnhandledPromiseRejectionWarning: Error: boom\n    at f (/srv/a.js:1:2)\n(node:12) UnhandledPromiseRejectionWarning: Unhandled promise rejection.",
                "1-2 javascript Error \"boom\" [/srv/a.js:1 f] top 0 causes []",
            ),
            (
                "a message longer than a look back",
                "AssertionError [ERR_ASSERTION]: Expected\n+ actual\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n    at f (/srv/a.js:1:2)\nx",
                "1-16 javascript AssertionError \"Expected\\n+ actual\\n1\\n2\\n3\\n4\\n5\\n6\\n7\\n8\\n9\\n10\\n11\\n12\\n13\" [/srv/a.js:1 f] top 0 causes []",
            ),
            (
                "Jest without a type, then the next test",
                "  ● sum › adds\n\n    expect(received).toBe(expected)\n\n    Expected: 2\n\n      3 |\n    > 4 |   x\n        |   ^\n\n      at Object.toBe (sum.test.js:4:5)\n\n  ● sum › b\n\n    TypeError: y\n\n      at f (sum.js:1:2)\n\nTests: 2 failed",
                "1-11 javascript - \"expect(received).toBe(expected)\\n\\nExpected: 2\" [sum.test.js:4 Object.toBe] top 0 causes []\n13-17 javascript TypeError \"y\" [sum.js:1 f] top 0 causes []",
            ),
            (
                "Vitest with code between frames",
                " FAIL  a.test.ts > x\nTypeError: y\n ❯ f src/a.ts:3:4\n      2|\n      3|   g()\n       |   ^\n ❯ a.test.ts:5:6\n\n⎯⎯⎯⎯[1/1]⎯",
                "1-7 typescript TypeError \"y\" [src/a.ts:3 f, a.test.ts:5 -] top 0 causes []",
            ),
            (
                "Next.js with code and digest",
                " ⨯ Error: boom\n    at Page (app/page.tsx:3:9)\n  2 |\n> 3 |   throw x;\n    |         ^\n  4 | } {\n  digest: '2338'\n}\n GET / 500",
                "1-8 typescript Error \"boom\" [app/page.tsx:3 Page] top 0 causes []",
            ),
            (
                "Deno",
                "error: Uncaught (in promise) TypeError: x\n  throw y;\n        ^\n    at f (file:///srv/a.ts:2:9)",
                "1-4 typescript TypeError \"x\" [file:///srv/a.ts:2 f] top 0 causes []",
            ),
            (
                "a thrown object, without and with its stack",
                "\n/srv/a.js:1\nthrow { code: 5 };\n^\n{ code: 5 }\n\nNode.js v20.20.2\n/srv/a.js:1\nthrow 7;\n^\n7\nThrown at:\n    at /srv/a.js:1:1\n    at g (/srv/a.js:3:1)",
                "2-5 javascript - \"{ code: 5 }\" [/srv/a.js:1 -] top 0 causes []\n8-14 javascript - \"7\" [/srv/a.js:1 -, /srv/a.js:3 g] top 0 causes []",
            ),
            (
                "a failed test of Node's runner, with an elided event",
                "✖ adds (1.9ms)\n  AssertionError [ERR_ASSERTION]: no\n  \n      at f (/srv/a.js:1:2)\n  Emitted 'error' event at:\n      at g (/srv/a.js:2:2)\n      [... lines matching original stack trace ...]\n      at h (/srv/a.js:3:2) {\n    code: 'E'\n  }\n\nok",
                "1-10 javascript AssertionError \"no\" [/srv/a.js:1 f, /srv/a.js:2 g, /srv/a.js:3 h] top 0 causes []",
            ),
            (
                "out of heap",
                "<--- Last few GCs --->\n\n[1:0x5]   12 ms: Mark-Compact 2047 (2082) -> 2046 (2082) MB\n\n\n<--- JS stacktrace --->\n\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n----- Native stack trace -----\n\n 1: 0xb8 node::OOMErrorHandler(char const*) [node]\n 2: 0x7f \nAborted",
                "1-12 javascript FATAL ERROR \"Reached heap limit Allocation failed - JavaScript heap out of memory\" [-:0 node::OOMErrorHandler, -:0 -] top - causes []",
            ),
            (
                "two records back to back",
                "2026-01-01 ERROR a: TypeError: x\n    at f (/srv/a.js:1:2)\n2026-01-01 ERROR b: TypeError: y\n    at g (/srv/a.js:2:2)",
                "1-2 javascript TypeError \"x\" [/srv/a.js:1 f] top 0 causes []\n3-4 javascript TypeError \"y\" [/srv/a.js:2 g] top 0 causes []",
            ),
        ] {
            assert_eq!(summary(&read_all(&JavaScript, log)), expected, "{name}");
        }
    }

    #[test]
    fn prose_and_lone_frames_are_silent() {
        for log in [
            "    at f (/srv/a.js:1:2)",
            "see\n    at 10:05 the job was paused\n    at 10:07 disk usage fell (node-3:9100)",
            "TypeError: x is handled\nnext",
            "Trace: here\n    at f (/srv/a.js:1:2)",
            "(node:52) [DEP0005] DeprecationWarning: Buffer() is deprecated\n(Use `node --trace-deprecation ...` to show where)",
            "  ● Console\n\n    console.log\n      x\n\n      at f (a.js:1:2)\n",
            "Exception in thread \"main\" a.B: x\n\tat a.C.d(C.java:1)",
        ] {
            assert_eq!(summary(&read_all(&JavaScript, log)), "", "{log}");
        }
    }

    #[test]
    fn the_corpus_is_read() {
        super::super::rig::assert_corpus(&JavaScript, &["javascript"], 16);
    }
}
