//! Converting money of one currency into another.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::carried::paid;
use super::{FxEvent, Pair, PairId, Rate};
use crate::Context;
use crate::accounts::{self, Account, AccountCode, AccountOpened, AccountType, Mechanism};
use crate::command::Decision;
use crate::currency::Currency;
use crate::event::{Event, NewEvent};
use crate::ids::{AccountId, EntryId, MerchantId};
use crate::ledger::{
    Details, Direction, Entry, EntryPosted, ExternalRef, Movements, Posting, Postings,
};
use crate::money::{Amount, MoneyError};
use crate::rejection::Rejection;
use crate::rounding::Rounding;
use crate::staged::Staged;
use crate::state::{State, StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::time::Timestamp;

/// What is to be converted.
#[derive(Debug, Clone)]
pub struct Conversion {
    /// The ledger: the caller's own.
    pub ledger: MerchantId,
    /// What the caller calls it: names its entry, for ever.
    pub external_ref: ExternalRef,
    /// What the caller says of it.
    pub details: Details,
    /// The account whose balance falls.
    pub from: AccountId,
    /// The account whose balance rises; it grows by the same side as `from`.
    pub to: AccountId,
    /// How much is sold, in the currency of `from`.
    pub sell: Amount,
    /// How what is bought is brought to whole minor units.
    pub rounding: Rounding,
    /// The rate that the caller insists on; the latest where it does not.
    pub rate_version: Option<StreamVersion>,
    /// How old the rate may be, in seconds; of any age where it is not given.
    pub max_rate_age_seconds: Option<u32>,
}

/// Converts at the latest rate of the pair.
#[derive(Debug, Clone)]
pub struct Convert {
    /// What is asked for.
    pub asked: Conversion,
    entry_id: EntryId,
    stream: StreamId,
    /// What it goes through; nothing where `to` is not there or is in the currency that is sold.
    through: Option<Through>,
}

/// How an entry exchanged one currency for another. The first of its postings sells, the last buys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The rate.
    pub rate: Rate,
    /// The version of the pair's stream that recorded the rate.
    pub rate_version: StreamVersion,
    /// How what was bought was rounded.
    pub rounding: Rounding,
    /// By how many minor units what was bought is more than what the exchange paid: −1, 0 or 1.
    pub rounding_difference_minor: i64,
}

/// Money was converted. The entry that moved it is in the same append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Converted {
    /// The ledger.
    pub ledger: MerchantId,
    /// The currency that was sold.
    pub base: Currency,
    /// The currency that was bought.
    pub quote: Currency,
    /// The entry.
    pub entry_id: EntryId,
    /// How much of `quote` one unit of `base` was.
    pub rate: Rate,
    /// The version of this stream that recorded the rate.
    pub rate_version: StreamVersion,
    /// The rule by which what was bought was rounded.
    pub rounding: Rounding,
    /// The side by which both accounts grow.
    pub grows: Direction,
    /// What was sold, in minor units of `base`.
    pub sold_minor: i64,
    /// What was bought, in minor units of `quote`.
    pub bought_minor: i64,
    /// What the exchange paid for it, in minor units of `quote`.
    pub paid_minor: i64,
    /// What it comes to exactly, in minor units of `quote`, as a decimal text.
    pub exact_minor: Decimal,
    /// What the exchange owes after it for that side, in minor units of `quote`, below 1, as a decimal text.
    pub carried_minor: Decimal,
}

impl Converted {
    /// The pair.
    pub fn pair(&self) -> PairId {
        PairId::recorded(self.ledger, self.base, self.quote)
    }
}

/// The pair and the accounts of the ledger that a conversion goes through.
#[derive(Debug, Clone)]
struct Through {
    pair: PairId,
    sells: OwnAccount,
    buys: OwnAccount,
    rounds: OwnAccount,
}

/// An account that is opened with the first entry that names it.
#[derive(Debug, Clone)]
struct OwnAccount {
    code: AccountCode,
    id: AccountId,
    kind: AccountType,
    currency: Currency,
}

impl OwnAccount {
    fn new(ledger: MerchantId, what: &'static str, kind: AccountType, currency: Currency) -> Self {
        let code = AccountCode::of_currency(what, currency);
        Self { id: AccountId::of(ledger, &code), code, kind, currency }
    }
}

impl Through {
    fn new(pair: PairId) -> Self {
        let ledger = pair.ledger();
        let exchange =
            |currency| OwnAccount::new(ledger, "fx:exchange", AccountType::Equity, currency);
        let rounds = OwnAccount::new(ledger, "fx:rounding", AccountType::Expense, pair.quote());
        Self { pair, sells: exchange(pair.base()), buys: exchange(pair.quote()), rounds }
    }

    fn accounts(&self) -> [&OwnAccount; 3] {
        [&self.sells, &self.buys, &self.rounds]
    }
}

