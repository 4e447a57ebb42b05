//! Text → [`Config`], or everything that is wrong with it.

use std::path::Path;

use super::check::Checker;
use super::detectors;
use super::globs;
use super::healing;
use super::model::*;
use super::phases;
use super::problem::{ConfigError, Draft, Problems, Warning};
use super::read::{Context, Outside, Section};
use super::rules;
use super::scalar;
use super::tables::ROOT;
use super::yaml::{self, Node, Value};
use crate::detect::Language;

/// Reads bytes as text, without a byte order mark.
///
/// # Errors
/// Bytes that are not UTF-8, or more than [`super::MAX_BYTES`] of them.
pub fn decode<'a>(bytes: &'a [u8], file: Option<&Path>) -> Result<&'a str, Vec<ConfigError>> {
    if bytes.len() > yaml::MAX_BYTES {
        let mut problems = Problems::default();
        problems.error(Draft::new(0..0, format!("the file has more than {} bytes", yaml::MAX_BYTES)));
        return Err(problems.place("", file).0);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => Err(vec![ConfigError::not_text(file, bytes, error.valid_up_to())]),
    }
}

/// Reads a configuration.
///
/// `project` is the absolute directory that relative paths start from ([`project_of`]); `vars` gives variables for
/// `$VAR`. Packs of users are not read: that is for [`parse_with_command`]. A file called `autosentry.yaml` is read as autosentry's: what means something else here is a warning.
///
/// # Errors
/// Everything that is wrong, sorted by place.
pub fn parse(
    text: &str,
    file: Option<&Path>,
    project: &Path,
    vars: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    parse_with_command(text, file, project, Outside::of_vars(vars), None)
}

/// The same with all that the file may name, and with a command from the command line (`sentry run -c FILE -- COMMAND`)
/// in place of `process.command`.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_command(
    text: &str,
    file: Option<&Path>,
    project: &Path,
    outside: Outside<'_>,
    command: Option<Vec<String>>,
) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    let legacy = file.and_then(Path::file_name).is_some_and(|name| name == "autosentry.yaml");
    let mut problems = Problems::default();
    let Some(root) = yaml::read(text, &mut problems) else {
        return Err(problems.place(text, file).0);
    };
    Checker { problems: &mut problems, legacy }.table(&root, &ROOT, "");
    let mut context = Context { project, vars: outside.vars, packs: outside.packs, legacy, problems };
    let config = build(&root, file, command, &mut context);
    let (errors, warnings) = context.problems.place(text, file);
    if errors.is_empty() { Ok((config, warnings)) } else { Err(errors) }
}

/// The `rules` of another file, for a configuration's own detectors; and what of them never acts.
///
/// # Errors
/// Everything that is wrong with them, sorted by place.
pub fn parse_rules(
    text: &str,
    file: Option<&Path>,
    config: &Config,
    vars: &dyn Fn(&str) -> Option<String>,
) -> Result<(Vec<Rule>, Vec<Warning>), Vec<ConfigError>> {
    let mut problems = Problems::default();
    let Some(root) = yaml::read(text, &mut problems) else {
        return Err(problems.place(text, file).0);
    };
    Checker { problems: &mut problems, legacy: false }.table(&root, &ROOT, "");
    let Outside { vars, packs } = Outside::of_vars(vars);
    let mut context = Context { project: &config.project, vars, packs, legacy: false, problems };
    let root = Section::new(Some(&root), &ROOT);
    if root.is_mapping() && root.given("rules").is_none() {
        let help = "write `rules:` and below it a list, as in sentry.yaml";
        context.problems.error(Draft::new(root.at(), "there are no rules in this file").help(help));
    }
    let names = config.detectors.iter().map(|detector| detector.name.to_string()).collect();
    let detectors = detectors::Detectors { list: config.detectors.clone(), names };
    let rules = rules::read(&root, &detectors, &config.process.cwd, &mut context);
    let (errors, warnings) = context.problems.place(text, file);
    if errors.is_empty() { Ok((rules, warnings)) } else { Err(errors) }
}

/// The configuration without a file: every default, and a command.
pub fn defaults(command: Vec<String>, project: &Path) -> Config {
    let Outside { vars, packs } = Outside::of_vars(&|_| None);
    let mut context = Context { project, vars, packs, legacy: false, problems: Problems::default() };
    build(&Node::empty(), None, Some(command), &mut context)
}

/// The project of a configuration file: the parent of `.sentry/` or `.autosentry/` when the file is inside, else the
/// file's own directory. `file` is absolute.
pub fn project_of(file: &Path) -> &Path {
    let own = file.parent().unwrap_or(file);
    match own.file_name() {
        Some(name) if name == ".sentry" || name == ".autosentry" => own.parent().unwrap_or(own),
        _ => own,
    }
}

