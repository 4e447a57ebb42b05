//! Repair categories.

use serde::{Deserialize, Serialize};

/// What kind of repair an incident calls for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Something took too long or stopped moving.
    Timeout,
    /// A test failed.
    Test,
    /// A linter refused.
    Lint,
    /// A type checker refused.
    Type,
    /// A build failed.
    Build,
    /// The program failed while running.
    Runtime,
    /// The source does not parse.
    Syntax,
    /// A module or library was not found.
    Import,
    /// Rights, credentials, quotas.
    Permission,
    /// Machine, network, storage, memory: not the program's code.
    Infrastructure,
    /// None of these is clear.
    #[default]
    Unknown,
}

impl Category {
    /// The name used in the configuration and on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Test => "test",
            Self::Lint => "lint",
            Self::Type => "type",
            Self::Build => "build",
            Self::Runtime => "runtime",
            Self::Syntax => "syntax",
            Self::Import => "import",
            Self::Permission => "permission",
            Self::Infrastructure => "infrastructure",
            Self::Unknown => "unknown",
        }
    }
}
