//! Incidents: what failed, named, weighed, made safe to show. Pure: files are written by `store`.

mod category;
mod record;

pub use category::Category;
pub use record::{ActionTaken, Counted, Incident, IncidentKind, VerdictFallen};
