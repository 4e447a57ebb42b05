//! The only bridge from errors to exit codes, and how errors look.

use std::error::Error;
use std::fmt;

use super::ExitCode;
use crate::view::Palette;

/// Why a command could not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The command line makes no sense.
    Usage,
    /// The configuration does not load.
    Configuration,
    /// There is no run, no monitor, no incident to act on.
    NothingHere,
    /// Another monitor owns the directory.
    AnotherMonitor,
    /// A policy or the version of the store forbids it.
    Refused,
    /// The question was understood, and the answer is no.
    No,
    /// Somebody did not answer in time.
    Deadline,
    /// An invariant of ours does not hold.
    Bug,
    /// A file, a pipe or a process of ours failed.
    Io,
    /// Nobody reads our output any more: no error, but a reason to end.
    ReaderGone,
}

impl FailureKind {
    /// The code that the program ends with.
    pub const fn exit_code(self) -> ExitCode {
        match self {
            Self::Usage => ExitCode::Usage,
            Self::Configuration => ExitCode::Configuration,
            Self::NothingHere => ExitCode::NothingHere,
            Self::AnotherMonitor => ExitCode::AnotherMonitor,
            Self::Refused => ExitCode::Refused,
            Self::No => ExitCode::No,
            Self::Deadline => ExitCode::Deadline,
            Self::Bug => ExitCode::Bug,
            Self::Io => ExitCode::Io,
            Self::ReaderGone => ExitCode::Success,
        }
    }
}

/// What went wrong, where, and what to do about it.
///
/// Rendered as
/// ```text
/// error: cannot load rule `disk-full`: unknown detector `dsk`
///   at: sentry.yaml:41:15
///   help: did you mean `disk`?
/// ```
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    what: What,
    places: Vec<String>,
    hints: Vec<String>,
}

#[derive(Debug)]
enum What {
    /// An error with its chain of sources.
    Chain(Box<dyn Error + Send + Sync>),
    /// Diagnostics that somebody else has rendered, each with its own `error:`.
    Rendered(String),
}

impl Failure {
    /// An error (or a sentence) with its kind.
    pub fn new(kind: FailureKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, what: What::Chain(source.into()), places: Vec::new(), hints: Vec::new() }
    }

    /// Whole diagnostics, shown as they are.
    pub fn rendered(kind: FailureKind, diagnostics: impl Into<String>) -> Self {
        Self { kind, what: What::Rendered(diagnostics.into()), places: Vec::new(), hints: Vec::new() }
    }

    /// Adds a place: a file, with line and column where they are known.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.places.push(place.to_string());
        self
    }

    /// Adds what a person can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Its kind.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What went wrong, in one line and without advice.
    pub fn headline(&self) -> String {
        let text = self.render(Palette::plain());
        let first = text.lines().next().unwrap_or_default();
        first.strip_prefix("error: ").unwrap_or(first).to_owned()
    }

    /// The text for a person, with a line end.
    pub fn render(&self, palette: Palette) -> String {
        let mut text = match &self.what {
            What::Chain(error) => {
                format!("{}: {}\n", palette.bad("error"), indented(&chain(error.as_ref()), "       "))
            }
            What::Rendered(diagnostics) => format!("{}\n", diagnostics.trim_end()),
        };
        for place in &self.places {
            text.push_str(&format!("  {}: {}\n", palette.dim("at"), indented(place, "      ")));
        }
        for hint in &self.hints {
            text.push_str(&format!("  {}: {}\n", palette.good("help"), indented(hint, "        ")));
        }
        text
    }
}

/// Messages from the outermost to the innermost, without repeating what an outer one already says.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let inner = source.to_string();
        if !text.ends_with(&inner) {
            text = format!("{text}: {inner}");
        }
        next = source.source();
    }
    text
}

/// Safe to print, with the lines behind the first one under it.
fn indented(text: &str, by: &str) -> String {
    crate::view::clean(text).trim_end().replace('\n', &format!("\n{by}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `rules.yaml`")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn shows_chain_place_and_help() {
        let failure = Failure::new(FailureKind::Io, Outer(std::io::Error::other("no such\u{1b}[31m disk")))
            .at("rules.yaml:3:1")
            .hint("mount it\nand try again");
        insta::assert_snapshot!(failure.render(Palette::plain()), @r"
        error: cannot read `rules.yaml`: no such disk
          at: rules.yaml:3:1
          help: mount it
                and try again
        ");
        assert_eq!(failure.kind().exit_code(), ExitCode::Io);
    }

    #[test]
    fn does_not_repeat_a_cause() {
        let failure = Failure::new(FailureKind::Bug, Outer(std::io::Error::other("`rules.yaml`")));
        assert_eq!(failure.render(Palette::plain()), "error: cannot read `rules.yaml`\n");
    }
}
