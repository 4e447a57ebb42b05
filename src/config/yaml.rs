//! YAML text → a tree in which every node knows where it was written. The only caller of the YAML parser.
//!
//! serde stops at the first error; a configuration is better served by a tree that is walked once per question, so that
//! all errors are reported together. Scalars keep their spelling: `1.0` in a command stays `1.0`.
//!
//! Bounds: a file of at most [`MAX_BYTES`], [`MAX_DEPTH`] levels, [`MAX_NODES`] nodes and [`MAX_BYTES`] of text after
//! aliases are expanded. Beyond them the file is refused; nothing is expanded first and measured later.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle};

use super::problem::{Draft, Problems};

/// Largest file that is read, in bytes. The commented default has about 20 KiB.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting, aliases expanded. The configuration itself needs eight levels.
pub(super) const MAX_DEPTH: usize = 64;
/// Most nodes, aliases expanded.
pub(super) const MAX_NODES: usize = 20_000;

/// Where something is written: bytes of the file.
pub(super) type At = Range<usize>;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// The scalar itself; the first key of a mapping; the start of a list.
    pub(super) at: At,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Text as spelled, escapes resolved. `plain`: neither quoted nor a block, so it may mean a number, a truth value or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping; keys of a mapping are distinct.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: At,
    pub(super) value: Node,
}

impl Node {
    /// An empty mapping at the start of the file.
    pub(super) fn empty() -> Self {
        Self { at: 0..0, value: Value::Map(Vec::new()) }
    }

    /// Nothing was given: an empty value, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar { .. } | Value::List(_) => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar { .. } | Value::Map(_) => &[],
        }
    }

    fn size(&self) -> Size {
        match &self.value {
            Value::Scalar { text, .. } => Size { nodes: 1, bytes: text.len(), depth: 1 },
            Value::List(items) => items.iter().fold(Size::ONE, |sum, item| sum.around(item.size())),
            Value::Map(entries) => entries.iter().fold(Size::ONE, |sum, entry| {
                let inner = entry.value.size();
                sum.around(Size { bytes: inner.bytes.saturating_add(entry.key.len()), ..inner })
            }),
        }
    }
}

#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Size {
    const ONE: Self = Self { nodes: 1, bytes: 0, depth: 1 };

    fn around(self, inner: Self) -> Self {
        Self {
            nodes: self.nodes.saturating_add(inner.nodes),
            bytes: self.bytes.saturating_add(inner.bytes),
            depth: self.depth.max(inner.depth.saturating_add(1)),
        }
    }
}

/// Reads a file's text. What is wrong goes to `problems`; `None` when nothing sensible is left to look at.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > MAX_BYTES {
        problems.error(Draft::new(0..0, format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len())));
        return None;
    }
    let mut options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        disallow_directives: false,
    };
    options.set_emit_comments(false);
    let mut builder = Builder { problems, open: Vec::new(), anchors: HashMap::new(), nodes: 0, bytes: 0, root: None };
    let mut documents = 0_u32;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                let start = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
                builder.problems.error(Draft::new(start..start, format!("not valid YAML: {}", error.info())));
                return None;
            }
        };
        let at = span.byte_range().unwrap_or(0..0);
        if matches!(event, Event::DocumentStart(..)) {
            documents = documents.saturating_add(1);
            if documents > 1 {
                builder.problems.error(
                    Draft::new(at, "the file holds a second document").help("remove everything from this `---` on"),
                );
                return None;
            }
        }
        if builder.event(event, at).is_err() {
            return None;
        }
    }
    Some(builder.root.unwrap_or_else(Node::empty))
}

/// The file cannot be read on; the reason is among the problems.
struct Refused;

enum Open {
    List { at: At, anchor: usize, items: Vec<Node> },
    Map { at: At, anchor: usize, entries: Vec<Entry>, merges: Vec<(At, Node)>, key: Option<Key> },
}

enum Key {
    Text(String, At),
    /// A plain `<<`.
    Merge(At),
    /// Not text: reported, and its value is dropped.
    Bad,
}

