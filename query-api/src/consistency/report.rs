//! The route, and what it answers.

use std::collections::BTreeMap;

use api_conventions::{Caller, DecimalText, Problem, StrictJson, StrictQuery};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, Currency, Timestamp};
use event_store::log::{Position, WideMinor};
use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::asked::{At, ConsistencyQuestion, Expected};
use super::drifts::{Drift, Reason, explain};
use crate::accounts::balance::dated_sum;
use crate::caller_scope::visible_to;
use crate::database::refused;
use crate::log::point_in_time;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{currency, decimal};
use crate::snapshot::Snapshot;
use crate::state::{ApiState, NoParameters};

/// The most accounts of the ledger that are looked at for what the consumer did not mention: some hundred
/// milliseconds.
const ACCOUNTS_LOOKED_AT_MAX: i64 = 20_000;
/// The most accounts in the answer that the consumer did not mention: more than a person reads.
const MISSING_MAX: i64 = 200;

/// Whether a consumer's balances are those here.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsistencyReport {
    /// `zero_drift` if each balance that was sent is the one here, else `drift`. Accounts that were not mentioned
    /// do not count, since a consumer may ask for some of its accounts at a time.
    #[schema(example = "zero_drift")]
    result: &'static str,
    /// How many balances were compared.
    #[schema(example = 2)]
    checked: usize,
    /// The last position that counts; that of the whole answer for an effective time.
    #[schema(example = 42)]
    position: i64,
    /// Balances that are not the same, in the order in which they were sent.
    drifts: Vec<Drift>,
    /// Accounts of the ledger with a balance that were not mentioned.
    missing: Missing,
}

/// Accounts with a balance that the consumer did not mention.
#[derive(Serialize, ToSchema)]
pub(crate) struct Missing {
    /// How many there are.
    #[schema(example = 0)]
    count: i64,
    /// Whether all accounts of the ledger were looked at; else there may be more than `count`.
    all_looked_at: bool,
    /// The first 200 of them, in the order in which they were opened.
    accounts: Vec<MissingAccount>,
}

/// An account with a balance that the consumer did not mention.
#[derive(Serialize, ToSchema)]
pub(crate) struct MissingAccount {
    /// The account.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: AccountId,
    /// What the ledger calls it.
    #[schema(example = "cash")]
    code: String,
    /// Its balance here.
    #[schema(value_type = String, example = "75.00")]
    balance: DecimalText,
    /// Its currency.
    #[schema(example = "USD")]
    currency: String,
}

/// What is here of an account.
#[derive(Debug, FromRow)]
struct Ours {
    account_id: Uuid,
    code: String,
    currency: String,
    balance_minor: WideMinor,
}

/// The accounts that the consumer mentioned, and those it did not among the first of the ledger: all in one
/// statement, so that it is of one position and nothing else holds up the transaction that it takes. The ledger is a
/// range, as [`crate::key_range`] says. `{balance}` is [`BALANCE`]. The counts are there even if no account is.
const COMPARED: &str = "
    with looked_at as materialized (
        select account_id, code, currency, normal_side, opened_position from read.accounts
        where ledger between $2 and $2 and ($1::uuid is null or $1 = $2)
        order by ledger, opened_position limit $6
    ), compared as materialized (
        select account_id, code, currency, opened_position, mentioned, {balance} as balance_minor
        from (
            select account_id, code, currency, normal_side, opened_position, true as mentioned
            from unnest($5::uuid[]) as asked (account_id)
            join read.accounts using (account_id)
            where ledger = $2 and ($1::uuid is null or ledger = $1)
            union all
            select account_id, code, currency, normal_side, opened_position, false
            from looked_at
            where not exists (
                select from unnest($5::uuid[]) as asked (id) where asked.id = account_id)
        ) as a
    ), missing as materialized (
        select * from compared where not mentioned and balance_minor <> 0
    )
    select counted.looked_at, counted.missing, shown.*
    from (
        select (select count(*) from looked_at) as looked_at,
            (select count(*) from missing) as missing
    ) as counted
    left join (
        select * from compared where mentioned
        union all
        (select * from missing order by opened_position limit $7)
    ) as shown on true
    order by shown.opened_position";

/// The balance of the account `a` after the position `$3`, and what is dated up to the time `$4`, if there is one.
const BALANCE: &str = "
    (coalesce((select balance_after_minor from read.postings
        where account_id = a.account_id and position <= $3
        order by position desc, posting_index desc limit 1), 0)
    + case when $4::timestamptz is null then 0 when a.normal_side = 'debit' then ({dated})
        else -({dated}) end)";

