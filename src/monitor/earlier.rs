//! Children of earlier runs that are still alive: a memory that was lost, or that says "over" too early, must not lead to a
//! second child beside the first.

use crate::os::identity;
use crate::paths::Layout;
use crate::store::{ReadError, read};
use crate::supervisor::record::ChildRecord;

/// A child that nobody watches.
#[derive(Clone, Debug)]
pub struct Living {
    /// Its record.
    pub record: ChildRecord,
    /// Its main process where that is alive, else its shim.
    pub pid: u32,
}

/// The newest child here whose process or shim is alive, by its own record. What cannot be looked at counts as alive.
///
/// # Errors
/// When the runs cannot be listed. A record that cannot be read tells of no process, and is left out.
pub fn living(layout: &Layout) -> Result<Option<Living>, ReadError> {
    let records = read::newest_children(layout)?;
    let records = records.iter().filter_map(|(run, child)| {
        ChildRecord::read(&layout.child_record(run, *child)).ok().flatten().filter(|record| record.run == *run)
    });
    Ok(records.filter(|record| record.tree_gone.is_none()).find_map(|record| {
        let alive = |process: &&_| identity::check(process).unwrap_or(true);
        let pid = record.process.as_ref().filter(alive).or(record.shim.as_ref().filter(alive))?.pid;
        Some(Living { record, pid })
    }))
}
