//! Events as the domain would decide them, in words short enough for a test to be read.

use domain::accounts::{AccountClosed, AccountFrozen, AccountOpened, AccountType, AccountUnfrozen};
use domain::api_keys::{ApiKeyIssued, ApiKeyRevoked, Role, SecretDigest};
use domain::ledger::{Direction, EntryPosted, EntryReversed, ExternalRef, Posting, Postings};
use domain::merchants::{FeeTerms, MerchantRegistered, Rounding};
use domain::payments::*;
use domain::{
    AccountId, Amount, ApiKeyId, EntryId, Event, MerchantId, Metadata, Name, PaymentId, RefundId,
    StreamId, Timestamp,
};
use uuid::Uuid;

/// An event and the stream that it goes to. An entry's id is set when it is appended.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    pub(crate) stream: StreamId,
    pub(crate) merchant: MerchantId,
    pub(crate) event: Event,
}

/// A merchant, by a number.
pub(crate) fn merchant(number: u128) -> MerchantId {
    MerchantId::from_uuid(Uuid::from_u128(number))
}

/// The merchant of most tests.
pub(crate) const SHOP: MerchantId = MerchantId::from_uuid(Uuid::from_u128(0x5409));

fn key(number: u128) -> ApiKeyId {
    ApiKeyId::from_uuid(Uuid::from_u128(number))
}

/// The account that `code` names in the shop's ledger.
pub(crate) fn account(code: &str) -> AccountId {
    AccountId::of(SHOP, &code.parse().expect("a code"))
}

pub(crate) fn registered(id: MerchantId, name: &str) -> Happened {
    let fixed = [Amount::parse("0.30", "USD".parse().expect("a currency")).expect("an amount")];
    let fees = FeeTerms::new("2.9", &fixed, Rounding::HalfEven).expect("terms");
    let name = Name::parse(name).expect("a name");
    Happened {
        stream: StreamId::merchant(id),
        merchant: id,
        event: Event::MerchantRegistered(MerchantRegistered { merchant_id: id, name, fees }),
    }
}

pub(crate) fn issued(number: u128, merchant_id: MerchantId, role: Role) -> Happened {
    let event = ApiKeyIssued {
        key_id: key(number),
        merchant_id,
        role,
        label: (number % 2 == 1).then(|| Name::parse("till").expect("a name")),
        secret_sha256: SecretDigest::of(&format!("secret {number}")),
    };
    Happened {
        stream: StreamId::api_key(key(number)),
        merchant: merchant_id,
        event: Event::ApiKeyIssued(event),
    }
}

pub(crate) fn revoked(number: u128, merchant: MerchantId) -> Happened {
    Happened {
        stream: StreamId::api_key(key(number)),
        merchant,
        event: Event::ApiKeyRevoked(ApiKeyRevoked { key_id: key(number) }),
    }
}

pub(crate) fn opened(code: &str, kind: AccountType, currency: &str) -> Happened {
    let (text, currency) = (code.parse().expect("a code"), currency.parse().expect("a currency"));
    let event = AccountOpened {
        name: (code.len() > 4).then(|| Name::parse(code).expect("a name")),
        min_balance_minor: (kind == AccountType::Liability).then_some(0),
        ..AccountOpened::plain(SHOP, text, kind, currency)
    };
    of_account(code, Event::AccountOpened(event))
}

pub(crate) fn frozen(code: &str) -> Happened {
    of_account(code, Event::AccountFrozen(AccountFrozen { account_id: account(code) }))
}

pub(crate) fn unfrozen(code: &str) -> Happened {
    of_account(code, Event::AccountUnfrozen(AccountUnfrozen { account_id: account(code) }))
}

pub(crate) fn closed(code: &str) -> Happened {
    of_account(code, Event::AccountClosed(AccountClosed { account_id: account(code) }))
}

fn of_account(code: &str, event: Event) -> Happened {
    Happened { stream: StreamId::account(account(code)), merchant: SHOP, event }
}

/// An entry that debits one account and credits another, in USD.
pub(crate) fn posted(reference: &str, debit: &str, credit: &str, minor: i64) -> Happened {
    posted_in("USD", reference, debit, credit, minor)
}

pub(crate) fn posted_in(
    currency: &str,
    reference: &str,
    debit: &str,
    credit: &str,
    minor: i64,
) -> Happened {
    let amount = Amount::from_minor(minor, currency.parse().expect("a currency"));
    let amount = amount.expect("an amount");
    let posting = |code, direction| Posting { account_id: account(code), direction, amount };
    let postings = vec![posting(debit, Direction::Debit), posting(credit, Direction::Credit)];
    entry(reference, postings, None)
}

/// The entry that undoes `original`, and the mark on the original.
pub(crate) fn reversed(original: &EntryPosted) -> [Happened; 2] {
    let external_ref = ExternalRef::reversal_of(original.entry_id);
    let by = EntryId::of(SHOP, &external_ref);
    let postings = Postings::opposite(&original.postings);
    let posting = entry(external_ref.as_str(), postings, Some(original.entry_id));
    let mark = Happened {
        stream: StreamId::entry(original.entry_id),
        merchant: SHOP,
        event: Event::EntryReversed(EntryReversed {
            entry_id: original.entry_id,
            reversed_by: by,
            reversed: None,
        }),
    };
    [posting, mark]
}

