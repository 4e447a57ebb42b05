//! What the monitor says: one line each on the terminal, and the same, structured, in `sentry.log`.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::effect::Level;
use super::terminal::Terminal;
use crate::ids::IncidentId;
use crate::store::SentryLog;
use crate::time::Utc;

/// Where lines go.
pub(super) struct Talk {
    terminal: Terminal,
    log: Option<SentryLog>,
    quiet: bool,
}

#[derive(Serialize)]
struct Entry<'a> {
    utc: String,
    level: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<&'a IncidentId>,
}

impl Talk {
    pub(super) fn new(terminal: Box<dyn Write + Send>, log: &Path, max_log_bytes: u64, quiet: bool) -> Self {
        // A log that cannot be opened must not stop the monitor; the terminal is left.
        Self { terminal: Terminal::new(terminal), log: SentryLog::open(log, max_log_bytes).ok(), quiet }
    }

    /// Says a line. It has been redacted; control characters are made harmless here.
    pub(super) fn say(&mut self, level: Level, line: &str, now: Utc) {
        let line = crate::view::clean(line);
        let (word, sign) = match level {
            Level::Info => ("info", ""),
            Level::Warn => ("warn", ""),
            Level::Error => ("error", "error: "),
        };
        if !self.quiet || level == Level::Error {
            let clock = now.date_time().format("%H:%M:%SZ");
            self.terminal.show(format!("sentry {clock} {sign}{line}\n"));
        }
        self.log(word, &line, now);
    }

    /// Writes a line to `sentry.log` alone.
    pub(super) fn log(&mut self, level: &'static str, message: &str, now: Utc) {
        self.write(&Entry { utc: now.rfc3339(), level, message, notification: None, incident: None });
    }

    /// Writes a notification to `sentry.log`.
    pub(super) fn notify(&mut self, kind: &'static str, title: &str, incident: Option<&IncidentId>, now: Utc) {
        let message = &crate::view::clean(title);
        self.write(&Entry { utc: now.rfc3339(), level: "notice", message, notification: Some(kind), incident });
    }

    /// A log that cannot be written must not stop the monitor.
    fn write(&mut self, entry: &Entry<'_>) {
        let Ok(mut bytes) = serde_json::to_vec(entry) else { return };
        bytes.push(b'\n');
        if let Some(log) = &mut self.log {
            let _ = log.write_all(&bytes);
        }
    }
}
