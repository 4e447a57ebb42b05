//! Names of things, each with a type of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name that has been checked where it entered the program.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// One run of a directory: `20261121T123456Z-9f3a`.
    RunId
}
name_type! {
    /// An incident, named as its folder: `2026-11-21T12-34-56Z-error-oom`, with `-2`, `-3`, … on collision.
    IncidentId
}
name_type! {
    /// Name of a detector in the configuration; unique.
    DetectorName
}
name_type! {
    /// Name of a rule in the configuration; unique.
    RuleName
}
name_type! {
    /// One log source inside a run: `child-001` for a child's own output.
    StreamId
}
name_type! {
    /// Name of a failure class of the catalogue; unique: `cuda_oom`.
    ClassName
}
name_type! {
    /// Name of a phase in the configuration; unique: `checkpoint`.
    PhaseName
}
name_type! {
    /// Stable hash of an incident's normalised message and top in-app frames: version, colon, 16 hex digits (`v1:0123456789abcdef`).
    Fingerprint
}

/// Number of a child inside its run, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChildNo(pub u32);

impl ChildNo {
    /// The child after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// File stem of everything that belongs to this child: `child-001`.
    pub fn stem(self) -> String {
        format!("child-{:03}", self.0)
    }

    /// Stream of this child's own output.
    pub fn stream(self) -> StreamId {
        StreamId::new(self.stem())
    }
}

impl fmt::Display for ChildNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of an attempt inside its run, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptNo(pub u32);
