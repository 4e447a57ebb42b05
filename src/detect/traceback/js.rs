//! Stack traces of JavaScript and TypeScript: Node, Deno, Bun, loggers, Jest, Vitest, mocha, node:test.
//!
//! A frame line opens a trace and looks back for the error's head and for what Node prints above it (place, code, caret). A
//! head opens one too, because a message may have more lines than a look back reaches. Lines are read in `js_lines.rs`.

use super::js_heap::FatalError;
use super::js_inspected::Inspected;
use super::js_lines::{Head, is_caret, is_code, parse_frame, parse_header, parse_pointed};
use super::js_report::{Dialect, Open, Place, header_above, is_emitted};
use super::js_tap::TapBlock;
use super::js_uncaught::Uncaught;
use super::lex::{begins_record, indent, sounds_bad};
use super::{Grammar, OpenTrace, TextLine};
use crate::detect::{Language, TraceFrame};

/// What AVA prints above the diff of two values.
const AVA_DIFFERENCE: &str = "Difference (- actual, + expected):";

/// The grammar of JavaScript's stack traces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JavaScript;

impl Grammar for JavaScript {
    fn language(&self) -> Language {
        Language::Javascript
    }

    fn starters(&self) -> &'static [&'static str] {
        &[
            r"^\s*at .*(?::\d+:\d+\)?|\((?:<anonymous>|native|index \d+)\)|:0x[0-9a-f]+\)?)(?: \{|,)?$",
            r"❯ .*:\d+:\d+$",
            r"^\s*› .*:\d+:\d+\)?$",
            r"Difference \(- actual, \+ expected\):$",
            r#"^\s+['"`] +at .*['"`] \+$"#,
            r"@(?:https?|file|webpack|resource|moz-extension|safari-extension|blob)\S*:\d+:\d+$",
            r"(?:\.js|\.ts|\.mjs|\.cjs|\.mts|\.cts|\.jsx|\.tsx|<anonymous_script>|\[worker eval\]):\d+$",
            r"^(?:node:\S+|undefined|\[eval\]|evalmachine\.<anonymous>|wasm://\S+):\d+$",
            r"^\s*(?:Uncaught )?\[?[A-Z][A-Za-z]*Error(?: \[\w+\])?: ",
            "^error: Uncaught ",
            r"\[UnhandledPromiseRejection: ",
            r"\(Use `node --trace-uncaught ",
            r"^Node\.js v\d",
            r"^  ● .",
            r"^ *FAIL +\S.* > ",
            r"^ *FAIL +\S+ \[ ",
            r#"^ *FAIL  ""#,
            r"^ +\d+\) \S+ › ",
            r"^ +Message:$",
            r"^\s*not ok \d",
            "<--- Last few GCs --->",
            "^FATAL ERROR: ",
            "^# Fatal (?:error|JavaScript)",
            "----- Native stack trace -----",
        ]
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = line.text.as_str();
        let trimmed = text.trim_start();
        if trimmed.starts_with("not ok ") {
            return Some(Box::new(TapBlock::open(line)));
        }
        if trimmed.starts_with(['\'', '"', '`']) {
            return Some(Box::new(Inspected::open(before, line)?));
        }
        if FatalError::begins(text) {
            return Some(Box::new(FatalError::open(before, line)));
        }
        // A diff may be longer than a look back.
        if trimmed.trim_end() == AVA_DIFFERENCE {
            let (title, _) = ava_title(before)?;
            let head = Head { indent: indent(text), ..Head::untyped(text) };
            return Some(Box::new(Open::new(head, title, Place::Message(0))));
        }
        let open = if let Some(first) = parse_frame(text).or_else(|| parse_pointed(text)) {
            of_frame(before, text, first)?
        } else if let Some(uncaught) = Uncaught::open(line) {
            return Some(Box::new(uncaught));
        } else if trimmed.starts_with("(Use `node --trace-uncaught") {
            of_thrown(before)?
        } else if text.starts_with("Node.js v") {
            let mut open = of_thrown(before)?;
            open.last_line = before.iter().rev().find(|l| !l.text.trim().is_empty()).map(|l| l.number);
            open
        } else if let Some(head) = of_runner(before, line) {
            head?
        } else {
            of_head(before, line)?
        };
        Some(Box::new(open))
    }
}

/// A test runner's head: the error follows below the test's name. `Some(None)` for a head that no error follows.
fn of_runner(before: &[TextLine], line: &TextLine) -> Option<Option<Open>> {
    let (text, trimmed) = (line.text.as_str(), line.text.trim());
    let mut open = Open::new(Head::default(), line.number, Place::RunnerHead);
    if let Some(name) = text.strip_prefix("  ● ") {
        let console = name.starts_with("Console") || name.starts_with("Validation");
        return Some((!console).then_some(open));
    }
    if trimmed.starts_with("FAIL ") && (trimmed.contains(" > ") || trimmed.ends_with(" ]")) {
        open.dialect = Dialect::Vitest;
    } else if trimmed.starts_with("FAIL  \"") && trimmed.ends_with('"') {
        open.dialect = Dialect::Plain;
    } else if text.starts_with(' ') && trimmed == "Message:" {
        let title =
            before.last().filter(|title| title.text.split_once(") ").is_some_and(|(n, _)| n.parse::<u32>().is_ok()));
        open.first_line = title.map_or(line.number, |title| title.number);
        open.dialect = Dialect::Jasmine;
    } else if !is_listed_failure(text) {
        return None;
    }
    Some(Some(open))
}