/// What comes of a conversion at a rate.
#[derive(Debug)]
struct Outcome {
    grows: Direction,
    bought: Amount,
    /// Nothing where the exchange owes less than a minor unit still.
    paid: Option<Amount>,
    exact_minor: Decimal,
    carried_minor: Decimal,
}

impl Outcome {
    fn paid_minor(&self) -> i64 {
        self.paid.map_or(0, Amount::minor)
    }

    fn rounding_difference_minor(&self) -> i64 {
        self.bought.minor() - self.paid_minor()
    }
}

impl Convert {
    /// The command; works out the ids, so that the hashing is done by the caller's thread. `to` is the
    /// account that rises as found in the log, `None` where there is none: its currency never changes, so it
    /// cannot be out of date.
    pub fn new(asked: Conversion, to: Option<&Account>) -> Self {
        let entry_id = EntryId::of(asked.ledger, &asked.external_ref);
        let through = to.and_then(|to| {
            let pair = PairId::new(asked.ledger, asked.sell.currency(), to.profile.currency);
            pair.ok().map(Through::new)
        });
        Self { stream: StreamId::entry(entry_id), asked, entry_id, through }
    }

    /// The entry too, unlike where one is posted by hand: a repetition is to find it before it is refused for
    /// what has changed since, such as the rate.
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys = vec![
            StateKey::Entry(self.stream.clone()),
            StateKey::Account(self.asked.from),
            StateKey::Account(self.asked.to),
        ];
        if let Some(through) = &self.through {
            keys.push(StateKey::Pair(through.pair));
            for account in through.accounts() {
                let key = StateKey::Account(account.id);
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        self.asked.details.add_reads(self.asked.ledger, &mut keys);
        keys
    }

    /// Refused, in this order: a reference that is in use; accounts that are not there, a mechanism's own, of other
    /// currencies than they should be, or that grow by different sides; a rate that is missing, not the one insisted on or too
    /// old; what buys nothing or too much; and whatever any entry is refused for.
    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        if let Some(existing) = states.entry(&self.stream) {
            return self.repeated(existing);
        }
        let (through, grows) = self.checked_accounts(states)?;
        let pair = self.checked_rate(through.pair, states, context.now)?;
        let outcome = self.outcome(pair, grows)?;
        let postings = self.postings(through, &outcome);
        let converted = NewEvent {
            event_id: context.event_id,
            stream: pair.stream(),
            version: pair.version.next(),
            merchant_id: self.asked.ledger,
            event: Event::Fx(FxEvent::Converted(self.converted(pair, &outcome))),
        };
        let mut events = vec![converted];
        let mut staged = Staged::over(states, context.now);
        for account in through.accounts() {
            let named = postings.iter().any(|posting| posting.account_id == account.id);
            if named && states.account(account.id).is_none() {
                let opened = self.opened(account, context, events.len());
                staged.fold(&opened);
                events.push(opened);
            }
        }
        let moved = Movements::posted(&postings);
        moved.check_by(Mechanism::Conversions, &staged, self.asked.ledger)?;
        let posted = self.posted(pair, &outcome, postings);
        let posted = posted.with(&self.asked.details, states, context.now)?;
        events.push(posted.appended(context.event_id_of(events.len())));
        Ok(Decision::Append(events))
    }

    /// What becomes of a reference that is in use. A rate that the caller does not insist on may have changed.
    fn repeated(&self, existing: &Entry) -> Result<Decision, Rejection> {
        let asked = &self.asked;
        let same_terms = existing.exchange.is_some_and(|exchange| {
            exchange.rounding == asked.rounding
                && asked.rate_version.is_none_or(|version| version == exchange.rate_version)
        });
        let sold = existing.postings.first().map(|posting| (posting.account_id, posting.amount));
        let bought = existing.postings.last().map(|posting| posting.account_id);
        let same_accounts = sold == Some((asked.from, asked.sell)) && bought == Some(asked.to);
        if same_terms && same_accounts && existing.has_details(&asked.details) {
            return Ok(Decision::Already(State::Entry(existing.clone().into())));
        }
        let (external_ref, entry_id) = (asked.external_ref.clone(), existing.id);
        Err(Rejection::ExternalRefTaken { external_ref, entry_id })
    }

    /// What it goes through, and the side by which both accounts grow.
    fn checked_accounts(&self, states: &impl States) -> Result<(&Through, Direction), Rejection> {
        let Conversion { ledger, from, to, sell, .. } = self.asked;
        let sells = accounts::find(states, ledger, from)?;
        let buys = accounts::find(states, ledger, to)?;
        accounts::check_owners(sells)?;
        accounts::check_owners(buys)?;
        if sells.profile.currency != sell.currency() {
            let currency = sells.profile.currency;
            return Err(Rejection::CurrencyMismatch { account_id: from, currency });
        }
        if buys.profile.currency == sell.currency() {
            return Err(Rejection::PairOfOneCurrency { currency: sell.currency() });
        }
        let grows = buys.profile.normal_side();
        if sells.profile.normal_side() != grows {
            return Err(Rejection::ConversionSidesDiffer { from, to });
        }
        // Opened after whoever asks had looked for it.
        let through = self.through.as_ref();
        Ok((through.ok_or(Rejection::AccountNotFound { account_id: to })?, grows))
    }

