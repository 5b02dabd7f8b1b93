//! The tables `holds`, `account_holds` and `holdings`.

use std::collections::HashMap;

use domain::accounts::Totals;
use domain::holds::{Hold, HoldEvent};
use domain::ledger::{Details, Outstanding, Posting};
use domain::{
    AccountId, DisputeId, Event, HoldId, MerchantId, Metadata, PaymentId, State, StateKey,
    StreamVersion, Timestamp,
};
use event_store::log::{Position, WideMinor};
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::batch::metadata_json;
use crate::projection::{AppliedEvent, ApplyError};

/// A row of `holds`.
#[derive(Debug)]
pub(super) struct HoldRow {
    hold: Hold,
    entries: Vec<Uuid>,
    created: Position,
    updated: (Position, Timestamp),
}

impl HoldRow {
    /// The row after one more event.
    pub(super) fn after(
        before: Option<Self>,
        event: &HoldEvent,
        applied: &AppliedEvent,
    ) -> Result<Self, ApplyError> {
        let (created, mut entries) = match &before {
            Some(row) => (row.created, row.entries.clone()),
            None => (applied.position, Vec::new()),
        };
        if let HoldEvent::Posted(posted) = event {
            entries.push(posted.entry_id.uuid());
        }
        let id = event.hold_id();
        let state = before.map(|row| State::Hold(row.hold.into()));
        let (version, at) = (applied.version, applied.recorded_at);
        let after =
            State::evolve(&StateKey::Hold(id), state, &Event::Hold(event.clone()), version, at);
        let hold = after
            .as_ref()
            .and_then(State::as_hold)
            .cloned()
            .ok_or_else(|| ApplyError::contradiction(format!("hold {id} was never made")))?;
        Ok(Self { hold, entries, created, updated: (applied.position, at) })
    }

