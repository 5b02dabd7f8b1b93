//! `POST /v1/ledger/entries:batch`

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, INVALID_VALUE, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ledger::{BATCH_STEPS_MAX, EntryPosted, ExternalRef, LedgerStep, PostBatch, Posting};
use domain::{
    Command, Currency, Decision, EntryId, Event, MerchantId, NewEvent, Rejection,
    State as Aggregate, StepDone, Timestamp,
};
use event_store::{NewAnswer, RequestPart};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::entry_body::NewEntry;
use super::place::Place;
use super::post::moved;
use crate::answer::respond;
use crate::limits::{BATCH_BODY_BYTES_MAX, BATCH_POSTINGS_MAX};
use crate::state::ApiState;
use crate::submission::Submission;

/// Where the entries stand in the body.
const ENTRIES: &str = "/entries";
/// About how many bytes the result of an entry takes, with a reference like a UUID: what room is made
/// for at once.
const RESULT_BYTES: usize = 128;

/// Entries to be posted in one go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBatch)]
pub(crate) struct NewBatch<'a> {
    /// Whether one entry that is refused refuses all of them; `false` where it is not given: each is
    /// posted or refused by itself.
    #[serde(default)]
    atomic: bool,
    /// The entries, in the order in which they are posted; each sees what those before it did. At
    /// most 10,000 postings in all.
    #[schema(min_items = 1, max_items = 1_000)]
    #[serde(borrow)]
    entries: Vec<NewEntry<'a>>,
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
#[schema(as = Batch)]
pub(crate) struct BatchAnswer<'a> {
    /// How many entries were posted.
    created: usize,
    /// How many were there already, with the same content.
    existing: usize,
    /// How many were refused.
    refused: usize,
    /// What became of each, in their order.
    #[schema(value_type = Vec<EntryResult<'_>>)]
    results: Results<'a>,
    /// True where the answer was lost and made again from the log, which has only what was posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<bool>,
}

/// What became of an entry of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EntryStatus {
    /// It was posted.
    Created,
    /// It was there already, with the same content.
    Existing,
    /// It is not posted; `code` and `detail` say why.
    Refused,
}

/// One entry of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryResult<'a> {
    /// What the ledger calls it.
    #[schema(value_type = String, example = "order-1042")]
    external_ref: &'a ExternalRef,
    /// What became of it.
    status: EntryStatus,
    /// Its id, unless it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "ent_01h455vb4pex5vsknk084sn02q")]
    id: Option<EntryId>,
    /// How much it moved, where it was to move what is available.
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
    /// Why it is refused: the code that the problem of the entry by itself would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "insufficient-funds")]
    code: Option<&'static str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Post entries in a batch
