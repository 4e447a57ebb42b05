//! Passes what a child writes to its terminal on to its log.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::os::pty::{Chunk, Master};
use crate::os::wait;
use crate::time::Mono;

/// Between two looks at a terminal that no process has open.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long the kernel may take to bring the last bytes from one end of a terminal to the other.
const LAST_BYTES: Duration = Duration::from_millis(20);

/// Most bytes taken in one turn, and after the end: what is left may be held by a process that writes for ever.
const PER_TURN: usize = 1024 * 1024;

/// A terminal and the log behind it.
pub(super) struct Pump {
    master: Master,
    log: File,
    closed_until: Option<Mono>,
    lost: u64,
    why: Option<std::io::Error>,
}

enum State {
    More,
    Empty,
    Closed,
}

impl Pump {
    pub(super) fn new(master: Master, log: File) -> Self {
        Self { master, log, closed_until: None, lost: 0, why: None }
    }

    /// What to wait for, unless nobody has the terminal open: it would be readable all the time then.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.closed_until.is_none().then(|| self.master.as_fd())
    }

    /// When to look although nothing is readable.
    pub(super) fn next_look(&self) -> Option<Mono> {
        self.closed_until
    }

    /// Passes on what is there.
    pub(super) fn turn(&mut self, now: Mono) {
        if self.closed_until.is_some_and(|until| now < until) {
            return;
        }
        self.closed_until = match self.pass() {
            State::Closed => Some(now + LOOK_AGAIN),
            State::More | State::Empty => None,
        };
    }

    /// Passes on the last bytes, when a process has ended.
    pub(super) fn drain(&mut self) {
        loop {
            match self.pass() {
                State::Closed | State::More => return,
                State::Empty => match wait::wait(&[self.master.as_fd()], Some(LAST_BYTES)) {
                    Ok(ready) if ready.any() => {}
                    Ok(_) | Err(_) => return,
                },
            }
        }
    }

    /// What could not be written, once.
    pub(super) fn take_note(&mut self) -> Option<String> {
        let why = self.why.take()?;
        let lost = std::mem::take(&mut self.lost);
        Some(format!("{lost} bytes of output could not be written to the log: {why}"))
    }

    fn pass(&mut self) -> State {
        let mut buffer = [0; 16 * 1024];
        let mut total = 0;
        while total < PER_TURN {
            match self.master.read(&mut buffer) {
                Ok(Chunk::Bytes(n)) => {
                    total += n;
                    let bytes = buffer.get(..n).unwrap_or_default();
                    // Waiting for room on the disk would block the child: what does not fit is lost, and counted.
                    if let Err(e) = self.log.write_all(bytes) {
                        self.lost += n as u64;
                        self.why = Some(e);
                    }
                }
                Ok(Chunk::Nothing) => return State::Empty,
                Ok(Chunk::Closed) | Err(_) => return State::Closed,
            }
        }
        State::More
    }
}
