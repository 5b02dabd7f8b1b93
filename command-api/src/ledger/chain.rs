//! `POST /v1/ledger/chains`

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use api_conventions::{
    CommandEnvelope, DecimalText, FieldErrors, INVALID_VALUE, MISSING_FIELD, Problem, UNKNOWN_FIELD,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::holds::{CreateHold, VoidHold};
use domain::ledger::{EntryPosted, LedgerStep, PostBatch, PostEntry};
use domain::{Command, Decision, EntryId, HoldId, MerchantId, NewEvent, StepDone, Timestamp};
use event_store::{EventStore, NewAnswer, RequestPart};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::batch::check_postings;
use super::details_body::GivenDetails;
use super::entry_body::{NewEntry, NewPosting};
use super::part_body::GivenPart;
use super::place::Place;
use super::reverse::{CheckedReversal, entry_of};
use super::step_result::StepResult;
use crate::answer::{respond, success};
use crate::holds::create::NewHold;
use crate::holds::hold_of;
use crate::holds::post::CheckedHoldPosting;
use crate::limits::{BATCH_BODY_BYTES_MAX, CHAIN_STEPS_MAX};
use crate::names;
use crate::state::ApiState;
use crate::submission::Submission;

/// Where the steps stand in the body.
const STEPS: &str = "/steps";

/// Steps to be taken all together, or not at all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChain)]
pub(crate) struct NewChain<'a> {
    /// The steps, in their order; each sees what those before it did. At most 10,000 postings in
    /// all.
    #[schema(min_items = 1, max_items = 100)]
    #[serde(borrow)]
    steps: Vec<NewStep<'a>>,
}

/// A step of a chain: what the command of its own takes, and its type.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChainStep, example = json!({
    "type": "post_hold", "hold": "hld_01h455tz8kexrbq3m5rv7r8w0d",
    "amount": "4.00", "currency": "USD", "last": true
}))]
pub(crate) struct NewStep<'a> {
    /// What it does.
    #[schema(schema_with = names::step_type)]
    r#type: String,
    /// Of `reverse`: the entry, which an earlier step may have posted.
    #[schema(example = "ent_01h455tz8kexrbq3m5rv7r8w0d")]
    entry: Option<String>,
    /// Of `post_hold` and `void_hold`: the hold, which an earlier step may have made.
    #[schema(example = "hld_01h455tz8kexrbq3m5rv7r8w0d")]
    hold: Option<String>,
    /// Of all but `void_hold`; `entry` and `hold` must have one.
    #[schema(min_length = 1, max_length = 255)]
    external_ref: Option<String>,
    /// Of all but `void_hold`; `entry` and `hold` must have them, for others they say which part.
    #[schema(min_items = 2, max_items = 1_000)]
    #[serde(borrow, default)]
    postings: Option<Vec<NewPosting<'a>>>,
    /// Of `reverse` and `post_hold`: how much.
    #[schema(value_type = Option<String>, example = "4.00")]
    amount: Option<DecimalText>,
    /// The currency of `amount`.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: Option<String>,
    /// Of all but `void_hold`.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// Of all but `void_hold`.
    metadata: Option<BTreeMap<String, String>>,
    /// Of `entry`, `reverse` and `post_hold`.
    #[schema(format = DateTime, example = "2026-11-20T12:00:00Z")]
    effective_at: Option<String>,
    /// Of `entry`, `reverse` and `hold`.
    #[schema(example = "pay_01h455vb4pex5vsknk084sn02q")]
    payment: Option<String>,
    /// Of `entry`, `reverse` and `hold`.
    #[schema(example = "dsp_01h455vb4pex5vsknk084sn02q")]
    dispute: Option<String>,
    /// Of `entry`: whether it moves less where the limits of its accounts do not allow all of it.
    up_to: Option<bool>,
    /// Of `post_hold`: whether what is left is let go.
    last: Option<bool>,
    /// Of `hold`: when it ends by itself.
    #[schema(format = DateTime, example = "2026-11-28T00:00:00Z")]
    expires_at: Option<String>,
}

