//! What is to be done now.

use super::command::ControlAnswer;
use super::looks::Look;
use super::todo::Intent;
use crate::ids::{ChildNo, IncidentId, StreamId};

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
    FlushSilence(Vec<StreamId>),
    /// Read an ended child's streams to their ends; answered by `Event::Scanned` and `Event::Drained`.
    Drain(ChildNo),
    /// Look at the world outside the log; answered by `Event::Looked`.
    Look(Box<Look>),
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
    /// Tell whoever is to be told (`notifiers`).
    Notify(Notification),
    /// Leave the loop.
    Leave(Leave),
}

/// What the world outside is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Why.
    pub kind: NotificationKind,
    /// One line.
    pub title: String,
    /// The incident it is about.
    pub incident: Option<IncidentId>,
}

/// Reasons to tell somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationKind {
    /// An incident, with what is done about it.
    Incident,
    /// A fix has not held.
    Regression,
    /// The run is over and was not a success, or needs a person.
    Exit,
}

impl NotificationKind {
    /// The word in `sentry.log`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Regression => "regression",
            Self::Exit => "exit",
        }
    }
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

    /// Tells the world outside.
    pub fn notify(&mut self, kind: NotificationKind, title: impl Into<String>, incident: Option<IncidentId>) {
        self.push(Effect::Notify(Notification { kind, title: title.into(), incident }));
    }

    /// Adds a line for people.
    pub fn say(&mut self, level: Level, line: impl Into<String>) {
        self.push(Effect::Say(level, line.into()));
    }
}
