//! The rules of converting.

use crate::state::States;

use super::scenario::{account, amount, conversion, convert, opened, recorded, recorded_at};
use super::{Conversion, Convert, Converted, Exchange, FxEvent, Rate, Rounding};
use crate::accounts::{AccountAmended, AccountFrozen, AccountStatus, AccountType, Mechanism};
use crate::given_when_then::{
    Given, LEDGER, account_id, account_opened_in, entry_id, given, post, posted_event,
};
use crate::ledger::{
    Details, Direction, EntryPosted, ExternalRef, LedgerStep, Part, PostBatch, Posting, Postings,
    ReplaceEntry, ReverseEntry,
};
use crate::{
    AccountId, Amount, Command, Event, MerchantId, Metadata, Name, Rejection, StreamVersion,
    Timestamp,
};

use AccountType::{Asset, Equity, Expense, Liability};
use Direction::{Credit, Debit};

fn eur() -> crate::Currency {
    "EUR".parse().unwrap()
}

fn usd() -> crate::Currency {
    "USD".parse().unwrap()
}

/// Two customers' balances and a rate.
fn market(rate: &str) -> Given {
    given([opened("dollars", Liability, "USD"), opened("euros", Liability, "EUR"), recorded(rate)])
}

fn posting(code: &str, direction: Direction, amount: Amount) -> Posting {
    Posting { account_id: account_id(code), direction, amount }
}

fn entry(reference: &str, exchange: Exchange, postings: Vec<Posting>) -> Event {
    let external_ref = ExternalRef::parse(reference).unwrap();
    let plain = EntryPosted::plain(LEDGER, external_ref, postings);
    Event::EntryPosted(EntryPosted { exchange: Some(exchange), ..plain })
}

fn exchange(rate: &str, rounding_difference_minor: i64) -> Exchange {
    Exchange {
        rate: Rate::parse(rate).unwrap(),
        rate_version: StreamVersion::FIRST,
        rounding: Rounding::HalfEven,
        rounding_difference_minor,
    }
}

fn converted(reference: &str, rate: &str, minors: [i64; 3], texts: [&str; 2]) -> Event {
    let [sold_minor, bought_minor, paid_minor] = minors;
    let [exact_minor, carried_minor] = texts.map(|text| text.parse().unwrap());
    Event::Fx(FxEvent::Converted(Converted {
        ledger: LEDGER,
        base: usd(),
        quote: eur(),
        entry_id: entry_id(reference),
        rate: Rate::parse(rate).unwrap(),
        rate_version: StreamVersion::FIRST,
        rounding: Rounding::HalfEven,
        grows: Credit,
        sold_minor,
        bought_minor,
        paid_minor,
        exact_minor,
        carried_minor,
    }))
}

/// 3.00 dollars at 0.9251 are 277.53 cents: 278 are bought, 277 paid.
fn first() -> [Event; 5] {
    [
        converted("c1", "0.9251", [300, 278, 277], ["277.53", "0.53"]),
        opened("fx:exchange:USD", Equity, "USD"),
        opened("fx:exchange:EUR", Equity, "EUR"),
        opened("fx:rounding:EUR", Expense, "EUR"),
        entry(
            "c1",
            exchange("0.9251", 1),
            vec![
                posting("dollars", Debit, amount("3.00", "USD")),
                posting("fx:exchange:USD", Credit, amount("3.00", "USD")),
                posting("fx:exchange:EUR", Debit, amount("2.77", "EUR")),
                posting("fx:rounding:EUR", Debit, amount("0.01", "EUR")),
                posting("euros", Credit, amount("2.78", "EUR")),
            ],
        ),
    ]
}

#[test]
fn a_conversion_opens_what_it_needs_and_books_what_rounding_costs() {
    market("0.9251").when(convert(conversion("c1", "3.00"))).then(first());
}

#[test]
fn what_was_carried_is_paid_with_a_later_conversion() {
    // 92.51, and .53 from before: 93 are paid, 93 bought.
    let exchanged = exchange("0.9251", 0);
    market("0.9251").and_all(first()).when(convert(conversion("c2", "1.00"))).then([
        converted("c2", "0.9251", [100, 93, 93], ["92.51", "0.04"]),
        entry(
            "c2",
            exchanged,
            vec![
                posting("dollars", Debit, amount("1.00", "USD")),
                posting("fx:exchange:USD", Credit, amount("1.00", "USD")),
                posting("fx:exchange:EUR", Debit, amount("0.93", "EUR")),
                posting("euros", Credit, amount("0.93", "EUR")),
            ],
        ),
    ]);
}

