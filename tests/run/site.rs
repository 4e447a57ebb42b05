//! A project with a shell script to supervise, its configuration, and what `sentry` has written about it.

use std::fs;

use serde_json::Value;

use crate::common::{Outcome, Running, SOON, TestEnv, poll_until};

/// Every script begins with this: `$LIFE` is 1 in the first child, 2 in the second, …
const PREAMBLE: &str =
    "echo $$ >> lives\nLIFE=$(grep -c . lives)\nuntil_there() { until [ -e \"$1\" ]; do sleep 0.02; done; }\n";

/// A script and its configuration, to be changed and then made.
#[must_use]
pub(crate) struct Job {
    script: String,
    command: String,
    process: String,
    policy: String,
    healing: String,
    rest: String,
}

impl Job {
    /// A shell script; no pause between children, no settling, the default detectors.
    pub(crate) fn sh(script: &str) -> Self {
        Self {
            script: script.to_owned(),
            command: "[sh, job.sh]".to_owned(),
            process: String::new(),
            policy: "cooldown_seconds: 0, backoff: fixed".to_owned(),
            healing: "settle_seconds: 0".to_owned(),
            rest: String::new(),
        }
    }

    /// Another command than the script.
    pub(crate) fn command(mut self, command: &str) -> Self {
        command.clone_into(&mut self.command);
        self
    }

    /// Keys of `process`, as a flow mapping without braces.
    pub(crate) fn process(mut self, keys: &str) -> Self {
        self.process = format!(", {keys}");
        self
    }

    /// Ends with the child's first end.
    pub(crate) fn once(self) -> Self {
        self.process("lifecycle: one_shot")
    }

    /// Keys of `process.restart_policy` besides a fixed pause of nothing.
    pub(crate) fn policy(mut self, keys: &str) -> Self {
        self.policy = format!("{}, {keys}", self.policy);
        self
    }

    /// All keys of `process.restart_policy`.
    pub(crate) fn whole_policy(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.policy);
        self
    }

    /// All keys of `healing`.
    pub(crate) fn healing(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.healing);
        self
    }

    /// Top-level keys.
    pub(crate) fn with(mut self, yaml: &str) -> Self {
        self.rest.push_str(yaml);
        self.rest.push('\n');
        self
    }

    /// One detector that fires on lines with `boom`, besides the one for exits.
    pub(crate) fn boom(self) -> Self {
        self.with("detectors: [{name: boom, kind: pattern, regex: boom}, {name: exit_code, kind: exit_code}]")
    }

    /// The text of `sentry.yaml`.
    pub(crate) fn yaml(&self) -> String {
        let Self { command, process, policy, healing, rest, .. } = self;
        format!(
            "process: {{command: {command}{process}, restart_policy: {{{policy}}}}}\nhealing: {{{healing}}}\n{rest}"
        )
    }

    /// Writes it all into a new project.
    pub(crate) fn make(self) -> Site {
        self.make_in(TestEnv::new())
    }

    /// Writes it all into a project.
    pub(crate) fn make_in(self, env: TestEnv) -> Site {
        env.write("sentry.yaml", self.yaml());
        env.write("job.sh", format!("{PREAMBLE}{}", self.script));
        Site { env }
    }
}

/// A project in which `sentry run` runs.
pub(crate) struct Site {
    pub(crate) env: TestEnv,
}

impl Site {
    /// Runs to the end, after which nothing may be alive.
    pub(crate) fn run(&self) -> Outcome {
        let outcome = self.env.run(&["run"]);
        self.assert_all_gone();
        outcome
    }

    /// Starts a monitor.
    pub(crate) fn start(&self) -> Running<'_> {
        self.env.sentry(&["run"]).start()
    }

    /// Asks the monitor for something; its answer.
    #[track_caller]
    pub(crate) fn ask(&self, args: &[&str]) -> String {
        let outcome = self.env.run(args).expect_code(0);
        outcome.stdout.clone() + &outcome.stderr
    }

    /// Requires that every process of the project is gone soon.
    #[track_caller]
    pub(crate) fn assert_all_gone(&self) {
        poll_until(SOON, "the end of all processes", || {
            let alive = self.env.processes();
            let show =
                |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
            if alive.is_empty() { Ok(()) } else { Err(alive.iter().map(show).collect::<Vec<_>>().join("\n")) }
        });
    }

    /// Process ids of the children so far.
    pub(crate) fn lives(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.env.path("lives")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Lets a script that waits for this file go on.
    pub(crate) fn touch(&self, name: &str) {
        self.env.write(name, "");
    }

    /// Waits until a script has written this file.
    #[track_caller]
    pub(crate) fn until_there(&self, name: &str) {
        poll_until(SOON, name, || self.env.path(name).exists().then_some(()).ok_or_else(|| self.env.tree()));
    }

    /// `state.json`.
    pub(crate) fn state(&self) -> Value {
        let text = fs::read_to_string(self.env.path(".sentry/state.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Waits until `state.json` is as wanted.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        poll_until(SOON, what, || {
            let state = self.state();
            if wanted(&state) { Ok(state) } else { Err(format!("{state:#}\n{}", self.said())) }
        })
    }

    /// Waits until the monitor is in a phase.
    #[track_caller]
    pub(crate) fn until_phase(&self, phase: &str) -> Value {
        self.until(phase, |state| state["phase"] == phase)
    }

    /// Waits until child `no` is alive.
    #[track_caller]
    pub(crate) fn until_child(&self, no: u64) -> i32 {
        let state = self.until("a child", |state| state["child"]["no"] == no && state["child"]["alive"] == true);
        i32::try_from(state["child"]["process"]["pid"].as_i64().unwrap()).unwrap()
    }

    /// The incidents, oldest first.
    pub(crate) fn incidents(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.env.path(".sentry/incidents/index.jsonl")).unwrap_or_default();
        let ids =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned());
        ids.map(|id| serde_json::from_str(&self.env.read(format!(".sentry/incidents/{id}/incident.json"))).unwrap())
            .collect()
    }

    /// The only incident.
    #[track_caller]
    pub(crate) fn incident(&self) -> Value {
        let mut all = self.incidents();
        assert_eq!(all.len(), 1, "{all:#?}\n{}", self.said());
        all.remove(0)
    }

    /// A file of an incident.
    pub(crate) fn file(&self, incident: &Value, name: &str) -> String {
        self.env.read(format!(".sentry/incidents/{}/{name}", incident["id"].as_str().unwrap()))
    }

    /// The ledger: `ATTEMPT ACTION by HEALER: STATUS` per row.
    pub(crate) fn ledger(&self) -> Vec<String> {
        let text = fs::read_to_string(self.env.path(".sentry/attempts.tsv")).unwrap_or_default();
        let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
        rows.map(|row| format!("{} {} by {}: {}", row[8], row[9], row[3], row[5])).collect()
    }

    /// The ledger's verdicts alone, in the order in which they fell.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        self.ledger().into_iter().filter(|row| !row.ends_with(": pending")).collect()
    }

    /// All that the monitors have written about themselves.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.env.path(".sentry/logs/sentry.log")).unwrap_or_default()
    }
}
