//! How a child ended, as far as anybody saw it.

use serde::{Deserialize, Serialize};

/// `errno` of a command that was given up before it was tried: ECANCELED.
pub const NEVER_TRIED: i32 = 125;

/// The end of a child's main process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    /// It returned.
    Exited {
        /// 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// Number of the signal.
        signal: i32,
        /// The kernel says that it dumped core (`WCOREDUMP`).
        core_dumped: bool,
    },
    /// It never ran: `execve(2)` failed.
    NotStarted {
        /// `errno` of the failed call.
        errno: i32,
        /// What was tried, and the error in words.
        message: String,
    },
    /// It is gone and nobody saw how (its shim was killed, or the machine was restarted).
    Lost {
        /// Why nobody knows.
        why: String,
    },
}

/// Whether the kernel's out-of-memory killer was at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutOfMemory {
    /// No sign of it, or no way to see.
    #[default]
    NoSign,
    /// `oom_kill` of `/proc/vmstat` rose while the child lived, and SIGKILL ended it.
    Likely,
    /// The child's own control group counted an `oom_kill`.
    Certain,
}

/// A child's end with what was around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How the main process ended.
    pub ending: Ending,
    /// Out-of-memory killer.
    #[serde(default)]
    pub oom: OutOfMemory,
    /// Processes of its tree that outlived it and had to be ended.
    #[serde(default)]
    pub leftovers: u32,
    /// A stop had been asked for before it ended.
    #[serde(default)]
    pub stop_requested: bool,
    /// The grace ran out and it was killed.
    #[serde(default)]
    pub killed: bool,
}

impl Exit {
    /// Exit status as a shell would give it: the code, 128+n for signal n, 126/127 for what could not be started.
    ///
    /// `None` when nobody saw the end.
    pub fn shell_status(&self) -> Option<i32> {
        match &self.ending {
            Ending::Exited { code } => Some(*code),
            Ending::Signaled { signal, .. } => Some(128 + signal),
            // ENOENT: POSIX sh, 2.8.2 "Exit Status for Commands".
            Ending::NotStarted { errno: 2, .. } => Some(127),
            Ending::NotStarted { .. } => Some(126),
            Ending::Lost { .. } => None,
        }
    }

    /// The command was given up before it was tried, which says nothing about it: its monitor died on the way to it.
    pub fn was_never_tried(&self) -> bool {
        matches!(self.ending, Ending::NotStarted { errno: NEVER_TRIED, .. })
    }

    /// Exit 0.
    pub fn is_success(&self) -> bool {
        matches!(self.ending, Ending::Exited { code: 0 })
    }
}
