//! Numbers in the log, rates, and what `sentry scan` makes of them.

use crate::site::Job;

#[test]
fn a_loss_that_is_nan_is_an_incident_that_a_rule_can_end() {
    let detector = "detectors: [{name: loss, kind: metric, regex: 'loss[=: ]+(\\S+)'}]";
    let rule = "rules: [{name: back, match: {kind: metric}, action: restart}]";
    let script = "[ $LIFE = 2 ] && exit 0; for i in 1 2 3; do echo \"step $i loss: 2.$i, lr 1e-4\"; done; \
                  echo 'step 4 loss: nan, lr 1e-4'; until_there never";
    let site = Job::sh(script).with(detector).with(rule).make();
    let outcome = site.run().expect_code(0);
    let incident = site.incident();
    assert_eq!((&incident["kind"], &incident["message"]), (&"anomaly".into(), &"loss is nan".into()), "{incident:#}");
    assert_eq!(incident["root"]["captures"]["reason"], "non_finite", "{incident:#}");
    assert_eq!(incident["root"]["lines"][0], 4, "{incident:#}");
    assert_eq!(site.verdicts(), ["1 restart by rule back: kept"], "{outcome:?}");
    let report = site.file(&incident, "report.md");
    assert!(report.contains("2.1\n2.2\n2.3\nNaN"), "{report}");
}

#[test]
fn so_many_matches_in_so_short_a_time() {
    let detector = "detectors: [{name: slow, kind: rate, regex: 'slow \\w+', count: 500, window_seconds: 60}]";
    for (lines, incidents) in [(499, 0), (500, 1)] {
        let script = format!("for i in $(seq {lines}); do echo slow disk; done; exit 0");
        let site = Job::sh(&script).with(detector).make();
        let outcome = site.run().expect_code(0);
        let all = site.incidents();
        assert_eq!(all.len(), incidents, "{lines}: {outcome:?}");
        for incident in all {
            let message = incident["message"].as_str().unwrap();
            assert!(message.starts_with("500 matches in ") && message.ends_with(": slow disk"), "{message}");
        }
    }
}

#[test]
fn a_learned_limit_is_shown() {
    let detector = "detectors: [{name: quiet, kind: stall, learn_factor: 2, learn_min_seconds: 0.5}]";
    let script = "for i in $(seq 40); do echo $i; sleep 0.03; done; until_there go; exit 0";
    let site = Job::sh(script).with(detector).make();
    let monitor = site.start();
    let state = site.until("an incident", |state| state["incidents_total"] == 1);
    let stall = &state["stalls"]["quiet"];
    assert!(stall["learned"] == true && stall["limit_ms"].as_u64() >= Some(500), "{state:#}");
    let message = state["incidents"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("no output for ") && message.contains("; the longest healthy pause was "), "{message}");
    site.touch("go");
    let _ = monitor.wait().expect_code(0);
}

#[test]
fn scan_judges_metrics_phases_and_rates() {
    let detectors = "detectors:\n\
                     - {name: loss, kind: metric, regex: 'loss (\\S+)', spike_mads: 6, confirmations: 2, warm_up: 0, except: [eval]}\n\
                     - {name: slow, kind: rate, regex: 'slow \\w+', count: 100, window_seconds: 1}\n\
                     phases: [{name: eval, begin: '^evaluating', end: '^evaluated'}]";
    let site = Job::sh("exit 0").with(detectors).make();
    let mut log: Vec<String> = (0..40).map(|n| format!("loss 2.{}", n % 5)).collect();
    log.push("evaluating\nloss 9\nloss 9\nloss 9\nevaluated\nloss 9".to_owned());
    log.extend((0..30).map(|_| "loss 2.2".to_owned()));
    log.push("loss 9\nloss 9\nloss 9".to_owned());
    log.extend((0..150).map(|_| "slow disk".to_owned()));
    site.env.write("train.log", log.join("\n") + "\n");
    let outcome = site.env.run(&["scan", "train.log"]).expect_code(1);
    let found: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(found.len(), 2, "{outcome:?}");
    assert!(found[0].starts_with("train.log:78  error  loss  loss 9 is "), "{outcome:?}");
    assert!(found[0].ends_with(" MADs above the median 2.2 of the last 70 values (2 in a row)"), "{outcome:?}");
    assert!(found[1].ends_with("  error  slow  150 matches: slow disk"), "{outcome:?}");
    assert!(outcome.stderr.contains("over the whole log: its lines are not timed here"), "{outcome:?}");
}
