//! What one monitor sees of one child: its record, its shim, and, when the shim is gone, its processes themselves.
//!
//! The order of trust: an exit in the record is a fact; a living shim speaks for its child; without a shim the kernel is
//! asked about exactly the recorded process; and where nothing certain can be said, the answer is that.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::config::StopSignal;
use crate::detect::ending::{Ending, Exit, NEVER_TRIED, OutOfMemory};
use crate::ids::{ChildNo, RunId};
use crate::os::clock::SystemClock;
use crate::os::timer::Timer;
use crate::os::{identity, process, wait};
use crate::supervisor::orphans;
use crate::supervisor::record::ChildRecord;
use crate::supervisor::room;
use crate::supervisor::signal::signal_of;
use crate::supervisor::{Observed, StopHow};
use crate::time::Mono;

/// How long a shim that was asked for may take to appear before it is certain that it never will.
const SHIM_DEADLINE: Duration = Duration::from_secs(5);
/// Between two looks for it.
const SHIM_LOOK: Duration = Duration::from_millis(250);
/// Between two looks after one that failed, or at processes that have no handle.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a shim may take to record an end before the child is called unknown.
const RECORD_GRACE: Duration = Duration::from_millis(500);
/// Between two looks for that record, where nothing wakes when it comes.
const RECORD_LOOK: Duration = Duration::from_millis(20);
/// Between the stop signal and the kill of what outlives the main process, as the shim has it.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);
/// Between two rounds of killing.
const KILL_ROUND: Duration = Duration::from_millis(50);
/// Between two looks at a record that only another machine can change.
const ELSEWHERE_LOOK: Duration = Duration::from_secs(5);
/// `errno` of a command whose shim ended before it: ECHILD.
const NO_SHIM: i32 = 10;

/// Why a child cannot be read about that never wrote anything, as far as can be seen.
const NO_RECORD: &str = "it has no record";

/// The shim, as far as it is known.
#[derive(Debug)]
enum Shim {
    /// Not found yet.
    Sought,
    /// Alive when last looked at.
    Alive { pidfd: OwnedFd },
    /// Certainly gone.
    Gone,
}

/// One child as one monitor sees it.
#[derive(Debug)]
pub(super) struct Sight {
    run: RunId,
    child: ChildNo,
    record_path: PathBuf,
    log_path: PathBuf,
    record: Option<ChildRecord>,
    unreadable: Option<String>,
    shim: Shim,
    /// Handle of the main process as long as its end is unknown.
    main: Option<OwnedFd>,
    /// When it was seen to have ended before its shim had recorded that.
    main_ended: Option<Mono>,
    since: Mono,
    news: bool,
    look_at: Option<(Mono, Option<Timer>)>,
    last: Observed,
    stop: Option<StopHow>,
    /// The stop has reached the shim.
    passed: Option<StopHow>,
    /// Without a shim: when what is left will be killed.
    kill_at: Option<Mono>,
    killed: bool,
    /// An earlier monitor asked for it.
    stranger: bool,
    main_was_alive: bool,
    /// Processes that nobody has recorded have been seen.
    seen_strays: bool,
    leftovers: u32,
}

impl Sight {
    /// A child whose shim we have just started; it is our own child process until it is reaped.
    pub(super) fn of_own(
        run: RunId,
        child: ChildNo,
        record_path: PathBuf,
        record: ChildRecord,
        shim: u32,
        now: Mono,
    ) -> Self {
        let log_path = record_path.with_extension("log");
        let mut sight = Self::of_stranger(run, child, record_path, log_path, now);
        sight.record = Some(record);
        sight.stranger = false;
        // Not reaped yet, so its number means it. Without a handle it is looked for as a stranger's.
        if let Ok(pidfd) = process::pidfd(shim) {
            sight.shim = Shim::Alive { pidfd };
        }
        sight.last = Observed::Starting;
        sight
    }

