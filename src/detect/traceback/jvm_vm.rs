//! What HotSpot itself reports: a crash of the VM (`VMError::report` of `vmError.cpp`), and deadlocks at the end of a thread
//! dump (`DeadlockCycle::print_on_with` of `threadService.cpp`). A thread dump alone is no failure.

use std::sync::LazyLock;

use regex::Regex;

use super::jvm_lines::parse_frame;
use super::lex::{frame, group, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the block of lines with `#`.
    Crash,
    /// The problematic frame is on the next line.
    CrashFrame,
    /// In the list of deadlocked threads.
    Deadlock,
}

/// A report that is being read.
pub(super) struct VmReport {
    place: Place,
    first_line: u64,
    exception: Option<String>,
    message: String,
    frames: Vec<TraceFrame>,
}

impl VmReport {
    /// Opens a report at the line that says what it is.
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        let text = line.text.trim();
        let new = |place, first_line, message: &str| Self {
            place,
            first_line,
            exception: None,
            message: message.to_owned(),
            frames: Vec::new(),
        };
        if text.starts_with("Found ") && text.ends_with(':') && text.contains(" Java-level deadlock") {
            return Some(new(Place::Deadlock, line.number, text.trim_end_matches(':')));
        }
        let says = text.strip_prefix("# ")?;
        if !says.starts_with("A fatal error has been detected by") && !says.starts_with("There is insufficient memory")
        {
            return None;
        }
        let rule = before.last().filter(|above| above.text.trim() == "#");
        Some(new(Place::Crash, rule.unwrap_or(line).number, says.trim_end_matches(':')))
    }

    fn in_crash(&mut self, text: &str) -> Next {
        static KIND: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^(SIG[A-Z0-9]+|EXCEPTION_[A-Z_]+|Internal Error|Out of Memory Error) (.*)$"));
        let Some(says) = text.strip_prefix('#') else { return Next::End };
        let says = says.trim();
        if self.place == Place::CrashFrame {
            self.place = Place::Crash;
            self.frames.extend(problematic_frame(says));
        } else if says == "Problematic frame:" {
            self.place = Place::CrashFrame;
        } else if self.exception.is_none()
            && let Some(found) = KIND.captures(says)
        {
            self.exception = Some(group(&found, 1).to_owned());
            group(&found, 2).clone_into(&mut self.message);
        }
        Next::Take
    }

    fn in_deadlock(&mut self, text: &str) -> Next {
        if let Some(parsed) = parse_frame(text) {
            self.frames.extend(parsed);
            return Next::Take;
        }
        let trimmed = text.trim();
        if trimmed.starts_with("Found ") && trimmed.contains(" deadlock") {
            return Next::TakeAndEnd;
        }
        let known = trimmed.starts_with("===")
            || trimmed.starts_with("- ")
            || trimmed.starts_with('"')
            || trimmed.starts_with("Java stack information")
            || text.starts_with("  ");
        match (known, trimmed.is_empty()) {
            (true, _) => Next::Take,
            (false, true) => Next::Hold,
            (false, false) => Next::End,
        }
    }
}

/// `C  [libz.so+0x7a1]  inflate+0x11`, `j  com.acme.A.f()V+12`, `J 12 c2 com.acme.A.f()V (33 bytes) @ …`.
fn problematic_frame(text: &str) -> Option<TraceFrame> {
    static NATIVE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^[CVvAS] +\[([^\]+]+)(?:\+0x[0-9a-f]+)?\](?: +(.+?)(?:\+0x[0-9a-f]+)?)?$"));
    static JAVA: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[jJ] +(?:\d+%? +(?:c[12] +)?)?([\w.$/]+)\("));
    if let Some(found) = JAVA.captures(text) {
        return Some(frame(Language::Java, None, None, Some(group(&found, 1))));
    }
    let found = NATIVE.captures(text)?;
    let (library, function) = (group(&found, 1), group(&found, 2));
    Some(TraceFrame {
        file: Some(library.to_owned()),
        line: None,
        function: Some(function.to_owned()).filter(|function| !function.is_empty()),
        in_app: false,
    })
}

impl OpenTrace for VmReport {
    fn push(&mut self, line: &TextLine) -> Next {
        match self.place {
            Place::Crash | Place::CrashFrame => self.in_crash(&line.text),
            Place::Deadlock => self.in_deadlock(&line.text),
        }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if self.place == Place::Deadlock && self.frames.is_empty() {
            return None;
        }
        let mut frames = self.frames;
        frames.truncate(Trace::MAX_FRAMES);
        let in_app_top = frames.iter().position(|frame| frame.in_app);
        Some(Reading {
            trace: Trace {
                language: Language::Java,
                exception: self.exception,
                message: self.message,
                frames,
                in_app_top,
                cause_chain: Vec::new(),
                text: String::new(),
                cut: false,
            },
            first_line: self.first_line,
            last_line: None,
        })
    }
}
