//! Numbers as programs print them.
//!
//! | printed | value |
//! | --- | --- |
//! | `2.31`, `-0.5`, `.5`, `1e-4`, `1E+05` | as it says |
//! | `nan`, `NaN`, `-nan(ind)`, `inf`, `+Inf`, `-Infinity` | not finite |
//! | `1,234.5`, `1_000_000` | separators are left out; `2,31` and `1,2,3` are no numbers: nobody knows what the comma means |
//! | `12.3k`, `4M`, `1.2G`, `3T` | times 1000, 1000², … |
//! | `61.2GiB`, `512Ki` | times 1024, 1024², … |
//! | `85%`, `340ms`, `31.4it/s`, `12/500` | the number in front, in the unit that is printed |
//! | `"2.31",`, `(2.31)`, `tensor(2.31, …)` | what is inside |
//! | `12:30:00`, `2026-11-21`, `1.2.3`, `0x1f`, `info` | no number |

/// Longest number with separators that is read; what is longer has no meaning as a measurement.
const LONGEST: usize = 64;

/// The number that `text` begins with.
pub(super) fn parse(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"=").or_else(|| text.strip_prefix(b":")).unwrap_or(text).trim_ascii_start();
    let opened = opened(text);
    bare(opened).or_else(|| bare(opened_call(opened)?))
}

/// Without quotes and brackets in front.
fn opened(text: &[u8]) -> &[u8] {
    let inside = text.iter().position(|byte| !matches!(byte, b'"' | b'\'' | b'(' | b'[' | b'{' | b'$' | b'~'));
    inside.and_then(|at| text.get(at..)).unwrap_or_default()
}

/// What is in the brackets of `tensor(…`, `np.float64(…`.
fn opened_call(text: &[u8]) -> Option<&[u8]> {
    if !text.first()?.is_ascii_alphabetic() {
        return None;
    }
    let name = text.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')))?;
    (text.get(name) == Some(&b'(')).then(|| opened(text.get(name + 1..).unwrap_or_default()))
}

fn bare(text: &[u8]) -> Option<f64> {
    let (negative, unsigned) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let first = unsigned.first()?;
    let value = if first.is_ascii_digit() || *first == b'.' { decimal(unsigned)? } else { word(unsigned)? };
    Some(if negative { -value } else { value })
}

/// `nan` and `inf`.
fn word(text: &[u8]) -> Option<f64> {
    let letters = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, rest) = text.split_at(letters);
    let ends = rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    let is = |name: &[u8]| ends && word.eq_ignore_ascii_case(name);
    if is(b"nan") {
        Some(f64::NAN)
    } else if is(b"inf") || is(b"infinity") {
        Some(f64::INFINITY)
    } else {
        None
    }
}

fn decimal(text: &[u8]) -> Option<f64> {
    let whole = whole_part(text)?;
    let mut end = whole.length;
    if text.get(end) == Some(&b'.') {
        let places = digits(text.get(end + 1..)?);
        // `12.` at the end of a sentence is 12.
        if places > 0 {
            end += 1 + places;
        }
    }
    if end == 0 {
        return None;
    }
    end += exponent(text.get(end..)?);
    let (number, rest) = text.split_at(end);
    let scale = scale(rest)?;
    Some(if whole.separated { without_separators(number)? } else { read(number)? } * scale)
}

struct Whole {
    length: usize,
    separated: bool,
}

/// Digits before the point, with separators of thousands. `None` when a comma may be anything.
fn whole_part(text: &[u8]) -> Option<Whole> {
    let mut length = digits(text);
    let mut separated = false;
    let comma = (1..=3).contains(&length);
    while let Some(&separator) = text.get(length).filter(|byte| matches!(byte, b',' | b'_')) {
        let group = digits(text.get(length + 1..)?);
        match (separator, group) {
            (_, 0) => break,
            (b'_', _) if length > 0 => {}
            (b',', 3) if comma => {}
            _ => return None,
        }
        length += 1 + group;
        separated = true;
    }
    Some(Whole { length, separated })
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn exponent(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'e' | b'E')) {
        return 0;
    }
    let signed = 1 + usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    match text.get(signed..).map_or(0, digits) {
        0 => 0,
        count => signed + count,
    }
}

