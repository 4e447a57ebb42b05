//! Cuts a file down to the part that a parser needs to see to know the function around a line.
//!
//! The cut trusts the layout that formatters produce: definitions begin at the left edge of their block. Where a file is
//! laid out otherwise (text at column 0 inside a string), the snippet does not parse and a wider one is tried.

use std::ops::Range;

use super::lines::Lines;

/// A class longer than this is not parsed whole when one of its methods is wanted.
const LONG: usize = 120;
/// Rows searched for the end of a definition's head.
const MAX_HEAD: usize = 24;
/// Statements before and after that are added, in turn, when a snippet does not parse.
const NEIGHBOURS: [(usize, usize); 3] = [(1, 0), (0, 1), (2, 2)];
/// Deepest nesting of classes that is followed.
const MAX_DEPTH: usize = 4;
/// Words that open a block of definitions in the supported languages.
const CONTAINERS: [&str; 8] = ["class", "impl", "trait", "mod", "interface", "enum", "record", "namespace"];

/// Row ranges of a file (from 0), ascending and disjoint, that are parsed as one text.
pub(super) type Pieces = Vec<Range<usize>>;

/// Snippets around a row, smallest first; the last one is the whole file.
pub(super) fn candidates(lines: &Lines<'_>, row: usize, indented: bool) -> Vec<Pieces> {
    let whole = 0..lines.len();
    let top = block(lines, row, 0, whole.clone());
    let mut candidates = Vec::with_capacity(3);
    if top.len() > LONG {
        let narrow = narrowed(lines, row, top.clone(), indented);
        if narrow.len() > 1 {
            candidates.push(narrow);
        }
    }
    if top != whole {
        let wider = NEIGHBOURS.map(|(before, after)| wider(lines, &top, before, after));
        candidates.push(vec![top]);
        candidates.extend(wider.into_iter().filter(|it| it.len() <= 4 * LONG && *it != whole).map(|it| vec![it]));
    }
    candidates.push(vec![whole]);
    candidates
}

/// The rows that belong to the definition or statement around `row` whose first line is indented by at most `level`.
fn block(lines: &Lines<'_>, row: usize, level: usize, within: Range<usize>) -> Range<usize> {
    let at = |row: usize| lines.indent(row).filter(|(column, _)| *column <= level).map(|(_, text)| text);
    let mut start = (within.start..=row).rev().find(|&row| at(row).is_some_and(is_start)).unwrap_or(within.start);
    while let Some(before) = attached_before(&at, within.start, start) {
        start = before;
    }
    let head = (start..within.end).find(|&row| !at(row).is_some_and(is_attached)).unwrap_or(start);
    let end = (row.max(head) + 1..within.end).find(|&row| at(row).is_some_and(is_start)).unwrap_or(within.end);
    start..end
}

/// The statement with a few of its neighbours: column-0 lines of a long string may have passed for beginnings.
fn wider(lines: &Lines<'_>, top: &Range<usize>, before: usize, after: usize) -> Range<usize> {
    let whole = 0..lines.len();
    let mut start = top.start;
    for _ in 0..before {
        start = start.checked_sub(1).map_or(0, |before| block(lines, before, 0, whole.clone()).start);
    }
    let mut end = top.end;
    for _ in 0..after {
        end = if end < whole.end { block(lines, end, 0, whole.clone()).end } else { end };
    }
    start..end
}

/// Row of the decorator in front of `start`, which may have several lines itself.
fn attached_before<'a>(at: &impl Fn(usize) -> Option<&'a [u8]>, first: usize, start: usize) -> Option<usize> {
    for row in (first..start).rev() {
        match at(row) {
            Some(text) if is_attached(text) => return Some(row),
            Some(text) if text.starts_with(b")") || text.starts_with(b"]") => {}
            // An indented or blank row belongs to the decorator only if a closing bracket stands below it.
            None if row + 1 < start => {}
            _ => return None,
        }
    }
    None
}

/// Heads of the classes around `row`, the member that holds it, and the ends of the classes.
fn narrowed(lines: &Lines<'_>, row: usize, top: Range<usize>, indented: bool) -> Pieces {
    let (mut heads, mut ends) = (Vec::new(), Vec::new());
    let (mut range, mut level) = (top, 0);
    while range.len() > LONG && heads.len() < MAX_DEPTH {
        let Some(head) = container_head(lines, &range, indented).filter(|head| head.end <= row) else { break };
        let inner = (head.end..=row)
            .filter_map(|row| lines.indent(row))
            .filter(|(column, text)| *column > level && is_start(text));
        let Some(inner) = inner.map(|(column, _)| column).min() else { break };
        let end = (row + 1..range.end)
            .rev()
            .find(|&row| lines.indent(row).is_some_and(|(column, text)| column <= level && text.starts_with(b"}")));
        let body = head.end..end.unwrap_or(range.end);
        heads.push(head);
        ends.extend(end.map(|row| row..row + 1));
        range = block(lines, row, inner, body);
        level = inner;
    }
    heads.push(range);
    heads.extend(ends.into_iter().rev());
    heads
}

/// Rows of the head of a class, impl block, … at the start of `range`.
fn container_head(lines: &Lines<'_>, range: &Range<usize>, indented: bool) -> Option<Range<usize>> {
    let first = range.clone().find(|&row| !lines.indent(row).is_none_or(|(_, text)| is_attached(text)))?;
    let words = lines.row(first).split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    if !words.take(8).any(|word| CONTAINERS.iter().any(|container| container.as_bytes() == word)) {
        return None;
    }
    let opener = if indented { b':' } else { b'{' };
    let last =
        (first..range.end.min(first + MAX_HEAD)).find(|&row| lines.row(row).trim_ascii_end().ends_with(&[opener]))?;
    Some(range.start..last + 1)
}

/// Whether a line at the left edge of a block begins something new.
fn is_start(text: &[u8]) -> bool {
    const CONTINUES: [&[u8]; 9] =
        [b"where", b"else", b"elif", b"except", b"finally", b"catch", b"then", b"extends", b"implements"];
    let Some(first) = text.first() else { return false };
    if b")]}{.,*:&|?+<>=\"'`#".contains(first) {
        return is_attached(text);
    }
    if text.starts_with(b"//") || text.starts_with(b"/*") {
        return false;
    }
    let word = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').next().unwrap_or_default();
    !CONTINUES.contains(&word)
}

/// Decorators, annotations and attributes belong to what follows.
fn is_attached(text: &[u8]) -> bool {
    text.starts_with(b"@") || text.starts_with(b"#[")
}
