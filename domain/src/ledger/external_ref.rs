//! External references of entries.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{EntryId, HoldId, PaymentId, RefundId};
use crate::stream::StreamVersion;
use crate::text::{InvalidText, check_free_text};

/// What the poster of an entry calls it: names one entry in a ledger, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExternalRef(String);

impl ExternalRef {
    /// The most characters.
    pub const CHARACTERS_MAX: usize = 255;
    /// What the platform's own references start with; merchants' may not, or they could take the
    /// reference of a booking that is still to come.
    pub const RESERVED_PREFIXES: [&'static str; 6] =
        ["payment:", "dispute:", "settlement:", "reversal:", "hold:", "fx:"];

    /// Takes a client's reference: 1 to 255 characters, no control characters, no reserved prefix.
    ///
    /// # Errors
    /// [`InvalidText`].
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        check_free_text(text, Self::CHARACTERS_MAX)?;
        match Self::RESERVED_PREFIXES.into_iter().find(|prefix| text.starts_with(prefix)) {
            Some(prefix) => Err(InvalidText::Reserved { prefix }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The reference of the entry that reverses `entry`, where the client gives none.
    pub fn reversal_of(entry: EntryId) -> Self {
        Self(format!("reversal:{entry}"))
    }

    /// The same where the entry is at `version` of its stream: each partial reversal raises that.
    pub(crate) fn reversal_at(entry: EntryId, version: StreamVersion) -> Self {
        match version {
            StreamVersion::FIRST => Self::reversal_of(entry),
            later => Self(format!("reversal:{entry}:{later}")),
        }
    }

    /// The reference of the entry that posts `hold` at `version` of its stream, where the client gives none.
    pub(crate) fn posting_of(hold: HoldId, version: StreamVersion) -> Self {
        Self(format!("hold:{hold}:{version}"))
    }

    /// The reference of the entry that books a payment's capture.
    pub(crate) fn of_capture(payment: PaymentId, capture: u32) -> Self {
        Self(format!("payment:{payment}:capture:{capture}:v1"))
    }

    /// The reference of the entry that books a payment's refund.
    pub(crate) fn of_refund(payment: PaymentId, refund: RefundId) -> Self {
        Self(format!("payment:{payment}:refund:{refund}:v1"))
    }

    /// The same where `attempt` carried it out although it was made again after that.
    pub(crate) fn of_refund_by(payment: PaymentId, refund: RefundId, attempt: u32) -> Self {
        Self(format!("payment:{payment}:refund:{refund}:by:{attempt}"))
    }

    /// The reference of the entry that books what a PSP took in an attempt that was given up, for
    /// the `turn`th time.
    pub(crate) fn of_late_success(payment: PaymentId, attempt: u32, turn: u32) -> Self {
        Self(format!("payment:{payment}:late:{attempt}:v{turn}"))
    }

    /// The reference of the entry that books what the attempt `by` gave back of it although it was not held.
    pub(crate) fn of_late_gone(payment: PaymentId, attempt: u32, by: u32) -> Self {
        Self(format!("payment:{payment}:late:{attempt}:gone:{by}"))
    }

    /// The reference of the entry that undoes this one's, because what it booked failed later.
    pub(crate) fn of_failure(&self) -> Self {
        Self(format!("{}:failed", self.0))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExternalRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
