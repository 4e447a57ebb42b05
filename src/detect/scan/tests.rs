use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config;
use crate::config::{Stall, What};
use crate::detect::Severity;
use crate::detect::confine::check_pattern;
use crate::ids::PhaseName;

fn detector(name: &str, what: What) -> config::Detector {
    config::Detector { name: DetectorName::new(name), severity: Severity::Error, cooldown: Duration::ZERO, what }
}

fn pattern(name: &str, pattern: &str) -> config::Detector {
    let regex = check_pattern(pattern).expect("valid");
    detector(name, What::Pattern { regex, min_count: 1, window: Duration::ZERO })
}

fn metric(name: &str, pattern: &str) -> config::Detector {
    let metric = Some(check_pattern(pattern).expect("valid"));
    let stall = Stall {
        metric,
        no_progress: Some(Duration::from_secs(60)),
        learn_factor: 5.0,
        learn_min: Duration::from_secs(300),
        except: Vec::new(),
    };
    detector(name, What::Stall(stall))
}

fn values(name: &str, pattern: &str) -> config::Detector {
    let metric = config::Metric {
        regex: check_pattern(pattern).expect("valid"),
        non_finite: true,
        above: None,
        below: None,
        spike_mads: None,
        drop_mads: None,
        spike_ratio: None,
        drop_ratio: None,
        window: 200,
        confirmations: 1,
        confirm: Duration::ZERO,
        warm_up: 20,
        except: Vec::new(),
    };
    detector(name, What::Metric(Box::new(metric)))
}

fn phase(name: &str, begin: &str, end: Option<&str>) -> config::PhaseMarks {
    config::PhaseMarks {
        name: PhaseName::new(name),
        begin: check_pattern(begin).expect("valid"),
        end: end.map(|end| check_pattern(end).expect("valid")),
        max: Duration::from_secs(600),
    }
}

/// `offset line: what`.
fn told(signals: &[Signal]) -> Vec<String> {
    let line = |signal: &Signal| {
        let what = match &signal.what {
            SignalKind::Value { metric, value } => format!("{metric} {value}"),
            SignalKind::Begin { phase } => format!("{phase} begins"),
            SignalKind::End { phase } => format!("{phase} ends"),
        };
        format!("{} {}: {what}", signal.at, signal.line)
    };
    signals.iter().map(line).collect()
}

fn set(detectors: &[config::Detector]) -> Arc<DetectorSet> {
    Arc::new(DetectorSet::compile(detectors).expect("compiles"))
}

fn everything() -> Arc<DetectorSet> {
    static SET: LazyLock<Arc<DetectorSet>> = LazyLock::new(|| {
        let detectors = [
            pattern("error", "^ERROR: (?P<what>\\w+)"),
            pattern("end", "done$"),
            pattern("text", "a+b"),
            detector("trace", What::Traceback { languages: Vec::new() }),
            values("line", "line (\\d+)"),
            values("place", "[a-z]:(\\d+)"),
            values("percent", "^ (\\d+)%"),
        ];
        Arc::new(DetectorSet::with_phases(&detectors, &[phase("good", "^INFO all", Some("\\d%"))]).expect("compiles"))
    });
    Arc::clone(&SET)
}

fn scanner(set: &Arc<DetectorSet>, at: Position) -> Scanner {
    Scanner::new(Arc::clone(set), StreamId::new("s"), at)
}

fn scan_all(set: &Arc<DetectorSet>, text: &[u8]) -> Vec<Detection> {
    let mut scanner = scanner(set, Position::START);
    let mut all = scanner.feed(text).detections;
    all.extend(scanner.flush(Flush::End).detections);
    all
}

/// What a person would compare: who, where, what.
fn brief(detections: &[Detection]) -> Vec<String> {
    let line = |found: &Detection| {
        let Detection { detector, lines, bytes, message, .. } = found;
        format!("{detector} {}-{} {}..{} {message}", lines.0, lines.1, bytes.start, bytes.end)
    };
    detections.iter().map(line).collect()
}

