//! YAML out: words that read back as what they are, and trees for people.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A value to be written, keys in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A number or truth value, as spelled in JSON.
    Plain(serde_json::Value),
    /// Text.
    Text(String),
    /// Items.
    List(Vec<Shown>),
    /// Keys and values.
    Map(Vec<(String, Shown)>),
}

impl Shown {
    /// As YAML, with a line end.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out
    }

    fn write(&self, depth: usize, out: &mut String) {
        match self {
            Self::Map(entries) => {
                for (key, value) in entries {
                    out.push_str(&"  ".repeat(depth));
                    out.push_str(&word(key));
                    out.push(':');
                    value.write_behind(depth, out);
                }
            }
            Self::List(items) => {
                for item in items {
                    out.push_str(&"  ".repeat(depth));
                    out.push('-');
                    item.write_item(depth, out);
                }
            }
            Self::Plain(_) | Self::Text(_) => {
                out.push_str(&self.inline());
                out.push('\n');
            }
        }
    }

    /// After `key:`.
    fn write_behind(&self, depth: usize, out: &mut String) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                self.write(depth.saturating_add(1), out);
            }
            Self::List(items) if items.iter().any(|item| matches!(item, Self::Map(_) | Self::List(_))) => {
                out.push('\n');
                self.write(depth.saturating_add(1), out);
            }
            Self::Map(_) | Self::List(_) | Self::Plain(_) | Self::Text(_) => {
                out.push(' ');
                out.push_str(&self.inline());
                out.push('\n');
            }
        }
    }

    /// After `-`: the first key of a mapping stands on the same line.
    fn write_item(&self, depth: usize, out: &mut String) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                let mut inner = String::new();
                self.write(depth.saturating_add(1), &mut inner);
                out.push(' ');
                out.push_str(inner.trim_start());
            }
            Self::Map(_) | Self::List(_) | Self::Plain(_) | Self::Text(_) => self.write_behind(depth, out),
        }
    }

    fn inline(&self) -> String {
        match self {
            Self::Plain(value) => value.to_string(),
            Self::Text(text) => word(text),
            Self::List(items) => format!("[{}]", items.iter().map(Self::inline).collect::<Vec<_>>().join(", ")),
            Self::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}: {}", word(key), value.inline())).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Text as one YAML word, safe in block and flow style: plain where nothing can be mistaken, single quotes where they
/// suffice (so that regular expressions stay readable), else double quotes.
pub fn word(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.' | '/'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '+' | '@'))
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n")
        && text.parse::<f64>().is_err()
        // YAML's spelling of infinity and "not a number".
        && !matches!(text.to_ascii_lowercase().as_str(), ".inf" | ".nan")
        && text != "..."
        && !text.starts_with("...");
    if plain {
        return text.to_owned();
    }
    // YAML 1.2.2 §5.1: what may stand in a stream as it is. Line ends would be folded, and others cannot be seen.
    let printable =
        |c: char| !c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}');
    if text.chars().all(printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if printable(c) => out.push(c),
            c => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}
