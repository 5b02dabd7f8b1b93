//! `GET /v1/ledger/trial-balance`

use api_conventions::{Caller, Problem, StrictQuery};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::Currency;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller_scope::{OwnerFilter, visible_to};
use crate::database::refused;
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
    group by currency, type
    order by currency, type";

/// Show the trial balance
///
/// Whether everything that was posted balances, at the position that the answer names.
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
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(SUMS)
        .bind(visible_to(&caller))
        .bind(filters.ledger.map(OwnerFilter::uuid))
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let sums = rows.into_iter().map(Sum::try_from).collect::<Result<Vec<_>, Problem>>()?;
    let currencies = sums.chunk_by(|a, b| a.currency == b.currency).map(balance).collect();
    Ok(snapshot.answer(Json(TrialBalance { currencies })))
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
