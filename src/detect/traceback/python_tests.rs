use super::super::rig::{read_all, summary};
use super::*;

fn told(log: &str) -> String {
    summary(&read_all(&Python, log))
}

const FRAMES: &str = "Traceback (most recent call last):\n  File \"/srv/app/a.py\", line 3, in main\n    f()\n";

#[test]
fn layouts_of_other_programs() {
    let rows: &[(&str, String, &str)] = &[
        (
            "IPython's mode Plain, behind a prompt",
            "In [3]: Traceback (most recent call last):\n  Cell In[3], line 1\n    go()\n  File /srv/app/a.py:5 in load\n    x\nKeyError: 'x'\n\nIn [4]: \n"
                .to_owned(),
            "1-6 python KeyError \"'x'\" [Cell In[3]:1 -, /srv/app/a.py:5 load] top 1 causes []",
        ),
        (
            "a cell that cannot be compiled",
            "In [5]:   Cell In[5], line 1\n    x = = 1\n        ^\nSyntaxError: invalid syntax\n".to_owned(),
            "1-4 python SyntaxError \"invalid syntax\" [Cell In[5]:1 -] top 0 causes []",
        ),
        (
            "nbconvert",
            format!(
                "{FRAMES}nbclient.exceptions.CellExecutionError: An error occurred while executing the following cell:\n------------------\ngo()\n------------------\n\n\n{}\nKeyError                                  Traceback (most recent call last)\nCell In[2], line 1\n----> 1 go()\n\nKeyError: 'x'\n\nbye\n",
                "-".repeat(75)
            ),
            "1-15 python nbclient.exceptions.CellExecutionError \"An error occurred while executing the following cell:\" [/srv/app/a.py:3 main, Cell In[2]:1 -] top 1 causes [KeyError]",
        ),
        (
            "stackprinter",
            "File \"/srv/app/a.py\", line 3, in main\n    2    def main():\n--> 3        f(1)\n    ......\n     a = 1\n    ......\n\nKeyError: 'x'\nbye\n"
                .to_owned(),
            "1-8 python KeyError \"'x'\" [/srv/app/a.py:3 main] top 0 causes []",
        ),
        (
            "without its beginning",
            "  File \"/srv/app/a.py\", line 3, in main\n    f()\n  File \"/srv/app/a.py\", line 9, in f\n    1/0\nZeroDivisionError: division by zero\n".to_owned(),
            "1-5 python ZeroDivisionError \"division by zero\" [/srv/app/a.py:3 main, /srv/app/a.py:9 f] top 1 causes []",
        ),
        ("a stack that was printed on purpose", "Stack (most recent call last):\n  File \"a.py\", line 3, in main\n    f()\nValueError: handled\n".to_owned(), ""),
        ("a stack and nothing else", "  File \"a.py\", line 3, in main\n    f()\nall fine\n".to_owned(), ""),
        ("a comment", "# Traceback (most recent call last):\n#   File \"a.py\", line 3, in f\n# KeyError: 1\n".to_owned(), ""),
        (
            "a conftest that cannot be imported",
            "ImportError while loading conftest '/srv/app/conftest.py'.\nconftest.py:1: in <module>\n    import nope\nE   ModuleNotFoundError: No module named 'nope'\n"
                .to_owned(),
            "1-4 python ModuleNotFoundError \"No module named 'nope'\" [conftest.py:1 <module>] top 0 causes []",
        ),
        (
            "pytest with the variables of each frame",
            "___________ test_x ___________\n\n    def test_x():\n>       assert a == b\nE       assert 1 == 2\nE\nE         more\n\na          = 1\nb          = 2\n\ntest_x.py:3: AssertionError\n=========== short test summary info ===========\n"
                .to_owned(),
            "1-12 python AssertionError \"assert 1 == 2\\n\\nmore\" [test_x.py:3 -] top 0 causes []",
        ),
        (
            "pytest: a module that cannot be compiled",
            "_____ ERROR collecting test_c.py _____\nE     File \"/srv/app/test_c.py\", line 1\nE       def test_x(:\nE                  ^\nE   SyntaxError: invalid syntax\n"
                .to_owned(),
            "1-5 python SyntaxError \"invalid syntax\" [/srv/app/test_c.py:1 -] top 0 causes []",
        ),
    ];
    for (name, log, expected) in rows {
        assert_eq!(told(log), *expected, "{name}");
    }
}

