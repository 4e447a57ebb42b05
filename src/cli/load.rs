//! Finds and reads the configuration.
#![expect(clippy::disallowed_methods, reason = "looks which configuration files are there")]

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::{Path, PathBuf};

use super::{Context, Failure, FailureKind};
use crate::config::{self, Config, ConfigError, Outside, Warning};
use crate::os::file::{LastLink, read_capped};
use crate::paths::Layout;
use crate::view::Palette;

/// A configuration and what its author should know.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; built-in defaults when [`Config::file`] is `None`.
    pub config: Config,
    /// Rendered with [`Warning::render`].
    pub warnings: Vec<Warning>,
}

/// Reads `-c FILE`, else `sentry.yaml` or `.sentry/sentry.yaml` of the directory or of the nearest one above. A command
/// from the command line stands in for `process.command`, and needs no file at all.
///
/// # Errors
/// There is no file and no command; the file cannot be read; its content is wrong.
pub fn load(context: &Context, command: Option<Vec<String>>) -> Result<Loaded, Failure> {
    let file = match context.config_file()? {
        Some(file) => Some(file),
        None => find_above(&context.directory()?),
    };
    match (file, command) {
        (Some(file), command) => load_file(context, &file, command),
        (None, Some(command)) => {
            let config = config::defaults(command, &context.directory()?);
            Ok(Loaded { config, warnings: Vec::new() })
        }
        (None, None) => Err(nothing_here(&context.directory()?)),
    }
}

/// Reads this file.
///
/// # Errors
/// As [`load`].
pub fn load_file(context: &Context, file: &Path, command: Option<Vec<String>>) -> Result<Loaded, Failure> {
    let cwd = context.env.cwd().unwrap_or_default();
    parse_file(file, command, &context.env.variables(), &cwd, context.ui.talk_palette().is_coloured())
}

/// Reads this file once more, for a monitor that runs: all errors in words.
///
/// # Errors
/// As [`load`], in words.
pub(super) fn load_again(
    file: &Path,
    command: Option<Vec<String>>,
    variables: &BTreeMap<String, String>,
) -> Result<Config, String> {
    parse_file(file, command, variables, Path::new(""), false).map(|loaded| loaded.config).map_err(|failure| {
        // It follows words of the monitor.
        let text = failure.render(Palette::plain());
        text.strip_prefix("error: ").map(str::to_owned).unwrap_or(text)
    })
}

fn parse_file(
    file: &Path,
    command: Option<Vec<String>>,
    variables: &BTreeMap<String, String>,
    cwd: &Path,
    coloured: bool,
) -> Result<Loaded, Failure> {
    let bytes = read(file)?;
    parse_bytes(&bytes, file, command, variables)
        .map(|(config, warnings)| {
            let warnings = warnings.into_iter().map(|warning| warning.seen_from(cwd)).collect();
            Loaded { config, warnings }
        })
        .map_err(|errors| failure(errors, file, cwd, coloured))
}

/// Parses the bytes of a configuration; packs that it names are read from disk.
///
/// # Errors
/// Everything that is wrong, also in the packs.
pub(super) fn parse_bytes(
    bytes: &[u8],
    file: &Path,
    command: Option<Vec<String>>,
    variables: &BTreeMap<String, String>,
) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    let vars = |name: &str| variables.get(name).cloned();
    let packs = |pack: &Path| {
        let most = u64::try_from(config::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let capped = read_capped(pack, most, LastLink::Follow);
        capped.map(|capped| capped.bytes).map_err(|error| match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    };
    let outside = Outside { vars: &vars, packs: &packs };
    config::decode(bytes, Some(file))
        .and_then(|text| config::parse_with_command(text, Some(file), config::project_of(file), outside, command))
}

/// Bytes of a file, one more than is taken at most.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(config::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let capped = read_capped(file, most, LastLink::Follow).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let failure = Failure::new(FailureKind::Configuration, error);
        if missing { failure.hint("`sentry init` writes a configuration") } else { failure }
    })?;
    Ok(capped.bytes)
}

/// All errors of a file, rendered, and how many they are.
pub(super) fn failure(errors: Vec<ConfigError>, file: &Path, cwd: &Path, coloured: bool) -> Failure {
    let count = errors.len();
    let mut text: String =
        errors.into_iter().map(|error| format!("{}\n\n", error.seen_from(cwd).render(coloured))).collect();
    let plural = if count == 1 { "" } else { "s" };
    text.push_str(&format!("{}: {count} error{plural}", file.strip_prefix(cwd).unwrap_or(file).display()));
    Failure::rendered(FailureKind::Configuration, text)
}

/// The configuration of a directory.
pub(super) fn find(directory: &Path) -> Option<PathBuf> {
    Layout::config_candidates(directory).into_iter().find(|file| file.exists())
}

/// The configuration of the nearest directory that has one, from here upwards.
pub(super) fn find_above(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().find_map(find)
}

fn nothing_here(directory: &Path) -> Failure {
    let failure =
        Failure::new(FailureKind::NothingHere, "there is no `sentry.yaml` here or above").at(directory.display());
    let old = [directory.join("autosentry.yaml"), directory.join(".autosentry").join("autosentry.yaml")];
    match old.iter().find(|file| file.exists()) {
        Some(old) => {
            let old = old.strip_prefix(directory).unwrap_or(old).display();
            failure.hint(format!(
                "`sentry init --from {old}` converts the file that is there; `-c {old}` reads it as it is"
            ))
        }
        None => failure.hint("`sentry init` writes one; `sentry run -- COMMAND` needs none"),
    }
}
