//! `detectors`.

use std::collections::HashMap;

use super::model::{Detector, What};
use super::parse::languages;
use super::problem::{Draft, Problems};
use super::read::{Context, Section};
use super::regexes;
use super::scalar;
use super::tables::{DETECTOR_ONLY, DETECTORS_DEFAULT, ROOT};
use super::yaml::{self, At, Entry, Node, Value};
use crate::detect::Severity;
use crate::ids::DetectorName;

/// The detectors, and the names of all that the file means to have: one with a bad expression is still there to be named.
pub(super) struct Detectors {
    pub(super) list: Vec<Detector>,
    pub(super) names: Vec<String>,
}

/// Reads the detectors, or the built-in ones where the file has none.
pub(super) fn read(root: &Section<'_>, context: &mut Context<'_>) -> Detectors {
    if root.entry("detectors").is_none() {
        let list = built_in(context);
        return Detectors { names: list.iter().map(|detector| detector.name.to_string()).collect(), list };
    }
    let mut seen: HashMap<String, At> = HashMap::new();
    let mut out = Detectors { list: Vec::new(), names: Vec::new() };
    for (index, section) in root.sections("detectors").into_iter().enumerate() {
        let at = section.given("name").map_or_else(|| section.at(), |node| node.at.clone());
        let Some(name) = name(&section, index) else {
            missing_kind(&section, context);
            continue;
        };
        if let Some(first) = seen.get(&name) {
            context.problems.error(
                Draft::new(at, format!("two detectors are called `{name}`"))
                    .help("give each its own `name`")
                    .first(first.clone()),
            );
        } else {
            seen.insert(name.clone(), at);
        }
        out.list.extend(one(&section, &name, context));
        out.names.push(name);
    }
    out
}

/// The name given, else the one that autosentry gives.
fn name(section: &Section<'_>, index: usize) -> Option<String> {
    section.text("name").or_else(|| {
        let kind = section.word("kind")?;
        Some(if kind == "pattern" { format!("pattern_{index}") } else { kind })
    })
}

fn built_in(context: &mut Context<'_>) -> Vec<Detector> {
    let Some(list) = yaml::read(DETECTORS_DEFAULT, &mut Problems::default()) else { return Vec::new() };
    let entry = Entry { key: "detectors".to_owned(), key_at: 0..0, value: list };
    let node = Node { at: 0..0, value: Value::Map(vec![entry]) };
    let sections = Section::new(Some(&node), &ROOT).sections("detectors");
    sections.into_iter().filter_map(|section| one(&section, &section.text("name")?, context)).collect()
}

fn missing_kind(section: &Section<'_>, context: &mut Context<'_>) {
    if section.given("kind").is_none() && section.is_mapping() {
        context.problems.error(
            Draft::new(section.at(), "a detector without a `kind`").help("pattern, traceback, stall or exit_code"),
        );
    }
}

fn one(section: &Section<'_>, name: &str, context: &mut Context<'_>) -> Option<Detector> {
    let Some(kind) = section.word("kind") else {
        missing_kind(section, context);
        return None;
    };
    for (key, only) in DETECTOR_ONLY {
        if *only != kind
            && let Some(entry) = section.entry(key)
        {
            context.problems.warn(
                Draft::new(entry.key_at.clone(), format!("`{key}` has no effect here"))
                    .help(format!("it belongs to `kind: {only}`")),
            );
        }
    }
    let what = match kind.as_str() {
        "pattern" => {
            if section.given("regex").is_none() {
                context.problems.error(
                    Draft::new(section.at(), "a pattern without a `regex`")
                        .help("write what to look for: `regex: 'out of memory'`"),
                );
            }
            What::Pattern {
                regex: line_regex(section, "regex")?,
                min_count: section.whole("min_count").max(1),
                window: section.seconds("window_seconds"),
            }
        }
        "traceback" => What::Traceback { languages: languages(section) },
        "stall" => What::Stall {
            metric: line_regex(section, "metric_regex"),
            no_progress: section.seconds("no_progress_seconds"),
        },
        _ => What::ExitCode { nonzero_only: section.bool("nonzero_only") },
    };
    Some(Detector {
        name: DetectorName::new(name),
        severity: severity(section.word("severity").as_deref()),
        cooldown: section.seconds("cooldown_seconds"),
        what,
    })
}

fn line_regex(section: &Section<'_>, key: &str) -> Option<regex::bytes::Regex> {
    section.given(key).and_then(scalar::text).and_then(|pattern| regexes::for_lines(pattern).ok())
}

pub(super) fn severity(word: Option<&str>) -> Severity {
    match word {
        Some("info") => Severity::Info,
        Some("warning") => Severity::Warning,
        Some("critical") => Severity::Critical,
        _ => Severity::Error,
    }
}
