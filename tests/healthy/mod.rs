//! Healthy logs fire nothing. `SENTRY_HEALTHY_LINES` lines (50,000 unless told; `make healthy` reads ten million).

use std::path::Path;
use std::sync::Arc;

use sentry::config;
use sentry::detect::{DetectorSet, Flush, Position, Role, Scanner};
use sentry::ids::StreamId;

const LINES: &str = include_str!("../../fixtures/healthy/lines.txt");
const CHUNK: usize = 256 * 1024;

/// SplitMix64 (Steele, Lea, Flood 2014): the same lines each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// A line with its placeholders filled in; fixtures/healthy/README.md names them.
fn fill(line: &str, chance: &mut Chance, out: &mut Vec<u8>) {
    const WORDS: [&str; 8] = ["alpha", "loader", "billing", "mixer", "zeta", "ingest", "vision", "router"];
    let mut rest = line;
    while let Some(at) = rest.find(['{', '\\']) {
        let (before, behind) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let mut put = |length: usize, text: String| {
            out.extend_from_slice(text.as_bytes());
            rest = &behind[length..];
        };
        match behind.as_bytes() {
            [b'{', b'n', b'}', ..] => put(3, chance.below(1_000_000).to_string()),
            [b'{', b's', b'}', ..] => put(3, chance.below(60).to_string()),
            [b'{', b'f', b'}', ..] => put(3, format!("{}.{:03}", chance.below(10), chance.below(1000))),
            [b'{', b'x', b'}', ..] => put(3, format!("{:08x}", chance.below(1 << 32))),
            [b'{', b'w', b'}', ..] => put(3, WORDS[chance.below(8) as usize].to_owned()),
            [b'{', b't', b'}', ..] => {
                put(3, format!("2026-11-21 10:{:02}:{:02}", chance.below(60), chance.below(60)));
            }
            [b'\\', b'r', ..] => put(2, "\r".to_owned()),
            [b'\\', b'e', ..] => put(2, "\u{1b}".to_owned()),
            _ => put(1, behind[..1].to_owned()),
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'\n');
}

#[test]
fn healthy_lines_fire_nothing() {
    let lines: u64 = std::env::var("SENTRY_HEALTHY_LINES").map_or(50_000, |lines| lines.parse().unwrap());
    let config = config::defaults(vec!["train".to_owned()], Path::new("/p"));
    let set = Arc::new(DetectorSet::compile(&config.detectors).unwrap());
    let mut scanner = Scanner::new(set, StreamId::new("healthy"), Position::START);
    let templates: Vec<&str> = LINES.lines().collect();
    let mut chance = Chance(2026);
    let mut chunk = Vec::with_capacity(CHUNK + 4096);
    let mut found = Vec::new();
    for number in 0..lines {
        // Each at least once, then at random.
        let at = usize::try_from(number).unwrap();
        let at = if at < templates.len() { at } else { chance.below(templates.len() as u64) as usize };
        fill(templates[at], &mut chance, &mut chunk);
        if chunk.len() >= CHUNK || number + 1 == lines {
            found.extend(scanner.feed(&chunk).detections);
            chunk.clear();
        }
    }
    found.extend(scanner.flush(Flush::End).detections);
    // What only remarks or explains an end becomes no incident.
    found.retain(|it| it.class.as_ref().is_none_or(|class| !class.only_if_ended && class.role != Role::Diagnostic));
    let told: Vec<String> =
        found.iter().map(|it| format!("{} line {}: {}", it.detector, it.lines.0, it.message)).collect();
    assert!(told.is_empty(), "{} of {lines} lines: {:#?}", told.len(), told.iter().take(40).collect::<Vec<_>>());
}
