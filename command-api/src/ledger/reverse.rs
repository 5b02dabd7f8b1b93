//! `POST /v1/ledger/entries/{id}/reverse`

use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, FieldErrors, PathId, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ledger::{EntryPosted, ExternalRef, ReverseEntry};
use domain::{Command, Decision, EntryId, Event, MerchantId, Name, Timestamp};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{respond, success};
use crate::limits::ENTRY_BODY_BYTES_MAX;
use crate::metadata::checked_metadata;
use crate::state::ApiState;
use crate::submission::{no_answer, submit};

/// How the reversing entry is called; all of it may be left out, and the body too.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"description": "Order 1042 was cancelled"}))]
pub(crate) struct NewReversal {
    /// What the ledger calls the reversing entry; `reversal:<id>` where it is not given.
    #[schema(min_length = 1, max_length = 255)]
    external_ref: Option<String>,
    /// What statements say of it.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
}

/// An entry that undoes another.
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
/// Posts the opposite of an entry, once. Like any entry it keeps the limits of the accounts, so it
/// may be refused for want of funds.
#[utoipa::path(
    post, path = "/v1/ledger/entries/{id}/reverse", tag = "ledger",
    request_body = Option<NewReversal>,
    params(
        ("id" = String, Path, description = "The entry",
         example = "ent_01h455tz8kexrbq3m5rv7r8w0d"),
    ),
    responses(
        (status = 201, description = "Reversed", body = ReversalInLedger<'_>),
        (status = 404, description = "`entry-not-found`, `not-found`"),
        (status = 409, description = "`entry-already-reversed`, `reversal-is-final`, \
                                      `insufficient-funds`, `account-frozen`, `account-closed`, \
                                      `external-ref-taken`, `idempotency-key-in-use`"),
    )
)]
pub(crate) async fn reverse_entry(
    State(api): State<ApiState>,
    PathId(entry_id): PathId<EntryId>,
    envelope: CommandEnvelope<ENTRY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let reversal = if envelope.raw.is_empty() {
        Checked::default()
    } else {
        envelope.json::<Option<NewReversal>>()?.unwrap_or_default().checked()?
    };
    let ledger = envelope.caller.merchant_id;
    let found = api.store.entry_posted(entry_id).await.map_err(|error| no_answer(&error))?;
    // Another ledger's entry is as good as none.
    let original = found.filter(|posted| posted.ledger == ledger);
    let command = Command::ReverseEntry(reversal.into_command(ledger, entry_id, original.as_ref()));
    Ok(respond(&submit(&api.store, envelope, command, reversed).await?))
}

/// A body that has nothing wrong in it.
#[derive(Default)]
struct Checked {
    external_ref: Option<ExternalRef>,
    description: Option<Name>,
    metadata: domain::Metadata,
}

impl NewReversal {
    fn checked(self) -> Result<Checked, Problem> {
        let mut errors = FieldErrors::new();
        let external_ref = self.external_ref.map(|text| ExternalRef::parse(&text));
        let external_ref = errors.check_optional("/external_ref", external_ref);
        let description = self.description.map(|text| Name::parse(&text));
        let description = errors.check_optional("/description", description);
        let metadata = checked_metadata(&mut errors, self.metadata);
        errors.finish(|| {
            Some(Checked {
                external_ref: external_ref?,
                description: description?,
                metadata: metadata?,
            })
        })
    }
}

impl Checked {
    fn into_command(
        self,
        ledger: MerchantId,
        entry_id: EntryId,
        original: Option<&EntryPosted>,
    ) -> ReverseEntry {
        let Self { external_ref, description, metadata } = self;
        ReverseEntry::new(ledger, entry_id, external_ref, description, metadata, original)
    }
}

pub(crate) fn reversed(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let Decision::Append(events) = decision else { return None };
    let Event::EntryPosted(posted) = &events.first()?.event else { return None };
    let body = ReversalInLedger {
        id: posted.entry_id,
        reverses: posted.reverses?,
        external_ref: &posted.external_ref,
        recorded_at,
    };
    Some(success(StatusCode::CREATED, posted.entry_id, &body))
}
