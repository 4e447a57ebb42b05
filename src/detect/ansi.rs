//! Removes terminal escape sequences (ECMA-48, 5.3–5.6; xterm's control sequences).
//!
//! A sequence never reaches across a line end, so that removing them from a chunk and from each of its lines is the same.

use std::borrow::Cow;

use memchr::memchr;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// Returns `line` without escape sequences; borrowed when it holds none.
pub fn strip(line: &[u8]) -> Cow<'_, [u8]> {
    if memchr(ESC, line).is_none() {
        return Cow::Borrowed(line);
    }
    let mut stripped = Stripped::default();
    stripped.fill(line);
    Cow::Owned(stripped.bytes)
}

/// A buffer without escape sequences that still knows where its bytes came from.
#[derive(Debug, Default)]
pub(super) struct Stripped {
    bytes: Vec<u8>,
    /// Position in `bytes` → what to add for the position in the raw bytes, from there on; ascending.
    shifts: Vec<(usize, usize)>,
}

impl Stripped {
    /// Takes over `raw`, without its sequences.
    pub(super) fn fill(&mut self, raw: &[u8]) {
        self.bytes.clear();
        self.shifts.clear();
        let mut rest = raw;
        let mut removed = 0;
        while let Some(at) = memchr(ESC, rest) {
            let (text, sequence) = rest.split_at(at);
            self.bytes.extend_from_slice(text);
            let length = sequence_len(sequence);
            removed += length;
            self.shifts.push((self.bytes.len(), removed));
            rest = sequence.get(length..).unwrap_or_default();
        }
        self.bytes.extend_from_slice(rest);
    }

    /// The bytes that are left.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Position in the raw bytes of the byte at `at` of [`Stripped::bytes`].
    pub(super) fn raw(&self, at: usize) -> usize {
        let behind = self.shifts.partition_point(|(from, _)| *from <= at);
        let shift = behind.checked_sub(1).and_then(|index| self.shifts.get(index)).map_or(0, |(_, shift)| *shift);
        at + shift
    }
}

/// Length of the sequence at the start of `bytes`, which begin with ESC; at least 1.
fn sequence_len(bytes: &[u8]) -> usize {
    let body = bytes.get(2..).unwrap_or_default();
    match bytes.get(1) {
        // Control sequence: parameters, intermediates, one final byte.
        Some(b'[') => {
            let parameters = run(body, 0x30..=0x3f);
            let intermediates = run(body.get(parameters..).unwrap_or_default(), 0x20..=0x2f);
            let last = parameters + intermediates;
            2 + last + usize::from(body.get(last).is_some_and(|byte| (0x40..=0x7e).contains(byte)))
        }
        // Control strings (OSC, DCS, SOS, PM, APC) end at BEL or ESC `\`. One that does not end loses its introducer only:
        // otherwise a stray `ESC ]` could hide the rest of a line from the detectors.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            match body.iter().position(|byte| matches!(*byte, BEL | ESC | b'\n' | b'\r')) {
                Some(at) if body.get(at) == Some(&BEL) => 2 + at + 1,
                Some(at) if body.get(at..at + 2) == Some(b"\x1b\\") => 2 + at + 2,
                _ => 2,
            }
        }
        // Character sets and the like: intermediates, one final byte.
        Some(0x20..=0x2f) => {
            let last = 1 + run(bytes.get(1..).unwrap_or_default(), 0x20..=0x2f);
            last + usize::from(bytes.get(last).is_some_and(|byte| (0x30..=0x7e).contains(byte)))
        }
        Some(0x30..=0x7e) => 2,
        _ => 1,
    }
}

fn run(bytes: &[u8], class: std::ops::RangeInclusive<u8>) -> usize {
    bytes.iter().take_while(|byte| class.contains(byte)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequences_go_and_text_stays() {
        for (name, raw, text) in [
            ("nothing", "plain", "plain"),
            ("colour", "\x1b[1;31mERROR\x1b[0m: disk", "ERROR: disk"),
            ("erase line", "\x1b[2K50%", "50%"),
            ("private mode", "\x1b[?25lx", "x"),
            ("window title", "\x1b]0;train\x07loss", "loss"),
            ("hyperlink", "\x1b]8;;http://a\x1b\\here\x1b]8;;\x1b\\", "here"),
            ("open string keeps the text", "\x1b]0;ERROR: disk", "0;ERROR: disk"),
            ("open string stops at the line end", "\x1b]0;a\nb\x07", "0;a\nb\x07"),
            ("broken control sequence", "\x1b[12\nnext", "\nnext"),
            ("character set", "\x1b(Bx", "x"),
            ("two bytes", "\x1bMx", "x"),
            ("ESC at the end", "x\x1b", "x"),
            ("ESC before a line end", "x\x1b\r\ny", "x\r\ny"),
        ] {
            assert_eq!(String::from_utf8_lossy(&strip(raw.as_bytes())), text, "{name}");
        }
    }

    proptest! {
        #[test]
        fn lines_and_chunks_agree(raw in proptest::collection::vec(
            proptest::sample::select(b"\x1b\x1b\x1b[]P(;1mAB\\\x07\n\r x".to_vec()), 0..80)) {
            let whole = strip(&raw).into_owned();
            let by_line: Vec<u8> = raw
                .split_inclusive(|byte| matches!(byte, b'\n' | b'\r'))
                .flat_map(|line| strip(line).into_owned())
                .collect();
            prop_assert_eq!(whole, by_line);
        }

        #[test]
        fn positions_lead_back(raw in proptest::collection::vec(
            proptest::sample::select(b"\x1b\x1b[]1mABCDEFG\x07\n".to_vec()), 0..80)) {
            let mut stripped = Stripped::default();
            stripped.fill(&raw);
            for (at, byte) in stripped.bytes().iter().enumerate() {
                prop_assert_eq!(raw[stripped.raw(at)], *byte);
            }
        }
    }
}