struct Builder<'p> {
    problems: &'p mut Problems,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn unknown_tag(&mut self, tag: &impl std::fmt::Display, at: &At) {
        self.problems.error(Draft::new(at.clone(), format!("unknown tag `{tag}`")).help("remove the tag"));
    }

    fn event(&mut self, event: Event<'_>, at: At) -> Result<(), Refused> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let mut plain = style == ScalarStyle::Plain;
                if let Some(tag) = tag {
                    match tag.core_suffix() {
                        Some("str") => plain = false,
                        Some("int" | "float" | "bool" | "null") => {}
                        _ => self.unknown_tag(&tag, &at),
                    }
                }
                self.count(&at, Size { nodes: 1, bytes: text.len(), depth: 1 })?;
                self.close(Node { at, value: Value::Scalar { text: text.into_owned(), plain } }, anchor);
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    self.problems.error(Draft::new(at, "this alias stands inside what it stands for"));
                    return Err(Refused);
                };
                self.count(&at, node.size())?;
                self.close(node, 0);
            }
            Event::SequenceStart(_, anchor, tag) => {
                if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some("seq")) {
                    self.unknown_tag(&tag, &at);
                }
                self.count(&at, Size::ONE)?;
                self.open.push(Open::List { at, anchor, items: Vec::new() });
            }
            Event::MappingStart(_, anchor, tag) => {
                if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some("map")) {
                    self.unknown_tag(&tag, &at);
                }
                self.count(&at, Size::ONE)?;
                self.open.push(Open::Map { at, anchor, entries: Vec::new(), merges: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { at, anchor, items }) => self.close(Node { at, value: Value::List(items) }, anchor),
                Some(Open::Map { at, anchor, mut entries, merges, key: _ }) => {
                    self.merge(&mut entries, merges);
                    let at = entries.first().map_or(at, |entry| entry.key_at.clone());
                    self.close(Node { at, value: Value::Map(entries) }, anchor);
                }
                None => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, at: &At, size: Size) -> Result<(), Refused> {
        self.nodes = self.nodes.saturating_add(size.nodes);
        self.bytes = self.bytes.saturating_add(size.bytes);
        let too = if self.nodes > MAX_NODES {
            format!("more than {MAX_NODES} values once aliases are expanded")
        } else if self.bytes > MAX_BYTES {
            format!("more than {MAX_BYTES} bytes once aliases are expanded")
        } else if self.open.len().saturating_add(size.depth) > MAX_DEPTH {
            format!("nested deeper than {MAX_DEPTH} levels")
        } else {
            return Ok(());
        };
        self.problems.error(Draft::new(at.clone(), format!("refused: {too}")));
        Err(Refused)
    }

    /// Puts a finished node where it belongs.
    fn close(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, merges, key, .. }) => match key.take() {
                None => {
                    *key = Some(match node.value {
                        Value::Scalar { text, plain: true } if text == "<<" => Key::Merge(node.at),
                        Value::Scalar { text, .. } => Key::Text(text, node.at),
                        Value::List(_) | Value::Map(_) => {
                            self.problems.error(Draft::new(node.at, "a key must be text"));
                            Key::Bad
                        }
                    });
                }
                Some(Key::Text(key, key_at)) => {
                    if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                        self.problems.error(
                            Draft::new(key_at, format!("duplicate key `{key}`"))
                                .label("given again here")
                                .first(first.key_at.clone()),
                        );
                    } else {
                        entries.push(Entry { key, key_at, value: node });
                    }
                }
                Some(Key::Merge(at)) => merges.push((at, node)),
                Some(Key::Bad) => {}
            },
        }
    }

    /// `<<: *anchor` (YAML 1.1 merge): the keys of the other mapping that are not given here.
    fn merge(&mut self, entries: &mut Vec<Entry>, merges: Vec<(At, Node)>) {
        for (at, node) in merges {
            let sources = match node.value {
                Value::List(items) => items,
                value @ (Value::Map(_) | Value::Scalar { .. }) => vec![Node { at: node.at, value }],
            };
            for source in sources {
                let Value::Map(others) = source.value else {
                    self.problems.error(Draft::new(at.clone(), "`<<` takes a mapping or a list of mappings"));
                    continue;
                };
                for other in others {
                    if !entries.iter().any(|entry| entry.key == other.key) {
                        entries.push(other);
                    }
                }
            }
        }
    }
}
