//! The packs inside the program.

use std::sync::{Arc, LazyLock};

use super::entry::Pack;
use super::read::pack;
use crate::config::problem::Problems;
use crate::config::yaml;

/// Names of the built-in packs, in the order of the documentation. One macro line each keeps name, text and list together.
macro_rules! packs {
    ($first:literal $(, $name:literal)*) => {
        pub(in crate::config) static PACK_NAMES: &[&str] = &[$first $(, $name)*];
        /// The same as YAML.
        pub(in crate::config) const PACK_LIST: &str = concat!("[", $first $(, ", ", $name)*, "]");
        pub(super) static TEXTS: &[&str] = &[
            include_str!(concat!("../../../templates/catalogue/", $first, ".yaml")),
            $(include_str!(concat!("../../../templates/catalogue/", $name, ".yaml"))),*
        ];
    };
}
packs!(
    "python", "pytorch", "nccl", "cuda", "slurm", "node", "jvm", "go", "native", "http", "database", "storage",
    "kernel"
);

/// All built-in packs, read once. What a user's file is checked for, tests check here.
pub fn built_in() -> &'static [Arc<Pack>] {
    static PACKS: LazyLock<Vec<Arc<Pack>>> = LazyLock::new(|| {
        let read = |(name, text): (&&str, &&str)| {
            let root = yaml::read(text, &mut Problems::default())?;
            Some(Arc::new(pack(&root, name, &mut Problems::default())))
        };
        PACK_NAMES.iter().zip(TEXTS).filter_map(read).collect()
    });
    PACKS.as_slice()
}