/// What became of a chain.
#[derive(Serialize, ToSchema)]
#[schema(as = Chain)]
pub(crate) struct ChainAnswer<'a> {
    /// What became of each step, in their order.
    results: Vec<StepResult<'a>>,
    /// When it was taken.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// True where the answer was lost and made again from the log, which has only what was new.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<bool>,
}

/// Post a chain
///
/// Takes up to 100 steps in their order, all of them or none: entries, reversals, holds, and what
/// becomes of holds. A refusal is that of the first step that is refused, with its place in `errors`.
#[utoipa::path(
    post, path = "/v1/ledger/chains", tag = "ledger", request_body = NewChain<'_>,
    responses(
        (status = 201, description = "All steps were taken", body = ChainAnswer<'_>),
        (status = 200, description = "All of it was there already", body = ChainAnswer<'_>),
        (status = 404, description = "That of the step that is refused"),
        (status = 409, description = "That of the step that is refused, `idempotency-key-in-use`"),
        (status = 422, description = "That of the step that is refused, `invalid-request`, \
                                      `idempotency-key-reused`"),
    )
)]
pub(crate) async fn post_chain(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<BATCH_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let ledger = envelope.caller.merchant_id;
    let checked = envelope.json::<NewChain<'_>>()?.checked(ledger)?;
    let steps = with_what_is_there(&api.store, ledger, checked).await?;
    let command = Command::PostBatch(PostBatch { steps, atomic: true });
    let submission = Submission::of(envelope).with_steps(STEPS);
    let answer = submission.part(&api.store, RequestPart::Whole, command, taken);
    Ok(respond(&answer.await?))
}

/// A step that has nothing wrong in it; what it is about is not looked for yet.
enum CheckedStep {
    Entry(PostEntry),
    Hold(CreateHold),
    PostHold(HoldId, CheckedHoldPosting),
    VoidHold(HoldId),
    Reverse(EntryId, CheckedReversal),
}

impl NewChain<'_> {
    fn checked(self, ledger: MerchantId) -> Result<Vec<CheckedStep>, Problem> {
        let mut errors = FieldErrors::new();
        if !(1..=CHAIN_STEPS_MAX).contains(&self.steps.len()) {
            let detail = format_args!("expected 1 to {CHAIN_STEPS_MAX} steps");
            errors.add(STEPS, INVALID_VALUE, detail);
            return Err(errors.into_problem());
        }
        let postings = |step: &NewStep<'_>| step.postings.as_ref().map_or(0, Vec::len);
        check_postings(&mut errors, STEPS, self.steps.iter().map(postings));
        let mut steps = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.into_iter().enumerate() {
            let place = Place::Element { list: "steps", index };
            steps.extend(step.checked(&mut errors, place, ledger));
        }
        errors.finish(|| Some(steps))
    }
}

