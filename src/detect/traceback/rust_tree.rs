//! Errors that are drawn as trees: error-stack's reports and miette's graphical ones.
//!
//! Formats: `error-stack/src/fmt/mod.rs` (contexts `├─▶`, attachments `├╴`), `miette/src/handlers/graphical.rs` (causes `├─▶`, snippets
//! `╭─[file:line:column]`).

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{frame, group, indent, line_number, pattern};
use super::rust_report::{Numbered, parse_location};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a tree or of the snippets below it.
const MAX_LINES: usize = 400;

/// Who has drawn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Artist {
    ErrorStack,
    Miette,
}

/// A tree that is being read.
pub(super) struct Tree {
    first_line: u64,
    artist: Artist,
    message: String,
    frames: Vec<TraceFrame>,
    causes: Vec<String>,
    /// Frames of the tree itself; those of the backtraces below it come behind.
    drawn: usize,
    in_backtrace: bool,
    lines: usize,
    /// A panic, as miette's hook reports it.
    panic: bool,
}

impl Tree {
    /// Opens at the first place of an error-stack report, or at the first cause or snippet of miette's.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        let text = line.text.as_str();
        let mut tree = Self {
            first_line: line.number,
            artist: Artist::ErrorStack,
            message: String::new(),
            frames: Vec::new(),
            causes: Vec::new(),
            drawn: 0,
            in_backtrace: false,
            lines: 0,
            panic: false,
        };
        if text.contains("╴at ") && is_branch(text) {
            let at = before.iter().rposition(|head| !is_branch(&head.text))?;
            let head = before.get(at).filter(|head| !head.text.trim().is_empty())?;
            let message = head.text.split_once("Error: ").map_or(head.text.as_str(), |(_, message)| message);
            message.trim().clone_into(&mut tree.message);
            tree.first_line = head.number;
            tree.branch(text);
            return Some(tree);
        }
        let drawn = text.trim_start();
        if drawn.len() == text.len() || !["├─▶ ", "╰─▶ ", "╭─["].iter().any(|start| drawn.starts_with(start))
        {
            return None;
        }
        tree.artist = Artist::Miette;
        let at = before.iter().rposition(|head| head.text.contains("× "))?;
        let told = before.get(at..)?.iter().map(|line| line.text.trim());
        let (label, message) = told
            .collect::<Vec<_>>()
            .join(" ")
            .split_once("× ")
            .map(|(label, message)| (label.trim().to_owned(), message.to_owned()))?;
        let above = before.get(..at)?.iter().rev().find(|head| !head.text.trim().is_empty());
        tree.first_line = match above {
            _ if label == "Error:" => before.get(at)?.number,
            Some(above) if label.is_empty() && above.text.starts_with("Error: ") => above.number,
            _ => return None,
        };
        tree.panic = message.contains(" panicked.");
        tree.message = message.split(" │ ").collect::<Vec<_>>().join(" ");
        tree.branch(text);
        Some(tree)
    }

    /// Reads one line of the drawing.
    fn branch(&mut self, text: &str) {
        static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:╴at |─▶ at |╭─\[)(.+?):(\d+):\d+\]?$"));
        static CAUSE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[\s│]*[├╰][─┬]*▶ (.*)$"));
        if let Some(found) = PLACE.captures(text) {
            self.frames.push(frame(Language::Rust, Some(group(&found, 1)), line_number(group(&found, 2)), None));
            self.drawn = self.frames.len();
        } else if let Some(found) = CAUSE.captures(text) {
            let cause = group(&found, 1).trim().to_owned();
            if self.panic { self.message = cause } else { self.causes.push(cause) }
        }
    }

    fn backtrace(&mut self, text: &str) -> Next {
        if let Some((file, line)) = parse_location(text) {
            let function = self.frames.last().and_then(|last| last.function.clone());
            let placed = frame(Language::Rust, Some(file), line_number(line), function.as_deref());
            match self.frames.last_mut() {
                Some(last) if last.file.is_none() => *last = placed,
                _ => self.frames.push(placed),
            }
            return Next::Take;
        }
        if let Some(numbered) = Numbered::parse(text) {
            self.frames.push(frame(Language::Rust, None, None, numbered.function().as_deref()));
            return Next::Take;
        }
        if text.starts_with("backtrace no. ") { Next::Take } else { Next::End }
    }

    /// Snippets, help texts and whatever else miette draws: all of it is indented.
    fn drawing(&mut self, text: &str) -> Next {
        static SNIPPET: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ *(?:\d+|·|╰|╭|│|├)"));
        if text.contains("─▶ ") || text.contains("╭─[") {
            self.branch(text);
            return Next::Take;
        }
        if indent(text) > 0 || SNIPPET.is_match(text) { Next::Take } else { Next::End }
    }
}

impl OpenTrace for Tree {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.as_str();
        self.lines += 1;
        if text.trim().is_empty() {
            return Next::Hold;
        }
        if self.frames.len() >= Trace::MAX_FRAMES || self.lines > MAX_LINES {
            return Next::End;
        }
        if self.artist == Artist::Miette {
            return self.drawing(text);
        }
        if self.in_backtrace {
            return self.backtrace(text);
        }
        if text.starts_with("backtrace no. ") {
            self.in_backtrace = true;
            return Next::Take;
        }
        if text.starts_with("━━━") {
            return Next::Hold;
        }
        if is_branch(text) {
            self.branch(text);
            return Next::Take;
        }
        Next::End
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        // error-stack says where; a tree without any place is a drawing of something else.
        if self.artist == Artist::ErrorStack && self.drawn == 0 {
            return None;
        }
        let app = |frame: &TraceFrame| frame.in_app && frame.file.is_some();
        // The last place of the tree is the root cause's.
        let in_app_top =
            self.frames.iter().take(self.drawn).rposition(app).or_else(|| self.frames.iter().position(app));
        let exception = if self.panic { "panic" } else { "Error" };
        Some(Reading {
            trace: Trace {
                language: Language::Rust,
                exception: Some(exception.to_owned()),
                message: self.message,
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

/// A line of error-stack's tree.
fn is_branch(text: &str) -> bool {
    text.trim_start().starts_with(['│', '├', '╰'])
}