/// Compare balances
///
/// Compares balances that a consumer has with those here: now, after a position, or of what took effect up to a
/// time. For each that is not the same it has the entries behind it. A query, although its balances are sent in a
/// body: nothing is written, and it takes no `Idempotency-Key`.
// Security is said here, as it is for every route, so that the document asks for no `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/ledger/consistency-report", tag = "ledger",
    request_body = ConsistencyQuestion,
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The report", body = ConsistencyReport),
        (status = 413, description = "`body-too-large`"),
        (status = 415, description = "`unsupported-media-type`: not JSON"),
    )
)]
pub(crate) async fn report_consistency(
    State(api): State<ApiState>,
    caller: Caller,
    StrictQuery(NoParameters {}): StrictQuery<NoParameters>,
    min: MinPosition,
    StrictJson { value: question, .. }: StrictJson<ConsistencyQuestion>,
) -> Result<Response, Problem> {
    let visible = visible_to(&caller);
    let asked = question.checked(visible)?;
    let min = match asked.at {
        At::Position(position) => min.at_least(Some(position)),
        At::Now | At::Effective(_) => min,
    };
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let shown = snapshot.position();
    let (position, effective_at) = match asked.at {
        At::Now => (shown, None),
        At::Position(position) => (position, None),
        At::Effective(time) => {
            let recorded = point_in_time::up_to(snapshot.db(), time).await.map_err(refused)?;
            (shown.min(recorded), Some(time))
        }
    };
    let mentioned = asked.balances.iter().map(|expected| expected.account.uuid()).collect();
    let scope = Scope { visible, ledger: asked.ledger, position, effective_at, mentioned };
    let Compared { ours, missing } = scope.compare(&mut snapshot).await?;
    // A transaction holds up the vacuum of the log's head, so what is left to read has transactions of its own.
    // They may be of later positions: the postings up to this one stay as they are.
    let standing = snapshot.end();
    let drifts = asked.balances.iter().filter_map(|expected| drift(expected, &ours).transpose());
    let mut drifts = drifts.collect::<Result<Vec<Drift>, Problem>>()?;
    let counted = if effective_at.is_some() { shown } else { position };
    explain(&mut drifts, min.seen_at(counted), effective_at, &api).await?;
    Ok(standing.said_in(Json(ConsistencyReport {
        result: if drifts.is_empty() { "zero_drift" } else { "drift" },
        checked: asked.balances.len(),
        position: counted.number(),
        drifts,
        missing,
    })))
}

/// What is compared.
struct Scope {
    visible: Option<Uuid>,
    ledger: Uuid,
    position: Position,
    effective_at: Option<Timestamp>,
    mentioned: Vec<Uuid>,
}

/// What is here.
struct Compared {
    /// Of the accounts that were mentioned.
    ours: BTreeMap<Uuid, Ours>,
    missing: Missing,
}

#[derive(FromRow)]
struct Counted {
    looked_at: i64,
    missing: i64,
    mentioned: Option<bool>,
}

impl Scope {
    async fn compare(&self, snapshot: &mut Snapshot) -> Result<Compared, Problem> {
        let rows = sqlx::query(AssertSqlSafe(with_balance(COMPARED)))
            .bind(self.visible)
            .bind(self.ledger)
            .bind(self.position.number())
            .bind(self.effective_at.map(Timestamp::datetime))
            .bind(&self.mentioned)
            // One more than counts, which tells that there are more.
            .bind(ACCOUNTS_LOOKED_AT_MAX + 1)
            .bind(MISSING_MAX)
            .fetch_all(snapshot.db())
            .await
            .map_err(refused)?;
        let mut missing = Missing { count: 0, all_looked_at: true, accounts: Vec::new() };
        let mut ours = BTreeMap::new();
        for row in &rows {
            let counted = Counted::from_row(row).map_err(refused)?;
            missing.count = counted.missing;
            missing.all_looked_at = counted.looked_at <= ACCOUNTS_LOOKED_AT_MAX;
            let Some(mentioned) = counted.mentioned else { continue };
            let account = Ours::from_row(row).map_err(refused)?;
            if mentioned {
                ours.insert(account.account_id, account);
            } else {
                missing.accounts.push(account.try_into()?);
            }
        }
        Ok(Compared { ours, missing })
    }
}

/// The statement with the balance in it.
fn with_balance(statement: &str) -> String {
    let dated = dated_sum("a.account_id", "$3", "$4");
    statement.replace("{balance}", &BALANCE.replace("{dated}", &dated))
}

impl TryFrom<Ours> for MissingAccount {
    type Error = Problem;

    fn try_from(ours: Ours) -> Result<Self, Problem> {
        Ok(Self {
            account: AccountId::from_uuid(ours.account_id),
            code: ours.code,
            balance: decimal(ours.balance_minor, currency(&ours.currency)?),
            currency: ours.currency,
        })
    }
}

/// The drift, if there is one.
fn drift(expected: &Expected, ours: &BTreeMap<Uuid, Ours>) -> Result<Option<Drift>, Problem> {
    let Some(ours) = ours.get(&expected.account.uuid()) else {
        return Ok(Some(Drift::of_unknown(expected)));
    };
    let currency: Currency = currency(&ours.currency)?;
    let reason = if currency != expected.balance.currency {
        Reason::Currency
    } else if ours.balance_minor.0 != expected.balance.minor {
        Reason::Balance
    } else {
        return Ok(None);
    };
    let actual = domain::Sum { minor: ours.balance_minor.0, currency };
    Ok(Some(Drift::of(expected, ours.code.clone(), actual, reason)))
}
