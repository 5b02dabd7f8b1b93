//! What the tests of conversions have in common: euros for dollars in one ledger.

use super::{Conversion, Convert, FxEvent, PairId, Rate, RateRecorded, RecordRate, Rounding};
use crate::accounts::{Account, AccountOpened, AccountType};
use crate::given_when_then::{LEDGER, account_id};
use crate::ledger::{Details, ExternalRef};
use crate::{Amount, Event, Name, StreamVersion, Timestamp};

pub(super) fn pair() -> PairId {
    PairId::new(LEDGER, "USD".parse().unwrap(), "EUR".parse().unwrap()).unwrap()
}

pub(super) fn rate_at(rate: &str, as_of: Timestamp) -> RecordRate {
    let source = Name::parse("the bank").unwrap();
    RecordRate { pair: pair(), rate: Rate::parse(rate).unwrap(), as_of, source }
}

pub(super) fn recorded_at(rate: &str, as_of: Timestamp) -> Event {
    let RecordRate { pair, rate, as_of, source } = rate_at(rate, as_of);
    let (ledger, base, quote) = (pair.ledger(), pair.base(), pair.quote());
    let recorded = RateRecorded { ledger, base, quote, rate, as_of, source };
    Event::Fx(FxEvent::RateRecorded(recorded))
}

/// A rate of the time at which everything is decided.
pub(super) fn recorded(rate: &str) -> Event {
    recorded_at(rate, Timestamp::from_micros(1))
}

pub(super) fn amount(text: &str, currency: &str) -> Amount {
    Amount::parse(text, currency.parse().unwrap()).unwrap()
}

fn opening(code: &str, kind: AccountType, currency: &str) -> AccountOpened {
    AccountOpened::plain(LEDGER, code.parse().unwrap(), kind, currency.parse().unwrap())
}

pub(super) fn opened(code: &str, kind: AccountType, currency: &str) -> Event {
    Event::AccountOpened(opening(code, kind, currency))
}

/// The account as it is right after it was opened.
pub(super) fn account(code: &str, kind: AccountType, currency: &str) -> Account {
    Account::opened(&opening(code, kind, currency), StreamVersion::FIRST)
}

/// From `dollars` to `euros`.
pub(super) fn conversion(reference: &str, sell: &str) -> Conversion {
    Conversion {
        ledger: LEDGER,
        external_ref: ExternalRef::parse(reference).unwrap(),
        details: Details::default(),
        from: account_id("dollars"),
        to: account_id("euros"),
        sell: amount(sell, "USD"),
        rounding: Rounding::HalfEven,
        rate_version: None,
        max_rate_age_seconds: None,
    }
}

pub(super) fn convert(asked: Conversion) -> crate::Command {
    let euros = account("euros", AccountType::Liability, "EUR");
    crate::Command::Convert(Convert::new(asked, Some(&euros)))
}
