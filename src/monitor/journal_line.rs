//! How the memory becomes lines of `journal.jsonl` and comes back: each line says what happened and which parts of the
//! memory are different now. The last value of each part wins, so a journal that lost its tail is an earlier memory, whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::book::News;
use super::memory::Memory;
use super::todo::Todo;
use crate::detect::Detection;
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
    /// Revision of the streams that the journal holds.
    streams: u64,
}

/// Names the streams that have changed, in a line that does not hold all of them; `null` for one that was removed.
const SOME_STREAMS: &str = "streams+";
/// Names all streams.
const STREAMS: &str = "streams";

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
                let Memory { streams: _, $($part),* } = memory;
                $(if all || written.$part != *$part {
                    set.insert(stringify!($part).to_owned(), serde_json::to_value($part)?);
                    written.$part.clone_from($part);
                })*
            };
        }
        parts!(run phase child overlay limits restarts logs_of detectors rates metrics phases stalls progress gathering hints
            incidents recent_ids
            incidents_total history attempts last_attempt attempt_times escalated todo last_todo last_healthy watched);
        match memory.streams.since(self.streams) {
            News::Some(some) if !all => {
                if !some.is_empty() {
                    set.insert(SOME_STREAMS.to_owned(), serde_json::to_value(some)?);
                }
            }
            News::Some(_) | News::All => {
                set.insert(STREAMS.to_owned(), serde_json::to_value(&memory.streams)?);
            }
        }
        self.streams = memory.streams.revision();
        Ok(JournalLine { utc, notes, set })
    }

    /// Forgets what has been written: the next line holds the whole memory.
    pub fn forget(&mut self) {
        self.written = None;
    }
}

/// Most frames of a trace that stay in [`without_bulk`].
const FEW_FRAMES: usize = 50;
/// Most bytes of a text that stay.
const SHORT_TEXT: usize = 1024;

/// Drops from the memory what is large and can be done without, so that its line fits into the journal: the texts of traces
/// and all but their first frames, long messages, the groups of regular expressions. What has been seen, decided and is to
/// be done stays.
pub fn without_bulk(memory: &mut Memory) {
    if let Some(gathering) = &mut memory.gathering {
        gathering.candidates.iter_mut().for_each(make_light);
        gathering.others.iter_mut().for_each(|counted| shorten(&mut counted.message));
    }
    for note in &mut memory.incidents {
        make_light(&mut note.incident.root);
    }
    for intent in &mut memory.todo {
        if let Todo::WriteIncident { incident, .. } = &mut intent.todo {
            make_light(&mut incident.root);
            shorten(&mut incident.message);
        }
    }
}

fn make_light(detection: &mut Detection) {
    shorten(&mut detection.message);
    detection.captures.clear();
    if let Some(trace) = &mut detection.trace {
        trace.cut = true;
        trace.text.clear();
        shorten(&mut trace.message);
        trace.frames.truncate(FEW_FRAMES);
        trace.in_app_top = trace.in_app_top.filter(|at| *at < trace.frames.len());
        for frame in &mut trace.frames {
            frame.file.iter_mut().chain(&mut frame.function).for_each(shorten);
        }
    }
}

fn shorten(text: &mut String) {
    let end = text.floor_char_boundary(SHORT_TEXT);
    text.truncate(end);
}

/// The memory that a journal holds, and what in it could not be understood.
///
/// A part that does not parse is left at its default and named: a newer or damaged part must not cost the others.
pub fn replay(lines: impl IntoIterator<Item = JournalLine>) -> (Memory, Vec<String>) {
    let mut parts = Map::new();
    for mut line in lines {
        let some_streams = line.set.remove(SOME_STREAMS);
        parts.extend(line.set);
        if let Some(Value::Object(some)) = some_streams {
            change_streams(&mut parts, some);
        }
    }
    match serde_json::from_value(Value::Object(parts.clone())) {
        Ok(memory) => (memory, Vec::new()),
        Err(_) => replay_piecemeal(parts),
    }
}

