//! The picture of a run without its monitor: from the journal alone, for `sentry doctor --fix`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::journal_line::{self, JournalLine};
use super::picture::Frame;
use super::state::State;
use super::status::{ProcessIdentity, StateFile};
use crate::config::Config;
use crate::paths::Layout;
use crate::store::{ReadError, replay_journal};
use crate::time::{Mono, Now};

/// What `state.json` would say if the last monitor wrote it once more; `None` where nothing was ever run. Its monitor is
/// pid 0: the journal does not name it.
///
/// # Errors
/// When the journal cannot be read. What is damaged in it ends the picture there.
pub fn repaint(layout: &Layout, config: Config) -> Result<Option<StateFile>, ReadError> {
    let lines = replay_journal::<JournalLine>(&layout.journal())?.records;
    let Some(utc) = lines.last().map(|line| line.utc) else { return Ok(None) };
    let (memory, _) = journal_line::replay(lines);
    if memory.run.is_none() {
        return Ok(None);
    }
    let now = Now { mono: Mono::from_duration(Duration::ZERO), utc };
    let state = State::new(config, memory, BTreeMap::new(), false, now);
    let nobody = ProcessIdentity { pid: 0, start_time: 0, boot_id: String::new() };
    let started = state.memory.run.as_ref().map_or(utc, |run| run.started);
    let frame = Frame { monitor: &nobody, monitor_started: started, now: utc, detached: false };
    Ok(Some(state.picture(&frame)))
}
