//! `POST /v1/ledger/entries/{id}/reverse`

use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, PathId, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ledger::{Details, EntryPosted, ExternalRef, Part, ReverseEntry};
use domain::{Command, Decision, EntryId, Event, MerchantId, State as Aggregate, Timestamp};
use event_store::{EventStore, NewAnswer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::details_body::GivenDetails;
use super::entry_body::NewPosting;
use super::part_body::GivenPart;
use super::place::Place;
use crate::answer::{respond, success};
use crate::limits::ENTRY_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::{no_answer, submit};

/// How much is reversed, and how the reversing entry is called; all of it may be left out, and the
/// body too.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReversal, example = json!({"description": "Order 1042 was cancelled"}))]
pub(crate) struct NewReversal<'a> {
    /// What the ledger calls the reversing entry; `reversal:<id>` where it is not given.
    #[schema(min_length = 1, max_length = 255)]
    external_ref: Option<String>,
    /// How much of an entry of one debit and one credit, with `currency`; all that is left where
    /// neither this nor `postings` is given.
    #[schema(value_type = Option<String>, example = "4.00")]
    amount: Option<DecimalText>,
    /// The currency of `amount`.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: Option<String>,
    /// The part of the entry that is undone, as its postings stand there.
    #[schema(min_items = 2, max_items = 1_000)]
    #[serde(borrow, default)]
    postings: Option<Vec<NewPosting<'a>>>,
    /// What statements say of it.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
    /// When it takes effect, where that is not now; not before what it undoes.
    #[schema(format = DateTime, example = "2026-11-20T12:00:00Z")]
    effective_at: Option<String>,
    /// The payment it belongs to.
    #[schema(example = "pay_01h455vb4pex5vsknk084sn02q")]
    payment: Option<String>,
    /// The dispute it belongs to.
    #[schema(example = "dsp_01h455vb4pex5vsknk084sn02q")]
    dispute: Option<String>,
}

/// An entry that undoes another, or a part of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Reversal)]
pub(crate) struct ReversalInLedger<'a> {
    /// The id of the reversing entry.
    #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
    id: EntryId,
    /// The entry that it undoes.
    #[schema(value_type = String, example = "ent_01h455tz8kexrbq3m5rv7r8w0d")]
    reverses: EntryId,
    /// What the ledger calls the reversing entry.
    #[schema(value_type = String, example = "reversal:ent_01h455tz8kexrbq3m5rv7r8w0d")]
    external_ref: &'a ExternalRef,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Reverse an entry
///
/// Posts the opposite of an entry, or of a part of it, until nothing is left of it. Like any entry it
/// keeps the limits of the accounts, so it may be refused for want of funds. It takes effect with the
/// entry where that is still to come. With an `external_ref` of its own it is posted once, whatever
/// the key.
#[utoipa::path(
    post, path = "/v1/ledger/entries/{id}/reverse", tag = "ledger",
    request_body = Option<NewReversal<'_>>,
    params(
        ("id" = String, Path, description = "The entry",
         example = "ent_01h455tz8kexrbq3m5rv7r8w0d"),
    ),
    responses(
        (status = 201, description = "Reversed", body = ReversalInLedger<'_>),
        (status = 200, description = "The same reversal was there already",
         body = ReversalInLedger<'_>),
        (status = 404, description = "`entry-not-found`, `payment-not-found`, `not-found`"),
        (status = 409, description = "`entry-already-reversed`, `reversal-is-final`, \
                                      `entry-is-a-conversion`, \
                                      `amount-above-reversible`, `insufficient-funds`, \
                                      `balance-above-maximum`, `account-frozen`, \
                                      `account-closed`, `external-ref-taken`, \
                                      `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `amount-ambiguous`, `system-account`, `mechanism-account`, \
                                      `effective-time-out-of-range`, \
                                      `effective-before-original`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn reverse_entry(
    State(api): State<ApiState>,
    PathId(entry_id): PathId<EntryId>,
    envelope: CommandEnvelope<ENTRY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let body: Option<NewReversal<'_>> = envelope.json_or_default()?;
    let mut errors = FieldErrors::new();
    let wanted = body.unwrap_or_default().checked(&mut errors, Place::Body);
    let wanted = errors.finish(|| wanted)?;
    let ledger = envelope.caller.merchant_id;
    let original = entry_of(&api.store, ledger, entry_id).await?;
    let command = Command::ReverseEntry(wanted.into_command(ledger, entry_id, original.as_ref()));
    Ok(respond(&submit(&api.store, envelope, command, reversed).await?))
}

/// The entry as the log has it; another ledger's is as good as none.
pub(super) async fn entry_of(
    store: &EventStore,
    ledger: MerchantId,
    entry_id: EntryId,
) -> Result<Option<EntryPosted>, Problem> {
    let found = store.entry_posted(entry_id).await.map_err(|error| no_answer(&error))?;
    Ok(found.filter(|posted| posted.ledger == ledger))
}

/// A body that has nothing wrong in it.
pub(super) struct CheckedReversal {
    external_ref: Option<ExternalRef>,
    details: Details,
    part: Part,
}

impl NewReversal<'_> {
    fn checked(self, errors: &mut FieldErrors, place: Place) -> Option<CheckedReversal> {
        let details = GivenDetails {
            description: self.description,
            metadata: self.metadata,
            effective_at: self.effective_at,
            payment: self.payment,
            dispute: self.dispute,
        };
        let part =
            GivenPart { amount: self.amount, currency: self.currency, postings: self.postings };
        CheckedReversal::of(errors, place, self.external_ref, details, part)
    }
}

impl CheckedReversal {
    pub(super) fn of(
        errors: &mut FieldErrors,
        place: Place,
        external_ref: Option<String>,
        details: GivenDetails,
        part: GivenPart<'_>,
    ) -> Option<Self> {
        let external_ref = external_ref.map(|text| ExternalRef::parse(&text));
        let external_ref = errors.check_optional(place.field("external_ref"), external_ref);
        let details = details.checked(errors, place);
        let part = part.checked(errors, place);
        Some(Self { external_ref: external_ref?, details: details?, part: part? })
    }

    pub(super) fn into_command(
        self,
        ledger: MerchantId,
        entry_id: EntryId,
        original: Option<&EntryPosted>,
    ) -> ReverseEntry {
        let Self { external_ref, details, part } = self;
        ReverseEntry::new(ledger, entry_id, external_ref, details, part, original)
    }
}

pub(crate) fn reversed(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let (status, body) = match decision {
        Decision::Append(events) => {
            let Event::EntryPosted(posted) = &events.first()?.event else { return None };
            let (id, external_ref) = (posted.entry_id, &posted.external_ref);
            let reverses = posted.reverses?;
            (StatusCode::CREATED, ReversalInLedger { id, reverses, external_ref, recorded_at })
        }
        Decision::Already(Aggregate::Entry(entry)) => {
            let (id, external_ref) = (entry.id, &entry.external_ref);
            let (reverses, recorded_at) = (entry.reverses?, entry.recorded_at);
            (StatusCode::OK, ReversalInLedger { id, reverses, external_ref, recorded_at })
        }
        Decision::Already(_) | Decision::Several { .. } => return None,
    };
    Some(success(status, body.id, &body))
}
