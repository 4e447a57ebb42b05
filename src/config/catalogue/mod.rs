//! The catalogue: packs of known failure classes, built in (`templates/catalogue/*.yaml`) and as files of users.
//!
//! A pack is a YAML file of its own, read like the configuration: checked against a table, every error with its place.
//! `kind: catalogue` of the configuration chooses packs; each class becomes a detector of its own.

mod built_in;
mod entry;
mod expand;
mod keys;
mod read;
#[cfg(test)]
mod tests;

pub use built_in::built_in;
pub(super) use built_in::{PACK_LIST, PACK_NAMES};
pub use entry::{Catalogue, Entry, Pack};
pub(super) use expand::{classes, spec};
pub use read::read_pack;
