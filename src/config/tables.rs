//! Every key of `sentry.yaml`: name, kind, default, meaning. The one source of truth (see [`super::keys`]).
//!
//! Names and defaults follow autosentry 0.7.3 and 0.15.1 where those have the key.

use super::detector_tables::{DETECTOR, DETECTOR_KINDS, DETECTORS_DEFAULT, PHASE, SEVERITIES};
use super::keys::{Kind, Table, key};

const ANY_NUMBER: Kind = Kind::Whole { min: 0, max: 1_000_000_000 };
pub(super) const SECONDS: Kind = Kind::Seconds { min: 0.0 };
pub(super) const SOME_SECONDS: Kind = Kind::Seconds { min: 0.001 };
pub(super) const LANGUAGE: Kind = Kind::Word(LANGUAGES);

pub(super) static LANGUAGES: &[&str] = &[
    "python",
    "javascript",
    "typescript",
    "go",
    "rust",
    "java",
    "kotlin",
    "scala",
    "cpp",
    "shell",
    "dotnet",
    "ruby",
    "php",
];
pub(super) static ACTIONS: &[&str] =
    &["restart", "restart_with_env", "pause", "abort", "custom_command", "notify", "ignore"];
pub(super) static CATEGORIES: &[&str] = &[
    "timeout",
    "test",
    "lint",
    "type",
    "build",
    "runtime",
    "syntax",
    "import",
    "permission",
    "infrastructure",
    "unknown",
];
pub(super) static STOP_SIGNALS: &[&str] = &[
    "TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "KILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1",
    "SIGUSR2", "SIGKILL",
];

pub(super) static ROOT: Table = Table {
    what: "the configuration",
    keys: &[
        key("process", Kind::Section(&PROCESS), "", "What is supervised and how."),
        key("monitor", Kind::Section(&MONITOR), "", "The monitor itself."),
        key(
            "config_snapshots",
            Kind::List(&Kind::Glob),
            "[]",
            "Files copied, with secrets removed, into each incident: globs relative to the project.",
        ),
        key("source_explode", Kind::Section(&SOURCE_EXPLODE), "", "The source shown around the frames of a trace."),
        key(
            "detectors",
            Kind::List(&Kind::Section(&DETECTOR)),
            DETECTORS_DEFAULT,
            "What counts as a failure. When absent: the catalogue, out_of_memory, traceback and exit_code.",
        ),
        key(
            "phases",
            Kind::List(&Kind::Section(&PHASE)),
            "[]",
            "Parts of the work in which other numbers and longer pauses are healthy; detectors name them in `except`.",
        ),
        key(
            "rules",
            Kind::List(&Kind::Section(&RULE)),
            "[]",
            "What is done about it. The first rule that matches wins.",
        ),
        key("healing", Kind::Section(&HEALING), "", "How attempts are made, judged and limited."),
        key("notifiers", Kind::List(&Kind::Section(&NOTIFIER)), "[{kind: log}]", "Where people are told."),
        key("state_path", Kind::Path, ".sentry/state.json", "Snapshot of the state for readers."),
        key("incidents_dir", Kind::Path, ".sentry/incidents", "One folder per incident."),
        key("retention", Kind::Section(&RETENTION), "", "Caps on sentry's own files; 0 is no limit."),
        key("vault", Kind::Section(&VAULT), "", "Notes about runs for Obsidian.")
            .no_effect("the vault is not there yet; every incident has its folder"),
        key("dispatch", Kind::Section(&DISPATCH), "", "Who handles incidents.")
            .no_effect("session dispatch is not there yet; incidents are handled by rules"),
    ],
};

