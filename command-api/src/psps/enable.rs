//! `POST /v1/psps/{psp}/enable`

use api_conventions::{CommandEnvelope, PathId, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::Command;
use domain::payments::PspName;
use domain::psps::EnablePsp;

use super::{PspSwitch, switched};
use crate::answer::respond;
use crate::limits::EMPTY_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// Switch a PSP on again
///
/// Payments are sent there again. For operators.
#[utoipa::path(
    post, path = "/v1/psps/{psp}/enable", tag = "payments",
    params(("psp" = String, Path, description = "The PSP", example = "alpha")),
    responses(
        (status = 200, description = "It is on", body = PspSwitch),
        (status = 404, description = "`psp-not-found`: it was never switched off"),
    )
)]
pub(crate) async fn enable_psp(
    State(api): State<ApiState>,
    PathId(psp): PathId<String>,
    envelope: CommandEnvelope<EMPTY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    envelope.no_body()?;
    let psp: PspName = psp.parse().map_err(|_| Problem::not_found())?;
    let command = Command::EnablePsp(EnablePsp { psp });
    Ok(respond(&submit(&api.store, envelope, command, switched).await?))
}
