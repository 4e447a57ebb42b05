//! Monitors come and go, and the child does not notice; what a person asks is done.

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{SOON, TestEnv, poll_until, signal};
use crate::site::{Job, Site};

fn is_alive(site: &Site, pid: i32) -> bool {
    site.env.processes().contains(&pid)
}

#[test]
fn a_killed_monitor_leaves_the_child_and_the_next_one_adopts_it() {
    for (name, noise) in [("silent", "sleep 0.05"), ("printing", "echo line; sleep 0.01")] {
        let script = format!("while [ ! -e go ]; do {noise}; done; echo boom; until_there done; exit 7");
        let site = Job::sh(&script).boom().once().make();
        let monitor = site.start();
        let pid = site.until_child(1);
        drop(monitor); // SIGKILL
        assert!(is_alive(&site, pid), "{name}");
        let status = site.ask(&["status"]);
        assert!(status.contains("running without a monitor") && status.contains("sentry run"), "{name}: {status}");
        let monitor = site.start();
        site.until("the adoption", |state| state["monitor"]["pid"] == monitor.pid() && state["child"]["alive"] == true);
        site.touch("go");
        site.until("the incident", |state| state["incidents_total"] == 1);
        site.touch("done");
        let outcome = monitor.wait().expect_code(7);
        assert!(outcome.stderr.contains("adopted"), "{name}: {outcome:?}");
        assert_eq!(site.lives(), [pid], "{name}: {outcome:?}");
        let incident = site.incident();
        assert_eq!(incident["exit"]["ending"]["code"], 7, "{name}: {incident:#}");
        site.assert_all_gone();
    }
}

#[test]
fn an_end_that_nobody_watched_is_known_and_is_one_incident() {
    let site = Job::sh("until_there go; echo boom; exit 9").boom().once().make();
    let monitor = site.start();
    let pid = site.until_child(1);
    drop(monitor); // SIGKILL
    site.touch("go");
    poll_until(SOON, "the end of the child", || if is_alive(&site, pid) { Err("alive") } else { Ok(()) });
    site.assert_all_gone();
    let outcome = site.run().expect_code(9);
    let incident = site.incident();
    assert_eq!(
        (&incident["root"]["detector"], &incident["exit"]["ending"]["code"]),
        (&"boom".into(), &9.into()),
        "{outcome:?}"
    );
    assert_eq!(site.lives(), [pid], "{outcome:?}");
}

#[test]
fn sigterm_detaches_unless_told_otherwise() {
    let site = Job::sh("until_there done; exit 0").make();
    let monitor = site.start();
    let pid = site.until_child(1);
    monitor.signal(Signal::TERM);
    let outcome = monitor.wait().expect_code(0);
    assert!(outcome.stderr.contains("keeps running") && is_alive(&site, pid), "{outcome:?}");
    assert_eq!(site.state()["phase"], "detached");
    site.touch("done");
    let _ = site.run().expect_code(0);
    assert_eq!(site.lives(), [pid]);

    let site = Job::sh("until_there done").with("monitor: {on_terminate: stop}").make();
    let monitor = site.start();
    site.until_child(1);
    monitor.signal(Signal::TERM);
    let _ = monitor.wait().expect_code(82);
    site.assert_all_gone();
}

#[test]
fn a_second_sigint_does_not_wait_for_the_grace() {
    let site = Job::sh("trap '' TERM; touch ready; until_there never").process("stop_grace_seconds: 300").make();
    let monitor = site.start();
    site.until_there("ready");
    site.until_child(1);
    monitor.signal(Signal::INT);
    site.until_phase("stopping");
    monitor.signal(Signal::INT);
    let outcome = monitor.wait().expect_code(82);
    assert!(outcome.stderr.contains("at once"), "{outcome:?}");
    site.assert_all_gone();
}

#[test]
fn a_configuration_is_read_again_and_a_bad_one_is_not() {
    let site = Job::sh("until_there go; echo bang; until_there done; exit 0").boom().make();
    let monitor = site.start();
    let pid = site.until_child(1);
    let good = site.env.read("sentry.yaml");
    site.env.write("sentry.yaml", good.replace("regex: boom", "regex: '('"));
    let refused = site.env.run(&["reload"]).expect_code(1);
    assert!(refused.stderr.contains("old configuration stays"), "{refused:?}");
    let warned = site.until("a warning", |state| !state["warnings"].as_array().unwrap().is_empty());
    assert!(warned["warnings"][0].as_str().unwrap().contains("configuration"), "{warned:#}");
    site.env.write("sentry.yaml", good.replace("regex: boom", "regex: bang"));
    monitor.signal(Signal::HUP);
    site.until("no warning", |state| state["warnings"].as_array().unwrap().is_empty());
    let answer: Value = serde_json::from_str(&site.ask(&["reload", "--json"])).unwrap();
    assert_eq!(answer["ok"], true, "{answer}");
    site.touch("go");
    site.until("an incident of the new detector", |state| state["incidents_total"] == 1);
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
    assert_eq!(site.lives(), [pid]);
}

