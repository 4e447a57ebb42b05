//! Directories → proposals, and proposals → files that read back.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{parse, template};

fn listing(files: &[(&str, &str)]) -> Listing {
    Listing { files: files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect() }
}

/// Command, then alternatives, as a shell would show them.
fn commands(files: &[(&str, &str)]) -> Vec<String> {
    let proposal = propose(&listing(files));
    std::iter::once(&proposal.command).chain(&proposal.alternatives).map(|command| command.join(" ")).collect()
}

/// Name, files, commands.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

#[test]
fn commands_of_stacks() {
    const MAIN: &str = "if __name__ == '__main__': pass";
    const SBATCH: &str = "#!/bin/bash\n#SBATCH --time=1:00:00\nsrun python train.py\n";
    let rows: &[Row] = &[
        ("nothing", &[("notes.txt", "")], &[""]),
        ("python script", &[("fit.py", MAIN)], &["python3 fit.py"]),
        ("python module only", &[("lib.py", "x = 1")], &[""]),
        ("train before main", &[("main.py", ""), ("train.py", "")], &["python3 train.py", "python3 main.py"]),
        ("tests are no programs", &[("test_a.py", MAIN), ("setup.py", MAIN)], &[""]),
        ("uv", &[("uv.lock", ""), ("pyproject.toml", ""), ("main.py", "")], &["uv run python main.py"]),
        ("poetry", &[("poetry.lock", ""), ("pyproject.toml", ""), ("main.py", "")], &["poetry run python main.py"]),
        ("virtual environment", &[(".venv/bin/python", ""), ("main.py", "")], &[".venv/bin/python main.py"]),
        ("django", &[("manage.py", MAIN)], &["python3 manage.py runserver --noreload"]),
        ("package", &[("requirements.txt", ""), ("src/app/__main__.py", "")], &["python3 -m app"]),
        ("script of a project", &[("pyproject.toml", "[project.scripts]\nfit = \"app:main\"\n")], &["fit"]),
        ("node start", &[("package.json", r#"{"scripts": {"start": "node ."}}"#)], &["npm run start"]),
        ("pnpm", &[("package.json", r#"{"scripts": {"dev": "vite"}}"#), ("pnpm-lock.yaml", "")], &["pnpm run dev"]),
        ("node main", &[("package.json", r#"{"main": "lib/a.js"}"#)], &["node lib/a.js"]),
        ("broken package.json", &[("package.json", "{"), ("index.js", "")], &["node index.js"]),
        ("go root", &[("go.mod", ""), ("main.go", "")], &["go run ."]),
        ("go commands", &[("go.mod", ""), ("cmd/api/main.go", "")], &["go run ./cmd/api"]),
        ("rust", &[("Cargo.toml", "")], &["cargo run --release"]),
        ("maven", &[("pom.xml", "")], &["mvn -q compile exec:java"]),
        ("spring", &[("pom.xml", "spring-boot-maven-plugin"), ("mvnw", "")], &["./mvnw spring-boot:run"]),
        ("gradle", &[("build.gradle.kts", ""), ("gradlew", "")], &["./gradlew --console=plain run"]),
        ("slurm", &[("job.sbatch", SBATCH)], &["srun python train.py"]),
        ("slurm, exec", &[("job.sh", "#SBATCH -N 2\nexec srun \\\n  ./fit --all\n# end\n")], &["srun ./fit --all"]),
        ("slurm that needs its shell", &[("job.sh", "#SBATCH -N 2\nsrun ./fit $1\n")], &[""]),
        ("slurm that ends with a block", &[("job.sh", "#SBATCH -N 2\nif true; then\n  srun ./fit\nfi\n")], &[""]),
        (
            "docker exec form",
            &[("Dockerfile", "FROM x\nENTRYPOINT [\"app\"]\nCMD [\"--port\", \"80\"]")],
            &["app --port 80"],
        ),
        ("docker shell form", &[("Dockerfile", "CMD python \\\n  serve.py")], &["python serve.py"]),
        ("docker broken", &[("Dockerfile", "CMD [oops")], &[""]),
    ];
    for (name, files, expected) in rows {
        assert_eq!(commands(files), *expected, "{name}");
    }
}

#[test]
fn training_run_gets_its_rules() {
    let train = "import os, torch\nn = int(os.environ.get(\"BATCH_SIZE\", \"8\"))\n";
    let found = propose(&listing(&[
        ("train.py", train),
        ("requirements.txt", "torch==2.4\n"),
        ("configs/run.yaml", ""),
        (".env", ""),
    ]));
    let names: Vec<&str> = found.rules.iter().map(|rule| rule.name).collect();
    assert_eq!(names, ["oom_halve_batch"]);
    assert_eq!(found.snapshots, [".env", "requirements.txt", "configs/**/*.yaml"]);
    assert_eq!(
        found.env.iter().map(|v| format!("{}={}", v.name, v.value)).collect::<Vec<_>>(),
        ["PYTHONUNBUFFERED=1", "BATCH_SIZE=${BATCH_SIZE:-8}"]
    );
    let (config, warnings) = read(&template::render(&found));
    assert_eq!((config.rules.len(), config.own_detectors().count(), warnings), (1, 4, 0));
    assert_eq!(config.process.env.get("BATCH_SIZE").map(String::as_str), Some("8"));
}

#[test]
fn packs_of_stacks() {
    const SBATCH: &str = "#SBATCH -N 1\nsrun ./fit\n";
    const DDP: &str = "import torch\nfrom torch.distributed import init_process_group\n";
    let rows: &[Row] = &[
        ("nothing", &[], &[]),
        ("python", &[("train.py", "")], &["python"]),
        ("training", &[("train.py", "import torch")], &["python", "pytorch", "cuda"]),
        ("training on many", &[("train.py", DDP)], &["python", "pytorch", "nccl", "cuda"]),
        ("node", &[("package.json", "{}")], &["node"]),
        (
            "a service",
            &[("package.json", r#"{"dependencies": {"express": "4", "pg": "8", "ioredis": "5"}}"#)],
            &["node", "http", "database"],
        ),
        ("go", &[("go.mod", "")], &["go"]),
        ("rust", &[("Cargo.toml", "")], &[]),
        ("both java builds", &[("pom.xml", ""), ("build.gradle", "")], &["jvm"]),
        ("slurm", &[("job.sh", SBATCH)], &["slurm"]),
    ];
    for (name, files, expected) in rows {
        let found = propose(&listing(files));
        let names: Vec<&str> = found.packs.iter().map(|choice| choice.pack).collect();
        let always = ["native", "storage", "kernel"];
        let chosen: Vec<&str> = names.iter().copied().filter(|name| !always.contains(name)).collect();
        assert_eq!(chosen, *expected, "{name}");
        assert!(always.iter().all(|pack| names.contains(pack)), "{name}");
        let found = Proposal { command: vec!["a".to_owned()], ..found };
        let (config, warnings) = read(&template::render(&found));
        assert_eq!((config.own_detectors().count(), warnings), (4, 0), "{name}");
        let of_packs = |name: &str| config.detectors.iter().any(|detector| detector.name.as_str() == name);
        assert_eq!(of_packs("js_heap"), names.contains(&"node"), "{name}");
    }
}

#[test]
fn batch_size_without_a_number_is_a_note() {
    let found = propose(&listing(&[("train.py", "n = int(os.environ['BATCH_SIZE'])")]));
    assert!(found.notes.iter().any(|note| note.contains("BATCH_SIZE")), "{found:?}");
}

fn read(text: &str) -> (crate::config::Config, usize) {
    match parse(text, Some(Path::new("sentry.yaml")), Path::new("/p"), &|_| None) {
        Ok((config, warnings)) => (config, warnings.len()),
        Err(errors) => {
            panic!("{}\n{text}", errors.iter().map(|error| error.render(false)).collect::<Vec<_>>().join("\n"))
        }
    }
}

proptest! {
    #[test]
    fn any_command_survives_the_file(first in "[^\0]{1,12}", rest in prop::collection::vec("[^\0]{0,12}", 0..4), globs in prop::collection::vec("[a-z:#' $]{1,8}", 0..3)) {
        let command: Vec<String> = std::iter::once(first).chain(rest).collect();
        let proposal = Proposal { command: command.clone(), snapshots: globs.clone(), ..Proposal::default() };
        let (config, _) = read(&template::render(&proposal));
        prop_assert_eq!(config.process.command, command);
        prop_assert_eq!(config.config_snapshots.patterns, globs);
    }

    #[test]
    fn any_files_are_looked_at(name in prop::sample::select(vec!["package.json", "pyproject.toml", "Dockerfile", "a.py", "j.sh", "go.mod"]), text in "\\PC{0,60}(\n\\PC{0,20}){0,3}") {
        let found = propose(&listing(&[(name, &text)]));
        if !found.command.is_empty() {
            read(&template::render(&found));
        }
    }
}
