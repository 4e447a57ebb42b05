//! What Node prints when nobody catches: the place, the code, a caret, and below them an error or any other value.
//!
//! Format: `node/src/node_errors.cc` (`AppendExceptionLine`, `PrintUncaughtException`, `TriggerUncaughtException`) of Node 10 to 24.

use super::js_lines::{Head, is_caret, parse_header};
use super::js_report::{Dialect, Open, Place, SOURCE_BLANKS, language_of, reading};
use super::lex::{frame, indent};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::Language;

/// Most lines between the place and the caret.
const SOURCE_LINES: usize = 3;
/// Most lines of a thrown text or object.
const VALUE_LINES: usize = 200;

/// Where the reader is.
enum Stage {
    /// In the code, so many lines so far.
    Code(usize),
    /// Below the caret, so many empty lines so far.
    Below(usize),
    /// In a value that is no error, so many lines so far.
    Value(usize),
    /// Behind `Thrown at:`, or in an error's report.
    Report(Box<Open>),
    /// Behind a value.
    Done,
}

/// An uncaught value that is being read, from the line with its place on.
pub(super) struct Uncaught {
    first_line: u64,
    place: (String, Option<u32>),
    stage: Stage,
    value: Vec<String>,
    /// So many lines of the value are sure to belong to it.
    sure: usize,
}

impl Uncaught {
    /// Opens at `/srv/app.js:12`.
    pub(super) fn open(line: &TextLine) -> Option<Self> {
        let (file, number) = parse_header(&line.text).filter(|(file, _)| is_source(file))?;
        let place = (file.to_owned(), number);
        Some(Self { first_line: line.number, place, stage: Stage::Code(0), value: Vec::new(), sure: 0 })
    }

    fn in_code(&mut self, text: &str, lines: usize) -> Next {
        let wasm = self.place.0.starts_with("wasm://") && text.trim().is_empty();
        if is_caret(text) || wasm {
            self.stage = Stage::Below(0);
        } else if lines >= SOURCE_LINES || text.trim().is_empty() || Head::bare(text).is_some() {
            return Next::End;
        } else {
            self.stage = Stage::Code(lines + 1);
        }
        Next::Hold
    }

    fn below(&mut self, line: &TextLine, blanks: usize) -> Next {
        let text = line.text.as_str();
        if text.trim().is_empty() {
            self.stage = Stage::Below(blanks + 1);
            return if blanks > SOURCE_BLANKS { Next::End } else { Next::Hold };
        }
        // A worker's error has a place of its own below that of the event.
        if let Some((file, number)) = parse_header(text).filter(|_| blanks == 0) {
            self.place = (file.to_owned(), number);
            self.stage = Stage::Code(0);
            return Next::Hold;
        }
        let head = Head::bare(text);
        if head.is_none() && blanks == 0 {
            self.value.push(text.to_owned());
            self.sure = 1;
            let whole = !(text.ends_with(['{', '[', '(']) || text.ends_with(','));
            self.stage = if whole { Stage::Value(1) } else { Stage::Value(0) };
            return Next::Take;
        }
        // An error whose stack the program has overwritten.
        if head.is_none() && text.starts_with('[') && text.ends_with(']') {
            self.value.push(text.to_owned());
            self.sure = 1;
            self.stage = Stage::Value(1);
            return Next::Take;
        }
        let quoting = text.contains("Command failed") || text.contains("[ProcessOutput]");
        let head = head.unwrap_or_else(|| Head { indent: indent(text), ..Head::untyped(text) });
        let typed = head.exception.is_some();
        let mut open = Open::new(head, self.first_line, Place::Message(0));
        open.header = Some(self.place.clone());
        open.proved = typed;
        if quoting {
            open.dialect = Dialect::Quoting;
        }
        if text.ends_with(" {") {
            open.place = Place::Properties;
        }
        self.stage = Stage::Report(Box::new(open));
        Next::Take
    }

    fn in_value(&mut self, text: &str, lines: usize) -> Next {
        let trimmed = text.trim();
        if trimmed.starts_with("(Use `node --trace-uncaught ") {
            self.sure = self.value.len();
            self.stage = Stage::Done;
            return Next::TakeAndEnd;
        }
        if trimmed == "Thrown at:" {
            self.sure = self.value.len();
            let mut open = Open::new(Head::default(), self.first_line, Place::Frames(0));
            open.head.message = self.text();
            open.header = Some(self.place.clone());
            open.proved = true;
            self.stage = Stage::Report(Box::new(open));
            return Next::Take;
        }
        if text.starts_with("Node.js v") || lines >= VALUE_LINES {
            return Next::End;
        }
        self.value.push(text.to_owned());
        if lines > 0 {
            // Further lines of a thrown text: only what follows tells.
            self.stage = Stage::Value(lines + 1);
            return Next::Hold;
        }
        // An object goes on until its bracket closes.
        self.sure = self.value.len();
        if indent(text) == 0 && trimmed.starts_with(['}', ']', ')']) {
            self.stage = Stage::Value(1);
        } else if indent(text) == 0 || self.sure > VALUE_LINES {
            return Next::End;
        }
        Next::Take
    }

    /// The value without the words that some versions put in front of it.
    fn text(&self) -> String {
        let value = self.value.get(..self.sure).unwrap_or_default().join("\n");
        let value = value.trim().trim_start_matches("Uncaught:").trim_start_matches("Uncaught ").trim();
        value.to_owned()
    }
}

/// Whether the file is one of JavaScript, or stands for code that has none.
fn is_source(file: &str) -> bool {
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    matches!(ending, "js" | "ts" | "mjs" | "cjs" | "mts" | "cts" | "jsx" | "tsx")
        || ["node:", "<anonymous_script>", "[eval]", "[worker eval]", "evalmachine.<anonymous>", "wasm://"]
            .iter()
            .any(|start| file.starts_with(start))
        || file == "undefined"
}

impl OpenTrace for Uncaught {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.as_str();
        match &mut self.stage {
            Stage::Report(open) => open.push(line),
            Stage::Code(lines) => {
                let lines = *lines;
                self.in_code(text, lines)
            }
            Stage::Below(blanks) => {
                let blanks = *blanks;
                self.below(line, blanks)
            }
            Stage::Value(lines) => {
                let lines = *lines;
                self.in_value(text, lines)
            }
            Stage::Done => Next::End,
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let message = self.text();
        match self.stage {
            Stage::Report(open) => open.finish(),
            Stage::Code(_) | Stage::Below(_) => None,
            Stage::Value(_) | Stage::Done => {
                let (file, line) = &self.place;
                let own = file.starts_with("node:") || file.starts_with('<');
                let placed = frame(Language::Javascript, Some(file), *line, None);
                let frames: Vec<_> = (!own).then_some(placed).into_iter().collect();
                let in_app_top = frames.iter().position(|frame| frame.in_app);
                let head = Head { message, ..Head::default() };
                Some(reading(language_of(&frames, in_app_top), head, frames, in_app_top, Vec::new(), self.first_line))
            }
        }
    }
}
