//! The shim: parent of one child, alive as long as the child's tree.
//!
//! It stands in no data path (but that of a terminal), knows nothing of the monitor and needs nothing from it. Signals are
//! its only input: SIGTERM asks for a graceful stop, SIGQUIT for a kill; everything else is blocked. Its only output is the
//! child's record.
//!
//! It is a child subreaper (prctl(2)): whatever the child leaves behind, in whichever session, becomes the shim's own child,
//! and the tree is gone exactly when the kernel says that the shim has no children.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::config::StopSignal;
use crate::detect::ending::{Ending, Exit};
use crate::ids::{ChildNo, RunId};
use crate::os::clock::SystemClock;
use crate::os::process::{self, Family, Reaped};
use crate::os::pty::Pty;
use crate::os::signals::{Caught, Signals};
use crate::os::{file, identity, proc, wait};
use crate::supervisor::memory::MemoryWatch;
use crate::supervisor::orphans;
use crate::supervisor::pump::Pump;
use crate::supervisor::record::ChildRecord;
use crate::supervisor::room;
use crate::supervisor::signal::signal_of;
use crate::time::Mono;

/// What a shim is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimSpec {
    /// Where the record is.
    pub record: PathBuf,
    /// Where the output goes.
    pub log: PathBuf,
    /// Run of the child.
    pub run: RunId,
    /// Number of the child.
    pub child: ChildNo,
    /// Its working directory.
    pub cwd: PathBuf,
    /// First signal of a stop.
    pub stop_signal: StopSignal,
    /// Between the first signal and the kill.
    pub stop_grace: Duration,
    /// Gives it a terminal of so many columns and lines.
    pub pty: Option<(u16, u16)>,
    /// argv, not empty.
    pub command: Vec<OsString>,
}

/// Between the stop signal and the kill of what outlives the main process.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// Between two rounds of killing, for trees that grow while they are killed.
const KILL_ROUND: Duration = Duration::from_millis(20);

/// Between two tries to write a record on a disk that is full.
const RECORD_RETRY: Duration = Duration::from_secs(1);

/// Runs a child from its start to the end of its tree. To be called before any thread is made.
///
/// # Errors
/// When not even the shim's own needs (signals, `/proc`) can be met, or its record is gone for good. A command that cannot
/// be executed is no error.
pub fn run(spec: &ShimSpec) -> io::Result<()> {
    process::plain_signals()?;
    let mut signals = Signals::block(&[Caught::Terminate, Caught::Quit, Caught::Child])?;
    nix::sys::prctl::set_child_subreaper(true)?;
    nix::sys::prctl::set_name(c"sentry-shim")?;

    let mut record = match ChildRecord::read(&spec.record) {
        // Somebody has already said that this child will never be.
        Ok(Some(record)) if record.exit.is_some() => return Ok(()),
        Ok(Some(record)) => record,
        Ok(None) | Err(_) => {
            let grace = u64::try_from(spec.stop_grace.as_millis()).unwrap_or(u64::MAX);
            ChildRecord::asked(spec.run.clone(), spec.child, SystemClock::utc(), spec.stop_signal, grace)
        }
    };
    record.shim = Some(identity::this_process()?);
    let mut shim = Shim {
        spec,
        record,
        unwritten: true,
        retry_at: None,
        main: None,
        phase: Phase::Up,
        stop_requested: false,
        killed: false,
        leftovers: 0,
        memory: MemoryWatch::begin(&orphans::group_name(&spec.run, spec.child)),
        pump: None,
    };
    shim.start();
    shim.write();
    while !shim.is_done() {
        let mut fds = vec![signals.as_fd()];
        fds.extend(shim.pump.as_ref().and_then(Pump::fd));
        let timeout = shim.next_deadline().map(|at| at.since(SystemClock::mono()));
        let _ready = wait::wait(&fds, timeout)?;
        for caught in signals.read()? {
            shim.on_signal(caught);
        }
        shim.turn()?;
    }
    room::give_up(&spec.record);
    Ok(())
}

/// Where a shim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The main process is alive.
    Up,
    /// It has been asked to stop.
    Stopping {
        /// Then all is killed.
        kill_at: Mono,
    },
    /// It has ended; what it left has been asked to stop.
    Leftovers {
        /// Then all is killed.
        kill_at: Mono,
    },
    /// All is being killed.
    Killing {
        /// Then all that is still there is killed once more.
        again_at: Mono,
    },
    /// No process is left.
    Gone,
}

struct Shim<'a> {
    spec: &'a ShimSpec,
    record: ChildRecord,
    /// The record holds more than the file.
    unwritten: bool,
    retry_at: Option<Mono>,
    /// The main process until it is reaped; so long its number is its own, and its group's.
    main: Option<u32>,
    phase: Phase,
    stop_requested: bool,
    killed: bool,
    leftovers: u32,
    memory: MemoryWatch,
    pump: Option<Pump>,
}

