//! First match wins.

use std::time::Duration;

use crate::config::{Match, Rule};
use crate::detect::ending::{Ending, Exit};
use crate::detect::{DetectorKind, signal_name};
use crate::ids::{DetectorName, Fingerprint};
use crate::incident::Incident;
use crate::time::Watched;

/// Incidents of this run that rules may count: when, and which.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Fingerprint and time of each, oldest first, the one being decided included.
    pub history: &'a [(Fingerprint, Watched)],
    /// Now.
    pub now: Watched,
}

/// The first rule that matches.
pub fn first_match<'a>(
    rules: impl IntoIterator<Item = &'a Rule>,
    incident: &Incident,
    seen: Seen<'_>,
) -> Option<&'a Rule> {
    rules.into_iter().find(|rule| matches(&rule.when, incident, seen))
}

fn matches(when: &Match, incident: &Incident, seen: Seen<'_>) -> bool {
    let Match { detector, kind, class, message_regex, language, exception, exit_code, signal, category, count, within } =
        when;
    let trace = incident.root.trace.as_ref();
    // One failure is one incident: a rule for the pattern that was printed inside a trace still means this incident.
    let involved = |test: &dyn Fn(&DetectorName, DetectorKind) -> bool| {
        test(&incident.root.detector, incident.root.kind)
            || incident.counted.iter().any(|counted| test(&counted.detector, counted.kind))
    };
    detector.as_ref().is_none_or(|wanted| involved(&|name, _| name == wanted))
        && kind.is_none_or(|wanted| involved(&|_, kind| kind == wanted))
        && class.as_ref().is_none_or(|wanted| incident.class.as_ref().is_some_and(|class| class.name == *wanted))
        && language.is_none_or(|language| trace.is_some_and(|trace| trace.language == language))
        && exception.as_ref().is_none_or(|name| {
            trace.and_then(|trace| trace.exception.as_deref()).is_some_and(|found| same_exception(name, found))
        })
        && exit_code.is_none_or(|code| incident.exit.as_ref().and_then(Exit::shell_status) == Some(code))
        && signal.as_ref().is_none_or(|name| incident.exit.as_ref().is_some_and(|exit| ended_by(exit, name)))
        && category.is_none_or(|category| category == incident.category)
        && count.is_none_or(|least| seen_often_enough(&incident.fingerprint, least, *within, seen))
        && message_regex.as_ref().is_none_or(|regex| {
            regex.is_match(&incident.message)
                || regex.is_match(&incident.root.message)
                || incident.counted.iter().any(|counted| regex.is_match(&counted.message))
        })
}

/// The whole name, or its last part: `OutOfMemoryError` for `torch.cuda.OutOfMemoryError`.
fn same_exception(wanted: &str, found: &str) -> bool {
    found == wanted || found.rsplit(['.', ':', '$']).next() == Some(wanted)
}

fn ended_by(exit: &Exit, name: &str) -> bool {
    match exit.ending {
        Ending::Signaled { signal, .. } => {
            signal_name(signal).trim_start_matches("SIG") == name.trim_start_matches("SIG")
        }
        Ending::Exited { .. } | Ending::NotStarted { .. } | Ending::Lost { .. } => false,
    }
}

fn seen_often_enough(fingerprint: &Fingerprint, least: u32, within: Duration, seen: Seen<'_>) -> bool {
    let count = seen
        .history
        .iter()
        .filter(|(other, at)| other == fingerprint && (within.is_zero() || seen.now.since(*at) <= within))
        .count();
    u32::try_from(count).unwrap_or(u32::MAX) >= least
}