static PROCESS: Table = Table {
    what: "`process`",
    keys: &[
        key(
            "kind",
            Kind::Word(&["local", "slurm", "docker", "attach"]),
            "local",
            "Kind of supervisor. Only `local` is there yet.",
        ),
        key(
            "command",
            Kind::Command,
            "[]",
            "The program and its arguments; no shell is involved. One text is split as a shell would.",
        ),
        key("cwd", Kind::Path, ".", "Working directory."),
        key(
            "env",
            Kind::Map(&Kind::Scalar),
            "{}",
            "Variables set over the inherited environment. `$VAR`, `${VAR}` and `${VAR:-default}` are filled in, `$$` is a dollar sign.",
        ),
        key(
            "pty",
            Kind::Bool,
            "false",
            "Gives the command a terminal, for programs that buffer their output without one.",
        ),
        key("stop_signal", Kind::Word(STOP_SIGNALS), "TERM", "First signal of a stop."),
        key("stop_grace_seconds", SECONDS, "30", "Between the first signal and the kill."),
        key(
            "lifecycle",
            Kind::Word(&["restart_on_failure", "one_shot", "restart_always"]),
            "restart_on_failure",
            "What an exit means: restart_on_failure (exit 0 ends the run), one_shot (any exit ends it), restart_always (exit 0 starts the command again).",
        ),
        key("restart_policy", Kind::Section(&RESTART_POLICY), "", "Limits and pauses of restarts."),
        key(
            "logs",
            Kind::List(&Kind::Glob),
            "[]",
            "Files that are read besides the command's output, one stream each: globs relative to cwd; `**` crosses directories.",
        ),
        key("extra", Kind::Map(&Kind::Any), "{}", "Keys of other kinds of supervisors.")
            .no_effect("only `kind: local` is there yet, and it has no extra keys"),
        key("stages", Kind::List(&Kind::Section(&STAGE)), "[]", "Commands that run one after the other.")
            .no_effect("stages are not there yet, and `sentry run` refuses a file without `process.command`"),
        key("max_stage_seconds", SECONDS, "0", "Deadline of a stage.")
            .no_effect("stages are not there yet; `timeout SECONDS COMMAND` gives a command a deadline"),
        key("stage_stop_grace_seconds", SECONDS, "5", "Between the signal and the kill at the end of a stage.")
            .no_effect("stages are not there yet; see `process.stop_grace_seconds`"),
        key("required_executables", Kind::List(&Kind::Text), "[]", "Programs that must be there before the start.")
            .no_effect("this check is not there yet; a command that cannot be started is an incident"),
        key("required_env", Kind::List(&Kind::Text), "[]", "Variables that must be set before the start.")
            .no_effect("this check is not there yet; `${VAR}` in `process.env` refuses an unset variable"),
    ],
};

static STAGE: Table = Table {
    what: "a stage",
    keys: &[
        key("name", Kind::Name, "", "Unique name."),
        key("command", Kind::Command, "", "The program and its arguments."),
        key("cwd", Kind::Path, ".", "Working directory."),
        key("env", Kind::Map(&Kind::Scalar), "{}", "Variables."),
        key("restart_policy", Kind::Section(&RESTART_POLICY), "", "Limits and pauses of restarts."),
        key(
            "lifecycle",
            Kind::Word(&["restart_on_failure", "one_shot", "restart_always"]),
            "restart_on_failure",
            "What an exit means.",
        ),
        key("max_stage_seconds", SECONDS, "0", "Deadline."),
        key("required_executables", Kind::List(&Kind::Text), "[]", "Programs that must be there."),
        key("required_env", Kind::List(&Kind::Text), "[]", "Variables that must be set."),
    ],
};

static RESTART_POLICY: Table = Table {
    what: "`restart_policy`",
    keys: &[
        key(
            "max_restarts",
            ANY_NUMBER,
            "10",
            "Restarts that have not been verified until sentry gives up (exit code 80); 0 is no limit.",
        ),
        key("cooldown_seconds", SECONDS, "60", "Pause before a restart.")
            .differs("it is the pause before every restart here, also before one that a rule asks for"),
        key(
            "backoff",
            Kind::OneOf(&[Kind::Word(&["exponential", "fixed"]), Kind::Section(&BACKOFF)]),
            "exponential",
            "How the pause grows: `fixed`, `exponential`, or factor, max_seconds and jitter.",
        )
        .differs(
            "autosentry ignores it; here `exponential` doubles the pause with each unverified restart, up to 900 s",
        ),
        key("max_identical_failures", ANY_NUMBER, "5", "The same failure this often in a row: give up; 0 is no limit.")
            .differs("failures are compared by message and frames, and a fix that holds clears the count"),
        key(
            "max_restarts_in_window",
            ANY_NUMBER,
            "0",
            "Most restarts, verified or not, within restart_window_seconds; 0 is no limit.",
        ),
        key("restart_window_seconds", SOME_SECONDS, "3600", "See max_restarts_in_window."),
        key(
            "reset_after_healthy_seconds",
            SECONDS,
            "3600",
            "A command that ran this long without a failure clears the count of restarts; 0 is never.",
        ),
    ],
};

static BACKOFF: Table = Table {
    what: "`backoff`",
    keys: &[
        key(
            "factor",
            Kind::Number { min: 1.0, max: 100.0 },
            "2",
            "The pause is multiplied by this with each unverified restart; 1 is a fixed pause.",
        ),
        key("max_seconds", SECONDS, "900", "Longest pause."),
        key("jitter", Kind::Number { min: 0.0, max: 1.0 }, "0.1", "Random part of the pause, 0 to 1."),
    ],
};

