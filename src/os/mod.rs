//! Clock, processes, signals, atomic files, locks: the only callers of the operating system.
//!
//! Nothing here knows what a run, an incident or a rule is. The only `unsafe` of the program is in [`process`] and [`memory`].

#![expect(clippy::disallowed_methods, reason = "this room is where the operating system is called")]

pub mod cgroup;
pub mod clock;
pub mod dir_watch;
pub mod error;
pub mod file;
pub mod identity;
pub mod job;
pub mod kmsg;
pub mod lock;
pub mod memory;
pub mod proc;
pub mod process;
pub mod pty;
pub mod signals;
pub mod timer;
pub mod usage;
pub mod wait;
pub mod watch;
