//! New lines before a failure: the end of the failing child's log against the log of the last child that finished its work,
//! or against the earlier part of its own.
#![expect(clippy::disallowed_methods, reason = "a process of its own, which may read as long as its deadline allows")]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::detect::ansi;
use crate::incident::novelty::{Miner, NewLine, new_lines};
use crate::store::evidence;
use crate::supervisor::record::ChildRecord;

/// Lines before the failure that are looked at, and their most bytes.
const RECENT: (usize, u64) = (500, 256 * 1024);
/// Most bytes of a healthy log that are learned from, in pieces spread over the whole of it.
const LEARNED: u64 = 32 * 1024 * 1024;
const PIECE: u64 = 1024 * 1024;

/// Where a failure stands in a child's log.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The log, in the folder of its run.
    pub(super) log: PathBuf,
    /// Byte offset at which the failure begins.
    pub(super) until: u64,
    /// Number of that line.
    pub(super) line: u64,
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is nothing to compare with.
    Nothing,
    /// What was never printed before; and in which log it was looked for, in words.
    New(Vec<NewLine>, String),
    /// That log says so much that is different that nothing can be told to be new.
    TooVaried(String),
}

/// Looks for lines that were never printed before.
pub(super) fn find(place: &Place) -> io::Result<Found> {
    let (lines, bytes) = RECENT;
    let recent = evidence::last_lines(&place.log, place.until, lines, bytes).map_err(io::Error::other)?;
    let mut known = Miner::default();
    let healthy = last_healthy(&place.log);
    let compared = match &healthy {
        Some(record) => {
            let log = log_of(&place.log, record);
            learn(&mut known, &log, u64::MAX)?;
            format!("child {} of run {}, which finished its work", record.child, record.run)
        }
        None if recent.start == 0 => return Ok(Found::Nothing),
        None => {
            learn(&mut known, &place.log, recent.start)?;
            "what this child had printed before".to_owned()
        }
    };
    if known.is_full() {
        return Ok(Found::TooVaried(compared));
    }
    let texts: Vec<String> = recent.bytes.split(|byte| *byte == b'\n').map(text).collect();
    let texts = texts.strip_suffix(&[String::new()]).unwrap_or(&texts);
    let first = place.line.saturating_sub(texts.len() as u64);
    let numbered = (first..).zip(texts).map(|(number, text)| (number, text.as_str()));
    Ok(Found::New(new_lines(&known, numbered), compared))
}

/// The newest child of this or an earlier run that finished its work and whose log is still there.
fn last_healthy(log: &Path) -> Option<ChildRecord> {
    let run = log.parent()?;
    let mut best: Option<ChildRecord> = None;
    for run in std::fs::read_dir(run.parent()?).ok()?.flatten() {
        for entry in std::fs::read_dir(run.path()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            // Records that cannot be read are no healthy children.
            let Ok(Some(record)) = ChildRecord::read(&path) else { continue };
            let finished = record.exit.as_ref().is_some_and(|exit| exit.is_success() && !exit.stop_requested);
            let newer = best.as_ref().is_none_or(|best| best.ended < record.ended);
            if finished && newer && log_of(log, &record).is_file() && log_of(log, &record) != log {
                best = Some(record);
            }
        }
    }
    best
}

fn log_of(log: &Path, record: &ChildRecord) -> PathBuf {
    let runs = log.parent().and_then(Path::parent).unwrap_or(log);
    runs.join(record.run.as_str()).join(format!("{}.log", record.child.stem()))
}

