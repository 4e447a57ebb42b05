//! `$VAR`, `${VAR}`, `${VAR:-default}` and `$$` in values that take them.

use std::ops::Range;

/// Why a text cannot be filled in, and which of its bytes are to blame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) at: Range<usize>,
    pub(super) why: Why,
}

/// Kinds of [`Bad`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The variable is not set and no default is given.
    Unset(String),
    /// `${` without `}`.
    Open,
    /// `${…}` with something else than a name and a default.
    Shape,
}

/// Fills in variables. Every part that cannot be filled in is kept as written and reported.
///
/// A `$` before anything that cannot be a name is a dollar sign. Defaults are taken literally.
pub(super) fn fill(text: &str, vars: &dyn Fn(&str) -> Option<String>) -> (String, Vec<Bad>) {
    let mut out = String::with_capacity(text.len());
    let mut bad = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, from) = rest.split_at(dollar);
        out.push_str(before);
        let start = text.len().saturating_sub(from.len());
        let after = from.get(1..).unwrap_or_default();
        let taken = if after.starts_with('$') {
            out.push('$');
            2
        } else if let Some(inner) = after.strip_prefix('{') {
            let Some(end) = inner.find('}') else {
                bad.push(Bad { at: start..text.len(), why: Why::Open });
                out.push_str(from);
                return (out, bad);
            };
            let inner = inner.get(..end).unwrap_or_default();
            let taken = inner.len().saturating_add(3);
            let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
            // As in a shell, `:-` also replaces a variable that is set to nothing.
            let value = vars(name).filter(|value| default.is_none() || !value.is_empty());
            match value.or_else(|| default.map(str::to_owned)) {
                _ if name_length(name) != name.len() || name.is_empty() => {
                    bad.push(Bad { at: start..start.saturating_add(taken), why: Why::Shape });
                    out.push_str(from.get(..taken).unwrap_or_default());
                }
                Some(value) => out.push_str(&value),
                None => {
                    bad.push(Bad { at: start..start.saturating_add(taken), why: Why::Unset(name.to_owned()) });
                    out.push_str(from.get(..taken).unwrap_or_default());
                }
            }
            taken
        } else {
            let name = after.get(..name_length(after)).unwrap_or_default();
            let taken = name.len().saturating_add(1);
            if name.is_empty() {
                out.push('$');
            } else if let Some(value) = vars(name) {
                out.push_str(&value);
            } else {
                bad.push(Bad { at: start..start.saturating_add(taken), why: Why::Unset(name.to_owned()) });
                out.push_str(from.get(..taken).unwrap_or_default());
            }
            taken
        };
        rest = from.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    (out, bad)
}

/// Bytes at the start that are a name (POSIX: letter or underscore, then also digits).
fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}
