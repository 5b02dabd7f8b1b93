//! Conversions of which something cannot be: exactly that is named.

use domain::accounts::{AccountType, OpenAccount};
use domain::fx::{Conversion, Convert, PairId, Rate, RecordRate, Rounding};
use domain::ledger::{Details, EntryPosted, Postings};
use domain::{Amount, Command, Currency, Event, Name};
use event_store::{Clock, SystemClock};
use replay_tool::verify::{Check, VerifyOptions};

use crate::forged::{forged_entry, forged_mark};
use crate::given::{LEDGER, World, account, reference, verified};

/// Where the events are: the rates, the conversions and their entries.
const RATE: i64 = 3;
const FIRST: i64 = 4;
const FIRST_ENTRY: i64 = 8;
const SECOND: i64 = 10;
const SECOND_ENTRY: i64 = 11;
const THIRD: i64 = 12;

fn currency(code: &str) -> Currency {
    code.parse().expect("a currency")
}

impl World {
    async fn rate(&self, rate: &str) {
        let pair = PairId::new(LEDGER, currency("USD"), currency("EUR")).expect("two currencies");
        let (rate, source) = (Rate::parse(rate).expect("a rate"), Name::parse("a bank"));
        let (as_of, source) = (SystemClock.now(), source.expect("a name"));
        self.done(Command::RecordRate(RecordRate { pair, rate, as_of, source })).await;
    }

    async fn convert(&self, name: &str, sell: &str, rounding: Rounding) {
        let euros = self.store.account(account("euros")).await.expect("the log is there");
        let asked = Conversion {
            ledger: LEDGER,
            external_ref: reference(name),
            details: Details::default(),
            from: account("dollars"),
            to: account("euros"),
            sell: Amount::parse(sell, currency("USD")).expect("an amount"),
            rounding,
            rate_version: None,
            max_rate_age_seconds: None,
        };
        self.done(Command::Convert(Convert::new(asked, euros.as_ref()))).await;
    }
}

/// A log of 15 events: two accounts; a rate, 277.53 cents converted, with three accounts opened; another rate, 92
/// cents, 92.92 and 4.6 converted at that.
async fn market() -> World {
    let world = World::empty().await;
    for (code, kind) in [("dollars", "USD"), ("euros", "EUR")] {
        let code = code.parse().expect("a code");
        let plain = OpenAccount::plain(LEDGER, code, AccountType::Liability, currency(kind));
        world.done(Command::OpenAccount(plain)).await;
    }
    world.rate("0.9251").await;
    world.convert("c1", "3.00", Rounding::HalfEven).await;
    world.rate("0.92").await;
    world.convert("c2", "1.00", Rounding::HalfUp).await;
    world.convert("c3", "1.01", Rounding::Down).await;
    world.convert("c4", "0.05", Rounding::Up).await;
    assert_eq!(world.events().await.len(), 15);
    world
}

/// What verify finds once the first text is the second in the data of that event.
async fn check_finds(position: i64, from: &str, to: &str, expected: &[(i64, &str)]) {
    let world = market().await;
    world.alter(position, from, to).await;
    let verified = world.verified().await;
    let mut found: Vec<(i64, &str)> = Vec::new();
    for finding in &verified.findings {
        // A rate is in no other check; what was moved may be.
        if finding.check == Check::Conversions {
            found.push((finding.position.expect("an event"), finding.found.as_str()));
        }
    }
    assert_eq!(found, expected, "{:#?}", verified.findings);
}

#[tokio::test]
async fn conversions_are_in_order_wherever_a_range_begins_and_ends() {
    let world = market().await;
    world.verified().await.assert_clean();
    for at in 1..=15 {
        let after = VerifyOptions { from: Some(at), ..world.options() };
        verified(&after).await.assert_clean();
        let before = VerifyOptions { to: Some(at), ..world.options() };
        verified(&before).await.assert_clean();
    }
}

#[tokio::test]
async fn another_rate_than_the_latest_before_it_is_found() {
    let other = "rate 0.92 of version 1";
    let booked = "rate 0.92 of version 3, half_up, 0 by rounding";
    let found = [(SECOND, other), (SECOND_ENTRY, booked)];
    check_finds(SECOND, "\"rate_version\":3", "\"rate_version\":1", &found).await;
    let found = [(FIRST, "rate 0.9251 of version 1")];
    check_finds(RATE, "\"rate\":\"0.9251\"", "\"rate\":\"0.9252\"", &found).await;
}