#[test]
fn a_person_asks_and_is_answered() {
    let site = Job::sh("until_there done; exit 0").make();
    let monitor = site.start();
    let first = site.until_child(1);
    let ask = |args: &[&str]| -> Value {
        serde_json::from_str(&site.env.run(&[args, &["--json"]].concat()).expect_quiet_success()).unwrap()
    };
    assert_eq!(ask(&["status"])["situation"], "supervised");
    assert_eq!(ask(&["pause"])["ok"], true);
    site.until_phase("paused");
    assert_eq!(ask(&["status"])["situation"], "nothing_supervised");
    let twice = site.env.run(&["pause", "--json"]).expect_code(1);
    assert!(twice.stdout.contains("already paused"), "{twice:?}");
    assert_eq!(ask(&["resume"])["ok"], true);
    let second = site.until_child(2);
    assert_eq!(ask(&["restart"])["ok"], true);
    let third = site.until_child(3);
    assert_eq!(site.lives(), [first, second, third]);
    assert_eq!(ask(&["set", "max_restarts", "99"])["ok"], true);
    site.until("the limit", |state| state["restarts"]["max"] == 99);
    let _ = site.env.run(&["set", "colour", "red"]).expect_code(1);
    assert_eq!(ask(&["reset"])["ok"], true);
    assert_eq!(ask(&["detach"])["ok"], true);
    let _ = monitor.wait().expect_code(0);
    assert_eq!(ask(&["status"])["situation"], "unwatched");
    let _ = site.env.run(&["pause"]).expect_code(4);
    // Without a monitor, a stop still stops.
    let _ = site.env.run(&["stop"]).expect_code(0);
    site.assert_all_gone();
    assert_eq!(site.state()["exit_code"], 82);
    assert_eq!(ask(&["status"])["situation"], "over");
    assert!(site.incidents().is_empty());
}

#[test]
fn a_held_run_is_no_interrupted_one() {
    let site = Job::sh("").command("[./absent]").make();
    let _ = site.run().expect_code(81);
    let status = site.ask(&["status"]);
    assert!(status.contains("held") && !status.contains("interrupted"), "{status}");
}

#[test]
fn a_stop_leaves_nothing_alive() {
    let rows = [
        ("ignores SIGTERM", "trap '' TERM; touch ready; until_there never"),
        ("a session of its own", "setsid sh -c 'touch ready; while :; do sleep 60; done' & until_there never"),
        (
            "a session that ignores SIGTERM",
            "setsid sh -c 'trap \"\" TERM; touch ready; while :; do sleep 60; done' & until_there never",
        ),
        ("closes its output", "exec >&- 2>&-; touch ready; until_there never"),
    ];
    for (name, script) in rows {
        let site = Job::sh(script).process("stop_grace_seconds: 0.3").make();
        let monitor = site.start();
        site.until_there("ready");
        site.until_child(1);
        site.ask(&["stop"]);
        let outcome = monitor.wait().expect_code(82);
        site.assert_all_gone();
        assert!(site.incidents().is_empty(), "{name}: {outcome:?}");
    }
}

#[test]
fn what_a_child_leaves_behind_is_ended_with_it() {
    let site =
        Job::sh("setsid sleep 600 & exit 3").once().process("lifecycle: one_shot, stop_grace_seconds: 0.3").make();
    let outcome = site.run().expect_code(3);
    let incident = site.incident();
    assert_eq!(incident["exit"]["ending"]["code"], 3, "{outcome:?}");
}

#[test]
fn a_terminal_for_programs_that_want_one() {
    for (pty, said) in [("true", "terminal"), ("false", "no terminal")] {
        let script = "if [ -t 1 ]; then echo terminal; else echo no terminal; fi; echo boom; exit 2";
        let site = Job::sh(script).boom().process(&format!("lifecycle: one_shot, pty: {pty}")).make();
        let outcome = site.run().expect_code(2);
        assert_eq!(site.env.read(".sentry/logs/process.log").lines().next().unwrap().trim(), said, "{outcome:?}");
        assert_eq!(site.incident()["message"], "boom");
    }
}

