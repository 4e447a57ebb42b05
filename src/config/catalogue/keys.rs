//! Keys of a pack.

use crate::config::detector_tables::SEVERITIES;
use crate::config::keys::{Kind, Table, key};
use crate::config::tables::{CATEGORIES, SECONDS};

pub(super) static ROLES: &[&str] = &["root", "confirmation", "cascade", "diagnostic"];
pub(super) static CLASS_ACTIONS: &[&str] =
    &["policy", "restart", "backoff", "hold", "requeue", "rollback", "adjust", "clean", "ignore"];

pub(super) static PACK: Table = Table {
    what: "a pack",
    keys: &[
        key("pack", Kind::Name, "", "Its name; the file's name where it is absent."),
        key("about", Kind::Text, "", "What it is about."),
        key("provenance", Kind::Text, "", "Where the strings come from, for classes that do not say so."),
        key("exclude", Kind::List(&Kind::Regex), "[]", "Lines that are none of its classes."),
        key("classes", Kind::List(&Kind::Section(&CLASS)), "[]", "The classes."),
    ],
};

pub(super) static CLASS: Table = Table {
    what: "a class",
    keys: &[
        key("name", Kind::Name, "", "Unique; lower-case letters, digits and `_`."),
        key("title", Kind::Text, "", "What it is, in a sentence."),
        key("patterns", Kind::List(&Kind::Regex), "[]", "Searched for in each line."),
        key("exclude", Kind::List(&Kind::Regex), "[]", "Lines in which one of these matches are none."),
        key("even_if_handled", Kind::Bool, "false", "Also lines of level INFO or DEBUG, advice, retries."),
        key("role", Kind::Word(ROLES), "root", "root, confirmation, cascade or diagnostic."),
        key("category", Kind::Word(CATEGORIES), "unknown", "What kind of repair it calls for."),
        key("severity", Kind::Word(SEVERITIES), "error", "How bad it is."),
        key("cooldown_seconds", SECONDS, "", "As for every detector."),
        key("action", Kind::Word(CLASS_ACTIONS), "policy", "What helps when no rule says otherwise."),
        key("agent", Kind::Bool, "false", "A coding agent may be asked."),
        key("only_if_ended", Kind::Bool, "false", "It explains an end and is no failure of a child that lives on."),
        key("exit_codes", Kind::List(&Kind::Whole { min: 1, max: 255 }), "[]", "Exit codes that mean it."),
        key("oom_kill", Kind::Bool, "false", "It is what an end by the kernel's out-of-memory killer is."),
        key("xids", Kind::List(&Kind::Whole { min: 1, max: 9_999 }), "[]", "NVIDIA's error numbers that mean it."),
        key("provenance", Kind::Text, "", "Where the strings come from."),
        key("match", Kind::List(&Kind::Text), "[]", "Lines that it must fire on."),
        key("no_match", Kind::List(&Kind::Text), "[]", "Lines that it must not fire on."),
    ],
};