#[test]
fn what_rounding_earns_is_booked_on_the_other_side() {
    let down = |reference| Conversion { rounding: Rounding::Down, ..conversion(reference, "1.00") };
    let books = market("0.9251").and_all(first());
    let decided = books.decide(&convert(down("c2"))).unwrap();
    let Some(Event::EntryPosted(posted)) = decided.events().last().map(|new| &new.event) else {
        panic!("an entry")
    };
    let earned = posting("fx:rounding:EUR", Credit, amount("0.01", "EUR"));
    assert!(posted.postings.contains(&earned), "92 are bought, 93 paid: {posted:?}");
    assert_eq!(posted.exchange.unwrap().rounding_difference_minor, -1);
}

#[test]
fn where_the_exchange_owes_less_than_a_minor_unit_all_is_rounding() {
    let up = Conversion { rounding: Rounding::Up, ..conversion("c1", "0.01") };
    let decided = market("0.9").decide(&convert(up)).unwrap();
    let Some(Event::EntryPosted(posted)) = decided.events().last().map(|new| &new.event) else {
        panic!("an entry")
    };
    assert_eq!(
        posted.postings[2..],
        [
            posting("fx:rounding:EUR", Debit, amount("0.01", "EUR")),
            posting("euros", Credit, amount("0.01", "EUR")),
        ]
    );
    let opens = |code: &str| {
        let id = account_id(code);
        decided.events().iter().any(
            |new| matches!(&new.event, Event::AccountOpened(opened) if opened.account_id == id),
        )
    };
    assert!(opens("fx:rounding:EUR") && !opens("fx:exchange:EUR"), "as far as they are named");
}

#[test]
fn accounts_that_grow_by_debits_have_every_side_the_other_way_round() {
    let books =
        given([opened("dollars", Asset, "USD"), opened("euros", Asset, "EUR"), recorded("0.9251")]);
    let euros = account("euros", Asset, "EUR");
    let command = Command::Convert(Convert::new(conversion("c1", "3.00"), Some(&euros)));
    let decided = books.decide(&command).unwrap();
    let Some(Event::EntryPosted(posted)) = decided.events().last().map(|new| &new.event) else {
        panic!("an entry")
    };
    let Some(Event::EntryPosted(other)) = first().into_iter().next_back() else {
        panic!("an entry")
    };
    assert_eq!(posted.postings, Postings::opposite(&other.postings));
    let after = books.and_all(decided.events().iter().map(|new| new.event.clone()));
    let carried = after.states().pair(super::scenario::pair()).unwrap().carried;
    assert_eq!(carried.on(Debit).to_string(), "0.53");
    assert!(carried.on(Credit).is_zero());
}

#[test]
fn the_same_conversion_again_is_the_first_one_whatever_the_rate_is_now() {
    let done = || market("0.9251").and_all(first()).and(recorded("0.5"));
    done().when(convert(conversion("c1", "3.00"))).then_already();
    let insists = |version| Conversion {
        rate_version: Some(StreamVersion::from_number(version)),
        ..conversion("c1", "3.00")
    };
    done().when(convert(insists(1))).then_already();
    let says = Details { description: Some(Name::parse("x").unwrap()), ..Details::default() };
    for other in [
        conversion("c1", "3.01"),
        insists(3),
        Conversion { rounding: Rounding::Up, ..conversion("c1", "3.00") },
        Conversion { from: account_id("euros"), ..conversion("c1", "3.00") },
        Conversion { to: account_id("dollars"), ..conversion("c1", "3.00") },
        Conversion { details: says, ..conversion("c1", "3.00") },
    ] {
        let (external_ref, entry_id) = (other.external_ref.clone(), entry_id("c1"));
        done()
            .when(convert(other))
            .then_rejected(Rejection::ExternalRefTaken { external_ref, entry_id });
    }
}

#[test]
fn a_reference_is_one_entry_be_it_a_conversion_or_not() {
    let taken = |reference: &str| Rejection::ExternalRefTaken {
        external_ref: ExternalRef::parse(reference).unwrap(),
        entry_id: entry_id(reference),
    };
    let plain = Event::EntryPosted(posted_event("c1", "dollars", "cash", 300));
    market("1").and(plain).when(convert(conversion("c1", "3.00"))).then_rejected(taken("c1"));
    let done = market("0.9251").and_all(first());
    done.when(post("c1", "dollars", "cash", 300)).then_rejected(taken("c1"));
}

