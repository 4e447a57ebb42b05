//! What the ledger says: how attempts ended, who succeeds, when the restarts came.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::table::{Cell, Look, Table};
use super::{Palette, words};
use crate::heal::verdict::Verdict;
use crate::store::{AttemptRow, AttemptStatus};
use crate::time::Utc;

/// Detectors shown.
const TOP: usize = 10;
/// Hours in the chart.
const HOURS: i64 = 24;
/// Regressions in a row that are worth a line.
const STREAK: u64 = 2;
const HOUR_MS: i64 = 3_600_000;
/// Columns of the longest bar.
const BAR: u64 = 40;

/// `sentry analyze --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// Version of this form: 1.
    pub schema: u32,
    /// Attempts that started before are left out; RFC 3339.
    pub since: Option<String>,
    /// Attempts.
    pub total: u64,
    /// Attempts by how they ended: `pending` or a verdict. All words are there, also with 0.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Detectors with most attempts, most first, at most ten.
    pub top_detectors: Vec<DetectorCount>,
    /// Everybody who decided, most attempts first.
    pub healers: Vec<HealerScore>,
    /// Restarts in each of the last 24 hours, oldest first, from the first hour that has any.
    pub restarts_per_hour: Vec<HourCount>,
    /// Detectors whose last attempts have all regressed, two or more in a row.
    pub regressing: Vec<Streak>,
    /// Lines of the ledger that could not be read.
    pub damaged_lines: u64,
}

/// A detector and its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DetectorCount {
    /// Name.
    pub detector: String,
    /// Attempts.
    pub attempts: u64,
}

/// How a rule or another healer does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealerScore {
    /// `rule oom_halve_batch`, `policy`, `person`.
    pub healer: String,
    /// Attempts.
    pub total: u64,
    /// Attempts by how they ended, as in [`Analysis::by_status`], without zeros.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Kept among those that were put to the test (kept, regressed, crashed), 0 to 1; `null` when none was.
    pub success: Option<f64>,
}

/// Restarts of one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HourCount {
    /// Beginning of the hour, RFC 3339.
    pub hour: String,
    /// Restarts.
    pub restarts: u64,
}

/// Regressions in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Streak {
    /// Detector.
    pub detector: String,
    /// How many.
    pub regressions: u64,
}

impl Analysis {
    /// Counts the attempts that started at `since` or later; `rows` in the order they started.
    pub fn of(rows: &[AttemptRow], damaged_lines: u64, since: Option<Utc>, now: Utc) -> Self {
        let rows: Vec<&AttemptRow> = rows.iter().filter(|row| since.is_none_or(|since| row.utc >= since)).collect();
        let mut by_status: BTreeMap<&'static str, u64> = BTreeMap::from([(AttemptStatus::Pending.as_str(), 0)]);
        by_status.extend(Verdict::ALL.map(|verdict| (verdict.as_str(), 0)));
        for row in &rows {
            add(&mut by_status, row.status.as_str());
        }
        Self {
            schema: 1,
            since: since.map(Utc::rfc3339),
            total: u64::try_from(rows.len()).unwrap_or(u64::MAX),
            by_status,
            top_detectors: top_detectors(&rows),
            healers: healers(&rows),
            restarts_per_hour: restarts_per_hour(&rows, now),
            regressing: regressing(&rows),
            damaged_lines,
        }
    }

