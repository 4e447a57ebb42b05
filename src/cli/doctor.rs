//! `sentry doctor`.
#![expect(clippy::disallowed_methods, reason = "a doctor looks at what is there")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::status::{look, read_failure};
use super::{Context, ExitCode, Failure, FailureKind, Project};
use crate::config::Config;
use crate::monitor::repaint::repaint;
use crate::os::cgroup::{ChildGroup, OwnGroups};
use crate::os::clock::SystemClock;
use crate::os::lock::{DirLock, LockError};
use crate::os::{identity, process, watch};
use crate::paths::Layout;
use crate::store::rebuild::{self, Finding, Wrong};
use crate::store::{Durability, Store};
use crate::view::Palette;
use crate::view::checks::{self, Check, ChecksJson, Outcome};
use crate::view::status::Situation;
use crate::view::words;

/// Below this a run will soon be in trouble, bytes.
const LOW_SPACE: u64 = 500_000_000;
/// Below this no incident can be written, bytes.
const NO_SPACE: u64 = 10_000_000;
/// The same for files.
const LOW_FILES: u64 = 1_000;

/// Arguments of `sentry doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry doctor                          looks, changes nothing
  sentry doctor --fix                    rebuilds what can be rebuilt; no monitor may run

Exit codes: 0 when nothing has failed, 1 otherwise.")]
pub struct Args {
    /// Mend what can be mended
    #[arg(long)]
    fix: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    let project = match Project::find(context) {
        Ok(project) => project,
        Err(failure) if failure.kind() == FailureKind::NothingHere => Project::find_for_run(context)?,
        Err(failure) => return Err(failure),
    };
    let mut found = Vec::new();
    let config = configuration(&project, context, &mut found);
    let layout = config.as_ref().map_or_else(|| Layout::new(project.root()), Layout::of);
    if let Some(config) = &config {
        command(config, context, &mut found);
        super::doctor_looks::checks(config, &mut found);
    }
    if layout.dot().is_dir() {
        let config = config.unwrap_or_else(|| crate::config::defaults(Vec::new(), project.root()));
        store(args.fix, &layout, config, &mut found)?;
        // After the store: what was damaged there may be whole now.
        found.push(monitor(&layout));
    } else if std::fs::symlink_metadata(layout.dot()).is_ok() {
        let what = format!("`{}` is no directory", layout.dot().display());
        found.push(Check::bad("store", Outcome::Failed, what, "move it away; `sentry` keeps its record there"));
    } else {
        found.push(Check::ok("store", format!("none yet in `{}`", project.root().display())));
    }
    machine(project.root(), context, &mut found);
    if args.json {
        context.ui.json(&ChecksJson { schema: 1, healthy: checks::healthy(&found), checks: &found })?;
    } else {
        let palette = context.ui.palette();
        context.ui.data(checks::text(&found, palette))?;
    }
    Ok(if checks::healthy(&found) { ExitCode::Success } else { ExitCode::No })
}

fn configuration(project: &Project, context: &mut Context, found: &mut Vec<Check>) -> Option<Config> {
    const NAME: &str = "configuration";
    let Some(file) = project.file() else {
        found.push(Check::ok(NAME, "no sentry.yaml; built-in defaults are used"));
        return project.config(context).ok();
    };
    match project.config(context) {
        Ok(config) => {
            let (detectors, rules) = (config.own_detectors().count() as u64, config.rules.len() as u64);
            let what =
                format!("{}: {}, {}", file.display(), words::count(detectors, "detector"), words::count(rules, "rule"));
            found.push(Check::ok(NAME, what));
            Some(config)
        }
        Err(failure) => {
            let what = failure.render(Palette::plain());
            found.push(Check::bad(NAME, Outcome::Failed, what, format!("mend `{}`", file.display())));
            None
        }
    }
}

