//! A file as lines.

use std::borrow::Cow;

/// Longest line that is shown, in characters.
const MAX_SHOWN: usize = 240;

/// Byte ranges of the lines of a file. A line ends at LF; a last line without one counts.
pub(super) struct Lines<'a> {
    source: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: &'a [u8]) -> Self {
        let mut starts = Vec::with_capacity(source.len() / 32 + 1);
        if !source.is_empty() {
            starts.push(0);
        }
        starts.extend(memchr::memchr_iter(b'\n', source).map(|at| at + 1).filter(|&start| start < source.len()));
        Self { source, starts }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bytes of rows `from..to` (from 0), line ends included.
    pub(super) fn bytes(&self, from: usize, to: usize) -> &'a [u8] {
        let start = self.start(from);
        self.source.get(start..self.start(to).max(start)).unwrap_or_default()
    }

    /// Bytes of one row without its end; empty beyond the file.
    pub(super) fn row(&self, row: usize) -> &'a [u8] {
        let bytes = self.bytes(row, row + 1);
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        bytes.strip_suffix(b"\r").unwrap_or(bytes)
    }

    /// The row as text, cut at [`MAX_SHOWN`] characters.
    pub(super) fn shown(&self, row: usize) -> String {
        // Four bytes are the longest character: no more than these can be shown.
        let bytes = self.row(row);
        let head = bytes.get(..MAX_SHOWN * 4).unwrap_or(bytes);
        let text: Cow<'_, str> = String::from_utf8_lossy(head);
        let mut shown: String = text.chars().take(MAX_SHOWN).collect();
        if shown.len() < bytes.len() && text.chars().count() > MAX_SHOWN || head.len() < bytes.len() {
            shown.push('…');
        }
        shown
    }

    /// Columns of white space at the start of a row, and what follows; `None` for a blank row. A tab goes to the next
    /// multiple of eight (as in the Python language reference, "Indentation").
    pub(super) fn indent(&self, row: usize) -> Option<(usize, &'a [u8])> {
        let bytes = self.row(row);
        let mut column = 0;
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b' ' => column += 1,
                b'\t' => column = column / 8 * 8 + 8,
                0x0c => column = 0,
                _ => return Some((column, bytes.get(at..).unwrap_or_default())),
            }
        }
        None
    }

    fn start(&self, row: usize) -> usize {
        self.starts.get(row).copied().unwrap_or(self.source.len())
    }
}
