//! A [`Config`] as the file that would give it, every key with its value, secrets left out.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::model::*;
use super::show_detector::{show_detector, show_phase};
use super::write::Shown;
use crate::detect::{Language, Severity};

/// What stands in place of a secret.
const REDACTED: &str = "<secret>";

/// The configuration in effect, in the order and with the names of the file. It can be read back, but for secrets.
pub fn show(config: &Config) -> Shown {
    // In full, so that a new key cannot be forgotten here.
    let Config {
        project: _,
        file: _,
        process,
        monitor,
        config_snapshots,
        source_explode,
        phases,
        detectors: _,
        rules,
        healing,
        notifiers,
        state_path,
        incidents_dir,
        retention,
    } = config;
    map([
        ("process", show_process(process)),
        ("monitor", show_monitor(monitor)),
        ("config_snapshots", list(&config_snapshots.patterns, |glob| text(glob))),
        ("source_explode", show_source_explode(source_explode)),
        ("phases", list(phases, show_phase)),
        ("detectors", Shown::List(config.own_detectors().map(show_detector).collect())),
        ("rules", list(rules, show_rule)),
        ("healing", show_healing(healing)),
        ("notifiers", list(notifiers, |Notifier::Log| map([("kind", text("log"))]))),
        ("state_path", path(state_path)),
        ("incidents_dir", path(incidents_dir)),
        ("retention", show_retention(retention)),
    ])
}

/// Whether a variable of this name probably holds a secret: `HF_TOKEN` does, `TOKENIZERS_PARALLELISM` and `AUTHOR` do not.
pub fn is_secret_name(name: &str) -> bool {
    const ENDS: [&str; 9] =
        ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "PRIVATE", "APIKEY", "AUTHORIZATION"];
    const WHOLE: [&str; 4] = ["AUTH", "DSN", "COOKIE", "PAT"];
    let name = name.to_ascii_uppercase();
    let parts: Vec<&str> = name.split(['_', '-', '.']).map(|part| part.strip_suffix('S').unwrap_or(part)).collect();
    let marked = |part: &&str| ENDS.iter().any(|end| part.ends_with(end)) || WHOLE.contains(part);
    // PWD alone is the working directory.
    let last = |word: &str| parts.last().is_some_and(|part| *part == word);
    parts.iter().any(marked) || last("KEY") || (last("PWD") && parts.len() > 1)
}

fn show_process(process: &Process) -> Shown {
    let Process { kind, command, cwd, env, pty, stop_signal, stop_grace, lifecycle, restart_policy, logs } = process;
    map([
        ("kind", text(kind.as_str())),
        ("command", show_command(command)),
        ("cwd", path(cwd)),
        ("env", show_env(env)),
        ("pty", plain(*pty)),
        ("stop_signal", text(stop_signal.as_str())),
        ("stop_grace_seconds", seconds(*stop_grace)),
        ("lifecycle", text(lifecycle.as_str())),
        ("restart_policy", show_restart_policy(restart_policy)),
        ("logs", list(logs, |glob| text(&glob.pattern))),
    ])
}

fn show_restart_policy(policy: &RestartPolicy) -> Shown {
    let RestartPolicy {
        max_restarts,
        cooldown,
        backoff: Backoff { factor, max, jitter },
        max_identical_failures,
        max_restarts_in_window,
        restart_window,
        reset_after_healthy,
    } = policy;
    map([
        ("max_restarts", plain(*max_restarts)),
        ("cooldown_seconds", seconds(*cooldown)),
        ("backoff", map([("factor", plain(*factor)), ("max_seconds", seconds(*max)), ("jitter", plain(*jitter))])),
        ("max_identical_failures", plain(*max_identical_failures)),
        ("max_restarts_in_window", plain(*max_restarts_in_window)),
        ("restart_window_seconds", seconds(*restart_window)),
        ("reset_after_healthy_seconds", seconds(*reset_after_healthy)),
    ])
}

fn show_monitor(monitor: &Monitor) -> Shown {
    let Monitor { poll_interval, log_dir, log_excerpt_lines, on_terminate } = monitor;
    map([
        ("poll_interval_seconds", seconds(*poll_interval)),
        ("log_dir", path(log_dir)),
        ("log_excerpt_lines", plain(*log_excerpt_lines)),
        ("on_terminate", text(on_terminate.as_str())),
    ])
}

