//! Typed reading of a checked tree. A value that is wrong has been reported by [`super::check`]; here it reads as its
//! default, so that everything else can still be looked at.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::interpolate::{self, Why};
use super::keys::{Key, Kind, Table};
use super::problem::{Draft, Problems};
use super::regexes;
use super::scalar;
use super::yaml::{self, At, Entry, Node, Value};

/// What reading needs besides the tree.
pub(super) struct Context<'a> {
    /// Absolute directory that relative paths start from.
    pub(super) project: &'a Path,
    /// Variables for interpolation.
    pub(super) vars: &'a dyn Fn(&str) -> Option<String>,
    /// Bytes of a user's pack, or why they cannot be had.
    pub(super) packs: &'a dyn Fn(&Path) -> Result<Vec<u8>, String>,
    /// The file is an `autosentry.yaml`.
    pub(super) legacy: bool,
    pub(super) problems: Problems,
}

/// What a configuration may ask of the world; whoever parses it answers.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// The value of a variable.
    pub vars: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes of a pack (`kind: catalogue`, `files`), or in one line why they cannot be read.
    pub packs: &'a dyn Fn(&Path) -> Result<Vec<u8>, String>,
}

impl<'a> Outside<'a> {
    /// Variables only; every pack is refused.
    pub fn of_vars(vars: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { vars, packs: &|file| Err(format!("cannot read `{}` here", file.display())) }
    }
}

/// A mapping with its table.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    node: Option<&'a Node>,
    table: &'static Table,
}

impl<'a> Section<'a> {
    pub(super) fn new(node: Option<&'a Node>, table: &'static Table) -> Self {
        Self { node, table }
    }

    /// Where the mapping is written.
    pub(super) fn at(&self) -> At {
        self.node.map_or(0..0, |node| node.at.clone())
    }

    /// Whether it is a mapping at all; anything else has been reported.
    pub(super) fn is_mapping(&self) -> bool {
        self.node.is_some_and(|node| matches!(node.value, Value::Map(_)))
    }

    /// Whether this is its table.
    pub(super) fn is_of(&self, table: &'static Table) -> bool {
        std::ptr::eq(self.table, table)
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        let key = self.table.key(name);
        debug_assert!(key.is_some(), "{} has no key {name}", self.table.what);
        key
    }

    /// The entry of a key, by its name or alias, if it has a value.
    pub(super) fn entry(&self, name: &str) -> Option<&'a Entry> {
        let key = self.key(name)?;
        let entries = self.node?.entries();
        let find = |name: &str| entries.iter().find(|entry| entry.key == name && !entry.value.is_null());
        find(key.name).or_else(|| find(key.alias?))
    }

    /// The value of a key that is given.
    pub(super) fn given(&self, name: &str) -> Option<&'a Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// The value as something, else its default.
    fn get<T>(&self, name: &str, read: impl Fn(&Node) -> Option<T>) -> Option<T> {
        let given = self.given(name).and_then(&read);
        given.or_else(|| {
            let default = self.key(name)?.default;
            let node = (!default.is_empty()).then(|| yaml::read(default, &mut Problems::default())).flatten()?;
            read(&node)
        })
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        self.get(name, scalar::boolean).unwrap_or_default()
    }

    /// A whole number inside the key's range.
    pub(super) fn maybe_whole(&self, name: &str) -> Option<u32> {
        let Kind::Whole { min, max } = self.key(name)?.kind else { return None };
        let range = i128::from(min)..=i128::from(max);
        self.get(name, |node| {
            scalar::whole(node).filter(|number| range.contains(number)).and_then(|number| u32::try_from(number).ok())
        })
    }

    pub(super) fn whole(&self, name: &str) -> u32 {
        self.maybe_whole(name).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> f64 {
        let range = match self.key(name).map(|key| &key.kind) {
            Some(Kind::Number { min, max }) => *min..=*max,
            _ => f64::MIN..=f64::MAX,
        };
        self.get(name, |node| scalar::number(node).filter(|number| range.contains(number))).unwrap_or_default()
    }

    pub(super) fn seconds(&self, name: &str) -> Duration {
        self.get(name, |node| scalar::as_duration(scalar::seconds(node)?)).unwrap_or_default()
    }

    pub(super) fn bytes(&self, name: &str) -> u64 {
        self.get(name, scalar::bytes).unwrap_or_default()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name, |node| scalar::text(node).map(str::to_owned))
    }

    /// A word that is one of those the key takes.
    pub(super) fn word(&self, name: &str) -> Option<String> {
        let words = self.key(name).map(|key| words(&key.kind)).unwrap_or_default();
        self.get(name, |node| scalar::spelled(node).filter(|word| words.contains(word)).map(str::to_owned))
    }

    pub(super) fn command(&self, name: &str) -> Vec<String> {
        self.get(name, scalar::command).unwrap_or_default()
    }

    /// Items of a list as spelled.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.get(name, |node| match &node.value {
            Value::List(items) => Some(items.iter().filter_map(scalar::text).map(str::to_owned).collect()),
            Value::Scalar { .. } | Value::Map(_) => None,
        })
        .unwrap_or_default()
    }

    /// A mapping inside this one; an empty one where it is absent.
    pub(super) fn section(&self, name: &str) -> Section<'a> {
        let table = self.key(name).and_then(|key| table(&key.kind)).unwrap_or(self.table);
        Section { node: self.given(name), table }
    }

    /// The mappings of a list.
    pub(super) fn sections(&self, name: &str) -> Vec<Section<'a>> {
        let table = self.key(name).and_then(|key| table(&key.kind)).unwrap_or(self.table);
        self.given(name)
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .map(|node| Section { node: Some(node), table })
            .collect()
    }

    /// The mappings of a mapping.
    pub(super) fn mapped(&self, name: &str) -> Vec<(&'a Entry, Section<'a>)> {
        let table = self.key(name).and_then(|key| table(&key.kind)).unwrap_or(self.table);
        let entries = self.given(name).map(Node::entries).unwrap_or_default();
        entries.iter().map(|entry| (entry, Section { node: Some(&entry.value), table })).collect()
    }

    /// A path, filled in and absolute.
    pub(super) fn path(&self, name: &str, context: &mut Context<'_>) -> PathBuf {
        match self.given(name) {
            Some(node) if scalar::text(node).is_some() => context.path(node),
            _ => resolve(context.project, &self.text(name).unwrap_or_default()),
        }
    }

    pub(super) fn paths(&self, name: &str, context: &mut Context<'_>) -> Vec<PathBuf> {
        let items = self.given(name).map(Node::items).unwrap_or_default();
        items.iter().filter(|node| scalar::text(node).is_some()).map(|node| context.path(node)).collect()
    }

    /// Variables, filled in.
    pub(super) fn env(&self, name: &str, context: &mut Context<'_>) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for entry in self.given(name).map(Node::entries).unwrap_or_default() {
            context.variable_name(entry);
            if let Some(text) = scalar::spelled(&entry.value) {
                env.insert(entry.key.clone(), context.fill(&entry.value, text));
            }
        }
        env
    }
}

