//! One failure that many ranks print is one failure: who printed it first, and who else.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::detect::Detection;
use crate::ids::StreamId;

/// Who printed something, as far as its prefix or its file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Its rank in the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<String>,
    /// Its machine, pod or container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The stream it was read from.
    pub stream: StreamId,
}

/// How often the root was printed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// Who printed it first.
    pub first: Writer,
    /// How often it was printed in all.
    pub count: u64,
    /// Who printed it: `rank 3`, `worker-1`, `logs/rank_7.log`; at most [`Copies::MAX_WRITERS`].
    pub writers: BTreeSet<String>,
}

impl Writer {
    /// The writer of a detection. A rank that only counts inside its node says nothing without the node.
    pub fn of(detection: &Detection) -> Self {
        let field = |names: &[&str]| names.iter().find_map(|name| detection.captures.get(*name)).cloned();
        Self {
            rank: field(&["rank", "local_rank"]),
            node: field(&["node", "pod", "container", "service", "worker"]),
            stream: detection.stream.clone(),
        }
    }

    /// One word or two for it, equal for what the same writer prints.
    pub fn name(&self) -> String {
        match (&self.rank, &self.node) {
            (Some(rank), Some(node)) => format!("rank {rank} on {node}"),
            (Some(rank), None) => format!("rank {rank}"),
            (None, Some(node)) => node.clone(),
            (None, None) => self.stream.to_string(),
        }
    }
}

impl Copies {
    /// Most writers that are named.
    pub const MAX_WRITERS: usize = 4096;

    /// What is known when the first one is seen.
    pub fn of(detection: &Detection) -> Self {
        let first = Writer::of(detection);
        Self { count: 1, writers: BTreeSet::from([first.name()]), first }
    }

    /// One more.
    pub fn add(&mut self, detection: &Detection) {
        self.count = self.count.saturating_add(1);
        if self.writers.len() < Self::MAX_WRITERS {
            self.writers.insert(Writer::of(detection).name());
        }
    }

    /// Whether it is worth telling: printed by more than one.
    pub fn is_shared(&self) -> bool {
        self.writers.len() > 1
    }

    /// The writers for people: ranks as ranges (`ranks 0-6, 9 on gpu-7`), others by name, at most `most` of them.
    pub fn list(&self, most: usize) -> String {
        let mut ranks: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut others = Vec::new();
        for name in &self.writers {
            let rest = name.strip_prefix("rank ").unwrap_or_default();
            let (rank, node) = rest.split_once(" on ").unwrap_or((rest, ""));
            match rank.parse() {
                Ok(rank) => ranks.entry(node).or_default().push(rank),
                Err(_) => others.push(name.clone()),
            }
        }
        let of_node = |(node, mut ranks): (&str, Vec<u64>)| {
            ranks.sort_unstable();
            let noun = if ranks.len() == 1 { "rank" } else { "ranks" };
            let on = if node.is_empty() { String::new() } else { format!(" on {node}") };
            format!("{noun} {}{on}", ranges(&ranks))
        };
        let mut parts: Vec<String> = ranks.into_iter().map(of_node).chain(others).collect();
        let more = parts.len().saturating_sub(most);
        parts.truncate(most);
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        parts.join("; ")
    }
}

/// `0-6, 9`.
fn ranges(sorted: &[u64]) -> String {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for &number in sorted {
        match out.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => out.push((number, number)),
        }
    }
    let words =
        out.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::DetectorKind;
    use crate::incident::samples::detection;

    fn by(fields: &[(&str, &str)]) -> Detection {
        let mut detection = detection(DetectorKind::Traceback, "traceback", "x");
        detection.captures = fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        detection
    }

    #[test]
    fn writers_are_counted_once_and_listed_as_ranges() {
        let mut copies = Copies::of(&by(&[("rank", "3")]));
        assert!(!copies.is_shared());
        for rank in [3, 4, 5, 0, 10] {
            copies.add(&by(&[("rank", &rank.to_string())]));
        }
        assert_eq!((copies.count, copies.first.name().as_str()), (6, "rank 3"));
        assert_eq!(copies.list(8), "ranks 0, 3-5, 10");
        copies.add(&by(&[("rank", "1"), ("node", "gpu-7")]));
        copies.add(&by(&[("pod", "web-1")]));
        assert_eq!(copies.list(8), "ranks 0, 3-5, 10; rank 1 on gpu-7; web-1");
        assert_eq!(copies.list(2), "ranks 0, 3-5, 10; rank 1 on gpu-7; and 1 more");
        assert_eq!(Writer::of(&by(&[])).name(), "child-002");
    }
}
