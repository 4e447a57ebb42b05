//! Lines of .NET's stack traces: frames of the runtimes and of test runners, types with messages, separators.
//!
//! Formats: `Exception.ToString` and `StackTrace.ToString` of .NET and Mono (dotnet/runtime, mono/mono), `StackTraceUtility` of
//! Unity, `StackFrameTransformer` of xUnit.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{frame, group, line_number, pattern};
use crate::detect::{Language, TraceFrame};

/// Type and message of one exception of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) exception: Option<String>,
    pub(super) message: String,
}

/// Reads a frame line, or an xUnit frame with its place in front.
pub(super) fn parse_frame(text: &str) -> Option<TraceFrame> {
    // `   at Ns.Type.Method(Args) in /src/File.cs:line 12`; .NET Framework translates the words, and new test runners leave
    // the last one out.
    static PLACED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^\s*(?:at|bei|à) (\S.*?) ?\((.*)\) (?:in|dans) (.+?):(?:(?:line|Zeile|ligne) )?(\d+)\.?$")
    });
    // Mono: `  at Ns.Type.Method (Args) [0x00012] in /src/File.cs:12 `, `in <hash>:0`.
    static MONO: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^\s*at (\S.*?) ?\((.*)\) (?:\[0x[0-9a-f]+\]|<0x[0-9a-f]+ \+ 0x[0-9a-f]+>) in (.+?):(\d+)$")
    });
    // `   at Ns.Type.Method(Args)`, and Mono's `  at (wrapper managed-to-native) Ns.Type.Method(args)`.
    static BARE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^\s*at (?:(\(wrapper [\w-]+\) [^\s()]+) ?|([^\s()/:]*[\w>$\])`]))\(([^():/]*)\)(?: \+ 0x[0-9a-f]+| in (?:<[^>]*>|[^:]*):0)?$",
        )
    });
    // Unity: `Player.Update () (at Assets/Scripts/Player.cs:12)`.
    static UNITY: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*([\w.+<>`/|\[\],:$]+) ?\(.*\) ?\(at (.+):(\d+)\)$"));
    // xUnit: `/src/File.cs(12,0): at Ns.Type.Method()`.
    static XUNIT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^\s*((?:(?:[A-Za-z]:[\\/]|/)[^\[\]{}<>|]*|[^\s\[\]{}<>|]+)\.(?:cs|fs|vb|razor|cshtml))\((\d+),\d+\): at (\S.*?) ?\(.*\)$",
        )
    });
    let text = text.trim_end();
    let text = text.strip_suffix("<---").map_or(text, str::trim_end);
    if let Some(c) = MONO.captures(text) {
        let file = group(&c, 3);
        let function = Some(group(&c, 1));
        return Some(if file.starts_with('<') {
            frame(Language::Dotnet, None, None, function)
        } else {
            placed(file, group(&c, 4), group(&c, 1))
        });
    }
    if let Some(c) = PLACED.captures(text) {
        // Spectre.Console writes the return type in front.
        let function = group(&c, 1).rsplit(' ').next().unwrap_or_default();
        return Some(placed(group(&c, 3), group(&c, 4), function));
    }
    if let Some(c) = XUNIT.captures(text) {
        return Some(placed(group(&c, 1), group(&c, 2), group(&c, 3)));
    }
    if let Some(c) = UNITY.captures(text) {
        return Some(placed(group(&c, 2), group(&c, 3), group(&c, 1)));
    }
    let c = BARE.captures(text)?;
    let (wrapper, name, arguments) = (group(&c, 1), group(&c, 2), group(&c, 3));
    if wrapper.is_empty() && (!name.contains(['.', '$']) || !are_parameters(arguments)) {
        return None;
    }
    Some(frame(Language::Dotnet, None, None, Some(if wrapper.is_empty() { name } else { wrapper })))
}

/// Whether a line has a frame that no other language prints: a starter on its own.
pub(super) fn is_sure(text: &str) -> bool {
    static SURE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r":(?:line|Zeile|ligne) \d+\.?(?:<---)?$|\) in \S.*\.(?:cs|fs|vb|razor):\d+$|\) \[0x[0-9a-f]+\] in |\(at [^()]+:\d+\)$|\(\d+,\d+\): at ",
        )
    });
    SURE.is_match(text.trim_end())
}

fn placed(file: &str, line: &str, function: &str) -> TraceFrame {
    frame(Language::Dotnet, Some(file), line_number(line), Some(function))
}

