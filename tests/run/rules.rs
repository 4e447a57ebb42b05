//! What rules match and what their actions do.

use crate::common::TestEnv;
use crate::site::{Job, Site};

fn lines(site: &Site, name: &str) -> Vec<String> {
    site.env.read(name).lines().map(str::to_owned).collect()
}

fn details(incident: &serde_json::Value) -> String {
    incident["actions"][0]["details"].to_string()
}

const SHRINK: &str =
    "echo \"${N-unset}\" >> seen; [ \"$N\" = \"$UNTIL\" ] && exit 0; echo \"boom at ${N-unset}\"; exit 1";

#[test]
fn variables_change_as_rules_say() {
    struct Row {
        name: &'static str,
        until: &'static str,
        process: &'static str,
        outside: Option<&'static str>,
        set: &'static str,
        seen: &'static [&'static str],
        code: i32,
        note: &'static str,
    }
    let rows = [
        Row {
            name: "half of process.env, then of the overlay",
            until: "2",
            process: "env: {N: 8, UNTIL: 2}",
            outside: Some("100"),
            set: "{N: half}",
            seen: &["8", "4", "2"],
            code: 0,
            note: "N: 8 → 4",
        },
        Row {
            name: "half of the environment",
            until: "4",
            process: "env: {UNTIL: 4}",
            outside: Some("9"),
            set: "{N: half}",
            seen: &["9", "4"],
            code: 0,
            note: "N: 9 → 4",
        },
        Row {
            name: "double",
            until: "4",
            process: "env: {N: 1, UNTIL: 4}",
            outside: None,
            set: "{N: double}",
            seen: &["1", "2", "4"],
            code: 0,
            note: "N: 1 → 2",
        },
        Row {
            name: "a text",
            until: "safe",
            process: "env: {UNTIL: safe}",
            outside: None,
            set: "{N: safe}",
            seen: &["unset", "safe"],
            code: 0,
            note: "N: (not set) → safe",
        },
        Row {
            name: "never below 1",
            until: "0",
            process: "env: {N: 2, UNTIL: 0}",
            outside: None,
            set: "{N: half}",
            seen: &["2", "1", "1"],
            code: 80,
            note: "N: 2 → 1",
        },
        Row {
            name: "no number",
            until: "0",
            process: "env: {N: many, UNTIL: 0}",
            outside: None,
            set: "{N: half}",
            seen: &["many", "many", "many"],
            code: 80,
            note: "N left as it was",
        },
    ];
    for row in rows {
        let env = TestEnv::new();
        let env = match row.outside {
            Some(value) => env.with_var("N", value),
            None => env,
        };
        let rule = format!(
            "rules: [{{name: change, match: {{detector: boom}}, action: {{kind: restart_with_env, set: {}}}}}]",
            row.set
        );
        let job = Job::sh(SHRINK).boom().process(row.process).policy("max_restarts: 2").with(&rule);
        let site = job.make_in(env);
        let outcome = site.run().expect_code(row.code);
        assert_eq!(lines(&site, "seen"), row.seen, "{} (until {}): {outcome:?}", row.name, row.until);
        let first = &site.incidents()[0];
        assert!(details(first).contains(row.note), "{}: {first:#}", row.name);
        assert!(site.file(first, "report.md").contains(row.note), "{}", row.name);
        assert!(outcome.stderr.contains(row.note), "{}: {outcome:?}", row.name);
    }
}

#[test]
fn restart_starts_again_and_is_kept_when_the_work_is_done() {
    let site = Job::sh("[ $LIFE = 3 ] && exit 0; echo boom; exit 1")
        .boom()
        .with("rules: [{name: again, match: {detector: boom}, action: restart}]")
        .make();
    let outcome = site.run().expect_code(0);
    assert_eq!(site.lives().len(), 3);
    assert_eq!(
        site.ledger(),
        [
            "1 restart by rule again: pending",
            "1 restart by rule again: regressed",
            "2 restart by rule again: pending",
            "2 restart by rule again: kept",
        ],
        "{outcome:?}"
    );
}

