//! What `sentry doctor` shows.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Palette, clean};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Works, but not as well as it could.
    Warning,
    /// Does not work.
    Failed,
    /// Did not work, and does now.
    Fixed,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen.
    pub what: String,
    /// What to do about it; of what is fixed, what was done.
    pub remedy: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Ok, what: what.into(), remedy: None }
    }

    /// Anything else, with what to do.
    pub fn bad(name: &'static str, outcome: Outcome, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, outcome, what: what.into(), remedy: Some(remedy.into()) }
    }
}

/// `sentry doctor --json`.
#[derive(Debug, Serialize)]
pub struct ChecksJson<'a> {
    /// Version of this form: 1.
    pub schema: u32,
    /// Whether nothing has failed.
    pub healthy: bool,
    /// All checks.
    pub checks: &'a [Check],
}

/// Whether nothing has failed.
pub fn healthy(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome != Outcome::Failed)
}

/// For people.
pub fn text(checks: &[Check], palette: Palette) -> String {
    let mut text = String::new();
    for Check { name, outcome, what, remedy } in checks {
        let mark = match outcome {
            Outcome::Ok => palette.good("ok     "),
            Outcome::Warning => palette.warn("warning"),
            Outcome::Failed => palette.bad("failed "),
            Outcome::Fixed => palette.good("fixed  "),
        };
        let mut lines = clean(what.trim_end()).lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
        let _ = writeln!(text, "{mark}  {name:<14}  {}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(text, "{}", format!("{:25}{line}", "").trim_end());
        }
        if let Some(remedy) = remedy {
            let label = if *outcome == Outcome::Fixed { "done" } else { "help" };
            let _ = writeln!(text, "{:25}{}: {}", "", palette.good(label), clean(remedy));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_every_outcome() {
        let checks = [
            Check::ok("git", "/usr/bin/git"),
            Check::bad(
                "cgroup",
                Outcome::Warning,
                "no control group can be made",
                "nothing: processes are found by other means",
            ),
            Check::bad("configuration", Outcome::Failed, "error: bad\n --> sentry.yaml:1:1\n", "mend it"),
            Check::bad("store", Outcome::Fixed, "2 lines of the index were no rows", "was rebuilt"),
        ];
        insta::assert_snapshot!(text(&checks, Palette::plain()), @r"
        ok       git             /usr/bin/git
        warning  cgroup          no control group can be made
                                 help: nothing: processes are found by other means
        failed   configuration   error: bad
                                  --> sentry.yaml:1:1
                                 help: mend it
        fixed    store           2 lines of the index were no rows
                                 done: was rebuilt
        ");
        assert!(!healthy(&checks));
    }
}
