//! What is wrong in a configuration, and how it is shown: place, line, caret, advice.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::yaml::At;

/// Most problems of a kind that are kept; a broken file does not fill the screen.
const MAX_KEPT: usize = 100;
/// Longest source line that is shown, in bytes.
const MAX_LINE: usize = 2_000;

/// A reason why a file is not a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Problem);

/// Something in a valid configuration that will not do what its author may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(Problem);

/// Place and words of an error or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File, if the text came from one.
    pub file: Option<PathBuf>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Lines of source to show: number of the line, its text, marked bytes, words at the mark. The first is the place.
    source: Vec<SourceLine>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SourceLine {
    number: usize,
    text: String,
    mark: Range<usize>,
    label: String,
}

impl std::error::Error for ConfigError {}

macro_rules! shown {
    ($name:ident, $level:expr) => {
        impl $name {
            /// Place and words.
            pub fn problem(&self) -> &Problem {
                &self.0
            }

            /// The same, with another name for its file.
            #[must_use]
            pub fn in_file(mut self, file: Option<&Path>) -> Self {
                self.0.file = file.map(Path::to_path_buf);
                self
            }

            /// The same, its file named as seen from a directory: short where it is inside.
            #[must_use]
            pub fn seen_from(mut self, directory: &Path) -> Self {
                let inside = |file: &PathBuf| file.strip_prefix(directory).map(Path::to_path_buf).ok();
                self.0.file = self.0.file.as_ref().and_then(inside).or(self.0.file);
                self
            }

            /// Several lines with the source and a caret, coloured for a terminal or plain. No line end at the end.
            pub fn render(&self, coloured: bool) -> String {
                self.0.render($level, coloured)
            }
        }

        /// One line: `sentry.yaml:3:5: message (help)`.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
shown!(ConfigError, Level::ERROR);
shown!(Warning, Level::WARNING);

impl ConfigError {
    /// The file is not text: names the first byte that is not UTF-8.
    pub(super) fn not_text(file: Option<&Path>, bytes: &[u8], offset: usize) -> Self {
        let before = bytes.get(..offset).unwrap_or_default();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
        let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        let rest = bytes.get(start..).unwrap_or_default();
        let rest = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mark = before.len().saturating_sub(start);
        let text = String::from_utf8_lossy(rest.get(..MAX_LINE).unwrap_or(rest)).into_owned();
        // A byte that is no text is shown as U+FFFD, three bytes long.
        let end = mark.saturating_add('\u{fffd}'.len_utf8()).min(text.len());
        let source = if mark < end {
            vec![SourceLine { number: line, text, mark: mark..end, label: String::new() }]
        } else {
            Vec::new()
        };
        Self(Problem {
            file: file.map(Path::to_path_buf),
            line,
            column: String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count().saturating_add(1),
            message: format!("not valid UTF-8: byte {offset}"),
            help: Some("save the file as UTF-8".to_owned()),
            source,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:{}:{}: {}", file.display(), self.line, self.column, self.message)?,
            None => write!(f, "{}:{}: {}", self.line, self.column, self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl Problem {
    fn render(&self, level: Level<'static>, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let file = self.file.as_ref().map_or_else(|| "<configuration>".to_owned(), |file| file.display().to_string());
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        if self.source.is_empty() {
            group =
                group.element(annotate_snippets::Origin::path(file.as_str()).line(self.line).char_column(self.column));
        }
        for (index, source) in self.source.iter().enumerate() {
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let mark = kind.span(source.mark.clone());
            let mark = if source.label.is_empty() { mark } else { mark.label(source.label.as_str()) };
            group = group.element(
                Snippet::source(source.text.as_str()).line_start(source.number).path(file.as_str()).annotation(mark),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// A problem that has not been placed in lines yet.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    at: At,
    message: String,
    label: String,
    help: Option<String>,
    first: Option<At>,
}

impl Draft {
    pub(super) fn new(at: At, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), label: String::new(), help: None, first: None }
    }

    /// Words at the caret.
    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// What to do.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The same if there is advice.
    pub(super) fn maybe_help(self, help: Option<String>) -> Self {
        Self { help: help.or(self.help.clone()), ..self }
    }

    /// The place that this one collides with.
    pub(super) fn first(self, at: At) -> Self {
        Self { first: Some(at), ..self }
    }
}

/// Collects what is wrong while a file is read.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: Vec<Draft>,
    warnings: Vec<Draft>,
    /// Errors of other files, placed there.
    elsewhere: Vec<ConfigError>,
}

impl Problems {
    pub(super) fn error(&mut self, draft: Draft) {
        self.errors.push(draft);
    }

    pub(super) fn warn(&mut self, draft: Draft) {
        self.warnings.push(draft);
    }

    /// Errors of a file that this one names.
    pub(super) fn elsewhere(&mut self, errors: Vec<ConfigError>) {
        self.elsewhere.extend(errors);
    }

    /// Sorted by place, each place and message once; those of other files last.
    pub(super) fn place(self, text: &str, file: Option<&Path>) -> (Vec<ConfigError>, Vec<Warning>) {
        let lines = Lines::new(text, file);
        (
            lines.all(self.errors).into_iter().map(ConfigError).chain(self.elsewhere).collect(),
            lines.all(self.warnings).into_iter().map(Warning).collect(),
        )
    }
}

struct Lines<'a> {
    text: &'a str,
    file: Option<&'a Path>,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, file: Option<&'a Path>) -> Self {
        let starts = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at.saturating_add(1)))
            .collect();
        Self { text, file, starts }
    }

    fn all(&self, mut drafts: Vec<Draft>) -> Vec<Problem> {
        drafts.sort_by(|a, b| (a.at.start, a.at.end, &a.message).cmp(&(b.at.start, b.at.end, &b.message)));
        drafts.dedup_by(|a, b| a.at == b.at && a.message == b.message);
        let more = drafts.len().saturating_sub(MAX_KEPT);
        drafts.truncate(MAX_KEPT);
        if more > 0
            && let Some(last) = drafts.last_mut()
        {
            last.help = Some(format!("and {more} more; fix these first"));
        }
        drafts.into_iter().map(|draft| self.problem(draft)).collect()
    }

    fn problem(&self, draft: Draft) -> Problem {
        let (place, column) = self.line(&draft.at, safe(&draft.label));
        let line = place.number;
        let mut source = vec![place];
        source.extend(draft.first.map(|at| self.line(&at, "given first here".to_owned()).0));
        Problem {
            file: self.file.map(Path::to_path_buf),
            line,
            column,
            message: safe(&draft.message),
            help: draft.help.as_deref().map(safe),
            source,
        }
    }

    /// The line that a place starts in, cut to what can be shown, and the column in it.
    fn line(&self, at: &At, label: String) -> (SourceLine, usize) {
        let offset = self.floor(at.start);
        let index = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(index).copied().unwrap_or(0);
        let end = self.starts.get(index.saturating_add(1)).map_or(self.text.len(), |next| next.saturating_sub(1));
        let column = self.text.get(start..offset).unwrap_or_default().chars().count().saturating_add(1);
        let shown_from = if offset.saturating_sub(start) > MAX_LINE { offset } else { start };
        let shown_to = self.floor(end.min(shown_from.saturating_add(MAX_LINE)));
        let text = self.text.get(shown_from..shown_to).unwrap_or_default().trim_end_matches('\r');
        let text = without_c1(text);
        let from = offset.saturating_sub(shown_from).min(text.len());
        let to =
            self.floor(at.end).clamp(offset, shown_to.max(offset)).saturating_sub(shown_from).clamp(from, text.len());
        (SourceLine { number: index.saturating_add(1), text, mark: from..to, label }, column)
    }

    fn floor(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at = at.saturating_sub(1);
        }
        at
    }
}

/// Text of the file as part of our own words: nothing in it moves the cursor or turns the writing round.
fn safe(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(harmful, "\u{fffd}")
}

/// The renderer replaces ASCII control characters and those that turn the writing round; U+0080 to U+009F, which some
/// terminals obey, it does not. They take two bytes, and so does what stands for them: marks stay where they are.
fn without_c1(text: &str) -> String {
    text.replace(|c: char| matches!(c, '\u{80}'..='\u{9f}'), "·")
}
