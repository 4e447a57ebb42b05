//! What every kind of supervisor must do, as data.

use std::time::Duration;

use sentry::config::StopSignal;
use sentry::detect::ending::{Ending, Exit};
use sentry::supervisor::StopHow;

/// One life of a child.
pub(crate) struct Scenario {
    /// Name of the row.
    pub(crate) name: &'static str,
    /// What runs.
    pub(crate) command: Cmd,
    /// What is done to it once it has printed `ready`.
    pub(crate) act: Act,
    /// How it must end.
    pub(crate) expect: Expect,
    /// Processes that outlive the main one.
    pub(crate) leftovers: u32,
}

pub(crate) enum Cmd {
    /// For `sh -c`.
    Script(&'static str),
    /// This argv.
    Argv(&'static [&'static str]),
    /// `true` in a directory that is not there.
    NoDirectory,
}

pub(crate) enum Act {
    Nothing,
    Stop {
        how: StopHow,
        signal: StopSignal,
        grace: Duration,
    },
    /// The monitor dies, and another one adopts the child.
    Succession,
}

pub(crate) enum Expect {
    Code(i32),
    Signal(i32),
    /// `killed` and a stop signal that was ignored, or was SIGKILL.
    Killed,
    /// With this `errno`.
    NotStarted(i32),
}

impl Expect {
    pub(crate) fn holds(&self, exit: &Exit) -> bool {
        match (self, &exit.ending) {
            (Self::Code(code), Ending::Exited { code: is }) => code == is && !exit.killed,
            (Self::Signal(signal), Ending::Signaled { signal: is, .. }) => signal == is && !exit.killed,
            (Self::Killed, Ending::Signaled { signal: 9, .. }) => exit.killed && exit.stop_requested,
            (Self::NotStarted(errno), Ending::NotStarted { errno: is, .. }) => errno == is,
            _ => false,
        }
    }
}

const LONG: Duration = Duration::from_secs(600);
const GRACEFUL: Act = Act::Stop { how: StopHow::Graceful, signal: StopSignal::Term, grace: LONG };
const IMPATIENT: Act = Act::Stop { how: StopHow::Graceful, signal: StopSignal::Term, grace: Duration::from_millis(50) };
const NOW: Act = Act::Stop { how: StopHow::Now, signal: StopSignal::Term, grace: LONG };
const INTERRUPT: Act = Act::Stop { how: StopHow::Graceful, signal: StopSignal::Int, grace: LONG };
const KILL: Act = Act::Stop { how: StopHow::Graceful, signal: StopSignal::Kill, grace: LONG };

const fn row(name: &'static str, script: &'static str, act: Act, expect: Expect) -> Scenario {
    Scenario { name, command: Cmd::Script(script), act, expect, leftovers: 0 }
}

const fn leaving(leftovers: u32, scenario: Scenario) -> Scenario {
    let Scenario { name, command: Cmd::Script(script), act: Nothing, expect, .. } = scenario else {
        panic!("only scripts that are left alone");
    };
    Scenario { name, command: Cmd::Script(script), act: Nothing, expect, leftovers }
}

const fn refused(name: &'static str, argv: &'static [&'static str], errno: i32) -> Scenario {
    Scenario { name, command: Cmd::Argv(argv), act: Nothing, expect: NotStarted(errno), leftovers: 0 }
}

use Act::{Nothing, Succession};
use Expect::{Code, Killed, NotStarted, Signal};

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    row("ends well", "echo ready", Nothing, Code(0)),
    row("ends with a code", "exit 7", Nothing, Code(7)),
    row("ends by a signal", "kill -SEGV $$", Nothing, Signal(11)),
    row("ends by a kill of somebody else", "kill -9 $$", Nothing, Signal(9)),
    row("reads no input", "cat; exit 3", Nothing, Code(3)),
    row("closes its output", "exec >&- 2>&- <&-; sleep 0.05; exit 4", Nothing, Code(4)),
    refused("does not exist", &["/no/such/program"], 2),
    refused("does not exist on the path", &["no-such-program-anywhere"], 2),
    refused("may not be executed", &["/dev/null"], 13),
    refused("is a directory", &["/"], 13),
    Scenario { name: "has no directory", command: Cmd::NoDirectory, act: Nothing, expect: NotStarted(2), leftovers: 0 },
    row("stops when asked", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done", GRACEFUL, Code(5)),
    row("stops by default action", "echo ready; exec sleep 600", GRACEFUL, Signal(15)),
    row("stops by another signal", "trap 'exit 6' INT; echo ready; while :; do sleep 0.01; done", INTERRUPT, Code(6)),
    row("is stopped while stopped", "echo ready; kill -STOP $$; exit 9", GRACEFUL, Signal(15)),
    row("ignores the stop", "trap '' TERM; echo ready; while :; do sleep 0.01; done", IMPATIENT, Killed),
    row("is killed at once", "trap '' TERM; echo ready; while :; do sleep 0.01; done", NOW, Killed),
    row("is stopped by SIGKILL", "trap '' TERM; echo ready; while :; do sleep 0.01; done", KILL, Killed),
    leaving(1, row("forks and exits", "sleep 600 & echo pid $!; exit 0", Nothing, Code(0))),
    leaving(
        1,
        row(
            "leaves one in another session",
            "setsid sleep 600 & echo pid $!; while [ $(ps -o sid= -p $!) = $(ps -o sid= -p $$) ]; do :; done; exit 2",
            Nothing,
            Code(2),
        ),
    ),
    leaving(
        1,
        row(
            "leaves one that ignores signals and has lost its parent",
            "mkfifo up; setsid sh -c 'trap \"\" TERM INT HUP; (echo pid $(exec sh -c \"echo \\$PPID\"); : > up; exec sleep 600) &'; cat up; exit 0",
            Nothing,
            Code(0),
        ),
    ),
    leaving(
        100,
        row(
            "leaves a hundred",
            "i=0; while [ $i -lt 100 ]; do sleep 600 & echo pid $!; i=$((i+1)); done; exit 1",
            Nothing,
            Code(1),
        ),
    ),
    row(
        "is killed with a tree in many sessions",
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 600 & echo pid $!; echo pid $$; wait' & sleep 600 & echo pid $!; while [ $(ps -o sid= -p $!) != $(ps -o sid= -p $$) ]; do :; done; echo ready; while :; do sleep 600; done",
        IMPATIENT,
        Killed,
    ),
    row("ends after a succession", "echo ready; while [ ! -e go ]; do sleep 0.01; done; exit 8", Succession, Code(8)),
];
