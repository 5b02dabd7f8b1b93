//! `GET /v1/payments/{id}/timeline`

use api_conventions::{Caller, ListQuery, NoFilters, Page, PageParameters, PathId, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::api_keys::Role;
use domain::payments::PaymentEvent;
use domain::{EntryId, Event, PaymentId, StreamId, StreamVersion, Timestamp};
use event_store::log::{RecordedEvent, stream_events, stream_page};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::shown;
use crate::database::refused;
use crate::position::MinPosition;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// Something that happened to a payment, or an entry that was posted for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineItem {
    /// Its number in the log.
    #[schema(example = 42)]
    position: i64,
    /// When it was recorded.
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
/// Every event of the payment with its attempts, and every entry that books it, ascending.
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
    let mut snapshot = Snapshot::of_log(&api, MinPosition(standing.position())).await?;
    // Pages are of the payment's own events, each with its entries.
    let after = StreamVersion::from_number(query.after.unwrap_or(0));
    let rows_to_read = i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX);
    let stream = StreamId::payment(id);
    let page = stream_page(snapshot.db(), &stream, after, rows_to_read).await.map_err(refused)?;
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
    items.sort_unstable_by_key(|item| item.position);
    Ok(snapshot.answer(Json(Page { data: items, next_cursor })))
}

fn item(recorded: &RecordedEvent, event: &Event, operator: bool) -> Result<TimelineItem, Problem> {
    let mut data: Value = serde_json::from_str(&recorded.data).map_err(Problem::internal)?;
    if !operator {
        hide(&mut data, event);
    }
    Ok(TimelineItem {
        position: recorded.position.number(),
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
            if declined.class.shown_code(&declined.code) != declined.code
                && let Some(fields) = data.as_object_mut()
            {
                fields.remove("advice");
            }
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
        _ => None,
    }
}
