//! Which project a command is about, and its configuration.
#![expect(clippy::disallowed_methods, reason = "a project is found by looking for its files")]

use std::path::{Path, PathBuf};

use super::config::warn;
use super::load::{self, Loaded};
use super::{Context, Failure, FailureKind};
use crate::config::{self, Config};
use crate::paths::Layout;

/// Keys that move sentry's own files. Only a configuration that names one of them has to be read to find those files.
const MOVING_KEYS: [&str; 3] = ["state_path", "incidents_dir", "log_dir"];

/// A project directory and what is known of it without reading much.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    file: Option<PathBuf>,
}

impl Project {
    /// The project of a command that reads or asks: of `-c FILE`, or the nearest directory from here upwards that has a
    /// configuration or a `.sentry/`.
    ///
    /// # Errors
    /// [`FailureKind::NothingHere`] when there is none.
    pub fn find(context: &Context) -> Result<Self, Failure> {
        if let Some(named) = Self::named(context)? {
            return Ok(named);
        }
        let start = context.directory()?;
        let found = start.ancestors().find_map(|root| {
            let file = load::find(root);
            let known = file.is_some() || Layout::new(root).dot().is_dir();
            known.then(|| Self { root: root.to_owned(), file })
        });
        found.ok_or_else(|| {
            let what = format!("nothing here: neither `sentry.yaml` nor `.sentry/` in `{}` or above", start.display());
            nothing_here(what)
        })
    }

    /// The project of `sentry run`: of `-c FILE`, the nearest directory from here upwards that has a configuration, or the
    /// directory itself, on built-in defaults.
    ///
    /// # Errors
    /// When the directory is gone.
    pub fn find_for_run(context: &Context) -> Result<Self, Failure> {
        if let Some(named) = Self::named(context)? {
            return Ok(named);
        }
        let start = context.directory()?;
        let found =
            start.ancestors().find_map(|root| Some(Self { root: root.to_owned(), file: Some(load::find(root)?) }));
        Ok(found.unwrap_or(Self { root: start, file: None }))
    }

    fn named(context: &Context) -> Result<Option<Self>, Failure> {
        let Some(file) = context.config_file()? else { return Ok(None) };
        // Symbolic links are followed by the file system only: a link to a shared file does not move the project.
        let file: PathBuf = file.components().collect();
        Ok(Some(Self { root: config::project_of(&file).to_owned(), file: Some(file) }))
    }

    /// The project directory, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its configuration file, if it has one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Where its files are. Reads the configuration only if that moves them.
    ///
    /// # Errors
    /// When such a configuration does not load.
    pub fn layout(&self, context: &mut Context) -> Result<Layout, Failure> {
        if let Some(file) = &self.file {
            let bytes = load::read(file)?;
            let text = String::from_utf8_lossy(&bytes);
            if MOVING_KEYS.iter().any(|key| text.contains(key)) {
                return Ok(Layout::of(&self.config(context)?));
            }
        }
        Ok(Layout::new(&self.root))
    }

    /// The configuration; built-in defaults without a command where there is no file. Warnings go to stderr.
    ///
    /// # Errors
    /// [`FailureKind::Configuration`] with everything that is wrong.
    pub fn config(&self, context: &mut Context) -> Result<Config, Failure> {
        let Some(file) = &self.file else { return Ok(config::defaults(Vec::new(), &self.root)) };
        let Loaded { config, warnings } = load::load_file(context, file, None)?;
        warn(&warnings, context);
        Ok(config)
    }
}

/// There is nothing to act on, and how to begin.
pub(super) fn nothing_here(what: impl Into<String>) -> Failure {
    Failure::new(FailureKind::NothingHere, what.into())
        .hint("`sentry init` writes a configuration, `sentry run -- COMMAND` works without one")
}
