//! Python, and training runs in particular.

use regex::Regex;

use super::finder::Finder;
use super::proposal::{ExtraRule, Variable};

impl Finder<'_> {
    pub(super) fn python(&mut self) {
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
        let told = ["pyproject.toml", "setup.cfg"]
            .into_iter()
            .chain(self.names().filter(|name| name.starts_with("requirements")));
        let texts: Vec<&str> = told.chain(scripts.iter().copied()).map(|name| self.text(name)).collect();
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
                value: format!("${{BATCH_SIZE:-{value}}}"),
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
