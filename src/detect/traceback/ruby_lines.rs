//! Lines of Ruby's stack traces: places, heads, what loggers, Rails and test runners print around them.
//!
//! Formats: `error_print` of CRuby (eval_error.c) in its layouts since 2.5, `Logger::Formatter`, `ActionDispatch::DebugExceptions`,
//! Sidekiq, Puma, Sinatra, Rake, minitest.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{begins_record, frame, group, line_number, pattern};
use crate::detect::{Language, TraceFrame};

/// Type and message of one exception.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) exception: Option<String>,
    pub(super) message: String,
}

impl Head {
    pub(super) fn new(exception: &str, message: &str) -> Self {
        let exception = Some(exception.to_owned()).filter(|name| !name.is_empty());
        Self { exception, message: message.trim_end().to_owned() }
    }
}

/// A file as Ruby prints it in front of `:LINE`. Blanks only stand in absolute paths: a logger's head may be in front.
const FILE: &str = concat!(
    r"(?:<internal:[^>]*>|\(eval[^)]*\)|\(erb\)|uri:classloader:[^:]+|",
    r"(?:[A-Za-z]:[\\/]|/)[^:<>|\[\]{}\x22]*?|[^\s:<>|(\[\]{}\x22'/][^\s:<>|\[\]{}\x22]*?)"
);

/// `FILE:LINE:in 'METHOD'`, with `from`, a number, RSpec's `#` or blanks in front.
pub(super) fn parse_frame(text: &str) -> Option<TraceFrame> {
    static FRAME: LazyLock<Regex> =
        LazyLock::new(|| pattern(&format!(r"^\s*(?:# +)?((?:\d+: )?from )?({FILE}):(\d+)(?::in [`'](.+)')?$")));
    // JRuby: `     total at /srv/cart.rb:12`.
    static JRUBY: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+(\S.*?) at ([^\s:]+\.(?:rb|rake|ru)):(\d+)$"));
    let text = text.trim_end();
    if let Some(c) = JRUBY.captures(text) {
        return Some(frame(Language::Ruby, Some(group(&c, 2)), line_number(group(&c, 3)), Some(group(&c, 1))));
    }
    let c = FRAME.captures(text)?;
    let (file, function) = (group(&c, 2), group(&c, 4));
    // Without the word and the method, any `name:number` would be one.
    if group(&c, 1).is_empty() && function.is_empty() && (!is_source(file) || file.contains(' ')) {
        return None;
    }
    Some(frame(Language::Ruby, Some(file), line_number(group(&c, 3)), Some(function)))
}

/// Whether the line is a frame of the layout with the newest call last: `\t 2: from FILE:LINE:in 'METHOD'`.
pub(super) fn is_numbered(text: &str) -> bool {
    static NUMBERED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+\d+: from \S.*:\d+"));
    NUMBERED.is_match(text)
}

/// The uncaught exception's first line: `FILE:LINE:in 'METHOD': message (Type)`.
pub(super) fn parse_head(text: &str) -> Option<(TraceFrame, Head)> {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"^({FILE}):(\d+):in [`'](.+?)': (.*)$")));
    static TOP: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"^({FILE}):(\d+):()(?: (.*))$")));
    let text = text.trim_end();
    let c =
        HEAD.captures(text).or_else(|| TOP.captures(text).filter(|c| is_source(group(c, 1)) || group(c, 1) == "-e"))?;
    let rest = group(&c, 4);
    let head = typed_at_end(rest).or_else(|| {
        let bare = is_constant(rest) || rest == "unhandled exception" || rest.starts_with("#<Class:0x");
        (bare && !group(&c, 3).is_empty())
            .then(|| if is_constant(rest) { Head::new(rest, "") } else { Head::new("", rest) })
    })?;
    let place = frame(Language::Ruby, Some(group(&c, 1)), line_number(group(&c, 2)), Some(group(&c, 3)));
    Some((place, head))
}

/// `FILE:3: syntax error, unexpected end` as Ruby prints it for the program's own file before 3.4.
pub(super) fn parse_syntax(text: &str) -> Option<(TraceFrame, Head)> {
    static SYNTAX: LazyLock<Regex> = LazyLock::new(|| {
        pattern(&format!(
            r"^(?:ruby: )?({FILE}):(\d+): ((?:syntax errors?\b|unterminated |Invalid |embedded document ).*)$"
        ))
    });
    let c = SYNTAX.captures(text.trim_end())?;
    if !is_source(group(&c, 1)) && group(&c, 1) != "-e" {
        return None;
    }
    let head = typed_at_end(group(&c, 3)).unwrap_or_else(|| Head::new("SyntaxError", group(&c, 3)));
    Some((frame(Language::Ruby, Some(group(&c, 1)), line_number(group(&c, 2)), None), head))
}

