//! Supervisors with real processes.
#![expect(clippy::disallowed_methods, reason = "tests look at files and processes from outside")]

mod conformance;
mod local;
mod support;
