//! What every command is given.

use std::path::PathBuf;

use super::args::Global;
use super::{Env, Failure, Ui};

/// The environment, the terminal and the options that all commands share.
pub struct Context {
    /// What the program was started with.
    pub env: Env,
    /// Where it writes.
    pub ui: Ui,
    global: Global,
}

impl Context {
    /// Puts the parts together.
    pub fn new(env: Env, ui: Ui, global: Global) -> Self {
        Self { env, ui, global }
    }

    /// `-C DIR` or the working directory, absolute.
    ///
    /// # Errors
    /// When the working directory is needed and gone.
    pub fn directory(&self) -> Result<PathBuf, Failure> {
        match &self.global.directory {
            Some(directory) if directory.is_absolute() => Ok(directory.clone()),
            Some(directory) => Ok(self.env.cwd()?.join(directory)),
            None => self.env.cwd(),
        }
    }

    /// `-c FILE`, absolute. It is relative to the directory that the command was typed in, as the shell completes it.
    ///
    /// # Errors
    /// When the working directory is needed and gone.
    pub fn config_file(&self) -> Result<Option<PathBuf>, Failure> {
        match &self.global.config {
            Some(file) if file.is_absolute() => Ok(Some(file.clone())),
            Some(file) => Ok(Some(self.env.cwd()?.join(file))),
            None => Ok(None),
        }
    }
}
