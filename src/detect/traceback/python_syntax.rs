//! What the lines of a Python traceback look like.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::pattern;
use super::python_report::Link;
use crate::detect::TraceFrame;

const HEADER: &str = "Traceback (most recent call last):";

/// A line of a traceback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape<'t> {
    /// `Traceback (most recent call last):`.
    Header {
        /// Columns in front of it.
        indent: usize,
    },
    /// `+ Exception Group Traceback (most recent call last):`.
    GroupHeader,
    /// `File "app.py", line 3, in main`.
    Frame(FrameLine<'t>),
    /// `KeyError: 'port'`.
    Exception {
        /// Type.
        name: &'t str,
        /// First line of the message.
        message: &'t str,
    },
    /// Nothing or blanks.
    Blank,
    /// Anything else.
    Other,
}

/// A frame as printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameLine<'t> {
    file: &'t str,
    line: Option<u32>,
    /// Function, where one is named.
    pub(super) function: Option<&'t str>,
    /// Nothing follows the line's number.
    pub(super) bare: bool,
}

impl FrameLine<'_> {
    /// The frame in the words of a trace.
    pub(super) fn into_trace_frame(self) -> TraceFrame {
        TraceFrame {
            file: Some(self.file.to_owned()),
            line: self.line,
            function: self.function.map(str::to_owned),
            in_app: false,
        }
    }
}

/// Tells what a line is.
pub(super) fn shape(text: &str) -> Shape<'_> {
    static EXCEPTION: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^([\p{L}_]\w*(?:\.(?:[\p{L}_]\w*|<locals>))*(?:\([\w.]+\))?)(?::(?: (.*))?)?$"));
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Shape::Blank;
    }
    if let Some(front) = trimmed.strip_suffix(HEADER) {
        if front.is_empty() {
            return Shape::Header { indent: indent(text) };
        }
        let group = front.strip_suffix("+ Exception Group ").or(front.strip_suffix("Exception Group "));
        if group.is_some_and(|front| front.is_empty() || is_prompt(front.trim_end()) || introduces(front)) {
            return Shape::GroupHeader;
        }
        // A progress bar that does not end its line, a record whose message the traceback is part of.
        if is_prompt(front) || (front.ends_with(']') && front.contains("%|")) || introduces(front) {
            return Shape::Header { indent: 0 };
        }
        return Shape::Other;
    }
    if let Some(frame) = frame(trimmed) {
        return Shape::Frame(frame);
    }
    match EXCEPTION.captures(trimmed) {
        Some(captures) => Shape::Exception {
            name: captures.get(1).map_or("", |m| m.as_str()),
            message: captures.get(2).map_or("", |m| m.as_str()),
        },
        None => Shape::Other,
    }
}

/// Whether a traceback may be the rest of the line: behind a logger's head, `job failed: `.
fn introduces(front: &str) -> bool {
    let said = front.trim_end();
    let ends = said.ends_with([':', '-', '|', '>']) || is_log(front);
    front.ends_with(' ') && ends && said.contains(char::is_alphanumeric)
}

fn frame(trimmed: &str) -> Option<FrameLine<'_>> {
    static FRAME: LazyLock<Regex> = LazyLock::new(|| pattern(r#"^File "(.+?)", line (\d+)(?:, in (.+)| in (.+))?$"#));
    // Loguru marks the frame that caught the exception.
    let trimmed = trimmed.strip_prefix("> ").unwrap_or(trimmed);
    if !trimmed.starts_with("File \"") {
        return notebook_frame(trimmed);
    }
    let captures = FRAME.captures(trimmed)?;
    let function = captures.get(3).or(captures.get(4)).map(|m| m.as_str());
    Some(FrameLine {
        file: captures.get(1).map_or("", |m| m.as_str()),
        line: captures.get(2).and_then(|m| m.as_str().parse().ok()),
        function,
        bare: function.is_none(),
    })
}

/// `Cell In[3], line 2 in load`, `File /srv/app/x.py:5 in load`: IPython's mode `Plain`, and the location of its syntax errors.
fn notebook_frame(trimmed: &str) -> Option<FrameLine<'_>> {
    static CELL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^((?:Cell|Input) In ?\[\d+\]),? line (\d+)(?:,? in (\S+))?$|^File ([^\s\x22]\S*):(\d+)(?:,? in (\S+))?$",
        )
    });
    if !trimmed.starts_with("Cell In") && !trimmed.starts_with("Input In") && !trimmed.starts_with("File ") {
        return None;
    }
    let c = CELL.captures(trimmed)?;
    let part = |cell: usize, file: usize| c.get(cell).or(c.get(file)).map(|m| m.as_str());
    let function = part(3, 6);
    Some(FrameLine {
        file: part(1, 4)?,
        line: part(2, 5).and_then(|line| line.parse().ok()),
        function,
        bare: function.is_none(),
    })
}

