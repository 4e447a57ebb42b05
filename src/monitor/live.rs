//! What is known of the streams that are being read, without a look at each of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::StreamId;
use crate::time::Watched;

/// Streams that have something open or unread; all others are quiet, and cost nothing.
#[derive(Debug, Default)]
pub(super) struct LiveStreams {
    streams: BTreeMap<StreamId, Live>,
    open: usize,
    behind: usize,
    /// Open streams that have been read to their ends, by the time of their last output.
    silent: BTreeSet<(Watched, StreamId)>,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    last_output: Watched,
    open: bool,
    caught_up: bool,
}

impl LiveStreams {
    /// What a read found: whether something waits for more (`open`), and whether all that is there was read.
    pub(super) fn update(
        &mut self,
        stream: &StreamId,
        now: Watched,
        read_something: bool,
        open: bool,
        caught_up: bool,
    ) {
        let old = self.take(stream);
        if !open && caught_up {
            return;
        }
        let last_output = old.filter(|_| !read_something).map_or(now, |old| old.last_output);
        self.open += usize::from(open);
        self.behind += usize::from(!caught_up);
        if open && caught_up {
            self.silent.insert((last_output, stream.clone()));
        }
        self.streams.insert(stream.clone(), Live { last_output, open, caught_up });
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether any stream has a trace or a line that may go on.
    pub(super) fn any_open(&self) -> bool {
        self.open > 0
    }

    /// Whether all that is there has been read.
    pub(super) fn all_caught_up(&self) -> bool {
        self.behind == 0
    }

    /// Last outputs of open streams: the oldest and the newest.
    pub(super) fn silent_since(&self) -> Option<(Watched, Watched)> {
        Some((self.silent.first()?.0, self.silent.last()?.0))
    }

    /// Open streams that have said nothing since `since`, oldest first. They count as quiet from now on.
    pub(super) fn take_silent(&mut self, since: Watched) -> Vec<StreamId> {
        let mut taken = Vec::new();
        while let Some((_, stream)) = self.silent.first().filter(|(last, _)| *last <= since).cloned() {
            self.take(&stream);
            taken.push(stream);
        }
        taken
    }

    fn take(&mut self, stream: &StreamId) -> Option<Live> {
        let old = self.streams.remove(stream)?;
        self.open -= usize::from(old.open);
        self.behind -= usize::from(!old.caught_up);
        if old.open && old.caught_up {
            self.silent.remove(&(old.last_output, stream.clone()));
        }
        Some(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Watched {
        Watched::from_millis(seconds * 1000)
    }

    #[test]
    fn counts_are_those_of_all_streams() {
        let (a, b, c) = (StreamId::new("a"), StreamId::new("b"), StreamId::new("c"));
        let mut live = LiveStreams::default();
        assert!(live.all_caught_up() && !live.any_open() && live.silent_since().is_none());
        live.update(&a, at(1), true, true, true);
        live.update(&b, at(2), true, true, false);
        live.update(&c, at(3), true, false, true);
        assert!(!live.all_caught_up() && live.any_open());
        assert_eq!(live.silent_since(), Some((at(1), at(1))), "b is not read to its end, c has nothing open");
        live.update(&b, at(4), false, true, true);
        assert_eq!(live.silent_since(), Some((at(1), at(2))), "nothing came: its last output is as before");
        assert_eq!(live.take_silent(at(0)), []);
        assert_eq!(live.take_silent(at(1)), [a]);
        assert!(live.any_open() && live.all_caught_up());
        assert_eq!(live.take_silent(at(9)), [b]);
        assert!(!live.any_open() && live.streams.is_empty());
    }
}
