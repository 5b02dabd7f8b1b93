//! `POST /v1/ledger/closes`

use api_conventions::{CommandEnvelope, FieldErrors, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::books::{BooksEvent, CutOffDay};
use domain::{Command, Day, Decision, Event, Timestamp};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{respond, success};
use crate::limits::CLOSE_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// What [`DayClosing`] says of a day that is cut off.
const CLOSING: &str = "closing";

/// A day whose books are to be closed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"day": "2026-11-20"}))]
pub(crate) struct NewClose {
    /// The day, in UTC; those before it that are open are closed with it.
    #[schema(example = "2026-11-20", format = Date)]
    day: String,
}

/// A day whose books are being closed.
#[derive(Serialize, ToSchema)]
pub(crate) struct DayClosing {
    /// The day.
    #[schema(value_type = String, format = Date, example = "2026-11-20")]
    day: Day,
    /// `closing`: nothing takes effect on it any more, and its balances are being added up.
    #[schema(example = "closing")]
    status: &'static str,
    /// When it was cut off.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Close a day
///
/// Cuts off a day that is over, and every day before it that is open, in the ledger of the key's
/// merchant (an operator's is the platform's). What is posted later with an earlier `effective_at`
/// takes effect on the next open day. The balances are added up after that, and the day is closed
/// with their digest. A month ends before the next begins: its last day is closed by itself.
#[utoipa::path(
    post, path = "/v1/ledger/closes", tag = "ledger", request_body = NewClose,
    responses(
        (status = 202, description = "Cut off; it is closed soon", body = DayClosing),
        (status = 409, description = "`day-not-over`, `day-cut-off`, `month-not-closed`, \
                                      `day-being-closed`, `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `day-before-books`, \
                                      `idempotency-key-reused`"),
    )
)]
pub(crate) async fn close_day(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<CLOSE_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let mut errors = FieldErrors::new();
    let day = errors.check("/day", envelope.json::<NewClose>()?.day.parse());
    let day = errors.finish(|| day)?;
    let command = Command::CutOffDay(CutOffDay { ledger: envelope.caller.merchant_id, day });
    Ok(respond(&submit(&api.store, envelope, command, cut_off).await?))
}

pub(crate) fn cut_off(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let Decision::Append(events) = decision else { return None };
    let Event::Books(BooksEvent::DayCutOff(event)) = &events.first()?.event else { return None };
    let body = DayClosing { day: event.day, status: CLOSING, recorded_at };
    Some(success(StatusCode::ACCEPTED, event.day, &body))
}
