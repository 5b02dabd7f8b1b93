//! Posting an entry.

use serde::{Deserialize, Serialize};

use super::{ExternalRef, Posting, Postings};
use crate::Context;
use crate::accounts::{self, Account, AccountStatus};
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{EntryId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::{Metadata, Name};

/// Posts an entry to the caller's own ledger.
#[derive(Debug, Clone)]
pub struct PostEntry {
    /// The ledger: the caller's own.
    pub ledger: MerchantId,
    /// What the caller calls it.
    pub external_ref: ExternalRef,
    /// The id and the stream that the reference leads to; see [`PostEntry::new`].
    entry_id: EntryId,
    stream: StreamId,
    /// What statements say of it.
    pub description: Option<Name>,
    /// What the caller wants to find with it.
    pub metadata: Metadata,
    /// What it moves.
    pub postings: Postings,
}

/// An entry was posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPosted {
    /// The entry.
    pub entry_id: EntryId,
    /// The ledger it is in.
    pub ledger: MerchantId,
    /// What its poster calls it.
    pub external_ref: ExternalRef,
    /// What statements say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Name>,
    /// What its poster wants to find with it.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What it moved.
    pub postings: Vec<Posting>,
    /// The entry that this one reverses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<EntryId>,
}

impl PostEntry {
    /// The command; works out the entry's id, so that the hashing is done by the caller's thread.
    pub fn new(
        ledger: MerchantId,
        external_ref: ExternalRef,
        description: Option<Name>,
        metadata: Metadata,
        postings: Postings,
    ) -> Self {
        let entry_id = EntryId::of(ledger, &external_ref);
        let stream = StreamId::entry(entry_id);
        Self { ledger, external_ref, entry_id, stream, description, metadata, postings }
    }

    /// The stream that the entry will be in.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The accounts. The entry's own stream is not read beforehand: nearly always the reference is new,
    /// and if it is not, the log's unique index says so and the entry is read then.
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        account_keys(self.postings.as_slice())
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        if let Some(existing) = states.entry(&self.stream) {
            if existing.same_content(self) {
                return Ok(Decision::Already(State::Entry(existing.clone().into())));
            }
            return Err(Rejection::ExternalRefTaken {
                external_ref: self.external_ref.clone(),
                entry_id: existing.id,
            });
        }
        check_postings(states, self.ledger, self.postings.as_slice())?;
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: self.stream.clone(),
            version: StreamVersion::FIRST,
            merchant_id: self.ledger,
            event: Event::EntryPosted(EntryPosted {
                entry_id: self.entry_id,
                ledger: self.ledger,
                external_ref: self.external_ref.clone(),
                description: self.description.clone(),
                metadata: self.metadata.clone(),
                postings: self.postings.as_slice().to_vec(),
                reverses: None,
            }),
        }]))
    }
}

