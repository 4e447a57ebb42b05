//! Failures that pytest tells in one line each (`--tb=line`).
//!
//! Format: `TerminalReporter.summary_failures_combined`, style `line`; newer releases print the error
//! lines above the place.
//!
//! ```text
//! E   KeyError: 'a'
//! /srv/app/test_cart.py:8: KeyError: 'a'
//! ```

use std::sync::LazyLock;

use regex::Regex;

use super::in_app::is_app;
use super::lex::pattern;
use super::python_syntax as syntax;
use super::{Next, OpenTrace, Reading};
use crate::detect::line::TextLine;
use crate::detect::{Language, Trace, TraceFrame};

/// A failure of which the place has been read: nothing of it follows.
pub(super) struct CrashLine(Reading);

impl CrashLine {
    /// Opens at `/srv/app/test_cart.py:8: KeyError: 'a'`. Only absolute paths: those of linters are relative.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        static CRASH: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r"^((?:/|[A-Za-z]:\\)[^:]*\.pyx?):(\d+): (assert .+|([A-Za-z_][\w.]*)(?:: (.+))?)$")
        });
        let c = CRASH.captures(line.text.trim_end())?;
        let part = |index: usize| c.get(index).map(|m| m.as_str());
        let (file, said, message) = (part(1)?, part(3)?, part(5));
        // pytest leaves the type of a plain assertion out.
        let exception = part(4).unwrap_or("AssertionError");
        let above = Above::read(before, said);
        if above.is_none() && (!speaks_for_itself(exception) || (part(4).is_some() && message.is_none())) {
            return None;
        }
        let Above { first_line, causes } = above.unwrap_or(Above { first_line: line.number, causes: Vec::new() });
        let in_app = is_app(Language::Python, Some(file), None);
        let number = part(2).and_then(|number| number.parse().ok());
        let trace = Trace {
            language: Language::Python,
            exception: Some(exception.to_owned()),
            message: if part(4).is_some() { message.unwrap_or_default().to_owned() } else { said.to_owned() },
            frames: vec![TraceFrame { file: Some(file.to_owned()), line: number, function: None, in_app }],
            in_app_top: in_app.then_some(0),
            cause_chain: causes,
            text: String::new(),
            cut: false,
        };
        Some(Self(Reading { trace, first_line, last_line: None }))
    }
}

impl OpenTrace for CrashLine {
    fn push(&mut self, _: &TextLine) -> Next {
        Next::End
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        Some(self.0)
    }
}

/// The error lines above the place.
struct Above {
    first_line: u64,
    /// Types of the causes, nearest first.
    causes: Vec<String>,
}

impl Above {
    /// `None` where no error line above says what stands behind the place.
    fn read(before: &[TextLine], said: &str) -> Option<Self> {
        let mut at = before.iter().rposition(|line| error(&line.text).is_some())?;
        if error(&before.get(at)?.text)? != said {
            return None;
        }
        let mut causes = Vec::new();
        loop {
            let mut above = before.get(..at)?.iter().enumerate().rev().filter(|(_, line)| !line.text.trim().is_empty());
            let linked = above.next().is_some_and(|(_, line)| syntax::link(&line.text).is_some());
            // A message of several lines goes on indented.
            let cause = above.find(|(_, line)| !line.text.starts_with(' ')).filter(|_| linked);
            let Some((index, said)) = cause.and_then(|(index, line)| Some((index, error(&line.text)?))) else { break };
            causes.push(said.split(':').next().unwrap_or(said).to_owned());
            at = index;
        }
        Some(Self { first_line: before.get(at)?.number, causes })
    }
}

/// What an error line says.
fn error(text: &str) -> Option<&str> {
    text.trim_end().strip_prefix("E   ").filter(|said| !said.starts_with(' '))
}

/// Whether a name needs nothing above it to be an exception's.
fn speaks_for_itself(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let known = ["Error", "Exception", "Exit", "Interrupt", "Timeout", "Failed"];
    last.starts_with(char::is_uppercase) && known.iter().any(|end| last.ends_with(end))
}
