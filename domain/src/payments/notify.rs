//! What PSPs say unasked: a reason to ask, and nothing more.

use serde::{Deserialize, Serialize};

use super::transition::Transition;
use super::{AttemptConclusion, AttemptKey, Payment, PaymentEvent, PspName};
use crate::Context;
use crate::command::Decision;
use crate::ids::PaymentId;
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::StreamVersion;
use crate::time::Timestamp;

/// What a notification claims. Not believed, but compared with what is known: where it says nothing new,
/// the PSP need not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// That the attempt was carried out.
    Succeeded,
    /// That it was declined or refused.
    Declined,
    /// That it failed, perhaps after it had succeeded.
    Failed,
}

/// Passes on that a PSP said something of an attempt.
#[derive(Debug, Clone)]
pub struct NotifyAttempt {
    /// The payment that the notification names.
    pub payment_id: PaymentId,
    /// Who sent it, as its signature proves.
    pub psp: PspName,
    /// The attempt that it names.
    pub key: AttemptKey,
    /// What it claims.
    pub claim: Claim,
    /// SHA-256 of its bytes, in hex: under this it is kept.
    pub digest: String,
}

/// A PSP said something of an attempt that is not what is known. It is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PspNotified {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt's number.
    pub attempt: u32,
    /// What the notification claims.
    pub claim: Claim,
    /// SHA-256 of the notification, in hex.
    pub digest: String,
}

/// The PSP was asked once more of an attempt and said what was known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptConfirmed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt's number.
    pub attempt: u32,
}

/// An attempt of which the end is known and of which the PSP is to be asked all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The attempt's number.
    pub attempt: u32,
    /// When the PSP is asked.
    pub ask_at: Timestamp,
    /// How often it was asked in vain.
    pub asked: u32,
    /// The payment's version that last gave reason to ask: an answer to an earlier question is none to this.
    #[serde(default = "Check::always")]
    pub since: StreamVersion,
}

impl Check {
    const fn always() -> StreamVersion {
        StreamVersion::from_number(0)
    }
}

impl NotifyAttempt {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Payment(self.payment_id)]
    }

    /// Whether `payment` does not know yet what is claimed, so that its PSP has to be asked.
    ///
    /// # Errors
    /// It has no such attempt.
    pub fn news(&self, payment: &Payment) -> Result<bool, Rejection> {
        let of_psp = payment.attempts.iter().find(|one| one.key == self.key && one.psp == self.psp);
        let unknown = Rejection::AttemptNotFound { payment_id: self.payment_id, attempt: 0 };
        let attempt = of_psp.ok_or(unknown)?;
        Ok(match (&attempt.conclusion, self.claim) {
            (None, _) => true,
            (Some(AttemptConclusion::Succeeded { .. }), Claim::Succeeded)
            | (
                Some(AttemptConclusion::Declined { .. } | AttemptConclusion::Failed { .. }),
                Claim::Declined,
            ) => false,
            // What came late may have come back by itself.
            (
                Some(AttemptConclusion::Declined { .. } | AttemptConclusion::Failed { .. }),
                Claim::Failed,
            ) => payment.late_may_fail(attempt.number),
            (Some(AttemptConclusion::Succeeded { .. }), Claim::Declined | Claim::Failed) => {
                !payment.failed_later(attempt)
            }
            (
                Some(AttemptConclusion::Declined { .. } | AttemptConclusion::Failed { .. }),
                Claim::Succeeded,
            ) => !payment.came_late(attempt.number),
        })
    }

    /// Nothing is done where the claim is what is known.
    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let payment_id = self.payment_id;
        let payment =
            states.payment(payment_id).ok_or(Rejection::PaymentNotFound { payment_id })?;
        if !self.news(payment)? {
            return Ok(Decision::Already(State::Payment(payment.clone().into())));
        }
        let named = payment.attempts.iter().find(|one| one.key == self.key);
        let attempt = named.map_or(0, |attempt| attempt.number);
        let notified = PaymentEvent::PspNotified(PspNotified {
            payment_id,
            attempt,
            claim: self.claim,
            digest: self.digest.clone(),
        });
        Ok(Transition::of(payment, context).then(notified).into_decision())
    }
}
