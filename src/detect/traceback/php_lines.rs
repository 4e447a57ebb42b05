//! Lines of PHP's stack traces: frames, heads of exceptions, places.
//!
//! Formats: `Throwable::__toString` and `php_error_cb` of php-src (Zend/zend_exceptions.c, main/main.c), `LineFormatter` of Monolog
//! (which Laravel and Symfony use), Xdebug's text layout.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{frame, group, line_number, pattern};
use crate::detect::{Language, TraceFrame};

/// Type and message of one exception, with the place where it was thrown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) exception: Option<String>,
    pub(super) message: String,
    pub(super) place: Option<TraceFrame>,
}

/// A line of a stack: a frame, or the `{main}` below all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StackLine {
    Frame(TraceFrame),
    Main,
}

/// `#0 /srv/x.php(12): App\Cart->total()`, `#1 [internal function]: f()`, `#2 {main}`.
pub(super) fn stack_line(text: &str) -> Option<StackLine> {
    static FRAME: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^\s*#\d+ +(?:(\{main\})|\[internal function\]: (.+)|(\S.*?)\((\d+)\)(?: : (?:eval\(\)'d|runtime-created).*?)?(?:: (.+))?)$",
        )
    });
    // Before 8.1, `debug_print_backtrace`: `#0  f() called at [/srv/x.php:12]`.
    static CALLED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*#\d+ +(\S.*?) called at \[(.+):(\d+)\]$"));
    // Xdebug: `    0.0002     410224   2. App\run($m = 'x') /srv/x.php:27`.
    static XDEBUG: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+\d+\.\d+ +\d+ +\d+\. (\S.*) (\S+):(\d+)$"));
    // CakePHP: `- /srv/x.php:12`.
    static LISTED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^- (\S+\.php):(\d+)$"));
    let text = text.trim_end();
    if let Some(c) = LISTED.captures(text) {
        return Some(StackLine::Frame(place(group(&c, 1), group(&c, 2), None)));
    }
    if let Some(c) = FRAME.captures(text) {
        if c.get(1).is_some() {
            return Some(StackLine::Main);
        }
        if let Some(function) = c.get(2) {
            return Some(StackLine::Frame(frame(
                Language::Php,
                None,
                None,
                Some(without_arguments(function.as_str())),
            )));
        }
        return Some(StackLine::Frame(place(group(&c, 3), group(&c, 4), Some(without_arguments(group(&c, 5))))));
    }
    let c = CALLED.captures(text).or_else(|| XDEBUG.captures(text))?;
    if group(&c, 1) == "{main}()" {
        return Some(StackLine::Main);
    }
    Some(StackLine::Frame(place(group(&c, 2), group(&c, 3), Some(without_arguments(group(&c, 1))))))
}

/// The call without its arguments.
fn without_arguments(call: &str) -> &str {
    // 8.4 names closures by where they stand: `{closure:App\f():12}()`.
    let from = call.find("{closure:").and_then(|at| call.get(at..)?.find("}(").map(|end| at + end)).unwrap_or(0);
    let end = call.get(from..).and_then(|rest| rest.find('(')).map_or(call.len(), |at| from + at);
    call.get(..end).unwrap_or(call)
}

/// A frame of a file and a line as printed.
pub(super) fn place(file: &str, line: &str, function: Option<&str>) -> TraceFrame {
    frame(Language::Php, Some(file), line_number(line), function)
}

/// An error that ends the script: `PHP Fatal error:  message`, also behind a server's or a logger's head.
pub(super) fn fatal(text: &str) -> Option<(&str, &str)> {
    static FATAL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r#"(?:^|[\s\]:"])(?:PHP )?((?:Recoverable f|Catchable f|F)atal error|Parse error): +(\S.*)$"#)
    });
    let c = FATAL.captures(text)?;
    Some((c.get(1)?.as_str(), c.get(2)?.as_str()))
}

/// `Type: message`, the first line of an exception that was made a text; the type may have no message.
pub(super) fn typed(text: &str) -> Option<Head> {
    static TYPED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^\\?([A-Za-z_]\w*(?:\\[A-Za-z_]\w*)*(?:@anonymous)?)(?:: (.*)|( in \S.*:\d+)|( in \S.* on line \d+))?$",
        )
    });
    let c = TYPED.captures(text.trim())?;
    let name = group(&c, 1);
    let last = name.rsplit('\\').next().unwrap_or(name);
    let plausible = last.starts_with(char::is_uppercase) && (name.contains('\\') || is_throwable(last));
    let message = if c.get(2).is_some() { group(&c, 2) } else { text.get(c.get(1)?.end()..).unwrap_or_default() };
    plausible.then(|| Head { exception: Some(name.to_owned()), message: message.to_owned(), place: None })
}