/// What its pair carries would stay as it is, and the sums would not be exact any more.
#[test]
fn a_conversion_is_not_undone_but_converted_back() {
    let [.., Event::EntryPosted(conversion)] = first() else { panic!("an entry") };
    let done = || market("0.9251").and_all(first());
    let entry_id = conversion.entry_id;
    let refused = || Rejection::EntryIsConversion { entry_id };
    let reverse = |name: Option<&str>, part| {
        let name = name.map(|name| ExternalRef::parse(name).unwrap());
        ReverseEntry::new(LEDGER, entry_id, name, Details::default(), part, Some(&conversion))
    };
    let dollars = [
        posting("dollars", Debit, amount("1.00", "USD")),
        posting("fx:exchange:USD", Credit, amount("1.00", "USD")),
    ];
    let some = || Part::Postings(Postings::new(dollars.to_vec()).unwrap());
    for part in [Part::Rest, Part::Amount(amount("1.00", "USD")), some()] {
        for name in [None, Some("back")] {
            done()
                .when(Command::ReverseEntry(reverse(name, part.clone())))
                .then_rejected(refused());
        }
        let steps = || vec![LedgerStep::Reverse(reverse(None, part.clone()))];
        let rejection = refused().into();
        done()
            .when(Command::PostBatch(PostBatch { steps: steps(), atomic: true }))
            .then_rejected(Rejection::Step { index: 0, rejection });
        let on_its_own = Command::PostBatch(PostBatch { steps: steps(), atomic: false });
        done().when(on_its_own).then([]);
    }
    let by = crate::given_when_then::post_entry("c2", "dollars", "fx:exchange:USD", 300);
    let replace = ReplaceEntry::new(entry_id, by, Some(&conversion));
    done().when(Command::ReplaceEntry(replace)).then_rejected(refused());
}

#[test]
fn a_rate_is_there_and_the_one_that_the_caller_means() {
    let (base, quote) = (usd(), eur());
    given([opened("dollars", Liability, "USD"), opened("euros", Liability, "EUR")])
        .when(convert(conversion("c1", "1.00")))
        .then_rejected(Rejection::RateMissing { base, quote });
    let insists = |number| {
        let version = Some(StreamVersion::from_number(number));
        convert(Conversion { rate_version: version, ..conversion("c1", "1.00") })
    };
    let version = StreamVersion::from_number(2);
    let twice = || market("1").and(recorded("2"));
    twice().when(insists(2)).then_accepted();
    twice().when(insists(1)).then_rejected(Rejection::RateChanged { base, quote, version });
    // A conversion is an event of the pair too, but no new rate.
    let first_rate =
        Conversion { rate_version: Some(StreamVersion::FIRST), ..conversion("c2", "1.00") };
    market("0.9251").and_all(first()).when(convert(first_rate)).then_accepted();
}

#[test]
fn a_rate_may_be_too_old() {
    let as_of = Timestamp::from_micros(1);
    let (base, quote) = (usd(), eur());
    let within = |seconds| {
        let age = Some(seconds);
        convert(Conversion { max_rate_age_seconds: age, ..conversion("c1", "1.00") })
    };
    let now = as_of.plus_millis(60_000);
    market("1").at(now).when(within(60)).then_accepted();
    market("1").at(now).when(convert(conversion("c1", "1.00"))).then_accepted();
    market("1").at(now.plus_millis(1)).when(within(60)).then_rejected(Rejection::RateTooOld {
        base,
        quote,
        as_of,
    });
    let fresh = recorded_at("1", now);
    market("1").and(fresh).at(now.plus_millis(1)).when(within(60)).then_accepted();
}

#[test]
fn what_buys_nothing_or_more_than_there_can_be_is_refused() {
    let quote = eur();
    market("0.5")
        .when(convert(conversion("c1", "0.01")))
        .then_rejected(Rejection::NothingBought { quote });
    let most = Amount::from_minor(crate::AMOUNT_MINOR_MAX, usd()).unwrap();
    let all = || Conversion { sell: most, ..conversion("c1", "1.00") };
    market("1").when(convert(all())).then_accepted();
    for rate in ["1.00000000001", "999999999999"] {
        market(rate).when(convert(all())).then_rejected(Rejection::TooMuchBought { quote });
    }
}

