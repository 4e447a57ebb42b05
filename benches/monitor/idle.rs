//! A monitor with nothing to do, and with little.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::project::Project;
use super::{Result, Size, row};

pub(super) fn main(size: Size) -> Result<()> {
    let whole = size == Size::Whole;
    let (settle, watch) = if whole { (5, 60) } else { (1, 2) };
    let mut projects = Vec::new();
    for role in ["silent", "ten-a-second"] {
        let mut project = Project::new(&[role], "")?;
        project.start()?;
        projects.push((role, project));
    }
    sleep(Duration::from_secs(settle));
    let start = Instant::now();
    let mut before = Vec::new();
    for (_, project) in &projects {
        before.push((project.cpu()?, project.wakes()?));
    }
    sleep(Duration::from_secs(watch));
    for ((role, project), (cpu, wakes)) in projects.iter().zip(before) {
        let seconds = start.elapsed().as_secs_f64();
        let spent = project.cpu()?.saturating_sub(cpu).as_secs_f64();
        row(&format!("{role}: processor"), spent / seconds * 100.0, 0.1, "%");
        row(&format!("{role}: resident (VmRSS)"), project.status_kib("VmRSS")? as f64 / 1024.0, 12.0, "MiB");
        let anonymous = project.status_kib("RssAnon")? as f64 / 1024.0;
        println!(
            "{:<52} {anonymous:>9.3} MiB, {} wakes in {seconds:.0} s",
            "  of it its own (RssAnon)",
            project.wakes()? - wakes
        );
    }
    Ok(())
}
