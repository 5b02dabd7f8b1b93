//! `POST /v1/api-keys`

use api_conventions::{ApiKeyToken, CommandEnvelope, FieldErrors, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::api_keys::{ApiKeyIssued, IssueApiKey, Role};
use domain::{ApiKeyId, Command, Decision, Event, MerchantId, Name, Timestamp};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{json, respond, success};
use crate::limits::API_KEY_BODY_BYTES_MAX;
use crate::names;
use crate::state::ApiState;
use crate::submission::submit;

/// Beside the token, in the one answer that has it.
const TOKEN_SHOWN: &str = "Keep it now: it is not stored here, and no answer shows it again.";
/// In every later answer.
const TOKEN_GONE: &str = "The token was in the first answer only and is not stored here. \
                          If that answer was lost, revoke this key and issue another.";

/// A key to be given out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "role": "merchant", "merchant": "mer_01h455vb4pex5vsknk084sn02q", "label": "checkout"
}))]
pub(crate) struct NewApiKey {
    /// What it allows.
    #[schema(schema_with = names::role)]
    role: String,
    /// The merchant it is for; left out for the roles of the platform.
    #[schema(example = "mer_01h455vb4pex5vsknk084sn02q")]
    merchant: Option<String>,
    /// What its holder calls it.
    #[schema(min_length = 1, max_length = 255)]
    label: Option<String>,
}

/// A key that was given out. Only the first answer has its token.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct IssuedApiKey<'a> {
    /// The public part.
    #[schema(value_type = String, example = "key_01h455vb4pex5vsknk084sn02q")]
    id: ApiKeyId,
    /// What goes behind `Bearer`; null when the answer is a replay.
    #[schema(required)]
    token: Option<&'a str>,
    /// What to know about the token.
    token_note: &'static str,
    /// What it allows.
    #[schema(schema_with = names::role)]
    role: Role,
    /// The merchant it is for; null for the roles of the platform.
    #[schema(value_type = Option<String>, required, example = "mer_01h455vb4pex5vsknk084sn02q")]
    merchant: Option<MerchantId>,
    /// What its holder calls it.
    #[schema(value_type = Option<String>, required)]
    label: Option<&'a Name>,
    /// When it was given out.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Issue an API key
///
/// Gives a key out. The token is in this answer and in no other: what is stored of it is a digest,
/// and a replay with the same `Idempotency-Key` has `"token": null`. For operators.
#[utoipa::path(
    post, path = "/v1/api-keys", tag = "api keys", request_body = NewApiKey,
    responses(
        (status = 201, description = "Given out", body = IssuedApiKey<'_>),
        (status = 404, description = "`merchant-not-found`"),
        (status = 422, description = "`invalid-request`, `role-owner-mismatch`, \
                                      `idempotency-key-reused`"),
    )
)]
pub(crate) async fn issue_api_key(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<API_KEY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let new_key = envelope.json::<NewApiKey>()?;
    let key_id = ApiKeyId::from_uuid(api.store.ids().next());
    let token = ApiKeyToken::generate(key_id, api.random.secret());
    let command = Command::IssueApiKey(new_key.into_command(&token)?);
    let answer = submit(&api.store, envelope, command, move |decision, recorded_at| {
        issued(decision, recorded_at, &token)
    });
    Ok(respond(&answer.await?))
}

impl NewApiKey {
    fn into_command(self, token: &ApiKeyToken) -> Result<IssueApiKey, Problem> {
        let mut errors = FieldErrors::new();
        let role = errors.check("/role", self.role.parse());
        let merchant = self.merchant.map(|merchant| merchant.parse());
        let merchant = errors.check_optional("/merchant", merchant);
        let label = errors.check_optional("/label", self.label.map(|label| Name::parse(&label)));
        errors.finish(|| {
            Some(IssueApiKey {
                key_id: token.key_id(),
                merchant_id: merchant?.unwrap_or(MerchantId::PLATFORM),
                role: role?,
                label: label?,
                secret: token.secret_digest(),
            })
        })
    }
}

fn issued(decision: &Decision, recorded_at: Timestamp, token: &ApiKeyToken) -> Option<NewAnswer> {
    let Decision::Append(events) = decision else { return None };
    let Event::ApiKeyIssued(issued) = &events.first()?.event else { return None };
    let text = token.expose();
    let shown =
        IssuedApiKey { token: Some(&text), token_note: TOKEN_SHOWN, ..stored(issued, recorded_at) };
    let answer = success(StatusCode::CREATED, issued.key_id, &shown);
    Some(NewAnswer { replay_body: Some(json(&stored(issued, recorded_at))), ..answer })
}

/// The answer as it is stored and replayed.
pub(crate) fn without_token(issued: &ApiKeyIssued, recorded_at: Timestamp) -> NewAnswer {
    success(StatusCode::CREATED, issued.key_id, &stored(issued, recorded_at))
}

fn stored(issued: &ApiKeyIssued, recorded_at: Timestamp) -> IssuedApiKey<'_> {
    IssuedApiKey {
        id: issued.key_id,
        token: None,
        token_note: TOKEN_GONE,
        role: issued.role,
        merchant: Some(issued.merchant_id).filter(|merchant_id| !merchant_id.platform()),
        label: issued.label.as_ref(),
        recorded_at,
    }
}
