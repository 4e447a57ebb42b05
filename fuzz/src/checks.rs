//! What must hold for any bytes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sentry::config::{self, Detector, What};
use sentry::detect::{Detection, DetectorSet, Flush, Language, Position, Scanner, Severity};
use sentry::ids::{DetectorName, StreamId};

/// Expressions of all kinds that the automaton must agree on with the expression alone.
const PATTERNS: &[&str] = &[
    r"(?i)out of memory",
    r"\bloss[=: ]+(nan|[-+]?inf)\b",
    r"^Killed$",
    r"exit code:?\s+[1-9]",
    r"\A\w+Error\z",
    r"NCCL.*(error|timeout)",
    r"[^ -~]{2,}",
    r"(\d+)/(\d+)",
];

/// One target: what is fed to what.
pub(crate) enum Target {
    /// Traces of a language, or of all.
    Traces(Arc<DetectorSet>),
    /// Patterns.
    Patterns(Arc<DetectorSet>),
    /// The configuration's parser.
    Config,
}

const LANGUAGES: &[(&str, Language)] = &[
    ("python", Language::Python),
    ("javascript", Language::Javascript),
    ("go", Language::Go),
    ("rust", Language::Rust),
    ("java", Language::Java),
    ("cpp", Language::Cpp),
    ("shell", Language::Shell),
    ("dotnet", Language::Dotnet),
    ("ruby", Language::Ruby),
    ("php", Language::Php),
];

impl Target {
    pub(crate) fn names() -> Vec<&'static str> {
        LANGUAGES.iter().map(|(name, _)| *name).chain(["traces", "patterns", "config"]).collect()
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let traces = |languages| Self::Traces(compiled(vec![detector("traces", What::Traceback { languages })]));
        match name {
            "traces" => Some(traces(Vec::new())),
            "patterns" => {
                let pattern = |regex: &&str| {
                    let regex = sentry::detect::confine::check_pattern(regex).expect("valid");
                    detector(&regex.as_str().to_owned(), What::Pattern { regex, min_count: 1, window: Duration::ZERO })
                };
                Some(Self::Patterns(compiled(PATTERNS.iter().map(pattern).collect())))
            }
            "config" => Some(Self::Config),
            name => LANGUAGES.iter().find(|(known, _)| *known == name).map(|(_, language)| traces(vec![*language])),
        }
    }

    pub(crate) fn check(&self, data: &[u8]) {
        match self {
            Self::Traces(set) => {
                let found = scan(set, data, &[]);
                for detection in &found {
                    sound(detection, data);
                }
                agrees_however_it_is_cut(set, data, &found);
            }
            Self::Patterns(set) => {
                let (found, counted) = scan_counting(set, data, &[]);
                let mut told: Vec<_> = found.iter().map(|it| (it.detector.to_string(), it.bytes.start)).collect();
                told.sort();
                let defined = line_by_line(data);
                if counted == 0 {
                    assert_eq!(told, defined, "the definition");
                    agrees_however_it_is_cut(set, data, &found);
                } else {
                    // Which hits of a noisy detector are only counted depends on the cuts; how many there are does not.
                    assert_eq!(told.len() as u64 + counted, defined.len() as u64, "the definition, counted");
                    assert!(told.iter().all(|hit| defined.contains(hit)), "the definition");
                }
            }
            Self::Config => {
                if let Ok(text) = config::decode(data, None) {
                    let _ = config::parse(text, None, Path::new("/p"), &|_| None);
                }
            }
        }
    }
}

fn detector(name: &str, what: What) -> Detector {
    Detector { name: DetectorName::new(name), severity: Severity::Error, cooldown: Duration::ZERO, what }
}

fn compiled(detectors: Vec<Detector>) -> Arc<DetectorSet> {
    Arc::new(DetectorSet::compile(&detectors).expect("compiles"))
}

fn scanner(set: &Arc<DetectorSet>, at: Position) -> Scanner {
    Scanner::new(Arc::clone(set), StreamId::new("s"), at)
}

/// Scans `data` in pieces that end at `cuts`.
fn scan(set: &Arc<DetectorSet>, data: &[u8], cuts: &[usize]) -> Vec<Detection> {
    scan_counting(set, data, cuts).0
}

/// The same, with the number of hits that were only counted.
fn scan_counting(set: &Arc<DetectorSet>, data: &[u8], cuts: &[usize]) -> (Vec<Detection>, u64) {
    let mut scanner = scanner(set, Position::START);
    let (mut found, mut counted) = (Vec::new(), 0);
    let mut from = 0;
    for &cut in cuts.iter().chain([&data.len()]) {
        let scanned = scanner.feed(&data[from..cut.max(from)]);
        counted += scanned.counted.values().sum::<u64>();
        found.extend(scanned.detections);
        from = cut.max(from);
    }
    let scanned = scanner.flush(Flush::End);
    counted += scanned.counted.values().sum::<u64>();
    found.extend(scanned.detections);
    (found, counted)
}

/// Cuts, and a scanner that goes on where another one stopped, change nothing. The data chooses the place.
fn agrees_however_it_is_cut(set: &Arc<DetectorSet>, data: &[u8], found: &[Detection]) {
    if data.is_empty() {
        return;
    }
    let seed = data.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let (one, two) = (seed % data.len(), seed / 7 % data.len());
    assert_eq!(scan(set, data, &[one.min(two), one.max(two)]), found, "cut at {one} and {two}");

    let mut first = scanner(set, Position::START);
    let mut both = first.feed(&data[..one]).detections;
    let at = first.position();
    let mut second = scanner(set, at);
    both.extend(second.feed(&data[usize::try_from(at.resume).expect("fits")..]).detections);
    both.extend(second.flush(Flush::End).detections);
    assert_eq!(both, found, "resumed at {at:?}");
}

fn sound(detection: &Detection, data: &[u8]) {
    let trace = detection.trace.as_ref().expect("a trace");
    let lines = data.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    assert!(detection.bytes.start < detection.bytes.end && detection.bytes.end <= data.len() as u64);
    assert!(1 <= detection.lines.0 && detection.lines.0 <= detection.lines.1 && detection.lines.1 <= lines);
    assert!(trace.in_app_top.is_none_or(|top| top < trace.frames.len()));
    assert!(trace.text.len() <= sentry::detect::Trace::MAX_TEXT);
}

/// The definition: each expression on each segment between line ends, without escapes.
fn line_by_line(data: &[u8]) -> Vec<(String, u64)> {
    let mut told = Vec::new();
    for pattern in PATTERNS {
        let regex = sentry::detect::confine::check_pattern(pattern).expect("valid");
        let mut start = 0;
        for segment in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let clean = sentry::detect::ansi::strip(segment);
            if regex.find(&clean).is_some_and(|found| !found.is_empty()) {
                told.push(((*pattern).to_owned(), start));
            }
            start += segment.len() as u64 + 1;
        }
    }
    told.sort();
    told
}
