//! What other programs put into the message of a Python exception: torchrun's table, a notebook's cell, where a TensorFlow
//! operation was defined.

use super::super::Next;
use super::super::python_cells::{self, Cells};
use super::super::python_report::Link;
use super::super::python_syntax::{self as syntax, Shape};
use super::{Plain, State};

/// Lines of a report that is framed by two rules (torchrun's table of failures).
const MAX_BOX: usize = 600;
/// Lines between the exception that says that a notebook's cell has failed and the cell's own report: the cell's source.
const MAX_CELL: usize = 1_000;

impl Plain {
    pub(super) fn read_box(&mut self, text: &str, lines: usize, rule: char, of: usize) -> Next {
        if lines >= MAX_BOX {
            return Next::End;
        }
        self.report.message_line_of(of, text);
        if syntax::is_rule(text) && text.trim_start().starts_with(rule) && lines > 0 {
            return Next::TakeAndEnd;
        }
        // The failed process's own report, where it has left one.
        match syntax::shape(text) {
            _ if text.trim_start().starts_with("traceback : Traceback (most recent call last):") => {
                self.report.begin(Link::Nested, self.depth);
            }
            Shape::Frame(frame) if self.report.current() > of => self.report.frame(frame.into_trace_frame()),
            Shape::Exception { name, message }
                if self.report.current() > of
                    && self.report.exception_name().is_none()
                    && syntax::indent(text) <= 2
                    && syntax::is_exception_name(name) =>
            {
                self.report.exception(name, message);
            }
            Shape::Header { .. } if self.report.current() == of => return Next::End,
            _ => {}
        }
        self.state = State::Box { lines: lines + 1, rule, of };
        self.take()
    }

    /// Waits for the cell's own report; in between stand the cell's source and its output.
    pub(super) fn read_cell(&mut self, text: &str, lines: usize) -> Next {
        if let Some(name) = python_cells::header(text) {
            let report = std::mem::take(&mut self.report);
            self.cells = Some(Box::new(Cells::quoted(report, name, self.first_line)));
            return self.take();
        }
        if matches!(syntax::shape(text), Shape::Header { .. } | Shape::GroupHeader) {
            // The cell's report in the interpreter's own form.
            return self.nest(syntax::indent(text));
        }
        self.state = State::Cell { lines: lines + 1 };
        if lines == 0 && !text.trim().is_empty() && !syntax::is_rule(text) && !text.starts_with("---") {
            self.state = State::Message;
            return self.read_message(text);
        }
        if syntax::link(text).is_some() {
            self.state = State::Message;
            return self.read_message(text);
        }
        self.hold(text, MAX_CELL)
    }

    /// Whether the message quotes where a TensorFlow operation was defined.
    pub(super) fn in_definition(&self) -> bool {
        self.report.message_of(self.report.current()).iter().any(|line| line.starts_with("Detected at node "))
    }

    /// Frames of such a definition belong to the exception itself, and so does all that follows.
    pub(super) fn read_definition(&mut self, text: &str) -> Next {
        match syntax::shape(text) {
            Shape::Frame(frame) => {
                self.report.frame(frame.into_trace_frame());
                self.message_line(text)
            }
            Shape::Header { .. } | Shape::GroupHeader => Next::End,
            Shape::Blank => self.hold(text, 2),
            _ if syntax::is_log(text) && !text.starts_with('[') => Next::End,
            _ if self.message_lines > MAX_BOX => Next::End,
            // Behind the definition stand the operation, its error and the node's name.
            _ if syntax::indent(text) > 0
                || ["Node: ", "Detected at node ", "Original stack trace for ", "(0) ", "(1) "]
                    .iter()
                    .any(|s| text.starts_with(s))
                || text.ends_with("derived errors ignored.")
                || text.ends_with("successful operations.") =>
            {
                self.message_line(text)
            }
            _ => self.hold(text, 4),
        }
    }
}