#[test]
fn pause_waits_for_a_person() {
    let site = Job::sh("[ $LIFE = 2 ] && exit 0; echo boom; until_there never")
        .boom()
        .with("rules: [{name: wait, match: {detector: boom}, action: pause}]")
        .make();
    let monitor = site.start();
    let state = site.until_phase("paused");
    assert!(state["why"].as_str().unwrap().contains("rule wait"), "{state:#}");
    assert_eq!(state["child"]["alive"], false);
    let status = site.ask(&["status"]);
    assert!(status.contains("nothing is supervised") && status.contains("sentry resume"), "{status}");
    site.ask(&["resume"]);
    let outcome = monitor.wait().expect_code(0);
    assert_eq!(site.lives().len(), 2, "{outcome:?}");
    assert_eq!(site.verdicts(), ["1 pause by rule wait: unverified"]);
    assert_eq!(site.incidents().len(), 1, "the stopped child is no failure of its own: {outcome:?}");
}

#[test]
fn abort_ends_the_run_and_its_child() {
    for script in ["echo boom; until_there never", "echo boom; exit 1"] {
        let site = Job::sh(script).boom().with("rules: [{name: end, match: {detector: boom}, action: abort}]").make();
        let outcome = site.run().expect_code(82);
        assert_eq!(site.lives().len(), 1);
        assert_eq!(site.verdicts(), ["1 abort by rule end: unverified"], "{outcome:?}");
        assert!(outcome.stderr.contains("aborted by rule end"), "{outcome:?}");
    }
}

#[test]
fn a_custom_command_acts_and_may_ask_for_more() {
    struct Row {
        name: &'static str,
        command: &'static str,
        lives: usize,
        code: i32,
        verdicts: &'static [&'static str],
        detail: &'static str,
    }
    let rows = [
        Row {
            name: "it mends",
            command: "[sh, -c, 'touch mended; echo done']",
            lives: 2,
            code: 0,
            verdicts: &["1 custom_command by rule fix: kept"],
            detail: "exit code 0; last line: done",
        },
        Row {
            name: "it sets",
            command: "[sh, -c, 'touch mended; echo restart_with_env EXTRA=7']",
            lives: 2,
            code: 0,
            verdicts: &["1 custom_command by rule fix: kept"],
            detail: "EXTRA=7",
        },
        Row {
            name: "it aborts",
            command: "[echo, abort]",
            lives: 1,
            code: 82,
            verdicts: &["1 custom_command by rule fix: unverified"],
            detail: "last line: abort",
        },
        Row {
            name: "it fails",
            command: "[sh, -c, 'touch mended; echo cannot; exit 3']",
            lives: 2,
            code: 0,
            verdicts: &["1 custom_command by rule fix: crashed", "2 restart by policy: kept"],
            detail: "exit code 3; last line: cannot",
        },
        Row {
            name: "it is absent",
            command: "[./no-such-fix]",
            lives: 3,
            code: 80,
            verdicts: &["1 custom_command by rule fix: crashed"],
            detail: "no-such-fix",
        },
        Row {
            name: "it takes too long",
            command: "[sh, -c, 'touch mended; sleep 60 & sleep 60'], timeout_seconds: 0.3",
            lives: 2,
            code: 0,
            verdicts: &["1 custom_command by rule fix: crashed", "2 restart by policy: kept"],
            detail: "ran out of time",
        },
    ];
    for row in rows {
        let rule = format!(
            "rules: [{{name: fix, match: {{detector: boom}}, action: {{kind: custom_command, command: {}}}}}]",
            row.command
        );
        let job = Job::sh("echo \"$EXTRA\" > extra; [ -e mended ] && exit 0; echo boom; exit 1").boom();
        let site = job.policy("max_restarts: 2").with(&rule).make();
        let outcome = site.run().expect_code(row.code);
        assert_eq!(site.lives().len(), row.lives, "{}: {outcome:?}", row.name);
        assert_eq!(&site.verdicts()[..row.verdicts.len()], row.verdicts, "{}: {outcome:?}", row.name);
        let first = &site.incidents()[0];
        assert!(details(first).contains(row.detail), "{}: {first:#}", row.name);
        assert_eq!(site.env.read("extra").trim(), if row.name == "it sets" { "7" } else { "" }, "{}", row.name);
    }
}