/// What the unit behind a number multiplies it by; `None` when what follows says that it is no number.
fn scale(rest: &[u8]) -> Option<f64> {
    let letter = |byte: &&u8| byte.is_ascii_alphabetic() || matches!(byte, 0xc2 | 0xb5);
    let (unit, after) = rest.split_at(rest.iter().take_while(letter).count());
    let goes_on = after.get(1).is_some_and(u8::is_ascii_digit);
    match after.first() {
        Some(byte) if byte.is_ascii_digit() || matches!(byte, b'_' | b'-') => return None,
        Some(b':' | b'.' | b',') if goes_on => return None,
        Some(_) | None => {}
    }
    let (first, more) = match unit.split_first() {
        Some((first, more)) => (*first, more),
        None => return Some(1.0),
    };
    let (base, more) = match more.strip_prefix(b"i") {
        Some(more) => (1024.0, more),
        None => (1000.0, more),
    };
    if !matches!(more, b"" | b"b" | b"B") {
        return Some(1.0);
    }
    Some(match first {
        b'k' | b'K' => base,
        b'M' => f64::powi(base, 2),
        b'G' => f64::powi(base, 3),
        b'T' => f64::powi(base, 4),
        b'P' => f64::powi(base, 5),
        _ => 1.0,
    })
}

fn read(number: &[u8]) -> Option<f64> {
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn without_separators(number: &[u8]) -> Option<f64> {
    let mut buffer = [0; LONGEST];
    let mut length = 0;
    for byte in number.iter().filter(|byte| !matches!(byte, b',' | b'_')) {
        *buffer.get_mut(length)? = *byte;
        length += 1;
    }
    read(buffer.get(..length)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_number() {
        for (printed, value) in [
            ("2.31", 2.31),
            ("-0.5", -0.5),
            ("+3", 3.0),
            (".5", 0.5),
            ("12.", 12.0),
            ("1e-4", 1e-4),
            ("1E+05", 1e5),
            ("2.31,", 2.31),
            ("2.31, lr", 2.31),
            ("\"2.31\"", 2.31),
            ("(2.31)", 2.31),
            ("[2.31]", 2.31),
            ("2.31|", 2.31),
            ("tensor(2.31,", 2.31),
            ("np.float64(0.5)", 0.5),
            ("= 7", 7.0),
            ("1,234.5", 1234.5),
            ("1,234,567", 1_234_567.0),
            ("1_000_000", 1e6),
            ("12.3k", 12_300.0),
            ("4M", 4e6),
            ("61.2GiB", 61.2 * 1024.0 * 1024.0 * 1024.0),
            ("512KB", 512_000.0),
            ("85%", 85.0),
            ("340ms", 340.0),
            ("5\u{b5}s", 5.0),
            ("31.4it/s", 31.4),
            ("1200 tok/s", 1200.0),
            ("12/500", 12.0),
            ("5:", 5.0),
            ("inf", f64::INFINITY),
            ("+Inf,", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
        ] {
            assert_eq!(parse(printed.as_bytes()), Some(value), "{printed}");
        }
        for printed in ["nan", "NaN", "-nan", "-nan(ind)", "nan,", "tensor(nan,", "\"NaN\""] {
            assert!(parse(printed.as_bytes()).is_some_and(f64::is_nan), "{printed}");
        }
        for printed in [
            "",
            "-",
            ".",
            "x",
            "info",
            "nano",
            "none",
            "2,31",
            "1,2,3",
            "12:30:00",
            "2026-11-21",
            "1.2.3",
            "0x1f",
            "e5",
            "nan_count",
            "1,23,456",
            "12_",
            "step",
        ] {
            assert_eq!(parse(printed.as_bytes()), None, "{printed}");
        }
    }

    proptest! {
        #[test]
        fn finite_numbers_come_back(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
            prop_assert_eq!(parse(format!("{value:e}").as_bytes()), Some(value));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "[-+0-9.,_eEkMGiBnaf:/(\"]{0,20}") {
            let _ = (parse(&bytes), parse(text.as_bytes()));
        }
    }
}
