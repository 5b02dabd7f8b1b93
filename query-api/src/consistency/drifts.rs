//! Drifts, and the entries behind them.

use api_conventions::{DecimalText, Problem};
use domain::{AccountId, EntryId, Sum, Timestamp};
use event_store::log::WideMinor;
use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::asked::Expected;
use crate::database::refused;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{decimal, timestamp, wide_decimal};
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// The most drifts whose entries are looked for, in the order in which they were sent: more than a person looks
/// into before asking again.
const DRIFTS_EXPLAINED_MAX: usize = 50;
/// The most entries of a drift: where two books parted is rarely further back.
const ENTRIES_MAX: i64 = 20;
/// The most postings of an account in which a time is looked for when both books agreed: some milliseconds each.
const POSTINGS_SEARCHED_MAX: i64 = 10_000;
/// The most postings of an account in which those are looked for that took effect up to a time: the entry of each
/// has to be looked up, some milliseconds an account.
const POSTINGS_LOOKED_UP_MAX: i64 = 1_000;

/// A balance that is not the same here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Drift {
    /// The account; null if it is unknown and was named by a code.
    #[schema(value_type = Option<String>, required, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: Option<AccountId>,
    /// What the ledger calls it; null if it is unknown and was named by its id.
    #[schema(required, example = "cash")]
    code: Option<String>,
    /// `balance`: another one; `currency`: the account holds another; `unknown-account`: there is none in the ledger.
    #[schema(value_type = String, example = "balance")]
    reason: Reason,
    /// What the consumer has.
    #[schema(value_type = String, example = "75.00")]
    expected: DecimalText,
    /// The currency of that.
    #[schema(example = "USD")]
    currency: String,
    /// What is here; null if the account is unknown.
    #[schema(value_type = Option<String>, required, example = "85.00")]
    actual: Option<DecimalText>,
    /// The currency of that, which is the account's.
    #[schema(required, example = "USD")]
    actual_currency: Option<String>,
    /// What is here less what the consumer has; null unless both are of one currency.
    #[schema(required, example = "10.00")]
    difference: Option<String>,
    /// The last position after which the balance here was what the consumer has, among the account's last 10,000
    /// postings: the entries after it are the difference, if the consumer's books just stopped. For a balance of
    /// zero that is where the account was opened, if there is none later. Null where there is none, and for an
    /// effective time.
    #[schema(required, example = 41)]
    agreed_at: Option<i64>,
    /// The last 20 postings to the account that count, newest first; for an effective time those among its last
    /// 1,000. Of the first 50 drifts only.
    entries: Vec<DriftEntry>,
    #[serde(skip)]
    searched: Option<(AccountId, Sum)>,
}

/// Why two balances are not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    Balance,
    Currency,
    UnknownAccount,
}

/// A posting to an account that drifted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DriftEntry {
    /// The entry that has the posting.
    #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
    entry: EntryId,
    /// What the ledger calls the entry.
    #[schema(example = "order-1042")]
    external_ref: String,
    /// What it says of itself.
    #[schema(required, example = "Order 1042")]
    description: Option<String>,
    /// The side: `debit` or `credit`.
    #[schema(example = "debit")]
    direction: String,
    /// The amount, above zero.
    #[schema(value_type = String, example = "10.00")]
    amount: DecimalText,
    /// The account's balance right after the posting, in the order in which they were recorded.
    #[schema(value_type = String, example = "85.00")]
    balance: DecimalText,
    /// The entry's position in the log.
    #[schema(example = 42)]
    position: i64,
    /// Whether this is where the balance here was what the consumer has: `agreed_at`.
    #[schema(example = false)]
    agreed: bool,
    /// When it takes effect.
    #[schema(value_type = String, format = DateTime)]
    effective_at: Timestamp,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

impl Drift {
    pub(super) fn of_unknown(expected: &Expected) -> Self {
        Self {
            account: expected.code.is_none().then_some(expected.account),
            code: expected.code.clone(),
            reason: Reason::UnknownAccount,
            expected: expected.balance.into(),
            currency: expected.balance.currency.code().to_owned(),
            actual: None,
            actual_currency: None,
            difference: None,
            agreed_at: None,
            entries: Vec::new(),
            searched: None,
        }
    }

    pub(super) fn of(expected: &Expected, code: String, actual: Sum, reason: Reason) -> Self {
        let theirs = expected.balance;
        let difference = wide_decimal(actual.minor - theirs.minor, actual.currency);
        Self {
            account: Some(expected.account),
            code: Some(code),
            reason,
            actual: Some(actual.into()),
            actual_currency: Some(actual.currency.code().to_owned()),
            difference: (actual.currency == theirs.currency).then_some(difference),
            searched: Some((expected.account, Sum { currency: actual.currency, ..theirs })),
            ..Self::of_unknown(expected)
        }
    }
}