#[test]
fn nohup_and_a_closed_input_are_no_trouble() {
    let site = Job::sh("if read line; then exit 1; fi; exit 0").make();
    let sentry = env!("CARGO_BIN_EXE_sentry");
    let _ = site.env.program("nohup", &[sentry, "run"]).run().expect_code(0);
    let _ = site.env.program("sh", &["-c", &format!("exec {sentry} run <&-")]).run().expect_code(0);
    site.assert_all_gone();
}

#[test]
fn a_stopped_monitor_does_not_stop_the_child() {
    let site = Job::sh("until_there go; echo boom; touch printed; until_there done; exit 0").boom().make();
    let monitor = site.start();
    site.until_child(1);
    monitor.signal(Signal::STOP);
    site.touch("go");
    site.until_there("printed");
    monitor.signal(Signal::CONT);
    site.until("the incident", |state| state["incidents_total"] == 1);
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
}

#[test]
fn where_nothing_can_be_written_nothing_is_started() {
    let env = TestEnv::new();
    env.write(".sentry", "a file in the way");
    let outcome = env.run(&["run", "--", "touch", "started"]).expect_code(74);
    assert!(outcome.stderr.contains(".sentry"), "{outcome:?}");
    assert!(!env.path("started").exists());
}

#[test]
fn a_monitor_killed_while_it_stops_the_child_is_finished_by_the_next() {
    let site = Job::sh("trap '' TERM; touch ready; until_there never").process("stop_grace_seconds: 1").make();
    let monitor = site.start();
    site.until_there("ready");
    site.until_child(1);
    site.ask(&["stop"]);
    site.until_phase("stopping");
    signal(monitor.pid(), Signal::KILL).unwrap();
    drop(monitor);
    let outcome = site.run().expect_code(82);
    assert_eq!(site.lives().len(), 1, "{outcome:?}");
}

#[test]
fn a_full_disk_is_said_and_does_not_hurt_the_child() {
    let env = TestEnv::new();
    std::fs::create_dir(env.path(".sentry")).unwrap();
    let place = env.path(".sentry").to_str().unwrap().to_owned();
    let mount = env.program("mount", &["-t", "tmpfs", "-o", "size=128k", "none", &place]).run();
    if mount.code() != 0 {
        eprintln!("skipped: a small file system cannot be mounted here: {mount:?}");
        return;
    }
    let site = Job::sh("until_there go; head -c 1000000 /dev/zero; touch filled; until_there done; exit 0")
        .with("monitor: {poll_interval_seconds: 0.2}")
        .make_in(env);
    site.env.write(".sentry/ballast", [0; 32 * 1024]);
    let monitor = site.start();
    site.until_child(1);
    site.touch("go");
    site.until_there("filled");
    poll_until(SOON, "a complaint", || {
        let said = monitor.stderr();
        if said.contains("No space left on device") { Ok(()) } else { Err(said) }
    });
    site.touch("done");
    // How it ended can be written once there is room again.
    std::fs::remove_file(site.env.path(".sentry/ballast")).unwrap();
    let outcome = monitor.wait();
    let unmounted = site.env.program("umount", &["-l", &place]).run();
    assert_eq!((outcome.code(), unmounted.code()), (0, 0), "{outcome:?} {unmounted:?}");
    assert_eq!(site.lives().len(), 1, "{outcome:?}");
}

#[test]
fn a_monitor_whose_directory_is_taken_away_leaves_the_child_alone() {
    let site = Job::sh("until_there done").make();
    let monitor = site.start();
    let pid = site.until_child(1);
    std::fs::remove_dir_all(site.env.path(".sentry")).unwrap();
    let outcome = monitor.wait().expect_code(74);
    assert!(outcome.stderr.contains(&format!("`kill {pid}` ends it")), "{outcome:?}");
    assert!(is_alive(&site, pid), "{outcome:?}");
    assert!(!site.env.path(".sentry").exists(), "{}", site.env.tree());
    site.touch("done");
    site.assert_all_gone();
}

#[test]
fn a_journal_that_is_taken_away_is_written_again() {
    let site = Job::sh("until_there go; echo boom; until_there done; exit 0").boom().make();
    let monitor = site.start();
    let pid = site.until_child(1);
    std::fs::remove_file(site.env.path(".sentry/journal.jsonl")).unwrap();
    site.touch("go");
    site.until("the incident", |state| state["incidents_total"] == 1);
    drop(monitor); // SIGKILL
    let monitor = site.start();
    site.until("the adoption", |state| state["monitor"]["pid"] == monitor.pid() && state["child"]["alive"] == true);
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
    assert_eq!(site.lives(), [pid]);
    assert_eq!(site.incidents().len(), 1);
}