impl Shim<'_> {
    /// Starts the command. Afterwards it is up, or the record says why not.
    fn start(&mut self) {
        self.record.cgroup = self.memory.group_dir();
        self.record.notes.extend(self.memory.take_note());
        match self.spawn() {
            Ok(pid) => {
                self.main = Some(pid);
                self.record.started = Some(SystemClock::utc());
                // It is not reaped before the loop, so it is there, if only as a zombie.
                match proc::stat(pid).and_then(|stat| Ok((stat, identity::boot_id()?))) {
                    Ok((Some(stat), boot_id)) => {
                        self.record.process =
                            Some(crate::monitor::status::ProcessIdentity { pid, start_time: stat.start_time, boot_id });
                    }
                    Ok((None, _)) => self.record.notes.push(format!("/proc does not show process {pid}")),
                    Err(e) => self.record.notes.push(format!("cannot identify process {pid}: {e}")),
                }
            }
            Err(NotStarted { what, source }) => {
                let now = SystemClock::utc();
                self.record.exit = Some(Exit {
                    ending: Ending::NotStarted {
                        errno: source.raw_os_error().unwrap_or(0),
                        message: format!("{what}: {source}"),
                    },
                    oom: crate::detect::ending::OutOfMemory::NoSign,
                    leftovers: 0,
                    stop_requested: false,
                    killed: false,
                });
                self.record.ended = Some(now);
                self.record.tree_gone = Some(now);
                self.phase = Phase::Gone;
                self.memory.end();
            }
        }
    }

    fn spawn(&mut self) -> Result<u32, NotStarted> {
        let spec = self.spec;
        let failed = |what: String| move |source: io::Error| NotStarted { what, source };
        let (program, args) = spec
            .command
            .split_first()
            .ok_or_else(|| failed("the command is empty".to_owned())(io::ErrorKind::InvalidInput.into()))?;
        let log =
            file::open_append_private(&spec.log).map_err(|e| NotStarted { what: e.to_string(), source: e.source })?;
        let mut command = Command::new(program);
        command.args(args).current_dir(&spec.cwd);
        if let Some((columns, lines)) = spec.pty {
            let pty = Pty::open(columns, lines).map_err(failed("cannot open a terminal".to_owned()))?;
            let copy = |fd: &std::os::fd::OwnedFd| fd.try_clone().map(Stdio::from);
            let no_copy = || failed("cannot copy a descriptor".to_owned());
            command.stdin(copy(&pty.slave).map_err(no_copy())?);
            command.stdout(copy(&pty.slave).map_err(no_copy())?);
            command.stderr(copy(&pty.slave).map_err(no_copy())?);
            process::on_terminal(&mut command);
            self.pump = Some(Pump::new(pty.master, log));
        } else {
            let err = log.try_clone().map_err(failed("cannot copy a descriptor".to_owned()))?;
            command.stdin(Stdio::null()).stdout(log).stderr(err);
            use std::os::unix::process::CommandExt;
            command.process_group(0);
        }
        process::unblocked(&mut command);
        if let Some(entrance) = self.memory.entrance() {
            process::entering(&mut command, entrance);
        }
        match command.spawn() {
            Ok(child) => Ok(child.id()),
            Err(source) => {
                self.pump = None;
                let what = if spec.cwd.is_dir() {
                    format!("cannot execute `{}`", Path::new(program).display())
                } else {
                    format!("cannot enter the working directory `{}`", spec.cwd.display())
                };
                Err(NotStarted { what, source })
            }
        }
    }

    fn on_signal(&mut self, caught: Caught) {
        match caught {
            Caught::Terminate => self.stop(),
            Caught::Quit => {
                self.stop_requested = true;
                self.kill();
            }
            // Children are looked after in every turn; the others are not asked for.
            Caught::Child | Caught::Interrupt | Caught::Hangup | Caught::WindowChanged => {}
        }
    }

    /// Reaps, passes on output, and does what is due.
    fn turn(&mut self) -> io::Result<()> {
        if let Some(pump) = &mut self.pump {
            pump.turn(SystemClock::mono());
        }
        self.reap()?;
        let now = SystemClock::mono();
        match self.phase {
            Phase::Stopping { kill_at } if now >= kill_at => self.kill(),
            Phase::Leftovers { kill_at } if now >= kill_at => self.kill(),
            Phase::Killing { again_at } if now >= again_at => self.kill(),
            Phase::Up | Phase::Stopping { .. } | Phase::Leftovers { .. } | Phase::Killing { .. } | Phase::Gone => {}
        }
        if self.unwritten && self.retry_at.is_none_or(|at| now >= at) {
            self.write();
        }
        Ok(())
    }

    /// Takes every exit that there is. The exit of the main process is on disk before anything else is done about it.
    fn reap(&mut self) -> io::Result<()> {
        let mut main_ended = None;
        let childless = loop {
            match process::reap_any()? {
                Family::Ended(reaped) if Some(reaped.pid) == self.main => {
                    self.main = None;
                    main_ended = Some(reaped);
                }
                Family::Ended(_) => {}
                Family::Alive => break false,
                Family::Childless => break true,
            }
        };
        if let Some(reaped) = main_ended {
            let left = self.living();
            self.leftovers = u32::try_from(left.len()).unwrap_or(u32::MAX);
            self.note_exit(reaped);
            if !childless {
                self.write();
                self.end_leftovers(&left);
            }
        }
        if childless && self.main.is_none() && self.phase != Phase::Gone {
            self.drain();
            self.record.tree_gone = Some(SystemClock::utc());
            self.phase = Phase::Gone;
            self.unwritten = true;
            self.memory.end();
        }
        Ok(())
    }

    fn note_exit(&mut self, reaped: Reaped) {
        self.drain();
        let ending = match (reaped.code, reaped.signal) {
            (Some(code), _) => Ending::Exited { code },
            (None, Some(signal)) => Ending::Signaled { signal, core_dumped: reaped.core_dumped },
            (None, None) => {
                Ending::Lost { why: "the kernel gave a status that is neither an exit nor a signal".to_owned() }
            }
        };
        let oom = self.memory.judge(&ending, self.killed);
        self.record.exit = Some(Exit {
            ending,
            oom,
            leftovers: self.leftovers,
            stop_requested: self.stop_requested,
            killed: self.killed,
        });
        self.record.ended = Some(SystemClock::utc());
        self.unwritten = true;
    }

    /// Passes on what the child wrote to its terminal before it ended.
    fn drain(&mut self) {
        if let Some(pump) = &mut self.pump {
            pump.drain();
            self.record.notes.extend(pump.take_note());
        }
    }

    /// A graceful stop, from here to the end.
    fn stop(&mut self) {
        self.stop_requested = true;
        let Some(main) = self.main else { return };
        match self.phase {
            Phase::Up => {
                if self.spec.stop_signal == StopSignal::Kill {
                    self.kill();
                    return;
                }
                let _ = process::signal_group(main, signal_of(self.spec.stop_signal));
                // A stopped process cannot handle anything until it goes on.
                let _ = process::signal_group(main, Signal::SIGCONT);
                self.phase = Phase::Stopping { kill_at: SystemClock::mono() + self.spec.stop_grace };
            }
            // Asked already; and asking again must not prolong it.
            Phase::Stopping { .. } | Phase::Leftovers { .. } | Phase::Killing { .. } | Phase::Gone => {}
        }
    }

    fn end_leftovers(&mut self, left: &[proc::Stat]) {
        if matches!(self.phase, Phase::Killing { .. }) {
            self.kill();
            return;
        }
        for process in left {
            let _ = process::signal_seen(process, signal_of(self.spec.stop_signal));
            let _ = process::signal_seen(process, Signal::SIGCONT);
        }
        let grace = LEFTOVER_GRACE.min(self.spec.stop_grace);
        self.phase = Phase::Leftovers { kill_at: SystemClock::mono() + grace };
    }

    /// One round of killing all that is there.
    fn kill(&mut self) {
        self.killed |= self.main.is_some();
        self.memory.kill_group();
        for process in self.living() {
            let _ = process::signal_seen(&process, Signal::SIGKILL);
        }
        if let Some(main) = self.main {
            // Without /proc this is all that can be done.
            let _ = process::signal_group(main, Signal::SIGKILL);
        }
        self.phase = Phase::Killing { again_at: SystemClock::mono() + KILL_ROUND };
    }

    fn living(&self) -> Vec<proc::Stat> {
        let mut tree = proc::descendants(std::process::id()).unwrap_or_default();
        tree.retain(|process| !process.is_gone());
        tree
    }

    fn write(&mut self) {
        match self.record.write_in_room(&self.spec.record) {
            Ok(()) => {
                self.unwritten = false;
                self.retry_at = None;
            }
            // The run was deleted under us: nobody will ever ask.
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.unwritten = false,
            Err(_) => {
                self.unwritten = true;
                self.retry_at = Some(SystemClock::mono() + RECORD_RETRY);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.phase == Phase::Gone && !self.unwritten
    }

    fn next_deadline(&self) -> Option<Mono> {
        let phase = match self.phase {
            Phase::Up | Phase::Gone => None,
            Phase::Stopping { kill_at } | Phase::Leftovers { kill_at } => Some(kill_at),
            Phase::Killing { again_at } => Some(again_at),
        };
        let pump = self.pump.as_ref().and_then(Pump::next_look);
        [phase, self.retry_at, pump].into_iter().flatten().min()
    }
}

struct NotStarted {
    what: String,
    source: io::Error,
}
