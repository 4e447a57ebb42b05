//! Judges the answers of a service that is asked whether it is well. Pure logic: answers come in, detections come out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Detection;
use super::look::{Answer, Place, Question, Source, span};
use crate::config::{self, Ask, Probe, What};
use crate::time::Watched;

/// Asks for one `http`, `tcp` or `command` detector after one child.
#[derive(Clone, Debug)]
pub struct ProbeWatch {
    probe: Probe,
    source: Source,
    /// What it is called in messages: `GET http://127.0.0.1:8080/healthz`.
    subject: String,
    /// Failures before this are those of a service that is still starting …
    grace_until: Watched,
    /// … unless it has answered before.
    answered: bool,
    failed: u32,
    fired: bool,
}

impl ProbeWatch {
    /// Starts at the start of a child. `None` for detectors of other kinds.
    pub fn new(detector: &config::Detector, child_start: Watched) -> Option<Self> {
        let What::Probe(probe) = &detector.what else { return None };
        let probe = (**probe).clone();
        Some(Self {
            source: Source::of(detector),
            subject: subject(&probe.ask),
            grace_until: child_start + probe.start_grace,
            answered: false,
            failed: 0,
            fired: false,
            probe,
        })
    }

    /// What is asked. `env` is the child's: variables set over the monitor's own.
    pub fn question(&self, env: BTreeMap<String, String>) -> Question {
        let timeout = self.probe.timeout;
        match &self.probe.ask {
            Ask::Http { url, status, body } => Question::Http {
                url: url.clone(),
                status: *status,
                body: body.as_ref().map(|regex| regex.as_str().to_owned()),
                timeout,
            },
            Ask::Tcp { address } => Question::Tcp { address: address.clone(), timeout },
            Ask::Command { command, cwd } => {
                Question::Command { command: command.clone(), cwd: cwd.clone(), env, timeout }
            }
        }
    }

    /// For one answer.
    pub fn timeout(&self) -> Duration {
        self.probe.timeout
    }

    /// Failed answers in a row that count.
    pub fn failed(&self) -> u32 {
        self.failed
    }

    /// Judges an answer. Fires once when enough in a row have failed, and again only after a good one.
    pub fn judge(&mut self, answer: &Answer, now: Watched, place: &Place) -> Option<Detection> {
        match answer {
            Answer::Well { .. } => {
                self.answered = true;
                self.failed = 0;
                self.fired = false;
                None
            }
            Answer::Failed { reason, said, value } => {
                if !self.answered && now < self.grace_until {
                    return None;
                }
                self.failed = self.failed.saturating_add(1);
                if self.fired || self.failed < self.probe.failures {
                    return None;
                }
                self.fired = true;
                let times = match self.failed {
                    1 => String::new(),
                    times => format!(" ({times} times in a row)"),
                };
                let limit = match &self.probe.ask {
                    Ask::Http { status: (low, high), .. } if low == high => Some(low.to_string()),
                    Ask::Http { status: (low, high), .. } => Some(format!("{low}-{high}")),
                    Ask::Tcp { .. } => None,
                    Ask::Command { .. } => Some("0".to_owned()),
                };
                let captures = [("value", value.clone()), ("limit", limit), ("path", Some(place_of(&self.probe.ask)))];
                let captures = captures.into_iter().filter_map(|(name, value)| Some((name, value?)));
                Some(self.source.detection(place, reason.as_str(), format!("{} {said}{times}", self.subject), captures))
            }
            // Neither good nor bad: nobody could ask.
            Answer::Unknown { .. } | Answer::Resources(_) => None,
        }
    }
}

/// The service's answer that it gave none in time.
pub fn no_answer(timeout: Duration) -> String {
    format!("gave no answer within {}", span(timeout))
}

fn subject(ask: &Ask) -> String {
    match ask {
        Ask::Http { .. } => format!("GET {}", place_of(ask)),
        Ask::Tcp { .. } => format!("tcp {}", place_of(ask)),
        Ask::Command { .. } => format!("command `{}`", place_of(ask)),
    }
}

