//! The one place that joins a path. Pure: a [`Layout`] is made from roots and only spells names.

use std::path::{Path, PathBuf};

use crate::ids::{ChildNo, IncidentId, RunId};

/// Where everything of one project lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    project: PathBuf,
    state_path: PathBuf,
    incidents_dir: PathBuf,
    log_dir: PathBuf,
}

impl Layout {
    /// The default layout below an absolute project directory.
    pub fn new(project: impl Into<PathBuf>) -> Self {
        let project = project.into();
        let dot = project.join(".sentry");
        Self {
            state_path: dot.join("state.json"),
            incidents_dir: dot.join("incidents"),
            log_dir: dot.join("logs"),
            project,
        }
    }

    /// The layout that a configuration asks for (`state_path`, `incidents_dir`, `monitor.log_dir`).
    pub fn of(config: &crate::config::Config) -> Self {
        Self {
            project: config.project.clone(),
            state_path: config.state_path.clone(),
            incidents_dir: config.incidents_dir.clone(),
            log_dir: config.monitor.log_dir.clone(),
        }
    }

    /// The project directory.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// `.sentry/`.
    pub fn dot(&self) -> PathBuf {
        self.project.join(".sentry")
    }

    /// Places where a configuration is looked for, best first.
    pub fn config_candidates(project: &Path) -> [PathBuf; 2] {
        [project.join("sentry.yaml"), project.join(".sentry").join("sentry.yaml")]
    }

    /// Held by the one monitor of this directory.
    pub fn lock(&self) -> PathBuf {
        self.dot().join("lock")
    }

    /// Format of the store.
    pub fn store_version(&self) -> PathBuf {
        self.dot().join("version")
    }

    /// Keeps the store out of the project's version control.
    pub fn gitignore(&self) -> PathBuf {
        self.dot().join(".gitignore")
    }

    /// Snapshot for readers.
    pub fn state_json(&self) -> PathBuf {
        self.state_path.clone()
    }

    /// The monitor's memory.
    pub fn journal(&self) -> PathBuf {
        self.dot().join("journal.jsonl")
    }

    /// Control commands to be done.
    pub fn control_new(&self) -> PathBuf {
        self.dot().join("control").join("new")
    }

    /// Control commands that were done, with their answers.
    pub fn control_done(&self) -> PathBuf {
        self.dot().join("control").join("done")
    }

    /// All runs.
    pub fn runs(&self) -> PathBuf {
        self.dot().join("runs")
    }

    /// One run.
    pub fn run(&self, run: &RunId) -> PathBuf {
        self.runs().join(run.as_str())
    }

    /// Output of a child.
    pub fn child_log(&self, run: &RunId, child: ChildNo) -> PathBuf {
        self.run(run).join(format!("{}.log", child.stem()))
    }

    /// Life of a child, written by its shim.
    pub fn child_record(&self, run: &RunId, child: ChildNo) -> PathBuf {
        self.run(run).join(format!("{}.json", child.stem()))
    }

    /// `logs/`.
    pub fn logs(&self) -> PathBuf {
        self.log_dir.clone()
    }

    /// What the monitor did.
    pub fn sentry_log(&self) -> PathBuf {
        self.log_dir.join("sentry.log")
    }

    /// Symbolic link to the newest child's log.
    pub fn process_log(&self) -> PathBuf {
        self.log_dir.join("process.log")
    }

    /// All incidents.
    pub fn incidents(&self) -> PathBuf {
        self.incidents_dir.clone()
    }

    /// Folder of an incident.
    pub fn incident(&self, id: &IncidentId) -> PathBuf {
        self.incidents_dir.join(id.as_str())
    }

    /// A file in the folder of an incident; `file` is relative and stays inside.
    pub fn incident_file(&self, id: &IncidentId, file: &Path) -> PathBuf {
        self.incident(id).join(file)
    }

    /// One line per incident.
    pub fn index(&self) -> PathBuf {
        self.incidents_dir.join("index.jsonl")
    }

    /// The ledger.
    pub fn attempts(&self) -> PathBuf {
        self.dot().join("attempts.tsv")
    }
}
