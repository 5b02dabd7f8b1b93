//! `POST /v1/psps/{psp}/disable`

use api_conventions::{CommandEnvelope, FieldErrors, PathId, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::payments::PspName;
use domain::psps::DisablePsp;
use domain::{Command, Name};
use serde::Deserialize;
use utoipa::ToSchema;

use super::directory::may_be_one;
use super::{PspSwitch, switched};
use crate::answer::respond;
use crate::limits::PAYMENT_ACTION_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// Why a PSP is switched off.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Disabling {
    /// Why, for people.
    #[schema(min_length = 1, max_length = 255, example = "too many time-outs")]
    reason: Option<String>,
}

/// Switch a PSP off
///
/// Nothing is sent there from the moment of the answer on; what was sent is still asked for. Payments that
/// may go elsewhere do; what follows an authorization of this PSP waits. For operators.
#[utoipa::path(
    post, path = "/v1/psps/{psp}/disable", tag = "payments", request_body = Disabling,
    params(("psp" = String, Path, description = "The PSP", example = "alpha")),
    responses(
        (status = 200, description = "It is off", body = PspSwitch),
        (status = 404, description = "`not-found`: there is no such PSP"),
    )
)]
pub(crate) async fn disable_psp(
    State(api): State<ApiState>,
    PathId(psp): PathId<String>,
    envelope: CommandEnvelope<PAYMENT_ACTION_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let psp: PspName = psp.parse().map_err(|_| Problem::not_found())?;
    if !may_be_one(&*api.psps, &psp) {
        return Err(Problem::not_found());
    }
    let body: Disabling = envelope.json_or_default()?;
    let mut errors = FieldErrors::new();
    let reason = errors.check_optional("/reason", body.reason.map(|text| Name::parse(&text)));
    let reason = errors.finish(|| reason)?;
    let command = Command::DisablePsp(DisablePsp { psp, reason });
    Ok(respond(&submit(&api.store, envelope, command, switched).await?))
}
