//! Numbers in words that people read.

use std::time::Duration;

/// A duration in its two largest units: `3 d 4 h`, `2 m 5 s`, `400 ms`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, 0) => format!("{} ms", duration.as_millis()),
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => two(minutes, "m", seconds, "s"),
        (0, hours, minutes, _) => two(hours, "h", minutes, "m"),
        (days, hours, _, _) => two(days, "d", hours, "h"),
    }
}

/// A count with its noun: `1 incident`, `2 incidents`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", thousands(number)) }
}

/// Digits in groups of three: `12,345`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len().saturating_mul(2));
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Bytes in decimal units: `1.2 MB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    for unit in UNITS {
        if tenths < 10_000 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        tenths /= 1_000;
    }
    format!("{} EB", tenths / 10)
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_well() {
        let table = [
            (0, "0 ms"),
            (400, "400 ms"),
            (1_900, "1 s"),
            (125_000, "2 m 5 s"),
            (3_600_000, "1 h"),
            (5_430_000, "1 h 30 m"),
            (273_600_000, "3 d 4 h"),
        ];
        for (millis, text) in table {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        let sizes = [(0, "0 B"), (999, "999 B"), (1_234, "1.2 kB"), (1_000_000, "1.0 MB"), (u64::MAX, "18 EB")];
        for (size, text) in sizes {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!((count(1, "row"), count(1_000, "row")), ("1 row".to_owned(), "1,000 rows".to_owned()));
    }
}
