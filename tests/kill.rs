//! The monitor is killed with SIGKILL at random moments; nothing is lost, counted twice or started twice.
//!
//! `SENTRY_KILLS=2000` is the long form, `SENTRY_KILL_SEED=N` repeats a run's choices (not its timing).

#![expect(clippy::disallowed_methods, reason = "a test reads the clock and the files that it judges")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
#![expect(clippy::print_stderr, reason = "the seed of a failed run has to be seen")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::TestEnv;
use rustix::process::Signal;
use serde_json::Value;

/// Kills unless told otherwise. Nine in ten are SIGKILL, so that two hundred of them are.
const KILLS: u64 = 224;
/// Latest moment of a kill after the monitor's start. Half of them fall into its first tenth: start-up and adoption.
const LATEST_MS: u64 = 400;
/// Numbered lines are told apart by their last digit, so that a lost and a doubled line do not make up for each other.
const DIGITS: std::ops::Range<u64> = 0..10;

#[test]
fn a_killed_monitor_loses_and_doubles_nothing() {
    let kills = number("SENTRY_KILLS").unwrap_or(KILLS);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("SENTRY_KILL_SEED").unwrap_or(u64::from(since_epoch.subsec_nanos()));
    eprintln!("{kills} kills, SENTRY_KILL_SEED={seed}");
    let mut random = Random(seed | 1);

    let env = TestEnv::new();
    env.write("numbers.py", include_str!("../fixtures/kill/numbers.py"));
    env.write("sentry.yaml", configuration(seed));
    for kill in 0..kills {
        let latest = if random.below(2) == 0 { LATEST_MS / 10 } else { LATEST_MS };
        let moment = Duration::from_micros(random.below(latest * 1000));
        // Not only killed: a monitor that is told to leave must not lose what it has just read either.
        let signal = if kill % 10 == 9 { Signal::TERM } else { Signal::KILL };
        let monitor = env.sentry(&["run"]).start();
        std::thread::sleep(moment);
        monitor.signal(signal);
        let ended = monitor.wait();
        let expected = if signal == Signal::KILL { vec![137] } else { vec![0, 143] };
        assert!(expected.contains(&ended.code()), "kill {kill} after {moment:?}: {ended:?}");
        one_child_at_most(&env);
    }
    env.write("finish", "");
    let _ = env.sentry(&["run"]).run().expect_code(0);
    judge(&env);
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`")))
}

fn configuration(seed: u64) -> String {
    let mut yaml = format!(
        "process:
  command: [python3, -S, numbers.py, '{seed}']
  restart_policy: {{max_restarts: 0, max_identical_failures: 0, cooldown_seconds: 0, backoff: fixed}}
monitor: {{poll_interval_seconds: 1}}
healing: {{settle_seconds: 0.02, verify_window_seconds: 3600}}
retention: {{max_incidents: 0}}
source_explode: {{context_lines: 2}}
detectors:
  - {{name: planted, kind: pattern, regex: 'FAILURE (?P<planted>\\d+) ', cooldown_seconds: 0}}
  - {{name: traceback, kind: traceback, cooldown_seconds: 0}}
  - {{name: exit_code, kind: exit_code, cooldown_seconds: 0}}
"
    );
    for digit in DIGITS {
        // Never an incident, always counted.
        yaml += &format!(
            "  - {{name: line_{digit}, kind: pattern, regex: '^line \\d*{digit} of many$', severity: info, min_count: 1000000, window_seconds: 0.001}}\n"
        );
    }
    yaml
}

/// By looking at all processes: the children's own lock looks all the time, but only at children.
fn one_child_at_most(env: &TestEnv) {
    let mut children = Vec::new();
    for pid in env.processes() {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let first = words.split(|&byte| byte == 0).next().unwrap_or_default();
        if first.ends_with(b"python3") {
            children.push(pid);
        }
    }
    assert!(children.len() <= 1, "children {children:?} are alive at the same time\n{}", env.tree());
}

/// What was really printed and planted, as the children wrote it down.
struct Truth {
    lives: u64,
    lines: u64,
    planted: BTreeMap<u64, String>,
}

impl Truth {
    fn read(env: &TestEnv) -> Self {
        let mut truth = Self { lives: 0, lines: 0, planted: BTreeMap::new() };
        let mut children = Vec::new();
        for fact in json_lines(&env.read("truth.jsonl")) {
            if let Some(life) = fact["life"].as_u64() {
                truth.lives += 1;
                assert_eq!(truth.lives, life);
                children.push(fact["child"].as_str().unwrap().parse::<u64>().unwrap());
            }
            if let Some(lines) = fact["lines"].as_u64() {
                truth.lines = lines;
            }
            if let Some(planted) = fact["planted"].as_u64() {
                truth.planted.insert(planted, fact["how"].as_str().unwrap().to_owned());
            }
        }
        // A number may be left out: a monitor died on the way to that child.
        assert!(children.is_sorted_by(|one, next| one < next), "children that were started: {children:?}");
        truth
    }
}

fn judge(env: &TestEnv) {
    let truth = Truth::read(env);
    let state: Value = serde_json::from_str(&env.read(".sentry/state.json")).unwrap();
    eprintln!("{} lives, {} lines, {} planted failures", truth.lives, truth.lines, truth.planted.len());
    assert!(!env.path("two-alive").exists(), "two children were alive at the same time");

    let counted = |detector: &str| state["detectors"][detector]["detections"].as_u64().unwrap_or(0);
    let seen: BTreeMap<u64, u64> = DIGITS.map(|digit| (digit, counted(&format!("line_{digit}")))).collect();
    let printed: BTreeMap<u64, u64> =
        DIGITS.map(|digit| (digit, (truth.lines + 10 - digit) / 10 - u64::from(digit == 0))).collect();
    assert_eq!(seen, printed, "numbered lines by their last digit, of {}", truth.lines);

    let incidents = incidents(env);
    let mut recorded: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut silent = 0;
    for (id, incident) in &incidents {
        let root = &incident["root"];
        match planted_number(root) {
            Some(planted) => recorded.entry(planted).or_default().push(id.clone()),
            None if root["kind"] == "exit_code" => silent += 1,
            None => panic!("incident {id} was not planted: {}", incident["message"]),
        }
        let fatal = planted_number(root)
            .is_some_and(|planted| truth.planted.get(&planted).is_some_and(|how| how != "survived"));
        assert_eq!(incident["exit"].is_object(), fatal || root["kind"] == "exit_code", "{id}: {incident:#}");
    }
    let with_words: Vec<u64> =
        truth.planted.iter().filter(|(_, how)| *how != "silent").map(|(planted, _)| *planted).collect();
    let doubled: Vec<_> = recorded.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(doubled.is_empty(), "failures with more than one incident: {doubled:?}");
    let missing: Vec<_> = with_words
        .iter()
        .filter(|planted| !recorded.contains_key(planted))
        .map(|planted| (planted, &truth.planted[planted]))
        .collect();
    assert!(missing.is_empty(), "failures without an incident: {missing:?}\n{}", env.tree());
    assert_eq!(recorded.len(), with_words.len(), "incidents of failures that were not planted");
    assert_eq!(silent, truth.planted.len() - with_words.len(), "incidents of ends without words");
    assert_eq!(state["incidents_total"], incidents.len());
    assert_eq!(
        counted("planted"),
        truth.planted.values().filter(|how| !matches!(how.as_str(), "silent" | "raise")).count() as u64
    );
    assert_eq!(counted("traceback"), truth.planted.values().filter(|how| *how == "raise").count() as u64);
    ledger_is_complete(env);
}

/// The number of the failure that an incident is about.
fn planted_number(root: &Value) -> Option<u64> {
    let captured = root["captures"]["planted"].as_str().map(str::to_owned);
    let raised =
        root["trace"]["message"].as_str().and_then(|message| message.strip_prefix("planted ")).map(str::to_owned);
    captured.or(raised).and_then(|text| text.trim().parse().ok())
}

/// Folders and rows of the index are the same incidents, each once.
fn incidents(env: &TestEnv) -> BTreeMap<String, Value> {
    let mut folders = BTreeMap::new();
    for entry in fs::read_dir(env.path(".sentry/incidents")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            assert!(!name.starts_with('.'), "`{name}` was left half-written");
            let incident = fs::read(entry.path().join("incident.json")).unwrap();
            folders.insert(name, serde_json::from_slice(&incident).unwrap());
        }
    }
    let rows: Vec<String> = json_lines(&env.read(".sentry/incidents/index.jsonl"))
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    let unique: BTreeSet<&String> = rows.iter().collect();
    assert_eq!(unique.len(), rows.len(), "an incident is in the index twice");
    assert_eq!(unique, folders.keys().collect::<BTreeSet<_>>(), "index and folders differ");
    folders
}

/// Each attempt has begun once and has one verdict.
fn ledger_is_complete(env: &TestEnv) {
    let ledger = env.read(".sentry/attempts.tsv");
    let mut rows = ledger.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = rows.next().unwrap();
    let column = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let (attempt, status) = (column("attempt"), column("status"));
    let mut attempts: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for row in rows {
        attempts.entry(row[attempt].parse().unwrap()).or_default().push(row[status]);
    }
    let odd: Vec<_> =
        attempts.iter().filter(|(_, rows)| rows.len() != 2 || rows[0] != "pending" || rows[1] == "pending").collect();
    assert!(odd.is_empty(), "attempts without one beginning and one verdict: {odd:?}");
    let numbers: Vec<u64> = attempts.keys().copied().collect();
    assert_eq!(numbers, (1..=attempts.len() as u64).collect::<Vec<_>>());
}

fn json_lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

/// xorshift64: repeatable, and good enough for moments.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}
