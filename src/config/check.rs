//! A tree against the tables: unknown keys, wrong types, numbers out of range, words that are not known, bad expressions.
//! Everything that can be said about one key alone is said here, once; what needs two keys is said where they are read.

use super::keys::{Key, Kind, Note, Table};
use super::problem::{Draft, Problems};
use super::scalar;
use super::tables;
use super::yaml::{Entry, Node, Value};

/// Checks a node against what is expected.
pub(super) struct Checker<'p> {
    pub(super) problems: &'p mut Problems,
    /// The file is an `autosentry.yaml`: say where a key means something else.
    pub(super) legacy: bool,
}

impl Checker<'_> {
    /// A mapping against its table. `place` is the dotted path, empty at the top.
    pub(super) fn table(&mut self, node: &Node, table: &'static Table, place: &str) {
        let Value::Map(entries) = &node.value else {
            if !node.is_null() {
                self.expected(node, place, "a mapping");
            }
            return;
        };
        for entry in entries {
            match table.key(&entry.key) {
                Some(key) => self.entry(entry, key, entries, place),
                None => self.unknown(entry, table, place),
            }
        }
    }

    fn entry(&mut self, entry: &Entry, key: &'static Key, all: &[Entry], place: &str) {
        let at = entry.key_at.clone();
        let full = join(place, key.name);
        if key.alias == Some(entry.key.as_str())
            && let Some(other) = all.iter().find(|other| other.key == key.name)
        {
            self.problems.error(
                Draft::new(at, format!("`{}` is another name of `{}`, and both are given", entry.key, key.name))
                    .help("keep one of them")
                    .first(other.key_at.clone()),
            );
            return;
        }
        let written = join(place, &entry.key);
        match key.note {
            Note::NoEffect(instead) if !empty(&entry.value) => {
                self.problems.warn(Draft::new(at, format!("`{written}` has no effect")).help(instead))
            }
            Note::Differs(how) if self.legacy => self
                .problems
                .warn(Draft::new(at, format!("`{written}` means something else than in autosentry")).help(how)),
            Note::NoEffect(_) | Note::Differs(_) | Note::None => {}
        }
        // A key without a value is a key that was not given.
        if !entry.value.is_null() {
            self.kind(&entry.value, &key.kind, &full);
        }
    }

    fn unknown(&mut self, entry: &Entry, table: &'static Table, place: &str) {
        let names = table.keys.iter().flat_map(|key| std::iter::once(key.name).chain(key.alias));
        let help = nearest(&entry.key, names).map(|name| format!("did you mean `{name}`?")).or_else(|| {
            let homes: Vec<String> = tables::every()
                .into_iter()
                .filter(|(home, table)| home != place && table.key(&entry.key).is_some())
                .map(|(home, _)| if home.is_empty() { "the top level".to_owned() } else { format!("`{home}`") })
                .collect();
            (1..=3).contains(&homes.len()).then(|| format!("`{}` is a key of {}", entry.key, homes.join(" and of ")))
        });
        let draft = Draft::new(entry.key_at.clone(), format!("unknown key `{}`", entry.key))
            .label(format!("not a key of {}", table.what))
            .maybe_help(
                help.or_else(|| Some(format!("known here: {}", listed(table.keys.iter().map(|key| key.name))))),
            );
        self.problems.error(draft);
    }

    fn kind(&mut self, node: &Node, kind: &'static Kind, place: &str) {
        match kind {
            Kind::Section(table) => self.table(node, table, place),
            Kind::List(item) => match &node.value {
                Value::List(items) => {
                    for (index, node) in items.iter().enumerate() {
                        self.item(node, item, &format!("{place}[{index}]"));
                    }
                }
                Value::Scalar { .. } | Value::Map(_) => self.expected(node, place, "a list"),
            },
            Kind::Map(value) => match &node.value {
                Value::Map(entries) => {
                    for entry in entries {
                        self.item(&entry.value, value, &join(place, &entry.key));
                    }
                }
                Value::Scalar { .. } | Value::List(_) => self.expected(node, place, "a mapping"),
            },
            Kind::OneOf(kinds) => self.one_of(node, kinds, place),
            Kind::Any => {}
            scalar => {
                if let Err(draft) = leaf(node, scalar, place) {
                    self.problems.error(draft);
                }
            }
        }
    }

    fn item(&mut self, node: &Node, kind: &'static Kind, place: &str) {
        if node.is_null() && !matches!(kind, Kind::Any) {
            let help = matches!(kind, Kind::Scalar).then(|| "write `\"\"` for an empty text".to_owned());
            self.problems.error(Draft::new(node.at.clone(), format!("`{place}` has no value")).maybe_help(help));
        } else {
            self.kind(node, kind, place);
        }
    }

    fn one_of(&mut self, node: &Node, kinds: &'static [Kind], place: &str) {
        let fits = |kind: &&Kind| match node.value {
            Value::Map(_) => matches!(kind, Kind::Section(_) | Kind::Map(_)),
            Value::List(_) => matches!(kind, Kind::List(_)),
            Value::Scalar { .. } => leaf(node, kind, place).is_ok(),
        };
        if let Some(kind) = kinds.iter().find(fits) {
            self.kind(node, kind, place);
            return;
        }
        let words = kinds.iter().find_map(|kind| match kind {
            Kind::Word(words) => Some(*words),
            _ => None,
        });
        let help = words.and_then(|words| nearest(scalar::text(node)?, words.iter().copied()));
        let what: Vec<String> = kinds.iter().map(describe).collect();
        self.problems.error(
            Draft::new(node.at.clone(), format!("`{place}` must be {}", what.join(" or ")))
                .label(found(node))
                .maybe_help(help.map(|word| format!("did you mean `{word}`?"))),
        );
    }

    fn expected(&mut self, node: &Node, place: &str, what: &str) {
        let place = if place.is_empty() { "the file".to_owned() } else { format!("`{place}`") };
        self.problems.error(Draft::new(node.at.clone(), format!("{place} must be {what}")).label(found(node)));
    }
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

