//! What `sentry incidents list` shows.

use serde::Serialize;

use super::status::severity_look;
use super::table::{Cell, Look, Table, tab_separated};
use super::{Palette, words};
use crate::store::{IndexPage, IndexRow};
use crate::time::Utc;

/// One line of `sentry incidents list --json`.
#[derive(Debug, Serialize)]
pub struct IncidentJson<'a> {
    /// When the root was seen, RFC 3339.
    pub time: String,
    /// Row of `index.jsonl`, field by field; its `schema` is the version of this form too.
    #[serde(flatten)]
    pub row: &'a IndexRow,
}

/// For programs.
pub fn json(row: &IndexRow) -> IncidentJson<'_> {
    IncidentJson { time: row.utc.rfc3339(), row }
}

/// For terminals: newest first, the shortest ids that tell all incidents apart.
pub fn table(page: &IndexPage, now: Utc, width: usize, palette: Palette) -> String {
    let mut table = Table::new(["id", "when", "kind", "severity", "detector", "action", "message"]);
    for row in &page.rows {
        let look = severity_look(row.severity);
        let short: String = row.short.chars().take(page.short_digits).collect();
        table.row([
            Cell::new(&short, Look::Bold),
            Cell::new(&format!("{} ago", words::duration(row.utc.age(now))), Look::Dim),
            row.kind.as_str().into(),
            Cell::new(row.severity.as_str(), look),
            row.detector.as_str().into(),
            row.action.as_deref().unwrap_or("-").into(),
            row.message.as_str().into(),
        ]);
    }
    table.aligned(width, palette)
}

/// For pipes: id, time, kind, severity, detector, action, message; whole values between tabs.
pub fn columns(row: &IndexRow) -> String {
    tab_separated([
        row.id.as_str(),
        &row.utc.rfc3339(),
        row.kind.as_str(),
        row.severity.as_str(),
        row.detector.as_str(),
        row.action.as_deref().unwrap_or("-"),
        &row.message,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{DetectorKind, Severity};
    use crate::ids::{ChildNo, DetectorName, Fingerprint, IncidentId, RunId};
    use crate::incident::{Category, IncidentKind};
    use crate::store::{INDEX_SCHEMA, short_id};

    const NOW: Utc = Utc::from_millis(1_795_262_096_789);

    fn row(id: &str, seconds_ago: i64, severity: Severity, action: Option<&str>, message: &str) -> IndexRow {
        let id = IncidentId::new(id);
        IndexRow {
            schema: INDEX_SCHEMA,
            short: short_id(&id),
            id,
            utc: Utc::from_millis(NOW.millis() - seconds_ago * 1_000),
            run: RunId::new("20261121T115456Z-9f3a"),
            child: ChildNo(2),
            kind: IncidentKind::Error,
            detector: DetectorName::new("oom"),
            detector_kind: DetectorKind::Pattern,
            severity,
            category: Category::Infrastructure,
            fingerprint: Fingerprint::new("v1:0123456789abcdef"),
            message: message.to_owned(),
            language: None,
            exception: None,
            class: None,
            rule: None,
            action: action.map(str::to_owned),
            bytes: 0,
        }
    }

    fn page() -> IndexPage {
        IndexPage {
            rows: vec![
                row(
                    "2026-11-21T12-33-56Z-error-oom",
                    60,
                    Severity::Critical,
                    Some("restart_with_env"),
                    "CUDA out of memory\u{1b}[31m at step 12345678, tried to allocate 2 GiB",
                ),
                row("2026-11-20T12-33-56Z-error-oom", 86_460, Severity::Warning, None, "low\tmemory"),
            ],
            damaged_lines: 0,
            short_digits: 4,
        }
    }

    #[test]
    fn terminal_table() {
        insta::assert_snapshot!(table(&page(), NOW, 100, Palette::plain()), @r"
        id    when     kind   severity  detector  action            message
        14b5  1 m ago  error  critical  oom       restart_with_env  CUDA out of memory at step 12345678, tr…
        39d3  1 d ago  error  warning   oom       -                 low memory
        ");
    }

    #[test]
    fn piped_columns_and_json() {
        let page = page();
        let lines: Vec<String> = page.rows.iter().map(columns).collect();
        insta::assert_snapshot!(lines.join("\n").replace('\t', " | "), @r"
        2026-11-21T12-33-56Z-error-oom | 2026-11-21T11:53:56.789Z | error | critical | oom | restart_with_env | CUDA out of memory at step 12345678, tried to allocate 2 GiB
        2026-11-20T12-33-56Z-error-oom | 2026-11-20T11:53:56.789Z | error | warning | oom | - | low memory
        ");
        insta::assert_snapshot!(serde_json::to_string(&json(&page.rows[1])).unwrap(), @r#"{"time":"2026-11-20T11:53:56.789Z","schema":1,"short":"39d3b368","id":"2026-11-20T12-33-56Z-error-oom","utc":1795175636789,"run":"20261121T115456Z-9f3a","child":2,"kind":"error","detector":"oom","detector_kind":"pattern","severity":"warning","category":"infrastructure","fingerprint":"v1:0123456789abcdef","message":"low\tmemory","rule":null,"action":null,"bytes":0}"#);
    }
}
