//! States: aggregates folded from events, and the keys they are found by.

use std::sync::Arc;

use crate::accounts::{Account, AccountStatus};
use crate::api_keys::ApiKey;
use crate::cards::Card;
use crate::event::Event;
use crate::ids::{AccountId, ApiKeyId, CardId, MerchantId, PaymentId};
use crate::ledger::Entry;
use crate::merchants::Merchant;
use crate::payments::{Payment, PaymentEvent, PspName};
use crate::psps::Psp;
use crate::stream::{StreamId, StreamVersion};
use crate::time::Timestamp;

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
        match self.state(&StateKey::Merchant(id))? {
            State::Merchant(merchant) => Some(merchant),
            State::ApiKey(_)
            | State::Account(_)
            | State::Entry(_)
            | State::Payment(_)
            | State::Card(_)
            | State::Psp(_) => None,
        }
    }

    /// An API key.
    fn api_key(&self, id: ApiKeyId) -> Option<&ApiKey> {
        match self.state(&StateKey::ApiKey(id))? {
            State::ApiKey(key) => Some(key),
            State::Merchant(_)
            | State::Account(_)
            | State::Entry(_)
            | State::Payment(_)
            | State::Card(_)
            | State::Psp(_) => None,
        }
    }

    /// An account.
    fn account(&self, id: AccountId) -> Option<&Account> {
        match self.state(&StateKey::Account(id))? {
            State::Account(account) => Some(account),
            State::Merchant(_)
            | State::ApiKey(_)
            | State::Entry(_)
            | State::Payment(_)
            | State::Card(_)
            | State::Psp(_) => None,
        }
    }

    /// An entry.
    fn entry(&self, stream: &StreamId) -> Option<&Entry> {
        match self.state(&StateKey::Entry(stream.clone()))? {
            State::Entry(entry) => Some(entry),
            State::Merchant(_)
            | State::ApiKey(_)
            | State::Account(_)
            | State::Payment(_)
            | State::Card(_)
            | State::Psp(_) => None,
        }
    }

    /// A payment.
    fn payment(&self, id: PaymentId) -> Option<&Payment> {
        match self.state(&StateKey::Payment(id))? {
            State::Payment(payment) => Some(payment),
            State::Merchant(_)
            | State::ApiKey(_)
            | State::Account(_)
            | State::Entry(_)
            | State::Card(_)
            | State::Psp(_) => None,
        }
    }

    /// A PSP that was switched at some time.
    fn psp(&self, name: &PspName) -> Option<&Psp> {
        match self.state(&StateKey::Psp(name.clone()))? {
            State::Psp(psp) => Some(psp),
            State::Merchant(_)
            | State::ApiKey(_)
            | State::Account(_)
            | State::Entry(_)
            | State::Payment(_)
            | State::Card(_) => None,
        }
    }

    /// A card that was declined at some time.
    fn card(&self, id: CardId) -> Option<&Card> {
        match self.state(&StateKey::Card(id))? {
            State::Card(card) => Some(card),
            State::Merchant(_)
            | State::ApiKey(_)
            | State::Account(_)
            | State::Entry(_)
            | State::Payment(_)
            | State::Psp(_) => None,
        }
    }
}

impl Event {
    /// The keys of the states that this event changes, each once.
    pub fn changes(&self, stream: &StreamId) -> Vec<StateKey> {
        match self {
            Self::MerchantRegistered(event) => vec![StateKey::Merchant(event.merchant_id)],
            Self::ApiKeyIssued(event) => vec![StateKey::ApiKey(event.key_id)],
            Self::ApiKeyRevoked(event) => vec![StateKey::ApiKey(event.key_id)],
            Self::AccountOpened(event) => vec![StateKey::Account(event.account_id)],
            Self::AccountFrozen(event) => vec![StateKey::Account(event.account_id)],
            Self::AccountUnfrozen(event) => vec![StateKey::Account(event.account_id)],
            Self::AccountClosed(event) => vec![StateKey::Account(event.account_id)],
            Self::EntryPosted(event) => {
                let mut keys = crate::ledger::account_keys(&event.postings);
                keys.push(StateKey::Entry(stream.clone()));
                keys
            }
            Self::EntryReversed(_) => vec![StateKey::Entry(stream.clone())],
            Self::Payment(event) => vec![StateKey::Payment(event.payment_id())],
            Self::Card(event) => vec![StateKey::Card(event.card_id())],
            Self::Psp(event) => vec![StateKey::Psp(event.psp().clone())],
        }
    }
}

impl State {
    /// The state under `key` after `event`, which is number `version` of its stream and was recorded at
    /// `recorded_at`. No rules here: what happened, happened. `None` where a state that the event builds
    /// on is missing.
    pub fn evolve(
        key: &StateKey,
        state: Option<Self>,
        event: &Event,
        version: StreamVersion,
        recorded_at: Timestamp,
    ) -> Option<Self> {
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
            (Event::EntryPosted(event), Some(Self::Account(account))) => {
                Some(Self::Account(account.with_postings(&event.postings)))
            }
            (Event::EntryPosted(event), other) => match key {
                StateKey::Entry(_) => {
                    Some(Self::Entry(Entry::posted(event, version, recorded_at).into()))
                }
                StateKey::Merchant(_)
                | StateKey::ApiKey(_)
                | StateKey::Account(_)
                | StateKey::Payment(_)
                | StateKey::Card(_)
                | StateKey::Psp(_) => other,
            },
            (Event::EntryReversed(event), Some(Self::Entry(entry))) => {
                let entry = Arc::unwrap_or_clone(entry);
                Some(Self::Entry(entry.reversed(event, version).into()))
            }
            (Event::Card(event), state) => {
                let before = match state {
                    Some(Self::Card(card)) => Some(Arc::unwrap_or_clone(card)),
                    Some(_) | None => None,
                };
                Some(Self::Card(Card::after(before, event, version, recorded_at).into()))
            }
            (Event::Psp(event), _) => Some(Self::Psp(Psp::after(event, version).into())),
            (Event::Payment(PaymentEvent::Created(event)), _) => {
                Some(Self::Payment(Payment::created(event, version, recorded_at).into()))
            }
            (Event::Payment(event), Some(Self::Payment(payment))) => {
                let payment = Arc::unwrap_or_clone(payment);
                Some(Self::Payment(payment.evolved(event, version, recorded_at).into()))
            }
            (
                Event::ApiKeyRevoked(_)
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
