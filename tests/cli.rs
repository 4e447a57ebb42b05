//! The command line from outside: what goes to which stream, and with which code it ends.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests write files and stop at the first surprise")]

mod common;

use std::collections::HashSet;
use std::path::Path;

use common::{SOON, TestEnv, poll_until};
use rustix::process::Signal;
use sentry::cli::ExitCode;
use sentry::ids::IncidentId;
use sentry::monitor::command::{ControlAnswer, ControlCommand};
use sentry::os::identity;
use sentry::os::lock::DirLock;
use sentry::paths::Layout;
use sentry::store::{STORE_VERSION, control, make_tree, short_id};

const TRACE: &str = "\
step 1
Traceback (most recent call last):
  File \"/srv/app/train.py\", line 3, in <module>
    load()
  File \"/srv/app/train.py\", line 2, in load
    return settings['port']
KeyError: 'port'
done
";

fn store(env: &TestEnv) -> Layout {
    let layout = Layout::new(env.project());
    make_tree(&layout).unwrap();
    std::fs::write(layout.store_version(), format!("{STORE_VERSION}\n")).unwrap();
    layout
}

#[test]
fn version_and_help_are_data() {
    let env = TestEnv::new();
    let version = env.run(&["--version"]).expect_quiet_success();
    assert_eq!(version, format!("sentry {}\n", env!("CARGO_PKG_VERSION")));
    assert!(env.run(&["--help"]).expect_quiet_success().contains("Usage: sentry"));
    assert!(!env.run(&["--help"]).expect_quiet_success().contains('\u{1b}'));
    assert!(env.run(&["--color=always", "--help"]).expect_quiet_success().contains('\u{1b}'));
}

#[test]
fn wrong_command_lines_end_with_2_and_say_so_on_stderr() {
    let env = TestEnv::new();
    let table: [(&str, &[&str]); 8] = [
        ("no command", &[]),
        ("unknown command", &["statsu"]),
        ("unknown option", &["status", "--frobnicate"]),
        ("missing id", &["incidents", "show"]),
        ("bad time", &["incidents", "list", "--since", "yesterday"]),
        ("bad number", &["incidents", "list", "--limit", "-3"]),
        ("both forms", &["incidents", "show", "x", "--json", "--raw"]),
        ("no such shell", &["completions", "tcsh"]),
    ];
    for (name, args) in table {
        let outcome = env.run(args).expect_code(2);
        assert!(outcome.stdout.is_empty() && !outcome.stderr.is_empty(), "{name}: {outcome:?}");
    }
}

#[test]
fn an_empty_directory_has_nothing_to_act_on() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.run(&["status"]).page(), @r"
    exit: 4
    --- stderr
    error: nothing here: neither `sentry.yaml` nor `.sentry/` in `[PROJECT]` or above
      help: `sentry init` writes a configuration, `sentry run -- COMMAND` works without one
    ");
    for args in [&["incidents", "list"][..], &["analyze"], &["stop"], &["reload", "--json"], &["approve", "x"]] {
        let outcome = env.run(args).expect_code(4);
        assert!(outcome.stdout.is_empty() && outcome.stderr.contains("help: "), "{outcome:?}");
    }
}