static MONITOR: Table = Table {
    what: "`monitor`",
    keys: &[
        key(
            "poll_interval_seconds",
            SOME_SECONDS,
            "30",
            "Between heartbeats of state.json. Output and exits are noticed at once, whatever this says.",
        )
        .differs("it is the pause between heartbeats only; output and exits are noticed at once"),
        key("log_dir", Kind::Path, ".sentry/logs", "Directory of sentry.log and process.log."),
        key("log_excerpt_lines", Kind::Whole { min: 0, max: 10_000 }, "200", "Lines of output kept in an incident."),
        key(
            "on_terminate",
            Kind::Word(&["auto", "detach", "stop"]),
            "auto",
            "What SIGTERM to the monitor means: detach (the command goes on and the next `sentry run` adopts it), stop, or auto (stop as process 1 of a container, else detach).",
        ),
        key("stall_timeout_seconds", SECONDS, "1800", "Not used.")
            .no_effect("autosentry never read it; add a detector with `kind: stall` and `no_progress_seconds`"),
        key("log_tail_lines", ANY_NUMBER, "2000", "Not used.")
            .no_effect("autosentry never read it; see `monitor.log_excerpt_lines`"),
        key("dead_child_grace_seconds", SECONDS, "900", "Not used.")
            .no_effect("a dead command is noticed at once; see `process.lifecycle`"),
    ],
};

static SOURCE_EXPLODE: Table = Table {
    what: "`source_explode`",
    keys: &[
        key("enabled", Kind::Bool, "true", "Off: reports show frames without source."),
        key(
            "context_lines",
            Kind::Whole { min: 0, max: 200 },
            "10",
            "Lines around a frame whose function is not found.",
        ),
        key(
            "languages",
            Kind::List(&LANGUAGE),
            "[python, javascript, typescript, go, rust, java]",
            "Languages whose functions are looked up.",
        ),
        key(
            "skip_paths",
            Kind::List(&Kind::Text),
            "[site-packages/, .venv/, node_modules/, /usr/lib/]",
            "Parts of paths that mark library code.",
        ),
        key("max_frames", Kind::Whole { min: 0, max: 200 }, "20", "Most frames in a report, innermost first.")
            .differs("the innermost frames are kept here, the outermost there"),
        key("roots", Kind::List(&Kind::Path), "[]", "Directories besides the project that source may be read from."),
        key(
            "allow_outside",
            Kind::Bool,
            "false",
            "Reads source from anywhere. Log text then chooses which files end up in reports.",
        ),
    ],
};

static RULE: Table = Table {
    what: "a rule",
    keys: &[
        key("name", Kind::Name, "", "Unique name; `rule-3` for the third rule where it is absent."),
        key("match", Kind::Section(&MATCH), "", "When: every key given must hold; `{}` matches everything."),
        key(
            "action",
            Kind::OneOf(&[Kind::Word(ACTIONS), Kind::Section(&ACTION)]),
            "",
            "What: a word (`restart`) or a mapping.",
        ),
    ],
};

static MATCH: Table = Table {
    what: "`match`",
    keys: &[
        key("detector", Kind::Name, "", "Name of the detector."),
        key("kind", Kind::Word(DETECTOR_KINDS), "", "Kind of the detector."),
        key("class", Kind::Name, "", "Known failure class of the incident (`sentry catalogue` lists them)."),
        key("message_regex", Kind::Regex, "", "Searched for in the message of the failure.").alias("regex"),
        key("language", LANGUAGE, "", "Language of the trace."),
        key("exception", Kind::Text, "", "Type of the exception: whole, or its last part (`OutOfMemoryError`)."),
        key("exit_code", Kind::Whole { min: 0, max: 255 }, "", "Exit code of the command."),
        key("signal", Kind::Scalar, "", "Signal that ended the command: KILL, SIGKILL or 9."),
        key("category", Kind::Word(CATEGORIES), "", "Category of the incident."),
        key("count", Kind::Whole { min: 1, max: 1_000_000 }, "", "At least so many incidents of this failure …"),
        key("within_seconds", SECONDS, "0", "… within this time; 0 is the whole run."),
    ],
};

