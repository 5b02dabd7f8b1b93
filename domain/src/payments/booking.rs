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

use super::transition::Transition;
use super::{Late, Payment, PspName};
use crate::accounts::{AccountCode, AccountOpened, AccountStatus, AccountType};
use crate::currency::Currency;
use crate::event::Event;
use crate::ids::{AccountId, EntryId, MerchantId};
use crate::ledger::{Direction, EntryPosted, ExternalRef, Posting, Postings};
use crate::money::{Amount, MoneyError};
use crate::rejection::Rejection;
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

/// An entry to be posted: which account on which side, by how much. What is nothing is left out.
pub(super) struct Booking {
    reference: ExternalRef,
    sides: Vec<(AccountCode, Direction, i64)>,
}

impl Booking {
    pub(super) fn entry_id(&self) -> EntryId {
        EntryId::of(LEDGER, &self.reference)
    }
}

/// A capture of `amount`, of which the platform keeps `fee_minor`.
pub(super) fn capture(
    payment: &Payment,
    psp: &PspName,
    capture: u32,
    amount: Amount,
    fee_minor: i64,
) -> Booking {
    let accounts = Accounts::of(psp, payment.merchant_id, amount.currency());
    Booking {
        reference: ExternalRef::of_capture(payment.id, capture),
        sides: vec![
            (accounts.psp_clearing, Direction::Debit, amount.minor()),
            (accounts.merchant_payable, Direction::Credit, amount.minor() - fee_minor),
            (accounts.fee_income, Direction::Credit, fee_minor),
        ],
    }
}

/// A refund of `amount`.
pub(super) fn refund(
    payment: &Payment,
    psp: &PspName,
    refund_id: crate::ids::RefundId,
    amount: Amount,
) -> Booking {
    let accounts = Accounts::of(psp, payment.merchant_id, amount.currency());
    Booking {
        reference: ExternalRef::of_refund(payment.id, refund_id),
        sides: vec![
            (accounts.merchant_payable, Direction::Debit, amount.minor()),
            (accounts.psp_clearing, Direction::Credit, amount.minor()),
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
            (accounts.psp_clearing, Direction::Debit, amount.minor()),
            (accounts.unexpected, Direction::Credit, amount.minor()),
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
    let opposite = |(code, direction, minor): (AccountCode, Direction, i64)| {
        (code, direction.opposite(), minor)
    };
    Booking { reference: reference.of_failure(), sides: sides.into_iter().map(opposite).collect() }
}

impl Transition<'_> {
    /// Posts the entry of `booking`, and opens the accounts that are not there yet.
    ///
    /// # Errors
    /// An account is closed or frozen, or its totals have no room.
    pub(super) fn booked(
        mut self,
        states: &impl States,
        psp: &PspName,
        booking: Booking,
    ) -> Result<Self, Rejection> {
        let (merchant, currency) = (self.payment().merchant_id, self.payment().amount().currency());
        for (code, kind) in Accounts::of(psp, merchant, currency).typed() {
            if booking.sides.iter().any(|(named, _, minor)| named == code && *minor != 0) {
                self = self.opened(states, code, kind, currency)?;
            }
        }
        let entry_id = booking.entry_id();
        let postings = postings(&booking.sides, currency)
            .map_err(|_| Rejection::PaymentNotBookable { payment_id: self.payment().id })?;
        check_room(states, &postings)?;
        let payment = self.payment().id;
        let posted = EntryPosted {
            metadata: Metadata::of_payment(payment),
            payment_id: Some(payment),
            ..EntryPosted::plain(LEDGER, booking.reference, postings)
        };
        Ok(self.with_first(StreamId::entry(entry_id), LEDGER, Event::EntryPosted(posted)))
    }

    fn opened(
        self,
        states: &impl States,
        code: &AccountCode,
        kind: AccountType,
        currency: Currency,
    ) -> Result<Self, Rejection> {
        let account_id = AccountId::of(LEDGER, code);
        match states.account(account_id) {
            Some(account) if account.status != AccountStatus::Open => {
                Err(Rejection::AccountStatus { account_id, status: account.status })
            }
            Some(account) if account.profile.currency != currency => {
                let currency = account.profile.currency;
                Err(Rejection::CurrencyMismatch { account_id, currency })
            }
            Some(_) => Ok(self),
            None if self.opens(account_id) => Ok(self),
            None => {
                let opened = AccountOpened::plain(LEDGER, code.clone(), kind, currency);
                let stream = StreamId::account(account_id);
                Ok(self.with_first(stream, LEDGER, Event::AccountOpened(opened)))
            }
        }
    }
}

fn postings(
    sides: &[(AccountCode, Direction, i64)],
    currency: Currency,
) -> Result<Vec<Posting>, MoneyError> {
    let moved = sides.iter().filter(|(_, _, minor)| *minor != 0);
    let postings: Vec<Posting> = moved
        .map(|(code, direction, minor)| {
            let amount = Amount::from_minor(*minor, currency)?;
            let account_id = AccountId::of(LEDGER, code);
            Ok(Posting { account_id, direction: *direction, amount })
        })
        .collect::<Result<_, MoneyError>>()?;
    debug_assert!(Postings::new(postings.clone()).is_ok(), "a booking is balanced");
    Ok(postings)
}

fn check_room(states: &impl States, postings: &[Posting]) -> Result<(), Rejection> {
    for posting in postings {
        let account_id = posting.account_id;
        if let Some(account) = states.account(account_id) {
            account
                .totals
                .with(posting.direction, posting.amount.minor())
                .ok_or(Rejection::TotalOverflow { account_id })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::MERCHANT;

    #[test]
    fn what_payments_are_booked_in_are_system_accounts() {
        let psp: PspName = "alpha".parse().unwrap();
        let accounts = Accounts::of(&psp, MERCHANT, "USD".parse().unwrap());
        assert!(accounts.typed().iter().all(|(code, _)| code.is_system()));
    }
}
