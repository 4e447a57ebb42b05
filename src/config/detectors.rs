//! `detectors`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::catalogue;
use super::check::nearest;
use super::detector_model::{Ask, Detector, Metric, PhaseMarks, Probe, Resource, Stall, What};
use super::detector_tables::{DETECTOR_KINDS, DETECTOR_ONLY, DETECTORS_DEFAULT};
use super::parse::languages;
use super::problem::{Draft, Problems};
use super::read::{Context, Section};
use super::regexes;
use super::scalar;
use super::tables::ROOT;
use super::yaml::{self, At, Entry, Node, Value};
use crate::detect::Severity;
use crate::ids::{DetectorName, PhaseName};

/// The detectors, and the names of all that the file means to have: one with a bad expression is still there to be named.
pub(super) struct Detectors {
    pub(super) list: Vec<Detector>,
    /// Without the classes of the catalogue.
    pub(super) names: Vec<String>,
}

impl Detectors {
    /// Also those of classes.
    pub(super) fn all_names(&self) -> Vec<String> {
        let classes = self.list.iter().filter(|detector| matches!(detector.what, What::Class(_)));
        self.names.iter().cloned().chain(classes.map(|detector| detector.name.to_string())).collect()
    }
}

/// Reads the detectors, or the built-in ones where the file has none.
pub(super) fn read(root: &Section<'_>, phases: &[PhaseMarks], context: &mut Context<'_>) -> Detectors {
    if root.entry("detectors").is_some() {
        return all(&root.sections("detectors"), phases, context);
    }
    let none = Detectors { list: Vec::new(), names: Vec::new() };
    let Some(list) = yaml::read(DETECTORS_DEFAULT, &mut Problems::default()) else { return none };
    let entry = Entry { key: "detectors".to_owned(), key_at: 0..0, value: list };
    let node = Node { at: 0..0, value: Value::Map(vec![entry]) };
    all(&Section::new(Some(&node), &ROOT).sections("detectors"), phases, context)
}