    /// A child that an earlier monitor started.
    pub(super) fn of_stranger(run: RunId, child: ChildNo, record_path: PathBuf, log_path: PathBuf, now: Mono) -> Self {
        Self {
            run,
            child,
            record_path,
            log_path,
            record: None,
            unreadable: None,
            shim: Shim::Sought,
            main: None,
            main_ended: None,
            since: now,
            news: true,
            look_at: None,
            last: Observed::Unknown { why: "not looked at yet".to_owned() },
            stop: None,
            passed: None,
            kill_at: None,
            killed: false,
            stranger: true,
            main_was_alive: false,
            seen_strays: false,
            leftovers: 0,
        }
    }

    /// A child that could not be asked for.
    pub(super) fn of_none(
        run: RunId,
        child: ChildNo,
        record_path: PathBuf,
        errno: i32,
        message: String,
        now: Mono,
    ) -> Self {
        let log_path = record_path.with_extension("log");
        let mut sight = Self::of_stranger(run, child, record_path, log_path, now);
        sight.shim = Shim::Gone;
        sight.last = Observed::Ended(sight.exit(Ending::NotStarted { errno, message }));
        sight
    }

    pub(super) fn run(&self) -> &RunId {
        &self.run
    }

    /// It has ended, and its tree with it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.last, Observed::Ended(_))
    }

    /// Something may have changed.
    pub(super) fn has_news(&mut self) {
        self.news = true;
    }

    /// Takes the exit of a shim that has ended after it had told the end of its child, so that no zombie is left. Whether
    /// there is nothing left to take.
    pub(super) fn settle(&mut self) -> bool {
        if let (true, Shim::Alive { pidfd }) = (self.is_over(), &self.shim)
            && has_ended(pidfd.as_fd())
            && process::reap(pidfd.as_fd())
        {
            self.shim = Shim::Gone;
        }
        self.is_over() && matches!(self.shim, Shim::Gone)
    }

    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let shim = match &self.shim {
            Shim::Alive { pidfd } => Some(pidfd.as_fd()),
            Shim::Sought | Shim::Gone => None,
        };
        if self.is_over() {
            return shim.into_iter().collect();
        }
        let timer = self.look_at.as_ref().and_then(|(_, timer)| timer.as_ref()).map(AsFd::as_fd);
        let main = self.main.as_ref().map(AsFd::as_fd);
        [shim, main, timer].into_iter().flatten().collect()
    }

    /// Looks, unless nothing can have changed.
    pub(super) fn observe(&mut self, now: Mono) -> Observed {
        if self.is_over() || self.is_quiet(now) {
            return self.last.clone();
        }
        self.news = false;
        self.look_at = None;
        self.last = match self.look(now) {
            Ok(observed) => observed,
            Err(e) => {
                self.look_again(LOOK_AGAIN, now);
                Observed::Unknown { why: e.to_string() }
            }
        };
        self.last.clone()
    }

    /// Begins to stop it.
    pub(super) fn stop(&mut self, how: StopHow, now: Mono) -> Result<(), (String, io::Error)> {
        if self.is_over() {
            return Ok(());
        }
        self.read_record();
        let not_sent = |e| ("the signal could not be sent".to_owned(), e);
        if let Some(name) = self.elsewhere(&identity::boot_id().map_err(not_sent)?) {
            let what = format!("it runs on host `{name}`, and can be stopped only there");
            return Err((what, io::ErrorKind::Unsupported.into()));
        }
        // Hurry replaces patience, not the other way round.
        if self.stop != Some(StopHow::Now) {
            self.stop = Some(how);
        }
        self.news = true;
        self.find_shim(now).map_err(not_sent)?;
        if !matches!(self.shim, Shim::Alive { .. }) {
            // The rest is done by looking, so looking must not wait.
            self.look_again(Duration::ZERO, now);
        }
        self.pass_stop().map_err(not_sent)
    }

    fn is_quiet(&self, now: Mono) -> bool {
        let due = self.look_at.as_ref().is_some_and(|(at, _)| now >= *at);
        let shim = match &self.shim {
            Shim::Alive { pidfd } => Some(pidfd),
            Shim::Gone | Shim::Sought => None,
        };
        let alive = [shim, self.main.as_ref()].into_iter().flatten().all(|fd| !has_ended(fd.as_fd()));
        // Without a handle, only a timer says when to look.
        let wakes = shim.is_some() || self.main.is_some() || self.look_at.is_some();
        !self.news && !due && alive && wakes
    }

    fn look(&mut self, now: Mono) -> io::Result<Observed> {
        self.read_record();
        let boot_id = identity::boot_id()?;
        if let Some(name) = self.elsewhere(&boot_id) {
            self.look_again(ELSEWHERE_LOOK, now);
            return Ok(Observed::Unknown { why: format!("it runs on host `{name}`") });
        }
        self.find_shim(now)?;
        self.pass_stop()?;
        if let Some(record) = &self.record {
            if let (Some(exit), Some(_)) = (&record.exit, record.tree_gone) {
                return Ok(Observed::Ended(exit.clone()));
            }
            let recorded = record.shim.as_ref().or(record.process.as_ref());
            if recorded.is_some_and(|p| p.boot_id != boot_id) {
                let exit = record.exit.clone().unwrap_or_else(|| self.lost("the machine was restarted"));
                return Ok(self.over(exit));
            }
        }
        match (&self.shim, &self.record) {
            (Shim::Alive { .. }, Some(record)) => {
                let record = record.clone();
                self.through_shim(&record, now)
            }
            (Shim::Alive { .. }, None) => {
                self.look_again(LOOK_AGAIN, now);
                Ok(Observed::Unknown { why: self.no_record() })
            }
            (Shim::Sought, _) => {
                self.look_again(SHIM_LOOK, now);
                Ok(Observed::Unknown { why: "its shim has not been found yet".to_owned() })
            }
            (Shim::Gone, _) => self.without_shim(now),
        }
    }

    /// What the record says; but a main process that has ended is not said to run because its end could not be recorded.
    fn through_shim(&mut self, record: &ChildRecord, now: Mono) -> io::Result<Observed> {
        let seen = seen_through_shim(record);
        let (Observed::Running { .. }, Some(main)) = (&seen, &record.process) else {
            self.main = None;
            return Ok(seen);
        };
        let ended = match self.main_ended {
            Some(ended) => ended,
            None => {
                if self.main.is_none() {
                    self.main = process::pidfd_of(main)?;
                }
                if self.main.as_ref().is_some_and(|main| !has_ended(main.as_fd())) {
                    return Ok(seen);
                }
                self.main = None;
                self.main_ended = Some(now);
                now
            }
        };
        if now.since(ended) < RECORD_GRACE {
            self.look_again(RECORD_LOOK, now);
            if matches!(self.last, Observed::Starting | Observed::Running { .. }) {
                return Ok(self.last.clone());
            }
        } else {
            self.look_again(LOOK_AGAIN, now);
        }
        Ok(Observed::Unknown { why: "it has ended, its end is not recorded yet".to_owned() })
    }

    /// Name of the other machine that it runs on, unless its end is recorded.
    fn elsewhere(&self, boot_id: &str) -> Option<String> {
        let record = self.record.as_ref().filter(|record| record.exit.is_none() || record.tree_gone.is_none());
        record.and_then(|record| record.elsewhere(boot_id)).map(|host| host.name.clone())
    }

    fn read_record(&mut self) {
        match ChildRecord::read(&self.record_path) {
            Ok(Some(record)) => {
                self.record = Some(record);
                self.unreadable = None;
            }
            // What was read before is still true.
            Ok(None) => self.unreadable = Some(NO_RECORD.to_owned()),
            Err(e) => self.unreadable = Some(e.to_line()),
        }
    }

    fn no_record(&self) -> String {
        self.unreadable.clone().unwrap_or_else(|| NO_RECORD.to_owned())
    }

    /// Follows the shim: from sought to alive, from alive to gone.
    fn find_shim(&mut self, now: Mono) -> io::Result<()> {
        match &self.shim {
            Shim::Gone => {}
            Shim::Alive { pidfd } => {
                // Ours, or reaped by whoever is its parent.
                if has_ended(pidfd.as_fd()) && process::reap(pidfd.as_fd()) {
                    self.shim = Shim::Gone;
                    self.read_record();
                }
            }
            Shim::Sought => {
                let recorded = self.record.as_ref().and_then(|r| r.shim.clone());
                let found = match &recorded {
                    Some(identity) => Some(identity.clone()),
                    None => orphans::find_shim(&self.record_path)?,
                };
                match found {
                    Some(identity) => match process::pidfd_of(&identity)? {
                        Some(pidfd) => self.shim = Shim::Alive { pidfd },
                        None => {
                            self.shim = Shim::Gone;
                            self.read_record();
                        }
                    },
                    None if self.shim_is_overdue(now) => self.shim = Shim::Gone,
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// The time runs from when the shim was asked for, so that monitors that come and go do not begin anew each.
    fn shim_is_overdue(&self, now: Mono) -> bool {
        let watched = now.since(self.since);
        let asked = self.record.as_ref().map_or(Duration::ZERO, |record| record.asked.age(SystemClock::utc()));
        // One look later than the first, however old the record: the wall clock may jump.
        watched.max(asked) >= SHIM_DEADLINE && watched >= SHIM_LOOK
    }

    fn pass_stop(&mut self) -> io::Result<()> {
        let (Some(how), Shim::Alive { pidfd }) = (self.stop, &self.shim) else {
            return Ok(());
        };
        if self.passed == Some(how) {
            return Ok(());
        }
        let signal = match how {
            StopHow::Graceful => Signal::SIGTERM,
            StopHow::Now => Signal::SIGQUIT,
        };
        // A shim that has just ended is seen as gone in the next look.
        process::signal(pidfd, signal)?;
        self.passed = Some(how);
        Ok(())
    }

    /// Nobody speaks for the child: looks at its processes, and ends what must not go on.
    fn without_shim(&mut self, now: Mono) -> io::Result<Observed> {
        let exit = self.record.as_ref().and_then(|r| r.exit.clone());
        let main = self.record.as_ref().and_then(|r| r.process.clone());
        self.main = match &main {
            Some(main) if exit.is_none() => process::pidfd_of(main)?,
            Some(_) | None => None,
        };
        let main_alive = self.main.is_some();
        if self.main_was_alive && !main_alive {
            // What is left gets a grace of its own, not the rest of the child's.
            self.kill_at = None;
        }
        self.main_was_alive = main_alive;
        if let (true, Some(main), None) = (main_alive, &main, self.stop) {
            return Ok(Observed::Running { pid: main.pid });
        }
        let left = orphans::of_child(&self.run, self.child, self.record.as_ref())?;
        if left.is_empty() {
            let exit = exit.unwrap_or_else(|| self.end_unseen());
            return Ok(self.over(exit));
        }
        let strays = main.is_none() && exit.is_none();
        self.seen_strays |= strays;
        if strays && self.stop.is_none() {
            self.look_again(LOOK_AGAIN, now);
            return Ok(Observed::Unknown {
                why: "its shim is gone without having recorded its process, and something of it is alive".to_owned(),
            });
        }
        self.end(&left, main_alive, now)?;
        Ok(match main {
            Some(main) if main_alive => Observed::Running { pid: main.pid },
            Some(_) | None => {
                self.leftovers = self.leftovers.max(u32::try_from(left.len()).unwrap_or(u32::MAX));
                Observed::Ending(exit.unwrap_or_else(|| self.end_unseen()))
            }
        })
    }

    /// One step of what the shim would do: ask, wait, kill, kill again.
    fn end(&mut self, left: &[crate::os::proc::Stat], main_alive: bool, now: Mono) -> io::Result<()> {
        let (signal, grace) = match &self.record {
            Some(record) => (record.stop_signal, Duration::from_millis(record.stop_grace_ms)),
            None => (StopSignal::Term, LEFTOVER_GRACE),
        };
        let grace = if main_alive { grace } else { grace.min(LEFTOVER_GRACE) };
        let at_once = self.stop == Some(StopHow::Now) || signal == StopSignal::Kill;
        match self.kill_at {
            None if !at_once => {
                orphans::ask(self.record.as_ref(), left, signal_of(signal))?;
                self.kill_at = Some(now + grace);
                self.look_again(grace, now);
            }
            Some(kill_at) if now < kill_at && !at_once => self.look_again(kill_at.since(now), now),
            Some(_) | None => {
                self.killed |= main_alive;
                self.kill_at = Some(now);
                orphans::kill(self.record.as_ref(), left)?;
                self.look_again(KILL_ROUND, now);
            }
        }
        Ok(())
    }

    /// The end of a child that nobody saw end.
    fn end_unseen(&self) -> Exit {
        let Some(record) = &self.record else {
            // The log is made before the record, so an empty one alone tells of a start that went no further.
            let no_record = self.unreadable.as_deref().is_none_or(|why| why == NO_RECORD);
            let printed = self.log_path.metadata().is_ok_and(|log| log.is_file() && log.len() > 0);
            if !no_record || printed || self.seen_strays {
                return self.lost(&self.no_record());
            }
            return self.not_started(NEVER_TRIED, "the monitor ended before it had asked for it");
        };
        match (&record.shim, &record.process) {
            (Some(shim), Some(_)) => {
                self.lost(&format!("its shim (process {}) was ended before it could record how", shim.pid))
            }
            (None, None) if !self.seen_strays && self.stranger => {
                self.not_started(NEVER_TRIED, "the monitor ended before it had started the shim")
            }
            (None, None) if !self.seen_strays => {
                self.not_started(NO_SHIM, "the shim ended before it had started the command")
            }
            (_, _) => self.lost("its shim was ended before it could record the process"),
        }
    }

    fn lost(&self, why: &str) -> Exit {
        self.exit(Ending::Lost { why: why.to_owned() })
    }

    fn not_started(&self, errno: i32, why: &str) -> Exit {
        self.exit(Ending::NotStarted { errno, message: why.to_owned() })
    }

    fn exit(&self, ending: Ending) -> Exit {
        Exit {
            ending,
            oom: OutOfMemory::NoSign,
            leftovers: self.leftovers,
            stop_requested: self.stop.is_some(),
            killed: self.killed,
        }
    }

    /// The end, which is also written down: the shim cannot do it any more, and one that should still come up must not.
    fn over(&mut self, exit: Exit) -> Observed {
        let now = SystemClock::utc();
        if let Some(record) = &mut self.record {
            record.exit.get_or_insert_with(|| exit.clone());
            record.ended.get_or_insert(now);
            record.tree_gone.get_or_insert(now);
            if let Some(dir) = orphans::group_of(record) {
                dir.remove();
            }
            // Best effort: without it the next monitor comes to the same conclusion.
            let _ = record.write_in_room(&self.record_path);
        }
        room::give_up(&self.record_path);
        self.main = None;
        Observed::Ended(exit)
    }

    fn look_again(&mut self, delay: Duration, now: Mono) {
        self.look_at = Some((now + delay, Timer::after(delay).ok()));
    }
}

/// What a record says while its shim is alive.
fn seen_through_shim(record: &ChildRecord) -> Observed {
    match (&record.exit, &record.process) {
        (Some(exit), _) => Observed::Ending(exit.clone()),
        (None, Some(main)) => Observed::Running { pid: main.pid },
        (None, None) if record.started.is_none() => Observed::Starting,
        (None, None) => Observed::Unknown {
            why: record.notes.last().cloned().unwrap_or_else(|| "its process could not be identified".to_owned()),
        },
    }
}

/// Whether the process of a handle has ended. An error means that we cannot wait at all, which the loop notices by itself.
fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    wait::wait(&[pidfd], Some(Duration::ZERO)).is_ok_and(|ready| ready.any())
}
