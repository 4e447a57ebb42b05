//! Lifecycles, pauses and budgets, and what becomes one incident.

use serde_json::Value;

use crate::site::{Job, Site};

fn counted(incident: &Value, detector: &str) -> u64 {
    let counted = incident["counted"].as_array().unwrap().iter().find(|counted| counted["detector"] == detector);
    counted.map_or(0, |counted| counted["count"].as_u64().unwrap())
}

#[test]
fn lifecycles_say_what_an_end_means() {
    let rows = [
        ("one_shot", "exit 0", 0, 1),
        ("one_shot", "exit 3", 3, 1),
        ("restart_on_failure", "exit 0", 0, 1),
        ("restart_on_failure", "[ $LIFE = 3 ] || exit 3", 0, 3),
        ("restart_always", "[ $LIFE = 3 ] && exit 4; exit 0", 80, 4),
    ];
    for (lifecycle, script, code, lives) in rows {
        let job = Job::sh(script).process(&format!("lifecycle: {lifecycle}")).policy("max_restarts_in_window: 3");
        let site = job.make();
        let outcome = site.run().expect_code(code);
        assert_eq!(site.lives().len(), lives, "{lifecycle}, {script}: {outcome:?}");
    }
}

#[test]
fn pauses_grow_with_unverified_restarts() {
    let policy = "cooldown_seconds: 0.1, backoff: {factor: 3, max_seconds: 0.5, jitter: 0}, max_restarts: 3";
    let site = Job::sh("exit 1").whole_policy(policy).make();
    let outcome = site.run().expect_code(80);
    let pauses: Vec<&str> =
        outcome.stderr.lines().filter_map(|line| line.split_once("restarting in ")?.1.split_once(':')).map(|(pause, _)| pause).collect();
    assert_eq!(pauses, ["0.1 s", "0.3 s", "0.5 s"], "{outcome:?}");
}

#[test]
fn health_clears_the_count_of_restarts() {
    let job = Job::sh("[ $LIFE = 2 ] || exit 1; until_there done; exit 0").policy("reset_after_healthy_seconds: 0.3");
    let site = job.make();
    let monitor = site.start();
    site.until_child(2);
    site.until("a clear count", |state| state["restarts"]["unverified"] == 0 && state["restarts"]["total"] == 1);
    assert!(site.verdicts().is_empty(), "the window has not passed: {:?}", site.verdicts());
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
}

#[test]
fn a_pattern_may_need_several_lines() {
    let detectors = "detectors: [{name: slow, kind: pattern, regex: 'slow', min_count: 3, window_seconds: 60}]";
    for (lines, incidents) in [(2, 0), (3, 1), (5, 1)] {
        let script = format!("for i in $(seq {lines}); do echo slow $i; done; exit 0");
        let site = Job::sh(&script).healing("settle_seconds: 0.1").with(detectors).make();
        let outcome = site.run().expect_code(0);
        assert_eq!(site.incidents().len(), incidents, "{lines}: {outcome:?}");
    }
}

#[test]
fn the_same_failure_within_the_cooldown_is_counted() {
    let site = Job::sh("for i in 1 2 3 4 5; do echo boom; until_there go$i; done; exit 0").boom().make();
    let monitor = site.start();
    for i in 1..=5 {
        site.until("the detection", |state| state["detectors"]["boom"]["detections"] == i);
        site.touch(&format!("go{i}"));
    }
    let outcome = monitor.wait().expect_code(0);
    let incident = site.incident();
    assert_eq!(counted(&incident, "boom"), 4, "{incident:#}\n{outcome:?}");
    let other = Job::sh("echo boom one; until_there go; echo boom two; exit 0")
        .with("detectors: [{name: boom, kind: pattern, regex: 'boom \\w+', cooldown_seconds: 0}]")
        .make();
    let monitor = other.start();
    other.until("the first", |_| other.incidents().len() == 1);
    other.touch("go");
    let _ = monitor.wait().expect_code(0);
    assert_eq!(other.incidents().len(), 2);
}