fn show_source_explode(explode: &SourceExplode) -> Shown {
    let SourceExplode { enabled, context_lines, languages, skip_paths, max_frames, roots, allow_outside } = explode;
    map([
        ("enabled", plain(*enabled)),
        ("context_lines", plain(*context_lines)),
        ("languages", list(languages, |language| text(language_name(*language)))),
        ("skip_paths", list(skip_paths, |part| text(part))),
        ("max_frames", plain(*max_frames)),
        ("roots", list(roots, |root| path(root))),
        ("allow_outside", plain(*allow_outside)),
    ])
}

fn show_rule(rule: &Rule) -> Shown {
    let Rule { name, when, action, notify } = rule;
    let mut entries = vec![entry("kind", text(action.as_str()))];
    match action {
        Action::RestartWithEnv { set } => {
            let change = |(name, change): (&String, &EnvChange)| {
                let value = match change {
                    EnvChange::Half => text("half"),
                    EnvChange::Double => text("double"),
                    EnvChange::Literal(_) if is_secret_name(name) => text(REDACTED),
                    EnvChange::Literal(value) => text(value),
                };
                (name.clone(), value)
            };
            entries.push(entry("set", Shown::Map(set.iter().map(change).collect())));
        }
        Action::CustomCommand { command, cwd, env, timeout } => entries.extend([
            entry("command", show_command(command)),
            entry("cwd", path(cwd)),
            entry("env", show_env(env)),
            entry("timeout_seconds", seconds(*timeout)),
        ]),
        Action::Restart | Action::Pause | Action::Abort | Action::Notify | Action::Ignore => {}
    }
    entries.push(entry("notify", plain(*notify)));
    map([("name", text(name.as_str())), ("match", show_match(when)), ("action", Shown::Map(entries))])
}

fn show_match(when: &Match) -> Shown {
    let Match { detector, kind, class, message_regex, language, exception, exit_code, signal, category, count, within } =
        when;
    let entries = [
        ("detector", detector.as_ref().map(|name| text(name.as_str()))),
        ("kind", kind.map(|kind| text(kind.as_str()))),
        ("class", class.as_ref().map(|class| text(class.as_str()))),
        ("message_regex", message_regex.as_ref().map(|regex| text(regex.as_str()))),
        ("language", language.map(|language| text(language_name(language)))),
        ("exception", exception.as_ref().map(|exception| text(exception))),
        ("exit_code", exit_code.map(plain)),
        ("signal", signal.as_ref().map(|signal| text(signal))),
        ("category", category.map(|category| text(category.as_str()))),
        ("count", count.map(plain)),
        ("within_seconds", count.map(|_| seconds(*within))),
    ];
    Shown::Map(entries.into_iter().filter_map(|(key, value)| Some(entry(key, value?))).collect())
}

fn show_healing(healing: &Healing) -> Shown {
    let Healing {
        settle,
        verify_window,
        regression_action,
        min_severity,
        class_actions,
        budget: Budget { max_attempts_per_detector_per_hour, max_wall_per_incident },
        escalate_to_agent_after,
        escalate_on_rule_regression,
        agent,
        git: Git { enabled, write_enabled, branch_prefix, auto_merge },
    } = healing;
    let mut entries = vec![
        entry("settle_seconds", seconds(*settle)),
        entry("verify_window_seconds", seconds(*verify_window)),
        entry("regression_action", text(regression_action.as_str())),
        entry("min_severity", text(severity_name(*min_severity))),
        entry("class_actions", plain(*class_actions)),
        entry(
            "budget",
            map([
                ("max_attempts_per_detector_per_hour", plain(*max_attempts_per_detector_per_hour)),
                ("max_wall_seconds_per_incident", seconds(*max_wall_per_incident)),
            ]),
        ),
    ];
    entries.extend(escalate_to_agent_after.map(|after| entry("escalate_to_agent_after", plain(after))));
    entries.extend([
        entry("escalate_on_rule_regression", plain(*escalate_on_rule_regression)),
        entry("agent", show_agent(agent)),
        entry(
            "git",
            map([
                ("enabled", plain(*enabled)),
                ("write_enabled", plain(*write_enabled)),
                ("branch_prefix", text(branch_prefix)),
                ("auto_merge", plain(*auto_merge)),
            ]),
        ),
    ]);
    Shown::Map(entries)
}

