//! Refunds: giving captured money back, all of it or a part, several at a time if need be.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::transition::Transition;
use super::{OpenOperation, PaymentAction, Phase, REFUNDS_MAX, find_for};
use crate::Context;
use crate::command::Decision;
use crate::ids::{EntryId, MerchantId, PaymentId, RefundId};
use crate::money::Amount;
use crate::payments::PaymentEvent;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::StreamVersion;
use crate::text::Name;
use crate::time::Timestamp;

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// No PSP was asked yet, or is to be asked again.
    Requested,
    /// The PSP is being asked.
    Processing,
    /// It is not known what came of the call; the PSP is being asked for its truth.
    Unknown,
    /// The money was given back.
    Succeeded,
    /// It was not, or came back later.
    Failed,
}

impl RefundState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Requested, Self::Processing, Self::Unknown, Self::Succeeded, Self::Failed];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Processing => "processing",
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for RefundState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refund of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// Why, in the merchant's words.
    pub reason: Option<Name>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// How far it is, while it is under way.
    pub open: Option<OpenOperation>,
    /// The entry that booked it, once it succeeded.
    pub entry_id: Option<EntryId>,
    /// The code of why it failed, in the PSP's words.
    pub failure: Option<String>,
}

impl Refund {
    /// Where it stands.
    pub fn state(&self) -> RefundState {
        match &self.open {
            Some(open) => match open.phase {
                Phase::Due { .. } => RefundState::Requested,
                Phase::Sent { .. } => RefundState::Processing,
                Phase::Unknown { .. } => RefundState::Unknown,
            },
            None if self.failure.is_some() => RefundState::Failed,
            None => RefundState::Succeeded,
        }
    }
}

/// Asks for captured money to be given back.
#[derive(Debug, Clone)]
pub struct RefundPayment {
    /// The caller.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// A fresh id.
    pub refund_id: RefundId,
    /// How much; all that may be given back where the caller does not say.
    pub amount: Option<Amount>,
    /// Why, in the caller's words.
    pub reason: Option<Name>,
    /// The versions at which the caller wants this done; any where it does not say.
    pub expected_versions: Option<Vec<StreamVersion>>,
}

/// Captured money is to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequested {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// How much.
    pub amount: Amount,
    /// Why, in the merchant's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Name>,
}

/// Money was given back, and booked with this very event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundSucceeded {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// The attempt that came to this.
    pub attempt: u32,
    /// The PSP calls it so.
    pub psp_reference: String,
    /// How much.
    pub amount: Amount,
    /// The entry that books it.
    pub entry_id: EntryId,
}

/// Money that was given back came back, and its entry was undone with this very event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// The reason's code, in the PSP's words.
    pub code: String,
    /// The entry that undoes the refund's.
    pub entry_id: EntryId,
}

impl RefundPayment {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Payment(self.payment_id)]
    }

    /// Rules: something may be refunded; the currency is the payment's; no more than may be; not too often.
    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let expected = self.expected_versions.as_deref();
        let (merchant_id, payment_id) = (self.merchant_id, self.payment_id);
        let payment = find_for(states, merchant_id, payment_id, expected, PaymentAction::Refund)?;
        let currency = payment.amount().currency();
        let refundable_minor = payment.amounts().refundable_minor;
        let above = Rejection::AboveRefundable { payment_id, refundable_minor, currency };
        let amount = match self.amount {
            Some(amount) if amount.currency() != currency => {
                return Err(Rejection::PaymentCurrency { payment_id, currency });
            }
            Some(amount) => amount,
            None => Amount::from_minor(refundable_minor, currency).map_err(|_| above.clone())?,
        };
        if amount.minor() > refundable_minor {
            return Err(above);
        }
        if payment.refunds.len() >= REFUNDS_MAX {
            return Err(Rejection::TooManyRefunds { payment_id });
        }
        let (refund_id, reason) = (self.refund_id, self.reason.clone());
        let requested = PaymentEvent::RefundRequested(RefundRequested {
            payment_id,
            refund_id,
            amount,
            reason,
        });
        Ok(Transition::of(payment, context).then(requested).into_decision())
    }
}