impl NewStep<'_> {
    fn checked(
        mut self,
        errors: &mut FieldErrors,
        place: Place,
        ledger: MerchantId,
    ) -> Option<CheckedStep> {
        match self.r#type.as_str() {
            "entry" => self.entry(errors, place, ledger).map(CheckedStep::Entry),
            "hold" => self.hold(errors, place, ledger).map(CheckedStep::Hold),
            "post_hold" => self.post_hold(errors, place),
            "void_hold" => {
                let hold = required(errors, place, "hold", self.hold.take());
                self.nothing_else(errors, place);
                let hold_id = hold.and_then(|text| errors.check(place.field("hold"), text.parse()));
                hold_id.map(CheckedStep::VoidHold)
            }
            "reverse" => self.reverse(errors, place),
            _ => {
                let expected = names::STEP_TYPES.join("`, `");
                let detail = format_args!("expected one of `{expected}`");
                errors.add(place.field("type"), INVALID_VALUE, detail);
                None
            }
        }
    }

    fn entry(
        mut self,
        errors: &mut FieldErrors,
        place: Place,
        ledger: MerchantId,
    ) -> Option<PostEntry> {
        let external_ref = required(errors, place, "external_ref", self.external_ref.take());
        let postings = required(errors, place, "postings", self.postings.take());
        let GivenDetails { description, metadata, effective_at, payment, dispute } =
            self.take_details();
        let (effective_at, up_to) = (effective_at.or(self.effective_at.take()), self.up_to.take());
        self.nothing_else(errors, place);
        let body = NewEntry {
            external_ref: Cow::Owned(external_ref?),
            postings: postings?,
            description,
            metadata,
            effective_at,
            payment,
            dispute,
            up_to: up_to.unwrap_or_default(),
        };
        body.checked(errors, place, ledger)
    }

    fn hold(
        mut self,
        errors: &mut FieldErrors,
        place: Place,
        ledger: MerchantId,
    ) -> Option<CreateHold> {
        let external_ref = required(errors, place, "external_ref", self.external_ref.take());
        let postings = required(errors, place, "postings", self.postings.take());
        let GivenDetails { description, metadata, payment, dispute, .. } = self.take_details();
        let expires_at = self.expires_at.take();
        self.nothing_else(errors, place);
        let body = NewHold {
            external_ref: Cow::Owned(external_ref?),
            postings: postings?,
            description,
            metadata,
            payment,
            dispute,
            expires_at,
        };
        body.checked(errors, place, ledger)
    }

    fn post_hold(mut self, errors: &mut FieldErrors, place: Place) -> Option<CheckedStep> {
        let hold = required(errors, place, "hold", self.hold.take());
        let external_ref = self.external_ref.take();
        let details = GivenDetails {
            description: self.description.take(),
            metadata: self.metadata.take(),
            effective_at: self.effective_at.take(),
            ..GivenDetails::default()
        };
        let (part, last) = (self.take_part(), self.last.take().unwrap_or_default());
        self.nothing_else(errors, place);
        let hold_id = hold.and_then(|text| errors.check(place.field("hold"), text.parse()));
        let wanted = CheckedHoldPosting::of(errors, place, external_ref, details, part, last);
        Some(CheckedStep::PostHold(hold_id?, wanted?))
    }

    fn reverse(mut self, errors: &mut FieldErrors, place: Place) -> Option<CheckedStep> {
        let entry = required(errors, place, "entry", self.entry.take());
        let external_ref = self.external_ref.take();
        let effective_at = self.effective_at.take();
        let details = GivenDetails { effective_at, ..self.take_details() };
        let part = self.take_part();
        self.nothing_else(errors, place);
        let entry_id = entry.and_then(|text| errors.check(place.field("entry"), text.parse()));
        let wanted = CheckedReversal::of(errors, place, external_ref, details, part);
        Some(CheckedStep::Reverse(entry_id?, wanted?))
    }

    /// All details but the time.
    fn take_details(&mut self) -> GivenDetails {
        GivenDetails {
            description: self.description.take(),
            metadata: self.metadata.take(),
            effective_at: None,
            payment: self.payment.take(),
            dispute: self.dispute.take(),
        }
    }

    /// Notes the fields that a step of this type does not have: those that were not taken.
    fn nothing_else(&self, errors: &mut FieldErrors, place: Place) {
        let left = [
            ("entry", self.entry.is_some()),
            ("hold", self.hold.is_some()),
            ("external_ref", self.external_ref.is_some()),
            ("postings", self.postings.is_some()),
            ("amount", self.amount.is_some()),
            ("currency", self.currency.is_some()),
            ("description", self.description.is_some()),
            ("metadata", self.metadata.is_some()),
            ("effective_at", self.effective_at.is_some()),
            ("payment", self.payment.is_some()),
            ("dispute", self.dispute.is_some()),
            ("up_to", self.up_to.is_some()),
            ("last", self.last.is_some()),
            ("expires_at", self.expires_at.is_some()),
        ];
        for (name, _) in left.into_iter().filter(|(_, left)| *left) {
            let detail = format_args!("a step of type `{}` has no such field", self.r#type);
            errors.add(place.field(name), UNKNOWN_FIELD, detail);
        }
    }
}

