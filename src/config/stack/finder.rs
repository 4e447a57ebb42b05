//! What the files of a directory say about it; Python and containers have files of their own.

use serde_json::Value as Json;

use super::proposal::{Listing, Proposal, Variable};

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
    found.packs();
    found.snapshots();
    found.finish()
}

/// Collects a proposal; commands in the order in which they are good.
pub(super) struct Finder<'a> {
    listing: &'a Listing,
    pub(super) proposal: Proposal,
    commands: Vec<Vec<String>>,
}

impl<'a> Finder<'a> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.listing.files.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> &'a str {
        self.listing.files.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.listing.files.keys().map(String::as_str)
    }

    pub(super) fn first(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.has(name))
    }

    pub(super) fn command(&mut self, words: &[&str]) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if !self.commands.contains(&words) {
            self.commands.push(words);
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