    /// For people.
    pub fn text(&self, width: usize, palette: Palette) -> String {
        let mut text = String::new();
        let since = self.since.as_ref().map_or_else(String::new, |since| format!(" since {since}"));
        if self.total == 0 {
            return format!("no attempts{since}\n");
        }
        let _ = writeln!(text, "{}{since}", palette.bold(words::count(self.total, "attempt")));
        let statuses = self.by_status.iter().filter(|(_, count)| **count > 0);
        let statuses: Vec<String> = statuses.map(|(status, count)| format!("{status} {count}")).collect();
        let _ = writeln!(text, "  {}\n", statuses.join(", "));

        let mut table = Table::new(["healer", "attempts", "success", "outcomes"]).numeric([1, 2]);
        for score in &self.healers {
            let success = score.success.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0));
            let outcomes: Vec<String> =
                score.by_status.iter().map(|(status, count)| format!("{status} {count}")).collect();
            let look = score.success.map_or(Look::Dim, |share| if share >= 0.5 { Look::Good } else { Look::Bad });
            table.row([
                Cell::from(&score.healer),
                score.total.to_string().into(),
                Cell::new(&success, look),
                outcomes.join(", ").into(),
            ]);
        }
        text.push_str(&table.aligned(width, palette));
        text.push('\n');

        let mut table = Table::new(["detector", "attempts"]).numeric([1]);
        for DetectorCount { detector, attempts } in &self.top_detectors {
            table.row([Cell::from(detector), attempts.to_string().into()]);
        }
        text.push_str(&table.aligned(width, palette));
        self.chart(palette, &mut text);
        for Streak { detector, regressions } in &self.regressing {
            let line = format!("the last {regressions} attempts for this detector have regressed");
            let _ = write!(text, "\n{}: {}", palette.warn(super::one_line(detector)), line);
        }
        if !self.regressing.is_empty() {
            text.push('\n');
        }
        text
    }

    fn chart(&self, palette: Palette, text: &mut String) {
        let most = self.restarts_per_hour.iter().map(|hour| hour.restarts).max().unwrap_or(0);
        if most == 0 {
            return;
        }
        let _ = writeln!(text, "\n{}", palette.dim("restarts per hour (UTC)"));
        for HourCount { hour, restarts } in &self.restarts_per_hour {
            // `2026-11-21T12:00:00.000Z`
            let label = hour.get(5..16).unwrap_or(hour).replace('T', " ");
            let line = format!("{label}  {:>4}  {}", restarts, bar(*restarts, most.max(BAR)));
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
}

/// A bar in eighths of a column; `most` is its full length.
fn bar(value: u64, most: u64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = value.saturating_mul(BAR * 8) / most.max(1);
    let whole = usize::try_from(eighths / 8).unwrap_or(0);
    let part = usize::try_from(eighths % 8).ok().and_then(|at| PARTS.get(at)).copied().unwrap_or_default();
    format!("{}{part}", "█".repeat(whole))
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

fn top_detectors(rows: &[&AttemptRow]) -> Vec<DetectorCount> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        add(&mut counts, row.detector.as_str());
    }
    let mut top: Vec<DetectorCount> = counts
        .into_iter()
        .map(|(detector, attempts)| DetectorCount { detector: detector.to_owned(), attempts })
        .collect();
    top.sort_by_key(|count| std::cmp::Reverse(count.attempts));
    top.truncate(TOP);
    top
}

fn healers(rows: &[&AttemptRow]) -> Vec<HealerScore> {
    let mut by_healer: BTreeMap<&str, BTreeMap<&'static str, u64>> = BTreeMap::new();
    for row in rows {
        add(by_healer.entry(row.source.as_str()).or_default(), row.status.as_str());
    }
    let mut scores: Vec<HealerScore> =
        by_healer.into_iter().map(|(healer, by_status)| score(healer, by_status)).collect();
    scores.sort_by_key(|score| std::cmp::Reverse(score.total));
    scores
}

fn score(healer: &str, by_status: BTreeMap<&'static str, u64>) -> HealerScore {
    let of = |verdict: Verdict| by_status.get(verdict.as_str()).copied().unwrap_or(0);
    let kept = of(Verdict::Kept);
    let tested = kept.saturating_add(of(Verdict::Regressed)).saturating_add(of(Verdict::Crashed));
    let success = (tested > 0).then(|| ratio(kept, tested));
    HealerScore { healer: healer.to_owned(), total: by_status.values().sum(), by_status, success }
}

/// Three decimals are enough.
fn ratio(part: u64, whole: u64) -> f64 {
    let thousandths = part.saturating_mul(1_000) / whole.max(1);
    u32::try_from(thousandths).map_or(0.0, |thousandths| f64::from(thousandths) / 1_000.0)
}

fn restarts_per_hour(rows: &[&AttemptRow], now: Utc) -> Vec<HourCount> {
    let hour_of = |utc: Utc| utc.millis().div_euclid(HOUR_MS);
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.action.starts_with("restart")) {
        add(&mut counts, hour_of(row.utc));
    }
    let last = hour_of(now);
    let window = last.saturating_sub(HOURS - 1)..=last;
    let Some(first) = counts.range(window).next().map(|(hour, _)| *hour) else { return Vec::new() };
    let hour = |hour: i64| HourCount {
        hour: Utc::from_millis(hour.saturating_mul(HOUR_MS)).rfc3339(),
        restarts: counts.get(&hour).copied().unwrap_or(0),
    };
    (first..=last).map(hour).collect()
}

