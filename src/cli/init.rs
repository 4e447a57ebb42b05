//! `sentry init`: looks at a directory and writes its configuration.
#![expect(clippy::disallowed_methods, reason = "lists a directory and writes files that are the person's own")]

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Context, ExitCode, Failure, FailureKind, config::warn, load};
use crate::config::stack::{self, Listing, Proposal};
use crate::config::{self, template, word};
use crate::os::error::{At, AtExt as _};
use crate::os::file::{LastLink, read_capped, write_atomic};
use crate::os::signals::{Caught, Signals};
use crate::paths::Layout;
use crate::store;

/// Arguments of `sentry init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry init                            look around, ask, write sentry.yaml
  sentry init --non-interactive          take the best guess
  sentry init -- python train.py         supervise this command
  sentry init --from autosentry.yaml     convert an existing configuration")]
pub struct Args {
    /// Directory to set up [default: the current one]
    #[arg(value_name = "DIR")]
    pub target: Option<PathBuf>,
    /// Ask nothing, take what is proposed
    #[arg(long)]
    pub non_interactive: bool,
    /// Replace an existing sentry.yaml; the old one is kept as sentry.yaml.old
    #[arg(long)]
    pub force: bool,
    /// Convert this autosentry.yaml
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    pub from: Option<PathBuf>,
    /// Command to supervise
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Most entries of a directory tree that are looked at, and how deep.
const MAX_ENTRIES: usize = 5_000;
const MAX_DEPTH: usize = 3;
/// Directories with other people's code, or with what can be made again.
const SKIPPED: [&str; 9] =
    ["node_modules", "target", "build", "dist", "site-packages", "__pycache__", "vendor", "venv", "env"];

/// Runs `sentry init`.
///
/// # Errors
/// There is a configuration already; nothing to supervise was found; a file cannot be read or written.
pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let mut project = context.directory()?;
    project.extend(&args.target);
    if !project.is_dir() {
        return Err(Failure::new(FailureKind::Usage, "this directory does not exist").at(project.display()));
    }
    refuse_existing(&project, args.force)?;
    let (text, notes) = match &args.from {
        Some(from) => (converted(from, &project, context)?, Vec::new()),
        None => proposed(args, &project, context)?,
    };
    let written = write(&project, &text).map_err(|error| Failure::new(FailureKind::Io, error))?;
    for line in written {
        context.ui.line(line)?;
    }
    for note in notes {
        context.ui.line(format_args!("note: {note}"))?;
    }
    let old = ["autosentry.yaml", ".autosentry/autosentry.yaml"].into_iter().find(|name| project.join(name).exists());
    if let (Some(old), None) = (old, &args.from) {
        context.ui.line(format_args!("note: `sentry init --force --from {old}` converts the `{old}` that is here"))?;
    }
    let cd = match &args.target {
        Some(target) => format!("cd {} && ", word(&target.to_string_lossy())),
        None => String::new(),
    };
    context.ui.line(format_args!("next: {cd}sentry run"))?;
    Ok(ExitCode::Success)
}

fn refuse_existing(project: &Path, force: bool) -> Result<(), Failure> {
    match load::find(project) {
        Some(file) if !force => {
            let name = file.strip_prefix(project).unwrap_or(&file).display();
            Err(Failure::new(FailureKind::Refused, format!("there is a `{name}` already"))
                .at(project.display())
                .hint("`sentry init --force` writes a new `sentry.yaml`; `sentry config check` looks at the one that is there"))
        }
        Some(_) | None => Ok(()),
    }
}

fn converted(from: &Path, project: &Path, context: &mut Context) -> Result<String, Failure> {
    let cwd = context.env.cwd()?;
    let from = cwd.join(from);
    let bytes = load::read(&from)?;
    let variables = context.env.variables();
    let vars = |name: &str| variables.get(name).cloned();
    let coloured = context.ui.talk_palette().is_coloured();
    let converted =
        config::decode(&bytes, Some(&from)).and_then(|text| config::convert(text, Some(&from), project, &vars));
    let (text, warnings) = converted.map_err(|errors| load::failure(errors, &from, &cwd, coloured))?;
    let warnings: Vec<config::Warning> = warnings.into_iter().map(|warning| warning.seen_from(&cwd)).collect();
    warn(&warnings, context);
    Ok(text)
}

