//! The built-in packs, and what is wrong with packs of users.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::built_in::{PACK_NAMES, TEXTS};
use super::{Entry, built_in, read_pack};
use crate::config::{Config, ConfigError, Outside, Warning, parse_with_command, show};
use crate::detect::{DetectorKind, DetectorSet, Position, Role, Scanner, samples};
use crate::ids::StreamId;

fn entries() -> Vec<Arc<Entry>> {
    built_in().iter().flat_map(|pack| pack.entries.iter().cloned()).collect()
}

#[test]
fn built_in_packs_are_right() {
    for (name, text) in PACK_NAMES.iter().zip(TEXTS) {
        let pack = read_pack(text.as_bytes(), Path::new(name));
        let errors: Vec<String> = pack.as_ref().err().into_iter().flatten().map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        let pack = pack.unwrap();
        assert_eq!(pack.name, *name);
        assert!(!pack.about.is_empty() && !pack.entries.is_empty(), "{name}");
    }
    assert_eq!(built_in().len(), PACK_NAMES.len());
}

#[test]
fn every_class_is_whole() {
    let mut seen = BTreeMap::new();
    for entry in entries() {
        let name = entry.name();
        assert_eq!(seen.insert(name.clone(), entry.pack.clone()), None, "{name} is there twice");
        assert!(entry.title.ends_with('.') && entry.title.len() > 12, "{name}: {}", entry.title);
        assert!(!entry.provenance.is_empty(), "{name}");
        assert!(!entry.patterns.is_empty() || !entry.exit_codes.is_empty(), "{name} can never fire");
        let least = if entry.patterns.is_empty() { 0 } else { 2 };
        assert!(entry.matches.len() >= least && entry.no_matches.len() >= least, "{name} has too few samples");
    }
    let mut numbers: Vec<u32> = entries().iter().flat_map(|entry| entry.xids.clone()).collect();
    let mut codes: Vec<i32> = entries().iter().flat_map(|entry| entry.exit_codes.clone()).collect();
    let all = (numbers.len(), codes.len());
    numbers.sort_unstable();
    numbers.dedup();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!((numbers.len(), codes.len()), all, "an Xid or an exit code means one class");
}

/// Every class fires on its own lines; none fires on a healthy line of any class.
#[test]
fn samples_hold() {
    let broken = samples::broken(&entries()).unwrap();
    assert_eq!(broken, [], "{broken:#?}");
}

/// The rows of what is known to end long runs, and the class that stands for each. What a number shows (a spike of the loss,
/// a slow machine) is a `metric` detector besides.
#[test]
fn known_failures_have_a_class() {
    #[rustfmt::skip]
    let rows = [
        "cuda_oom", "host_oom", "slurm_oom", "python_memory", "alloc_failed", "shared_memory", "dataloader_worker",
        "collective_timeout", "nccl_fallout", "nccl_system", "nccl_cuda", "nccl_warn", "nccl_dump_signal", "watchdog_stuck",
        "rendezvous", "port_in_use", "torchrun_summary", "cuda_device_assert", "cuda_illegal_access", "gpu_ecc", "gpu_lost",
        "gpu_driver", "xid_restart", "xid_reset", "nvlink_error", "xid_cleanup", "xid_note", "nfs_down", "lustre_evicted",
        "soft_lockup", "hung_task", "fs_remounted", "disk_error", "native_crash_kernel", "stale_handle", "io_error",
        "fs_disconnected", "read_only_fs", "disk_full", "disk_quota", "too_many_files", "process_limit", "nonfinite_loss",
        "gradient_overflow", "training_diverged", "straggler", "time_limit", "preempted", "slurm_cancelled", "node_failure",
        "scheduler_unreachable", "checkpoint_corrupt", "checkpoint_mismatch", "script_error", "import_error", "syntax_error",
        "missing_file", "command_not_found", "not_executable", "permission_denied", "auth_failed", "forbidden",
        "provider_quota", "rate_limited", "server_error", "dns", "connection_reset", "connection_refused", "broken_pipe",
        "connection_timeout", "tls_expired", "tls_verify", "postgres_deadlock", "postgres_serialization", "db_connections",
        "postgres_shutdown", "postgres_lost", "mysql_deadlock", "mysql_lost", "sqlite_busy", "mongo_unavailable",
        "redis_memory", "redis_state", "kafka_rebalance", "kafka_offset", "spark_executor_lost", "spark_memory", "js_heap",
        "js_unhandled_rejection", "js_uncaught", "go_panic", "go_deadlock", "go_map_race", "go_memory", "go_segv", "jvm_heap",
        "jvm_crash", "jvm_uncaught", "dotnet_unhandled", "python_fatal", "segfault", "abort", "heap_corruption",
        "illegal_instruction", "arithmetic", "killed", "terminated", "timed_out", "temporary_failure", "do_not_requeue",
        "logger_network", "cuda_hints",
    ];
    let entries = entries();
    for class in rows {
        assert!(entries.iter().any(|entry| entry.name().as_str() == class), "{class}");
    }
    // 128 + n of a signal; sysexits.h; the shell's own.
    let codes: Vec<i32> = entries.iter().flat_map(|entry| entry.exit_codes.clone()).collect();
    for code in [75, 93, 124, 126, 127, 130, 132, 134, 135, 136, 137, 139, 143] {
        assert!(codes.contains(&code), "{code}");
    }
}

