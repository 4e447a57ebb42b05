//! What came first, over many streams.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::Regex;

use crate::detect::Detection;

/// Clock times that are further apart are of different days, and say nothing.
const HALF_A_DAY: u64 = 12 * 3600 * 1_000_000_000;

/// Whether the first detection came before the second one. Each comes with its place among all that arrived.
///
/// In one stream that is a matter of its bytes. Elsewhere the lines' own time stamps decide where both have one that the other
/// can be compared with, else what arrived first.
pub fn earlier(first: (&Detection, u64), second: (&Detection, u64)) -> bool {
    if first.0.stream == second.0.stream {
        return first.0.bytes.start < second.0.bytes.start;
    }
    let stamp = |detection: &Detection| detection.captures.get("timestamp").and_then(|text| Stamp::read(text));
    let stamped = stamp(first.0).zip(stamp(second.0)).and_then(|(first, second)| first.compare(&second));
    stamped.unwrap_or(Ordering::Equal).then(first.1.cmp(&second.1)).is_lt()
}

/// A time stamp as printed, as far as it can be compared with its like.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    /// Year, month, day as one number, where there is a date.
    date: Option<u64>,
    /// Nanoseconds since midnight.
    time: u64,
    /// As printed: `Z`, `+02:00`, or nothing.
    zone: String,
}

impl Stamp {
    fn read(text: &str) -> Option<Self> {
        let captures = FORM.captures(text.trim())?;
        let number = |name: &str| captures.name(name).and_then(|digits| digits.as_str().parse::<u64>().ok());
        let date = number("year").zip(number("month")).zip(number("day"));
        let seconds = (number("hour")? * 60 + number("minute")?) * 60 + number("second")?;
        let fraction = captures.name("fraction").map_or("", |digits| digits.as_str());
        let nanos = format!("{fraction:0<9}").get(..9).and_then(|digits| digits.parse::<u64>().ok())?;
        Some(Self {
            date: date.map(|((year, month), day)| (year * 100 + month) * 100 + day),
            time: seconds * 1_000_000_000 + nanos,
            zone: captures.name("zone").map_or("", |zone| zone.as_str()).to_owned(),
        })
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        if self.zone != other.zone || self.date.is_some() != other.date.is_some() {
            return None;
        }
        if self.date.is_none() && self.time.abs_diff(other.time) > HALF_A_DAY {
            return None;
        }
        Some((self.date, self.time).cmp(&(other.date, other.time)))
    }
}

#[expect(clippy::expect_used, reason = "a constant expression, compiled in every test run")]
static FORM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:(?<year>\d{4})[-/.](?<month>\d\d)[-/.](?<day>\d\d)[T ,]+)?(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)(?:[.,](?<fraction>\d+))?(?<zone>Z|[+-]\d\d:?\d\d)?$",
    )
    .expect("the expression is constant")
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::DetectorKind;
    use crate::ids::StreamId;
    use crate::incident::samples::{at, detection};

    #[test]
    fn what_came_first() {
        // Stamp and arrival of either; whether the first came before the second, and the second before the first.
        #[rustfmt::skip]
        let rows = [
            ("arrival", "", 1, "", 2, (true, false)),
            ("the same turn", "", 1, "", 1, (false, false)),
            ("stamps beat arrival", "2026-11-21 10:00:00,100", 2, "2026-11-21 10:00:00,200", 1, (true, false)),
            ("another day", "2026-11-21T23:59:59Z", 2, "2026-11-22T00:00:01Z", 1, (true, false)),
            ("fractions of any length", "2026-11-21T10:00:00.25Z", 2, "2026-11-21T10:00:00.250000001Z", 1, (true, false)),
            ("equal stamps", "10:00:00", 2, "10:00:00", 1, (false, true)),
            ("one without", "2026-11-21T10:00:00Z", 2, "", 1, (false, true)),
            ("another zone", "2026-11-21T10:00:00Z", 2, "2026-11-21T10:00:01+01:00", 1, (false, true)),
            ("clocks over midnight", "23:59:59.9", 1, "00:00:00.1", 2, (true, false)),
            ("no time", "yesterday", 2, "2026-11-21T10:00:00Z", 1, (false, true)),
        ];
        for (name, first, first_arrived, second, second_arrived, expected) in rows {
            let made = |stream: &str, stamp: &str| {
                let mut made = detection(DetectorKind::Pattern, "boom", "boom");
                made.stream = StreamId::new(stream);
                if !stamp.is_empty() {
                    made.captures.insert("timestamp".into(), stamp.into());
                }
                made
            };
            let (first, second) = ((&made("a", first), first_arrived), (&made("b", second), second_arrived));
            assert_eq!((earlier(first, second), earlier(second, first)), expected, "{name}");
        }
        let (one, two) = (detection(DetectorKind::Pattern, "a", "a"), detection(DetectorKind::Pattern, "b", "b"));
        assert!(earlier((&at(one, 1, 1), 9), (&at(two, 2, 2), 1)), "one stream: its bytes");
    }
}
