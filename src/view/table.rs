//! Columns: aligned for people, separated by tabs for programs.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Palette, one_line};

/// Between two columns.
const GAP: &str = "  ";
/// The last column is not squeezed below this.
const LEAST: usize = 20;

/// How a cell looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// As it is.
    #[default]
    Plain,
    /// To look at first.
    Bold,
    /// To overlook.
    Dim,
    /// A success.
    Good,
    /// Something odd.
    Warn,
    /// A failure.
    Bad,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    /// A cell with foreign text, made one safe line.
    pub fn new(text: &str, look: Look) -> Self {
        Self { text: one_line(text), look }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text.as_ref(), Look::Plain)
    }
}

/// Rows of cells below a head.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    numeric: Vec<usize>,
}

impl Table {
    /// An empty table.
    pub fn new(head: impl IntoIterator<Item = &'static str>) -> Self {
        Self { head: head.into_iter().collect(), rows: Vec::new(), numeric: Vec::new() }
    }

    /// Aligns these columns (from 0) to the right.
    #[must_use]
    pub fn numeric(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.numeric = columns.into_iter().collect();
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// For a terminal: aligned; only the last column is cut to the width, with `…`.
    pub fn aligned(&self, width: usize, palette: Palette) -> String {
        let columns = self.head.len();
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.width());
            cells.chain(self.head.get(column).map(|name| name.width())).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..columns).map(widest).collect();
        if let Some((last, others)) = widths.split_last_mut() {
            let taken: usize = others.iter().map(|width| width + GAP.len()).sum();
            *last = (*last).min(width.saturating_sub(taken).max(LEAST));
        }
        let head: Vec<Cell> = self.head.iter().map(|name| Cell::new(name, Look::Dim)).collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            self.aligned_row(row, &widths, palette, &mut text);
        }
        text
    }

    fn aligned_row(&self, row: &[Cell], widths: &[usize], palette: Palette, text: &mut String) {
        let last = widths.len().saturating_sub(1);
        for (column, (cell, &width)) in row.iter().zip(widths).enumerate() {
            let shown = cut(&cell.text, width);
            let padding = " ".repeat(width.saturating_sub(shown.width()));
            let styled = paint(&shown, cell.look, palette);
            if self.numeric.contains(&column) {
                text.push_str(&padding);
                text.push_str(&styled);
            } else {
                text.push_str(&styled);
                if column < last {
                    text.push_str(&padding);
                }
            }
            if column < last {
                text.push_str(GAP);
            }
        }
        while text.ends_with(' ') {
            text.pop();
        }
        text.push('\n');
    }
}

/// One line for programs: tabs between the values, nothing cut.
pub fn tab_separated<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    // `one_line` leaves no tab inside a value.
    values.into_iter().map(one_line).collect::<Vec<_>>().join("\t")
}

/// The text, or as much of it as fits with `…` at its end.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let mut used = 0_usize;
    let fits = |char: &char| {
        used = used.saturating_add(char.width().unwrap_or(0));
        used <= room
    };
    let mut shown: String = text.chars().take_while(fits).collect();
    shown.push('…');
    shown
}

fn paint(text: &str, look: Look, palette: Palette) -> String {
    match look {
        Look::Plain => text.to_owned(),
        Look::Bold => palette.bold(text),
        Look::Dim => palette.dim(text),
        Look::Good => palette.good(text),
        Look::Warn => palette.warn(text),
        Look::Bad => palette.bad(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_wide_characters_and_cuts_the_last_column_only() {
        let mut table = Table::new(["id", "n", "message"]).numeric([1]);
        table.row([Cell::from("2026-11-21T12-34-56Z-error-oom"), "7".into(), "a\tb\u{1b}[31mc".into()]);
        table.row([Cell::from("日本"), "12".into(), "a message that is far too long for this".into()]);
        insta::assert_snapshot!(table.aligned(60, Palette::plain()), @r"
        id                               n  message
        2026-11-21T12-34-56Z-error-oom   7  a bc
        日本                            12  a message that is far t…
        ");
        assert_eq!(tab_separated(["a\tb", "c\nd"]), "a b\tc d");
    }
}
