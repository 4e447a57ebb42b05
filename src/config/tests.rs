//! Whole files through [`parse`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn vars(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/ada".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn read(text: &str) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    parse(text, Some(Path::new("sentry.yaml")), Path::new("/work/p"), &vars)
}

/// All problems of a file, plain.
fn problems(text: &str) -> String {
    let rendered: Vec<String> = match read(text) {
        Ok((_, warnings)) => warnings.iter().map(|warning| warning.render(false)).collect(),
        Err(errors) => errors.iter().map(|error| error.render(false)).collect(),
    };
    rendered.join("\n\n")
}

fn ok(text: &str) -> Config {
    read(text)
        .unwrap_or_else(|errors| panic!("{}", errors.iter().map(|e| e.render(false)).collect::<Vec<_>>().join("\n")))
        .0
}

#[test]
fn defaults_are_as_documented() {
    let config = defaults(vec!["true".to_owned()], Path::new("/work/p"));
    assert_eq!(config.process.cwd, PathBuf::from("/work/p"));
    assert_eq!(config.process.stop_grace, Duration::from_secs(30));
    assert_eq!(config.process.restart_policy.max_restarts, 10);
    assert_eq!(
        config.process.restart_policy.backoff,
        Backoff { factor: 2.0, max: Duration::from_secs(900), jitter: 0.1 }
    );
    assert_eq!(config.monitor.poll_interval, Duration::from_secs(30));
    assert_eq!(config.healing.settle, Duration::from_secs(2));
    assert_eq!(config.healing.verify_window, Duration::from_secs(600));
    assert_eq!(config.incidents_dir, PathBuf::from("/work/p/.sentry/incidents"));
    let names: Vec<&str> = config.detectors.iter().map(|detector| detector.name.as_str()).collect();
    assert_eq!(names, ["out_of_memory", "traceback", "exit_code"]);
    assert_eq!(config.notifiers, [Notifier::Log]);
    assert_eq!(config.retention.max_bytes, 1 << 30);
}
#[test]
fn x() {
    println!("{}", problems("proces:\n  command: [a, 1.0\n"));
    println!(
        "{}",
        problems(
            "process:\n  command: [a, 1.0]\n  env: {A: $NOPE, B: 'x ${NOPE2} y', C: }\n  cooldown_seconds: 3\nmonitor:\n  poll_interval_seconds: -3\n  poll_interval_seconds: 5\ndetecters: []\ndetectors:\n - kind: patern\n - kind: pattern\n   regex: 'foo(?=bar)'\n - name: oom\n   kind: pattern\n   regex: 'ab[c'\nrules:\n - match: {detector: oomm}\n   action: restrat\n - match: {}\n   action: {kind: restart_with_env}\n"
        )
    );
}
