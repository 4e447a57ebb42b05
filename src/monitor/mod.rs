//! The monitor: `run` waits, `step` decides, `apply` does.

pub mod command;
mod apply;
mod decide;
pub mod effect;
pub mod event;
pub mod journal_line;
mod follow;
mod lifecycle;
pub mod memory;
mod look_around;
mod obey;
pub mod picture;
mod record;
pub mod run;
mod settle;
pub mod state;
pub mod status;
pub mod step;
mod streams;
mod talk;
pub mod todo;
mod verify;
