//! Real programs in five languages fail deep in their own code, called back by library code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::TestEnv;
use crate::site::Site;

struct Program {
    /// Directory of `fixtures/programs`.
    source: &'static str,
    /// Steps that build it, inside the copy.
    build: &'static [&'static [&'static str]],
    run: &'static str,
    language: &'static str,
    exception: &'static str,
    file: &'static str,
    line: u64,
    function: &'static str,
    /// The marked line of source.
    marked: &'static str,
    progress: &'static str,
}

#[test]
fn python() {
    fails(&Program {
        source: "python",
        build: &[],
        run: "[python3, -m, jobs]",
        language: "python",
        exception: "KeyError",
        file: "jobs/prices.py",
        line: 7,
        function: "to_euro",
        marked: "rate = RATES[row[\"currency\"]]",
        progress: "batch 1",
    });
}

#[test]
fn node() {
    fails(&Program {
        source: "node",
        build: &[],
        run: "[node, main.js]",
        language: "javascript",
        exception: "TypeError",
        file: "lib/cart.js",
        line: 4,
        function: "totalOf",
        marked: "return order.items.reduce(",
        progress: "order 2 0",
    });
}

#[test]
fn go() {
    fails(&Program {
        source: "go",
        build: &[&["go", "build", "-o", "depot", "."]],
        run: "[./depot]",
        language: "go",
        exception: "panic",
        file: "store/store.go",
        line: 16,
        function: "pick",
        marked: "return weights[n]",
        progress: "box 2 1",
    });
}

#[test]
fn rust() {
    fails(&Program {
        source: "rust",
        build: &[&["rustc", "-g", "--edition", "2024", "main.rs", "-o", "listener"]],
        run: "[./listener], env: {RUST_BACKTRACE: 1}",
        language: "rust",
        exception: "panic",
        file: "parser.rs",
        line: 5,
        function: "port_of",
        marked: "value.trim().parse().unwrap()",
        progress: "listening on 443",
    });
}

#[test]
fn java() {
    fails(&Program {
        source: "java",
        build: &[&["javac", "-g", "-d", ".", "shop/Inventory.java", "shop/Main.java"]],
        run: "[java, -cp, ., shop.Main]",
        language: "java",
        exception: "NullPointerException",
        file: "shop/Inventory.java",
        line: 9,
        function: "take",
        marked: "int left = stock.get(part);",
        progress: "nut 4",
    });
}

fn fails(program: &Program) {
    let tools = program.build.iter().map(|step| step[0]).chain([program
        .run
        .trim_start_matches('[')
        .split([',', ']'])
        .next()
        .unwrap()]);
    for tool in tools.filter(|tool| !tool.starts_with('.')) {
        if let Err(error) = Command::new(tool).arg(if tool == "go" { "version" } else { "--version" }).output() {
            eprintln!("skipped: `{tool}` is not there: {error}");
            return;
        }
    }
    let env = TestEnv::new();
    copy(&built(program), &env.project());
    if program.source == "go" {
        // The binary names the directory that it was built in.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache");
        build(program, &env.project(), &cache);
    }
    env.write(
        "sentry.yaml",
        format!("process: {{command: {}, lifecycle: one_shot}}\nhealing: {{settle_seconds: 0.5}}\n", program.run),
    );
    let site = Site { env };
    let outcome = site.run();
    assert_ne!(outcome.code(), 0, "{outcome:?}");
    assert!(site.env.read(".sentry/logs/process.log").contains(program.progress), "{outcome:?}");

    let incident = site.incident();
    let shown: Value =
        serde_json::from_str(&site.env.run(&["incidents", "show", "latest", "--json"]).expect_quiet_success()).unwrap();
    assert_eq!(shown["id"], incident["id"]);
    let trace = &shown["root"]["trace"];
    assert_eq!(trace["language"], program.language, "{trace:#}");
    let exception = trace["exception"].as_str().unwrap_or_default();
    assert!(exception.contains(program.exception), "{trace:#}");
    assert!(!shown["exit"].is_null(), "the end belongs to it: {shown:#}");
    let top = &trace["frames"][usize::try_from(trace["in_app_top"].as_u64().unwrap()).unwrap()];
    let file = top["file"].as_str().unwrap();
    let base = program.file.rsplit('/').next().unwrap();
    assert!(file.ends_with(program.file) || file == base, "{top:#}");
    assert_eq!((&top["line"], &top["in_app"]), (&program.line.into(), &true.into()), "{top:#}");
    assert!(top["function"].as_str().unwrap().ends_with(program.function), "{top:#}");

    let report = site.file(&incident, "report.md");
    let marked = report.lines().find(|line| line.contains(">>>")).unwrap_or_else(|| panic!("{report}"));
    assert!(marked.contains(program.marked), "{report}");
    assert!(report.contains(program.file) && report.contains(program.function), "{report}");
    assert!(site.file(&incident, "trace.txt").contains(base));
}

/// The program's directory with everything built, made once for all test runs.
fn built(program: &Program) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/programs").join(program.source);
    if program.build.is_empty() || program.source == "go" {
        return source;
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    let ready = place.join(format!("{}-{:016x}", program.source, fingerprint(&source)));
    if ready.exists() {
        return ready;
    }
    fs::create_dir_all(&place).unwrap();
    let making = tempfile::tempdir_in(&place).unwrap();
    copy(&source, making.path());
    build(program, making.path(), &place);
    // Another test run may have been faster, which is as good.
    let _ = fs::rename(making.path(), &ready);
    ready
}

fn build(program: &Program, dir: &Path, cache: &Path) {
    for step in program.build {
        let output = Command::new(step[0]).args(&step[1..]).current_dir(dir).env("GOCACHE", cache).output().unwrap();
        assert!(output.status.success(), "{step:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Changes with the program's text.
fn fingerprint(dir: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            path.hash(&mut hasher);
            if path.is_dir() { dirs.push(path) } else { fs::read(path).unwrap().hash(&mut hasher) }
        }
    }
    hasher.finish()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let there = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&there).unwrap();
            copy(&path, &there);
        } else {
            fs::copy(&path, &there).unwrap();
        }
    }
}