/// `  1) [chromium] › a.spec.ts:5:5 › has total ─────`, as Playwright lists failures.
fn is_listed_failure(text: &str) -> bool {
    let number = text.strip_prefix(' ').and_then(|text| text.trim_start().split_once(") ")).map(|(number, _)| number);
    number.is_some_and(|number| number.parse::<u32>().is_ok()) && text.contains(" › ") && text.trim_end().ends_with('─')
}

/// A trace whose first frame has come: its head is above.
fn of_frame(before: &[TextLine], text: &str, first: TraceFrame) -> Option<Open> {
    let (mut open, proved) = find_head(before)?;
    if text.trim_start().starts_with('❯') {
        open.dialect = Dialect::Vitest;
    }
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
        // Nest's logger names the program first.
        let record = begins_record(text) || text.contains("] ") && text.contains(" ERROR ");
        let head = Head::bare(text)
            .or_else(|| if record || nearest { Head::inside(text) } else { None })
            .or_else(|| if nearest && !record { Head::named(text).or_else(|| bun(text)) } else { None });
        let under_caret = head.is_none() && follows_code(before.get(..at).unwrap_or_default());
        let head = head.or_else(|| under_caret.then(|| Head::untyped(text)));
        if let Some(mut head) = head {
            let below = before.get(at + 1..).filter(|_| !under_caret).unwrap_or_default();
            // Deno prints the code that threw between the head and the stack.
            let code = below.iter().any(|more| is_caret(&more.text));
            for more in below.iter().filter(|more| !code && !is_code(&more.text) && !is_emitted(more.text.trim())) {
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
    if let Some(open) = of_ava(before) {
        return Some((open, true));
    }
    let (at, last) = before.iter().enumerate().rev().find(|(_, l)| !is_detail(&l.text))?;
    let head = Head { indent: indent(&last.text), ..Head::untyped(without_level(&last.text)) };
    let above = before.get(..at).unwrap_or_default();
    // Mocha's timeouts have no type.
    let titled = Open::below(above, head.clone(), last.number);
    if titled.first_line != last.number {
        return Some((titled, true));
    }
    let failed = above.last().is_some_and(|l| l.text.trim_start().starts_with("not ok "));
    (failed || sounds_bad(&last.text)).then(|| (Open::new(head, last.number, Place::Frames(0)), false))
}

/// A failed assertion as AVA prints it: the test's name, the place, the code, what was expected, the frames.
fn of_ava(before: &[TextLine]) -> Option<Open> {
    let (title, code) = ava_title(before)?;
    let mut message = before.get(code..)?.iter().map(|l| l.text.trim()).skip_while(|text| text.is_empty());
    let first = message.next()?.to_owned();
    let message = message.fold(first, |all, more| all + "\n" + more);
    Some(Open::new(Head { message, ..Head::default() }, title, Place::Frames(0)))
}

/// The number of the line with the test's name, and how many lines of `before` end with the code.
fn ava_title(before: &[TextLine]) -> Option<(u64, usize)> {
    let listed = |text: &str| text.trim_start().split_once(':').is_some_and(|(n, _)| n.parse::<u32>().is_ok());
    let end = before.iter().rposition(|l| listed(&l.text))? + 1;
    let code = before.get(..end)?.iter().rev().take_while(|l| listed(&l.text)).count();
    let mut above = before.get(..end - code)?.iter().rev().filter(|l| !l.text.trim().is_empty());
    above.next().filter(|place| parse_header(&place.text).is_some())?;
    Some((above.next()?.number, end))
}

/// What Vite prints between the message and the stack: the plugin, the file, the code. Empty lines too.
fn is_detail(text: &str) -> bool {
    let label = text.strip_prefix("  ").is_some_and(|text| ["Plugin: ", "File: "].iter().any(|l| text.starts_with(l)));
    text.trim().is_empty() || is_code(text) || is_caret(text) || label
}

/// Whether the lines end with a code frame and its caret, below which Bun says what went wrong.
fn follows_code(above: &[TextLine]) -> bool {
    matches!(above, [.., code, caret] if is_caret(&caret.text) && is_code(&code.text))
}

/// ` ERROR  message`, as consola prints an error whose type it leaves out.
fn without_level(text: &str) -> &str {
    let text = text.trim();
    ["ERROR  ", "FATAL  ", "WARN  "].iter().find_map(|level| text.strip_prefix(level)).unwrap_or(text)
}

/// `error: message`, as Bun prints a plain error.
fn bun(text: &str) -> Option<Head> {
    let message = text.strip_prefix("error: ")?;
    Some(Head { exception: Some("error".to_owned()), message: message.to_owned(), indent: 0 })
}
