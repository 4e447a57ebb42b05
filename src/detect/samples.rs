//! Holds the classes of the catalogue to the sample lines that stand beside them.

use std::sync::Arc;
use std::time::Duration;

use super::{CompileError, DetectorSet, Flush, Position, Scanner};
use crate::config::{Detector, Entry, What};
use crate::ids::{ClassName, DetectorName, StreamId};

/// A sample line that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Whose sample it is.
    pub class: ClassName,
    /// The line.
    pub line: String,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A `match` line on which its class does not fire.
    Silent,
    /// A `no_match` line on which its own class fires.
    Fires,
    /// A `no_match` line on which another class fires.
    OtherFires(ClassName),
}

/// All samples that do not hold: each class fires on its `match` lines, and none on a `no_match` line of any.
///
/// # Errors
/// The patterns cannot be compiled.
pub fn broken(entries: &[Arc<Entry>]) -> Result<Vec<Broken>, CompileError> {
    let detectors: Vec<Detector> = entries.iter().map(detector).collect();
    let set = Arc::new(DetectorSet::compile(&detectors)?);
    let mut out = Vec::new();
    for entry in entries {
        let mut say = |line: &str, why| out.push(Broken { class: entry.name().clone(), line: line.to_owned(), why });
        for line in &entry.matches {
            if !fired(&set, line).contains(entry.name()) {
                say(line, Why::Silent);
            }
        }
        for line in &entry.no_matches {
            for class in fired(&set, line) {
                say(line, if class == *entry.name() { Why::Fires } else { Why::OtherFires(class) });
            }
        }
    }
    Ok(out)
}

/// The classes that fire on some lines.
pub fn fired(set: &Arc<DetectorSet>, lines: &str) -> Vec<ClassName> {
    let mut scanner = Scanner::new(Arc::clone(set), StreamId::new("sample"), Position::START);
    let mut found = scanner.feed(lines.as_bytes()).detections;
    found.extend(scanner.flush(Flush::End).detections);
    found.into_iter().filter_map(|detection| detection.class).map(|class| class.name).collect()
}

fn detector(entry: &Arc<Entry>) -> Detector {
    Detector {
        name: DetectorName::new(entry.name().as_str()),
        severity: entry.severity,
        cooldown: Duration::ZERO,
        what: What::Class(Arc::clone(entry)),
    }
}