/// The address without what may be secret in it: a password, a query; the program without its arguments.
fn place_of(ask: &Ask) -> String {
    match ask {
        Ask::Http { url, .. } => {
            let plain = url.split(['?', '#']).next().unwrap_or_default();
            let rest = plain.strip_prefix("http://").unwrap_or(plain);
            let (authority, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            path.map_or_else(|| format!("http://{host}"), |path| format!("http://{host}/{path}"))
        }
        Ask::Tcp { address } => address.clone(),
        Ask::Command { command, .. } => command.first().cloned().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::Reason;
    use super::*;
    use crate::detect::Severity;
    use crate::ids::{DetectorName, StreamId};

    fn watch(ask: Ask, failures: u32, start_grace: u64) -> ProbeWatch {
        let detector = config::Detector {
            name: DetectorName::new("alive"),
            severity: Severity::Error,
            cooldown: Duration::ZERO,
            what: What::Probe(Box::new(Probe {
                ask,
                every: Duration::from_secs(10),
                timeout: Duration::from_secs(5),
                failures,
                start_grace: Duration::from_secs(start_grace),
            })),
        };
        ProbeWatch::new(&detector, Watched::from_millis(100_000)).unwrap()
    }

    fn http() -> Ask {
        Ask::Http { url: "http://user:word@host:80/healthz?token=x".into(), status: (200, 399), body: None }
    }

    fn at(second: u64) -> Watched {
        Watched::from_millis((100 + second) * 1000)
    }

    fn place() -> Place {
        Place { stream: StreamId::new("child-001"), byte: 0 }
    }

    fn answer(sign: &str) -> Answer {
        match sign {
            "." => Answer::Well { said: "answered 200".into() },
            "?" => Answer::Unknown { why: "no name server".into() },
            _ => Answer::Failed { reason: Reason::Status, said: "answered 503".into(), value: Some("503".into()) },
        }
    }

    #[test]
    fn fires_once_after_enough_failures_in_a_row() {
        // An answer every 10 s: `x` failed, `.` well, `?` nobody could ask. It fires at `X`.
        let rows = [
            ("three", 3, 0, "x x X x x x"),
            ("a good one between", 3, 0, "x x . x x X"),
            ("again after recovery", 2, 0, "x X x . x X"),
            ("unknown is neither", 2, 0, "x ? ? X ? x"),
            ("only unknown", 1, 0, "? ? ? ? ?"),
            ("at once", 1, 0, "X x . X"),
            ("within the grace", 2, 35, "x x x x x X x"),
            ("within the grace, answered before", 2, 100, ". x X x"),
            ("a start that never ends", 1, 25, "x x x X"),
        ];
        for (case, failures, grace, answers) in rows {
            let mut watch = watch(http(), failures, grace);
            for (number, sign) in answers.split(' ').enumerate() {
                let found = watch.judge(&answer(sign), at(number as u64 * 10), &place());
                assert_eq!(found.is_some(), sign == "X", "{case}, answer {number}");
            }
        }
    }

    #[test]
    fn says_what_was_asked_and_no_secret() {
        let command = Ask::Command { command: vec!["check".into(), "--token=x".into()], cwd: "/".into() };
        let rows = [
            (http(), Some("200-399"), "GET http://host:80/healthz answered 503 (2 times in a row)"),
            (Ask::Tcp { address: "h:1".into() }, None, "tcp h:1 answered 503 (2 times in a row)"),
            (command, Some("0"), "command `check` answered 503 (2 times in a row)"),
        ];
        for (ask, limit, message) in rows {
            let mut watch = watch(ask, 2, 0);
            assert!(watch.judge(&answer("x"), at(0), &place()).is_none());
            let found = watch.judge(&answer("x"), at(1), &place()).unwrap();
            assert_eq!(found.message, message);
            assert_eq!(found.captures.get("limit").map(String::as_str), limit, "{message}");
            assert_eq!((found.captures["reason"].as_str(), found.captures["value"].as_str()), ("status", "503"));
            assert_eq!(watch.failed(), 2);
        }
        assert_eq!(no_answer(Duration::from_millis(5000)), "gave no answer within 5 s");
    }
}
