//! Everything written under `.sentry/`, and everything read back from it.
//!
//! Writers hold the directory's lock: a [`Store`] exists only with it. Readers ([`read`]) need no lock and tolerate a
//! writer, because whole files are replaced by rename and appended files grow by one `write` per record. Nothing here
//! decides anything, and nothing here reads a clock: stamps are given by the caller.
#![expect(clippy::disallowed_methods, reason = "the store is one of the rooms that touch files")]

pub mod control;
mod crc32;
mod disk;
mod error;
mod journal;

pub use disk::Durability;
pub use error::{ReadError, WriteError};
pub use journal::{Damage, Journal, Replay, replay as replay_journal};
