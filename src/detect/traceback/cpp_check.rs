//! Failed checks of C++ test frameworks: GoogleTest, Catch2, doctest, Boost.Test.
//!
//! Formats: GoogleTest `PrettyUnitTestResultPrinter`, Catch2 `ConsoleAssertionPrinter`, doctest `ConsoleReporter`, Boost.Test
//! `compiler_log_formatter`.

use std::sync::LazyLock;

use regex::Regex;

use super::cpp::trace;
use super::lex::{frame, group, line_number, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace};

/// Most lines of one failure.
const MAX_LINES: usize = 80;

/// The lines at which [`Check::open`] is asked.
pub(super) const STARTERS: &[&str] = &[
    r":\d+: Failure$",
    "^unknown file: Failure$",
    r":\d+: FAILED:$",
    r":\d+: (?:FATAL )?ERROR: (?:\w+\(|test case )",
    r#"\(\d+\): (?:fatal )?error: in ""#,
];

/// Who prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framework {
    Google,
    Catch,
    Doctest,
    Boost,
}

/// A failure that is being read.
pub(super) struct Check {
    trace: Trace,
    first_line: u64,
    framework: Framework,
    lines: usize,
}

impl Check {
    /// Opens at the line with the place.
    pub(super) fn open(line: &TextLine) -> Option<Self> {
        static GOOGLE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^(?:(\S.*?\.[A-Za-z]\w{0,4}):(\d+)|unknown file): Failure$"));
        static CATCH: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\S.*?\.[A-Za-z]\w{0,4}):(\d+): FAILED:$"));
        static DOCTEST: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r"^(\S.*?\.(?:c|cc|cpp|cxx|h|hpp|cu|mm)):(\d+): (?:FATAL )?ERROR: (\w+\( .*|test case .*)$")
        });
        static BOOST: LazyLock<Regex> =
            LazyLock::new(|| pattern(r#"^(\S.*?)\((\d+)\): (?:fatal )?error: in "[^"]*": (?:([\w:]+): )?(.*)$"#));
        let text = line.text.trim_end();
        let all = [
            (Framework::Google, &GOOGLE),
            (Framework::Catch, &CATCH),
            (Framework::Doctest, &DOCTEST),
            (Framework::Boost, &BOOST),
        ];
        let (framework, c) = all.iter().find_map(|(framework, regex)| Some((*framework, regex.captures(text)?)))?;
        let file = Some(group(&c, 1)).filter(|file| !file.is_empty() && *file != "unknown location");
        let frames = file.map(|file| frame(Language::Cpp, Some(file), line_number(group(&c, 2)), None));
        let (exception, message) = match framework {
            Framework::Boost => (c.get(3).map(|name| name.as_str().to_owned()), group(&c, 4).to_owned()),
            Framework::Doctest => (None, group(&c, 3).to_owned()),
            Framework::Google | Framework::Catch => (None, String::new()),
        };
        let trace = trace(exception, message, frames.into_iter().collect());
        Some(Self { trace, first_line: line.number, framework, lines: 0 })
    }

    fn more(&mut self, text: &str) -> Next {
        if !self.trace.message.is_empty() {
            self.trace.message.push('\n');
        }
        self.trace.message.push_str(text);
        Next::Take
    }
}

impl OpenTrace for Check {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        self.lines += 1;
        let rule = |text: &str| text.len() > 20 && text.bytes().all(|b| matches!(b, b'-' | b'=' | b'.'));
        if self.lines > MAX_LINES || rule(text) || Self::open(line).is_some() {
            return Next::End;
        }
        match self.framework {
            Framework::Google if text.is_empty() => Next::Hold,
            // The runner's own lines: `[  FAILED  ] Cart.Wrong`.
            Framework::Google if text.starts_with('[') => Next::End,
            Framework::Google => {
                static EXCEPTION: LazyLock<Regex> =
                    LazyLock::new(|| pattern(r#"^C\+\+ exception with description "(.*)" thrown in "#));
                match EXCEPTION.captures(text).filter(|_| self.trace.message.is_empty()) {
                    Some(c) => self.more(group(&c, 1)),
                    None => self.more(text),
                }
            }
            Framework::Catch if text.is_empty() => Next::End,
            Framework::Catch => {
                let label = text.ends_with(':') && !text.starts_with(' ');
                if label { Next::Take } else { self.more(text.trim()) }
            }
            Framework::Doctest if text.starts_with("  ") => self.more(text.trim()),
            Framework::Boost if text.contains("): last checkpoint: ") => Next::TakeAndEnd,
            Framework::Doctest | Framework::Boost => Next::End,
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        Some(Reading { trace: self.trace, first_line: self.first_line, last_line: None })
    }
}
