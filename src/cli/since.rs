//! `--since`: how far back.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate};

use crate::time::Utc;

/// A point in time, or a distance from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// `90s`, `10m`, `24h`, `7d`, `2w`.
    Ago(Duration),
    /// RFC 3339, or a date (its beginning in UTC).
    At(Utc),
}

impl Since {
    /// The point in time.
    pub(super) fn from(self, now: Utc) -> Utc {
        match self {
            Self::At(utc) => utc,
            Self::Ago(ago) => {
                Utc::from_millis(now.millis().saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)))
            }
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(stamp) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(Utc::from_millis(stamp.timestamp_millis())));
        }
        if let Some(midnight) =
            NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0))
        {
            return Ok(Self::At(Utc::from_millis(midnight.and_utc().timestamp_millis())));
        }
        ago(text)
            .map(Self::Ago)
            .ok_or_else(|| "expected `90s`, `10m`, `24h`, `7d`, a date or an RFC 3339 time".to_owned())
    }
}

fn ago(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let unit = match text.strip_prefix(digits)? {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.checked_mul(unit).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_distances_and_stamps() {
        const NOW: i64 = 1_795_262_096_789;
        let table = [
            ("90s", Some(NOW - 90_000)),
            ("10m", Some(NOW - 600_000)),
            ("24h", Some(NOW - 86_400_000)),
            ("7d", Some(NOW - 7 * 86_400_000)),
            ("2026-11-01", Some(1_793_491_200_000)),
            ("2026-11-01T00:00:00Z", Some(1_793_491_200_000)),
            ("2026-11-01T02:00:00.5+02:00", Some(1_793_491_200_500)),
            ("0s", Some(NOW)),
            ("99999999999999999999d", None),
            ("18446744073709551615s", Some(i64::MIN + NOW + 1)),
            ("24", None),
            ("h", None),
            ("", None),
            ("-1h", None),
            ("1y", None),
            ("2026-13-01", None),
        ];
        for (text, expected) in table {
            let got = text.parse::<Since>().ok().map(|since| since.from(Utc::from_millis(NOW)).millis());
            assert_eq!(got, expected, "{text}");
        }
    }
}
