//! Withholding an attempt: the card was declined so often, or so firmly, that its scheme forbids another.

use serde::{Deserialize, Serialize};

use super::{Payment, PaymentPolicy};
use crate::cards::{Card, Spent};
use crate::ids::PaymentId;
use crate::time::Timestamp;

/// An attempt that was due is not made, since a limit of the card's is spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptWithheld {
    /// The payment.
    pub payment_id: PaymentId,
    /// The limit, see [`CardLimit`](crate::cards::CardLimit); or [`BARRED`](crate::cards::BARRED).
    pub limit: String,
    /// When it is made instead; absent where the payment is declined with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

/// Until when the payment's attempts may be made again: schemes count from its first.
pub(super) fn retried_until(payment: &Payment, policy: &PaymentPolicy) -> Option<Timestamp> {
    let first = payment.attempts.iter().find(|attempt| attempt.operation.authorizes())?;
    Some(first.started_at.plus_millis(policy.retried_within_ms))
}

/// Whether an attempt may be made at `wanted` as far as the card goes and the payment is still tried.
pub(super) fn room(
    payment: &Payment,
    card: Option<&Card>,
    policy: &PaymentPolicy,
    wanted: Timestamp,
) -> Result<(), Withheld> {
    let spent = card.and_then(|card| card.spent(payment.amount(), wanted, &policy.card_limits));
    let last = retried_until(payment, policy);
    match spent {
        None if last.is_none_or(|last| wanted <= last) => Ok(()),
        None => Err(Withheld { limit: TRIED_LONG_ENOUGH.to_owned(), retry_at: None }),
        Some(Spent { limit, until }) => {
            // Whoever pays for the first time waits for an answer, not for a window to end.
            let retry_at = until.filter(|until| last.is_some_and(|last| *until <= last));
            Err(Withheld { limit, retry_at })
        }
    }
}

/// The name of the limit on how long a payment is tried.
const TRIED_LONG_ENOUGH: &str = "payment_30_days";

/// Why an attempt is not made when it was to be.
#[derive(Debug)]
pub(super) struct Withheld {
    pub(super) limit: String,
    /// When it may be made, if it may.
    pub(super) retry_at: Option<Timestamp>,
}