/// A type somewhere in a record: `[2026-11-21 10:00:00] app.ERROR: RuntimeException: boom in /srv/x.php:3`.
pub(super) fn typed_inside(text: &str) -> Option<Head> {
    static INSIDE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r#"(?:^|[\s:\[("'])\\?((?:[A-Za-z_]\w*\\)*(?:[A-Z]\w*)?(?:Exception|Error|Throwable))"#,
            r"(?:\]? ?: (.*)|\] (\S.*)| (in \S.*:\d+))$",
        ))
    });
    let c = INSIDE.captures(text.trim_end())?;
    let message = c.get(2).or(c.get(3)).map_or_else(|| format!(" {}", group(&c, 4)), |text| text.as_str().to_owned());
    Some(Head { exception: Some(group(&c, 1).to_owned()), message, place: None })
}

fn is_throwable(name: &str) -> bool {
    ["Exception", "Error", "Throwable", "Failure"].iter().any(|end| name.ends_with(end))
}

/// Takes ` in /srv/x.php:12` or ` in /srv/x.php on line 12` off the end of a message.
pub(super) fn split_place(message: &str) -> Option<(&str, TraceFrame)> {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^(?s:(.*?)) ?\bin ((?:[A-Za-z]:[\\/])?[^:\s][^:]*?)(?:\(\d+\) : [^:]*?)?(?::| on line )(\d+)$")
    });
    let message = message.trim_end();
    // The last ` in ` is the place's: paths seldom have one.
    let at = message.rfind(" in ").or_else(|| message.starts_with("in ").then_some(0))?;
    let tail = message.get(at..)?;
    let c = PLACE.captures(tail)?;
    Some((message.get(..at)?, place(group(&c, 2), group(&c, 3), None)))
}

/// `[object] (Type(code: 0): message at /srv/x.php:3)`: an exception as Monolog prints it, perhaps over several lines.
pub(super) fn object(text: &str) -> Option<(&str, &str)> {
    static OBJECT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\[object\] \(([A-Za-z_][\w\\]*(?:@anonymous[^(]*)?)\(code: [^)]*\): ?(.*)$"));
    let c = OBJECT.captures(text)?;
    Some((c.get(1)?.as_str(), c.get(2)?.as_str()))
}

/// Takes ` at /srv/x.php:3)` off the end of a message of Monolog's.
pub(super) fn split_object_place(message: &str) -> Option<(&str, TraceFrame)> {
    static PLACE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"^(?s:(.*?)) ?\bat ((?:[A-Za-z]:)?[^:\n]+):(\d+)\)(?:"[}\],].*)?$"#));
    let message = message.trim_end();
    let at = message.rfind(" at ").or_else(|| message.starts_with("at ").then_some(0))?;
    let c = PLACE.captures(message.get(at..)?)?;
    Some((message.get(..at)?, place(&unescaped(group(&c, 2)), group(&c, 3), None)))
}

/// A JSON text without its doubled backslashes and escaped slashes.
pub(super) fn unescaped(text: &str) -> String {
    text.replace("\\\\", "\\").replace("\\/", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_lines_are_read() {
        for (text, expected) in [
            ("#0 /srv/x.php(12): App\\Cart->total()", "/srv/x.php:12 App\\Cart->total"),
            ("#10 C:\\www\\x.php(3): require_once('C:\\\\www...')", "C:\\www\\x.php:3 require_once"),
            ("#1 [internal function]: App\\Cart->App\\{closure}(Array)", "-:0 App\\Cart->App\\{closure}"),
            ("#1 /srv/x.php(5): {closure:App\\f():12}(1)", "/srv/x.php:5 {closure:App\\f():12}"),
            ("#1 /srv/x.php(5) : eval()'d code(1): f()", "/srv/x.php:5 f"),
            ("    0.0002     410224   2. App\\run($m = 'a b') /srv/x.php:27", "/srv/x.php:27 App\\run"),
            ("#2 {main}", "main"),
            ("#0 0x7f12 in main", "none"),
            ("# 12(3): x", "none"),
        ] {
            let got = match stack_line(text) {
                None => "none".to_owned(),
                Some(StackLine::Main) => "main".to_owned(),
                Some(StackLine::Frame(f)) => format!(
                    "{}:{} {}",
                    f.file.as_deref().unwrap_or("-"),
                    f.line.unwrap_or(0),
                    f.function.as_deref().unwrap_or("-")
                ),
            };
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn places_are_taken_off_messages() {
        for (text, message, file, line) in [
            ("boom in /srv/x.php:12", "boom", "/srv/x.php", 12),
            ("boom in /srv/x.php on line 3", "boom", "/srv/x.php", 3),
            (
                "int given, called in /a.php on line 21 and defined in /b.php:5",
                "int given, called in /a.php on line 21 and defined",
                "/b.php",
                5,
            ),
            ("lost in C:\\www\\my app\\x.php:5", "lost", "C:\\www\\my app\\x.php", 5),
        ] {
            let (got, place) = split_place(text).unwrap();
            assert_eq!((got, place.file.as_deref(), place.line), (message, Some(file), Some(line)), "{text}");
        }
        assert!(split_place("nothing in here").is_none());
    }
}