#[test]
fn no_child_is_started_beside_one_that_nobody_remembers() {
    for (name, forget) in [
        ("the memory is lost", &["journal.jsonl"] as &[&str]),
        ("the picture is lost, too", &["journal.jsonl", "state.json"]),
    ] {
        let site = Job::sh("echo boom; until_there never").boom().process("stop_grace_seconds: 1").make();
        let monitor = site.start();
        let pid = site.until_child(1);
        site.until("the incident", |state| state["incidents_total"] == 1);
        drop(monitor); // SIGKILL
        for file in forget {
            std::fs::remove_file(site.env.path(format!(".sentry/{file}"))).unwrap();
        }
        let refused = site.env.run(&["run"]).expect_code(6);
        assert!(refused.stderr.contains(&format!("(pid {pid}) is still alive")), "{name}: {refused:?}");
        assert!(refused.stderr.contains("sentry stop"), "{name}: {refused:?}");
        assert_eq!(site.lives(), [pid], "{name}");
        let _ = site.env.run(&["stop"]).expect_code(0);
        site.assert_all_gone();
        assert_eq!((site.state()["exit_code"].as_u64(), site.incidents().len()), (Some(82), 1), "{name}");
        let monitor = site.start();
        site.until_child(1);
        assert_eq!(site.lives().len(), 2, "{name}: a new run is possible again");
        site.ask(&["stop"]);
        let _ = monitor.wait().expect_code(82);
    }
}

#[test]
fn a_log_that_was_cut_while_nobody_watched_is_read_from_its_start() {
    let site =
        Job::sh("echo one; printf 'two three four'; touch said; until_there go; echo boom; until_there done; exit 0")
            .boom()
            .with("monitor: {poll_interval_seconds: 0.1}")
            .make();
    let monitor = site.start();
    let pid = site.until_child(1);
    site.until_there("said");
    site.until("the line to be read", |state| state["streams"]["child-001"]["bytes"] == 4);
    drop(monitor); // SIGKILL
    let log = site.env.path(".sentry/logs/process.log");
    std::fs::OpenOptions::new().write(true).open(log).unwrap().set_len(2).unwrap();
    let monitor = site.start();
    site.until("the adoption", |state| state["monitor"]["pid"] == monitor.pid() && state["child"]["alive"] == true);
    site.touch("go");
    site.until("the incident", |state| state["incidents_total"] == 1);
    site.ask(&["stop"]);
    let _ = monitor.wait().expect_code(82);
    assert_eq!(site.lives(), [pid]);
}

#[test]
fn a_terminal_that_does_not_read_stops_nobody() {
    use std::io::Read;
    let site = Job::sh("n=0; while [ $n -lt 20000 ]; do echo 0123456789; n=$((n+1)); done; exit 0").make();
    let (mut unread, output) = std::io::pipe().unwrap();
    let mut monitor = std::process::Command::new(env!("CARGO_BIN_EXE_sentry"))
        .args(["run", "--follow"])
        .current_dir(site.env.path("."))
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    // 220 kB go into a pipe of 64 KiB (pipe(7)).
    let status = poll_until(SOON, "the end of the monitor", || monitor.try_wait().unwrap().ok_or("alive"));
    assert_eq!(status.code(), Some(0), "{}", site.said());
    let mut shown = String::new();
    unread.read_to_string(&mut shown).unwrap();
    assert!(shown.starts_with("sentry ") && shown.contains("0123456789"), "{shown:.200}");
}

#[test]
fn the_control_queue_survives_its_folder_and_a_crowd() {
    let site = Job::sh("until_there done; exit 0").make();
    let monitor = site.start();
    site.until_child(1);
    std::fs::remove_dir_all(site.env.path(".sentry/control")).unwrap();
    assert!(site.ask(&["set", "max_restarts", "7"]).contains('7'));
    // The last one is `detach`; what comes behind it is answered, too.
    signal(monitor.pid(), Signal::STOP).unwrap();
    let put = |name: &str, command: &str| site.env.write(format!(".sentry/control/new/{name}.json"), command);
    for n in 0..150 {
        put(&format!("a{n:03}"), r#"{"command":"set","key":"max_restarts","value":"8"}"#);
    }
    put("b", r#"{"command":"detach"}"#);
    put("c", r#"{"command":"pause"}"#);
    signal(monitor.pid(), Signal::CONT).unwrap();
    let outcome = monitor.wait().expect_code(0);
    let answered = std::fs::read_dir(site.env.path(".sentry/control/done")).unwrap().flatten();
    let answered = answered.filter(|file| file.file_name().to_string_lossy().contains("answer")).count();
    assert_eq!(answered, 153, "{outcome:?}\n{}", site.env.tree());
    site.touch("done");
    site.assert_all_gone();
}
