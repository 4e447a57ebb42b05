//! `sentry.yaml` for a project: the commented default with a proposal filled in.

use super::stack::Proposal;
use super::write::word;

/// The commented default configuration.
pub const TEMPLATE: &str = include_str!("../../templates/sentry.yaml");
/// The operator's page, written by `sentry init`.
pub const PROGRAM: &str = include_str!("../../templates/program.md");

// Lines of the template that a proposal replaces. A test holds that each is there once.
const COMMAND: &str = "  command: [python3, train.py]\n";
const ENV: &str = "  env: {}\n  # Give";
const SNAPSHOTS: &str = "config_snapshots: []\n";
const DETECTORS: &str = "  # stall: nothing was printed";
const RULES: &str = "rules: []\n";

/// The file for a proposal.
pub fn render(proposal: &Proposal) -> String {
    let command: Vec<String> = proposal.command.iter().map(|part| word(part)).collect();
    let mut text = TEMPLATE.replacen(COMMAND, &format!("  command: [{}]\n", command.join(", ")), 1);
    if !proposal.env.is_empty() {
        let lines: String = proposal
            .env
            .iter()
            .map(|variable| {
                format!("    # {}\n    {}: {}\n", variable.why, word(&variable.name), word(&variable.value))
            })
            .collect();
        text = text.replacen(ENV, &format!("  env:\n{lines}  # Give"), 1);
    }
    if !proposal.snapshots.is_empty() {
        let lines: String = proposal.snapshots.iter().map(|glob| format!("  - {}\n", word(glob))).collect();
        text = text.replacen(SNAPSHOTS, &format!("config_snapshots:\n{lines}"), 1);
    }
    let detectors: String = proposal
        .detectors
        .iter()
        .map(|d| {
            format!(
                "  # {}\n  - name: {}\n    kind: pattern\n    regex: {}\n    severity: {}\n",
                d.why,
                d.name,
                word(d.regex),
                d.severity
            )
        })
        .collect();
    text = text.replacen(DETECTORS, &format!("{detectors}{DETECTORS}"), 1);
    if !proposal.rules.is_empty() {
        let rules: String = proposal
            .rules
            .iter()
            .map(|rule| {
                format!(
                    "  # {}\n  - name: {}\n    match: {}\n    action: {}\n",
                    rule.why, rule.name, rule.when, rule.action
                )
            })
            .collect();
        text = text.replacen(RULES, &format!("rules:\n{rules}"), 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_there_once() {
        for place in [COMMAND, ENV, SNAPSHOTS, DETECTORS, RULES] {
            assert_eq!(TEMPLATE.matches(place).count(), 1, "{place:?}");
        }
    }
}
