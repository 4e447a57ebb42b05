//! `healing`.

use std::collections::BTreeMap;

use super::check::nearest;
use super::detectors::severity;
use super::model::{Agent, AgentMode, Budget, Git, Healing, RegressionAction};
use super::problem::Draft;
use super::read::{Context, Section};
use super::scalar;

/// Reads `healing`; subagents are named after `detectors`.
pub(super) fn read(section: Section<'_>, detectors: &[String], context: &mut Context<'_>) -> Healing {
    let budget = section.section("budget");
    Healing {
        settle: section.seconds("settle_seconds"),
        verify_window: section.seconds("verify_window_seconds"),
        regression_action: match section.word("regression_action").as_deref() {
            Some("escalate") => RegressionAction::Escalate,
            Some("ignore") => RegressionAction::Ignore,
            _ => RegressionAction::Revert,
        },
        min_severity: severity(section.word("min_severity").as_deref()),
        class_actions: section.bool("class_actions"),
        budget: Budget {
            max_attempts_per_detector_per_hour: budget.whole("max_attempts_per_detector_per_hour"),
            max_wall_per_incident: budget.seconds("max_wall_seconds_per_incident"),
        },
        escalate_to_agent_after: section.maybe_whole("escalate_to_agent_after").filter(|after| *after > 0),
        escalate_on_rule_regression: section.bool("escalate_on_rule_regression"),
        agent: agent(section.section("agent"), detectors, context),
        git: git(section.section("git")),
    }
}

fn agent(section: Section<'_>, detectors: &[String], context: &mut Context<'_>) -> Agent {
    let mode = section.word("mode");
    if mode.as_deref() == Some("langgraph")
        && let Some(node) = section.given("mode")
    {
        context.problems.warn(Draft::new(node.at.clone(), "`mode: langgraph` is read as `auto`"));
    }
    let command = section.command("command");
    if command.is_empty()
        && let Some(node) = section.given("command").filter(|node| scalar::command(node).is_some())
    {
        context.problems.error(
            Draft::new(node.at.clone(), "`healing.agent.command` is empty").help("leave it out for `claude --print`"),
        );
    }
    Agent {
        enabled: section.given("enabled").and_then(scalar::boolean),
        mode: match mode.as_deref() {
            Some("subprocess") => AgentMode::Subprocess,
            Some("session" | "interactive") => AgentMode::Session,
            _ => AgentMode::Auto,
        },
        command,
        timeout: section.seconds("timeout_seconds"),
        prompt_template: section.path("prompt_template", context),
        include_in_context: section.texts("include_in_context"),
        request_path: section.path("request_path", context),
        response_path: section.path("response_path", context),
        subagents: subagents(&section, detectors, context),
    }
}

fn subagents(
    section: &Section<'_>,
    detectors: &[String],
    context: &mut Context<'_>,
) -> BTreeMap<String, (String, String)> {
    let mut out = BTreeMap::new();
    for (entry, subagent) in section.mapped("subagents") {
        let known = || detectors.iter().map(String::as_str).chain(["default"]);
        if !known().any(|name| name == entry.key) {
            context.problems.warn(
                Draft::new(entry.key_at.clone(), format!("there is no detector `{}` for this subagent", entry.key))
                    .maybe_help(nearest(&entry.key, known()).map(|near| format!("did you mean `{near}`?"))),
            );
        }
        let text = |key| subagent.text(key).unwrap_or_default();
        out.insert(entry.key.clone(), (text("type"), text("description")));
    }
    out
}

fn git(section: Section<'_>) -> Git {
    Git {
        enabled: section.bool("enabled"),
        write_enabled: section.bool("write_enabled"),
        branch_prefix: section.text("branch_prefix").unwrap_or_default(),
        auto_merge: section.bool("auto_merge"),
    }
}
