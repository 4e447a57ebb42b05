//! Markdown for a terminal: what `incidents show` makes of `report.md`.
//!
//! The text is hostile: control sequences are removed from what the parser gives (it decodes `&#27;`), HTML is shown as it
//! is written, and links show where they lead.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::table::{Cell, Look, Table};
use super::{Palette, clean};

/// Before each line of code.
const CODE_INDENT: &str = "    ";
/// Text is not squeezed below this.
const LEAST: usize = 20;

/// Renders for `width` columns.
pub fn render(markdown: &str, width: usize, palette: Palette) -> String {
    // Before the parser too, because it cuts sequences into pieces that look harmless.
    let markdown = clean(markdown);
    let mut renderer = Renderer::new(width, palette);
    for event in Parser::new_ext(&markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        renderer.event(event);
    }
    renderer.out
}

/// How a word is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Style {
    strong: u8,
    emphasis: u8,
    heading: bool,
    code: bool,
    dim: bool,
}

#[derive(Debug)]
struct Word {
    text: String,
    style: Style,
    /// White space stands before it.
    spaced: bool,
    /// A line ends before it.
    broken: bool,
}

struct Renderer {
    out: String,
    width: usize,
    palette: Palette,
    style: Style,
    words: Vec<Word>,
    /// The next word begins behind white space, or on a new line.
    space: bool,
    line_end: bool,
    /// In front of every line: quotes and the depth of lists.
    prefix: Vec<String>,
    /// In front of the next line, in place of the innermost prefix.
    marker: Option<String>,
    /// Next numbers of the open lists.
    lists: Vec<Option<u64>>,
    links: Vec<String>,
    code: Option<String>,
    table: Option<Grid>,
}

#[derive(Debug, Default)]
struct Grid {
    rows: Vec<Vec<String>>,
}

