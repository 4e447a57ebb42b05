use std::collections::BTreeMap;

use super::*;
use crate::detect::ending::{Ending, OutOfMemory};
use crate::detect::{Detection, Language};
use crate::frame::{FrameOptions, explode};
use crate::heal::verdict::Verdict;
use crate::ids::{AttemptNo, ChildNo, DetectorName, IncidentId, RunId};
use crate::incident::novelty::NewLine;
use crate::incident::report_view::{ChangedFile, FrameView, Healthy, NewLines, SnapshotView, frame_order};
use crate::incident::samples::{at, detection, ended, exited, frame, trace};
use crate::incident::{
    ActionTaken, Counted, Incident, Redactor, VerdictFallen, fingerprint, frame_file, frame_file_name, judge,
};
use crate::time::Utc;

const NOW: i64 = 1_795_264_496_000;

fn incident(id: &str, root: Detection, exit: Option<crate::detect::ending::Exit>) -> Incident {
    Incident {
        id: IncidentId::new(id),
        run: RunId::new("20261121T123000Z-9f3a"),
        child: ChildNo(2),
        utc: Utc::from_millis(NOW),
        kind: judge::kind(&root),
        severity: root.severity,
        category: judge::category(&root, None, exit.as_ref()),
        fingerprint: fingerprint(&root, exit.as_ref()),
        message: root.message.clone(),
        root,
        counted: Vec::new(),
        exit,
        recent_metric: Vec::new(),
        actions: Vec::new(),
        not_acted: None,
        class: None,
        copies: None,
    }
}

fn view(incident: Incident) -> ReportView {
    ReportView {
        incident,
        frames: Vec::new(),
        changes: Changes::default(),
        configuration: Configuration {
            command: vec!["python".into(), "train.py".into()],
            cwd: "/home/me/project".into(),
            kind: "local".into(),
            ..Configuration::default()
        },
        log_tail: Vec::new(),
        verify_until: None,
    }
}

const SOURCE: &str = "\
import json

class Loader:
    def load(self, path):
        raw = json.load(open(path))
        return raw['port']
";

fn python() -> ReportView {
    let mut root = at(detection(DetectorKind::Traceback, "tracebacks", "KeyError: 'port'"), 812, 818);
    let frames = vec![
        frame("/home/me/project/train.py", 20, "main", true),
        frame("/home/me/project/app/config.py", 6, "load", true),
        frame("/usr/lib/python3.12/json/__init__.py", 293, "load", false),
    ];
    let mut read = trace(Language::Python, "KeyError", "'port'", frames);
    read.text =
        "Traceback (most recent call last):\n  File \"/home/me/project/train.py\", line 20, in main\nKeyError: 'port'"
            .into();
    read.cause_chain = vec!["OSError".into()];
    let order = frame_order(&read);
    assert_eq!(order, [1, 0, 2]);
    root.trace = Some(read);
    let mut incident = incident("2026-11-21T12-34-56Z-error-tracebacks", root, Some(exited(1)));
    incident.counted = vec![
        Counted {
            detector: DetectorName::new("exit"),
            kind: DetectorKind::ExitCode,
            count: 1,
            message: "exit code 1".into(),
            line: 0,
        },
        Counted {
            detector: DetectorName::new("errors"),
            kind: DetectorKind::Pattern,
            count: 3,
            message: "ERROR: no port".into(),
            line: 811,
        },
    ];
    incident.actions = vec![
        ActionTaken {
            attempt: AttemptNo(4),
            utc: Utc::from_millis(NOW + 2000),
            healer: "rule fall_back".into(),
            action: "restart_with_env".into(),
            details: vec!["BATCH_SIZE: 8 → 4".into()],
            verdict: Some(VerdictFallen {
                verdict: Verdict::Regressed,
                utc: Utc::from_millis(NOW + 9000),
                why: "seen again in child 3".into(),
            }),
        },
        ActionTaken {
            attempt: AttemptNo(5),
            utc: Utc::from_millis(NOW + 12_000),
            healer: "policy".into(),
            action: "restart".into(),
            details: vec![],
            verdict: None,
        },
    ];
    let mut view = view(incident);
    view.verify_until = Some(Utc::from_millis(NOW + 612_000));
    let shown = |file: &str, line, function: &str| FrameView {
        file: Some(file.into()),
        line: Some(line),
        function: Some(function.into()),
        in_app: true,
        ..FrameView::default()
    };
    view.frames = vec![
        FrameView {
            source: Some(explode(SOURCE.as_bytes(), "config.py", 6, &FrameOptions::default())),
            ..shown("app/config.py", 6, "load")
        },
        FrameView { note: Some("the file is gone".into()), ..shown("train.py", 20, "main") },
        FrameView { in_app: false, ..shown("json/__init__.py", 293, "load") },
    ];
    view.changes = Changes {
        since: Some(Healthy {
            run: RunId::new("20261120T080000Z-11aa"),
            child: ChildNo(1),
            utc: Utc::from_millis(NOW - 86_400_000),
        }),
        files: vec![ChangedFile {
            path: "app/config.py".into(),
            how: "modified".into(),
            utc: Some(Utc::from_millis(NOW - 3_600_000)),
        }],
        commits: vec![CommitView {
            id: "3f2a91b".into(),
            utc: Utc::from_millis(NOW - 7_200_000),
            author: "A. Person".into(),
            subject: "config: rename port".into(),
            files: vec!["app/config.py".into()],
        }],
        new_lines: Some(NewLines {
            lines: vec![NewLine { line: 40, text: "WARN retrying postgres://me:hunter2@db/x".into(), count: 2 }],
            compared: "child 1 of run 20261120T080000Z-11aa, which finished its work".into(),
        }),
        notes: vec![],
    };
    view.configuration.command = ["python", "train.py", "--db-password", "hunter2"].map(str::to_owned).to_vec();
    view.configuration.overlay =
        BTreeMap::from([("BATCH_SIZE".into(), "4".into()), ("API_TOKEN".into(), "abc".into())]);
    view.configuration.env_names = vec!["BATCH_SIZE".into()];
    view.configuration.snapshots =
        vec![SnapshotView { path: "config.json".into(), stored_as: Some("configs/config.json".into()), note: None }];
    view.log_tail = vec!["step 41".into(), "connecting to postgres://me:hunter2@db/x".into()];
    view.redact(&mut Redactor::new(&BTreeMap::new()));
    view
}

