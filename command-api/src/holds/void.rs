//! `POST /v1/ledger/holds/{id}/void`

use api_conventions::{CommandEnvelope, PathId, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::holds::{HoldEvent, HoldStatus, VoidHold};
use domain::{Command, Decision, Event, HoldId, StreamVersion, Timestamp};
use event_store::NewAnswer;
use serde::Serialize;
use utoipa::ToSchema;

use super::hold_of;
use crate::answer::{respond_with_version, success};
use crate::limits::EMPTY_BODY_BYTES_MAX;
use crate::names;
use crate::state::ApiState;
use crate::submission::submit;

/// A hold that was let go.
#[derive(Serialize, ToSchema)]
pub(crate) struct VoidedHold {
    /// The hold.
    #[schema(value_type = String, example = "hld_01h455tz8kexrbq3m5rv7r8w0d")]
    id: HoldId,
    /// What it is now: `voided`.
    #[schema(schema_with = names::hold_status)]
    status: HoldStatus,
    /// Its version now, which is its `ETag`.
    #[schema(value_type = i64, example = 2)]
    version: StreamVersion,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Void a hold
///
/// Lets go of what is left of a hold. What was posted of it stays posted.
#[utoipa::path(
    post, path = "/v1/ledger/holds/{id}/void", tag = "holds",
    params(
        ("id" = String, Path, description = "The hold",
         example = "hld_01h455tz8kexrbq3m5rv7r8w0d"),
    ),
    responses(
        (status = 200, description = "Let go", body = VoidedHold,
         headers(("ETag" = String, description = "The hold's version"))),
        (status = 404, description = "`hold-not-found`, `not-found`"),
        (status = 409, description = "`hold-posted`, `hold-voided`, `hold-expired`, \
                                      `idempotency-key-in-use`"),
    )
)]
pub(crate) async fn void_hold(
    State(api): State<ApiState>,
    PathId(hold_id): PathId<HoldId>,
    envelope: CommandEnvelope<EMPTY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    envelope.no_body()?;
    let ledger = envelope.caller.merchant_id;
    let hold = hold_of(&api.store, ledger, hold_id).await?;
    let command = Command::VoidHold(VoidHold::new(ledger, hold_id, hold.as_deref()));
    Ok(respond_with_version(&submit(&api.store, envelope, command, voided).await?))
}

pub(crate) fn voided(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let Decision::Append(events) = decision else { return None };
    let first = events.first()?;
    let Event::Hold(HoldEvent::Voided(voided)) = &first.event else { return None };
    let (id, status) = (voided.hold_id, HoldStatus::Voided);
    let body = VoidedHold { id, status, version: first.version, recorded_at };
    Some(success(StatusCode::OK, id, &body))
}
