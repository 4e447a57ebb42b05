//! Whole files through [`parse`].

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const AUTOSENTRY: &str = include_str!("../../fixtures/config/autosentry.yaml");

fn vars(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/ada".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

type Outcome = Result<(Config, Vec<Warning>), Vec<ConfigError>>;

fn read_as(file: &str, text: &str) -> Outcome {
    parse(text, Some(Path::new(file)), Path::new("/work/p"), &vars)
}

fn read(text: &str) -> Outcome {
    read_as("sentry.yaml", text)
}

/// One line per problem.
fn lines(outcome: &Outcome) -> String {
    let lines: Vec<String> = match outcome {
        Ok((_, warnings)) => warnings.iter().map(|warning| format!("warning {warning}")).collect(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    };
    if lines.is_empty() { "fine".to_owned() } else { lines.join("\n") }
}

fn ok(text: &str) -> Config {
    let outcome = read(text);
    assert!(outcome.is_ok(), "{}\n{text}", lines(&outcome));
    outcome.unwrap().0
}

/// A file with this `process` mapping (flow style) and a command.
fn process(keys: &str) -> Process {
    ok(&format!("process: {{command: [a], {keys}}}")).process
}

#[test]
fn defaults_are_as_documented() {
    let config = defaults(vec!["true".to_owned()], Path::new("/work/p"));
    assert_eq!(config.process.cwd, PathBuf::from("/work/p"));
    assert_eq!(config.process.stop_grace, Duration::from_secs(30));
    assert_eq!(config.process.restart_policy.max_restarts, 10);
    let backoff = Backoff { factor: 2.0, max: Duration::from_secs(900), jitter: 0.1 };
    assert_eq!(config.process.restart_policy.backoff, backoff);
    assert_eq!(config.monitor.poll_interval, Duration::from_secs(30));
    assert_eq!(config.healing.settle, Duration::from_secs(2));
    assert_eq!(config.healing.verify_window, Duration::from_secs(600));
    assert_eq!(config.incidents_dir, PathBuf::from("/work/p/.sentry/incidents"));
    let names: Vec<&str> = config.own_detectors().map(|detector| detector.name.as_str()).collect();
    assert_eq!(names, ["catalogue", "out_of_memory", "traceback", "exit_code"]);
    assert_eq!(config.notifiers, [Notifier::Log]);
    assert_eq!(config.retention.max_bytes, 1 << 30);
}

#[test]
fn commented_default_is_the_default() {
    let (config, warnings) = read(template::TEMPLATE).unwrap_or_else(|errors| panic!("{}", lines(&Err(errors))));
    assert_eq!(warnings, []);
    let expected = defaults(config.process.command.clone(), Path::new("/work/p"));
    assert_eq!(show(&config).to_yaml(), show(&expected).to_yaml());
    assert!(template::TEMPLATE.starts_with("# yaml-language-server: $schema=.sentry/sentry.schema.json\n"));
}

#[test]
fn commented_default_names_every_key() {
    for (place, table) in tables::every() {
        for key in table.keys {
            // Keys of rules and detectors are told in words.
            let told = [
                format!("{}:", key.name),
                format!("{},", key.name),
                format!("{} ", key.name),
                format!("{}\n", key.name),
            ];
            assert!(told.iter().any(|told| template::TEMPLATE.contains(told)), "`{place}.{}` is missing", key.name);
        }
    }
}

/// The keys without effect at the end of the template, uncommented.
#[test]
fn commented_keys_are_read() {
    let (_, tail) = template::TEMPLATE.split_once("what to use instead.\n#\n").unwrap();
    let text: String = tail.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line))).collect();
    insta::assert_snapshot!(lines(&read(&text)), @r"
    warning sentry.yaml:3:3: `process.stages` has no effect (stages are not there yet, and `sentry run` refuses a file without `process.command`)
    warning sentry.yaml:4:3: `process.max_stage_seconds` has no effect (stages are not there yet; `timeout SECONDS COMMAND` gives a command a deadline)
    warning sentry.yaml:5:3: `process.stage_stop_grace_seconds` has no effect (stages are not there yet; see `process.stop_grace_seconds`)
    warning sentry.yaml:9:3: `monitor.stall_timeout_seconds` has no effect (autosentry never read it; add a detector with `kind: stall` and `no_progress_seconds`)
    warning sentry.yaml:10:3: `monitor.log_tail_lines` has no effect (autosentry never read it; see `monitor.log_excerpt_lines`)
    warning sentry.yaml:11:3: `monitor.dead_child_grace_seconds` has no effect (a dead command is noticed at once; see `process.lifecycle`)
    warning sentry.yaml:13:3: `healing.agent` has no effect (agents are not there yet; incidents are handled by rules)
    warning sentry.yaml:23:3: `healing.git` has no effect (agents are not there yet, so there are no fix branches)
    warning sentry.yaml:28:3: `healing.langgraph` has no effect (it will not come; agents will be configured in `healing.agent`)
    warning sentry.yaml:30:6: notifier `slack_outbox` is not there yet (notifications go to `log` only; `custom_command` of a rule can call anything)
    warning sentry.yaml:31:1: `vault` has no effect (the vault is not there yet; every incident has its folder)
    warning sentry.yaml:32:1: `dispatch` has no effect (session dispatch is not there yet; incidents are handled by rules)
    ");
}

