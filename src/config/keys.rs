//! The language of the tables in [`super::tables`]: what a key is called, what it takes, what it is when absent, and what
//! it means. Checking, reading, the JSON Schema and the converter are all driven by the same tables.

/// The keys of one mapping.
#[derive(Debug)]
pub(super) struct Table {
    /// What the mapping is, for messages: "a detector".
    pub(super) what: &'static str,
    pub(super) keys: &'static [Key],
}

impl Table {
    /// The key of this name or alias.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name || key.alias == Some(name))
    }
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Another spelling that is accepted.
    pub(super) alias: Option<&'static str>,
    pub(super) kind: Kind,
    /// YAML text of the default; empty: none.
    pub(super) default: &'static str,
    /// One or two sentences for people.
    pub(super) doc: &'static str,
    pub(super) note: Note,
}

/// What a person should be told when a key is given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    None,
    /// It has no effect in this version; and what to use instead.
    NoEffect(&'static str),
    /// It means something else than in an `autosentry.yaml`; told only there.
    Differs(&'static str),
}

/// What a key takes.
#[derive(Debug)]
pub(super) enum Kind {
    Bool,
    /// A whole number in a range.
    Whole {
        min: u64,
        max: u64,
    },
    /// A number in a range.
    Number {
        min: f64,
        max: f64,
    },
    /// A time: a number of seconds or "90s", "10m", "2h", "1d"; at least `min` seconds.
    Seconds {
        min: f64,
    },
    /// A size: a number of bytes or "10MB", "2GiB".
    Bytes,
    /// Text.
    Text,
    /// Text or a number or a truth value, taken as spelled.
    Scalar,
    /// A name: text of at most 100 characters without control characters.
    Name,
    /// A path, relative to the project; `$VAR` is filled in.
    Path,
    /// A regular expression.
    Regex,
    /// A glob.
    Glob,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A program and its arguments: a list, or one text that is split as a shell would.
    Command,
    List(&'static Kind),
    /// Any keys, values of one kind.
    Map(&'static Kind),
    Section(&'static Table),
    /// The first that fits the shape of the value.
    OneOf(&'static [Kind]),
    Any,
}

pub(super) const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, alias: None, kind, default, doc, note: Note::None }
}

impl Key {
    pub(super) const fn alias(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }

    pub(super) const fn no_effect(self, instead: &'static str) -> Self {
        Self { note: Note::NoEffect(instead), ..self }
    }

    pub(super) const fn differs(self, how: &'static str) -> Self {
        Self { note: Note::Differs(how), ..self }
    }
}
