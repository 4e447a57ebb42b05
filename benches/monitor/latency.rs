//! From the write of a failing line to its incident's row in the index.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use sentry::os::wait;

use super::project::Project;
use super::{Result, Size, child, percentile, row};

const COMMON: &str = "healing: {settle_seconds: 0}\nretention: {max_incidents: 0}\n";

/// One line, no frames; next to it what a file that is written and flushed in the same way costs on this disk.
pub(super) fn lines(size: Size) -> Result<()> {
    let count = if size == Size::Whole { 300 } else { 20 };
    let detector = "detectors: [{name: failed, kind: pattern, regex: 'FAILED \\d+ at \\d+', cooldown_seconds: 0}]\n";
    let mut project = Project::new(&["failures", &count.to_string(), "60"], &format!("{COMMON}{detector}"))?;
    let mut took = measure(&mut project, count)?;
    let mut flushes = floor(&project)?;
    println!("{} of {count} failures seen", took.len());
    row("failing line to row, median", percentile(&mut took, 50), 3.0, "ms");
    row("failing line to row, 99th percentile", percentile(&mut took, 99), 15.0, "ms");
    println!("{:<52} {:>9.3} ms", "floor: write and flush one small file, median", percentile(&mut flushes, 50));
    println!("{:<52} {:>9.3} ms", "floor, 99th percentile", percentile(&mut flushes, 99));
    Ok(())
}

/// A trace of 60 frames from 20 files of 2,000 lines.
pub(super) fn frames(size: Size) -> Result<()> {
    let count = if size == Size::Whole { 60 } else { 5 };
    let rest = format!(
        "{COMMON}source_explode: {{max_frames: 60}}\ndetectors: [{{name: traceback, kind: traceback, cooldown_seconds: 0}}]\n"
    );
    let mut project = Project::new(&["traces", &count.to_string(), "150"], &rest)?;
    for file in 0..child::FILES {
        std::fs::write(project.path(&format!("source_{file}.py")), source())?;
    }
    let mut took = measure(&mut project, count)?;
    println!("{} of {count} failures seen", took.len());
    row("60 frames, median", percentile(&mut took, 50), 50.0, "ms");
    row("60 frames, 99th percentile", percentile(&mut took, 99), 50.0, "ms");
    Ok(())
}

/// Milliseconds of each failure. The index is watched, not polled: a busy reader would take a core from the monitor.
fn measure(project: &mut Project, count: usize) -> Result<Vec<f64>> {
    let index = project.path(".sentry/incidents/index.jsonl");
    std::fs::create_dir_all(index.parent().ok_or("no parent")?)?;
    File::create(&index)?;
    let watch = inotify::init(CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, &index, WatchFlags::MODIFY)?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    let mut rows = File::open(&index)?;
    project.start()?;
    let mut took = Vec::new();
    let mut text = String::new();
    while took.len() < count {
        // Failures that came too fast for this machine are one incident, and then some rows never come.
        if !wait::wait(&[watch.as_fd()], Some(Duration::from_secs(2)))?.any() {
            break;
        }
        events.next()?;
        let now = child::shared_clock();
        rows.seek(SeekFrom::Start(text.len() as u64))?;
        let before = text.len();
        rows.read_to_string(&mut text)?;
        for line in text.get(before..).unwrap_or_default().lines() {
            if let Some(printed) = printed_at(line) {
                took.push((now - printed) as f64 / 1e6);
            }
        }
    }
    Ok(took)
}

fn printed_at(row: &str) -> Option<i128> {
    let after = row.split_once(" at ")?.1;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What the disk takes for one small file, flushed.
fn floor(project: &Project) -> Result<Vec<f64>> {
    let flush = |path: &Path| -> Result<f64> {
        let start = Instant::now();
        let mut file = File::create(path)?;
        std::io::Write::write_all(&mut file, &[b'x'; 4096])?;
        file.sync_all()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..100)
        .map(|number| {
            std::thread::sleep(Duration::from_millis(5));
            flush(&project.path(&format!("floor-{number}")))
        })
        .collect()
}

fn source() -> String {
    let mut source = String::from("import os\n");
    let mut number = 0;
    while source.lines().count() < 2000 {
        number += 1;
        source += &format!("\n\ndef load_{number}(path, retries=3):\n");
        for step in 0..16 {
            source +=
                &format!("    rows_{step} = [row.strip().split(',') for row in open(path) if row and row[0] != '#']\n");
        }
    }
    source
}
