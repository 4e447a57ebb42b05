//! `sentry.yaml` → [`Config`]: parsed once, never re-checked. Pure: files are read by `cli`.
//!
//! `yaml` makes a tree that knows its places, `check` holds it against `tables`, `read` turns it into values, and `parse`
//! (with `detectors`, `rules`, `healing`) builds the [`Config`]. Everything that is wrong is collected as a
//! [`ConfigError`] with its place; nothing stops at the first one. A new key is a row in `tables`, a field in the model, a
//! line where it is read and shown, and a line in `templates/sentry.yaml`; tests find what was forgotten.

mod catalogue;
mod check;
mod convert;
mod detector_model;
mod detector_tables;
mod detectors;
mod globs;
mod healing;
mod interpolate;
mod keys;
mod log_globs;
mod model;
mod parse;
mod phases;
mod problem;
mod read;
mod regexes;
mod rules;
mod scalar;
mod schema;
mod show;
mod show_detector;
pub mod stack;
mod tables;
pub mod template;
mod write;
mod yaml;

#[cfg(test)]
mod tests;

pub use catalogue::{Catalogue, Entry, Pack, built_in, read_pack};
pub use convert::convert;
pub use detector_model::*;
pub use log_globs::LogGlobs;
pub use model::*;
pub use parse::{decode, defaults, parse, parse_rules, parse_with_command, project_of};
pub use problem::{ConfigError, Problem, Warning};
pub use read::Outside;
pub use scalar::command_line;
pub use schema::schema;
pub use show::{is_secret_name, show};
pub use write::{Shown, word};
pub use yaml::MAX_BYTES;
