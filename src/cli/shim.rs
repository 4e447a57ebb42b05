//! `sentry shim` (hidden): parent of one child. Started by the monitor, never by a person.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::StopSignal;
use crate::ids::{ChildNo, RunId};
use crate::supervisor::shim::{ShimSpec, run as run_shim};

/// Arguments of `sentry shim`. `--record` comes first: a monitor that lost sight of its shim finds it by that.
#[derive(Args, Clone, Debug)]
pub struct ShimArgs {
    /// Record of the child
    #[arg(long)]
    record: PathBuf,
    /// Log of the child
    #[arg(long)]
    log: PathBuf,
    /// Run of the child
    #[arg(long)]
    run: String,
    /// Number of the child
    #[arg(long)]
    child: u32,
    /// Working directory of the child
    #[arg(long)]
    cwd: PathBuf,
    /// First signal of a stop
    #[arg(long, value_parser = stop_signal)]
    stop_signal: StopSignal,
    /// Milliseconds between that and the kill
    #[arg(long)]
    grace_ms: u64,
    /// Give the child a terminal
    #[arg(long)]
    pty: bool,
    /// Columns of the terminal
    #[arg(long, default_value_t = 80, requires = "pty")]
    columns: u16,
    /// Lines of the terminal
    #[arg(long, default_value_t = 24, requires = "pty")]
    lines: u16,
    /// Command of the child
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the shim until the child's whole tree is gone. To be called before any thread is made.
///
/// # Errors
/// When not even the shim's own needs can be met.
pub fn run(args: ShimArgs) -> io::Result<()> {
    run_shim(&ShimSpec {
        record: args.record,
        log: args.log,
        run: RunId::new(args.run),
        child: ChildNo(args.child),
        cwd: args.cwd,
        stop_signal: args.stop_signal,
        stop_grace: Duration::from_millis(args.grace_ms),
        pty: args.pty.then_some((args.columns, args.lines)),
        command: args.command,
    })
}

fn stop_signal(name: &str) -> Result<StopSignal, String> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(|e| e.to_string())
}
