//! Renderers of one picture: text for terminals, JSON for programs.

mod clean;
mod palette;

pub use clean::{clean, one_line};
pub use palette::Palette;