impl<'a> NewStep<'a> {
    fn take_part(&mut self) -> GivenPart<'a> {
        let (amount, currency) = (self.amount.take(), self.currency.take());
        GivenPart { amount, currency, postings: self.postings.take() }
    }
}

/// The value of a field that a step of its type must have.
fn required<T>(
    errors: &mut FieldErrors,
    place: Place,
    name: &'static str,
    value: Option<T>,
) -> Option<T> {
    if value.is_none() {
        errors.add(place.field(name), MISSING_FIELD, format_args!("missing field `{name}`"));
    }
    value
}

/// The steps with what they are about: as the log has it, or as an earlier step makes it.
async fn with_what_is_there(
    store: &EventStore,
    ledger: MerchantId,
    checked: Vec<CheckedStep>,
) -> Result<Vec<LedgerStep>, Problem> {
    let mut posted: HashMap<EntryId, EntryPosted> = HashMap::new();
    let mut held: HashMap<HoldId, usize> = HashMap::new();
    let mut steps = Vec::with_capacity(checked.len());
    // What is held or was posted before counts like what the body spells out: all of it is moved.
    let mut moved = Vec::with_capacity(checked.len());
    for step in checked {
        steps.push(match step {
            CheckedStep::Entry(entry) => {
                moved.push(entry.postings.as_slice().len());
                let postings = entry.postings.as_slice().to_vec();
                let made = EntryPosted::plain(ledger, entry.external_ref.clone(), postings);
                posted.insert(made.entry_id, made);
                LedgerStep::Post(entry)
            }
            CheckedStep::Hold(hold) => {
                let postings = hold.postings.as_slice().len();
                moved.push(postings);
                held.insert(HoldId::of(ledger, &hold.external_ref), postings);
                LedgerStep::Hold(hold)
            }
            CheckedStep::PostHold(hold_id, wanted) => {
                let hold = hold_of(store, ledger, hold_id).await?;
                let there = hold.as_ref().map(|hold| hold.postings.len());
                moved.extend(there.or(held.get(&hold_id).copied()));
                LedgerStep::PostHold(wanted.into_command(ledger, hold_id, hold.as_deref()))
            }
            CheckedStep::VoidHold(hold_id) => {
                let hold = hold_of(store, ledger, hold_id).await?;
                let there = hold.as_ref().map(|hold| hold.postings.len());
                moved.extend(there.or(held.get(&hold_id).copied()));
                LedgerStep::VoidHold(VoidHold::new(ledger, hold_id, hold.as_deref()))
            }
            CheckedStep::Reverse(entry_id, wanted) => {
                let made = posted.get(&entry_id).cloned();
                let original = match made {
                    Some(made) => Some(made),
                    None => entry_of(store, ledger, entry_id).await?,
                };
                moved.extend(original.as_ref().map(|entry| entry.postings.len()));
                LedgerStep::Reverse(wanted.into_command(ledger, entry_id, original.as_ref()))
            }
        });
    }
    let mut errors = FieldErrors::new();
    check_postings(&mut errors, STEPS, moved.into_iter());
    errors.finish(|| Some(steps))
}

fn taken(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let Decision::Several { events, steps } = decision else { return None };
    let results: Option<Vec<StepResult<'_>>> = steps
        .iter()
        .map(|step| match step {
            StepDone::Appended { first } => StepResult::of_events(events.get(*first..)?),
            StepDone::Already(state) => StepResult::of_state(state),
            StepDone::Refused(_) => None,
        })
        .collect();
    let body = ChainAnswer { results: results?, recorded_at, rebuilt: None };
    let status = if events.is_empty() { StatusCode::OK } else { StatusCode::CREATED };
    Some(success(status, "", &body))
}

/// The answer made again, from the events of the steps that were not there already.
pub(crate) fn rebuilt(events: &[NewEvent], recorded_at: Timestamp) -> NewAnswer {
    let starts = (0..events.len()).filter_map(|first| StepResult::of_events(&events[first..]));
    let body = ChainAnswer { results: starts.collect(), recorded_at, rebuilt: Some(true) };
    success(StatusCode::CREATED, "", &body)
}
