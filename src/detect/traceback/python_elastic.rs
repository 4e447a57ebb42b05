//! The table in which torchrun says which process failed first.
//!
//! Format: `ChildFailedError.format_msg` in `torch/distributed/elastic/multiprocessing/errors`, PyTorch 1.9 to 2.9.
//!
//! ```text
//! Root Cause (first observed failure):
//! [0]:
//!   time      : 2026-11-21_01:02:35
//!   host      : node-3
//!   rank      : 1 (local_rank: 1)
//!   exitcode  : 1 (pid: 7313)
//!   error_file: <N/A>
//! ```

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::lex::{group, pattern};

/// What the table says of the first observed failure; nothing when there is no table.
pub(super) fn first_failure(message: &[String]) -> BTreeMap<String, String> {
    static ROW: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(time|host|rank|exitcode|error_file)\s*: (\S+)(?: \((\w+): (\d+)\))?"));
    let mut fields = BTreeMap::new();
    let root = message.iter().position(|line| line.trim_start().starts_with("Root Cause"));
    for line in root.and_then(|root| message.get(root + 1..)).unwrap_or_default() {
        let line = line.trim();
        if line.starts_with("---") || line.starts_with("===") || line.starts_with("[1]") {
            break;
        }
        let Some(c) = ROW.captures(line) else { continue };
        let name = match group(&c, 1) {
            "time" => "timestamp",
            "host" => "node",
            other => other,
        };
        let value = group(&c, 2);
        if value != "<N/A>" {
            fields.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        if c.get(3).is_some() {
            fields.entry(group(&c, 3).to_owned()).or_insert_with(|| group(&c, 4).to_owned());
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told() {
        let new = "\nddp.py FAILED\n----------\nFailures:\n[1]:\n  rank      : 0 (local_rank: 0)\n  exitcode  : -15 (pid: 7)\n----------\n\
                   Root Cause (first observed failure):\n[0]:\n  time      : 2026-11-21_01:02:35\n  host      : node-3\n  rank      : 9 (local_rank: 1)\n  \
                   exitcode  : 1 (pid: 7313)\n  error_file: /tmp/e/attempt_0/1/error.json\n  traceback : none\n==========";
        let old = "     train.py FAILED     \n=======\nRoot Cause:\n[0]:\n  time: 2021-10-08_16:50:37\n  rank: 0 (local_rank: 0)\n  exitcode: 1 (pid: 2093)\n  \
                   error_file: <N/A>\n  msg: \"Process failed\"\n=======\nOther Failures:\n  <NO_OTHER_FAILURES>";
        for (text, expected) in [
            (
                new,
                "error_file=/tmp/e/attempt_0/1/error.json exitcode=1 local_rank=1 node=node-3 pid=7313 rank=9 timestamp=2026-11-21_01:02:35",
            ),
            (old, "exitcode=1 local_rank=0 pid=2093 rank=0 timestamp=2021-10-08_16:50:37"),
            ("no table", ""),
        ] {
            let message: Vec<String> = text.lines().map(str::to_owned).collect();
            let told: Vec<String> =
                first_failure(&message).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(told.join(" "), expected);
        }
    }
}