fn empty(node: &Node) -> bool {
    match &node.value {
        Value::Scalar { .. } => node.is_null(),
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
    }
}

/// A scalar, or a command, against its kind.
fn leaf(node: &Node, kind: &Kind, place: &str) -> Result<(), Draft> {
    let wrong = || Draft::new(node.at.clone(), format!("`{place}` must be {}", describe(kind))).label(found(node));
    let quote = || wrong().help(format!("put it in quotes: \"{}\"", scalar::spelled(node).unwrap_or_default()));
    let range = |low: String, high: String| {
        let what = if high.is_empty() { format!("at least {low}") } else { format!("{low} to {high}") };
        Draft::new(node.at.clone(), format!("`{place}` must be {what}")).label("out of range")
    };
    match kind {
        Kind::Bool => {
            let word = scalar::spelled(node).map(str::to_ascii_lowercase);
            let help = match word.as_deref() {
                Some("yes" | "on" | "true") => Some("write `true`".to_owned()),
                Some("no" | "off" | "false") => Some("write `false`".to_owned()),
                _ => None,
            };
            scalar::boolean(node).map(|_| ()).ok_or_else(|| wrong().maybe_help(help))
        }
        Kind::Whole { min, max } => match scalar::whole(node) {
            Some(number) if (i128::from(*min)..=i128::from(*max)).contains(&number) => Ok(()),
            Some(_) => Err(range(min.to_string(), max.to_string())),
            None => Err(wrong()),
        },
        Kind::Number { min, max } => match scalar::number(node) {
            Some(number) if (*min..=*max).contains(&number) => Ok(()),
            Some(_) => Err(range(min.to_string(), max.to_string())),
            None => Err(wrong()),
        },
        Kind::Seconds { min } => match scalar::seconds(node) {
            Some(seconds) if seconds > scalar::MAX_SECONDS => {
                Err(Draft::new(node.at.clone(), format!("`{place}` is longer than a hundred years")))
            }
            Some(seconds) if seconds >= *min => Ok(()),
            Some(_) if *min > 0.0 => {
                Err(Draft::new(node.at.clone(), format!("`{place}` must be more than 0")).label("out of range"))
            }
            Some(_) => Err(range("0".to_owned(), String::new())),
            None => Err(wrong().help("write a number of seconds, or \"90s\", \"10m\", \"2h\", \"1d\"")),
        },
        Kind::Bytes => scalar::bytes(node)
            .map(|_| ())
            .ok_or_else(|| wrong().help("write a number of bytes, or \"10MB\", \"1GiB\"")),
        Kind::Scalar => scalar::spelled(node).map(|_| ()).ok_or_else(wrong),
        Kind::Text | Kind::Glob | Kind::Path | Kind::Regex | Kind::Name => {
            let Some(text) = scalar::text(node) else {
                return Err(if matches!(node.value, Value::Scalar { .. }) { quote() } else { wrong() });
            };
            match kind {
                Kind::Name => name(text).map_err(|why| Draft::new(node.at.clone(), format!("`{place}` {why}"))),
                Kind::Glob => super::globs::check(text)
                    .map_err(|why| Draft::new(node.at.clone(), format!("`{place}` is not a glob: {why}"))),
                Kind::Regex => super::regexes::check(text).map_err(|bad| {
                    Draft::new(
                        super::regexes::place(node, text, bad.offset),
                        format!("`{place}` is not a regular expression"),
                    )
                    .label(bad.message)
                    .maybe_help(bad.help.map(str::to_owned))
                }),
                Kind::Path if text.contains('\0') => {
                    Err(Draft::new(node.at.clone(), format!("`{place}` cannot hold a NUL byte")))
                }
                Kind::Path if text.is_empty() => Err(Draft::new(node.at.clone(), format!("`{place}` is empty"))),
                _ => Ok(()),
            }
        }
        Kind::Word(words) => {
            let Some(word) = scalar::spelled(node) else { return Err(wrong()) };
            if words.contains(&word) {
                return Ok(());
            }
            let help = nearest(word, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            Err(Draft::new(node.at.clone(), format!("`{place}` cannot be `{word}`"))
                .label(format!("must be {}", describe(kind)))
                .maybe_help(help))
        }
        Kind::Command => match (&node.value, scalar::command(node)) {
            (_, Some(argv)) if argv.first().is_some_and(|program| program.is_empty()) => {
                Err(Draft::new(node.at.clone(), format!("`{place}` starts with an empty word"))
                    .label("the program's name"))
            }
            (_, Some(argv)) if argv.iter().any(|word| word.contains('\0')) => {
                Err(Draft::new(node.at.clone(), format!("`{place}` cannot hold a NUL byte")))
            }
            (_, Some(_)) => Ok(()),
            (Value::Scalar { .. }, None) => {
                Err(Draft::new(node.at.clone(), format!("`{place}` has an open quote"))
                    .label("cannot be split into words"))
            }
            (Value::List(items), None) => {
                let bad = items.iter().find(|item| scalar::spelled(item).is_none()).unwrap_or(node);
                Err(Draft::new(bad.at.clone(), format!("`{place}` must be a list of words")).label(found(bad)))
            }
            (Value::Map(_), None) => Err(wrong()),
        },
        Kind::List(_) | Kind::Map(_) | Kind::Section(_) | Kind::OneOf(_) => Err(wrong()),
        Kind::Any => Ok(()),
    }
}

fn name(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        Err("is empty")
    } else if text.chars().any(char::is_control) {
        Err("holds a control character")
    } else if text.chars().count() > 100 {
        Err("is longer than 100 characters")
    } else {
        Ok(())
    }
}

