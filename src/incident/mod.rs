//! Incidents: what failed, named, weighed, made safe to show. Pure: files are written by `store`.

mod category;
mod copies;
mod fingerprint;
pub mod judge;
mod line_fields;
pub mod novelty;
pub mod order;
mod record;
mod redact;
mod redact_rules;
mod report;
mod report_frames;
pub mod report_view;
mod report_words;
pub mod safe_text;
mod secret_name;
mod warm_up;

#[cfg(test)]
mod samples;

pub use category::Category;
pub use copies::{Copies, Writer};
pub use fingerprint::{fingerprint, normalise};
pub use record::{ActionTaken, Counted, Incident, IncidentKind, VerdictFallen};
pub use redact::Redactor;
pub use report::render;
pub use report_frames::{frame_file, frame_file_name};
pub use report_words::exit_words;
pub use warm_up::warm_up;