fn show_agent(agent: &Agent) -> Shown {
    let Agent {
        enabled,
        mode,
        command,
        timeout,
        prompt_template,
        include_in_context,
        request_path,
        response_path,
        subagents,
    } = agent;
    let subagent = |(name, (kind, description)): (&String, &(String, String))| {
        (name.clone(), map([("type", text(kind)), ("description", text(description))]))
    };
    map([
        ("enabled", enabled.map_or_else(|| text("auto"), plain)),
        ("mode", text(mode.as_str())),
        ("command", show_command(command)),
        ("timeout_seconds", seconds(*timeout)),
        ("prompt_template", path(prompt_template)),
        ("include_in_context", list(include_in_context, |part| text(part))),
        ("request_path", path(request_path)),
        ("response_path", path(response_path)),
        ("subagents", Shown::Map(subagents.iter().map(subagent).collect())),
    ])
}

fn show_retention(retention: &Retention) -> Shown {
    let Retention { max_incidents, max_age, max_bytes, max_runs, max_log_bytes } = retention;
    map([
        ("max_incidents", plain(*max_incidents)),
        ("max_age_seconds", seconds(*max_age)),
        ("max_bytes", plain(*max_bytes)),
        ("max_runs", plain(*max_runs)),
        ("max_log_bytes", plain(*max_log_bytes)),
    ])
}

/// Arguments, with the values of options such as `--token=…` and `--token …` left out.
pub(super) fn show_command(command: &[String]) -> Shown {
    let mut secret_follows = false;
    let words = command.iter().map(|word| {
        let hidden = std::mem::take(&mut secret_follows);
        let option = word.strip_prefix('-').map(|option| option.trim_start_matches('-'));
        if hidden && option.is_none() {
            return text(REDACTED);
        }
        match option.map(|option| option.split_once('=').unwrap_or((option, ""))) {
            Some((name, "")) if is_secret_name(name) => {
                secret_follows = true;
                text(word)
            }
            Some((name, _)) if is_secret_name(name) => text(&format!("--{name}={REDACTED}")),
            _ => text(&without_password(word)),
        }
    });
    Shown::List(words.collect())
}

/// Values with `$` doubled, as they would have to be written.
fn show_env(env: &BTreeMap<String, String>) -> Shown {
    let show = |(name, value): (&String, &String)| {
        let value = if is_secret_name(name) { REDACTED.to_owned() } else { without_password(value).replace('$', "$$") };
        (name.clone(), Shown::Text(value))
    };
    Shown::Map(env.iter().map(show).collect())
}

/// `scheme://user:password@host` without the password.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.find(['/', '?', '#', ' ']).map_or(rest, |end| rest.get(..end).unwrap_or(rest));
    match authority.rsplit_once('@').and_then(|(login, _)| login.split_once(':')) {
        Some((user, password)) if !password.is_empty() => {
            let tail = rest.get(user.len().saturating_add(password.len()).saturating_add(1)..).unwrap_or_default();
            format!("{scheme}://{user}:{REDACTED}{tail}")
        }
        _ => text.to_owned(),
    }
}

pub(super) fn entry(key: &str, value: Shown) -> (String, Shown) {
    (key.to_owned(), value)
}

pub(super) fn map<const N: usize>(entries: [(&str, Shown); N]) -> Shown {
    Shown::Map(entries.into_iter().map(|(key, value)| entry(key, value)).collect())
}

pub(super) fn list<T>(items: &[T], show: impl Fn(&T) -> Shown) -> Shown {
    Shown::List(items.iter().map(show).collect())
}

pub(super) fn text(text: &str) -> Shown {
    Shown::Text(text.to_owned())
}

pub(super) fn path(path: &Path) -> Shown {
    Shown::Text(path.to_string_lossy().replace('$', "$$"))
}

pub(super) fn plain(value: impl serde::Serialize) -> Shown {
    Shown::Plain(json!(value))
}

pub(super) fn seconds(time: Duration) -> Shown {
    if time.subsec_nanos() == 0 { plain(time.as_secs()) } else { plain(time.as_secs_f64()) }
}

pub(super) fn language_name(language: Language) -> &'static str {
    match language {
        Language::Python => "python",
        Language::Javascript => "javascript",
        Language::Typescript => "typescript",
        Language::Go => "go",
        Language::Rust => "rust",
        Language::Java => "java",
        Language::Kotlin => "kotlin",
        Language::Scala => "scala",
        Language::Cpp => "cpp",
        Language::Shell => "shell",
        Language::Dotnet => "dotnet",
        Language::Ruby => "ruby",
        Language::Php => "php",
    }
}

pub(super) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}
