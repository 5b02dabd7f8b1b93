//! `POST /v1/ledger/entries`

use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, Pointer, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ledger::{Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{
    AccountId, Command, Currency, Decision, EntryId, Event, MerchantId, Name, State as Aggregate,
    Timestamp,
};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{respond, success};
use crate::limits::ENTRY_BODY_BYTES_MAX;
use crate::metadata::checked_metadata;
use crate::names;
use crate::state::ApiState;
use crate::submission::submit;

/// An entry to be posted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "external_ref": "order-1042",
    "postings": [
        {"account": "acc_7h455vb4pex5vsknk084sn02q0", "direction": "debit",
         "amount": "10.00", "currency": "USD"},
        {"account": "acc_2m1zq4x8kd9rj5b7c3wfhvt6gy", "direction": "credit",
         "amount": "10.00", "currency": "USD"}
    ],
    "description": "Order 1042",
    "metadata": {"order": "1042"}
}))]
pub(crate) struct NewEntry {
    /// What the ledger calls it; names one entry, for ever. May not start with `payment:`,
    /// `dispute:`, `settlement:` or `reversal:`.
    #[schema(example = "order-1042", min_length = 1, max_length = 255)]
    external_ref: String,
    /// What it moves: debits and credits are equal in every currency.
    #[schema(min_items = 2, max_items = 100)]
    postings: Vec<NewPosting>,
    /// What statements say of it.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
}

/// One amount on one side of one account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPosting {
    /// An account of the ledger.
    #[schema(example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: String,
    /// The side.
    #[schema(schema_with = names::direction)]
    direction: String,
    /// The amount, above zero, with at most as many decimals as the currency has.
    #[schema(value_type = String, example = "10.00")]
    amount: DecimalText,
    /// The account's currency.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
}

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
}

/// Post an entry
///
/// Moves money between accounts of the key's merchant: all of the postings, or none. An
/// `external_ref` names one entry for ever: with the same content it is answered with the entry
/// that is there, with other content refused.
#[utoipa::path(
    post, path = "/v1/ledger/entries", tag = "ledger", request_body = NewEntry,
    responses(
        (status = 201, description = "Posted", body = EntryInLedger<'_>),
        (status = 200, description = "The same entry was there already", body = EntryInLedger<'_>),
        (status = 404, description = "`account-not-found`"),
        (status = 409, description = "`insufficient-funds`, `account-frozen`, `account-closed`, \
                                      `external-ref-taken`, `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `currency-mismatch`, `total-overflow`, \
                                      `idempotency-key-reused`"),
    )
)]
pub(crate) async fn post_entry(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<ENTRY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let command = envelope.json::<NewEntry>()?.into_command(envelope.caller.merchant_id)?;
    let answer = submit(&api.store, envelope, Command::PostEntry(command), in_ledger);
    Ok(respond(&answer.await?))
}

impl NewEntry {
    fn into_command(self, ledger: MerchantId) -> Result<PostEntry, Problem> {
        let mut errors = FieldErrors::new();
        let external_ref = errors.check("/external_ref", ExternalRef::parse(&self.external_ref));
        let description = self.description.map(|text| Name::parse(&text));
        let description = errors.check_optional("/description", description);
        let metadata = checked_metadata(&mut errors, self.metadata);
        let postings = checked_postings(&mut errors, &self.postings);
        errors.finish(|| {
            Some(PostEntry::new(ledger, external_ref?, description?, metadata?, postings?))
        })
    }
}

fn checked_postings(errors: &mut FieldErrors, list: &[NewPosting]) -> Option<Postings> {
    let mut postings = Vec::with_capacity(list.len());
    for (index, posting) in list.iter().enumerate() {
        postings.extend(posting.checked(errors, index));
    }
    if postings.len() < list.len() {
        return None;
    }
    errors.check("/postings", Postings::new(postings))
}

impl NewPosting {
    fn checked(&self, errors: &mut FieldErrors, index: usize) -> Option<Posting> {
        let at = |field| PostingField { index, field };
        let account_id: Option<AccountId> = errors.check(at("account"), self.account.parse());
        let direction: Option<Direction> = errors.check(at("direction"), self.direction.parse());
        let currency: Currency = errors.check(at("currency"), self.currency.parse())?;
        let amount = errors.check(at("amount"), self.amount.positive(currency))?;
        Some(Posting { account_id: account_id?, direction: direction?, amount })
    }
}

/// A place in the body, spelled out only if something is wrong there.
struct PostingField {
    index: usize,
    field: &'static str,
}

impl From<PostingField> for Pointer {
    fn from(PostingField { index, field }: PostingField) -> Self {
        Self::from("/postings").index(index).key(field)
    }
}

pub(crate) fn in_ledger(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    match decision {
        Decision::Append(events) => {
            let Event::EntryPosted(posted) = &events.first()?.event else { return None };
            let id = posted.entry_id;
            let body = EntryInLedger { id, external_ref: &posted.external_ref, recorded_at };
            Some(success(StatusCode::CREATED, id, &body))
        }
        Decision::Already(Aggregate::Entry(entry)) => {
            let (id, recorded_at) = (entry.id, entry.recorded_at);
            let body = EntryInLedger { id, external_ref: &entry.external_ref, recorded_at };
            Some(success(StatusCode::OK, id, &body))
        }
        Decision::Already(_) => None,
    }
}
