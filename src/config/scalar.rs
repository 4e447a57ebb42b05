//! What a scalar means: truth values, numbers, times, sizes, words of a shell.

use std::time::Duration;

use super::yaml::{Node, Value};

/// Longest time that is taken, in seconds: about a hundred years. Deadlines stay far from overflow.
pub(super) const MAX_SECONDS: f64 = 100.0 * 365.25 * 86_400.0;

/// The spelling of a scalar.
pub(super) fn spelled(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        Value::List(_) | Value::Map(_) => None,
    }
}

fn plain(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, plain: true } => Some(text),
        Value::Scalar { .. } | Value::List(_) | Value::Map(_) => None,
    }
}

/// `true` or `false` (YAML 1.2 core schema: `yes` is text).
pub(super) fn boolean(node: &Node) -> Option<bool> {
    match plain(node)? {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A finite number.
pub(super) fn number(node: &Node) -> Option<f64> {
    let text = plain(node)?;
    let starts = text.trim_start_matches(['+', '-']).chars().next()?;
    // f64 also reads "inf" and "nan", which the core schema spells otherwise and nothing here can use.
    (starts.is_ascii_digit() || starts == '.')
        .then(|| text.parse().ok())
        .flatten()
        .filter(|number: &f64| number.is_finite())
}

/// A whole number, negative ones included.
pub(super) fn whole(node: &Node) -> Option<i128> {
    plain(node)?.parse().ok()
}

/// Text: a scalar that is not a number, a truth value or nothing.
pub(super) fn text(node: &Node) -> Option<&str> {
    (!node.is_null() && boolean(node).is_none() && number(node).is_none()).then(|| spelled(node)).flatten()
}

/// A number of seconds, or "90s", "1h30m". Negative numbers are returned as they are.
pub(super) fn seconds(node: &Node) -> Option<f64> {
    number(node).or_else(|| duration(spelled(node)?))
}

/// A span of time in seconds, as a `Duration`.
pub(super) fn as_duration(seconds: f64) -> Option<Duration> {
    (0.0..=MAX_SECONDS).contains(&seconds).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// "1h30m" → seconds.
pub(super) fn duration(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0.0;
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest)?;
        sum += number
            * match unit {
                "ms" => 0.001,
                "s" | "sec" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                "w" => 604_800.0,
                _ => return None,
            };
        rest = after.trim_start();
    }
    Some(sum)
}

/// A number of bytes, or "10MB" (powers of 1000) or "10MiB" (powers of 1024).
pub(super) fn bytes(node: &Node) -> Option<u64> {
    if let Some(number) = whole(node) {
        return u64::try_from(number).ok();
    }
    let (number, unit, rest) = number_and_unit(spelled(node)?.trim())?;
    let factor: f64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "p" | "pb" => 1e15,
        "e" | "eb" => 1e18,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        "tib" => 1_099_511_627_776.0,
        "pib" => 1_125_899_906_842_624.0,
        "eib" => 1_152_921_504_606_846_976.0,
        _ => return None,
    };
    let bytes = (number * factor).round();
    // 2^62: readable as a signed number by whoever reads the configuration again. From 2^53 on a float no longer counts
    // single bytes, and nobody who writes a unit does.
    (rest.is_empty() && (0.0..=4_611_686_018_427_387_904.0).contains(&bytes)).then_some(bytes as u64)
}

fn number_and_unit(text: &str) -> Option<(f64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(digits)?;
    let rest = rest.trim_start();
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(letters)?;
    Some((number.parse().ok()?, unit, rest))
}

/// Program and arguments: scalars as spelled, or one text split by shell rules. `None` when it is neither.
pub(super) fn command(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => None,
        Value::Scalar { text, .. } => shlex::split(text),
        Value::List(items) => items.iter().map(|item| spelled(item).map(str::to_owned)).collect(),
        Value::Map(_) => None,
    }
}

/// A command as a person would type it into a shell; `command` splits it into the same words.
pub fn command_line(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| shell_word(word)).collect();
    words.join(" ")
}

fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    // NUL, which no shell can spell.
    shlex::try_quote(word).map_or_else(|_| format!("{word:?}"), |word| word.into_owned())
}

/// `KILL` for `SIGKILL`, `kill` or `9`.
pub(super) fn signal(text: &str) -> Option<&'static str> {
    // signal(7), x86-64 and arm64.
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    if let Ok(number) = text.parse::<usize>() {
        return NAMES.get(number.checked_sub(1)?).copied();
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.into_iter().find(|known| *known == name)
}
