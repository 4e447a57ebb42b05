//! Scores the traceback detector against the labelled streams in `fixtures/traces` (its README explains the labels).
//!
//! Set `SENTRY_TRACES_OUT` to a folder to have every stream's detections written there as JSON.

#![expect(clippy::disallowed_methods, reason = "a test reads its fixtures itself")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

#[path = "healthy/mod.rs"]
mod healthy;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};
use sentry::detect::traceback::{CONTEXT_LINES, Driver, Found, RawLine, Role};
use sentry::detect::{DetectorSet, Flush, Position, Role as ClassRole, Scanner, TraceFrame};
use sentry::ids::StreamId;
use serde::Deserialize;

/// What must be reached per language: recall, exact types, accepted spans, frames F1, cause chains, in-app frame.
const FLOORS: &[(&str, [f64; 6])] = &[
    ("cpp", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ("dotnet", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ("go", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ("javascript", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ("jvm", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ("php", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ("python", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ("ruby", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ("rust", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ("shell", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
];

#[derive(Debug, Deserialize)]
struct Case {
    language: String,
    events: Vec<Label>,
    #[serde(default)]
    ignore_lines: Vec<(u64, u64)>,
}

#[derive(Debug, Deserialize)]
struct Label {
    language: Option<String>,
    exception: Option<String>,
    #[serde(default)]
    exception_alt: Vec<Option<String>>,
    start_line: u64,
    #[serde(default)]
    start_line_alt: Vec<u64>,
    end_line: u64,
    #[serde(default)]
    end_line_alt: Vec<u64>,
    frames: Vec<LabelFrame>,
    in_app_top: Option<usize>,
    #[serde(default)]
    in_app_top_alt: Vec<usize>,
    cause_chain: Vec<String>,
    #[serde(default)]
    cause_chain_alt: Vec<Vec<String>>,
    #[serde(default)]
    split_ok: bool,
}

#[derive(Debug, Deserialize)]
struct LabelFrame {
    file: Option<String>,
    line: Option<u32>,
    #[serde(default)]
    optional: bool,
}

/// Hits and trials of one figure.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    hits: f64,
    of: f64,
}

impl Rate {
    fn add(&mut self, hits: impl Into<f64>) {
        self.hits += hits.into();
        self.of += 1.0;
    }

    fn value(self) -> f64 {
        if self.of == 0.0 { 1.0 } else { self.hits / self.of }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    recall: Rate,
    types: Rate,
    spans: Rate,
    frames: Rate,
    causes: Rate,
    in_app: Rate,
    extra: u32,
}

impl Tally {
    fn figures(&self) -> [f64; 6] {
        [self.recall, self.types, self.spans, self.frames, self.causes, self.in_app].map(Rate::value)
    }
}

#[test]
fn traces_are_read() {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut complaints = Vec::new();
    for log in logs() {
        let name = log.file_stem().unwrap().to_string_lossy().into_owned();
        let case: Case = serde_json::from_slice(&std::fs::read(log.with_extension("json")).unwrap()).unwrap();
        let found = detect(&std::fs::read(&log).unwrap());
        write_out(&name, &found);
        score(&name, &case, &found, &mut tallies, &mut complaints);
    }
    let mut table = format!("{:<11}{}\n", "language", "  recall   types   spans  frames  causes  in_app   extra");
    let mut failed = false;
    for (language, tally) in &tallies {
        let _ = write!(table, "{language:<11}");
        let floors = FLOORS.iter().find(|(name, _)| name == language).map(|(_, floors)| floors);
        for (index, figure) in tally.figures().into_iter().enumerate() {
            let low = floors.is_some_and(|floors| figure + 1e-9 < floors[index]);
            failed |= low;
            let _ = write!(table, "{figure:>7.3}{}", if low { '!' } else { ' ' });
        }
        failed |= tally.extra > 0;
        let _ = writeln!(table, "{:>8}", tally.extra);
    }
    assert!(!failed, "below the floor (!) or with extra detections:\n{table}\n{}", complaints.join("\n"));
}

/// What launchers, collectors and loggers put in front of each line; `#` stands for the line's number.
const PREFIXES: &[&str] = &[
    "[rank3]: ",
    "[default3]:",
    "[default3]:[rank3]: ",
    "[1,3]<stderr>:",
    "(train_fn pid=4711, ip=10.0.0.7) ",
    "  3: ",
    "web-1  | ",
    "[pod/web-6f7c/app] ",
    "2026-11-21T01:02:03.12345#7Z ",
    "2026-11-21T01:02:03.12345#7Z stderr F ",
    "2026-11-21T01:02:03Z [rank3]: ",
    "Nov 21 01:02:03 node7 app[4711]: ",
    "2026-11-21T01:02:03.12#+00:00 node7 app[4711]: ",
    "2026-11-21 01:02:03,# INFO runner.child: ",
    "INFO:runner:",
    "[2026-11-21, 01:02:03 UTC] {subprocess.py:93} INFO - ",
    "2026-11-21 01:02:03.#  INFO 4711 --- [pool-1-thread-#] c.acme.Runner : ",
    "I1121 01:02:03.#    4711 runner.go:93] ",
    "node7: ",
];

/// Whatever is printed in logs in which nothing fails, no known failure is seen in it, but for what only explains an end.
#[test]
fn healthy_logs_hold_no_known_failure() {
    let config = sentry::config::defaults(vec!["true".to_owned()], Path::new("/"));
    let set = std::sync::Arc::new(DetectorSet::compile(&config.detectors).expect("the built-in detectors compile"));
    let mut looked = 0;
    for log in logs() {
        if !log.file_name().is_some_and(|name| name.to_string_lossy().starts_with("neg_")) {
            continue;
        }
        looked += 1;
        let mut scanner = Scanner::new(std::sync::Arc::clone(&set), StreamId::new("log"), Position::START);
        let mut found = scanner.feed(&std::fs::read(&log).expect("readable")).detections;
        found.extend(scanner.flush(Flush::End).detections);
        found.retain(|it| {
            it.class.as_ref().is_some_and(|class| !class.only_if_ended && class.role != ClassRole::Diagnostic)
        });
        assert_eq!(found, [], "{}", log.display());
    }
    assert!(looked > 10, "{looked}");
}

#[test]
fn a_prefix_in_front_of_every_line_changes_nothing() {
    let mut wrong = Vec::new();
    for log in logs().into_iter().filter(|log| !is_prefixed(log)) {
        let bytes = std::fs::read(&log).unwrap();
        let expected = essence(&detect(&bytes));
        for prefix in PREFIXES {
            let mut prefixed = Vec::new();
            for (number, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
                prefixed.extend(prefix.replace('#', &format!("{:03}", number % 1000)).as_bytes());
                prefixed.extend(line);
            }
            let got = essence(&detect(&prefixed));
            if got != expected {
                wrong.push(format!("{} {prefix:?}:\n    {got:?}\n    instead of {expected:?}", log.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn ranks_that_print_through_each_other_are_told_apart() {
    let logs: Vec<PathBuf> = logs().into_iter().filter(|log| !is_prefixed(log)).collect();
    for pair in logs.windows(2) {
        let texts = [&pair[0], &pair[1]].map(|log| std::fs::read(log).unwrap());
        let mut lines = texts.each_ref().map(|text| text.split_inclusive(|&b| b == b'\n'));
        let mut mixed = Vec::new();
        loop {
            let next = lines.each_mut().map(Iterator::next);
            if next.iter().all(Option::is_none) {
                break;
            }
            for (rank, line) in next.into_iter().enumerate() {
                let Some(line) = line else { continue };
                mixed.extend(format!("[rank{rank}]: ").as_bytes());
                mixed.extend(line.strip_suffix(b"\n").unwrap_or(line));
                mixed.push(b'\n');
            }
        }
        let found = detect(&mixed);
        for (rank, text) in texts.iter().enumerate() {
            let of_rank: Vec<Found> =
                found.iter().filter(|found| found.prefix.get("rank") == Some(&rank.to_string())).cloned().collect();
            let without_lines =
                |found: &[Found]| -> Vec<_> { essence(found).into_iter().map(|e| (e.2, e.3, e.4)).collect() };
            assert_eq!(without_lines(&of_rank), without_lines(&detect(text)), "rank {rank} of {pair:?}");
        }
    }
}

type Essence = (u64, u64, Option<String>, String, Vec<TraceFrame>);

fn essence(found: &[Found]) -> Vec<Essence> {
    let mut all: Vec<Essence> = found
        .iter()
        .map(|found| {
            let trace = &found.trace;
            (found.first_line, found.last_line, trace.exception.clone(), trace.message.clone(), trace.frames.clone())
        })
        .collect();
    all.sort_by_key(|essence| (essence.0, essence.1));
    all
}

/// Streams whose lines have launchers' prefixes of their own, or columns that a prefix would shift.
fn is_prefixed(log: &Path) -> bool {
    // The launcher's own report names the rank that failed, whatever stands in front of it.
    log.file_stem().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with("py_rank_") || name.starts_with("py_torchrun_")
    })
}

fn logs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/traces");
    let mut logs: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    logs.sort();
    assert!(logs.len() > 100, "the corpus is there");
    logs
}

/// The scanner's part in a few lines: lines, colours, context.
fn detect(bytes: &[u8]) -> Vec<Found> {
    static STARTERS: LazyLock<RegexSet> =
        LazyLock::new(|| RegexSetBuilder::new(Driver::new(&[]).starters()).unicode(false).build().unwrap());
    static ANSI: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?-u)\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]").unwrap()
    });
    let mut driver = Driver::new(&[]);
    let mut found = Vec::new();
    let mut lines: Vec<(u64, u64, Vec<u8>)> = Vec::new();
    let mut offset = 0;
    for raw in bytes.split_inclusive(|&b| b == b'\n') {
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let end = offset + raw.len() as u64;
        lines.push((offset, end, ANSI.replace_all(text, &b""[..]).into_owned()));
        offset = end;
    }
    let line = |index: usize| {
        let (start, end, bytes): &(u64, u64, Vec<u8>) = &lines[index];
        RawLine { number: index as u64 + 1, start: *start, end: *end, bytes }
    };
    for (index, (_, _, text)) in lines.iter().enumerate() {
        let starter = STARTERS.is_match(text);
        if driver.idle() {
            if !starter {
                continue;
            }
            for before in index.saturating_sub(CONTEXT_LINES)..index {
                found.extend(driver.push(&line(before), Role::Context));
            }
        }
        found.extend(driver.push(&line(index), if starter { Role::Starter } else { Role::Line }));
    }
    found.extend(driver.flush());
    assert!(driver.idle());
    found
}

fn write_out(name: &str, found: &[Found]) {
    let Some(folder) = std::env::var_os("SENTRY_TRACES_OUT") else { return };
    let events: Vec<serde_json::Value> = found
        .iter()
        .map(|found| {
            let trace = &found.trace;
            serde_json::json!({
                "detector": "traceback", "language": trace.language, "exception": trace.exception, "message": trace.message,
                "start_line": found.first_line, "end_line": found.last_line, "frames": trace.frames,
                "in_app_top": trace.in_app_top, "cause_chain": trace.cause_chain, "cut": trace.cut, "prefix": found.prefix,
            })
        })
        .collect();
    std::fs::write(Path::new(&folder).join(format!("{name}.json")), serde_json::to_vec(&events).unwrap()).unwrap();
}

fn score(
    name: &str,
    case: &Case,
    found: &[Found],
    tallies: &mut BTreeMap<String, Tally>,
    complaints: &mut Vec<String>,
) {
    let pairs = pairs(&case.events, found);
    for (index, extra) in found.iter().enumerate() {
        if !pairs.values().any(|&used| used == index) && !is_free(extra, case) {
            tallies.entry(family(&case.language)).or_default().extra += 1;
            complaints.push(format!(
                "{name}: extra {}-{} {:?} {:?}",
                extra.first_line, extra.last_line, extra.trace.exception, extra.trace.message
            ));
        }
    }
    for (index, label) in case.events.iter().enumerate() {
        let tally = tallies.entry(family(label.language.as_deref().unwrap_or(&case.language))).or_default();
        let got = pairs.get(&index).map(|&at| &found[at]);
        let mut wrong = Vec::new();
        let mut check = |rate: &mut Rate, what: &str, good: f64| {
            rate.add(good);
            if good < 1.0 {
                wrong.push(what.to_owned());
            }
        };
        check(&mut tally.recall, "missed", f64::from(got.is_some()));
        if label.exception.is_some() && !label.exception_alt.contains(&None) {
            check(&mut tally.types, "type", f64::from(got.is_some_and(|g| type_fits(label, g))));
        }
        check(&mut tally.spans, "span", f64::from(got.is_some_and(|g| span_fits(label, g))));
        if label.frames.iter().any(LabelFrame::is_needed) {
            check(&mut tally.frames, "frames", got.map_or(0.0, |g| frames_f1(label, &g.trace.frames)));
        }
        if !label.cause_chain.is_empty() && !label.cause_chain_alt.contains(&Vec::new()) {
            check(&mut tally.causes, "causes", f64::from(got.is_some_and(|g| causes_fit(label, &g.trace.cause_chain))));
        }
        if let Some(top) = label.in_app_top.and_then(|top| label.frames.get(top)).filter(|frame| frame.file.is_some()) {
            let good = got.is_some_and(|g| top_fits(label, top, g));
            check(&mut tally.in_app, "in_app", f64::from(good));
        }
        if !wrong.is_empty() {
            let got =
                got.map(|g| (g.first_line, g.last_line, &g.trace.exception, &g.trace.cause_chain, g.trace.in_app_top));
            complaints.push(format!("{name}:{}-{}: {}: {got:?}", label.start_line, label.end_line, wrong.join(", ")));
        }
    }
}

/// Label to detection, best fits first.
fn pairs(labels: &[Label], found: &[Found]) -> BTreeMap<usize, usize> {
    let mut candidates = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        let low = label.start_line_alt.iter().chain([&label.start_line]).min().unwrap();
        let high = label.end_line_alt.iter().chain([&label.end_line]).max().unwrap();
        for (j, got) in found.iter().enumerate() {
            if got.first_line > *high || got.last_line < *low {
                continue;
            }
            let shared = (label.end_line.min(got.last_line) + 1).saturating_sub(label.start_line.max(got.first_line));
            let all = label.end_line.max(got.last_line) + 1 - label.start_line.min(got.first_line);
            let overlap = (shared as f64 / all as f64).max(0.01);
            let fit = overlap + 0.4 * f64::from(type_fits(label, got)) + 0.4 * frames_f1(label, &got.trace.frames);
            candidates.push((fit, i, j));
        }
    }
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut pairs = BTreeMap::new();
    for (_, i, j) in candidates {
        if !pairs.contains_key(&i) && !pairs.values().any(|&used| used == j) {
            pairs.insert(i, j);
        }
    }
    pairs
}

fn is_free(extra: &Found, case: &Case) -> bool {
    case.ignore_lines.iter().any(|&(a, b)| a <= extra.first_line && extra.last_line <= b)
        || case
            .events
            .iter()
            .any(|l| l.split_ok && extra.first_line + 3 >= l.start_line && extra.last_line <= l.end_line + 3)
}

fn type_fits(label: &Label, got: &Found) -> bool {
    let got = got.trace.exception.as_deref().map(str::trim).filter(|name| !name.is_empty());
    label.exception_alt.iter().chain([&label.exception]).any(|accepted| accepted.as_deref() == got)
}

fn span_fits(label: &Label, got: &Found) -> bool {
    (label.start_line == got.first_line || label.start_line_alt.contains(&got.first_line))
        && (label.end_line == got.last_line || label.end_line_alt.contains(&got.last_line))
}

fn causes_fit(label: &Label, got: &[String]) -> bool {
    let last = |name: &str| name.rsplit(['.', ':', '$', '/']).next().unwrap_or_default().to_owned();
    label.cause_chain_alt.iter().chain([&label.cause_chain]).any(|want| {
        want.len() == got.len() && want.iter().zip(got).all(|(w, g)| w == g || last(w) == last(g) || g.ends_with(w))
    })
}

fn top_fits(label: &Label, top: &LabelFrame, got: &Found) -> bool {
    let Some(frame) = got.trace.in_app_top.and_then(|index| got.trace.frames.get(index)) else { return false };
    let others = label.in_app_top_alt.iter().filter_map(|&index| label.frames.get(index));
    others.chain([top]).any(|wanted| wanted.fits(frame))
}

impl LabelFrame {
    fn is_located(&self) -> bool {
        self.file.is_some() && self.line.is_some()
    }

    fn is_needed(&self) -> bool {
        self.is_located() && !self.optional
    }

    fn fits(&self, frame: &TraceFrame) -> bool {
        let plain = |file: &str| {
            let file = file.replace('\\', "/");
            file.strip_prefix("file://").unwrap_or(&file).trim_start_matches("./").to_owned()
        };
        let (Some(want), Some(got)) = (&self.file, &frame.file) else { return false };
        let (want, got) = (plain(want), plain(got));
        self.line == frame.line && (want == got || got.ends_with(&format!("/{want}")))
    }
}

/// Harmonic mean of precision and recall over the longest common run of frames; optional frames count for nothing.
fn frames_f1(label: &Label, got: &[TraceFrame]) -> f64 {
    let want: Vec<&LabelFrame> = label.frames.iter().filter(|frame| frame.is_located()).collect();
    let got: Vec<&TraceFrame> = got.iter().filter(|frame| frame.file.is_some() && frame.line.is_some()).collect();
    let needed = want.iter().filter(|frame| !frame.optional).count();
    if needed == 0 || got.is_empty() {
        return 0.0;
    }
    // (weight, needed hits, hits) of the best match of the first frames of both.
    let mut above = vec![(0u64, 0u32, 0u32); got.len() + 1];
    for frame in want {
        let mut row = vec![(0, 0, 0)];
        for (at, other) in got.iter().enumerate() {
            let mut best = above[at + 1].max(row[at]);
            if frame.fits(other) {
                let (weight, need, hits) = above[at];
                best = best.max((
                    weight + 10_001 - u64::from(frame.optional),
                    need + u32::from(!frame.optional),
                    hits + 1,
                ));
            }
            row.push(best);
        }
        above = row;
    }
    let (_, need, hits) = above[got.len()];
    let (recall, precision) = (f64::from(need) / needed as f64, f64::from(hits) / got.len() as f64);
    if recall + precision == 0.0 { 0.0 } else { 2.0 * recall * precision / (recall + precision) }
}

/// Languages of the JVM and of C count together.
fn family(language: &str) -> String {
    match language {
        "java" | "kotlin" | "scala" => "jvm",
        "typescript" => "javascript",
        other => other,
    }
    .to_owned()
}
