//! The control queue: one file per command in `control/new/`, its answer in `control/done/`.
//!
//! A command is acted on at most once: the monitor moves its file away before it acts, so that a monitor that dies in
//! between does not stop or restart a child again when it comes back. Any program may put a file into `control/new/`
//! (write it elsewhere on the same file system and rename it); its name is the command's id.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::disk::{self, Durability};
use super::error::{At, ReadError, WriteError};
use crate::monitor::command::{ControlAnswer, ControlCommand};
use crate::os::clock::SystemClock;
use crate::os::wait;
use crate::os::watch::Watch;
use crate::paths::Layout;
use crate::time::Utc;

/// Longest command or answer, bytes.
const MAX_BYTES: u64 = 64 * 1024;
/// Most commands taken in one turn of the loop; the rest waits for the next.
const MAX_TAKEN: usize = 64;
/// Between looks at the answer where the kernel cannot tell us about it.
const POLL: Duration = Duration::from_millis(20);
/// Between looks even where it can: a monitor on another machine that shares the file system does not wake us.
const LOOK_ANYWAY: Duration = Duration::from_millis(500);

/// Name of a command: letters, digits, `-`, `_` and `.`, not beginning with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandId(String);

impl CommandId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CommandId {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.bytes().all(fits) {
            return Err("an id has 1 to 128 letters, digits, `-`, `_` or `.`, and does not begin with a dot");
        }
        Ok(Self(name))
    }
}

impl From<CommandId> for String {
    fn from(id: CommandId) -> Self {
        id.0
    }
}

/// A command that is now the monitor's to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its name.
    pub id: CommandId,
    /// When its file was written; a command from before the monitor's start was meant for another one.
    pub submitted: Utc,
    /// What is asked, or why that cannot be understood.
    pub command: Result<ControlCommand, String>,
}

/// What lay in the queue.
#[derive(Debug, Default)]
pub struct Batch {
    /// Oldest first.
    pub taken: Vec<Taken>,
    /// Files that could not be moved away and are therefore not acted on.
    pub stuck: Vec<WriteError>,
    /// There are more than are taken at once.
    pub more: bool,
}

/// How a wait for an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The monitor has answered.
    Answered(ControlAnswer),
    /// The monitor has taken the command and not answered in time.
    Taken,
    /// Nobody has taken the command; [`withdraw`] takes it back.
    NotTaken,
}

/// Puts a command into the queue.
///
/// # Errors
/// When its file cannot be written; `NotFound` where there is no `.sentry/` at all, so that asking makes none.
pub fn submit(layout: &Layout, command: &ControlCommand, now: Utc) -> Result<CommandId, WriteError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Thirteen digits last until 2286, so that names sort by time.
    let id = CommandId(format!("{:013}-{}-{count:04}", now.millis(), rustix::process::getpid().as_raw_nonzero()));
    let dir = layout.control_new();
    let made = fs::metadata(layout.dot()).and_then(|_| disk::make_dir(&dir));
    made.write_at("make", &dir)?;
    let path = new_path(layout, &id);
    let json = serde_json::to_vec(command).map_err(io::Error::from).write_at("encode for", &path)?;
    disk::write_whole(&path, &json, Durability::Cached).write_at("write", &path)?;
    Ok(id)
}

/// Takes back a command that nobody has taken; `false` when it was taken after all.
///
/// # Errors
/// When its file cannot be removed.
pub fn withdraw(layout: &Layout, id: &CommandId) -> Result<bool, WriteError> {
    let path = new_path(layout, id);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).write_at("remove", &path),
    }
}

/// Takes the commands that wait, oldest first (by name), at most 64 a call. Each has to be answered.
///
/// # Errors
/// When the queue cannot be listed. A missing queue is empty.
pub fn take(layout: &Layout) -> Result<Batch, ReadError> {
    let dir = layout.control_new();
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Batch::default()),
        Err(error) => return Err(error).read_at("list", &dir),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.read_at("list", &dir)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
        if let Some(id) = stem.and_then(|stem| CommandId::try_from(stem.to_owned()).ok()) {
            ids.push(id);
        }
    }
    ids.sort();
    let mut batch = Batch { more: ids.len() > MAX_TAKEN, ..Batch::default() };
    ids.truncate(MAX_TAKEN);
    for id in ids {
        match claim(layout, id) {
            Ok(Some(taken)) => batch.taken.push(taken),
            Ok(None) => {}
            Err(error) => batch.stuck.push(error),
        }
    }
    Ok(batch)
}