fn build(root: &Node, file: Option<&Path>, command: Option<Vec<String>>, context: &mut Context<'_>) -> Config {
    let root = Section::new(Some(root), &ROOT);
    let process = process(root.section("process"), &root, command, context);
    let phases = phases::read(&root, context);
    let detectors = detectors::read(&root, &phases, context);
    Config {
        project: context.project.to_path_buf(),
        file: file.map(Path::to_path_buf),
        monitor: monitor(root.section("monitor"), context),
        config_snapshots: globs::compile(root.texts("config_snapshots")),
        source_explode: source_explode(root.section("source_explode"), context),
        rules: rules::read(&root, &detectors, &process.cwd, context),
        healing: healing::read(root.section("healing"), &detectors.all_names(), context),
        phases,
        detectors: detectors.list,
        process,
        notifiers: notifiers(&root, context),
        state_path: root.path("state_path", context),
        incidents_dir: root.path("incidents_dir", context),
        retention: retention(root.section("retention")),
    }
}

fn process(
    section: Section<'_>,
    root: &Section<'_>,
    command: Option<Vec<String>>,
    context: &mut Context<'_>,
) -> Process {
    let kind = match section.word("kind").as_deref() {
        Some("slurm") => ProcessKind::Slurm,
        Some("docker") => ProcessKind::Docker,
        Some("attach") => ProcessKind::Attach,
        _ => ProcessKind::Local,
    };
    if kind != ProcessKind::Local
        && let Some(node) = section.given("kind")
    {
        context.problems.warn(
            Draft::new(
                node.at.clone(),
                format!("`process.kind: {}` is not there yet", scalar::spelled(node).unwrap_or_default()),
            )
            .help("`sentry run` refuses it; only `local` works"),
        );
    }
    let given = section.given("command");
    let argv = command.unwrap_or_else(|| {
        let argv = section.command("command");
        let excused = kind != ProcessKind::Local || section.given("stages").is_some();
        // Something else than a mapping, or a command of a wrong type, has been reported.
        let mapped = root.is_mapping() && root.given("process").is_none_or(|_| section.is_mapping());
        if argv.is_empty() && mapped && !excused && given.is_none_or(|node| scalar::command(node).is_some()) {
            let at =
                given.map(|node| node.at.clone()).or_else(|| root.entry("process").map(|entry| entry.key_at.clone()));
            context.problems.error(
                Draft::new(at.unwrap_or(0..0), "`process.command` is missing")
                    .help("name the program to supervise: `command: [python, train.py]`"),
            );
        }
        argv
    });
    if context.legacy {
        literal_dollars(given, context);
    }
    signs_of_a_shell(given, context);
    Process {
        kind,
        command: argv,
        cwd: section.path("cwd", context),
        env: section.env("env", context),
        pty: section.bool("pty"),
        stop_signal: stop_signal(section.word("stop_signal").as_deref()),
        stop_grace: section.seconds("stop_grace_seconds"),
        lifecycle: match section.word("lifecycle").as_deref() {
            Some("one_shot") => Lifecycle::OneShot,
            Some("restart_always") => Lifecycle::RestartAlways,
            _ => Lifecycle::RestartOnFailure,
        },
        restart_policy: restart_policy(section.section("restart_policy")),
        logs: globs::logs(&section, context),
    }
}

/// autosentry fills variables in everywhere; here a command is taken as it is written.
fn literal_dollars(command: Option<&Node>, context: &mut Context<'_>) {
    let Some(node) = command else { return };
    for word in std::iter::once(node).chain(node.items()) {
        let name =
            scalar::spelled(word).and_then(|text| text.split_once('$')).map(|(_, name)| name.trim_start_matches('{'));
        if name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')) {
            context.problems.warn(Draft::new(word.at.clone(), "variables are not filled in here").help(
                "only in `process.env`, `cwd` and paths; run a shell for the rest: `[sh, -c, \"exec python $SCRIPT\"]`",
            ));
        }
    }
}

/// What is written for a shell reaches the program as an argument.
fn signs_of_a_shell(command: Option<&Node>, context: &mut Context<'_>) {
    const SIGNS: [&str; 12] = ["|", "||", "&&", "&", ";", "<", ">", ">>", "2>", "2>&1", "|&", "&>"];
    // Only one text is read the way a shell command looks; in a list every word was meant.
    let Some(node) = command.filter(|node| matches!(node.value, Value::Scalar { .. })) else { return };
    let words = scalar::command(node).unwrap_or_default();
    let assignment = words.first().and_then(|word| word.split_once('=')).map(|(name, _)| name.to_owned());
    if let Some(sign) = words.iter().find(|word| SIGNS.contains(&word.as_str())) {
        context.problems.warn(
            Draft::new(node.at.clone(), format!("`{sign}` is an argument here: no shell is involved"))
                .help("run a shell where one is needed: `command: [sh, -c, \"…\"]`"),
        );
    } else if let Some(name) = assignment.filter(|name| !name.contains('/')) {
        context.problems.warn(
            Draft::new(node.at.clone(), format!("`{name}=…` is taken for the program here: no shell is involved"))
                .help("set variables in `process.env`"),
        );
    }
}

