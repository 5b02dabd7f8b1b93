//! `POST /v1/webhooks/{psp}`

use api_conventions::{PeerAddress, Problem, problem_kinds as kinds, read_body};
use axum::Json;
use axum::extract::{Path, Request, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits::WEBHOOK_BODY_BYTES_MAX;
use crate::psps::NotLetIn;
use crate::state::ApiState;
use crate::submission::no_answer;

/// A webhook that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeptWebhook {
    /// SHA-256 of its bytes, in hex.
    #[schema(example = "efd4b524da4a887cce3f783afb80c26c48270b0eaf3a23960f80366b8200fb58")]
    pub(super) digest: String,
}

/// Receive a webhook
///
/// For PSPs: signed by them, over the raw bytes. It is kept before it is answered, and worked off after;
/// the same one again is only counted.
#[utoipa::path(
    post, path = "/v1/webhooks/{psp}", tag = "webhooks",
    params(("psp" = String, Path, description = "Who sends it", example = "alpha")),
    security(()),
    responses(
        (status = 200, description = "Kept", body = KeptWebhook),
        (status = 401, description = "`webhook-not-signed`: not by this PSP, or not now"),
        (status = 404, description = "`not-found`: no webhooks are expected from there"),
        (status = 413, description = "`body-too-large`"),
        (status = 503, description = "`unavailable`: send it again"),
    )
)]
pub(crate) async fn receive_webhook(
    State(api): State<ApiState>,
    Path(psp): Path<String>,
    request: Request,
) -> Result<Json<KeptWebhook>, Problem> {
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, WEBHOOK_BODY_BYTES_MAX).await?;
    // By a clock that is wrong, fresh signatures are stale and stale ones fresh.
    let now = api.store.decidable_now().await.map_err(|error| no_answer(&error))?;
    let source = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
    let checked = api.psps.check_webhook(&psp, source, &parts.headers, &body, now);
    checked.map_err(|refusal| match refusal {
        NotLetIn::NotExpected | NotLetIn::NotFromThere => Problem::not_found(),
        NotLetIn::NotSigned { reason } => Problem::new(kinds::WEBHOOK_NOT_SIGNED, reason),
    })?;
    let kept = api.store.keep_webhook(&psp, body).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a webhook cannot be kept");
        Problem::unavailable("it cannot be kept now")
    })?;
    Ok(Json(KeptWebhook { digest: kept.to_string() }))
}
