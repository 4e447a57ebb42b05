//! Exit codes of `sentry run`, and that the reason is on screen and in `state.json`.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::common::TestEnv;
use crate::site::Job;

#[test]
fn a_one_shot_command_passes_its_own_code_on() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -SEGV $$", 139), ("kill -KILL $$", 137)] {
        let site = Job::sh(script).once().make();
        let outcome = site.run().expect_code(code);
        assert_eq!(site.lives().len(), 1, "{script}");
        assert_eq!(site.state()["exit_code"], code, "{outcome:?}");
        assert_eq!(site.incidents().len(), usize::from(code != 0), "{script}");
    }
}

#[test]
fn every_wall_ends_with_80_and_its_reason() {
    let distinct = "words='zero alpha beta gamma delta'; set -- $words; shift $LIFE; echo \"boom $1\"; exit 1";
    let restart = "rules: [{name: again, match: {detector: boom}, action: restart}]";
    let rows = [
        ("max_restarts", Job::sh(distinct).boom().policy("max_restarts: 2"), 3, "2 restarts"),
        ("by a rule", Job::sh(distinct).boom().policy("max_restarts: 2").with(restart), 3, "2 restarts"),
        ("identical", Job::sh("echo boom; exit 1").boom().policy("max_identical_failures: 2"), 2, "same failure"),
        ("identical by a rule", Job::sh("echo boom; exit 1").boom().policy("max_identical_failures: 3").with(restart), 3, "same failure"),
        ("only exit codes", Job::sh("exit 1").policy("max_identical_failures: 3"), 3, "same failure"),
        (
            "window",
            Job::sh("exit 0").process("lifecycle: restart_always").policy("max_restarts_in_window: 2, restart_window_seconds: 600"),
            3,
            "2 restarts within",
        ),
        (
            "hourly attempts",
            Job::sh(distinct).boom().with(restart).healing("settle_seconds: 0, budget: {max_attempts_per_detector_per_hour: 2}"),
            3,
            "max_attempts_per_detector_per_hour",
        ),
    ];
    for (name, job, lives, reason) in rows {
        let site = job.make();
        let outcome = site.run().expect_code(80);
        assert_eq!(site.lives().len(), lives, "{name}: {outcome:?}");
        let state = site.state();
        assert_eq!((&state["phase"], &state["exit_code"]), (&"over".into(), &80.into()), "{name}: {state:#}");
        let why = state["why"].as_str().unwrap();
        assert!(why.contains(reason), "{name}: {why}");
        assert!(outcome.stderr.contains(why) && site.said().contains(reason), "{name}: {outcome:?}");
    }
}

#[test]
fn a_command_that_cannot_be_started_is_held_at_once() {
    for (name, command, errno) in
        [("absent", "[no-such-program-here]", 2), ("absent path", "[./absent]", 2), ("not executable", "[./plain.txt]", 13)]
    {
        let site = Job::sh("").command(command).make();
        site.env.write("plain.txt", "no program");
        std::fs::set_permissions(site.env.path("plain.txt"), PermissionsExt::from_mode(0o644)).unwrap();
        let outcome = site.run().expect_code(81);
        let incident = site.incident();
        assert_eq!(incident["exit"]["ending"]["errno"], errno, "{name}: {incident:#}");
        assert_eq!(site.state()["child"]["no"], 1, "{name}: {outcome:?}");
        assert!(outcome.stderr.contains("held for a person"), "{name}: {outcome:?}");
        assert_eq!(site.state()["phase"], "held");
    }
}

#[test]
fn a_directory_that_is_missing_is_held_too() {
    let site = Job::sh("").process("cwd: nowhere").make();
    let outcome = site.run().expect_code(81);
    assert!(outcome.stderr.contains("nowhere"), "{outcome:?}");
}

#[test]
fn what_a_person_ends_ends_with_82() {
    for way in ["stop", "abort", "SIGINT"] {
        let site = Job::sh("echo working; until_there never").make();
        let monitor = site.start();
        site.until_child(1);
        match way {
            "SIGINT" => monitor.signal(Signal::INT),
            command => drop(site.ask(&[command])),
        }
        let outcome = monitor.wait().expect_code(82);
        site.assert_all_gone();
        assert_eq!(site.state()["exit_code"], 82, "{way}: {outcome:?}");
        assert!(site.incidents().is_empty(), "{way}: a stop is no failure: {outcome:?}");
    }
}

#[test]
fn a_wrong_configuration_ends_with_3_and_names_everything() {
    let env = TestEnv::new();
    env.write(
        "sentry.yaml",
        "process: {comand: [true], pty: maybe}\ndetectors: [{kind: pattern, regex: '('}]\nrules: [{match: {detector: dsk}, action: restart}]\n",
    );
    let outcome = env.run(&["run"]).expect_code(3);
    for wrong in ["comand", "maybe", "regex", "dsk", "sentry.yaml:1:", "sentry.yaml:2:", "sentry.yaml:3:"] {
        assert!(outcome.stderr.contains(wrong), "{wrong}: {outcome:?}");
    }
    assert!(!env.path(".sentry").exists(), "{outcome:?}");
}

#[test]
fn nothing_to_run_ends_with_4() {
    let env = TestEnv::new();
    let outcome = env.run(&["run"]).expect_code(4);
    assert!(outcome.stderr.contains("sentry init"), "{outcome:?}");
    assert!(!env.path(".sentry").exists());
}

#[test]
fn a_second_monitor_ends_with_5_and_another_command_with_6() {
    let site = Job::sh("until_there done").make();
    let first = site.start();
    let pid = site.until_child(1);
    let second = site.env.run(&["run"]).expect_code(5);
    assert!(second.stderr.contains(&first.pid().to_string()), "{second:?}");
    let third = site.env.run(&["run", "--", "true"]).expect_code(5);
    assert!(third.stderr.contains("another monitor"), "{third:?}");
    drop(first); // SIGKILL
    let other = site.env.run(&["run", "--", "true"]).expect_code(6);
    assert!(other.stderr.contains("job.sh"), "{other:?}");
    assert!(site.env.processes().contains(&pid), "{other:?}");
    site.touch("done");
    let _ = site.run().expect_code(0);
    assert_eq!(site.lives(), [pid]);
}
