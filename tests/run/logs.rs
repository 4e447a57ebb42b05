//! `process.logs`: many files that come, go, move and are cut.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::site::{Job, Site};

const MARKERS: &str = "detectors: [{name: marker, kind: pattern, regex: 'MARKER \\w+', severity: info, cooldown_seconds: 0}]\nmonitor: {poll_interval_seconds: 0.2}";

/// How often the detector has fired.
fn detections(state: &Value, name: &str) -> u64 {
    state["detectors"][name]["detections"].as_u64().unwrap_or(0)
}

fn until_detections(site: &Site, name: &str, count: u64) {
    site.until(&format!("{count} of {name}"), |state| detections(state, name) >= count);
    assert_eq!(detections(&site.state(), name), count, "{:#}", site.state());
}

fn append(site: &Site, name: &str, text: &str) {
    use std::io::Write;
    let path = site.env.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn files_come_go_move_and_are_cut_and_each_line_counts_once() {
    const FILES: u64 = 64;
    let site =
        Job::sh("until_there done; exit 0").process("logs: ['logs/**/*.log', 'later/x-*/out']").with(MARKERS).make();
    let name = |n: u64| format!("logs/rank_{n}.log");
    for n in 0..FILES / 2 {
        append(&site, &name(n), "MARKER of an older run\n");
    }
    let mut monitor = site.start();
    site.until_child(1);
    let mut planted = 0;
    let mut plant = |site: &Site, name: &str| {
        planted += 1;
        append(site, name, &format!("step\nMARKER m{planted}\nstep\n"));
        planted
    };
    for n in 0..FILES {
        plant(&site, &name(n));
    }
    until_detections(&site, "marker", FILES);
    // A directory of its own below `**`, and a root that was not there.
    plant(&site, "logs/deep/er/worker.log");
    let all = plant(&site, "later/x-1/out");
    until_detections(&site, "marker", all);
    for round in 0..3 {
        for n in 0..8 {
            // Rotation: the rest of the old file is read, under a name that is not meant, and then under one that is.
            plant(&site, &name(n));
            let to =
                if n % 2 == 0 { format!("logs/rank_{n}.old{round}") } else { format!("logs/rank_{n}.{round}.log") };
            fs::rename(site.env.path(name(n)), site.env.path(&to)).unwrap();
            plant(&site, &to);
            plant(&site, &name(n));
        }
        let mut all = 0;
        for n in 8..16 {
            all = plant(&site, &name(n));
        }
        until_detections(&site, "marker", all);
        for n in 8..12 {
            // copytruncate.
            fs::copy(site.env.path(name(n)), site.env.path(format!("logs/rank_{n}.copy"))).unwrap();
            fs::write(site.env.path(name(n)), "").unwrap();
        }
        for n in 12..16 {
            fs::remove_file(site.env.path(name(n))).unwrap();
        }
        if round == 1 {
            drop(monitor);
            // What happens while nobody looks counts as well: more lines, a rotation, a new file.
            plant(&site, &name(20));
            plant(&site, &name(21));
            fs::rename(site.env.path(name(21)), site.env.path("logs/rank_21.away")).unwrap();
            plant(&site, &name(21));
            plant(&site, &name(22));
            fs::rename(site.env.path(name(22)), site.env.path("logs/rank_22.0.log")).unwrap();
            plant(&site, &name(22));
            plant(&site, "logs/born_unseen.log");
            monitor = site.start();
        }
        for n in 8..16 {
            all = plant(&site, &name(n));
        }
        until_detections(&site, "marker", all);
    }
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
    assert_eq!(detections(&site.state(), "marker"), planted, "{:#}\n{}", site.state(), site.said());
}

#[test]
fn what_is_no_log_is_left_alone_and_links_are_read_once() {
    let site = Job::sh("until_there go; echo MARKER x >> logs/a.log; echo MARKER y >> elsewhere/b; echo MARKER z > logs/c; ln logs/c logs/d; ln -s c logs/e; exit 0")
        .process("logs: ['logs/*', 'logs/sub/**']")
        .with(MARKERS)
        .make();
    fs::create_dir_all(site.env.path("logs/sub")).unwrap();
    fs::create_dir_all(site.env.path("elsewhere")).unwrap();
    site.env.write("logs/a.log", "");
    site.env.write("elsewhere/b", "");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, site.env.path(name)).unwrap();
    link("a.log", "logs/latest");
    link("../elsewhere/b", "logs/b-link");
    link("..", "logs/sub/up");
    link("nowhere", "logs/dangling");
    let made = std::process::Command::new("mkfifo").arg(site.env.path("logs/fifo")).status().unwrap();
    assert!(made.success());
    let monitor = site.start();
    site.until_child(1);
    site.until("both files", |state| state["stream_totals"]["count"] == 3);
    site.touch("go");
    let _ = monitor.wait().expect_code(0);
    assert_eq!(detections(&site.state(), "marker"), 3, "{:#}\n{}", site.state(), site.said());
}