/// `String[] args, Func`2 f`: types with names, or types alone. `Foo.java`, `Native Method` are other languages'.
fn are_parameters(text: &str) -> bool {
    let foreign = [".java", ".kt", ".scala", ".groovy", "Native Method", "Unknown Source", "SourceFile", "native"];
    !foreign.iter().any(|word| text.ends_with(word))
}

/// A line of only a type and its message: `System.FormatException: bad`, xUnit's `System.FormatException : bad`.
pub(super) fn typed(text: &str) -> Option<Head> {
    static TYPED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"^\s*((?:[\p{L}_][\w`-]*[.+/])*[\p{L}_][\w`]*(?:\[[^\]\s]*\])?)",
            r"(?: ?\((?:0x)?[0-9A-Fa-f]+(?:, ?0x[0-9A-Fa-f]+)?\)| ?\(-?\d+\))?(?: ?:(?: (.*))?)?$",
        ))
    });
    let c = TYPED.captures(text.trim_end())?;
    let name = group(&c, 1);
    is_type(name).then(|| Head { exception: Some(name.to_owned()), message: group(&c, 2).to_owned() })
}

/// The chain of a type inside a log record: `… ERROR failed System.FormatException: bad ---> …`.
pub(super) fn inside(text: &str) -> Option<Vec<Head>> {
    static INSIDE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?:^|[\s:(\[|,;=>])((?:[A-Z]\w*[.+])*[A-Z]\w*Exception(?:`\d+)?)(?: ?\((?:0x)?[0-9A-Fa-f]+\))?(?: ?: |$|\s)",
        )
    });
    let text = text.trim_end();
    let name = INSIDE.captures(text)?.get(1)?;
    let heads = chain(text.get(name.start()..)?);
    if !heads.is_empty() {
        return Some(heads);
    }
    let message = text.get(name.end()..).unwrap_or_default().trim_start_matches([':', ' ']);
    Some(vec![Head { exception: Some(name.as_str().to_owned()), message: message.to_owned() }])
}

/// Whether a name in front of frames is an exception's type.
fn is_type(name: &str) -> bool {
    let last = name.rsplit(['.', '+', '/']).next().unwrap_or(name);
    let last = last.split(['`', '[']).next().unwrap_or(last);
    let named = ["Exception", "Error", "Failure", "Fault"].iter().any(|end| last.ends_with(end));
    let qualified = name.contains('.')
        && name.starts_with(char::is_uppercase)
        && last.starts_with(char::is_uppercase)
        && !name.contains('/');
    if name.contains('.') {
        named || qualified
    } else {
        named && last.starts_with(char::is_uppercase) && last != "Error"
    }
}

/// Splits `A: m ---> B: n` into its heads, the outermost first.
pub(super) fn chain(text: &str) -> Vec<Head> {
    let mut heads: Vec<Head> = Vec::new();
    for part in text.split("---> ") {
        let part = part.trim_end().trim_end_matches("<---").trim_end();
        if part.trim().is_empty() && heads.is_empty() {
            continue;
        }
        match (typed(part), heads.last_mut()) {
            (Some(head), _) => heads.push(head),
            (None, Some(last)) => {
                last.message.push_str(" ---> ");
                last.message.push_str(part);
            }
            (None, None) => return heads,
        }
    }
    heads
}

/// What stands between the frames of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    /// The inner exception's stack has ended; what follows is the outer one's.
    EndOfInner,
    /// The stack goes on: an `await`, a rethrow, a remote call, repeated frames.
    GoesOn,
}

/// Reads a separator line.
pub(super) fn separator(text: &str) -> Option<Separator> {
    static GOES_ON: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"^\s*(?:--- End of stack trace from previous location.*|--- End of managed .*stack trace ---|",
            r"Server stack trace: ?|Exception rethrown at \[\d+\]: ?|Repeat(?:ed)? \d+ times:|-{20,}|<---|",
            r"\(wrapper [\w-]+\) .*|\[Native to Managed .*|at \(wrapper .*|Rethrow as .*|ClientConnectionId:[0-9a-f-]+|Error Number:\d+,.*|[A-Za-z_][\w.+<>`/]*:[A-Za-z_<][\w<>.|]* ?\([\w\[\], .&`*]*\)|----- Inner Stack Trace(?: #\d+.*)? -----)$"
        ))
    });
    let trimmed = text.trim();
    if trimmed.starts_with("--- ") && (trimmed.contains("inner exception") || trimmed.contains("internen Ausnahme")) {
        return Some(Separator::EndOfInner);
    }
    GOES_ON.is_match(text.trim_end()).then_some(Separator::GoesOn)
}

