//! Renderers of one picture: text for terminals, JSON for programs.

pub mod analysis;
pub mod backtest;
pub mod catalogue;
pub mod checks;
mod clean;
pub mod detections;
pub mod incidents;
pub mod looks;
pub mod markdown;
mod palette;
pub mod status;
pub mod table;
pub mod words;

pub use clean::{clean, one_line};
pub use palette::Palette;
