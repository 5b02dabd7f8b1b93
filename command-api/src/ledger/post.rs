//! `POST /v1/ledger/entries`

use api_conventions::{AmountDto, CommandEnvelope, DecimalText, FieldErrors, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ledger::{Entry, EntryPosted, ExternalRef, PostEntry, Posting};
use domain::{
    Command, Currency, Decision, EntryId, Event, MerchantId, State as Aggregate, Timestamp,
};
use event_store::NewAnswer;
use serde::Serialize;
use utoipa::ToSchema;

use super::entry_body::NewEntry;
use super::place::Place;
use crate::answer::{respond, success};
use crate::limits::ENTRY_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// An entry that is in the ledger. Kept small, since it is stored with every entry.
#[derive(Serialize, ToSchema)]
#[schema(as = Entry)]
pub(crate) struct EntryInLedger<'a> {
    /// Its id.
    #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
    id: EntryId,
    /// What the ledger calls it.
    #[schema(value_type = String, example = "order-1042")]
    external_ref: &'a ExternalRef,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// How much it moved, where it was to move what is available (`up_to`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "10.00")]
    amount: Option<DecimalText>,
    /// The currency of `amount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
    /// When it takes effect, where the books of the day that it was meant for are closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<Timestamp>,
    /// The time that it was meant for, in that case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    late_for: Option<Timestamp>,
}

/// Post an entry
///
/// Moves money between accounts of the key's merchant: all of the postings, or none. An
/// `external_ref` names one entry for ever: with the same content it is answered with the entry
/// that is there, with other content refused.
#[utoipa::path(
    post, path = "/v1/ledger/entries", tag = "ledger", request_body = NewEntry<'_>,
    responses(
        (status = 201, description = "Posted", body = EntryInLedger<'_>),
        (status = 200, description = "The same entry was there already", body = EntryInLedger<'_>),
        (status = 404, description = "`account-not-found`, `payment-not-found`"),
        (status = 409, description = "`insufficient-funds`, `balance-above-maximum`, \
                                      `account-frozen`, `account-closed`, `external-ref-taken`, \
                                      `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `system-account`, `mechanism-account`, \
                                      `currency-mismatch`, \
                                      `effective-time-out-of-range`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn post_entry(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<ENTRY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let command = one_entry(envelope.json()?, envelope.caller.merchant_id)?;
    let answer = submit(&api.store, envelope, Command::PostEntry(command), in_ledger);
    Ok(respond(&answer.await?))
}

/// The command of a body that is one entry.
pub(crate) fn one_entry(entry: NewEntry<'_>, ledger: MerchantId) -> Result<PostEntry, Problem> {
    let mut errors = FieldErrors::new();
    let command = entry.checked(&mut errors, Place::Body, ledger);
    errors.finish(|| command)
}

pub(crate) fn in_ledger(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    match decision {
        Decision::Append(events) => {
            let Event::EntryPosted(posted) = &events.first()?.event else { return None };
            let body = EntryInLedger::posted(posted, recorded_at);
            Some(success(StatusCode::CREATED, posted.entry_id, &body))
        }
        Decision::Already(Aggregate::Entry(entry)) => {
            Some(success(StatusCode::OK, entry.id, &EntryInLedger::existing(entry)))
        }
        Decision::Already(_) | Decision::Several { .. } => None,
    }
}

impl<'a> EntryInLedger<'a> {
    fn posted(posted: &'a EntryPosted, recorded_at: Timestamp) -> Self {
        let moved = moved(posted.up_to_minor, &posted.postings);
        Self {
            id: posted.entry_id,
            external_ref: &posted.external_ref,
            recorded_at,
            currency: moved.as_ref().map(|(_, currency)| *currency),
            amount: moved.map(|(amount, _)| amount),
            effective_at: posted.late_for.and(posted.effective_at),
            late_for: posted.late_for,
        }
    }

    fn existing(entry: &'a Entry) -> Self {
        let moved = moved(entry.up_to_minor, &entry.postings);
        Self {
            id: entry.id,
            external_ref: &entry.external_ref,
            recorded_at: entry.recorded_at,
            currency: moved.as_ref().map(|(_, currency)| *currency),
            amount: moved.map(|(amount, _)| amount),
            effective_at: entry.late_for.and(entry.effective_at),
            late_for: entry.late_for,
        }
    }
}

/// What an entry moved that was to move what is available.
pub(super) fn moved(
    up_to_minor: Option<i64>,
    postings: &[Posting],
) -> Option<(DecimalText, Currency)> {
    let first = postings.first().filter(|_| up_to_minor.is_some())?;
    Some((AmountDto::from(first.amount).amount, first.amount.currency()))
}
