//! The last look of a detector, in a line.

use super::{Palette, one_line, words};
use crate::ids::DetectorName;
use crate::monitor::status::{LookState, LookStatus};
use crate::time::Utc;

/// Longest answer shown, in characters.
const MAX_SAID: usize = 160;

/// `health: answered 503, 3 in a row, 12 s ago`.
pub fn line(detector: &DetectorName, look: &LookStatus, now: Utc, palette: Palette) -> String {
    let said: String = one_line(&look.said).chars().take(MAX_SAID).collect();
    let said = match look.state {
        LookState::Well => said,
        LookState::Failed => palette.bad(said).to_string(),
        LookState::Unknown => palette.warn(format!("unknown: {said}")).to_string(),
    };
    let row = match look.failed_in_a_row {
        0 | 1 => String::new(),
        times => format!(", {times} in a row"),
    };
    format!("{detector}: {said}{row}, {} ago", words::duration(look.utc.age(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::DetectorKind;

    #[test]
    fn says_what_came_of_it_and_when() {
        let now = Utc::from_millis(1_795_262_096_789);
        let rows = [
            (LookState::Well, "answered 200", 0, "health: answered 200, 12 s ago"),
            (LookState::Failed, "answered 503", 3, "health: answered 503, 3 in a row, 12 s ago"),
            (LookState::Failed, "4 GiB free on /data", 0, "health: 4 GiB free on /data, 12 s ago"),
            (LookState::Unknown, "no\u{1b}[1m name", 0, "health: unknown: no name, 12 s ago"),
        ];
        for (state, said, failed_in_a_row, expected) in rows {
            let utc = Utc::from_millis(now.millis() - 12_000);
            let look = LookStatus { kind: DetectorKind::Http, utc, state, said: said.to_owned(), failed_in_a_row };
            assert_eq!(line(&DetectorName::new("health"), &look, now, Palette::plain()), expected);
        }
    }
}
