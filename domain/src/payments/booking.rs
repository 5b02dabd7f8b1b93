//! Bookings of payments: entries of the platform's ledger, appended with what they book.
//!
//! | what happened | debit | credit |
//! | --- | --- | --- |
//! | a capture | `psp_clearing:<psp>:<CCY>` the amount | `merchant_payable:<merchant>:<CCY>` the amount less the fee, `fee_income:<CCY>` the fee |
//! | a refund | `merchant_payable` the amount | `psp_clearing` the amount |
//! | a capture that failed later | the opposite of the capture's entry, the fee included | |
//! | a refund that failed later | the opposite of the refund's entry | |
//! | a charge of an attempt that was given up | `psp_clearing` | `unexpected_receipts:<psp>:<CCY>` |
//! | its reversal, or that it failed later | the opposite of that | |
//! | its reversal that failed later | as the charge | |
//!
//! Fee policy: the merchant's terms at the time of the capture, on each capture by itself, rounded as the
//! terms say. A refund does not give the fee back: the capture was carried out. A capture that failed does.
//!
//! Accounts are opened with the first entry that names them.
//!
//! What a PSP did is a fact, so nothing here can be refused: no account's status, limits or totals stand in the way
//! of a booking.

use super::transition::Transition;
use super::{Late, Operation, Payment, PspName};
use crate::accounts::{AccountCode, AccountOpened, AccountType};
use crate::currency::Currency;
use crate::event::Event;
use crate::ids::{AccountId, EntryId, MerchantId, RefundId};
use crate::ledger::{Direction, EntryPosted, ExternalRef, Posting, Postings};
use crate::money::Amount;
use crate::state::{StateKey, States};
use crate::stream::StreamId;
use crate::text::Metadata;

/// The ledger that payments are booked in.
const LEDGER: MerchantId = MerchantId::PLATFORM;

/// The accounts that a payment's money moves through, in one currency.
#[derive(Debug)]
pub(super) struct Accounts {
    psp_clearing: AccountCode,
    merchant_payable: AccountCode,
    fee_income: AccountCode,
    unexpected: AccountCode,
}

impl Accounts {
    pub(super) fn of(psp: &PspName, merchant: MerchantId, currency: Currency) -> Self {
        Self {
            psp_clearing: AccountCode::of_system("psp_clearing", psp.as_str(), currency),
            merchant_payable: AccountCode::of_system(
                "merchant_payable",
                &merchant.to_string(),
                currency,
            ),
            fee_income: AccountCode::of_currency("fee_income", currency),
            unexpected: AccountCode::of_system("unexpected_receipts", psp.as_str(), currency),
        }
    }

    /// What a decision that books must read.
    pub(super) fn keys(&self) -> Vec<StateKey> {
        [&self.psp_clearing, &self.merchant_payable, &self.fee_income, &self.unexpected]
            .map(|code| StateKey::Account(AccountId::of(LEDGER, code)))
            .to_vec()
    }

    fn typed(&self) -> [(&AccountCode, AccountType); 4] {
        [
            (&self.psp_clearing, AccountType::Asset),
            (&self.merchant_payable, AccountType::Liability),
            (&self.fee_income, AccountType::Income),
            (&self.unexpected, AccountType::Liability),
        ]
    }
}

/// An entry to be posted: which account on which side, by how much.
pub(super) struct Booking {
    reference: ExternalRef,
    sides: Vec<(AccountCode, Direction, Amount)>,
}

impl Booking {
    pub(super) fn entry_id(&self) -> EntryId {
        EntryId::of(LEDGER, &self.reference)
    }
}

/// A capture of `amount`, of which the platform keeps `fee_minor`, which is not more than that.
pub(super) fn capture(
    payment: &Payment,
    psp: &PspName,
    capture: u32,
    amount: Amount,
    fee_minor: i64,
) -> Booking {
    let accounts = Accounts::of(psp, payment.merchant_id, amount.currency());
    let mut sides = vec![(accounts.psp_clearing, Direction::Debit, amount)];
    // What is nothing is left out.
    let part = |minor| Amount::from_minor(minor, amount.currency()).ok();
    let payable = part(amount.minor() - fee_minor);
    sides.extend(payable.map(|part| (accounts.merchant_payable, Direction::Credit, part)));
    let fee = part(fee_minor);
    sides.extend(fee.map(|part| (accounts.fee_income, Direction::Credit, part)));
    Booking { reference: ExternalRef::of_capture(payment.id, capture), sides }
}

