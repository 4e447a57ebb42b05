//! Which project a command is about, and its configuration.
#![expect(clippy::disallowed_methods, reason = "a project is found by looking for its files")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Context, Failure, FailureKind};
use crate::config::{self, Config, ConfigError};
use crate::os::error::At;
use crate::os::file::{LastLink, read_capped};
use crate::paths::Layout;

/// Keys that move sentry's own files. Only a configuration that names one of them has to be read to find those files.
const MOVING_KEYS: [&str; 3] = ["state_path", "incidents_dir", "log_dir"];

/// One byte more than the parser takes, so that it is the parser that refuses.
const MAX_READ: u64 = config::MAX_BYTES as u64 + 1;

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
            let file = config_in(root);
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
            start.ancestors().find_map(|root| Some(Self { root: root.to_owned(), file: Some(config_in(root)?) }));
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
            let bytes = read(file)?;
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
        self.config_for(context, Vec::new())
    }

    /// The configuration once more, for a monitor that runs: all errors in words, warnings dropped.
    ///
    /// # Errors
    /// Everything that is wrong, in words.
    pub fn config_again(&self, variables: &BTreeMap<String, String>, command: Vec<String>) -> Result<Config, String> {
        let Some(file) = &self.file else {
            return Err("there is no configuration file: the run was started on built-in defaults".to_owned());
        };
        let command = (!command.is_empty()).then_some(command);
        let bytes = read_capped(file, MAX_READ, LastLink::Follow).map_err(|error| error.to_string())?.bytes;
        let (mut config, _) = config::decode(&bytes, Some(file))
            .and_then(|text| {
                let variable = |name: &str| variables.get(name).cloned();
                config::parse_with_command(text, Some(file), &self.root, &variable, command)
            })
            .map_err(|errors| errors.iter().map(|error| error.render(false)).collect::<Vec<_>>().join("\n\n"))?;
        config.file = Some(file.clone());
        Ok(config)
    }

    /// The same with a command in place of the configured one, unless it is empty.
    ///
    /// # Errors
    /// As [`Project::config`].
    pub fn config_for(&self, context: &mut Context, command: Vec<String>) -> Result<Config, Failure> {
        let Some(file) = &self.file else { return Ok(config::defaults(command, &self.root)) };
        let command = (!command.is_empty()).then_some(command);
        let bytes = read(file)?;
        let variables = context.env.variables();
        let coloured = context.ui.talk_palette().is_coloured();
        let shown = context.env.cwd().ok().and_then(|cwd| Some(file.strip_prefix(cwd).ok()?.to_owned()));
        let shown = shown.as_deref().unwrap_or(file);
        let (mut config, warnings) = config::decode(&bytes, Some(shown))
            .and_then(|text| {
                let variable = |name: &str| variables.get(name).cloned();
                config::parse_with_command(text, Some(shown), &self.root, &variable, command)
            })
            .map_err(|errors| config_failure(&errors, coloured))?;
        for warning in &warnings {
            context.ui.talk(format_args!("{}\n", warning.render(coloured)));
        }
        config.file = Some(file.clone());
        Ok(config)
    }
}

/// All errors of a configuration as one failure.
pub fn config_failure(errors: &[ConfigError], coloured: bool) -> Failure {
    let all: Vec<String> = errors.iter().map(|error| error.render(coloured)).collect();
    Failure::rendered(FailureKind::Configuration, all.join("\n\n"))
}

/// There is nothing to act on, and how to begin.
pub(super) fn nothing_here(what: impl Into<String>) -> Failure {
    Failure::new(FailureKind::NothingHere, what.into())
        .hint("`sentry init` writes a configuration, `sentry run -- COMMAND` works without one")
}

fn config_in(root: &Path) -> Option<PathBuf> {
    Layout::config_candidates(root).into_iter().find(|file| file.is_file())
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    match read_capped(file, MAX_READ, LastLink::Follow) {
        Ok(content) => Ok(content.bytes),
        Err(error) => Err(read_failure(error)),
    }
}

fn read_failure(error: At) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(FailureKind::Configuration, error).hint("`sentry init` writes a configuration")
        }
        _ => Failure::new(FailureKind::Configuration, error),
    }
}