fn proposed(args: &Args, project: &Path, context: &mut Context) -> Result<(String, Vec<String>), Failure> {
    let listing = list(project).map_err(|error| Failure::new(FailureKind::Io, error))?;
    let mut proposal = stack::propose(&listing);
    if !args.command.is_empty() {
        proposal.command = words(&args.command)?;
        proposal.alternatives.clear();
    }
    let interactive = !args.non_interactive
        && context.ui.is_terminal()
        && context.ui.shows_progress()
        && io::IsTerminal::is_terminal(&io::stdin());
    if interactive {
        ask(&mut proposal, args.command.is_empty()).map_err(not_answered)?;
    }
    if proposal.command.is_empty() {
        return Err(Failure::new(FailureKind::Usage, "nothing here looks like a program to supervise")
            .at(project.display())
            .hint("name it: `sentry init -- COMMAND …`"));
    }
    let recognised = if proposal.stacks.is_empty() { "nothing known".to_owned() } else { proposal.stacks.join(", ") };
    let mut notes = vec![format!("found {recognised}; the command is `{}`", joined(&proposal.command))];
    let packs: Vec<&str> = proposal.packs.iter().map(|choice| choice.pack).collect();
    if !packs.is_empty() {
        notes.push(format!("known failures of: {}", packs.join(", ")));
    }
    let rules: Vec<&str> = proposal.rules.iter().map(|rule| rule.name).collect();
    if !rules.is_empty() {
        notes.push(format!("rules: {}", rules.join(", ")));
    }
    notes.extend(
        proposal.alternatives.iter().take(5).map(|command| format!("another command would be `{}`", joined(command))),
    );
    notes.append(&mut proposal.notes);
    Ok((template::render(&proposal), notes))
}

fn words(command: &[OsString]) -> Result<Vec<String>, Failure> {
    let word = |word: &OsString| {
        word.to_str().map(str::to_owned).ok_or_else(|| {
            Failure::new(
                FailureKind::Usage,
                format!("`{}` is not UTF-8 and cannot stand in a file", word.to_string_lossy()),
            )
        })
    };
    command.iter().map(word).collect()
}

fn joined(command: &[String]) -> String {
    config::command_line(command)
}

fn not_answered(error: dialoguer::Error) -> Failure {
    // The prompts hide it; a terminal that is gone needs none.
    let _ = dialoguer::console::Term::stderr().show_cursor();
    let dialoguer::Error::IO(error) = error;
    if error.kind() == io::ErrorKind::Interrupted {
        return Failure::new(FailureKind::No, "interrupted; nothing was written");
    }
    Failure::new(FailureKind::Io, error).hint("`--non-interactive` takes what is proposed")
}

/// Asks for the command and for the files worth a snapshot.
fn ask(proposal: &mut Proposal, ask_command: bool) -> Result<(), dialoguer::Error> {
    // Control-C would end the process inside the prompt and leave the terminal without a cursor.
    let _signals = Signals::block(&[Caught::Interrupt])?;
    if ask_command {
        let mut choices: Vec<String> = Vec::new();
        if !proposal.command.is_empty() {
            choices.push(joined(&proposal.command));
        }
        choices.extend(proposal.alternatives.iter().map(|command| joined(command)));
        let own = choices.len();
        choices.push("another one".to_owned());
        let chosen = if own == 0 {
            0
        } else {
            dialoguer::Select::new().with_prompt("Command to supervise").items(&choices).default(0).interact()?
        };
        if chosen == own {
            let line: String = dialoguer::Input::new()
                .with_prompt(if own == 0 { "Nothing known is here. Command to supervise" } else { "Command" })
                .validate_with(|line: &String| match shlex::split(line) {
                    Some(words) if !words.is_empty() => Ok(()),
                    Some(_) => Err("a command is needed"),
                    None => Err("there is an open quote"),
                })
                .interact_text()?;
            proposal.command = shlex::split(&line).unwrap_or_default();
        } else if let Some(command) = chosen.checked_sub(1).and_then(|index| proposal.alternatives.get(index)) {
            proposal.command = command.clone();
        }
        proposal.alternatives.clear();
    }
    if !proposal.snapshots.is_empty() {
        let all = vec![true; proposal.snapshots.len()];
        let kept = dialoguer::MultiSelect::new()
            .with_prompt("Files to copy into each incident, without their secrets (space: on or off, enter: go on)")
            .items(&proposal.snapshots)
            .defaults(&all)
            .interact()?;
        let chosen = kept.into_iter().filter_map(|index| proposal.snapshots.get(index).cloned()).collect();
        proposal.snapshots = chosen;
    }
    Ok(())
}

