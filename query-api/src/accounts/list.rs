//! `GET /v1/accounts`

use api_conventions::{Caller, ListQuery, Page, PageParameters, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::accounts::{AccountStatus, AccountType};
use domain::{AccountId, Currency};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Account, AccountRow};
use crate::caller_scope::{OwnerFilter, visible_to};
use crate::database::refused;
use crate::ledgers::ids_named;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// Which accounts to list; all where nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountFilters {
    /// The account that its ledger calls so.
    #[param(example = "cash")]
    code: Option<String>,
    /// `asset`, `liability`, `equity`, `income` or `expense`.
    #[param(value_type = Option<String>, example = "asset")]
    r#type: Option<AccountType>,
    /// The upper-case ISO 4217 code.
    #[param(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
    /// `open`, `frozen` or `closed`.
    #[param(value_type = Option<String>, example = "open")]
    status: Option<AccountStatus>,
    /// The accounts of this merchant, or of the `platform` itself.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<OwnerFilter>,
    /// The accounts right below this one.
    #[param(value_type = Option<String>)]
    parent: Option<AccountId>,
    /// Those that should clear and have not, if true.
    uncleared: Option<bool>,
}

const LIST: &str = "
    select account_id, ledger, code, name, type, normal_side, currency, parent, metadata,
        status, min_balance_minor, max_balance_minor, clearing_threshold_minor,
        clearing_max_age_hours, uncleared_since, balance_minor, debits_posted, credits_posted,
        debits_pending, credits_pending, version, opened_at, opened_position, updated_at,
        updated_position
    from read.accounts
    where ($1::uuid is null or ledger = $1)
        and ($2::uuid is null or ledger = $2)
        and ($3::uuid[] is null or account_id = any($3))
        and ($4::text is null or type = $4)
        and ($5::text is null or currency = $5)
        and ($6::text is null or status = $6)
        and ($7::uuid is null or parent = $7)
        and ($8::boolean is null or (uncleared_since is not null) = $8)
        and ($9::bigint is null or opened_position < $9)
    order by opened_position desc
    limit $10";

/// List accounts
///
/// The accounts that the key may see, those opened last first.
#[utoipa::path(
    get, path = "/v1/accounts", tag = "accounts", params(AccountFilters, PageParameters),
    responses((status = 200, description = "A page", body = Page<Account>))
)]
pub(crate) async fn list_accounts(
    State(api): State<ApiState>,
    caller: Caller,
    query: ListQuery<AccountFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let AccountFilters { code, r#type, currency, status, ledger, parent, uncleared } =
        &query.filters;
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let visible = visible_to(&caller);
    let ledger = ledger.map(OwnerFilter::uuid);
    let named = |ledger, text: &str| AccountId::of_recorded(ledger, text).uuid();
    let ids = ids_named(snapshot.db(), code.as_deref(), visible, ledger, named).await?;
    let rows: Vec<AccountRow> = sqlx::query_as(LIST)
        .bind(visible)
        .bind(ledger)
        .bind(ids)
        .bind(r#type.map(AccountType::name))
        .bind(currency.map(Currency::code))
        .bind(status.map(AccountStatus::name))
        .bind(parent.map(AccountId::uuid))
        .bind(uncleared)
        .bind(query.after)
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX))
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let keyed = rows.into_iter().map(|row| Ok((row.opened_position, Account::try_from(row)?)));
    let rows: Vec<(i64, Account)> = keyed.collect::<Result<_, Problem>>()?;
    let page = Page::of(rows, query.limit, |(opened, _)| *opened, |(_, account)| account);
    Ok(snapshot.answer(Json(page)))
}
