//! What the classes of known failures decide, and what reports say about a failure's surroundings.

use crate::site::Job;

const RESET: &str = "echo 'ConnectionError: Connection reset by peer'";

#[test]
fn what_only_explains_an_end_is_its_root_and_waits_without_spending_restarts() {
    let script = format!("echo step $LIFE; [ $LIFE = 3 ] && exit 0; {RESET}; exit 1");
    let site = Job::sh(&script).policy("max_restarts: 1, max_identical_failures: 1").make();
    let outcome = site.run().expect_code(0);
    let incidents = site.incidents();
    assert_eq!(incidents.len(), 2, "{outcome:?}");
    for incident in &incidents {
        let class = (&incident["root"]["detector"], &incident["class"]["role"], &incident["category"]);
        assert_eq!(class, (&"connection_reset".into(), &"root".into(), &"infrastructure".into()), "{incident:#}");
    }
    let verdicts = site.verdicts();
    assert_eq!(verdicts.len(), 2, "{verdicts:?}");
    assert!(verdicts.iter().all(|row| row.contains("restart by class connection_reset")), "{verdicts:?}");
    assert_eq!(site.state()["restarts"]["unverified"], 0, "{:#}", site.state());
}

#[test]
fn a_retry_that_succeeds_is_no_incident() {
    let site = Job::sh(&format!("{RESET}; echo retrying; {RESET}; echo connected; exit 0")).make();
    let _ = site.run().expect_code(0);
    assert_eq!(site.incidents().len(), 0);
}

#[test]
fn what_only_a_person_can_mend_is_held() {
    let failed = "echo 'HTTPError: 401 Client Error: Unauthorized for url: https://example.org/api'; exit 1";
    let site = Job::sh(failed).make();
    let outcome = site.run().expect_code(81);
    assert!(outcome.stderr.contains("held for a person: auth_failed"), "{outcome:?}");
    assert_eq!(site.incident()["category"], "permission");

    let site = Job::sh(failed).healing("class_actions: false").policy("max_restarts: 1").make();
    let _ = site.run().expect_code(80);
    assert_eq!(site.incidents().len(), 2, "the restart policy decides");
}

#[test]
fn a_rule_for_a_class_matches_the_trace_that_it_was_seen_in() {
    let script = "[ $LIFE = 2 ] && exit 0; echo 'Traceback (most recent call last):'; echo '  File \"a.py\", line 1, in f'; \
                  echo '    g()'; echo 'RuntimeError: CUDA out of memory. Tried to allocate 2 GiB'; exit 1";
    let rule = "rules: [{name: smaller, match: {class: cuda_oom}, action: restart}]";
    let site = Job::sh(script).with(rule).healing("settle_seconds: 1").make();
    let outcome = site.run().expect_code(0);
    let incident = site.incident();
    assert_eq!((&incident["root"]["kind"], &incident["class"]["name"]), (&"traceback".into(), &"cuda_oom".into()));
    assert_eq!(site.verdicts(), ["1 restart by rule smaller: kept"], "{outcome:?}");
}

#[test]
fn a_report_names_the_lines_that_a_healthy_run_never_printed() {
    let site = Job::sh("echo step 1; [ -e bad ] && echo 'WARN link mlx5_0 is down' && exit 3; echo step 2; exit 0")
        .once()
        .make();
    let _ = site.run().expect_code(0);
    site.touch("bad");
    let outcome = site.run().expect_code(3);
    let report = site.file(&site.incident(), "report.md");
    assert!(report.contains("compared with child 1 of run "), "{outcome:?}\n{report}");
    assert!(report.contains("- line 2: `WARN link mlx5_0 is down`") && !report.contains(": `step 1`"), "{report}");
}
