//! The monitor: `run` waits, `step` decides, `apply` does.

mod apply;
pub mod command;
mod decide;
pub mod earlier;
pub mod effect;
pub mod event;
mod follow;
mod frames;
pub mod journal_line;
mod lifecycle;
mod look_around;
pub mod memory;
mod obey;
pub mod picture;
mod record;
pub mod repaint;
pub mod run;
mod settle;
pub mod state;
pub mod status;
pub mod step;
mod streams;
mod talk;
mod terminal;
pub mod todo;
mod verify;
