//! What the monitor costs: `cargo bench --bench monitor -- [latency] [frames] [throughput] [idle] [start] [streams]`, all unless told.
//!
//! Each table has a floor measured in the same run, because an absolute figure says more about the machine than about the
//! program. Figures of a run are in docs/performance.md.

#![expect(clippy::print_stdout, reason = "a program for people")]
#![expect(clippy::disallowed_methods, reason = "starts processes, reads files and clocks, which is what it measures")]

mod child;
mod idle;
mod latency;
mod project;
mod start;
mod streams;
mod throughput;

use std::error::Error;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    /// What the figures of docs/performance.md are made of.
    Whole,
    /// Enough to see that it works: `cargo test --benches`.
    Taste,
}

/// A name, and what it measures.
type Part = (&'static str, fn(Size) -> Result<()>);

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, rest)) = args.split_first()
        && role == child::ROLE
    {
        return child::main(rest);
    }
    // Test runners ask what tests there are; there are none.
    if args.iter().any(|arg| arg == "--list") {
        return Ok(());
    }
    let size = if args.iter().any(|arg| arg == "--bench") { Size::Whole } else { Size::Taste };
    let named: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.contains(&name);
    let parts: [Part; 6] = [
        ("start", start::main),
        ("latency", latency::lines),
        ("frames", latency::frames),
        ("throughput", throughput::main),
        ("idle", idle::main),
        ("streams", streams::main),
    ];
    for (name, part) in parts.into_iter().filter(|(name, _)| wanted(name)) {
        println!("\n== {name}");
        part(size)?;
    }
    Ok(())
}

/// The value below which so many hundredths of the values lie.
fn percentile(values: &mut [f64], hundredths: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * hundredths).div_ceil(100).saturating_sub(1);
    values.get(at).copied().unwrap_or(f64::NAN)
}

fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50)
}

/// One line of a table: what, figure, target, and whether it is met.
fn row(what: &str, figure: f64, target: f64, unit: &str) {
    let verdict = if figure <= target { "ok" } else { "MISSED" };
    println!("{what:<52} {figure:>9.3} {unit:<6} target {target:>7.2}  {verdict}");
}