#[test]
fn a_thousand_ranks_that_fail_together_are_one_incident_of_the_first() {
    const RANKS: u64 = 1024;
    // The ranks write in turns, so that all of them fail within two seconds; the first one is in the middle.
    let script = r#"
mkdir -p logs
for n in $(seq 0 1023); do echo "rank $n is ready" > logs/rank_$n.log; done
until_there go
fail() {
  printf 'Traceback (most recent call last):\n' >> logs/rank_$1.log
  printf '  File "/app/train.py", line 12, in <module>\n    main()\n' >> logs/rank_$1.log
  printf '  File "/app/train.py", line 7, in main\n    reduce(loss)\nRuntimeError: NCCL communicator was aborted on rank %s\n' $1 >> logs/rank_$1.log
}
fail 517
sleep 0.2
for n in $(seq 0 1023); do [ $n = 517 ] || fail $n; done
touch failed
until_there done
exit 0
"#;
    let job = Job::sh(script).process("logs: ['logs/rank_*.log'], lifecycle: one_shot").healing("settle_seconds: 2");
    let site =
        job.with("detectors: [{name: traceback, kind: traceback}]\nmonitor: {poll_interval_seconds: 0.2}").make();
    let monitor = site.start();
    site.until("all files", |state| state["stream_totals"]["count"] == RANKS + 1);
    let before = cpu(monitor.pid());
    site.touch("go");
    site.until("all ranks", |state| detections(state, "traceback") == RANKS && state["incidents_total"] == 1);
    let used = cpu(monitor.pid()) - before;
    let incident = site.incident();
    assert_eq!(incident["root"]["stream"], "logs/rank_517.log", "{incident:#}");
    assert_eq!(incident["root"]["captures"]["rank"], "517");
    assert!(site.file(&incident, "log_excerpt.txt").contains("aborted on rank 517"));
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
    let incident = site.incident();
    let counted: BTreeMap<&str, u64> = incident["counted"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["detector"].as_str().unwrap(), one["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(counted, BTreeMap::from([("traceback", RANKS - 1)]));
    // An unoptimised program on a busy machine; the figure itself is in docs/performance.md.
    assert!(used < 20.0, "{used} s");
}

/// Seconds of processor time of a process (proc(5), `/proc/PID/schedstat`).
fn cpu(pid: i32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[test]
fn a_file_that_cannot_be_read_is_told_once_and_holds_nothing_up() {
    let site = Job::sh("mkdir -p logs; until_there go; echo MARKER a >> logs/a.log; exit 0")
        .process("logs: ['logs/*.log']")
        .with(MARKERS)
        .make();
    let monitor = site.start();
    site.until_child(1);
    site.until_there("logs");
    // Too many links: nobody may open it, not even an administrator.
    std::os::unix::fs::symlink("loop.log", site.env.path("logs/loop.log")).unwrap();
    site.touch("go");
    let _ = monitor.wait().expect_code(0);
    assert_eq!(detections(&site.state(), "marker"), 1, "{}", site.said());
    let told = site.said().matches("loop.log").count();
    assert_eq!(told, 1, "{}", site.said());
}