/// A refund of `amount`, carried out by an attempt. One that was made again may have been carried out twice, and
/// each time is booked.
pub(super) fn refund(
    payment: &Payment,
    psp: &PspName,
    refund_id: RefundId,
    attempt: u32,
    amount: Amount,
) -> Booking {
    let accounts = Accounts::of(psp, payment.merchant_id, amount.currency());
    let operation = Operation::Refund { refund_id };
    let last = payment.attempts.iter().rev().find(|made| made.operation == operation);
    let reference = match last {
        Some(last) if last.number != attempt => {
            ExternalRef::of_refund_by(payment.id, refund_id, attempt)
        }
        Some(_) | None => ExternalRef::of_refund(payment.id, refund_id),
    };
    Booking {
        reference,
        sides: vec![
            (accounts.merchant_payable, Direction::Debit, amount),
            (accounts.psp_clearing, Direction::Credit, amount),
        ],
    }
}

/// Money that a PSP took in an attempt that was given up; the `turn` is higher where it has it again, because
/// the reversal failed later.
pub(super) fn late(
    payment: &Payment,
    psp: &PspName,
    attempt: u32,
    turn: u32,
    amount: Amount,
) -> Booking {
    let accounts = Accounts::of(psp, payment.merchant_id, amount.currency());
    Booking {
        reference: ExternalRef::of_late_success(payment.id, attempt, turn),
        sides: vec![
            (accounts.psp_clearing, Direction::Debit, amount),
            (accounts.unexpected, Direction::Credit, amount),
        ],
    }
}

/// What `by`, the attempt itself or one that reversed it, gave back of what was taken late. Where that is not
/// held (the charge failed by itself and was refunded all the same, say) the PSP took it from the platform.
pub(super) fn late_gone(payment: &Payment, late: &Late, by: u32, amount: Amount) -> Booking {
    let booked = self::late(payment, &late.psp, late.attempt, late.turn, amount);
    let Booking { reference, sides } = undone(booked);
    let held = late.held == 1;
    let gone = || ExternalRef::of_late_gone(payment.id, late.attempt, by);
    Booking { reference: if held { reference } else { gone() }, sides }
}

/// What undoes `booking`, because the PSP says that it did not come to that in the end.
pub(super) fn undone(booking: Booking) -> Booking {
    let Booking { reference, sides } = booking;
    let opposite = |(code, direction, amount): (AccountCode, Direction, Amount)| {
        (code, direction.opposite(), amount)
    };
    Booking { reference: reference.of_failure(), sides: sides.into_iter().map(opposite).collect() }
}

impl Transition<'_> {
    /// Posts the entry of `booking`, and opens the accounts that are not there yet.
    pub(super) fn booked(mut self, states: &impl States, psp: &PspName, booking: Booking) -> Self {
        let (merchant, currency) = (self.payment().merchant_id, self.payment().amount().currency());
        for (code, kind) in Accounts::of(psp, merchant, currency).typed() {
            if booking.sides.iter().any(|(named, ..)| named == code) {
                self = self.opened(states, code, kind, currency);
            }
        }
        let entry_id = booking.entry_id();
        let payment = self.payment().id;
        let posted = EntryPosted {
            metadata: Metadata::of_payment(payment),
            payment_id: Some(payment),
            ..EntryPosted::plain(LEDGER, booking.reference, postings(&booking.sides))
        };
        self.with_first(StreamId::entry(entry_id), LEDGER, Event::EntryPosted(posted))
    }

    /// Only payments open such accounts, and their codes name the currency: one that is there is of `currency`.
    fn opened(
        self,
        states: &impl States,
        code: &AccountCode,
        kind: AccountType,
        currency: Currency,
    ) -> Self {
        let account_id = AccountId::of(LEDGER, code);
        let account = states.account(account_id);
        debug_assert!(account.is_none_or(|account| account.profile.currency == currency));
        if account.is_some() || self.opens(account_id) {
            return self;
        }
        let opened = AccountOpened::plain(LEDGER, code.clone(), kind, currency);
        self.with_first(StreamId::account(account_id), LEDGER, Event::AccountOpened(opened))
    }
}

fn postings(sides: &[(AccountCode, Direction, Amount)]) -> Vec<Posting> {
    let posting = |(code, direction, amount): &(AccountCode, Direction, Amount)| {
        let (direction, amount) = (*direction, *amount);
        Posting { account_id: AccountId::of(LEDGER, code), direction, amount }
    };
    let postings: Vec<Posting> = sides.iter().map(posting).collect();
    debug_assert!(Postings::new(postings.clone()).is_ok(), "a booking is balanced");
    postings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Mechanism;
    use crate::given_when_then::MERCHANT;

    #[test]
    fn what_payments_are_booked_in_payments_alone_keep() {
        let psp: PspName = "alpha".parse().unwrap();
        let accounts = Accounts::of(&psp, MERCHANT, "USD".parse().unwrap());
        let kept = |code| Mechanism::of(LEDGER, code) == Some(Mechanism::Payments);
        assert!(accounts.typed().iter().all(|(code, _)| kept(code)));
    }
}
