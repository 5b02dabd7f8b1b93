//! What an entry or a hold says of itself besides what it moves.

use crate::day::Day;
use crate::ids::{DisputeId, MerchantId, PaymentId};
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::text::{Metadata, Name};
use crate::time::Timestamp;

/// How far ahead of now an entry may take effect, in days: a year and the odd day. What is meant for later is
/// better posted later.
pub const EFFECTIVE_AHEAD_DAYS_MAX: i64 = 366;
/// The earliest time at which an entry may take effect: nothing of a payments core is older.
pub const EFFECTIVE_EARLIEST: Timestamp = Timestamp::from_micros(0);

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// What its poster says of an entry or a hold; all of it may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// What statements say of it.
    pub description: Option<Name>,
    /// What its poster wants to find with it.
    pub metadata: Metadata,
    /// When it takes effect, where that is not when it is recorded.
    pub effective_at: Option<Timestamp>,
    /// The payment it belongs to.
    pub payment_id: Option<PaymentId>,
    /// The dispute it belongs to.
    pub dispute_id: Option<DisputeId>,
}

impl Details {
    /// The states that these details have to be compared with.
    pub(crate) fn add_reads(&self, ledger: MerchantId, keys: &mut Vec<StateKey>) {
        if self.effective_at.is_some() {
            keys.push(StateKey::Books(ledger));
        }
        keys.extend(self.payment_id.map(StateKey::Payment));
    }

    /// When it takes effect, where that is not when it is recorded, and what it was meant for where the books
    /// of that day are cut off.
    ///
    /// # Errors
    /// [`Rejection::EffectiveTimeOutOfRange`].
    pub(crate) fn effective(
        &self,
        states: &impl States,
        ledger: MerchantId,
        now: Timestamp,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), Rejection> {
        let Some(at) = self.effective_at else { return Ok((None, None)) };
        let latest = now.plus_millis(EFFECTIVE_AHEAD_DAYS_MAX * DAY_MILLIS);
        if at < EFFECTIVE_EARLIEST || at > latest {
            let earliest = EFFECTIVE_EARLIEST;
            return Err(Rejection::EffectiveTimeOutOfRange { earliest, latest });
        }
        Ok(match states.books(ledger).map(|books| books.cut_off) {
            Some(last) if Day::of(at) <= last => (Some(last.next().start()), Some(at)),
            Some(_) | None => (Some(at), None),
        })
    }

    /// Whether the payment is one of the ledger's; any is for the platform's own.
    ///
    /// # Errors
    /// [`Rejection::PaymentNotFound`].
    pub(crate) fn check_links(
        &self,
        states: &impl States,
        ledger: MerchantId,
    ) -> Result<(), Rejection> {
        let Some(payment_id) = self.payment_id else { return Ok(()) };
        let found = states.payment(payment_id);
        match found.filter(|payment| ledger.platform() || payment.merchant_id == ledger) {
            Some(_) => Ok(()),
            None => Err(Rejection::PaymentNotFound { payment_id }),
        }
    }
}
