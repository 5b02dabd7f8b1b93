//! The append: one statement that moves the head and writes all rows of a batch, or nothing.

use std::sync::LazyLock;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::plan::Plan;
use crate::log::{LOG_ID, RecordedEvent};

/// Moves the head if it is where the batch was decided; everything else depends on that row, so that
/// nothing is written when it is not. A batch without events leaves the head's time alone too: others go by
/// the position to know whether they are up to date.
const APPEND: &str = "
    with head as (
        update log_head set position = $2::bigint + coalesce(cardinality($4::bigint[]), 0),
               recorded_at = case when cardinality($4::bigint[]) > 0 then $3 else recorded_at end
        where log_id = $1 and position = $2
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
               k.response, k.position, $3
        from head, unnest($14::uuid[], $15::text[], $16::bytea[], $17::text[], $18::smallint[],
             $19::text[], $20::bigint[])
             as k (merchant_id, key, fingerprint, resource_id, status, response, position)
    ), balanced as (
        insert into account_balances as b (log_id, account_id, debits_posted, credits_posted,
               debits_pending, credits_pending, position)
        select head.log_id, a.account_id, a.debits_posted, a.credits_posted, a.debits_pending,
               a.credits_pending, a.position
        from head, unnest($21::uuid[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[],
             $26::bigint[])
             as a (account_id, debits_posted, credits_posted, debits_pending, credits_pending, position)
        on conflict (log_id, account_id) do update
        set debits_posted = excluded.debits_posted, credits_posted = excluded.credits_posted,
            debits_pending = excluded.debits_pending, credits_pending = excluded.credits_pending,
            position = excluded.position
    )
    select log_id from head";

/// Sets the answers of claimed keys, in the same statement as the append that ends their requests. It is an
/// insert because that finds the row by its key whatever statistics say: an update that joins is planned for
/// the few rows that a new table has, and then reads all of them. A key that was lost is made again.
const ANSWERED: &str = ", answered as (
        insert into idempotency_keys as i (log_id, merchant_id, key, fingerprint, resource_id, status,
               response, position, shown_position, recorded_at)
        select head.log_id, k.merchant_id, k.key, k.fingerprint, k.resource_id, k.status,
               k.response, k.position, k.position, $3
        from head, unnest($27::uuid[], $28::text[], $29::bytea[], $30::text[], $31::smallint[],
             $32::text[], $33::bigint[])
             as k (merchant_id, key, fingerprint, resource_id, status, response, position)
        on conflict (log_id, merchant_id, key) do update
        set resource_id = excluded.resource_id, status = excluded.status,
            response = excluded.response, shown_position = excluded.shown_position
        where i.response is null
    )
    select log_id from head";

static APPEND_WITH_ANSWERS: LazyLock<String> =
    LazyLock::new(|| APPEND.replace("\n    select log_id from head", ANSWERED));

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

/// Sends the batch; `Ok(false)` means that the head is elsewhere and nothing was written.
pub(super) async fn append(db: &mut PgConnection, plan: &Plan) -> Result<bool, Failure> {
    let sent = if plan.answered.keys.is_empty() {
        bind(sqlx::query(APPEND), plan).fetch_optional(db).await
    } else {
        let rows = &plan.answered;
        let fingerprints: Vec<&[u8]> = rows.fingerprints.iter().map(|print| &print[..]).collect();
        bind(sqlx::query(sqlx::AssertSqlSafe(APPEND_WITH_ANSWERS.as_str())), plan)
            .bind(&rows.owners)
            .bind(&rows.keys)
            .bind(fingerprints)
            .bind(&rows.resources)
            .bind(&rows.statuses)
            .bind(&rows.responses)
            .bind(&rows.positions)
            .fetch_optional(db)
            .await
    };
    let row: Option<PgRow> = sent.map_err(|error| classify(error, plan))?;
    debug_assert!(row.as_ref().is_none_or(|row| row.try_get::<i16, _>(0).is_ok()));
    Ok(row.is_some())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind<'q>(query: Query<'q>, plan: &'q Plan) -> Query<'q> {
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
        // The server is going down or the connection is: the commit may have come first.
        (code, _) if code.starts_with("08") || code.starts_with("57P") => Failure::Unknown(error),
        _ => Failure::Refused(error),
    }
}
