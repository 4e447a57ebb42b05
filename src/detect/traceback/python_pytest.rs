//! Failures as pytest prints them in its sections `FAILURES` and `ERRORS`.
//!
//! Format: `_pytest._code.code.ReprEntry`, styles `long`, `short` and `auto`. The style `native` is the interpreter's own.

use std::sync::LazyLock;

use regex::Regex;

use super::in_app::is_app;
use super::lex::pattern;
use super::python_report::Link;
use super::python_syntax::{self as syntax, Shape};
use super::{Next, OpenTrace, Reading};
use crate::detect::line::TextLine;
use crate::detect::{Language, Trace, TraceFrame};

/// Lines of source and arguments without a location or an error line, after which a section is no failure.
const MAX_SILENT: usize = 200;

/// One failed test.
pub(super) struct Failure {
    first_line: u64,
    frames: Vec<TraceFrame>,
    /// Type and message of the last block of error lines.
    exception: Option<String>,
    message: Vec<String>,
    causes: Vec<String>,
    /// End of the frames of the root cause, where the exceptions follow from each other.
    root_end: Option<usize>,
    /// The last line was an error line.
    in_errors: bool,
    /// The location of the failure has been read: nothing but a chained exception may follow.
    done: bool,
    silent: usize,
}

impl Failure {
    /// Opens at `______ test_name ______`, and where a `conftest.py` cannot be imported.
    pub(super) fn open(line: &TextLine) -> Option<Self> {
        let conftest = line.text.starts_with("ImportError while loading conftest '");
        (conftest || is_title(&line.text)).then(|| Self {
            first_line: line.number,
            frames: Vec::new(),
            exception: None,
            message: Vec::new(),
            causes: Vec::new(),
            root_end: None,
            in_errors: false,
            done: false,
            silent: 0,
        })
    }

    fn take(&mut self) -> Next {
        self.silent = 0;
        Next::Take
    }

    fn error_line(&mut self, error: &str) -> Next {
        static NAMED: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Exit|Iteration|Failed|Timeout|[a-z]\w*))(?::(?: (.*))?)?$",
            )
        });
        if !self.in_errors {
            self.message.clear();
            self.exception = None;
            let trimmed = error.trim();
            if let Some(c) = NAMED.captures(trimmed) {
                self.exception = c.get(1).map(|m| m.as_str().to_owned());
                self.message.push(c.get(2).map_or("", |m| m.as_str()).to_owned());
            } else {
                // pytest leaves the type of an assertion out.
                if trimmed.starts_with("assert ") {
                    self.exception = Some("AssertionError".to_owned());
                }
                self.message.push(trimmed.to_owned());
            }
            self.in_errors = true;
        } else {
            self.message.push(error.trim().to_owned());
        }
        match syntax::shape(error) {
            // The interpreter's own lines for code that cannot be compiled.
            Shape::Frame(frame) if frame.bare => {
                let mut frame = frame.into_trace_frame();
                frame.in_app = is_app(Language::Python, frame.file.as_deref(), None);
                self.frames.push(frame);
            }
            Shape::Exception { name, message } if self.exception.is_none() && syntax::is_syntax_error(name) => {
                self.exception = Some(name.to_owned());
                self.message = vec![message.to_owned()];
            }
            _ => {}
        }
        self.take()
    }

    fn location(&mut self, file: &str, line: Option<u32>, rest: &str) -> Next {
        let function = rest.strip_prefix("in ").map(str::to_owned);
        let in_app = is_app(Language::Python, Some(file), function.as_deref());
        let named = function.is_some();
        self.frames.push(TraceFrame { file: Some(file.to_owned()), line, function, in_app });
        if !rest.is_empty() && !named {
            // `test_cart.py:8: AssertionError` closes an entry.
            if self.exception.as_deref().is_none_or(|name| name.rsplit('.').next() != Some(rest)) {
                if let (Some(other), Some(first)) = (&self.exception, self.message.first_mut()) {
                    *first = if first.is_empty() { other.clone() } else { format!("{other}: {first}") };
                }
                self.exception = Some(rest.to_owned());
            }
            self.done = true;
        }
        self.in_errors = false;
        self.take()
    }
}

impl OpenTrace for Failure {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        if let Some(link) = syntax::link(text).filter(|_| self.done || self.in_errors) {
            self.causes.extend(self.exception.take());
            self.root_end = (link == Link::Cause).then(|| self.root_end.unwrap_or(self.frames.len()));
            self.done = false;
            self.in_errors = false;
            return self.take();
        }
        if self.done {
            return if text.is_empty() { Next::Hold } else { Next::End };
        }
        if let Some(error) = text.strip_prefix('E').filter(|rest| rest.is_empty() || rest.starts_with("  ")) {
            return self.error_line(error);
        }
        if is_title(text) || is_section(text) || matches!(syntax::shape(text), Shape::Header { .. }) {
            return Next::End;
        }
        if let Some((file, line, rest)) = location(text) {
            return self.location(file, line, rest);
        }
        // Below the error lines: the variables that `--showlocals` adds. The short style ends with its error lines.
        self.silent += 1;
        if self.silent > MAX_SILENT { Next::End } else { Next::Hold }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        // What fails outside of a test has no place in the style `line`.
        let placed = !self.frames.is_empty() && !self.message.is_empty();
        if !placed && self.exception.is_none() {
            return None;
        }
        let app = |end: usize| self.frames.get(..end).and_then(|frames| frames.iter().rposition(|frame| frame.in_app));
        let in_app_top = self.root_end.and_then(app).or_else(|| app(self.frames.len()));
        let mut cause_chain = self.causes;
        cause_chain.reverse();
        let trace = Trace {
            language: Language::Python,
            exception: self.exception,
            message: self.message.join("\n"),
            frames: self.frames,
            in_app_top,
            cause_chain,
            text: String::new(),
            cut: false,
        };
        Some(Reading { trace, first_line: self.first_line, last_line: None })
    }
}

/// `____________ test_price ____________`, as wide as a page.
fn is_title(text: &str) -> bool {
    let text = text.trim_end();
    let Some(inner) = text.strip_prefix('_').and_then(|rest| rest.strip_suffix('_')) else { return false };
    let name = inner.trim_matches('_');
    text.len() >= 20 && name.len() > 2 && name.starts_with(' ') && name.ends_with(' ') && !name.starts_with(" _ ")
}

/// `===== short test summary info =====`, `----- Captured stdout call -----`.
fn is_section(text: &str) -> bool {
    (text.starts_with("====") && text.ends_with("=="))
        || (text.starts_with("----") && text.ends_with("--") && text.contains(' '))
}

/// `test_cart.py:8: AssertionError`, `cart.py:2: in price`, `cart.py:2: `.
fn location(text: &str) -> Option<(&str, Option<u32>, &str)> {
    static LOCATION: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^([^\s:][^:]*\.(?:py|pyx)|<[^>]+>):(\d+):(?: (in .+|[A-Za-z_][\w.]*))?$"));
    let c = LOCATION.captures(text)?;
    let line = c.get(2).and_then(|m| m.as_str().parse().ok());
    Some((c.get(1)?.as_str(), line, c.get(3).map_or("", |m| m.as_str())))
}
