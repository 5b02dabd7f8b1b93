//! The queue of payments for which something is due, and the leases on them.

use domain::{PaymentId, StreamVersion};
use event_store::log::{self, ConnectError, LOG_ID};
use sqlx::Row;
use sqlx::postgres::{PgPool, PgPoolOptions};
use uuid::Uuid;

use super::WorkerId;
use super::shares::Room;
use super::unrecorded::PAUSE_MS_MAX;

/// How long a worker has a payment to itself: longer than a call to a PSP with all its repetitions, with an
/// append before and after it.
pub(super) const LEASE_MS: i64 = 20_000;
const _: () = assert!(gateways::TOTAL_TIMEOUT_MAX.as_secs() * 1_000 < LEASE_MS.unsigned_abs());
/// The longest that a payment is held back, in seconds, with some more: a lease that is to last longer was written by a
/// clock that was ahead.
const LONGEST_HELD_S: i64 = PAUSE_MS_MAX / 1_000 + 1;
const _: () =
    assert!(LONGEST_HELD_S == 301 && LEASE_MS < PAUSE_MS_MAX, "as the statements have it");
/// How long leases are kept that ran out: longer than the queue ever lags behind the log.
const KEPT_MS: i64 = 10 * 60 * 1_000;
/// The most that are removed at a time.
const TIDIED_LEASES_MAX: i64 = 50_000;
/// Connections for claiming and giving back; both take a fraction of a millisecond.
const CONNECTIONS_MAX: u32 = 4;

/// Whether nobody has a payment, as its lease says. One that would last longer than any does was written by a clock that was
/// ahead of the one there is now: it has run out.
macro_rules! is_free {
    () => {
        "(l.until <= log_clock() or l.until > log_clock() + interval '301 seconds')"
    };
}

/// The rows that others are claiming just now are skipped, those that another worker is at, and those that
/// the queue holds although all that was due for them was done, because the queue lags behind the log.
///
/// What is due by the time of the log's head is looked at too: where a clock that leapt left a time there that is ahead of
/// now, what counts from it is due all the same. Whether it is, the payment itself says.
macro_rules! claim {
    ($which:literal) => {
        concat!(
            "
    with due as (
        select w.payment_id, w.version
        from read.payment_work w
        left join payment_leases l on l.payment_id = w.payment_id
        where w.due_at <= (
                select greatest(log_clock(), recorded_at) from log_head where log_id = $1)
          and (l.payment_id is null or (",
            is_free!(),
            " and l.handled_version <= w.version))",
            $which,
            "
        order by w.due_at
        limit $2
        for update of w skip locked
    ), leased as (
        insert into payment_leases as l (payment_id, worker, until, handled_version)
        select payment_id, $3, log_clock() + $4 * interval '1 millisecond', 0 from due
        order by payment_id
        on conflict (payment_id) do update set worker = excluded.worker, until = excluded.until
        where ",
            is_free!(),
            "
        returning payment_id
    )
    select due.payment_id, due.version from due join leased using (payment_id)"
        )
    };
}

const CLAIM: &str = claim!("");
/// The same, but for payments whose PSP has no room, `$5`, or none for their merchant, `$7` and `$8`; and where none has
/// any, or none for their merchant, `$9`, but for those that any PSP may do.
const CLAIM_WITH_ROOM: &str = claim!(
    "
          and case when w.psp is null then $6 and w.merchant_id <> all($9) else w.psp <> all($5) end
          and not exists (
              select from unnest($7::text[], $8::uuid[]) as own (psp, merchant_id)
              where own.psp = w.psp and own.merchant_id = w.merchant_id)"
);

/// The same for payments that are known to be due at the versions `$2` without the queue. In the same order, so that no two
/// statements wait for each other.
const LEASE: &str = concat!(
    "
    with due as (
        select payment_id, version from unnest($1::uuid[], $2::bigint[]) as due (payment_id, version)
    )
    insert into payment_leases as l (payment_id, worker, until, handled_version)
    select payment_id, $3, log_clock() + $4 * interval '1 millisecond', 0 from due
    order by payment_id
    on conflict (payment_id) do update set worker = excluded.worker, until = excluded.until
    where ",
    is_free!(),
    "
      and l.handled_version <= (select version from due where due.payment_id = l.payment_id)
    returning payment_id"
);

const RELEASE: &str = "
    update payment_leases
    set until = log_clock() + $3 * interval '1 millisecond', handled_version = $4
    where payment_id = $1 and worker = $2";

const HOLD_BACK: &str = "
    update payment_leases set until = log_clock() + $3 * interval '1 millisecond'
    where payment_id = $1 and worker = $2";

/// A payment that this worker has to itself for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimed {
    pub(super) payment_id: PaymentId,
    /// The version at which it was found to be due.
    pub(super) version: StreamVersion,
}

/// What was done for a payment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Up to which version all that was due was done.
    pub(super) handled: StreamVersion,
    /// How long nobody needs to look at it: it is due by the time of the log's head, or by a clock a little ahead of
    /// this process', and not by this one's.
    pub(super) pause_ms: i64,
}

#[derive(Debug, Clone)]
pub(super) struct WorkQueue {
    pool: PgPool,
    worker: WorkerId,
}

