//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{
    ColorChoice, analyze, backtest, catalogue, config, control, doctor, generate, incidents, init, look_around, probe,
    run, scan, status,
};

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
    /// Show what is running here and how it is
    Status(status::Args),
    /// List and show what has failed
    Incidents(incidents::Args),
    /// Show what was done about failures and whether it helped
    Analyze(analyze::Args),
    /// Run the detectors over a log
    Scan(scan::Args),
    /// Show what detectors and rules would have done on recorded logs
    Backtest(backtest::Args),
    /// Show the failures that are known
    Catalogue(catalogue::Args),
    /// Look for what could go wrong, and mend it
    Doctor(doctor::Args),
    /// Check or show the configuration
    Config(config::Args),
    /// Stop the command and end the run
    #[command(after_help = "\
Examples:
  sentry stop                            with a monitor or without one
  sentry -C ~/train stop --json          from elsewhere, for programs")]
    Stop(control::AskArgs),
    /// End the monitor and leave the command running
    #[command(after_help = "\
Examples:
  sentry detach                          to update `sentry` or to log out; the command goes on
  sentry run                             takes it over again")]
    Detach(control::AskArgs),
    /// Stop the command until `resume`
    #[command(after_help = "\
Examples:
  sentry pause                           the command is stopped, the monitor waits")]
    Pause(control::AskArgs),
    /// Go on after a pause or a hold
    #[command(after_help = "\
Examples:
  sentry resume                          the command is started again")]
    Resume(control::AskArgs),
    /// Stop the command and start it anew
    #[command(after_help = "\
Examples:
  sentry restart                         does not count as a restart after a failure")]
    Restart(control::AskArgs),
    /// Stop the command and end the run as aborted
    #[command(after_help = "\
Examples:
  sentry abort                           like `stop`, and the record says that it was aborted")]
    Abort(control::AskArgs),
    /// Clear counters: restarts, identical failures, holds
    #[command(after_help = "\
Examples:
  sentry reset                           a fresh budget, once the reason is gone")]
    Reset(control::AskArgs),
    /// Read the configuration again
    #[command(after_help = "\
Examples:
  sentry config check && sentry reload   a wrong file changes nothing: the old one stays in effect")]
    Reload(control::AskArgs),
    /// Change a limit of this run
    Set(control::SetArgs),
    /// Approve an attempt that waits for a person; nothing waits for approval in this version
    #[command(hide = true)]
    Approve(control::DecideArgs),
    /// Reject an attempt that waits for a person; nothing waits for approval in this version
    #[command(hide = true)]
    Reject(control::DecideArgs),
    /// Print a completion script for a shell
    Completions(generate::CompletionsArgs),
    /// Print manual pages
    Man(generate::ManArgs),
    /// Finds out what changed; started by the monitor
    #[command(hide = true)]
    LookAround(look_around::Args),
    /// Looks at a service or at resources; started by the monitor
    #[command(hide = true)]
    Probe(probe::Args),
}

/// `sentry shim`, what the monitor starts for each child. Not part of [`Cli`], so that no help, completion or page knows it.
#[derive(Debug, Parser)]
#[command(name = "sentry shim")]
pub struct Shim {
    /// Its arguments.
    #[command(flatten)]
    pub args: super::shim::ShimArgs,
}
