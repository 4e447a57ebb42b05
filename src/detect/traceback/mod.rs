//! Stack traces: one grammar per language, one driver that feeds them.
//!
//! A [`Grammar`] knows what a trace of its language looks like, line by line. The driver (`driver.rs`) knows about streams:
//! prefixes and interleaving, ends, caps, traces inside JSON fields. Grammars are pure and never see a prefix or a colour.
//!
//! | files | what they know |
//! | --- | --- |
//! | `driver` | which line goes to which open trace |
//! | `openers`, `contest`, `little` | where a trace begins in a line, the ways its other lines may look, the lines it has taken and holds |
//! | `prefix`, `head` | what launchers, collectors and loggers put in front of a line: known forms, learned ones |
//! | `partial` | lines that a container runtime has cut into pieces |
//! | `json`, `json_beside`, `json_fields` | traces inside one structured line, and what such a line says of itself |
//! | `console_record` | a structured line whose stack is printed below it once more |
//! | `python*`, `js*`, `go*`, `rust*`, `jvm*`, `cpp*`, `dotnet*`, `ruby*`, `php*` | one grammar per language and its dialects |
//! | `shell`, `shell_errors`, `powershell` | stacks that scripts print, what each shell says about a script |
//! | `in_app*` | whose a frame is |
//! | `lex` | pieces that grammars share |

mod console_record;
mod contest;
mod cpp;
mod cpp_check;
mod cpp_crash;
mod cpp_stack;
#[cfg(test)]
mod cpp_tests;
mod cpp_valgrind;
mod dotnet;
mod dotnet_lines;
#[cfg(test)]
mod dotnet_tests;
mod driver;
mod go;
mod go_lines;
mod go_open;
mod go_testify;
mod head;
pub mod in_app;
mod in_app_more;
mod js;
mod js_heap;
mod js_inspected;
mod js_lines;
mod js_report;
mod js_tap;
#[cfg(test)]
mod js_tests;
mod js_uncaught;
mod json;
mod json_beside;
mod json_fields;
mod jvm;
mod jvm_lines;
mod jvm_open;
mod jvm_short;
mod jvm_vm;
mod lex;
mod little;
mod openers;
mod partial;
mod php;
mod php_lines;
mod php_runners;
#[cfg(test)]
mod php_tests;
mod powershell;
mod prefix;
mod python;
mod python_boxes;
mod python_cells;
mod python_elastic;
mod python_fault;
mod python_group;
mod python_printed;
mod python_pytest;
mod python_pytest_line;
mod python_report;
mod python_syntax;
#[cfg(test)]
mod rig;
mod ruby;
mod ruby_bug;
mod ruby_lines;
mod ruby_rspec;
#[cfg(test)]
mod ruby_tests;
mod rust;
mod rust_report;
#[cfg(test)]
mod rust_tests;
mod rust_tree;
mod shell;
mod shell_errors;

pub use driver::{CONTEXT_LINES, Driver, Found, RawLine, Role};
pub(in crate::detect) use prefix::sure_fields;

use std::collections::BTreeMap;

use super::line::TextLine;
use super::{Language, Trace};

/// How many lines before a starter a grammar may claim as the head of its trace.
pub const LOOKBACK: usize = 12;

/// A language's way to print a stack trace.
pub trait Grammar: Send + Sync {
    /// Language of the traces (a trace may say otherwise, for example Kotlin on the JVM).
    fn language(&self) -> Language;

    /// Regular expressions (syntax of the `regex` crate, bytes, no Unicode) of the lines at which [`Grammar::open`] is asked.
    ///
    /// They run over the whole log together with all detectors, so they should be rare in healthy logs and begin with or
    /// contain a literal of three bytes or more.
    fn starters(&self) -> &'static [&'static str];

    /// Opens a trace at `line`, or says no.
    ///
    /// `before` holds up to [`LOOKBACK`] lines of the same little stream in front of `line`, oldest first, none of which
    /// belongs to an earlier trace. The open trace may claim the last few of them as its head.
    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>>;
}

/// A trace that is being read.
pub trait OpenTrace: Send {
    /// Offers the next line of the same little stream.
    fn push(&mut self, line: &TextLine) -> Next;

    /// Whether the held lines are part of the trace after all, now that it is over. `whole` says that nothing else can stand
    /// behind it: the trace is the text of a field.
    fn claims_held(&mut self, whole: bool) -> bool {
        let _ = whole;
        false
    }

    /// What the report says of the process that failed (`rank`, `exitcode`), in the words of a detection's captures.
    fn fields(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Ends the trace. `None` when the lines were no trace after all.
    fn finish(self: Box<Self>) -> Option<Reading>;
}

/// What a trace says to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The line is part of the trace, and so are all lines answered with [`Next::Hold`] since the last `Take`.
    Take,
    /// The line may be part of it: only a later `Take` will tell. Held lines are offered anew to all grammars otherwise.
    Hold,
    /// The line is part of the trace, and the trace ends with it.
    TakeAndEnd,
    /// The line is not part of the trace, which has ended before it.
    End,
}

/// A trace that has been read, with the lines it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The trace; `text`, `cut` and the caps are the driver's to fill.
    pub trace: Trace,
    /// Number of the first line that belongs to it (one of `before`, or the starter's line).
    pub first_line: u64,
    /// Number of the last line, where the grammar knows better than "the last taken line".
    pub last_line: Option<u64>,
}

/// All grammars, the most specific first: the first that opens a trace at a line has it.
fn grammars() -> Vec<Box<dyn Grammar>> {
    vec![
        Box::new(python::Python),
        Box::new(jvm::Jvm),
        Box::new(dotnet::Dotnet),
        Box::new(ruby::Ruby),
        Box::new(php::Php),
        Box::new(shell::Shell),
        Box::new(rust::Rust),
        Box::new(go::Go),
        Box::new(cpp::Cpp),
        Box::new(js::JavaScript),
    ]
}
