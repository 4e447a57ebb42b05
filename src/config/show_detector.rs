//! `detectors` and `phases` as the file would give them.

use regex::bytes::Regex;

use super::catalogue::Catalogue;
use super::detector_model::{Ask, Detector, Metric, PhaseMarks, Probe, Resource, Stall, What};
use super::show::{entry, language_name, list, path, plain, seconds, severity_name, show_command, text};
use super::write::Shown;

type Entries = Vec<(String, Shown)>;

pub(super) fn show_detector(detector: &Detector) -> Shown {
    let Detector { name, severity, cooldown, what } = detector;
    let mut entries = vec![entry("name", text(name.as_str())), entry("kind", text(what.kind().as_str()))];
    // The catalogue has them only where they are given for all of its classes.
    let (severity, cooldown) = match what {
        What::Catalogue(catalogue) => (catalogue.severity, catalogue.cooldown),
        _ => (Some(*severity), Some(*cooldown)),
    };
    entries.extend(maybe("severity", severity.map(|severity| text(severity_name(severity)))));
    entries.extend(maybe("cooldown_seconds", cooldown.map(seconds)));
    entries.extend(match what {
        What::Pattern { regex, min_count, window } => vec![
            entry("regex", text(regex.as_str())),
            entry("min_count", plain(*min_count)),
            entry("window_seconds", seconds(*window)),
        ],
        What::Traceback { languages } => {
            vec![entry("languages", list(languages, |language| text(language_name(*language))))]
        }
        What::Stall(stall) => show_stall(stall),
        What::ExitCode { nonzero_only } => vec![entry("nonzero_only", plain(*nonzero_only))],
        What::Metric(metric) => show_metric(metric),
        What::Rate { regex, count, window } => vec![
            entry("regex", text(regex.as_str())),
            entry("count", plain(*count)),
            entry("window_seconds", seconds(*window)),
        ],
        What::Resource(resource) => show_resource(resource),
        What::Probe(probe) => show_probe(probe),
        What::Catalogue(catalogue) => show_catalogue(catalogue),
        // Part of the entry that it comes from; see `Config::own_detectors`.
        What::Class(_) => Vec::new(),
    });
    Shown::Map(entries)
}

pub(super) fn show_phase(phase: &PhaseMarks) -> Shown {
    let PhaseMarks { name, begin, end, max } = phase;
    let mut entries = vec![entry("name", text(name.as_str())), entry("begin", text(begin.as_str()))];
    entries.extend(maybe("end", end.as_ref().map(Regex::as_str).map(text)));
    entries.push(entry("max_seconds", seconds(*max)));
    Shown::Map(entries)
}

fn show_stall(stall: &Stall) -> Entries {
    let Stall { metric, no_progress, learn_factor, learn_min, except } = stall;
    let mut entries = Entries::new();
    entries.extend(maybe("metric_regex", metric.as_ref().map(Regex::as_str).map(text)));
    match no_progress {
        Some(limit) => entries.push(entry("no_progress_seconds", seconds(*limit))),
        None => entries
            .extend([entry("learn_factor", plain(*learn_factor)), entry("learn_min_seconds", seconds(*learn_min))]),
    }
    entries.push(entry("except", list(except, |phase| text(phase.as_str()))));
    entries
}

fn show_metric(metric: &Metric) -> Entries {
    let Metric {
        regex,
        non_finite,
        above,
        below,
        spike_mads,
        drop_mads,
        spike_ratio,
        drop_ratio,
        window,
        confirmations,
        confirm,
        warm_up,
        except,
    } = metric;
    let mut entries = vec![entry("regex", text(regex.as_str())), entry("non_finite", plain(*non_finite))];
    let limits = [
        ("above", above),
        ("below", below),
        ("spike_mads", spike_mads),
        ("drop_mads", drop_mads),
        ("spike_ratio", spike_ratio),
        ("drop_ratio", drop_ratio),
    ];
    entries.extend(limits.into_iter().filter_map(|(key, limit)| Some(entry(key, plain((*limit)?)))));
    entries.extend([
        entry("window", plain(*window)),
        entry("confirmations", plain(*confirmations)),
        entry("confirm_seconds", seconds(*confirm)),
        entry("warm_up", plain(*warm_up)),
        entry("except", list(except, |phase| text(phase.as_str()))),
    ]);
    entries
}

fn show_resource(resource: &Resource) -> Entries {
    let Resource {
        every,
        memory_above,
        memory_growth_per_hour,
        growth_window,
        open_files_above,
        disks,
        disk_free_below,
        inodes_free_below,
        gpus,
        kernel_log,
        confirmations,
    } = resource;
    let mut entries = vec![entry("every_seconds", seconds(*every))];
    entries.extend(maybe("memory_above", memory_above.map(plain)));
    entries.extend(maybe("memory_growth_per_hour", memory_growth_per_hour.map(plain)));
    entries.push(entry("growth_window_seconds", seconds(*growth_window)));
    entries.extend(maybe("open_files_above", open_files_above.map(plain)));
    entries.push(entry("disks", list(disks, |disk| path(disk))));
    entries.extend(maybe("disk_free_below", disk_free_below.map(plain)));
    entries.extend(maybe("inodes_free_below", inodes_free_below.map(plain)));
    entries.extend(maybe("gpus", gpus.map(plain)));
    entries.extend([entry("kernel_log", plain(*kernel_log)), entry("confirmations", plain(*confirmations))]);
    entries
}

fn show_probe(probe: &Probe) -> Entries {
    let Probe { ask, every, timeout, failures, start_grace } = probe;
    let mut entries = match ask {
        Ask::Http { url, status: (low, high), body } => {
            let mut entries = vec![entry("url", text(url)), entry("status", text(&format!("{low}-{high}")))];
            entries.extend(maybe("body_regex", body.as_ref().map(Regex::as_str).map(text)));
            entries
        }
        Ask::Tcp { address } => vec![entry("address", text(address))],
        Ask::Command { command, cwd: _ } => vec![entry("command", show_command(command))],
    };
    entries.extend([
        entry("every_seconds", seconds(*every)),
        entry("timeout_seconds", seconds(*timeout)),
        entry("failures", plain(*failures)),
        entry("start_grace_seconds", seconds(*start_grace)),
    ]);
    entries
}

fn show_catalogue(catalogue: &Catalogue) -> Entries {
    let Catalogue { packs, files, ignore, severity: _, cooldown: _ } = catalogue;
    vec![
        entry("packs", list(packs, |pack| text(pack))),
        entry("files", list(files, |file| path(file))),
        entry("ignore", list(ignore, |class| text(class.as_str()))),
    ]
}

fn maybe(key: &str, value: Option<Shown>) -> Option<(String, Shown)> {
    value.map(|value| entry(key, value))
}
