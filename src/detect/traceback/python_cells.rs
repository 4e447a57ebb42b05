//! Tracebacks as IPython and notebooks print them.
//!
//! Format: `IPython.core.ultratb.VerboseTB` of IPython 7 to 9, colours removed.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::pattern;
use super::python_report::{Link, Report};
use super::python_syntax::{self as syntax, Shape};
use super::{Next, OpenTrace, Reading};
use crate::detect::TraceFrame;
use crate::detect::line::TextLine;

/// Lines that are neither source nor frame before the trace is given up.
const MAX_FOREIGN: usize = 8;

/// A traceback with source context around each frame.
pub(super) struct Cells {
    report: Report,
    first_line: u64,
    /// Type as the header names it.
    name: String,
    /// A frame whose line is told by an arrow below it.
    pending: Option<TraceFrame>,
    link: Option<Link>,
    done: bool,
    held: usize,
}

impl Cells {
    /// Opens at `KeyError      Traceback (most recent call last)`.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        let name = header(&line.text)?.to_owned();
        let rule = before.last().filter(|before| before.text.len() >= 40 && is_rule(&before.text));
        let mut report = Report::default();
        report.begin(Link::First, 0);
        let first_line = rule.map_or(line.number, |rule| rule.number);
        Some(Self { report, first_line, name, pending: None, link: None, done: false, held: 0 })
    }

    /// Reads on inside the message of another exception, behind `KeyError      Traceback (most recent call last)`.
    pub(super) fn quoted(mut report: Report, name: &str, first_line: u64) -> Self {
        report.begin(Link::Nested, 0);
        Self { report, first_line, name: name.to_owned(), pending: None, link: None, done: false, held: 0 }
    }

    fn take(&mut self) -> Next {
        self.held = 0;
        Next::Take
    }

    fn hold(&mut self) -> Next {
        self.held += 1;
        if self.held > MAX_FOREIGN { Next::End } else { Next::Hold }
    }

    fn settle_pending(&mut self) {
        if let Some(frame) = self.pending.take() {
            self.report.frame(frame);
        }
    }

    fn read_done(&mut self, text: &str) -> Next {
        if let Some(link) = syntax::link(text) {
            self.link = Some(link);
            return self.take();
        }
        if let (Some(link), Some(name)) = (self.link, header(text)) {
            name.clone_into(&mut self.name);
            self.report.begin(link, 0);
            self.link = None;
            self.done = false;
            return self.take();
        }
        if text.trim().is_empty() || self.link.is_some() {
            return self.hold();
        }
        if self.report.repeats_exception(text) {
            // nbclient before 0.6 names the exception once more.
            return self.take();
        }
        Next::End
    }
}

impl OpenTrace for Cells {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        if syntax::begins_prompt(text) {
            return Next::End;
        }
        if self.done {
            return self.read_done(text);
        }
        if let Some(frame) = frame(text) {
            self.settle_pending();
            if frame.line.is_some() {
                self.report.frame(frame);
            } else {
                self.pending = Some(frame);
            }
            return self.take();
        }
        if let Some(number) = arrow(text) {
            if let Some(mut frame) = self.pending.take() {
                frame.line = Some(number);
                self.report.frame(frame);
            }
            return self.take();
        }
        if let Shape::Exception { name, message } = syntax::shape(text)
            && syntax::indent(text) == 0
            && (name == self.name || name.rsplit('.').next() == Some(&self.name))
        {
            self.settle_pending();
            self.report.exception(name, message);
            self.done = true;
            return self.take();
        }
        let context = text.is_empty()
            || text.starts_with([' ', '('])
            || text.trim_start().starts_with(|c: char| c.is_ascii_digit());
        if context { self.take() } else { self.hold() }
    }

    fn finish(mut self: Box<Self>) -> Option<Reading> {
        self.settle_pending();
        let trace = self.report.into_trace()?;
        Some(Reading { trace, first_line: self.first_line, last_line: None })
    }
}

/// The type in front of `Traceback (most recent call last)`.
pub(super) fn header(text: &str) -> Option<&str> {
    let name = text.trim_end().strip_suffix("Traceback (most recent call last)")?;
    let name = name.strip_suffix("  ")?.trim();
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
    plain.then_some(name)
}

/// The rule above the header; an interactive session has its prompt in front of it.
fn is_rule(text: &str) -> bool {
    let rule = text.trim_start_matches(|c| c != '-');
    syntax::is_rule(rule) && (rule.len() == text.len() || syntax::is_prompt(text.trim_end().trim_end_matches('-')))
}

fn frame(text: &str) -> Option<TraceFrame> {
    // `File /srv/x.py:3, in f(a)`, `File /srv/x.py:3`, `Cell In[2], line 3, in f(a)`.
    static NEW: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^(?:File (\S.*?):(\d+)|((?:Cell|Input) In ?\[\d+\]),? line:? ?(\d+))(?:, in (.+))?$")
    });
    // `/srv/x.py in f(a)`, `<ipython-input-2-0f> in <module>`, `Input In [2], in <cell line: 1>()`.
    static OLD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^(?:File )?((?:/|~|[A-Za-z]:\\)\S*|<ipython-input-[^>]+>|Input In ?\[\d+\],)(?: in (.+))$")
    });
    let function = |name: &str| name.split('(').next().unwrap_or(name).trim().to_owned();
    if let Some(c) = NEW.captures(text) {
        let file = c.get(1).or(c.get(3))?.as_str().to_owned();
        let line = c.get(2).or(c.get(4)).and_then(|m| m.as_str().parse().ok());
        return Some(TraceFrame {
            file: Some(file),
            line,
            function: c.get(5).map(|m| function(m.as_str())),
            in_app: false,
        });
    }
    let c = OLD.captures(text)?;
    let file = c.get(1)?.as_str().trim_end_matches(',').to_owned();
    Some(TraceFrame { file: Some(file), line: None, function: c.get(2).map(|m| function(m.as_str())), in_app: false })
}

/// `----> 2     return d["x"]`.
fn arrow(text: &str) -> Option<u32> {
    static ARROW: LazyLock<Regex> = LazyLock::new(|| pattern(r"^-+> ?(\d+)\b"));
    ARROW.captures(text)?.get(1)?.as_str().parse().ok()
}