/// The line at which a syntax error's report begins, where Ruby says first what seems to be missing:
/// `a.rb: --> a.rb`, `main.rb:1:in 'Kernel#require': --> a.rb`.
pub(super) fn parse_suggestion(text: &str) -> Option<Option<TraceFrame>> {
    static SUGGESTION: LazyLock<Regex> =
        LazyLock::new(|| pattern(&format!(r"^({FILE})(?::(\d+):in [`'](.+?)')?: --> \S.*$")));
    let c = SUGGESTION.captures(text.trim_end())?;
    Some(c.get(2).map(|line| frame(Language::Ruby, Some(group(&c, 1)), line_number(line.as_str()), Some(group(&c, 3)))))
}

/// `message (Type)`.
fn typed_at_end(text: &str) -> Option<Head> {
    let (message, name) = text.strip_suffix(')')?.rsplit_once('(')?;
    let anonymous = name.starts_with("#<Class:");
    (is_constant(name) || anonymous).then(|| Head::new(name, message))
}

/// What a logger, a framework or a test runner prints above the frames.
pub(super) fn logged_head(text: &str) -> Option<Head> {
    // Rails: `NoMethodError (undefined method 'x' for nil):`.
    static RAILS: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(?:Information for(?: cause)?: |Caused by: )?([A-Z]\w*(?:::\w+)*) \((.*?)\)?:?$"));
    static TYPED: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([A-Z]\w*(?:::[A-Z]\w*)*)(?:: (.*)|:)?$"));
    // Inside a record: Sidekiq's `WARN: RuntimeError: boom`, Sinatra's ` - KeyError - nope:`, Puma's `#<RuntimeError: boom>`.
    static INSIDE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?:^|[\s:\[(])#?<?((?:[A-Z]\w*::)*[A-Z]\w*(?:Error|Exception)|(?:[A-Z]\w*::)+[A-Z]\w*): (.*?)>?$")
    });
    static DASHED: LazyLock<Regex> = LazyLock::new(|| pattern(r" - ([A-Z]\w*(?:::[A-Z]\w*)*) - (.*?):?$"));
    // test-unit names the test in front.
    static TEST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^Error: [^\s(]+\([^)]*\): "));
    // ActiveJob: `Error performing X … in 2.3ms: RuntimeError (boom):`.
    static JOB: LazyLock<Regex> = LazyLock::new(|| pattern(r": ([A-Z]\w*(?:::\w+)*) \((.*)\):$"));
    let text = text.trim();
    let text = TEST.find(text).map_or(text, |test| text.get(test.end()..).unwrap_or(text));
    let rails = RAILS
        .captures(text)
        .filter(|c| text.ends_with("):") || text.contains("Information for") || is_error(group(c, 1)));
    if let Some(c) = rails {
        return Some(Head::new(group(&c, 1), group(&c, 2)));
    }
    if let Some(c) = TYPED.captures(text)
        && is_error(group(&c, 1))
    {
        return Some(Head::new(group(&c, 1), group(&c, 2)));
    }
    if let Some(c) = JOB.captures(text).or_else(|| DASHED.captures(text)) {
        return Some(Head::new(group(&c, 1), group(&c, 2)));
    }
    if let Some(c) = INSIDE.captures(text) {
        return Some(Head::new(group(&c, 1), group(&c, 2)));
    }
    let head = typed_at_end(text).filter(|head| head.exception.as_deref().is_some_and(is_error))?;
    Some(Head { message: without_record(&head.message).to_owned(), ..head })
}

/// The message behind a logger's head: `E, [2026-11-21T10:00:00.1 #7] ERROR -- name: message`.
pub(super) fn without_record(text: &str) -> &str {
    static RECORD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:[DIWEFA], \[[^\]]*\] +[A-Z]+ -- [^:]*: |.*?\b(?:ERROR|FATAL|WARN|error|fatal|warn)\]?(?: -- [^:]*)?: )",
        )
    });
    RECORD.find(text).map_or(text, |found| text.get(found.end()..).unwrap_or(text))
}

