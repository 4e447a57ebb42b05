//! Which lines of a file are shown.

use super::lines::Lines;
use super::source_frame::{FrameOptions, SourceLine};

/// Rows of a function's head that are shown when its middle is left out.
const MAX_HEAD_ROWS: usize = 12;

/// Rows of a function, from 0, inclusive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) head_end: usize,
    pub(super) last: usize,
}

/// Shows the function around `row`, or the rows next to it when there is none.
pub(super) fn show(lines: &Lines<'_>, row: usize, span: Option<Span>, options: &FrameOptions) -> Vec<SourceLine> {
    let end = lines.len().saturating_sub(1);
    let near = |first: usize, last: usize| {
        row.saturating_sub(options.context_lines).max(first)..=row.saturating_add(options.context_lines).min(last)
    };
    let rows: Vec<usize> = match span {
        None => near(0, end).collect(),
        Some(Span { first, last, .. }) if last.saturating_sub(first) < options.max_lines => {
            (first..=last.min(end)).collect()
        }
        Some(Span { first, head_end, last }) => {
            let window = near(first, last.min(end));
            let head = first..=head_end.min(first + MAX_HEAD_ROWS - 1).min(last);
            let tail = last.min(end);
            let mut rows: Vec<usize> = head.filter(|row| row < window.start()).collect();
            let after = *window.end();
            rows.extend(window);
            if tail > after {
                rows.push(tail);
            }
            rows
        }
    };
    let line = |at: usize| SourceLine {
        number: u32::try_from(at + 1).unwrap_or(u32::MAX),
        text: lines.shown(at),
        hot: at == row,
    };
    rows.into_iter().map(line).collect()
}
