//! Parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use sentry::cli::shim::{self, ShimArgs};

#[derive(Parser)]
enum Sentry {
    #[command(hide = true)]
    Shim(ShimArgs),
}

fn main() -> ExitCode {
    match Sentry::parse() {
        Sentry::Shim(args) => match shim::run(args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(74),
        },
    }
}