fn entry(reference: &str, postings: Vec<Posting>, reverses: Option<EntryId>) -> Happened {
    // References of reversals are reserved, so they are read as stored.
    let external_ref: ExternalRef = reference_as_stored(reference);
    let note = [("till".to_owned(), reference.to_owned())];
    let noted = reference.ends_with('1');
    let event = EntryPosted {
        description: noted.then(|| Name::parse("a sale").expect("a name")),
        metadata: if noted {
            Metadata::parse(note.into_iter().collect()).expect("metadata")
        } else {
            Metadata::default()
        },
        reverses,
        ..EntryPosted::plain(SHOP, external_ref.clone(), postings)
    };
    Happened {
        stream: StreamId::entry(EntryId::of(SHOP, &external_ref)),
        merchant: SHOP,
        event: Event::EntryPosted(event),
    }
}

fn reference_as_stored(reference: &str) -> ExternalRef {
    serde_json::from_value(serde_json::Value::String(reference.to_owned())).expect("a reference")
}

/// What happens to a payment one after the other: declined, tried again, captured in parts, refunded.
pub(crate) fn way_of_a_payment(number: u128) -> Vec<Happened> {
    let payment_id = PaymentId::from_uuid(Uuid::from_u128(number + 1));
    let refund_id = RefundId::from_uuid(Uuid::from_u128(number + 1));
    let amount = |text| Amount::parse(text, "USD".parse().expect("a currency")).expect("an amount");
    let at = Timestamp::from_micros(1_760_000_000_000_000);
    let psp: PspName =
        if number.is_multiple_of(2) { "alpha" } else { "beta" }.parse().expect("a name");
    let started = |attempt, operation, text| {
        let key = AttemptKey::of(payment_id, attempt);
        let (psp, amount) = (psp.clone(), amount(text));
        let started =
            AttemptStarted { payment_id, attempt, operation, psp, key, amount, ask_at: at };
        PaymentEvent::AttemptStarted(started)
    };
    let entry_id = EntryId::from_uuid(Uuid::from_u128(number));
    let intent = PaymentIntent {
        amount: amount("100.00"),
        capture_method: CaptureMethod::Manual,
        psp: None,
        customer: Some(Name::parse("customer 7").expect("a name")),
        reference: None,
        description: None,
        metadata: Metadata::default(),
        order: Order::default(),
    };
    let method = PaymentMethod::new(MethodKind::Card, "ok").expect("a token");
    let declined = AttemptDeclined {
        payment_id,
        attempt: 1,
        code: "insufficient_funds".to_owned(),
        advice: None,
        network_code: None,
        class: DeclineClass::SoftFunds,
        declines_version: 1,
        failover: false,
        retry_at: Some(at),
        requires_method: false,
    };
    let authorized = PaymentAuthorized {
        payment_id,
        attempt: 2,
        psp: psp.clone(),
        psp_reference: "ch_1".to_owned(),
        amount: amount("100.00"),
        expires_at: at.plus_millis(1_000),
    };
    let capture = Operation::Capture { capture: 1 };
    let captured = PaymentCaptured {
        payment_id,
        capture: 1,
        attempt: 3,
        psp: psp.clone(),
        psp_reference: "op_1".to_owned(),
        amount: amount("40.00"),
        fee_minor: 146,
        entry_id,
        closes: true,
    };
    let refund = Operation::Refund { refund_id };
    let (reason, timeout) = (None, UnknownReason::Timeout);
    let events = vec![
        PaymentEvent::Created(PaymentCreated {
            payment_id,
            merchant_id: SHOP,
            intent,
            method: Some(method),
        }),
        PaymentEvent::AuthorizationRequested(AuthorizationRequested { payment_id }),
        started(1, Operation::Authorize, "100.00"),
        PaymentEvent::AttemptDeclined(declined),
        started(2, Operation::Authorize, "100.00"),
        PaymentEvent::AttemptUnknown(AttemptUnknown {
            payment_id,
            attempt: 2,
            reason: timeout,
            ask_at: at,
        }),
        PaymentEvent::Authorized(authorized),
        PaymentEvent::CaptureRequested(CaptureRequested {
            payment_id,
            capture: 1,
            amount: amount("40.00"),
            closes: true,
        }),
        started(3, capture, "40.00"),
        PaymentEvent::Captured(captured),
        PaymentEvent::RefundRequested(RefundRequested {
            payment_id,
            refund_id,
            amount: amount("25.00"),
            reason,
        }),
        started(4, refund, "25.00"),
        PaymentEvent::RefundSucceeded(RefundSucceeded {
            payment_id,
            refund_id,
            attempt: 4,
            psp_reference: "op_2".to_owned(),
            amount: amount("25.00"),
            entry_id,
        }),
    ];
    let happened = |event| Happened {
        stream: StreamId::payment(payment_id),
        merchant: SHOP,
        event: Event::Payment(event),
    };
    events.into_iter().map(happened).collect()
}
