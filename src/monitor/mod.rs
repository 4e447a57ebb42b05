//! The monitor: `run` waits, `step` decides, `apply` does.

pub mod command;
pub mod status;