#[test]
fn messages_of_several_lines() {
    let rows: &[(&str, String, u64)] = &[
        (
            "a note, between two records",
            format!("2026-11-21 10:00:00 ERROR x\n{FRAMES}KeyError: 1\nJob: nightly\n2026-11-21 10:00:01 INFO y\n"),
            6,
        ),
        (
            "prints behind an uncaught exception",
            format!("{FRAMES}KeyError: 1\nwhatever\n2026-11-21 10:00:01 INFO y\n"),
            4,
        ),
        (
            "progress behind a record's trace",
            format!("2026-11-21 10:00:00 ERROR x\n{FRAMES}KeyError: 1\nstep 3\n2026-11-21 10:00:01 INFO y\n"),
            5,
        ),
        (
            "a record's stack",
            format!(
                "2026-11-21 10:00:00 ERROR x\n{FRAMES}KeyError: 1\nStack (most recent call last):\n  File \"a.py\", line 1, in f\n    x\n2026-11-21 10:00:01 INFO y\n"
            ),
            5,
        ),
        (
            "SQLAlchemy",
            format!(
                "{FRAMES}sqlalchemy.exc.OperationalError: no such table\n[SQL: SELECT 1]\n(Background on this error at: https://sqlalche.me/e/20/e3q8)\nbye\n"
            ),
            6,
        ),
        (
            "JAX",
            format!(
                "{FRAMES}TypeError: x\n--------------------\nFor simplicity, JAX has removed its internal frames from the traceback of the following exception.\nbye\n"
            ),
            6,
        ),
        (
            "TensorFlow",
            format!(
                "{FRAMES}x.InvalidArgumentError: Graph execution error:\n\nDetected at node 'a' defined at (most recent call last):\n    File \"/srv/app/a.py\", line 3, in <module>\n      fit()\nNode: 'a'\nsizes differ\n\t [[{{{{node a}}}}]]\nbye\n"
            ),
            11,
        ),
        (
            "PyTorch's C++ stack",
            format!(
                "{FRAMES}RuntimeError: x\nException raised from f at a.cpp:43 (most recent call first):\nframe #0: c10::Error::Error() + 0x96 (0x7f in libc10.so)\n\nbye\n"
            ),
            6,
        ),
    ];
    for (name, log, last) in rows {
        let found = read_all(&Python, log);
        // The rig ends a trace at its last taken line; what is claimed at its end is the driver's.
        let claimed = u64::from(name.starts_with("a note"));
        assert_eq!(found.iter().map(|(_, last)| last + claimed).collect::<Vec<_>>(), [*last], "{name}");
    }
}

#[test]
fn the_first_failure_of_torchrun_has_fields_and_frames() {
    let rule = "=".repeat(60);
    let log = format!(
        "{FRAMES}torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n{rule}\ntrain.py FAILED\nRoot Cause (first observed failure):\n[0]:\n  rank      : 9 (local_rank: 1)\n  exitcode  : 1 (pid: 7313)\n  traceback : Traceback (most recent call last):\n    File \"/srv/app/t.py\", line 12, in main\n      x()\n  ValueError: bad shard\n{rule}\nbye\n"
    );
    let found = read_all(&Python, &log);
    assert_eq!(found.len(), 1);
    let (reading, last) = &found[0];
    assert_eq!(*last, 15);
    assert_eq!(reading.trace.cause_chain, ["ValueError"]);
    assert_eq!(reading.trace.in_app_top, Some(1));
}

#[test]
fn rich_draws_members_sources_and_notes() {
    let top = |title: &str| format!("╭{:─^58}╮\n", format!(" {title} "));
    let bottom = format!("╰{}╯\n", "─".repeat(58));
    let frame = format!("│{:<58}│\n", " /srv/app/a.py:3 in main");
    let log = format!(
        "{}{frame}{bottom}ExceptionGroup: two (1 sub-exception)\n\n{}│{:<58}│\n{bottom}bye\n{}{frame}{bottom}ValueError: a long message that has been wrapped at sixty\ncolumns\n[NOTE] see there\nbye\n",
        top("Traceback (most recent call last)"),
        top("Sub-exception #1"),
        " ValueError: one",
        top("Traceback (most recent call last)"),
    );
    assert_eq!(
        told(&log),
        "1-8 python ExceptionGroup \"two (1 sub-exception)\" [/srv/app/a.py:3 main] top 0 causes []\n\
         10-15 python ValueError \"a long message that has been wrapped at sixty\\ncolumns\\n[NOTE] see there\" [/srv/app/a.py:3 main] top 0 causes []"
    );
}