impl Renderer {
    fn new(width: usize, palette: Palette) -> Self {
        Self {
            out: String::new(),
            width,
            palette,
            style: Style::default(),
            words: Vec::new(),
            space: false,
            line_end: false,
            prefix: Vec::new(),
            marker: None,
            lists: Vec::new(),
            links: Vec::new(),
            code: None,
            table: None,
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.text(&text, self.style),
            },
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text, Style { code: true, ..self.style });
            }
            Event::Html(text) | Event::InlineHtml(text) => self.text(&text, Style { dim: true, ..self.style }),
            Event::SoftBreak => self.space = true,
            Event::HardBreak => self.line_end = true,
            Event::Rule => {
                let line = "─".repeat(self.room());
                self.block_line(&self.palette.dim(line));
                self.gap();
            }
            Event::FootnoteReference(name) => self.text(&format!("[{name}]"), self.style),
            Event::TaskListMarker(done) => self.text(if done { "[x] " } else { "[ ] " }, self.style),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.gap();
                self.style.heading = true;
            }
            Tag::Strong => self.style.strong = self.style.strong.saturating_add(1),
            Tag::Emphasis => self.style.emphasis = self.style.emphasis.saturating_add(1),
            Tag::BlockQuote(_) => self.prefix.push("│ ".to_owned()),
            Tag::List(first) => {
                self.flush();
                self.lists.push(first);
            }
            Tag::Item => {
                let marker = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let marker = format!("{number}. ");
                        *number = number.saturating_add(1);
                        marker
                    }
                    Some(None) | None => "• ".to_owned(),
                };
                self.prefix.push(" ".repeat(marker.width()));
                self.marker = Some(marker);
            }
            Tag::CodeBlock(_) => {
                self.flush();
                self.code = Some(String::new());
            }
            Tag::Link { dest_url, .. } => self.links.push(dest_url.to_string()),
            Tag::Table(_) => self.table = Some(Grid::default()),
            Tag::TableHead | Tag::TableRow => {
                if let Some(grid) = &mut self.table {
                    grid.rows.push(Vec::new());
                }
            }
            Tag::Paragraph
            | Tag::HtmlBlock
            | Tag::TableCell
            | Tag::Strikethrough
            | Tag::Image { .. }
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let spaces = self.words.iter().filter(|word| word.spaced).count();
                let width: usize = self.words.iter().map(|word| word.text.width()).sum();
                let line = width.saturating_add(spaces).min(self.room());
                self.flush();
                self.style.heading = false;
                // Where there is no colour, this is what tells a heading from text.
                match level {
                    HeadingLevel::H1 => self.block_line(&self.palette.dim("═".repeat(line))),
                    HeadingLevel::H2 => self.block_line(&self.palette.dim("─".repeat(line))),
                    HeadingLevel::H3 | HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => {}
                }
                self.gap();
            }
            TagEnd::Strong => self.style.strong = self.style.strong.saturating_sub(1),
            TagEnd::Emphasis => self.style.emphasis = self.style.emphasis.saturating_sub(1),
            TagEnd::Link => {
                let address = self.links.pop().unwrap_or_default();
                let shown: String = self.words.iter().map(|word| word.text.as_str()).collect();
                if !shown.ends_with(&clean(&address)) {
                    self.text(&format!(" ({address})"), Style { dim: true, ..self.style });
                }
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.prefix.pop();
                self.gap();
            }
            TagEnd::Item => {
                self.flush();
                self.prefix.pop();
                self.marker = None;
            }
            TagEnd::List(_) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.gap();
                }
            }
            TagEnd::CodeBlock => self.end_code(),
            TagEnd::TableCell => {
                let words = std::mem::take(&mut self.words);
                let text: Vec<String> = words
                    .iter()
                    .map(|word| if word.spaced { format!(" {}", word.text) } else { word.text.clone() })
                    .collect();
                if let Some(row) = self.table.as_mut().and_then(|grid| grid.rows.last_mut()) {
                    row.push(text.concat().trim().to_owned());
                }
            }
            TagEnd::Table => self.end_table(),
            TagEnd::Paragraph | TagEnd::HtmlBlock => {
                self.flush();
                self.gap();
            }
            TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition => self.flush(),
            TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::Strikethrough
            | TagEnd::Image
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::MetadataBlock(_) => {}
        }
    }

    fn end_code(&mut self) {
        let code = clean(&self.code.take().unwrap_or_default());
        for line in code.trim_end_matches('\n').split('\n') {
            // The line that a frame is about.
            let line =
                if line.trim_start().starts_with(">>>") { self.palette.warn(line) } else { self.palette.name(line) };
            self.block_line(&format!("{CODE_INDENT}{line}"));
        }
        self.gap();
    }

    fn end_table(&mut self) {
        let Some(Grid { rows }) = self.table.take() else { return };
        let mut rows = rows.into_iter();
        let columns = rows.next().unwrap_or_default();
        // The table's own head is fixed text; here it is the report's, so it is a row like the others.
        let mut table = Table::new(columns.iter().map(|_| ""));
        if columns.iter().any(|text| !text.is_empty()) {
            table.row(columns.iter().map(|text| Cell::new(text, Look::Bold)));
        }
        let rows: Vec<Vec<String>> = rows.collect();
        let widest = |column: usize| {
            let cells = rows.iter().chain([&columns]).filter_map(|row| row.get(column));
            cells.map(|text| text.width()).max().unwrap_or(0)
        };
        let last = columns.len().saturating_sub(1);
        let taken: usize = (0..last).map(|column| widest(column).saturating_add(2)).sum();
        for row in &rows {
            // A report is to be read in full: the last column is wrapped, not cut.
            let (text, others) = row.split_last().map_or(("", &[][..]), |(text, others)| (text.as_str(), others));
            for (number, line) in wrapped(text, self.room().saturating_sub(taken).max(LEAST)).iter().enumerate() {
                let others = others.iter().map(|text| if number == 0 { Cell::from(text) } else { Cell::default() });
                table.row(others.chain([Cell::from(line)]));
            }
        }
        for line in table.aligned(self.room(), self.palette).lines().skip(1) {
            self.block_line(line);
        }
        self.gap();
    }

    fn text(&mut self, text: &str, style: Style) {
        let text = clean(text);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let start = rest.find(|char: char| !char.is_whitespace()).unwrap_or(rest.len());
            let (space, word) = rest.split_at(start);
            self.space |= !space.is_empty();
            let end = word.find(char::is_whitespace).unwrap_or(word.len());
            let (word, behind) = word.split_at(end);
            if !word.is_empty() {
                let spaced = std::mem::take(&mut self.space);
                let broken = std::mem::take(&mut self.line_end);
                self.words.push(Word { text: word.to_owned(), style, spaced, broken });
            }
            rest = behind;
        }
    }

    /// Writes the collected words as lines.
    fn flush(&mut self) {
        let words = std::mem::take(&mut self.words);
        (self.space, self.line_end) = (false, false);
        let room = self.room();
        let (mut line, mut used) = (String::new(), 0_usize);
        // Words without a space between them (`bold`, then a comma) stay together.
        for group in words.chunk_by(|_, next| !next.spaced && !next.broken) {
            let width: usize = group.iter().map(|word| word.text.width()).sum();
            let broken = group.first().is_some_and(|word| word.broken);
            if used > 0 && (broken || used.saturating_add(1).saturating_add(width) > room) {
                self.block_line(&line);
                line.clear();
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used = used.saturating_add(1);
            }
            for word in group {
                line.push_str(&self.styled(&word.text, word.style));
            }
            used = used.saturating_add(width);
        }
        if !line.is_empty() {
            self.block_line(&line);
        }
    }

    fn styled(&self, text: &str, style: Style) -> String {
        let Style { strong, emphasis, heading, code, dim } = style;
        if code {
            self.palette.name(text)
        } else if heading || strong > 0 {
            self.palette.bold(text)
        } else if emphasis > 0 {
            self.palette.italic(text)
        } else if dim {
            self.palette.dim(text)
        } else {
            text.to_owned()
        }
    }

    fn block_line(&mut self, line: &str) {
        let marker = self.marker.take();
        let outer = self.prefix.len().saturating_sub(usize::from(marker.is_some()));
        let prefix: String = self.prefix.iter().take(outer).map(String::as_str).chain(marker.as_deref()).collect();
        self.out.push_str(format!("{prefix}{line}").trim_end());
        self.out.push('\n');
    }

    /// One empty line between blocks, none inside lists.
    fn gap(&mut self) {
        if self.lists.is_empty() && !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn room(&self) -> usize {
        let taken: usize = self.prefix.iter().map(|prefix| prefix.width()).sum();
        self.width.saturating_sub(taken).max(LEAST)
    }
}

