//! Errors that valgrind's tools print while the program runs on: memcheck, helgrind, drd.
//!
//! Format: `VG_(pp_ExeContext)` of valgrind 3.14 to 3.24: `==pid==` in front of every line, an empty one behind each error of
//! memcheck. An error of helgrind (`hg_errors.c`) has several paragraphs, and the threads it names are announced above it.

use std::sync::LazyLock;

use regex::Regex;

use super::cpp::trace;
use super::in_app::is_app;
use super::lex::pattern;
use super::{Next, OpenTrace, Reading};
use crate::detect::line::TextLine;
use crate::detect::{Language, TraceFrame};

/// Lines that the program itself may print between two lines of an error.
const MAX_FOREIGN: usize = 16;

/// How further paragraphs of the same error begin.
const PARAGRAPHS: &[&str] = &[
    "This conflicts with a previous ",
    "Observed (incorrect) order is",
    "followed by a later acquisition",
    "Required order was established",
    "Lock at 0x",
    "Locks held: ",
    "Address 0x",
];

/// One error.
pub(super) struct Valgrind {
    pid: String,
    message: String,
    first_line: u64,
    frames: Vec<TraceFrame>,
    /// Where the stack begins that the error is about, and where it ends.
    stack: (usize, Option<usize>),
    held: usize,
    /// The error goes on in further paragraphs.
    several: bool,
    /// An empty line has come.
    paragraph: bool,
}

impl Valgrind {
    /// Opens at the announcement of a thread, or at the first frame; what is wrong stands above it.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        let (pid, text) = parts(&line.text)?;
        let mut open = Self {
            pid: pid.to_owned(),
            message: String::new(),
            first_line: line.number,
            frames: Vec::new(),
            stack: (0, None),
            held: 0,
            several: false,
            paragraph: false,
        };
        if text.trim_start().starts_with("---Thread-Announcement") {
            open.several = true;
            return Some(open);
        }
        open.frames.push(frame(text)?);
        let own = |line: &TextLine| {
            let (other, text) = parts(&line.text)?;
            (other == pid).then(|| (line.number, text.trim().to_owned()))
        };
        let mut above = before.iter().rev().map_while(own).skip_while(|(_, text)| text.is_empty());
        let head: Vec<(u64, String)> = above.by_ref().take_while(|(_, text)| !text.is_empty()).collect();
        let mut told = head.iter().rev();
        let (first_line, mut message) = told.next().cloned()?;
        // memcheck names the thread first.
        if message.starts_with("Thread ") && message.ends_with(':') {
            message = told.next().map_or(message, |(_, next)| next.clone());
        }
        open.first_line = first_line;
        // The order of locks is told in a paragraph of its own.
        if message.starts_with("Observed (incorrect)")
            && let Some((number, title)) = above.next().filter(|(_, title)| title.contains("lock order"))
        {
            (open.first_line, message) = (number, title);
            open.several = true;
        }
        open.several |= message.starts_with("Possible data race");
        open.message = message;
        Some(open)
    }

    /// The first line of a paragraph below an empty line.
    fn next_paragraph(&mut self, text: &str) -> Next {
        let ahead = self.message.is_empty();
        let announced = text.starts_with("---Thread-Announcement") || text.starts_with("-----");
        if ahead && (announced || text.starts_with("Thread #") && text.ends_with("was created")) {
            return Next::Take;
        }
        if ahead {
            text.clone_into(&mut self.message);
            self.stack = (self.frames.len(), None);
            return Next::Take;
        }
        let lock_order = self.message.contains("lock order") && self.frames.len() == self.stack.0;
        if lock_order || PARAGRAPHS.iter().any(|start| text.starts_with(start)) {
            self.end_stack();
            return Next::Take;
        }
        Next::End
    }

    fn end_stack(&mut self) {
        let frames = self.frames.len();
        if frames > self.stack.0 {
            self.stack.1.get_or_insert(frames);
        }
    }
}

impl OpenTrace for Valgrind {
    fn push(&mut self, line: &TextLine) -> Next {
        let Some((_, text)) = parts(&line.text).filter(|(pid, _)| *pid == self.pid) else {
            self.held += 1;
            return if self.held > MAX_FOREIGN { Next::End } else { Next::Hold };
        };
        if text.trim().is_empty() {
            self.paragraph = true;
            return if self.several { Next::Hold } else { Next::End };
        }
        self.held = 0;
        if let Some(frame) = frame(text) {
            self.frames.push(frame);
        } else if std::mem::take(&mut self.paragraph) {
            return self.next_paragraph(text.trim());
        } else if !self.message.is_empty() {
            self.end_stack();
        }
        Next::Take
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if self.message.is_empty() || self.frames.is_empty() {
            return None;
        }
        let (start, end) = (self.stack.0, self.stack.1.unwrap_or(self.frames.len()));
        let app = |frame: &TraceFrame| frame.in_app && frame.file.is_some();
        let own = self.frames.iter().take(end).skip(start).position(app).map(|at| at + start);
        let in_app_top = own.or_else(|| self.frames.iter().position(app));
        let mut trace = trace(None, self.message, self.frames);
        trace.in_app_top = in_app_top;
        Some(Reading { trace, first_line: self.first_line, last_line: None })
    }
}

/// Process number and text of `==4711== text`.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (pid, rest) = text.strip_prefix("==")?.split_once("==")?;
    (!pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit())).then_some((pid, rest))
}

/// `    at 0x10915B: main (t.c:4)`, `    by 0x4A: f (in /usr/lib/libx.so)`.
fn frame(text: &str) -> Option<TraceFrame> {
    static FRAME: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^    (?:at|by) 0x[0-9A-F]+: (.+?)(?: \((?:in .+|([^()]+):(\d+))\))?$"));
    let c = FRAME.captures(text)?;
    let function = c.get(1).map(|m| m.as_str()).filter(|name| *name != "???");
    let file = c.get(2).map(|m| m.as_str());
    let name = file.unwrap_or_default();
    // Only the names of files are printed: the headers of libstdc++ and the sources of glibc are told by theirs.
    let library = name.starts_with("vg_")
        || [".S", ".tcc"].iter().any(|end| name.ends_with(end))
        || [
            "gthr-default.h",
            "std_mutex.h",
            "std_thread.h",
            "invoke.h",
            "clone-internal.c",
            "pthread_create.c",
            "unique_lock.h",
        ]
        .contains(&name);
    Some(TraceFrame {
        file: file.map(str::to_owned),
        line: c.get(3).and_then(|m| m.as_str().parse().ok()),
        function: function.map(str::to_owned),
        in_app: file.is_some() && !library && is_app(Language::Cpp, file, function),
    })
}
