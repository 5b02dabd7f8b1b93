//! Payments: an intent to be paid, carried out by attempts at payment service providers (PSPs).
//!
//! [`Payment`] is the aggregate: what was asked, what is under way, what has moved. Merchants' commands
//! ask for an [`Operation`]; the workers carry it out: [`StartAttempt`] puts the attempt and its key into
//! the log, then the PSP is called, and [`RecordOutcome`] says what came of it, with the booking in the
//! same append. What has to be done next, and when, follows from the state alone: [`Payment::steps`].

mod amounts;
mod answer;
mod attempt;
mod authorize;
mod booking;
mod cancel;
mod capture;
mod create;
mod decline;
mod event;
mod evolve;
mod expire;
mod late_success;
mod method;
mod notify;
mod operation;
mod order;
mod outcome;
mod policy;
mod psp;
mod record_outcome;
mod refund;
mod replace_method;
mod start_attempt;
mod status;
mod steps;
mod transition;
mod void;
mod withhold;

#[cfg(test)]
mod carrying_out_tests;
#[cfg(test)]
mod doubt_tests;
#[cfg(test)]
mod retry_tests;
#[cfg(test)]
pub(crate) mod scenario;
#[cfg(test)]
mod transitions_tests;

pub use amounts::PaymentAmounts;
pub use answer::ShowPayment;
pub use attempt::{
    Attempt, AttemptConclusion, AttemptDeclined, AttemptFailed, AttemptKey, AttemptPending,
    AttemptResent, AttemptStarted, AttemptUnknown,
};
pub use authorize::{AuthorizationRequested, AuthorizePayment, PaymentAuthorized};
pub use cancel::{CancelPayment, PaymentCanceled};
pub use capture::{Capture, CaptureFailed, CapturePayment, CaptureRequested, PaymentCaptured};
pub use create::{CreatePayment, PaymentCreated};
pub use decline::{Barred, DECLINES_VERSION, Decline, DeclineClass, code_for_everybody};
pub use event::PaymentEvent;
pub use expire::{ExpireAuthorization, PaymentExpired};
pub use late_success::{
    Late, LateReversalFailed, LateSuccess, LateSuccessFailed, LateSuccessReversed,
};
pub use method::{CaptureMethod, MethodKind, PaymentMethod, UnknownMethodKind};
pub use notify::{AttemptConfirmed, Check, Claim, NotifyAttempt, PspNotified};
pub use operation::{OpenOperation, Operation, Phase};
pub use order::{LINE_ITEMS_MAX, LineItem, Order};
pub use outcome::{PspOutcome, UnknownReason};
pub use policy::PaymentPolicy;
pub use psp::PspName;
pub use record_outcome::RecordOutcome;
pub use refund::{
    Refund, RefundFailed, RefundPayment, RefundRequested, RefundState, RefundSucceeded,
};
pub use replace_method::{MethodReplaced, ReplaceMethod};
pub use start_attempt::StartAttempt;
pub use status::{PaymentAction, PaymentState};
pub use steps::Step;
pub use void::{PaymentVoided, VoidPayment, VoidRequested};
pub use withhold::AttemptWithheld;

use serde::{Deserialize, Serialize};

use crate::ids::{CardId, MerchantId, PaymentId, RefundId};
use crate::money::{AMOUNT_MINOR_MAX, Amount};
use crate::rejection::Rejection;
use crate::state::States;
use crate::stream::{StreamId, StreamVersion};
use crate::text::{Metadata, Name};
use crate::time::Timestamp;

/// The most captures of a payment; a booking each.
pub const CAPTURES_MAX: usize = 50;
/// The most refunds of a payment.
pub const REFUNDS_MAX: usize = 100;
const _: () = assert!(
    AMOUNT_MINOR_MAX as i128 * (CAPTURES_MAX + REFUNDS_MAX) as i128 <= i64::MAX as i128,
    "what one payment adds up fits into 64 bits"
);
/// The most attempts of a payment, over all its operations: well above what the schemes allow in the 30
/// days that an authorization may be tried again, and low enough that a payment stays quick to fold.
pub const ATTEMPTS_MAX: usize = 500;

/// What is to be paid, as the merchant asked for it; never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentIntent {
    /// The amount.
    pub amount: Amount,
    /// Whether the money is captured as soon as it is authorized.
    pub capture_method: CaptureMethod,
    /// The PSP that the merchant insists on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psp: Option<PspName>,
    /// Who pays, as the merchant calls them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Name>,
    /// What the merchant calls the payment; need not be unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Name>,
    /// What statements say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Name>,
    /// What the merchant wants to find with it.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What is bought.
    #[serde(default, skip_serializing_if = "Order::is_empty")]
    pub order: Order,
}

/// A payment, folded from its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What is to be paid.
    pub intent: PaymentIntent,
    /// How it is paid.
    pub method: Option<PaymentMethod>,
    /// Where it stands when nothing is under way.
    pub standing: PaymentState,
    /// What is under way: to authorize, to capture or to void. Refunds are under way by themselves.
    pub open: Option<OpenOperation>,
    /// The authorization that holds or held.
    pub authorization: Option<Authorization>,
    /// Every capture, in the order of their numbers from 1.
    pub captures: Vec<Capture>,
    /// Every refund, in the order in which they were asked for.
    pub refunds: Vec<Refund>,
    /// Every attempt, in the order of their numbers from 1.
    pub attempts: Vec<Attempt>,
    /// Attempts of which the PSP is to be asked although their end is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Attempts that succeeded after they were given up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<Late>,
    /// The limit for which an attempt was withheld, as long as nothing was attempted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// The version of its stream that this state is at.
    pub version: StreamVersion,
}