const TRACE: &str =
    "Traceback (most recent call last):\n  File \"/app/train.py\", line 7, in step\n    run()\nValueError: bad\n";

#[test]
fn a_line_is_what_ends_at_a_line_end() {
    let found = brief(&scan_all(&everything(), b"ok\n\x1b[31mERROR: disk\x1b[0m\r\n 5%\r10%\rERROR: net\nall done"));
    assert_eq!(
        found,
        ["error 2-2 3..23 ERROR: disk", "error 3-3 33..43 ERROR: net", "end 4-4 44..52 done"],
        "offsets are those of the raw stream"
    );
}

#[test]
fn captures_have_names_or_numbers() {
    let set = set(&[pattern("p", "(?P<who>\\w+) failed (\\d+)(x)?")]);
    let found = scan_all(&set, b"rank failed 12\n");
    let captures: Vec<_> = found[0].captures.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(captures, [("2", "12"), ("who", "rank")]);
}

#[test]
fn a_trace_is_one_detection_with_a_headline() {
    let text = format!("start\n{TRACE}after\nERROR: x\n");
    let found = scan_all(&everything(), text.as_bytes());
    let end = 6 + TRACE.len();
    let after = end + "after\n".len();
    assert_eq!(
        brief(&found),
        [format!("error 7-7 {after}..{} ERROR: x", after + 8), format!("trace 2-5 6..{end} ValueError: bad")],
        "in the order in which they were complete"
    );
    assert!(found[1].trace.as_ref().is_some_and(|trace| trace.frames.len() == 1));
}

#[test]
fn an_open_trace_waits_for_the_end_or_for_silence() {
    let text = TRACE.trim_end();
    let set = everything();
    let mut scanner = scanner(&set, Position::START);
    assert!(!scanner.has_open());
    assert_eq!(brief(&scanner.feed(text.as_bytes()).detections), [""; 0]);
    assert!(scanner.has_open());
    assert_eq!(
        brief(&scanner.flush(Flush::Silence).detections),
        [format!("trace 1-4 0..{} ValueError: bad", text.len())]
    );
    assert!(!scanner.has_open());
    assert_eq!(brief(&scanner.flush(Flush::Silence).detections), [""; 0]);
    assert_eq!(brief(&scanner.feed(b"\nall done\n").detections).len(), 1);
}

#[test]
fn an_unterminated_line_is_told_once() {
    let set = everything();
    let mut scanner = scanner(&set, Position::START);
    assert_eq!(scanner.feed(b"ERROR: disk").detections.len(), 0);
    assert_eq!(brief(&scanner.flush(Flush::Silence).detections), ["error 1-1 0..11 ERROR: disk"]);
    assert_eq!(brief(&scanner.feed(b" full done\n").detections), ["end 1-1 0..21 done"], "only what is new");
    assert_eq!(brief(&scanner.feed(b"ERROR: disk\n").detections).len(), 1);
}

#[test]
fn a_trace_glued_to_a_silent_progress_bar_is_found() {
    let set = everything();
    let mut scanner = scanner(&set, Position::START);
    let mut found = scanner.feed(b"\r 45%|####      | 45/100").detections;
    found.extend(scanner.flush(Flush::Silence).detections);
    found.extend(scanner.feed(b"\r 46%|####      | 46/100\n").detections);
    found.extend(scanner.feed(TRACE.as_bytes()).detections);
    found.extend(scanner.flush(Flush::End).detections);
    assert_eq!(found.iter().map(|found| found.lines).collect::<Vec<_>>(), [(2, 5)]);
}

#[test]
fn more_after_the_end_begins_a_new_line() {
    let set = everything();
    let mut scanner = scanner(&set, Position::START);
    let mut found = scanner.feed(b"x done").detections;
    found.extend(scanner.flush(Flush::End).detections);
    assert_eq!(scanner.position(), Position { consumed: 6, resume: 6, resume_line: 1, silent: false });
    found.extend(scanner.feed(b"ERROR: late\n").detections);
    assert_eq!(brief(&found), ["end 1-1 0..6 done", "error 1-1 6..17 ERROR: late"]);
}

