//! The built-in packs, and what is wrong with packs of users.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::built_in::{PACK_NAMES, TEXTS};
use super::{Entry, built_in, read_pack};
use crate::detect::samples;

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
