//! Where the stream is cut: pieces, each of them one segment of text and the line end behind it.
//!
//! Detectors look at segments: text between line ends, where LF, CR LF and CR all end a line. Traces and line numbers only know
//! lines that end at LF. A CR without LF is a redraw (a progress bar); whether a CR is one shows in the bytes behind it, so a piece
//! is only *decided* once those are there.

use memchr::{memchr2, memrchr2};

/// Longest segment in bytes; a longer one is cut at every multiple of this from its start.
pub(super) const MAX_SEGMENT: usize = 256 * 1024;

/// Carriage returns that may stand between a line and its LF: programs that print CR LF to a terminal leave two, and so on for
/// each layer that translates.
const MAX_CR: usize = 4;

/// Bytes behind a segment that decide about its line end.
pub(super) const LOOK_AHEAD: usize = MAX_CR + 1;

/// How a piece ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// LF, with up to [`MAX_CR`] CR before it.
    Line,
    /// CR that belongs to no LF.
    Redraw,
    /// No line end: the segment was too long, or the stream fell silent or ended.
    Cut,
}

/// A piece of a buffer, by positions in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) text_end: usize,
    pub(super) end: usize,
    pub(super) how: End,
}

/// A number of whole pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) bytes: &'a [u8],
    /// The last piece has no line end.
    pub(super) cut: bool,
}

impl<'a> Block<'a> {
    /// Cuts as many pieces as are decided off the start of `bytes`, at most about [`MAX_SEGMENT`] bytes.
    pub(super) fn take(bytes: &'a [u8]) -> Option<Self> {
        let window = bytes.len().min(MAX_SEGMENT);
        if let Some(end) = last_decided_end(bytes, window) {
            return Some(Self { bytes: bytes.get(..end)?, cut: false });
        }
        Self::take_piece(bytes)
    }

    /// Cuts the first piece off the start of `bytes`, if it is decided.
    pub(super) fn take_piece(bytes: &'a [u8]) -> Option<Self> {
        let piece = decided(bytes, 0)?;
        Some(Self { bytes: bytes.get(..piece.end)?, cut: piece.how == End::Cut })
    }

    /// The piece that starts at `start`.
    pub(super) fn piece(&self, start: usize) -> Piece {
        let end = self.bytes.len();
        if let Some(piece) = decided(self.bytes, start) {
            return piece;
        }
        // What would decide lies behind the block, which is decided: so it is no LF.
        let text_end = line_end_from(self.bytes, start, end).unwrap_or(end);
        if self.cut {
            Piece { start, text_end, end, how: End::Cut }
        } else {
            Piece { start, text_end, end: end.min(text_end + 1), how: End::Redraw }
        }
    }
}

fn line_end_from(bytes: &[u8], from: usize, until: usize) -> Option<usize> {
    memchr2(b'\n', b'\r', bytes.get(from..until)?).map(|at| from + at)
}

fn decided(bytes: &[u8], start: usize) -> Option<Piece> {
    let longest = start + MAX_SEGMENT;
    let Some(text_end) = line_end_from(bytes, start, bytes.len().min(longest + 1)) else {
        return (bytes.len() > longest).then_some(Piece { start, text_end: longest, end: longest, how: End::Cut });
    };
    decided_end(bytes, text_end).map(|(end, how)| Piece { start, text_end, end, how })
}

/// End of the line end at `at`.
fn decided_end(bytes: &[u8], at: usize) -> Option<(usize, End)> {
    let returns = bytes.get(at..)?.iter().take(MAX_CR).take_while(|byte| **byte == b'\r').count();
    match bytes.get(at + returns)? {
        b'\n' => Some((at + returns + 1, End::Line)),
        _ => Some((at + 1, End::Redraw)),
    }
}

/// End of the last decided piece that begins to end before `window`.
fn last_decided_end(bytes: &[u8], window: usize) -> Option<usize> {
    let text = bytes.get(..window)?;
    let last = memrchr2(b'\n', b'\r', text)?;
    if bytes.get(last) == Some(&b'\n') {
        return Some(last + 1);
    }
    let run = text.get(..last)?.iter().rev().take_while(|byte| **byte == b'\r').count();
    let first = last - run;
    let mut end = None;
    let mut at = first;
    while at <= last {
        let Some((next, _)) = decided_end(bytes, at) else { break };
        end = Some(next);
        at = next;
    }
    // A line end in front of text is always decided.
    end.or_else(|| memrchr2(b'\n', b'\r', text.get(..first)?).map(|at| at + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(block: Block<'_>) -> Vec<(Vec<u8>, End)> {
        let mut all = Vec::new();
        let mut at = 0;
        while at < block.bytes.len() {
            let piece = block.piece(at);
            all.push((block.bytes[piece.start..piece.text_end].to_vec(), piece.how));
            at = piece.end;
        }
        all
    }

    #[test]
    fn line_ends() {
        for (name, bytes, expected, undecided) in [
            ("LF", "a\nb", vec![("a", End::Line)], 1),
            ("CR LF", "a\r\n", vec![("a", End::Line)], 0),
            ("terminal in front of CR LF", "a\r\r\n", vec![("a", End::Line)], 0),
            ("redraw", "a\rb", vec![("a", End::Redraw)], 1),
            ("CR may still be CR LF", "a\nb\r", vec![("a", End::Line)], 2),
            ("many CR", "a\r\r\r\r\r\n", vec![("a", End::Redraw), ("", End::Line)], 0),
            ("redraw and line", "1%\r2%\r\n", vec![("1%", End::Redraw), ("2%", End::Line)], 0),
        ] {
            let block = Block::take(bytes.as_bytes()).expect(name);
            let expected: Vec<_> = expected.into_iter().map(|(text, how)| (text.as_bytes().to_vec(), how)).collect();
            assert_eq!(pieces(block), expected, "{name}");
            assert_eq!(bytes.len() - block.bytes.len(), undecided, "{name}");
        }
        assert!(Block::take(b"a\r").is_none());
        assert!(Block::take(b"a").is_none());
    }

    #[test]
    fn long_segments_are_cut() {
        let mut bytes = vec![b'x'; MAX_SEGMENT];
        assert!(Block::take(&bytes).is_none(), "a line end may follow");
        bytes.push(b'\n');
        assert_eq!(Block::take(&bytes).map(|block| (block.bytes.len(), block.cut)), Some((MAX_SEGMENT + 1, false)));
        bytes.insert(0, b'x');
        assert_eq!(Block::take(&bytes).map(|block| (block.bytes.len(), block.cut)), Some((MAX_SEGMENT, true)));
    }

    proptest! {
        #[test]
        fn cuts_of_the_input_do_not_show(
            text in proptest::collection::vec(proptest::sample::select(b"ab\r\r\r\n".to_vec()), 0..60),
            cuts in proptest::collection::vec(1_usize..8, 1..20),
        ) {
            let whole = |bytes: &[u8]| {
                let (mut all, mut at) = (Vec::new(), 0);
                while let Some(block) = Block::take_piece(&bytes[at..]) {
                    all.extend(pieces(block));
                    at += block.bytes.len();
                }
                all
            };
            let (mut all, mut held) = (Vec::new(), Vec::new());
            let mut rest = text.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(*cut));
                held.extend_from_slice(now);
                rest = later;
                while let Some(block) = Block::take(&held) {
                    all.extend(pieces(block));
                    let taken = block.bytes.len();
                    held.drain(..taken);
                }
            }
            prop_assert_eq!(all, whole(&text));
        }
    }
}
