//! `GET /v1/ledger/closes`, `GET /v1/ledger/closes/months`

use api_conventions::{Caller, ListQuery, Page, PageParameters, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::books::CurrencyTotals;
use domain::{Day, MerchantId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::types::Json as JsonColumn;
use sqlx::{AssertSqlSafe, FromRow};
use time::{Date, OffsetDateTime};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller_scope::{ASKED_IS_SEEN, OwnerFilter, one_ledger, owner, visible_to};
use crate::database::refused;
use crate::key_range::KeyRange;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{timestamp, wide_decimal};
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// A day of the books that was cut off, and closed.
#[derive(Serialize, ToSchema)]
pub(crate) struct DayClose {
    /// The ledger: its merchant's id; null for the platform's own.
    #[schema(value_type = Option<String>, required, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<MerchantId>,
    /// The day, in UTC.
    #[schema(value_type = String, example = "2026-11-20")]
    day: Day,
    /// `closing` or `closed`.
    #[schema(example = "closed")]
    status: &'static str,
    /// When it was cut off: nothing recorded later takes effect on it.
    #[schema(value_type = String, format = DateTime)]
    cut_off_at: Timestamp,
    /// The position of that.
    #[schema(example = 40)]
    cut_off_position: i64,
    /// When it was closed; null while it is being closed, as all below.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    closed_at: Option<Timestamp>,
    /// How many accounts have a balance at its end.
    #[schema(required, example = 2)]
    accounts: Option<i64>,
    /// The sums of those balances, by currency.
    #[schema(required)]
    totals: Option<Vec<BalanceTotals>>,
    /// The digest of the close before; null on the first.
    #[schema(required)]
    previous: Option<String>,
    /// SHA-256 over all balances at its end and `previous`.
    #[schema(required)]
    digest: Option<String>,
}

/// The balances of a currency, added up.
#[derive(Serialize, ToSchema)]
pub(crate) struct BalanceTotals {
    /// The upper-case ISO 4217 code.
    #[schema(example = "USD")]
    currency: String,
    /// The sum of all debit balances.
    #[schema(example = "100.00")]
    debit_balances: String,
    /// The sum of all credit balances: the same.
    #[schema(example = "100.00")]
    credit_balances: String,
}

/// A month of the books that was closed with its last day.
#[derive(Serialize, ToSchema)]
pub(crate) struct MonthClose {
    /// The ledger: its merchant's id; null for the platform's own.
    #[schema(value_type = Option<String>, required, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<MerchantId>,
    /// The month.
    #[schema(example = "2026-11")]
    month: String,
    /// The digest of its last day.
    digest: String,
    /// When it was closed.
    #[schema(value_type = String, format = DateTime)]
    closed_at: Timestamp,
}

#[derive(FromRow)]
struct DayRow {
    ledger: Uuid,
    day: Date,
    cut_off_at: OffsetDateTime,
    cut_off_position: i64,
    closed_at: Option<OffsetDateTime>,
    accounts: Option<i64>,
    totals: Option<JsonColumn<Vec<CurrencyTotals>>>,
    previous: Option<String>,
    digest: Option<String>,
}

impl Close for DayRow {
    const COLUMNS: &'static str = "ledger, day, cut_off_at, cut_off_position, closed_at, accounts, \
        totals, previous, digest";
    const TABLE: &'static str = "read.day_closes";
    const POSITION: &'static str = "cut_off_position";
    type Shown = DayClose;

    fn position(&self) -> i64 {
        self.cut_off_position
    }

    fn shown(self) -> Result<DayClose, Problem> {
        let totals = self.totals.map(|JsonColumn(totals)| {
            totals.into_iter().map(BalanceTotals::try_from).collect::<Result<Vec<_>, _>>()
        });
        let midnight = self.day.midnight().assume_utc();
        Ok(DayClose {
            ledger: owner(self.ledger),
            day: Day::of(timestamp(midnight)),
            status: if self.closed_at.is_some() { "closed" } else { "closing" },
            cut_off_at: timestamp(self.cut_off_at),
            cut_off_position: self.cut_off_position,
            closed_at: self.closed_at.map(timestamp),
            accounts: self.accounts,
            totals: totals.transpose()?,
            previous: self.previous,
            digest: self.digest,
        })
    }
}

impl TryFrom<CurrencyTotals> for BalanceTotals {
    type Error = Problem;

    fn try_from(totals: CurrencyTotals) -> Result<Self, Problem> {
        let CurrencyTotals { currency, debit_minor, credit_minor } = totals;
        let decimal = |minor: String| -> Result<String, Problem> {
            let minor: i128 = minor
                .parse()
                .map_err(|error| Problem::internal(format_args!("sum `{minor}`: {error}")))?;
            Ok(wide_decimal(minor, currency))
        };
        Ok(Self {
            currency: currency.code().to_owned(),
            debit_balances: decimal(debit_minor)?,
            credit_balances: decimal(credit_minor)?,
        })
    }
}

/// Which closes to list; all that the key may see where nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CloseFilters {
    /// The closes of this merchant, or of the `platform` itself.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<OwnerFilter>,
}

/// A row of a list of closes, which are listed by their positions, the last first.
trait Close: for<'r> FromRow<'r, PgRow> + Send + Unpin {
    const COLUMNS: &'static str;
    const TABLE: &'static str;
    const POSITION: &'static str;
    type Shown: Serialize;

    fn position(&self) -> i64;

    fn shown(self) -> Result<Self::Shown, Problem>;
}

async fn list<C: Close>(
    api: &ApiState,
    caller: &Caller,
    query: &ListQuery<CloseFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, api, min).await?;
    let asked = query.filters.ledger.map(OwnerFilter::uuid);
    let ledger = one_ledger(visible_to(caller), asked);
    let range = KeyRange::default();
    let range = if ledger.is_some() { range.with("ledger", "$1") } else { range };
    let on_page = format!("{ASKED_IS_SEEN} and ($3::bigint is null or {} < $3)", C::POSITION);
    let page = range.backwards(C::COLUMNS, C::TABLE, C::POSITION, &on_page);
    let rows: Vec<C> = sqlx::query_as(AssertSqlSafe(format!("{page} limit $4")))
        .bind(ledger)
        .bind(asked)
        .bind(query.after)
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX))
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let keyed = rows.into_iter().map(|row| Ok((row.position(), row.shown()?)));
    let rows: Vec<(i64, C::Shown)> = keyed.collect::<Result<_, Problem>>()?;
    let page = Page::of(rows, query.limit, |(position, _)| *position, |(_, close)| close);
    Ok(snapshot.answer(Json(page)))
}

