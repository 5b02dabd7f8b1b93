//! `GET /v1/ledger/trial-balance`

use api_conventions::{Caller, Problem, StrictQuery};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::accounts::AccountType;
use domain::{Currency, Timestamp};
use event_store::log::Position;
use projections::TRIAL_BALANCE_SEGMENT;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller_scope::{OwnerFilter, visible_to};
use crate::database::refused;
use crate::log::point_in_time;
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

/// Sums are sent as texts, since they may exceed 64 bits.
const SUMS: &str = "
    select currency, type, sum(debits_posted)::text, sum(credits_posted)::text
    from read.trial_balance
    where ($1::uuid is null or ledger = $1) and ($2::uuid is null or ledger = $2)
        and ($3::text is null or currency = $3) and ($4::text is null or type = $4)
    group by currency, type
    order by currency, type";

/// The sums as they were: each row as it was at the end of the last segment before the position's, and what
/// the entries of that segment added up to the position. The mark of a row that did not change since is the
/// row itself. Postings are looked up entry by entry, each by one key.
const SUMS_THEN: &str = "
    with before as (
        select t.currency, t.type,
            case when t.position / $6 < $5 / $6 then t.debits_posted
                else coalesce(m.debits_posted, 0) end as debits,
            case when t.position / $6 < $5 / $6 then t.credits_posted
                else coalesce(m.credits_posted, 0) end as credits
        from read.trial_balance as t
        left join lateral (
            select debits_posted, credits_posted from read.trial_balance_marks as m
            where m.ledger = t.ledger and m.currency = t.currency and m.type = t.type
                and m.segment < $5 / $6
            order by m.segment desc limit 1
        ) as m on true
        where ($1::uuid is null or t.ledger = $1) and ($2::uuid is null or t.ledger = $2)
    ), since as (
        select p.currency, a.type,
            case p.direction when 'debit' then p.amount_minor else 0 end as debits,
            case p.direction when 'credit' then p.amount_minor else 0 end as credits
        from (
            select position, account_ids from read.entries
            where position >= ($5 / $6) * $6 and position <= $5
                and ($1::uuid is null or ledger = $1) and ($2::uuid is null or ledger = $2)
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
    select currency, type, sum(debits)::text, sum(credits)::text
    from (select * from before union all select * from since) as both_parts
    where ($3::text is null or currency = $3) and ($4::text is null or type = $4)
    group by currency, type
    having sum(debits) <> 0 or sum(credits) <> 0
    order by currency, type";

/// Show the trial balance
///
/// Whether everything that was posted balances: now, after any position, or at any time. Of one type of
/// accounts alone it need not.
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
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min.at_least(wanted)).await?;
    let then = match filters.recorded_at {
        Some(time) => {
            let shown = snapshot.position();
            let until = point_in_time::up_to(snapshot.db(), time).await.map_err(refused)?;
            Some(until.min(shown))
        }
        None => wanted,
    };
    let reading = sqlx::query_as(if then.is_some() { SUMS_THEN } else { SUMS })
        .bind(visible_to(&caller))
        .bind(filters.ledger.map(OwnerFilter::uuid))
        .bind(filters.currency.map(Currency::code))
        .bind(filters.r#type.map(AccountType::name));
    let reading = match then {
        Some(position) => reading.bind(position.number()).bind(TRIAL_BALANCE_SEGMENT),
        None => reading,
    };
    let rows: Vec<(String, String, String, String)> =
        reading.fetch_all(snapshot.db()).await.map_err(refused)?;
    let sums = rows.into_iter().map(Sum::try_from).collect::<Result<Vec<_>, Problem>>()?;
    let currencies = sums.chunk_by(|a, b| a.currency == b.currency).map(balance).collect();
    Ok(snapshot.answer(Json(TrialBalance { currencies })))
}

impl TrialBalanceFilters {
    /// The position, where one is asked for.
    fn position(self) -> Result<Option<Position>, Problem> {
        let (at, recorded_at) = (self.position.is_some(), self.recorded_at.is_some());
        point_in_time::only_one(&[("position", at), ("recorded_at", recorded_at)])?;
        point_in_time::position(self.position)
    }
}

struct Sum {
    currency: Currency,
    kind: String,
    debits: i128,
    credits: i128,
}

impl TryFrom<(String, String, String, String)> for Sum {
    type Error = Problem;

    fn try_from(
        (code, kind, debits, credits): (String, String, String, String),
    ) -> Result<Self, Problem> {
        let minor = |text: String| {
            text.parse().map_err(|error| Problem::internal(format_args!("sum `{text}`: {error}")))
        };
        let currency = currency(&code)?;
        Ok(Self { currency, kind, debits: minor(debits)?, credits: minor(credits)? })
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
