//! `POST /v1/ledger/holds/{id}/post`

use std::collections::BTreeMap;

use api_conventions::{AmountDto, CommandEnvelope, DecimalText, FieldErrors, PathId, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::holds::{Hold, HoldEvent, HoldPosted, HoldStatus, PostHold};
use domain::ledger::{Details, ExternalRef, Part};
use domain::{
    Command, Decision, EntryId, Event, HoldId, MerchantId, NewEvent, State as Aggregate, Timestamp,
};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::hold_of;
use crate::answer::{respond, success};
use crate::ledger::details_body::GivenDetails;
use crate::ledger::entry_body::NewPosting;
use crate::ledger::part_body::GivenPart;
use crate::ledger::place::Place;
use crate::limits::ENTRY_BODY_BYTES_MAX;
use crate::names;
use crate::state::ApiState;
use crate::submission::submit;

/// How much of a hold is posted; all that is left where nothing is said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewHoldPosting, example = json!({"amount": "4.00", "currency": "USD"}))]
pub(crate) struct NewHoldPosting<'a> {
    /// What the ledger calls the entry; a name made of the hold's id where it is not given. With
    /// one of its own the part is posted once, whatever the key.
    #[schema(min_length = 1, max_length = 255)]
    external_ref: Option<String>,
    /// How much of a hold of one debit and one credit, with `currency`; all that is left where
    /// neither this nor `postings` is given.
    #[schema(value_type = Option<String>, example = "4.00")]
    amount: Option<DecimalText>,
    /// The currency of `amount`.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: Option<String>,
    /// The part that is posted, as its postings stand in the hold.
    #[schema(min_items = 2, max_items = 1_000)]
    #[serde(borrow, default)]
    postings: Option<Vec<NewPosting<'a>>>,
    /// Whether this is the last of it: what is left is let go.
    #[serde(default)]
    last: bool,
    /// What statements say of the entry; what the hold says where it is not given.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// What to find the entry by; what the hold has where it is not given.
    metadata: Option<BTreeMap<String, String>>,
    /// When the entry takes effect, where that is not now.
    #[schema(format = DateTime, example = "2026-11-20T12:00:00Z")]
    effective_at: Option<String>,
}

/// An entry that posted a hold, or a part of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldPosting<'a> {
    /// The id of the entry.
    #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
    id: EntryId,
    /// The hold.
    #[schema(value_type = String, example = "hld_01h455tz8kexrbq3m5rv7r8w0d")]
    hold: HoldId,
    /// What the ledger calls the entry.
    #[schema(value_type = String, example = "hold:hld_01h455tz8kexrbq3m5rv7r8w0d:1")]
    external_ref: &'a ExternalRef,
    /// What the hold is after it; not where the entry was there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = names::hold_status, required = false)]
    status: Option<HoldStatus>,
    /// How much is held still, where that is something of one debit and one credit.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<AmountDto>,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Post a hold
///
/// Posts what is held, or a part of it, as an entry; several parts one after the other until nothing
/// is left or one is the `last`.
#[utoipa::path(
    post, path = "/v1/ledger/holds/{id}/post", tag = "holds",
    request_body = Option<NewHoldPosting<'_>>,
    params(
        ("id" = String, Path, description = "The hold",
         example = "hld_01h455tz8kexrbq3m5rv7r8w0d"),
    ),
    responses(
        (status = 201, description = "Posted", body = HoldPosting<'_>),
        (status = 200, description = "The same part was posted under this reference already",
         body = HoldPosting<'_>),
        (status = 404, description = "`hold-not-found`, `not-found`"),
        (status = 409, description = "`hold-posted`, `hold-voided`, `hold-expired`, \
                                      `amount-above-held`, `account-frozen`, `account-closed`, \
                                      `external-ref-taken`, `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `amount-ambiguous`, \
                                      `effective-time-out-of-range`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn post_hold(
    State(api): State<ApiState>,
    PathId(hold_id): PathId<HoldId>,
    envelope: CommandEnvelope<ENTRY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let body: Option<NewHoldPosting<'_>> = envelope.json_or_default()?;
    let mut errors = FieldErrors::new();
    let wanted = body.unwrap_or_default().checked(&mut errors, Place::Body);
    let wanted = errors.finish(|| wanted)?;
    let ledger = envelope.caller.merchant_id;
    let hold = hold_of(&api.store, ledger, hold_id).await?;
    let command = Command::PostHold(wanted.into_command(ledger, hold_id, hold.as_deref()));
    Ok(respond(&submit(&api.store, envelope, command, posted).await?))
}

/// A body that has nothing wrong in it.
pub(crate) struct CheckedHoldPosting {
    external_ref: Option<ExternalRef>,
    details: Details,
    part: Part,
    last: bool,
}

impl NewHoldPosting<'_> {
    fn checked(self, errors: &mut FieldErrors, place: Place) -> Option<CheckedHoldPosting> {
        let details = GivenDetails {
            description: self.description,
            metadata: self.metadata,
            effective_at: self.effective_at,
            ..GivenDetails::default()
        };
        let part =
            GivenPart { amount: self.amount, currency: self.currency, postings: self.postings };
        CheckedHoldPosting::of(errors, place, self.external_ref, details, part, self.last)
    }
}

impl CheckedHoldPosting {
    pub(crate) fn of(
        errors: &mut FieldErrors,
        place: Place,
        external_ref: Option<String>,
        details: GivenDetails,
        part: GivenPart<'_>,
        last: bool,
    ) -> Option<Self> {
        let external_ref = external_ref.map(|text| ExternalRef::parse(&text));
        let external_ref = errors.check_optional(place.field("external_ref"), external_ref);
        let details = details.checked(errors, place);
        let part = part.checked(errors, place);
        Some(Self { external_ref: external_ref?, details: details?, part: part?, last })
    }

    pub(crate) fn into_command(
        self,
        ledger: MerchantId,
        hold_id: HoldId,
        hold: Option<&Hold>,
    ) -> PostHold {
        let Self { external_ref, details, part, last } = self;
        PostHold::new(ledger, hold_id, external_ref, details, part, last, hold)
    }
}

pub(crate) fn posted(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let (status, body) = match decision {
        Decision::Append(events) => {
            let [NewEvent { event: Event::EntryPosted(posted), .. }, mark] = events.as_slice()
            else {
                return None;
            };
            let Event::Hold(HoldEvent::Posted(mark)) = &mark.event else { return None };
            let body = HoldPosting {
                id: posted.entry_id,
                hold: mark.hold_id,
                external_ref: &posted.external_ref,
                status: Some(status_after(mark)),
                remaining: remaining_after(mark),
                recorded_at,
            };
            (StatusCode::CREATED, body)
        }
        Decision::Already(Aggregate::Entry(entry)) => {
            let body = HoldPosting {
                id: entry.id,
                hold: entry.hold_id?,
                external_ref: &entry.external_ref,
                status: None,
                remaining: None,
                recorded_at: entry.recorded_at,
            };
            (StatusCode::OK, body)
        }
        Decision::Already(_) | Decision::Several { .. } => return None,
    };
    Some(success(status, body.id, &body))
}

/// What the hold is then.
pub(crate) fn status_after(mark: &HoldPosted) -> HoldStatus {
    if mark.left.is_empty() { HoldStatus::Posted } else { HoldStatus::Held }
}

/// How much is held then, where one amount says it.
pub(crate) fn remaining_after(mark: &HoldPosted) -> Option<AmountDto> {
    let [first, _] = mark.left.as_slice() else { return None };
    Some(first.amount.into())
}
