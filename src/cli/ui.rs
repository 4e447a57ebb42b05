//! The only writer to the terminal: data to stdout, talk to stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use super::{Env, Failure, FailureKind};
use crate::view::Palette;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Columns assumed where nobody knows better.
const DEFAULT_WIDTH: usize = 100;

/// Both output streams of the program.
pub struct Ui {
    out: Side,
    err: Side,
    quiet: bool,
}

struct Side {
    sink: Box<dyn Write>,
    terminal: bool,
    colour: bool,
}

impl Ui {
    /// The streams of this process.
    pub fn of_process(choice: ColorChoice, quiet: bool, env: &Env) -> Self {
        let side = |sink: Box<dyn Write>, terminal: bool| {
            let colour = match choice {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                // https://no-color.org
                ColorChoice::Auto => terminal && !env.is_set("NO_COLOR") && env.var("TERM") != Some("dumb"),
            };
            Side { sink, terminal, colour }
        };
        Self {
            out: side(Box::new(BufWriter::new(io::stdout())), io::stdout().is_terminal()),
            err: side(Box::new(io::stderr()), io::stderr().is_terminal()),
            quiet,
        }
    }

    /// Streams made by hand: not a terminal, no colour.
    pub fn of_sinks(out: impl Write + 'static, err: impl Write + 'static) -> Self {
        let side = |sink| Side { sink, terminal: false, colour: false };
        Self { out: side(Box::new(out)), err: side(Box::new(err)), quiet: false }
    }

    /// Whether stdout is a terminal: tables and drawings instead of columns.
    pub fn is_terminal(&self) -> bool {
        self.out.terminal
    }

    /// Whether only errors are to be said.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether progress may be drawn on stderr.
    pub fn shows_progress(&self) -> bool {
        self.err.terminal && !self.quiet
    }

    /// Columns of the terminal.
    pub fn width(&self) -> usize {
        if !self.out.terminal {
            return DEFAULT_WIDTH;
        }
        rustix::termios::tcgetwinsize(io::stdout())
            .map(|size| usize::from(size.ws_col))
            .ok()
            .filter(|&columns| columns > 0)
            .unwrap_or(DEFAULT_WIDTH)
    }

    /// Styles for what goes to stdout.
    pub fn palette(&self) -> Palette {
        Palette::new(self.out.colour)
    }

    /// Styles for what goes to stderr.
    pub fn talk_palette(&self) -> Palette {
        Palette::new(self.err.colour)
    }

    /// Writes data as it is, to stdout.
    ///
    /// # Errors
    /// [`FailureKind::ReaderGone`] when nobody reads any more, [`FailureKind::Io`] otherwise.
    pub fn data(&mut self, data: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.out.sink.write_all(data.as_ref()).map_err(write_failure)
    }

    /// Writes a line of data, to stdout.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.out.sink, "{line}").map_err(write_failure)
    }

    /// Writes one JSON value on one line, to stdout.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out.sink, value).map_err(|error| write_failure(error.into()))?;
        self.line("")
    }

    /// Hands everything written so far to the reader.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.sink.flush().map_err(write_failure)
    }

    /// Says something in passing, to stderr; `--quiet` silences it.
    pub fn say(&mut self, text: impl Display) {
        if !self.quiet {
            self.complain(format_args!("{text}\n"));
        }
    }

    /// Warns, to stderr, `--quiet` or not.
    pub fn warn(&mut self, text: impl Display) {
        let word = self.talk_palette().warn("warning");
        self.complain(format_args!("{word}: {text}\n"));
    }

    /// Shows a failure, to stderr, `--quiet` or not. Silent when the reader is gone.
    pub fn fail(&mut self, failure: &Failure) {
        if failure.kind() != FailureKind::ReaderGone {
            let text = failure.render(self.talk_palette());
            self.complain(format_args!("{text}"));
        }
    }

    /// Writes to stderr as it is (progress, prompts).
    pub fn talk(&mut self, text: impl Display) {
        self.complain(format_args!("{text}"));
    }

    /// When stderr does not work there is nobody left to tell.
    fn complain(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.err.sink.write_fmt(text).and_then(|()| self.err.sink.flush());
    }
}

fn write_failure(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::new(FailureKind::ReaderGone, error);
    }
    let failure = Failure::new(FailureKind::Io, WriteError(error));
    failure.hint("what was printed before is incomplete")
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write to the standard output")]
struct WriteError(#[source] io::Error);
