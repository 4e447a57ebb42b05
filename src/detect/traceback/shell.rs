//! Shell: the errors of the shell itself, and the call stacks that scripts print from an `ERR` trap.
//!
//! Formats: `caller` of bash, `FUNCNAME`/`BASH_SOURCE`/`BASH_LINENO` as scripts commonly print them, and bash's own
//! `script: line N: message`.

use std::sync::LazyLock;

use regex::Regex;

use super::in_app::is_app;
use super::lex::pattern;
use super::{Grammar, Next, OpenTrace, Reading};
use super::{powershell, shell_errors};
use crate::detect::line::TextLine;
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines of a trap between the shell's error and the stack.
const TRAP_LINES: usize = 3;

/// The grammar.
pub(super) struct Shell;

impl Grammar for Shell {
    fn language(&self) -> Language {
        Language::Shell
    }

    fn starters(&self) -> &'static [&'static str] {
        static ALL: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
            let own = [
                r"\.(?:sh|bash|ksh|zsh|bats):[0-9]+",
                r"^[0-9]+ [A-Za-z_][A-Za-z0-9_:.-]* [^ ]+\.(?:sh|bash|ksh|zsh|bats)$",
            ];
            own.iter().chain(shell_errors::STARTERS).chain(powershell::STARTERS).copied().collect()
        });
        &ALL
    }

    fn open(&self, before: &[TextLine], line: &TextLine) -> Option<Box<dyn OpenTrace>> {
        let text = line.text.trim_end();
        if let Some((frame, message)) = shell_errors::parse(text) {
            let quoted = message.starts_with("syntax error") || message.is_empty();
            // bats names the test above the place, and quotes the command below.
            let title = before.last().filter(|above| message.is_empty() && is_failed_test(&above.text));
            let message = title.map_or(message, |title| title.text.trim().to_owned());
            let first_line = title.map_or(line.number, |title| title.number);
            let place = Place::Error { quoted, lines: 0 };
            return Some(Box::new(Stack { frames: vec![frame], message, first_line, sure: true, place }));
        }
        if let Some(report) = powershell::Report::open(before, line) {
            return Some(Box::new(report));
        }
        let frame = stack_frame(text)?;
        let (first_line, message) = headline(before).unwrap_or((line.number, String::new()));
        let sure = !message.is_empty();
        Some(Box::new(Stack { frames: vec![frame], message, first_line, sure, place: Place::Frames }))
    }
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Behind the shell's own error: bash repeats a line that it could not read, a trap prints a stack.
    Error { quoted: bool, lines: usize },
    /// Among the frames of a stack.
    Frames,
}

struct Stack {
    frames: Vec<TraceFrame>,
    message: String,
    first_line: u64,
    /// Something says that it is a failure.
    sure: bool,
    place: Place,
}

impl OpenTrace for Stack {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        if let Some(frame) = stack_frame(text).filter(|_| self.frames.len() < Trace::MAX_FRAMES) {
            self.place = Place::Frames;
            self.frames.push(frame);
            return Next::Take;
        }
        let Place::Error { quoted, lines } = self.place else { return Next::End };
        self.place = Place::Error { quoted: false, lines: lines + 1 };
        if shell_errors::parse(text).is_some() {
            return Next::End;
        }
        let repeated = text.contains(": line ") && text.ends_with('\'');
        let failed = text.trim_start_matches(['#', ' ']).starts_with('`') && text.ends_with("' failed");
        if quoted && (repeated || failed) {
            return Next::Take;
        }
        // What a trap says above its stack.
        let trap = lines < TRAP_LINES && (is_failure(text) || is_title(text));
        if trap { Next::Hold } else { Next::End }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        if !self.sure {
            return None;
        }
        let in_app_top = self.frames.iter().position(|frame| frame.in_app);
        let trace = Trace {
            language: Language::Shell,
            exception: None,
            message: self.message,
            frames: self.frames,
            in_app_top,
            cause_chain: Vec::new(),
            text: String::new(),
            cut: false,
        };
        Some(Reading { trace, first_line: self.first_line, last_line: None })
    }
}

/// A line of a call stack.
fn stack_frame(text: &str) -> Option<TraceFrame> {
    // `caller`: line, function, file.
    static CALLER: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\s*(\d+) ([A-Za-z_][\w:.-]*) (\S+\.(?:sh|bash|ksh|zsh|bats))$"));
    // `    at upload (./deploy.sh:13)`, `  #1 upload ./deploy.sh:13`, `  ./deploy.sh:13 in upload`.
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^\s+(?:[#\[]?\d+[\]:.)]*\s+)?(?:at |in |from |called from |-> )?(?:([A-Za-z_][\w:-]*)(?:\(\))?,? (?:at |in |from )?)?\(?([^\s()]+\.(?:sh|bash|ksh|zsh|bats)):(\d+)\)?(?:[:,]? (?:in )?(?:function )?\(?([A-Za-z_][\w:-]*)(?:\(\))?\)?)?$",
        )
    });
    if let Some(c) = CALLER.captures(text) {
        return Some(frame(c.get(3)?.as_str(), c.get(1)?.as_str(), c.get(2).map(|m| m.as_str())));
    }
    let c = NAMED.captures(text)?;
    let function = c.get(1).or(c.get(4)).map(|m| m.as_str());
    Some(frame(c.get(2)?.as_str(), c.get(3)?.as_str(), function))
}