/// Names below a directory, and the text of those that say something. Symbolic links are not followed.
fn list(project: &Path) -> Result<Listing, At> {
    let mut listing = Listing::default();
    let mut queue = vec![(project.to_path_buf(), String::new(), 0_usize)];
    while let Some((directory, prefix, depth)) = queue.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            // Below the project, a directory that cannot be read holds nothing that could be supervised.
            Err(_) if depth > 0 => continue,
            Err(error) => return Err(error).at(&directory, "list"),
        };
        for entry in entries.flatten() {
            if listing.files.len() >= MAX_ENTRIES {
                return Ok(listing);
            }
            let Ok(base) = entry.file_name().into_string() else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            let name = format!("{prefix}{base}");
            if kind.is_dir() {
                if depth < MAX_DEPTH && !base.starts_with('.') && !SKIPPED.contains(&base.as_str()) {
                    queue.push((entry.path(), format!("{name}/"), depth.saturating_add(1)));
                }
            } else if kind.is_file() {
                let text = if stack::wants(&name) { text_of(&entry.path()) } else { String::new() };
                listing.files.insert(name, text);
            }
        }
    }
    // A link, usually, inside directories that are not looked into.
    for python in [".venv/bin/python", "venv/bin/python"] {
        if project.join(python).exists() {
            listing.files.insert(python.to_owned(), String::new());
        }
    }
    Ok(listing)
}

/// The start of a file as text; a file that cannot be read says nothing.
fn text_of(path: &Path) -> String {
    read_capped(path, stack::MAX_FILE, LastLink::Refuse)
        .map(|capped| String::from_utf8_lossy(&capped.bytes).into_owned())
        .unwrap_or_default()
}