/// What a kind takes, in words.
pub(super) fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "true or false".to_owned(),
        Kind::Whole { .. } => "a whole number".to_owned(),
        Kind::Number { .. } => "a number".to_owned(),
        Kind::Seconds { .. } => "a time in seconds".to_owned(),
        Kind::Bytes => "a size in bytes".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Name => "a name".to_owned(),
        Kind::Path => "a path".to_owned(),
        Kind::Glob => "a glob".to_owned(),
        Kind::Regex => "a regular expression".to_owned(),
        Kind::Scalar => "text or a number".to_owned(),
        Kind::Word([word]) => format!("`{word}`"),
        Kind::Word(words) => format!("one of {}", listed(words.iter().copied())),
        Kind::Command => "a list of words, or one text".to_owned(),
        Kind::List(_) => "a list".to_owned(),
        Kind::Map(_) | Kind::Section(_) => "a mapping".to_owned(),
        Kind::OneOf(kinds) => kinds.iter().map(describe).collect::<Vec<_>>().join(" or "),
        Kind::Any => "anything".to_owned(),
    }
}

fn found(node: &Node) -> &'static str {
    match &node.value {
        Value::List(_) => "this is a list",
        Value::Map(_) => "this is a mapping",
        Value::Scalar { .. } if node.is_null() => "this is empty",
        Value::Scalar { .. } if scalar::boolean(node).is_some() => "this is a truth value",
        Value::Scalar { .. } if scalar::whole(node).is_some() => "this is a whole number",
        Value::Scalar { .. } if scalar::number(node).is_some() => "this is a number",
        Value::Scalar { .. } => "this is text",
    }
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The word that was probably meant.
pub(super) fn nearest<'a>(given: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase().replace('-', "_");
    let most = (given.chars().count() / 3).max(1);
    words
        .map(|word| (strsim::damerau_levenshtein(&given, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
