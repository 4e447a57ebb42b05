//! Everything written under `.sentry/`, and everything read back from it.
//!
//! Writers hold the directory's lock: a [`Store`] exists only with it. Readers ([`read`]) need no lock and tolerate a
//! writer, because whole files are replaced by rename and appended files grow by one `write` per record. Nothing here
//! decides anything, and nothing here reads a clock: stamps are given by the caller.
#![expect(clippy::disallowed_methods, reason = "the store is one of the rooms that touch files")]

mod attempts;
pub mod control;
mod crc32;
mod disk;
mod error;
pub mod evidence;
mod folder;
mod index;
mod journal;
pub mod read;
pub mod rebuild;
mod retention;
mod sentry_log;
#[cfg(test)]
mod testing;
mod version;
mod walk;
mod writer;

pub use attempts::{AttemptRow, AttemptStatus, Ledger};
pub use disk::Durability;
pub use error::{ReadError, StoreError, WriteError};
pub use folder::{NewIncident, Written, incident_json};
pub use index::{INDEX_SCHEMA, IndexPage, IndexQuery, IndexRow, MIN_SHORT_DIGITS, SHORT_DIGITS, short_id};
pub use journal::{Damage, Journal, Replay, TooLong, replay as replay_journal};
pub use retention::{Keep, Swept};
pub use sentry_log::SentryLog;
pub use version::{STORE_VERSION, found as store_version};
pub use writer::{OpenError, Store, make, make_tree};
