//! `POST /v1/ledger/entries/{id}/replace`

use std::borrow::Cow;
use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, PathId, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ledger::{EntryPosted, ExternalRef, ReplaceEntry};
use domain::{Command, Decision, EntryId, Event, NewEvent, State as Aggregate, Timestamp};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::entry_body::{NewEntry, NewPosting};
use super::post::one_entry;
use super::reverse::entry_of;
use crate::answer::{respond, success};
use crate::limits::ENTRY_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// An entry to be put in the place of another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReplacement)]
pub(crate) struct NewReplacement<'a> {
    /// What the ledger calls it; names one entry, for ever.
    #[schema(value_type = String, example = "order-1042-b", min_length = 1, max_length = 255)]
    #[serde(borrow)]
    external_ref: Cow<'a, str>,
    /// What it moves: debits and credits are equal in every currency.
    #[schema(min_items = 2, max_items = 1_000)]
    #[serde(borrow)]
    postings: Vec<NewPosting<'a>>,
    /// What statements say of it.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
    /// When it takes effect, where that is not now.
    #[schema(format = DateTime, example = "2026-11-20T12:00:00Z")]
    effective_at: Option<String>,
    /// The payment it belongs to.
    #[schema(example = "pay_01h455vb4pex5vsknk084sn02q")]
    payment: Option<String>,
    /// The dispute it belongs to.
    #[schema(example = "dsp_01h455vb4pex5vsknk084sn02q")]
    dispute: Option<String>,
}

/// An entry that is in the place of another.
#[derive(Serialize, ToSchema)]
#[schema(as = Replacement)]
pub(crate) struct ReplacementInLedger<'a> {
    /// Its id.
    #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
    id: EntryId,
    /// The entry in whose place it is.
    #[schema(value_type = String, example = "ent_01h455tz8kexrbq3m5rv7r8w0d")]
    replaces: EntryId,
    /// The entry that reverses what was left of that; not where it was replaced so before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "ent_6r3pz1d8n2v9kt5b7c4wfhxqgm")]
    reversal: Option<EntryId>,
    /// What the ledger calls it.
    #[schema(value_type = String, example = "order-1042-b")]
    external_ref: &'a ExternalRef,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Replace an entry
///
/// Reverses what is left of an entry and posts another in its place: both, or neither. The limits of
/// the accounts are looked at after both. The reversal takes effect with the replacement, but not
/// before what it reverses.
#[utoipa::path(
    post, path = "/v1/ledger/entries/{id}/replace", tag = "ledger",
    request_body = NewReplacement<'_>,
    params(
        ("id" = String, Path, description = "The entry to be replaced",
         example = "ent_01h455tz8kexrbq3m5rv7r8w0d"),
    ),
    responses(
        (status = 201, description = "Replaced", body = ReplacementInLedger<'_>),
        (status = 200, description = "The same entry was in its place already",
         body = ReplacementInLedger<'_>),
        (status = 404, description = "`entry-not-found`, `account-not-found`, \
                                      `payment-not-found`, `not-found`"),
        (status = 409, description = "`entry-already-reversed`, `reversal-is-final`, \
                                      `entry-is-a-conversion`, \
                                      `insufficient-funds`, `balance-above-maximum`, \
                                      `account-frozen`, `account-closed`, `external-ref-taken`, \
                                      `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `system-account`, `mechanism-account`, \
                                      `currency-mismatch`, \
                                      `effective-time-out-of-range`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn replace_entry(
    State(api): State<ApiState>,
    PathId(entry_id): PathId<EntryId>,
    envelope: CommandEnvelope<ENTRY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let ledger = envelope.caller.merchant_id;
    let by = one_entry(envelope.json::<NewReplacement<'_>>()?.into_entry(), ledger)?;
    let original = entry_of(&api.store, ledger, entry_id).await?;
    let command = Command::ReplaceEntry(ReplaceEntry::new(entry_id, by, original.as_ref()));
    Ok(respond(&submit(&api.store, envelope, command, replaced).await?))
}

impl<'a> NewReplacement<'a> {
    fn into_entry(self) -> NewEntry<'a> {
        NewEntry {
            external_ref: self.external_ref,
            postings: self.postings,
            description: self.description,
            metadata: self.metadata,
            effective_at: self.effective_at,
            payment: self.payment,
            dispute: self.dispute,
            up_to: false,
        }
    }
}

pub(crate) fn replaced(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let (status, body) = match decision {
        Decision::Append(events) => {
            let posted = events.iter().find_map(replacing)?;
            let body = ReplacementInLedger {
                id: posted.entry_id,
                replaces: posted.replaces?,
                reversal: Some(events.iter().find_map(reversing)?),
                external_ref: &posted.external_ref,
                recorded_at,
            };
            (StatusCode::CREATED, body)
        }
        Decision::Already(Aggregate::Entry(entry)) => {
            let body = ReplacementInLedger {
                id: entry.id,
                replaces: entry.replaces?,
                reversal: None,
                external_ref: &entry.external_ref,
                recorded_at: entry.recorded_at,
            };
            (StatusCode::OK, body)
        }
        Decision::Already(_) | Decision::Several { .. } => return None,
    };
    Some(success(status, body.id, &body))
}

/// The entry that is in the place of another, if this is it: what it undoes comes first.
pub(crate) fn replacing(event: &NewEvent) -> Option<&EntryPosted> {
    if let Event::EntryPosted(posted) = &event.event
        && posted.replaces.is_some()
    {
        Some(posted)
    } else {
        None
    }
}

/// The entry that reverses, if this says which.
fn reversing(event: &NewEvent) -> Option<EntryId> {
    if let Event::EntryReversed(reversed) = &event.event {
        Some(reversed.reversed_by)
    } else {
        None
    }
}
