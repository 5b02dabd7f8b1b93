//! `POST /v1/ledger/holds`

use std::borrow::Cow;
use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, FieldErrors, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::holds::{CreateHold, HoldEvent, HoldStatus};
use domain::ledger::ExternalRef;
use domain::{
    Command, Decision, Event, HoldId, MerchantId, State as Aggregate, StreamVersion, Timestamp,
};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{respond_with_version, success};
use crate::ledger::details_body::{GivenDetails, checked_time};
use crate::ledger::entry_body::{NewPosting, checked_postings};
use crate::ledger::place::Place;
use crate::limits::ENTRY_BODY_BYTES_MAX;
use crate::names;
use crate::state::ApiState;
use crate::submission::submit;

/// Money to be held.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewHold, example = json!({
    "external_ref": "table-7",
    "postings": [
        {"account": "acc_7h455vb4pex5vsknk084sn02q0", "direction": "debit",
         "amount": "10.00", "currency": "USD"},
        {"account": "acc_2m1zq4x8kd9rj5b7c3wfhvt6gy", "direction": "credit",
         "amount": "10.00", "currency": "USD"}
    ],
    "expires_at": "2026-11-28T00:00:00Z"
}))]
pub(crate) struct NewHold<'a> {
    /// What the ledger calls it; names one hold, for ever. An entry may have the same.
    #[schema(value_type = String, example = "table-7", min_length = 1, max_length = 255)]
    #[serde(borrow)]
    pub(crate) external_ref: Cow<'a, str>,
    /// What is to be posted at the most: debits and credits are equal in every currency.
    #[schema(min_items = 2, max_items = 1_000)]
    #[serde(borrow)]
    pub(crate) postings: Vec<NewPosting<'a>>,
    /// What statements say of what it posts.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    /// The payment it belongs to.
    #[schema(example = "pay_01h455vb4pex5vsknk084sn02q")]
    pub(crate) payment: Option<String>,
    /// The dispute it belongs to.
    #[schema(example = "dsp_01h455vb4pex5vsknk084sn02q")]
    pub(crate) dispute: Option<String>,
    /// When it ends by itself: within a year. Never where it is not given.
    #[schema(format = DateTime, example = "2026-11-28T00:00:00Z")]
    pub(crate) expires_at: Option<String>,
}

/// A hold. Kept small, since it is stored with every hold.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold)]
pub(crate) struct HoldInLedger<'a> {
    /// Its id.
    #[schema(value_type = String, example = "hld_01h455vb4pex5vsknk084sn02q")]
    id: HoldId,
    /// What the ledger calls it.
    #[schema(value_type = String, example = "table-7")]
    external_ref: &'a ExternalRef,
    /// What it is: `held` when it is made.
    #[schema(schema_with = names::hold_status)]
    status: HoldStatus,
    /// When it ends by itself; null where it does not.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Its version, which is its `ETag`.
    #[schema(value_type = i64, example = 1)]
    version: StreamVersion,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Hold money
///
/// Promises postings: what is held counts against the limits of its accounts, so that it can be
/// posted later whatever happens meanwhile. An `external_ref` names one hold for ever: with the same
/// content it is answered with the hold that is there.
#[utoipa::path(
    post, path = "/v1/ledger/holds", tag = "holds", request_body = NewHold<'_>,
    responses(
        (status = 201, description = "Held", body = HoldInLedger<'_>,
         headers(("ETag" = String, description = "The hold's version"))),
        (status = 200, description = "The same hold was there already", body = HoldInLedger<'_>),
        (status = 404, description = "`account-not-found`, `payment-not-found`"),
        (status = 409, description = "`insufficient-funds`, `balance-above-maximum`, \
                                      `account-frozen`, `account-closed`, `hold-ref-taken`, \
                                      `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `system-account`, `mechanism-account`, \
                                      `currency-mismatch`, \
                                      `hold-end-out-of-range`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn create_hold(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<ENTRY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let mut errors = FieldErrors::new();
    let body: NewHold<'_> = envelope.json()?;
    let command = body.checked(&mut errors, Place::Body, envelope.caller.merchant_id);
    let command = Command::CreateHold(errors.finish(|| command)?);
    Ok(respond_with_version(&submit(&api.store, envelope, command, held).await?))
}

impl NewHold<'_> {
    /// The command; what is wrong is noted.
    pub(crate) fn checked(
        self,
        errors: &mut FieldErrors,
        place: Place,
        ledger: MerchantId,
    ) -> Option<CreateHold> {
        let external_ref = ExternalRef::parse(&self.external_ref);
        let external_ref = errors.check(place.field("external_ref"), external_ref);
        let details = GivenDetails {
            description: self.description,
            metadata: self.metadata,
            effective_at: None,
            payment: self.payment,
            dispute: self.dispute,
        };
        let details = details.checked(errors, place);
        let expires_at = checked_time(errors, place, "expires_at", self.expires_at);
        let postings = checked_postings(errors, place, &self.postings);
        Some(CreateHold::new(ledger, external_ref?, details?, postings?, expires_at?))
    }
}

pub(crate) fn held(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let (status, body) = match decision {
        Decision::Append(events) => {
            let first = events.first()?;
            let Event::Hold(HoldEvent::Created(created)) = &first.event else { return None };
            let body = HoldInLedger {
                id: created.hold_id,
                external_ref: &created.external_ref,
                status: HoldStatus::Held,
                expires_at: created.expires_at,
                version: first.version,
                recorded_at,
            };
            (StatusCode::CREATED, body)
        }
        Decision::Already(Aggregate::Hold(hold)) => {
            let body = HoldInLedger {
                id: hold.id,
                external_ref: &hold.external_ref,
                status: hold.status,
                expires_at: hold.expires_at,
                version: hold.version,
                recorded_at: hold.recorded_at,
            };
            (StatusCode::OK, body)
        }
        Decision::Already(_) | Decision::Several { .. } => return None,
    };
    Some(success(status, body.id, &body))
}
