//! The states of a projection.

use std::fmt;
use std::str::FromStr;

/// Whether a projection moves, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProjectionState {
    /// It applies events as they come.
    Running,
    /// It cannot get past an event; it goes on by itself once that is repaired.
    Stopped,
    /// What it applied is not what the log has (an older database was restored): only a rebuild helps.
    Diverged,
    /// Its tables are those of another version of the program; new ones are being filled.
    Rebuilding,
}

impl ProjectionState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Running, Self::Stopped, Self::Diverged, Self::Rebuilding];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Diverged => "diverged",
            Self::Rebuilding => "rebuilding",
        }
    }
}

impl fmt::Display for ProjectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `running`, `stopped`, `diverged` or `rebuilding`")]
pub struct UnknownState;

impl FromStr for ProjectionState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(UnknownState)
    }
}
