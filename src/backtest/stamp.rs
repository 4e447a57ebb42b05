//! The time that a line of a log bears, in the forms that loggers and collectors print.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};

/// Bytes at a line's start in which a stamp is looked for.
const WINDOW: usize = 96;

/// Milliseconds since the epoch of the stamp near the start of a line. Forms: ISO 8601 / RFC 3339 (`T` or a blank between
/// date and time, `.` or `,` before the fraction, `Z`, an offset or nothing, which is taken for UTC), `2026/11/21 10:00:00`,
/// syslog's `Nov 21 10:00:00` (RFC 3164) and klog's `E1121 10:00:00.123456`, which have no year: the one nearest to `around` is
/// taken.
pub(super) fn stamp_of(line: &[u8], around: i64) -> Option<i64> {
    let line = line.get(..WINDOW).unwrap_or(line);
    // Most lines of unstamped logs have no colon between two digits.
    let colon = line.windows(3).position(|w| matches!(w, [a, b':', c] if a.is_ascii_digit() && c.is_ascii_digit()))?;
    let hours = colon.checked_sub(1)?;
    let time = Time::parse(line.get(hours..)?)?;
    let before = line.get(..hours)?;
    let date = iso_date(before).or_else(|| without_year(before, around))?;
    let naive = date.and_hms_milli_opt(time.hour, time.minute, time.second, time.milli)?;
    let offset = offset_seconds(line.get(hours + time.length..).unwrap_or_default());
    Some(naive.and_utc().timestamp_millis() - offset * 1000)
}

struct Time {
    hour: u32,
    minute: u32,
    second: u32,
    milli: u32,
    length: usize,
}

impl Time {
    /// `10:00:00`, with a fraction or without.
    fn parse(text: &[u8]) -> Option<Self> {
        let two = |at: usize| Some(digit(*text.get(at)?)? * 10 + digit(*text.get(at + 1)?)?);
        let (hour, minute, second) = (two(0)?, two(3)?, two(6)?);
        if text.get(2) != Some(&b':') || text.get(5) != Some(&b':') {
            return None;
        }
        let fraction = match text.get(8) {
            Some(b'.' | b',') => text.get(9..).unwrap_or_default(),
            _ => &[],
        };
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let milli = (0..3).fold(0, |milli, at| milli * 10 + fraction.get(at).copied().and_then(digit).unwrap_or(0));
        let length = if digits > 0 { 9 + digits } else { 8 };
        Some(Self { hour, minute, second, milli: if digits > 0 { milli } else { 0 }, length })
    }
}

fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(10)
}

/// `2026-11-21T` or `2026/11/21 ` at the end of `before`.
fn iso_date(before: &[u8]) -> Option<NaiveDate> {
    let text = std::str::from_utf8(before.get(before.len().checked_sub(11)?..)?).ok()?;
    let (date, separator) = text.split_at_checked(10)?;
    if !matches!(separator, "T" | " " | "_") {
        return None;
    }
    NaiveDate::parse_from_str(date, "%Y-%m-%d").or_else(|_| NaiveDate::parse_from_str(date, "%Y/%m/%d")).ok()
}

/// `Nov 21 ` or `E1121 ` at the end of `before`, in the year that is nearest to `around`: logs go on over New Year.
fn without_year(before: &[u8], around: i64) -> Option<NaiveDate> {
    let tail = |length: usize| std::str::from_utf8(before.get(before.len().checked_sub(length)?..)?).ok();
    // A leap year, so that every day can be read.
    let syslog = || NaiveDate::parse_from_str(&format!("2000 {}", tail(7)?.trim_end()), "%Y %b %e").ok();
    let klog = || {
        let text = tail(6)?.trim_end();
        let (level, date) = text.split_at_checked(1)?;
        "IWEF".contains(level).then(|| NaiveDate::parse_from_str(&format!("2000{date}"), "%Y%m%d").ok())?
    };
    let day = syslog().or_else(klog)?;
    let around = DateTime::from_timestamp_millis(around)?.date_naive();
    // The nearest leap year may be eight years away.
    let years = around.year().checked_sub(8)?..=around.year().checked_add(8)?;
    let days = years.filter_map(|year| day.with_year(year));
    days.min_by_key(|day| day.signed_duration_since(around).num_days().abs())
}

