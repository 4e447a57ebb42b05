//! Crashes of native programs whose stack stands below a line that says what happened: handlers of signals, failed checks,
//! debuggers, MPI, Fortran, LLVM.

use std::sync::LazyLock;

use regex::Regex;

use super::cpp::trace;
use super::cpp_stack::{parse_frame, parse_place, placed};
use super::lex::{begins_record, frame, group, line_number, pattern, sounds_bad};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Most lines in a row that are no frame: the variables of gdb's `bt full`.
const MAX_HELD: usize = 120;
/// Most lines ahead of the first frame.
const MAX_AHEAD: usize = 16;

/// The lines at which [`Crash::open`] is asked.
pub(super) const STARTERS: &[&str] = &[
    " received signal SIG",
    "^Program terminated with signal SIG",
    r"\*\*\* Process received signal \*\*\*",
    r"\*\*\* An error occurred in MPI_",
    r"Fatal error in P?MPI_\w+: ",
    r"\*\*\* Check failure stack trace: \*\*\*",
    r"^F\d{4,8} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.(?:cc|cpp|cxx|c|cu|h|hpp):\d+\] ",
    r": F \S+\.(?:cc|cpp|cxx|c|cu|h|hpp):\d+\] ",
    " watchdog thread terminated with exception: ",
    r"^\*\*\* Aborted at \d+ \(",
    r"^\*\*\* SIG[A-Z]+ received at ",
    r"\+0x[0-9a-f]+\) ?\[0x[0-9a-f]+\]$",
    r"^ *0# ",
    "^frame #0: ",
    r"^Stack trace \(most recent call ",
    "^PLEASE submit a bug report to ",
    "^Fortran runtime error: ",
    r"^Error termination\. Backtrace:$",
    r"^forrtl: (?:severe|error) \(\d+\): ",
    r"^\*\*\* Error in `",
    r"^\s*Stack trace of thread \d+:$",
];

/// Who prints it, where it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A stack that goes on as long as there are frames.
    Plain,
    Gdb,
    /// Every line behind `[host:pid] `; ends with a line of its own, or with the list of what is fatal.
    OpenMpi,
    /// The message goes on until `Exception raised from …` and its frames.
    Raised,
    /// `PMPI_Send(157): MPI_Send(…) failed`.
    Mpich,
    /// A record of glog, then its stack.
    Glog,
    Llvm,
    /// backward-cpp: code below each frame, what happened below them all.
    Backward,
    /// `======= Backtrace: =========` and `======= Memory map: ========`.
    Glibc,
}

/// A crash that is being read.
pub(super) struct Crash {
    trace: Trace,
    first_line: u64,
    kind: Kind,
    /// What stands in front of every line.
    writer: String,
    held: usize,
    /// The words say enough without a stack.
    proved: bool,
    more: Vec<String>,
    /// The innermost frame is printed last.
    last_first: bool,
}

