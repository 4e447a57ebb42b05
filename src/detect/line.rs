//! One line of a stream as the detectors see it.

use serde::{Deserialize, Serialize};

/// A line: ANSI sequences and launcher prefixes removed, without its line end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextLine {
    /// 1-based number; lines are counted by LF.
    pub number: u64,
    /// Byte offset of the first byte of the raw line in its stream.
    pub start: u64,
    /// Byte offset just behind the raw line's end (its LF included).
    pub end: u64,
    /// The text; bytes that are no UTF-8 are replaced.
    pub text: String,
}
