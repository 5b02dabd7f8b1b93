//! `GET /v1/ledger/entries`

use api_conventions::{
    Caller, DecimalText, FieldError, INVALID_VALUE, ListQuery, Page, PageParameters, Problem,
};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, Currency, DisputeId, EntryId, PaymentId, Timestamp};
use serde::Deserialize;
use sqlx::FromRow;
use utoipa::IntoParams;

use super::{EntryRow, EntrySummary};
use crate::caller_scope::{ASKED_IS_SEEN, OwnerFilter, one_ledger, visible_to};
use crate::database::refused;
use crate::key_range::KeyRange;
use crate::ledgers::ids_named;
use crate::log::{TimeRange, demanded_before};
use crate::page_rows::PageRows;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// The most entries that are looked at for a page: some tens of milliseconds. Where few of them match, a page
/// has fewer rows than asked for, and the next one goes on behind them.
const ENTRIES_LOOKED_AT_MAX: i64 = 10_000;

/// Which entries to list; all where nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryFilters {
    /// The entry that its ledger calls so.
    #[param(example = "order-1042")]
    external_ref: Option<String>,
    /// The entries that post to this account.
    #[param(value_type = Option<String>, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: Option<AccountId>,
    /// The entries of this payment.
    #[param(value_type = Option<String>, example = "pay_01h455vb4pex5vsknk084sn02q")]
    payment: Option<PaymentId>,
    /// The entries of this dispute.
    #[param(value_type = Option<String>, example = "dsp_01h455vb4pex5vsknk084sn02q")]
    dispute: Option<DisputeId>,
    /// The entries that have this key in their metadata, with `metadata_value`.
    #[param(example = "order")]
    metadata_key: Option<String>,
    /// What is under `metadata_key`.
    #[param(example = "1042")]
    metadata_value: Option<String>,
    /// The entries with a posting of this amount, with `currency`.
    #[param(value_type = Option<String>, example = "10.00")]
    amount: Option<DecimalText>,
    /// The currency of `amount`.
    #[param(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
    /// Those that were meant for a day whose books were closed, if true.
    late: Option<bool>,
    /// The entries of this merchant, or of the `platform` itself.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<OwnerFilter>,
    /// Not recorded before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00Z")]
    from: Option<Timestamp>,
    /// Recorded before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-02-01T00:00:00Z")]
    to: Option<Timestamp>,
    /// Not effective before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00Z")]
    effective_from: Option<Timestamp>,
    /// Effective before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-02-01T00:00:00Z")]
    effective_to: Option<Timestamp>,
}

/// The positions that are looked at.
const IN_RANGE: &str = "position > $4 and position < $3";

/// Where positions of entries are looked for, each by an index of its own. All take the one ledger that is listed as
/// `$1`, the ledger asked for as `$2`, and the positions after `$4` and before `$3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Ids,
    Payment,
    Dispute,
    Metadata,
    Account,
    Late,
    Dated,
    All,
}

impl Source {
    fn of(filters: &EntryFilters) -> Self {
        if filters.external_ref.is_some() {
            Self::Ids
        } else if filters.payment.is_some() {
            Self::Payment
        } else if filters.dispute.is_some() {
            Self::Dispute
        } else if filters.metadata_key.is_some() {
            Self::Metadata
        } else if filters.account.is_some() {
            Self::Account
        } else if filters.late == Some(true) {
            Self::Late
        } else if filters.effective_from.is_some() || filters.effective_to.is_some() {
            Self::Dated
        } else {
            Self::All
        }
    }

