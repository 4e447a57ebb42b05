//! What the catalogue knows of a failure besides how it looks.

use serde::{Deserialize, Serialize};

use crate::ids::ClassName;
use crate::incident::Category;

/// A known failure class, as far as decisions need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its name in the catalogue: `cuda_oom`.
    pub name: ClassName,
    /// What it means for the other failures around it.
    pub role: Role,
    /// What kind of repair it calls for.
    pub category: Category,
    /// What helps when no rule says otherwise.
    pub action: ClassAction,
    /// Whether a coding agent may be asked about it.
    pub agent: bool,
    /// It explains an end and is no failure of a child that lives on: a connection that was reset may be tried again.
    pub only_if_ended: bool,
}

/// How a failure stands to the others of its cascade.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It may be what the others follow from.
    #[default]
    Root,
    /// It says why: the kernel's line about a killed process. Alone it is a root.
    Confirmation,
    /// It follows from another failure if there is one: a peer that has gone.
    Cascade,
    /// It comments on another failure and is never one itself.
    Diagnostic,
}

impl Role {
    /// The name used in the catalogue and on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Confirmation => "confirmation",
            Self::Cascade => "cascade",
            Self::Diagnostic => "diagnostic",
        }
    }
}

/// What helps against a class of failures when nothing else is configured.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ClassAction {
    /// Nothing of its own: the restart policy decides.
    #[default]
    Policy,
    /// A restart; the policy's budget counts it.
    Restart,
    /// A restart after a growing pause that does not count as a failure of the code: the world outside was not ready.
    Backoff,
    /// Nothing before a person has looked.
    Hold,
    /// The same again on another machine; without a scheduler as [`ClassAction::Hold`].
    Requeue,
    /// From the checkpoint before the last one; without one as [`ClassAction::Restart`].
    Rollback,
    /// A restart with other settings, which only a rule knows; without one as [`ClassAction::Restart`].
    Adjust,
    /// Room must be made first, which only a rule knows; without one as [`ClassAction::Hold`].
    Clean,
    /// Recorded only.
    Ignore,
}

impl ClassAction {
    /// The name used in the catalogue and on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Restart => "restart",
            Self::Backoff => "backoff",
            Self::Hold => "hold",
            Self::Requeue => "requeue",
            Self::Rollback => "rollback",
            Self::Adjust => "adjust",
            Self::Clean => "clean",
            Self::Ignore => "ignore",
        }
    }
}