/// Learns from the first `end` bytes of a log: all of them, or pieces spread evenly.
fn learn(known: &mut Miner, log: &Path, end: u64) -> io::Result<()> {
    let file = File::open(log)?;
    let end = file.metadata()?.len().min(end);
    let pieces = end.div_ceil(PIECE).clamp(1, LEARNED / PIECE);
    for piece in 0..pieces {
        let start = if pieces == 1 { 0 } else { (end.saturating_sub(PIECE)) / (pieces - 1) * piece };
        let length = usize::try_from(PIECE.min(end - start)).unwrap_or(0);
        let mut bytes = vec![0; length];
        let read = file.read_at(&mut bytes, start)?;
        bytes.truncate(read);
        let mut lines = bytes.split(|byte| *byte == b'\n');
        if start > 0 {
            lines.next(); // It begins in the middle.
        }
        lines.for_each(|line| known.learn(&text(line)));
    }
    Ok(())
}

/// A line as a person sees it: without escapes, and of a progress bar what stands last.
fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let shown = line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line);
    String::from_utf8_lossy(&ansi::strip(shown)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StopSignal;
    use crate::detect::ending::{Ending, Exit, OutOfMemory};
    use crate::ids::{ChildNo, RunId};
    use crate::time::Utc;

    fn record(runs: &Path, run: &str, child: u32, code: i32, ended: i64, log: &str) -> PathBuf {
        let folder = runs.join(run);
        std::fs::create_dir_all(&folder).unwrap();
        let mut record =
            ChildRecord::asked(RunId::new(run), ChildNo(child), Utc::from_millis(0), StopSignal::Term, 1000);
        record.exit = Some(Exit {
            ending: Ending::Exited { code },
            oom: OutOfMemory::NoSign,
            leftovers: 0,
            stop_requested: false,
            killed: false,
        });
        record.ended = Some(Utc::from_millis(ended));
        let stem = ChildNo(child).stem();
        std::fs::write(folder.join(format!("{stem}.json")), serde_json::to_vec(&record).unwrap()).unwrap();
        let path = folder.join(format!("{stem}.log"));
        std::fs::write(&path, log).unwrap();
        path
    }

    #[test]
    fn the_last_finished_child_is_the_measure_else_its_own_past() {
        let dir = tempfile::tempdir().unwrap();
        let failing = "INFO step 1\nWARN disk is slow\nINFO step 2\nTraceback\n";
        let until = failing.find("Traceback").unwrap() as u64;
        let log = record(dir.path(), "r2", 1, 1, 30, failing);
        let place = Place { log, until, line: 4 };
        assert_eq!(find(&place).unwrap(), Found::Nothing);

        record(dir.path(), "r1", 1, 0, 10, "INFO step 1\n");
        record(dir.path(), "r1", 2, 1, 20, "WARN disk is slow\n");
        let new = vec![NewLine { line: 2, text: "WARN disk is slow".into(), count: 1 }];
        let compared = "child 1 of run r1, which finished its work".to_owned();
        assert_eq!(find(&place).unwrap(), Found::New(new, compared), "child 2 of r1 had failed");

        let mut long = "INFO step 1 of 9\n".repeat(2_000);
        let before = long.lines().count() as u64;
        long.push_str("WARN disk is slow\nTraceback\n");
        let alone = tempfile::tempdir().unwrap();
        let until = long.find("Traceback").unwrap() as u64;
        let log = record(alone.path(), "r1", 1, 1, 30, &long);
        let new = vec![NewLine { line: before + 1, text: "WARN disk is slow".into(), count: 1 }];
        let own = "what this child had printed before".to_owned();
        assert_eq!(find(&Place { log, until, line: before + 2 }).unwrap(), Found::New(new, own.clone()));

        let letters = |n: u32| n.to_string().bytes().map(|digit| char::from(digit + 49)).collect::<String>();
        let mut varied: String = (0..30_000).map(|n| format!("{} {}\n", letters(n), letters(n * 7))).collect();
        let until = varied.len() as u64;
        varied.push_str("Traceback\n");
        let log = record(alone.path(), "r1", 1, 1, 30, &varied);
        assert_eq!(find(&Place { log, until, line: 30_001 }).unwrap(), Found::TooVaried(own));
    }
}
