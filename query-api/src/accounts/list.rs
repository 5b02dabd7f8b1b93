//! `GET /v1/accounts`

use api_conventions::{Caller, ListQuery, Page, PageParameters, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::accounts::{AccountStatus, AccountType};
use domain::{AccountId, Currency};
use serde::Deserialize;
use sqlx::FromRow;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Account, AccountRow};
use crate::caller_scope::{ASKED_IS_SEEN, OwnerFilter, one_ledger, visible_to};
use crate::database::refused;
use crate::key_range::KeyRange;
use crate::ledgers::ids_named;
use crate::page_rows::PageRows;
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

/// The most accounts that are looked at for a page where no index has all that is asked for: some tens of
/// milliseconds. Where few of them match, a page has fewer rows than asked for, and the next one goes on behind them.
const ACCOUNTS_LOOKED_AT_MAX: i64 = 10_000;

/// The positions first, as many as may be looked at; then what else is asked for. The row says how far was looked,
/// whether or not there is an account in it.
const LIST: &str = "
    with looked_at as materialized ({positions} limit $11)
    select scan.looked_at_count, scan.looked_at_to, a.*
    from (
        select count(*) as looked_at_count, min(opened_position) as looked_at_to from looked_at
    ) as scan
    left join (
        select account.* from looked_at
        cross join lateral (
            select account_id, ledger, code, name, type, normal_side, currency, parent, metadata,
                status, min_balance_minor, max_balance_minor, clearing_threshold_minor,
                clearing_max_age_hours, uncleared_since, balance_minor, debits_posted,
                credits_posted, debits_pending, credits_pending, version, opened_at,
                opened_position, updated_at, updated_position
            from read.accounts where opened_position = looked_at.opened_position offset 0
        ) as account
        where ($1::uuid is null or ledger = $1)
            and ($2::uuid is null or ledger = $2)
            and ($3::uuid[] is null or account_id = any($3))
            and ($4::text is null or type = $4)
            and ($5::text is null or currency = $5)
            and ($6::text is null or status = $6)
            and ($7::uuid is null or parent = $7)
            and ($8::boolean is null or (uncleared_since is not null) = $8)
        order by opened_position desc limit $10
    ) as a on true
    order by a.opened_position desc";

/// Accounts are in the ledger of the one above them.
const PARENT_IS_SEEN: &str = "
    exists (select from read.accounts
        where account_id = $7 and ($1::uuid is null or ledger = $1)) and ";

#[derive(FromRow)]
struct Looked {
    looked_at_count: i64,
    looked_at_to: Option<i64>,
    account_id: Option<Uuid>,
}

/// Where accounts are looked for.
struct Source {
    /// A statement for positions, the last first.
    positions: String,
    /// Whether all that is asked for is in it.
    exact: bool,
}

impl Source {
    fn of(filters: &AccountFilters, one_ledger: bool) -> Self {
        let AccountFilters { code, r#type, currency, status, ledger: _, parent, uncleared } =
            filters;
        let given = [r#type.is_some(), currency.is_some(), status.is_some(), uncleared.is_some()];
        let others = given.into_iter().filter(|given| *given).count();
        let any = KeyRange::default;
        let in_ledger = if one_ledger { any().with("ledger", "$1") } else { any() };
        let (range, condition, exact) = if code.is_some() {
            (any(), "account_id = any($3) and ", others == 0 && parent.is_none())
        } else if parent.is_some() {
            (any().with("parent", "$7"), PARENT_IS_SEEN, others == 0)
        } else if *uncleared == Some(true) {
            (in_ledger, "uncleared_since is not null and ", others == 1)
        } else if one_ledger && r#type.is_some() {
            (in_ledger.with("type", "$4"), "", others == 1)
        } else if one_ledger && currency.is_some() {
            (in_ledger.with("currency", "$5"), "", others == 1)
        } else if one_ledger && status.is_some() {
            (in_ledger.with("status", "$6"), "", others == 1)
        } else {
            (in_ledger, "", others == 0)
        };
        let on_page =
            format!("{condition}{ASKED_IS_SEEN} and ($9::bigint is null or opened_position < $9)");
        let positions =
            range.backwards("opened_position", "read.accounts", "opened_position", &on_page);
        Self { positions, exact }
    }
}

/// List accounts
///
/// The accounts that the key may see, those opened last first. Where few of many accounts match several filters, a
/// page may have fewer rows than `limit` and yet a `next_cursor`.
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
    let one_ledger = one_ledger(visible, ledger);
    let Source { positions, exact } = Source::of(&query.filters, one_ledger.is_some());
    let wanted = i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX);
    let looks = if exact { wanted } else { ACCOUNTS_LOOKED_AT_MAX };
    let listing = sqlx::query(PageRows::statement(&LIST.replace("{positions}", &positions)))
        .bind(one_ledger)
        .bind(ledger)
        .bind(ids)
        .bind(r#type.map(AccountType::name))
        .bind(currency.map(Currency::code))
        .bind(status.map(AccountStatus::name))
        .bind(parent.map(AccountId::uuid))
        .bind(uncleared)
        .bind(query.after)
        .bind(wanted)
        .bind(looks);
    let PageRows { rows, limit } = PageRows::read(listing, snapshot.db(), query.limit).await?;
    let mut looked_to = None;
    let mut accounts = Vec::with_capacity(rows.len());
    for row in &rows {
        let looked = Looked::from_row(row).map_err(refused)?;
        if !exact && looked.looked_at_count == looks {
            looked_to = looked.looked_at_to;
        }
        if looked.account_id.is_some() {
            let row = AccountRow::from_row(row).map_err(refused)?;
            accounts.push((row.opened_position, Account::try_from(row)?));
        }
    }
    let mut page = Page::of(accounts, limit, |(opened, _)| *opened, |(_, account)| account);
    if page.next_cursor.is_none() {
        page.next_cursor = looked_to.map(|position| api_conventions::encode_cursor(&position));
    }
    Ok(snapshot.answer(Json(page)))
}
