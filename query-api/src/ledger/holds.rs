//! `GET /v1/ledger/holds`, `GET /v1/ledger/holds/{id}`

use std::collections::BTreeMap;

use api_conventions::{
    Caller, DecimalText, IfNoneMatch, ListQuery, Page, PageParameters, PathId, Problem, StrictQuery,
};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::holds::HoldStatus;
use domain::{
    AccountId, DisputeId, EntryId, HoldId, MerchantId, PaymentId, StreamVersion, Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::types::Json as JsonColumn;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller_scope::{ASKED_IS_SEEN, OwnerFilter, one_ledger, owner, visible_to};
use crate::key_range::KeyRange;
use crate::ledgers::ids_named;
use crate::page_rows::PageRows;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{currency, decimal, timestamp};
use crate::shown::Shown;
use crate::snapshot::Snapshot;
use crate::state::{ApiState, NoParameters};

/// Money held between accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct Hold {
    /// Its id.
    #[schema(value_type = String, example = "hld_7h455vb4pex5vsknk084sn02q0")]
    id: HoldId,
    /// The ledger it is in: its merchant's id; null for the platform's own.
    #[schema(value_type = Option<String>, required, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<MerchantId>,
    /// What the ledger calls it.
    #[schema(example = "table-7")]
    external_ref: String,
    /// What it says of itself.
    #[schema(required, example = "Table 7")]
    description: Option<String>,
    /// What to find it by.
    #[schema(example = json!({"order": "1042"}))]
    metadata: BTreeMap<String, String>,
    /// The payment it belongs to.
    #[schema(value_type = Option<String>, required)]
    payment: Option<PaymentId>,
    /// The dispute it belongs to.
    #[schema(value_type = Option<String>, required)]
    dispute: Option<DisputeId>,
    /// `held`, `posted`, `voided` or `expired`.
    #[schema(example = "held")]
    status: String,
    /// When it ends by itself; null where it does not.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// What it held at first.
    postings: Vec<HeldPosting>,
    /// What it holds now.
    outstanding: Vec<HeldPosting>,
    /// The entries that posted it, or parts of it.
    #[schema(value_type = Vec<String>)]
    entries: Vec<EntryId>,
    /// 1, and one more with each step; its `ETag`.
    #[schema(example = 1)]
    version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// When anything of it changed last.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// One amount held on one side of one account.
#[derive(Serialize, ToSchema)]
pub(crate) struct HeldPosting {
    /// The account.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: AccountId,
    /// The side: `debit` or `credit`.
    #[schema(example = "debit")]
    direction: String,
    /// The amount, above zero.
    #[schema(value_type = String, example = "10.00")]
    amount: DecimalText,
    /// The account's currency.
    #[schema(example = "USD")]
    currency: String,
}

#[derive(FromRow)]
struct HoldRow {
    hold_id: Uuid,
    ledger: Uuid,
    external_ref: String,
    description: Option<String>,
    metadata: JsonColumn<BTreeMap<String, String>>,
    payment_id: Option<Uuid>,
    dispute_id: Option<Uuid>,
    status: String,
    expires_at: Option<OffsetDateTime>,
    postings: JsonColumn<Vec<StoredPosting>>,
    outstanding: JsonColumn<Vec<StoredPosting>>,
    entries: Vec<Uuid>,
    version: i64,
    recorded_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    position: i64,
}

#[derive(Deserialize)]
struct StoredPosting {
    account_id: AccountId,
    direction: String,
    amount_minor: i64,
    currency: String,
}

impl TryFrom<StoredPosting> for HeldPosting {
    type Error = Problem;

    fn try_from(stored: StoredPosting) -> Result<Self, Problem> {
        let amount = decimal(stored.amount_minor, currency(&stored.currency)?);
        let StoredPosting { account_id: account, direction, currency, .. } = stored;
        Ok(Self { account, direction, amount, currency })
    }
}

impl TryFrom<HoldRow> for Hold {
    type Error = Problem;

    fn try_from(row: HoldRow) -> Result<Self, Problem> {
        let shown = |postings: JsonColumn<Vec<StoredPosting>>| {
            postings.0.into_iter().map(HeldPosting::try_from).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            id: HoldId::from_uuid(row.hold_id),
            ledger: owner(row.ledger),
            external_ref: row.external_ref,
            description: row.description,
            metadata: row.metadata.0,
            payment: row.payment_id.map(PaymentId::from_uuid),
            dispute: row.dispute_id.map(DisputeId::from_uuid),
            status: row.status,
            expires_at: row.expires_at.map(timestamp),
            postings: shown(row.postings)?,
            outstanding: shown(row.outstanding)?,
            entries: row.entries.into_iter().map(EntryId::from_uuid).collect(),
            version: row.version,
            recorded_at: timestamp(row.recorded_at),
            updated_at: timestamp(row.updated_at),
        })
    }
}

/// Which holds to list; all where nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HoldFilters {
    /// The hold that its ledger calls so.
    #[param(example = "table-7")]
    external_ref: Option<String>,
    /// `held`, `posted`, `voided` or `expired`.
    #[param(value_type = Option<String>, example = "held")]
    status: Option<HoldStatus>,
    /// The holds on this account.
    #[param(value_type = Option<String>, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: Option<AccountId>,
    /// The holds of this merchant, or of the `platform` itself.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<OwnerFilter>,
}

