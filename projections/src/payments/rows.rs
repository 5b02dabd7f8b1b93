//! The tables `payments` and `payment_work`: read and written as sets.

use domain::payments::{Payment, PspName};
use domain::psps::PspEvent;
use domain::{Name, Timestamp};
use event_store::log::Position;
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::batch::PaymentRow;
use crate::projection::{AppliedEvent, ApplyError};

/// The payments of `ids` as they stand.
pub(super) async fn read(
    db: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<PaymentRow>, ApplyError> {
    let rows = sqlx::query(
        "select aggregate::text, created_position, updated_position, updated_at \
         from payments where payment_id = any($1)",
    )
    .bind(ids)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let aggregate: &str = row.try_get(0)?;
            let payment: Payment = serde_json::from_str(aggregate).map_err(|error| {
                ApplyError::contradiction(format!("a payment's row cannot be read: {error}"))
            })?;
            Ok(PaymentRow {
                payment,
                created_position: Position::from_number(row.try_get(1)?),
                updated_position: Position::from_number(row.try_get(2)?),
                updated_at: Timestamp::from_datetime(row.try_get::<OffsetDateTime, _>(3)?),
            })
        })
        .collect()
}

const UPSERT: &str = "
    insert into payments (payment_id, merchant_id, state, amount_minor, currency, customer, reference,
        psp, decline_class, version, created_at, created_position, updated_at, updated_position,
        aggregate)
    select p.payment_id, p.merchant_id, p.state, p.amount_minor, p.currency, p.customer, p.reference,
        p.psp, p.decline_class, p.version, p.created_at, p.created_position, p.updated_at,
        p.updated_position, p.aggregate::json
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::bigint[], $11::timestamptz[], $12::bigint[], $13::timestamptz[],
        $14::bigint[], $15::text[])
        as p (payment_id, merchant_id, state, amount_minor, currency, customer, reference, psp,
            decline_class, version, created_at, created_position, updated_at, updated_position,
            aggregate)
    on conflict (payment_id) do update
    set state = excluded.state, psp = excluded.psp, decline_class = excluded.decline_class,
        version = excluded.version, updated_at = excluded.updated_at,
        updated_position = excluded.updated_position, aggregate = excluded.aggregate";

/// Writes the payments as they stand now.
pub(super) async fn upsert(db: &mut PgConnection, rows: &[PaymentRow]) -> Result<(), ApplyError> {
    if rows.is_empty() {
        return Ok(());
    }
    let payments = || rows.iter().map(|row| &row.payment);
    let text = |name: &Option<Name>| name.as_ref().map(|name| name.as_str().to_owned());
    let aggregates = payments()
        .map(serde_json::to_string)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ApplyError::contradiction(format!("a payment is not JSON: {error}")))?;
    sqlx::query(UPSERT)
        .bind(payments().map(|payment| payment.id.uuid()).collect::<Vec<_>>())
        .bind(payments().map(|payment| payment.merchant_id.uuid()).collect::<Vec<_>>())
        .bind(payments().map(|payment| payment.state().name()).collect::<Vec<_>>())
        .bind(payments().map(|payment| payment.amount().minor()).collect::<Vec<_>>())
        .bind(payments().map(|payment| payment.amount().currency().to_string()).collect::<Vec<_>>())
        .bind(payments().map(|payment| text(&payment.intent.customer)).collect::<Vec<_>>())
        .bind(payments().map(|payment| text(&payment.intent.reference)).collect::<Vec<_>>())
        .bind(payments().map(psp_of).collect::<Vec<_>>())
        .bind(payments().map(decline_class).collect::<Vec<_>>())
        .bind(payments().map(|payment| payment.version.number()).collect::<Vec<_>>())
        .bind(payments().map(|payment| payment.created_at.datetime()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.created_position.number()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.updated_at.datetime()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.updated_position.number()).collect::<Vec<_>>())
        .bind(aggregates)
        .execute(db)
        .await?;
    Ok(())
}

fn psp_of(payment: &Payment) -> Option<&str> {
    payment.psp().map(PspName::as_str)
}

fn bound_to(payment: &Payment) -> Option<&str> {
    payment.bound_to().map(PspName::as_str)
}

fn decline_class(payment: &Payment) -> Option<&'static str> {
    payment.decline().map(|(class, _)| class.name())
}

/// Writes what is to be done for them, and takes away what is done.
pub(super) async fn queue(db: &mut PgConnection, rows: &[PaymentRow]) -> Result<(), ApplyError> {
    let due = |row: &PaymentRow| row.payment.due_at();
    let done: Vec<Uuid> =
        rows.iter().filter(|row| due(row).is_none()).map(|row| row.payment.id.uuid()).collect();
    if !done.is_empty() {
        sqlx::query("delete from payment_work where payment_id = any($1)")
            .bind(done)
            .execute(&mut *db)
            .await?;
    }
    let waiting: Vec<(&Payment, Timestamp)> =
        rows.iter().filter_map(|row| Some((&row.payment, due(row)?))).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into payment_work (payment_id, due_at, version, psp, merchant_id) \
         select * from unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::text[], $5::uuid[]) \
         on conflict (payment_id) do update set due_at = excluded.due_at, \
             version = excluded.version, psp = excluded.psp",
    )
    .bind(waiting.iter().map(|(payment, _)| payment.id.uuid()).collect::<Vec<_>>())
    .bind(waiting.iter().map(|(_, due_at)| due_at.datetime()).collect::<Vec<_>>())
    .bind(waiting.iter().map(|(payment, _)| payment.version.number()).collect::<Vec<_>>())
    .bind(waiting.iter().map(|(payment, _)| bound_to(payment)).collect::<Vec<_>>())
    .bind(waiting.iter().map(|(payment, _)| payment.merchant_id.uuid()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// Writes how PSPs are switched now.
pub(super) async fn switch(
    db: &mut PgConnection,
    switched: &[(&PspEvent, &AppliedEvent)],
) -> Result<(), ApplyError> {
    if switched.is_empty() {
        return Ok(());
    }
    let events = || switched.iter().map(|(event, _)| *event);
    let applied = || switched.iter().map(|(_, applied)| *applied);
    let reason = |event: &PspEvent| match event {
        PspEvent::Disabled(event) => event.reason.as_ref().map(ToString::to_string),
        PspEvent::Enabled(_) => None,
    };
    sqlx::query(
        "insert into psps (psp, disabled, reason, version, changed_at, position) \
         select * from unnest($1::text[], $2::boolean[], $3::text[], $4::bigint[], \
             $5::timestamptz[], $6::bigint[]) \
         on conflict (psp) do update set disabled = excluded.disabled, reason = excluded.reason, \
             version = excluded.version, changed_at = excluded.changed_at, \
             position = excluded.position",
    )
    .bind(events().map(|event| event.psp().to_string()).collect::<Vec<_>>())
    .bind(events().map(|event| matches!(event, PspEvent::Disabled(_))).collect::<Vec<_>>())
    .bind(events().map(reason).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.version.number()).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.recorded_at.datetime()).collect::<Vec<_>>())
    .bind(applied().map(|applied| applied.position.number()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}
