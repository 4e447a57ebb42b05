//! `sentry run` as its users see it: real programs that really fail, real signals, real files.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests start processes, write files, and stop at the first surprise"
)]

#[path = "../common/mod.rs"]
mod common;
mod site;

mod behaviour;
mod classes;
mod codes;
mod languages;
mod life;
mod logs;
mod looks;
mod metrics;
mod output;
mod rules;
mod verdicts;
