//! Exit codes. Numbers are never reused; `docs/exit-codes.md` is generated from here.

use std::fmt::Write as _;

/// How `sentry` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// It went well; for a read command: the answer is yes.
    Success,
    /// The answer of a read command is no.
    No,
    /// The command line is wrong.
    Usage,
    /// The configuration is wrong.
    Configuration,
    /// There is nothing here to act on.
    NothingHere,
    /// Another monitor owns the directory.
    AnotherMonitor,
    /// Refused by policy or by the version of the store.
    Refused,
    /// Our bug.
    Bug,
    /// Our own input or output failed.
    Io,
    /// The run gave up: restart or heal budget spent.
    GaveUp,
    /// The run is held for a person.
    Held,
    /// The run was aborted on request.
    Aborted,
    /// The money is spent.
    MoneySpent,
    /// The child could not be seen for too long.
    LostSight,
    /// A stage ran out of time.
    Deadline,
    /// The child's own code; 128+n when signal n ended it.
    Child(u8),
}

impl ExitCode {
    /// All codes that have a number of their own, in the order of the reference page.
    pub const NAMED: [Self; 15] = [
        Self::Success,
        Self::No,
        Self::Usage,
        Self::Configuration,
        Self::NothingHere,
        Self::AnotherMonitor,
        Self::Refused,
        Self::Bug,
        Self::Io,
        Self::GaveUp,
        Self::Held,
        Self::Aborted,
        Self::MoneySpent,
        Self::LostSight,
        Self::Deadline,
    ];

    /// What `sentry run` ends with, from the number that the monitor gives.
    pub fn of_run(number: u8) -> Self {
        use crate::exit::{ABORTED, GAVE_UP, HELD, IO, LOST_SIGHT};
        match number {
            0 => Self::Success,
            IO => Self::Io,
            GAVE_UP => Self::GaveUp,
            HELD => Self::Held,
            ABORTED => Self::Aborted,
            LOST_SIGHT => Self::LostSight,
            other => Self::Child(other),
        }
    }

    /// The number that the operating system is given.
    pub const fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Configuration => 3,
            Self::NothingHere => 4,
            Self::AnotherMonitor => 5,
            Self::Refused => 6,
            Self::Bug => 70,
            Self::Io => 74,
            Self::GaveUp => 80,
            Self::Held => 81,
            Self::Aborted => 82,
            Self::MoneySpent => 83,
            Self::LostSight => 84,
            Self::Deadline => 124,
            Self::Child(code) => code,
        }
    }

    /// What it means, in words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "it went well; for a read command: the answer is yes",
            Self::No => "the answer of a read command is no",
            Self::Usage => "the command line is wrong; nothing was started",
            Self::Configuration => "the configuration is wrong; nothing was started",
            Self::NothingHere => "there is nothing here to act on",
            Self::AnotherMonitor => "another monitor owns the directory",
            Self::Refused => "refused by policy, or the store was written by a newer version",
            Self::Bug => "a bug of `sentry`",
            Self::Io => "`sentry` could not read or write its own files",
            Self::GaveUp => "gave up: the budget of restarts or repairs is spent",
            Self::Held => "held until a person has looked",
            Self::Aborted => "aborted on request",
            Self::MoneySpent => "the money for agents is spent",
            Self::LostSight => "the child could not be seen for too long",
            Self::Deadline => "a stage ran out of time",
            Self::Child(_) => "the child's own exit code; 128+n when signal n ended it",
        }
    }

    /// `docs/exit-codes.md`.
    pub fn reference() -> String {
        let mut page = String::from(
            "<!-- Generated from src/cli/exit_code.rs; a test compares. -->\n# Exit codes\n\n\
             | code | meaning |\n| ---: | --- |\n",
        );
        for code in Self::NAMED {
            let _ = writeln!(page, "| {} | {} |", code.number(), code.meaning());
        }
        let _ = writeln!(page, "| any | {} |", Self::Child(0).meaning());
        page.push_str(
            "\nWhen a run is over because the child is done, `sentry run` ends with the child's own code, whatever it is. Where \
             that could be\nmistaken for one of the codes above, `sentry status --json` says in words which it was (`why`, \
             `exit_code`).\n",
        );
        page
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.number().into()
    }
}
