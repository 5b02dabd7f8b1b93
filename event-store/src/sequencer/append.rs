//! The append: one statement that moves the head and writes all rows of a batch, or nothing.

use std::sync::LazyLock;

use domain::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::plan::Plan;
use crate::log::{LOG_ID, RecordedEvent};

/// Moves the head if it is where the batch was decided; everything else depends on that row, so that
/// nothing is written when it is not. A batch without events leaves the head's time alone too: others go by
/// the position to know whether they are up to date.
///
/// And it moves only where the sender's clock, `$27`, agrees with the database's, and the time of the batch is ahead of
/// neither that nor the head: a clock that leapt, however short, leaves no time in the log. Behind it may be by what the
/// statement waited for the head, which is at most the statement's own time-out, and twice that to be safe. Keys count
/// from the clock's time where the head's is ahead of it, so that nobody waits for a request under one for longer.
const APPEND: &str = "
    with head as (
        update log_head set position = $2::bigint + coalesce(cardinality($4::bigint[]), 0),
               recorded_at = case when cardinality($4::bigint[]) > 0 then $3 else recorded_at end
        where log_id = $1 and position = $2
            and $27 <= log_clock() + interval '1 second' and $27 >= log_clock() - interval '10 seconds'
            and $3 <= greatest($27, recorded_at)
        returning log_id
    ), appended as (
        insert into events (log_id, position, stream_id, version, event_id, event_type,
               schema_version, merchant_id, data, metadata, recorded_at, leaf_hash)
        select head.log_id, e.position, e.stream_id, e.version, e.event_id, e.event_type,
               e.schema_version, e.merchant_id, e.data::json, e.metadata::json, $3,
               e.leaf_hash
        from head, unnest($4::bigint[], $5::text[], $6::bigint[], $7::uuid[], $8::text[],
             $9::smallint[], $10::uuid[], $11::text[], $12::text[], $13::bytea[])
             as e (position, stream_id, version, event_id, event_type, schema_version, merchant_id,
                   data, metadata, leaf_hash)
    ), claimed as (
        insert into idempotency_keys (log_id, merchant_id, key, fingerprint, resource_id, status,
               response, position, recorded_at)
        select head.log_id, k.merchant_id, k.key, k.fingerprint, k.resource_id, k.status,
               k.response, k.position, least($3, $27 + interval '1 second')
        from head, unnest($14::uuid[], $15::text[], $16::bytea[], $17::text[], $18::smallint[],
             $19::text[], $20::bigint[])
             as k (merchant_id, key, fingerprint, resource_id, status, response, position)
    ), balanced as (
        insert into account_balances as b (log_id, account_id, debits_posted, credits_posted,
               debits_pending, credits_pending, position)
        select head.log_id, a.account_id, a.debits_posted, a.credits_posted, a.debits_pending,
               a.credits_pending, a.position
        from head, unnest($21::uuid[], $22::numeric[], $23::numeric[], $24::numeric[],
             $25::numeric[], $26::bigint[])
             as a (account_id, debits_posted, credits_posted, debits_pending, credits_pending, position)
        on conflict (log_id, account_id) do update
        set debits_posted = excluded.debits_posted, credits_posted = excluded.credits_posted,
            debits_pending = excluded.debits_pending, credits_pending = excluded.credits_pending,
            position = excluded.position
    )
    select exists (select from head), log_clock()";

/// Sets the answers of claimed keys, in the same statement as the append that ends their requests. It is an
/// insert because that finds the row by its key whatever statistics say: an update that joins is planned for
/// the few rows that a new table has, and then reads all of them. A key that was lost is made again.
const ANSWERED: &str = ", answered as (
        insert into idempotency_keys as i (log_id, merchant_id, key, fingerprint, resource_id, status,
               response, position, shown_position, recorded_at)
        select head.log_id, k.merchant_id, k.key, k.fingerprint, k.resource_id, k.status,
               k.response, k.position, k.position, least($3, $27 + interval '1 second')
        from head, unnest($28::uuid[], $29::text[], $30::bytea[], $31::text[], $32::smallint[],
             $33::text[], $34::bigint[])
             as k (merchant_id, key, fingerprint, resource_id, status, response, position)
        on conflict (log_id, merchant_id, key) do update
        set resource_id = excluded.resource_id, status = excluded.status,
            response = excluded.response, shown_position = excluded.shown_position
        where i.response is null
    )
    select exists (select from head), log_clock()";

static APPEND_WITH_ANSWERS: LazyLock<String> = LazyLock::new(|| {
    APPEND.replace("\n    select exists (select from head), log_clock()", ANSWERED)
});

