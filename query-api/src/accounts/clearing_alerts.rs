//! `GET /v1/ledger/clearing-alerts`

use api_conventions::{Caller, DecimalText, ListQuery, Page, PageParameters, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, MerchantId, Timestamp};
use event_store::log::WideMinor;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller_scope::{OwnerFilter, owner, visible_to};
use crate::database::refused;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{currency, decimal, timestamp};
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// An account that should have cleared and has not.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClearingAlert {
    /// The account.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: AccountId,
    /// The ledger it is in: its merchant's id; null for the platform's own.
    #[schema(value_type = Option<String>, required, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<MerchantId>,
    /// What the ledger calls it.
    #[schema(example = "psp_clearing:alpha:USD")]
    code: String,
    /// What is in it, positive on the side by which it grows.
    #[schema(value_type = String, example = "75.00")]
    balance: DecimalText,
    /// The currency of both amounts.
    #[schema(example = "USD")]
    currency: String,
    /// How far from zero the balance may stay.
    #[schema(value_type = String, example = "10.00")]
    threshold: DecimalText,
    /// For how many hours it may be further.
    #[schema(example = 48)]
    max_age_hours: i32,
    /// For how many hours it has been, rounded down.
    #[schema(example = 50)]
    age_hours: i64,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    uncleared_since: Timestamp,
}

/// Which alerts to list; all that the key may see where nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertFilters {
    /// The accounts of this merchant, or of the `platform` itself.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<OwnerFilter>,
}

/// The last account of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AfterAlert {
    since: i64,
    opened: i64,
}

#[derive(FromRow)]
struct AlertRow {
    account_id: Uuid,
    ledger: Uuid,
    code: String,
    balance_minor: WideMinor,
    currency: String,
    clearing_threshold_minor: i64,
    clearing_max_age_hours: i32,
    uncleared_since: OffsetDateTime,
    opened_position: i64,
    age_hours: i64,
}

const LIST: &str = "
    select account_id, ledger, code, balance_minor, currency, clearing_threshold_minor,
        clearing_max_age_hours, uncleared_since, opened_position,
        floor(extract(epoch from now - uncleared_since) / 3600)::bigint as age_hours
    from read.accounts, (select log_clock() as now) as clock
    where uncleared_since is not null
        and uncleared_since <= now - make_interval(hours => clearing_max_age_hours)
        and ($1::uuid is null or ledger = $1) and ($2::uuid is null or ledger = $2)
        and ($3::timestamptz is null or (uncleared_since, opened_position) > ($3, $4))
    order by uncleared_since, opened_position
    limit $5";

/// List clearing alerts
///
/// The accounts of which the balance has been further from zero than it may be for longer than it may be, the
/// oldest first. The gauge `runut_clearing_accounts_overdue` counts them.
#[utoipa::path(
    get, path = "/v1/ledger/clearing-alerts", tag = "ledger",
    params(AlertFilters, PageParameters),
    responses((status = 200, description = "A page", body = Page<ClearingAlert>))
)]
pub(crate) async fn list_clearing_alerts(
    State(api): State<ApiState>,
    caller: Caller,
    query: ListQuery<AlertFilters, AfterAlert>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let after = query.after.map(|after| Timestamp::from_micros(after.since).datetime());
    let rows: Vec<AlertRow> = sqlx::query_as(LIST)
        .bind(visible_to(&caller))
        .bind(query.filters.ledger.map(OwnerFilter::uuid))
        .bind(after)
        .bind(query.after.map(|after| after.opened))
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX))
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let keyed = rows.into_iter().map(|row| {
        let since = timestamp(row.uncleared_since).micros();
        let key = AfterAlert { since, opened: row.opened_position };
        Ok((key, row.shown()?))
    });
    let rows: Vec<(AfterAlert, ClearingAlert)> = keyed.collect::<Result<_, Problem>>()?;
    let page = Page::of(rows, query.limit, |(key, _)| *key, |(_, alert)| alert);
    Ok(snapshot.answer(Json(page)))
}

impl AlertRow {
    fn shown(self) -> Result<ClearingAlert, Problem> {
        let currency = currency(&self.currency)?;
        let uncleared_since = timestamp(self.uncleared_since);
        Ok(ClearingAlert {
            account: AccountId::from_uuid(self.account_id),
            ledger: owner(self.ledger),
            code: self.code,
            balance: decimal(self.balance_minor, currency),
            currency: self.currency,
            threshold: decimal(self.clearing_threshold_minor, currency),
            max_age_hours: self.clearing_max_age_hours,
            age_hours: self.age_hours,
            uncleared_since,
        })
    }
}
