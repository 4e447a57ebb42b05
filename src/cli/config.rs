//! `sentry config`: is it right, what is in effect, what can it hold.

use serde::Serialize;

use super::load::{self, Loaded};
use super::{Context, ExitCode, Failure};
use crate::config::{self, Problem, Shown};

/// Arguments of `sentry config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry config check                    everything that is wrong, with line and column
  sentry config show                     what is in effect, defaults filled in
  sentry config schema > schema.json     for editors

Exit codes of `check`: 0 when the file can be used, 3 when not, 4 when there is none.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say everything that is wrong with the configuration
    Check {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the configuration in effect, defaults filled in and secrets left out
    Show {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the configuration
    Schema,
}

/// Answer of `config check --json`.
#[derive(Serialize)]
struct Check {
    schema: u32,
    /// It can be used.
    ok: bool,
    file: Option<String>,
    errors: Vec<Place>,
    warnings: Vec<Place>,
}

/// An error or a warning.
#[derive(Serialize)]
struct Place {
    line: usize,
    column: usize,
    message: String,
    help: Option<String>,
}

/// Answer of `config show --json`.
#[derive(Serialize)]
struct InEffect {
    schema: u32,
    file: Option<String>,
    project: String,
    config: Shown,
}

/// Version of the JSON that `config` prints.
const SCHEMA: u32 = 1;

/// Runs `sentry config`.
///
/// # Errors
/// The configuration is not there or wrong; the output cannot be written.
pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Check { json: false } => check(context),
        Command::Check { json: true } => check_json(context),
        Command::Show { json } => show(json, context),
        Command::Schema => {
            context.ui.data(config::schema())?;
            Ok(ExitCode::Success)
        }
    }
}

fn check(context: &mut Context) -> Result<ExitCode, Failure> {
    let Loaded { config, warnings } = load::load(context, None)?;
    warn(&warnings, context);
    let file = config.file.as_ref().map(|file| {
        let cwd = context.env.cwd().unwrap_or_default();
        file.strip_prefix(cwd).unwrap_or(file).display().to_string()
    });
    let and = match warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        n => format!(", {n} warnings"),
    };
    context.ui.line(format_args!(
        "{}: ok ({}, {}{and})",
        file.unwrap_or_default(),
        counted(config.own_detectors().count(), "detector"),
        counted(config.rules.len(), "rule"),
    ))?;
    Ok(ExitCode::Success)
}

/// The same answer as [`check`], also where the file is wrong.
fn check_json(context: &mut Context) -> Result<ExitCode, Failure> {
    let directory = context.directory()?;
    let Some(file) = context.config_file()?.or_else(|| load::find_above(&directory)) else {
        return load::load(context, None).map(|_| ExitCode::Success);
    };
    let bytes = load::read(&file)?;
    let variables = context.env.variables();
    let parsed = load::parse_bytes(&bytes, &file, None, &variables);
    let (errors, warnings) = match &parsed {
        Ok((_, warnings)) => (Vec::new(), warnings.iter().map(|warning| place(warning.problem())).collect()),
        Err(errors) => (errors.iter().map(|error| place(error.problem())).collect(), Vec::new()),
    };
    let ok = errors.is_empty();
    let file = Some(file.display().to_string());
    context.ui.json(&Check { schema: SCHEMA, ok, file, errors, warnings })?;
    Ok(if ok { ExitCode::Success } else { ExitCode::Configuration })
}

fn show(json: bool, context: &mut Context) -> Result<ExitCode, Failure> {
    let Loaded { config, warnings } = load::load(context, None)?;
    let shown = config::show(&config);
    let file = config.file.as_ref().map(|file| file.display().to_string());
    if json {
        let project = config.project.display().to_string();
        context.ui.json(&InEffect { schema: SCHEMA, file, project, config: shown })?;
    } else {
        warn(&warnings, context);
        context.ui.line(format_args!("# In effect, from {}", file.unwrap_or_default()))?;
        context.ui.data(shown.to_yaml())?;
    }
    Ok(ExitCode::Success)
}

/// Shows warnings on stderr.
pub(super) fn warn(warnings: &[config::Warning], context: &mut Context) {
    let coloured = context.ui.talk_palette().is_coloured();
    for warning in warnings {
        context.ui.talk(format_args!("{}\n\n", warning.render(coloured)));
    }
}

fn place(problem: &Problem) -> Place {
    Place { line: problem.line, column: problem.column, message: problem.message.clone(), help: problem.help.clone() }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
