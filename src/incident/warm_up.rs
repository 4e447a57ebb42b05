//! What can be done before the first incident.

use super::{fingerprint, judge, redact};

/// Compiles what this room compiles once per process (some 10 ms), so that the first incident need not wait for it.
pub fn warm_up() {
    fingerprint::warm_up();
    judge::warm_up();
    redact::warm_up();
}
