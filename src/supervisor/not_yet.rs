//! Kinds of supervisors that are not there yet: they say so, and never guess.

use std::os::fd::BorrowedFd;

use crate::ids::{ChildNo, RunId};
use crate::supervisor::{ChildSpec, Observed, StartError, StopError, StopHow, StreamSource, Supervisor};

/// Stands in for `slurm`, `docker` and `attach`.
#[derive(Clone, Copy, Debug)]
pub struct NotYet {
    kind: &'static str,
}

impl NotYet {
    /// A stand-in for this value of `process.kind`.
    pub const fn new(kind: &'static str) -> Self {
        Self { kind }
    }
}

impl Supervisor for NotYet {
    fn start(&mut self, _spec: &ChildSpec) -> Result<(), StartError> {
        Err(StartError::NotThereYet { kind: self.kind })
    }

    fn adopt(&mut self, _run: &RunId, _child: ChildNo) {}

    fn stop(&mut self, child: ChildNo, _how: StopHow) -> Result<(), StopError> {
        Err(StopError {
            child,
            what: format!("`process.kind: {}` is not there yet", self.kind),
            source: std::io::ErrorKind::Unsupported.into(),
        })
    }

    fn observe(&mut self, _child: ChildNo) -> Observed {
        Observed::Unknown { why: format!("`process.kind: {}` is not there yet", self.kind) }
    }

    fn streams(&self, _child: ChildNo) -> Vec<StreamSource> {
        Vec::new()
    }

    fn wake(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }
}