impl Crash {
    /// Opens at one of [`STARTERS`].
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        let text = line.text.trim_end();
        Self::of_signal(line.number, text)
            .or_else(|| Self::of_mpi(line.number, text))
            .or_else(|| Self::of_glog(before, line.number, text))
            .or_else(|| Self::of_words(before, line.number, text))
            .or_else(|| Self::of_stack(before, line.number, text))
    }

    fn new(exception: Option<&str>, message: &str, first_line: u64, kind: Kind) -> Self {
        let exception = exception.map(str::to_owned);
        let trace = trace(exception, message.trim().to_owned(), Vec::new());
        Self {
            trace,
            first_line,
            kind,
            writer: String::new(),
            held: 0,
            proved: false,
            more: Vec::new(),
            last_first: false,
        }
    }

    /// gdb, gfortran and the handlers of glog and Abseil name the signal.
    fn of_signal(number: u64, text: &str) -> Option<Self> {
        static GDB: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r"^(?:Program|Thread \d+.*) (?:received|terminated with) signal (SIG[A-Z0-9]+)(, |: )(.*?)\.?$")
        });
        static HANDLER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\*\*\* (SIG[A-Z]+) received at .*\*\*\*$"));
        if let Some(c) = GDB.captures(text) {
            // A person has stopped it, or a debugger.
            if matches!(group(&c, 1), "SIGINT" | "SIGTRAP" | "SIGSTOP" | "SIGTSTP") {
                return None;
            }
            let kind = if group(&c, 2) == ", " { Kind::Gdb } else { Kind::Plain };
            return Some(Self::new(Some(group(&c, 1)), group(&c, 3), number, kind));
        }
        if let Some(c) = HANDLER.captures(text) {
            return Some(Self::new(Some(group(&c, 1)), text, number, Kind::Plain));
        }
        text.starts_with("*** Aborted at ").then(|| Self::new(None, text, number, Kind::Plain))
    }

    fn of_mpi(number: u64, text: &str) -> Option<Self> {
        static OPEN_MPI: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r"^(\[[^\]\s]+:\d+\] )?\*\*\* (Process received signal \*\*\*|(?:An error occurred in MPI_\w+))$")
        });
        static MPICH: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"^(?:Abort\(\d+\).*?: )?(Fatal error in P?MPI_\w+): (.*?)(?:, error stack:)?$"));
        if let Some(c) = OPEN_MPI.captures(text) {
            let mut crash = Self::new(None, group(&c, 2).trim_end_matches(" ***"), number, Kind::OpenMpi);
            group(&c, 1).clone_into(&mut crash.writer);
            crash.proved = text.contains("An error occurred");
            return Some(crash);
        }
        let c = MPICH.captures(text)?;
        let mut crash = Self::new(Some(group(&c, 1)), group(&c, 2), number, Kind::Mpich);
        crash.proved = true;
        Some(crash)
    }

    /// `F1121 10:00:00.123456 4711 queue.cc:12] Check failed: …`, or the title of the stack below it.
    fn of_glog(before: &[TextLine], number: u64, text: &str) -> Option<Self> {
        static FATAL: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r"(?:^F\d{4,8} \d\d:\d\d:\d\d\.\d+ +\d+ |: F )(\S+\.(?:cc|cpp|cxx|c|cu|h|hpp)):(\d+)\] (.*)$")
        });
        let mut crash = None;
        let mut behind: Vec<String> = Vec::new();
        let titled = text.starts_with("*** Check failure stack trace");
        for (number, text) in std::iter::once((number, text))
            .filter(|_| !titled)
            .chain(before.iter().rev().filter(|_| titled).map(|line| (line.number, line.text.as_str())))
        {
            if let Some(c) = FATAL.captures(text) {
                let mut fatal = Self::new(None, group(&c, 3), number, Kind::Glog);
                let place = (Some(group(&c, 1)), line_number(group(&c, 2)));
                fatal.trace.frames.push(frame(Language::Cpp, place.0, place.1, None));
                crash = Some(fatal);
                break;
            }
            behind.push(text.to_owned());
        }
        let mut crash = crash?;
        for more in behind.iter().rev() {
            crash.trace.message.push('\n');
            crash.trace.message.push_str(more);
        }
        crash.proved = true;
        Some(crash)
    }

    /// Fortran, LLVM, old glibc, systemd.
    fn of_words(before: &[TextLine], number: u64, text: &str) -> Option<Self> {
        static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^At line (\d+) of file (\S+)"));
        static INTEL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^forrtl: ((?:severe|error) \(\d+\)): (.*)$"));
        static GLIBC: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\*\*\* Error in `.*': (.*): 0x[0-9a-f]+ \*\*\*$"));
        let above = before.iter().rev().find(|line| !line.text.trim().is_empty());
        if let Some((_, message)) = text.split_once(" watchdog thread terminated with exception: ") {
            return Some(Self::new(None, message, number, Kind::Raised));
        }
        if let Some(message) = text.strip_prefix("Fortran runtime error: ") {
            let mut crash = Self::new(Some("Fortran runtime error"), message, number, Kind::Plain);
            if let Some((above, c)) = above.and_then(|above| Some((above.number, PLACE.captures(&above.text)?))) {
                crash.first_line = above;
                crash.trace.frames.push(frame(Language::Cpp, Some(group(&c, 2)), line_number(group(&c, 1)), None));
                crash.proved = true;
            }
            return Some(crash);
        }
        if text == "Error termination. Backtrace:" {
            let above = above.filter(|above| above.text.starts_with("ERROR STOP"))?;
            return Some(Self::new(
                Some("ERROR STOP"),
                above.text.trim_start_matches("ERROR STOP"),
                above.number,
                Kind::Plain,
            ));
        }
        if let Some(c) = INTEL.captures(text) {
            return Some(Self::new(Some(&format!("forrtl: {}", group(&c, 1))), group(&c, 2), number, Kind::Plain));
        }
        if let Some(c) = GLIBC.captures(text) {
            let mut crash = Self::new(None, group(&c, 1), number, Kind::Glibc);
            crash.proved = true;
            return Some(crash);
        }
        if text.starts_with("PLEASE submit a bug report") {
            let above = above.filter(|above| above.number + 1 == number && sounds_bad(&above.text));
            let message = above.map_or(text, |above| above.text.as_str());
            return Some(Self::new(None, message, above.map_or(number, |above| above.number), Kind::Llvm));
        }
        if text.trim_start().starts_with("Stack trace of thread ") {
            let above = above.filter(|above| above.text.contains("dumped core"));
            let message = above.map_or(text, |above| above.text.as_str());
            return Some(Self::new(None, message, above.map_or(number, |above| above.number), Kind::Gdb));
        }
        None
    }

    /// A stack that a program prints itself, below a line that sounds bad.
    fn of_stack(before: &[TextLine], number: u64, text: &str) -> Option<Self> {
        static LABEL: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r"(?i)^[=\s*-]*(?:(?:stack ?trace|back ?trace|call stack)\b.{0,60}|obtained \d+ stack frames.*)$")
        });
        static SIGNAL: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"\bSIG(?:SEGV|ABRT|BUS|FPE|ILL|SYS)\b|(?i:segmentation fault|signal \d+)"));
        let first = parse_frame(text);
        if first.is_none() && !text.starts_with("Stack trace (most recent call ") {
            return None;
        }
        let mut above = before.iter().rev().filter(|line| !line.text.trim().is_empty()).take(2);
        let mut head = above.next();
        let label = head.filter(|line| LABEL.is_match(line.text.trim()));
        if label.is_some() {
            head = above.next();
        }
        let bad = |line: &&TextLine| sounds_bad(&line.text) || SIGNAL.is_match(&line.text);
        let head = head.filter(bad).or(label);
        let raised = head.is_some_and(|line| line.text.starts_with("Exception raised from "));
        let head = if raised { raised_by(before).or(head) } else { head };
        let titled = first.is_none();
        if head.is_none() && !titled {
            return None;
        }
        let message = head.map_or(text, |line| line.text.as_str());
        let signal = SIGNAL.find(message).map(|found| found.as_str());
        let kind = if titled { Kind::Backward } else { Kind::Plain };
        let mut crash = Self::new(signal, message, head.map_or(number, |line| line.number), kind);
        crash.last_first = titled && text.contains("most recent call last");
        crash.trace.frames.extend(first);
        Some(crash)
    }

    /// The text without what stands in front of every line of its writer.
    fn own<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.trim_end().strip_prefix(self.writer.as_str())
    }

    fn take(&mut self) -> Next {
        self.held = 0;
        Next::Take
    }

    /// Lines that belong to a report of this kind without being frames.
    fn words(&mut self, text: &str) -> Option<Next> {
        static SOURCE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^(?:\d+\t|\d+\.\t|0x[0-9a-f]+ in |\S.* \(.*\) at \S+:\d+$|Thread \d+ \(|\[Current thread is |#\d+ +<signal handler called>)",
            )
        });
        let taken = match self.kind {
            Kind::OpenMpi => {
                if text.starts_with("*** End of error message") || text.starts_with("***    and potentially") {
                    return Some(Next::TakeAndEnd);
                }
                if let Some(signal) = text.strip_prefix("Signal: ") {
                    let name = signal.split_once(" (").map_or(signal, |(name, _)| name);
                    self.trace.exception = Some(name.to_owned());
                    text.clone_into(&mut self.trace.message);
                }
                if let Some((name, message)) = text.strip_prefix("*** MPI_ERR_").and_then(|rest| rest.split_once(": "))
                {
                    self.trace.exception = Some(format!("MPI_ERR_{name}"));
                    message.clone_into(&mut self.trace.message);
                }
                ["Signal", "Failing at", "***", "Associated errno"].iter().any(|start| text.starts_with(start))
            }
            Kind::Mpich => {
                static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([A-Za-z_]\w*)\((\d+)\)\.*: "));
                if let Some(c) = CALL.captures(text) {
                    self.trace.frames.push(frame(Language::Cpp, None, None, Some(group(&c, 1))));
                    true
                } else {
                    text.starts_with("(unknown)(): ")
                }
            }
            Kind::Llvm => {
                SOURCE.is_match(text)
                    || ["Stack dump", "PLEASE ", "Program arguments"].iter().any(|w| text.starts_with(w))
            }
            Kind::Backward => {
                static CODE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ +>? *\d+:(?: |$)"));
                if text.starts_with("Segmentation fault (") || text.starts_with("Aborted (") {
                    let name = text.split_once(" (").map_or(text, |(name, _)| name);
                    self.trace.exception = Some(name.to_owned());
                    text.clone_into(&mut self.trace.message);
                    return Some(Next::TakeAndEnd);
                }
                CODE.is_match(text)
            }
            Kind::Glibc => text.starts_with("=======") || is_mapping(text),
            Kind::Gdb if SOURCE.is_match(text) => {
                self.held += 1;
                return (self.held <= MAX_HELD).then_some(Next::Hold);
            }
            Kind::Raised => return self.raised(text),
            Kind::Glog if self.trace.frames.len() == 1 && !text.starts_with("***") => {
                if begins_record(text) || text.trim().is_empty() || self.more.len() >= MAX_AHEAD {
                    return None;
                }
                self.more.push(text.to_owned());
                return Some(Next::Hold);
            }
            _ => {
                let signal = text.strip_prefix("*** SIG").and_then(|rest| rest.split_once(' '));
                if let Some((name, _)) = signal.filter(|_| self.trace.exception.is_none()) {
                    self.trace.exception = Some(format!("SIG{name}"));
                    text.clone_into(&mut self.trace.message);
                }
                [
                    "*** ",
                    "PC: @",
                    "Backtrace for this error:",
                    "Error termination. Backtrace:",
                    "Image  ",
                    "Stack trace",
                ]
                .iter()
                .any(|start| text.starts_with(start))
            }
        };
        taken.then(|| self.take())
    }

    /// What PyTorch prints around the stack of a `c10::Error`: the rest of its message, and the same again by the runtime that
    /// ends the process for it.
    fn raised(&mut self, text: &str) -> Option<Next> {
        if self.trace.frames.is_empty() {
            if begins_record(text) || self.more.len() >= MAX_AHEAD {
                return None;
            }
            self.more.push(text.to_owned());
            return Some(Next::Hold);
        }
        if self.trace.exception.is_some() {
            if text.starts_with("  what():") {
                return Some(self.take());
            }
            self.held += 1;
            return (self.held <= MAX_AHEAD && !begins_record(text)).then_some(Next::Hold);
        }
        let thrown = text.strip_prefix("terminate called after throwing an instance of '")?;
        self.trace.exception = Some(thrown.strip_suffix('\'').unwrap_or(thrown).to_owned());
        Some(self.take())
    }
}

impl OpenTrace for Crash {
    fn push(&mut self, line: &TextLine) -> Next {
        let Some(text) = self.own(&line.text) else {
            self.held += 1;
            return if self.held > MAX_HELD { Next::End } else { Next::Hold };
        };
        if let Some(frame) = parse_frame(text) {
            if self.trace.frames.len() < Trace::MAX_FRAMES {
                self.trace.frames.push(frame);
            }
            for more in self.more.drain(..) {
                self.trace.message.push('\n');
                self.trace.message.push_str(&more);
            }
            return self.take();
        }
        if let (Some(place), Some(last)) = (parse_place(text), self.trace.frames.last_mut()) {
            *last = placed(last, place);
            return self.take();
        }
        let text = text.to_owned();
        if let Some(next) = self.words(&text) {
            return next;
        }
        self.held += 1;
        let variables = self.kind == Kind::Gdb && (text.starts_with("      ") || text.starts_with("No "));
        // backward-cpp shows the code around each frame.
        let code = text.starts_with("      ") || text.starts_with(">  ");
        let limit = match (text.trim().is_empty(), self.trace.frames.is_empty()) {
            _ if variables => MAX_HELD,
            (true, _) => 3,
            (false, true) => MAX_AHEAD,
            (false, false) if code => MAX_AHEAD,
            (false, false) => 0,
        };
        if self.held <= limit && !begins_record(&text) { Next::Hold } else { Next::End }
    }

    fn finish(mut self: Box<Self>) -> Option<Reading> {
        let real = self.trace.frames.len();
        if !self.proved && real < if self.kind == Kind::Plain { 2 } else { 1 } {
            return None;
        }
        self.trace.in_app_top = top(&self.trace.frames);
        if self.last_first {
            let app = |frame: &TraceFrame| frame.in_app && frame.file.is_some();
            self.trace.in_app_top = self.trace.frames.iter().rposition(app).or(self.trace.in_app_top);
        }
        Some(Reading { trace: self.trace, first_line: self.first_line, last_line: None })
    }
}

/// The line that says which error it was that `Exception raised from …` is said of (`c10::Error`).
fn raised_by(before: &[TextLine]) -> Option<&TextLine> {
    before.iter().rev().take(MAX_AHEAD).find(|line| {
        let text = line.text.as_str();
        !text.starts_with("Exception raised from ") && (text.contains("rror: ") || text.contains("exception: "))
    })
}

/// The first frame of the application, one with a place rather than one without.
pub(super) fn top(frames: &[TraceFrame]) -> Option<usize> {
    let app = |frame: &TraceFrame| frame.in_app && frame.file.is_some();
    frames.iter().position(app).or_else(|| frames.iter().position(|frame| frame.in_app))
}

/// `00400000-00401000 r-xp 00000000 08:01 1234 /srv/prog`
fn is_mapping(text: &str) -> bool {
    static MAPPING: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[0-9a-f]{8,16}-[0-9a-f]{8,16} [r-][w-][x-][ps] "));
    MAPPING.is_match(text)
}