/// `Z`, `+01:00`, `+0100`, ` +0100` behind a time.
fn offset_seconds(rest: &[u8]) -> i64 {
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (sign, digits) = match rest.split_first() {
        Some((b'+', digits)) => (1, digits),
        Some((b'-', digits)) => (-1, digits),
        _ => return 0,
    };
    let numbers: Vec<i64> =
        digits.iter().filter(|byte| **byte != b':').map_while(|byte| digit(*byte).map(i64::from)).take(4).collect();
    match numbers[..] {
        [h1, h2, m1, m2] => sign * ((h1 * 10 + h2) * 3600 + (m1 * 10 + m2) * 60),
        _ => 0,
    }
}

/// The stamp as people read it.
pub(super) fn words(millis: i64) -> String {
    let utc = DateTime::from_timestamp_millis(millis).unwrap_or_default();
    let naive: NaiveDateTime = utc.naive_utc();
    naive.format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stamps_of_the_usual_loggers() {
        let noon = NaiveDate::from_ymd_opt(2026, 11, 21).unwrap().and_hms_opt(12, 0, 0).unwrap();
        let noon = noon.and_utc().timestamp_millis();
        let rows = [
            ("2026-11-21T12:00:00Z step 1", Some(0)),
            ("2026-11-21T12:00:00.250Z step 1", Some(250)),
            ("2026-11-21T13:00:00+01:00 step 1", Some(0)),
            ("2026-11-21 12:00:00,007 INFO x", Some(7)),
            ("[2026-11-21 12:00:01 +0000] [7] [INFO] x", Some(1000)),
            ("2026/11/21 12:00:02 x", Some(2000)),
            ("[rank3]: 2026-11-21 12:00:00.5 x", Some(500)),
            ("Nov 21 12:00:03 host app[7]: x", Some(3000)),
            ("E1121 12:00:04.123456   17 x.go:3] x", Some(4123)),
            ("{\"ts\":\"2026-11-21T12:00:00Z\",\"msg\":\"x\"}", Some(0)),
            ("step 12:00:00 without a date", None),
            ("loss 2.31", None),
            ("at main.py:12:34:56", None),
            ("", None),
        ];
        for (line, after) in rows {
            assert_eq!(stamp_of(line.as_bytes(), noon), after.map(|after| noon + after), "{line}");
        }
        assert_eq!(words(noon), "2026-11-21 12:00:00");
    }

    #[test]
    fn the_year_is_the_nearest() {
        let at =
            |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap().and_utc().timestamp_millis();
        let rows = [
            ("Dec 31 23:59:59 host a: x", "2026-12-31 23:00:00", "2026-12-31 23:59:59"),
            ("Jan  1 00:59:59 host a: x", "2026-12-31 23:59:59", "2027-01-01 00:59:59"),
            ("Dec 31 23:59:58 host a: x", "2027-01-01 00:00:01", "2026-12-31 23:59:58"),
            ("I0101 00:00:01.000000 7 a.go:1] x", "2026-12-31 23:59:59", "2027-01-01 00:00:01"),
            ("Feb 29 12:00:00 host a: x", "2028-02-28 12:00:00", "2028-02-29 12:00:00"),
            ("Feb 29 12:00:00 host a: x", "2026-02-28 12:00:00", "2024-02-29 12:00:00"),
        ];
        for (line, around, expected) in rows {
            assert_eq!(stamp_of(line.as_bytes(), at(around)).map(words).as_deref(), Some(expected), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(line in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = stamp_of(&line, 0);
        }
    }
}
