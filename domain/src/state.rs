//! States: aggregates folded from events, and the keys they are found by.

use std::sync::Arc;

use crate::accounts::{Account, AccountStatus};
use crate::api_keys::ApiKey;
use crate::books::Books;
use crate::cards::Card;
use crate::event::Event;
use crate::fx::{Pair, PairId};
use crate::holds::{Hold, HoldEvent};
use crate::ids::{AccountId, ApiKeyId, CardId, HoldId, MerchantId, PaymentId};
use crate::ledger::Entry;
use crate::merchants::Merchant;
use crate::payments::{Payment, PaymentEvent, PspName};
use crate::psps::Psp;
use crate::stream::{StreamId, StreamVersion};
use crate::time::EventTime;

/// What a state is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StateKey {
    /// A merchant, by its id.
    Merchant(MerchantId),
    /// An API key, by its public part.
    ApiKey(ApiKeyId),
    /// An account, by its id.
    Account(AccountId),
    /// An entry, by the stream that its reference leads to.
    Entry(StreamId),
    /// A hold, by its id.
    Hold(HoldId),
    /// The books of a ledger.
    Books(MerchantId),
    /// Two currencies in a ledger.
    Pair(PairId),
    /// A payment, by its id.
    Payment(PaymentId),
    /// A card at a merchant, by its id.
    Card(CardId),
    /// A PSP, by its name.
    Psp(PspName),
}

impl StateKey {
    /// The stream that the state is folded from (an account's totals come from entries besides).
    pub fn stream(&self) -> StreamId {
        match self {
            Self::Merchant(id) => StreamId::merchant(*id),
            Self::ApiKey(id) => StreamId::api_key(*id),
            Self::Account(id) => StreamId::account(*id),
            Self::Entry(stream) => stream.clone(),
            Self::Hold(id) => StreamId::hold(*id),
            Self::Books(ledger) => StreamId::books(*ledger),
            Self::Pair(id) => StreamId::pair(*id),
            Self::Payment(id) => StreamId::payment(*id),
            Self::Card(id) => StreamId::card(*id),
            Self::Psp(name) => StreamId::psp(name),
        }
    }
}

/// The state of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A merchant.
    Merchant(Arc<Merchant>),
    /// An API key.
    ApiKey(ApiKey),
    /// An account.
    Account(Account),
    /// An entry.
    Entry(Arc<Entry>),
    /// A hold.
    Hold(Arc<Hold>),
    /// The books of a ledger.
    Books(Books),
    /// Two currencies in a ledger.
    Pair(Arc<Pair>),
    /// A payment.
    Payment(Arc<Payment>),
    /// A card.
    Card(Arc<Card>),
    /// A PSP.
    Psp(Arc<Psp>),
}

/// Where decisions find the states they read.
pub trait States {
    /// The state under `key`, `None` where it does not exist.
    fn state(&self, key: &StateKey) -> Option<&State>;

    /// A merchant.
    fn merchant(&self, id: MerchantId) -> Option<&Merchant> {
        self.state(&StateKey::Merchant(id))?.as_merchant()
    }

    /// An API key.
    fn api_key(&self, id: ApiKeyId) -> Option<&ApiKey> {
        self.state(&StateKey::ApiKey(id))?.as_api_key()
    }

    /// An account.
    fn account(&self, id: AccountId) -> Option<&Account> {
        self.state(&StateKey::Account(id))?.as_account()
    }

    /// An entry.
    fn entry(&self, stream: &StreamId) -> Option<&Entry> {
        self.state(&StateKey::Entry(stream.clone()))?.as_entry()
    }

    /// A hold.
    fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.state(&StateKey::Hold(id))?.as_hold()
    }

    /// The books of a ledger in which a day was cut off at some time.
    fn books(&self, ledger: MerchantId) -> Option<&Books> {
        self.state(&StateKey::Books(ledger))?.as_books()
    }

    /// Two currencies in a ledger of which a rate was recorded at some time.
    fn pair(&self, id: PairId) -> Option<&Pair> {
        self.state(&StateKey::Pair(id))?.as_pair()
    }

    /// A payment.
    fn payment(&self, id: PaymentId) -> Option<&Payment> {
        self.state(&StateKey::Payment(id))?.as_payment()
    }

    /// A card that was declined at some time.
    fn card(&self, id: CardId) -> Option<&Card> {
        self.state(&StateKey::Card(id))?.as_card()
    }

    /// A PSP that was switched at some time.
    fn psp(&self, name: &PspName) -> Option<&Psp> {
        self.state(&StateKey::Psp(name.clone()))?.as_psp()
    }
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident: $variant:ident),* $(,)?) => {
        impl State {
            $($(#[$doc])*
            pub fn $name(&self) -> Option<&$variant> {
                if let Self::$variant(state) = self { Some(state) } else { None }
            })*
        }
    };
}