fn change_streams(parts: &mut Map<String, Value>, some: Map<String, Value>) {
    let streams = parts.entry(STREAMS).or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(streams) = streams else { return };
    for (stream, facts) in some {
        if facts.is_null() {
            streams.remove(&stream);
        } else {
            streams.insert(stream, facts);
        }
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
    use crate::detect::{DetectorKind, Language, Severity, Trace, TraceFrame};
    use crate::ids::{ChildNo, DetectorName, RunId, StreamId};
    use crate::monitor::memory::{Gathering, Phase, RunFacts, StreamFacts};
    use crate::time::Watched;

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
    fn of_many_streams_only_those_that_changed_are_written() {
        let mut memory = memory();
        let facts = |lines| StreamFacts { lines, ..StreamFacts::default() };
        for rank in 0..4096 {
            memory.streams.insert(StreamId::new(format!("logs/rank_{rank}.log")), facts(1));
        }
        let mut differ = Differ::default();
        let mut lines = vec![differ.line(&memory, Vec::new(), Utc::from_millis(1)).unwrap()];
        memory.streams.insert(StreamId::new("logs/rank_7.log"), facts(2));
        memory.streams.remove(&StreamId::new("logs/rank_8.log"));
        lines.push(differ.line(&memory, Vec::new(), Utc::from_millis(2)).unwrap());
        let size = serde_json::to_string(&lines[1]).unwrap().len();
        assert!(size < 400, "{size}");
        assert_eq!(replay(lines.clone()), (memory.clone(), Vec::new()));
        memory.streams.clear();
        memory.streams.insert(StreamId::new("child-002"), facts(0));
        lines.push(differ.line(&memory, Vec::new(), Utc::from_millis(3)).unwrap());
        memory.streams.insert(StreamId::new("child-002"), facts(9));
        lines.push(differ.line(&memory, Vec::new(), Utc::from_millis(4)).unwrap());
        assert_eq!(replay(lines), (memory.clone(), Vec::new()));
        differ.forget();
        let whole = differ.line(&memory, Vec::new(), Utc::from_millis(5)).unwrap();
        assert_eq!(replay([whole]), (memory, Vec::new()), "compaction");
    }

    #[test]
    fn a_journal_of_an_older_version_is_read() {
        let line = r#"{"utc":1,"set":{"streams":{"child-001":{"position":{"consumed":9,"resume":4,"resume_line":1},"lines":2}}}}"#;
        let (memory, troubles) = replay([serde_json::from_str(line).unwrap()]);
        assert_eq!(troubles, Vec::<String>::new());
        let facts = memory.streams.get(&ChildNo(1).stream()).unwrap();
        assert_eq!((facts.position.consumed, facts.lines, facts.file), (9, 2, None));
    }

    #[test]
    fn without_bulk_what_was_seen_stays() {
        let trace = Trace {
            language: Language::Python,
            exception: Some("KeyError".into()),
            message: "é".repeat(SHORT_TEXT),
            frames: vec![TraceFrame { file: Some("a.py".into()), ..TraceFrame::default() }; 4096],
            in_app_top: Some(4095),
            cause_chain: Vec::new(),
            text: "x".repeat(Trace::MAX_TEXT),
            cut: false,
        };
        let seen = Detection {
            detector: DetectorName::new("traceback"),
            kind: DetectorKind::Traceback,
            severity: Severity::Error,
            stream: ChildNo(1).stream(),
            bytes: 0..10,
            lines: (1, 2),
            message: "é".repeat(SHORT_TEXT),
            captures: BTreeMap::from([("0".into(), "x".repeat(1 << 20))]),
            trace: Some(trace),
            class: None,
        };
        let gathering = Gathering {
            child: ChildNo(1),
            since: Watched::default(),
            last: Watched::default(),
            utc: Utc::from_millis(1),
            candidates: vec![seen.clone(); Gathering::MAX_CANDIDATES],
            arrived: Vec::new(),
            prints: Vec::new(),
            copies: Vec::new(),
            others: Vec::new(),
        };
        let mut light = Memory { gathering: Some(gathering), ..memory() };
        without_bulk(&mut light);
        let line = Differ::default().line(&light, Vec::new(), Utc::from_millis(1)).unwrap();
        assert!(serde_json::to_vec(&line).unwrap().len() < 200_000);
        let candidates = light.gathering.unwrap().candidates;
        assert_eq!(candidates.len(), Gathering::MAX_CANDIDATES);
        assert_eq!((&candidates[0].detector, &candidates[0].bytes), (&seen.detector, &seen.bytes));
        assert_eq!(candidates[0].trace.as_ref().unwrap().exception.as_deref(), Some("KeyError"));
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
