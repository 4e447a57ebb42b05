//! Lines that a container runtime has cut into pieces of 16 KiB.
//!
//! The CRI format marks all pieces but the last with `P` (`F` ends a line); docker's `json-file` leaves the line feed out of all
//! but the last. Source: `docs/proposals/cri` of Kubernetes, `daemon/logger/copier.go` of moby.

use std::sync::LazyLock;

use regex::Regex;

use super::lex::pattern;
use crate::detect::line::TextLine;

/// Longest line that is put together, in bytes.
const MAX_JOINED: usize = 1 << 20;

/// The pieces so far of one line.
#[derive(Debug, Default)]
pub(super) struct Partial {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    line: TextLine,
    first: (u64, u64),
    starter: bool,
    channel: String,
}

/// A line, the number and offset at which it began, and whether it has a starter.
pub(super) type Joined = (TextLine, (u64, u64), bool);

impl Partial {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none()
    }

    /// The line that is whole now; `None` when more pieces of it will come.
    pub(super) fn join(&mut self, line: TextLine, starter: bool) -> Option<Joined> {
        static PIECE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\d{4}-\d\d-\d\dT\S+ (stdout|stderr) ([PF]) "));
        let first = (line.number, line.start);
        let Some(captures) = PIECE.captures(&line.text) else { return self.docker(line, starter) };
        let channel = captures.get(1).map_or("", |m| m.as_str());
        let more = captures.get(2).is_some_and(|m| m.as_str() == "P");
        let rest = captures.get(0).map_or(0, |m| m.end());
        match self.open.take() {
            Some(mut open) if open.channel == channel => {
                open.append(line.text.get(rest..).unwrap_or_default(), &line, starter);
                self.go_on(open, more)
            }
            // The other channel's line came between two pieces.
            Some(open) => {
                self.open = Some(open);
                Some((line, first, starter))
            }
            None if more => self.go_on(Open { first, starter, channel: channel.to_owned(), line }, true),
            None => Some((line, first, starter)),
        }
    }

    /// The pieces so far, when no more will come.
    pub(super) fn take(&mut self) -> Option<Joined> {
        self.open.take().map(|open| (open.line, open.first, open.starter))
    }

    /// `{"log":"…","stream":"stderr",…}` without a line feed at the end of its text goes on in the next object.
    fn docker(&mut self, line: TextLine, starter: bool) -> Option<Joined> {
        let first = (line.number, line.start);
        let Some((text, channel)) = docker_piece(&line.text) else { return Some((line, first, starter)) };
        let more = !text.ends_with("\\n");
        match self.open.take() {
            Some(mut open) if open.channel == channel => {
                // The text of the pieces so far ends in front of the closing quote, which all that follows is cut off with.
                let rest = line.text.get("{\"log\":\"".len()..).unwrap_or_default().to_owned();
                let end = docker_piece(&open.line.text).map_or(0, |(text, _)| "{\"log\":\"".len() + text.len());
                open.line.text.truncate(end);
                open.append(&rest, &line, starter);
                self.go_on(open, more)
            }
            Some(open) => {
                self.open = Some(open);
                Some((line, first, starter))
            }
            None if more => self.go_on(Open { first, starter, channel: channel.to_owned(), line: line.clone() }, true),
            None => Some((line, first, starter)),
        }
    }

    fn go_on(&mut self, open: Open, more: bool) -> Option<Joined> {
        if more && open.line.text.len() < MAX_JOINED {
            self.open = Some(open);
            return None;
        }
        Some((open.line, open.first, open.starter))
    }
}

impl Open {
    fn append(&mut self, text: &str, line: &TextLine, starter: bool) {
        self.line.text.push_str(text);
        self.line.number = line.number;
        self.line.end = line.end;
        self.starter |= starter;
    }
}

/// The escaped text of one of docker's objects, and its channel.
fn docker_piece(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("{\"log\":\"")?;
    let end = rest.find("\",\"stream\":\"")?;
    let channel = rest.get(end + "\",\"stream\":\"".len()..)?;
    Some((rest.get(..end)?, channel.split('"').next()?))
}
