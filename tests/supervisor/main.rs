//! Supervisors with real processes.
#![expect(clippy::disallowed_methods, reason = "tests look at files and processes from outside")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its scene has failed")]
#![expect(clippy::print_stderr, reason = "measured figures are shown with the test's output")]

mod conformance;
mod local;
mod support;
