//! A directory's files → what to supervise and what to look for. Pure: `cli::init` lists the directory.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value as Json;

/// Largest file that is looked into, in bytes.
pub const MAX_FILE: u64 = 256 * 1024;

/// What a directory holds: names relative to it (`train.py`, `cmd/api/main.go`, directories with a slash at the end),
/// and the text of the files that [`wants`] names.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Name → text, empty where it was not read.
    pub files: BTreeMap<String, String>,
}

/// What `sentry init` proposes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Stacks that were recognised, for people: "Python".
    pub stacks: Vec<&'static str>,
    /// The best command; empty when nothing was recognised.
    pub command: Vec<String>,
    /// Other commands that would make sense.
    pub alternatives: Vec<Vec<String>>,
    /// Variables for `process.env`.
    pub env: Vec<Variable>,
    /// Globs for `config_snapshots`.
    pub snapshots: Vec<String>,
    /// Detectors beyond the built-in ones.
    pub detectors: Vec<ExtraDetector>,
    /// Rules.
    pub rules: Vec<ExtraRule>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// A variable of `process.env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Why.
    pub why: &'static str,
}

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraDetector {
    /// Name.
    pub name: &'static str,
    /// Expression.
    pub regex: &'static str,
    /// Severity.
    pub severity: &'static str,
    /// What it is for.
    pub why: &'static str,
}

/// A rule; `when` and `action` in YAML flow style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraRule {
    /// Name.
    pub name: &'static str,
    /// `match`.
    pub when: &'static str,
    /// `action`.
    pub action: &'static str,
    /// What it is for.
    pub why: &'static str,
}

/// Whether a file is worth reading.
pub fn wants(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name);
    matches!(
        base,
        "package.json"
            | "pyproject.toml"
            | "setup.cfg"
            | "Cargo.toml"
            | "go.mod"
            | "main.go"
            | "pom.xml"
            | "build.gradle"
            | "build.gradle.kts"
            | "Dockerfile"
            | "Containerfile"
            | "Procfile"
    ) || (base.starts_with("requirements") && base.ends_with(".txt"))
        || [".py", ".sh", ".sbatch", ".slurm", ".job"].iter().any(|end| base.ends_with(end))
}

/// Looks at a listing.
pub fn propose(listing: &Listing) -> Proposal {
    let mut found = Finder { listing, proposal: Proposal::default(), commands: Vec::new() };
    found.python();
    found.node();
    found.go();
    found.rust();
    found.java();
    found.slurm();
    found.docker();
    found.snapshots();
    found.finish()
}

struct Finder<'a> {
    listing: &'a Listing,
    proposal: Proposal,
    commands: Vec<Vec<String>>,
}

impl<'a> Finder<'a> {
    fn has(&self, name: &str) -> bool {
        self.listing.files.contains_key(name)
    }

