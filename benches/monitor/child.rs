//! The supervised side: this very program in another role.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::Result;

/// First argument of a child.
pub(super) const ROLE: &str = "--child";
/// Files and frames of the long trace.
pub(super) const FILES: usize = 20;
const FRAMES: usize = 60;
/// Bytes from one planted marker to the next.
const MARKER_EVERY: u64 = 10_000_000;

/// argv of a child: `failures N GAP_MS`, `traces N GAP_MS`, `flood BYTES WRITE TIME_FILE`, `silent`, `ten-a-second`.
pub(super) fn command(args: &[&str]) -> Result<String> {
    let mut words = vec![std::env::current_exe()?.display().to_string(), ROLE.to_owned()];
    words.extend(args.iter().map(|arg| (*arg).to_owned()));
    Ok(serde_json::to_string(&words)?)
}

/// Time that parent and child share, nanoseconds.
pub(super) fn shared_clock() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

pub(super) fn main(args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["failures", count, gap] => fail(count.parse()?, gap.parse()?, |number, out| {
            write!(out, "step {number} begins\nFAILED {number} at {}\n", shared_clock())
        }),
        ["traces", count, gap] => fail(count.parse()?, gap.parse()?, print_trace),
        ["flood", bytes, write, time_file] => {
            let took = flood(bytes.parse()?, write.parse()?)?;
            Ok(std::fs::write(time_file, took.as_secs_f64().to_string())?)
        }
        ["silent"] => loop {
            sleep(Duration::from_secs(3600));
        },
        ["ten-a-second"] => {
            for step in 0_u64.. {
                writeln!(io::stdout(), "step {step} loss 0.3141 lr 2.9e-04 grad_norm 0.1 18231 tok/s")?;
                sleep(Duration::from_millis(100));
            }
            Ok(())
        }
        ["ranks", count] => fail_together(count.parse()?),
        ["ten-lines", count] => many_files(count.parse()?, |files, _| files.last_mut().into_iter().collect(), 100),
        ["all-files", count] => many_files(count.parse()?, |files, _| files.iter_mut().collect(), 1000),
        other => Err(format!("no such child: {other:?}").into()),
    }
}

/// A file for each rank; all of them fail within two seconds, the one in the middle first.
fn fail_together(count: u32) -> Result<()> {
    std::fs::create_dir_all("logs")?;
    let open = |rank| File::create(format!("logs/rank_{rank}.log"));
    let mut files: Vec<File> = (0..count).map(open).collect::<io::Result<_>>()?;
    for (rank, file) in files.iter_mut().enumerate() {
        writeln!(file, "INFO rank {rank} of {count} is ready")?;
    }
    File::create("ready")?;
    while !std::path::Path::new("go").exists() {
        sleep(Duration::from_millis(5));
    }
    let first = files.len() / 2;
    let order = std::iter::once(first).chain((0..files.len()).filter(|rank| *rank != first));
    for rank in order {
        let mut trace = Vec::new();
        writeln!(trace, "Traceback (most recent call last):")?;
        for frame in 0..12 {
            writeln!(trace, "  File \"/app/train.py\", line {}, in step_{frame}\n    loss = reduce(x)", 100 + frame)?;
        }
        writeln!(trace, "RuntimeError: NCCL communicator was aborted on rank {rank}.")?;
        let Some(file) = files.get_mut(rank) else { break };
        // As a process does that writes its lines one by one.
        trace.split_inclusive(|byte| *byte == b'\n').try_for_each(|line| file.write_all(line))?;
        sleep(Duration::from_micros(if rank == first { 100_000 } else { 1_500 }));
    }
    sleep(Duration::from_secs(3600));
    Ok(())
}

/// So many silent files besides the last one, in which something is written now and then.
fn many_files(count: u32, pick: impl Fn(&mut Vec<File>, u64) -> Vec<&mut File>, every_ms: u64) -> Result<()> {
    std::fs::create_dir_all("logs")?;
    let open = |number| File::create(format!("logs/file_{number}.log"));
    let mut files: Vec<File> = (0..=count).map(open).collect::<io::Result<_>>()?;
    for file in &mut files {
        writeln!(file, "INFO ready")?;
    }
    File::create("ready")?;
    for step in 0_u64.. {
        for file in pick(&mut files, step) {
            writeln!(file, "step {step} loss 0.3141 lr 2.9e-04 grad_norm 0.1 18231 tok/s")?;
        }
        sleep(Duration::from_millis(every_ms));
    }
    Ok(())
}

fn fail(count: u64, gap_ms: u64, print: impl Fn(u64, &mut Vec<u8>) -> io::Result<()>) -> Result<()> {
    let mut out = Vec::new();
    for number in 0..count {
        // Not in step with any clock of the monitor.
        sleep(Duration::from_micros(gap_ms * 1000 + (number * 7919) % 5000));
        out.clear();
        print(number, &mut out)?;
        io::stdout().write_all(&out)?;
        io::stdout().flush()?;
    }
    sleep(Duration::from_millis(500));
    Ok(())
}

/// A log record behind the trace says that its message is over.
fn print_trace(number: u64, out: &mut Vec<u8>) -> io::Result<()> {
    writeln!(out, "Traceback (most recent call last):")?;
    for frame in 0..FRAMES {
        let (file, line) = (frame % FILES, 104 + frame * 29);
        writeln!(out, "  File \"source_{file}.py\", line {line}, in load_{frame}")?;
        writeln!(out, "    rows = load(path)")?;
    }
    write!(out, "ValueError: FAILED {number} at {}\nINFO step {number} goes on\n", shared_clock())
}

/// Markers in a flood of so many bytes.
pub(super) fn markers(bytes: u64) -> u64 {
    bytes / MARKER_EVERY
}

/// Prints log lines as fast as it can, so many bytes a write; a write of 0 bytes means line by line.
fn flood(bytes: u64, write: usize) -> Result<Duration> {
    // `io::stdout` has a buffer of its own; the descriptor has none.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let lines: Vec<Vec<u8>> = (0..997_u64)
        .map(|step| format!("2026-11-21 04:12:33.{:03} | rank 0 | step {step}/500000 | loss 0.{:04} | lr 2.9e-04 | 18231 tok/s | mem 61.2GiB\n", step % 1000, step * 7).into_bytes())
        .collect();
    let mut block = Vec::with_capacity(write + 256);
    let (mut written, mut marked) = (0_u64, 0_u64);
    let start = Instant::now();
    for line in lines.iter().cycle() {
        if written >= bytes {
            break;
        }
        block.extend_from_slice(line);
        written += line.len() as u64;
        if marked < written / MARKER_EVERY && marked < markers(bytes) {
            marked += 1;
            block.extend_from_slice(format!("PLANTED MARKER {marked}\n").as_bytes());
        }
        if block.len() >= write {
            out.write_all(&block)?;
            block.clear();
        }
    }
    out.write_all(&block)?;
    Ok(start.elapsed())
}