/// How a batch was refused.
#[derive(Debug)]
pub(super) enum Failure {
    /// A key or an entry's reference is taken: look them all up and decide again.
    Taken,
    /// A unique index says what the cache did not know.
    CacheWrong(sqlx::Error),
    /// Rolled back for a reason that passes; try again.
    Passing(sqlx::Error),
    /// The content is refused.
    Refused(sqlx::Error),
    /// The connection is gone: it may have been written, or may yet be.
    Unknown(sqlx::Error),
}

/// What the statement came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receipt {
    /// Whether anything was written: everything, else nothing.
    pub(super) written: bool,
    /// The database's time.
    pub(super) database_time: Timestamp,
}

/// Sends the batch at `sent_at`, as the process' clock says.
pub(super) async fn append(
    db: &mut PgConnection,
    plan: &Plan,
    sent_at: Timestamp,
) -> Result<Receipt, Failure> {
    let sent = if plan.answered.keys.is_empty() {
        bind(sqlx::query(APPEND), plan, sent_at).fetch_one(db).await
    } else {
        let rows = &plan.answered;
        let fingerprints: Vec<&[u8]> = rows.fingerprints.iter().map(|print| &print[..]).collect();
        bind(sqlx::query(sqlx::AssertSqlSafe(APPEND_WITH_ANSWERS.as_str())), plan, sent_at)
            .bind(&rows.owners)
            .bind(&rows.keys)
            .bind(fingerprints)
            .bind(&rows.resources)
            .bind(&rows.statuses)
            .bind(&rows.responses)
            .bind(&rows.positions)
            .fetch_one(db)
            .await
    };
    sent.and_then(|row| receipt(&row)).map_err(|error| classify(error, plan))
}

fn receipt(row: &PgRow) -> Result<Receipt, sqlx::Error> {
    let database_time = Timestamp::from_datetime(row.try_get(1)?);
    Ok(Receipt { written: row.try_get(0)?, database_time })
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind<'q>(query: Query<'q>, plan: &'q Plan, sent_at: Timestamp) -> Query<'q> {
    fn column<'p, T>(plan: &'p Plan, of: impl Fn(&'p RecordedEvent) -> T) -> Vec<T> {
        plan.events().iter().map(|event| of(&event.recorded)).collect()
    }

    let (keys, balances) = (&plan.claimed, &plan.balances);
    let fingerprints: Vec<&[u8]> = keys.fingerprints.iter().map(|print| &print[..]).collect();
    query
        .bind(LOG_ID)
        .bind(plan.head.position.number())
        .bind(plan.recorded_at.datetime())
        .bind(column(plan, |event| event.position.number()))
        .bind(column(plan, |event| event.stream_id.as_str()))
        .bind(column(plan, |event| event.version.number()))
        .bind(column(plan, |event| event.event_id))
        .bind(column(plan, |event| event.event_type.as_str()))
        .bind(column(plan, |event| event.schema_version))
        .bind(column(plan, |event| event.merchant_id.uuid()))
        .bind(column(plan, |event| event.data.as_str()))
        .bind(column(plan, |event| event.metadata.as_str()))
        .bind(column(plan, |event| &event.leaf_hash.as_bytes()[..]))
        .bind(&keys.owners)
        .bind(&keys.keys)
        .bind(fingerprints)
        .bind(&keys.resources)
        .bind(&keys.statuses)
        .bind(&keys.responses)
        .bind(&keys.positions)
        .bind(&balances.accounts)
        .bind(&balances.debits_posted)
        .bind(&balances.credits_posted)
        .bind(&balances.debits_pending)
        .bind(&balances.credits_pending)
        .bind(&balances.positions)
        .bind(sent_at.datetime())
}

fn classify(error: sqlx::Error, plan: &Plan) -> Failure {
    let sqlx::Error::Database(database) = &error else {
        return Failure::Unknown(error);
    };
    let code = database.code().unwrap_or_default().into_owned();
    match (code.as_str(), database.constraint()) {
        ("23505", Some("idempotency_keys_pkey")) => Failure::Taken,
        ("23505", Some("events_stream_version")) if plan.claims_streams() => Failure::Taken,
        ("23505", _) => Failure::CacheWrong(error),
        // Serialization failure, deadlock, lock or statement time-out, and a server short of resources:
        // rolled back for certain.
        ("40001" | "40P01" | "55P03" | "57014", _) => Failure::Passing(error),
        (code, _) if code.starts_with("53") => Failure::Passing(error),
        // A standby, or a primary that is one no more: nothing can be written until it is one, or another is found.
        ("25006", _) => Failure::Passing(error),
        // The server is going down or the connection is: the commit may have come first.
        (code, _) if code.starts_with("08") || code.starts_with("57P") => Failure::Unknown(error),
        _ => Failure::Refused(error),
    }
}
