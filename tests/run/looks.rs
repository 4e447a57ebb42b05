//! Detectors that look at the world outside the log: services, disks, memory.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::common::{SOON, poll_until};
use crate::site::{Job, Site};

const WAIT: &str = "until_there done; exit 0";

/// Answers every request with the status that is set, until the test ends.
fn service(status: &Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let status = Arc::clone(status);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Ok(input) = stream.try_clone() else { continue };
            let mut lines = BufReader::new(input).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let status = status.load(Ordering::Relaxed);
            // Who asked may have gone.
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    port
}

fn job(detector: &str) -> Job {
    Job::sh(WAIT).with(&format!("detectors: [{{{detector}}}]\nmonitor: {{poll_interval_seconds: 0.1}}"))
}

fn probe_is(site: &Site, name: &str, state: &str) {
    site.until(&format!("{name} to be {state}"), |picture| picture["probes"][name]["state"] == state);
}

/// A second failed look after the detection: whatever would be told twice has been told by then.
fn end(site: &Site, monitor: crate::common::Running<'_>) -> serde_json::Value {
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
    site.incident()
}

#[test]
fn a_service_that_turns_bad_is_one_incident() {
    let status = Arc::new(AtomicU16::new(200));
    let port = service(&status);
    let site = job(&format!(
        "name: health, kind: http, url: 'http://127.0.0.1:{port}/healthz?key=x', every_seconds: 0.1, failures: 2"
    ))
    .make();
    let monitor = site.start();
    probe_is(&site, "health", "well");
    status.store(503, Ordering::Relaxed);
    site.until("the incident", |picture| picture["incidents_total"] == 1);
    site.until("more failures", |picture| picture["probes"]["health"]["failed_in_a_row"].as_u64() > Some(3));
    let shown = site.ask(&["status"]);
    assert!(shown.contains("health: answered 503, "), "{shown}");
    status.store(200, Ordering::Relaxed);
    probe_is(&site, "health", "well");
    let incident = end(&site, monitor);
    assert_eq!((&incident["kind"], &incident["category"]), (&"anomaly".into(), &"timeout".into()), "{incident:#}");
    let message = format!("GET http://127.0.0.1:{port}/healthz answered 503 (2 times in a row)");
    assert_eq!(incident["message"], message, "{incident:#}");
    let captures = &incident["root"]["captures"];
    assert_eq!((&captures["reason"], &captures["value"]), (&"status".into(), &"503".into()), "{incident:#}");
}

#[test]
fn a_port_that_closes_is_a_failure_and_a_rule_can_act() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let site = Job::sh("[ $LIFE = 2 ] && exit 0; until_there never")
        .with(&format!(
            "detectors: [{{name: port, kind: tcp, address: '{address}', every_seconds: 0.1, failures: 2}}]\n\
             monitor: {{poll_interval_seconds: 0.1}}\n\
             rules: [{{name: again, match: {{kind: tcp}}, action: restart}}]"
        ))
        .make();
    let monitor = site.start();
    probe_is(&site, "port", "well");
    drop(listener);
    let outcome = monitor.wait().expect_code(0);
    let message = format!("tcp {address} refused the connection (2 times in a row)");
    assert_eq!(site.incident()["message"], message, "{outcome:?}");
    assert_eq!(site.verdicts(), ["1 restart by rule again: kept"], "{outcome:?}");
}

#[test]
fn a_service_may_take_its_time_to_start() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let grace = |seconds: u32| {
        job(&format!(
            "name: port, kind: tcp, address: '127.0.0.1:{port}', every_seconds: 0.1, failures: 1, start_grace_seconds: {seconds}"
        ))
        .make()
    };
    let patient = grace(600);
    let monitor = patient.start();
    probe_is(&patient, "port", "failed");
    patient.touch("done");
    let _ = monitor.wait().expect_code(0);
    assert!(patient.incidents().is_empty(), "{}", patient.said());
    let strict = grace(0);
    let monitor = strict.start();
    strict.until("the incident", |picture| picture["incidents_total"] == 1);
    let incident = end(&strict, monitor);
    assert_eq!(incident["message"], format!("tcp 127.0.0.1:{port} refused the connection"), "{incident:#}");
}

#[test]
fn a_command_says_how_the_service_is() {
    let site = job(
        "name: lag, kind: command, command: [sh, check.sh], every_seconds: 0.1, failures: 2, start_grace_seconds: 0",
    )
    .process("env: {LAG: '12'}")
    .make();
    site.env.write("check.sh", "echo checking; echo \"lag $LAG s\"; exit 3");
    let monitor = site.start();
    site.until("the incident", |picture| picture["incidents_total"] == 1);
    let incident = end(&site, monitor);
    let message = "command `sh` failed with exit code 3: lag 12 s (2 times in a row)";
    assert_eq!(incident["message"], message, "{incident:#}");
}

#[test]
fn where_nobody_can_ask_nothing_has_failed() {
    let site = job(
        "name: lag, kind: command, command: [/no/such/check], every_seconds: 0.1, failures: 1, start_grace_seconds: 0}, \
         {name: room, kind: resource, disks: [/no/such/disk], every_seconds: 0.1, confirmations: 1",
    )
    .make();
    let monitor = site.start();
    probe_is(&site, "lag", "unknown");
    let state = site.until("the warning", |picture| picture["warnings"].to_string().contains("/no/such/disk"));
    assert!(state["warnings"].to_string().contains("/no/such/check"), "{state:#}");
    let shown = site.ask(&["status"]);
    assert!(shown.contains("lag: unknown: cannot run"), "{shown}");
    site.touch("done");
    let _ = monitor.wait().expect_code(0);
    assert!(site.incidents().is_empty(), "{}", site.said());
}

