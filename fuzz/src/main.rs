//! Fuzz targets, chosen by `SENTRY_FUZZ`: the trace grammars by language, `traces` (all of them at once), `patterns` and
//! `config`. `fuzz/run` builds and runs them.
#![no_main]

mod checks;

use std::sync::LazyLock;

use checks::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("SENTRY_FUZZ").unwrap_or_else(|_| "traces".to_owned());
    Target::named(&name).unwrap_or_else(|| panic!("SENTRY_FUZZ must be one of {}", Target::names().join(", ")))
});

fuzz_target!(|data: &[u8]| TARGET.check(data));