#[tokio::test]
async fn a_conversion_without_any_rate_before_it_is_found() {
    let found = [(FIRST, "none")];
    // As if the rate were of another pair.
    check_finds(RATE, "\"quote\":\"EUR\"", "\"quote\":\"GBP\"", &found).await;
}

#[tokio::test]
async fn amounts_that_do_not_follow_from_the_rate_are_found() {
    let exact = [(SECOND, "92.01")];
    check_finds(SECOND, "\"exact_minor\":\"92\"", "\"exact_minor\":\"92.01\"", &exact).await;
    let booked = "rate 0.92 of version 3, half_up, 0 by rounding";
    let bought = [(SECOND, "93"), (SECOND_ENTRY, booked), (SECOND_ENTRY, "other postings")];
    check_finds(SECOND, "\"bought_minor\":92", "\"bought_minor\":93", &bought).await;
}

#[tokio::test]
async fn a_fraction_that_is_not_carried_on_is_found() {
    let carried = [(SECOND, "0.54"), (THIRD, "0.45")];
    check_finds(SECOND, "\"carried_minor\":\"0.53\"", "\"carried_minor\":\"0.54\"", &carried).await;
    let booked = "rate 0.9251 of version 1, half_even, 1 by rounding";
    let paid = [(FIRST, "278"), (FIRST_ENTRY, booked), (FIRST_ENTRY, "other postings")];
    check_finds(FIRST, "\"paid_minor\":277", "\"paid_minor\":278", &paid).await;
}

#[tokio::test]
async fn a_difference_that_is_not_booked_is_found() {
    let found = [(FIRST_ENTRY, "rate 0.9251 of version 1, half_even, 0 by rounding")];
    let (from, to) = ("\"rounding_difference_minor\":1", "\"rounding_difference_minor\":0");
    check_finds(FIRST_ENTRY, from, to, &found).await;
    let world = market().await;
    // What rounding cost is in the exchange: balanced all the same.
    let (exchange, rounding) = (account("fx:exchange:EUR"), account("fx:rounding:EUR"));
    world.alter(FIRST_ENTRY, &rounding.to_string(), &exchange.to_string()).await;
    let findings = world.verified().await.findings;
    let named = |one: &&replay_tool::verify::Finding| one.check == Check::Conversions;
    let found: Vec<_> = findings.iter().filter(named).map(|one| one.found.as_str()).collect();
    assert_eq!(found, ["other postings"], "{findings:#?}");
}

#[tokio::test]
async fn a_conversion_and_its_entry_come_together() {
    let world = market().await;
    let events = world.events().await;
    let index = usize::try_from(SECOND_ENTRY - 1).expect("a position");
    let Ok(Event::EntryPosted(entry)) = events[index].decode() else { panic!("an entry") };
    let alone = EntryPosted { exchange: entry.exchange, ..forged_entry("alone", entry.postings) };
    let Ok(Event::Fx(converted)) = events[index - 1].decode() else { panic!("a conversion") };
    let first = world.forge([Event::EntryPosted(alone), Event::Fx(converted)]).await;
    let findings = world.verified().await.findings;
    let found: Vec<_> = findings
        .iter()
        .filter(|one| one.check == Check::Conversions)
        .map(|one| (one.position, one.found.as_str()))
        .collect();
    assert_eq!(found.first(), Some(&(Some(first), "none")), "{findings:#?}");
    assert_eq!(found.last(), Some(&(Some(first + 1), "another event")), "{findings:#?}");
}

#[tokio::test]
async fn the_reversal_of_a_conversion_is_found() {
    let world = market().await;
    let index = usize::try_from(SECOND_ENTRY - 1).expect("a position");
    let Ok(Event::EntryPosted(original)) = world.events().await[index].decode() else {
        panic!("an entry")
    };
    let back = EntryPosted {
        reverses: Some(original.entry_id),
        ..forged_entry("back", Postings::opposite(&original.postings))
    };
    let mark = forged_mark(&original, &back, None);
    let first = world.forge([Event::EntryPosted(back), mark]).await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::Reversals, Some(first))]);
    assert!(verified.only().found.ends_with("is a conversion"));
}
