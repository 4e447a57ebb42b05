//! Packs and their classes, parsed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::detect::{Class, Severity};
use crate::ids::ClassName;

/// A file of classes.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Its name: `cuda`; of a user's file without `pack`, the file's name.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// Its classes, in the order of the file.
    pub entries: Vec<Arc<Entry>>,
}

/// One class of a pack: how it looks, what it means, and lines that hold us to it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What decisions need to know.
    pub class: Class,
    /// The pack it stands in.
    pub pack: String,
    /// What it is, in a sentence for people.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// The same failure again within this time is counted, not a new incident; `None`: as the detector says.
    pub cooldown: Option<Duration>,
    /// Expressions as for [`super::super::What::Pattern`]; those of `xids` are among them.
    pub patterns: Vec<String>,
    /// A line in which one of these matches is none of this class.
    pub exclude: Vec<String>,
    /// Also lines that say of themselves that they are information, advice or dealt with.
    pub even_if_handled: bool,
    /// Exit codes that mean it; of a signal, 128 and its number.
    pub exit_codes: Vec<i32>,
    /// It is what an end was in which the kernel's out-of-memory killer was certainly at work.
    pub oom_kill: bool,
    /// NVIDIA's error numbers that mean it.
    pub xids: Vec<u32>,
    /// Where the strings come from.
    pub provenance: String,
    /// Lines that it must fire on.
    pub matches: Vec<String>,
    /// Lines that it must not fire on.
    pub no_matches: Vec<String>,
}

impl Entry {
    /// Its name.
    pub fn name(&self) -> &ClassName {
        &self.class.name
    }
}

/// `kind: catalogue`: which classes are looked for. The classes follow as detectors of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// Built-in packs.
    pub packs: Vec<String>,
    /// Packs of the user, absolute.
    pub files: Vec<PathBuf>,
    /// Classes that are left out.
    pub ignore: Vec<ClassName>,
    /// For all classes; `None`: each has its own.
    pub severity: Option<Severity>,
    /// For all classes; `None`: each has its own.
    pub cooldown: Option<Duration>,
}
