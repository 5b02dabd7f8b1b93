//! Filling a log quickly with what the sequencer would have written: events with right hashes, their
//! idempotency rows and the balances that follow. For logs of millions of events.

use std::collections::HashMap;
use std::fmt::Write;

use domain::accounts::Totals;
use domain::ledger::{EntryPosted, ExternalRef};
use domain::{AccountId, EntryId, Event, StreamId, StreamVersion, Timestamp};
use event_store::log::{EventMetadata, LOG_ID, LeafHash, Position, RecordedEvent, head};
use event_store::{Clock, IdSource, RandomIds, SystemClock};
use sqlx::postgres::PgConnection;

use crate::entries::{Accounts, LEDGER, idempotency_key};
use crate::figures::Output;
use crate::log_database::LogDatabase;

/// The key rows, without what only requests of several appends have.
const KEYS: &str = "copy idempotency_keys (log_id, merchant_id, key, fingerprint, resource_id, status, \
    response, position, recorded_at) from stdin";

/// How many rows one COPY takes: bounded memory, few commits.
const COPY_ROWS: i64 = 50_000;

/// Appends entries until the log holds `events` events.
pub(crate) async fn fill(
    database: &LogDatabase,
    accounts: &Accounts,
    events: i64,
) -> anyhow::Result<()> {
    let (mut log, mut keys) = (database.owner().await?, database.owner().await?);
    let mut next = head(&mut log).await?.position.next().number();
    let mut totals: HashMap<AccountId, (Totals, i64)> = HashMap::new();
    while next <= events {
        let until = (next + COPY_ROWS).min(events + 1);
        let (mut event_rows, mut key_rows) = (String::new(), String::new());
        for position in next..until {
            let event = entry(accounts, position, &mut totals)?;
            event_row(&mut event_rows, &event)?;
            key_row(&mut key_rows, &event)?;
        }
        tokio::try_join!(
            copy(&mut log, "copy events from stdin", event_rows),
            copy(&mut keys, KEYS, key_rows),
        )?;
        next = until;
        if next % (COPY_ROWS * 20) < COPY_ROWS {
            Output::remark(&format!("  filled to {next}"));
        }
    }
    finish(&mut log, next - 1, totals).await
}

async fn finish(
    db: &mut PgConnection,
    head: i64,
    totals: HashMap<AccountId, (Totals, i64)>,
) -> anyhow::Result<()> {
    let mut rows = String::new();
    for (account, (totals, position)) in totals {
        let (id, debits, credits) = (account.uuid(), totals.debits_posted, totals.credits_posted);
        writeln!(rows, "{LOG_ID}\t{id}\t{debits}\t{credits}\t0\t0\t{position}")?;
    }
    copy(&mut *db, "copy account_balances from stdin", rows).await?;
    sqlx::query("update log_head set position = $1, recorded_at = $2 where log_id = $3")
        .bind(head)
        .bind(SystemClock.now().datetime())
        .bind(LOG_ID)
        .execute(db)
        .await?;
    Ok(())
}

async fn copy(db: &mut PgConnection, statement: &str, rows: String) -> anyhow::Result<()> {
    let mut sink = db.copy_in_raw(statement).await?;
    sink.send(rows.into_bytes()).await?;
    sink.finish().await?;
    Ok(())
}

fn external_ref(position: i64) -> String {
    format!("seed-{position}")
}

fn entry(
    accounts: &Accounts,
    position: i64,
    totals: &mut HashMap<AccountId, (Totals, i64)>,
) -> anyhow::Result<RecordedEvent> {
    let event_id = RandomIds.next();
    let external_ref = ExternalRef::parse(&self::external_ref(position))?;
    let entry_id = EntryId::of(LEDGER, &external_ref);
    let postings = accounts.postings(usize::try_from(position)?)?;
    for posting in &postings {
        let (sum, last) = totals.entry(posting.account_id).or_default();
        *sum = sum.with(posting.direction, posting.amount.minor());
        *last = position;
    }
    let event = Event::EntryPosted(EntryPosted::plain(LEDGER, external_ref.clone(), postings));
    let metadata = EventMetadata {
        decided_at: None,
        actor: "key_01jd0000000000000000000000".to_owned(),
        correlation_id: "01jd0000000000000000000000".to_owned(),
        traceparent: None,
        idempotency_key: Some(idempotency_key(external_ref.as_str())),
        idempotency_owner: None,
        fingerprint: Some("5a".repeat(32)),
    };
    let mut recorded = RecordedEvent {
        position: Position::from_number(position),
        stream_id: StreamId::entry(entry_id),
        version: StreamVersion::FIRST,
        event_id,
        event_type: event.event_type().to_owned(),
        schema_version: event.schema_version(),
        merchant_id: LEDGER,
        data: event.to_json(),
        metadata: serde_json::to_string(&metadata)?,
        recorded_at: SystemClock.now(),
        leaf_hash: LeafHash::from_bytes(&[0; 32]).ok_or_else(|| anyhow::anyhow!("32 bytes"))?,
    };
    recorded.leaf_hash = recorded.computed_hash();
    Ok(recorded)
}

/// COPY's text format escapes backslashes; nothing else that needs it occurs in these rows.
fn escaped(json: &str) -> String {
    json.replace('\\', "\\\\")
}

fn event_row(rows: &mut String, event: &RecordedEvent) -> anyhow::Result<()> {
    writeln!(
        rows,
        "{LOG_ID}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t\\\\x{}",
        event.position,
        event.stream_id,
        event.version,
        event.event_id,
        event.event_type,
        event.schema_version,
        event.merchant_id.uuid(),
        escaped(&event.data),
        escaped(&event.metadata),
        event.recorded_at,
        event.leaf_hash,
    )?;
    Ok(())
}

fn key_row(rows: &mut String, event: &RecordedEvent) -> anyhow::Result<()> {
    let at: Timestamp = event.recorded_at;
    let entry = event.stream_id.as_str().trim_start_matches(StreamId::ENTRY_PREFIX);
    writeln!(
        rows,
        "{LOG_ID}\t{}\t{}\t\\\\x{}\t{entry}\t201\t{{\"id\":\"{entry}\",\"recorded_at\":\"{at}\"}}\t{}\t{at}",
        event.merchant_id.uuid(),
        idempotency_key(&external_ref(event.position.number())),
        "5a".repeat(32),
        event.position,
    )?;
    Ok(())
}
