//! `process.kind: local`.

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sentry::config::StopSignal;
use sentry::detect::ending::{Ending, OutOfMemory};
use sentry::ids::ChildNo;
use sentry::monitor::status::ProcessIdentity;
use sentry::os::identity::Host;
use sentry::os::{identity, process, wait};
use sentry::paths::Layout;
use sentry::supervisor::local::Local;
use sentry::supervisor::record::{ChildRecord, living};
use sentry::supervisor::{Observed, StartError, StopHow, Supervisor};
use sentry::time::Utc;

use crate::conformance::{Act, Cmd, SCENARIOS, Scenario};
use crate::support::{PATIENCE, TestEnv, assert_no_zombies, kill_exactly, poll_until};

#[test]
fn conforms() {
    for scenario in SCENARIOS {
        conform(scenario);
    }
}

fn conform(scenario: &Scenario) {
    let name = scenario.name;
    let mut env = TestEnv::new();
    let mut spec = env.spec(1, "");
    match scenario.command {
        Cmd::Script(script) => spec = env.spec(1, script),
        Cmd::Argv(argv) => spec.command = argv.iter().map(|a| (*a).to_owned()).collect(),
        Cmd::NoDirectory => spec.cwd = env.path().join("not there"),
    }
    if let Act::Stop { signal, grace, .. } = scenario.act {
        (spec.stop_signal, spec.stop_grace) = (signal, grace);
    }
    let child = spec.child;
    env.local.start(&spec).unwrap();
    match scenario.act {
        Act::Nothing => {}
        Act::Stop { how, .. } => {
            env.until_log(child, "ready");
            env.local.stop(child, how).unwrap();
            env.local.stop(child, how).unwrap();
        }
        Act::Succession => {
            env.until_log(child, "ready");
            env.succeed(child);
            env.until_running(child);
            std::fs::write(env.path().join("go"), "").unwrap();
        }
    }
    let exit = env.until_ended(child);
    assert!(scenario.expect.holds(&exit), "{name}: {exit:?}");
    assert_eq!(exit.oom, OutOfMemory::NoSign, "{name}");
    if matches!(scenario.act, Act::Nothing) {
        assert_eq!(exit.leftovers, scenario.leftovers, "{name}");
    }
    env.assert_all_gone(child);
    let record = env.record(child);
    assert_eq!(record.exit.as_ref(), Some(&exit), "{name}");
    assert!(record.tree_gone.is_some(), "{name}");
    if let Some(group) = record.cgroup {
        assert!(!group.exists(), "{name}: {}", group.display());
    }
    assert_eq!(env.local.observe(child), Observed::Ended(exit), "{name}: the end is final");
    env.local.stop(child, StopHow::Now).unwrap();
    if !matches!(scenario.act, Act::Succession) {
        // The first monitor of a succession is not really dead here, so its shim remains its child.
        assert_no_zombies(&mut env.local);
    }
}

#[test]
fn files_are_private_and_hold_the_output_alone() {
    let mut env = TestEnv::new();
    let child = env.start(1, "printf 'a\\0b\\377\\n'; echo err >&2; printf 'no line end'");
    env.until_ended(child);
    let log = env.layout.child_log(&env.run, child);
    assert_eq!(std::fs::read(&log).unwrap(), b"a\0b\xff\nerr\nno line end");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&log), 0o600);
    assert_eq!(mode(&env.layout.child_record(&env.run, child)), 0o600);
    assert_eq!(mode(&env.layout.run(&env.run)), 0o700);
    let refused = env.local.start(&env.spec(1, "true")).unwrap_err().to_string();
    assert!(refused.contains("is there already"), "{refused}");
}

#[test]
fn the_child_gets_a_plain_process() {
    let mut env = TestEnv::new();
    let script = "ls /proc/self/fd | tr '\\n' ' '; echo; pwd; echo $GREETING $SENTRY_RUN $SENTRY_CHILD; [ $(ps -o pgid= -p $$) = $$ ] && echo leads; grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let mut spec = env.spec(1, script);
    spec.env.insert("GREETING".into(), "good day".into());
    env.local.start(&spec).unwrap();
    env.until_ended(spec.child);
    let cwd = std::fs::canonicalize(env.path()).unwrap();
    let expected = format!("0 1 2 3 \n{}\ngood day {} 1\nleads\n", cwd.display(), env.run);
    let log = env.log(spec.child);
    assert!(log.starts_with(&expected), "{log}");
    assert_eq!(signals(&log, "SigBlk"), 0);
    assert_eq!(signals(&log, "SigIgn"), 0);
}

