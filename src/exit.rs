//! Exit codes of `sentry` as numbers; `cli` gives them names and words.

/// Gave up: a restart or heal budget is spent.
pub const GAVE_UP: u8 = 80;
/// Held for a person.
pub const HELD: u8 = 81;
/// Ended on request.
pub const ABORTED: u8 = 82;
/// Lost sight of the child for too long.
pub const LOST_SIGHT: u8 = 84;
/// Could not read or write its own files.
pub const IO: u8 = 74;
