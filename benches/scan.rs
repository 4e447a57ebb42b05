//! How fast is a log scanned? `cargo bench --bench scan -- [MEGABYTES]`, 256 unless told.
//!
//! Writes a log as training runs and services print them (the same bytes each time), then reads it in chunks of 256 KiB: once counting
//! line ends only, as the floor, then with 11, 49 and 199 patterns. Best of three; one thread; CPU is user and system time.
//! In the same run, where they are installed: `wc -l`, and `rg -a -c -j1 --no-unicode` with the same patterns (and with those of
//! all trace starters).

#![expect(clippy::print_stdout, reason = "a program for people")]
#![expect(clippy::disallowed_methods, reason = "reads a file and clocks, which is what it measures")]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sentry::config::{Detector, What};
use sentry::detect::confine::check_pattern;
use sentry::detect::traceback::Driver;
use sentry::detect::{DetectorSet, Flush, Position, Scanner, Severity};
use sentry::ids::{DetectorName, StreamId};

const CHUNK: usize = 256 * 1024;
const ROUNDS: u32 = 3;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`, `cargo test --benches` adds nothing: then a small log shows that it works.
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let benched = std::env::args().any(|argument| argument == "--bench");
    let megabytes = numbers.first().copied().unwrap_or(if benched { 256 } else { 2 });

    let directory = tempfile::tempdir()?;
    let log = directory.path().join("log");
    let lines = write_log(&log, megabytes * 1_000_000)?;
    println!("{megabytes} MB, {lines} lines, {CHUNK} bytes a read");
    println!("{:<32} {:>8} {:>12} {:>10} {:>9}", "", "GB/s", "CPU s/GB", "compile", "hits");

    let floor = measure(|| read(&log, |chunk, hits| *hits += memchr::memchr_iter(b'\n', chunk).count() as u64))?;
    report("read, count line ends", &floor, Duration::ZERO, megabytes);
    program("wc -l", Command::new("wc").arg("-l").arg(&log), megabytes)?;
    let (eleven, forty_nine, many) = patterns();
    // Without Unicode `rg` takes no other letters in a pattern.
    let ascii = Driver::new(&[]).starters().into_iter().filter(|starter| starter.is_ascii());
    let starters: Vec<String> = forty_nine.iter().cloned().chain(ascii).collect();
    let lists = [("11", &eleven), ("49", &forty_nine), ("199", &many), ("49 + trace starters", &starters)];
    for (name, patterns) in lists {
        let file = directory.path().join("patterns");
        std::fs::write(&file, patterns.join("\n"))?;
        let mut rg = Command::new("rg");
        rg.args(["-a", "-c", "-j1", "--no-unicode", "--dfa-size-limit", "100M", "-f"]).arg(&file).arg(&log);
        program(&format!("rg, {name} patterns"), &mut rg, megabytes)?;
    }
    let rows: [(&str, &[String], bool, Option<&str>); 7] = [
        ("11 patterns", &eleven, false, None),
        ("49 patterns", &forty_nine, false, None),
        ("199 patterns", &many, false, None),
        ("49 patterns, traces, progress", &forty_nine, true, None),
        // On 54 % of the lines; a value of each is a hit.
        ("… and every `loss (\\S+)`", &forty_nine, true, Some(r"loss (\S+)")),
        ("… and every `loss[=: ]+(\\S+)`", &forty_nine, true, Some(r"loss[=: ]+(\S+)")),
        ("… and every `step \\d+.*loss (\\S+)`", &forty_nine, true, Some(r"step \d+.*loss ([\d.]+)")),
    ];
    for (name, patterns, everything, metric) in rows {
        let start = Instant::now();
        let set = Arc::new(DetectorSet::compile(&detectors(patterns, everything, metric)?)?);
        let compiled = start.elapsed();
        let measured = measure(|| scan(&set, &log))?;
        report(name, &measured, compiled, megabytes);
    }
    // What runs by default: all packs of the catalogue, and traces.
    let start = Instant::now();
    let config = sentry::config::defaults(vec!["true".to_owned()], Path::new("/"));
    let set = Arc::new(DetectorSet::compile(&config.detectors)?);
    let compiled = start.elapsed();
    let measured = measure(|| scan(&set, &log))?;
    report("the built-in detectors", &measured, compiled, megabytes);
    println!("states and stale tables of the built-in detectors: {:?}", set.automaton_size());
    Ok(())
}

/// Another program on the same log; its CPU time is what this process has waited for.
fn program(name: &str, command: &mut Command, megabytes: u64) -> Result<()> {
    let mut best: Option<Measured> = None;
    for _ in 0..ROUNDS {
        let (start, before) = (Instant::now(), children_cpu());
        let output = match command.output() {
            Ok(output) if output.status.success() => output,
            Ok(output) => return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into()),
            Err(error) => {
                println!("{name:<32} not measured: {error}");
                return Ok(());
            }
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let hits = said.split_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or(0);
        let measured = Measured { wall: start.elapsed(), cpu: children_cpu().saturating_sub(before), hits };
        if best.as_ref().is_none_or(|best| measured.cpu < best.cpu) {
            best = Some(measured);
        }
    }
    report(name, &best.ok_or("no round")?, Duration::ZERO, megabytes);
    Ok(())
}

/// User and system time of all children that have been waited for.
fn children_cpu() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    usage.map_or(Duration::ZERO, |usage| {
        let time = |time: nix::sys::time::TimeVal| {
            Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0))
        };
        time(usage.user_time()) + time(usage.system_time())
    })
}

struct Measured {
    wall: Duration,
    cpu: Duration,
    hits: u64,
}

fn measure(work: impl Fn() -> Result<u64>) -> Result<Measured> {
    let mut best: Option<Measured> = None;
    for _ in 0..ROUNDS {
        let (start, cpu) = (Instant::now(), cpu_time()?);
        let hits = work()?;
        let measured = Measured { wall: start.elapsed(), cpu: cpu_time()?.saturating_sub(cpu), hits };
        if best.as_ref().is_none_or(|best| measured.cpu < best.cpu) {
            best = Some(measured);
        }
    }
    best.ok_or_else(|| "no round".into())
}

fn cpu_time() -> Result<Duration> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

fn report(name: &str, measured: &Measured, compiled: Duration, megabytes: u64) {
    let gigabytes = megabytes as f64 / 1000.0;
    let Measured { wall, cpu, hits } = measured;
    println!(
        "{name:<32} {:>8.2} {:>12.2} {:>7.1} ms {hits:>9}",
        gigabytes / wall.as_secs_f64(),
        cpu.as_secs_f64() / gigabytes,
        compiled.as_secs_f64() * 1000.0,
    );
}

fn read(log: &Path, mut work: impl FnMut(&[u8], &mut u64)) -> Result<u64> {
    let mut file = File::open(log)?;
    let mut buffer = vec![0; CHUNK];
    let mut hits = 0;
    loop {
        let length = file.read(&mut buffer)?;
        let chunk = buffer.get(..length).unwrap_or_default();
        if chunk.is_empty() {
            return Ok(hits);
        }
        work(chunk, &mut hits);
    }
}

fn scan(set: &Arc<DetectorSet>, log: &Path) -> Result<u64> {
    let mut scanner = Scanner::new(Arc::clone(set), StreamId::new("log"), Position::START);
    let hits = read(log, |chunk, hits| {
        let scanned = scanner.feed(chunk);
        *hits += (scanned.detections.len() + scanned.signals.len()) as u64 + scanned.counted.values().sum::<u64>();
    })?;
    Ok(hits + scanner.flush(Flush::End).detections.len() as u64)
}

fn detectors(patterns: &[String], everything: bool, metric: Option<&str>) -> Result<Vec<Detector>> {
    let detector = |name: String, what| Detector {
        name: DetectorName::new(name),
        severity: Severity::Error,
        cooldown: Duration::ZERO,
        what,
    };
    let mut detectors = Vec::new();
    for (index, pattern) in patterns.iter().enumerate() {
        let regex = check_pattern(pattern)?;
        detectors.push(detector(format!("p{index}"), What::Pattern { regex, min_count: 1, window: Duration::ZERO }));
    }
    if everything {
        detectors.push(detector("traceback".to_owned(), What::Traceback { languages: Vec::new() }));
        let metric = Some(check_pattern("step (\\d+)/")?);
        detectors.push(detector(
            "stall".to_owned(),
            What::Stall(sentry::config::Stall {
                metric,
                no_progress: Some(Duration::from_secs(60)),
                learn_factor: 5.0,
                learn_min: Duration::from_secs(300),
                except: Vec::new(),
            }),
        ));
    }
    if let Some(pattern) = metric {
        let metric = sentry::config::Metric {
            regex: check_pattern(pattern)?,
            non_finite: true,
            above: None,
            below: None,
            spike_mads: Some(8.0),
            drop_mads: None,
            spike_ratio: None,
            drop_ratio: None,
            window: 200,
            confirmations: 5,
            confirm: Duration::ZERO,
            warm_up: 20,
            except: Vec::new(),
        };
        detectors.push(detector("loss".to_owned(), What::Metric(Box::new(metric))));
    }
    Ok(detectors)
}

/// 11, 49 and 199 patterns as people write them; each list begins with the one before.
fn patterns() -> (Vec<String>, Vec<String>, Vec<String>) {
    let common = [
        r"CUDA out of memory",
        r"NCCL.*(?:error|timeout|abort)",
        r#"" 5\d\d "#,
        r"(?i)connection (?:reset|refused) by peer",
        r"\bloss\b[^|]{0,20}\b(?:nan|inf)\b",
        r"^Traceback \(most recent call last\)",
        r"panicked at ",
        r"^panic: ",
        r"(?i)\bout of memory\b",
        r"Segmentation fault(?: \(core dumped\))?",
        r"Killed process (\d+) \((?P<name>[^)]+)\)",
    ];
    let more = [
        r"(?i)no space left on device",
        r"(?i)permission denied",
        r"(?i)too many open files",
        r"ECONNREFUSED|ETIMEDOUT|EPIPE",
        r"RuntimeError: .*device-side assert",
        r"CUBLAS_STATUS_\w+",
        r"cudnn.*(?:error|failed)",
        r"Watchdog caught collective",
        r"ProcessGroupNCCL.*terminat",
        r"torch\.distributed.*(?:error|failed)",
        r"exitcode\s*:\s*-?[1-9]\d*",
        r"Bus error",
        r"(?i)\bdeadlock detected\b",
        r"(?i)ssl.*certificate.*(?:expired|verify failed)",
        r"HTTP/1\.1 5\d\d",
        r"(?i)rate limit(?:ed)? exceeded",
        r"(?i)\bkilled\b.*\bsignal\b \d+",
        r"slurmstepd: error:",
        r"DUE TO TIME LIMIT",
        r"oom-kill(?:er)?",
        r"(?i)disk quota exceeded",
        r"(?i)stale file handle",
        r"Input/output error",
        r"(?i)gradient overflow.*skipping",
        r"grad_norm[= ](?:nan|inf)",
        r"Exception in thread",
        r"^Caused by: ",
        r"^goroutine \d+ \[",
        r"UnhandledPromiseRejection",
        r"AssertionError",
        r"ModuleNotFoundError: No module named '(\w+)'",
        r"ImportError: cannot import name",
        r"(?i)\bfatal\b",
        r"dumped\)$",
        r"(?i)kernel panic",
        r"ECC error",
        r"Xid \(.*\): \d+",
        r"(?i)checkpoint.*(?:corrupt|truncated)",
    ];
    let subjects = [
        "scheduler",
        "allocator",
        "dataloader",
        "tokenizer",
        "replica",
        "shard",
        "lease",
        "consumer",
        "broker",
        "migration",
    ];
    let troubles = [
        r"{}.*(?:crash|abort)ed",
        r"(?i){} (?:lost|evicted) after \d+ ?s",
        r"\b{}-\d+\b.*unreachable",
        r"{}: fatal: (\w+)",
        r"(?i)failed to (?:start|stop|join) {}",
        r"{}\[\d+\]: .*assertion",
        r"{} backlog [1-9]\d{6,}",
        r"(?i){}.*checksum mismatch",
        r"{} heartbeat (?:missed|expired)",
        r"giving up on {} after \d+ (?:tries|attempts)",
        r"{}.*returned -\d+$",
        r"(?i)corrupt(?:ed)? {} (?:state|page|index)",
        r"{} quorum (?:lost|broken)",
        r"rollback of {} .*failed",
        r"(?i)\b{}\b.*\bpanic\b",
    ];
    let eleven: Vec<String> = common.iter().map(|pattern| (*pattern).to_owned()).collect();
    let forty_nine: Vec<String> =
        eleven.iter().cloned().chain(more.iter().map(|pattern| (*pattern).to_owned())).collect();
    let made = troubles.iter().flat_map(|trouble| subjects.iter().map(|subject| trouble.replace("{}", subject)));
    let many: Vec<String> = forty_nine.iter().cloned().chain(made).collect();
    (eleven, forty_nine, many)
}

/// Xorshift, 64 bits (Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn write_log(path: &Path, bytes: u64) -> Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut written, mut lines, mut step) = (0, 0, 0);
    let mut line = Vec::new();
    while written < bytes {
        line.clear();
        write_line(&mut line, &mut dice, &mut step)?;
        file.write_all(&line)?;
        written += line.len() as u64;
        lines += memchr::memchr_iter(b'\n', &line).count() as u64;
    }
    file.flush()?;
    Ok(lines)
}

/// One line, bar or trace; the shares (of 100,000) are those of a day of training and serving logs.
fn write_line(out: &mut Vec<u8>, dice: &mut Dice, step: &mut u64) -> Result<()> {
    let (second, fraction) = (dice.below(60), dice.below(1000));
    match dice.below(100_000) {
        0..54_000 => {
            *step += 1;
            let (loss, rate, norm) = (dice.below(40_000), dice.below(90_000), dice.below(3000));
            writeln!(
                out,
                "2026-11-21 04:12:{second:02}.{fraction:03} | rank 0 | step {step}/500000 | loss {}.{:04} | lr 2.9e-04 | grad_norm 0.{norm:04} | {rate} tok/s | mem 61.2GiB | eta 11:04:27",
                loss / 10_000,
                loss % 10_000,
            )?;
        }
        54_000..68_000 => writeln!(
            out,
            "10.0.{}.{} - - [21/Nov/2026:04:12:{second:02} +0000] \"GET /v1/models/{}/score HTTP/1.1\" 200 {} \"-\" \"python-requests/2.31\" {fraction}ms",
            dice.below(256),
            dice.below(256),
            dice.below(4000),
            dice.below(90_000),
        )?,
        68_000..79_000 => writeln!(
            out,
            "2026-11-21T04:12:{second:02}.{fraction:03}Z INFO  service.worker[{}] processed batch id={:016x} items=512 queue=17 latency_ms={fraction}",
            dice.below(64),
            dice.0,
        )?,
        79_000..87_000 => writeln!(
            out,
            "node{:02}:{}:{} [{}] NCCL INFO Channel {:02}/24 : 3[3] -> 4[4] via P2P/CUMEM/read",
            dice.below(16),
            dice.below(90_000),
            dice.below(90_000),
            dice.below(8),
            dice.below(24),
        )?,
        87_000..91_000 => writeln!(
            out,
            "DEBUG:urllib3.connectionpool:http://metrics.internal:9091 \"POST /push/job/{} HTTP/1.1\" 202 0",
            dice.below(999)
        )?,
        91_000..94_500 => writeln!(
            out,
            "{{\"ts\":\"2026-11-21T04:12:{second:02}.{fraction:03}Z\",\"level\":\"info\",\"msg\":\"heartbeat\",\"worker\":{},\"lag\":{}}}",
            dice.below(64),
            dice.below(500)
        )?,
        94_500..97_000 => writeln!(out, "WARNING:data.loader:slow sample {} took {fraction} ms, prefetch is behind", dice.below(1 << 30))?,
        97_000..98_000 => {
            for percent in (0..=100).step_by(10) {
                let bar = "\u{2588}".repeat(percent / 5);
                write!(out, "\rEpoch 3: {percent:>3}%|{bar:<20}| {}/1000 [00:{second:02}<00:07, 31.4it/s]", percent * 10)?;
            }
            writeln!(out)?;
        }
        98_000..99_300 => writeln!(out, "\x1b[32mINFO\x1b[0m \x1b[1mcheckpoint\x1b[0m saved to /data/run/{step}.pt in {fraction} ms")?,
        99_300..99_900 => writeln!(out, "INFO prompt: caf\u{e9} \u{4f60}\u{597d} \u{2014} na\u{ef}ve r\u{e9}sum\u{e9} #{fraction}")?,
        99_900..99_978 => writeln!(out, "INFO evaluation finished, accuracy 0.{fraction}, samples 4096")?,
        99_978..99_980 => out.extend_from_slice(b"INFO payload \xff\xfe\x00\x01\x80 end\n"),
        99_980..99_989 => writeln!(out, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {fraction} MiB")?,
        99_989..99_998 => writeln!(out, "ERROR: Connection reset by peer while reading shard {fraction}")?,
        _ => out.extend_from_slice(
            b"Traceback (most recent call last):\n  File \"/srv/app/train.py\", line 412, in step\n    loss.backward()\nRuntimeError: boom\n",
        ),
    }
    Ok(())
}
