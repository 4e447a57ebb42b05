//! The text of a pack → [`Pack`], or everything that is wrong with it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::entry::{Entry, Pack};
use super::keys::{CLASS, CLASS_ACTIONS, PACK, ROLES};
use crate::config::check::Checker;
use crate::config::detectors::severity;
use crate::config::parse::decode;
use crate::config::problem::{ConfigError, Draft, Problems};
use crate::config::read::Section;
use crate::config::regexes;
use crate::config::rules::category;
use crate::config::scalar;
use crate::config::yaml::{self, At, Node};
use crate::detect::confine::check_pattern;
use crate::detect::{Class, ClassAction, Role};
use crate::ids::ClassName;

/// Reads the bytes of a user's pack.
///
/// # Errors
/// Everything that is wrong, sorted by place.
pub fn read_pack(bytes: &[u8], file: &Path) -> Result<Pack, Vec<ConfigError>> {
    let text = decode(bytes, Some(file))?;
    let mut problems = Problems::default();
    let pack = yaml::read(text, &mut problems).map(|root| {
        Checker { problems: &mut problems, legacy: false }.table(&root, &PACK, "");
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let pack = pack(&root, &name, &mut problems);
        complete(&root, &mut problems);
        pack
    });
    let (errors, _) = problems.place(text, Some(file));
    pack.filter(|_| errors.is_empty()).ok_or(errors)
}

/// A tree that has been checked. `fallback` is the pack's name if it has none.
pub(super) fn pack(root: &Node, fallback: &str, problems: &mut Problems) -> Pack {
    let root = Section::new(Some(root), &PACK);
    let name = root.text("pack").unwrap_or_else(|| fallback.to_owned());
    let provenance = root.text("provenance").unwrap_or_default();
    let exclude = root.texts("exclude");
    let mut seen: HashMap<String, At> = HashMap::new();
    let mut entries = Vec::new();
    for section in root.sections("classes") {
        let Some(class) = section.text("name") else { continue };
        let at = section.given("name").map_or_else(|| section.at(), |node| node.at.clone());
        if let Some(first) = seen.get(&class) {
            let draft = Draft::new(at, format!("two classes are called `{class}`"));
            problems.error(draft.help("give each its own `name`").first(first.clone()));
            continue;
        }
        seen.insert(class.clone(), at);
        entries.push(Arc::new(entry(&section, class, &name, &provenance, &exclude)));
    }
    Pack { name, about: root.text("about").unwrap_or_default(), entries }
}

fn entry(section: &Section<'_>, name: String, pack: &str, provenance: &str, exclude: &[String]) -> Entry {
    let numbers = |key: &str| {
        let items = section.given(key).map(Node::items).unwrap_or_default();
        items.iter().filter_map(scalar::whole).filter_map(|number| u32::try_from(number).ok()).collect::<Vec<u32>>()
    };
    let xids = numbers("xids");
    let mut patterns = section.texts("patterns");
    patterns.extend(xid_pattern(&xids));
    Entry {
        class: Class {
            name: ClassName::new(name),
            role: role(section),
            category: section.word("category").as_deref().and_then(category).unwrap_or_default(),
            action: action(section),
            agent: section.bool("agent"),
            only_if_ended: section.bool("only_if_ended"),
        },
        pack: pack.to_owned(),
        title: section.text("title").unwrap_or_default(),
        severity: severity(section.word("severity").as_deref()),
        cooldown: section.given("cooldown_seconds").map(|_| section.seconds("cooldown_seconds")),
        patterns,
        exclude: section.texts("exclude").into_iter().chain(exclude.iter().cloned()).collect(),
        even_if_handled: section.bool("even_if_handled"),
        exit_codes: numbers("exit_codes").into_iter().filter_map(|code| i32::try_from(code).ok()).collect(),
        oom_kill: section.bool("oom_kill"),
        xids,
        provenance: section.text("provenance").unwrap_or_else(|| provenance.to_owned()),
        matches: section.texts("match"),
        no_matches: section.texts("no_match"),
    }
}

/// The driver's line in the kernel's log: `NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.`
fn xid_pattern(xids: &[u32]) -> Option<String> {
    let numbers: Vec<String> = xids.iter().map(u32::to_string).collect();
    (!numbers.is_empty()).then(|| format!(r"NVRM: Xid \((?P<device>[0-9A-Za-z:.]+)\): (?P<xid>{}),", numbers.join("|")))
}

fn role(section: &Section<'_>) -> Role {
    let word = section.word("role");
    let roles = [Role::Root, Role::Confirmation, Role::Cascade, Role::Diagnostic];
    debug_assert!(roles.iter().map(|role| role.as_str()).eq(ROLES.iter().copied()));
    roles.into_iter().find(|role| word.as_deref() == Some(role.as_str())).unwrap_or_default()
}

fn action(section: &Section<'_>) -> ClassAction {
    use ClassAction as A;
    let word = section.word("action");
    let actions = [A::Policy, A::Restart, A::Backoff, A::Hold, A::Requeue, A::Rollback, A::Adjust, A::Clean, A::Ignore];
    debug_assert!(actions.iter().map(|action| action.as_str()).eq(CLASS_ACTIONS.iter().copied()));
    actions.into_iter().find(|action| word.as_deref() == Some(action.as_str())).unwrap_or_default()
}

/// What needs more than one key: names, something to look for, expressions that fit into one line.
fn complete(root: &Node, problems: &mut Problems) {
    let root = Section::new(Some(root), &PACK);
    if root.given("classes").is_none() {
        problems.error(
            Draft::new(root.at(), "a pack without `classes`").help("write `classes: [{name: …, patterns: […]}]`"),
        );
    }
    expressions(&root, problems);
    for section in root.sections("classes") {
        if !section.is_mapping() {
            continue;
        }
        match section.given("name") {
            None => {
                problems.error(Draft::new(section.at(), "a class without a `name`").help("write `name: my_failure`"))
            }
            Some(node) => {
                let name = scalar::text(node).unwrap_or_default();
                let odd = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
                if !name.is_empty() && name.contains(odd) {
                    let draft = Draft::new(node.at.clone(), format!("`{name}` cannot be the name of a class"));
                    problems.error(draft.help("use lower-case letters, digits and `_`"));
                }
            }
        }
        let looks = ["patterns", "xids", "exit_codes", "oom_kill"];
        if looks
            .iter()
            .all(|key| section.given(key).is_none_or(|node| scalar::spelled(node).is_none() && node.items().is_empty()))
        {
            problems.error(
                Draft::new(section.at(), "a class that can never fire")
                    .help("give it `patterns`, `exit_codes` or `xids`"),
            );
        }
        expressions(&section, problems);
    }
}

/// Expressions that are right by themselves and cannot be searched for in a line.
fn expressions(section: &Section<'_>, problems: &mut Problems) {
    let keys: &[&str] = if section.is_of(&CLASS) { &["patterns", "exclude"] } else { &["exclude"] };
    for node in keys.iter().filter_map(|key| section.given(key)).flat_map(Node::items) {
        let Some(text) = scalar::text(node).filter(|text| regexes::check(text).is_ok()) else { continue };
        if let Err(error) = check_pattern(text) {
            let at = regexes::place(node, text, error.span);
            problems.error(Draft::new(at, error.message).maybe_help(error.hint));
        }
    }
}
