//! Operations: what a PSP is asked for, and how far that is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::RefundId;
use crate::time::Timestamp;

/// What a PSP is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Operation {
    /// To hold the money.
    Authorize,
    /// To hold and take the money in one call.
    Sale,
    /// To take money that is held.
    Capture {
        /// The capture's number, from 1.
        capture: u32,
    },
    /// To release money that is held.
    Void,
    /// To give money back.
    Refund {
        /// The refund.
        refund_id: RefundId,
    },
    /// To undo an attempt that succeeded after it was given up.
    Reverse {
        /// That attempt's number.
        attempt: u32,
    },
}

impl Operation {
    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Sale => "sale",
            Self::Capture { .. } => "capture",
            Self::Void => "void",
            Self::Refund { .. } => "refund",
            Self::Reverse { .. } => "reverse",
        }
    }
}

impl Operation {
    /// Whether it asks the payer's bank for money.
    pub(super) const fn authorizes(self) -> bool {
        match self {
            Self::Authorize | Self::Sale => true,
            Self::Capture { .. } | Self::Void | Self::Refund { .. } | Self::Reverse { .. } => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// No attempt is under way; one is to be made.
    Due {
        /// Not before.
        at: Timestamp,
    },
    /// An attempt is in the log, and perhaps on its way.
    Sent {
        /// Its number.
        attempt: u32,
        /// When the PSP is asked what came of it, if nobody said so before.
        ask_at: Timestamp,
    },
    /// It is not known what came of the attempt.
    Unknown {
        /// Its number.
        attempt: u32,
        /// When the PSP is asked (again).
        ask_at: Timestamp,
    },
}

/// An operation under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOperation {
    /// What is asked for. Whether to hold the money or to take it at once is decided with each attempt.
    pub operation: Operation,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// Whether nothing more is to be captured after it.
    #[serde(default)]
    pub closes: bool,
    /// How far it is.
    pub phase: Phase,
    /// How often the PSP was asked in vain what came of the attempt under way.
    pub asked: u32,
    /// Whether the PSP claimed that the attempt under way failed: if it is then heard to have succeeded, that
    /// may be older news.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failure_claimed: bool,
}

impl OpenOperation {
    /// An operation that is to be attempted at once.
    pub(super) fn due(operation: Operation, amount_minor: i64, at: Timestamp) -> Self {
        Self {
            operation,
            amount_minor,
            closes: false,
            phase: Phase::Due { at },
            asked: 0,
            failure_claimed: false,
        }
    }

    /// When something has to be done for it, if nothing happens before.
    pub fn due_at(&self) -> Timestamp {
        match self.phase {
            Phase::Due { at } => at,
            Phase::Sent { ask_at, .. } | Phase::Unknown { ask_at, .. } => ask_at,
        }
    }

    /// Has the PSP be asked of the attempt under way as soon as can be.
    pub(super) fn ask_at_once(&mut self, at: Timestamp) {
        match &mut self.phase {
            Phase::Due { .. } => {}
            Phase::Sent { ask_at, .. } | Phase::Unknown { ask_at, .. } => *ask_at = at,
        }
    }

    /// The attempt under way.
    pub fn attempt(&self) -> Option<u32> {
        match self.phase {
            Phase::Due { .. } => None,
            Phase::Sent { attempt, .. } | Phase::Unknown { attempt, .. } => Some(attempt),
        }
    }
}