accessors! {
    /// The merchant, if this is a one.
    as_merchant: Merchant,
    /// The api key, if this is an one.
    as_api_key: ApiKey,
    /// The account, if this is an one.
    as_account: Account,
    /// The entry, if this is an one.
    as_entry: Entry,
    /// The hold, if this is a one.
    as_hold: Hold,
    /// The books, if this is such one.
    as_books: Books,
    /// The pair, if this is a one.
    as_pair: Pair,
    /// The payment, if this is a one.
    as_payment: Payment,
    /// The card, if this is a one.
    as_card: Card,
    /// The psp, if this is a one.
    as_psp: Psp,
}

impl Event {
    /// The keys of the states that this event changes, each once.
    pub fn changes(&self, stream: &StreamId) -> Vec<StateKey> {
        match self {
            Self::MerchantRegistered(event) => vec![StateKey::Merchant(event.merchant_id)],
            Self::ApiKeyIssued(event) => vec![StateKey::ApiKey(event.key_id)],
            Self::ApiKeyRevoked(event) => vec![StateKey::ApiKey(event.key_id)],
            Self::AccountOpened(event) => vec![StateKey::Account(event.account_id)],
            Self::AccountAmended(event) => vec![StateKey::Account(event.account_id)],
            Self::AccountFrozen(event) => vec![StateKey::Account(event.account_id)],
            Self::AccountUnfrozen(event) => vec![StateKey::Account(event.account_id)],
            Self::AccountClosed(event) => vec![StateKey::Account(event.account_id)],
            Self::EntryPosted(event) => {
                let mut keys = crate::ledger::account_keys(&event.postings);
                keys.push(StateKey::Entry(stream.clone()));
                keys
            }
            Self::EntryReversed(_) => vec![StateKey::Entry(stream.clone())],
            Self::Hold(event) => {
                let movements = event.movements();
                let moved = [movements.held, movements.released].concat();
                let mut keys = crate::ledger::account_keys(&moved);
                keys.push(StateKey::Hold(event.hold_id()));
                keys
            }
            Self::Books(event) => vec![StateKey::Books(event.ledger())],
            Self::Fx(event) => vec![StateKey::Pair(event.pair())],
            Self::Payment(event) => vec![StateKey::Payment(event.payment_id())],
            Self::Card(event) => vec![StateKey::Card(event.card_id())],
            Self::Psp(event) => vec![StateKey::Psp(event.psp().clone())],
        }
    }
}

impl Event {
    /// The state that whoever decided this claimed as new, see [`crate::Command::claims`].
    pub fn claimed(&self, stream: &StreamId) -> Option<StateKey> {
        match self {
            Self::EntryPosted(_) => Some(StateKey::Entry(stream.clone())),
            Self::Hold(HoldEvent::Created(event)) => Some(StateKey::Hold(event.hold_id)),
            Self::MerchantRegistered(_)
            | Self::ApiKeyIssued(_)
            | Self::ApiKeyRevoked(_)
            | Self::AccountOpened(_)
            | Self::AccountAmended(_)
            | Self::AccountFrozen(_)
            | Self::AccountUnfrozen(_)
            | Self::AccountClosed(_)
            | Self::EntryReversed(_)
            | Self::Hold(HoldEvent::Posted(_) | HoldEvent::Voided(_) | HoldEvent::Expired(_))
            | Self::Books(_)
            | Self::Fx(_)
            | Self::Payment(_)
            | Self::Card(_)
            | Self::Psp(_) => None,
        }
    }
}