/// ` ---> (Inner Exception #1) System.FormatException: bad`: a member of an aggregate, with its own chain.
pub(super) fn member(text: &str) -> Option<Vec<Head>> {
    static MEMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*---> \(Inner Exception #\d+\) (.*)$"));
    let c = MEMBER.captures(text)?;
    Some(chain(group(&c, 1)))
}

/// The line without what xUnit's reporter puts in front.
pub(super) fn without_tool(text: &str) -> &str {
    static TOOL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\[xUnit\.net [\d:.]+\] ?"));
    TOOL.find(text).map_or(text, |found| text.get(found.end()..).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read() {
        let rows = [
            (
                "   at Acme.Shop.Cart.Total(List`1 xs) in /srv/my app/Cart.cs:line 12",
                "/srv/my app/Cart.cs:12 Acme.Shop.Cart.Total app",
            ),
            (r"   at Acme.P.<Main>g__F|0_1(Int32 n) in C:\src\P.cs:line 3", r"C:\src\P.cs:3 Acme.P.<Main>g__F|0_1 app"),
            ("   at Program.<Main>$(String[] args) in /a/Program.cs:line 1", "/a/Program.cs:1 Program.<Main>$ app"),
            (
                "   at Acme.Q.<RunAsync>d__3.MoveNext() in /a/Q.fs:line 9",
                "/a/Q.fs:9 Acme.Q.<RunAsync>d__3.MoveNext app",
            ),
            ("   at Acme.Q.Map[T,R](T x, Func`2 f)", "-:0 Acme.Q.Map[T,R] app"),
            ("   at System.Number.ParseInt32(ReadOnlySpan`1 value, NumberStyles s)", "-:0 System.Number.ParseInt32 -"),
            ("   at Acme.C..ctor(String s) in /a/C.vb:line 4", "/a/C.vb:4 Acme.C..ctor app"),
            (
                "   at System.Threading.Tasks.Task.Run() in /_/src/Task.cs:line 4<---",
                "/_/src/Task.cs:4 System.Threading.Tasks.Task.Run -",
            ),
            ("  at Acme.C`1[T].Total (System.Int32 n) [0x000a8] in /a/C.cs:5 ", "/a/C.cs:5 Acme.C`1[T].Total app"),
            ("  at System.Int32.Parse (System.String s) [0x00019] in <12b418a7>:0 ", "-:0 System.Int32.Parse -"),
            ("  at (wrapper managed-to-native) System.X.Run(intptr)", "-:0 (wrapper managed-to-native) System.X.Run -"),
            ("Player.Update () (at Assets/Scripts/Player.cs:12)", "Assets/Scripts/Player.cs:12 Player.Update app"),
            ("        /src/T.cs(29,0): at Acme.T.Total()", "/src/T.cs:29 Acme.T.Total app"),
            ("\tat a.B.c(B.java:3)", "none"),
            ("\tat a.B.c(Native Method)", "none"),
            ("    at f (/srv/a.js:1:2)", "none"),
            ("    at Object.<anonymous> (a.js:1:2)", "none"),
            ("look at me(now)", "none"),
        ];
        for (text, expected) in rows {
            let got = parse_frame(text).map_or("none".to_owned(), |f| {
                let file = f.file.as_deref().unwrap_or("-");
                let app = if f.in_app { "app" } else { "-" };
                format!("{file}:{} {} {app}", f.line.unwrap_or(0), f.function.as_deref().unwrap_or("-"))
            });
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn types_are_told_from_text() {
        let rows = [
            ("System.FormatException: bad", Some(("System.FormatException", "bad"))),
            ("System.FormatException : bad", Some(("System.FormatException", "bad"))),
            (
                "Microsoft.Data.SqlClient.SqlException (0x80131904): Login failed",
                Some(("Microsoft.Data.SqlClient.SqlException", "Login failed")),
            ),
            (
                "System.Net.Sockets.SocketException (111): Connection refused",
                Some(("System.Net.Sockets.SocketException", "Connection refused")),
            ),
            ("NullReferenceException: Object", Some(("NullReferenceException", "Object"))),
            ("Acme.Shop.Outer+BrokenException", Some(("Acme.Shop.Outer+BrokenException", ""))),
            ("Error: 3", None),
            ("Starting: Acme.Tests", None),
            ("warn: x", None),
        ];
        for (text, expected) in rows {
            let got = typed(text);
            let got = got.as_ref().map(|h| (h.exception.as_deref().unwrap_or("-"), h.message.as_str()));
            assert_eq!(got, expected, "{text}");
        }
    }
}
