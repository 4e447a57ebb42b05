//! One file per subcommand: its arguments and its run function.
//!
//! Start with [`args`] (what can be typed), then `entry` (parse, dispatch, exit code). [`Env`] is the only reader of the
//! environment, [`Ui`] the only writer to the terminal, [`Failure`] the only bridge from errors to exit codes.

mod analyze;
pub mod args;
mod ask;
mod backtest;
mod catalogue;
mod config;
mod context;
mod control;
mod doctor;
mod doctor_looks;
mod entry;
mod env;
mod exit_code;
mod failure;
mod generate;
mod incidents;
mod init;
mod load;
mod look_around;
mod look_around_lines;
mod probe;
mod project;
mod run;
mod scan;
mod scan_judge;
pub mod shim;
mod since;
mod status;
mod survey;
mod ui;

pub use context::Context;
pub use entry::main;
pub use env::Env;
pub use exit_code::ExitCode;
pub use failure::{Failure, FailureKind};
pub use generate::reference;
pub use load::{Loaded, load, load_file};
pub use project::Project;
pub use ui::{ColorChoice, Ui};