/// Answers a command.
///
/// # Errors
/// When the answer cannot be written; the command has been taken all the same.
pub fn answer(layout: &Layout, id: &CommandId, answer: &ControlAnswer) -> Result<(), WriteError> {
    let path = answer_path(layout, id);
    let json = serde_json::to_vec(answer).map_err(io::Error::from).write_at("encode for", &path)?;
    disk::write_whole(&path, &json, Durability::Cached).write_at("write", &path)
}

/// Waits for the answer to a command.
///
/// # Errors
/// When there is an answer that cannot be read, or nothing can be waited for.
pub fn wait(layout: &Layout, id: &CommandId, timeout: Duration) -> Result<Waited, ReadError> {
    let started = SystemClock::mono();
    let done = layout.control_done();
    // Made here too, so that a monitor that has yet to start can be waited for.
    let mut watch = disk::make_dir(&done).and_then(|()| {
        let mut watch = Watch::new()?;
        watch.dir(&done)?;
        Ok(watch)
    });
    loop {
        if let Some(answer) = read_answer(layout, id)? {
            return Ok(Waited::Answered(answer));
        }
        let left = timeout.saturating_sub(SystemClock::mono().since(started));
        if left.is_zero() {
            let waiting = fs::symlink_metadata(new_path(layout, id)).is_ok();
            return Ok(if waiting { Waited::NotTaken } else { Waited::Taken });
        }
        let woken = match &mut watch {
            Ok(watch) => {
                wait::wait(&[watch.as_fd()], Some(left.min(LOOK_ANYWAY))).and_then(|_| watch.drain()).map(drop)
            }
            // No watch is left for this user (inotify(7), max_user_instances): looking now and then does.
            Err(_) => wait::wait(&[], Some(left.min(POLL))).map(drop),
        };
        woken.read_at("wait for an answer in", &done)?;
    }
}

fn claim(layout: &Layout, id: CommandId) -> Result<Option<Taken>, WriteError> {
    let path = new_path(layout, &id);
    let submitted = match fs::symlink_metadata(&path) {
        Ok(metadata) => disk::modified(&metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).write_at("look at", &path),
    };
    let command = read_command(&path);
    let dir = layout.control_done();
    let moved = disk::make_dir(&dir).and_then(|()| fs::rename(&path, taken_path(layout, &id)));
    // A full disk may refuse the rename; removing always has room.
    match moved.or_else(|_| fs::remove_file(&path)) {
        Ok(()) => Ok(Some(Taken { id, submitted, command })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).write_at("take", &path),
    }
}

