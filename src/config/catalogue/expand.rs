//! `kind: catalogue` → its classes as detectors.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::built_in::{PACK_NAMES, built_in};
use super::entry::{Catalogue, Entry};
use super::read::read_pack;
use crate::config::check::nearest;
use crate::config::detector_model::{Detector, What};
use crate::config::detectors::severity;
use crate::config::problem::Draft;
use crate::config::read::{Context, Section};
use crate::config::scalar;
use crate::config::yaml::Node;
use crate::ids::{ClassName, DetectorName};

/// What the entry of the file says.
pub(in crate::config) fn spec(section: &Section<'_>, context: &mut Context<'_>) -> Catalogue {
    let mut packs = section.texts("packs");
    packs.retain(|pack| PACK_NAMES.contains(&pack.as_str()));
    Catalogue {
        packs,
        files: section.paths("files", context),
        ignore: section.texts("ignore").into_iter().map(ClassName::new).collect(),
        severity: section.given("severity").map(|_| severity(section.word("severity").as_deref())),
        cooldown: section.given("cooldown_seconds").map(|_| section.seconds("cooldown_seconds")),
    }
}

/// The classes that it stands for. `taken` are the names of the file's own detectors, which win; a class of a user's pack
/// wins over a built-in one of the same name.
pub(in crate::config) fn classes(
    section: &Section<'_>,
    spec: &Catalogue,
    taken: &HashSet<String>,
    default_cooldown: Duration,
    context: &mut Context<'_>,
) -> Vec<Detector> {
    let mut found: Vec<Arc<Entry>> = Vec::new();
    let mut own: BTreeMap<ClassName, String> = BTreeMap::new();
    let nodes = section.given("files").map(Node::items).unwrap_or_default();
    for (file, node) in spec.files.iter().zip(nodes.iter().filter(|node| scalar::text(node).is_some())) {
        let bytes = match (context.packs)(file) {
            Ok(bytes) => bytes,
            Err(why) => {
                context.problems.error(
                    Draft::new(node.at.clone(), why)
                        .help("`files` are packs of yours; built-in ones are named in `packs`"),
                );
                continue;
            }
        };
        match read_pack(&bytes, file) {
            Ok(pack) => {
                for entry in pack.entries {
                    if let Some(other) = own.insert(entry.name().clone(), file.display().to_string()) {
                        let what = format!("class `{}` is in two packs", entry.name());
                        context
                            .problems
                            .error(Draft::new(node.at.clone(), what).help(format!("the other one is `{other}`")));
                    } else {
                        found.push(entry);
                    }
                }
            }
            Err(errors) => context.problems.elsewhere(errors),
        }
    }
    let packs = built_in().iter().filter(|pack| spec.packs.contains(&pack.name));
    found.extend(packs.flat_map(|pack| &pack.entries).filter(|entry| !own.contains_key(entry.name())).cloned());
    unknown_ignored(section, &found, context);
    found.retain(|entry| !taken.contains(entry.name().as_str()) && !spec.ignore.contains(entry.name()));
    shared_numbers(section, &found, &own, context);
    found
        .into_iter()
        .map(|entry| Detector {
            name: DetectorName::new(entry.name().as_str()),
            severity: spec.severity.unwrap_or(entry.severity),
            cooldown: spec.cooldown.or(entry.cooldown).unwrap_or(default_cooldown),
            what: What::Class(entry),
        })
        .collect()
}

/// Reports an exit code or an Xid of a user's class that another class has, too: of an end, one class is told.
fn shared_numbers(
    section: &Section<'_>,
    found: &[Arc<Entry>],
    own: &BTreeMap<ClassName, String>,
    context: &mut Context<'_>,
) {
    let Some(at) = section.given("files").map(|node| node.at.clone()) else { return };
    for (index, entry) in found.iter().enumerate().filter(|(_, entry)| own.contains_key(entry.name())) {
        // Users' classes come first; each pair is told once.
        for other in found.iter().skip(index.saturating_add(1)) {
            let codes = entry.exit_codes.iter().filter(|code| other.exit_codes.contains(code));
            let xids = entry.xids.iter().filter(|xid| other.xids.contains(xid));
            let codes = codes.map(|code| format!("exit code {code}"));
            for number in codes.chain(xids.map(|xid| format!("Xid {xid}"))) {
                let what = format!("{number} belongs to two classes: `{}` and `{}`", entry.name(), other.name());
                context.problems.error(
                    Draft::new(at.clone(), what)
                        .help(format!("take it out of one, or leave one out: `ignore: [{}]`", other.name())),
                );
            }
        }
    }
}

/// Reports names in `ignore` that no class has, in any built-in pack or in those of the user.
fn unknown_ignored(section: &Section<'_>, found: &[Arc<Entry>], context: &mut Context<'_>) {
    for node in section.given("ignore").map(Node::items).unwrap_or_default() {
        let Some(name) = scalar::text(node) else { continue };
        let all = || {
            let built_in = built_in().iter().flat_map(|pack| &pack.entries);
            built_in.chain(found).map(|entry| entry.name().as_str())
        };
        if all().any(|known| known == name) {
            continue;
        }
        let near = nearest(name, all()).map(|near| format!("did you mean `{near}`?"));
        let help = near.unwrap_or_else(|| "`sentry catalogue` lists them".to_owned());
        context.problems.error(Draft::new(node.at.clone(), format!("there is no class `{name}`")).help(help));
    }
}