    /// A statement for positions, the last first.
    fn positions(self, one_ledger: bool) -> String {
        let any = KeyRange::default();
        let ledger = || KeyRange::default().with("ledger", "$1");
        let entries = |range: &KeyRange, conditions: &str| {
            let conditions = format!("{conditions}{ASKED_IS_SEEN} and {IN_RANGE}");
            range.backwards("position", "read.entries", "position", &conditions)
        };
        match self {
            Self::Ids => entries(&any, "entry_id = any($5) and "),
            Self::Payment => entries(&any.with("payment_id", "$6"), ""),
            Self::Dispute => entries(&any.with("dispute_id", "$7"), ""),
            Self::Metadata => {
                let range = ledger().with("key", "$8").with("value", "$9");
                let conditions = format!("{ASKED_IS_SEEN} and {IN_RANGE}");
                range.backwards("position", "read.entry_metadata", "position", &conditions)
            }
            Self::Account => format!(
                "select distinct position from read.postings
                 where account_id = (select account_id from read.accounts
                         where account_id = $10 and ($1::uuid is null or ledger = $1))
                     and {ASKED_IS_SEEN} and {IN_RANGE}
                 order by position desc"
            ),
            Self::Late => entries(&ledger(), "late_for is not null and "),
            // What is not dated takes effect when it is recorded, and that is a range of positions. What is dated in
            // that range is looked at too: to leave it out would take as many looks.
            Self::Dated => {
                let dated = entries(&ledger(), "effective_at is not null and ");
                let recorded = entries(&ledger(), "position > $16 and position <= $17 and ");
                format!(
                    "select position from (({dated} limit $13) union ({recorded} limit $13))
                         as effective order by position desc"
                )
            }
            Self::All => entries(&if one_ledger { ledger() } else { any }, ""),
        }
    }

    /// Whether it finds entries only by their ledger.
    const fn needs_ledger(self) -> bool {
        matches!(self, Self::Metadata | Self::Late | Self::Dated)
    }
}

/// The positions first, as many as may be looked at; then what else is asked for. The row says how far was
/// looked, whether or not there is an entry in it.
const LIST: &str = "
    with looked_at as materialized (
        {positions} limit $13
    )
    select scan.looked_at_count, scan.looked_at_to, e.*
    from (
        select count(*) as looked_at_count, min(position) as looked_at_to from looked_at
    ) as scan
    left join (
        select entry.* from looked_at
        cross join lateral (
            select entry_id, ledger, external_ref, description, metadata, effective_at, late_for,
                payment_id, dispute_id, hold_id, replaces, reverses, reversals, reversed_by,
                posting_count, version, position, recorded_at, account_ids
            from read.entries where position = looked_at.position offset 0
        ) as entry
        where ($1::uuid is null or ledger = $1)
            and ($2::uuid is null or ledger = $2)
            and ($5::uuid[] is null or entry_id = any($5))
            and ($6::uuid is null or payment_id = $6)
            and ($7::uuid is null or dispute_id = $7)
            and ($8::text is null or metadata ->> $8 = $9)
            and ($10::uuid is null or account_ids @> array[$10])
            and ($11::timestamptz is null or coalesce(effective_at, recorded_at) >= $11)
            and ($12::timestamptz is null or coalesce(effective_at, recorded_at) < $12)
            and ($14::bigint is null or exists (
                select from unnest(account_ids) as named (account_id)
                cross join lateral (
                    select from read.postings
                    where postings.account_id = named.account_id
                        and postings.position = entry.position
                        and amount_minor = $14 and currency = $15
                    offset 0
                ) as posting))
            and ($18::boolean is null or (late_for is not null) = $18)
        order by position desc limit $19
    ) as e on true
    order by e.position desc";

#[derive(FromRow)]
struct Looked {
    looked_at_count: i64,
    looked_at_to: Option<i64>,
    position: Option<i64>,
}

