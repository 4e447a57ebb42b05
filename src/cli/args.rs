//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{ColorChoice, config, init, run};

/// Supervises a long-running command, heals its failures and keeps the record
#[derive(Debug, Parser)]
#[command(
    name = "sentry",
    version,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Options that all commands share.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that all commands share.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Act as if started in DIR
    #[arg(short = 'C', long, value_name = "DIR", global = true, help_heading = "Global options")]
    pub directory: Option<PathBuf>,
    /// Read the configuration from FILE [default: sentry.yaml or .sentry/sentry.yaml]
    #[arg(short, long, value_name = "FILE", global = true, help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Use colour
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true, help_heading = "Global options")]
    pub color: ColorChoice,
    /// Say only what was asked for, and errors
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at a directory and write its configuration
    Init(init::Args),
    /// Run and supervise a command
    Run(run::Args),
    /// Check or show the configuration
    Config(config::Args),
}