/// Logs in which nothing fails stay silent, but for what only explains an end.
#[test]
fn healthy_logs_are_silent() {
    let config = config("detectors: [{kind: catalogue}]").unwrap().0;
    let set = Arc::new(DetectorSet::compile(&config.detectors).unwrap());
    let quiet = |entry: &Entry| entry.class.only_if_ended || entry.class.role == Role::Diagnostic;
    let entries = entries();
    let mut fired = samples::fired(&set, HEALTHY);
    fired.retain(|class| !entries.iter().any(|entry| entry.name() == class && quiet(entry)));
    assert_eq!(fired, []);
}

/// All packs are one automaton whose states stay: thrown away over and over, they would cost a factor of ten and more.
#[test]
fn all_packs_fit_the_automaton() {
    let config = config("monitor: {}").unwrap().0;
    let set = Arc::new(DetectorSet::compile(&config.detectors).unwrap());
    // What comes close to each class walks further into the automaton than any real log of its kind.
    let samples: Vec<String> = entries().iter().flat_map(|entry| entry.no_matches.clone()).collect();
    let mut log = String::new();
    for (at, sample) in samples.iter().cycle().take(3 * samples.len()).enumerate() {
        let healthy = HEALTHY.lines().nth(at % 30).unwrap_or_default();
        log.push_str(&format!("2026-11-21T14:{:02}:01.{at:06}Z step {at} {healthy}\n{sample}\n", at % 60));
    }
    let mut scanner = Scanner::new(Arc::clone(&set), StreamId::new("log"), Position::START);
    assert!(scanner.feed(log.as_bytes()).lines > 1_000);
    let (states, stale) = set.automaton_size();
    assert!(stale == 0 && states < 6_000, "{states} states, {stale} times stale");
}