    fn text(&self, name: &str) -> &'a str {
        self.listing.files.get(name).map(String::as_str).unwrap_or_default()
    }

    fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.listing.files.keys().map(String::as_str)
    }

    fn first(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.has(name))
    }

    fn command(&mut self, words: &[&str]) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if !self.commands.contains(&words) {
            self.commands.push(words);
        }
    }

    fn python(&mut self) {
        let scripts: Vec<&str> = self.names().filter(|name| name.ends_with(".py")).collect();
        let project = self.first(&["pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "manage.py"]);
        if project.is_none() && !scripts.iter().any(|name| !name.contains('/')) {
            return;
        }
        self.proposal.stacks.push("Python");
        let interpreter: &[&str] = if self.has("uv.lock") {
            &["uv", "run", "python"]
        } else if self.has("poetry.lock") {
            &["poetry", "run", "python"]
        } else if self.has(".venv/bin/python") {
            &[".venv/bin/python"]
        } else if self.has("venv/bin/python") {
            &["venv/bin/python"]
        } else {
            &["python3"]
        };
        // The program that says most clearly what it is for comes first.
        const KNOWN: [&str; 10] = [
            "train.py",
            "src/train.py",
            "scripts/train.py",
            "main.py",
            "src/main.py",
            "app.py",
            "run.py",
            "server.py",
            "worker.py",
            "pipeline.py",
        ];
        let known = KNOWN.iter().copied().filter(|name| self.has(name));
        let runs = scripts.iter().copied().filter(|name| {
            !name.contains('/')
                && !name.starts_with("test_")
                && !matches!(*name, "setup.py" | "conftest.py" | "manage.py")
                && runs_itself(self.text(name))
        });
        let programs: Vec<&str> = known.chain(runs).collect();
        for program in programs {
            self.command(&[interpreter, &[program]].concat());
        }
        if self.has("manage.py") {
            self.command(&[interpreter, &["manage.py", "runserver", "--noreload"]].concat());
        }
        for package in self.names().filter_map(|name| name.strip_suffix("/__main__.py")) {
            let module = package.strip_prefix("src/").unwrap_or(package).replace('/', ".");
            self.command(&[interpreter, &["-m", &module]].concat());
        }
        if let Some(script) = project_script(self.text("pyproject.toml")) {
            let runner: &[&str] = interpreter.split_last().map(|(_, runner)| runner).unwrap_or_default();
            self.command(&[runner, &[script.as_str()]].concat());
        }
        self.proposal.env.push(Variable {
            name: "PYTHONUNBUFFERED".to_owned(),
            value: "1".to_owned(),
            why: "Without it Python holds its output back when it is not a terminal, and failures are seen late.",
        });
        self.machine_learning(&scripts);
    }

    fn machine_learning(&mut self, scripts: &[&str]) {
        let Ok(library) = Regex::new(
            r"(?m)^\W*(?:import |from )?(torch|tensorflow|jax|transformers|lightning|pytorch.lightning|keras|deepspeed)\b",
        ) else {
            return;
        };
        let told = ["pyproject.toml", "setup.cfg"]
            .into_iter()
            .chain(self.names().filter(|name| name.starts_with("requirements")));
        let texts: Vec<&str> = told.chain(scripts.iter().copied()).map(|name| self.text(name)).collect();
        if texts.iter().any(|text| library.is_match(text)) {
            self.proposal.detectors.push(ExtraDetector {
                name: "collective",
                regex: r"NCCL.*(?:error|timed? ?out)|Watchdog caught collective operation timeout|ncclSystemError|ncclInternalError",
                severity: "error",
                why: "GPUs that lost each other: usually the machine or the network, and a restart helps.",
            });
            self.proposal.rules.push(ExtraRule {
                name: "collective_restart",
                when: "{detector: collective}",
                action: "restart",
                why: "Nothing to repair in the program: start again.",
            });
        }
        let Ok(batch) =
            Regex::new(r#"(?:environ\.get|getenv|environ\.setdefault)\(\s*["']BATCH_SIZE["']\s*,\s*["']?(\d{1,9})"#)
        else {
            return;
        };
        let size = texts.iter().find_map(|text| batch.captures(text)?.get(1).map(|size| size.as_str().to_owned()));
        let named = texts.iter().any(|text| text.contains("\"BATCH_SIZE\"") || text.contains("'BATCH_SIZE'"));
        if let Some(value) = size {
            self.proposal.env.push(Variable {
                name: "BATCH_SIZE".to_owned(),
                value,
                why: "The program's own default, written here so that a rule can halve it.",
            });
        } else if named {
            self.proposal.notes.push(
                "set BATCH_SIZE in `process.env`, so that the rule `oom_halve_batch` has a number to halve".to_owned(),
            );
        }
        if named {
            self.proposal.rules.insert(
                0,
                ExtraRule {
                    name: "oom_halve_batch",
                    when: "{detector: out_of_memory}",
                    action: "{kind: restart_with_env, set: {BATCH_SIZE: half}}",
                    why: "Out of memory: start again with half the batch, never below 1.",
                },
            );
        }
    }

    fn node(&mut self) {
        if !self.has("package.json") {
            return;
        }
        let package: Json = serde_json::from_str(self.text("package.json")).unwrap_or_default();
        let typescript = self.has("tsconfig.json");
        self.proposal.stacks.push(if typescript { "TypeScript" } else { "Node" });
        let manager = if self.has("pnpm-lock.yaml") {
            "pnpm"
        } else if self.has("yarn.lock") {
            "yarn"
        } else if self.has("bun.lockb") || self.has("bun.lock") {
            "bun"
        } else {
            "npm"
        };
        for script in ["start", "serve", "worker", "dev"] {
            if package.pointer(&format!("/scripts/{script}")).is_some_and(Json::is_string) {
                self.command(&[manager, "run", script]);
            }
        }
        if let Some(main) = package.get("main").and_then(Json::as_str) {
            self.command(&["node", main]);
        }
        for file in ["server.js", "index.js", "app.js", "main.js", "src/index.js", "dist/index.js"] {
            if self.has(file) {
                self.command(&["node", file]);
            }
        }
    }

    fn go(&mut self) {
        if !self.has("go.mod") {
            return;
        }
        self.proposal.stacks.push("Go");
        if self.has("main.go") {
            self.command(&["go", "run", "."]);
        }
        for package in self.names().filter_map(|name| name.strip_suffix("/main.go")) {
            self.command(&["go", "run", &format!("./{package}")]);
        }
        if !self.commands.iter().any(|command| command.first().is_some_and(|program| program == "go")) {
            self.command(&["go", "run", "."]);
        }
    }

    fn rust(&mut self) {
        if !self.has("Cargo.toml") {
            return;
        }
        self.proposal.stacks.push("Rust");
        self.command(&["cargo", "run", "--release"]);
        self.proposal.env.push(Variable {
            name: "RUST_BACKTRACE".to_owned(),
            value: "1".to_owned(),
            why: "Panics print where they came from.",
        });
    }

    fn java(&mut self) {
        if self.has("pom.xml") {
            self.proposal.stacks.push("Java (Maven)");
            let maven = if self.has("mvnw") { "./mvnw" } else { "mvn" };
            let goal =
                if self.text("pom.xml").contains("spring-boot-maven-plugin") { "spring-boot:run" } else { "exec:java" };
            if goal == "exec:java" {
                self.command(&[maven, "-q", "compile", goal]);
            } else {
                self.command(&[maven, goal]);
            }
        }
        if let Some(build) = self.first(&["build.gradle", "build.gradle.kts"]) {
            self.proposal.stacks.push("Java (Gradle)");
            let gradle = if self.has("gradlew") { "./gradlew" } else { "gradle" };
            let task = if self.text(build).contains("org.springframework.boot") { "bootRun" } else { "run" };
            self.command(&[gradle, "--console=plain", task]);
        }
    }

    fn slurm(&mut self) {
        let scripts: Vec<&str> =
            self.names().filter(|name| self.text(name).lines().any(|line| line.starts_with("#SBATCH"))).collect();
        let Some(first) = scripts.first() else { return };
        self.proposal.stacks.push("SLURM");
        self.proposal.notes.push(format!(
            "`{first}` is a SLURM script: put `sentry run` in place of its last command and submit it as before (`process.kind: slurm` is \
             not there yet)"
        ));
        for script in &scripts {
            self.command(&["bash", script]);
        }
        self.proposal.snapshots.extend(scripts.iter().map(|script| (*script).to_owned()));
    }

    fn docker(&mut self) {
        let Some(file) = self.first(&["Dockerfile", "Containerfile"]) else { return };
        self.proposal.stacks.push("Docker");
        self.proposal.notes.push(format!(
            "`{file}`: inside the image, `ENTRYPOINT [\"sentry\", \"run\", \"--\"]` supervises its CMD (`process.kind: docker` is not there yet)"
        ));
        if let Some(command) = docker_command(self.text(file)) {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            self.command(&words);
        }
        if let Some(line) = self.text("Procfile").lines().find_map(|line| line.strip_prefix("web:")) {
            let words = shlex::split(line).unwrap_or_default();
            self.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    fn snapshots(&mut self) {
        const FILES: [&str; 22] = [
            ".env",
            "config.yaml",
            "config.yml",
            "config.toml",
            "config.json",
            "config.ini",
            "settings.py",
            "params.yaml",
            "pyproject.toml",
            "requirements.txt",
            "environment.yml",
            "package.json",
            "tsconfig.json",
            "go.mod",
            "Cargo.toml",
            "pom.xml",
            "build.gradle",
            "build.gradle.kts",
            "gradle.properties",
            "Dockerfile",
            "docker-compose.yml",
            "compose.yaml",
        ];
        let files = FILES.iter().filter(|name| self.has(name)).map(|name| (*name).to_owned());
        let folders = ["configs", "config", "conf", "src/main/resources"].into_iter().flat_map(|folder| {
            let ends = ["yaml", "yml", "toml", "json", "ini", "properties"];
            ends.into_iter().map(move |end| (folder, end))
        });
        let globs = folders
            .filter(|(folder, end)| {
                let (prefix, suffix) = (format!("{folder}/"), format!(".{end}"));
                self.names().any(|name| name.starts_with(&prefix) && name.ends_with(&suffix))
            })
            .map(|(folder, end)| format!("{folder}/**/*.{end}"));
        let found: Vec<String> = files.chain(globs).collect();
        self.proposal.snapshots.splice(0..0, found);
    }

    fn finish(self) -> Proposal {
        let Self { mut proposal, mut commands, .. } = self;
        commands.retain(|command| command.first().is_some_and(|program| !program.is_empty()));
        if !commands.is_empty() {
            proposal.command = commands.remove(0);
        }
        proposal.alternatives = commands;
        proposal
    }
}

fn runs_itself(text: &str) -> bool {
    text.contains("__name__ ==") || text.starts_with("#!")
}

/// First name below `[project.scripts]` (PEP 621) or `[tool.poetry.scripts]`.
fn project_script(pyproject: &str) -> Option<String> {
    let mut inside = false;
    for line in pyproject.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = matches!(line, "[project.scripts]" | "[tool.poetry.scripts]");
        } else if inside && let Some((name, _)) = line.split_once('=') {
            let name = name.trim().trim_matches(['"', '\'']);
            if !name.is_empty() && !name.starts_with('#') {
                return Some(name.to_owned());
            }
        }
    }
    None
}

/// The last ENTRYPOINT and CMD put together, as Docker would run them (Dockerfile reference, "CMD").
fn docker_command(dockerfile: &str) -> Option<Vec<String>> {
    let joined = dockerfile.replace("\\\r\n", " ").replace("\\\n", " ");
    let last = |name: &str| {
        let lines = joined.lines().map(str::trim).filter_map(|line| {
            let (word, rest) = line.split_once(char::is_whitespace)?;
            word.eq_ignore_ascii_case(name).then(|| rest.trim())
        });
        let rest = lines.last()?;
        if rest.starts_with('[') {
            return serde_json::from_str::<Vec<String>>(rest).ok().map(|words| (words, true));
        }
        shlex::split(rest).map(|words| (words, false))
    };
    let command = match (last("ENTRYPOINT"), last("CMD")) {
        // The shell form of ENTRYPOINT ignores CMD.
        (Some((entry, false)), _) => entry,
        (Some((entry, true)), cmd) => {
            entry.into_iter().chain(cmd.map(|(words, _)| words).unwrap_or_default()).collect()
        }
        (None, Some((words, _))) => words,
        (None, None) => return None,
    };
    (!command.is_empty()).then_some(command)
}
