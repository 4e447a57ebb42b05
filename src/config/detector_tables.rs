//! Keys of `detectors` and `phases`.

use super::catalogue::{PACK_LIST, PACK_NAMES};
use super::keys::{Kind, Table, key};
use super::tables::{LANGUAGE, SECONDS, SOME_SECONDS};

pub(super) static SEVERITIES: &[&str] = &["info", "warning", "error", "critical"];
pub(super) static DETECTOR_KINDS: &[&str] = &[
    "pattern",
    "traceback",
    "stall",
    "exit_code",
    "metric",
    "rate",
    "resource",
    "http",
    "tcp",
    "command",
    "catalogue",
];

/// Used when the file has no `detectors`.
pub(super) const DETECTORS_DEFAULT: &str = r"
- name: catalogue
  kind: catalogue
- name: out_of_memory
  kind: pattern
  regex: 'CUDA out of memory(?:\.|$)|CUDA error: out of memory|(?:^|[\s.:(])(?:OutOf(?:Direct)?|_Array)?MemoryError(?:: |\s*$)|JavaScript heap out of memory|std::bad_alloc|[Oo]ut of memory: [Kk]ill|oom-kill:'
- name: traceback
  kind: traceback
- name: exit_code
  kind: exit_code
";

pub(super) static DETECTOR: Table = Table {
    what: "a detector",
    keys: &[
        key("name", Kind::Name, "", "Unique name; the kind where it is absent."),
        key(
            "kind",
            Kind::Word(DETECTOR_KINDS),
            "",
            "pattern, traceback, stall, exit_code, metric, rate, resource, http, tcp, command or catalogue.",
        ),
        key(
            "severity",
            Kind::Word(SEVERITIES),
            "error",
            "How bad what it finds is; incidents below healing.min_severity are only recorded.",
        ),
        key(
            "cooldown_seconds",
            SECONDS,
            "60",
            "The same failure again within this time is counted, not a new incident.",
        )
        .differs("within it the same failure is counted in its incident; a different failure is always a new one"),
        key(
            "regex",
            Kind::Regex,
            "",
            "pattern, rate: searched for in each line. metric: its first group, or the whole match, is the number.",
        ),
        key("min_count", Kind::Whole { min: 1, max: 1_000_000 }, "1", "pattern: fires at this many matches …"),
        key(
            "window_seconds",
            SECONDS,
            "0",
            "pattern: … within this time; 0 is no limit. rate: the time, 60 if absent.",
        ),
        key(
            "count",
            Kind::Whole { min: 2, max: 1_000_000 },
            "10",
            "rate: fires at this many matches within window_seconds.",
        ),
        key("languages", Kind::List(&LANGUAGE), "[]", "traceback: only these languages; empty is all."),
        key(
            "metric_regex",
            Kind::Regex,
            "",
            "stall: its first group, or the whole match, is the progress value. Absent: any output is progress.",
        ),
        key(
            "no_progress_seconds",
            SOME_SECONDS,
            "",
            "stall: fires when the value has not advanced, or nothing was printed, for this long. Absent: learned from the run, 1800 until then.",
        ),
        key(
            "learn_factor",
            Kind::Number { min: 1.0, max: 1000.0 },
            "5",
            "stall: the learned limit is this multiple of the longest healthy gap …",
        ),
        key("learn_min_seconds", SOME_SECONDS, "300", "stall: … but never less than this."),
        key("except", Kind::List(&Kind::Name), "[]", "stall, metric: names of `phases` that are left out."),
        key("nonzero_only", Kind::Bool, "true", "exit_code: leaves exit 0 alone."),
        key("non_finite", Kind::Bool, "true", "metric: fires on nan and inf."),
        key("above", NUMBER, "", "metric: fires above this."),
        key("below", NUMBER, "", "metric: fires below this."),
        key(
            "spike_mads",
            POSITIVE,
            "",
            "metric: fires when a value is this many MADs (median absolute deviations) above the median of the window.",
        ),
        key("drop_mads", POSITIVE, "", "metric: fires when a value is this many MADs below the median."),
        key("spike_ratio", POSITIVE, "", "metric: fires when a value is more than this multiple of the median: 1.5."),
        key("drop_ratio", POSITIVE, "", "metric: fires when a value is less than this part of the median: 0.7."),
        key("window", Kind::Whole { min: 10, max: 10_000 }, "200", "metric: values that the median is taken of."),
        key(
            "confirmations",
            Kind::Whole { min: 1, max: 10_000 },
            "",
            "metric: consecutive values that must agree, 1 if absent, 5 for spikes and drops. resource: looks that must agree, 2 if absent.",
        ),
        key("confirm_seconds", SECONDS, "0", "metric: and they must last for this long."),
        key(
            "warm_up",
            Kind::Whole { min: 0, max: 1_000_000 },
            "20",
            "metric: values at the start of a child of which only nan and inf count.",
        ),
        key("every_seconds", SOME_SECONDS, "30", "resource, http, tcp, command: between two looks."),
        key("memory_above", Kind::Bytes, "", "resource: resident memory of all processes of the command."),
        key("memory_growth_per_hour", Kind::Bytes, "", "resource: its steady growth."),
        key("growth_window_seconds", SOME_SECONDS, "1h", "resource: the growth must last for this long."),
        key(
            "open_files_above",
            Kind::Number { min: 0.01, max: 1.0 },
            "",
            "resource: open files of a process as a part of its limit: 0.9.",
        ),
        key("disks", Kind::List(&Kind::Path), "[]", "resource: paths whose file systems are watched."),
        key(
            "disk_free_below",
            Kind::Bytes,
            "",
            "resource: free space there; 1GiB if `disks` are given and no limit is.",
        ),
        key(
            "inodes_free_below",
            Kind::Whole { min: 1, max: 1_000_000_000 },
            "",
            "resource: free inodes there; 1000 if `disks` are given and no limit is.",
        ),
        key("gpus", Kind::Whole { min: 1, max: 1024 }, "", "resource: accelerators that must be there."),
        key(
            "kernel_log",
            Kind::Bool,
            "true",
            "resource: reads the kernel's lines about accelerators (Xid), disks and killed processes, where it may.",
        ),
        key("url", Kind::Text, "", "http: what is asked for: http://127.0.0.1:8080/healthz."),
        key("status", Kind::Scalar, "200-399", "http: a status or a range that is well."),
        key("body_regex", Kind::Regex, "", "http: must be found in the body."),
        key("address", Kind::Text, "", "tcp: host:port that must accept a connection."),
        key("command", Kind::Command, "[]", "command: the program and its arguments; exit 0 is well."),
        key("timeout_seconds", SOME_SECONDS, "5", "http, tcp, command: longest wait for the answer."),
        key(
            "failures",
            Kind::Whole { min: 1, max: 10_000 },
            "3",
            "http, tcp, command: failed questions in a row that are a failure.",
        ),
        key(
            "start_grace_seconds",
            SECONDS,
            "120",
            "http, tcp, command: no failure so soon after a start, unless it has answered before.",
        ),
        key("packs", Kind::List(&Kind::Word(PACK_NAMES)), PACK_LIST, "catalogue: built-in packs of known failures."),
        key("files", Kind::List(&Kind::Path), "[]", "catalogue: packs of your own."),
        key("ignore", Kind::List(&Kind::Name), "[]", "catalogue: classes that are left out."),
    ],
};

