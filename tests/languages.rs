//! Real programs in six language families fail under `sentry run`, and each incident shows the frame that a person would
//! open first, with the function around it.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests copy files, start compilers, and stop at the first surprise"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::TestEnv;
use serde_json::Value;

/// A program, how it is built and started, and what its incident must say.
struct Program {
    folder: &'static str,
    /// Tools that must be there; a missing one skips the test with a reason.
    tools: &'static [&'static str],
    build: &'static [&'static str],
    run: &'static [&'static str],
    language: &'static str,
    exception: &'static str,
    message: &'static str,
    file: &'static str,
    function: &'static str,
    /// The line that is marked in the report.
    hot: &'static str,
    /// What the heading above the source says of its function.
    enclosing: &'static str,
    causes: &'static [&'static str],
}

const PYTHON: Program = Program {
    folder: "python",
    tools: &["python3"],
    build: &[],
    run: &["python3", "main.py"],
    language: "python",
    exception: "decimal.InvalidOperation",
    message: "[<class 'decimal.ConversionSyntax'>]",
    file: "orders/totals.py",
    function: "add",
    hot: "amount = Decimal(price)",
    enclosing: "class Totals > def add(self, price)",
    causes: &[],
};

const NODE: Program = Program {
    folder: "node",
    tools: &["node"],
    build: &[],
    run: &["node", "main.js"],
    language: "javascript",
    exception: "SyntaxError",
    message: "JSON",
    file: "lib/decode.js",
    function: "parsePayload",
    hot: "return JSON.parse(text);",
    enclosing: "function parsePayload(text)",
    causes: &[],
};

const GO: Program = Program {
    folder: "go",
    tools: &["go"],
    build: &["go", "build", "-o", "app", "."],
    run: &["./app"],
    language: "go",
    exception: "panic",
    message: "nil pointer dereference",
    file: "ledger/ledger.go",
    function: "Transfer",
    hot: "account.Balance -= amount",
    enclosing: "func (b *Book) Transfer(from string, amount int)",
    causes: &[],
};

const RUST: Program = Program {
    folder: "rust",
    tools: &["rustc"],
    build: &["rustc", "-g", "-o", "app", "src/main.rs"],
    run: &["env", "RUST_BACKTRACE=1", "./app"],
    language: "rust",
    exception: "panic",
    message: "a window has readings",
    file: "src/window.rs",
    function: "largest",
    hot: "*part.iter().max().expect(\"a window has readings\")",
    enclosing: "fn largest(part: &[u32]) -> u32",
    causes: &[],
};

const JAVA: Program = Program {
    folder: "java",
    tools: &["javac", "java"],
    build: &["javac", "-g", "-d", "classes", "src/shop/Main.java", "src/shop/Shipping.java"],
    run: &["java", "-cp", "classes", "shop.Main"],
    language: "java",
    exception: "java.lang.IllegalStateException",
    message: "parcel cannot be shipped",
    file: "shop/Shipping.java",
    function: "label",
    hot: "Objects.requireNonNull(address, \"address\").trim();",
    enclosing: "class Shipping > private String label(String address)",
    causes: &["java.lang.NullPointerException"],
};

const C: Program = Program {
    folder: "c",
    tools: &["cc"],
    build: &["cc", "-g", "-o", "app", "main.c"],
    run: &["./app"],
    language: "cpp",
    exception: "",
    message: "value < 3",
    file: "main.c",
    function: "scale",
    hot: "assert(value < 3);",
    enclosing: "",
    causes: &[],
};

#[test]
fn python() {
    PYTHON.fails_as_it_should();
}

#[test]
fn node() {
    NODE.fails_as_it_should();
}

#[test]
fn go() {
    GO.fails_as_it_should();
}

#[test]
fn rust() {
    RUST.fails_as_it_should();
}

#[test]
fn java() {
    JAVA.fails_as_it_should();
}

#[test]
fn c() {
    C.fails_as_it_should();
}

impl Program {
    fn fails_as_it_should(&self) {
        if let Some(missing) = self.tools.iter().find(|tool| !is_there(tool)) {
            eprintln!("skipped: `{missing}` is not on this machine (tests/setup/install.sh installs it)");
            return;
        }
        let env = TestEnv::new();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/programs").join(self.folder), &env.project());
        if let Some((tool, args)) = self.build.split_first() {
            let cargo_home = std::env::var("CARGO_HOME").unwrap_or_default();
            let rustup_home = std::env::var("RUSTUP_HOME").unwrap_or_default();
            let home = std::env::var("HOME").unwrap_or_default();
            let built = env
                .program(tool, args)
                .var("HOME", home)
                .var("CARGO_HOME", cargo_home)
                .var("RUSTUP_HOME", rustup_home)
                .var("GOFLAGS", "-mod=mod")
                .var("GOCACHE", env.path(".gocache"))
                .run();
            let _ = built.expect_code(0);
        }
        let command = serde_json::to_string(self.run).unwrap();
        env.write("sentry.yaml", format!("process: {{command: {command}, lifecycle: one_shot}}\n"));
        let outcome = env.run(&["run"]);
        assert_ne!(outcome.code(), 0, "{outcome:?}");

        let rows = env.run(&["incidents", "list", "--json"]).expect_quiet_success();
        assert_eq!(rows.lines().count(), 1, "one failure is one incident:\n{rows}\n{outcome:?}");
        let shown = env.run(&["incidents", "show", "latest", "--json"]).expect_quiet_success();
        let incident: Value = serde_json::from_str(&shown).unwrap();
        self.check_incident(&incident);
        let report = env.run(&["incidents", "show", "latest", "--raw"]).expect_quiet_success();
        self.check_report(&report);
    }

    fn check_incident(&self, shown: &Value) {
        let incident = shown.get("incident").unwrap_or(shown);
        let trace = &incident["root"]["trace"];
        assert_eq!(trace["language"], self.language, "{incident:#}");
        if !self.exception.is_empty() {
            assert_eq!(trace["exception"], self.exception, "{incident:#}");
        }
        let message = trace["message"].as_str().unwrap();
        assert!(message.contains(self.message), "{message}");
        let top = usize::try_from(trace["in_app_top"].as_u64().unwrap()).unwrap();
        let frame = &trace["frames"][top];
        let (file, function) = (frame["file"].as_str().unwrap(), frame["function"].as_str().unwrap());
        assert!(file.ends_with(self.file) || self.file.ends_with(&format!("/{file}")), "{frame}");
        assert!(function.contains(self.function), "{frame}");
        assert_eq!(trace["cause_chain"], serde_json::json!(self.causes), "{incident:#}");
        assert!(incident["exit"].is_object(), "the end of the child belongs to the incident: {incident:#}");
    }

    /// The first source in the report is the function around the frame, with its line marked.
    fn check_report(&self, report: &str) {
        let place = report.find("## Where").unwrap_or_else(|| panic!("no place in:\n{report}"));
        let first = report[place..].split("\n### ").nth(1).unwrap_or_else(|| panic!("no frame in:\n{report}"));
        let hot = first.lines().find(|line| line.starts_with(">>>")).unwrap_or_else(|| panic!("no mark in:\n{first}"));
        assert!(hot.contains(self.hot), "{first}");
        assert!(first.lines().next().unwrap().contains(self.file.rsplit('/').next().unwrap()), "{first}");
        assert!(first.contains(self.enclosing), "{first}");
    }
}

fn is_there(tool: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", "command -v \"$0\"", tool]).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
