//! What is to be done now.

use super::command::ControlAnswer;
use super::todo::Intent;
use crate::ids::{ChildNo, StreamId};

/// What `step` asks for, in order. The journal is written before any of them is done.
#[must_use]
#[derive(Debug, Default)]
pub struct Effects {
    /// In order.
    pub list: Vec<Effect>,
    /// The memory has changed: write the journal first, and `state.json` afterwards.
    pub changed: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Try an entry of the list; answered by `Event::Done`.
    Try(Intent),
    /// Tell a stream's scanner that nothing has come for a while; answered by `Event::Scanned`.
    FlushSilence(StreamId),
    /// Read an ended child's streams to their ends; answered by `Event::Scanned` and `Event::Drained`.
    Drain(ChildNo),
    /// Read the configuration again; answered by `Event::ConfigRead`.
    ReadConfig {
        /// Command to answer.
        command: Option<String>,
    },
    /// Answer a control command.
    Answer {
        /// Which.
        id: String,
        /// How.
        answer: ControlAnswer,
    },
    /// One line on the terminal and in `sentry.log`.
    Say(Level, String),
    /// Leave the loop.
    Leave(Leave),
}

/// How the monitor leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The run is over.
    Over {
        /// Exit code.
        code: u8,
    },
    /// The child stays.
    Detached,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What was asked for happened.
    Info,
    /// Odd, but handled; or something failed and is being dealt with.
    Warn,
    /// A person must act.
    Error,
}

impl Effects {
    /// Adds one.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Adds a line for people.
    pub fn say(&mut self, level: Level, line: impl Into<String>) {
        self.push(Effect::Say(level, line.into()));
    }
}