const HEALTHY: &str = "\
step 123/50000 | loss 2.8133 | grad_norm 0.91 | lr 3.0e-04 | tok/s 51234 | mem 61.2 GiB
[rank3]: 2026-11-21 14:03:01,120 INFO trainer: epoch 3 step 1200 train_loss=1.9812 eval_loss=2.0113
{'loss': 1.8344, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': 0.4}
Epoch 3:  41%|####      | 412/1000 [03:01<04:19,  2.27it/s, loss=1.98]
Saving checkpoint to /scratch/ckpt/step-1200 ... done in 41.2 s (0 errors)
INFO:     10.0.0.7:41830 - \"POST /v1/items HTTP/1.1\" 500 Internal Server Error
10.0.0.7 - - [21/Nov/2026:14:03:01 +0000] \"GET /v1/items HTTP/1.1\" 503 12 \"-\" \"curl/8.5\"
2026-11-21T14:03:01.120Z  WARN 1 --- [main] c.e.Client : Connection refused, retrying in 2 s (attempt 1/5)
{\"level\":\"info\",\"msg\":\"out of memory guard armed\",\"error\":null}
node1:4711:4790 [3] NCCL INFO Channel 00/0 : 3[3] -> 4[0] [send] via NET/IB/0
node1:4711:4790 [3] NCCL INFO Connected all rings, use ring PXN 0 GDR 1
/opt/venv/lib/python3.12/site-packages/torch/utils/data/dataloader.py:557: UserWarning: This DataLoader will create 16 worker processes
warnings.warn('Detected call of `lr_scheduler.step()` before `optimizer.step()`.')
I1121 14:03:01.120000 4711 controller.go:412] reconciled 12 objects, 0 failed
D1121 14:03:01.120000 4711 cache.go:12] deadlock detected in dry run
WARNING: CUDA out of memory at batch 64; falling back to 32
test_out_of_memory_is_reported (tests.test_oom.TestOom) ... ok
tests/test_oom.py::test_cuda_out_of_memory PASSED [ 41%]
=== RUN   TestConnectionResetByPeer
-    raise RuntimeError('CUDA out of memory')
+    raise RuntimeError('CUDA error: device-side assert triggered')
# to avoid \"No space left on device\", set TMPDIR
note: CUDA out of memory may be caused by fragmentation
gunicorn: Worker exiting (pid: 4711)
[2026-11-21 14:03:01,120: INFO/MainProcess] Task app.tasks.index[9a1f] succeeded in 0.12s: None
LOG:  checkpoint complete: wrote 412 buffers (2.5%)
[ 8123.441] nvidia-nvlink: Nvlink Core is being initialized, major device number 237
Killed 3 stale sessions, 0 errors
";

/// A configuration with packs of these texts at `/p/NAME`.
fn with_packs(text: &str, packs: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    let read = |file: &Path| {
        let name = file.strip_prefix("/p").unwrap_or(file).to_string_lossy().into_owned();
        let found = packs.iter().find(|(pack, _)| *pack == name);
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| format!("cannot read `{}`", file.display()))
    };
    let outside = Outside { vars: &|_| None, packs: &read };
    let text = format!("process: {{command: [a]}}\n{text}");
    parse_with_command(&text, Some(Path::new("/p/sentry.yaml")), Path::new("/p"), outside, None)
}

fn config(text: &str) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    with_packs(text, &[])
}

#[test]
fn expands_into_its_classes() {
    const OWN: &str = "classes:\n- name: cuda_oom\n  title: Ours.\n  patterns: ['my oom']\n- name: shop_closed\n  title: Closed.\n  patterns: [closed]\n  severity: critical\n";
    let names = |config: &Config| -> Vec<String> {
        let classes = config.detectors.iter().skip(1).filter(|it| it.what.kind() == DetectorKind::Catalogue);
        classes.map(|detector| detector.name.to_string()).collect()
    };
    let (all, _) = config("detectors: [{kind: catalogue}]").unwrap();
    assert_eq!(names(&all).len(), entries().len());
    assert_eq!(all.own_detectors().count(), 1);

    let (some, _) = config(
        "detectors: [{kind: catalogue, packs: [go], ignore: [go_race], severity: warning, cooldown_seconds: 5}]",
    )
    .unwrap();
    assert!(names(&some).iter().all(|name| name.starts_with("go_") && name != "go_race"));
    let deadlock = some.detectors.iter().find(|detector| detector.name.as_str() == "go_deadlock").unwrap();
    assert_eq!((deadlock.severity.as_str(), deadlock.cooldown.as_secs()), ("warning", 5));

    let text =
        "detectors: [{kind: catalogue, packs: [cuda], files: [own.yaml]}, {name: gpu_lost, kind: pattern, regex: x}]";
    let (own, _) = with_packs(text, &[("own.yaml", OWN)]).unwrap();
    let ours = |name: &str| own.detectors.iter().filter(|detector| detector.name.as_str() == name).count();
    assert_eq!((ours("cuda_oom"), ours("shop_closed"), ours("gpu_lost")), (1, 1, 1));
    assert!(show(&own).to_yaml().contains("/p/own.yaml"));
    assert!(!show(&own).to_yaml().contains("shop_closed"), "classes are not shown one by one");
    let set = Arc::new(DetectorSet::compile(&own.detectors).unwrap());
    assert_eq!(samples::fired(&set, "my oom\nCUDA out of memory\nclosed\n").len(), 2);
    // What is shown reads back.
    let shown = show(&own).to_yaml();
    let (again, _) = {
        let read = |_: &Path| Ok(OWN.as_bytes().to_vec());
        let outside = Outside { vars: &|_| None, packs: &read };
        parse_with_command(&shown, None, Path::new("/p"), outside, None).unwrap()
    };
    assert_eq!(show(&again).to_yaml(), shown);
}