fn stop_signal(word: Option<&str>) -> StopSignal {
    match word.map(|word| word.trim_start_matches("SIG")) {
        Some("INT") => StopSignal::Int,
        Some("HUP") => StopSignal::Hup,
        Some("QUIT") => StopSignal::Quit,
        Some("USR1") => StopSignal::Usr1,
        Some("USR2") => StopSignal::Usr2,
        Some("KILL") => StopSignal::Kill,
        _ => StopSignal::Term,
    }
}

fn restart_policy(section: Section<'_>) -> RestartPolicy {
    let backoff = section.section("backoff");
    RestartPolicy {
        max_restarts: section.whole("max_restarts"),
        cooldown: section.seconds("cooldown_seconds"),
        backoff: Backoff {
            factor: if section.word("backoff").as_deref() == Some("fixed") { 1.0 } else { backoff.number("factor") },
            max: backoff.seconds("max_seconds"),
            jitter: backoff.number("jitter"),
        },
        max_identical_failures: section.whole("max_identical_failures"),
        max_restarts_in_window: section.whole("max_restarts_in_window"),
        restart_window: section.seconds("restart_window_seconds"),
        reset_after_healthy: section.seconds("reset_after_healthy_seconds"),
    }
}

fn monitor(section: Section<'_>, context: &mut Context<'_>) -> Monitor {
    Monitor {
        poll_interval: section.seconds("poll_interval_seconds"),
        log_dir: section.path("log_dir", context),
        log_excerpt_lines: usize::try_from(section.whole("log_excerpt_lines")).unwrap_or_default(),
        on_terminate: match section.word("on_terminate").as_deref() {
            Some("detach") => OnTerminate::Detach,
            Some("stop") => OnTerminate::Stop,
            _ => OnTerminate::Auto,
        },
    }
}

fn source_explode(section: Section<'_>, context: &mut Context<'_>) -> SourceExplode {
    SourceExplode {
        enabled: section.bool("enabled"),
        context_lines: usize::try_from(section.whole("context_lines")).unwrap_or_default(),
        languages: languages(&section),
        skip_paths: section.texts("skip_paths"),
        max_frames: usize::try_from(section.whole("max_frames")).unwrap_or_default(),
        roots: section.paths("roots", context),
        allow_outside: section.bool("allow_outside"),
    }
}

/// `languages` of a section, each once.
pub(super) fn languages(section: &Section<'_>) -> Vec<Language> {
    let mut out = Vec::new();
    for language in section.texts("languages").iter().filter_map(|word| language(word)) {
        if !out.contains(&language) {
            out.push(language);
        }
    }
    out
}

pub(super) fn language(word: &str) -> Option<Language> {
    Some(match word {
        "python" => Language::Python,
        "javascript" => Language::Javascript,
        "typescript" => Language::Typescript,
        "go" => Language::Go,
        "rust" => Language::Rust,
        "java" => Language::Java,
        "kotlin" => Language::Kotlin,
        "scala" => Language::Scala,
        "cpp" => Language::Cpp,
        "shell" => Language::Shell,
        "dotnet" => Language::Dotnet,
        "ruby" => Language::Ruby,
        "php" => Language::Php,
        _ => return None,
    })
}

fn notifiers(root: &Section<'_>, context: &mut Context<'_>) -> Vec<Notifier> {
    if root.given("notifiers").is_none() {
        return vec![Notifier::Log];
    }
    let mut out = Vec::new();
    for notifier in root.sections("notifiers") {
        match notifier.word("kind").as_deref() {
            Some("log") if out.contains(&Notifier::Log) => {}
            Some("log") => out.push(Notifier::Log),
            Some(kind) => context.problems.warn(
                Draft::new(notifier.at(), format!("notifier `{kind}` is not there yet"))
                    .help("notifications go to `log` only; `custom_command` of a rule can call anything"),
            ),
            None if notifier.given("kind").is_none() => {
                context
                    .problems
                    .error(Draft::new(notifier.at(), "a notifier without a `kind`").help("write `kind: log`"));
            }
            None => {}
        }
    }
    out
}

fn retention(section: Section<'_>) -> Retention {
    Retention {
        max_incidents: section.whole("max_incidents"),
        max_age: section.seconds("max_age_seconds"),
        max_bytes: section.bytes("max_bytes"),
        max_runs: section.whole("max_runs"),
        max_log_bytes: section.bytes("max_log_bytes"),
    }
}
