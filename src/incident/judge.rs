//! What a settled group of detections amounts to: its root, its severity, its kind and its category.

use std::sync::LazyLock;

use regex::RegexSet;

use super::{Category, IncidentKind};
use crate::detect::ending::{Ending, Exit, OutOfMemory};
use crate::detect::{Class, Detection, DetectorKind, Role, Severity, Trace};

/// Index of the detection that the others follow from.
///
/// Failures (severity `error` or worse) go before warnings, and both before the end of the child, which says least. Among
/// failures the roles of their classes decide: what may be a root or confirms one goes before what follows from another
/// failure, and that before what is no failure of a child that lives on. Among equals the earliest is the root: detections
/// of one stream are ordered by their bytes, those of different streams by their place in the slice (the order in which
/// they were seen). A trace beats pattern hits inside its lines and on the line in front of it, which is how loggers
/// announce one. Zero for an empty slice.
pub fn root(detections: &[Detection]) -> usize {
    let weights: Vec<u8> = detections.iter().map(|detection| weight(detection, detections)).collect();
    let Some((first, least)) = weights.iter().enumerate().min_by_key(|(at, weight)| (**weight, *at)) else { return 0 };
    let Some(seen_first) = detections.get(first) else { return 0 };
    let equals = detections
        .iter()
        .zip(&weights)
        .enumerate()
        .filter(|(_, (it, weight))| it.stream == seen_first.stream && *weight == least);
    let earliest = equals.map(|(at, (it, _))| (at, it)).min_by_key(|(at, it)| (it.bytes.start, *at));
    let (at, earliest) = earliest.unwrap_or((first, seen_first));
    let explains =
        |it: &&(usize, &Detection)| it.1.trace.is_some() && it.1.stream == earliest.stream && covers(it.1, earliest);
    match earliest.kind {
        DetectorKind::Pattern | DetectorKind::Rate | DetectorKind::Catalogue => {
            detections.iter().enumerate().find(|it| explains(&it)).map_or(at, |(at, _)| at)
        }
        DetectorKind::Traceback
        | DetectorKind::Stall
        | DetectorKind::ExitCode
        | DetectorKind::Metric
        | DetectorKind::Resource
        | DetectorKind::Http
        | DetectorKind::Tcp
        | DetectorKind::Command => at,
    }
}

/// Index of the detection that says least about the cause; the latest of several. Zero for an empty slice.
pub fn least_telling(detections: &[Detection]) -> usize {
    let weights = detections.iter().map(|detection| weight(detection, detections));
    weights.enumerate().max_by_key(|(at, weight)| (*weight, *at)).map_or(0, |(at, _)| at)
}

/// What a detection says about the cause: the less, the more likely it is the root.
fn weight(detection: &Detection, all: &[Detection]) -> u8 {
    let class = class(detection, all);
    match class.map(|class| (class.role, class.only_if_ended)) {
        Some((Role::Diagnostic, _)) => 8,
        // A service that has ended does not answer.
        _ if matches!(detection.kind, DetectorKind::Http | DetectorKind::Tcp | DetectorKind::Command) => 7,
        // A signal, the kernel's killer, an exit code with a meaning of its own.
        _ if detection.kind == DetectorKind::ExitCode && is_telling(detection) => 3,
        _ if detection.kind == DetectorKind::ExitCode => 6,
        _ if detection.severity < Severity::Error => 5,
        Some((_, true)) if detection.trace.is_none() => 4,
        Some((Role::Cascade, _)) => 2,
        // It says why another failure happened; that one may have a reason of its own.
        Some((Role::Confirmation, _)) => 1,
        Some((Role::Root, _)) | None => 0,
    }
}

fn is_telling(exit: &Detection) -> bool {
    exit.class.is_some() || exit.captures.contains_key("signal")
}