#[test]
fn problems_of_packs() {
    let cases: &[(&str, &str, &str)] = &[
        ("no file", "", "detectors: [{kind: catalogue, files: [nowhere.yaml]}]"),
        ("unknown pack", "", "detectors: [{kind: catalogue, packs: [pytroch]}]"),
        ("unknown class", "", "detectors: [{kind: catalogue, ignore: [cuda_om]}]"),
        ("key of another kind", "", "detectors: [{kind: traceback, packs: [go]}]"),
        ("no classes", "pack: mine\n", ""),
        ("unknown key", "classes:\n- {name: a, pattern: x}\n", ""),
        ("nothing to look for", "classes:\n- {name: a, title: b}\n", ""),
        ("no name", "classes:\n- {patterns: [x]}\n", ""),
        ("odd name", "classes:\n- {name: 'A b', patterns: [x]}\n", ""),
        ("twice", "classes:\n- {name: a, patterns: [x]}\n- {name: a, patterns: [y]}\n", ""),
        ("bad expression", "classes:\n- {name: a, patterns: ['a(']}\n", ""),
        ("look-around", "classes:\n- {name: a, patterns: [x], exclude: ['(?!b)c']}\n", ""),
        ("matches everything", "classes:\n- {name: a, patterns: ['x*']}\n", ""),
        ("two lines", "classes:\n- {name: a, patterns: ['x\\ny']}\n", ""),
        ("bad words", "classes:\n- {name: a, patterns: [x], role: rot, action: resume, category: bug, agent: 1}\n", ""),
        ("numbers out of range", "classes:\n- {name: a, exit_codes: [256], xids: [0]}\n", ""),
    ];
    let mut told = String::new();
    for (name, pack, text) in cases {
        let text = if text.is_empty() { "detectors: [{kind: catalogue, files: [own.yaml]}]" } else { text };
        let lines: Vec<String> = match with_packs(text, &[("own.yaml", pack)]) {
            Ok((_, warnings)) => warnings.iter().map(|warning| format!("warning {warning}")).collect(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        assert!(!lines.is_empty(), "{name}");
        told.push_str(&format!("{name}: {}\n", lines.join("\n    ")));
    }
    insta::assert_snapshot!(told, @r"
    no file: /p/sentry.yaml:2:39: cannot read `/p/nowhere.yaml` (`files` are packs of yours; built-in ones are named in `packs`)
    unknown pack: /p/sentry.yaml:2:39: `detectors[0].packs[0]` cannot be `pytroch` (did you mean `pytorch`?)
    unknown class: /p/sentry.yaml:2:40: there is no class `cuda_om` (did you mean `cuda_oom`?)
    key of another kind: warning /p/sentry.yaml:2:31: `packs` has no effect here (it belongs to `kind: catalogue`)
    no classes: /p/own.yaml:1:1: a pack without `classes` (write `classes: [{name: …, patterns: […]}]`)
    unknown key: /p/own.yaml:2:4: a class that can never fire (give it `patterns`, `exit_codes` or `xids`)
        /p/own.yaml:2:13: unknown key `pattern` (did you mean `patterns`?)
    nothing to look for: /p/own.yaml:2:4: a class that can never fire (give it `patterns`, `exit_codes` or `xids`)
    no name: /p/own.yaml:2:4: a class without a `name` (write `name: my_failure`)
    odd name: /p/own.yaml:2:10: `A b` cannot be the name of a class (use lower-case letters, digits and `_`)
    twice: /p/own.yaml:3:10: two classes are called `a` (give each its own `name`)
    bad expression: /p/own.yaml:2:26: `classes[0].patterns[0]` is not a regular expression
    look-around: /p/own.yaml:2:39: `classes[0].exclude[0]` is not a regular expression (look-around and backreferences are not supported: every expression runs in linear time)
    matches everything: /p/own.yaml:2:24: the pattern matches the empty string, so it would fire on every line (require at least one character: `x+` instead of `x*`)
    two lines: /p/own.yaml:2:24: the pattern can never match: detectors see one line (match one of the lines; `kind: traceback` reads traces of many lines)
    bad words: /p/own.yaml:2:34: `classes[0].role` cannot be `rot` (did you mean `root`?)
        /p/own.yaml:2:47: `classes[0].action` cannot be `resume`
        /p/own.yaml:2:65: `classes[0].category` cannot be `bug`
        /p/own.yaml:2:77: `classes[0].agent` must be true or false
    numbers out of range: /p/own.yaml:2:26: `classes[0].exit_codes[0]` must be 1 to 255
        /p/own.yaml:2:39: `classes[0].xids[0]` must be 1 to 9999
    ");
}

#[test]
fn what_can_never_act() {
    const OWN: &str =
        "classes:\n- {name: shop_closed, patterns: [closed]}\n- {name: no_shop, exit_codes: [127], xids: [79]}\n";
    let rule = |class: &str| format!("rules: [{{match: {{class: {class}}}, action: restart}}]\n");
    let detector = |fields: &str| format!("detectors: [{{{fields}}}]");
    let own = "kind: catalogue, packs: [go], files: [own.yaml]";
    let cases = [
        ("class of a built-in pack", rule("cuda_oom")),
        ("class of a file", rule("shop_closed") + &detector(own)),
        ("unknown class", rule("cudaoom")),
        ("far from any class", rule("zzzzzzzzzz")),
        ("class of a file that is not named", rule("shop_closed")),
        ("pack left out", rule("cuda_oom") + &detector(own)),
        ("class ignored", rule("go_race") + &detector("kind: catalogue, ignore: [go_race]")),
        ("two classes of one code", detector("kind: catalogue, files: [own.yaml]")),
        (
            "the other one ignored",
            detector("kind: catalogue, files: [own.yaml], ignore: [command_not_found, gpu_lost]"),
        ),
        ("no command", detector("kind: command, command: []")),
        ("no words in it", detector("kind: command, command: ''")),
        ("nothing to watch", detector("kind: resource, kernel_log: false")),
        ("no disks", detector("kind: resource, kernel_log: false, disks: []")),
        ("the kernel's log alone", detector("kind: resource")),
        ("one thing to watch", detector("kind: resource, kernel_log: false, gpus: 8")),
        ("no number in the match", detector("kind: metric, regex: loss")),
        ("no number in the group", detector("kind: metric, regex: '(loss)=\\d+'")),
        ("nan in the group", detector("kind: metric, regex: '(?i)loss is (nan|inf)'")),
        ("a number", detector("kind: metric, regex: 'loss=(\\S+)'")),
        ("a number as the match", detector("kind: metric, regex: '[0-9.]+'")),
    ];
    let mut told = String::new();
    for (name, text) in cases {
        let lines: Vec<String> = match with_packs(&text, &[("own.yaml", OWN)]) {
            Ok((_, warnings)) if warnings.is_empty() => vec!["well".to_owned()],
            Ok((_, warnings)) => warnings.iter().map(|warning| format!("warning {warning}")).collect(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        told.push_str(&format!("{name}: {}\n", lines.join("\n    ")));
    }
    insta::assert_snapshot!(told, @r"
    class of a built-in pack: well
    class of a file: well
    unknown class: /p/sentry.yaml:2:25: there is no class `cudaoom` (did you mean `cuda_oom`?)
    far from any class: /p/sentry.yaml:2:25: there is no class `zzzzzzzzzz` (`sentry catalogue` lists them; your own are in the `files` of `kind: catalogue`)
    class of a file that is not named: /p/sentry.yaml:2:25: there is no class `shop_closed` (`sentry catalogue` lists them; your own are in the `files` of `kind: catalogue`)
    pack left out: warning /p/sentry.yaml:2:25: class `cuda_oom` is not looked for, so this never matches (it is in the pack `cuda`: see `kind: catalogue`, its `packs` and `ignore`)
    class ignored: warning /p/sentry.yaml:2:25: class `go_race` is not looked for, so this never matches (it is in the pack `go`: see `kind: catalogue`, its `packs` and `ignore`)
    two classes of one code: /p/sentry.yaml:2:38: Xid 79 belongs to two classes: `no_shop` and `gpu_lost` (take it out of one, or leave one out: `ignore: [gpu_lost]`)
        /p/sentry.yaml:2:38: exit code 127 belongs to two classes: `no_shop` and `command_not_found` (take it out of one, or leave one out: `ignore: [command_not_found]`)
    the other one ignored: well
    no command: /p/sentry.yaml:2:38: `kind: command` with an empty `command` (write the program and its arguments: `command: [curl, -fsS, URL]`)
    no words in it: /p/sentry.yaml:2:38: `kind: command` with an empty `command` (write the program and its arguments: `command: [curl, -fsS, URL]`)
    nothing to watch: /p/sentry.yaml:2:14: a resource detector that can never fire (give one of `memory_above`, `memory_growth_per_hour`, `open_files_above`, `disks`, `disk_free_below`, `inodes_free_below`, `gpus`, or `kernel_log: true`)
    no disks: /p/sentry.yaml:2:14: a resource detector that can never fire (give one of `memory_above`, `memory_growth_per_hour`, `open_files_above`, `disks`, `disk_free_below`, `inodes_free_below`, `gpus`, or `kernel_log: true`)
    the kernel's log alone: well
    one thing to watch: well
    no number in the match: /p/sentry.yaml:2:35: what this finds is never a number (put the number into the first group: `regex: 'loss[=: ]+(\S+)'`)
    no number in the group: /p/sentry.yaml:2:35: what this finds is never a number (put the number into the first group: `regex: 'loss[=: ]+(\S+)'`)
    nan in the group: well
    a number: well
    a number as the match: well
    ");
}

/// The built-in pattern for any shortage of memory fires on failures, and not where an option is named.
#[test]
fn out_of_memory_pattern() {
    let config = config("monitor: {}").unwrap().0;
    let detectors: Vec<_> =
        config.detectors.into_iter().filter(|detector| detector.name.as_str() == "out_of_memory").collect();
    let set = Arc::new(DetectorSet::compile(&detectors).unwrap());
    for (line, expected) in [
        ("java -jar x.jar -XX:+HeapDumpOnOutOfMemoryError", false),
        ("Picked up JAVA_TOOL_OPTIONS: -XX:+ExitOnOutOfMemoryError", false),
        ("java.lang.OutOfMemoryError: Java heap space", true),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", true),
        ("numpy.core._exceptions._ArrayMemoryError: Unable to allocate 37.3 GiB", true),
        ("MemoryError", true),
        ("[rank1]: MemoryError: no room", true),
    ] {
        let mut scanner = Scanner::new(Arc::clone(&set), StreamId::new("log"), Position::START);
        let found = scanner.feed(format!("{line}\n").as_bytes()).detections;
        assert_eq!(!found.is_empty(), expected, "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn no_pack_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "(pack|classes|name|patterns|xids|match|role|: |\n|- |\\[|\\]|a|'|\\(){0,20}") {
        let _ = read_pack(&bytes, Path::new("a.yaml"));
        let _ = read_pack(text.as_bytes(), Path::new("a.yaml"));
    }
}
