//! The harness for rules: given these events, when this command, then those events or that rejection.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::accounts::{
    AccountClosed, AccountFrozen, AccountOpened, AccountStatus, AccountType, AccountUnfrozen,
    OpenAccount,
};
use crate::api_keys::{ApiKeyIssued, ApiKeyRevoked, IssueApiKey, Role, SecretDigest};
use crate::holds::CreateHold;
use crate::ledger::{Details, Direction, EntryPosted, ExternalRef, PostEntry, Posting, Postings};
use crate::merchants::{FeeTerms, MerchantRegistered, RegisterMerchant};
use crate::*;

pub(crate) const MERCHANT: MerchantId = MerchantId::from_uuid(Uuid::from_u128(1));
pub(crate) const LEDGER: MerchantId = MERCHANT;
pub(crate) const KEY: ApiKeyId = ApiKeyId::from_uuid(Uuid::from_u128(2));
pub(crate) const CONTEXT_EVENT: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000);

struct Folded(HashMap<StateKey, State>);

impl States for Folded {
    fn state(&self, key: &StateKey) -> Option<&State> {
        self.0.get(key)
    }
}

pub(crate) struct Given {
    states: Folded,
    versions: BTreeMap<StreamId, StreamVersion>,
    now: Timestamp,
}

pub(crate) struct Decided(Result<Decision, Rejection>);

pub(crate) fn given(history: impl IntoIterator<Item = Event>) -> Given {
    let now = Timestamp::from_micros(1);
    let start = Given { states: Folded(HashMap::new()), versions: BTreeMap::new(), now };
    history.into_iter().fold(start, Given::and)
}

impl Given {
    pub(crate) fn and(mut self, event: Event) -> Self {
        let stream = self.stream_of(&event);
        let version = self.versions.get(&stream).map_or(StreamVersion::FIRST, |last| last.next());
        for key in event.changes(&stream) {
            let before = self.states.0.remove(&key);
            let at = Timestamp::from_micros(0);
            if let Some(after) = State::evolve(&key, before, &event, version, at) {
                self.states.0.insert(key, after);
            }
        }
        self.versions.insert(stream, version);
        self
    }

    pub(crate) fn and_all(self, history: impl IntoIterator<Item = Event>) -> Self {
        history.into_iter().fold(self, Self::and)
    }

    /// The time at which something is decided.
    pub(crate) fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    pub(crate) fn payment(&self, id: PaymentId) -> crate::payments::Payment {
        self.states.payment(id).expect("it was created").clone()
    }

    pub(crate) fn states(&self) -> &impl States {
        &self.states
    }

    fn stream_of(&self, event: &Event) -> StreamId {
        match event {
            Event::EntryPosted(event) => StreamId::entry(event.entry_id),
            Event::EntryReversed(event) => StreamId::entry(event.entry_id),
            Event::Hold(event) => StreamId::hold(event.hold_id()),
            other => other.changes(&StreamId::merchant(MERCHANT))[0].stream(),
        }
    }

    #[track_caller]
    pub(crate) fn when(self, command: Command) -> Decided {
        Decided(self.decide(&command))
    }

    #[track_caller]
    pub(crate) fn decide(&self, command: &Command) -> Result<Decision, Rejection> {
        let context = Context { now: self.now, event_id: CONTEXT_EVENT };
        let decided = command.decide(&self.states, &context);
        let again = command.decide(&self.states, &context);
        assert_eq!(decided, again, "a decision made twice is the same decision");
        if let Ok(Decision::Append(events) | Decision::Several { events, .. }) = &decided {
            let mut versions = self.versions.clone();
            let mut ids = std::collections::BTreeSet::new();
            for event in events {
                let last = versions.insert(event.stream.clone(), event.version);
                assert_eq!(event.version, last.map_or(StreamVersion::FIRST, |last| last.next()));
                assert_eq!(event.stream, self.stream_of(&event.event));
                assert!(ids.insert(event.event_id), "each event has an id of its own");
            }
        }
        decided
    }
}

