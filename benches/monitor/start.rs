//! Commands that people and scripts wait for.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::project::SENTRY;
use super::{Result, Size, median, row};

const INCIDENTS: u64 = 10_000;

pub(super) fn main(size: Size) -> Result<()> {
    let rounds = if size == Size::Whole { 101 } else { 5 };
    let dir = tempfile::tempdir()?;
    fs::create_dir_all(dir.path().join(".sentry/incidents"))?;
    fs::write(dir.path().join("sentry.yaml"), "process: {command: [make, train]}\n")?;
    let mut index = fs::File::create(dir.path().join(".sentry/incidents/index.jsonl"))?;
    for number in 0..INCIDENTS {
        writeln!(index, "{}", index_row(number))?;
    }
    let runs: [(&str, &[&str], f64); 4] = [
        ("sentry --version", &["--version"], 5.0),
        ("sentry incidents list, 10,000 incidents", &["incidents", "list"], 30.0),
        ("sentry incidents list --json, 10,000 incidents", &["incidents", "list", "--json"], 30.0),
        ("sentry status", &["status"], 30.0),
    ];
    // In turns, so that all of them see the same weather.
    let mut took = vec![Vec::new(); runs.len() + 1];
    for _ in 0..rounds {
        let floor: (&str, &[&str]) = ("true", &[]);
        for (took, (program, args)) in
            took.iter_mut().zip(runs.iter().map(|(_, args, _)| (SENTRY, *args)).chain([floor]))
        {
            let mut command = Command::new(program);
            command.args(args).current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let start = Instant::now();
            command.status()?;
            took.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    for ((name, _, target), took) in runs.iter().zip(&mut took) {
        row(&format!("{name}, median"), median(took), *target, "ms");
    }
    if let Some(floor) = took.last_mut() {
        println!("{:<52} {:>9.3} ms", "floor: true, median", median(floor));
    }
    Ok(())
}

fn index_row(number: u64) -> String {
    let (hour, minute, second) = (number / 3600 % 24, number / 60 % 60, number % 60);
    let id = format!("2026-11-{:02}T{hour:02}-{minute:02}-{second:02}Z-error-traceback", 1 + number / 86_400);
    let utc = 1_793_491_200_000 + number * 1000;
    let short = number.wrapping_mul(0x9e37_79b1) & 0xffff_ffff;
    format!(
        "{{\"schema\":1,\"short\":\"{short:08x}\",\"id\":\"{id}\",\"utc\":{utc},\"run\":\"20261101T000000Z-0001\",\"child\":{number},\"kind\":\"error\",\
         \"detector\":\"traceback\",\"detector_kind\":\"traceback\",\"severity\":\"error\",\"category\":\"runtime\",\
         \"fingerprint\":\"v1:a7a78c44341009c1\",\"message\":\"RuntimeError: shapes (512, {number}) and (511, 8) do not fit\",\
         \"language\":\"python\",\"exception\":\"RuntimeError\",\"rule\":null,\"action\":null,\"bytes\":10384}}"
    )
}
