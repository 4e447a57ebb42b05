//! Same failure, same fingerprint: over restarts, edits that move lines, other batch sizes, other machines.

use std::sync::LazyLock;

use regex::Regex;
use sha2::{Digest, Sha256};

use crate::detect::ending::{Ending, Exit, OutOfMemory};
use crate::detect::{Detection, DetectorKind, Trace, TraceFrame};
use crate::ids::Fingerprint;

/// Version of the rules below. Fingerprints of different versions are never equal.
const VERSION: &str = "v1";
/// Functions of the trace that count.
const FRAMES: usize = 3;
/// Bytes of a message that count: what follows is data more often than not.
const MAX_MESSAGE: usize = 1024;

/// Fingerprint of the incident that `root` begins.
///
/// A trace is known by its exception, its message with everything that varies folded ([`normalise`]) and the innermost
/// functions of the application; an exit by its status; a stall by its detector; a pattern by its detector and message.
pub fn fingerprint(root: &Detection, exit: Option<&Exit>) -> Fingerprint {
    let mut parts = vec![VERSION.to_owned()];
    match (&root.trace, root.kind, exit) {
        (Some(trace), _, _) => {
            parts.push("trace".to_owned());
            parts.push(normalise(trace.exception.as_deref().unwrap_or_default()));
            parts.push(normalise(&trace.message));
            parts.extend(top_functions(trace));
        }
        (None, DetectorKind::ExitCode, Some(exit)) => parts.push(ending(exit)),
        // The number is all there is in such a message: it must not be folded.
        (None, DetectorKind::ExitCode, None) => parts.push(format!("exit {}", root.message)),
        // The numbers in such a message vary: the detector and what about it is odd are the failure.
        (None, kind, _) if kind.is_anomaly() => {
            parts.push(format!("{} {}", kind.as_str(), root.detector));
            parts.extend(root.captures.get("reason").cloned());
        }
        (None, _, _) => {
            parts.push(format!("{} {}", root.kind.as_str(), root.detector));
            parts.push(normalise(&root.message));
        }
    }
    let mut hash = Sha256::new();
    for part in &parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hex: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Fingerprint::new(format!("{VERSION}:{hex}"))
}