    fn account_ids(&self) -> Vec<Uuid> {
        let postings = self.hold.postings.iter();
        let mut ids: Vec<Uuid> = postings.map(|posting| posting.account_id.uuid()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// A row as it is read.
#[derive(FromRow)]
struct StoredHold {
    hold_id: Uuid,
    ledger: Uuid,
    external_ref: String,
    description: Option<String>,
    metadata: String,
    payment_id: Option<Uuid>,
    dispute_id: Option<Uuid>,
    postings: String,
    outstanding: String,
    entries: Vec<Uuid>,
    status: String,
    expires_at: Option<OffsetDateTime>,
    version: i64,
    recorded_at: OffsetDateTime,
    position: i64,
}

impl TryFrom<StoredHold> for HoldRow {
    type Error = ApplyError;

    fn try_from(row: StoredHold) -> Result<Self, ApplyError> {
        let id = HoldId::from_uuid(row.hold_id);
        let garbled =
            |column: &str| ApplyError::contradiction(format!("hold {id} has a garbled {column}"));
        let text = |text: String| serde_json::Value::String(text);
        let postings = |json: &str| serde_json::from_str::<Vec<Posting>>(json);
        let metadata: Metadata =
            serde_json::from_str(&row.metadata).map_err(|_| garbled("metadata"))?;
        let description = row.description.map(|name| serde_json::from_value(text(name)));
        let details = Details {
            description: description.transpose().map_err(|_| garbled("description"))?,
            metadata,
            effective_at: None,
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            dispute_id: row.dispute_id.map(DisputeId::from_uuid),
        };
        let recorded_at = Timestamp::from_datetime(row.recorded_at);
        let external_ref = serde_json::from_value(text(row.external_ref));
        let hold = Hold {
            id,
            ledger: MerchantId::from_uuid(row.ledger),
            external_ref: external_ref.map_err(|_| garbled("reference"))?,
            details,
            postings: postings(&row.postings).map_err(|_| garbled("list of postings"))?,
            outstanding: Outstanding::all(
                &postings(&row.outstanding).map_err(|_| garbled("rest"))?,
            ),
            expires_at: row.expires_at.map(Timestamp::from_datetime),
            status: row.status.parse().map_err(|_| garbled("status"))?,
            // Nothing comes after it, and only who asks for it once more wants to know.
            last_posting: None,
            recorded_at,
            version: StreamVersion::from_number(row.version),
        };
        let created = Position::from_number(row.position);
        Ok(Self { hold, entries: row.entries, created, updated: (created, recorded_at) })
    }
}

/// The holds that the batch changes without making them.
pub(super) async fn read(
    db: &mut PgConnection,
    events: &[AppliedEvent],
) -> Result<HashMap<HoldId, HoldRow>, ApplyError> {
    let mut named: Vec<Uuid> = Vec::new();
    for applied in events {
        if let Event::Hold(event) = &*applied.event {
            named.push(event.hold_id().uuid());
        }
    }
    if named.is_empty() {
        return Ok(HashMap::new());
    }
    named.sort_unstable();
    named.dedup();
    let stored: Vec<StoredHold> = sqlx::query_as(
        "select hold_id, ledger, external_ref, description, metadata::text, payment_id, \
             dispute_id, postings::text, outstanding::text, entries, status, expires_at, version, \
             recorded_at, position \
         from holds where hold_id = any($1)",
    )
    .bind(named)
    .fetch_all(db)
    .await?;
    stored.into_iter().map(|row| Ok((HoldId::from_uuid(row.hold_id), row.try_into()?))).collect()
}

/// Every row as a whole: few columns never change.
const WRITE: &str = "
    insert into holds (hold_id, ledger, external_ref, description, metadata, payment_id, dispute_id,
        postings, outstanding, account_ids, entries, status, expires_at, version, recorded_at,
        position, updated_at, updated_position)
    select hold_id, ledger, external_ref, description, metadata::json, payment_id, dispute_id,
        postings::json, outstanding::json, account_ids::uuid[], entries::uuid[], status,
        expires_at, version, recorded_at, position, updated_at, updated_position
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::uuid[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[],
        $14::bigint[], $15::timestamptz[], $16::bigint[], $17::timestamptz[], $18::bigint[])
        as h (hold_id, ledger, external_ref, description, metadata, payment_id, dispute_id,
            postings, outstanding, account_ids, entries, status, expires_at, version, recorded_at,
            position, updated_at, updated_position)
    on conflict (hold_id) do update set outstanding = excluded.outstanding,
        entries = excluded.entries, status = excluded.status, version = excluded.version,
        updated_at = excluded.updated_at, updated_position = excluded.updated_position";

/// Writes the holds that the batch makes or changes.
pub(super) async fn write(
    db: &mut PgConnection,
    holds: &HashMap<HoldId, HoldRow>,
) -> Result<(), ApplyError> {
    if holds.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<&HoldRow> = holds.values().collect();
    rows.sort_unstable_by_key(|row| row.created);
    let holds = || rows.iter().map(|row| &row.hold);
    let metadata: Result<Vec<_>, _> =
        holds().map(|hold| metadata_json(&hold.details.metadata)).collect();
    let postings: Result<Vec<_>, _> = holds().map(|hold| json(&hold.postings)).collect();
    let rest: Result<Vec<_>, _> = holds().map(|hold| json(hold.outstanding.postings())).collect();
    let description = |hold: &Hold| hold.details.description.as_ref().map(ToString::to_string);
    sqlx::query(WRITE)
        .bind(holds().map(|hold| hold.id.uuid()).collect::<Vec<_>>())
        .bind(holds().map(|hold| hold.ledger.uuid()).collect::<Vec<_>>())
        .bind(holds().map(|hold| hold.external_ref.as_str()).collect::<Vec<_>>())
        .bind(holds().map(description).collect::<Vec<_>>())
        .bind(metadata?)
        .bind(holds().map(|hold| hold.details.payment_id.map(PaymentId::uuid)).collect::<Vec<_>>())
        .bind(holds().map(|hold| hold.details.dispute_id.map(DisputeId::uuid)).collect::<Vec<_>>())
        .bind(postings?)
        .bind(rest?)
        .bind(rows.iter().map(|row| super::array_text(&row.account_ids())).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| super::array_text(&row.entries)).collect::<Vec<_>>())
        .bind(holds().map(|hold| hold.status.name()).collect::<Vec<_>>())
        .bind(holds().map(|hold| hold.expires_at.map(Timestamp::datetime)).collect::<Vec<_>>())
        .bind(holds().map(|hold| hold.version.number()).collect::<Vec<_>>())
        .bind(holds().map(|hold| hold.recorded_at.datetime()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.created.number()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.updated.1.datetime()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.updated.0.number()).collect::<Vec<_>>())
        .execute(&mut *db)
        .await?;
    write_by_account(db, &rows).await
}

/// Posting a part of a hold leaves its status, and the row, as they are.
const WRITE_BY_ACCOUNT: &str = "
    insert into account_holds (account_id, position, status)
    select * from unnest($1::uuid[], $2::bigint[], $3::text[])
    on conflict (account_id, position) do update set status = excluded.status
        where account_holds.status <> excluded.status";

async fn write_by_account(db: &mut PgConnection, rows: &[&HoldRow]) -> Result<(), ApplyError> {
    let (mut accounts, mut positions, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        for account in row.account_ids() {
            accounts.push(account);
            positions.push(row.created.number());
            statuses.push(row.hold.status.name());
        }
    }
    sqlx::query(WRITE_BY_ACCOUNT).bind(accounts).bind(positions).bind(statuses).execute(db).await?;
    Ok(())
}

fn json(postings: &[Posting]) -> Result<String, ApplyError> {
    serde_json::to_string(postings)
        .map_err(|error| ApplyError::contradiction(format!("postings are not JSON: {error}")))
}

/// Rows of `holdings`.
#[derive(Debug, Default)]
pub(super) struct HoldingRows(Vec<(AccountId, Position, Totals)>);

impl HoldingRows {
    pub(super) fn push(&mut self, account: AccountId, position: Position, totals: Totals) {
        self.0.push((account, position, totals));
    }
}

/// Inserts what was held after each event of the batch.
pub(super) async fn insert_holdings(
    db: &mut PgConnection,
    rows: &HoldingRows,
) -> Result<(), ApplyError> {
    if rows.0.is_empty() {
        return Ok(());
    }
    let rows = || rows.0.iter();
    sqlx::query(
        "insert into holdings (account_id, position, debits_pending, credits_pending) \
         select * from unnest($1::uuid[], $2::bigint[], $3::numeric[], $4::numeric[])",
    )
    .bind(rows().map(|(account, ..)| account.uuid()).collect::<Vec<_>>())
    .bind(rows().map(|(_, position, _)| position.number()).collect::<Vec<_>>())
    .bind(rows().map(|(.., totals)| WideMinor(totals.debits_pending)).collect::<Vec<_>>())
    .bind(rows().map(|(.., totals)| WideMinor(totals.credits_pending)).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}
