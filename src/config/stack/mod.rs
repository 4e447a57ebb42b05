//! A directory's files → what to supervise and what to look for. Pure: `cli::init` lists the directory.

mod container;
mod finder;
mod packs;
mod proposal;
mod python;
#[cfg(test)]
mod tests;

pub use finder::{propose, wants};
pub use proposal::{ExtraRule, Listing, MAX_FILE, PackChoice, Proposal, Variable};