impl State {
    /// The state under `key` after `event`, which is number `version` of its stream and has this time. No rules here: what happened, happened. `None` where a state that the event builds
    /// on is missing.
    pub fn evolve(
        key: &StateKey,
        state: Option<Self>,
        event: &Event,
        version: StreamVersion,
        time: impl Into<EventTime>,
    ) -> Option<Self> {
        let EventTime { recorded_at, decided_at } = time.into();
        match (event, state) {
            (Event::MerchantRegistered(event), _) => {
                Some(Self::Merchant(Merchant::registered(event, version).into()))
            }
            (Event::ApiKeyIssued(event), _) => Some(Self::ApiKey(ApiKey::issued(event, version))),
            (Event::ApiKeyRevoked(_), Some(Self::ApiKey(key))) => {
                Some(Self::ApiKey(key.revoked(version)))
            }
            (Event::AccountOpened(event), _) => {
                Some(Self::Account(Account::opened(event, version)))
            }
            (Event::AccountFrozen(_), Some(Self::Account(account))) => {
                Some(Self::Account(account.with_status(AccountStatus::Frozen, version)))
            }
            (Event::AccountUnfrozen(_), Some(Self::Account(account))) => {
                Some(Self::Account(account.with_status(AccountStatus::Open, version)))
            }
            (Event::AccountClosed(_), Some(Self::Account(account))) => {
                Some(Self::Account(account.with_status(AccountStatus::Closed, version)))
            }
            (Event::EntryPosted(_) | Event::Hold(_), Some(Self::Account(account))) => {
                Some(Self::Account(account.with_movements(event.movements())))
            }
            (Event::EntryPosted(event), other) => match key {
                StateKey::Entry(_) => {
                    Some(Self::Entry(Entry::posted(event, version, recorded_at).into()))
                }
                StateKey::Merchant(_)
                | StateKey::ApiKey(_)
                | StateKey::Account(_)
                | StateKey::Hold(_)
                | StateKey::Books(_)
                | StateKey::Pair(_)
                | StateKey::Payment(_)
                | StateKey::Card(_)
                | StateKey::Psp(_) => other,
            },
            (Event::Hold(event), other) => match key {
                StateKey::Hold(_) => {
                    let before = match other {
                        Some(Self::Hold(hold)) => Some(Arc::unwrap_or_clone(hold)),
                        Some(_) | None => None,
                    };
                    let after = Hold::after(before, event, version, recorded_at);
                    after.map(|hold| Self::Hold(hold.into()))
                }
                StateKey::Merchant(_)
                | StateKey::ApiKey(_)
                | StateKey::Account(_)
                | StateKey::Entry(_)
                | StateKey::Books(_)
                | StateKey::Pair(_)
                | StateKey::Payment(_)
                | StateKey::Card(_)
                | StateKey::Psp(_) => other,
            },
            (Event::Books(event), state) => {
                let before = match state {
                    Some(Self::Books(books)) => Some(books),
                    Some(_) | None => None,
                };
                Books::after(before, event, version).map(Self::Books)
            }
            (Event::Fx(event), state) => {
                let before = match state {
                    Some(Self::Pair(pair)) => Some(Arc::unwrap_or_clone(pair)),
                    Some(_) | None => None,
                };
                let after = Pair::after(before, event, version, recorded_at);
                after.map(|pair| Self::Pair(pair.into()))
            }
            (Event::AccountAmended(event), Some(Self::Account(account))) => {
                Some(Self::Account(account.amended(event, version)))
            }
            (Event::EntryReversed(event), Some(Self::Entry(entry))) => {
                let entry = Arc::unwrap_or_clone(entry);
                Some(Self::Entry(entry.reversed(event, version).into()))
            }
            (Event::Card(event), state) => {
                let before = match state {
                    Some(Self::Card(card)) => Some(Arc::unwrap_or_clone(card)),
                    Some(_) | None => None,
                };
                Some(Self::Card(Card::after(before, event, version, decided_at).into()))
            }
            (Event::Psp(event), _) => Some(Self::Psp(Psp::after(event, version).into())),
            (Event::Payment(PaymentEvent::Created(event)), _) => {
                Some(Self::Payment(Payment::created(event, version, decided_at).into()))
            }
            (Event::Payment(event), Some(Self::Payment(payment))) => {
                let payment = Arc::unwrap_or_clone(payment);
                Some(Self::Payment(payment.evolved(event, version, decided_at).into()))
            }
            (
                Event::ApiKeyRevoked(_)
                | Event::AccountAmended(_)
                | Event::AccountFrozen(_)
                | Event::AccountUnfrozen(_)
                | Event::AccountClosed(_)
                | Event::EntryReversed(_)
                | Event::Payment(_),
                other,
            ) => other,
        }
    }
}
