//! Many files of `process.logs`.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::project::Project;
use super::{Result, Size, row};

const DETECTORS: &str = "healing: {settle_seconds: 2}
detectors:
  - {name: traceback, kind: traceback}
  - {name: exit_code, kind: exit_code}
";

pub(super) fn main(size: Size) -> Result<()> {
    ranks(if size == Size::Whole { 1024 } else { 32 })?;
    let (files, seconds) = if size == Size::Whole { (4096, 20) } else { (64, 1) };
    let alone = idle(0, "ten-lines", seconds)?;
    let among_many = idle(files, "ten-lines", seconds)?;
    row(&format!("one busy file among {files}: processor"), among_many.cpu * 100.0, 1.0, "%");
    println!("{:<52} {:>9.3} %", "  the same file alone", alone.cpu * 100.0);
    let each = (among_many.anonymous_kib - alone.anonymous_kib) * 1024.0 / f64::from(files);
    row("memory for each idle file", each, 4096.0, "bytes");
    let storm = idle(files, "all-files", seconds)?;
    println!("{:<52} {:>9.3} %", format!("{files} files, each a line a second: processor"), storm.cpu * 100.0);
    println!("{:<52} {:>9.3} MiB", "  most memory (VmHWM)", storm.peak_kib / 1024.0);
    Ok(())
}

/// All ranks print a traceback into files of their own within two seconds.
fn ranks(count: u32) -> Result<()> {
    let mut project = Project::new_with(&["ranks", &count.to_string()], "logs: ['logs/rank_*.log']", DETECTORS)?;
    project.start()?;
    project.until("ready", |project| Ok(project.path("ready").exists()))?;
    let before = project.cpu()?;
    fs::write(project.path("go"), "")?;
    let seen = |project: &Project| {
        let state = project.state()?;
        let count_of = |at: &str| state.pointer(at).and_then(|count| count.as_u64()).unwrap_or(0);
        let all = count_of("/detectors/traceback/detections") == u64::from(count);
        Ok(all && count_of("/incidents_total") == 1)
    };
    project.until("all ranks in one incident", seen)?;
    // What is still being written and counted belongs to it.
    sleep(Duration::from_secs(2));
    let used = project.cpu()?.saturating_sub(before);
    if !seen(&project)? {
        return Err("more than one incident".into());
    }
    let index = fs::read_to_string(project.path(".sentry/incidents/index.jsonl"))?;
    let first = format!("rank {}", count / 2);
    if !index.contains(&first) {
        return Err(format!("the first was {first}: {index}").into());
    }
    row(&format!("{count} ranks fail together: processor"), used.as_secs_f64(), 1.0, "s");
    println!("{:<52} {:>9.3} MiB", "  most memory (VmHWM)", project.status_kib("VmHWM")? as f64 / 1024.0);
    Ok(())
}

struct Cost {
    /// Cores.
    cpu: f64,
    anonymous_kib: f64,
    peak_kib: f64,
}

fn idle(files: u32, role: &str, seconds: u64) -> Result<Cost> {
    let mut project = Project::new_with(&[role, &files.to_string()], "logs: ['logs/*.log']", DETECTORS)?;
    project.start()?;
    project.until("ready", |project| Ok(project.path("ready").exists()))?;
    sleep(Duration::from_secs(3));
    let (start, before) = (Instant::now(), project.cpu()?);
    sleep(Duration::from_secs(seconds));
    let cpu = project.cpu()?.saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64();
    let anonymous_kib = project.status_kib("RssAnon")? as f64;
    Ok(Cost { cpu, anonymous_kib, peak_kib: project.status_kib("VmHWM")? as f64 })
}