#[test]
fn limits_and_statuses_of_both_accounts_are_kept_and_nothing_else_stops_a_conversion() {
    let account_id = account_id("dollars");
    let Event::AccountOpened(limited) = opened("dollars", Liability, "USD") else {
        panic!("an account")
    };
    let limited = crate::accounts::AccountOpened { min_balance_minor: Some(0), ..limited };
    given([Event::AccountOpened(limited), opened("euros", Liability, "EUR"), recorded("1")])
        .when(convert(conversion("c1", "0.01")))
        .then_rejected(Rejection::InsufficientFunds { account_id });
    market("1")
        .and(Event::AccountFrozen(AccountFrozen { account_id }))
        .when(convert(conversion("c1", "1.00")))
        .then_rejected(Rejection::AccountStatus { account_id, status: AccountStatus::Frozen });
    // As ledgers could do before their exchange was kept by conversions alone.
    let exchange = crate::given_when_then::account_id("fx:exchange:EUR");
    let full = AccountAmended {
        account_id: exchange,
        name: None,
        metadata: Metadata::default(),
        min_balance_minor: Some(0),
        max_balance_minor: Some(0),
        clearing: None,
    };
    market("0.9251")
        .and_all(first())
        .and(Event::AccountAmended(full))
        .and(Event::AccountFrozen(AccountFrozen { account_id: exchange }))
        .when(convert(conversion("c2", "1.00")))
        .then_accepted();
    market("1")
        .and(opened("fx:exchange:EUR", Equity, "USD"))
        .when(convert(conversion("c1", "1.00")))
        .then_rejected(Rejection::CurrencyMismatch { account_id: exchange, currency: usd() });
}

#[test]
fn a_conversion_is_between_two_accounts_of_the_ledger_in_two_currencies_on_one_side() {
    let (dollars, euros) = (account_id("dollars"), account_id("euros"));
    let accounts = |from: Event, to: Event| given([from, to, recorded("1")]);
    let ordinary = || convert(conversion("c1", "1.00"));
    let missing = |account_id| Rejection::AccountNotFound { account_id };
    given([opened("euros", Liability, "EUR")]).when(ordinary()).then_rejected(missing(dollars));
    given([opened("dollars", Liability, "USD")]).when(ordinary()).then_rejected(missing(euros));
    accounts(opened("dollars", Liability, "EUR"), opened("euros", Liability, "EUR"))
        .when(ordinary())
        .then_rejected(Rejection::CurrencyMismatch { account_id: dollars, currency: eur() });
    let same = account("euros", Liability, "USD");
    accounts(opened("dollars", Liability, "USD"), opened("euros", Liability, "USD"))
        .when(Command::Convert(Convert::new(conversion("c1", "1.00"), Some(&same))))
        .then_rejected(Rejection::PairOfOneCurrency { currency: usd() });
    accounts(opened("dollars", Asset, "USD"), opened("euros", Liability, "EUR"))
        .when(ordinary())
        .then_rejected(Rejection::ConversionSidesDiffer { from: dollars, to: euros });
    // Opened after it was looked for, so that what the conversion goes through is not at hand.
    market("1")
        .when(Command::Convert(Convert::new(conversion("c1", "1.00"), None)))
        .then_rejected(missing(euros));
    let foreign = AccountId::of(MerchantId::PLATFORM, &"euros".parse().unwrap());
    let theirs = account_opened_in(MerchantId::PLATFORM, "euros", "EUR");
    let to_theirs = Conversion { to: foreign, ..conversion("c1", "1.00") };
    market("1").and(theirs).when(convert(to_theirs)).then_rejected(missing(foreign));
}

#[test]
fn nothing_is_converted_from_or_into_the_exchange_itself() {
    let refused = |code| {
        let (account_id, mechanism) = (account_id(code), Mechanism::Conversions);
        Rejection::MechanismAccount { account_id, mechanism }
    };
    let traded = || market("0.9251").and_all(first());
    let from = Conversion { from: account_id("fx:exchange:USD"), ..conversion("c2", "1.00") };
    traded().when(convert(from)).then_rejected(refused("fx:exchange:USD"));
    for code in ["fx:exchange:EUR", "fx:rounding:EUR"] {
        let into = Conversion { to: account_id(code), ..conversion("c2", "1.00") };
        traded().when(convert(into)).then_rejected(refused(code));
    }
}
