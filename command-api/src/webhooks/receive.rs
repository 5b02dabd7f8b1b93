//! `POST /v1/webhooks/{psp}`

use api_conventions::{
    Connection, PeerNetwork, Pool, Problem, announced_bytes, problem_kinds as kinds,
    read_body_in_its_place,
};
use axum::Json;
use axum::extract::{Path, Request, State};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits::WEBHOOK_BODY_BYTES_MAX;
use crate::psps::{BodyCheck, NotLetIn};
use crate::state::ApiState;
use crate::submission::no_answer;

/// The bodies of webhooks that are not kept yet, each counted as what it announces, or else as the most that
/// one has: 128 of the largest, thousands of usual ones. A PSP that sends from one address has a quarter.
pub(crate) const WEBHOOK_BODIES: Pool = Pool {
    name: "webhook_bytes",
    units: "bytes of webhooks that are not kept yet",
    owner: "address",
    total: 128 * WEBHOOK_BODY_BYTES_MAX,
    of_one: 32 * WEBHOOK_BODY_BYTES_MAX,
};

/// Larger bodies are checked on a thread that may be busy: up to here it takes less than 0.1 ms.
const CHECKED_IN_PLACE_BYTES_MAX: usize = 16 * 1024;

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
/// the same one again is only counted. The header is looked at before the body is read: the time, and at most
/// five signatures.
#[utoipa::path(
    post, path = "/v1/webhooks/{psp}", tag = "webhooks",
    params(("psp" = String, Path, description = "Who sends it", example = "alpha")),
    security(()),
    responses(
        (status = 200, description = "Kept", body = KeptWebhook),
        (status = 401, description = "`webhook-not-signed`: not by this PSP, or not now"),
        (status = 404, description = "`not-found`: no webhooks are expected from there"),
        (status = 408, description = "`request-timeout`: the body came too slowly"),
        (status = 413, description = "`body-too-large`"),
        (status = 429, description = "`too-many-requests`: too much at a time from this address"),
        (status = 503, description = "`unavailable`: send it again"),
    )
)]
pub(crate) async fn receive_webhook(
    State(api): State<ApiState>,
    Path(psp): Path<String>,
    request: Request,
) -> Result<Json<KeptWebhook>, Problem> {
    let (parts, body) = request.into_parts();
    // By a clock that is wrong, fresh signatures are stale and stale ones fresh.
    let now = api.store.decidable_now().await.map_err(|error| no_answer(&error))?;
    let source = parts.extensions.get::<Connection>().map(|connection| connection.peer().0);
    let expected = api.psps.expect_webhook(&psp, source, &parts.headers, now);
    let check = expected.map_err(refused)?;
    let bytes = announced_bytes(&parts.headers, WEBHOOK_BODY_BYTES_MAX)?;
    // Held until it is kept, so that a slow database does not collect them either.
    let _place = api.webhook_bodies.take_units(PeerNetwork::of(&parts.extensions), bytes)?;
    let body = read_body_in_its_place(body, WEBHOOK_BODY_BYTES_MAX).await?;
    let body = checked(check, body).await?;
    let kept = api.store.keep_webhook(&psp, body).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a webhook cannot be kept");
        Problem::unavailable("it cannot be kept now")
    })?;
    Ok(Json(KeptWebhook { digest: kept.to_string() }))
}

/// The body, if its signature fits; that of a large one is made elsewhere, where nobody waits for it.
async fn checked(check: BodyCheck, body: Bytes) -> Result<Bytes, Problem> {
    if body.len() <= CHECKED_IN_PLACE_BYTES_MAX {
        check(&body).map_err(refused)?;
        return Ok(body);
    }
    let checking = tokio::task::spawn_blocking(move || check(&body).map(|()| body));
    checking.await.map_err(Problem::internal)?.map_err(refused)
}

fn refused(refusal: NotLetIn) -> Problem {
    match refusal {
        NotLetIn::NotExpected | NotLetIn::NotFromThere => Problem::not_found(),
        NotLetIn::NotSigned { reason } => Problem::new(kinds::WEBHOOK_NOT_SIGNED, reason),
    }
}
