//! `GET /v1/accounts/{id}/rollup`

use api_conventions::{Caller, PathId, Problem, StrictQuery, problem_kinds as kinds};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::AccountId;
use event_store::log::WideMinor;
use serde::Serialize;
use utoipa::ToSchema;

use crate::caller_scope::visible_to;
use crate::database::refused;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{currency, wide_decimal};
use crate::snapshot::Snapshot;
use crate::state::{ApiState, NoParameters};

/// An account together with all accounts below it in the chart of accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rollup {
    /// The account at the top.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: AccountId,
    /// One for each currency that any of the accounts holds, in the order of the codes.
    currencies: Vec<CurrencyRollup>,
}

/// The accounts of one currency, added up.
#[derive(Serialize, ToSchema)]
pub(crate) struct CurrencyRollup {
    /// The upper-case ISO 4217 code.
    #[schema(example = "USD")]
    currency: String,
    /// How many accounts.
    #[schema(example = 3)]
    accounts: i64,
    /// Their balances, on the side by which the account at the top grows; contra accounts count against it.
    #[schema(example = "75.00")]
    balance: String,
    /// All debits.
    #[schema(example = "100.00")]
    debits: String,
    /// All credits.
    #[schema(example = "25.00")]
    credits: String,
}

/// Currency, number of accounts, the side by which the top grows, debits and credits.
type SumRow = (String, i64, String, WideMinor, WideMinor);

/// The most accounts that are added up: some tenths of a second.
const ACCOUNTS_ADDED_UP_MAX: i64 = 50_000;

/// A chart has few levels, each found by the index over parents, of which nobody knows how many accounts each has: as
/// a range they are taken to be few, and the index is used. No more is read than may be added up, and one more, which
/// tells that there are too many.
const ROLLUP: &str = "
    with recursive below as (
        select account_id, currency, debits_posted, credits_posted, normal_side as top_side
        from read.accounts where account_id = $1 and ($2::uuid is null or ledger = $2)
        union all
        select a.account_id, a.currency, a.debits_posted, a.credits_posted, below.top_side
        from below cross join lateral (
            select account_id, currency, debits_posted, credits_posted from read.accounts
            where parent between below.account_id and below.account_id offset 0
        ) as a
    )
    select currency, count(*), top_side, sum(debits_posted), sum(credits_posted)
    from (select * from below limit $3) as counted
    group by currency, top_side order by currency";

/// Add up an account and those below it
///
/// The balances of an account and of all accounts below it in the chart of accounts, by currency: of at most 50,000
/// accounts. Where there are more, ask for the accounts below one by one.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/rollup", tag = "accounts",
    params(
        ("id" = String, Path, description = "The account at the top",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
    ),
    responses(
        (status = 200, description = "The sums", body = Rollup),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
        (status = 422, description = "`too-many-accounts`: more than are added up at once; \
                                      `invalid-request` with the parameter that is wrong, \
                                      `position-beyond-head`"),
    )
)]
pub(crate) async fn show_rollup(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
    StrictQuery(NoParameters {}): StrictQuery<NoParameters>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let rows: Vec<SumRow> = sqlx::query_as(ROLLUP)
        .bind(id.uuid())
        .bind(visible_to(&caller))
        .bind(ACCOUNTS_ADDED_UP_MAX + 1)
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    if rows.is_empty() {
        return Ok(snapshot.answer(Problem::not_found()));
    }
    if rows.iter().map(|(_, accounts, ..)| accounts).sum::<i64>() > ACCOUNTS_ADDED_UP_MAX {
        let detail = format_args!("it has {ACCOUNTS_ADDED_UP_MAX} accounts below it, or more");
        return Err(Problem::new(kinds::TOO_MANY_ACCOUNTS, detail));
    }
    let currencies = rows.into_iter().map(added_up).collect::<Result<_, _>>()?;
    Ok(snapshot.answer(Json(Rollup { account: id, currencies })))
}

fn added_up(
    (code, accounts, top_side, WideMinor(debits), WideMinor(credits)): SumRow,
) -> Result<CurrencyRollup, Problem> {
    let currency = currency(&code)?;
    let balance = if top_side == "debit" { debits - credits } else { credits - debits };
    Ok(CurrencyRollup {
        currency: code,
        accounts,
        balance: wide_decimal(balance, currency),
        debits: wide_decimal(debits, currency),
        credits: wide_decimal(credits, currency),
    })
}