#[test]
fn a_custom_command_pauses_and_knows_the_run() {
    let rule = "rules: [{name: ask, match: {detector: boom}, action: {kind: custom_command, command: [sh, -c, 'pwd > where; echo $N > n; echo pause'], env: {N: 5}, cwd: sub}}]";
    let job = Job::sh("[ $LIFE = 2 ] && exit 0; echo boom; until_there never").boom().with(rule);
    let env = TestEnv::new();
    env.write("sub/here", "");
    let site = job.make_in(env);
    let monitor = site.start();
    let state = site.until_phase("paused");
    assert_eq!(state["child"]["alive"], false);
    assert_eq!(site.env.normalise(&site.env.read("sub/where")), "[PROJECT]/sub\n");
    assert_eq!(site.env.read("sub/n"), "5\n");
    site.ask(&["resume"]);
    let _ = monitor.wait().expect_code(0);
}

#[test]
fn notify_and_ignore_leave_the_child_alone() {
    for action in ["notify", "ignore"] {
        let rule = format!("rules: [{{name: tell, match: {{detector: boom}}, action: {action}}}]");
        let job = Job::sh("echo boom; until_there done")
            .boom()
            .healing("settle_seconds: 0, verify_window_seconds: 0.2")
            .with(&rule);
        let site = job.make();
        let monitor = site.start();
        site.until("a verdict", |_| !site.verdicts().is_empty());
        assert_eq!(site.verdicts(), [format!("1 {action} by rule tell: kept")]);
        site.touch("done");
        let _ = monitor.wait().expect_code(0);
        assert_eq!(site.lives().len(), 1);

        let site = Job::sh("[ $LIFE = 2 ] && exit 0; echo boom; exit 1").boom().with(&rule).make();
        let outcome = site.run().expect_code(0);
        assert_eq!(site.lives().len(), 2, "the lifecycle decides: {outcome:?}");
        assert_eq!(
            site.verdicts(),
            [format!("1 {action} by rule tell: unverified"), "2 restart by policy: kept".to_owned()],
            "{outcome:?}"
        );
    }
}

#[test]
fn the_first_match_wins() {
    let rules = "rules:
- {name: other, match: {detector: exit_code, exit_code: 9}, action: pause}
- {name: first, match: {message_regex: 'boom'}, action: abort}
- {name: second, match: {detector: boom}, action: restart}";
    let site = Job::sh("echo boom; exit 1").boom().with(rules).make();
    let outcome = site.run().expect_code(82);
    assert!(outcome.stderr.contains("rule first"), "{outcome:?}");
    let incident = site.incident();
    assert!(site.file(&incident, "rule_match.json").contains("\"first\""));
    assert!(site.file(&incident, "fix/action.json").contains("abort"));
}

const TRACE: &str = "cat <<'END'
Traceback (most recent call last):
  File \"train.py\", line 3, in <module>
    load()
  File \"train.py\", line 2, in load
    raise net.ConfigError('bad port')
net.ConfigError: bad port
END
exit 4";