#[test]
fn schema_is_committed() {
    let committed = include_str!("../../templates/sentry.schema.json");
    assert!(schema() == committed, "run: sentry config schema > templates/sentry.schema.json");
}

#[test]
fn every_default_is_of_its_kind() {
    for (place, table) in tables::every() {
        for key in table.keys.iter().filter(|key| !key.default.is_empty()) {
            let mut problems = problem::Problems::default();
            let node = yaml::read(key.default, &mut problems).unwrap();
            let entry = yaml::Entry { key: key.name.to_owned(), key_at: 0..0, value: node };
            let map = yaml::Node { at: 0..0, value: yaml::Value::Map(vec![entry]) };
            check::Checker { problems: &mut problems, legacy: false }.table(&map, table, &place);
            let (errors, _) = problems.place("", None);
            assert_eq!(errors, [], "{place}.{}", key.name);
        }
    }
}

/// Every kind of error and warning, by name.
#[test]
fn problems() {
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x]\n{}",
        ["b", "c", "d", "e", "f", "g"].iter().zip(["a", "b", "c", "d", "e", "f"]).fold(
            String::new(),
            |mut out, (to, from)| {
                let _ = writeln!(out, "{to}: &{to} [{}]", vec![format!("*{from}"); 9].join(","));
                out
            }
        )
    );
    let wide = format!("a: &a {}\nb: [{}]", "x".repeat(400_000), ["*a"; 9].join(","));
    let deep = format!("a: {}", "[".repeat(200));
    let block = (0..100).fold(String::new(), |out, depth| format!("{out}{}a:\n", " ".repeat(depth)));
    let long = format!("{{process: {{command: [a]}}}} # {}", "x".repeat(MAX_BYTES));
    let rows: &[(&str, &str)] = &[
        ("empty file", ""),
        ("only comments", "# nothing\n"),
        ("scalar file", "hello"),
        ("syntax", "process:\n  command: [a\nrules: []\n"),
        ("tab", "process:\n\tcommand: [a]\n"),
        ("second document", "process: {command: [a]}\n---\n{}\n"),
        ("unknown alias", "process: {command: *x}\n"),
        ("alias inside itself", "process: {command: &x [*x]}\n"),
        ("tag", "process: {command: !!binary aGk=}\n"),
        ("alias bomb", &bomb),
        ("long aliases", &wide),
        ("deep flow", &deep),
        ("deep block", &block),
        ("too long", &long),
        ("duplicate key", "process:\n  command: [a]\n  command: [b]\n"),
        ("key that is no text", "? [a]\n: 1\nprocess: {command: [a]}\n"),
        ("merge of no mapping", "process: {command: [a], <<: [b], <<: {pty: true}}\n"),
        ("unknown key", "process: {command: [a]}\ndetecters: []\n"),
        ("unknown key of elsewhere", "process: {command: [a], max_restarts: 3}\n"),
        ("unknown key of nowhere", "process: {command: [a], restart_policy: {qqqqqq: 3}}\n"),
        ("list for mapping", "process: [a]\n"),
        ("mapping for list", "process: {command: [a]}\nrules: {a: 1}\n"),
        ("text for number", "process: {command: [a], restart_policy: {max_restarts: ten}}\n"),
        ("quoted number", "process: {command: [a], restart_policy: {max_restarts: '10'}}\n"),
        ("fraction for whole number", "process: {command: [a], restart_policy: {max_restarts: 1.5}}\n"),
        (
            "number out of range",
            "process: {command: [a], restart_policy: {max_restarts: -1, backoff: {factor: 0.5, jitter: 2}}}\n",
        ),
        ("yes for true", "process: {command: [a], pty: yes}\n"),
        ("number for text", "process: {command: [a]}\nhealing: {git: {branch_prefix: 8}}\n"),
        ("time", "process: {command: [a], stop_grace_seconds: 5 parsecs}\n"),
        ("negative time", "process: {command: [a], stop_grace_seconds: -5}\n"),
        ("no time", "process: {command: [a]}\nmonitor: {poll_interval_seconds: 0}\n"),
        (
            "absurd time",
            "process: {command: [a], stop_grace_seconds: 101y}\nhealing: {settle_seconds: 99999999999999}\n",
        ),
        ("size", "process: {command: [a]}\nretention: {max_bytes: 3 apples}\n"),
        ("word", "process: {command: [a], lifecycle: oneshot, stop_signal: sigterm}\n"),
        ("truth value or word", "process: {command: [a]}\nhealing: {agent: {enabled: maybe}}\n"),
        ("no command", "process: {cwd: .}\n"),
        ("empty command", "process: {command: []}\n"),
        ("command without a value", "process: {command: }\n"),
        ("empty program", "process: {command: ['', x]}\n"),
        ("open quote", "process: {command: \"sh -c 'x\"}\n"),
        ("NUL bytes", "process: {command: [a, \"b\\0\"], cwd: \"\\0\"}\n"),
        ("command with a mapping", "process: {command: [a, {b: c}]}\n"),
        ("environment", "process: {command: [a], env: {A: , B: [x], 'C=D': x, E: \"\\0\"}}\n"),
        ("unset variables", "process: {command: [a], env: {A: 'x $NOPE ${NOPE2}', B: \"\\t${NOPE}\"}, cwd: $NOPE/x}\n"),
        ("variables of a wrong shape", "process: {command: [a], env: {A: '${HOME', B: '${HOME-x}', C: '${}'}}\n"),
        (
            "regex",
            "process: {command: [a]}\ndetectors: [{kind: pattern, name: a, regex: 'a(b'}, {kind: pattern, name: b, regex: '(?=x)'}, {kind: pattern, name: c, regex: \"\\ta[b\"}, {kind: stall, metric_regex: ''}]\n",
        ),
        ("regex too big", "process: {command: [a]}\ndetectors: [{kind: pattern, regex: '((a{100}){100}){100}'}]\n"),
        ("regex of a rule", "process: {command: [a]}\nrules: [{match: {message_regex: '*'}, action: restart}]\n"),
        ("glob", "process: {command: [a]}\nconfig_snapshots: ['a[', '']\n"),
        ("detector without kind", "process: {command: [a]}\ndetectors: [{name: x}, {}]\n"),
        ("detector of an unknown kind", "process: {command: [a]}\ndetectors: [{kind: patern, regex: x}]\n"),
        ("pattern without regex", "process: {command: [a]}\ndetectors: [{kind: pattern}]\n"),
        (
            "duplicate detectors",
            "process: {command: [a]}\ndetectors: [{kind: traceback}, {kind: stall, name: traceback}]\n",
        ),
        (
            "bad names",
            "process: {command: [a]}\ndetectors: [{kind: traceback, name: ''}, {kind: stall, name: \"a\\nb\"}]\n",
        ),
        ("detector that is no mapping", "process: {command: [a]}\ndetectors: [oom, ]\n"),
        ("key of another kind", "process: {command: [a]}\ndetectors: [{kind: stall, nonzero_only: true}]\n"),
        (
            "unknown detector",
            "process: {command: [a]}\ndetectors: [{kind: traceback, name: disk}]\nrules: [{match: {detector: dsk}, action: restart}, {match: {detector: zzzzzz}, action: restart}]\n",
        ),
        ("unknown built-in detector", "process: {command: [a]}\nrules: [{match: {detector: oom}, action: restart}]\n"),
        (
            "broken detectors keep their names",
            "process: {command: [a]}\ndetectors: [{kind: pattern, name: oom, regex: '('}]\nrules: [{match: {detector: oom}, action: restart}]\n",
        ),
        (
            "duplicate rules",
            "process: {command: [a]}\nrules: [{name: a, match: {exit_code: 1}, action: restart}, {name: a, match: {exit_code: 2}, action: restart}]\n",
        ),
        ("rule without parts", "process: {command: [a]}\nrules: [{name: a}]\n"),
        ("unknown action", "process: {command: [a]}\nrules: [{match: {}, action: restrat}]\n"),
        ("action without kind", "process: {command: [a]}\nrules: [{match: {}, action: {set: {A: half}}}]\n"),
        ("nothing to set", "process: {command: [a]}\nrules: [{match: {}, action: restart_with_env}]\n"),
        ("no custom command", "process: {command: [a]}\nrules: [{match: {}, action: custom_command}]\n"),
        (
            "key of another action",
            "process: {command: [a]}\nrules: [{match: {}, action: {kind: restart, set: {A: half}}}]\n",
        ),
        ("exit code", "process: {command: [a]}\nrules: [{match: {exit_code: 256}, action: restart}]\n"),
        ("signal", "process: {command: [a]}\nrules: [{match: {signal: SIGKIL}, action: restart}]\n"),
        ("within without count", "process: {command: [a]}\nrules: [{match: {within_seconds: 5}, action: restart}]\n"),
        (
            "both names of a key",
            "process: {command: [a]}\nhealing: {agent: {}, claude: {}}\nrules: [{match: {regex: a, message_regex: b}, action: restart}]\n",
        ),
        (
            "dead rule",
            "process: {command: [a]}\nrules: [{match: {kind: traceback}, action: ignore}, {match: {detector: traceback, exception: KeyError}, action: restart}]\n",
        ),
        ("other kinds", "process: {kind: slurm}\n"),
        ("tags", "process: !!python/object:os.system {command: !x [a], env: !!map {A: !!str 1}}\n"),
        ("a pipe", "process: {command: 'python train.py | tee log'}\n"),
        ("a pipe for a shell", "process: {command: [sh, -c, 'python train.py | tee log', '|']}\n"),
        ("a variable before the command", "process: {command: A=1 python train.py}\n"),
        ("stages", "process: {stages: [{name: a, command: [b]}], max_stage_seconds: 5}\n"),
        (
            "keys without effect",
            "process: {command: [a], extra: {x: 1}}\nmonitor: {stall_timeout_seconds: 5, log_tail_lines: 3}\nvault: {enabled: true}\n",
        ),
        ("notifiers", "process: {command: [a]}\nnotifiers: [{kind: webhook, url: x}, {}]\n"),
        ("notifier not there yet", "process: {command: [a]}\nnotifiers: [{kind: webhook, url: x}]\n"),
        ("subagent of nobody", "process: {command: [a]}\nhealing: {agent: {subagents: {trackback: {type: x}}}}\n"),
        ("autosentry's place", "process: {command: [a]}\nstate_path: .autosentry/state.json\n"),
    ];
    let mut all = String::new();
    for (name, text) in rows {
        let _ = writeln!(all, "== {name}\n{}", lines(&read(text)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn looks_like_this() {
    let text = "process:\n  command: [a]\n  pty: maybe\ndetectors:\n  - kind: pattern\n    regex: 'a(?=b)'\n  - {kind: traceback}\n  - {kind: traceback}\n";
    let shown: Vec<String> = read(text).unwrap_err().iter().map(|error| error.render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"), @r"
    error: `process.pty` must be true or false
     --> sentry.yaml:3:8
      |
    3 |   pty: maybe
      |        ^^^^^ this is text

    error: `detectors[0].regex` is not a regular expression
     --> sentry.yaml:6:14
      |
    6 |     regex: 'a(?=b)'
      |              ^^^ look-around, including look-ahead and look-behind, is not supported
      |
      = help: look-around and backreferences are not supported: every expression runs in linear time

    error: two detectors are called `traceback`
     --> sentry.yaml:8:6
      |
    8 |   - {kind: traceback}
      |      ^^^^
      |
     ::: sentry.yaml:7:6
      |
    7 |   - {kind: traceback}
      |      ---- given first here
      |
      = help: give each its own `name`
    ");
}

#[test]
fn hostile_text_cannot_escape() {
    let texts = [
        "process: {command: [a]}\n\"\\e[31m\u{202e}x\": \u{9b}31m\n",
        "\"\\e[31m\\u202e\\x9bx\u{202e}\": 3 # \u{202e}",
    ];
    let errors = texts.into_iter().flat_map(|text| read(text).unwrap_err());
    let shown = errors.map(|error| format!("{}\n{error}\n", error.render(false))).collect::<String>();
    let bad = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!shown.contains(bad), "{shown:?}");
}

#[test]
fn positions_count_characters() {
    let errors = read("process: {command: [a]}\n# ü\nhealing: {\"ä\": 1, x: 2}\r\n").unwrap_err();
    let places: Vec<(usize, usize)> =
        errors.iter().map(|error| (error.problem().line, error.problem().column)).collect();
    assert_eq!(places, [(3, 11), (3, 19)]);
}

#[test]
fn values() {
    let exponential = Backoff { factor: 2.0, max: Duration::from_secs(900), jitter: 0.1 };
    assert_eq!(process("restart_policy: {backoff: exponential}").restart_policy.backoff, exponential);
    assert_eq!(process("restart_policy: {backoff: fixed}").restart_policy.backoff.factor, 1.0);
    let own = process("restart_policy: {backoff: {factor: 3, max_seconds: 5m}}").restart_policy.backoff;
    assert_eq!(own, Backoff { factor: 3.0, max: Duration::from_secs(300), jitter: 0.1 });
    assert_eq!(process("stop_signal: SIGUSR1").stop_signal, StopSignal::Usr1);
    assert_eq!(process("cwd: ../x/./y").cwd, PathBuf::from("/work/x/y"));
    assert_eq!(process("cwd: $HOME/job").cwd, PathBuf::from("/home/ada/job"));
    let env = process("env: {A: 8, B: true, C: '$HOME-${NOPE:-d}-${EMPTY:-e}-$$HOME-$5', D: ''}").env;
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, [("A", "8"), ("B", "true"), ("C", "/home/ada-d-e-$HOME-$5"), ("D", "")]);
    assert_eq!(
        ok("process: {command: [sleep, 1.0, 010, true, ~]}").process.command,
        ["sleep", "1.0", "010", "true", "~"]
    );
    assert_eq!(ok("process: {command: \"sh -c 'a b'\"}").process.command, ["sh", "-c", "a b"]);
    let config = ok(
        "process: {command: [a]}\nrules:\n- match: {regex: x, signal: 9, count: 3, within_seconds: 1h, language: go, category: import}\n  action: {kind: restart_with_env, set: {A: half, B: double, C: 7}, notify: false}\n- {match: {}, action: ignore}\n",
    );
    let shown = show(&config).to_yaml();
    let rules = shown.split_once("rules:\n").and_then(|(_, rest)| rest.split_once("healing:")).map(|(rules, _)| rules);
    insta::assert_snapshot!(rules.unwrap(), @r"
    - name: rule-1
      match:
        message_regex: x
        language: go
        signal: KILL
        category: import
        count: 3
        within_seconds: 3600
      action:
        kind: restart_with_env
        set:
          A: half
          B: double
          C: '7'
        notify: false
    - name: rule-2
      match: {}
      action:
        kind: ignore
        notify: true
    ");
}

#[test]
fn durations() {
    let rows = [
        ("90", 90.0),
        ("0.5", 0.5),
        ("90s", 90.0),
        ("'10m'", 600.0),
        ("2h", 7_200.0),
        ("1d", 86_400.0),
        ("1h30m", 5_400.0),
        ("1h 5 m", 3_900.0),
        ("250ms", 0.25),
    ];
    for (text, seconds) in rows {
        assert_eq!(
            process(&format!("stop_grace_seconds: {text}")).stop_grace,
            Duration::from_secs_f64(seconds),
            "{text}"
        );
    }
}

#[test]
fn sizes() {
    let rows = [("0", 0), ("1000", 1_000), ("10MB", 10_000_000), ("1.5 KiB", 1_536), ("2GiB", 2 << 30), ("1k", 1_000)];
    for (text, bytes) in rows {
        assert_eq!(
            ok(&format!("process: {{command: [a]}}\nretention: {{max_bytes: {text}}}")).retention.max_bytes,
            bytes,
            "{text}"
        );
    }
}

#[test]
fn null_is_not_given() {
    let config = ok(
        "process: {command: [a], env: , cwd: ~}\nmonitor:\nrules:\ndetectors:\nhealing: {escalate_to_claude_after: null}\n",
    );
    assert_eq!(
        (config.own_detectors().count(), config.rules.len(), config.healing.escalate_to_agent_after),
        (4, 0, None)
    );
    assert!(ok("process: {command: [a]}\ndetectors: []\n").detectors.is_empty());
}

#[test]
fn anchors_and_merges() {
    let config = ok(
        "process: &p\n  command: [a]\nrules:\n- {match: &m {exit_code: 1}, action: restart}\n- match: {<<: *m, exit_code: 2, kind: exit_code}\n  action: pause\n",
    );
    assert_eq!(config.rules.get(1).and_then(|rule| rule.when.exit_code), Some(2));
}

#[test]
fn command_of_the_command_line_replaces_the_files() {
    let text = "healing: {settle_seconds: 1}\n";
    let (config, _) =
        parse_with_command(text, None, Path::new("/p"), Outside::of_vars(&vars), Some(vec!["b".to_owned()])).unwrap();
    assert_eq!((config.process.command, config.healing.settle), (vec!["b".to_owned()], Duration::from_secs(1)));
}

#[test]
fn unicode_in_line_patterns() {
    let config = ok(
        "process: {command: [a]}\ndetectors: [{kind: pattern, regex: 'Gerät [äö]'}, {kind: pattern, regex: '\\w+'}]",
    );
    let found: Vec<bool> = config
        .detectors
        .iter()
        .map(|detector| matches!(&detector.what, What::Pattern { regex, .. } if regex.is_match("Gerät ö".as_bytes())))
        .collect();
    assert_eq!(found, [true, true]);
}

#[test]
fn projects() {
    for (file, project) in [
        ("/p/sentry.yaml", "/p"),
        ("/p/.sentry/sentry.yaml", "/p"),
        ("/p/.autosentry/autosentry.yaml", "/p"),
        ("/p/conf/x.yaml", "/p/conf"),
    ] {
        assert_eq!(project_of(Path::new(file)), Path::new(project), "{file}");
    }
}

#[test]
fn bytes_that_are_no_text() {
    let errors = decode(b"a: 1\nb\xc3\xa4: \xff\n", Some(Path::new("x.yaml"))).unwrap_err();
    insta::assert_snapshot!(errors[0], @"x.yaml:2:5: not valid UTF-8: byte 10 (save the file as UTF-8)");
    assert!(decode("a".repeat(MAX_BYTES + 1).as_bytes(), None).is_err());
    assert_eq!(decode("\u{feff}a".as_bytes(), None), Ok("a"));
}

#[test]
fn autosentry_file_loads() {
    let outcome = read_as("autosentry.yaml", AUTOSENTRY);
    insta::assert_snapshot!(lines(&outcome));
    let config = outcome.unwrap().0;
    assert_eq!((config.own_detectors().count(), config.rules.len()), (6, 4));
    assert_eq!(config.incidents_dir, PathBuf::from("/work/p/.sentry/incidents"));
    assert_eq!(config.healing.agent.mode, AgentMode::Session);
    let unset = read_as("autosentry.yaml", "process: {command: [a, $SCRIPT], env: {A: $NOPE}}");
    insta::assert_snapshot!(lines(&unset), @r#"
    warning autosentry.yaml:1:24: variables are not filled in here (only in `process.env`, `cwd` and paths; run a shell for the rest: `[sh, -c, "exec python $SCRIPT"]`)
    warning autosentry.yaml:1:43: variable `NOPE` is not set (it is kept as written, as in autosentry)
    "#);
    assert_eq!(unset.unwrap().0.process.env.get("A").map(String::as_str), Some("$NOPE"));
}

#[test]
fn a_converted_file_has_no_warnings() {
    let rows = [
        (
            "agent and git",
            "process: {command: [a]}\nhealing:\n  claude:\n    mode: langgraph\n  git: {enabled: true}\n  verify_window_seconds: 5\n",
        ),
        ("flow notifiers", "process: {command: [a]}\nnotifiers:\n  - {kind: log}\n  - {kind: webhook, url: x}\n"),
        (
            "block notifiers",
            "process: {command: [a]}\nnotifiers:\n- kind: slack_outbox\n  channel: ops\n\n- kind: log\n",
        ),
        (
            "all 0.15.1 blocks",
            "process:\n  command: [a]\n  required_env: [HOME]\nvault: {enabled: true}\ndispatch:\n  mode: builtin\n",
        ),
    ];
    for (name, text) in rows {
        let (converted, warnings) =
            convert(text, Some(Path::new("autosentry.yaml")), Path::new("/work/p"), &|_| None).unwrap();
        assert!(!warnings.is_empty(), "{name}");
        let (config, left) = read(&converted).unwrap();
        assert_eq!(left, [], "{name}\n{converted}");
        assert_eq!(config.process.command, ["a"], "{name}");
    }
}

#[test]
fn autosentry_file_is_converted() {
    let (text, warnings) = convert(AUTOSENTRY, Some(Path::new("old.yaml")), Path::new("/work/p"), &vars).unwrap();
    insta::assert_snapshot!(text);
    assert!(warnings.iter().all(|warning| warning.to_string().starts_with("old.yaml:")));
    let mut config = ok(&text);
    let original = read_as("autosentry.yaml", AUTOSENTRY).unwrap().0;
    // Without effect, so they have become comments.
    config.healing.agent = original.healing.agent.clone();
    config.healing.git = original.healing.git.clone();
    assert_eq!(show(&config).to_yaml(), show(&original).to_yaml());
}

#[test]
fn secrets_are_not_shown() {
    let config = ok(
        "process:\n  command: [a, --token=abc1, --password, abc2, 'postgres://u:abc3@h/d', --port, '1']\n  env: {API_KEY: abc4, my_token: abc5, URL: 'https://u:abc6@h', KEYBOARD: us, AUTHOR: x, TOKENIZERS_PARALLELISM: 'false'}\nrules: [{match: {}, action: {kind: restart_with_env, set: {DB_PASSWORD: abc7}}}]\n",
    );
    let shown = show(&config).to_yaml();
    assert!(!shown.contains("abc"), "{shown}");
    insta::assert_snapshot!(shown.lines().skip(2).take(9).collect::<Vec<_>>().join("\n"), @r"
    command: [a, '--token=<secret>', '--password', '<secret>', 'postgres://u:<secret>@h/d', '--port', '1']
    cwd: /work/p
    env:
      API_KEY: '<secret>'
      AUTHOR: x
      KEYBOARD: us
      TOKENIZERS_PARALLELISM: 'false'
      URL: 'https://u:<secret>@h'
      my_token: '<secret>'
    ");
}

fn anything() -> impl Strategy<Value = String> {
    let words = vec![
        "process",
        "command",
        "env",
        "detectors",
        "rules",
        "match",
        "action",
        "kind",
        "pattern",
        "regex",
        "set",
        "half",
        "healing",
        "restart_with_env",
        "a",
        "1",
        "-1",
        "1e999",
        "true",
        "null",
        "~",
        "$X",
        "${X:-",
        "10m",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "<<",
        "'",
        "\"",
        "|",
        ">",
        "# c",
        "!!str ",
        "? ",
        "---",
        "%YAML 1.2\n",
        "\t",
        "é",
        "\u{0}",
        "\r\n",
    ];
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in anything(), file in prop::sample::select(vec!["sentry.yaml", "autosentry.yaml"])) {
        if let Err(errors) = read_as(file, &text) {
            prop_assert!(!errors.is_empty());
            for error in &errors {
                prop_assert!(!error.render(false).is_empty());
            }
        }
        let _ = convert(&text, None, Path::new("/p"), &vars);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(text) = decode(&bytes, None) {
            let _ = read(text);
        }
    }

    #[test]
    fn words_read_back(text in "\\PC{0,10}|[ -~]{0,10}|(\\n|\\r|\\t|\u{85}|\u{feff}|\u{7f}|a| ){0,6}") {
        let entry = format!("k: {}\nl: [{}]\n{}: 1\n", word(&text), word(&text), word(&text));
        let mut problems = problem::Problems::default();
        let root = yaml::read(&entry, &mut problems).unwrap();
        let (k, l) = (root.entries()[0].value.clone(), root.entries()[1].value.clone());
        prop_assert_eq!(scalar::text(&k).unwrap_or_default(), &text);
        prop_assert_eq!(scalar::text(&l.items()[0]).unwrap_or_default(), &text);
        if text != "k" && text != "l" {
            prop_assert_eq!(&root.entries()[2].key, &text);
        }
    }

    #[test]
    fn interpolation_is_the_shells(name in "[A-Z_][A-Z0-9_]{0,5}", value in "\\PC{0,6}", around in "[^$]{0,4}") {
        let vars = |asked: &str| (asked == name).then(|| value.clone());
        let (filled, bad) = interpolate::fill(&format!("{around}${{{name}}}{around}$${around}${{{name}X:-d}}"), &vars);
        prop_assert_eq!(filled, format!("{around}{value}{around}${around}d"));
        prop_assert_eq!(bad, vec![]);
    }

    #[test]
    fn shown_reads_back(env in prop::collection::btree_map("[A-J]{1,3}", "\\PC{0,8}", 0..4), command in prop::collection::vec("\\PC{1,8}", 1..4), regex in prop::sample::select(vec![r"a\d+'b", "x: y #", "[é]"])) {
        let text = format!(
            "process:\n  command: [{}]\n  env: {{{}}}\ndetectors: [{{kind: pattern, regex: {}}}, {{kind: stall, metric_regex: x}}]\nrules: [{{match: {{count: 2}}, action: {{kind: custom_command, command: [b], timeout_seconds: 0.25}}}}]\n",
            command.iter().map(|part| word(part)).collect::<Vec<_>>().join(", "),
            env.iter().map(|(name, value)| format!("{name}: {}", word(&value.replace('$', "$$")))).collect::<Vec<_>>().join(", "),
            word(regex),
        );
        let first = show(&ok(&text)).to_yaml();
        // What looks like a login in an address is not written out.
        prop_assume!(!first.contains("<secret>"));
        prop_assert_eq!(&first, &show(&ok(&first)).to_yaml());
    }
}

proptest! {
    #[test]
    fn a_command_line_is_the_command(words in prop::collection::vec("[^\\x00]{0,12}", 1..5)) {
        prop_assert_eq!(shlex::split(&command_line(&words)), Some(words));
    }
}

#[test]
fn a_command_line_is_quoted_where_it_must_be() {
    let line = |words: &[&str]| command_line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(line(&["gradle", "--console=plain", "run"]), "gradle --console=plain run");
    assert_eq!(line(&["sh", "-c", "echo $A; exit 1"]), "sh -c 'echo $A; exit 1'");
    assert_eq!(line(&["a", "", "b\0"]), "a '' \"b\\0\"");
}
