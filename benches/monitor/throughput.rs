//! A child that prints as fast as it can: under supervision and into a plain file of the same file system, in turns.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::project::Project;
use super::{Result, Size, child, median, row};

const DETECTORS: &str = "detectors:
  - {name: marker, kind: pattern, regex: 'PLANTED MARKER (\\d+)', severity: info, cooldown_seconds: 3600}
  - {name: out_of_memory, kind: pattern, regex: 'CUDA out of memory|OutOfMemoryError|MemoryError\\b|std::bad_alloc'}
  - {name: traceback, kind: traceback}
  - {name: exit_code, kind: exit_code}
";

pub(super) fn main(size: Size) -> Result<()> {
    let (bytes, pairs) = if size == Size::Whole { (1_000_000_000, 5) } else { (20_000_000, 1) };
    for (name, write) in [("64 KiB a write", 65_536), ("line by line", 0)] {
        let (mut plain, mut supervised, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut peak = 0;
        for pair in 0..pairs {
            // Either goes first as often as the other.
            let (alone, watched);
            if pair % 2 == 0 {
                alone = plainly(bytes, write)?;
                watched = supervise(bytes, write, &mut peak)?;
            } else {
                watched = supervise(bytes, write, &mut peak)?;
                alone = plainly(bytes, write)?;
            }
            println!("{name}: plain {alone:.3} s, supervised {watched:.3} s, ratio {:.3}", watched / alone);
            plain.push(alone);
            supervised.push(watched);
            ratios.push(watched / alone);
        }
        row(&format!("{name}: slower by (median of {pairs} pairs)"), (median(&mut ratios) - 1.0) * 100.0, 5.0, "%");
        println!("{:<52} {:>9.3} s plain, {:.3} s supervised", "medians", median(&mut plain), median(&mut supervised));
        row(&format!("{name}: most memory of the monitor (VmHWM)"), peak as f64 / 1024.0, 32.0, "MiB");
    }
    Ok(())
}

fn plainly(bytes: u64, write: usize) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let took = dir.path().join("took");
    let arguments =
        [child::ROLE, "flood", &bytes.to_string(), &write.to_string(), &took.display().to_string()].map(str::to_owned);
    settle();
    let log = File::create(dir.path().join("log"))?;
    let status = Command::new(std::env::current_exe()?).args(arguments).stdin(Stdio::null()).stdout(log).status()?;
    if !status.success() {
        return Err("the plain child failed".into());
    }
    Ok(fs::read_to_string(took)?.parse()?)
}

fn supervise(bytes: u64, write: usize, peak: &mut u64) -> Result<f64> {
    let place = tempfile::tempdir()?;
    let took = place.path().join("took");
    let mut project =
        Project::new(&["flood", &bytes.to_string(), &write.to_string(), &took.display().to_string()], DETECTORS)?;
    settle();
    project.start()?;
    while !project.is_over()? {
        *peak = project.status_kib("VmHWM").unwrap_or(0).max(*peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    let found = project.state()?.pointer("/detectors/marker/detections").and_then(|count| count.as_u64()).unwrap_or(0);
    if found != child::markers(bytes) {
        return Err(format!("{found} of {} markers found", child::markers(bytes)).into());
    }
    Ok(fs::read_to_string(took)?.parse()?)
}

/// What the run before has left to be written must not slow this one.
fn settle() {
    rustix::fs::sync();
}
