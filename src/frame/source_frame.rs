//! What is shown of a source file.

use serde::{Deserialize, Serialize};

use crate::detect::Language;

/// How much of a file is shown, and in which languages functions are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameOptions {
    /// Lines on either side of the wanted one where the function is unknown or too long.
    pub context_lines: usize,
    /// A longer function is shown as its head and the surroundings of the line.
    pub max_lines: usize,
    /// Languages whose functions are looked up; the others are shown as plain text. Empty is all.
    pub languages: Vec<Language>,
}

impl Default for FrameOptions {
    fn default() -> Self {
        Self { context_lines: 10, max_lines: 80, languages: Vec::new() }
    }
}

/// One line of source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    /// Number in the file, from 1. A gap between two neighbours means that lines were left out.
    pub number: u32,
    /// Without its end; long lines are cut and end in `…`.
    pub text: String,
    /// The wanted line.
    pub hot: bool,
}

/// The surroundings of one line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFrame {
    /// Language, judged by the file's ending.
    pub language: Option<Language>,
    /// Heads of the definitions around the line, outermost first, joined by ` > `:
    /// `class Loader > def load(self, path)`. On one line.
    pub enclosing: Option<String>,
    /// Name of the innermost named function around the line: `load`.
    pub function: Option<String>,
    /// The function or what is shown of it; empty where nothing can be shown.
    pub lines: Vec<SourceLine>,
    /// Why this is less than one would expect, in words.
    pub note: Option<String>,
}