impl Decided {
    #[track_caller]
    pub(crate) fn then(self, expected: impl IntoIterator<Item = Event>) {
        match self.0 {
            Ok(Decision::Append(events) | Decision::Several { events, .. }) => {
                let events: Vec<Event> = events.into_iter().map(|new| new.event).collect();
                assert_eq!(events, expected.into_iter().collect::<Vec<_>>());
            }
            other => panic!("expected events, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn then_accepted(self) {
        let appended = |decision: &Decision| !decision.events().is_empty();
        assert!(self.0.as_ref().is_ok_and(appended), "expected events, got {:?}", self.0);
    }

    #[track_caller]
    pub(crate) fn then_already(self) {
        assert!(
            matches!(self.0, Ok(Decision::Already(_))),
            "expected nothing to do, got {:?}",
            self.0
        );
    }

    #[track_caller]
    pub(crate) fn then_rejected(self, expected: Rejection) {
        assert_eq!(self.0, Err(expected));
    }
}

fn usd() -> Currency {
    "USD".parse().unwrap()
}

pub(crate) fn register_merchant() -> Command {
    Command::RegisterMerchant(RegisterMerchant {
        merchant_id: MERCHANT,
        name: Name::parse("Toko Runut").unwrap(),
        fees: FeeTerms::free(),
    })
}

pub(crate) fn merchant_registered() -> Event {
    Event::MerchantRegistered(MerchantRegistered {
        merchant_id: MERCHANT,
        name: Name::parse("Toko Runut").unwrap(),
        fees: FeeTerms::free(),
    })
}

pub(crate) fn issue_api_key(role: Role, merchant_id: MerchantId) -> Command {
    let secret = SecretDigest::of("secret");
    Command::IssueApiKey(IssueApiKey { key_id: KEY, merchant_id, role, label: None, secret })
}

pub(crate) fn api_key_issued(role: Role, merchant_id: MerchantId) -> Event {
    let secret_sha256 = SecretDigest::of("secret");
    Event::ApiKeyIssued(ApiKeyIssued { key_id: KEY, merchant_id, role, label: None, secret_sha256 })
}

pub(crate) fn api_key_revoked() -> Event {
    Event::ApiKeyRevoked(ApiKeyRevoked { key_id: KEY })
}

pub(crate) fn account_id(code: &str) -> AccountId {
    AccountId::of(LEDGER, &code.parse().unwrap())
}

pub(crate) fn open_account(code: &str, min_balance_minor: Option<i64>) -> Command {
    let plain = OpenAccount::plain(LEDGER, code.parse().unwrap(), AccountType::Asset, usd());
    Command::OpenAccount(OpenAccount { min_balance_minor, ..plain })
}

pub(crate) fn account_opened(code: &str, min_balance_minor: Option<i64>) -> Event {
    match account_opened_in(LEDGER, code, "USD") {
        Event::AccountOpened(opened) => {
            Event::AccountOpened(AccountOpened { min_balance_minor, ..opened })
        }
        other => other,
    }
}

pub(crate) fn account_opened_in(ledger: MerchantId, code: &str, currency: &str) -> Event {
    let (code, currency) = (code.parse().unwrap(), currency.parse().unwrap());
    Event::AccountOpened(AccountOpened::plain(ledger, code, AccountType::Asset, currency))
}

pub(crate) fn status_event(code: &str, status: AccountStatus) -> Event {
    let account_id = account_id(code);
    match status {
        AccountStatus::Open => Event::AccountUnfrozen(AccountUnfrozen { account_id }),
        AccountStatus::Frozen => Event::AccountFrozen(AccountFrozen { account_id }),
        AccountStatus::Closed => Event::AccountClosed(AccountClosed { account_id }),
    }
}

pub(crate) fn posting(code: &str, direction: Direction, minor: i64) -> Posting {
    let amount = Amount::from_minor(minor, usd()).unwrap();
    Posting { account_id: account_id(code), direction, amount }
}

fn postings(debit: &str, credit: &str, minor: i64) -> Vec<Posting> {
    vec![posting(debit, Direction::Debit, minor), posting(credit, Direction::Credit, minor)]
}

pub(crate) fn post(reference: &str, debit: &str, credit: &str, minor: i64) -> Command {
    Command::PostEntry(post_entry(reference, debit, credit, minor))
}

pub(crate) fn post_entry(reference: &str, debit: &str, credit: &str, minor: i64) -> PostEntry {
    PostEntry::new(
        LEDGER,
        ExternalRef::parse(reference).unwrap(),
        Details::default(),
        Postings::new(postings(debit, credit, minor)).unwrap(),
    )
}

/// A hold without an end.
pub(crate) fn hold(reference: &str, debit: &str, credit: &str, minor: i64) -> CreateHold {
    CreateHold::new(
        LEDGER,
        ExternalRef::parse(reference).unwrap(),
        Details::default(),
        Postings::new(postings(debit, credit, minor)).unwrap(),
        None,
    )
}

/// An entry of 1 from sales to cash that takes effect at a time of its own.
pub(crate) fn post_dated(reference: &str, at: Timestamp) -> Command {
    Command::PostEntry(PostEntry::new(
        LEDGER,
        ExternalRef::parse(reference).unwrap(),
        Details { effective_at: Some(at), ..Details::default() },
        Postings::new(postings("cash", "sales", 1)).unwrap(),
    ))
}

/// What posting the command of [`post_dated`] leads to.
pub(crate) fn posted_dated(reference: &str, at: Timestamp, late_for: Option<Timestamp>) -> Event {
    Event::EntryPosted(EntryPosted {
        effective_at: Some(at),
        late_for,
        ..posted_event(reference, "cash", "sales", 1)
    })
}

pub(crate) fn entry_id(reference: &str) -> EntryId {
    EntryId::of(LEDGER, &ExternalRef::parse(reference).unwrap())
}

pub(crate) fn posted_event(reference: &str, debit: &str, credit: &str, minor: i64) -> EntryPosted {
    let external_ref = ExternalRef::parse(reference).unwrap();
    EntryPosted::plain(LEDGER, external_ref, postings(debit, credit, minor))
}

pub(crate) fn posted(reference: &str, debit: &str, credit: &str, minor: i64) -> Event {
    Event::EntryPosted(posted_event(reference, debit, credit, minor))
}

/// What posting the command of [`post`] leads to.
pub(crate) fn then_posted(reference: &str, debit: &str, credit: &str, minor: i64) -> Event {
    posted(reference, debit, credit, minor)
}