#[test]
fn floods_are_counted_exactly() {
    let set = set(&[pattern("noisy", "ERROR"), pattern("rare", "panic")]);
    let mut scanner = scanner(&set, Position::START);
    let text = [b"ERROR\n".repeat(1000), b"panic\n".to_vec()].concat();
    let mut total = 0;
    for _ in 0..3 {
        let scanned = scanner.feed(&text);
        let told = scanned.detections.iter().filter(|found| found.detector.as_str() == "noisy").count();
        assert_eq!(told, MAX_HITS_PER_CHUNK as usize);
        assert_eq!(scanned.detections.len(), told + 1);
        assert_eq!(scanned.counted.len(), 1);
        total += told as u64 + scanned.counted[&DetectorName::new("noisy")];
        assert_eq!((scanned.lines, scanned.bytes), (1001, 6006));
    }
    assert_eq!(total, 3000);
}

#[test]
fn metrics_are_progress_and_not_detections() {
    let set = set(&[metric("stuck", "step (\\d+)/"), metric("absent", "epoch (\\d+)")]);
    let mut scanner = scanner(&set, Position::START);
    let scanned = scanner.feed(b"step 1/9\r\x1b[1mstep\x1b[0m 2/9\nstep 3");
    assert_eq!(scanned.detections, []);
    assert_eq!(scanned.progress, BTreeMap::from([(DetectorName::new("stuck"), "2".to_owned())]));
}

#[test]
fn every_value_counts_when_its_line_has_ended() {
    let metrics = [values("loss", "loss (\\S+)"), values("rate", "(?i)TOK/S (\\S+)")];
    let set = DetectorSet::with_phases(&metrics, &[phase("save", "saving", Some("saved"))]).expect("compiles");
    let mut scanner = scanner(&Arc::new(set), Position::START);
    let mut seen = Vec::new();
    for (bytes, silent) in [
        ("tok/s 7 loss 2.5\nloss nan\r\x1b[1mloss\x1b[0m 1 loss 0", true),
        (".5\nsaving", false),
        ("", true),
        (" loss 3", true),
        (" saved\nno loss here\nloss 4", false),
    ] {
        seen.push(told(&scanner.feed(bytes.as_bytes()).signals));
        if silent {
            seen.push(told(&scanner.flush(Flush::Silence).signals));
        }
    }
    seen.push(told(&scanner.flush(Flush::End).signals));
    let expected: [&[&str]; 9] = [
        &["0 1: rate 7", "8 1: loss 2.5", "17 2: loss NaN"],
        &[],
        &["30 2: loss 1", "41 2: loss 0.5"],
        &[],
        &["50 3: save begins"],
        &[],
        &[],
        &["50 3: save ends", "57 3: loss 3"],
        &["83 5: loss 4"],
    ];
    assert_eq!(seen, expected.map(|told| told.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()));
}

#[test]
fn endless_lines_are_cut_and_still_searched() {
    let set = everything();
    let mut scanner = scanner(&set, Position::START);
    let mut text = vec![b'x'; 3 * MAX_SEGMENT + 100];
    text.splice(MAX_SEGMENT + 10..MAX_SEGMENT + 12, *b"ab");
    let mut found = Vec::new();
    for chunk in text.chunks(64 * 1024) {
        found.extend(scanner.feed(chunk).detections);
    }
    let (from, to) = (MAX_SEGMENT, 2 * MAX_SEGMENT);
    assert_eq!(brief(&found), [format!("text 1-1 {from}..{to} ab")]);
    assert!(scanner.tail.len() <= MAX_SEGMENT);
    assert_eq!(scanner.position().resume, 3 * MAX_SEGMENT as u64);
}