pub(super) static ACTION: Table = Table {
    what: "`action`",
    keys: &[
        key(
            "kind",
            Kind::Word(ACTIONS),
            "",
            "restart, restart_with_env, pause, abort, custom_command, notify or ignore.",
        ),
        key(
            "set",
            Kind::Map(&Kind::Scalar),
            "{}",
            "restart_with_env: variable → `half`, `double` (of a whole number) or a text.",
        ),
        key(
            "command",
            Kind::Command,
            "[]",
            "custom_command: the program and its arguments. Its last output line may name another action.",
        ),
        key("cwd", Kind::Path, "", "custom_command: working directory; process.cwd where it is absent."),
        key("env", Kind::Map(&Kind::Scalar), "{}", "custom_command: variables over process.env."),
        key("timeout_seconds", SOME_SECONDS, "60", "custom_command: then everything it started is ended."),
        key("notify", Kind::Bool, "true", "Tells people when it acts.")
            .differs("`notify: false` is silent here; autosentry sends a message that is untrue"),
    ],
};

static HEALING: Table = Table {
    what: "`healing`",
    keys: &[
        key("settle_seconds", SECONDS, "2", "Quiet time after which everything that failed together is one incident."),
        key("verify_window_seconds", SECONDS, "600", "How long a fix must hold to count as kept."),
        key("regression_action", Kind::Word(&["revert", "escalate", "ignore"]), "revert", "After a fix that did not hold: revert (take it back), escalate (stop acting on this detector and tell a person), ignore."),
        key("min_severity", Kind::Word(SEVERITIES), "warning", "Incidents below are recorded and not acted on."),
        key("class_actions", Kind::Bool, "true", "Where no rule matches, the class of a known failure decides what follows when the command has ended: wait longer and do not count it, or hold for a person."),
        key("budget", Kind::Section(&BUDGET), "", "Limits of attempts."),
        key("escalate_to_agent_after", Kind::Whole { min: 0, max: 1_000_000 }, "", "Unverified restarts after which an agent, if there is one, is asked instead of a rule; absent or 0: a fifth of max_restarts.").alias("escalate_to_claude_after"),
        key("escalate_on_rule_regression", Kind::Bool, "true", "Asks an agent, if there is one, after a rule's fix did not hold."),
        key("agent", Kind::Section(&AGENT), "", "The coding agent; its own release follows.").alias("claude").no_effect("agents are not there yet; incidents are handled by rules"),
        key("git", Kind::Section(&GIT), "", "Branches of agents' fixes.").no_effect("agents are not there yet, so there are no fix branches"),
        key("langgraph", Kind::Section(&LANGGRAPH), "", "Diagnosis by a model.").no_effect("it will not come; agents will be configured in `healing.agent`"),
    ],
};

static BUDGET: Table = Table {
    what: "`budget`",
    keys: &[
        key("max_attempts_per_detector_per_hour", ANY_NUMBER, "5", "Attempts per detector and hour; 0 is no limit.")
            .differs("the hour moves on here: a spent budget refills by itself"),
        key("max_wall_seconds_per_incident", SECONDS, "600", "Most time spent on one incident; 0 is no limit.")
            .differs("autosentry never read it; here it is a limit"),
    ],
};

static AGENT: Table = Table {
    what: "`agent`",
    keys: &[
        key(
            "enabled",
            Kind::OneOf(&[Kind::Bool, Kind::Word(&["auto"])]),
            "auto",
            "true, false or auto (when its program is there).",
        ),
        key(
            "mode",
            Kind::Word(&["auto", "subprocess", "session", "interactive", "langgraph"]),
            "auto",
            "subprocess (its program without a terminal), session (a person's open editor session; also `interactive`) or auto.",
        ),
        key("command", Kind::Command, "[claude, --print]", "Its program and arguments."),
        key("timeout_seconds", SOME_SECONDS, "600", "Longest time it gets."),
        key("prompt_template", Kind::Path, ".sentry/prompts/recovery.md", "Template of its task."),
        key(
            "include_in_context",
            Kind::List(&Kind::Word(&["state", "last_incident", "config_snapshots"])),
            "[state, last_incident, config_snapshots]",
            "What it is shown besides the incident.",
        ),
        key("request_path", Kind::Path, ".sentry/recovery_request.md", "session: where the request is written."),
        key("response_path", Kind::Path, ".sentry/recovery_response.md", "session: where the answer is read."),
        key(
            "subagents",
            Kind::Map(&Kind::Section(&SUBAGENT)),
            "{}",
            "Detector or `default` → which subagent is asked.",
        ),
    ],
};

static SUBAGENT: Table = Table {
    what: "a subagent",
    keys: &[
        key("type", Kind::Text, "general-purpose", "Type of the subagent."),
        key("description", Kind::Text, "''", "What it is asked to be."),
    ],
};

