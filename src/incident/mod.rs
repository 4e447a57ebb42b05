//! Incidents: what failed, named, weighed, made safe to show. Pure: files are written by `store`.

mod category;
mod fingerprint;
pub mod judge;
mod record;

#[cfg(test)]
mod samples;

pub use category::Category;
pub use fingerprint::{fingerprint, normalise};
pub use record::{ActionTaken, Counted, Incident, IncidentKind, VerdictFallen};
