//! Over any conversions nothing is lost: what the exchange paid is the whole part of what it owes exactly, and
//! the rounding account has every difference.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::scenario::{account, opened, pair};
use super::{Conversion, Convert, Converted, FxEvent, Rate, RateRecorded, Rounding};
use crate::accounts::AccountType;
use crate::given_when_then::{Given, LEDGER, account_id, given};
use crate::ledger::{Details, Direction, ExternalRef, unbalanced_currencies};
use crate::state::States;
use crate::{AMOUNT_MINOR_MAX, Amount, Command, Event, Name, Rejection, Timestamp};

/// One unit of the last decimal of an exact amount, so that sums of them are exact too.
const ONE: i128 = 10_i128.pow(16);

fn units(minor: Decimal) -> i128 {
    minor.mantissa() * 10_i128.pow(16 - minor.scale())
}

#[derive(Debug, Clone)]
struct Step {
    /// A rate that is recorded before.
    rate: Option<(i128, u32)>,
    sell_minor: i64,
    rounding: Rounding,
    grows: Direction,
}

fn step() -> impl Strategy<Value = Step> {
    let rate = prop::option::of((1..10_i128.pow(12), 0_u32..=12));
    let sell = prop_oneof![1_i64..1_000, 1_i64..1_000_000_000, 1..=AMOUNT_MINOR_MAX];
    let side = prop_oneof![3 => Just(Direction::Credit), 1 => Just(Direction::Debit)];
    (rate, sell, prop::sample::select(Rounding::ALL.to_vec()), side)
        .prop_map(|(rate, sell_minor, rounding, grows)| Step { rate, sell_minor, rounding, grows })
}

fn recorded((mantissa, scale): (i128, u32)) -> Event {
    let (ledger, base, quote) = (LEDGER, pair().base(), pair().quote());
    let rate = Rate::new(Decimal::from_i128_with_scale(mantissa, scale)).unwrap();
    let (as_of, source) = (Timestamp::from_micros(0), Name::parse("any").unwrap());
    Event::Fx(FxEvent::RateRecorded(RateRecorded { ledger, base, quote, rate, as_of, source }))
}

fn command(index: usize, step: &Step) -> Command {
    let (from, to, kind) = match step.grows {
        Direction::Credit => ("owed_dollars", "owed_euros", AccountType::Liability),
        Direction::Debit => ("own_dollars", "own_euros", AccountType::Asset),
    };
    let asked = Conversion {
        ledger: LEDGER,
        external_ref: ExternalRef::parse(&format!("c{index}")).unwrap(),
        details: Details::default(),
        from: account_id(from),
        to: account_id(to),
        sell: Amount::from_minor(step.sell_minor, pair().base()).unwrap(),
        rounding: step.rounding,
        rate_version: None,
        max_rate_age_seconds: None,
    };
    Command::Convert(Convert::new(asked, Some(&account(to, kind, "EUR"))))
}

fn market() -> Given {
    given([
        opened("owed_dollars", AccountType::Liability, "USD"),
        opened("owed_euros", AccountType::Liability, "EUR"),
        opened("own_dollars", AccountType::Asset, "USD"),
        opened("own_euros", AccountType::Asset, "EUR"),
        recorded((92_335, 5)),
    ])
}

/// Sums over all conversions of one side, in [`ONE`]ths of a minor unit.
#[derive(Debug, Default)]
struct Sums {
    exact: i128,
    paid: i128,
    bought: i128,
    carried: i128,
}

impl Sums {
    fn add(&mut self, event: &Converted) {
        self.exact += units(event.exact_minor);
        self.paid += i128::from(event.paid_minor) * ONE;
        self.bought += i128::from(event.bought_minor) * ONE;
        self.carried = units(event.carried_minor);
    }

    /// What rounding cost, as the rounding account should have it.
    fn cost(&self) -> i128 {
        self.bought - self.exact + self.carried
    }
}

fn balance(books: &Given, code: &str) -> i128 {
    let account = books.states().account(account_id(code));
    let debits = account.map_or(0, |account| account.totals.balance(Direction::Debit));
    debits * ONE
}

proptest! {
    #[test]
    fn nothing_is_lost_over_any_conversions(steps in prop::collection::vec(step(), 1..60)) {
        let mut books = market();
        let mut sums: BTreeMap<Direction, Sums> = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            books = books.and_all(step.rate.map(recorded));
            let decided = match books.decide(&command(index, step)) {
                Ok(decided) => decided,
                Err(Rejection::NothingBought { .. } | Rejection::TooMuchBought { .. }) => continue,
                Err(other) => panic!("{other:?}"),
            };
            for new in decided.events() {
                if let Event::Fx(FxEvent::Converted(event)) = &new.event {
                    let difference = event.bought_minor - event.paid_minor;
                    prop_assert!((-1..=1).contains(&difference));
                    prop_assert!(units(event.carried_minor) < ONE);
                    sums.entry(event.grows).or_default().add(event);
                }
                if let Event::EntryPosted(entry) = &new.event {
                    prop_assert!(unbalanced_currencies(&entry.postings).is_empty());
                }
            }
            books = books.and_all(decided.events().iter().map(|new| new.event.clone()));
        }
        for of_side in sums.values() {
            prop_assert_eq!(of_side.paid, of_side.exact / ONE * ONE, "the whole part of it all");
        }
        // Where accounts grow by debits the exchange is paid, and what rounding costs others it earns.
        let of = |side, what: fn(&Sums) -> i128| sums.get(&side).map_or(0, what);
        let net = |what| of(Direction::Credit, what) - of(Direction::Debit, what);
        prop_assert_eq!(balance(&books, "fx:rounding:EUR"), net(Sums::cost));
        prop_assert_eq!(balance(&books, "fx:exchange:EUR"), net(|sums| sums.paid));
    }
}
