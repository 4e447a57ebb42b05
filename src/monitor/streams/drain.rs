//! An ended child's streams are read to their ends before anything is made of its end.

use std::collections::BTreeMap;

use super::stream::Wake;
use super::{ALL_PER_TURN, GIVE_UP_READING, PER_TURN, POLL, StreamTrouble, Streams};
use crate::detect::Flush;
use crate::ids::ChildNo;
use crate::monitor::event::ScanReport;
use crate::time::Mono;

/// An ended child's streams that are still to be read to their ends, each up to where it ended when that began.
pub(super) struct Draining {
    pub(super) child: ChildNo,
    pub(super) left: BTreeMap<u32, Option<u64>>,
}

impl Streams {
    /// From now on an ended child's streams are read to their ends, a turn's worth at a time.
    pub(in crate::monitor) fn begin_drain(&mut self, child: ChildNo) {
        if let Some(logs) = &mut self.logs {
            logs.files.look_again();
        }
        let of_child = self.streams.iter().filter(|(_, stream)| stream.child == child);
        self.draining = Some(Draining { child, left: of_child.map(|(key, _)| (*key, None)).collect() });
    }

    /// Whether an ended child's stream cannot be waited for any longer. A file that could not be read before the child ended
    /// is not waited for at all.
    pub(super) fn is_given_up(&self, key: u32, now: Mono) -> bool {
        let draining = self.draining.as_ref().is_some_and(|draining| draining.left.contains_key(&key));
        let Some(stream) = self.streams.get(&key).filter(|_| draining) else { return false };
        match stream.failing {
            Some(since) => now.since(since) >= if stream.own { GIVE_UP_READING } else { POLL },
            None => false,
        }
    }

    /// Reads streams of an ended child to their ends. The child, once all of them are there.
    pub(super) fn drain(
        &mut self,
        now: Mono,
        most: usize,
        bytes: &mut u64,
        reports: &mut Vec<ScanReport>,
        troubles: &mut Vec<StreamTrouble>,
    ) -> Option<ChildNo> {
        let keys: Vec<u32> = self.draining.as_ref()?.left.keys().copied().take(most.max(1)).collect();
        for key in keys {
            if *bytes >= ALL_PER_TURN {
                return None;
            }
            let Some(stream) = self.streams.get(&key) else {
                self.draining.as_mut()?.left.remove(&key);
                continue;
            };
            // It was tried in this turn, and is tried again when it is due.
            let waits = stream.failing.is_some() && stream.look_at.is_some_and(|(at, _)| at > now);
            if waits && stream.own {
                continue;
            }
            if self.is_given_up(key, now) && waits {
                self.draining.as_mut()?.left.remove(&key);
                continue;
            }
            *bytes += self.drain_one(key, now, reports, troubles);
        }
        let draining = self.draining.take_if(|draining| draining.left.is_empty())?;
        if self.logs.as_ref().is_some_and(|logs| logs.files.next_look(now).is_some_and(|at| at <= now)) {
            // There may be files that nobody has seen yet.
            self.draining = Some(draining);
            return None;
        }
        Some(draining.child)
    }

    fn drain_one(
        &mut self,
        key: u32,
        now: Mono,
        reports: &mut Vec<ScanReport>,
        troubles: &mut Vec<StreamTrouble>,
    ) -> u64 {
        let arrived = self.arrivals;
        let (Some(stream), Some(draining)) = (self.streams.get_mut(&key), &mut self.draining) else { return 0 };
        let quiet = !stream.own && !stream.has_open() && stream.tail.has_news().is_ok_and(|news| !news);
        if quiet && !stream.has_scanner() {
            draining.left.remove(&key);
            return 0;
        }
        // Others may go on writing to a file: it is read to where it ended when this began.
        let until = match draining.left.get(&key).copied().flatten() {
            Some(until) => until,
            None if stream.own => u64::MAX,
            None => stream.tail.len().unwrap_or(u64::MAX),
        };
        draining.left.insert(key, Some(until));
        let before = stream.facts();
        let arrived = stream.arriving.take().unwrap_or(arrived);
        match stream.read(&self.set, &mut self.buffer, PER_TURN, until, arrived) {
            Ok(mut read) => {
                stream.failing = None;
                let (raw, caught_up) = (read.raw, read.caught_up);
                if caught_up {
                    match stream.flush(&self.set, &mut self.buffer, Flush::End) {
                        Ok(flushed) => read.merge(flushed.scanned),
                        Err(source) => {
                            self.failed(key, source, now, troubles);
                            return raw;
                        }
                    }
                    draining.left.remove(&key);
                }
                reports.extend(stream.report(read, before));
                if caught_up {
                    if !stream.own {
                        stream.park();
                    }
                    let next = self.streams.get_mut(&key).and_then(|stream| match stream.wake {
                        Wake::Never => Some(now + POLL),
                        Wake::Directory | Wake::File { .. } => None,
                    });
                    self.plan(key, next);
                }
                self.read_well(key);
                self.watch_listed(key);
                raw
            }
            Err(source) => {
                self.failed(key, source, now, troubles);
                0
            }
        }
    }
}
