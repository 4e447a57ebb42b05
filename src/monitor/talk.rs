//! What the monitor says: one line each on the terminal, and the same, structured, in `sentry.log`.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::effect::Level;
use crate::store::SentryLog;
use crate::time::Utc;

/// Where lines go.
pub(super) struct Talk {
    terminal: Box<dyn Write>,
    log: Option<SentryLog>,
    quiet: bool,
}

#[derive(Serialize)]
struct Entry<'a> {
    utc: String,
    level: &'static str,
    message: &'a str,
}

impl Talk {
    pub(super) fn new(terminal: Box<dyn Write>, log: &Path, max_log_bytes: u64, quiet: bool) -> Self {
        // A log that cannot be opened must not stop the monitor; the terminal is left.
        Self { terminal, log: SentryLog::open(log, max_log_bytes).ok(), quiet }
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
            // When the terminal is gone, the log is what is left.
            let _ = writeln!(self.terminal, "sentry {clock} {sign}{line}").and_then(|()| self.terminal.flush());
        }
        self.log(word, &line, now);
    }

    /// Writes a line to `sentry.log` alone. A log that cannot be written must not stop the monitor.
    pub(super) fn log(&mut self, level: &'static str, message: &str, now: Utc) {
        let entry = Entry { utc: now.rfc3339(), level, message };
        let Ok(mut bytes) = serde_json::to_vec(&entry) else { return };
        bytes.push(b'\n');
        if let Some(log) = &mut self.log {
            let _ = log.write_all(&bytes);
        }
    }
}