#[test]
fn every_key_of_match_is_looked_at() {
    let rows = [
        ("{}", TRACE, true),
        ("{detector: traceback}", TRACE, true),
        ("{detector: out_of_memory}", TRACE, false),
        ("{kind: traceback}", TRACE, true),
        ("{kind: stall}", TRACE, false),
        ("{message_regex: 'bad p.rt$'}", TRACE, true),
        ("{message_regex: '^good'}", TRACE, false),
        ("{language: python}", TRACE, true),
        ("{language: go}", TRACE, false),
        ("{exception: net.ConfigError}", TRACE, true),
        ("{exception: ConfigError}", TRACE, true),
        ("{exception: Config}", TRACE, false),
        ("{exit_code: 4}", TRACE, true),
        ("{exit_code: 5}", TRACE, false),
        ("{signal: SEGV}", "kill -SEGV $$", true),
        ("{signal: SIGSEGV, kind: exit_code}", "kill -SEGV $$", true),
        ("{signal: KILL}", "kill -SEGV $$", false),
        ("{exit_code: 139}", "kill -SEGV $$", true),
        ("{category: permission}", "exit 126", true),
        ("{category: timeout}", "exit 126", false),
        ("{count: 2, within_seconds: 60}", TRACE, false),
        ("{language: python, exit_code: 5}", TRACE, false),
    ];
    for (when, script, matches) in rows {
        let rule = format!("rules: [{{match: {when}, action: abort}}]");
        let site = Job::sh(script).once().healing("settle_seconds: 0.2").with(&rule).make();
        let outcome = site.run();
        assert_eq!(outcome.code() == 82, matches, "{when}: {outcome:?}");
        assert_eq!(site.incidents().len(), 1, "{when}: {outcome:?}");
    }
}

#[test]
fn a_rule_may_wait_for_a_failure_to_come_back() {
    let rules = "rules:
- {name: third, match: {detector: boom, count: 3, within_seconds: 600}, action: abort}
- {name: again, match: {detector: boom}, action: restart}";
    let site = Job::sh("echo boom; exit 1").boom().with(rules).make();
    let outcome = site.run().expect_code(82);
    assert_eq!(site.lives().len(), 3, "{outcome:?}");
}

#[test]
fn secret_variables_are_shown_nowhere() {
    let site = Job::sh("until_there \"go$LIFE\"; [ $LIFE = 2 ] && echo \"$DB_PASSWORD\" > got; echo boom; exit 1")
        .boom()
        .command("[sh, job.sh, --password, hunter-argument]")
        .policy("max_restarts: 1")
        .with("rules: [{name: change, match: {detector: boom}, action: {kind: restart_with_env, set: {DB_PASSWORD: hunter-literal}}}]")
        .process("env: {DB_PASSWORD: hunter-before}")
        .make();
    site.touch("go1");
    site.touch("go2");
    let outcome = site.run();
    assert_eq!(site.env.read("got").trim(), "hunter-literal", "{outcome:?}");
    let mut shown = vec![("stderr".to_owned(), outcome.stderr.clone()), ("sentry.log".to_owned(), site.said())];
    shown.push(("state.json".to_owned(), site.env.read(".sentry/state.json")));
    for incident in site.incidents() {
        for name in ["report.md", "state.json", "incident.json", "report.json", "log_excerpt.txt"] {
            shown.push((name.to_owned(), site.file(&incident, name)));
        }
    }
    for (name, text) in shown {
        assert!(!text.contains("hunter-"), "{name}: {text}");
    }
}

#[test]
fn a_command_of_a_rule_does_not_outlive_its_attempt() {
    let command = "[sh, -c, '[ -e helper ] && exit 0; setsid sleep 600 & touch helper; exec sleep 600']";
    let rule =
        format!("{{name: help, match: {{detector: boom}}, action: {{kind: custom_command, command: {command}}}}}");
    let site = Job::sh("[ $LIFE = 2 ] && exit 0; echo boom; exit 1").boom().with(&format!("rules: [{rule}]")).make();
    let monitor = site.start();
    site.until_there("helper");
    drop(monitor); // SIGKILL
    assert!(!site.env.processes().is_empty());
    // Which requires that nothing is alive afterwards.
    let outcome = site.run().expect_code(0);
    assert!(outcome.stderr.contains("of a rule's command"), "{outcome:?}");
}