fn all(sections: &[Section<'_>], phases: &[PhaseMarks], context: &mut Context<'_>) -> Detectors {
    let mut seen: HashMap<String, At> = HashMap::new();
    let mut out = Detectors { list: Vec::new(), names: Vec::new() };
    let taken: HashSet<String> =
        sections.iter().enumerate().filter_map(|(index, section)| name(section, index)).collect();
    for (index, section) in sections.iter().enumerate() {
        let at = section.given("name").map_or_else(|| section.at(), |node| node.at.clone());
        let Some(name) = name(section, index) else {
            missing_kind(section, context);
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
        known_phases(section, phases, context);
        if let Some(detector) = one(section, &name, context) {
            let classes = match &detector.what {
                What::Catalogue(spec) => catalogue::classes(section, spec, &taken, detector.cooldown, context),
                _ => Vec::new(),
            };
            out.list.push(detector);
            // Two entries may share packs; a class is there once.
            let new = |class: &Detector| !out.list.iter().any(|there| there.name == class.name);
            let classes: Vec<Detector> = classes.into_iter().filter(new).collect();
            out.list.extend(classes);
        }
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

fn missing_kind(section: &Section<'_>, context: &mut Context<'_>) {
    if section.given("kind").is_none() && section.is_mapping() {
        context.problems.error(Draft::new(section.at(), "a detector without a `kind`").help(DETECTOR_KINDS.join(", ")));
    }
}

fn one(section: &Section<'_>, name: &str, context: &mut Context<'_>) -> Option<Detector> {
    let Some(kind) = section.word("kind") else {
        missing_kind(section, context);
        return None;
    };
    for (key, only) in DETECTOR_ONLY {
        if !only.contains(&kind.as_str())
            && let Some(entry) = section.entry(key)
        {
            context.problems.warn(
                Draft::new(entry.key_at.clone(), format!("`{key}` has no effect here"))
                    .help(format!("it belongs to `kind: {}`", only.join("`, `"))),
            );
        }
    }
    let what = match kind.as_str() {
        "pattern" => What::Pattern {
            regex: required_regex(section, "pattern", context)?,
            min_count: section.whole("min_count").max(1),
            window: section.seconds("window_seconds"),
        },
        "rate" => What::Rate {
            regex: required_regex(section, "rate", context)?,
            count: section.whole("count").max(2),
            window: match section.seconds("window_seconds") {
                none if none.is_zero() => Duration::from_secs(60),
                window => window,
            },
        },
        "metric" => What::Metric(Box::new(metric(section, context)?)),
        "traceback" => What::Traceback { languages: languages(section) },
        "stall" => What::Stall(Stall {
            metric: line_regex(section, "metric_regex"),
            no_progress: section.given("no_progress_seconds").map(|_| section.seconds("no_progress_seconds")),
            learn_factor: section.number("learn_factor"),
            learn_min: section.seconds("learn_min_seconds"),
            except: excepted(section),
        }),
        "resource" => What::Resource(Box::new(resource(section, context))),
        "catalogue" => What::Catalogue(Box::new(catalogue::spec(section, context))),
        "http" | "tcp" | "command" => What::Probe(Box::new(probe(section, &kind, context)?)),
        _ => What::ExitCode { nonzero_only: section.bool("nonzero_only") },
    };
    Some(Detector {
        name: DetectorName::new(name),
        severity: severity(section.word("severity").as_deref()),
        cooldown: section.seconds("cooldown_seconds"),
        what,
    })
}

/// A metric must be able to fire.
fn metric(section: &Section<'_>, context: &mut Context<'_>) -> Option<Metric> {
    let regex = required_regex(section, "metric", context)?;
    if !regexes::can_hold_number(regex.as_str())
        && let Some(node) = section.given("regex")
    {
        context.problems.error(
            Draft::new(node.at.clone(), "what this finds is never a number")
                .help("put the number into the first group: `regex: 'loss[=: ]+(\\S+)'`"),
        );
    }
    let number = |key: &str| section.given(key).map(|_| section.number(key));
    let by_median = ["spike_mads", "drop_mads", "spike_ratio", "drop_ratio"];
    let confirmations = section
        .maybe_whole("confirmations")
        .unwrap_or(if by_median.iter().any(|key| number(key).is_some()) { 5 } else { 1 });
    let metric = Metric {
        regex,
        non_finite: section.bool("non_finite"),
        above: number("above"),
        below: number("below"),
        spike_mads: number("spike_mads"),
        drop_mads: number("drop_mads"),
        spike_ratio: number("spike_ratio"),
        drop_ratio: number("drop_ratio"),
        window: section.whole("window"),
        confirmations,
        confirm: section.seconds("confirm_seconds"),
        warm_up: section.whole("warm_up"),
        except: excepted(section),
    };
    let limits = ["above", "below"].into_iter().chain(by_median);
    if !metric.non_finite && limits.clone().all(|key| section.given(key).is_none()) {
        let limits: Vec<String> = limits.map(|key| format!("`{key}`")).collect();
        context.problems.error(
            Draft::new(section.at(), "a metric that can never fire")
                .help(format!("give one of {}, or `non_finite: true`", limits.join(", "))),
        );
    }
    Some(metric)
}

fn resource(section: &Section<'_>, context: &mut Context<'_>) -> Resource {
    let bytes = |key: &str| section.given(key).map(|_| section.bytes(key));
    let disks = section.paths("disks", context);
    let (mut disk_free_below, mut inodes_free_below) =
        (bytes("disk_free_below"), section.maybe_whole("inodes_free_below").map(u64::from));
    if !disks.is_empty() && disk_free_below.is_none() && inodes_free_below.is_none() {
        (disk_free_below, inodes_free_below) = (Some(1 << 30), Some(1000));
    }
    let disk_limit = ["disk_free_below", "inodes_free_below"].into_iter().find_map(|key| section.entry(key));
    if disks.is_empty()
        && let Some(limit) = disk_limit
    {
        context.problems.error(
            Draft::new(limit.key_at.clone(), format!("`{}` without `disks`", limit.key))
                .help("name paths on the file systems to watch: `disks: [., /tmp]`"),
        );
    }
    let kernel_log = section.bool("kernel_log");
    let watched = [
        "memory_above",
        "memory_growth_per_hour",
        "open_files_above",
        "disks",
        "disk_free_below",
        "inodes_free_below",
        "gpus",
    ];
    let nothing =
        |key: &&str| section.given(key).is_none_or(|it| scalar::spelled(it).is_none() && it.items().is_empty());
    if !kernel_log && watched.iter().all(nothing) {
        let watched: Vec<String> = watched.iter().map(|key| format!("`{key}`")).collect();
        context.problems.error(
            Draft::new(section.at(), "a resource detector that can never fire")
                .help(format!("give one of {}, or `kernel_log: true`", watched.join(", "))),
        );
    }
    Resource {
        every: section.seconds("every_seconds"),
        memory_above: bytes("memory_above"),
        memory_growth_per_hour: bytes("memory_growth_per_hour"),
        growth_window: section.seconds("growth_window_seconds"),
        open_files_above: section.given("open_files_above").map(|_| section.number("open_files_above")),
        disks,
        disk_free_below,
        inodes_free_below,
        gpus: section.maybe_whole("gpus"),
        kernel_log,
        confirmations: section.maybe_whole("confirmations").unwrap_or(2),
    }
}

fn probe(section: &Section<'_>, kind: &str, context: &mut Context<'_>) -> Option<Probe> {
    let ask = match kind {
        "http" => Ask::Http {
            url: required(section, "url", "`url: http://127.0.0.1:8080/healthz`", context).and_then(|node| {
                let url = scalar::text(node)?.to_owned();
                if !url.starts_with("http://") {
                    context.problems.error(
                        Draft::new(node.at.clone(), format!("`{url}` is not an http address")).help(
                            "only http:// is spoken; for https use `kind: command` with `command: [curl, -fsS, URL]`",
                        ),
                    );
                }
                Some(url)
            })?,
            status: status(section, context),
            body: line_regex(section, "body_regex"),
        },
        "tcp" => Ask::Tcp {
            address: required(section, "address", "`address: 127.0.0.1:5432`", context).and_then(|node| {
                let address = scalar::text(node)?.to_owned();
                let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
                if port.is_none_or(|(_, port)| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
                    let draft = Draft::new(node.at.clone(), format!("`{address}` is not host:port"));
                    context.problems.error(draft.help("write `127.0.0.1:5432` or `[::1]:5432`"));
                }
                Some(address)
            })?,
        },
        _ => {
            let node = required(section, "command", "`command: [curl, -fsS, URL]`", context)?;
            let command = section.command("command");
            // What is no command at all has been told.
            if command.is_empty() && scalar::command(node).is_some() {
                context.problems.error(
                    Draft::new(node.at.clone(), "`kind: command` with an empty `command`")
                        .help("write the program and its arguments: `command: [curl, -fsS, URL]`"),
                );
            }
            Ask::Command { command, cwd: context.project.to_path_buf() }
        }
    };
    Some(Probe {
        ask,
        every: section.seconds("every_seconds"),
        timeout: section.seconds("timeout_seconds"),
        failures: section.whole("failures").max(1),
        start_grace: section.seconds("start_grace_seconds"),
    })
}

/// `200`, `200-399`.
fn status(section: &Section<'_>, context: &mut Context<'_>) -> (u16, u16) {
    const ALL_WELL: (u16, u16) = (200, 399);
    let Some(node) = section.given("status") else { return ALL_WELL };
    let range = scalar::spelled(node).and_then(|text| {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let (low, high) = (low.trim().parse::<u16>().ok()?, high.trim().parse::<u16>().ok()?);
        (100 <= low && low <= high && high <= 599).then_some((low, high))
    });
    range.unwrap_or_else(|| {
        context.problems.error(
            Draft::new(node.at.clone(), "not a status of HTTP")
                .help("write a number from 100 to 599, or a range: `200-399`"),
        );
        ALL_WELL
    })
}

fn excepted(section: &Section<'_>) -> Vec<PhaseName> {
    section.texts("except").into_iter().map(PhaseName::new).collect()
}

/// Reports a phase that is not there.
fn known_phases(section: &Section<'_>, phases: &[PhaseMarks], context: &mut Context<'_>) {
    for node in section.given("except").map(Node::items).unwrap_or_default() {
        let Some(name) = scalar::text(node) else { continue };
        if phases.iter().any(|phase| phase.name.as_str() == name) {
            continue;
        }
        let near = nearest(name, phases.iter().map(|phase| phase.name.as_str()));
        let help = near.map_or_else(
            || "`phases` says where each begins and ends".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        context.problems.error(Draft::new(node.at.clone(), format!("there is no phase `{name}`")).help(help));
    }
}

fn required<'a>(section: &Section<'a>, key: &str, help: &str, context: &mut Context<'_>) -> Option<&'a Node> {
    let node = section.given(key);
    if node.is_none() {
        let kind = section.word("kind").unwrap_or_default();
        context
            .problems
            .error(Draft::new(section.at(), format!("`kind: {kind}` without `{key}`")).help(format!("write {help}")));
    }
    node
}

fn required_regex(section: &Section<'_>, kind: &str, context: &mut Context<'_>) -> Option<regex::bytes::Regex> {
    if section.given("regex").is_none() {
        let help = match kind {
            "metric" => "write what holds the number: `regex: 'loss[=: ]+(\\S+)'`",
            _ => "write what to look for: `regex: 'out of memory'`",
        };
        context.problems.error(Draft::new(section.at(), format!("a {kind} without a `regex`")).help(help));
    }
    line_regex(section, "regex")
}

pub(super) fn line_regex(section: &Section<'_>, key: &str) -> Option<regex::bytes::Regex> {
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
