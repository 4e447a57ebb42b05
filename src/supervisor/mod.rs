//! Whatever keeps a child alive and can say how it is: the contract, and one file per kind.
//!
//! The world has three values. *Running* and *ended* are facts; everything else is *unknown*, and nothing is restarted,
//! cancelled or submitted again because somebody could not look.

#![expect(clippy::disallowed_methods, reason = "this room starts processes and looks at their files")]

mod living;
pub mod local;
pub mod log_files;
mod memory;
pub mod not_yet;
mod orphans;
mod pump;
pub mod record;
mod room;
pub mod shim;
mod sight;
mod signal;
pub mod tail;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::StopSignal;
use crate::detect::ending::Exit;
use crate::ids::{ChildNo, RunId, StreamId};

/// What to start.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// Run it belongs to.
    pub run: RunId,
    /// Its number.
    pub child: ChildNo,
    /// argv, not empty.
    pub command: Vec<String>,
    /// Absolute.
    pub cwd: PathBuf,
    /// Set over the monitor's own environment: `process.env`, then the overlay of the rules.
    pub env: BTreeMap<String, String>,
    /// Gives it a terminal.
    pub pty: bool,
    /// First signal of a stop.
    pub stop_signal: StopSignal,
    /// Between the first signal and the kill.
    pub stop_grace: Duration,
}

/// What is known of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Asked for, not up yet.
    Starting,
    /// Alive.
    Running {
        /// Process id, or what the kind has instead (a job id).
        pid: u32,
    },
    /// The main process has ended; parts of its tree are still being ended.
    Ending(Exit),
    /// Gone, its whole tree with it.
    Ended(Exit),
    /// It could not be seen. Since when is the monitor's to know.
    Unknown {
        /// Why not, in words.
        why: String,
    },
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopHow {
    /// Stop signal, grace, kill.
    Graceful,
    /// Kill at once.
    Now,
}

/// A log of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSource {
    /// Name of the stream.
    pub stream: StreamId,
    /// File it is in.
    pub path: PathBuf,
}

/// Why a child could not be asked for.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system refused.
    #[error("cannot start child {child}: {what}")]
    Os {
        /// Number of the child.
        child: ChildNo,
        /// What was tried.
        what: String,
        /// Its answer.
        #[source]
        source: std::io::Error,
    },
    /// The kind does not exist yet.
    #[error("`process.kind: {kind}` is not there yet")]
    NotThereYet {
        /// Name of the kind.
        kind: &'static str,
    },
}

/// Why a child could not be stopped.
#[derive(Debug, thiserror::Error)]
#[error("cannot stop child {child}: {what}")]
pub struct StopError {
    /// Number of the child.
    pub child: ChildNo,
    /// What was tried.
    pub what: String,
    /// The answer of the operating system.
    #[source]
    pub source: std::io::Error,
}

/// One way to run a child. No call blocks for longer than a few milliseconds.
pub trait Supervisor {
    /// Asks for a new child. It exists durably (its record, its log) before this returns, so that a monitor that dies right
    /// afterwards finds it.
    ///
    /// # Errors
    /// Only when nothing was started; the child is then seen as ended, and can be asked for again. A command that cannot be
    /// executed is an [`Exit`], not an error.
    fn start(&mut self, spec: &ChildSpec) -> Result<(), StartError>;

    /// Takes over a child that an earlier monitor started; afterwards [`Supervisor::observe`] tells how it is.
    fn adopt(&mut self, run: &RunId, child: ChildNo);

    /// Begins to stop a child and its whole tree. Asking again is harmless; asking for [`StopHow::Now`] hurries.
    ///
    /// # Errors
    /// When the request could not be passed on. A child that has ended already, or was never started, is no error.
    fn stop(&mut self, child: ChildNo, how: StopHow) -> Result<(), StopError>;

    /// Looks at a child.
    fn observe(&mut self, child: ChildNo) -> Observed;

    /// Logs of a child.
    fn streams(&self, child: ChildNo) -> Vec<StreamSource>;

    /// Descriptors that become readable when [`Supervisor::observe`] may say something new. Empty: look now and then.
    fn wake(&self) -> Vec<BorrowedFd<'_>>;
}