/// Lines of at most `width` columns, broken at white space, and inside words that are longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0_usize;
    for word in text.split_whitespace() {
        let mut space = usize::from(used > 0);
        if used > 0 && used.saturating_add(1).saturating_add(word.width()) > width {
            lines.push(String::new());
            (used, space) = (0, 0);
        }
        if let (1, Some(line)) = (space, lines.last_mut()) {
            line.push(' ');
            used = used.saturating_add(1);
        }
        for char in word.chars() {
            let columns = char.width().unwrap_or(0);
            if used > 0 && used.saturating_add(columns) > width {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(char);
            }
            used = used.saturating_add(columns);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
# `KeyError: 'port'`

**What happened.** The command ended with *exit code 1* after 3 m; nothing was lost, see [the log](log_excerpt.txt) for more.

| | |
| --- | --- |
| detector | `trace` |
| outcome | nothing was done: the same failure came back five times in a row |

## Where

1. `app/config.py:12` in `load`
   with a second line
2. library
   - nested

```python
    11  def load():
>>> 12      return settings['port']
```

> quoted\u{1b}[31m text &#27;[2J here

<script>alert(1)</script>
";

    #[test]
    fn report_reads_well() {
        insta::assert_snapshot!(render(REPORT, 60, Palette::plain()), @r"
        KeyError: 'port'
        ════════════════

        What happened. The command ended with exit code 1 after 3 m;
        nothing was lost, see the log (log_excerpt.txt) for more.

        detector  trace
        outcome   nothing was done: the same failure came back five
                  times in a row

        Where
        ─────

        1. app/config.py:12 in load with a second line
        2. library
           • nested

                11  def load():
            >>> 12      return settings['port']

        │ quoted text [2J here

        <script>alert(1)</script>
        ");
    }

    #[test]
    fn styles_are_closed_and_nothing_else_is_left() {
        let coloured = render(REPORT, 60, Palette::new(true));
        assert!(coloured.contains("\u{1b}[1m") && !coloured.contains("\u{1b}[2J"), "{coloured:?}");
        assert_eq!(clean(&coloured).trim_end(), render(REPORT, 60, Palette::plain()).trim_end());
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in "([#>*`_|\\-\\[\\]()!<&;\\n 1.a-c]|\\PC|[\\x00-\\x1f])*", width in 0_usize..80) {
            let rendered = render(&text, width, Palette::plain());
            proptest::prop_assert!(rendered.chars().all(|char| !char.is_control() || matches!(char, '\n' | '\t')));
        }
    }
}