/// The holds that a reference stands for, in as many ledgers as there are.
const NAMED: &str = "
    select position from read.holds
    where hold_id = any($3)
        and ($1::uuid is null or ledger = $1) and ($2::uuid is null or ledger = $2)
        and ($4::text is null or status = $4)
        and ($5::uuid is null or account_ids @> array[$5])
        and ($6::bigint is null or position < $6)
    order by position desc";

/// A hold is in the ledger of its accounts.
const ACCOUNT_IS_SEEN: &str = "
    exists (select from read.accounts
        where account_id = $5 and ($1::uuid is null or ledger = $1))";

/// The positions of a page first, each source by an index of its own, then their rows.
const LIST: &str = "
    select hold.*
    from ({positions} limit $7) as page
    cross join lateral (
        select hold_id, ledger, external_ref, description, metadata, payment_id, dispute_id, status,
            expires_at, postings, outstanding, entries, version, recorded_at, updated_at, position
        from read.holds where position = page.position offset 0
    ) as hold
    order by hold.position desc";

/// A statement for the positions of holds. It takes the ledger that is listed as `$1` and the one asked for as `$2`.
fn positions(filters: &HoldFilters, one_ledger: bool) -> String {
    if filters.external_ref.is_some() {
        return NAMED.to_owned();
    }
    let with_status = |range: KeyRange| match filters.status {
        Some(_) => range.with("status", "$4"),
        None => range,
    };
    let on_page = format!("{ASKED_IS_SEEN} and ($6::bigint is null or position < $6)");
    if filters.account.is_some() {
        let range = with_status(KeyRange::default().with("account_id", "$5"));
        let conditions = format!("{on_page} and {ACCOUNT_IS_SEEN}");
        return range.backwards("position", "read.account_holds", "position", &conditions);
    }
    let range = KeyRange::default();
    let range = with_status(if one_ledger { range.with("ledger", "$1") } else { range });
    range.backwards("position", "read.holds", "position", &on_page)
}

/// List holds
///
/// The holds that the key may see, newest first.
#[utoipa::path(
    get, path = "/v1/ledger/holds", tag = "ledger", params(HoldFilters, PageParameters),
    responses((status = 200, description = "A page", body = Page<Hold>))
)]
pub(crate) async fn list_holds(
    State(api): State<ApiState>,
    caller: Caller,
    query: ListQuery<HoldFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let HoldFilters { external_ref, status, account, ledger } = &query.filters;
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let visible = visible_to(&caller);
    let ledger = ledger.map(OwnerFilter::uuid);
    let named = |ledger, text: &str| HoldId::of_recorded(ledger, text).uuid();
    let ids = ids_named(snapshot.db(), external_ref.as_deref(), visible, ledger, named).await?;
    let one_ledger = one_ledger(visible, ledger);
    let positions = positions(&query.filters, one_ledger.is_some());
    let list = LIST.replace("{positions}", &positions);
    let listing = sqlx::query(PageRows::statement(&list))
        .bind(one_ledger)
        .bind(ledger)
        .bind(ids)
        .bind(status.map(HoldStatus::name))
        .bind(account.map(AccountId::uuid))
        .bind(query.after)
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX));
    let read = PageRows::read(listing, snapshot.db(), query.limit).await?;
    let keyed =
        read.of::<HoldRow>()?.into_iter().map(|row| Ok((row.position, Hold::try_from(row)?)));
    let rows: Vec<(i64, Hold)> = keyed.collect::<Result<_, Problem>>()?;
    let page = Page::of(rows, read.limit, |(position, _)| *position, |(_, hold)| hold);
    Ok(snapshot.answer(Json(page)))
}

const SHOW: &str = "
    select model.position as model_position, model.state as model_state,
        model.version as model_version, hold_id is not null as found, hold_id, ledger, external_ref,
        description, metadata, payment_id, dispute_id, status, expires_at, postings, outstanding,
        entries, hold.version, hold.recorded_at, hold.updated_at, hold.position
    from read.checkpoint as model
    left join read.holds as hold on hold_id = $2 and ($3::uuid is null or ledger = $3)
    where projection = $1";

/// Show a hold
///
/// The hold with what it holds and the entries that posted it.
#[utoipa::path(
    get, path = "/v1/ledger/holds/{id}", tag = "ledger",
    params(
        ("id" = String, Path, description = "The hold",
         example = "hld_7h455vb4pex5vsknk084sn02q0"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s that need no answer",
         example = "\"1\""),
    ),
    responses(
        (status = 200, description = "The hold", body = Hold,
         headers(("ETag" = String, description = "The hold's version"))),
        (status = 304, description = "It is as `If-None-Match` says"),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
    )
)]
pub(crate) async fn show_hold(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<HoldId>,
    StrictQuery(NoParameters {}): StrictQuery<NoParameters>,
    has: IfNoneMatch,
    min: MinPosition,
) -> Result<Response, Problem> {
    let model = ReadModel::LedgerBalance;
    let Shown { row, standing } =
        Shown::<HoldRow>::by_key(SHOW, id.uuid(), model, &api, &caller, min).await?;
    let Some(row) = row else { return Ok(standing.said_in(Problem::not_found())) };
    let version = StreamVersion::from_number(row.version);
    Ok(standing.said_in(has.answer(version, Hold::try_from(row)?)))
}
