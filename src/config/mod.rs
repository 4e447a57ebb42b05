//! `sentry.yaml` → [`Config`]: parsed once, never re-checked. Pure: files are read by `cli`.

mod model;

pub use model::*;
