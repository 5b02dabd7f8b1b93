//! What a PSP says of an attempt.

use serde::{Deserialize, Serialize};

use super::Decline;

/// What came of an attempt, as far as a PSP or the way to it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PspOutcome {
    /// It was carried out.
    Succeeded {
        /// What the PSP calls the charge (of an authorization or sale) or the operation.
        psp_reference: String,
        /// How much, in minor units: may be less than was asked for.
        amount_minor: i64,
    },
    /// The payer's bank or the PSP said no.
    Declined(Decline),
    /// The PSP has it and will say later.
    Pending,
    /// It was carried out and came back later: a capture or a refund that failed after it had succeeded.
    FailedLater {
        /// The reason's code, in the PSP's words.
        code: String,
    },
    /// Nobody knows: neither a success nor a failure.
    Unknown {
        /// Why.
        reason: UnknownReason,
    },
    /// The PSP was asked and knows of no such attempt (yet).
    NotFound,
    /// It certainly never reached the PSP.
    NotSent {
        /// Why.
        reason: String,
    },
    /// The PSP refuses the request as it stands; nothing was done.
    Refused {
        /// The reason's code, in the PSP's words.
        code: String,
    },
}

/// Why an outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReason {
    /// No answer in time.
    Timeout,
    /// The PSP said that it failed itself.
    ServerError,
    /// The connection broke after the request was sent.
    ConnectionLost,
    /// The answer could not be read.
    UnreadableAnswer,
    /// The PSP was asked and did not know of the attempt, too early to believe it.
    NotFoundYet,
    /// What was sent before was sent again under its key, and refused: that says nothing of the first time.
    RepetitionRefused,
}

impl UnknownReason {
    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ServerError => "server_error",
            Self::ConnectionLost => "connection_lost",
            Self::UnreadableAnswer => "unreadable_answer",
            Self::NotFoundYet => "not_found_yet",
            Self::RepetitionRefused => "repetition_refused",
        }
    }
}
