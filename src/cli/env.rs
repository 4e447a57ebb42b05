//! The only reader of the command line, the environment and the working directory.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::{Failure, FailureKind};

/// What the program was given when it was started; a value from then on.
#[derive(Clone, Debug, Default)]
pub struct Env {
    args: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
    cwd: Option<PathBuf>,
}

impl Env {
    /// Reads the environment of this process.
    pub fn of_process() -> Self {
        Self {
            args: std::env::args_os().collect(),
            variables: std::env::vars_os().collect(),
            cwd: std::env::current_dir().ok(),
        }
    }

    /// An environment made by hand.
    pub fn of_parts(
        args: impl IntoIterator<Item = impl Into<OsString>>,
        variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
        cwd: impl Into<PathBuf>,
    ) -> Self {
        Self {
            args: args.into_iter().map(Into::into).collect(),
            variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            cwd: Some(cwd.into()),
        }
    }

    /// The command line, the program's name first.
    pub fn args(&self) -> &[OsString] {
        &self.args
    }

    /// A variable; `None` when it is unset or no UTF-8.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(std::ffi::OsStr::new(name)).and_then(|value| value.to_str())
    }

    /// Whether a variable is set to something (the convention of `NO_COLOR`).
    pub fn is_set(&self, name: &str) -> bool {
        self.variables.get(std::ffi::OsStr::new(name)).is_some_and(|value| !value.is_empty())
    }

    /// All variables that are UTF-8, for the interpolation of the configuration.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let text = |value: &OsString| value.to_str().map(str::to_owned);
        self.variables.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
    }

    /// The working directory, absolute.
    ///
    /// # Errors
    /// When it has been removed.
    pub fn cwd(&self) -> Result<PathBuf, Failure> {
        self.cwd.clone().ok_or_else(|| {
            Failure::new(FailureKind::Io, io::Error::other("the working directory does not exist any more"))
                .hint("go to another directory, or name the project with `-C DIR`")
        })
    }
}