#[test]
fn a_stall_is_an_anomaly_that_a_rule_can_end() {
    let rule = "rules: [{name: kick, match: {kind: stall}, action: restart}]";
    let silent = "detectors: [{name: stall, kind: stall, no_progress_seconds: 0.3}]";
    let metric = "detectors: [{name: stall, kind: stall, metric_regex: 'step (\\d+)', no_progress_seconds: 0.4}]";
    let noise = "echo step 7; while [ ! -e done ]; do echo noise; sleep 0.05; done";
    for (name, detector, script, message) in
        [("without a metric", silent, "until_there never", "no output"), ("with one", metric, noise, "the value is still 7")]
    {
        let site = Job::sh(&format!("[ $LIFE = 2 ] && exit 0; {script}")).with(detector).with(rule).make();
        let outcome = site.run().expect_code(0);
        let incident = site.incident();
        assert_eq!((&incident["kind"], &incident["category"]), (&"anomaly".into(), &"timeout".into()), "{name}: {incident:#}");
        assert!(incident["message"].as_str().unwrap().contains(message), "{name}: {incident:#}");
        assert_eq!(site.verdicts(), ["1 restart by rule kick: kept"], "{name}: {outcome:?}");
    }
}

#[test]
fn progress_is_no_stall() {
    let detector = "detectors: [{name: stall, kind: stall, metric_regex: 'step (\\d+)', no_progress_seconds: 1}]";
    let site = Job::sh("for i in $(seq 30); do echo step $i; sleep 0.05; done").with(detector).make();
    let outcome = site.run().expect_code(0);
    assert!(site.incidents().is_empty(), "{outcome:?}");
}

fn trace(lead: &str, tail: &str) -> String {
    format!(
        "printf '{lead}Traceback (most recent call last):\\n  File \"a.py\", line 1, in <module>\\n    f()\\n  File \"a.py\", line 9, in f\\n    raise ValueError(1)\\nValueError: boom 1{tail}'; exit 1"
    )
}

fn everything(script: &str, settle: &str) -> Site {
    let detectors = "detectors: [{name: boom, kind: pattern, regex: boom}, {kind: traceback}, {kind: exit_code}]";
    Job::sh(script).once().healing(&format!("settle_seconds: {settle}")).with(detectors).make()
}

#[test]
fn what_fails_together_is_one_incident() {
    for (name, lead, tail) in
        [("whole", "", "\\n"), ("without a line end", "", ""), ("after other output", "step 1\\nstep 2\\n", "\\n\\ncleaning up\\n")]
    {
        for settle in ["0", "0.2", "2"] {
            let site = everything(&trace(lead, tail), settle);
            let outcome = site.run().expect_code(1);
            let incident = site.incident();
            assert_eq!(incident["root"]["trace"]["exception"], "ValueError", "{name}, settle {settle}: {incident:#}");
            assert_eq!(incident["exit"]["ending"]["code"], 1, "{name}, settle {settle}: {incident:#}");
            assert_eq!(counted(&incident, "boom"), 1, "{name}, settle {settle}: {incident:#}\n{outcome:?}");
            assert!(site.file(&incident, "trace.txt").starts_with("Traceback"), "{name}, settle {settle}");
        }
    }
}

#[test]
fn an_end_can_be_reported_although_it_is_no_failure() {
    let site = Job::sh("exit 0").with("detectors: [{name: end, kind: exit_code, nonzero_only: false}]").make();
    let outcome = site.run().expect_code(0);
    let incident = site.incident();
    assert_eq!((&incident["root"]["detector"], &incident["severity"]), (&"end".into(), &"info".into()), "{outcome:?}");
    let silent = Job::sh("exit 0").with("detectors: [{name: end, kind: exit_code}]").make();
    let _ = silent.run().expect_code(0);
    assert!(silent.incidents().is_empty());
}

#[test]
fn what_is_not_severe_enough_is_only_recorded() {
    let detectors = "detectors: [{name: boom, kind: pattern, regex: boom, severity: warning}]";
    let rule = "rules: [{name: end, match: {detector: boom}, action: abort}]";
    for (least, code) in [("error", 0), ("warning", 82)] {
        let healing = format!("settle_seconds: 0, min_severity: {least}");
        let site = Job::sh("echo boom; until_there done; exit 0").healing(&healing).with(detectors).with(rule).make();
        let monitor = site.start();
        site.until("an incident", |state| state["incidents_total"] == 1);
        site.touch("done");
        let outcome = monitor.wait().expect_code(code);
        let incident = site.incident();
        assert_eq!(incident["severity"], "warning", "{outcome:?}");
        assert_eq!(incident["not_acted"].is_null(), code == 82, "{incident:#}");
    }
}
