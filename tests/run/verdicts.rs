//! Kept means progress, not silence: how attempts end.

use serde_json::Value;

use crate::site::Job;

const AGAIN: &str = "rules: [{name: again, match: {detector: boom}, action: restart}]";
const SHORT: &str = "settle_seconds: 0, verify_window_seconds: 0.4";
const LONG: &str = "settle_seconds: 0, verify_window_seconds: 600";

#[test]
fn a_child_that_lives_through_the_window_is_kept_and_clears_the_count() {
    let job = Job::sh("[ $LIFE = 2 ] && until_there done && exit 0; echo boom; exit 1").boom().healing(SHORT).with(AGAIN);
    let site = job.make();
    let monitor = site.start();
    let verifying = site.until("a pending attempt", |state| state["pending"][0]["action"] == "restart");
    assert_eq!(verifying["restarts"]["unverified"], 1, "{verifying:#}");
    site.until("a verdict", |_| site.verdicts() == ["1 restart by rule again: kept"]);
    let state = site.until("a clear count", |state| state["restarts"]["unverified"] == 0);
    assert_eq!((&state["restarts"]["total"], &state["pending"]), (&1.into(), &Value::Array(vec![])), "{state:#}");
    let incident = site.incident();
    assert_eq!(incident["actions"][0]["verdict"]["verdict"], "kept");
    assert!(site.file(&incident, "report.md").contains("**kept**"));
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
}

#[test]
fn the_same_failure_is_a_regression_however_fast_it_comes_back() {
    // The second child fails before anybody could see it run; the third long after its start.
    let job = Job::sh("[ $LIFE = 3 ] && until_there now; [ $LIFE = 4 ] && exit 0; echo boom; exit 1").boom().healing(LONG).with(AGAIN);
    let site = job.make();
    let monitor = site.start();
    site.until_child(3);
    site.touch("now");
    let outcome = monitor.wait().expect_code(0);
    assert_eq!(
        site.verdicts(),
        ["1 restart by rule again: regressed", "2 restart by rule again: regressed", "3 restart by rule again: kept"],
        "{outcome:?}"
    );
    assert_eq!(site.state()["restarts"]["unverified"], 0, "a fix that held clears the count");
}

#[test]
fn another_death_is_a_crash() {
    let job = Job::sh("[ $LIFE = 1 ] && { echo boom; exit 1; }; [ $LIFE = 2 ] && kill -SEGV $$; exit 0").boom().healing(LONG);
    let site = job.with(AGAIN).make();
    let outcome = site.run().expect_code(0);
    assert_eq!(site.verdicts(), ["1 restart by rule again: crashed", "2 restart by policy: kept"], "{outcome:?}");
}

#[test]
fn what_was_not_seen_to_the_end_is_unverified_and_what_a_person_replaced_superseded() {
    for (command, verdict, code) in [("stop", "unverified", 82), ("restart", "superseded", 0), ("pause", "superseded", 0)] {
        let job = Job::sh("[ $LIFE = 1 ] && { echo boom; exit 1; }; [ $LIFE = 2 ] && until_there never; exit 0").boom();
        let site = job.healing(LONG).with(AGAIN).make();
        let monitor = site.start();
        site.until_child(2);
        site.ask(&[command]);
        if command == "pause" {
            site.until_phase("paused");
            site.ask(&["resume"]);
        }
        let outcome = monitor.wait().expect_code(code);
        assert_eq!(site.verdicts(), [format!("1 restart by rule again: {verdict}")], "{command}: {outcome:?}");
        site.assert_all_gone();
    }
}

#[test]
fn a_failure_of_another_kind_meanwhile_is_never_kept() {
    let script = "[ $LIFE = 1 ] && { echo boom; exit 1; }; echo odd; until_there done; exit 0";
    let detectors = "detectors: [{name: boom, kind: pattern, regex: boom}, {name: odd, kind: pattern, regex: odd}, {name: exit_code, kind: exit_code}]";
    let site = Job::sh(script).healing(SHORT).with(detectors).with(AGAIN).make();
    let monitor = site.start();
    site.until("a verdict", |_| !site.verdicts().is_empty());
    assert_eq!(site.verdicts(), ["1 restart by rule again: unverified"]);
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
}

#[test]
fn restarts_of_the_policy_are_attempts_as_well() {
    let site = Job::sh("[ $LIFE = 3 ] && exit 0; exit 5").make();
    let outcome = site.run().expect_code(0);
    assert_eq!(
        site.ledger(),
        [
            "1 restart by policy: pending",
            "1 restart by policy: regressed",
            "2 restart by policy: pending",
            "2 restart by policy: kept",
        ],
        "{outcome:?}"
    );
    let analysis: Value = serde_json::from_str(&site.ask(&["analyze", "--json"])).unwrap();
    assert!(analysis.to_string().contains("regressed"), "{analysis:#}");
}

#[test]
fn progress_up_to_the_point_of_failure_is_no_proof() {
    let stall = "detectors: [{name: boom, kind: pattern, regex: boom}, {name: slow, kind: stall, metric_regex: 'step (\\d+)', no_progress_seconds: 600}]";
    let script = "[ $LIFE = 1 ] && { echo step 5; echo boom; exit 1; }; echo step 5; until_there on; echo step 6; until_there done; exit 0";
    let site = Job::sh(script).healing(SHORT).with(stall).with(AGAIN).make();
    let monitor = site.start();
    // The window passes while the value stands where it failed.
    site.until("the window to have passed", |state| state["pending"][0]["left_ms"] == 0 || state["watched_ms"].as_u64() > Some(1_000));
    assert!(site.verdicts().is_empty(), "{:?}", site.verdicts());
    site.touch("on");
    site.until("a verdict", |_| site.verdicts() == ["1 restart by rule again: kept"]);
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
}

#[test]
fn a_detector_whose_fix_regressed_is_escalated_when_asked() {
    let job = Job::sh("[ $LIFE = 3 ] && exit 0; echo boom; exit 1").boom();
    let site = job.healing("settle_seconds: 0, regression_action: escalate").with(AGAIN).make();
    let outcome = site.run().expect_code(0);
    assert_eq!(site.verdicts(), ["1 restart by rule again: regressed", "2 restart by policy: kept"], "{outcome:?}");
}
