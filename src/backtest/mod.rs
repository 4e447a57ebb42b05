//! What would have happened: recorded logs replayed through detectors, settling, the ladder and the rules.
//!
//! The replay drives the very [`crate::monitor::state::State`] that a monitor runs on, in the logs' own time. Nothing is executed: every
//! intent is answered as if it had been done. Pure; logs are read by `cli`.

mod clock;
mod replay;
mod report;
mod stamp;

pub use replay::{Outcome, Replay};
pub use report::{Backtest, DetectorScore, Fired, LogReport, Then};
