//! `DELETE /v1/api-keys/{id}`

use api_conventions::{CommandEnvelope, PathId, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::api_keys::RevokeApiKey;
use domain::{ApiKeyId, Command, Decision, Event, State as Aggregate, Timestamp};
use event_store::NewAnswer;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{respond, success};
use crate::limits::EMPTY_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// A key that opens nothing any more.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevokedApiKey {
    /// The public part.
    #[schema(value_type = String, example = "key_01h455vb4pex5vsknk084sn02q")]
    id: ApiKeyId,
    /// Always true.
    #[schema(example = true)]
    revoked: bool,
}

/// Revoke an API key
///
/// Takes a key back, for ever; every process refuses it within a second. To revoke a key that was
/// revoked before changes nothing and is no error. For operators.
#[utoipa::path(
    delete, path = "/v1/api-keys/{id}", tag = "api keys",
    params(
        ("id" = String, Path, description = "The key", example = "key_01h455vb4pex5vsknk084sn02q"),
    ),
    responses(
        (status = 200, description = "It opens nothing any more", body = RevokedApiKey),
        (status = 404, description = "`api-key-not-found`, `not-found`"),
    )
)]
pub(crate) async fn revoke_api_key(
    State(api): State<ApiState>,
    PathId(key_id): PathId<ApiKeyId>,
    envelope: CommandEnvelope<EMPTY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    envelope.no_body()?;
    let command = Command::RevokeApiKey(RevokeApiKey { key_id });
    Ok(respond(&submit(&api.store, envelope, command, revoked).await?))
}

pub(crate) fn revoked(decision: &Decision, _: Timestamp) -> Option<NewAnswer> {
    let id = match decision {
        Decision::Append(events) => match &events.first()?.event {
            Event::ApiKeyRevoked(revoked) => revoked.key_id,
            _ => return None,
        },
        Decision::Already(Aggregate::ApiKey(key)) => key.id,
        Decision::Already(_) | Decision::Several { .. } => return None,
    };
    Some(success(StatusCode::OK, id, &RevokedApiKey { id, revoked: true }))
}
