//! `sentry look-around` (hidden): finds out what changed, for the report of an incident. The monitor runs it as a child with
//! a deadline, so it may take its time and may block.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::look_around_lines::{self, Found, Place};
use super::{Context, ExitCode, Failure};
use crate::ids::{ChildNo, RunId};
use crate::incident::report_view::{ChangedFile, Changes, CommitView, Healthy, NewLines};
use crate::store::evidence;
use crate::time::Utc;

/// Commits in a report.
const MAX_COMMITS: &str = "-n5";

/// Arguments of `sentry look-around`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    project: PathBuf,
    #[arg(long)]
    since_ms: Option<i64>,
    /// Log of the failing child; with the two below.
    #[arg(long, requires_all = ["until", "line"])]
    log: Option<PathBuf>,
    #[arg(long)]
    until: Option<u64>,
    #[arg(long)]
    line: Option<u64>,
    #[arg(last = true)]
    files: Vec<String>,
}

/// Prints [`Changes`] as one line of JSON.
///
/// # Errors
/// When the answer cannot be printed.
pub(super) fn run(args: Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let mut changes = Changes::default();
    if let Some(since) = args.since_ms.map(Utc::from_millis) {
        let modified = evidence::modified_since(&args.project, since);
        // Only the time is known here: the monitor remembers that it was well, not who was.
        changes.since = Some(Healthy { run: RunId::new(""), child: ChildNo(0), utc: since });
        changes.files = modified
            .files
            .into_iter()
            .map(|(path, utc)| ChangedFile { path, how: "modified".to_owned(), utc: Some(utc) })
            .collect();
        if modified.total > changes.files.len() {
            changes.notes.push(format!("{} files changed; the newest are listed", modified.total));
        }
        if !modified.complete {
            changes.notes.push("the project is too large to look at every file".to_owned());
        }
    }
    if !args.files.is_empty() {
        match commits(&args.project, &args.files) {
            Ok(commits) => changes.commits = commits,
            Err(why) => changes.notes.push(why),
        }
    }
    if let (Some(log), Some(until), Some(line)) = (args.log, args.until, args.line) {
        match look_around_lines::find(&Place { log, until, line }) {
            Ok(Found::New(lines, compared)) => changes.new_lines = Some(NewLines { lines, compared }),
            Ok(Found::TooVaried(compared)) => {
                changes.notes.push(format!("{compared} is too varied to tell which lines before the failure are new"))
            }
            Ok(Found::Nothing) => {}
            Err(error) => changes.notes.push(format!("the log could not be compared with a healthy one: {error}")),
        }
    }
    context.ui.json(&changes)?;
    Ok(ExitCode::Success)
}

/// Recent commits that touched these files, newest first. Reads only, takes no lock, runs nothing that the repository
/// configures.
fn commits(project: &Path, files: &[String]) -> Result<Vec<CommitView>, String> {
    #[expect(clippy::disallowed_methods, reason = "a process of its own, which may wait for git")]
    let output = Command::new("git")
        .args(["--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false"])
        .args(["-c", "core.quotePath=false", "log", MAX_COMMITS, "--no-color", "--name-only"])
        .args(["--format=%x01%h%x09%ct%x09%an%x09%s", "--"])
        .args(files)
        .current_dir(project)
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("git could not be asked for recent commits: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("not a git repository") {
            return Err("the project is no git repository, so no commits are known".to_owned());
        }
        let said = said.lines().next().unwrap_or("no reason given");
        if said.contains("not a git repository") {
            return Err("The project is not in a git repository, so no commits are known.".to_owned());
        }
        return Err(format!("git knows no commits here: {said}"));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(text: &str) -> Vec<CommitView> {
    text.split('\u{1}').filter_map(commit).collect()
}

fn commit(text: &str) -> Option<CommitView> {
    let (head, files) = text.split_once('\n').unwrap_or((text, ""));
    let mut parts = head.splitn(4, '\t');
    let id = parts.next().filter(|id| !id.is_empty())?.to_owned();
    let utc = Utc::from_millis(parts.next()?.parse::<i64>().ok()?.saturating_mul(1000));
    let author = parts.next()?.to_owned();
    let subject = parts.next()?.to_owned();
    let files = files.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Some(CommitView { id, utc, author, subject, files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_git_prints() {
        let text = "\u{1}abc123\t1700000000\tA B\tfix: a\tb\n\nsrc/a.py\nsrc/b.py\n\u{1}def456\t1600000000\tC\tfirst\n\nsrc/a.py\n";
        let commits = parse(text);
        assert_eq!(commits.len(), 2);
        assert_eq!(commits[0].subject, "fix: a\tb");
        assert_eq!(commits[0].files, ["src/a.py", "src/b.py"]);
        assert_eq!(commits[1].utc.rfc3339(), "2020-09-13T12:26:40.000Z");
        assert_eq!(parse("fatal: nonsense"), []);
    }
}