/// Whether the line begins a record of Ruby's `Logger`, or one of another logger.
pub(super) fn is_record(text: &str) -> bool {
    static LOGGER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[DIWEFA], \["));
    LOGGER.is_match(text) || begins_record(text)
}

/// A name that only an exception has.
fn is_error(name: &str) -> bool {
    let last = name.rsplit("::").next().unwrap_or(name);
    name.contains("::")
        || ["Error", "Exception", "Interrupt", "Timeout", "Failure", "NotFound", "Invalid"]
            .iter()
            .any(|end| last.ends_with(end))
        || matches!(last, "SignalException" | "SystemExit" | "StopIteration")
}

fn is_constant(text: &str) -> bool {
    static CONSTANT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Z]\w*(?:::[A-Z]\w*)*$"));
    CONSTANT.is_match(text)
}

/// Whether a path is one of Ruby's or of its templates'.
fn is_source(file: &str) -> bool {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    [".rb", ".erb", ".rake", ".ru", ".haml", ".slim", ".jbuilder", ".gemspec", ".builder"]
        .iter()
        .any(|end| name.ends_with(end))
        || matches!(name, "Rakefile" | "Gemfile" | "Capfile" | "Vagrantfile" | "Guardfile" | "Fastfile" | "Podfile")
}

/// ` ... 10067 levels...`.
pub(super) fn is_elision(text: &str) -> bool {
    static ELISION: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*\.\.\. ?\d+ levels\.\.\.$"));
    ELISION.is_match(text)
}

/// What `error_highlight` and `did_you_mean` add to a message.
pub(super) fn is_hint(text: &str) -> bool {
    static HINT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s+[\^~]+(?: .*)?$|^Did you mean\?"));
    HINT.is_match(text)
}

/// A line of code that is quoted between the head and the frames: `    12: x`, `> 3 | x`.
pub(super) fn is_quoted_code(text: &str) -> bool {
    static CODE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[> ]*\d+(?::| \|)(?: .*)?$|^\s+\|.*$"));
    CODE.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, expected) in [
            ("\tfrom a.rb:5:in `total'", "a.rb:5 total"),
            ("\tfrom a.rb:5:in 'Shop::Cart#total'", "a.rb:5 Shop::Cart#total"),
            ("\t 12: from /srv/my app/a.rb:5:in `<main>'", "/srv/my app/a.rb:5 <main>"),
            ("\tfrom <internal:kernel>:187:in 'loop'", "<internal:kernel>:187 loop"),
            ("\tfrom (eval at a.rb:3):1:in 'x'", "(eval at a.rb:3):1 x"),
            ("\tfrom C:/srv/a.rb:5:in `total'", "C:/srv/a.rb:5 total"),
            (
                "     # ./t_spec.rb:2:in `block (2 levels) in <top (required)>'",
                "./t_spec.rb:2 block (2 levels) in <top (required)>",
            ),
            ("app/views/x.html.erb:2", "app/views/x.html.erb:2 -"),
            ("a.rb:3: warning: x", "none"),
            ("localhost:8080", "none"),
            ("x.go:12", "none"),
        ] {
            let got = parse_frame(text).map_or("none".to_owned(), |f| {
                format!("{}:{} {}", f.file.unwrap(), f.line.unwrap(), f.function.as_deref().unwrap_or("-"))
            });
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn heads_are_read() {
        for (text, expected) in [
            ("NoMethodError (undefined method 'x' for nil):", Some(("NoMethodError", "undefined method 'x' for nil"))),
            ("Information for cause: PG::Busy (locked (1)):", Some(("PG::Busy", "locked (1)"))),
            ("E, [2026-11-21T10:00:00.1 #7] ERROR -- : bad (Shop::Broken)", Some(("Shop::Broken", "bad"))),
            ("2026-11-21T10:00:00.123Z pid=1 tid=gq8 WARN: RuntimeError: boom", Some(("RuntimeError", "boom"))),
            ("2026-11-21 10:00:00 - KeyError - key not found:", Some(("KeyError", "key not found"))),
            (
                "2026-11-21 10:00:00 +0000 Rack app (\"GET /\" - (127.0.0.1)): #<RuntimeError: boom>",
                Some(("RuntimeError", "boom")),
            ),
            ("ArgumentError: bad", Some(("ArgumentError", "bad"))),
            ("Note: bad", None),
            ("see above (Foo)", None),
        ] {
            let got = logged_head(text);
            let got = got.as_ref().map(|h| (h.exception.as_deref().unwrap_or("-"), h.message.as_str()));
            assert_eq!(got, expected, "{text}");
        }
    }
}