/// Writes the configuration and what belongs to it; returns what to tell.
fn write(project: &Path, text: &str) -> Result<Vec<String>, At> {
    let mut said = Vec::new();
    let layout = Layout::new(project);
    store::make(&layout)?;
    write_atomic(&layout.dot().join("sentry.schema.json"), config::schema().as_bytes())?;
    let program = layout.dot().join("program.md");
    if !program.exists() {
        write_atomic(&program, template::PROGRAM.as_bytes())?;
    }
    let file = project.join("sentry.yaml");
    if file.exists() {
        let old = project.join("sentry.yaml.old");
        fs::rename(&file, &old).at(&file, "rename")?;
        said.push("kept sentry.yaml as sentry.yaml.old".to_owned());
    }
    // Not private: it belongs to the project and into its repository. `create_new` never replaces one that has just appeared.
    let mut out = OpenOptions::new().write(true).create_new(true).open(&file).at(&file, "create")?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).at(&file, "write")?;
    said.push("wrote sentry.yaml".to_owned());
    said.push("wrote .sentry/ (for the record of what happens; git ignores it)".to_owned());
    Ok(said)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::{Env, Ui};

    #[derive(Clone, Default)]
    struct Sink(Rc<RefCell<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a command printed to stdout, to stderr and as its failure, and its exit code.
    fn sentry(project: &Path, line: &[&str]) -> (String, u8) {
        let cli = Cli::try_parse_from(["sentry"].iter().chain(line)).unwrap();
        let env = Env::of_parts(["sentry"], [("HOME", "/home/ada")], project);
        let (out, err) = (Sink::default(), Sink::default());
        let ui = Ui::of_sinks(out.clone(), err.clone());
        let mut context = Context::new(env, ui, cli.global);
        let outcome = match cli.command {
            Command::Init(args) => run(&args, &mut context),
            Command::Config(args) => crate::cli::config::run(&args, &mut context),
            _ => panic!("not ours: {line:?}"),
        };
        let mut text = String::from_utf8(out.0.take()).unwrap();
        text.push_str(&String::from_utf8(err.0.take()).unwrap());
        let code = match outcome {
            Ok(code) => code,
            Err(failure) => {
                text.push_str(&failure.render(crate::view::Palette::plain()));
                failure.kind().exit_code()
            }
        };
        (text.replace(&project.display().to_string(), "PROJECT"), code.number())
    }

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn writes_what_is_checked_and_never_overwrites() {
        let dir = project(&[("main.go", ""), ("go.mod", "module x"), ("node_modules/train.py", "")]);
        let (text, code) = sentry(dir.path(), &["init"]);
        insta::assert_snapshot!(text, @r"
    wrote sentry.yaml
    wrote .sentry/ (for the record of what happens; git ignores it)
    note: found Go; the command is `go run .`
    note: known failures of: go, native, storage, kernel
    next: sentry run
    ");
        assert_eq!(code, 0);
        for name in
            [".gitignore", "sentry.schema.json", "program.md", "incidents", "logs", "runs", "control/new", "version"]
        {
            assert!(dir.path().join(".sentry").join(name).exists(), "{name}");
        }
        assert_eq!(fs::read_to_string(dir.path().join(".sentry/.gitignore")).unwrap(), "*\n");
        assert_eq!(
            sentry(dir.path(), &["config", "check"]),
            ("sentry.yaml: ok (4 detectors, 0 rules)\n".to_owned(), 0)
        );

        fs::write(dir.path().join(".sentry/program.md"), "mine").unwrap();
        let (text, code) = sentry(dir.path(), &["init"]);
        insta::assert_snapshot!(text, @r"
    error: there is a `sentry.yaml` already
      at: PROJECT
      help: `sentry init --force` writes a new `sentry.yaml`; `sentry config check` looks at the one that is there
    ");
        assert_eq!(code, 6);

        fs::write(dir.path().join("sentry.yaml"), "mine").unwrap();
        let (_, code) = sentry(dir.path(), &["init", "--force", "--", "make", "it so"]);
        assert_eq!(code, 0);
        assert_eq!(fs::read_to_string(dir.path().join("sentry.yaml.old")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(dir.path().join(".sentry/program.md")).unwrap(), "mine");
        let (shown, _) = sentry(dir.path(), &["config", "show"]);
        assert!(shown.contains("  command: [make, 'it so']\n"), "{shown}");
    }

    #[test]
    fn nothing_to_supervise_writes_nothing() {
        let dir = project(&[]);
        let (text, code) = sentry(dir.path(), &["init", "--non-interactive"]);
        insta::assert_snapshot!(text, @r"
    error: nothing here looks like a program to supervise
      at: PROJECT
      help: name it: `sentry init -- COMMAND …`
    ");
        assert_eq!((code, fs::read_dir(dir.path()).unwrap().count()), (2, 0));
    }

    #[test]
    fn converts() {
        let dir = project(&[("autosentry.yaml", "process: {command: [a]}\nmonitor:\n  log_tail_lines: 5\n")]);
        let (text, code) = sentry(dir.path(), &["init", "--from", "autosentry.yaml"]);
        insta::assert_snapshot!(text, @r"
    wrote sentry.yaml
    wrote .sentry/ (for the record of what happens; git ignores it)
    next: sentry run
    warning: `monitor.log_tail_lines` has no effect
     --> autosentry.yaml:3:3
      |
    3 |   log_tail_lines: 5
      |   ^^^^^^^^^^^^^^
      |
      = help: autosentry never read it; see `monitor.log_excerpt_lines`
    ");
        assert_eq!(code, 0);
        assert_eq!(sentry(dir.path(), &["config", "check"]).1, 0);
    }

    #[test]
    fn says_everything_that_is_wrong() {
        let dir = project(&[("sentry.yaml", "process: {command: [a], pty: 5}\nx: 1\n")]);
        let (text, code) = sentry(dir.path(), &["config", "check"]);
        insta::assert_snapshot!(text, @r"
    error: `process.pty` must be true or false
     --> sentry.yaml:1:30
      |
    1 | process: {command: [a], pty: 5}
      |                              ^ this is a whole number

    error: unknown key `x`
     --> sentry.yaml:2:1
      |
    2 | x: 1
      | ^ not a key of the configuration
      |
      = help: known here: `process`, `monitor`, `config_snapshots`, `source_explode`, `detectors`, `phases`, `rules`, `healing`, `notifiers`, `state_path`, `incidents_dir`, `retention`, `vault`, `dispatch`

    sentry.yaml: 2 errors
    ");
        assert_eq!(code, 3);
        let (json, code) = sentry(dir.path(), &["config", "check", "--json"]);
        insta::assert_snapshot!(json, @r#"{"schema":1,"ok":false,"file":"PROJECT/sentry.yaml","errors":[{"line":1,"column":30,"message":"`process.pty` must be true or false","help":null},{"line":2,"column":1,"message":"unknown key `x`","help":"known here: `process`, `monitor`, `config_snapshots`, `source_explode`, `detectors`, `phases`, `rules`, `healing`, `notifiers`, `state_path`, `incidents_dir`, `retention`, `vault`, `dispatch`"}],"warnings":[]}"#);
        assert_eq!(code, 3);
    }

    #[test]
    fn no_configuration_is_nothing_here() {
        let dir = project(&[("autosentry.yaml", "")]);
        let (text, code) = sentry(dir.path(), &["config", "check"]);
        insta::assert_snapshot!(text, @r"
    error: there is no `sentry.yaml` here or above
      at: PROJECT
      help: `sentry init --from autosentry.yaml` converts the file that is there; `-c autosentry.yaml` reads it as it is
    ");
        assert_eq!(code, 4);
        assert_eq!(sentry(dir.path(), &["-c", "no.yaml", "config", "check"]).1, 3);
        assert_eq!(sentry(dir.path(), &["config", "schema"]).0, config::schema());
    }
}