/// What an interpreter that reads its input from a file prints in front of its output: `>>> `, `In [3]: `.
pub(super) fn is_prompt(front: &str) -> bool {
    static PROMPT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:>>> ?|\.\.\. ?|In \[\d+\]: ?| +\.\.\.: ?)+ *$"));
    PROMPT.is_match(front)
}

/// Whether the next input of an interactive session begins: `In [4]: `, `>>> `.
pub(super) fn begins_prompt(text: &str) -> bool {
    text.starts_with(">>> ") || (text.starts_with("In [") && text.contains("]: "))
}

/// Columns of blanks in front of the text.
pub(super) fn indent(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// The line between two chained exceptions.
pub(super) fn link(text: &str) -> Option<Link> {
    match text.trim() {
        "The above exception was the direct cause of the following exception:" => Some(Link::Cause),
        "During handling of the above exception, another exception occurred:" => Some(Link::Context),
        _ => None,
    }
}

/// The type in front of a traceback that another process has sent as text.
pub(super) fn remote_traceback(text: &str) -> Option<&str> {
    // A logger's head or words of the program may stand in front.
    let name = text.trim_end().strip_suffix(':')?.rsplit([' ', ':']).next()?;
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'));
    (plain && name.ends_with("RemoteTraceback")).then_some(name)
}

/// The quotes around such a text.
pub(super) fn is_quote(text: &str) -> bool {
    matches!(text.trim(), "\"\"\"" | "'''")
}

/// The header of a traceback that stands in a message (`torch.utils.data`).
pub(super) fn is_quoted_traceback(text: &str) -> bool {
    text.trim_start().strip_suffix(HEADER) == Some("Original ")
}

/// A rule of `=`, `-` or `*` over the width of a page.
pub(super) fn is_rule(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 20 && [b'=', b'-', b'*'].iter().any(|mark| text.bytes().all(|b| b == *mark))
}

/// Exceptions whose location is printed without a function, and without a header when it is the script itself.
pub(super) fn is_syntax_error(name: &str) -> bool {
    matches!(name, "SyntaxError" | "IndentationError" | "TabError") || name.ends_with("SyntaxError")
}

/// Whether a type's name looks like one: `step: 3` printed by another thread must not pass for an exception.
pub(super) fn is_exception_name(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    name.contains('.') || last.contains(char::is_uppercase) || last.ends_with("error") || last == "timeout"
}

/// Lines that well-known programs add to their messages: PyTorch, JAX, TensorFlow, database drivers.
pub(super) fn is_known_continuation(text: &str) -> bool {
    const STARTS: &[&str] = &[
        "CUDA kernel errors might be asynchronously reported",
        "HIP kernel errors might be asynchronously reported",
        "For debugging consider passing ",
        "Compile with `TORCH_USE_",
        "Device-side assertions were explicitly omitted",
        "Search for `cuda",
        "Exception raised from ",
        "frame #",
        "The stack trace below excludes JAX-internal frames.",
        "The preceding is the original exception that occurred",
        "The preceding stack trace is the source of the JAX operation",
        "For simplicity, JAX has removed its internal frames",
        "Detected at node ",
        "[SQL: ",
        "[parameters: ",
        "(Background on this error at: ",
        "DETAIL:  ",
        "HINT:  ",
        "CONTEXT:  ",
        "LINE 1: ",
    ];
    STARTS.iter().any(|start| text.starts_with(start))
}

/// The line that JAX draws around what it says of its frames.
pub(super) fn is_short_rule(text: &str) -> bool {
    text == "--------------------"
}

/// Whether a line is progress of a job, and so no part of a message.
pub(super) fn is_progress(text: &str) -> bool {
    static PROGRESS: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"(?i)^\W*(?:global_step|epoch|step|iter|iteration|batch)\b\W*\d|\d+%\||",
            r"^(?:srun|slurmstepd|make(?:\[\d+\])?|bash|sh|npm|yarn): |^(?:Aborted|Killed|Terminated|Segmentation fault)\b"
        ))
    });
    PROGRESS.is_match(text)
}

/// The text with its numbers folded: lines of one kind look alike.
pub(super) fn skeleton(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !folded.ends_with('0') {
            folded.push(c);
        }
    }
    folded
}

/// Whether a line looks like a log record, a command or a rule, so that it cannot be part of a message.
pub(super) fn is_log(text: &str) -> bool {
    static LOG: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r#"^\s*[\[(<]?\d{4}[-/.]\d\d[-/.]\d\d\b|^\s*\[?\d\d:\d\d:\d\d|^\d\d[./-]\d\d[./-]\d{4}\b|^\[|^\s*\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\b|^[IWEF]\d{4} |^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|^\{"|^[+$#>] |^[=*_#-]{5,}|^\d+\.\d+\.\d+\.\d+ |^(?:time|level|ts|severity)="#,
        )
    });
    LOG.is_match(text)
}
