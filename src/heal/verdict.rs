//! How attempts end.

use serde::{Deserialize, Serialize};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The window has passed, the child lives or has finished its work, nothing has failed.
    Kept,
    /// The same failure came back.
    Regressed,
    /// The action could not be carried out, or the child died of something else.
    Crashed,
    /// A person or a gate said no.
    Rejected,
    /// Another action took its place before the window had passed.
    Superseded,
    /// The run ended, or nothing was changed, so there was nothing to verify.
    Unverified,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Kept, Self::Regressed, Self::Crashed, Self::Rejected, Self::Superseded, Self::Unverified];

    /// The word used in the ledger and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Regressed => "regressed",
            Self::Crashed => "crashed",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Unverified => "unverified",
        }
    }
}
