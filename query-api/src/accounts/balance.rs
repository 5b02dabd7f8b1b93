//! `GET /v1/accounts/{id}/balance`

use api_conventions::{Caller, DecimalText, PathId, Problem, StrictQuery};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, Timestamp};
use event_store::log::{Position, WideMinor};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller_scope::visible_to;
use crate::database::refused;
use crate::dated::rows_up_to;
use crate::log::point_in_time::{self, EffectiveUntil};
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{currency, decimal};
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// When to show the balance of; now, where nothing is given.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BalanceAt {
    /// After this position of the log.
    #[param(example = 42, minimum = 0)]
    position: Option<i64>,
    /// Of all that was recorded up to this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-31T23:59:59.999999Z")]
    recorded_at: Option<Timestamp>,
    /// Of all that took effect up to this time (RFC 3339), or up to the end of this day, as known now.
    #[param(value_type = Option<String>, example = "2026-01-31")]
    effective_at: Option<EffectiveUntil>,
}

/// A balance at some time.
#[derive(Serialize, ToSchema)]
#[schema(as = Balance)]
pub(crate) struct BalanceThen {
    /// The account.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: AccountId,
    /// The currency of all amounts, which is the account's.
    #[schema(example = "USD")]
    currency: String,
    /// What was in it, positive on the side by which it grows.
    #[schema(value_type = String, example = "75.00")]
    balance: DecimalText,
    /// What was held on the debit side; null for an effective time, since a hold takes no effect.
    #[schema(value_type = Option<String>, required, example = "0.00")]
    held_debits: Option<DecimalText>,
    /// What was held on the credit side; null for an effective time.
    #[schema(value_type = Option<String>, required, example = "5.00")]
    held_credits: Option<DecimalText>,
    /// The last position that counts; that of the whole answer for an effective time.
    #[schema(example = 42)]
    position: i64,
}

#[derive(FromRow)]
struct Owner {
    currency: String,
    normal_side: String,
}

#[derive(FromRow)]
struct Recorded {
    balance_minor: WideMinor,
    debits_pending: WideMinor,
    credits_pending: WideMinor,
}

const OWNER: &str = "
    select currency, normal_side from read.accounts
    where account_id = $1 and ($2::uuid is null or ledger = $2)";

/// The last posting and the last change of what is held, one key of an index each.
const RECORDED: &str = "
    select
        coalesce((select balance_after_minor from read.postings
            where account_id = $1 and position <= $2
            order by position desc, posting_index desc limit 1), 0) as balance_minor,
        coalesce(held.debits_pending, 0) as debits_pending,
        coalesce(held.credits_pending, 0) as credits_pending
    from (values (1)) as one
    left join lateral (
        select debits_pending, credits_pending from read.holdings
        where account_id = $1 and position <= $2
        order by position desc limit 1
    ) as held on true";

/// A statement for what is dated of an account: less what was recorded up to a position, more what took effect up
/// to a time. All three are expressions.
pub(crate) fn dated_sum(account: &str, position: &str, time: &str) -> String {
    let table = format!("read.dated_sums where account_id = {account}");
    let effective = rows_up_to(time, "debits_minor, credits_minor", &table);
    format!(
        "select coalesce(sum(debits_minor), 0) - coalesce(sum(credits_minor), 0)
        from (
            {effective}
            union all
            (select -debits_after_minor, -credits_after_minor from read.dated_postings
            where account_id = {account} and position <= {position}
            order by position desc, posting_index desc limit 1)
        ) as parts"
    )
}

/// Show a balance
///
/// What was in an account at a position of the log, or at a time: of what was recorded until then, or of what
/// took effect until then. Costs the same however many postings the account has.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/balance", tag = "accounts",
    params(
        ("id" = String, Path, description = "The account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
        BalanceAt,
    ),
    responses(
        (status = 200, description = "The balance", body = BalanceThen),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
    )
)]
pub(crate) async fn show_balance(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
    StrictQuery(at): StrictQuery<BalanceAt>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let wanted = at.position()?;
    let recorded = match at.recorded_at {
        Some(time) => Some(point_in_time::logged_up_to(&api, time).await?),
        None => None,
    };
    let min = min.at_least(wanted.or(recorded));
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let owner: Option<Owner> = sqlx::query_as(OWNER)
        .bind(id.uuid())
        .bind(visible_to(&caller))
        .fetch_optional(snapshot.db())
        .await
        .map_err(refused)?;
    let Some(Owner { currency: code, normal_side }) = owner else {
        return Ok(snapshot.answer(Problem::not_found()));
    };
    let shown = snapshot.position();
    let effective_at = at.effective_at.map(|EffectiveUntil(time)| time);
    let position = match effective_at {
        Some(time) => shown.min(point_in_time::up_to(snapshot.db(), time).await.map_err(refused)?),
        None => wanted.or(recorded).unwrap_or(shown),
    };
    let recorded: Recorded = sqlx::query_as(RECORDED)
        .bind(id.uuid())
        .bind(position.number())
        .fetch_one(snapshot.db())
        .await
        .map_err(refused)?;
    let currency = currency(&code)?;
    let WideMinor(mut balance) = recorded.balance_minor;
    let mut then = BalanceThen {
        account: id,
        currency: code,
        balance: decimal(balance, currency),
        held_debits: Some(decimal(recorded.debits_pending, currency)),
        held_credits: Some(decimal(recorded.credits_pending, currency)),
        position: position.number(),
    };
    if let Some(time) = effective_at {
        let dated = dated(snapshot.db(), id.uuid(), position, time).await.map_err(refused)?;
        balance += if normal_side == "debit" { dated } else { -dated };
        then.balance = decimal(balance, currency);
        (then.held_debits, then.held_credits) = (None, None);
        then.position = shown.number();
    }
    Ok(snapshot.answer(Json(then)))
}

impl BalanceAt {
    /// The position, where one is asked for.
    fn position(self) -> Result<Option<Position>, Problem> {
        let Self { position, recorded_at, effective_at } = self;
        point_in_time::only_one(&[
            ("position", position.is_some()),
            ("recorded_at", recorded_at.is_some()),
            ("effective_at", effective_at.is_some()),
        ])?;
        point_in_time::position(position)
    }
}

async fn dated(
    db: &mut PgConnection,
    account: Uuid,
    position: Position,
    time: Timestamp,
) -> Result<i128, sqlx::Error> {
    let sum: WideMinor = sqlx::query_scalar(AssertSqlSafe(dated_sum("$1", "$2", "$3")))
        .bind(account)
        .bind(position.number())
        .bind(time.datetime())
        .fetch_one(db)
        .await?;
    Ok(sum.0)
}
