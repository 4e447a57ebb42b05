//! Reports that name a type and one place instead of a stack: Clojure's triage, Gradle's short test failures.

use std::sync::LazyLock;

use regex::Regex;

use super::jvm_lines::language_of;
use super::lex::{begins_record, group, line_number, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a message below Clojure's first line.
const MESSAGE_LINES: usize = 12;

/// Whose report it is, and with that what may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Printer {
    /// The message, up to an empty line; so many lines so far.
    Clojure(usize),
    /// Causes of the same shape.
    Gradle,
}

/// A report that is being read.
pub(super) struct Short {
    printer: Printer,
    first_line: u64,
    exception: Option<String>,
    message: Vec<String>,
    frames: Vec<TraceFrame>,
    causes: Vec<String>,
}

impl Short {
    /// Opens a report at its first line.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        Self::clojure(line).or_else(|| Self::gradle(before, line))
    }

    /// `Execution error (ArithmeticException) at shop.core/price (core.clj:12).` (`clojure.main/ex-str`).
    fn clojure(line: &TextLine) -> Option<Self> {
        static TRIAGE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(concat!(
                r"^(?:\S*=> )?(?:Execution error \(([\w.$]+)\)|(?:Syntax|Unexpected) error(?: \(([\w.$]+)\))?",
                r" (?:compiling|macroexpanding|reading source)(?: \S+)?) at (?:(\S+) )?\(([^():]+):(\d+)(?::\d+)?\)\.$",
            ))
        });
        let found = TRIAGE.captures(&line.text)?;
        let exception = found.get(1).or(found.get(2)).map(|name| name.as_str().to_owned());
        let function = Some(group(&found, 3)).filter(|name| !name.is_empty());
        let file = Some(group(&found, 4)).filter(|file| !matches!(*file, "REPL" | "NO_SOURCE_FILE" | "NO_SOURCE_PATH"));
        let frame = TraceFrame {
            file: file.map(str::to_owned),
            line: line_number(group(&found, 5)),
            function: function.map(str::to_owned),
            in_app: !function.is_some_and(|name| name.starts_with("clojure.")),
        };
        Some(Self {
            printer: Printer::Clojure(0),
            first_line: line.number,
            exception,
            message: Vec::new(),
            frames: vec![frame],
            causes: Vec::new(),
        })
    }

    /// `    java.lang.NullPointerException at StockTest.java:20` below `StockTest > load() FAILED`.
    fn gradle(before: &[TextLine], line: &TextLine) -> Option<Self> {
        if !before.last()?.text.trim_end().ends_with(" FAILED") {
            return None;
        }
        let (exception, frame) = placed_type(&line.text)?;
        Some(Self {
            printer: Printer::Gradle,
            first_line: line.number,
            exception: Some(exception),
            message: Vec::new(),
            frames: vec![frame],
            causes: Vec::new(),
        })
    }
}

/// `    java.io.IOException at Stock.java:22`, with or without `Caused by: `.
fn placed_type(text: &str) -> Option<(String, TraceFrame)> {
    static PLACED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^\s+(?:Caused by: )?((?:[\w$]+\.)*[\w$]+) at ([\w$]+\.(?:java|kt|kts|groovy|scala)):(\d+)$")
    });
    let found = PLACED.captures(text)?;
    let frame = TraceFrame {
        file: Some(group(&found, 2).to_owned()),
        line: line_number(group(&found, 3)),
        function: None,
        in_app: true,
    };
    Some((group(&found, 1).to_owned(), frame))
}

impl OpenTrace for Short {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.as_str();
        match self.printer {
            Printer::Clojure(lines) => {
                if text.trim().is_empty() || lines >= MESSAGE_LINES || begins_record(text) || text.contains("=> ") {
                    return Next::End;
                }
                self.printer = Printer::Clojure(lines + 1);
                self.message.push(text.to_owned());
                // Without an empty line behind it, only the first line is sure to be the message.
                if lines == 0 { Next::Take } else { Next::Hold }
            }
            Printer::Gradle => {
                let Some((exception, frame)) = placed_type(text).filter(|_| text.contains("Caused by: ")) else {
                    return Next::End;
                };
                self.causes.push(exception);
                self.frames.push(frame);
                Next::Take
            }
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let in_app_top = self.frames.iter().rposition(|frame| frame.in_app);
        let file = self.frames.last().and_then(|frame| frame.file.as_deref());
        let language: Language = language_of(file);
        Some(Reading {
            trace: Trace {
                language,
                exception: self.exception,
                message: self.message.into_iter().next().unwrap_or_default(),
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
