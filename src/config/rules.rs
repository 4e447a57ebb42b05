//! `rules`.

use std::collections::BTreeSet;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use super::catalogue::built_in;
use super::check::nearest;
use super::detector_model::{Detector, What};
use super::detectors::Detectors;
use super::model::{Action, EnvChange, Match, Rule};
use super::parse::language;
use super::problem::Draft;
use super::read::{Context, Section};
use super::regexes;
use super::scalar;
use super::tables::ACTIONS;
use super::yaml::{At, Node, Value};
use crate::detect::DetectorKind;
use crate::ids::{ClassName, DetectorName, RuleName};
use crate::incident::Category;

/// Reads the rules; they may name `detectors`.
pub(super) fn read(root: &Section<'_>, detectors: &Detectors, cwd: &Path, context: &mut Context<'_>) -> Vec<Rule> {
    let mut seen: HashMap<String, At> = HashMap::new();
    let mut out: Vec<(Rule, At)> = Vec::new();
    for (index, section) in root.sections("rules").into_iter().enumerate() {
        if !section.is_mapping() {
            continue;
        }
        let at = section.given("name").map_or_else(|| section.at(), |node| node.at.clone());
        let name = section.text("name").unwrap_or_else(|| format!("rule-{}", index.saturating_add(1)));
        if let Some(first) = seen.get(&name) {
            context.problems.error(
                Draft::new(at.clone(), format!("two rules are called `{name}`"))
                    .help("give each its own `name`")
                    .first(first.clone()),
            );
        } else {
            seen.insert(name.clone(), at.clone());
        }
        let when = condition(&section, detectors, root.given("detectors").is_some(), context);
        let (action, notify) = action(&section, cwd, context);
        if let (Some(when), Some(action)) = (when, action) {
            let rule = Rule { name: RuleName::new(name), when, action, notify };
            let shadow = out.iter().find(|(earlier, _)| covers(&earlier.when, &rule.when, &detectors.list));
            if let Some((earlier, first)) = shadow {
                context.problems.warn(
                    Draft::new(at.clone(), format!("rule `{}` never acts", rule.name))
                        .help(format!("rule `{}` comes first and matches everything that this one does", earlier.name))
                        .first(first.clone()),
                );
            }
            out.push((rule, at));
        }
    }
    out.into_iter().map(|(rule, _)| rule).collect()
}

fn condition(section: &Section<'_>, detectors: &Detectors, named: bool, context: &mut Context<'_>) -> Option<Match> {
    if section.entry("match").is_none() {
        context.problems.error(
            Draft::new(section.at(), "a rule without a `match`")
                .help("`match: {detector: NAME}`; `match: {}` matches everything"),
        );
        return None;
    }
    let when = section.section("match");
    let detector = when.text("detector");
    if let (Some(name), Some(node)) = (&detector, when.given("detector")) {
        known_detector(name, node, detectors, named, context);
    }
    if let Some(node) = when.given("class") {
        known_class(node, detectors, context);
    }
    if when.entry("within_seconds").is_some() && when.entry("count").is_none() {
        context.problems.warn(Draft::new(when.at(), "`within_seconds` has no effect without `count`"));
    }
    Some(Match {
        detector: detector.map(DetectorName::new),
        kind: when.word("kind").as_deref().and_then(detector_kind),
        class: when.text("class").map(ClassName::new),
        message_regex: when
            .given("message_regex")
            .and_then(scalar::text)
            .and_then(|pattern| regexes::for_text(pattern).ok()),
        language: when.word("language").as_deref().and_then(language),
        exception: when.text("exception"),
        exit_code: when.maybe_whole("exit_code").and_then(|code| i32::try_from(code).ok()),
        signal: when.given("signal").and_then(|node| signal(node, context)),
        category: when.word("category").as_deref().and_then(category),
        count: when.maybe_whole("count"),
        within: when.seconds("within_seconds"),
    })
}

