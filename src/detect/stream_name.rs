//! Streams that are files: their names, and what a name says about who writes it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::Detection;
use crate::ids::StreamId;

/// The stream of a file: its path relative to `cwd` where it is below, absolute elsewhere. Control characters, `%` and what is
/// no text are written as `%XX`, so that the name is unique and harmless.
pub fn of_path(cwd: &Path, file: &Path) -> StreamId {
    let path = file.strip_prefix(cwd).unwrap_or(file).as_os_str().as_bytes();
    // A child's own output has such a name.
    let mut name = if path.starts_with(b"child-") && !path.contains(&b'/') { "./".to_owned() } else { String::new() };
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '%' {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape(byte, &mut name));
            } else {
                name.push(c);
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(*byte, &mut name));
    }
    StreamId::new(name)
}

fn escape(byte: u8, name: &mut String) {
    let _ = write!(name, "%{byte:02X}");
}

/// The file of a stream that [`of_path`] has named.
pub fn path_of(cwd: &Path, stream: &StreamId) -> PathBuf {
    let name = stream.as_str().strip_prefix("./").unwrap_or(stream.as_str());
    let mut parts = name.split('%');
    let mut path = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        path.extend(code);
        path.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    cwd.join(OsString::from_vec(path))
}

/// Fills `rank` and `node` of a detection from the name of its stream, where its lines did not say them.
pub fn fill(detection: &mut Detection) {
    for (field, value) in writer(detection.stream.as_str()) {
        detection.captures.entry(field.to_owned()).or_insert(value);
    }
}

/// `rank` and `node` as the path of a log says them: `rank_17.log`, `rank17/stderr.log`, torchrun's `attempt_0/7/stderr.log`,
/// SLURM's `slurm-1234_5.out` and `job.gpu-node-03.out` and what it makes of `%t` and `%n`, `worker-3/stdout`.
pub fn writer(path: &str) -> BTreeMap<&'static str, String> {
    let mut fields = BTreeMap::new();
    // The nearest part that says it.
    for part in path.rsplit('/') {
        for (field, form) in FORMS.iter() {
            if let Some(value) = form.captures(part).and_then(|captures| captures.get(1)) {
                let value = value.as_str();
                let plain = value.trim_start_matches('0');
                let number = if plain.is_empty() { "0" } else { plain };
                let value = if *field == "rank" { number } else { value };
                fields.entry(*field).or_insert_with(|| value.to_owned());
            }
        }
    }
    if !fields.contains_key("rank")
        && let Some(rank) = TORCHRUN.captures(path).or_else(|| ARRAY.captures(path)).and_then(|it| it.get(1))
    {
        fields.insert("rank", rank.as_str().to_owned());
    }
    fields
}

#[expect(clippy::expect_used, reason = "constant expressions, compiled in every test run")]
fn form(expression: &str) -> Regex {
    Regex::new(expression).expect("the expression is constant")
}

static FORMS: LazyLock<[(&str, Regex); 4]> = LazyLock::new(|| {
    [
        // The global one before all others.
        ("rank", form(r"(?i)(?:^|[^a-z])(?:global[-_.]?)?rank[-_.=]?(\d{1,7})(?:$|[^0-9])")),
        (
            "rank",
            form(
                r"(?i)(?:^|[^a-z])(?:worker|task|proc|process|replica|trainer|executor|gpu|local[-_]rank)[-_.=]?(\d{1,7})(?:$|[^0-9])",
            ),
        ),
        // `node07`, `node-07`, `gpu-node-03`, `nid001234`, `cn12`, `node_2`; and a host's number behind its words.
        (
            "node",
            form(r"(?i)(?:^|[._=])((?:[a-z]+-)*(?:node|nid|cn|gn|host|compute)[-_]?\d{1,7}[a-z]?)(?:$|[^0-9a-z])"),
        ),
        ("node", form(r"^(ip-\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3})(?:$|[^0-9-])")),
    ]
});

/// torchrun's `--log-dir`: `RUN_ID/attempt_0/RANK/stderr.log`.
static TORCHRUN: LazyLock<Regex> = LazyLock::new(|| form(r"(?:^|/)attempt_\d+/(\d{1,7})/"));

/// SLURM: `slurm-JOB_TASK.out`, as of job arrays and of `%j_%t`.
static ARRAY: LazyLock<Regex> =
    LazyLock::new(|| form(r"(?:^|/)(?:slurm|job|log|out|err)?[-_.]?\d{2,}_(\d{1,7})\.(?:out|err|log|txt)$"));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_say_who_writes() {
        #[rustfmt::skip]
        let rows = [
            ("logs/rank_17.log", "17", ""), ("rank17/stderr.log", "17", ""), ("logs/rank-0003.out", "3", ""), ("RANK=4.txt", "4", ""),
            ("worker-3/stdout", "3", ""), ("out/task_12.log", "12", ""), ("run/attempt_0/7/stderr.log", "7", ""),
            ("run/attempt_2/0/stdout.log", "0", ""), ("slurm-1234_5.out", "5", ""), ("slurm-1234.out", "", ""),
            ("logs/node-07/rank_12.log", "12", "node-07"), ("logs/gpu-node-03.err", "", "gpu-node-03"), ("nid001234/worker0.log", "0", "nid001234"),
            ("job.node_2.rank_1.log", "1", "node_2"), ("ip-10-0-3-4/rank1.log", "1", "ip-10-0-3-4"), ("rank_3/worker_9.log", "9", ""),
            ("logs/train.log", "", ""), ("frank2.log", "", ""), ("prank_2.log", "", ""), ("2026-11-21.log", "", ""), ("app.log.1", "", ""),
            ("checkpoint_100/out.log", "", ""), ("global_rank_8.log", "8", ""), ("rank_0.local_rank_4.log", "0", ""), ("epoch_3.log", "", ""),
        ];
        for (path, rank, node) in rows {
            let fields = writer(path);
            let get = |field| fields.get(field).map_or("", |value: &String| value.as_str());
            assert_eq!((get("rank"), get("node")), (rank, node), "{path}");
        }
    }

    #[test]
    fn a_stream_is_named_as_its_file() {
        let cwd = Path::new("/job");
        for (path, name) in [
            ("/job/logs/rank_17.log", "logs/rank_17.log"),
            ("/var/log/x.log", "/var/log/x.log"),
            ("/job/child-001", "./child-001"),
            ("/job/a%b\n.log", "a%25b%0A.log"),
        ] {
            assert_eq!(of_path(cwd, Path::new(path)).as_str(), name);
            assert_eq!(path_of(cwd, &StreamId::new(name)), Path::new(path));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_name_comes_back(name in proptest::collection::vec(any::<u8>(), 1..40)) {
            let name = OsString::from_vec(name.into_iter().map(|byte| if byte == b'/' || byte == 0 { b'_' } else { byte }).collect());
            prop_assume!(name != "." && name != "..");
            let cwd = Path::new("/job");
            let path = cwd.join("logs").join(&name);
            let stream = of_path(cwd, &path);
            prop_assert!(!stream.as_str().chars().any(char::is_control));
            prop_assert_eq!(path_of(cwd, &stream).into_os_string(), path.into_os_string());
        }
    }
}
