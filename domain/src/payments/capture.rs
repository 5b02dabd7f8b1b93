//! Capturing: taking money that is held, all of it or a part, in several steps if need be.

use serde::{Deserialize, Serialize};

use super::transition::Transition;
use super::{CAPTURES_MAX, Payment, PaymentAction, PspName, find_for};
use crate::Context;
use crate::command::Decision;
use crate::ids::{EntryId, MerchantId, PaymentId};
use crate::money::Amount;
use crate::payments::PaymentEvent;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::StreamVersion;
use crate::time::Timestamp;

/// A capture that took place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Its number, from 1.
    pub number: u32,
    /// The attempt that came to it.
    pub attempt: u32,
    /// How much was taken, in minor units.
    pub amount_minor: i64,
    /// What the platform kept of it.
    pub fee_minor: i64,
    /// The entry that booked it.
    pub entry_id: EntryId,
    /// When it was booked.
    pub captured_at: Timestamp,
    /// Whether the money went back later.
    pub failed: bool,
}

/// Asks for money that is held to be taken.
#[derive(Debug, Clone)]
pub struct CapturePayment {
    /// The caller.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// How much; all that is held where the caller does not say.
    pub amount: Option<Amount>,
    /// Whether the rest, if there is one, is released.
    pub final_capture: bool,
    /// The versions at which the caller wants this done; any where it does not say.
    pub expected_versions: Option<Vec<StreamVersion>>,
}

/// Money that is held is to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureRequested {
    /// The payment.
    pub payment_id: PaymentId,
    /// The capture's number, from 1.
    pub capture: u32,
    /// How much.
    pub amount: Amount,
    /// Whether no more is captured after it: all is taken, or the rest is released.
    pub closes: bool,
}

/// Money was taken, and booked with this very event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptured {
    /// The payment.
    pub payment_id: PaymentId,
    /// The capture's number, from 1.
    pub capture: u32,
    /// The attempt that came to this.
    pub attempt: u32,
    /// The PSP.
    pub psp: PspName,
    /// What it calls the charge (of a sale) or the capture.
    pub psp_reference: String,
    /// How much.
    pub amount: Amount,
    /// What the platform keeps of it, in minor units.
    pub fee_minor: i64,
    /// The entry that books it.
    pub entry_id: EntryId,
    /// Whether no more is captured after it.
    pub closes: bool,
}

/// Money that was taken went back, and its entry was undone with this very event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The capture's number.
    pub capture: u32,
    /// The reason's code, in the PSP's words.
    pub code: String,
    /// The entry that undoes the capture's.
    pub entry_id: EntryId,
}

/// The next capture of `payment`.
pub(super) fn capture_requested(payment: &Payment, amount: Amount, closes: bool) -> PaymentEvent {
    let capture = u32::try_from(payment.captures.len() + 1).unwrap_or(u32::MAX);
    let payment_id = payment.id;
    PaymentEvent::CaptureRequested(CaptureRequested { payment_id, capture, amount, closes })
}

impl CapturePayment {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Payment(self.payment_id)]
    }

    /// Rules: the state allows it; the currency is the payment's; no more than is held; not too often.
    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let expected = self.expected_versions.as_deref();
        let (merchant_id, payment_id) = (self.merchant_id, self.payment_id);
        let payment = find_for(states, merchant_id, payment_id, expected, PaymentAction::Capture)?;
        let currency = payment.amount().currency();
        let capturable_minor = payment.amounts().capturable_minor;
        let amount = match self.amount {
            Some(amount) if amount.currency() != currency => {
                return Err(Rejection::PaymentCurrency { payment_id, currency });
            }
            Some(amount) => amount,
            None => Amount::from_minor(capturable_minor, currency).map_err(|_| {
                Rejection::AboveCapturable { payment_id, capturable_minor, currency }
            })?,
        };
        if amount.minor() > capturable_minor {
            return Err(Rejection::AboveCapturable { payment_id, capturable_minor, currency });
        }
        if payment.captures.len() >= CAPTURES_MAX {
            return Err(Rejection::TooManyCaptures { payment_id });
        }
        let closes = self.final_capture || amount.minor() == capturable_minor;
        let requested = capture_requested(payment, amount, closes);
        Ok(Transition::of(payment, context).then(requested).into_decision())
    }
}
