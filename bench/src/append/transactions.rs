//! What most do: each caller its own connection, each event its own transaction behind a head row.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use migrations::Role;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};

use super::run_name;
use crate::entries::{Accounts, LEDGER};
use crate::figures::{Latencies, Tally};
use crate::log_database::LogDatabase;
use domain::ledger::{EntryPosted, ExternalRef, Posting};
use domain::{EntryId, Event, StreamId};
use event_store::{IdSource, RandomIds};

/// `callers` connections, each posting one entry a transaction, for `duration`.
pub(super) async fn measure(
    database: &LogDatabase,
    accounts: &Accounts,
    callers: usize,
    duration: Duration,
) -> anyhow::Result<Tally> {
    let before = database.events().await?;
    let run: Arc<str> = run_name("transaction", before).into();
    let next = Arc::new(AtomicUsize::new(0));
    let mut connections = Vec::with_capacity(callers);
    for _ in 0..callers {
        connections.push(database.connect(Role::Application).await?);
    }
    let mut tasks = Vec::with_capacity(callers);
    let started = Instant::now();
    for mut db in connections {
        let (accounts, run, next) = (accounts.clone(), Arc::clone(&run), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            let mut latencies = Latencies::new()?;
            let mut done = 0;
            while started.elapsed() < duration {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let sent = Instant::now();
                post(&mut db, &format!("{run}-{n}"), accounts.postings(n)?).await?;
                latencies.record(sent.elapsed());
                done += 1;
            }
            anyhow::Ok((latencies, done))
        }));
    }
    let mut latencies = Latencies::new()?;
    let mut done = 0;
    for task in tasks {
        let (own, posted) = task.await??;
        latencies.add(&own)?;
        done += posted;
    }
    Ok(Tally { log_events: before, done, errors: 0, took: started.elapsed(), latencies })
}

async fn post(
    db: &mut PgConnection,
    reference: &str,
    postings: Vec<Posting>,
) -> anyhow::Result<()> {
    let external_ref = ExternalRef::parse(reference)?;
    let event_id = RandomIds.next();
    let entry_id = EntryId::of(LEDGER, &external_ref);
    let stream = StreamId::entry(entry_id);
    let entry = Event::EntryPosted(EntryPosted::plain(LEDGER, external_ref, postings.clone()));
    let mut transaction = db.begin().await?;
    let head = sqlx::query(
        "update log_head set position = position + 1, recorded_at = greatest(recorded_at, now())
         where log_id = 1 returning position",
    )
    .fetch_one(&mut *transaction)
    .await?;
    let position: i64 = head.try_get(0)?;
    sqlx::query(
        "insert into events (log_id, position, stream_id, version, event_id, event_type,
             schema_version, merchant_id, data, metadata, recorded_at, leaf_hash)
         values (1, $1, $2, 1, $3, $4, 1, $5, $6::json, '{}', now(), sha256($6::bytea))",
    )
    .bind(position)
    .bind(stream.as_str())
    .bind(event_id)
    .bind(entry.event_type())
    .bind(LEDGER.uuid())
    .bind(entry.to_json())
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "insert into idempotency_keys (log_id, merchant_id, key, fingerprint, resource_id, status,
             response, position, recorded_at)
         values (1, $1, $2, sha256($2::bytea), $2, 201, $2, $3, now())",
    )
    .bind(LEDGER.uuid())
    .bind(reference)
    .bind(position)
    .execute(&mut *transaction)
    .await?;
    for posting in postings {
        let minor = posting.amount.minor();
        let debit = posting.direction.signed(minor) > 0;
        let (debits, credits) = if debit { (minor, 0) } else { (0, minor) };
        sqlx::query(
            "insert into account_balances as b values (1, $1, $2, $3, 0, 0, $4)
             on conflict (log_id, account_id) do update
             set debits_posted = b.debits_posted + $2, credits_posted = b.credits_posted + $3,
                 position = $4",
        )
        .bind(posting.account_id.uuid())
        .bind(debits)
        .bind(credits)
        .bind(position)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(transaction.commit().await?)
}