impl Context<'_> {
    /// Fills variables in, reporting each that is missing.
    pub(super) fn fill(&mut self, node: &Node, text: &str) -> String {
        let (filled, bad) = interpolate::fill(text, self.vars);
        for bad in bad {
            let at = regexes::place(node, text, Some(bad.at));
            match bad.why {
                Why::Unset(name) if self.legacy => self.problems.warn(
                    Draft::new(at, format!("variable `{name}` is not set"))
                        .help("it is kept as written, as in autosentry"),
                ),
                Why::Unset(name) => self.problems.error(
                    Draft::new(at, format!("variable `{name}` is not set"))
                        .help(format!("set it, or write `${{{name}:-default}}`; `$$` is a dollar sign")),
                ),
                Why::Open => self.problems.error(Draft::new(at, "`${` without `}`").help("`$$` is a dollar sign")),
                Why::Shape => self.problems.error(
                    Draft::new(at, "not a variable")
                        .help("write `${NAME}` or `${NAME:-default}`; `$$` is a dollar sign"),
                ),
            }
        }
        filled
    }

    fn path(&mut self, node: &Node) -> PathBuf {
        let text = scalar::spelled(node).unwrap_or_default();
        let filled = self.fill(node, text);
        let moved = filled.strip_prefix("./").unwrap_or(&filled);
        match moved.strip_prefix(".autosentry") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                let here = format!(".sentry{rest}");
                self.problems.warn(
                    Draft::new(node.at.clone(), format!("`{filled}` is `{here}` here"))
                        .help("autosentry's own files are left alone"),
                );
                resolve(self.project, &here)
            }
            _ => resolve(self.project, &filled),
        }
    }

    /// Reports a name that no environment can hold.
    pub(super) fn variable_name(&mut self, entry: &Entry) {
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            self.problems.error(Draft::new(
                entry.key_at.clone(),
                format!("`{}` cannot be the name of a variable", entry.key.escape_debug()),
            ));
        }
        if scalar::spelled(&entry.value).is_some_and(|text| text.contains('\0')) {
            self.problems.error(Draft::new(entry.value.at.clone(), "a variable cannot hold a NUL byte"));
        }
    }
}

/// Joins without touching the file system: `.` disappears and `..` takes a part away.
pub(super) fn resolve(project: &Path, path: &str) -> PathBuf {
    let mut out = PathBuf::new();
    for part in project.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part @ (Component::RootDir | Component::Normal(_) | Component::Prefix(_)) => out.push(part),
        }
    }
    out
}

fn table(kind: &'static Kind) -> Option<&'static Table> {
    match kind {
        Kind::Section(table) => Some(table),
        Kind::List(item) | Kind::Map(item) => table(item),
        Kind::OneOf(kinds) => kinds.iter().find_map(table),
        _ => None,
    }
}

fn words(kind: &'static Kind) -> &'static [&'static str] {
    match kind {
        Kind::Word(words) => words,
        Kind::List(item) => words(item),
        Kind::OneOf(kinds) => kinds.iter().map(words).find(|words| !words.is_empty()).unwrap_or_default(),
        _ => &[],
    }
}
