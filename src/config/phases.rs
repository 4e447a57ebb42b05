//! `phases`.

use std::collections::HashMap;

use super::detector_model::PhaseMarks;
use super::detectors::line_regex;
use super::problem::Draft;
use super::read::{Context, Section};
use super::yaml::At;
use crate::ids::PhaseName;

/// Reads the phases.
pub(super) fn read(root: &Section<'_>, context: &mut Context<'_>) -> Vec<PhaseMarks> {
    let mut seen: HashMap<String, At> = HashMap::new();
    let mut out = Vec::new();
    for section in root.sections("phases").into_iter().filter(Section::is_mapping) {
        for (key, why) in [("name", "so that detectors can except it"), ("begin", "the line that begins it")] {
            if section.given(key).is_none() {
                let help = format!("write `{key}`: {why}");
                context.problems.error(Draft::new(section.at(), format!("a phase without a `{key}`")).help(help));
            }
        }
        let Some(name) = section.text("name") else { continue };
        let at = section.given("name").map_or_else(|| section.at(), |node| node.at.clone());
        if let Some(first) = seen.get(&name) {
            context.problems.error(
                Draft::new(at, format!("two phases are called `{name}`"))
                    .help("give each its own `name`")
                    .first(first.clone()),
            );
            continue;
        }
        seen.insert(name.clone(), at);
        let Some(begin) = line_regex(&section, "begin") else { continue };
        out.push(PhaseMarks {
            name: PhaseName::new(name),
            begin,
            end: line_regex(&section, "end"),
            max: section.seconds("max_seconds"),
        });
    }
    out
}