fn command(config: &Config, context: &Context, found: &mut Vec<Check>) {
    const NAME: &str = "command";
    let Some(program) = config.process.command.first() else { return };
    let path = config.process.env.get("PATH").map(String::as_str).or(context.env.var("PATH"));
    found.push(match find_program(program, path, &config.process.cwd) {
        Some(path) => Check::ok(NAME, path.display().to_string()),
        None => Check::bad(
            NAME,
            Outcome::Failed,
            format!("`{program}` is not there or may not be executed"),
            "correct `process.command`, `process.cwd` or PATH",
        ),
    });
}

fn monitor(layout: &Layout) -> Check {
    const NAME: &str = "monitor";
    let view = match look(layout) {
        Ok(view) => view,
        Err(failure) => {
            let what = format!("cannot be told: {}", failure.headline());
            return Check::bad(
                NAME,
                Outcome::Failed,
                what,
                "mend the store first; if it is not named above, move that file away",
            );
        }
    };
    let pid = view.holder.as_ref().map_or(0, |holder| holder.pid);
    match view.situation() {
        Situation::Unwatched => {
            let what = "the command is running and no monitor watches it";
            Check::bad(NAME, Outcome::Warning, what, "`sentry run` takes it over, `sentry stop` ends it")
        }
        Situation::Interrupted => {
            let what = "the monitor has ended without ending the run";
            Check::bad(NAME, Outcome::Warning, what, "`sentry run` goes on with it")
        }
        Situation::Unknown => {
            Check::bad(NAME, Outcome::Warning, "the processes cannot be seen", "see that /proc is readable")
        }
        _ if view.holder.is_some() => Check::ok(NAME, format!("running, pid {pid}")),
        Situation::Over | Situation::Starting | Situation::Supervised | Situation::NothingSupervised => {
            Check::ok(NAME, "none is running; the directory is free")
        }
    }
}

fn store(fix: bool, layout: &Layout, config: Config, found: &mut Vec<Check>) -> Result<(), Failure> {
    const NAME: &str = "store";
    let now = SystemClock::utc();
    let io = |error: Box<dyn std::error::Error + Send + Sync>| Failure::new(FailureKind::Io, error);
    let look = || rebuild::check(layout, now).map_err(|error| io(error.into()));
    let mut wrong = look()?;
    // A store of a newer version is not even locked.
    if fix && wrong.iter().any(|finding| finding.fixable) {
        let lock = DirLock::acquire(&layout.lock()).map_err(lock_failure)?;
        let mended = rebuild::fix(layout, &lock, now).map_err(|error| io(error.into()))?;
        if mended.iter().any(|finding| finding.wrong == Wrong::State)
            && let Some(picture) = repaint(layout, config).map_err(read_failure)?
        {
            let mut store = Store::open(layout.clone(), lock).map_err(|error| io(error.into()))?;
            store.write_state(&picture, Durability::Flushed).map_err(|error| io(error.into()))?;
        }
        for finding in mended {
            found.push(Check::bad(NAME, Outcome::Fixed, said(&finding), finding.remedy));
        }
        wrong = look()?;
    }
    if wrong.is_empty() {
        found
            .push(Check::ok(NAME, format!("{}: journal, picture, index and ledger are whole", layout.dot().display())));
    }
    for finding in wrong {
        let remedy = if finding.fixable && !fix {
            format!("`sentry doctor --fix` does this: {}", finding.remedy)
        } else {
            finding.remedy.to_owned()
        };
        found.push(Check::bad(NAME, Outcome::Failed, said(&finding), remedy));
    }
    Ok(())
}

fn said(finding: &Finding) -> String {
    format!("{}: {}", finding.path.display(), finding.what)
}

fn lock_failure(error: LockError) -> Failure {
    match error {
        LockError::Held { .. } => {
            Failure::new(FailureKind::AnotherMonitor, format!("cannot mend the store: its lock is {error}"))
                .hint("`sentry stop` or `sentry detach` first")
        }
        LockError::Os(_) => Failure::new(FailureKind::Io, error),
    }
}