/// Reports a name that no detector has.
fn known_detector(name: &str, node: &Node, detectors: &Detectors, named: bool, context: &mut Context<'_>) {
    let all = detectors.all_names();
    if all.iter().any(|known| known == name) {
        return;
    }
    let names = &detectors.names;
    let help = nearest(name, all.iter().map(String::as_str))
        .map(|near| format!("did you mean `{near}`?"))
        .unwrap_or_else(|| {
            // Two of the same name are an error of their own.
            let mut seen = BTreeSet::new();
            let names: Vec<String> =
                names.iter().filter(|name| seen.insert(*name)).map(|name| format!("`{name}`")).collect();
            match (names.is_empty(), named) {
                (true, _) => "the file has no detectors".to_owned(),
                (false, true) => format!("there are {}", names.join(", ")),
                (false, false) => format!("the file has no `detectors`, so these are there: {}", names.join(", ")),
            }
        });
    context.problems.error(Draft::new(node.at.clone(), format!("there is no detector `{name}`")).help(help));
}

/// Reports a class that is in no pack, or in none of those that are looked for.
fn known_class(node: &Node, detectors: &Detectors, context: &mut Context<'_>) {
    let Some(name) = scalar::text(node) else { return };
    let there: Vec<&str> = detectors
        .list
        .iter()
        .filter_map(|detector| match &detector.what {
            What::Class(entry) => Some(entry.name().as_str()),
            _ => None,
        })
        .collect();
    if there.contains(&name) {
        return;
    }
    let entries = || built_in().iter().flat_map(|pack| &pack.entries);
    if let Some(entry) = entries().find(|entry| entry.name().as_str() == name) {
        context.problems.warn(
            Draft::new(node.at.clone(), format!("class `{name}` is not looked for, so this never matches"))
                .help(format!("it is in the pack `{}`: see `kind: catalogue`, its `packs` and `ignore`", entry.pack)),
        );
        return;
    }
    let all = there.iter().copied().chain(entries().map(|entry| entry.name().as_str()));
    let near = nearest(name, all).map(|near| format!("did you mean `{near}`?"));
    let help = near.unwrap_or_else(|| {
        "`sentry catalogue` lists them; your own are in the `files` of `kind: catalogue`".to_owned()
    });
    context.problems.error(Draft::new(node.at.clone(), format!("there is no class `{name}`")).help(help));
}

fn signal(node: &Node, context: &mut Context<'_>) -> Option<String> {
    let text = scalar::spelled(node)?;
    let name = scalar::signal(text);
    if name.is_none() {
        context.problems.error(
            Draft::new(node.at.clone(), format!("`{text}` is not a signal"))
                .help("write KILL, SIGKILL or 9; `kill -l` lists them"),
        );
    }
    name.map(str::to_owned)
}

fn detector_kind(word: &str) -> Option<DetectorKind> {
    DetectorKind::ALL.into_iter().find(|kind| kind.as_str() == word)
}

pub(super) fn category(word: &str) -> Option<Category> {
    use Category as C;
    [
        C::Timeout,
        C::Test,
        C::Lint,
        C::Type,
        C::Build,
        C::Runtime,
        C::Syntax,
        C::Import,
        C::Permission,
        C::Infrastructure,
        C::Unknown,
    ]
    .into_iter()
    .find(|category| category.as_str() == word)
}

