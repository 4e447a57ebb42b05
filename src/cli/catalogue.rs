//! `sentry catalogue`: the known failure classes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Context, ExitCode, Failure, FailureKind, load};
use crate::config::{self, Entry, Pack};
use crate::detect::samples::{self, Why};
use crate::view::{catalogue, words};

/// Arguments of `sentry catalogue`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sentry catalogue                       all packs and their classes
  sentry catalogue cuda                  one pack
  sentry catalogue cuda_oom              one class: its strings, its role, what helps
  sentry catalogue --json | jq -r 'select(.action == \"requeue\") | .name'
  sentry catalogue --test my-pack.yaml   do the sample lines of a pack hold?")]
pub struct Args {
    /// Show this pack or class
    #[arg(value_name = "NAME", conflicts_with = "test")]
    name: Option<String>,
    /// Check the pack in FILE and its sample lines
    #[arg(long, value_name = "FILE")]
    test: Vec<PathBuf>,
    /// Print one JSON object per class
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<ExitCode, Failure> {
    if !args.test.is_empty() {
        return test(&args.test, context);
    }
    let packs = config::built_in();
    let entries = || packs.iter().flat_map(|pack| &pack.entries);
    let named = |pack: &&Arc<Pack>| args.name.as_ref().is_none_or(|name| pack.name == *name);
    let classes: Vec<&Arc<Entry>> = match &args.name {
        Some(name) => entries().filter(|entry| entry.name().as_str() == name).collect(),
        None => Vec::new(),
    };
    let chosen: Vec<&Arc<Pack>> = packs.iter().filter(named).collect();
    if classes.is_empty() && chosen.is_empty() {
        return Err(Failure::new(
            FailureKind::NothingHere,
            format!("no pack or class is called `{}`", args.name.as_deref().unwrap_or_default()),
        )
        .hint("`sentry catalogue` lists them"));
    }
    if args.json {
        let of_packs = chosen.iter().flat_map(|pack| &pack.entries);
        for entry in if classes.is_empty() { of_packs.collect() } else { classes } {
            context.ui.json(&catalogue::json(entry))?;
        }
        return Ok(ExitCode::Success);
    }
    let palette = context.ui.palette();
    if classes.is_empty() {
        for (index, pack) in chosen.iter().enumerate() {
            let gap = if index > 0 { "\n" } else { "" };
            context.ui.data(format!("{gap}{}", catalogue::pack(pack, palette)))?;
        }
    }
    for entry in classes {
        context.ui.data(catalogue::entry(entry, palette))?;
    }
    Ok(ExitCode::Success)
}

/// Checks packs against their own samples, and that neither they nor the built-in classes fire on their healthy lines.
fn test(files: &[PathBuf], context: &mut Context) -> Result<ExitCode, Failure> {
    let cwd = context.env.cwd()?;
    let coloured = context.ui.talk_palette().is_coloured();
    let mut own: Vec<Arc<Entry>> = Vec::new();
    for file in files {
        let file: &Path = &cwd.join(file);
        let bytes = load::read(file)?;
        let pack = config::read_pack(&bytes, file).map_err(|errors| load::failure(errors, file, &cwd, coloured))?;
        own.extend(pack.entries);
    }
    let names: Vec<_> = own.iter().map(|entry| entry.name().clone()).collect();
    let built_in = config::built_in().iter().flat_map(|pack| &pack.entries);
    let others = built_in.filter(|entry| !names.contains(entry.name())).cloned();
    let all: Vec<Arc<Entry>> = own.iter().cloned().chain(others).collect();
    let mut broken = samples::broken(&all).map_err(|error| Failure::new(FailureKind::Configuration, error))?;
    // What built-in classes do to one another's lines is not the business of this pack.
    broken.retain(|it| names.contains(&it.class) || matches!(&it.why, Why::OtherFires(other) if names.contains(other)));
    let lines: usize = own.iter().map(|entry| entry.matches.len().saturating_add(entry.no_matches.len())).sum();
    for entry in own.iter().filter(|entry| !entry.patterns.is_empty() && entry.matches.is_empty()) {
        context.ui.say(format_args!("{}: has no `match` lines", entry.name()));
    }
    for broken in &broken {
        context.ui.data(format!("{}\n", catalogue::broken(broken)))?;
    }
    let (classes, lines) = (
        if own.len() == 1 { "1 class".to_owned() } else { format!("{} classes", own.len()) },
        words::count(lines as u64, "sample line"),
    );
    if broken.is_empty() {
        context.ui.line(format_args!("ok: {classes}, {lines}"))?;
        return Ok(ExitCode::Success);
    }
    // One line may be hit by several classes.
    let lines_of = |of_own: bool| {
        let lines = broken.iter().filter(|it| names.contains(&it.class) == of_own);
        lines.map(|it| (&it.class, &it.line)).collect::<HashSet<_>>().len()
    };
    let (of_own, of_others) = (lines_of(true), lines_of(false));
    if of_own > 0 {
        context.ui.say(format_args!("{of_own} of {lines} do not hold"));
    }
    if of_others > 0 {
        let others = words::count(of_others as u64, "healthy line");
        context.ui.say(format_args!("{others} of built-in classes would be hit"));
    }
    Ok(ExitCode::No)
}