/// The set of signals 1 to 31 in a line of `/proc/PID/status`; the C library keeps 32 and 33 for itself.
fn signals(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|l| l.starts_with(name)).unwrap();
    u64::from_str_radix(line.split_once('\t').unwrap().1.trim(), 16).unwrap() & 0x7fff_ffff
}

#[test]
fn a_failed_start_says_what_was_tried() {
    let mut env = TestEnv::new();
    let mut spec = env.spec(1, "");
    spec.command = vec!["/no/such/program".into()];
    env.local.start(&spec).unwrap();
    let exit = env.until_ended(spec.child);
    assert_eq!(exit.shell_status(), Some(127));
    let Ending::NotStarted { message, .. } = exit.ending else { panic!("{exit:?}") };
    assert!(message.starts_with("cannot execute `/no/such/program`: "), "{message}");
    spec.child = ChildNo(2);
    spec.cwd = env.path().join("gone");
    env.local.start(&spec).unwrap();
    let Ending::NotStarted { message, .. } = env.until_ended(spec.child).ending else { panic!() };
    assert!(message.starts_with("cannot enter the working directory `"), "{message}");
    assert_eq!(env.log(spec.child), "");
}

#[test]
fn a_stop_at_any_moment_is_not_lost() {
    let mut env = TestEnv::new();
    for no in 1..=20 {
        let child = env.start(no, "exec sleep 600");
        if no % 2 == 0 {
            env.until_running(child);
        }
        env.local.stop(child, StopHow::Graceful).unwrap();
        let exit = env.until_ended(child);
        assert_eq!(exit.ending, Ending::Signaled { signal: 15, core_dumped: false });
        assert!(exit.stop_requested && !exit.killed);
    }
    assert_no_zombies(&mut env.local);
}