#[test]
fn a_python_error() {
    let view = python();
    insta::assert_snapshot!("python_error", render(&view));
    let stored = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<ReportView>(&stored).unwrap(), view, "a report can be rendered anew");
    assert_eq!(frame_file_name(1, "app/config.py"), "01-config.py.md");
    insta::assert_snapshot!("frame_file", frame_file(&view.frames[0]));
}

#[test]
fn of_an_unknown_run_only_the_time_is_told() {
    let mut view = python();
    let since = view.changes.since.as_mut().expect("there is one");
    (since.run, since.child) = (RunId::new(""), ChildNo(0));
    let report = render(&view);
    assert!(report.contains("\n\nThe last healthy time was 20"), "{report}");
    assert!(!report.contains("(empty)") && !report.contains("Child 0"), "{report}");
}

#[test]
fn only_an_exit() {
    let exit = crate::detect::ending::Exit {
        oom: OutOfMemory::Certain,
        ..ended(Ending::Signaled { signal: 9, core_dumped: false })
    };
    let mut incident = incident(
        "2026-11-21T12-34-56Z-error-exit",
        detection(DetectorKind::ExitCode, "exit", "killed by SIGKILL"),
        Some(exit),
    );
    incident.not_acted = Some("no rule matched, and 10 of 10 restarts are spent".into());
    insta::assert_snapshot!("only_an_exit", render(&view(incident)));
}

#[test]
fn a_stall() {
    let root = detection(DetectorKind::Stall, "step_stall", "`step` has not advanced for 600 s (last value 4123)");
    let mut incident = incident("2026-11-21T12-34-56Z-anomaly-step_stall", root, None);
    incident.recent_metric = ["4121", "4122", "4123"].map(str::to_owned).to_vec();
    let mut view = view(incident);
    view.log_tail = vec!["step 4123 loss 0.31".into()];
    insta::assert_snapshot!("stall", render(&view));
}

#[test]
fn a_hostile_log() {
    let evil = "``` x` <img src=http://e/> ![a](http://e/b) | \x1b[2J\u{202e}gnp\n# forged\n</details>";
    let mut root = at(detection(DetectorKind::Traceback, "traceback", evil), 1, 9);
    let mut read = trace(Language::Python, evil, evil, vec![frame(evil, 1, evil, true)]);
    read.text = format!("Traceback\n````\n{evil}\n{}", "x\n".repeat(200));
    root.trace = Some(read);
    let mut incident = incident(
        "2026-11-21T12-34-56Z-error-traceback",
        root,
        Some(ended(Ending::NotStarted { errno: 2, message: evil.into() })),
    );
    incident.not_acted = Some(evil.into());
    let mut view = view(incident);
    let source =
        explode(b"def f():\n    '''\n```\n# forged\n<b>'''\n    return 1\n", "a.py", 6, &FrameOptions::default());
    view.frames = vec![FrameView {
        file: Some(evil.into()),
        line: Some(6),
        function: Some(evil.into()),
        in_app: true,
        source: Some(source),
        note: Some(evil.into()),
        ..FrameView::default()
    }];
    view.configuration.command = vec![evil.into()];
    view.changes.notes = vec![evil.into()];
    view.log_tail = vec![evil.into()];
    let report = render(&view);
    insta::assert_snapshot!("hostile", report);

    let options = pulldown_cmark::Options::ENABLE_TABLES | pulldown_cmark::Options::ENABLE_STRIKETHROUGH;
    for event in pulldown_cmark::Parser::new_ext(&report, options) {
        use pulldown_cmark::{Event, Tag};
        let harmful = matches!(
            event,
            Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::Image { .. } | Tag::Link { .. } | Tag::HtmlBlock)
        );
        assert!(!harmful, "{event:?}\n{report}");
    }
    assert!(report.chars().all(|char| char == '\n' || char == '\t' || !char.is_control()));
    assert!(!report.contains('\u{202e}'));
}