/// The known failure class of a detection: its own, or, for a trace, that of what its exception says; of what its causes say
/// where that has none. What may be a root says more than what follows from one.
pub fn class<'a>(detection: &'a Detection, all: impl IntoIterator<Item = &'a Detection>) -> Option<&'a Class> {
    let Some(trace) = detection.trace.as_ref().filter(|_| detection.class.is_none()) else {
        return detection.class.as_ref();
    };
    let head = format!("{}: {}", trace.exception.as_deref().unwrap_or_default(), trace.message);
    let inside = |hit: &Detection| {
        hit.stream == detection.stream && detection.lines.0 <= hit.lines.0 && hit.lines.0 <= detection.lines.1
    };
    // A remark inside a trace says nothing about what the trace is.
    let hits = all.into_iter().filter(|hit| inside(hit)).filter_map(|hit| Some((hit, hit.class.as_ref()?)));
    let hits = hits.filter(|(_, class)| class.role != Role::Diagnostic);
    let says = hits.filter_map(|(hit, class)| {
        let of_exception = head.contains(start_of(&hit.message));
        // What was raised while something else was handled is its own failure: a retry that failed explains nothing then.
        let of_cause = !trace.cause_chain.is_empty() && !class.only_if_ended;
        (of_exception || of_cause).then_some(((!of_exception, class.role, hit.lines.0), class))
    });
    says.min_by_key(|(order, _)| *order).map(|(_, class)| class)
}

/// Enough of a message to find it again in the line that it was printed in.
fn start_of(message: &str) -> &str {
    const ENOUGH: usize = 40;
    let line = message.lines().next().unwrap_or_default();
    line.get(..line.floor_char_boundary(ENOUGH)).unwrap_or(line)
}

/// The class of a whole incident: that of its root, or, of a bare end, one that confirms why.
pub fn class_of_group<'a>(root: &'a Detection, all: &'a [Detection]) -> Option<&'a Class> {
    let confirmed = || all.iter().filter_map(|it| it.class.as_ref()).find(|class| class.role == Role::Confirmation);
    class(root, all).or_else(|| (root.kind == DetectorKind::ExitCode).then(confirmed).flatten())
}

fn covers(trace: &Detection, hit: &Detection) -> bool {
    trace.lines.0.saturating_sub(1) <= hit.lines.0 && hit.lines.0 <= trace.lines.1
}

/// The worst severity in a group, remarks left out; `Error` for an empty one. A failure that has come `times` times in this
/// run (this one included) weighs more from the third time on: whatever was done about it does not help.
pub fn severity(detections: &[Detection], times: usize) -> Severity {
    let remark = |it: &&Detection| it.class.as_ref().is_some_and(|class| class.role == Role::Diagnostic);
    let worst = detections.iter().filter(|it| !remark(it)).map(|it| it.severity).max().unwrap_or_default();
    if times >= 3 && worst == Severity::Error { Severity::Critical } else { worst }
}

/// Failure or oddity.
pub fn kind(root: &Detection) -> IncidentKind {
    if root.kind.is_anomaly() { IncidentKind::Anomaly } else { IncidentKind::Error }
}

/// What kind of repair the incident calls for, judged by its root and by how the child ended.
pub fn category(root: &Detection, class: Option<&Class>, exit: Option<&Exit>) -> Category {
    if let Some(class) = class.filter(|class| class.category != Category::Unknown) {
        return class.category;
    }
    match root.kind {
        DetectorKind::Stall | DetectorKind::Http | DetectorKind::Tcp | DetectorKind::Command => Category::Timeout,
        DetectorKind::Metric => Category::Runtime,
        DetectorKind::Resource => Category::Infrastructure,
        DetectorKind::ExitCode => exit.map_or_else(|| by_text(&root.message).unwrap_or_default(), by_exit),
        DetectorKind::Pattern | DetectorKind::Traceback | DetectorKind::Rate | DetectorKind::Catalogue => {
            match &root.trace {
                Some(trace) => by_trace(trace),
                None => by_text(&root.message).unwrap_or_default(),
            }
        }
    }
}

pub(super) fn warm_up() {
    LazyLock::force(&SIGNS_SET);
}