#[test]
fn a_stop_that_races_with_the_end_is_harmless() {
    let mut env = TestEnv::new();
    for no in 1..=20 {
        let child = env.start(no, "exit 3");
        env.until(child, "to run", |o| !matches!(o, Observed::Starting));
        env.local.stop(child, StopHow::Graceful).unwrap();
        match env.until_ended(child).ending {
            Ending::Exited { code: 3 } | Ending::Signaled { signal: 15, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_no_zombies(&mut env.local);
}

/// The body of another process: a monitor that starts a child and is then killed. Does nothing in a normal test run.
#[test]
fn monitor_process() {
    let Some(dir) = std::env::var_os("SENTRY_TEST_MONITOR") else { return };
    let layout = Layout::new(std::path::PathBuf::from(dir));
    let mut local = Local::with_shim(layout, env!("CARGO_BIN_EXE_sentry").into());
    let script = "echo ready; grep SigIgn /proc/self/status; i=0; while [ ! -e go ]; do i=$((i+1)); sleep 0.005; done; echo last; exit 11";
    let spec = sentry::supervisor::ChildSpec {
        run: sentry::ids::RunId::new(std::env::var("SENTRY_TEST_RUN").unwrap()),
        child: ChildNo(1),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        cwd: std::env::var("SENTRY_TEST_MONITOR").unwrap().into(),
        env: std::collections::BTreeMap::new(),
        pty: false,
        stop_signal: StopSignal::Term,
        stop_grace: PATIENCE,
    };
    local.start(&spec).unwrap();
    loop {
        local.observe(spec.child);
        let _ready = wait::wait(&local.wake(), None).unwrap();
    }
}

#[test]
fn a_killed_monitor_leaves_the_child_alone_and_its_successor_sees_the_end() {
    let mut env = TestEnv::new();
    let child = ChildNo(1);
    // Started as a shell starts background jobs, with signals ignored, and with a pipe that must not stay open.
    let mut monitor = Command::new("sh")
        .args(["-c", "trap '' INT QUIT HUP; exec \"$0\" --exact local::monitor_process --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env("SENTRY_TEST_MONITOR", env.path())
        .env("SENTRY_TEST_RUN", env.run.as_str())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    env.until_log(child, "SigIgn");
    kill_exactly(monitor.id());
    monitor.wait().unwrap();
    let pipe = monitor.stdout.take().unwrap();
    let text = std::io::read_to_string(pipe).unwrap();
    assert!(!text.contains("panicked"), "{text}");

    env.local.adopt(&env.run.clone(), child);
    let pid = env.until_running(child);
    assert_eq!(env.record(child).process.map(|p| p.pid), Some(pid));
    std::fs::write(env.path().join("go"), "").unwrap();
    assert_eq!(env.until_ended(child).ending, Ending::Exited { code: 11 });
    let log = env.log(child);
    assert!(log.starts_with("ready\nSigIgn:") && log.ends_with("\nlast\n"), "{log}");
    assert_eq!(signals(&log, "SigIgn"), 0, "ignored by the monitor, not by the child");

    // It ended long ago, and yet another monitor asks.
    env.succeed(child);
    assert_eq!(env.until_ended(child).ending, Ending::Exited { code: 11 });
}

#[test]
fn a_killed_shim_does_not_hide_a_living_child() {
    let mut env = TestEnv::new();
    let child = env.start(1, "setsid sleep 600 & echo pid $!; echo ready; while [ ! -e go ]; do sleep 0.01; done");
    let pid = env.until_running(child);
    env.until_log(child, "ready");
    env.kill_shim(child);
    let handle = process::pidfd(pid).unwrap();
    assert_eq!(env.until(child, "running", |_| true), Observed::Running { pid });
    env.succeed(child);
    assert_eq!(env.until_running(child), pid, "an adopted one too");
    std::fs::write(env.path().join("go"), "").unwrap();
    assert!(wait::wait(&[handle.as_fd()], Some(PATIENCE)).unwrap().any());
    let exit = env.until_ended(child);
    let Ending::Lost { why } = &exit.ending else { panic!("{exit:?}") };
    assert!(why.contains("its shim"), "{why}");
    assert_eq!(exit.leftovers, 1);
    env.assert_all_gone(child);
    assert_eq!(env.record(child).exit, Some(exit));
}

#[test]
fn a_child_without_its_shim_is_stopped_with_its_tree() {
    let polite =
        "trap 'echo asked; exit 0' TERM; setsid sleep 600 & echo pid $!; echo ready; while :; do sleep 0.01; done";
    let deaf = "trap '' TERM; setsid sleep 600 & echo pid $!; echo ready; while :; do sleep 0.01; done";
    let rows = [
        ("asked", polite, Duration::from_secs(600), StopHow::Graceful, true, false),
        ("deaf", deaf, Duration::from_millis(50), StopHow::Graceful, false, true),
        ("now", polite, Duration::from_secs(600), StopHow::Now, false, true),
    ];
    for (case, script, grace, how, asked, killed) in rows {
        let mut env = TestEnv::new();
        let mut spec = env.spec(1, script);
        spec.stop_grace = grace;
        env.local.start(&spec).unwrap();
        env.until_running(spec.child);
        env.until_log(spec.child, "ready");
        env.kill_shim(spec.child);
        env.local.stop(spec.child, how).unwrap();
        let exit = env.until_ended(spec.child);
        assert!(matches!(exit.ending, Ending::Lost { .. }), "{case}: {exit:?}");
        assert_eq!((exit.stop_requested, exit.killed), (true, killed), "{case}");
        assert_eq!(env.log(spec.child).contains("asked"), asked, "{case}");
        env.assert_all_gone(spec.child);
        assert_no_zombies(&mut env.local);
    }
}

#[test]
fn nobody_else_is_ever_signalled() {
    let mut env = TestEnv::new();
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    let real = identity::of(bystander.id()).unwrap();
    let earlier = ProcessIdentity { start_time: real.start_time - 1, ..real.clone() };
    let other_boot = ProcessIdentity { boot_id: "another".into(), ..real.clone() };
    let rows =
        [("number taken again", earlier, "its shim"), ("before a restart", other_boot, "the machine was restarted")];
    for (no, (case, recorded, expected)) in (1..).zip(rows) {
        let child = ChildNo(no);
        let mut record = ChildRecord::asked(env.run.clone(), child, Utc::default(), StopSignal::Term, 0);
        record.process = Some(recorded.clone());
        record.shim = Some(recorded);
        record.started = Some(Utc::default());
        record.cgroup = Some("/sys/fs/cgroup".into());
        std::fs::create_dir_all(env.layout.run(&env.run)).unwrap();
        record.write(&env.layout.child_record(&env.run, child)).unwrap();
        env.local.adopt(&env.run.clone(), child);
        env.local.stop(child, StopHow::Now).unwrap();
        let Ending::Lost { why } = env.until_ended(child).ending else { panic!("{case}") };
        assert!(why.contains(expected), "{case}: {why}");
    }
    assert!(identity::is_alive(&real));
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn what_cannot_be_seen_is_unknown_before_it_is_over() {
    let mut env = TestEnv::new();
    let (layout, run) = (env.layout.clone(), env.run.clone());
    let at = |no| layout.child_record(&run, ChildNo(no));
    std::fs::create_dir_all(env.layout.run(&env.run)).unwrap();
    ChildRecord::asked(env.run.clone(), ChildNo(1), Utc::default(), StopSignal::Term, 0).write(&at(1)).unwrap();
    std::fs::write(at(2), "{\"schema\": 1, \"run\"").unwrap();
    std::fs::write(at(2).with_extension("log"), "output\n").unwrap();
    for no in 1..=3 {
        env.local.adopt(&env.run.clone(), ChildNo(no));
        let observed = env.local.observe(ChildNo(no));
        assert!(matches!(observed, Observed::Unknown { .. }), "{no}: {observed:?}");
    }
    assert!(matches!(env.until_ended(ChildNo(1)).ending, Ending::NotStarted { .. }));
    assert!(matches!(env.until_ended(ChildNo(2)).ending, Ending::Lost { .. }));
    assert!(matches!(env.until_ended(ChildNo(3)).ending, Ending::NotStarted { .. }));
    assert!(matches!(env.local.observe(ChildNo(9)), Observed::Unknown { .. }), "never heard of");

    // A shim that comes up after that starts nothing.
    let touched = env.path().join("touched");
    let late = shim_command(&env, &at(1), &["touch", touched.to_str().unwrap()]).status().unwrap();
    assert!(late.success());
    assert!(!touched.exists());
}

#[test]
fn a_spoilt_record_does_not_end_a_living_child() {
    let mut env = TestEnv::new();
    let child = env.start(1, "while [ ! -e go ]; do sleep 0.01; done; exit 5");
    env.until_running(child);
    std::fs::write(env.layout.child_record(&env.run, child), "spoilt").unwrap();
    env.succeed(child);
    let seen =
        env.until(child, "unknown with a shim", |o| matches!(o, Observed::Unknown { why } if why.contains("record")));
    assert!(matches!(seen, Observed::Unknown { .. }));
    std::fs::write(env.path().join("go"), "").unwrap();
    // The shim writes the whole record once more at the end.
    assert_eq!(env.until_ended(child).ending, Ending::Exited { code: 5 });
}

#[test]
fn a_terminal_child_has_a_terminal() {
    let mut env = TestEnv::new();
    let mut spec = env.spec(1, "test -t 0 && test -t 1 && test -t 2 && : < /dev/tty && stty size; echo pid $$; (trap '' HUP; echo deaf; exec sleep 600) & echo pid $!; sleep 0.1; printf end");
    spec.pty = true;
    spec.env.extend([("COLUMNS".to_owned(), "132".to_owned()), ("LINES".to_owned(), "x".to_owned())]);
    env.local.start(&spec).unwrap();
    let exit = env.until_ended(spec.child);
    assert_eq!((exit.ending, exit.leftovers), (Ending::Exited { code: 0 }, 1));
    let log = env.log(spec.child);
    assert!(log.starts_with("24 132\r\n") && log.ends_with("\r\nend"), "{log:?}");
    env.assert_all_gone(spec.child);
}

#[test]
fn a_terminal_blocks_nobody() {
    let mut env = TestEnv::new();
    let rows = [
        (
            "much output",
            "i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo last",
            "last\r\n",
        ),
        ("closes it and lives on", "exec <&- >&- 2>&-; sleep 0.1; exit 0", ""),
        ("opens it again", "exec <&- >&- 2>&-; sleep 0.1; echo back > /dev/tty", "back\r\n"),
    ];
    for (no, (case, script, last)) in (1..).zip(rows) {
        let mut spec = env.spec(no, script);
        spec.pty = true;
        env.local.start(&spec).unwrap();
        assert_eq!(env.until_ended(spec.child).ending, Ending::Exited { code: 0 }, "{case}");
        assert!(env.log(spec.child).ends_with(last), "{case}");
    }
    let mut spec = env.spec(9, "trap '' TERM HUP; echo ready; while :; do sleep 600; done");
    (spec.pty, spec.stop_grace) = (true, Duration::from_millis(50));
    env.local.start(&spec).unwrap();
    env.until_log(spec.child, "ready");
    env.local.stop(spec.child, StopHow::Graceful).unwrap();
    assert!(env.until_ended(spec.child).killed);
}

#[test]
fn the_end_of_a_child_wakes_without_delay() {
    let mut env = TestEnv::new();
    let mut took = Vec::new();
    for no in 1..=11 {
        let child = env.start(no, "exec sleep 600");
        let pid = env.until_running(child);
        let begun = Instant::now();
        let handle = process::pidfd(pid).unwrap();
        assert!(process::signal(handle, Signal::SIGKILL).unwrap());
        env.until(child, "to end", |o| matches!(o, Observed::Ending(_) | Observed::Ended(_)));
        took.push(begun.elapsed());
        env.until_ended(child);
    }
    took.sort();
    eprintln!("exit to wake: median {:?}, longest {:?}", took[5], took[10]);
    // A polling delay would show as tens of milliseconds; a busy machine may show some.
    assert!(took[5] < Duration::from_millis(100), "{took:?}");
}

#[test]
fn the_shim_is_small_and_holds_nothing_of_ours() {
    let mut env = TestEnv::new();
    let child = env.start(1, "echo ready; exec sleep 600");
    env.until_running(child);
    env.until_log(child, "ready");
    let shim = env.record(child).shim.unwrap().pid;
    let status = std::fs::read_to_string(format!("/proc/{shim}/status")).unwrap();
    let anonymous: u64 = status
        .lines()
        .find_map(|l| l.strip_prefix("RssAnon:"))
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    eprintln!("anonymous memory of the shim: {anonymous} kB");
    assert!(anonymous < 4096, "{anonymous} kB");
    assert_eq!(std::fs::read_link(format!("/proc/{shim}/cwd")).unwrap(), std::path::Path::new("/"));
    // While a record is being written, its file and directory are open as well.
    let foreign = || -> Vec<String> {
        let fds = std::fs::read_dir(format!("/proc/{shim}/fd")).unwrap();
        let targets = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok()).map(|t| t.display().to_string());
        targets.filter(|t| t != "/dev/null" && t != "anon_inode:[signalfd]").collect()
    };
    poll_until("nothing else to be open", || foreign().is_empty().then_some(()), || format!("{:?}", foreign()));
    let stat = sentry::os::proc::stat(shim).unwrap().unwrap();
    assert_eq!(stat.session, shim, "leads its own session");
    env.local.stop(child, StopHow::Now).unwrap();
    env.until_ended(child);
}

#[test]
fn a_run_that_was_deleted_ends_the_shim_too() {
    let mut env = TestEnv::new();
    let child = env.start(1, "echo ready; exec sleep 600");
    let pid = env.until_running(child);
    let shim = env.record(child).shim.unwrap();
    std::fs::remove_dir_all(env.layout.run(&env.run)).unwrap();
    kill_exactly(pid);
    poll_until("the shim to end", || (!identity::is_alive(&shim)).then_some(()), || format!("{shim:?}"));
    assert!(matches!(env.until_ended(child).ending, Ending::Lost { .. }));
}

#[test]
fn living_children_of_earlier_runs_are_found() {
    let mut env = TestEnv::new();
    assert_eq!(living(&env.layout), []);
    let over = env.start(1, "true");
    env.until_ended(over);
    let alive = env.start(2, "exec sleep 600");
    let pid = env.until_running(alive);
    let argv = || sentry::os::proc::cmdline(pid);
    poll_until("exec", || (argv().first()?.as_slice() == b"sleep").then_some(()), || format!("{:?}", argv()));
    // Records that say less than they should.
    let (layout, run) = (env.layout.clone(), env.run.clone());
    let write = |no, change: &dyn Fn(&mut ChildRecord)| {
        let mut record = ChildRecord::asked(run.clone(), ChildNo(no), Utc::default(), StopSignal::Term, 0);
        change(&mut record);
        record.write(&layout.child_record(&run, ChildNo(no))).unwrap();
    };
    write(3, &|_| {});
    write(4, &|record| record.host = Some(elsewhere()));
    std::fs::write(layout.child_record(&run, ChildNo(5)), "spoilt").unwrap();
    let dead = ProcessIdentity { start_time: 1, ..identity::this_process().unwrap() };
    write(6, &|record| (record.shim, record.process) = (Some(dead.clone()), Some(dead.clone())));
    let found = living(&env.layout);
    let seen: Vec<_> = found.iter().map(|l| (l.child.0, l.pid, l.host.as_deref(), l.command.as_deref())).collect();
    assert_eq!(seen, [(4, None, Some("far-away"), None), (2, Some(pid), None, Some("sleep 600"))]);

    kill_exactly(pid);
    env.until_ended(alive);
    assert_eq!(living(&env.layout).len(), 1);
}

fn elsewhere() -> Host {
    Host { name: "far-away".into(), machine_id: Some("another".into()) }
}

#[test]
fn a_child_on_another_machine_is_unknown_and_left_alone() {
    let mut env = TestEnv::new();
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    let here = identity::of(bystander.id()).unwrap();
    let there = ProcessIdentity { boot_id: "of another machine".into(), ..here.clone() };
    std::fs::create_dir_all(env.layout.run(&env.run)).unwrap();
    // (host, its process, what is seen)
    let rows = [
        ("another machine", Some(elsewhere()), Some(there.clone()), "it runs on host `far-away`"),
        ("another machine, not up yet", Some(elsewhere()), None, "it runs on host `far-away`"),
        ("another container on this machine", Some(elsewhere()), Some(here), "running"),
        ("this machine, restarted", Some(Host::this()), Some(there.clone()), "the machine was restarted"),
        ("an older record", None, Some(there), "the machine was restarted"),
    ];
    for (no, (case, host, process, expected)) in (1..).zip(rows) {
        let child = ChildNo(no);
        let path = env.layout.child_record(&env.run, child);
        let mut record = ChildRecord::asked(env.run.clone(), child, Utc::default(), StopSignal::Term, 0);
        (record.host, record.process, record.started) = (host, process.clone(), Some(Utc::default()));
        record.shim = process.map(|p| ProcessIdentity { start_time: 1, ..p });
        record.write(&path).unwrap();
        env.local.adopt(&env.run.clone(), child);
        let seen = match env.local.observe(child) {
            Observed::Unknown { why } => why,
            Observed::Running { .. } => "running".to_owned(),
            Observed::Ended(exit) => format!("{:?}", exit.ending),
            other => panic!("{case}: {other:?}"),
        };
        assert!(seen.contains(expected), "{case}: {seen}");
        if expected.contains("far-away") {
            let refused = env.local.stop(child, StopHow::Now).unwrap_err().to_string();
            assert!(
                refused.ends_with("it runs on host `far-away`, and can be stopped only there"),
                "{case}: {refused}"
            );
            assert_eq!(ChildRecord::read(&path).unwrap(), Some(record), "{case}: its record is not ours to write");
        }
    }
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn an_end_that_is_not_recorded_is_unknown() {
    for shim_lives in [true, false] {
        let mut env = TestEnv::new();
        let child = env.start(1, "exec sleep 600");
        let pid = env.until_running(child);
        let shim = process::pidfd_of(&env.record(child).shim.unwrap()).unwrap().unwrap();
        assert!(process::signal(&shim, Signal::SIGSTOP).unwrap());
        kill_exactly(pid);
        env.until(child, "unknown", |o| matches!(o, Observed::Unknown { why } if why.contains("not recorded yet")));
        env.succeed(child);
        env.until(
            child,
            "unknown to a successor",
            |o| matches!(o, Observed::Unknown { why } if why.contains("not recorded yet")),
        );
        let wanted = if shim_lives { Signal::SIGCONT } else { Signal::SIGKILL };
        assert!(process::signal(&shim, wanted).unwrap());
        let exit = env.until_ended(child);
        match exit.ending {
            Ending::Signaled { signal: 9, .. } if shim_lives => {}
            Ending::Lost { .. } if !shim_lives => {}
            other => panic!("{other:?}"),
        }
        poll_until("no spares", || (env.spares() == 0).then_some(()), || env.spares().to_string());
    }
}

#[test]
fn an_end_is_recorded_on_a_full_disk() {
    let mut env = TestEnv::new();
    let dir = env.layout.run(&env.run);
    std::fs::create_dir_all(&dir).unwrap();
    let Some(_disk) = SmallDisk::mount(&dir) else {
        eprintln!("skipped: only root may mount a file system");
        return;
    };
    let fill = |name: &str| {
        use std::io::Write;
        let mut file = std::fs::File::create(dir.join(name)).unwrap();
        while file.write_all(&[b'x'; 4096]).is_ok() {}
    };
    let child = env.start(1, "sleep 600 & while [ ! -e go ]; do sleep 0.01; done; exit 7");
    env.until_running(child);
    fill("full");
    std::fs::write(env.path().join("go"), "").unwrap();
    let exit = env.until_ended(child);
    assert_eq!((exit.ending, exit.leftovers), (Ending::Exited { code: 7 }, 1));
    assert!(env.record(child).tree_gone.is_some());

    // Nothing starts where its end could not be recorded, and it can be tried again.
    fill("fuller");
    let refused = env.local.start(&env.spec(2, "true")).unwrap_err();
    let StartError::Os { source, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{refused}");
    poll_until("no spares", || (env.spares() == 0).then_some(()), || env.spares().to_string());
    std::fs::remove_file(dir.join("full")).unwrap();
    let child = env.start(2, "exit 3");
    assert_eq!(env.until_ended(child).ending, Ending::Exited { code: 3 });
}

/// A file system of 128 KiB, as long as it lives.
struct SmallDisk<'a>(&'a std::path::Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a std::path::Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=128k", "tmpfs"]).arg(at).status();
        mount.is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_start_that_failed_half_way_can_be_tried_again() {
    let mut env = TestEnv::new();
    let run_dir = env.layout.run(&env.run);
    let log = env.layout.child_log(&env.run, ChildNo(1));
    let no_shim = || Local::with_shim(Layout::new(env.path()), "/no/such/shim".into());
    let rows: [(&str, Local, &std::path::Path, &str); 3] = [
        ("the shim cannot be executed", no_shim(), std::path::Path::new(""), "cannot start the shim"),
        ("the log is a directory", env.another(), &log, "cannot open for appending"),
        ("a room is a directory", env.another(), &run_dir.join(".child-001.json.2.spare"), "cannot reserve room in"),
    ];
    for (case, mut local, obstacle, expected) in rows {
        if !obstacle.as_os_str().is_empty() {
            std::fs::create_dir_all(obstacle).unwrap();
        }
        let spec = env.spec(1, "exit 6");
        let refused = local.start(&spec).unwrap_err().to_string();
        assert!(refused.contains(expected), "{case}: {refused}");
        local.stop(spec.child, StopHow::Graceful).unwrap();
        let Observed::Ended(exit) = local.observe(spec.child) else { panic!("{case}") };
        assert!(matches!(&exit.ending, Ending::NotStarted { message, .. } if message.contains(expected)), "{case}");

        // A successor must wait a while before it may say so; once is enough.
        if obstacle == log {
            env.succeed(spec.child);
            let exit = env.until_ended(spec.child);
            assert!(matches!(exit.ending, Ending::NotStarted { .. }), "{case}, to a successor: {exit:?}");
        }

        if !obstacle.as_os_str().is_empty() {
            std::fs::remove_dir(obstacle).unwrap();
        }
        env.local = env.another();
        env.local.start(&spec).unwrap();
        assert_eq!(env.until_ended(spec.child).ending, Ending::Exited { code: 6 }, "{case}");
        std::fs::remove_dir_all(&run_dir).unwrap();
    }
    env.local.stop(ChildNo(77), StopHow::Now).unwrap();
}

/// Monitors come and go while a child is being stopped, and each asks again.
#[test]
fn a_stop_that_is_asked_for_again_after_adoption_is_carried_out() {
    let deaf = "trap '' TERM; setsid sleep 600 & echo pid $!; echo pid $$; echo ready; while :; do sleep 0.01; done";
    let polite = "trap 'exit 5' TERM; echo pid $$; echo ready; while :; do sleep 0.01; done";
    let short = Duration::from_millis(50);
    enum Shim {
        /// The first stop finds none.
        KilledBefore,
        /// It has taken the first stop with it.
        KilledAfter,
        Lives,
        Paused,
    }
    let rows = [
        ("no shim, deaf", deaf, short, Shim::KilledBefore, true),
        ("no shim any more, deaf", deaf, PATIENCE * 10, Shim::KilledAfter, true),
        ("shim, deaf", deaf, short, Shim::Lives, true),
        ("shim, polite", polite, PATIENCE * 10, Shim::Lives, false),
        ("shim that is slow to come", polite, PATIENCE * 10, Shim::Paused, false),
    ];
    for (case, script, grace, shim, killed) in rows {
        let mut env = TestEnv::new();
        let mut spec = env.spec(1, script);
        spec.stop_grace = grace;
        env.local.start(&spec).unwrap();
        let child = spec.child;
        env.until_running(child);
        env.until_log(child, "ready");
        let handle = process::pidfd_of(&env.record(child).shim.unwrap()).unwrap().unwrap();
        match shim {
            Shim::KilledBefore => env.kill_shim(child),
            Shim::Paused => assert!(process::signal(&handle, Signal::SIGSTOP).unwrap()),
            Shim::KilledAfter | Shim::Lives => {}
        }
        env.local.stop(child, StopHow::Graceful).unwrap();
        if matches!(shim, Shim::KilledAfter) {
            env.kill_shim(child);
            // Its grace was long; the successor hurries.
            env.succeed(child);
            env.local.stop(child, StopHow::Graceful).unwrap();
            env.local.observe(child);
            env.local.stop(child, StopHow::Now).unwrap();
        } else {
            env.succeed(child);
            env.local.stop(child, StopHow::Graceful).unwrap();
            env.local.stop(child, StopHow::Graceful).unwrap();
        }
        if matches!(shim, Shim::Paused) {
            assert!(process::signal(&handle, Signal::SIGCONT).unwrap());
        }
        let exit = env.until_ended(child);
        assert_eq!((exit.stop_requested, exit.killed), (true, killed), "{case}: {exit:?}");
        env.assert_all_gone(child);
    }
}

/// The wish comes before the shim does.
#[test]
fn a_stop_of_a_child_whose_shim_is_sought_reaches_it() {
    let mut env = TestEnv::new();
    std::fs::create_dir_all(env.layout.run(&env.run)).unwrap();
    let child = ChildNo(1);
    let path = env.layout.child_record(&env.run, child);
    let now = sentry::os::clock::SystemClock::utc();
    ChildRecord::asked(env.run.clone(), child, now, StopSignal::Term, 600_000).write(&path).unwrap();
    env.local.adopt(&env.run.clone(), child);
    env.local.stop(child, StopHow::Graceful).unwrap();
    assert!(matches!(env.local.observe(child), Observed::Unknown { .. }));
    env.local.stop(child, StopHow::Graceful).unwrap();
    let mut shim = shim_command(&env, &path, &["sleep", "600"]).spawn().unwrap();
    let exit = env.until_ended(child);
    assert_eq!(exit.ending, Ending::Signaled { signal: 15, core_dumped: false });
    assert!(exit.stop_requested && !exit.killed);
    shim.wait().unwrap();
}

/// A shim as the monitor starts it.
fn shim_command(env: &TestEnv, record: &std::path::Path, argv: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentry"));
    command.args(["shim", "--record"]).arg(record).arg("--log").arg(record.with_extension("log"));
    command.args(["--run", env.run.as_str(), "--child", "1", "--cwd", "/", "--stop-signal", "TERM"]);
    command.args(["--grace-ms", "600000", "--"]).args(argv);
    process::detached(&mut command);
    command
}
