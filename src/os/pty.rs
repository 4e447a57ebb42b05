//! A terminal for a program, and its output as something to read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::pty::{Winsize, openpty};

/// Both ends of a new pseudo-terminal (pty(7)).
#[derive(Debug)]
pub struct Pty {
    /// Ours.
    pub master: Master,
    /// The program's: its three standard descriptors.
    pub slave: OwnedFd,
}

impl Pty {
    /// Opens one with this window.
    ///
    /// # Errors
    /// No `/dev/pts`, or too many open files.
    pub fn open(columns: u16, lines: u16) -> io::Result<Self> {
        let window = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let ends = openpty(&window, None)?;
        // openpty(3) marks neither; a copy of the master in the program would keep the terminal alive for ever.
        for end in [&ends.master, &ends.slave] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        rustix::io::ioctl_fionbio(&ends.master, true)?;
        Ok(Self { master: Master(ends.master), slave: ends.slave })
    }
}

/// Our end.
#[derive(Debug)]
pub struct Master(OwnedFd);

/// What a read of a [`Master`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// No process has the terminal open (one may open `/dev/tty` again).
    Closed,
}

impl Master {
    /// Reads what is there. Never blocks.
    ///
    /// # Errors
    /// None is expected.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Chunk> {
        loop {
            return match rustix::io::read(&self.0, &mut *buffer) {
                // Linux says EIO when the last slave is closed.
                Ok(0) | Err(rustix::io::Errno::IO) => Ok(Chunk::Closed),
                Ok(n) => Ok(Chunk::Bytes(n)),
                Err(rustix::io::Errno::AGAIN) => Ok(Chunk::Nothing),
                Err(rustix::io::Errno::INTR) => continue,
                Err(e) => Err(e.into()),
            };
        }
    }
}

impl AsFd for Master {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