fn regressing(rows: &[&AttemptRow]) -> Vec<Streak> {
    let mut streaks: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        let streak = streaks.entry(row.detector.as_str()).or_default();
        match row.status {
            AttemptStatus::Fallen(Verdict::Regressed) => *streak = streak.saturating_add(1),
            AttemptStatus::Fallen(Verdict::Kept | Verdict::Crashed) => *streak = 0,
            // Says nothing about whether it helps.
            AttemptStatus::Pending
            | AttemptStatus::Fallen(Verdict::Rejected | Verdict::Superseded | Verdict::Unverified) => {}
        }
    }
    let long = streaks.into_iter().filter(|(_, regressions)| *regressions >= STREAK);
    long.map(|(detector, regressions)| Streak { detector: detector.to_owned(), regressions }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::{AttemptNo, DetectorName, Fingerprint, IncidentId};

    const NOW: Utc = Utc::from_millis(1_795_262_096_789);

    fn row(minutes_ago: i64, detector: &str, source: &str, status: AttemptStatus, action: &str) -> AttemptRow {
        AttemptRow {
            utc: Utc::from_millis(NOW.millis() - minutes_ago * 60_000),
            incident: IncidentId::new("2026-11-21T12-34-56Z-error-oom"),
            detector: DetectorName::new(detector),
            source: source.to_owned(),
            branch: String::new(),
            status,
            duration: Duration::from_secs(600),
            description: String::new(),
            attempt: AttemptNo(1),
            action: action.to_owned(),
            fingerprint: Fingerprint::new("v1:0123456789abcdef"),
        }
    }

    fn rows() -> Vec<AttemptRow> {
        let fallen = AttemptStatus::Fallen;
        vec![
            row(3_000, "oom", "rule old", fallen(Verdict::Crashed), "restart"),
            row(190, "oom", "rule halve", fallen(Verdict::Kept), "restart_with_env"),
            row(130, "trace", "policy", fallen(Verdict::Regressed), "restart"),
            row(125, "trace", "policy", fallen(Verdict::Unverified), "notify"),
            row(120, "trace", "policy", fallen(Verdict::Regressed), "restart"),
            row(5, "oom", "rule halve", AttemptStatus::Pending, "restart_with_env"),
        ]
    }

    #[test]
    fn text_of_a_day() {
        let since = Utc::from_millis(NOW.millis() - 24 * HOUR_MS);
        let analysis = Analysis::of(&rows(), 0, Some(since), NOW);
        insta::assert_snapshot!(analysis.text(100, Palette::plain()), @r"
        5 attempts since 2026-11-20T11:54:56.789Z
          kept 1, pending 1, regressed 2, unverified 1

        healer      attempts  success  outcomes
        policy             3      0 %  regressed 2, unverified 1
        rule halve         2    100 %  kept 1, pending 1

        detector  attempts
        trace            3
        oom              2

        restarts per hour (UTC)
        11-21 08:00     1  █
        11-21 09:00     2  ██
        11-21 10:00     0
        11-21 11:00     1  █

        trace: the last 2 attempts for this detector have regressed
        ");
    }

    #[test]
    fn json_of_everything() {
        let analysis = Analysis::of(&rows()[..2], 3, None, Utc::from_millis(NOW.millis() - 185 * 60_000));
        insta::assert_snapshot!(serde_json::to_string(&analysis).unwrap(), @r#"{"schema":1,"since":null,"total":2,"by_status":{"crashed":1,"kept":1,"pending":0,"regressed":0,"rejected":0,"superseded":0,"unverified":0},"top_detectors":[{"detector":"oom","attempts":2}],"healers":[{"healer":"rule halve","total":1,"by_status":{"kept":1},"success":1.0},{"healer":"rule old","total":1,"by_status":{"crashed":1},"success":0.0}],"restarts_per_hour":[{"hour":"2026-11-21T08:00:00.000Z","restarts":1}],"regressing":[],"damaged_lines":3}"#);
    }

    #[test]
    fn an_empty_ledger_is_said() {
        assert_eq!(Analysis::of(&[], 0, None, NOW).text(80, Palette::plain()), "no attempts\n");
    }
}
