//! The tables `accounts` and `trial_balance`: read and written as sets.

use std::collections::{BTreeMap, HashMap};

use domain::AccountId;
use domain::accounts::Totals;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::batch::{AccountState, Batch, TrialBalanceChange, TrialBalanceKey};
use crate::projection::ApplyError;

/// The accounts of those ids that there are.
pub(super) async fn read(
    db: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<AccountId, AccountState>, ApplyError> {
    let rows = sqlx::query(
        "select account_id, ledger, type, currency, debits_posted, credits_posted \
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
    let state = AccountState {
        ledger: domain::MerchantId::from_uuid(row.try_get(1)?),
        kind: kind.parse().map_err(|_| garbled("type"))?,
        currency: currency.parse().map_err(|_| garbled("currency"))?,
        totals: Totals {
            debits_posted: row.try_get(4)?,
            credits_posted: row.try_get(5)?,
            ..Totals::default()
        },
        status: None,
        updated: None,
    };
    Ok((id, state))
}

const INSERT_OPENED: &str = "
    insert into accounts (account_id, ledger, code, name, type, currency, min_balance_minor, status,
        version, opened_at, opened_position, updated_at, updated_position, debits_posted,
        credits_posted, balance_minor)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::bigint[], $8::text[], $9::bigint[], $10::timestamptz[], $11::bigint[],
        $12::timestamptz[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[])";

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
    sqlx::query(INSERT_OPENED)
        .bind(events().map(|event| event.account_id.uuid()).collect::<Vec<_>>())
        .bind(events().map(|event| event.ledger.uuid()).collect::<Vec<_>>())
        .bind(events().map(|event| event.code.as_str()).collect::<Vec<_>>())
        .bind(
            events().map(|event| event.name.as_ref().map(domain::Name::as_str)).collect::<Vec<_>>(),
        )
        .bind(events().map(|event| event.kind.name()).collect::<Vec<_>>())
        .bind(events().map(|event| event.currency.code()).collect::<Vec<_>>())
        .bind(events().map(|event| event.min_balance_minor).collect::<Vec<_>>())
        .bind(columns.statuses)
        .bind(columns.versions)
        .bind(opened.iter().map(|opened| opened.at.datetime()).collect::<Vec<_>>())
        .bind(opened.iter().map(|opened| opened.position.number()).collect::<Vec<_>>())
        .bind(columns.updated_at)
        .bind(columns.updated_positions)
        .bind(columns.debits)
        .bind(columns.credits)
        .bind(columns.balances)
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
        balance_minor = changed.balance_minor
    from unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::bigint[],
        $7::bigint[], $8::bigint[])
        as changed (account_id, status, version, updated_at, updated_position, debits_posted,
            credits_posted, balance_minor)
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
        .bind(columns.balances)
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
    debits: Vec<i64>,
    credits: Vec<i64>,
    balances: Vec<i64>,
}

impl ChangedColumns {
    fn of<'a>(states: impl Iterator<Item = &'a AccountState>) -> Self {
        let mut columns = Self::default();
        for state in states {
            columns.statuses.push(state.status.map(|(status, _)| status.name()));
            columns.versions.push(state.status.map(|(_, version)| version));
            columns.updated_at.push(state.updated.map(|(_, at)| at.datetime()));
            columns.updated_positions.push(state.updated.map(|(position, _)| position.number()));
            columns.debits.push(state.totals.debits_posted);
            columns.credits.push(state.totals.credits_posted);
            columns.balances.push(state.totals.balance(state.kind.normal_side()));
        }
        columns
    }
}

/// Sends sums as texts: they may exceed 64 bits.
const ADD_TO_TRIAL_BALANCE: &str = "
    insert into trial_balance (ledger, currency, type, debits_posted, credits_posted, position)
    select ledger, currency, type, debits::numeric, credits::numeric, position
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        as change (ledger, currency, type, debits, credits, position)
    on conflict (ledger, currency, type) do update set
        debits_posted = trial_balance.debits_posted + excluded.debits_posted,
        credits_posted = trial_balance.credits_posted + excluded.credits_posted,
        position = excluded.position";

/// Adds what the batch posted.
pub(super) async fn add_to_trial_balance(
    db: &mut PgConnection,
    changes: &BTreeMap<TrialBalanceKey, TrialBalanceChange>,
) -> Result<(), ApplyError> {
    if changes.is_empty() {
        return Ok(());
    }
    let keys = || changes.keys();
    let sums = || changes.values();
    sqlx::query(ADD_TO_TRIAL_BALANCE)
        .bind(keys().map(|key| key.ledger.uuid()).collect::<Vec<_>>())
        .bind(keys().map(|key| key.currency.code()).collect::<Vec<_>>())
        .bind(keys().map(|key| key.kind).collect::<Vec<_>>())
        .bind(sums().map(|change| change.debits.to_string()).collect::<Vec<_>>())
        .bind(sums().map(|change| change.credits.to_string()).collect::<Vec<_>>())
        .bind(sums().map(|change| change.position.number()).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}
