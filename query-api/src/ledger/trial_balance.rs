//! `GET /v1/ledger/trial-balance`

use api_conventions::{Caller, FieldError, MISSING_FIELD, Problem, StrictQuery};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::accounts::AccountType;
use domain::{Currency, Timestamp};
use event_store::log::{Position, WideMinor};
use projections::{ALL_LEDGERS, TRIAL_BALANCE_SEGMENT};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller_scope::{OwnerFilter, visible_to};
use crate::database::refused;
use crate::dated::rows_up_to;
use crate::log::point_in_time::{self, EffectiveUntil};
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{currency, wide_decimal};
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// Of what to show the balance.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TrialBalanceFilters {
    /// The ledger of this merchant, or of the `platform` itself; all that the key may see where it is
    /// not given.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<OwnerFilter>,
    /// The currency, by its upper-case ISO 4217 code.
    #[param(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
    /// Accounts of this type only, which alone need not balance.
    #[param(value_type = Option<String>, example = "asset")]
    r#type: Option<AccountType>,
    /// After this position of the log.
    #[param(example = 42, minimum = 0)]
    position: Option<i64>,
    /// Of all that was recorded up to this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-31T23:59:59.999999Z")]
    recorded_at: Option<Timestamp>,
    /// Of all that took effect up to this time (RFC 3339), or up to the end of this day, as known now. Of one
    /// ledger only.
    #[param(value_type = Option<String>, example = "2026-01-31")]
    effective_at: Option<EffectiveUntil>,
}

/// All that was ever posted, by currency.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrialBalance {
    /// One for each currency that anything was posted in, in the order of the codes.
    currencies: Vec<CurrencyBalance>,
}

/// All that was ever posted in a currency.
#[derive(Serialize, ToSchema)]
pub(crate) struct CurrencyBalance {
    /// The upper-case ISO 4217 code.
    #[schema(example = "USD")]
    currency: String,
    /// The sum of all debits.
    #[schema(example = "100.00")]
    debits: String,
    /// The sum of all credits.
    #[schema(example = "100.00")]
    credits: String,
    /// Debits less credits: zero, or the ledger is broken.
    #[schema(example = "0.00")]
    difference: String,
    /// The same by what the accounts stand for.
    types: Vec<TypeBalance>,
}

/// All that was ever posted in a currency to accounts of one type.
#[derive(Serialize, ToSchema)]
pub(crate) struct TypeBalance {
    /// `asset`, `liability`, `equity`, `income` or `expense`.
    #[schema(example = "asset")]
    r#type: String,
    /// The sum of all debits.
    #[schema(example = "100.00")]
    debits: String,
    /// The sum of all credits.
    #[schema(example = "25.00")]
    credits: String,
}

/// All ledgers together have rows of their own.
const SUMS: &str = "
    select currency, type, debits_posted, credits_posted
    from read.trial_balance
    where ledger = $1
        and ($2::text is null or currency = $2) and ($3::text is null or type = $3)
    order by currency, type";

/// The sums as they were: each row as it was at the end of the last segment before the position's, and what
/// the entries of that segment added up to the position. The mark of a row that did not change since is the
/// row itself. Postings are looked up entry by entry, each by one key. `{dated}` are more rows.
const SUMS_THEN: &str = "
    with before as (
        select t.currency, t.type,
            case when t.position / $5 < $4 / $5 then t.debits_posted
                else coalesce(m.debits_posted, 0) end as debits,
            case when t.position / $5 < $4 / $5 then t.credits_posted
                else coalesce(m.credits_posted, 0) end as credits
        from read.trial_balance as t
        left join lateral (
            select debits_posted, credits_posted from read.trial_balance_marks as m
            where m.ledger = t.ledger and m.currency = t.currency and m.type = t.type
                and m.segment < $4 / $5
            order by m.segment desc limit 1
        ) as m on true
        where t.ledger = $1
    ), since as (
        select p.currency, a.type,
            case p.direction when 'debit' then p.amount_minor else 0 end as debits,
            case p.direction when 'credit' then p.amount_minor else 0 end as credits
        from (
            select position, account_ids from read.entries
            where position >= ($4 / $5) * $5 and position <= $4
                and ($6::uuid is null or ledger = $6)
        ) as e
        cross join lateral unnest(e.account_ids) as named (account_id)
        cross join lateral (
            select currency, direction, amount_minor from read.postings
            where account_id = named.account_id and position = e.position offset 0
        ) as p
        cross join lateral (
            select type from read.accounts where account_id = named.account_id offset 0
        ) as a
    )
    select currency, type, sum(debits), sum(credits)
    from (select * from before union all select * from since {dated}) as all_parts
    where ($2::text is null or currency = $2) and ($3::text is null or type = $3)
    group by currency, type
    having sum(debits) <> 0 or sum(credits) <> 0
    order by currency, type";