/// List closed days
///
/// The days of the books that were cut off, the last first: each with the digest of its balances, which
/// `replay-tool verify` works out again from the log.
#[utoipa::path(
    get, path = "/v1/ledger/closes", tag = "ledger", params(CloseFilters, PageParameters),
    responses((status = 200, description = "A page", body = Page<DayClose>))
)]
pub(crate) async fn list_closes(
    State(api): State<ApiState>,
    caller: Caller,
    query: ListQuery<CloseFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    list::<DayRow>(&api, &caller, &query, min).await
}

#[derive(FromRow)]
struct MonthRow {
    ledger: Uuid,
    month: String,
    digest: String,
    closed_at: OffsetDateTime,
    closed_position: i64,
}

impl Close for MonthRow {
    const COLUMNS: &'static str = "ledger, month, digest, closed_at, closed_position";
    const TABLE: &'static str = "read.month_closes";
    const POSITION: &'static str = "closed_position";
    type Shown = MonthClose;

    fn position(&self) -> i64 {
        self.closed_position
    }

    fn shown(self) -> Result<MonthClose, Problem> {
        Ok(MonthClose {
            ledger: owner(self.ledger),
            month: self.month,
            digest: self.digest,
            closed_at: timestamp(self.closed_at),
        })
    }
}

/// List closed months
///
/// The months of the books that were closed, the last first.
#[utoipa::path(
    get, path = "/v1/ledger/closes/months", tag = "ledger", params(CloseFilters, PageParameters),
    responses((status = 200, description = "A page", body = Page<MonthClose>))
)]
pub(crate) async fn list_month_closes(
    State(api): State<ApiState>,
    caller: Caller,
    query: ListQuery<CloseFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    list::<MonthRow>(&api, &caller, &query, min).await
}