const NUMBER: Kind = Kind::Number { min: f64::MIN, max: f64::MAX };
const POSITIVE: Kind = Kind::Number { min: 0.000_001, max: 1_000_000_000.0 };

/// Keys of [`DETECTOR`] that belong to some kinds only.
pub(super) static DETECTOR_ONLY: &[(&str, &[&str])] = &[
    ("regex", &["pattern", "rate", "metric"]),
    ("min_count", &["pattern"]),
    ("window_seconds", &["pattern", "rate"]),
    ("count", &["rate"]),
    ("languages", &["traceback"]),
    ("metric_regex", &["stall"]),
    ("no_progress_seconds", &["stall"]),
    ("learn_factor", &["stall"]),
    ("learn_min_seconds", &["stall"]),
    ("except", &["stall", "metric"]),
    ("nonzero_only", &["exit_code"]),
    ("non_finite", &["metric"]),
    ("above", &["metric"]),
    ("below", &["metric"]),
    ("spike_mads", &["metric"]),
    ("drop_mads", &["metric"]),
    ("spike_ratio", &["metric"]),
    ("drop_ratio", &["metric"]),
    ("window", &["metric"]),
    ("confirmations", &["metric", "resource"]),
    ("confirm_seconds", &["metric"]),
    ("warm_up", &["metric"]),
    ("every_seconds", &["resource", "http", "tcp", "command"]),
    ("memory_above", &["resource"]),
    ("memory_growth_per_hour", &["resource"]),
    ("growth_window_seconds", &["resource"]),
    ("open_files_above", &["resource"]),
    ("disks", &["resource"]),
    ("disk_free_below", &["resource"]),
    ("inodes_free_below", &["resource"]),
    ("gpus", &["resource"]),
    ("kernel_log", &["resource"]),
    ("url", &["http"]),
    ("status", &["http"]),
    ("body_regex", &["http"]),
    ("address", &["tcp"]),
    ("command", &["command"]),
    ("timeout_seconds", &["http", "tcp", "command"]),
    ("failures", &["http", "tcp", "command"]),
    ("start_grace_seconds", &["http", "tcp", "command"]),
    ("packs", &["catalogue"]),
    ("files", &["catalogue"]),
    ("ignore", &["catalogue"]),
];

pub(super) static PHASE: Table = Table {
    what: "a phase",
    keys: &[
        key("name", Kind::Name, "", "Unique name: checkpoint, evaluation, compile."),
        key("begin", Kind::Regex, "", "The line that begins it."),
        key("end", Kind::Regex, "", "The line that ends it; absent: max_seconds alone does."),
        key("max_seconds", SOME_SECONDS, "600", "It ends after this time at the latest: what takes longer is a stall."),
    ],
};
