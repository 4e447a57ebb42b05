//! How the memory becomes lines of `journal.jsonl` and comes back: each line says what happened and which parts of the
//! memory are different now. The last value of each part wins, so a journal that lost its tail is an earlier memory, whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::memory::Memory;
use crate::time::Utc;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    /// When, for people.
    pub utc: Utc,
    /// What happened and what was decided, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Parts of the memory that have changed, by their names.
    pub set: BTreeMap<String, Value>,
}

/// Remembers what the journal holds, to write only what differs.
#[derive(Debug, Default)]
pub struct Differ {
    written: Option<Box<Memory>>,
}

impl Differ {
    /// The line that brings the journal up to date.
    ///
    /// # Errors
    /// When the memory cannot be put into JSON, which is a bug (a number that JSON has no form for).
    pub fn line(&mut self, memory: &Memory, notes: Vec<String>, utc: Utc) -> Result<JournalLine, serde_json::Error> {
        let all = self.written.is_none();
        let written = self.written.get_or_insert_default();
        let mut set = BTreeMap::new();
        // Compared before anything is put into JSON: a turn changes few parts, and the others are large.
        macro_rules! parts {
            ($($part:ident)*) => {
                // In full: what is left out here is forgotten.
                let Memory { $($part),* } = memory;
                $(if all || written.$part != *$part {
                    set.insert(stringify!($part).to_owned(), serde_json::to_value($part)?);
                    written.$part.clone_from($part);
                })*
            };
        }
        parts!(run phase child overlay limits restarts streams detectors matches gathering incidents recent_ids
            incidents_total history attempts last_attempt attempt_times escalated todo last_todo last_healthy watched);
        Ok(JournalLine { utc, notes, set })
    }

    /// Forgets what has been written: the next line holds the whole memory.
    pub fn forget(&mut self) {
        self.written = None;
    }
}

/// The memory that a journal holds, and what in it could not be understood.
///
/// A part that does not parse is left at its default and named: a newer or damaged part must not cost the others.
pub fn replay(lines: impl IntoIterator<Item = JournalLine>) -> (Memory, Vec<String>) {
    let mut parts = Map::new();
    for line in lines {
        parts.extend(line.set);
    }
    match serde_json::from_value(Value::Object(parts.clone())) {
        Ok(memory) => (memory, Vec::new()),
        Err(_) => replay_piecemeal(parts),
    }
}

fn replay_piecemeal(parts: Map<String, Value>) -> (Memory, Vec<String>) {
    let mut good = Map::new();
    let mut troubles = Vec::new();
    for (name, value) in parts {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        match serde_json::from_value::<Memory>(Value::Object(alone)) {
            Ok(_) => {
                good.insert(name, value);
            }
            Err(error) => troubles.push(format!("`{name}` was not understood: {error}")),
        }
    }
    (serde_json::from_value(Value::Object(good)).unwrap_or_default(), troubles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RunId;
    use crate::monitor::memory::{Phase, RunFacts};

    fn memory() -> Memory {
        Memory {
            run: Some(RunFacts { id: RunId::new("r"), started: Utc::from_millis(1), command: vec!["true".into()] }),
            phase: Phase::Paused { why: "a person asked for it".into() },
            ..Memory::default()
        }
    }

    #[test]
    fn what_was_written_comes_back_and_only_changes_are_written() {
        let mut differ = Differ::default();
        let first = differ.line(&memory(), vec!["started".into()], Utc::from_millis(1)).unwrap();
        assert_eq!(serde_json::to_value(&first.set).unwrap(), serde_json::to_value(memory()).unwrap());
        let mut changed = memory();
        changed.overlay.insert("N".into(), "4".into());
        let second = differ.line(&changed, Vec::new(), Utc::from_millis(2)).unwrap();
        assert_eq!(second.set.keys().collect::<Vec<_>>(), ["overlay"]);
        assert_eq!(replay([first.clone(), second]), (changed, Vec::new()));
        assert_eq!(replay([first]), (memory(), Vec::new()));
    }

    #[test]
    fn a_part_that_is_not_understood_costs_nothing_else() {
        let mut line = Differ::default().line(&memory(), Vec::new(), Utc::from_millis(1)).unwrap();
        line.set.insert("restarts".into(), Value::String("many".into()));
        let (back, troubles) = replay([line]);
        assert_eq!(back, memory());
        assert_eq!(troubles.len(), 1, "{troubles:?}");
    }
}
