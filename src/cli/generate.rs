//! `sentry completions` and `sentry man`: both come from the definition of the command line.
#![expect(clippy::disallowed_methods, reason = "manual pages are written where they are asked for")]

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::Cli;
use super::{Context, ExitCode, Failure, FailureKind};
use crate::os::error::AtExt as _;

/// Arguments of `sentry completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry completions bash > ~/.local/share/bash-completion/completions/sentry
  sentry completions zsh > ~/.zfunc/_sentry
  sentry completions fish > ~/.config/fish/completions/sentry.fish")]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `sentry man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry man | man -l -
  sentry man ~/.local/share/man/man1     all pages, one per command")]
pub struct ManArgs {
    /// Write all pages into DIR instead of the main one to stdout
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(Cli::command()), "sentry", &mut script);
    context.ui.data(script)?;
    Ok(ExitCode::Success)
}

/// The command line without what is hidden, which `clap_complete` would offer.
fn shown(command: clap::Command) -> clap::Command {
    let mut bare = clap::Command::new("sentry").version(env!("CARGO_PKG_VERSION"));
    if let Some(about) = command.get_about() {
        bare = bare.about(about.clone());
    }
    let arguments: Vec<clap::Arg> = command.get_arguments().cloned().collect();
    let commands: Vec<clap::Command> =
        command.get_subcommands().filter(|below| !below.is_hide_set()).cloned().collect();
    bare.args(arguments).subcommands(commands)
}

pub(super) fn man(args: &ManArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = &args.dir else {
        context.ui.data(page(&command)?)?;
        return Ok(ExitCode::Success);
    };
    let dir = if dir.is_absolute() { dir.clone() } else { context.env.cwd()?.join(dir) };
    std::fs::create_dir_all(&dir).at(&dir, "create directory").map_err(|error| Failure::new(FailureKind::Io, error))?;
    let written = pages(&command, &dir)?;
    context.ui.say(format_args!("{} in `{}`", crate::view::words::count(written, "page"), dir.display()));
    Ok(ExitCode::Success)
}

/// Writes the page of a command and of everything below it; gives their number.
fn pages(command: &clap::Command, dir: &Path) -> Result<u64, Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    let written = std::fs::write(&path, page(command)?).at(&path, "write");
    written.map_err(|error| Failure::new(FailureKind::Io, error))?;
    let mut count = 1_u64;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        count = count.saturating_add(pages(below, dir)?);
    }
    Ok(count)
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page).map_err(|error| Failure::new(FailureKind::Bug, error))?;
    Ok(page)
}

/// `docs/cli.md`: the help of every command.
pub fn reference() -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text =
        String::from("<!-- Generated from the definition of the command line; a test compares. -->\n# Commands\n");
    section(&mut command, &mut text);
    text
}

fn section(command: &mut clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    for below in command.get_subcommands_mut().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        section(below, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_offer_what_help_shows() {
        let mut script = Vec::new();
        clap_complete::generate(Shell::Bash, &mut shown(Cli::command()), "sentry", &mut script);
        let script = String::from_utf8(script).unwrap();
        for (word, there) in [
            ("incidents", true),
            ("--directory", true),
            ("--severity", true),
            ("look-around", false),
            ("approve", false),
        ] {
            assert_eq!(script.contains(word), there, "{word}");
        }
    }

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }
}
