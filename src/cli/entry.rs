//! Parse, dispatch, exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser as _;

use super::args::{Cli, Command, Shim};
use super::{
    ColorChoice, Context, Env, ExitCode, Failure, FailureKind, Ui, analyze, backtest, catalogue, config, control,
    doctor, generate, incidents, init, look_around, probe, run, scan, shim, status,
};
use crate::monitor::command::ControlCommand;

/// Runs the program. Nothing is read or loaded before the command line is understood.
pub fn main() -> std::process::ExitCode {
    let env = Env::of_process();
    let code = catch_unwind(AssertUnwindSafe(|| parse_and_run(env)));
    // The panic hook has printed where it happened.
    code.unwrap_or(ExitCode::Bug).into()
}

fn parse_and_run(env: Env) -> ExitCode {
    if env.args().get(1).is_some_and(|command| command == "shim") {
        return run_shim(&env);
    }
    let cli = match Cli::try_parse_from(env.args()) {
        Ok(cli) => cli,
        Err(error) => return show_clap_error(&error, &env),
    };
    let ui = Ui::of_process(cli.global.color, cli.global.quiet, &env);
    let mut context = Context::new(env, ui, cli.global);
    let outcome = dispatch(cli.command, &mut context).and_then(|code| context.ui.flush().map(|()| code));
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            let flushed = context.ui.flush();
            context.ui.fail(&failure);
            // A reader that left early is no reason to hide what else went wrong.
            let _ = flushed;
            failure.kind().exit_code()
        }
    }
}

fn run_shim(env: &Env) -> ExitCode {
    let shim = match Shim::try_parse_from(env.args().iter().skip(1)) {
        Ok(shim) => shim,
        Err(error) => return show_clap_error(&error, env),
    };
    match shim::run(shim.args) {
        Ok(()) => ExitCode::Success,
        Err(error) => {
            let failure = Failure::new(FailureKind::Io, error);
            Ui::of_process(ColorChoice::Never, false, env).fail(&failure);
            failure.kind().exit_code()
        }
    }
}

fn dispatch(command: Command, context: &mut Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Init(args) => init::run(&args, context),
        Command::Config(args) => config::run(&args, context),
        Command::Run(args) => run::run(args, context),
        Command::LookAround(args) => look_around::run(args, context),
        Command::Probe(args) => probe::run(&args, context),
        Command::Status(args) => status::run(&args, context),
        Command::Incidents(args) => incidents::run(&args, context),
        Command::Analyze(args) => analyze::run(&args, context),
        Command::Backtest(args) => backtest::run(&args, context),
        Command::Scan(args) => scan::run(&args, context),
        Command::Catalogue(args) => catalogue::run(&args, context),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Stop(args) => control::ask(&ControlCommand::Stop, args, context),
        Command::Detach(args) => control::ask(&ControlCommand::Detach, args, context),
        Command::Pause(args) => control::ask(&ControlCommand::Pause, args, context),
        Command::Resume(args) => control::ask(&ControlCommand::Resume, args, context),
        Command::Restart(args) => control::ask(&ControlCommand::Restart, args, context),
        Command::Abort(args) => control::ask(&ControlCommand::Abort, args, context),
        Command::Reset(args) => control::ask(&ControlCommand::Reset, args, context),
        Command::Reload(args) => control::ask(&ControlCommand::Reload, args, context),
        Command::Set(args) => control::set(args, context),
        Command::Approve(args) => control::approve(&args, context),
        Command::Reject(args) => control::reject(&args, context),
        Command::Completions(args) => generate::completions(&args, context),
        Command::Man(args) => generate::man(&args, context),
    }
}

/// Help and version go to stdout and are a success; everything else is a usage error on stderr.
fn show_clap_error(error: &clap::Error, env: &Env) -> ExitCode {
    // The command line was not understood, so `--color` is looked for by hand.
    let mut ui = Ui::of_process(color_choice(env), false, env);
    let text = error.render();
    if error.use_stderr() {
        let coloured = ui.talk_palette().is_coloured();
        if coloured {
            ui.talk(text.ansi())
        } else {
            ui.talk(text)
        }
        return ExitCode::Usage;
    }
    let coloured = ui.palette().is_coloured();
    let text = if coloured { text.ansi().to_string() } else { text.to_string() };
    match ui.data(text).and_then(|()| ui.flush()) {
        Ok(()) => ExitCode::Success,
        Err(failure) => {
            ui.fail(&failure);
            failure.kind().exit_code()
        }
    }
}

fn color_choice(env: &Env) -> ColorChoice {
    use clap::ValueEnum as _;
    let args: Vec<&str> = env.args().iter().filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--").collect();
    let after_equals = args.iter().find_map(|arg| arg.strip_prefix("--color="));
    let next = || args.iter().skip_while(|arg| **arg != "--color").nth(1).copied();
    after_equals.or_else(next).and_then(|word| ColorChoice::from_str(word, false).ok()).unwrap_or_default()
}