#[test]
fn a_probe_that_hangs_delays_nobody() {
    // Accepts connections (the kernel does) and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let site = Job::sh("until_there asked; echo boom; until_there done; exit 0")
        .with(&format!(
            "detectors: [{{name: boom, kind: pattern, regex: boom}}, \
             {{name: deaf, kind: http, url: 'http://127.0.0.1:{port}/', every_seconds: 0.1, timeout_seconds: 600}}, \
             {{name: slow, kind: command, command: [sh, -c, 'touch asked; exec tail -f /dev/null'], every_seconds: 0.1, \
               timeout_seconds: 600}}, \
             {{name: quick, kind: command, command: ['true'], every_seconds: 0.1}}]\n\
             monitor: {{poll_interval_seconds: 0.1}}"
        ))
        .make();
    let monitor = site.start();
    site.until("the incident", |picture| picture["incidents_total"] == 1);
    probe_is(&site, "quick", "well");
    assert_eq!(site.state()["probes"]["deaf"], serde_json::Value::Null, "it has not answered");
    let incident = end(&site, monitor);
    assert_eq!(incident["root"]["detector"], "boom", "{incident:#}");
    site.assert_all_gone();
}

#[test]
fn looks_end_with_a_monitor_that_is_killed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let site = job(&format!(
        "name: deaf, kind: http, url: 'http://127.0.0.1:{port}/', every_seconds: 0.1, timeout_seconds: 600}}, \
         {{name: slow, kind: command, command: [sh, -c, 'touch asked; exec tail -f /dev/null'], every_seconds: 0.1, \
           timeout_seconds: 600"
    ))
    .make();
    let monitor = site.start();
    let mut lines = BufReader::new(listener.accept().unwrap().0).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "GET / HTTP/1.1");
    site.until_there("asked");
    let pid = site.until_child(1);
    drop(monitor); // SIGKILL
    // Whoever asked has closed the connection: there is an end to what it says.
    while lines.next().is_some_and(|line| line.is_ok()) {}
    let is_tail =
        |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|argv| argv.starts_with(b"tail\0"));
    poll_until(SOON, "the end of the command", || {
        if site.env.processes().iter().any(is_tail) { Err(site.env.tree()) } else { Ok(()) }
    });
    assert!(site.env.processes().contains(&pid), "the child goes on");
    site.touch("done");
    site.assert_all_gone();
}

#[test]
fn limits_of_resources_are_watched() {
    let rows = [
        ("disk", "disks: [.], disk_free_below: 1EiB", "disk_free", ", below 1 EiB"),
        ("memory", "memory_above: 64KiB", "memory_above", "above 64 KiB"),
        ("files", "open_files_above: 0.01", "open_files", "files open, more than 1 %"),
        ("gpus", "gpus: 1000", "gpus", " of 1000 accelerators are there"),
    ];
    for (name, limit, reason, message) in rows {
        let site = Job::sh("ulimit -S -n 100; until_there done; exit 0")
            .with(&format!(
                "detectors: [{{name: {name}, kind: resource, {limit}, every_seconds: 0.1}}]\n\
                 monitor: {{poll_interval_seconds: 0.1}}"
            ))
            .make();
        let monitor = site.start();
        site.until("the incident", |picture| picture["incidents_total"] == 1);
        probe_is(&site, name, "failed");
        let incident = end(&site, monitor);
        assert_eq!(incident["root"]["captures"]["reason"], reason, "{incident:#}");
        assert_eq!((&incident["kind"], &incident["category"]), (&"anomaly".into(), &"infrastructure".into()), "{name}");
        assert!(incident["message"].as_str().unwrap().contains(message), "{incident:#}");
    }
}

#[test]
fn memory_that_grows_steadily_is_told() {
    let script = "x=0123456789012345678901234567890123456789012345678901234567890123; \
                  x=$x$x$x$x; x=$x$x$x$x; x=$x$x$x$x; x=$x$x$x$x; y=; \
                  while [ ! -e done ]; do y=$y$x; sleep 0.02; done; exit 0";
    let site = Job::sh(script)
        .with(
            "detectors: [{name: leak, kind: resource, memory_growth_per_hour: 20MiB, growth_window_seconds: 2, \
             every_seconds: 0.1}]\nmonitor: {poll_interval_seconds: 0.1}",
        )
        .make();
    let monitor = site.start();
    site.until("the incident", |picture| picture["incidents_total"] == 1);
    let incident = end(&site, monitor);
    assert!(incident["message"].as_str().unwrap().starts_with("memory of the command grew by "), "{incident:#}");
}

#[test]
fn the_doctor_says_what_cannot_be_looked_at() {
    let site = job("name: machine, kind: resource, disks: [/no/such/disk], gpus: 1000").make();
    let outcome = site.env.run(&["doctor"]);
    assert!(outcome.stdout.contains("of 1,000 are there"), "{outcome:?}");
    assert!(outcome.stdout.contains("`/no/such/disk` cannot be looked at"), "{outcome:?}");
    assert!(outcome.stdout.contains("kernel log"), "{outcome:?}");
    let plain = job("name: exit, kind: exit_code").make();
    assert!(!plain.env.run(&["doctor"]).stdout.contains("kernel log"));
}
