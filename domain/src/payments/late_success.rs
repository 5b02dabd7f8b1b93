//! Successes that come after an attempt was given up: what a PSP took without our knowing goes back by
//! itself. Between the two it is booked as what it is, money that nobody asked for.

use serde::{Deserialize, Serialize};

use super::{OpenOperation, Payment, PspName};
use crate::ids::{EntryId, PaymentId};
use crate::money::Amount;

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
}

impl Payment {
    /// The late success of an attempt.
    pub fn late(&self, attempt: u32) -> Option<&Late> {
        self.late.iter().find(|late| late.attempt == attempt)
    }

    /// Whether the attempt is known to have succeeded late.
    pub(super) fn came_late(&self, attempt: u32) -> bool {
        self.late(attempt).is_some()
    }
}
