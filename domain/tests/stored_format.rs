//! The stored format of every event, for ever: a change of one of these is a change of history's meaning.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use domain::accounts::{AccountClosed, AccountFrozen, AccountOpened, AccountType, AccountUnfrozen};
use domain::api_keys::{ApiKeyIssued, ApiKeyRevoked, Role, SecretDigest};
use domain::ledger::{Direction, EntryPosted, EntryReversed, ExternalRef, Posting};
use domain::merchants::{FeeTerms, MerchantRegistered, Rounding};
use domain::{AccountId, Amount, ApiKeyId, EntryId, Event, MerchantId, Metadata, Name, StreamId};
use uuid::Uuid;

const MERCHANT: MerchantId =
    MerchantId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
const KEY: ApiKeyId =
    ApiKeyId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));
const ENTRY: EntryId =
    EntryId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003));
const REVERSAL: EntryId =
    EntryId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0004));

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
    [merchants(), accounts(), entries()].concat()
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

fn accounts() -> Vec<(&'static str, Event)> {
    let account_id = account("cash");
    let opened = AccountOpened {
        account_id,
        ledger: MERCHANT,
        code: "cash".parse().unwrap(),
        name: None,
        kind: AccountType::Asset,
        currency: "USD".parse().unwrap(),
        min_balance_minor: None,
    };
    let full = AccountOpened {
        name: Some(name("Cash in the till")),
        min_balance_minor: Some(-5_000),
        ..opened.clone()
    };
    vec![
        ("account", Event::AccountOpened(opened)),
        ("account with all", Event::AccountOpened(full)),
        ("frozen", Event::AccountFrozen(AccountFrozen { account_id })),
        ("unfrozen", Event::AccountUnfrozen(AccountUnfrozen { account_id })),
        ("closed", Event::AccountClosed(AccountClosed { account_id })),
    ]
}

fn entries() -> Vec<(&'static str, Event)> {
    let posting = |code: &str, direction, text: &str| Posting {
        account_id: account(code),
        direction,
        amount: amount(text, "USD"),
    };
    let posted = EntryPosted {
        entry_id: ENTRY,
        ledger: MERCHANT,
        external_ref: ExternalRef::parse("order 4711").unwrap(),
        description: None,
        metadata: Metadata::default(),
        postings: vec![
            posting("cash", Direction::Debit, "10.00"),
            posting("sales", Direction::Credit, "10.00"),
        ],
        reverses: None,
    };
    let order = BTreeMap::from([("order".to_owned(), "4711 ☕".to_owned())]);
    let full = EntryPosted {
        entry_id: REVERSAL,
        description: Some(name("Refund of order 4711")),
        metadata: Metadata::parse(order).unwrap(),
        reverses: Some(ENTRY),
        ..posted.clone()
    };
    vec![
        ("entry", Event::EntryPosted(posted)),
        ("entry with all", Event::EntryPosted(full)),
        (
            "reversed",
            Event::EntryReversed(EntryReversed { entry_id: ENTRY, reversed_by: REVERSAL }),
        ),
    ]
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
    assert_eq!(seen, Event::TYPES.iter().copied().collect());
}

#[test]
fn stream_names_are_stored_too() {
    let order = ExternalRef::parse("order 4711").unwrap();
    let names = [
        StreamId::merchant(MERCHANT),
        StreamId::api_key(KEY),
        StreamId::account(account("cash")),
        StreamId::entry(EntryId::of(MERCHANT, &order)),
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
