//! The stored format of every event, for ever: a change of one of these is a change of history's meaning.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod ledger;
mod payments;

use std::collections::{BTreeMap, BTreeSet};

use domain::api_keys::{ApiKeyIssued, ApiKeyRevoked, Role, SecretDigest};
use domain::cards::{CardDeclined, CardEvent, CardNetwork};
use domain::fx::PairId;
use domain::ledger::ExternalRef;
use domain::merchants::{FeeTerms, MerchantRegistered, Rounding};
use domain::payments::{Barred, DeclineClass, PspName};
use domain::psps::{PspDisabled, PspEnabled, PspEvent};
use domain::{
    AccountId, Amount, ApiKeyId, CardId, EntryId, Event, HoldId, MerchantId, Metadata, Name,
    PaymentId, RefundId, StreamId, Timestamp,
};
use uuid::Uuid;

const MERCHANT: MerchantId =
    MerchantId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
const KEY: ApiKeyId =
    ApiKeyId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));
const ENTRY: EntryId =
    EntryId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003));
const REVERSAL: EntryId =
    EntryId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0004));

const PAYMENT: PaymentId =
    PaymentId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0005));
const REFUND: RefundId =
    RefundId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0006));
const HOLD: HoldId = HoldId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0007));
/// 2026-01-02T03:04:05.000006Z
const AT: Timestamp = Timestamp::from_micros(1_767_323_045_000_006);

fn account(code: &str) -> AccountId {
    AccountId::of(MERCHANT, &code.parse().unwrap())
}

fn amount(text: &str, currency: &str) -> Amount {
    Amount::parse(text, currency.parse().unwrap()).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// One of each, and where a field may be absent, one with and one without.
fn examples() -> Vec<(&'static str, Event)> {
    [merchants(), ledger::examples(), payments::examples(), cards(), psps()].concat()
}

fn merchants() -> Vec<(&'static str, Event)> {
    let fees =
        FeeTerms::new("2.90", &[amount("0.30", "USD"), amount("30", "JPY")], Rounding::HalfEven);
    let registered = MerchantRegistered {
        merchant_id: MERCHANT,
        name: name("Toko \"Runut\""),
        fees: fees.unwrap(),
    };
    let issued = ApiKeyIssued {
        key_id: KEY,
        merchant_id: MERCHANT,
        role: Role::MerchantRead,
        label: None,
        secret_sha256: SecretDigest::of("secret"),
    };
    let labelled = ApiKeyIssued { label: Some(name("till 3")), ..issued.clone() };
    vec![
        ("merchant", Event::MerchantRegistered(registered)),
        ("key", Event::ApiKeyIssued(issued)),
        ("key with label", Event::ApiKeyIssued(labelled)),
        ("key revoked", Event::ApiKeyRevoked(ApiKeyRevoked { key_id: KEY })),
    ]
}

fn order() -> Metadata {
    let order = BTreeMap::from([("order".to_owned(), "4711 ☕".to_owned())]);
    Metadata::parse(order).unwrap()
}

fn psp() -> PspName {
    "alpha".parse().unwrap()
}

fn cards() -> Vec<(&'static str, Event)> {
    let declined = CardDeclined {
        card_id: CardId::of(MERCHANT, "tok_1"),
        merchant_id: MERCHANT,
        network: None,
        payment_id: PAYMENT,
        attempt: 1,
        psp: psp(),
        amount: amount("100.00", "USD"),
        class: DeclineClass::SoftFunds,
        barred: None,
    };
    let barred = CardDeclined {
        network: Some(CardNetwork::Mastercard),
        class: DeclineClass::Hard,
        barred: Some(Barred::Card),
        ..declined.clone()
    };
    let events = [("card declined", declined), ("card barred", barred)];
    events.map(|(what, event)| (what, Event::Card(CardEvent::Declined(event)))).to_vec()
}

fn psps() -> Vec<(&'static str, Event)> {
    let disabled = PspDisabled { psp: psp(), reason: None };
    let with_reason = PspDisabled { reason: Some(name("too many time-outs")), ..disabled.clone() };
    let events = [
        ("PSP disabled", PspEvent::Disabled(disabled)),
        ("PSP disabled with reason", PspEvent::Disabled(with_reason)),
        ("PSP enabled", PspEvent::Enabled(PspEnabled { psp: psp() })),
    ];
    events.map(|(what, event)| (what, Event::Psp(event))).to_vec()
}

#[test]
fn every_event_is_stored_as_it_always_was() {
    let lines: Vec<String> = examples()
        .into_iter()
        .map(|(what, event)| {
            format!(
                "{what}: {} v{} {}",
                event.event_type(),
                event.schema_version(),
                event.to_json()
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_event_has_an_example_and_survives_storage() {
    let mut seen = BTreeSet::new();
    for (what, event) in examples() {
        let stored = event.to_json();
        let read = Event::decode(event.event_type(), event.schema_version(), &stored).unwrap();
        assert_eq!(read, event, "{what}");
        assert_eq!(read.to_json(), stored, "{what}");
        seen.insert(event.event_type());
    }
    assert_eq!(seen, Event::types().into_iter().collect());
}

#[test]
fn stream_names_are_stored_too() {
    let order = ExternalRef::parse("order 4711").unwrap();
    let pair = PairId::new(MERCHANT, "USD".parse().unwrap(), "EUR".parse().unwrap());
    let names = [
        StreamId::merchant(MERCHANT),
        StreamId::api_key(KEY),
        StreamId::account(account("cash")),
        StreamId::entry(EntryId::of(MERCHANT, &order)),
        StreamId::payment(PAYMENT),
        StreamId::psp(&psp()),
        StreamId::pair(pair.unwrap()),
    ];
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn what_is_not_an_event_says_why() {
    for (event_type, version, data) in [
        ("ledger.entry_vanished", 1, "{}"),
        ("ledger.account_closed", 2, "{}"),
        ("ledger.account_closed", 0, "{}"),
        ("ledger.account_closed", 1, "{}"),
        ("ledger.account_closed", 1, "{\"account_id\":\"acc_1\"}"),
    ] {
        let refused = Event::decode(event_type, version, data);
        assert!(refused.is_err(), "{event_type} v{version} {data}");
    }
}
