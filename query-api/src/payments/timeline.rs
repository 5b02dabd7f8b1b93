//! `GET /v1/payments/{id}/timeline`

use api_conventions::{Caller, ListQuery, NoFilters, Page, PageParameters, PathId, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::api_keys::Role;
use domain::cards::BARRED;
use domain::payments::{PaymentEvent, code_for_everybody};
use domain::{EntryId, Event, PaymentId, StreamId, StreamVersion, Timestamp};
use event_store::log::{RecordedEvent, stream_events, stream_page};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::shown;
use crate::database::refused;
use crate::position::MinPosition;
use crate::row_values::timestamp;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// Something that happened to a payment, an entry that was posted for it, or a webhook that named it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineItem {
    /// Its number in the log; null for a webhook, which is kept beside it.
    #[schema(required, example = 42)]
    position: Option<i64>,
    /// When it was recorded, or came.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// What happened.
    #[schema(example = "payment.captured")]
    r#type: String,
    /// What is known of it. Attempts' keys are shown to operators only, and so are reasons of declines
    /// that would warn whoever misuses a card.
    #[schema(value_type = Object)]
    data: Value,
}

/// Show a payment's timeline
///
/// Every event of the payment with its attempts, every entry that books it and every webhook that named it, in
/// the order of their times.
#[utoipa::path(
    get, path = "/v1/payments/{id}/timeline", tag = "payments",
    params(
        ("id" = String, Path, description = "The payment",
         example = "pay_01h455vb4pex5vsknk084sn02q"),
        PageParameters,
    ),
    responses(
        (status = 200, description = "A page", body = Page<TimelineItem>),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
    )
)]
pub(crate) async fn show_timeline(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    query: ListQuery<NoFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let (payment, standing) = shown(&api, &caller, id, min).await?;
    if payment.is_none() {
        return Ok(standing.said_in(Problem::not_found()));
    }
    let mut snapshot = Snapshot::of_log(&api, min.seen_at(standing.position())).await?;
    // Pages are of the payment's own events, each with its entries.
    let after = StreamVersion::from_number(query.after.unwrap_or(0));
    let rows_to_read = i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX);
    let stream = StreamId::payment(id);
    let page = stream_page(snapshot.db(), &stream, after, rows_to_read).await.map_err(refused)?;
    let from = page.events.first().filter(|_| query.after.is_some());
    let times = (from.map(time_of), page.events.get(query.limit).map(time_of));
    let webhooks = webhooks(snapshot.db(), id, times).await.map_err(refused)?;
    let Page { data: shown, next_cursor } =
        Page::of(page.events, query.limit, |event| event.version.number(), |event| event);
    let events: Vec<(RecordedEvent, Event)> = shown
        .into_iter()
        .map(|recorded| {
            let event = recorded.decode().map_err(Problem::internal)?;
            Ok((recorded, event))
        })
        .collect::<Result<_, Problem>>()?;
    let streams: Vec<StreamId> =
        events.iter().filter_map(|(_, event)| Some(StreamId::entry(entry_of(event)?))).collect();
    let entries = stream_events(snapshot.db(), &streams).await.map_err(refused)?;
    let operator = matches!(caller.role, Role::Operator);
    let mut items: Vec<TimelineItem> = Vec::with_capacity(events.len() + entries.len());
    for (recorded, event) in events {
        items.push(item(&recorded, &event, operator)?);
    }
    for recorded in entries {
        let event = recorded.decode().map_err(Problem::internal)?;
        items.push(item(&recorded, &event, operator)?);
    }
    items.extend(webhooks);
    items.sort_by_key(|item| (item.recorded_at, item.position));
    Ok(snapshot.answer(Json(Page { data: items, next_cursor })))
}

fn time_of(event: &RecordedEvent) -> Timestamp {
    event.recorded_at
}

/// The most webhooks between the events of a page.
const WEBHOOKS_MAX: i64 = 500;

const WEBHOOKS: &str = "
    select encode(digest, 'hex'), psp, received_at, deliveries from webhooks
    where payment_id = $1 and received_at >= coalesce($2, '-infinity')
        and received_at < coalesce($3, 'infinity')
    order by received_at limit $4";

/// The webhooks that named the payment, from a time on and before another.
async fn webhooks(
    db: &mut PgConnection,
    id: PaymentId,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
) -> Result<Vec<TimelineItem>, sqlx::Error> {
    let rows: Vec<(String, String, OffsetDateTime, i32)> = sqlx::query_as(WEBHOOKS)
        .bind(id.uuid())
        .bind(from.map(Timestamp::datetime))
        .bind(to.map(Timestamp::datetime))
        .bind(WEBHOOKS_MAX)
        .fetch_all(db)
        .await?;
    let item = |(digest, psp, received_at, deliveries)| TimelineItem {
        position: None,
        recorded_at: timestamp(received_at),
        r#type: "psp.webhook".to_owned(),
        data: json!({"psp": psp, "digest": digest, "deliveries": deliveries}),
    };
    Ok(rows.into_iter().map(item).collect())
}

fn item(recorded: &RecordedEvent, event: &Event, operator: bool) -> Result<TimelineItem, Problem> {
    let mut data: Value = serde_json::from_str(&recorded.data).map_err(Problem::internal)?;
    if !operator {
        hide(&mut data, event);
    }
    Ok(TimelineItem {
        position: Some(recorded.position.number()),
        recorded_at: recorded.recorded_at,
        r#type: recorded.event_type.clone(),
        data,
    })
}

/// Takes out what is not for everybody.
fn hide(data: &mut Value, event: &Event) {
    match event {
        Event::Payment(PaymentEvent::AttemptStarted(_)) => {
            if let Some(fields) = data.as_object_mut() {
                fields.remove("key");
            }
        }
        Event::Payment(PaymentEvent::AttemptDeclined(declined)) => {
            data["code"] = declined.class.shown_code(&declined.code).into();
            data["class"] = declined.class.shown().name().into();
            // Some of what schemes and banks say tells as much as the code.
            if let Some(fields) = data.as_object_mut() {
                fields.remove("advice");
                fields.remove("network_code");
            }
        }
        Event::Payment(PaymentEvent::AttemptWithheld(withheld)) if withheld.limit == BARRED => {
            if let Some(fields) = data.as_object_mut() {
                fields.remove("limit");
            }
        }
        Event::Payment(PaymentEvent::RefundFailed(failed)) => {
            data["code"] = code_for_everybody(&failed.code).into();
        }
        Event::Payment(PaymentEvent::AttemptFailed(failed)) => {
            data["reason"] = code_for_everybody(&failed.reason).into();
        }
        _ => {}
    }
}

/// The entry that was posted with an event.
fn entry_of(event: &Event) -> Option<EntryId> {
    match event {
        Event::Payment(PaymentEvent::Captured(event)) => Some(event.entry_id),
        Event::Payment(PaymentEvent::CaptureFailed(event)) => Some(event.entry_id),
        Event::Payment(PaymentEvent::RefundSucceeded(event)) => Some(event.entry_id),
        Event::Payment(PaymentEvent::RefundFailed(event)) => Some(event.entry_id),
        Event::Payment(PaymentEvent::LateSuccess(event)) => event.entry_id,
        Event::Payment(PaymentEvent::LateSuccessReversed(event)) => event.entry_id,
        Event::Payment(PaymentEvent::LateSuccessFailed(event)) => event.entry_id,
        Event::Payment(PaymentEvent::LateReversalFailed(event)) => event.entry_id,
        _ => None,
    }
}