/// What a PSP holds ready for the merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// The PSP that gave it; captures, voids and refunds go to it.
    pub psp: PspName,
    /// What the PSP calls it.
    pub psp_reference: String,
    /// How much, in minor units; may be less than was asked for.
    pub amount_minor: i64,
    /// When it lapses, as far as it was not captured.
    pub expires_at: Timestamp,
    /// Whether no more may be captured.
    pub closed: bool,
}

impl Payment {
    /// The name of its stream.
    pub fn stream(&self) -> StreamId {
        StreamId::payment(self.id)
    }

    /// The amount that was asked for.
    pub fn amount(&self) -> Amount {
        self.intent.amount
    }

    /// The card that it is to be paid with, if it is one.
    pub fn card(&self) -> Option<CardId> {
        self.method.as_ref()?.card(self.merchant_id)
    }

    /// Who is to pay the merchant for it: the PSP that authorized it, or else the last that was asked to.
    pub fn psp(&self) -> Option<&PspName> {
        let asked = self.attempts.iter().rev().find(|attempt| attempt.operation.authorizes());
        let authorized = self.authorization.as_ref().map(|held| &held.psp);
        authorized.or(asked.map(|attempt| &attempt.psp))
    }

    /// Why it was not paid when that was last tried, and the reason's code: a decline, or a limit of the card's.
    pub fn decline(&self) -> Option<(DeclineClass, &str)> {
        if let Some(limit) = &self.withheld {
            return Some((DeclineClass::Hard, limit));
        }
        let mut attempts = self.attempts.iter().rev().filter(|attempt| match attempt.operation {
            Operation::Refund { .. } | Operation::Reverse { .. } => false,
            Operation::Authorize
            | Operation::Sale
            | Operation::Capture { .. }
            | Operation::Void => true,
        });
        match &attempts.next()?.conclusion {
            Some(AttemptConclusion::Declined { code, class, .. }) => Some((*class, code)),
            Some(AttemptConclusion::Succeeded { .. } | AttemptConclusion::Failed { .. }) | None => {
                None
            }
        }
    }

    /// A refund of it.
    pub fn refund(&self, id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// An attempt, by its number from 1.
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.attempts.get(index)
    }

    /// What a notification has the PSP be asked about an attempt of which the end is known.
    pub fn check(&self, attempt: u32) -> Option<&Check> {
        self.checks.iter().find(|check| check.attempt == attempt)
    }

    /// Whether the PSP said that what the attempt had carried out failed later.
    pub(crate) fn failed_later(&self, attempt: &Attempt) -> bool {
        match attempt.operation {
            Operation::Sale | Operation::Capture { .. } => {
                let captured = self.captures.iter().find(|one| one.attempt == attempt.number);
                captured.is_none_or(|capture| capture.failed)
            }
            Operation::Refund { refund_id } => {
                self.refund(refund_id).is_none_or(|refund| refund.failure.is_some())
            }
            Operation::Reverse { attempt: reversed } => {
                let late = self.late(reversed);
                late.is_none_or(|late| !late.reversed_by.contains(&attempt.number))
            }
            // These do not fail later.
            Operation::Authorize | Operation::Void => true,
        }
    }

    /// The PSP that declined the last attempt that got to one, where that was made again elsewhere at once.
    pub fn turned_away_by(&self) -> Option<&PspName> {
        let concluded = self.attempts.iter().rev().filter_map(|attempt| {
            attempt.conclusion.as_ref().map(|conclusion| (&attempt.psp, conclusion))
        });
        let unsent = |conclusion: &AttemptConclusion| {
            matches!(conclusion, AttemptConclusion::Failed { unsent: true, .. })
        };
        let (psp, last) = concluded.into_iter().find(|(_, conclusion)| !unsent(conclusion))?;
        matches!(last, AttemptConclusion::Declined { failover: true, .. }).then_some(psp)
    }

    /// The operation under way that is `operation`.
    pub fn open_operation(&self, operation: Operation) -> Option<&OpenOperation> {
        let open = match operation {
            Operation::Refund { refund_id } => self.refund(refund_id)?.open.as_ref(),
            Operation::Reverse { attempt } => self.late(attempt)?.open.as_ref(),
            Operation::Authorize
            | Operation::Sale
            | Operation::Capture { .. }
            | Operation::Void => self.open.as_ref(),
        };
        open.filter(|open| open.operation == operation)
    }
}

/// The payment, if it is there and that merchant's: another's does not exist.
fn find(
    states: &impl States,
    merchant_id: MerchantId,
    payment_id: PaymentId,
) -> Result<&Payment, Rejection> {
    states
        .payment(payment_id)
        .filter(|payment| payment.merchant_id == merchant_id)
        .ok_or(Rejection::PaymentNotFound { payment_id })
}

/// The payment as [`find`] has it, if it is at one of the versions that the caller insists on and its
/// state allows `action`.
fn find_for<'a>(
    states: &'a impl States,
    merchant_id: MerchantId,
    payment_id: PaymentId,
    expected_versions: Option<&[StreamVersion]>,
    action: PaymentAction,
) -> Result<&'a Payment, Rejection> {
    let payment = find(states, merchant_id, payment_id)?;
    if expected_versions.is_some_and(|versions| !versions.contains(&payment.version)) {
        return Err(Rejection::PaymentVersionMismatch { payment_id, version: payment.version });
    }
    if !payment.allows(action) {
        let (state, allowed) = (payment.state(), payment.allowed());
        return Err(Rejection::PaymentStateForbids { payment_id, state, allowed });
    }
    Ok(payment)
}