#[test]
fn a_tree_in_which_nothing_ran_yet() {
    let env = TestEnv::new();
    store(&env);
    env.write("deep/below/here.txt", "");
    insta::assert_snapshot!(env.sentry(&["status"]).within("deep/below").run().page(), @r"
    exit: 4
    --- stderr
    error: nothing was ever run in `[PROJECT]`
      help: `sentry init` writes a configuration, `sentry run -- COMMAND` works without one
    ");
    insta::assert_snapshot!(env.run(&["incidents", "list"]).page(), @r"
    exit: 0
    --- stderr
    no incidents
    ");
    insta::assert_snapshot!(env.run(&["-q", "incidents", "list"]).page(), @"exit: 0");
    insta::assert_snapshot!(env.run(&["incidents", "show", "3f9a"]).page(), @r"
    exit: 4
    --- stderr
    error: no incident begins with `3f9a`
      help: `sentry incidents list` shows the ids
    ");
    insta::assert_snapshot!(env.run(&["analyze"]).page(), @r"
    exit: 0
    --- stdout
    no attempts
    ");
}

#[test]
fn scan_finds_a_trace_and_answers_with_1() {
    let env = TestEnv::new();
    env.write("train.log", TRACE);
    insta::assert_snapshot!(env.run(&["-q", "scan", "train.log"]).page(), @r#"
    exit: 1
    --- stdout
    train.log:2-7  error  traceback  KeyError: 'port'
        Python, 2 frames
          /srv/app/train.py:3 in <module>
        > /srv/app/train.py:2 in load
        | Traceback (most recent call last):
        |   File "/srv/app/train.py", line 3, in <module>
        |     load()
        |   File "/srv/app/train.py", line 2, in load
        |     return settings['port']
        | KeyError: 'port'
    "#);
    let json = env.sentry(&["scan", "-", "--json"]).input(TRACE).run().expect_code(1);
    let detection: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&detection["start_line"], &detection["end_line"]), (&2.into(), &7.into()));
    assert_eq!((&detection["exception"], &detection["message"]), (&"KeyError".into(), &"'port'".into()));
    assert_eq!(detection["frames"][1]["function"], "load");
    env.write("quiet.log", "all is well\n");
    assert_eq!(env.run(&["-q", "scan", "quiet.log"]).expect_quiet_success(), "");
    insta::assert_snapshot!(env.run(&["scan", "absent.log"]).page(), @r"
    exit: 4
    --- stderr
    error: cannot open `absent.log`: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(env.run(&["scan", "train.log", "--detectors", "trace"]).page(), @r"
    exit: 2
    --- stderr
    error: unknown detector `trace`
      help: known are: catalogue, out_of_memory, traceback, exit_code, and the classes of `sentry catalogue`
    ");
}

#[test]
fn a_broken_configuration_ends_with_3() {
    let env = TestEnv::new();
    env.write("sentry.yaml", "process:\n  command: [true]\n  comand: x\n");
    let outcome = env.run(&["scan", "train.log"]).expect_code(3);
    assert!(outcome.stderr.contains("comand") && outcome.stderr.contains("sentry.yaml:3:3"), "{outcome:?}");
    let doctor = env.run(&["doctor"]).expect_code(1);
    assert!(doctor.stdout.contains("failed   configuration"), "{doctor:?}");
}

#[test]
fn a_command_reaches_whoever_holds_the_lock() {
    let env = TestEnv::new();
    let layout = store(&env);
    let lock = DirLock::acquire(&layout.lock()).unwrap();
    let asking = env.sentry(&["pause"]).start();
    let taken = poll_until(SOON, "the command", || {
        let mut taken = control::take(&layout).unwrap().taken;
        taken.pop().ok_or("nothing in the queue")
    });
    assert_eq!(taken.command, Ok(ControlCommand::Pause));
    let answer = ControlAnswer { ok: false, message: "already paused".to_owned() };
    control::answer(&layout, &taken.id, &answer).unwrap();
    insta::assert_snapshot!(asking.wait().page(), @r"
    exit: 1
    --- stderr
    error: already paused
    ");
    std::fs::write(layout.index(), "no row\n").unwrap();
    let _ = env.run(&["set", "max_restarts", "20", "--no-wait", "-q"]).expect_quiet_success();
    let doctor = env.run(&["doctor", "--fix"]).expect_code(5);
    assert!(doctor.stderr.contains("held by process"), "{doctor:?}");
    insta::assert_snapshot!(env.run(&["-q", "status"]).expect_code(0).stdout.replace(&std::process::id().to_string(), "[PID]"), @"starting: a monitor (pid [PID]) owns the directory and has shown nothing yet");
    drop(lock);
    insta::assert_snapshot!(env.run(&["pause"]).page(), @r"
    exit: 4
    --- stderr
    error: no monitor is running, and nothing was ever run here
      help: `sentry init` writes a configuration, `sentry run -- COMMAND` works without one
    ");
}

#[test]
fn a_child_without_a_monitor_is_named() {
    let env = TestEnv::new();
    let layout = store(&env);
    let sleeper = env.program("sleep", &["600"]).start();
    let process = identity::of(u32::try_from(sleeper.pid()).unwrap()).unwrap();
    let process = serde_json::to_string(&process).unwrap();
    let dead = process.replace(&format!("\"pid\":{}", sleeper.pid()), "\"pid\":999999999");
    let state = format!(
        r#"{{"schema":1,"version":"0.1.0","updated":1,"monitor":{dead},"monitor_started":1,"run":"r","run_started":1,
        "phase":"up","waiting_for":"","command":["sleep","600"],"child":{{"no":1,"process":{process},"started":1,
        "alive":true}},"restarts":{{"unverified":0,"max":10,"total":0,"in_window":0,"max_in_window":0,"identical":0,
        "max_identical":5}},"env_overlay":{{}},"detectors":{{}},"streams":{{}},"incidents":[],"incidents_total":0,
        "pending":[],"watched_ms":0,"warnings":[]}}"#
    );
    std::fs::write(layout.state_json(), state).unwrap();
    let json = env.run(&["status", "--json"]).expect_quiet_success();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["situation"], &json["supervised"]), (&"unwatched".into(), &false.into()));
    let outcome = env.run(&["pause"]).expect_code(4);
    assert!(outcome.stderr.contains("alive without one") && outcome.stderr.contains("sentry run"), "{outcome:?}");
    sleeper.signal(Signal::KILL);
    let _ = sleeper.wait();
    let json = env.run(&["status", "--json"]).expect_quiet_success();
    assert!(json.contains("\"interrupted\""), "{json}");
}

#[test]
fn incidents_are_found_by_any_beginning() {
    let env = TestEnv::new();
    let layout = store(&env);
    let ids =
        ["2026-11-21T12-34-56Z-error-oom", "2026-11-21T12-34-56Z-error-oom-2", "2026-11-20T01-02-03Z-anomaly-stall"];
    let mut index = String::new();
    for (id, millis) in ids.iter().zip([1_795_262_096_790_i64, 1_795_262_096_789, 1_795_130_000_000]).rev() {
        env.write(format!(".sentry/incidents/{id}/report.md"), format!("# {id}\n"));
        let short = short_id(&IncidentId::new(*id));
        let kind = if id.contains("anomaly") { "anomaly" } else { "error" };
        let name = if id.contains("oom") { "oom" } else { "stall" };
        index.push_str(&format!(
            r#"{{"schema":1,"short":"{short}","id":"{id}","utc":{millis},"run":"r","child":1,"kind":"{kind}","detector":"{name}","detector_kind":"pattern","severity":"error","category":"unknown","fingerprint":"v1:0","message":"out of memory","rule":null,"action":null}}"#
        ));
        index.push('\n');
    }
    std::fs::write(layout.index(), index).unwrap();
    insta::assert_snapshot!(env.run(&["incidents", "list"]).page().replace('\t', " | "), @r"
    exit: 0
    --- stdout
    2026-11-21T12-34-56Z-error-oom | 2026-11-21T11:54:56.790Z | error | error | oom | - | out of memory
    2026-11-21T12-34-56Z-error-oom-2 | 2026-11-21T11:54:56.789Z | error | error | oom | - | out of memory
    2026-11-20T01-02-03Z-anomaly-stall | 2026-11-19T23:13:20.000Z | anomaly | error | stall | - | out of memory
    ");
    insta::assert_snapshot!(env.run(&["incidents", "list", "--kind", "anomaly"]).page().replace('\t', " | "), @r"
    exit: 0
    --- stdout
    2026-11-20T01-02-03Z-anomaly-stall | 2026-11-19T23:13:20.000Z | anomaly | error | stall | - | out of memory
    ");
    insta::assert_snapshot!(env.run(&["incidents", "list", "-n", "1", "--severity", "error"]).page().replace('\t', " | "), @r"
    exit: 0
    --- stdout
    2026-11-21T12-34-56Z-error-oom | 2026-11-21T11:54:56.790Z | error | error | oom | - | out of memory
    ");
    let json = env.run(&["incidents", "list", "--since", "2026-11-21", "--json"]).expect_quiet_success();
    assert_eq!(json.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count(), 2);
    insta::assert_snapshot!(env.run(&["incidents", "show", "2026-11-21"]).page(), @r"
    exit: 1
    --- stderr
    error: `2026-11-21` is the beginning of 2 incidents
      help: one of these:
            2026-11-21T12-34-56Z-error-oom-2
            2026-11-21T12-34-56Z-error-oom
    ");
    let short = short_id(&IncidentId::new(ids[2]));
    for id in [ids[2], "2026-11-20", &short] {
        let report = env.run(&["incidents", "show", id]).expect_quiet_success();
        assert_eq!(report, format!("# {}\n", ids[2]), "{id}");
    }
    let report = env.run(&["incidents", "show", "latest", "--raw"]).expect_quiet_success();
    assert_eq!(report, format!("# {}\n", ids[0]));
    insta::assert_snapshot!(env.run(&["incidents", "path", ids[0], "report.md"]).page(), @r"
    exit: 0
    --- stdout
    [PROJECT]/.sentry/incidents/2026-11-21T12-34-56Z-error-oom/report.md
    ");
    insta::assert_snapshot!(env.run(&["incidents", "path", ids[0], "../index.jsonl"]).page(), @r"
    exit: 2
    --- stderr
    error: `../index.jsonl` is no name inside the incident's folder
    ");
    insta::assert_snapshot!(env.run(&["incidents", "path", ids[0], "trace.txt"]).page(), @r"
    exit: 4
    --- stderr
    error: cannot find `[PROJECT]/.sentry/incidents/2026-11-21T12-34-56Z-error-oom/trace.txt`: No such file or directory (os error 2)
      help: `ls [PROJECT]/.sentry/incidents/2026-11-21T12-34-56Z-error-oom` shows what is there
    ");
}

#[test]
fn a_newer_store_is_not_touched() {
    let env = TestEnv::new();
    let layout = store(&env);
    std::fs::write(layout.store_version(), "999\n").unwrap();
    let doctor = env.run(&["doctor", "--fix"]).expect_code(1);
    assert!(doctor.stdout.contains("newer version"), "{doctor:?}");
    assert_eq!(env.read(".sentry/version"), "999\n");
    std::fs::write(layout.state_json(), r#"{"schema":999}"#).unwrap();
    let status = env.run(&["status"]).expect_code(6);
    assert!(status.stderr.contains("update `sentry`"), "{status:?}");
}

#[test]
fn doctor_mends_a_store() {
    let env = TestEnv::new();
    let layout = store(&env);
    std::fs::write(layout.index(), "no row\n").unwrap();
    let _ = env.run(&["doctor"]).expect_code(1);
    let fixed = env.run(&["doctor", "--fix"]).expect_code(0);
    assert!(fixed.stdout.contains("fixed"), "{fixed:?}");
    let json = env.run(&["doctor", "--json"]).expect_quiet_success();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["healthy"], true);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let env = TestEnv::new();
    for args in [&["completions", "bash"][..], &["--help"], &["man"]] {
        let outcome = env.sentry(args).without_reader().run().expect_code(0);
        assert!(outcome.stderr.is_empty(), "{outcome:?}");
    }
}

#[test]
fn completions_and_pages_know_every_command() {
    let env = TestEnv::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = env.run(&["completions", shell]).expect_quiet_success();
        assert!(script.contains("incidents") && !script.contains("--stop-signal"), "{shell}");
    }
    assert!(env.run(&["man"]).expect_quiet_success().starts_with(".ie"));
    let _ = env.run(&["-q", "man", "pages"]).expect_quiet_success();
    assert!(env.read("pages/sentry-incidents-list.1").contains("severity"));
    assert!(!env.path("pages/sentry-shim.1").exists());
}

#[test]
fn every_exit_code_has_a_number_and_a_line_of_its_own() {
    let page = ExitCode::reference();
    let mut numbers = HashSet::new();
    for code in ExitCode::NAMED {
        assert!(numbers.insert(code.number()), "{code:?} shares its number");
        assert!(page.contains(&format!("| {} | {} |", code.number(), code.meaning())), "{code:?}");
    }
    assert_eq!(ExitCode::Child(139).number(), 139);
}

/// `SENTRY_BLESS=1 cargo test --test cli` writes the pages.
#[test]
fn reference_pages_are_up_to_date() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (name, page) in [("exit-codes.md", ExitCode::reference()), ("cli.md", sentry::cli::reference())] {
        let path = docs.join(name);
        if std::env::var_os("SENTRY_BLESS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == page, "docs/{name} is out of date: SENTRY_BLESS=1 cargo test --test cli");
    }
}

#[test]
fn a_run_without_a_configuration_is_taken_over_without_naming_its_command() {
    let env = TestEnv::new();
    let first = env.sentry(&["run", "--", "tail", "-f", "/dev/null"]).start();
    let situation = |wanted: &'static str| {
        poll_until(SOON, wanted, || {
            let page = env.run(&["status", "--json"]).page();
            if page.contains(&format!("\"situation\":\"{wanted}\"")) { Ok(()) } else { Err(page) }
        });
    };
    situation("supervised");
    first.signal(Signal::KILL);
    drop(first.wait());
    situation("unwatched");

    let second = env.sentry(&["run"]).start();
    situation("supervised");
    drop(env.run(&["stop"]).expect_code(0));
    let told = second.wait().expect_code(82).page();
    assert!(told.contains("child 1 is adopted"), "{told}");

    // A finished run is not begun anew by guessing.
    let refused = env.run(&["run"]).expect_code(4).page();
    assert!(refused.contains("there is no `sentry.yaml` here or above"), "{refused}");
}

#[test]
fn a_command_with_a_secret_has_to_be_given_again() {
    let env = TestEnv::new();
    let command = ["run", "--", "tail", "-f", "/dev/null", "/token=ghp_0123456789abcdefghijABCDEFGHIJ012345"];
    let first = env.sentry(&command).start();
    poll_until(SOON, "a picture", || {
        let page = env.run(&["status", "--json"]).page();
        if page.contains("\"situation\":\"supervised\"") { Ok(()) } else { Err(page) }
    });
    first.signal(Signal::KILL);
    drop(first.wait());
    let refused = env.run(&["run"]).expect_code(2).page();
    assert!(refused.contains("give the same command again"), "{refused}");
    drop(env.run(&["stop"]).expect_code(0));
}