/// Whether a line says that something failed.
fn is_failure(text: &str) -> bool {
    static FAILURE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?i)\b(?:error|err|fail(?:ed|ure)?|fatal|abort(?:ed|ing)?|exit(?:ed)?|status|rc=?|code|trap)\b")
    });
    FAILURE.is_match(text)
}

/// ` ✗ adds`, `not ok 3 adds`: a failed test as bats prints it.
fn is_failed_test(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("✗ ") || text.starts_with("not ok ")
}

/// `Call stack:`, `Traceback:`.
fn is_title(text: &str) -> bool {
    static TITLE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?i)^\s*[-=* ]*(?:call ?stack|stack ?trace|trace ?back|back ?trace|stack)\b.*[:=-]+$")
    });
    TITLE.is_match(text)
}

/// The line above a call stack that says what has failed.
fn headline(before: &[TextLine]) -> Option<(u64, String)> {
    static LEVEL: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\[?(?:ERROR|FATAL|ERR|error|fatal|Error|Fatal)\]?:? +"));
    let mut lines = before.iter().rev().filter(|line| !line.text.trim().is_empty());
    let mut line = lines.next()?;
    if is_title(&line.text) {
        line = lines.next()?;
    }
    let text = line.text.trim();
    is_failure(text).then(|| (line.number, LEVEL.replace(text, "").into_owned()))
}

fn frame(file: &str, line: &str, function: Option<&str>) -> TraceFrame {
    TraceFrame {
        file: Some(file.to_owned()),
        line: line.parse().ok(),
        function: function.map(str::to_owned),
        in_app: is_app(Language::Shell, Some(file), function),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let lines: Vec<TextLine> = (1..)
            .zip(text.lines())
            .map(|(number, text)| TextLine { number, text: text.to_owned(), ..TextLine::default() })
            .collect();
        let (at, mut open) = (0..lines.len()).find_map(|at| Some((at, Shell.open(&lines[..at], &lines[at])?)))?;
        let mut last = lines[at].number;
        for line in &lines[at + 1..] {
            match open.push(line) {
                Next::Take => last = line.number,
                Next::TakeAndEnd => {
                    last = line.number;
                    break;
                }
                Next::Hold => {}
                Next::End => break,
            }
        }
        let reading = open.finish()?;
        let frames = reading.trace.frames.iter().map(|frame| {
            format!(
                "{}:{} {}",
                frame.file.as_deref().unwrap(),
                frame.line.unwrap(),
                frame.function.as_deref().unwrap_or("-")
            )
        });
        let frames: Vec<String> = frames.collect();
        Some(format!("{}-{last} {} [{}]", reading.first_line, reading.trace.message, frames.join(", ")))
    }

    #[test]
    fn stacks_and_errors_are_read() {
        // (name, text, what is read)
        let rows = [
            (
                "caller",
                "go\nstep failed: rc=1\n5 g ./a.sh\n7 main ./a.sh\n",
                Some("2-4 step failed: rc=1 [./a.sh:5 g, ./a.sh:7 main]"),
            ),
            ("at name (file:line)", "ERROR: x failed\n    at f (./a.sh:3)\n", Some("1-2 x failed [./a.sh:3 f]")),
            (
                "titled, numbered",
                "Error: exit 1\nCall stack:\n  [1] f at ./e.sh:4\n  [2] main at ./e.sh:5\n",
                Some("1-4 exit 1 [./e.sh:4 f, ./e.sh:5 main]"),
            ),
            ("file first", "failed\n  ./e.sh:4 in f\n", Some("1-2 failed [./e.sh:4 f]")),
            (
                "bash, unset",
                "./b.sh: line 3: NOPE: unbound variable\n",
                Some("1-1 NOPE: unbound variable [./b.sh:3 -]"),
            ),
            ("dash, unset", "./b.sh: 3: NOPE: parameter not set\n", Some("1-1 NOPE: parameter not set [./b.sh:3 -]")),
            (
                "bash repeats the line",
                "a.sh: line 4: syntax error near unexpected token `fi'\na.sh: line 4: `fi'\nbye",
                Some("1-2 syntax error near unexpected token `fi' [a.sh:4 -]"),
            ),
            (
                "a trap below the shell's own error",
                "./d.sh: line 7: aws: command not found\nERROR: 'aws' failed with status 127\n    at up (./d.sh:7)\n    at main (./d.sh:12)\nexit 127",
                Some("1-4 aws: command not found [./d.sh:7 -, ./d.sh:7 up, ./d.sh:12 main]"),
            ),
            (
                "bats",
                " ✗ adds\n   (in test file test/cart.bats, line 7)\n     `[ \"$x\" -eq 3 ]' failed\nbye",
                Some("1-3 ✗ adds [test/cart.bats:7 -]"),
            ),
            ("no sign of a failure", "sourced\n  ./e.sh:4 in f\n", None),
            ("a linter's finding", "checking\n./e.sh:4: note: use local\n", None),
        ];
        for (name, text, expected) in rows {
            assert_eq!(read(text).as_deref(), expected, "{name}");
        }
    }
}