static GIT: Table = Table {
    what: "`git`",
    keys: &[
        key("enabled", Kind::Bool, "true", "Looks into git."),
        key("write_enabled", Kind::Bool, "true", "May make branches."),
        key("branch_prefix", Kind::Text, "sentry/fix-", "Prefix of fix branches."),
        key("auto_merge", Kind::Bool, "false", "Merges a fix that held."),
    ],
};

static CROSS_CHECK: Table = Table {
    what: "`cross_check`",
    keys: &[
        key("enabled", Kind::Bool, "false", "Not used."),
        key("provider", Kind::Text, "openai", "Not used."),
        key("model", Kind::Text, "gpt-4o-mini", "Not used."),
    ],
};

static LANGGRAPH: Table = Table {
    what: "`langgraph`",
    keys: &[
        key("enabled", Kind::Bool, "false", "Not used."),
        key("provider", Kind::Text, "anthropic", "Not used."),
        key("model", Kind::Text, "claude-haiku-4-5", "Not used."),
        key("temperature", Kind::Number { min: 0.0, max: 10.0 }, "0", "Not used."),
        key("max_steps", ANY_NUMBER, "3", "Not used."),
        key("request_timeout_seconds", SECONDS, "120", "Not used."),
        key("cross_check", Kind::OneOf(&[Kind::Bool, Kind::Section(&CROSS_CHECK)]), "false", "Not used."),
    ],
};

static NOTIFIER: Table = Table {
    what: "a notifier",
    keys: &[
        key(
            "kind",
            Kind::Word(&["log", "slack_outbox", "discord_outbox", "webhook"]),
            "",
            "log; the others are not there yet.",
        ),
        key("outbox_path", Kind::Path, ".sentry/slack_outbox.jsonl", "Not used yet."),
        key("channel", Kind::Scalar, "", "Not used yet."),
        key("thread_key", Kind::Scalar, "", "Not used yet."),
        key("url", Kind::Text, "", "Not used yet."),
    ],
};

static RETENTION: Table = Table {
    what: "`retention`",
    keys: &[
        key("max_incidents", ANY_NUMBER, "1000", "Incidents kept."),
        key("max_age_seconds", SECONDS, "90d", "Age of incidents."),
        key("max_bytes", Kind::Bytes, "1GiB", "Size of all incidents."),
        key("max_runs", ANY_NUMBER, "20", "Finished runs whose output is kept, newest first."),
        key("max_log_bytes", Kind::Bytes, "10MiB", "Size at which sentry.log is rotated."),
    ],
};

static NARRATIVES: Table = Table {
    what: "`narratives`",
    keys: &[
        key("enabled", Kind::Bool, "false", "Not used."),
        key("provider", Kind::Text, "anthropic", "Not used."),
        key("model", Kind::Text, "", "Not used."),
        key("request_timeout_seconds", SECONDS, "30", "Not used."),
    ],
};

static VAULT: Table = Table {
    what: "`vault`",
    keys: &[
        key("enabled", Kind::Bool, "true", "Not used yet."),
        key("path", Kind::Path, ".sentry/vault", "Not used yet."),
        key("pattern_threshold", ANY_NUMBER, "3", "Not used yet."),
        key("similarity_threshold", Kind::Number { min: 0.0, max: 1.0 }, "0.3", "Not used yet."),
        key("narratives", Kind::Section(&NARRATIVES), "", "Not used yet."),
    ],
};

static DISPATCH: Table = Table {
    what: "`dispatch`",
    keys: &[
        key("mode", Kind::Word(&["builtin", "session"]), "builtin", "Not used yet."),
        key("request_marker", Kind::Path, "", "Not used yet."),
        key("cursor_path", Kind::Path, "", "Not used yet."),
        key("action_queue_path", Kind::Path, "", "Not used yet."),
        key("action_cursor_path", Kind::Path, "", "Not used yet."),
    ],
};

/// All tables with their place, for "this key belongs there".
pub(super) fn every() -> Vec<(String, &'static Table)> {
    fn walk(place: &str, kind: &'static Kind, out: &mut Vec<(String, &'static Table)>) {
        match kind {
            Kind::Section(table) => {
                out.push((place.to_owned(), table));
                for key in table.keys {
                    let name = key.name;
                    walk(&if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }, &key.kind, out);
                }
            }
            Kind::List(item) => walk(&format!("{place}[]"), item, out),
            Kind::Map(value) => walk(&format!("{place}.*"), value, out),
            Kind::OneOf(kinds) => kinds.iter().for_each(|kind| walk(place, kind, out)),
            _ => {}
        }
    }
    static WHOLE: Kind = Kind::Section(&ROOT);
    let mut out = Vec::new();
    walk("", &WHOLE, &mut out);
    out
}
