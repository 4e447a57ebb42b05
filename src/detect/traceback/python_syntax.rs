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
        if front == "+ Exception Group " || front == "Exception Group " {
            return Shape::GroupHeader;
        }
        // A progress bar that does not end its line, a record whose message the traceback is part of.
        if (front.ends_with(']') && front.contains("%|")) || (front.ends_with(' ') && is_log(front)) {
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

fn frame(trimmed: &str) -> Option<FrameLine<'_>> {
    static FRAME: LazyLock<Regex> = LazyLock::new(|| pattern(r#"^File "(.+?)", line (\d+)(?:, in (.+)| in (.+))?$"#));
    // Loguru marks the frame that caught the exception.
    let trimmed = trimmed.strip_prefix("> ").unwrap_or(trimmed);
    if !trimmed.starts_with("File \"") {
        return None;
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
    let name = text.trim_end().strip_suffix(':')?;
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

/// A rule of `=` or `-` over the width of a page.
pub(super) fn is_rule(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 20 && (text.bytes().all(|b| b == b'=') || text.bytes().all(|b| b == b'-'))
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

/// Lines that well-known programs add to their messages.
pub(super) fn is_known_continuation(text: &str) -> bool {
    [
        "CUDA kernel errors might be asynchronously reported",
        "HIP kernel errors might be asynchronously reported",
        "For debugging consider passing ",
        "Compile with `TORCH_USE_",
        "Device-side assertions were explicitly omitted",
        "Search for `cuda",
    ]
    .iter()
    .any(|start| text.starts_with(start))
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
