//! `sentry backtest` for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::table::{Cell, Look, Table};
use super::{Palette, one_line, words};
use crate::backtest::{Backtest, Fired, LogReport, Then};

/// Each log with what would have fired, then a table of detectors.
pub fn text(backtest: &Backtest, width: usize, palette: Palette) -> String {
    let mut out = String::new();
    for log in &backtest.logs {
        log_text(&mut out, log, palette);
    }
    if backtest.detectors.is_empty() {
        return out;
    }
    let mut table =
        Table::new(["DETECTOR", "FIRED", "BEFORE A FAILURE", "COMMAND WENT ON", "PRECISION"]).numeric([1, 2, 3, 4]);
    for (detector, score) in &backtest.detectors {
        let precision = score.precision.map_or_else(|| "-".to_owned(), |part| format!("{:.0} %", part * 100.0));
        table.row([
            Cell::new(detector.as_str(), Look::Plain),
            words::thousands(score.fired).into(),
            words::thousands(score.failed).into(),
            words::thousands(score.went_on).into(),
            precision.into(),
        ]);
    }
    out.push('\n');
    out.push_str(&table.aligned(width, palette));
    out
}

fn log_text(out: &mut String, log: &LogReport, palette: Palette) {
    let took = words::duration(Duration::from_millis(log.millis));
    let time = if log.stamped { took } else { format!("no time stamps, taken for {took}") };
    let ended = log.ended.as_ref().map_or_else(|| "end unknown".to_owned(), |ended| one_line(ended));
    let name = palette.bold(one_line(&log.log));
    let _ = writeln!(out, "{name}: {}, {time}, {ended}", words::count(log.lines, "line"));
    if log.fired.is_empty() {
        out.push_str("  nothing would have fired\n");
    }
    for fired in &log.fired {
        fired_text(out, fired, palette);
    }
    calm_text(out, log);
}

/// Where the command went on: there the detectors may have been wrong.
fn calm_text(out: &mut String, log: &LogReport) {
    const MOST: usize = 16;
    let calm: BTreeSet<u64> =
        log.fired.iter().filter(|fired| fired.then == Then::WentOn).map(|fired| fired.at_line).collect();
    if calm.is_empty() {
        return;
    }
    let lines = if calm.len() == 1 { "line" } else { "lines" };
    let shown: Vec<String> = calm.iter().take(MOST).map(u64::to_string).collect();
    let more = match calm.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let _ = writeln!(out, "  the command went on after {lines} {}{more}: were those failures?", shown.join(", "));
}

fn fired_text(out: &mut String, fired: &Fired, palette: Palette) {
    let at = fired.utc.as_ref().map_or_else(String::new, |utc| format!(" {utc}"));
    let class = fired.class.as_ref().map_or_else(String::new, |class| format!(" ({class})"));
    let message = words_cut(&one_line(&fired.message));
    let place = format!("line {}{at}", fired.at_line);
    let _ = writeln!(out, "  {} {}{class}: {message}", palette.dim(&place), palette.bold(fired.detector.as_str()));
    let done = match (fired.actions.as_slice(), &fired.not_acted) {
        ([], Some(why)) => format!("nothing: {}", one_line(why)),
        ([], None) => "nothing".to_owned(),
        (actions, _) => actions.join(", "),
    };
    let counted = if fired.counted == 0 { String::new() } else { format!("; {} more counted in it", fired.counted) };
    let _ = writeln!(out, "    would have done: {}; what followed: {}{counted}", one_line(&done), fired.then.as_str());
}

fn words_cut(text: &str) -> String {
    const MOST: usize = 160;
    super::table::cut(text, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{DetectorKind, Severity};
    use crate::ids::DetectorName;

    #[test]
    fn tells_what_fired_and_what_followed() {
        let fired = |at_line, then, actions: &[&str]| Fired {
            lines: (at_line, at_line),
            at_line,
            at_millis: 5_000,
            utc: Some("2026-11-21 12:00:00".into()),
            detector: DetectorName::new("oom"),
            kind: DetectorKind::Pattern,
            class: None,
            severity: Severity::Error,
            message: "CUDA out of memory\u{1b}[31m".into(),
            counted: 2,
            actions: actions.iter().map(|&action| action.to_owned()).collect(),
            not_acted: Some("no rule matches".into()),
            then,
        };
        let log = |name: &str, fired: Vec<Fired>, failed| LogReport {
            log: name.into(),
            lines: 1_234,
            millis: 3_600_000,
            stamped: true,
            ended: Some("exit code 1".into()),
            failed,
            fired,
        };
        let mut backtest = Backtest::default();
        let calm = |lines: &[u64]| {
            let report = log("c.log", lines.iter().map(|line| fired(*line, Then::WentOn, &[])).collect(), None);
            let mut out = String::new();
            calm_text(&mut out, &report);
            out
        };
        assert_eq!(calm(&[300; 5000]), "  the command went on after line 300: were those failures?\n");
        let many = calm(&(1..=20).chain(1..=20).collect::<Vec<u64>>());
        assert!(many.contains(" 15, 16 and 4 more: were those"), "{many}");
        let two = vec![fired(7, Then::WentOn, &["rule oom: restart"]), fired(1_230, Then::Failed, &[])];
        backtest.add(log("a.log", two, Some(true)));
        backtest.add(log("b.log", Vec::new(), Some(false)));
        insta::assert_snapshot!(text(&backtest, 100, Palette::plain()), @r"
        a.log: 1,234 lines, 1 h, exit code 1
          line 7 2026-11-21 12:00:00 oom: CUDA out of memory
            would have done: rule oom: restart; what followed: the command went on; 2 more counted in it
          line 1230 2026-11-21 12:00:00 oom: CUDA out of memory
            would have done: nothing: no rule matches; what followed: the command failed; 2 more counted in it
          the command went on after line 7: were those failures?
        b.log: 1,234 lines, 1 h, exit code 1
          nothing would have fired

        DETECTOR  FIRED  BEFORE A FAILURE  COMMAND WENT ON  PRECISION
        oom           2                 1                1       50 %
        ");
    }
}
