//! `autosentry.yaml` → `sentry.yaml`, as an edit of the text: values, order and comments stay.

use std::ops::Range;
use std::path::Path;

use super::keys::{Key, Kind, Note, Table};
use super::parse::parse;
use super::problem::{ConfigError, Problems, Warning};
use super::scalar;
use super::tables::ROOT;
use super::yaml::{self, At, Entry, Node, Value};

const FIRST_LINE: &str = "# yaml-language-server: $schema=.sentry/sentry.schema.json\n";

/// Rewrites an `autosentry.yaml` with our names and places. Keys without effect become comments; the warnings are those
/// of the file as it was.
///
/// # Errors
/// Everything that keeps the file from being read.
pub fn convert(
    text: &str,
    file: Option<&Path>,
    project: &Path,
    vars: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, Vec<Warning>), Vec<ConfigError>> {
    // Its name is what makes it autosentry's, whatever it is called now.
    let name =
        file.map_or_else(|| Path::new("autosentry.yaml").to_path_buf(), |file| file.with_file_name("autosentry.yaml"));
    let (_, warnings) = parse(text, Some(&name), project, vars)?;
    let warnings = warnings.into_iter().map(|warning| warning.in_file(file)).collect();
    let Some(root) = yaml::read(text, &mut Problems::default()) else { return Ok((text.to_owned(), warnings)) };
    // A variable that is not set today is a matter of the run, not of the conversion.
    let set = |name: &str| vars(name).or_else(|| Some(name.to_owned()));
    let reads = |text: &str| parse(text, Some(Path::new("sentry.yaml")), project, &set).is_ok();
    let mut edits = Edits { text, commenting: true, list: Vec::new() };
    edits.table(&root, &ROOT);
    let out = edits.apply();
    if reads(&out) {
        return Ok((out, warnings));
    }
    // A key without effect may hold an anchor that others use: then it stays.
    let mut edits = Edits { text, commenting: false, list: Vec::new() };
    edits.table(&root, &ROOT);
    Ok((edits.apply(), warnings))
}

struct Edits<'a> {
    text: &'a str,
    commenting: bool,
    list: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    fn table(&mut self, node: &Node, table: &'static Table) {
        for entry in node.entries() {
            let Some(key) = table.key(&entry.key) else { continue };
            if self.commenting && self.comment_out(entry, key) {
                continue;
            }
            if self.commenting && key.name == "notifiers" {
                self.notifiers(&entry.value);
            }
            if key.alias == Some(entry.key.as_str()) {
                self.replace(&entry.key_at, &entry.key, key.name);
            }
            self.kind(&entry.value, &key.kind);
        }
    }

    fn kind(&mut self, node: &Node, kind: &'static Kind) {
        match kind {
            Kind::Section(table) => self.table(node, table),
            Kind::List(item) => node.items().iter().for_each(|node| self.kind(node, item)),
            Kind::Map(value) => node.entries().iter().for_each(|entry| self.kind(&entry.value, value)),
            Kind::OneOf(kinds) => kinds.iter().for_each(|kind| self.kind(node, kind)),
            Kind::Path => {
                let path = scalar::spelled(node).unwrap_or_default();
                if path.trim_start_matches("./").starts_with(".autosentry") {
                    self.replace(&node.at, ".autosentry", ".sentry");
                }
            }
            Kind::Word(words) if words.contains(&"interactive") => {
                self.replace(&node.at, "interactive", "session");
                self.replace(&node.at, "langgraph", "auto");
            }
            _ => {}
        }
    }

    /// Replaces the first `old` inside a place.
    fn replace(&mut self, at: &At, old: &str, new: &str) {
        if let Some(offset) = self.text.get(at.clone()).and_then(|part| part.find(old)) {
            let start = at.start.saturating_add(offset);
            self.edit(start..start.saturating_add(old.len()), new.to_owned());
        }
    }

    fn edit(&mut self, at: Range<usize>, new: String) {
        // An alias stands for text that is edited where it is written.
        if !self.list.iter().any(|(other, _)| *other == at) {
            self.list.push((at, new));
        }
    }

    /// Makes notifiers that are not there yet comments, as long as one stays.
    fn notifiers(&mut self, list: &Node) {
        let works = |item: &&Node| {
            item.entries().iter().any(|entry| entry.key == "kind" && scalar::spelled(&entry.value) == Some("log"))
        };
        if list.items().iter().any(|item| works(&item)) {
            for item in list.items().iter().filter(|item| !works(item)) {
                self.comment_lines(item.at.start, item.at.start, last_byte(item), "this notifier is not there yet");
            }
        }
    }

    /// Makes the lines of a key without effect comments, where the key starts a line.
    fn comment_out(&mut self, entry: &Entry, key: &Key) -> bool {
        let Note::NoEffect(instead) = key.note else { return false };
        self.comment_lines(entry.key_at.start, entry.key_at.end, last_byte(&entry.value), instead)
    }

    /// Makes lines comments, from the one that `first` starts (after the dash of a list) to the one with `last`.
    fn comment_lines(&mut self, first: usize, least: usize, last: usize, instead: &str) -> bool {
        let start = self.text.get(..first).and_then(|before| before.rfind('\n')).map_or(0, |end| end.saturating_add(1));
        let Some(before) = self.text.get(start..first) else { return false };
        let item = before.trim_end().trim_end_matches('{').trim_end().strip_suffix('-');
        let indent = item.unwrap_or(before);
        if !indent.trim().is_empty() {
            return false;
        }
        let last = last.max(least);
        let end = self.text.get(..last).map_or(last, |text| text.trim_end().len()).max(least);
        let end = self
            .text
            .get(end..)
            .and_then(|rest| rest.find('\n'))
            .map_or(self.text.len(), |line| end.saturating_add(line));
        let Some(lines) = self.text.get(start..end) else { return false };
        let mut out = format!("{indent}# No effect in sentry: {instead}.");
        for line in lines.lines() {
            out.push('\n');
            match line.strip_prefix(indent) {
                Some(rest) => out.push_str(&format!("{indent}# {rest}")),
                None => out.push_str(&format!("{indent}# {line}")),
            }
        }
        self.edit(start..end, out);
        true
    }

    fn apply(mut self) -> String {
        self.list.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
        let mut out = self.text.to_owned();
        let mut from = usize::MAX;
        for (at, new) in self.list {
            if at.end <= from && out.get(at.clone()).is_some() {
                from = at.start;
                out.replace_range(at, &new);
            }
        }
        let body = if out.starts_with("# yaml-language-server:") {
            out.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default()
        } else {
            out
        };
        // Directives must stay at the start of the file.
        if body.starts_with('%') { body } else { format!("{FIRST_LINE}{body}") }
    }
}

fn last_byte(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => node.at.end,
        Value::List(items) => items.iter().map(last_byte).max().unwrap_or(0).max(node.at.end),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| last_byte(&entry.value).max(entry.key_at.end))
            .max()
            .unwrap_or(0)
            .max(node.at.end),
    }
}
