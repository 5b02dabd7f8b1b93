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
    /// The attempts that reversed it, but for those that failed later.
    pub reversed_by: Vec<u32>,
    /// Counts how often it was booked: once more with each reversal that failed later.
    pub turn: u32,
    /// Whether it came back to the payer by itself.
    pub failed: bool,
    /// How often the PSP has it: once when it took it; once less with each reversal, and if it came back by
    /// itself; once more with each reversal that failed later. It is to be reversed while this is above zero.
    pub held: i32,
}

impl Late {
    /// Nothing more is sent to reverse what is not held; what was sent is still followed up.
    pub(super) fn drop_what_is_not_due(&mut self) {
        let sent = self.open.as_ref().is_some_and(|open| open.attempt().is_some());
        if self.held <= 0 && !sent {
            self.open = None;
        }
    }

    /// The attempt `number` to reverse it has ended.
    pub(super) fn concluded(&mut self, number: u32) {
        if self.open.as_ref().is_some_and(|open| open.attempt() == Some(number)) {
            self.open = None;
        }
        self.drop_what_is_not_due();
    }

    /// The number of its first booking.
    pub(super) const FIRST: u32 = 1;
}

impl Payment {
    /// The late success of an attempt.
    pub fn late(&self, attempt: u32) -> Option<&Late> {
        self.late.iter().find(|late| late.attempt == attempt)
    }

    /// Whether what a PSP took late in the attempt may come back by itself: that happens once.
    pub(super) fn late_may_fail(&self, attempt: u32) -> bool {
        self.late(attempt).is_some_and(|late| !late.failed)
    }

    /// Whether the attempt is known to have succeeded late.
    pub(super) fn came_late(&self, attempt: u32) -> bool {
        self.late(attempt).is_some()
    }
}