fn by_trace(trace: &Trace) -> Category {
    let exception = trace.exception.as_deref().unwrap_or_default();
    let is_assertion = exception.rsplit(['.', ':']).next().is_some_and(|name| {
        matches!(name, "AssertionError" | "AssertionFailedError" | "ComparisonFailure" | "ERR_ASSERTION")
    });
    if is_assertion || trace.message.starts_with("assertion ") {
        return if trace.frames.iter().any(|frame| is_test_file(frame.file.as_deref())) {
            Category::Test
        } else {
            Category::Runtime
        };
    }
    // Causes are asked after the exception itself: a wrapper says less than what it wraps, but it came last.
    let own = by_text(&format!("{exception}: {}", trace.message));
    own.or_else(|| trace.cause_chain.iter().rev().find_map(|cause| by_text(&format!("{cause}:"))))
        .unwrap_or(Category::Runtime)
}

fn is_test_file(file: Option<&str>) -> bool {
    let Some(file) = file else { return false };
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = base.split('.').next().unwrap_or(base);
    base.contains(".test.")
        || base.contains(".spec.")
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem.ends_with("Test")
        || stem.ends_with("Tests")
        || file.split(['/', '\\']).any(|part| matches!(part, "tests" | "test" | "__tests__"))
}

fn by_exit(exit: &Exit) -> Category {
    if exit.oom != OutOfMemory::NoSign {
        return Category::Infrastructure;
    }
    match &exit.ending {
        // The conventions of `timeout(1)` and of POSIX shells ("Exit Status for Commands").
        Ending::Exited { code: 124 } => Category::Timeout,
        Ending::Exited { code: 126 } => Category::Permission,
        Ending::Exited { .. } | Ending::Lost { .. } => Category::Unknown,
        // ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS: the program did something that it must not.
        Ending::Signaled { signal: 4 | 5 | 6 | 7 | 8 | 11 | 31, .. } => Category::Runtime,
        Ending::Signaled { .. } => Category::Unknown,
        // EACCES, EPERM.
        Ending::NotStarted { errno: 13 | 1, .. } => Category::Permission,
        Ending::NotStarted { .. } => Category::Unknown,
    }
}

/// Category of the first row that matches; rows are ordered from the most to the least telling.
fn by_text(text: &str) -> Option<Category> {
    let first = SIGNS_SET.matches(text).into_iter().next()?;
    SIGNS.get(first).map(|(category, _)| *category)
}

