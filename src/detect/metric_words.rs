//! A finding of a metric as a detection: in words, and in captures.

use std::collections::BTreeMap;

use super::metric_watch::{Against, Finding, Reason};
use super::stall::words;
use super::{Detection, DetectorKind};
use crate::config;
use crate::ids::StreamId;

impl Finding {
    /// As a detection. `at` and `line` are those of the last value.
    pub fn detection(&self, detector: &config::Detector, stream: &StreamId, at: u64, line: u64) -> Detection {
        let mut captures = BTreeMap::from([
            ("reason".to_owned(), self.reason.as_str().to_owned()),
            ("value".to_owned(), number(self.value)),
            ("count".to_owned(), self.count.to_string()),
        ]);
        if let Some(usual) = self.usual {
            captures.insert("median".to_owned(), number(usual.median));
            captures.insert("mad".to_owned(), number(usual.mad));
        }
        Detection {
            detector: detector.name.clone(),
            kind: DetectorKind::Metric,
            severity: detector.severity,
            stream: stream.clone(),
            bytes: at..at,
            lines: (line, line),
            message: self.message(detector.name.as_str()),
            captures,
            trace: None,
            class: None,
        }
    }

    fn message(&self, name: &str) -> String {
        let value = number(self.value);
        let usual = self.usual.map(|usual| {
            let values = if usual.of == 1 { "value" } else { "values" };
            format!("the median {} of the last {} {values}", number(usual.median), usual.of)
        });
        let usual = usual.unwrap_or_else(|| "the median".to_owned());
        let (above, high) = match self.reason {
            Reason::NonFinite | Reason::Above | Reason::Spike => ("above", true),
            Reason::Below | Reason::Drop => ("below", false),
        };
        let what = match self.against {
            Against::Itself => format!("{name} is {value}"),
            Against::Limit(limit) => format!("{name} {value} is {above} {}", number(limit)),
            Against::Mads(mads) => format!("{name} {value} is {mads:.1} MADs {above} {usual}"),
            Against::Ratio(ratio) if high => format!("{name} {value} is {ratio:.1} times {usual}"),
            Against::Ratio(ratio) => format!("{name} {value} is {:.0} % of {usual}", ratio * 100.0),
        };
        match (self.count, self.lasted.as_secs()) {
            (1, _) => what,
            (count, 0) => format!("{what} ({count} in a row)"),
            (count, _) => format!("{what} ({count} in a row, for {})", words(self.lasted)),
        }
    }
}

/// Four significant digits: `2.31`, `12300`, `1.2e-7`.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        return if size.is_finite() { shortest(&format!("{value:.3e}")) } else { value.to_string() };
    }
    // Whole numbers keep all their digits.
    let limits: [f64; 7] = [1000.0, 100.0, 10.0, 1.0, 0.1, 0.01, 0.001];
    let places = limits.iter().take_while(|limit| size < **limit).count();
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `1.200e-7` without its zeros.
fn shortest(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}e{exponent}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::detect::metric_watch::Usual;

    #[test]
    fn numbers_for_people() {
        for (value, text) in [
            (2.31, "2.31"),
            (12.3, "12.3"),
            (2.304_999_99, "2.305"),
            (-0.5, "-0.5"),
            (0.0, "0"),
            (1_234_567.0, "1234567"),
            (12_300.4, "12300"),
            (0.000_31, "0.00031"),
            (1.2e-7, "1.2e-7"),
            (3e20, "3e20"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn in_words() {
        let usual = Some(Usual { median: 2.31, mad: 0.74, of: 200 });
        let finding = |reason, value, against, count, seconds| Finding {
            reason,
            value,
            against,
            usual,
            count,
            lasted: Duration::from_secs(seconds),
        };
        let words = [
            finding(Reason::NonFinite, f64::NAN, Against::Itself, 1, 0),
            finding(Reason::Spike, 12.3, Against::Mads(9.1), 5, 0),
            finding(Reason::Drop, 0.5, Against::Mads(6.02), 5, 600),
            finding(Reason::Above, 120.0, Against::Limit(100.0), 3, 0),
            finding(Reason::Below, 0.1, Against::Limit(0.5), 1, 0),
            finding(Reason::Spike, 12.3, Against::Ratio(5.32), 2, 0),
            finding(Reason::Drop, 1.2, Against::Ratio(0.519), 5, 75),
        ]
        .map(|finding| finding.message("loss"));
        insta::assert_snapshot!(words.join("\n"), @"
        loss is nan
        loss 12.3 is 9.1 MADs above the median 2.31 of the last 200 values (5 in a row)
        loss 0.5 is 6.0 MADs below the median 2.31 of the last 200 values (5 in a row, for 10 min)
        loss 120 is above 100 (3 in a row)
        loss 0.1 is below 0.5
        loss 12.3 is 5.3 times the median 2.31 of the last 200 values (2 in a row)
        loss 1.2 is 52 % of the median 2.31 of the last 200 values (5 in a row, for 1 min 15 s)
        ");
    }
}