/// The keys of the accounts named by `postings`, each once.
pub(crate) fn account_keys(postings: &[Posting]) -> Vec<StateKey> {
    let mut keys: Vec<StateKey> = Vec::with_capacity(postings.len());
    for posting in postings {
        let key = StateKey::Account(posting.account_id);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The rules that all postings keep, in the order in which they win when several are broken:
/// the account is there, in this ledger; it is open; its currency fits; its totals have room; and,
/// after the whole entry, no account that the entry lowers is below its minimum.
pub(super) fn check_postings(
    states: &impl States,
    ledger: MerchantId,
    postings: &[Posting],
) -> Result<(), Rejection> {
    let mut named: Vec<&Account> = Vec::with_capacity(postings.len());
    for posting in postings {
        named.push(accounts::find(states, ledger, posting.account_id)?);
    }
    for account in &named {
        match account.status {
            AccountStatus::Open => {}
            AccountStatus::Frozen | AccountStatus::Closed => {
                let account_id = account.profile.id;
                return Err(Rejection::AccountStatus { account_id, status: account.status });
            }
        }
    }
    for (posting, account) in postings.iter().zip(&named) {
        if account.profile.currency != posting.amount.currency() {
            return Err(Rejection::CurrencyMismatch {
                account_id: posting.account_id,
                currency: account.profile.currency,
            });
        }
    }
    check_balances(postings, &named)
}

/// The last two rules, each over the whole entry.
fn check_balances(postings: &[Posting], named: &[&Account]) -> Result<(), Rejection> {
    let mut below_minimum = None;
    for (index, account) in named.iter().enumerate() {
        let account_id = account.profile.id;
        if postings[..index].iter().any(|earlier| earlier.account_id == account_id) {
            continue;
        }
        let mut totals = account.totals;
        for posting in postings.iter().filter(|posting| posting.account_id == account_id) {
            totals = totals
                .with(posting.direction, posting.amount.minor())
                .ok_or(Rejection::TotalOverflow { account_id })?;
        }
        let normal = account.profile.kind.normal_side();
        let (before, after) = (account.totals.balance(normal), totals.balance(normal));
        let minimum = account.profile.min_balance_minor.unwrap_or(i64::MIN);
        if after < minimum && after < before && below_minimum.is_none() {
            below_minimum = Some(Rejection::InsufficientFunds { account_id });
        }
    }
    below_minimum.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::{
        LEDGER, account_id, account_opened, account_opened_in, entry_id, given, post, posted,
        posting, status_event, then_posted,
    };
    use crate::{AccountId, Command};

    fn ledger_with(extra: impl IntoIterator<Item = Event>) -> Vec<Event> {
        let mut history = vec![account_opened("cash", Some(0)), account_opened("sales", None)];
        history.extend(extra);
        history
    }

    #[test]
    fn a_balanced_entry_is_posted() {
        given(ledger_with([]))
            .when(post("r1", "cash", "sales", 500))
            .then([then_posted("r1", "cash", "sales", 500)]);
    }

    #[test]
    fn an_entry_may_not_take_an_account_below_its_minimum() {
        given(ledger_with([posted("r1", "cash", "sales", 500)]))
            .when(post("r2", "sales", "cash", 501))
            .then_rejected(Rejection::InsufficientFunds { account_id: account_id("cash") });
        given(ledger_with([posted("r1", "cash", "sales", 500)]))
            .when(post("r2", "sales", "cash", 500))
            .then([then_posted("r2", "sales", "cash", 500)]);
    }

    #[test]
    fn the_minimum_is_kept_by_the_entry_as_a_whole() {
        let postings = Postings::new(vec![
            posting("cash", Direction::Credit, 10),
            posting("sales", Direction::Debit, 10),
            posting("cash", Direction::Debit, 10),
            posting("sales", Direction::Credit, 10),
        ]);
        let command = PostEntry::new(
            LEDGER,
            ExternalRef::parse("r1").unwrap(),
            None,
            Metadata::default(),
            postings.unwrap(),
        );
        given(ledger_with([])).when(Command::PostEntry(command)).then_accepted();
    }

    #[test]
    fn an_account_below_its_minimum_may_still_rise() {
        let mut opened = vec![account_opened("cash", Some(1_000)), account_opened("sales", None)];
        given(opened.clone()).when(post("r1", "cash", "sales", 5)).then_accepted();
        opened.push(posted("r1", "cash", "sales", 5));
        given(opened)
            .when(post("r2", "sales", "cash", 5))
            .then_rejected(Rejection::InsufficientFunds { account_id: account_id("cash") });
    }

    #[test]
    fn the_same_reference_with_the_same_content_is_the_same_entry() {
        given(ledger_with([posted("r1", "cash", "sales", 500)]))
            .when(post("r1", "cash", "sales", 500))
            .then_already();
    }

    #[test]
    fn the_same_reference_with_other_content_is_refused() {
        let external_ref = ExternalRef::parse("r1").unwrap();
        given(ledger_with([posted("r1", "cash", "sales", 500)]))
            .when(post("r1", "cash", "sales", 501))
            .then_rejected(Rejection::ExternalRefTaken { external_ref, entry_id: entry_id("r1") });
    }

    #[test]
    fn accounts_of_other_ledgers_and_unknown_ones_are_not_found() {
        let foreign = account_opened_in(MerchantId::PLATFORM, "fees", "USD");
        let account_id = AccountId::of(MerchantId::PLATFORM, &"fees".parse().unwrap());
        let to_foreign = |history: Vec<Event>| {
            let postings = Postings::new(vec![
                posting("cash", Direction::Debit, 1),
                Posting { account_id, ..posting("sales", Direction::Credit, 1) },
            ]);
            let command = PostEntry::new(
                LEDGER,
                ExternalRef::parse("r1").unwrap(),
                None,
                Metadata::default(),
                postings.unwrap(),
            );
            given(history)
                .when(Command::PostEntry(command))
                .then_rejected(Rejection::AccountNotFound { account_id });
        };
        to_foreign(ledger_with([foreign]));
        to_foreign(ledger_with([]));
    }

    #[test]
    fn a_total_that_would_overflow_is_refused() {
        let half = crate::AMOUNT_MINOR_MAX;
        let mut state = given(ledger_with([]));
        for n in 0..1_024 {
            state = state.and(posted(&format!("r{n}"), "cash", "sales", half));
        }
        state
            .when(post("last", "cash", "sales", half))
            .then_rejected(Rejection::TotalOverflow { account_id: account_id("cash") });
    }

    /// One command that breaks every rule; as each is mended, the next one wins.
    #[test]
    fn when_several_rules_are_broken_the_first_of_the_list_wins() {
        let euros = account_opened_in(LEDGER, "sales", "EUR");
        let frozen = status_event("sales", AccountStatus::Frozen);
        let command = || post("r1", "sales", "cash", 1);
        let cash = account_id("cash");
        let sales = account_id("sales");
        given([frozen.clone()])
            .when(command())
            .then_rejected(Rejection::AccountNotFound { account_id: sales });
        given([account_opened("cash", Some(0)), euros.clone(), frozen])
            .when(command())
            .then_rejected(Rejection::AccountStatus {
                account_id: sales,
                status: AccountStatus::Frozen,
            });
        given([account_opened("cash", Some(0)), euros]).when(command()).then_rejected(
            Rejection::CurrencyMismatch { account_id: sales, currency: "EUR".parse().unwrap() },
        );
        given(ledger_with([]))
            .when(command())
            .then_rejected(Rejection::InsufficientFunds { account_id: cash });
    }

    use crate::ledger::Direction;
}