/// The action and whether people are told.
fn action(rule: &Section<'_>, cwd: &Path, context: &mut Context<'_>) -> (Option<Action>, bool) {
    let Some(node) = rule.given("action") else {
        context.problems.error(
            Draft::new(rule.at(), "a rule without an `action`").help("`action: restart`, or a mapping with a `kind`"),
        );
        return (None, true);
    };
    let section = rule.section("action");
    let kind = match &node.value {
        Value::Scalar { text, .. } => Some(text.clone()),
        Value::Map(_) => {
            if section.given("kind").is_none() {
                context.problems.error(
                    Draft::new(node.at.clone(), "an action without a `kind`")
                        .help(format!("one of {}", ACTIONS.join(", "))),
                );
            }
            section.word("kind")
        }
        Value::List(_) => None,
    };
    let Some(kind) = kind else { return (None, true) };
    for (key, only) in [
        ("set", "restart_with_env"),
        ("command", "custom_command"),
        ("cwd", "custom_command"),
        ("env", "custom_command"),
        ("timeout_seconds", "custom_command"),
    ] {
        let entry = section.entry(key).filter(|entry| {
            !entry.value.entries().is_empty()
                || !entry.value.items().is_empty()
                || scalar::spelled(&entry.value).is_some()
        });
        if only != kind
            && let Some(entry) = entry
        {
            context.problems.warn(
                Draft::new(entry.key_at.clone(), format!("`{key}` has no effect here"))
                    .help(format!("it belongs to `kind: {only}`")),
            );
        }
    }
    let action = match kind.as_str() {
        "restart" => Some(Action::Restart),
        "restart_with_env" => changes(&section, node, context).map(|set| Action::RestartWithEnv { set }),
        "pause" => Some(Action::Pause),
        "abort" => Some(Action::Abort),
        "custom_command" => custom(&section, node, cwd, context),
        "notify" => Some(Action::Notify),
        "ignore" => Some(Action::Ignore),
        _ => None,
    };
    (action, section.bool("notify"))
}

fn changes(section: &Section<'_>, node: &Node, context: &mut Context<'_>) -> Option<BTreeMap<String, EnvChange>> {
    let entries = section.given("set").map(Node::entries).unwrap_or_default();
    if entries.is_empty() {
        context.problems.error(
            Draft::new(node.at.clone(), "`restart_with_env` without variables")
                .help("name at least one: `set: {BATCH_SIZE: half}`"),
        );
        return None;
    }
    let mut set = BTreeMap::new();
    for entry in entries {
        context.variable_name(entry);
        let change = match scalar::spelled(&entry.value)? {
            "half" => EnvChange::Half,
            "double" => EnvChange::Double,
            text => EnvChange::Literal(text.to_owned()),
        };
        set.insert(entry.key.clone(), change);
    }
    Some(set)
}

fn custom(section: &Section<'_>, node: &Node, cwd: &Path, context: &mut Context<'_>) -> Option<Action> {
    let command = section.command("command");
    if command.is_empty() && section.given("command").is_none_or(|node| scalar::command(node).is_some()) {
        context.problems.error(
            Draft::new(node.at.clone(), "`custom_command` without a `command`").help("`command: [./repair.sh, --now]`"),
        );
        return None;
    }
    Some(Action::CustomCommand {
        command,
        cwd: if section.given("cwd").is_some() { section.path("cwd", context) } else { cwd.to_path_buf() },
        env: section.env("env", context),
        timeout: section.seconds("timeout_seconds"),
    })
}

/// Whether whatever `later` matches, `earlier` matches too, as far as the conditions say so themselves.
fn covers(earlier: &Match, later: &Match, detectors: &[Detector]) -> bool {
    fn implied<T: PartialEq>(earlier: &Option<T>, later: &Option<T>) -> bool {
        earlier.is_none() || earlier == later
    }
    let Match { detector, kind, class, message_regex, language, exception, exit_code, signal, category, count, within } =
        earlier;
    let kind_of_later = later.kind.or_else(|| {
        let name = later.detector.as_ref()?;
        detectors.iter().find(|detector| detector.name == *name).map(|detector| detector.what.kind())
    });
    let pattern = |regex: &Option<regex::Regex>| regex.as_ref().map(|regex| regex.as_str().to_owned());
    // Zero is the whole run, the longest time.
    let length = |time: Duration| if time.is_zero() { Duration::MAX } else { time };
    let counted = count.is_none_or(|least| {
        least <= 1 || later.count.is_some_and(|count| count >= least) && length(*within) >= length(later.within)
    });
    implied(detector, &later.detector)
        && implied(kind, &kind_of_later)
        && implied(class, &later.class)
        && implied(&pattern(message_regex), &pattern(&later.message_regex))
        && implied(language, &later.language)
        && implied(exception, &later.exception)
        && implied(exit_code, &later.exit_code)
        && implied(signal, &later.signal)
        && implied(category, &later.category)
        && counted
}