#[test]
fn nothing_to_look_for() {
    let set = set(&[]);
    let mut scanner = scanner(&set, Position::START);
    assert_eq!(scanner.feed(b"a\nb\n").lines, 2);
    assert_eq!(scanner.position(), Position { consumed: 4, resume: 4, resume_line: 3, silent: false });
}

#[test]
fn a_refused_pattern_names_its_detector() {
    let regex = regex::bytes::Regex::new("a*").expect("valid");
    let detector = detector("loose", What::Pattern { regex, min_count: 1, window: Duration::ZERO });
    let error = DetectorSet::compile(&[detector]).expect_err("matches everything");
    assert_eq!(error.to_string(), "cannot compile detector `loose`");
}

fn tokens(most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    let tokens = vec![
        "\n",
        "\n",
        "\r",
        "\r\n",
        "\r\r\n",
        "a",
        "ab",
        " done",
        "ERROR: x",
        "\x1b[1m",
        "\x1b[0mERROR: y\n",
        "é",
        " 5%\r",
        "Traceback (most recent call last):\n",
        "Traceback (most recent call last):\n",
        "  File \"/app/a.py\", line 1, in f\n",
        "  File \"/lib/site-packages/b.py\", line 2, in g\n",
        "    run()\n",
        "ValueError: bad\n",
        "KeyError: 'x'\n",
        "\nDuring handling of the above exception, another exception occurred:\n\n",
        "INFO all good\n",
        "TypeError: x is not a function\n",
        "    at f (/app/a.js:1:2)\n",
        "    at g (/app/b.js:3:4)\n",
        "panic: boom\n",
        "\ngoroutine 1 [running]:\n",
        "main.f()\n\t/app/main.go:7 +0x1d\n",
        "thread 'main' panicked at src/main.rs:3:5:\n",
        "Exception in thread \"main\" java.lang.RuntimeException: bad\n",
        "\tat a.B.c(B.java:7)\n",
        "Caused by: java.io.IOException: gone\n",
        "[rank0]: Traceback (most recent call last):\n",
        "[rank0]:   File \"a.py\", line 3, in h\n",
        "[rank0]: RuntimeError: boom\n",
        "[rank1]: Traceback (most recent call last):\n",
        "[rank1]:   File \"a.py\", line 4, in h\n",
        "[rank1]: RuntimeError: bang\n",
        "  + Exception Group Traceback (most recent call last):\n",
    ];
    proptest::collection::vec(proptest::sample::select(tokens), 0..most)
}

/// Each pattern on each line alone, colours removed.
fn by_definition(patterns: &[(&str, &str)], text: &[u8]) -> Vec<String> {
    let mut hits = Vec::new();
    let (mut at, mut line) = (0, 1);
    for segment in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        let content = segment.strip_suffix(b"\n").or(segment.strip_suffix(b"\r")).unwrap_or(segment);
        for (name, pattern) in patterns {
            if let Some(found) = check_pattern(pattern).expect("valid").find(&ansi::strip(content)) {
                let message = String::from_utf8_lossy(found.as_bytes()).into_owned();
                hits.push(format!("{name} {line}-{line} {at}..{} {message}", at + content.len()));
            }
        }
        at += segment.len();
        line += u64::from(segment.ends_with(b"\n"));
    }
    hits
}

/// What happens to a stream.
#[derive(Clone, Debug)]
enum Step {
    Feed(usize),
    Silence,
    /// The monitor dies and another one takes over, reading in chunks of this size.
    Kill(usize),
}

/// Feeds of up to `most` bytes.
fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..most).prop_map(Step::Feed),
        1 => Just(Step::Silence),
        3 => (1..most / 3).prop_map(Step::Kill),
    ];
    proptest::collection::vec(step, 0..40)
}

/// All that was said.
#[derive(Default)]
struct Played {
    detections: Vec<Detection>,
    signals: Vec<String>,
    lines: u64,
}

impl Played {
    fn take(&mut self, scanned: Scanned) {
        self.signals.extend(told(&scanned.signals));
        self.detections.extend(scanned.detections);
        self.lines += scanned.lines;
    }
}