fn read_command(path: &std::path::Path) -> Result<ControlCommand, String> {
    let bytes = disk::read_capped(path, MAX_BYTES).map_err(|error| format!("cannot read the command: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("not a command: {error}"))
}

fn read_answer(layout: &Layout, id: &CommandId) -> Result<Option<ControlAnswer>, ReadError> {
    let path = answer_path(layout, id);
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES).read_at("read", &path)? else { return Ok(None) };
    let answer = serde_json::from_slice(&bytes)
        .map_err(|error| ReadError::Damaged { path: path.clone(), why: error.to_string() })?;
    Ok(Some(answer))
}

fn new_path(layout: &Layout, id: &CommandId) -> PathBuf {
    layout.control_new().join(format!("{}.json", id.0))
}

fn taken_path(layout: &Layout, id: &CommandId) -> PathBuf {
    layout.control_done().join(format!("{}.command.json", id.0))
}

fn answer_path(layout: &Layout, id: &CommandId) -> PathBuf {
    layout.control_done().join(format!("{}.answer.json", id.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Utc = Utc::from_millis(1_795_262_096_789);

    fn queue() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        disk::make_dir(&layout.dot()).unwrap();
        (dir, layout)
    }

    fn ok(message: &str) -> ControlAnswer {
        ControlAnswer { ok: true, message: message.to_owned() }
    }

    #[test]
    fn commands_come_oldest_first_and_once() {
        let (_dir, layout) = queue();
        assert!(take(&layout).unwrap().taken.is_empty());
        let later = submit(&layout, &ControlCommand::Resume, Utc::from_millis(NOW.millis() + 1)).unwrap();
        let first = submit(&layout, &ControlCommand::Pause, NOW).unwrap();
        let set = ControlCommand::Set { key: "max_restarts".to_owned(), value: "5".to_owned() };
        let last = submit(&layout, &set, Utc::from_millis(NOW.millis() + 2)).unwrap();
        let batch = take(&layout).unwrap();
        let got: Vec<_> = batch.taken.into_iter().map(|taken| (taken.id, taken.command.unwrap())).collect();
        assert_eq!(got, [(first, ControlCommand::Pause), (later, ControlCommand::Resume), (last, set)]);
        assert!(take(&layout).unwrap().taken.is_empty());
    }

    #[test]
    fn what_is_no_command_is_taken_with_the_reason() {
        let (_dir, layout) = queue();
        disk::make_dir(&layout.control_new()).unwrap();
        let long = " ".repeat(70_000);
        for (name, content) in [("1", "{"), ("2", r#"{"command":"dance"}"#), ("3", long.as_str()), ("4", "")] {
            fs::write(layout.control_new().join(format!("{name}.json")), content).unwrap();
        }
        nix::unistd::mkfifo(&layout.control_new().join("5.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(layout.control_new().join("6.json.part"), "{}").unwrap();
        let batch = take(&layout).unwrap();
        let whys: Vec<String> = batch.taken.into_iter().map(|taken| taken.command.unwrap_err()).collect();
        insta::assert_snapshot!(whys.join("\n"), @r"
        not a command: EOF while parsing an object at line 1 column 1
        not a command: unknown variant `dance`, expected one of `pause`, `resume`, `restart`, `abort`, `stop`, `detach`, `reset`, `reload`, `set`, `approve`, `reject` at line 1 column 18
        cannot read the command: longer than 65536 bytes
        not a command: EOF while parsing a value at line 1 column 0
        cannot read the command: not a regular file
        ");
        assert!(take(&layout).unwrap().taken.is_empty());
    }

    #[test]
    fn an_answer_wakes_the_one_who_waits() {
        let (_dir, layout) = queue();
        let id = submit(&layout, &ControlCommand::Pause, NOW).unwrap();
        let monitor = {
            let layout = layout.clone();
            std::thread::spawn(move || {
                for taken in take(&layout).unwrap().taken {
                    answer(&layout, &taken.id, &ok("paused")).unwrap();
                }
            })
        };
        let waited = wait(&layout, &id, Duration::from_secs(10)).unwrap();
        assert_eq!(waited, Waited::Answered(ok("paused")));
        monitor.join().unwrap();
    }

    #[test]
    fn a_wait_that_ends_without_answer_says_where_the_command_is() {
        let (_dir, layout) = queue();
        let id = submit(&layout, &ControlCommand::Stop, NOW).unwrap();
        let short = Duration::from_millis(1);
        assert_eq!(wait(&layout, &id, short).unwrap(), Waited::NotTaken);
        assert_eq!(take(&layout).unwrap().taken.len(), 1);
        assert_eq!(wait(&layout, &id, short).unwrap(), Waited::Taken);
        assert!(!withdraw(&layout, &id).unwrap());
        let id = submit(&layout, &ControlCommand::Stop, NOW).unwrap();
        assert!(withdraw(&layout, &id).unwrap());
        assert!(take(&layout).unwrap().taken.is_empty());
    }

    #[test]
    fn asking_makes_no_store() {
        let dir = tempfile::tempdir().unwrap();
        let error = submit(&Layout::new(dir.path()), &ControlCommand::Stop, NOW).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_id_cannot_leave_the_queue() {
        for name in ["", ".", "..", "../x", "a/b", ".hidden", "a b", "é"] {
            assert!(CommandId::try_from(name.to_owned()).is_err(), "{name}");
        }
        assert!(CommandId::try_from("1795262096789-12-0001".to_owned()).is_ok());
    }
}