/// Folds what varies between two occurrences of the same failure: time stamps, UUIDs, URLs, paths, addresses and hashes,
/// quoted values, numbers with their units. Numbers that name a failure (`Errno 28`, `status 404`) stay.
pub fn normalise(message: &str) -> String {
    // The end of a cut message may be half a number: both halves fold alike.
    let message = message.get(..message.floor_char_boundary(MAX_MESSAGE)).unwrap_or(message);
    let mut out = String::with_capacity(message.len());
    let mut copied = 0;
    for found in FOLDED.captures_iter(message) {
        let Some(whole) = found.get(0) else { continue };
        out.push_str(message.get(copied..whole.start()).unwrap_or_default());
        copied = whole.end();
        match PLACEHOLDERS.iter().find(|(group, _)| found.name(group).is_some()) {
            Some((_, placeholder)) => out.push_str(placeholder),
            None => out.push_str(whole.as_str()),
        }
    }
    out.push_str(message.get(copied..).unwrap_or_default());
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn warm_up() {
    LazyLock::force(&FOLDED);
}

/// Groups of [`FOLDED`] and what takes their place; the group `keep` has none.
const PLACEHOLDERS: [(&str, &str); 8] = [
    ("time", "<time>"),
    ("uuid", "<uuid>"),
    ("url", "<url>"),
    ("path", "<path>"),
    ("quoted", "<value>"),
    ("number", "<n>"),
    ("hex", "<hex>"),
    ("digits", "<n>"),
];

#[expect(clippy::expect_used, reason = "a constant expression, compiled in every test run")]
static FOLDED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)
          (?P<keep> \b (?i:errno|status|code|signal|http|xid|sqlstate) (?:\ code)? [\ :=\#]{1,3} \d{1,5} \b )
        | (?P<time> \b \d{4}[-/]\d{2}[-/]\d{2} (?: [T\ ] \d{2}:\d{2} (?: :\d{2} (?: [.,]\d+ )? )? (?: Z | \ ?[+-]\d{2}:?\d{2} )? )?
                  | \b \d{1,2}:\d{2}:\d{2} (?: [.,]\d+ )? \b )
        | (?P<uuid> \b [0-9a-fA-F]{8} (?: -[0-9a-fA-F]{4} ){3} -[0-9a-fA-F]{12} \b )
        | (?P<url> \b [a-zA-Z][a-zA-Z0-9+.-]* :// [^\s'"<>()]+ )
        | (?P<quoted> \B' [^'\n]* ' | \B" [^"\n]* " | ` [^`\n]* ` )
        | (?P<path> \b [A-Za-z] :\\ [^\s:'"(),;]+ | [\w.~@+-]* (?: / [\w.~@+=-]+ )+ /? )
        | (?P<number> -? \b \d+ (?: [.,:_]\d+ )* (?: [eE][-+]?\d+ )? (?: \ ? (?: [KMGT]i?B | bytes | [mun]?s | % ) )? (?: \b | % ) )
        | (?P<hex> \b 0x [0-9a-fA-F]+ \b | \b [0-9a-f]{8,} \b | \b [0-9A-F]{8,} \b )
        | (?P<digits> \d+ )
        "#,
    )
    .expect("the expression is constant")
});

/// The innermost functions of the application (of anything where nothing is the application's), innermost first, each
/// with the base name of its file. Recursion counts once, so that its depth does not matter.
fn top_functions(trace: &Trace) -> Vec<String> {
    let start = trace.in_app_top.filter(|&top| top < trace.frames.len());
    let any_in_app = trace.frames.iter().any(|frame| frame.in_app);
    let counts = |frame: &&TraceFrame| frame.in_app || !any_in_app;
    // Python prints the innermost frame last, everybody else first.
    let inwards: Box<dyn Iterator<Item = &TraceFrame>> = if trace.language.innermost_last() {
        let end = start.map_or(trace.frames.len(), |top| top + 1);
        Box::new(trace.frames.iter().take(end).rev())
    } else {
        Box::new(trace.frames.iter().skip(start.unwrap_or(0)))
    };
    let mut functions: Vec<String> = Vec::with_capacity(FRAMES);
    for frame in inwards.filter(counts) {
        let file = frame.file.as_deref().unwrap_or_default();
        let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let name = format!("{} {}", fold_digits(base), fold_digits(frame.function.as_deref().unwrap_or_default()));
        if functions.last() != Some(&name) {
            functions.push(name);
        }
        if functions.len() == FRAMES {
            break;
        }
    }
    functions
}

/// `lambda$main$0`, `func1` and `chunk-3f2a91.js` get new numbers with every build.
fn fold_digits(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for char in name.chars() {
        if !char.is_ascii_digit() {
            out.push(char);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}

fn ending(exit: &Exit) -> String {
    let how = match &exit.ending {
        Ending::Exited { code } => format!("exit {code}"),
        Ending::Signaled { signal, .. } => format!("signal {signal}"),
        Ending::NotStarted { errno, .. } => format!("not started {errno}"),
        Ending::Lost { .. } => "lost".to_owned(),
    };
    match exit.oom {
        OutOfMemory::NoSign => how,
        OutOfMemory::Likely | OutOfMemory::Certain => format!("{how} out of memory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Language;
    use crate::incident::samples::{detection, exited, frame, trace};

    #[test]
    fn what_varies_is_folded() {
        #[rustfmt::skip]
        let rows = [
            ("key", "'port'", "<value>"),
            ("apostrophe", "can't open 'a b' and don't", "can't open <value> and don't"),
            ("numbers", "index 12 is out of bounds for axis 0 with size -10.5", "index <n> is out of bounds for axis <n> with size <n>"),
            ("units", "Tried to allocate 2.00 GiB (GPU 0; 23.65 GiB total)", "Tried to allocate <n> (GPU <n>; <n> total)"),
            ("other units", "Tried to allocate 512.00 MiB (GPU 3; 900MiB total)", "Tried to allocate <n> (GPU <n>; <n> total)"),
            ("address", "object at 0x7f3c2a1b", "object at <hex>"),
            ("hash", "commit 3f2a91bc0d missing", "commit <hex> missing"),
            ("uuid", "job 123e4567-e89b-12d3-a456-426614174000 lost", "job <uuid> lost"),
            ("path", "No such file: /data/run-3/a.bin", "No such file: <path>"),
            ("windows path", r"cannot read C:\data\x.bin", "cannot read <path>"),
            ("url", "GET https://host:8080/a?b=1 failed", "GET <url> failed"),
            ("time", "at 2026-11-21T12:34:56.789Z and 12:34:56", "at <time> and <time>"),
            ("names of failures stay", "[Errno 28] status code 404, exit code 3", "[Errno 28] status code 404, exit code 3"),
            ("white space", " a\n\tb ", "a b"),
        ];
        for (name, message, folded) in rows {
            assert_eq!(normalise(message), folded, "{name}");
        }
    }

    #[test]
    fn same_or_different() {
        let of = |message: &str, frames: &[(&str, u32, &str, bool)]| {
            let mut detection = detection(DetectorKind::Traceback, "traceback", message);
            let frames =
                frames.iter().map(|&(file, line, function, in_app)| frame(file, line, function, in_app)).collect();
            detection.trace = Some(trace(Language::Python, "ValueError", message, frames));
            fingerprint(&detection, None)
        };
        let base = of("bad batch 8", &[("/app/main.py", 10, "main", true), ("/app/data.py", 42, "load", true)]);
        let lib = ("/usr/lib/python3/json.py", 7, "loads", false);
        let main = ("/srv/v2/main.py", 99, "main", true);
        let load = ("/srv/v2/data.py", 1, "load", true);
        assert_eq!(base, of("bad batch 4", &[main, load]), "moved lines, other folder, other number");
        assert_eq!(base, of("bad batch 4", &[main, load, lib]), "a library frame below");
        assert_eq!(base, of("bad batch 4", &[main, load, load, load]), "recursion");
        assert_ne!(base, of("bad batch 4", &[main, ("data.py", 1, "store", true)]), "another function");
        assert_ne!(base, of("good batch 4", &[main, load]), "another message");
        assert!(base.as_str().starts_with("v1:") && base.as_str().len() == 19, "{base}");

        let exit = |code| fingerprint(&detection(DetectorKind::ExitCode, "exit", "exit"), Some(&exited(code)));
        assert_eq!(exit(3), exit(3));
        assert_ne!(exit(3), exit(4));
        let pattern = |name, message| fingerprint(&detection(DetectorKind::Pattern, name, message), None);
        assert_eq!(pattern("oom", "OOM at step 10"), pattern("oom", "OOM at step 11"));
        assert_ne!(pattern("oom", "OOM at step 10"), pattern("nan", "OOM at step 10"));
        let stall = |message| fingerprint(&detection(DetectorKind::Stall, "stall", message), None);
        assert_eq!(stall("no progress for 600 s"), stall("no output"));
    }

    #[test]
    fn direction_follows_the_language() {
        let of = |frames: Vec<TraceFrame>| {
            let mut detection = detection(DetectorKind::Traceback, "traceback", "x");
            detection.trace = Some(trace(Language::Go, "panic", "x", frames));
            fingerprint(&detection, None)
        };
        let frames =
            |last: &str| ["a", "b", "c", last].iter().map(|name| frame("main.go", 1, name, true)).collect::<Vec<_>>();
        assert_eq!(of(frames("d")), of(frames("e")), "the fourth caller does not count");
    }
}
