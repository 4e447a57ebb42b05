//! `sentry.yaml` for a project: the commented default with a proposal filled in.

use super::catalogue::PACK_LIST;
use super::stack::{PackChoice, Proposal};
use super::write::word;

/// The commented default configuration.
pub const TEMPLATE: &str = include_str!("../../templates/sentry.yaml");
/// The operator's page, written by `sentry init`.
pub const PROGRAM: &str = include_str!("../../templates/program.md");

// Lines of the template that a proposal replaces. A test holds that each is there once.
const COMMAND: &str = "  command: [python3, train.py]\n";
const ENV: &str = "  env: {}\n  # Give";
const SNAPSHOTS: &str = "config_snapshots: []\n";
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
    if !proposal.packs.is_empty() {
        let width = proposal.packs.iter().map(|choice| choice.pack.len()).max().unwrap_or(0);
        let line = |choice: &PackChoice| format!("      - {:width$}  # {}\n", choice.pack, choice.why);
        let lines: String = proposal.packs.iter().map(line).collect();
        text = text.replacen(&packs(), &format!("    packs:\n{lines}"), 1);
    }
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

fn packs() -> String {
    format!("    packs: {PACK_LIST}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_there_once() {
        for place in [COMMAND, ENV, SNAPSHOTS, &packs(), RULES] {
            assert_eq!(TEMPLATE.matches(place).count(), 1, "{place:?}");
        }
    }
}