    /// The pair, if its latest rate is one to convert by.
    fn checked_rate<'s>(
        &self,
        id: PairId,
        states: &'s impl States,
        now: Timestamp,
    ) -> Result<&'s Pair, Rejection> {
        let (base, quote) = (id.base(), id.quote());
        let pair = states.pair(id).ok_or(Rejection::RateMissing { base, quote })?;
        let latest = &pair.latest;
        if self.asked.rate_version.is_some_and(|version| version != latest.version) {
            return Err(Rejection::RateChanged { base, quote, version: latest.version });
        }
        let oldest = self.asked.max_rate_age_seconds.map(|seconds| {
            let millis = i64::from(seconds) * 1_000;
            now.plus_millis(-millis)
        });
        if oldest.is_some_and(|oldest| latest.as_of < oldest) {
            return Err(Rejection::RateTooOld { base, quote, as_of: latest.as_of });
        }
        Ok(pair)
    }

    fn outcome(&self, pair: &Pair, grows: Direction) -> Result<Outcome, Rejection> {
        let quote = pair.id.quote();
        let whole = |minor: Decimal| -> Result<Amount, Rejection> {
            let minor = i64::try_from(minor).unwrap_or(i64::MAX);
            Amount::from_minor(minor, quote).map_err(|error| match error {
                MoneyError::NotPositive => Rejection::NothingBought { quote },
                MoneyError::TooLarge
                | MoneyError::BeyondAnySum
                | MoneyError::Malformed
                | MoneyError::TooManyDecimals { .. } => Rejection::TooMuchBought { quote },
            })
        };
        let exact = pair.latest.rate.exact_minor(self.asked.sell, quote);
        let exact_minor = exact.ok_or(Rejection::TooMuchBought { quote })?;
        let bought = whole(self.asked.rounding.whole(exact_minor))?;
        let (pays, carried_minor) = paid(pair.carried.on(grows), exact_minor);
        let paid = if pays.is_zero() { None } else { Some(whole(pays)?) };
        Ok(Outcome { grows, bought, paid, exact_minor, carried_minor })
    }

    /// In the order that [`Exchange`] says.
    fn postings(&self, through: &Through, outcome: &Outcome) -> Vec<Posting> {
        let (grows, falls) = (outcome.grows, outcome.grows.opposite());
        let sold = self.asked.sell;
        let posting = |account_id, direction, amount| Posting { account_id, direction, amount };
        let mut postings = Vec::with_capacity(5);
        postings.push(posting(self.asked.from, falls, sold));
        postings.push(posting(through.sells.id, grows, sold));
        postings.extend(outcome.paid.map(|paid| posting(through.buys.id, falls, paid)));
        let difference = outcome.rounding_difference_minor();
        let side = if difference > 0 { falls } else { grows };
        let rounded = Amount::from_minor(difference.abs(), outcome.bought.currency());
        postings.extend(rounded.ok().map(|amount| posting(through.rounds.id, side, amount)));
        postings.push(posting(self.asked.to, grows, outcome.bought));
        debug_assert!(Postings::new(postings.clone()).is_ok(), "every currency by itself");
        postings
    }

    fn converted(&self, pair: &Pair, outcome: &Outcome) -> Converted {
        Converted {
            ledger: self.asked.ledger,
            base: pair.id.base(),
            quote: pair.id.quote(),
            entry_id: self.entry_id,
            rate: pair.latest.rate,
            rate_version: pair.latest.version,
            rounding: self.asked.rounding,
            grows: outcome.grows,
            sold_minor: self.asked.sell.minor(),
            bought_minor: outcome.bought.minor(),
            paid_minor: outcome.paid_minor(),
            exact_minor: outcome.exact_minor,
            carried_minor: outcome.carried_minor,
        }
    }

    fn opened(&self, account: &OwnAccount, context: &Context, index: usize) -> NewEvent {
        let OwnAccount { code, id, kind, currency } = account;
        let opened = AccountOpened::plain(self.asked.ledger, code.clone(), *kind, *currency);
        NewEvent {
            event_id: context.event_id_of(index),
            stream: StreamId::account(*id),
            version: StreamVersion::FIRST,
            merchant_id: self.asked.ledger,
            event: Event::AccountOpened(opened),
        }
    }

    fn posted(&self, pair: &Pair, outcome: &Outcome, postings: Vec<Posting>) -> EntryPosted {
        let external_ref = self.asked.external_ref.clone();
        EntryPosted {
            exchange: Some(Exchange {
                rate: pair.latest.rate,
                rate_version: pair.latest.version,
                rounding: self.asked.rounding,
                rounding_difference_minor: outcome.rounding_difference_minor(),
            }),
            ..EntryPosted::known(self.entry_id, self.asked.ledger, external_ref, postings)
        }
    }
}