///
/// Posts up to 1,000 entries in one append of the log: by far the fastest way to post many. Unless it
/// is `atomic`, each entry is posted or refused by itself, and the answer says what became of each;
/// what is malformed refuses the whole batch. References work as for single entries, so a batch may
/// be sent again, also mended, and under another key.
#[utoipa::path(
    post, path = "/v1/ledger/entries:batch", tag = "ledger", request_body = NewBatch<'_>,
    responses(
        (status = 201, description = "All were posted", body = BatchAnswer<'_>),
        (status = 200, description = "Some were there already, or are refused",
         body = BatchAnswer<'_>),
        (status = 404, description = "Of an `atomic` batch: that of its first entry that is \
                                      refused, with its place in `errors`"),
        (status = 409, description = "The same, `idempotency-key-in-use`"),
        (status = 422, description = "The same, `invalid-request`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn post_batch(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<BATCH_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let body: NewBatch<'_> = envelope.json()?;
    let atomic = body.atomic;
    let steps = body.checked(envelope.caller.merchant_id)?;
    let references: Vec<ExternalRef> = steps.iter().filter_map(reference).collect();
    let command = Command::PostBatch(PostBatch { steps, atomic });
    let answer = move |decision: &Decision, _| posted(decision, &references);
    let submission = Submission::of(envelope).with_steps(ENTRIES);
    let answer = submission.part(&api.store, RequestPart::Whole, command, answer);
    Ok(respond(&answer.await?))
}

impl NewBatch<'_> {
    fn checked(self, ledger: MerchantId) -> Result<Vec<LedgerStep>, Problem> {
        let mut errors = FieldErrors::new();
        if !(1..=BATCH_STEPS_MAX).contains(&self.entries.len()) {
            let detail = format_args!("expected 1 to {BATCH_STEPS_MAX} entries");
            errors.add(ENTRIES, INVALID_VALUE, detail);
            return Err(errors.into_problem());
        }
        check_postings(&mut errors, ENTRIES, self.entries.iter().map(|entry| entry.postings.len()));
        let mut steps = Vec::with_capacity(self.entries.len());
        for (index, entry) in self.entries.into_iter().enumerate() {
            let place = Place::Element { list: "entries", index };
            steps.extend(entry.checked(&mut errors, place, ledger).map(LedgerStep::Post));
        }
        errors.finish(|| Some(steps))
    }
}

/// Notes at `list` if its elements have more postings than one append may.
pub(super) fn check_postings(
    errors: &mut FieldErrors,
    list: &'static str,
    counts: impl Iterator<Item = usize>,
) {
    if counts.sum::<usize>() > BATCH_POSTINGS_MAX {
        let detail = format_args!("at most {BATCH_POSTINGS_MAX} postings in all");
        errors.add(list, INVALID_VALUE, detail);
    }
}

fn reference(step: &LedgerStep) -> Option<ExternalRef> {
    match step {
        LedgerStep::Post(entry) => Some(entry.external_ref.clone()),
        LedgerStep::Reverse(_)
        | LedgerStep::Hold(_)
        | LedgerStep::PostHold(_)
        | LedgerStep::VoidHold(_) => None,
    }
}

/// The answer to a batch of entries with those references.
fn posted(decision: &Decision, references: &[ExternalRef]) -> Option<NewAnswer> {
    let Decision::Several { events, steps } = decision else { return None };
    let status = |step: &StepDone| match step {
        StepDone::Appended { .. } => EntryStatus::Created,
        StepDone::Already(_) => EntryStatus::Existing,
        StepDone::Refused(_) => EntryStatus::Refused,
    };
    let of = |wanted| steps.iter().filter(|step| status(step) == wanted).count();
    let created = of(EntryStatus::Created);
    let body = BatchAnswer {
        created,
        existing: of(EntryStatus::Existing),
        refused: of(EntryStatus::Refused),
        results: Results::Decided { events, steps, references },
        rebuilt: None,
    };
    let all = created == steps.len();
    Some(body.rendered(if all { StatusCode::CREATED } else { StatusCode::OK }, steps.len()))
}

/// The answer made again, from events that are all entries. Whether others were there already or are refused
/// is not known any more, nor whether they came as a chain, whose answer has their ids under `results` too.
pub(crate) fn rebuilt(events: &[NewEvent]) -> NewAnswer {
    let created = events.len();
    let results = Results::Recorded { events };
    let body = BatchAnswer { created, existing: 0, refused: 0, results, rebuilt: Some(true) };
    body.rendered(StatusCode::OK, created)
}

impl BatchAnswer<'_> {
    /// As an answer, rendered into one text: this is done while the log waits.
    fn rendered(&self, status: StatusCode, results: usize) -> NewAnswer {
        let mut body = Vec::with_capacity((results + 1) * RESULT_BYTES);
        // Texts and numbers into memory, for which this cannot fail; nor is JSON anything but UTF-8.
        let body = serde_json::to_writer(&mut body, self)
            .map_err(|error| error.to_string())
            .and_then(|()| String::from_utf8(body).map_err(|error| error.to_string()))
            .unwrap_or_else(|error| unreachable!("an answer is JSON: {error}"));
        let resource_id = String::new();
        NewAnswer { status: status.as_u16(), resource_id, body, replay_body: None }
    }
}

/// What the results are rendered from.
enum Results<'a> {
    /// What was decided, step by step.
    Decided { events: &'a [NewEvent], steps: &'a [StepDone], references: &'a [ExternalRef] },
    /// What was recorded: entries and nothing else.
    Recorded { events: &'a [NewEvent] },
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Decided { events, steps, references } => {
                let each = steps.iter().zip(*references);
                serializer.collect_seq(each.filter_map(|(step, reference)| match step {
                    StepDone::Appended { first } => EntryResult::recorded(events.get(*first)?),
                    StepDone::Already(state) => EntryResult::existing(state),
                    StepDone::Refused(rejection) => {
                        Some(EntryResult::refused(reference, rejection))
                    }
                }))
            }
            Self::Recorded { events } => {
                serializer.collect_seq(events.iter().filter_map(EntryResult::recorded))
            }
        }
    }
}

impl<'a> EntryResult<'a> {
    fn recorded(event: &'a NewEvent) -> Option<Self> {
        let Event::EntryPosted(posted) = &event.event else { return None };
        let EntryPosted { entry_id, external_ref, up_to_minor, postings, .. } = posted;
        let times = (posted.effective_at, posted.late_for);
        let plain = Self::plain(external_ref, EntryStatus::Created, Some(*entry_id));
        Some(plain.with(*up_to_minor, postings, times))
    }

    fn existing(state: &'a Aggregate) -> Option<Self> {
        let entry = state.as_entry()?;
        let plain = Self::plain(&entry.external_ref, EntryStatus::Existing, Some(entry.id));
        let times = (entry.effective_at, entry.late_for);
        Some(plain.with(entry.up_to_minor, &entry.postings, times))
    }

    fn refused(external_ref: &'a ExternalRef, rejection: &Rejection) -> Self {
        Self {
            code: Some(rejection.code()),
            detail: Some(rejection.to_string()),
            ..Self::plain(external_ref, EntryStatus::Refused, None)
        }
    }

    fn plain(external_ref: &'a ExternalRef, status: EntryStatus, id: Option<EntryId>) -> Self {
        Self {
            external_ref,
            status,
            id,
            amount: None,
            currency: None,
            effective_at: None,
            late_for: None,
            code: None,
            detail: None,
        }
    }

    fn with(
        self,
        up_to_minor: Option<i64>,
        postings: &[Posting],
        (effective_at, late_for): (Option<Timestamp>, Option<Timestamp>),
    ) -> Self {
        let moved = moved(up_to_minor, postings);
        Self {
            currency: moved.as_ref().map(|(_, currency)| *currency),
            amount: moved.map(|(amount, _)| amount),
            effective_at: late_for.and(effective_at),
            late_for,
            ..self
        }
    }
}
