//! The table `accounts`: read and written as a set.

use std::collections::{BTreeMap, HashMap};

use domain::accounts::{AccountAmended, AccountStatus, ClearingTerms, Totals};
use domain::{AccountId, Timestamp};
use event_store::log::WideMinor;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::batch::{AccountState, Batch, metadata_json};
use crate::projection::ApplyError;

/// The accounts of those ids that there are.
pub(super) async fn read(
    db: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<AccountId, AccountState>, ApplyError> {
    let rows = sqlx::query(
        "select account_id, ledger, type, currency, debits_posted, credits_posted, debits_pending, \
             credits_pending, normal_side, clearing_threshold_minor, clearing_max_age_hours, \
             uncleared_since \
         from accounts where account_id = any($1)",
    )
    .bind(ids)
    .fetch_all(db)
    .await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &PgRow) -> Result<(AccountId, AccountState), ApplyError> {
    let id = AccountId::from_uuid(row.try_get(0)?);
    let garbled =
        |column: &str| ApplyError::contradiction(format!("account {id} has a garbled {column}"));
    let (kind, currency): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
    let normal_side: &str = row.try_get(8)?;
    let threshold: Option<i64> = row.try_get(9)?;
    let hours: Option<i32> = row.try_get(10)?;
    let clearing = threshold.zip(hours).map(|(threshold, hours)| {
        let hours = u32::try_from(hours).unwrap_or_default();
        ClearingTerms::new(threshold, hours).map_err(|_| garbled("clearing threshold"))
    });
    let total = |column: usize| row.try_get(column).map(|WideMinor(minor)| minor);
    let state = AccountState {
        ledger: domain::MerchantId::from_uuid(row.try_get(1)?),
        kind: kind.parse().map_err(|_| garbled("type"))?,
        currency: currency.parse().map_err(|_| garbled("currency"))?,
        totals: Totals {
            debits_posted: total(4)?,
            credits_posted: total(5)?,
            debits_pending: total(6)?,
            credits_pending: total(7)?,
        },
        normal_side: normal_side.parse().map_err(|_| garbled("normal side"))?,
        clearing: clearing.transpose()?,
        uncleared_since: row
            .try_get::<Option<OffsetDateTime>, _>(11)?
            .map(Timestamp::from_datetime),
        status: None,
        version: None,
        updated: None,
    };
    Ok((id, state))
}

const INSERT_OPENED: &str = "
    insert into accounts (account_id, ledger, code, name, type, normal_side, currency, parent, depth,
        metadata, min_balance_minor, max_balance_minor, clearing_threshold_minor,
        clearing_max_age_hours, status, version, opened_at, opened_position, updated_at,
        updated_position, debits_posted, credits_posted, debits_pending, credits_pending,
        balance_minor, uncleared_since)
    select account_id, ledger, code, name, type, normal_side, currency, parent, depth,
        metadata::json, min_balance_minor, max_balance_minor, clearing_threshold_minor,
        clearing_max_age_hours, status, version, opened_at, opened_position, updated_at,
        updated_position, debits_posted, credits_posted, debits_pending, credits_pending,
        balance_minor, uncleared_since
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::uuid[], $9::smallint[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::integer[], $15::text[], $16::bigint[], $17::timestamptz[], $18::bigint[],
        $19::timestamptz[], $20::bigint[], $21::numeric[], $22::numeric[], $23::numeric[],
        $24::numeric[], $25::numeric[], $26::timestamptz[])
        as a (account_id, ledger, code, name, type, normal_side, currency, parent, depth, metadata,
            min_balance_minor, max_balance_minor, clearing_threshold_minor, clearing_max_age_hours,
            status, version, opened_at, opened_position, updated_at, updated_position,
            debits_posted, credits_posted, debits_pending, credits_pending, balance_minor,
            uncleared_since)";

/// Inserts the accounts that the batch opens, as they stand at its end.
pub(super) async fn insert_opened(
    db: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<(), ApplyError> {
    if batch.opened.is_empty() {
        return Ok(());
    }
    let opened = &batch.opened;
    let events = || opened.iter().map(|opened| opened.event);
    let states: Vec<&AccountState> =
        events().filter_map(|event| batch.accounts.get(&event.account_id)).collect();
    assert_eq!(states.len(), opened.len(), "an opened account has a state");
    let columns = ChangedColumns::of(states.iter().copied());
    let metadata: Result<Vec<_>, _> =
        events().map(|event| metadata_json(&event.metadata)).collect();
    sqlx::query(INSERT_OPENED)
        .bind(events().map(|event| event.account_id.uuid()).collect::<Vec<_>>())
        .bind(events().map(|event| event.ledger.uuid()).collect::<Vec<_>>())
        .bind(events().map(|event| event.code.as_str()).collect::<Vec<_>>())
        .bind(
            events().map(|event| event.name.as_ref().map(domain::Name::as_str)).collect::<Vec<_>>(),
        )
        .bind(events().map(|event| event.kind.name()).collect::<Vec<_>>())
        .bind(states.iter().map(|state| state.normal_side.name()).collect::<Vec<_>>())
        .bind(events().map(|event| event.currency.code()).collect::<Vec<_>>())
        .bind(events().map(|event| event.parent.map(AccountId::uuid)).collect::<Vec<_>>())
        .bind(events().map(|event| i16::from(event.depth)).collect::<Vec<_>>())
        .bind(metadata?)
        .bind(events().map(|event| event.min_balance_minor).collect::<Vec<_>>())
        .bind(events().map(|event| event.max_balance_minor).collect::<Vec<_>>())
        .bind(events().map(|event| threshold(event.clearing)).collect::<Vec<_>>())
        .bind(events().map(|event| hours(event.clearing)).collect::<Vec<_>>())
        .bind(columns.statuses)
        .bind(columns.versions)
        .bind(opened.iter().map(|opened| opened.at.datetime()).collect::<Vec<_>>())
        .bind(opened.iter().map(|opened| opened.position.number()).collect::<Vec<_>>())
        .bind(columns.updated_at)
        .bind(columns.updated_positions)
        .bind(columns.debits)
        .bind(columns.credits)
        .bind(columns.debits_pending)
        .bind(columns.credits_pending)
        .bind(columns.balances)
        .bind(columns.uncleared)
        .execute(db)
        .await?;
    Ok(())
}

const UPDATE_CHANGED: &str = "
    update accounts set
        status = coalesce(changed.status, accounts.status),
        version = coalesce(changed.version, accounts.version),
        updated_at = changed.updated_at,
        updated_position = changed.updated_position,
        debits_posted = changed.debits_posted,
        credits_posted = changed.credits_posted,
        debits_pending = changed.debits_pending,
        credits_pending = changed.credits_pending,
        balance_minor = changed.balance_minor,
        uncleared_since = changed.uncleared_since
    from unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::bigint[],
        $6::numeric[], $7::numeric[], $8::numeric[], $9::numeric[], $10::numeric[],
        $11::timestamptz[])
        as changed (account_id, status, version, updated_at, updated_position, debits_posted,
            credits_posted, debits_pending, credits_pending, balance_minor, uncleared_since)
    where accounts.account_id = changed.account_id";

/// Updates the accounts that were there before the batch and are changed by it.
pub(super) async fn update_changed(
    db: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<(), ApplyError> {
    let opened: std::collections::HashSet<AccountId> =
        batch.opened.iter().map(|opened| opened.event.account_id).collect();
    let (ids, states): (Vec<Uuid>, Vec<&AccountState>) = batch
        .accounts
        .iter()
        .filter(|(id, state)| state.updated.is_some() && !opened.contains(id))
        .map(|(id, state)| (id.uuid(), state))
        .unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let count = ids.len();
    let columns = ChangedColumns::of(states.into_iter());
    let updated = sqlx::query(UPDATE_CHANGED)
        .bind(ids)
        .bind(columns.statuses)
        .bind(columns.versions)
        .bind(columns.updated_at)
        .bind(columns.updated_positions)
        .bind(columns.debits)
        .bind(columns.credits)
        .bind(columns.debits_pending)
        .bind(columns.credits_pending)
        .bind(columns.balances)
        .bind(columns.uncleared)
        .execute(db)
        .await?
        .rows_affected();
    if updated != count as u64 {
        let reason = "accounts vanished between reading and updating them";
        return Err(ApplyError::contradiction(reason));
    }
    Ok(())
}

/// The columns of accounts that events change.
#[derive(Default)]
struct ChangedColumns {
    statuses: Vec<Option<&'static str>>,
    versions: Vec<Option<i64>>,
    updated_at: Vec<Option<OffsetDateTime>>,
    updated_positions: Vec<Option<i64>>,
    debits: Vec<WideMinor>,
    credits: Vec<WideMinor>,
    debits_pending: Vec<WideMinor>,
    credits_pending: Vec<WideMinor>,
    balances: Vec<WideMinor>,
    uncleared: Vec<Option<OffsetDateTime>>,
}

impl ChangedColumns {
    fn of<'a>(states: impl Iterator<Item = &'a AccountState>) -> Self {
        let mut columns = Self::default();
        for state in states {
            columns.statuses.push(state.status.map(AccountStatus::name));
            columns.versions.push(state.version);
            columns.updated_at.push(state.updated.map(|(_, at)| at.datetime()));
            columns.updated_positions.push(state.updated.map(|(position, _)| position.number()));
            columns.debits.push(WideMinor(state.totals.debits_posted));
            columns.credits.push(WideMinor(state.totals.credits_posted));
            columns.debits_pending.push(WideMinor(state.totals.debits_pending));
            columns.credits_pending.push(WideMinor(state.totals.credits_pending));
            columns.balances.push(WideMinor(state.balance()));
            columns.uncleared.push(state.uncleared_since.map(Timestamp::datetime));
        }
        columns
    }
}

fn threshold(terms: Option<ClearingTerms>) -> Option<i64> {
    terms.map(ClearingTerms::threshold_minor)
}

fn hours(terms: Option<ClearingTerms>) -> Option<i32> {
    // A year of hours at the most.
    terms.map(|terms| i32::try_from(terms.max_age_hours()).unwrap_or(i32::MAX))
}

const AMEND: &str = "
    update accounts set
        name = amended.name,
        metadata = amended.metadata::json,
        min_balance_minor = amended.min_balance_minor,
        max_balance_minor = amended.max_balance_minor,
        clearing_threshold_minor = amended.threshold,
        clearing_max_age_hours = amended.hours
    from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
        $7::integer[])
        as amended (account_id, name, metadata, min_balance_minor, max_balance_minor, threshold,
            hours)
    where accounts.account_id = amended.account_id";

/// Writes what the last amendment of each account says.
pub(super) async fn amend(
    db: &mut PgConnection,
    amended: &BTreeMap<AccountId, &AccountAmended>,
) -> Result<(), ApplyError> {
    if amended.is_empty() {
        return Ok(());
    }
    let events = || amended.values();
    let metadata: Result<Vec<_>, _> =
        events().map(|event| metadata_json(&event.metadata)).collect();
    sqlx::query(AMEND)
        .bind(amended.keys().map(|id| id.uuid()).collect::<Vec<_>>())
        .bind(
            events().map(|event| event.name.as_ref().map(domain::Name::as_str)).collect::<Vec<_>>(),
        )
        .bind(metadata?)
        .bind(events().map(|event| event.min_balance_minor).collect::<Vec<_>>())
        .bind(events().map(|event| event.max_balance_minor).collect::<Vec<_>>())
        .bind(events().map(|event| threshold(event.clearing)).collect::<Vec<_>>())
        .bind(events().map(|event| hours(event.clearing)).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}