fn play(set: &Arc<DetectorSet>, text: &[u8], steps: &[Step], kill: bool) -> Played {
    let mut live = scanner(set, Position::START);
    let mut all = Played::default();
    let mut fed = 0;
    for step in steps {
        match step {
            Step::Feed(length) => {
                let end = text.len().min(fed + length);
                all.take(live.feed(&text[fed..end]));
                fed = end;
            }
            Step::Silence => all.take(live.flush(Flush::Silence)),
            Step::Kill(_) if !kill => {}
            Step::Kill(chunk) => {
                let at = live.position();
                assert!(at.resume <= at.consumed && at.consumed <= fed as u64, "{at:?}");
                live = scanner(set, at);
                for part in text[usize::try_from(at.resume).expect("small")..fed].chunks(*chunk) {
                    all.take(live.feed(part));
                }
            }
        }
    }
    all.take(live.feed(&text[fed..]));
    all.take(live.flush(Flush::End));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn patterns_agree_with_the_definition(tokens in tokens(60), cuts in proptest::collection::vec(1_usize..50, 1..20)) {
        let patterns = [("error", "^ERROR: (\\w)"), ("end", "done$"), ("text", "a+b"), ("any", "(?s)[^a].{2}"), ("bar", "^ 5%$")];
        let set = set(&patterns.map(|(name, text)| pattern(name, text)));
        let text = tokens.concat().into_bytes();
        let mut scanner = scanner(&set, Position::START);
        let mut found = Vec::new();
        let mut rest = text.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at(rest.len().min(*cut));
            found.extend(scanner.feed(now).detections);
            rest = later;
        }
        found.extend(scanner.flush(Flush::End).detections);
        prop_assert_eq!(brief(&found), by_definition(&patterns, &text));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_is_lost_or_told_twice_when_the_monitor_dies(tokens in tokens(60), steps in steps(120)) {
        die_and_compare(tokens.concat().into_bytes(), &steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Long enough for the limits of the context and for lines that are cut.
    #[test]
    fn nothing_is_lost_in_long_streams_either(
        parts in proptest::collection::vec((tokens(80), 0_usize..6), 1..8),
        steps in steps(60_000),
    ) {
        let mut text = Vec::new();
        for (tokens, filler) in parts {
            text.extend(tokens.concat().into_bytes());
            match filler {
                0 => text.extend(b"z".repeat(MAX_SEGMENT + 700)),
                1 => text.extend(b" 7%|#   |\r".repeat(5000)),
                2 => text.extend(b"INFO all good\n".repeat(31)),
                3 => text.extend([b"y".repeat(30_000), b"\n".to_vec()].concat()),
                4 => text.extend(b"INFO step 7\r\n".repeat(3000)),
                _ => {}
            }
        }
        die_and_compare(text, &steps)?;
    }
}

fn die_and_compare(text: Vec<u8>, steps: &[Step]) -> Result<(), TestCaseError> {
    let set = everything();
    let undisturbed = play(&set, &text, steps, false);
    let killed = play(&set, &text, steps, true);
    prop_assert_eq!(brief(&killed.detections), brief(&undisturbed.detections));
    prop_assert_eq!(&killed.detections, &undisturbed.detections);
    prop_assert_eq!(killed.lines, undisturbed.lines);
    prop_assert_eq!(&killed.signals, &undisturbed.signals);
    let whole = play(&set, &text, &[], false);
    let mut values = [&undisturbed.signals, &whole.signals]
        .map(|told| told.iter().filter(|told| !told.ends_with('s')).collect::<Vec<_>>());
    // A value is told when its line has ended, whatever else was told of the line before.
    values.iter_mut().for_each(|told| told.sort());
    prop_assert_eq!(&values[0], &values[1]);
    if !steps.iter().any(|step| matches!(step, Step::Silence)) {
        prop_assert_eq!(&undisturbed.detections, &whole.detections, "cuts do not matter");
        prop_assert_eq!(&undisturbed.signals, &whole.signals);
    }
    Ok(())
}
