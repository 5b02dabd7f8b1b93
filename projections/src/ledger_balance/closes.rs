//! The tables `day_closes` and `month_closes`.

use domain::books::{BalancesDigest, BooksEvent, DayClosed, DayCutOff, MonthClosed};
use domain::{Day, Timestamp};
use event_store::log::Position;
use sqlx::PgConnection;
use time::Date;

use crate::projection::{AppliedEvent, ApplyError};

#[derive(Debug)]
struct Happened<'a, E> {
    event: &'a E,
    at: Timestamp,
    position: Position,
}

/// What the batch says of books.
#[derive(Debug, Default)]
pub(super) struct CloseRows<'a> {
    cut_off: Vec<Happened<'a, DayCutOff>>,
    closed: Vec<Happened<'a, DayClosed>>,
    months: Vec<Happened<'a, MonthClosed>>,
}

impl<'a> CloseRows<'a> {
    pub(super) fn push(&mut self, event: &'a BooksEvent, applied: &AppliedEvent) {
        let (at, position) = (applied.recorded_at, applied.position);
        match event {
            BooksEvent::DayCutOff(event) => self.cut_off.push(Happened { event, at, position }),
            BooksEvent::DayClosed(event) => self.closed.push(Happened { event, at, position }),
            BooksEvent::MonthClosed(event) => self.months.push(Happened { event, at, position }),
        }
    }
}

fn date(day: Day) -> Date {
    day.start().datetime().date()
}

/// Writes them; they are few, so one by one.
pub(super) async fn write(db: &mut PgConnection, rows: &CloseRows<'_>) -> Result<(), ApplyError> {
    for Happened { event, at, position } in &rows.cut_off {
        sqlx::query(
            "insert into day_closes (ledger, day, cut_off_at, cut_off_position) \
             values ($1, $2, $3, $4)",
        )
        .bind(event.ledger.uuid())
        .bind(date(event.day))
        .bind(at.datetime())
        .bind(position.number())
        .execute(&mut *db)
        .await?;
    }
    for closed in &rows.closed {
        close(&mut *db, closed).await?;
    }
    for Happened { event, at, position } in &rows.months {
        sqlx::query(
            "insert into month_closes (ledger, month, digest, closed_at, closed_position) \
             values ($1, $2, $3, $4, $5)",
        )
        .bind(event.ledger.uuid())
        .bind(&event.month)
        .bind(event.digest.to_string())
        .bind(at.datetime())
        .bind(position.number())
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

async fn close(
    db: &mut PgConnection,
    Happened { event, at, position }: &Happened<'_, DayClosed>,
) -> Result<(), ApplyError> {
    let unreadable =
        |what: &str| ApplyError::contradiction(format!("a close has a garbled {what}"));
    let accounts = i64::try_from(event.accounts).map_err(|_| unreadable("number of accounts"))?;
    let totals = serde_json::to_string(&event.totals).map_err(|_| unreadable("list of totals"))?;
    let closed = sqlx::query(
        "update day_closes set closed_at = $3, closed_position = $4, accounts = $5, \
             totals = $6::json, previous = $7, digest = $8 \
         where ledger = $1 and day = $2 and closed_position is null",
    )
    .bind(event.ledger.uuid())
    .bind(date(event.day))
    .bind(at.datetime())
    .bind(position.number())
    .bind(accounts)
    .bind(totals)
    .bind(event.previous.as_ref().map(BalancesDigest::to_string))
    .bind(event.digest.to_string())
    .execute(db)
    .await?;
    if closed.rows_affected() == 1 {
        return Ok(());
    }
    let reason = format!("{} of {} is closed without being cut off", event.day, event.ledger);
    Err(ApplyError::contradiction(reason))
}