/// Strings that tell. Most come from public issue trackers and vendors' tables of long runs.
#[rustfmt::skip]
const SIGNS: &[(Category, &str)] = &[
    // Accelerators and their network.
    (Category::Runtime, r"device-side assert|illegal memory access|unspecified launch failure"),
    (Category::Infrastructure, r"CUDA out of memory|(?:^|\.)(?:cuda\.)?OutOfMemoryError\b|CUBLAS_STATUS_ALLOC_FAILED|HIP out of memory|RESOURCE_EXHAUSTED"),
    (Category::Infrastructure, r"(?i)uncorrectable ECC|CUDA_ERROR_ECC|fallen off the bus|GPU is lost|NVRM: Xid|driver/library version mismatch|CUDA error|CUDA-capable device"),
    (Category::Infrastructure, r"\bncclUnhandled|\bnccl(?:Remote|System|Internal)Error|NCCL (?:WARN|error)|WorkNCCL|DistBackendError|Watchdog caught collective|Heartbeat monitor timed out"),
    // Memory.
    (Category::Infrastructure, r"(?:^|[^\w])MemoryError\b|(?i)out of memory|oom[-_ ]kill|cannot allocate memory|can't allocate memory|memory allocation of \d+ bytes failed|unable to open shared memory|unable to create (?:new )?native thread"),
    // Storage.
    (Category::Infrastructure, r"(?i)no space left on device|\bENOSPC\b|disk quota exceeded|\bEDQUOT\b|stale (?:nfs )?file handle|input/output error|read-only file system|transport endpoint"),
    // Schedulers.
    (Category::Infrastructure, r"(?i)due to (?:time limit|preemption|node failure)|\bpreempted\b|node_fail|node failure on|slurmstepd: error|spot (?:instance )?interruption|\bevicted\b"),
    // Rights, credentials, quotas: never a matter of code.
    (Category::Permission, r"(?i)permission ?denied|PermissionError|AccessDenied|access denied|operation not permitted|\bEACCES\b|\bEPERM\b|\b40[13]\b.{0,12}(?:unauthorized|forbidden|client error)|(?:unauthorized|forbidden|status(?: code)?|http(?: error)?|HTTP/[\d.]+)\W{0,3}40[13]\b|\bunauthorized\b|authentication failed|AuthenticationError|expired ?token|token has expired|invalid[_ ]api[_ ]key|insufficient_quota|exceeded your current quota"),
    // Network, before timeouts: a name that is not found or a refused connection is no slowness.
    (Category::Infrastructure, r"(?i)\bECONN(?:RESET|REFUSED|ABORTED)\b|connection (?:reset|refused|aborted)|Connection(?:Reset|Refused|Aborted)Error|broken ?pipe|RemoteDisconnected|temporary failure in name resolution|\bEAI_AGAIN\b|\bENOTFOUND\b|name or service not known|no such host|UnknownHostException|network is unreachable|no route to host|certificate (?:has expired|verify failed)|CERTIFICATE_VERIFY_FAILED|too many requests|RateLimitError|\b50[234]\b.{0,6}(?:bad gateway|service unavailable|gateway time)|address already in use|\bEADDRINUSE\b"),
    (Category::Timeout, r"(?i)\btime(?:d)? ?out\b|Timeout(?:Error|Exception|Expired)\b|\bETIMEDOUT\b|deadline exceeded|DeadlineExceeded"),
    // Source that does not parse, names that are not found.
    (Category::Syntax, r"\b(?:Syntax|Indentation|Tab)Error\b|(?i)syntax error"),
    (Category::Import, r"\bModuleNotFoundError\b|\bImportError\b|Cannot find (?:module|package)|ERR_MODULE_NOT_FOUND|ClassNotFoundException|NoClassDefFoundError|No module named|cannot open shared object file|no required module provides package"),
    // Tools.
    (Category::Type, r"error TS\d{4}:|: error: .*\[[a-z]+(?:-[a-z]+)+\]|\breportGeneralTypeIssues\b|(?i)\b(?:mypy|pyright)\b"),
    (Category::Lint, r"(?i)\b(?:eslint|flake8|pylint|ruff|golangci-lint|clippy::\w+)\b|:\d+:\d+: [A-Z]{1,4}\d{3,4} "),
    (Category::Test, r"\bFAILED [\w./-]*test|--- FAIL: |(?i)\btests? failed\b|test result: FAILED|\d+ failed, \d+ passed"),
    (Category::Build, r"\berror\[E\d{4}\]|could not compile|make(?:\[\d+\])?: \*\*\*|undefined reference|collect2: error|ld returned \d|(?i)\bbuild failed\b|compilation (?:failed|error)|CMake Error|cannot find symbol|fatal error: .*: No such file"),
    // The program itself.
    (Category::Runtime, r"^(?:panic|fatal error)\b|\bpanicked at\b|(?i:segmentation fault)|\b(?:[A-Z]\w*)(?:Error|Exception)\b|\bTraceback \(most recent"),
];

