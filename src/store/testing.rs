//! What the tests of this room share.

use std::collections::BTreeMap;

use crate::detect::{Detection, DetectorKind, Severity};
use crate::ids::{ChildNo, DetectorName, Fingerprint, IncidentId, RunId};
use crate::incident::{Category, Incident, IncidentKind};
use crate::time::Utc;

/// 2026-11-21T11:54:56.789Z.
pub(super) const NOW: Utc = Utc::from_millis(1_795_262_096_789);

/// An incident of a pattern.
pub(super) fn incident(id: &str, detector: &str) -> Incident {
    Incident {
        id: IncidentId::new(id),
        run: RunId::new("20261121T115456Z-9f3a"),
        child: ChildNo(1),
        utc: NOW,
        kind: IncidentKind::Error,
        severity: Severity::Error,
        category: Category::Runtime,
        fingerprint: Fingerprint::new("v1:0123456789abcdef"),
        message: "out of memory".to_owned(),
        root: Detection {
            detector: DetectorName::new(detector),
            kind: DetectorKind::Pattern,
            severity: Severity::Error,
            stream: ChildNo(1).stream(),
            bytes: 10..24,
            lines: (2, 2),
            message: "out of memory".to_owned(),
            captures: BTreeMap::new(),
            trace: None,
        },
        counted: Vec::new(),
        exit: None,
        recent_metric: Vec::new(),
        actions: Vec::new(),
        not_acted: None,
    }
}