/// Show the trial balance
///
/// Whether everything that was posted balances: now, after any position, at any time, or of all that took effect up
/// to a time. Of one type of accounts alone it need not. By effective time give the `ledger`, where the key sees
/// several.
#[utoipa::path(
    get, path = "/v1/ledger/trial-balance", tag = "ledger", params(TrialBalanceFilters),
    responses((status = 200, description = "The sums", body = TrialBalance))
)]
pub(crate) async fn show_trial_balance(
    State(api): State<ApiState>,
    caller: Caller,
    StrictQuery(filters): StrictQuery<TrialBalanceFilters>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let wanted = filters.position()?;
    let (visible, asked) = (visible_to(&caller), filters.ledger.map(OwnerFilter::uuid));
    let ledger = visible.or(asked);
    let effective_at = filters.effective_at(ledger)?;
    let wanted = match filters.recorded_at {
        Some(time) => Some(point_in_time::logged_up_to(&api, time).await?),
        None => wanted,
    };
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min.at_least(wanted)).await?;
    if asked.is_some() && asked != ledger {
        return Ok(snapshot.answer(Json(TrialBalance { currencies: Vec::new() })));
    }
    let then = match effective_at {
        Some(time) => {
            let shown = snapshot.position();
            let until = point_in_time::up_to(snapshot.db(), time).await.map_err(refused)?;
            Some(until.min(shown))
        }
        None => wanted,
    };
    let statement = if then.is_some() { sums_then(effective_at) } else { SUMS.to_owned() };
    let mut reading = sqlx::query_as(AssertSqlSafe(statement))
        .bind(ledger.unwrap_or(ALL_LEDGERS))
        .bind(filters.currency.map(Currency::code))
        .bind(filters.r#type.map(AccountType::name));
    if let Some(position) = then {
        reading = reading.bind(position.number()).bind(TRIAL_BALANCE_SEGMENT).bind(ledger);
    }
    if let Some(time) = effective_at {
        reading = reading.bind(time.datetime());
    }
    let rows: Vec<(String, String, WideMinor, WideMinor)> =
        reading.fetch_all(snapshot.db()).await.map_err(refused)?;
    let sums = rows.into_iter().map(Sum::try_from).collect::<Result<Vec<_>, Problem>>()?;
    let currencies = sums.chunk_by(|a, b| a.currency == b.currency).map(balance).collect();
    Ok(snapshot.answer(Json(TrialBalance { currencies })))
}

/// What took effect up to a time is what was recorded until then, less what of that is dated, more what is dated
/// until then.
fn sums_then(effective_at: Option<Timestamp>) -> String {
    let dated = effective_at.map(|_| {
        let table = "read.dated_ledger_sums where ledger = $1";
        format!("union all {}", rows_up_to("$7", "currency, type, debits, credits", table))
    });
    SUMS_THEN.replace("{dated}", &dated.unwrap_or_default())
}

impl TrialBalanceFilters {
    /// The position, where one is asked for.
    fn position(self) -> Result<Option<Position>, Problem> {
        point_in_time::only_one(&[
            ("position", self.position.is_some()),
            ("recorded_at", self.recorded_at.is_some()),
            ("effective_at", self.effective_at.is_some()),
        ])?;
        point_in_time::position(self.position)
    }

    /// The effective time, where one is asked for. Sums by it are kept for each ledger, not for all together.
    fn effective_at(self, ledger: Option<Uuid>) -> Result<Option<Timestamp>, Problem> {
        if self.effective_at.is_some() && ledger.is_none() {
            let detail = "required beside `effective_at`: the key sees several ledgers";
            let error = FieldError::of_parameter("ledger", MISSING_FIELD, detail);
            return Err(Problem::invalid(vec![error]));
        }
        Ok(self.effective_at.map(|EffectiveUntil(time)| time))
    }
}

struct Sum {
    currency: Currency,
    kind: String,
    debits: i128,
    credits: i128,
}

impl TryFrom<(String, String, WideMinor, WideMinor)> for Sum {
    type Error = Problem;

    fn try_from(
        (code, kind, debits, credits): (String, String, WideMinor, WideMinor),
    ) -> Result<Self, Problem> {
        Ok(Self { currency: currency(&code)?, kind, debits: debits.0, credits: credits.0 })
    }
}

/// The sums of one currency, put together.
fn balance(sums: &[Sum]) -> CurrencyBalance {
    assert!(!sums.is_empty(), "a chunk has a first element");
    let currency = sums[0].currency;
    let debits: i128 = sums.iter().map(|sum| sum.debits).sum();
    let credits: i128 = sums.iter().map(|sum| sum.credits).sum();
    let of_type = |sum: &Sum| TypeBalance {
        r#type: sum.kind.clone(),
        debits: wide_decimal(sum.debits, currency),
        credits: wide_decimal(sum.credits, currency),
    };
    CurrencyBalance {
        currency: currency.code().to_owned(),
        debits: wide_decimal(debits, currency),
        credits: wide_decimal(credits, currency),
        difference: wide_decimal(debits - credits, currency),
        types: sums.iter().map(of_type).collect(),
    }
}