#[expect(clippy::expect_used, reason = "constant expressions, compiled in every test run")]
static SIGNS_SET: LazyLock<RegexSet> =
    LazyLock::new(|| RegexSet::new(SIGNS.iter().map(|(_, sign)| *sign)).expect("the expressions are constant"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::ClassAction;
    use crate::detect::Language;
    use crate::ids::{ClassName, StreamId};
    use crate::incident::samples::{at, detection, ended, exited, frame, trace};

    fn traced(message: &str) -> Detection {
        let mut detection = detection(DetectorKind::Traceback, "traceback", message);
        let (exception, message) = message.split_once(": ").unwrap_or((message, ""));
        detection.trace =
            Some(trace(Language::Python, exception, message, vec![frame("/app/main.py", 1, "main", true)]));
        detection
    }

    fn hit(message: &str) -> Detection {
        detection(DetectorKind::Pattern, "pattern", message)
    }

    #[test]
    fn the_root_of_a_group() {
        let exit = || detection(DetectorKind::ExitCode, "exit", "exit code 1");
        let weak = |mut detection: Detection| {
            detection.severity = Severity::Warning;
            detection
        };
        let other_stream = |mut detection: Detection| {
            detection.stream = StreamId::new("rank-1");
            detection
        };
        let rows: Vec<(&str, Vec<Detection>, usize)> = vec![
            ("nothing", vec![], 0),
            ("only an exit", vec![exit()], 0),
            ("trace, then exit", vec![at(traced("A: b"), 5, 9), exit()], 0),
            ("exit seen first", vec![exit(), at(traced("A: b"), 5, 9)], 1),
            ("pattern inside the trace", vec![at(hit("b"), 9, 9), at(traced("A: b"), 5, 9), exit()], 1),
            ("logger's line in front of the trace", vec![at(hit("b"), 4, 4), at(traced("A: b"), 5, 9)], 1),
            ("pattern well before the trace", vec![at(hit("b"), 2, 2), at(traced("A: b"), 5, 9)], 0),
            ("trace before pattern", vec![at(hit("c"), 20, 20), at(traced("A: b"), 5, 9)], 1),
            ("two traces", vec![at(traced("B: b"), 20, 29), at(traced("A: b"), 5, 9)], 1),
            ("a warning before the failure", vec![at(weak(hit("w")), 1, 1), at(traced("A: b"), 5, 9)], 1),
            ("only a warning and an exit", vec![exit(), at(weak(hit("w")), 1, 1)], 1),
            (
                "streams in order of arrival",
                vec![at(traced("A: b"), 50, 59), at(other_stream(traced("A: b")), 5, 9)],
                0,
            ),
            ("stall, then exit", vec![detection(DetectorKind::Stall, "stall", "no output"), exit()], 0),
        ];
        for (name, group, expected) in rows {
            assert_eq!(root(&group), expected, "{name}");
        }
    }

    fn known(mut detection: Detection, name: &str, role: Role, only_if_ended: bool) -> Detection {
        detection.kind = DetectorKind::Catalogue;
        detection.class = Some(Class {
            name: ClassName::new(name),
            role,
            category: Category::Infrastructure,
            action: ClassAction::Policy,
            agent: false,
            only_if_ended,
        });
        detection
    }

    #[test]
    fn roles_decide_the_root() {
        use Role::{Cascade, Confirmation, Diagnostic, Root};
        let line = |at_line: u64, name: &str, role: Role| at(known(hit(name), name, role, false), at_line, at_line);
        let explains = |at_line: u64| at(known(hit("reset"), "reset", Root, true), at_line, at_line);
        let exit = || detection(DetectorKind::ExitCode, "exit", "exit code 1");
        let killed = || {
            let mut killed = detection(DetectorKind::ExitCode, "exit", "killed by SIGSEGV");
            killed.captures.insert("signal".to_owned(), "SIGSEGV".to_owned());
            killed
        };
        let caused = |mut detection: Detection| {
            detection.trace.as_mut().expect("a trace").cause_chain.push("OSError".to_owned());
            detection
        };
        let rank = |mut detection: Detection, rank: &str| {
            detection.stream = StreamId::new(rank);
            detection
        };
        #[rustfmt::skip]
        let rows: Vec<(&str, Vec<Detection>, usize, Option<&str>)> = vec![
            ("a cascade before its root", vec![line(1, "peer_gone", Cascade), line(9, "oom", Root)], 1, Some("oom")),
            ("of another rank", vec![rank(line(1, "peer_gone", Cascade), "rank-1"), line(9, "oom", Root)], 1, Some("oom")),
            ("a cascade alone", vec![line(1, "peer_gone", Cascade), exit()], 0, Some("peer_gone")),
            ("a trace of a cascade", vec![at(traced("RuntimeError: peer_gone"), 1, 5), line(5, "peer_gone", Cascade), at(traced("KeyError: 'x'"), 20, 25)], 2, None),
            ("a trace with two classes in its message", vec![at(traced("RuntimeError: oom or peer_gone"), 1, 9), line(3, "peer_gone", Cascade), line(8, "oom", Root)], 0, Some("oom")),
            ("a line in front of a trace", vec![line(4, "oom", Root), at(traced("KeyError: 'x'"), 5, 9)], 1, None),
            ("a retry that a trace quotes", vec![explains(3), at(caused(traced("KeyError: 'x'")), 1, 9)], 1, None),
            ("a cause with a class", vec![line(3, "oom", Root), at(caused(traced("RuntimeError: x")), 1, 9)], 1, Some("oom")),
            ("a remark", vec![line(1, "hint", Diagnostic), exit()], 1, None),
            ("a remark inside a trace", vec![at(traced("RuntimeError: x"), 1, 9), line(3, "hint", Diagnostic)], 0, None),
            ("what confirms a bare exit", vec![exit(), line(0, "oom_kill", Confirmation)], 1, Some("oom_kill")),
            ("what confirms another failure", vec![line(4, "worker_killed", Cascade), line(9, "oom_kill", Confirmation), exit()], 1, Some("oom_kill")),
            ("a confirmation beside a trace", vec![rank(line(9, "oom_kill", Confirmation), "kernel"), at(traced("RuntimeError: x"), 1, 2)], 1, None),
            ("a hint and an end by a signal", vec![explains(3), killed()], 1, None),
            ("a hint and a bare end", vec![explains(3), exit()], 0, Some("reset")),
            ("a probe of a service that has ended", vec![detection(DetectorKind::Http, "health", "503"), exit()], 1, None),
            ("what only explains an end", vec![explains(3), exit()], 0, Some("reset")),
            ("but not beside a failure", vec![explains(3), line(7, "peer_gone", Cascade), exit()], 1, Some("peer_gone")),
            ("unless that is a trace of it", vec![explains(3), at(traced("ConnectionResetError: reset by peer"), 1, 4), exit()], 1, Some("reset")),
        ];
        for (name, group, expected, known_as) in rows {
            let at = root(&group);
            assert_eq!(at, expected, "{name}");
            let class = class_of_group(&group[at], &group);
            assert_eq!(class.map(|class| class.name.as_str()), known_as, "{name}");
        }
    }

    #[test]
    fn severity_of_a_group() {
        let with = |severity, role| {
            let mut detection = known(hit("x"), "x", role, false);
            detection.severity = severity;
            detection
        };
        let rows = [
            (
                "the worst",
                vec![with(Severity::Warning, Role::Root), with(Severity::Error, Role::Cascade)],
                1,
                Severity::Error,
            ),
            (
                "remarks do not count",
                vec![with(Severity::Warning, Role::Root), with(Severity::Critical, Role::Diagnostic)],
                1,
                Severity::Warning,
            ),
            ("again and again", vec![with(Severity::Error, Role::Root)], 3, Severity::Critical),
            ("again and again, only a warning", vec![with(Severity::Warning, Role::Root)], 9, Severity::Warning),
        ];
        for (name, group, times, expected) in rows {
            assert_eq!(severity(&group, times), expected, "{name}");
        }
    }

    #[test]
    fn categories_of_traces_and_lines() {
        use Category::*;
        #[rustfmt::skip]
        let rows = [
            ("SyntaxError: invalid syntax", Syntax), ("IndentationError: unexpected indent", Syntax),
            ("ModuleNotFoundError: No module named 'x'", Import), ("Error: Cannot find module './x'", Import),
            ("java.lang.ClassNotFoundException: a.B", Import), ("ImportError: cannot import name 'x'", Import),
            ("PermissionError: [Errno 13] Permission denied: 'x'", Permission), ("Error: EACCES: permission denied", Permission),
            ("requests.exceptions.HTTPError: 401 Client Error: Unauthorized", Permission), ("HTTPError: HTTP Error 403: Forbidden", Permission),
            ("TimeoutError: timed out", Timeout), ("java.net.SocketTimeoutException: Read timed out", Timeout), ("panic: context deadline exceeded", Timeout),
            ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", Infrastructure), ("MemoryError: batch of 8", Infrastructure), ("MemoryError", Infrastructure),
            ("java.lang.OutOfMemoryError: Java heap space", Infrastructure), ("OSError: [Errno 28] No space left on device", Infrastructure),
            ("torch.distributed.DistBackendError: NCCL error in: x", Infrastructure), ("RuntimeError: CUDA error: uncorrectable ECC error encountered", Infrastructure),
            ("ConnectionRefusedError: [Errno 111] Connection refused", Infrastructure), ("RuntimeError: CUDA error: device-side assert triggered", Runtime),
            ("KeyError: 'port'", Runtime), ("TypeError: 'NoneType' object is not subscriptable", Runtime), ("panic: index out of range", Runtime),
            ("AssertionError: x", Runtime), ("my.Custom: odd", Runtime), ("ValueError: 401 is too large", Runtime),
        ];
        for (message, expected) in rows {
            assert_eq!(category(&traced(message), None, None), expected, "{message}");
        }
        #[rustfmt::skip]
        let lines = [
            ("a.ts(3,4): error TS2322: Type 'x'", Type), ("a.py:3: error: Incompatible return value [return-value]", Type),
            ("src/a.py:3:4: E501 line too long", Lint), ("FAILED tests/test_a.py::test_b", Test), ("--- FAIL: TestX (0.00s)", Test),
            ("error[E0308]: mismatched types", Build), ("make: *** [all] Error 2", Build), ("DUE TO PREEMPTION", Infrastructure),
            ("loss is nan", Unknown), ("something odd", Unknown), ("KeyError: 'x'", Runtime),
        ];
        for (message, expected) in lines {
            assert_eq!(category(&hit(message), None, None), expected, "{message}");
        }
        let mut in_test = traced("AssertionError: assert 1 == 2");
        in_test.trace.as_mut().unwrap().frames.push(frame("/app/tests/test_a.py", 3, "test_a", true));
        assert_eq!(category(&in_test, None, None), Test);
        let mut wrapped = traced("my.Wrapped: cannot load");
        wrapped.trace.as_mut().unwrap().cause_chain = vec!["PermissionError".to_owned()];
        assert_eq!(category(&wrapped, None, None), Permission);
    }

    #[test]
    fn categories_of_ends() {
        let root = detection(DetectorKind::ExitCode, "exit", "ended");
        let signal = |signal| ended(Ending::Signaled { signal, core_dumped: false });
        let oom = Exit { oom: OutOfMemory::Certain, ..signal(9) };
        let denied = ended(Ending::NotStarted { errno: 13, message: String::new() });
        #[rustfmt::skip]
        let rows = [
            ("1", exited(1), Category::Unknown), ("124", exited(124), Category::Timeout), ("126", exited(126), Category::Permission),
            ("SEGV", signal(11), Category::Runtime), ("KILL", signal(9), Category::Unknown), ("oom", oom, Category::Infrastructure),
            ("not executable", denied, Category::Permission),
        ];
        for (name, exit, expected) in rows {
            assert_eq!(category(&root, None, Some(&exit)), expected, "{name}");
        }
        assert_eq!(category(&detection(DetectorKind::Stall, "stall", "no output"), None, None), Category::Timeout);
        assert_eq!(kind(&detection(DetectorKind::Stall, "stall", "no output")), IncidentKind::Anomaly);
        assert_eq!(kind(&root), IncidentKind::Error);
        assert_eq!(severity(&[], 1), Severity::Error);
    }
}
