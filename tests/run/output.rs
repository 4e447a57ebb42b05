//! What is said while it runs.

use crate::common::TestEnv;
use crate::site::{Job, Site};

/// Text with times, pids, runs and seconds replaced.
fn redacted(text: &str) -> String {
    let table = [
        (r"sentry \d\d:\d\d:\d\dZ", "sentry [TIME]"),
        (r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ", "[STAMP]"),
        (r"pid \d+", "pid [PID]"),
        (r" in \d+\.\d s", " in [SECONDS] s"),
    ];
    table.iter().fold(text.to_owned(), |text, (pattern, with)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
    })
}

#[test]
fn a_healthy_run_says_one_line_and_shows_nothing() {
    let site = Job::sh("echo working; sleep 0.3; echo done").make();
    let monitor = site.start();
    site.until_child(1);
    assert_eq!(redacted(&monitor.stderr()), "sentry [TIME] supervising `sh job.sh`; see `sentry status`\n");
    let outcome = monitor.wait().expect_code(0);
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    insta::assert_snapshot!(redacted(&outcome.stderr), @r"
    sentry [TIME] supervising `sh job.sh`; see `sentry status`
    sentry [TIME] run over: the command has finished
    ");
}

#[test]
fn the_output_is_shown_once_across_restarts() {
    let site = Job::sh("echo life $LIFE out; echo life $LIFE err >&2; [ $LIFE = 3 ] || exit 1").make();
    let outcome = site.env.run(&["run", "--follow"]).expect_code(0);
    assert_eq!(
        outcome.stdout, "life 1 out\nlife 1 err\nlife 2 out\nlife 2 err\nlife 3 out\nlife 3 err\n",
        "{outcome:?}"
    );
}

#[test]
fn what_an_adopted_child_prints_is_shown_from_then_on() {
    let site = Job::sh("echo before; until_there go; echo after; exit 0").make();
    let first = site.env.sentry(&["run", "--follow"]).start();
    crate::common::poll_until(crate::common::SOON, "output", || {
        if first.stdout() == "before\n" { Ok(()) } else { Err(first.stdout()) }
    });
    site.until("what was read to be stored", |state| state["child"]["alive"] == true);
    drop(first);
    let second = site.env.sentry(&["run", "--follow"]).start();
    site.until("the adoption", |state| state["monitor"]["pid"] == second.pid());
    site.touch("go");
    let outcome = second.wait().expect_code(0);
    assert!(outcome.stdout.ends_with("after\n"), "{outcome:?}");
}

#[test]
fn quiet_says_only_errors() {
    let site = Job::sh("echo boom; exit 3").boom().once().make();
    let outcome = site.env.run(&["run", "--quiet"]).expect_code(3);
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    let site = Job::sh("exit 0").make();
    assert_eq!(site.env.run(&["run", "-q"]).expect_quiet_success(), "");
}

#[test]
fn any_command_runs_without_a_configuration() {
    let env = TestEnv::new();
    let outcome = env.run(&["run", "--follow", "--", "echo", "two  words"]).expect_code(0);
    assert_eq!(outcome.stdout, "two  words\n");
    let site = Site { env };
    assert_eq!(site.state()["command"], serde_json::json!(["echo", "two  words"]));
    site.assert_all_gone();
}

#[test]
fn a_failing_run_says_each_thing_once() {
    let site = Job::sh("[ $LIFE = 2 ] && { sleep 0.3; exit 0; }; echo boom; sleep 0.3; exit 1")
        .boom()
        .healing("settle_seconds: 5")
        .with("rules: [{name: again, match: {detector: boom}, action: restart}]")
        .make();
    let outcome = site.run().expect_code(0);
    insta::assert_snapshot!(redacted(&outcome.stderr), @r"
    sentry [TIME] supervising `sh job.sh`; see `sentry status`
    sentry [TIME] detected boom: boom (child 1, line 1)
    sentry [TIME] child 1 ended: exit code 1
    sentry [TIME] incident [STAMP]-error-boom: boom
    sentry [TIME] rule again: restart
    sentry [TIME] child 2 started (pid [PID])
    sentry [TIME] attempt 1 (restart by rule again): kept, the command has finished its work
    sentry [TIME] run over: the command has finished
    ");
}
