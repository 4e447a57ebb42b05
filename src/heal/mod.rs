//! Who decides what is done about an incident, and whether it helped. Pure.

pub mod verdict;
