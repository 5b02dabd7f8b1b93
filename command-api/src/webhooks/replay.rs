//! `POST /v1/dead-letters/{digest}/replay`

use api_conventions::{CommandEnvelope, PathId, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use event_store::WebhookDigest;

use super::receive::KeptWebhook;
use crate::limits::EMPTY_BODY_BYTES_MAX;
use crate::state::ApiState;

/// Replay a dead letter
///
/// Has a webhook worked off again that could not be, once what was wrong is mended. For operators. Doing it
/// twice does no harm.
#[utoipa::path(
    post, path = "/v1/dead-letters/{digest}/replay", tag = "webhooks",
    params(("digest" = String, Path, description = "SHA-256 of the webhook, in hex")),
    responses(
        (status = 202, description = "It will be worked off, unless that is done", body = KeptWebhook),
        (status = 404, description = "`not-found`: no webhook of that name"),
    )
)]
pub(crate) async fn replay_dead_letter(
    State(api): State<ApiState>,
    PathId(digest): PathId<String>,
    envelope: CommandEnvelope<EMPTY_BODY_BYTES_MAX>,
) -> Result<(StatusCode, Json<KeptWebhook>), Problem> {
    envelope.no_body()?;
    let named = WebhookDigest::from_hex(&digest).ok_or_else(Problem::not_found)?;
    let replayed = api.store.replay_webhook(named).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a dead letter is not replayed");
        Problem::unavailable("it cannot be replayed now")
    })?;
    if replayed {
        Ok((StatusCode::ACCEPTED, Json(KeptWebhook { digest: named.to_string() })))
    } else {
        Err(Problem::not_found())
    }
}
