//! Successes that come after an attempt was given up: what a PSP took without our knowing goes back by
//! itself. Between the two it is booked as what it is, money that nobody asked for.

use serde::{Deserialize, Serialize};

use super::{OpenOperation, Payment, PspName};
use crate::ids::{EntryId, PaymentId};
use crate::money::Amount;
use crate::time::Timestamp;

/// An attempt that was taken for failed turns out to have been carried out. It is reversed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateSuccess {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt's number.
    pub attempt: u32,
    /// The PSP.
    pub psp: PspName,
    /// What the PSP calls the charge.
    pub psp_reference: String,
    /// How much.
    pub amount: Amount,
    /// The entry that books it; absent where no money was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EntryId>,
}

/// A late success was reversed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateSuccessReversed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt that was reversed.
    pub reversed: u32,
    /// The attempt that reversed it.
    pub attempt: u32,
    /// What the PSP calls the reversal.
    pub psp_reference: String,
    /// The entry that books it; absent where no money was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EntryId>,
}

/// What a PSP took late came back to the payer by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateSuccessFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt that succeeded late.
    pub attempt: u32,
    /// The reason's code, in the PSP's words.
    pub code: String,
    /// The entry that undoes its booking; absent where no money was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EntryId>,
}

/// The reversal of a late success came back: the PSP has the payer's money still, or again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateReversalFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt that was reversed.
    pub reversed: u32,
    /// The attempt that reversed it.
    pub attempt: u32,
    /// The reason's code, in the PSP's words.
    pub code: String,
    /// The entry that books it again; absent where no money was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EntryId>,
    /// When it is reversed once more; absent where that was tried as often as may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

/// A late success, and how far its reversal is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// The attempt that succeeded late.
    pub attempt: u32,
    /// The PSP.
    pub psp: PspName,
    /// What the PSP calls the charge.
    pub psp_reference: String,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// Whether money was taken, not only held.
    pub taken: bool,
    /// The reversal, until it is done.
    pub open: Option<OpenOperation>,
    /// The attempt that reversed it, unless that failed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversed_by: Option<u32>,
    /// Counts how often it was booked: once more with each reversal that failed later.
    #[serde(default = "Late::first")]
    pub turn: u32,
    /// Whether it came back to the payer by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl Late {
    /// The number of its first booking.
    pub(super) const FIRST: u32 = 1;

    const fn first() -> u32 {
        Self::FIRST
    }
}

impl Payment {
    /// The late success of an attempt.
    pub fn late(&self, attempt: u32) -> Option<&Late> {
        self.late.iter().find(|late| late.attempt == attempt)
    }

    /// Whether a PSP has what it took late in the attempt, as far as is known.
    pub(super) fn holds_late(&self, attempt: u32) -> bool {
        self.late(attempt).is_some_and(|late| !late.failed && late.reversed_by.is_none())
    }

    /// Whether the attempt is known to have succeeded late.
    pub(super) fn came_late(&self, attempt: u32) -> bool {
        self.late(attempt).is_some()
    }
}