fn machine(root: &Path, context: &Context, found: &mut Vec<Check>) {
    found.push(match identity::this_process() {
        Ok(_) => Check::ok("/proc", "readable"),
        Err(error) => {
            let what = format!("cannot be read: {error}");
            Check::bad("/proc", Outcome::Failed, what, "mount proc(5): processes cannot be told apart without it")
        }
    });
    found.push(match identity::this_process().and_then(|own| process::pidfd(own.pid)) {
        Ok(_) => Check::ok("pidfd", "usable"),
        Err(error) => {
            let what = format!("pidfd_open(2) failed: {error}");
            Check::bad("pidfd", Outcome::Failed, what, "needs Linux 5.3 and a sandbox that allows it")
        }
    });
    found.push(match (watch::available(), watch::sees_all_writers(root)) {
        (true, true) => Check::ok("inotify", "usable; a local file system"),
        (true, false) => {
            let what = "the project is on a network or FUSE file system: what other machines write does not wake us";
            Check::bad("inotify", Outcome::Warning, what, "nothing: logs are looked at regularly there")
        }
        (false, _) => Check::bad(
            "inotify",
            Outcome::Warning,
            "no watch can be made",
            "raise fs.inotify.max_user_instances; until then logs are looked at regularly",
        ),
    });
    found.push(control_group());
    found.extend(space(root));
    found.push(match find_program("git", context.env.var("PATH"), root) {
        Some(path) => Check::ok("git", path.display().to_string()),
        None => {
            let remedy = "install git: reports cannot name recent commits without it";
            Check::bad("git", Outcome::Warning, "not found in PATH", remedy)
        }
    });
}

fn control_group() -> Check {
    const NAME: &str = "cgroup v2";
    let name = identity::this_process()
        .map_or_else(|_| "sentry-doctor".to_owned(), |own| format!("sentry-doctor-{}", own.pid));
    match ChildGroup::make(&OwnGroups::find(), &name) {
        Ok(group) => {
            // Empty, so nothing but its directory has to go. If it stays, the kernel has a reason that is not ours.
            let _ = std::fs::remove_dir(group.dir());
            Check::ok(NAME, "usable")
        }
        Err(error) => {
            let what = format!("no group can be made for a child ({})", error.to_line());
            let remedy = "nothing: its processes are found by other means; `systemd-run --user --scope -p Delegate=yes` gives one";
            Check::bad(NAME, Outcome::Warning, what, remedy)
        }
    }
}

fn space(root: &Path) -> Vec<Check> {
    let stat = match rustix::fs::statvfs(root) {
        Ok(stat) => stat,
        Err(error) => {
            let what = format!("cannot look at the file system of `{}`: {error}", root.display());
            return vec![Check::bad("disk space", Outcome::Failed, what, "see that it is mounted")];
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let judge = |name: &'static str, what: String, low: bool, none: bool| match (none, low) {
        (true, _) => Check::bad(name, Outcome::Failed, what, "make room: nothing can be recorded"),
        (false, true) => Check::bad(name, Outcome::Warning, what, "make room before a long run"),
        (false, false) => Check::ok(name, what),
    };
    let mut found =
        vec![judge("disk space", format!("{} free", words::bytes(free)), free < LOW_SPACE, free < NO_SPACE)];
    // btrfs and others make inodes as they go and say 0.
    if stat.f_files > 0 {
        let what = format!("{} free", words::count(stat.f_favail, "inode"));
        found.push(judge("inodes", what, stat.f_favail < LOW_FILES, stat.f_favail < 10));
    }
    found
}

/// The executable that execvp(3) would take.
fn find_program(program: &str, path: Option<&str>, cwd: &Path) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(cwd.join(program)).filter(executable);
    }
    // confstr(_CS_PATH) where PATH is unset.
    path.unwrap_or("/bin:/usr/bin").split(':').map(|dir| cwd.join(dir).join(program)).find(executable)
}
