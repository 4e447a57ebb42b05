//! Source bytes and a line → the function around it. Pure: who may be read, and reading, is the business of `store`.
//!
//! [`Exploder`] is made once per incident: it keeps the parsers and a budget of parser work, so that hostile or huge
//! source can make frames plainer but never slow. Start reading in `exploder.rs`; `region.rs` cuts a file down to the
//! little snippet around a line, `enclosing.rs` finds the function in the parsed snippet, `window.rs` chooses the lines.

mod enclosing;
mod exploder;
mod grammar;
mod lines;
mod region;
mod source_frame;
mod window;

#[cfg(test)]
mod tests;

pub use exploder::{Exploder, explode};
pub use grammar::language_of;
pub use source_frame::{FrameOptions, SourceFrame, SourceLine};
