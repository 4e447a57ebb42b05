//! Styles by meaning. Meaning never rests on colour alone: every styled word says the same without it.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// Styles, or none where colour is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    coloured: bool,
}

impl Palette {
    /// With or without colour.
    pub const fn new(coloured: bool) -> Self {
        Self { coloured }
    }

    /// Without colour.
    pub const fn plain() -> Self {
        Self::new(false)
    }

    /// Whether anything is styled.
    pub const fn is_coloured(self) -> bool {
        self.coloured
    }

    /// A failure.
    pub fn bad(self, text: impl Display) -> String {
        self.paint(AnsiColor::Red.on_default().bold(), text)
    }

    /// Something odd.
    pub fn warn(self, text: impl Display) -> String {
        self.paint(AnsiColor::Yellow.on_default().bold(), text)
    }

    /// A success, or advice.
    pub fn good(self, text: impl Display) -> String {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    /// Something to look at: a title, an id.
    pub fn bold(self, text: impl Display) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// A name in running text: code, paths.
    pub fn name(self, text: impl Display) -> String {
        self.paint(AnsiColor::Cyan.on_default(), text)
    }

    /// Emphasis.
    pub fn italic(self, text: impl Display) -> String {
        self.paint(Style::new().italic(), text)
    }

    /// Something to overlook.
    pub fn dim(self, text: impl Display) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    fn paint(self, style: Style, text: impl Display) -> String {
        let text = text.to_string();
        if self.coloured && !text.is_empty() { format!("{style}{text}{style:#}") } else { text }
    }
}