/// List entries
///
/// The entries that the key may see, newest first, without their postings. For a filter by metadata,
/// by lateness or by effective time alone give the `ledger`, where the key sees several. Where few of many entries match, a
/// page may have fewer rows than `limit` and yet a `next_cursor`.
#[utoipa::path(
    get, path = "/v1/ledger/entries", tag = "ledger", params(EntryFilters, PageParameters),
    responses((status = 200, description = "A page", body = Page<EntrySummary>))
)]
pub(crate) async fn list_entries(
    State(api): State<ApiState>,
    caller: Caller,
    query: ListQuery<EntryFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let filters = &query.filters;
    let visible = visible_to(&caller);
    let ledger = filters.ledger.map(OwnerFilter::uuid);
    let source = Source::of(filters);
    let amount = filters.check(source, visible.or(ledger).is_some())?;
    let min = min.at_least(demanded_before(filters.to, &api).await?);
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let named = |ledger, text: &str| EntryId::of_recorded(ledger, text).uuid();
    let external_ref = filters.external_ref.as_deref();
    let ids = ids_named(snapshot.db(), external_ref, visible, ledger, named).await?;
    let db = snapshot.db();
    let range = TimeRange::between(filters.from, filters.to, db).await.map_err(refused)?;
    let effective = TimeRange::between(filters.effective_from, filters.effective_to, db).await;
    let effective = effective.map_err(refused)?;
    let before = query.after.unwrap_or(i64::MAX).min(range.up_to.number().saturating_add(1));
    let one_ledger = one_ledger(visible, ledger);
    let positions = source.positions(one_ledger.is_some());
    let listing = sqlx::query(PageRows::statement(&LIST.replace("{positions}", &positions)))
        .bind(one_ledger)
        .bind(ledger)
        .bind(before)
        .bind(range.after.number())
        .bind(ids)
        .bind(filters.payment.map(PaymentId::uuid))
        .bind(filters.dispute.map(DisputeId::uuid))
        .bind(&filters.metadata_key)
        .bind(&filters.metadata_value)
        .bind(filters.account.map(AccountId::uuid))
        .bind(filters.effective_from.map(Timestamp::datetime))
        .bind(filters.effective_to.map(Timestamp::datetime))
        .bind(ENTRIES_LOOKED_AT_MAX)
        .bind(amount)
        .bind(filters.currency.map(Currency::code))
        .bind(effective.after.number())
        .bind(effective.up_to.number())
        .bind(filters.late)
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX));
    let PageRows { rows, limit } = PageRows::read(listing, snapshot.db(), query.limit).await?;
    let mut looked_to = None;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let looked = Looked::from_row(row).map_err(refused)?;
        if looked.looked_at_count == ENTRIES_LOOKED_AT_MAX {
            looked_to = looked.looked_at_to;
        }
        if looked.position.is_some() {
            entries.push(EntryRow::from_row(row).map_err(refused)?);
        }
    }
    let mut page = Page::of(entries, limit, |row| row.position, EntrySummary::from);
    if page.next_cursor.is_none() {
        page.next_cursor = looked_to.map(|position| api_conventions::encode_cursor(&position));
    }
    Ok(snapshot.answer(Json(page)))
}

impl EntryFilters {
    /// What cannot be asked for alone; returns the amount in minor units.
    fn check(&self, source: Source, one_ledger: bool) -> Result<Option<i64>, Problem> {
        let missing = |parameter: &str, detail: &str| {
            let error = FieldError::of_parameter(parameter, INVALID_VALUE, detail);
            Err(Problem::invalid(vec![error]))
        };
        match (&self.metadata_key, &self.metadata_value) {
            (Some(_), None) => return missing("metadata_value", "required beside `metadata_key`"),
            (None, Some(_)) => return missing("metadata_key", "required beside `metadata_value`"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if source.needs_ledger() && !one_ledger {
            return missing("ledger", "required beside this filter: the key sees several ledgers");
        }
        match (&self.amount, self.currency) {
            (Some(amount), Some(currency)) => match amount.positive(currency) {
                Ok(amount) => Ok(Some(amount.minor())),
                Err(error) => missing("amount", &error.to_string()),
            },
            (Some(_), None) => missing("currency", "required beside `amount`"),
            (None, Some(_)) => missing("amount", "required beside `currency`"),
            (None, None) => Ok(None),
        }
    }
}
