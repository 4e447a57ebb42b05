//! Who decides what is done about an incident, and whether it helped. Pure.

pub mod budget;
pub mod overlay;
pub mod rules;
pub mod verdict;
