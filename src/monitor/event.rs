//! What happened.

use std::collections::BTreeMap;

use super::command::ControlCommand;
use super::looks::LookId;
use super::memory::FileId;
use super::status::ProcessIdentity;
use super::todo::TodoId;
use crate::config::Config;
use crate::detect::ending::Exit;
use crate::detect::look::Answer;
use crate::detect::{Detection, Position, Signal};
use crate::ids::{ChildNo, DetectorName, StreamId};
use crate::incident::report_view::Changes;

/// Everything that can happen to a monitor.
#[derive(Clone, Debug)]
pub enum Event {
    /// The monitor has started, or a deadline has passed.
    Woke,
    /// A supervisor was asked how a child is.
    ChildSeen {
        /// Which.
        child: ChildNo,
        /// How.
        seen: Seen,
    },
    /// Parts of streams were scanned: all of one turn, in the order in which they arrived.
    Scanned(Vec<ScanReport>),
    /// All streams of an ended child have been read to their ends.
    Drained {
        /// Which.
        child: ChildNo,
    },
    /// Something on the list was tried.
    Done {
        /// What.
        id: TodoId,
        /// `Err` says in words why not; it is tried again later.
        result: Result<Outcome, String>,
    },
    /// A look has ended.
    Looked {
        /// Which.
        id: LookId,
        /// What it saw.
        answer: Box<Answer>,
    },
    /// A control command arrived.
    Command {
        /// Its file's name, for the answer.
        id: String,
        /// What; `Err` when it could not be read.
        command: Result<ControlCommand, String>,
    },
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// A configuration was read again.
    ConfigRead {
        /// Command to answer; `None` for SIGHUP.
        command: Option<String>,
        /// The new one, or all errors in words.
        result: Result<Box<Config>, String>,
    },
    /// The journal could not be written, or can be again.
    JournalState {
        /// Why not.
        trouble: Option<String>,
    },
}

/// What a supervisor saw; `supervisor::Observed` with the process's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Not up yet.
    Starting,
    /// Alive.
    Running {
        /// Its process, where it is one.
        process: Option<ProcessIdentity>,
    },
    /// Its main process has ended.
    Ending(Exit),
    /// All of it is gone.
    Ended(Exit),
    /// Nobody could look.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// What came out of one read of a stream.
#[derive(Clone, Debug)]
pub struct ScanReport {
    /// Stream.
    pub stream: StreamId,
    /// Child it belongs to.
    pub child: ChildNo,
    /// Detections, in order.
    pub detections: Vec<Detection>,
    /// When the first byte of each of them arrived, in an order over all streams of this monitor.
    pub arrived: Vec<u64>,
    /// Detections beyond those, only counted.
    pub counted: BTreeMap<DetectorName, u64>,
    /// Values of metrics, begins and ends of phases, in order.
    pub signals: Vec<Signal>,
    /// Last progress value of each stall detector.
    pub metrics: Vec<(DetectorName, String)>,
    /// Where the stream stands now.
    pub position: Position,
    /// The file that this is a position of, where files come and go.
    pub file: Option<FileId>,
    /// Lines of the stream so far.
    pub lines: u64,
    /// Whether anything was read.
    pub read_something: bool,
    /// Whether the end of what is there was reached.
    pub caught_up: bool,
    /// Whether something waits for more (an open trace, an unterminated line).
    pub open: bool,
    /// The file is gone: nothing more will come, and its place is forgotten.
    pub ended: bool,
}

/// What a finished intent came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// What changed since the last healthy run, or why nobody knows.
    LookedAround(Box<Changes>),
    /// A rule's command has ended.
    CommandEnded {
        /// Exit status as a shell would give it; `None`: it ran out of time.
        status: Option<i32>,
        /// Its last output line that is not blank.
        last_line: String,
    },
}
