//! Time of the source frames of one incident: 60 frames from 20 files of 2,000 lines. The whole incident has 50 ms, its
//! frames 35 ms. And of redaction (`cargo bench --bench frames`).
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark reads the clock and prints")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sentry::frame::{Exploder, FrameOptions};
use sentry::incident::Redactor;

const FILES: usize = 20;
const LINES: usize = 2000;
const ROUNDS: usize = 30;

/// Name, file name, source.
type Shape = (&'static str, &'static str, fn() -> String);

fn main() {
    frames();
    redaction();
}

/// A redactor comes once per incident, its rules are compiled once per process.
fn redaction() {
    let env = BTreeMap::from([("DB_PASSWORD".to_owned(), "correct horse".to_owned())]);
    let clean = "2026-11-21 12:34:56 step 41 loss=0.312 lr: 3e-4 tokens/s 18231 – épokhe 3, key metrics unchanged\n"
        .repeat(10_000);
    let dirty = format!("{clean}password=hunter2 correct horse\n");
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        println!("{what:40} {:10.2} ms", start.elapsed().as_secs_f64() * 1e3);
    };
    timed("warm up (compiles all rules)", &mut sentry::incident::warm_up);
    let mut redactor = Redactor::new(&env);
    timed("redactor", &mut || redactor = Redactor::new(&env));
    println!("{:40} {:10} bytes", "log of 10,000 lines", clean.len());
    for _ in 0..2 {
        timed("redact a clean log", &mut || drop(redactor.redact(&clean)));
        timed("redact a log with secrets", &mut || drop(redactor.redact(&dirty)));
        timed("redact 200 clean lines", &mut || {
            drop(redactor.redact(clean.get(..clean.len() / 50).unwrap_or_default()))
        });
    }
}

fn frames() {
    let shapes: [Shape; 6] = [
        ("python functions", "a.py", python_functions),
        ("python one class", "a.py", python_class),
        ("python, text at column 0", "a.py", python_text),
        ("java one class", "A.java", java_class),
        ("typescript one class", "a.ts", typescript_class),
        ("rust impl", "a.rs", rust_impl),
    ];
    println!("{:40} {:>10} {:>10} {:>8}", "60 frames from 20 files of 2,000 lines", "median ms", "worst ms", "named");
    for (name, file, source) in shapes {
        let source = source();
        let mut took: Vec<Duration> = Vec::with_capacity(ROUNDS);
        let mut named = 0;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let mut exploder = Exploder::new(FrameOptions::default());
            named = 0;
            for at in 0..FILES {
                let at = u32::try_from(at).unwrap_or_default();
                let frames = exploder.explode(source.as_bytes(), file, &[104 + at * 9, 904 + at * 7, 1804 + at * 5]);
                named += frames.iter().filter(|frame| frame.function.is_some()).count();
            }
            took.push(start.elapsed());
        }
        took.sort_unstable();
        let ms = |at: usize| took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3);
        println!("{name:40} {:10.2} {:10.2} {named:>8}", ms(ROUNDS / 2), ms(ROUNDS - 1));
    }
}

fn repeat(head: &str, tail: &str, item: impl Fn(usize) -> String) -> String {
    let mut source = head.to_owned();
    let mut lines = head.lines().count();
    for at in 0.. {
        if lines >= LINES {
            break;
        }
        let item = item(at);
        lines += item.lines().count();
        source.push_str(&item);
    }
    source.push_str(tail);
    source
}

fn python_body(indent: &str, at: usize) -> String {
    let mut body = String::new();
    for step in 0..6 {
        let _ = write!(
            body,
            "{indent}rows_{step} = [row.strip().split(\",\") for row in handle.readlines() if row and row[0] != '#']\n\
             {indent}if len(rows_{step}) > {at} and self.limit is not None:\n\
             {indent}    raise ValueError(f\"too many rows in {{path!r}}: {{len(rows_{step})}}\")\n"
        );
    }
    body
}

fn python_functions() -> String {
    repeat("import os\n\n\n", "", |at| {
        format!(
            "def load_{at}(self, path: str, retries: int = 3) -> list[str]:\n{}    return rows_0\n\n\n",
            python_body("    ", at)
        )
    })
}

fn python_class() -> String {
    repeat("class Loader(Base):\n", "", |at| {
        format!(
            "    @cached\n    def load_{at}(self, path: str) -> list[str]:\n{}        return rows_0\n\n",
            python_body("        ", at)
        )
    })
}

fn python_text() -> String {
    repeat("import os\n", "", |at| {
        format!(
            "def load_{at}(self, path):\n    query = \"\"\"\nselect it's\n\"\"\"\n{}    return rows_0\n",
            python_body("    ", at)
        )
    })
}

fn braces(head: &str, method: impl Fn(usize) -> String, line: &str) -> String {
    repeat(head, "}\n", |at| format!("    {} {{\n{}    }}\n\n", method(at), line.repeat(16)))
}

fn java_class() -> String {
    braces(
        "public class Loader extends Base {\n",
        |at| format!("public List<String> load{at}(String path, int retries) throws IOException"),
        "        if (path != null && path.length() > retries) { rows.add(Map.entry(path, retries)); }\n",
    )
}

fn typescript_class() -> String {
    braces(
        "export class Loader extends Base {\n",
        |at| format!("async load{at}(path: string, retries = 3): Promise<string[]>"),
        "        if (path !== null && path.length > retries) { this.rows.push({ path, retries: [retries] }); }\n",
    )
}

fn rust_impl() -> String {
    braces(
        "impl<T: Clone> Loader<T> {\n",
        |at| format!("pub fn load_{at}(&mut self, path: &str, retries: usize) -> Result<(), Error>"),
        "        if !path.is_empty() && path.len() > retries { self.rows.push(Row { path, retries: vec![retries] }); }\n",
    )
}
