//! The monitor: `run` waits, `step` decides, `apply` does.

pub mod command;
mod decide;
pub mod effect;
pub mod event;
mod lifecycle;
pub mod memory;
mod obey;
mod settle;
pub mod state;
pub mod status;
pub mod step;
pub mod todo;
mod verify;
