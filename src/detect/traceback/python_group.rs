//! The tree in which Python prints an exception group.
//!
//! ```text
//!   + Exception Group Traceback (most recent call last):
//!   |   File "app.py", line 3, in <module>
//!   | ExceptionGroup: two (2 sub-exceptions)
//!   +-+---------------- 1 ----------------
//!     | Traceback (most recent call last):
//!     |   File "app.py", line 2, in <module>
//!     | ValueError: 1
//!     +---------------- 2 ----------------
//!     | TypeError: 2
//!     +------------------------------------
//! ```

/// A line of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Branch<'t> {
    /// 0 for the group itself, 1 for its members, 2 for theirs.
    pub(super) depth: usize,
    /// The line begins a member.
    pub(super) opens_member: bool,
    /// The line ends a group.
    pub(super) closes: bool,
    /// What is printed beside the drawing.
    pub(super) text: &'t str,
}

/// Takes the drawing off a line; `None` when there is none.
pub(super) fn branch(text: &str) -> Option<Branch<'_>> {
    let trimmed = text.trim_start_matches(' ');
    let margin = text.len() - trimmed.len();
    let depth = margin.saturating_sub(2) / 2;
    if let Some(rest) = trimmed.strip_prefix('|') {
        let text = rest.strip_prefix(' ').unwrap_or(rest);
        return Some(Branch { depth, opens_member: false, closes: false, text });
    }
    let rest = trimmed.strip_prefix('+')?;
    if let Some(header) = rest.strip_prefix(' ') {
        return Some(Branch { depth, opens_member: false, closes: false, text: header });
    }
    let (inner, rest) = rest.strip_prefix("-+").map_or((0, rest), |rest| (1, rest));
    let label = rest.trim_matches('-').trim();
    if !rest.starts_with('-') {
        return None;
    }
    let depth = depth + inner;
    Some(Branch { depth, opens_member: !label.is_empty(), closes: label.is_empty(), text: "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_is_taken_off() {
        let line = |depth, opens_member, closes, text| Some(Branch { depth, opens_member, closes, text });
        let rows = [
            (
                "  + Exception Group Traceback (most recent call last):",
                line(0, false, false, "Exception Group Traceback (most recent call last):"),
            ),
            ("  |   File \"a.py\", line 1, in f", line(0, false, false, "  File \"a.py\", line 1, in f")),
            ("  +-+---------------- 1 ----------------", line(1, true, false, "")),
            ("    +---------------- 2 ----------------", line(1, true, false, "")),
            ("    | ValueError: 1", line(1, false, false, "ValueError: 1")),
            ("    |", line(1, false, false, "")),
            ("    +------------------------------------", line(1, false, true, "")),
            ("+ exit 1", line(0, false, false, "exit 1")),
            ("done", None),
        ];
        for (text, expected) in rows {
            assert_eq!(branch(text), expected, "{text}");
        }
    }
}