impl WorkQueue {
    pub(super) fn new(database_url: &str, worker: WorkerId) -> Result<Self, ConnectError> {
        let options = log::look_up_options(log::connect_options(database_url)?);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self { pool, worker })
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Takes at most `many` payments that are due and whose PSP has room, those due longest first.
    pub(super) async fn claim(
        &self,
        many: usize,
        room: &Room,
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        let plain = |statement| {
            sqlx::query(statement)
                .bind(LOG_ID)
                .bind(i64::try_from(many).unwrap_or(i64::MAX))
                .bind(self.worker)
                .bind(LEASE_MS)
        };
        let mut rows = if room.is_everywhere() {
            plain(CLAIM).fetch_all(&self.pool).await
        } else {
            let with_room = plain(CLAIM_WITH_ROOM).bind(&room.full).bind(room.anywhere);
            let (psps, merchants): (Vec<&str>, Vec<Uuid>) =
                room.full_of.iter().map(|(psp, merchant)| (psp.as_str(), merchant.uuid())).unzip();
            let nowhere = room.full_everywhere.iter().map(|merchant| merchant.uuid());
            let with_room = with_room.bind(psps).bind(merchants).bind(nowhere.collect::<Vec<_>>());
            with_room.fetch_all(&self.pool).await
        };
        // The queue of an earlier program, until it is made anew.
        if rows.as_ref().is_err_and(|error| refused_with(error, UNDEFINED_COLUMN)) {
            rows = plain(CLAIM).fetch_all(&self.pool).await;
        }
        let rows = match rows {
            Ok(rows) => rows,
            // The read models were never made, or are just being exchanged.
            Err(error) if refused_with(&error, UNDEFINED_TABLE) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        rows.iter()
            .map(|row| {
                Ok(Claimed {
                    payment_id: PaymentId::from_uuid(row.try_get::<Uuid, _>(0)?),
                    version: StreamVersion::from_number(row.try_get(1)?),
                })
            })
            .collect()
    }

    /// Takes those of `due` that nobody has, and for which no more was done than is known here.
    pub(super) async fn lease(&self, mut due: Vec<Claimed>) -> Result<Vec<Claimed>, sqlx::Error> {
        let leased: Vec<Uuid> = sqlx::query_scalar(LEASE)
            .bind(due.iter().map(|one| one.payment_id.uuid()).collect::<Vec<_>>())
            .bind(due.iter().map(|one| one.version.number()).collect::<Vec<_>>())
            .bind(self.worker)
            .bind(LEASE_MS)
            .fetch_all(&self.pool)
            .await?;
        due.retain(|one| leased.contains(&one.payment_id.uuid()));
        Ok(due)
    }

    /// Keeps a payment for so long: nobody looks at it before.
    pub(super) async fn hold_back(
        &self,
        claimed: &Claimed,
        pause_ms: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(HOLD_BACK)
            .bind(claimed.payment_id.uuid())
            .bind(self.worker)
            .bind(pause_ms)
            .execute(&self.pool)
            .await
            .map(|_| ())
    }

    /// Gives a payment back.
    pub(super) async fn release(&self, claimed: &Claimed, done: Done) -> Result<(), sqlx::Error> {
        let Done { handled, pause_ms } = done;
        sqlx::query(RELEASE)
            .bind(claimed.payment_id.uuid())
            .bind(self.worker)
            .bind(pause_ms.clamp(0, LEASE_MS))
            .bind(handled.number())
            .execute(&self.pool)
            .await
            .map(|_| ())
    }
}

/// Payments that are overdue are counted up to this: that there are many is all one needs to know.
const OVERDUE_COUNTED_MAX: i64 = 10_000;
/// For how long one may be due without an alarm, in milliseconds: what waits for a place or a lease goes on far sooner.
const OVERDUE_MS: i64 = 60_000;
const OVERDUE: &str = "
    select count(*) from (
        select from read.payment_work where due_at < log_clock() - $1 * interval '1 millisecond' limit $2
    ) overdue";

impl WorkQueue {
    /// How many payments have been due for more than a minute.
    pub(super) async fn overdue(&self) -> Result<i64, sqlx::Error> {
        let counting = sqlx::query_scalar(OVERDUE).bind(OVERDUE_MS).bind(OVERDUE_COUNTED_MAX);
        counting.fetch_one(&self.pool).await
    }
}

const TIDY_LEASES: &str = "
    delete from payment_leases where payment_id in (
        select payment_id from payment_leases
        where until < log_clock() - $1 * interval '1 millisecond'
           or until > log_clock() + $3 * interval '1 second'
        limit $2
    )";
const TIDY_HEALTH: &str =
    "delete from psp_health where updated_at < log_clock() - $1 * interval '1 millisecond'";

impl WorkQueue {
    /// Removes leases that ran out, those of a clock that was ahead, and what workers said that are gone.
    pub(super) async fn tidy(&self) -> Result<(), sqlx::Error> {
        let leases = sqlx::query(TIDY_LEASES).bind(KEPT_MS).bind(TIDIED_LEASES_MAX);
        let leases = leases.bind(LONGEST_HELD_S);
        leases.execute(&self.pool).await?;
        sqlx::query(TIDY_HEALTH).bind(KEPT_MS).execute(&self.pool).await.map(|_| ())
    }
}

const UNDEFINED_TABLE: &str = "42P01";
const UNDEFINED_COLUMN: &str = "42703";

fn refused_with(error: &sqlx::Error, state: &str) -> bool {
    let database = error.as_database_error();
    database.and_then(|error| error.code()).is_some_and(|code| code == state)
}