const ENTRIES: &str = "
    select drift.nth, p.entry_id, p.direction, p.amount_minor, p.balance_after_minor, p.position,
        p.recorded_at, p.external_ref, p.description, p.effective_at
    from unnest($1::uuid[]) with ordinality as drift (account_id, nth)
    cross join lateral (
        select last.*, e.external_ref, e.description, e.effective_at
        from (
            select * from read.postings
            where account_id = drift.account_id and position <= $2
            order by position desc, posting_index desc limit $4
        ) as last
        join read.entries as e using (entry_id)
        where $3::timestamptz is null or coalesce(e.effective_at, e.recorded_at) <= $3
        order by last.position desc, last.posting_index desc limit $5
    ) as p
    order by drift.nth, p.position desc, p.posting_index desc";

/// An entry may have several postings of one account, between which there was no balance to agree on: the last of
/// them counts, before which, read backwards, there is none of its position. Where all postings of the account were
/// searched, there was nothing in it before the first.
const AGREED: &str = "
    select drift.nth, coalesce(agreed.position,
        case when drift.expected = 0 and agreed.searched < $4 then account.opened_position end)
    from unnest($1::uuid[], $2::numeric[]) with ordinality as drift (account_id, expected, nth)
    join read.accounts as account using (account_id)
    cross join lateral (
        select count(*) as searched,
            max(position) filter (where balance_after_minor = drift.expected
                and later is distinct from position) as position
        from (
            select position, balance_after_minor,
                lag(position) over (order by position desc, posting_index desc) as later
            from (
                select position, posting_index, balance_after_minor from read.postings
                where account_id = drift.account_id and position <= $3
                order by position desc, posting_index desc limit $4
            ) as searched
        ) as last
    ) as agreed";

#[derive(FromRow)]
struct EntryRow {
    nth: i64,
    entry_id: Uuid,
    external_ref: String,
    description: Option<String>,
    direction: String,
    amount_minor: i64,
    balance_after_minor: WideMinor,
    position: i64,
    effective_at: Option<OffsetDateTime>,
    recorded_at: OffsetDateTime,
}

/// Adds to drifts the entries behind them, and since when there is one.
///
/// Each statement is a transaction of its own, so that none is longer than one slow statement. They show one
/// position all the same: postings up to it stay as they are.
pub(super) async fn explain(
    drifts: &mut [Drift],
    seen: MinPosition,
    effective_at: Option<Timestamp>,
    api: &ApiState,
) -> Result<(), Problem> {
    let explained = drifts.iter_mut().filter_map(|drift| {
        let (account, theirs) = drift.searched?;
        Some((account.uuid(), theirs, drift))
    });
    let mut explained: Vec<_> = explained.take(DRIFTS_EXPLAINED_MAX).collect();
    if explained.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = explained.iter().map(|(id, ..)| *id).collect();
    // Of balances in two currencies none is the other, and what is dated has no balance at a position.
    if effective_at.is_none() {
        let expected: Vec<Option<WideMinor>> = explained
            .iter()
            .map(|(_, theirs, drift)| {
                (drift.reason == Reason::Balance).then_some(WideMinor(theirs.minor))
            })
            .collect();
        for (nth, agreed_at) in agreed(&ids, &expected, seen, api).await? {
            if let Some((.., drift)) = explained.get_mut(place(nth)?) {
                drift.agreed_at = agreed_at;
            }
        }
    }
    for row in entries(&ids, seen, effective_at, api).await? {
        if let Some((_, theirs, drift)) = explained.get_mut(place(row.nth)?) {
            let entry = row.shown(*theirs, drift.agreed_at);
            drift.entries.push(entry);
        }
    }
    Ok(())
}

async fn agreed(
    ids: &[Uuid],
    expected: &[Option<WideMinor>],
    seen: MinPosition,
    api: &ApiState,
) -> Result<Vec<(i64, Option<i64>)>, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, api, seen).await?;
    sqlx::query_as(AGREED)
        .bind(ids)
        .bind(expected)
        .bind(seen.position.number())
        .bind(POSTINGS_SEARCHED_MAX)
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)
}

async fn entries(
    ids: &[Uuid],
    seen: MinPosition,
    effective_at: Option<Timestamp>,
    api: &ApiState,
) -> Result<Vec<EntryRow>, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, api, seen).await?;
    sqlx::query_as(ENTRIES)
        .bind(ids)
        .bind(seen.position.number())
        .bind(effective_at.map(Timestamp::datetime))
        .bind(POSTINGS_LOOKED_UP_MAX)
        .bind(ENTRIES_MAX)
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)
}

/// Postgres counts from one.
fn place(nth: i64) -> Result<usize, Problem> {
    usize::try_from(nth - 1).map_err(Problem::internal)
}

impl EntryRow {
    fn shown(self, theirs: Sum, agreed_at: Option<i64>) -> DriftEntry {
        let recorded_at = timestamp(self.recorded_at);
        let agreed = agreed_at == Some(self.position) && self.balance_after_minor.0 == theirs.minor;
        DriftEntry {
            entry: EntryId::from_uuid(self.entry_id),
            external_ref: self.external_ref,
            description: self.description,
            direction: self.direction,
            amount: decimal(self.amount_minor, theirs.currency),
            balance: decimal(self.balance_after_minor, theirs.currency),
            position: self.position,
            agreed,
            effective_at: self.effective_at.map_or(recorded_at, timestamp),
            recorded_at,
        }
    }
}
