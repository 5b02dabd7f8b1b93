//! `POST /v1/ledger/imports`

mod chunks;
mod driven;
mod lines;

pub use lines::IMPORT_PACE;

use std::num::NonZeroU64;
use std::sync::Arc;

use api_conventions::{
    Caller, Connection, IDEMPOTENCY_KEY_CHARACTERS_MAX, IdempotencyKey, KeyWatch, Pool, Problem,
    RequestContext, StrictQuery, check_media_type, problem_kinds as kinds,
};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use domain::ledger::{ExternalRef, PostBatch};
use domain::{Command, Decision, StepDone};
use event_store::{Answer, EventStore, NewAnswer, RequestPart};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use self::chunks::{Chunk, Place, Read};
use self::driven::Driven;
use self::lines::Lines;
use crate::answer::{json, success};
use crate::state::ApiState;
use crate::submission::{Submission, no_answer};

const PATH: &str = "/v1/ledger/imports";
const NDJSON: &str = "application/x-ndjson";

/// The imports of a process; each has up to three chunks in memory, which are some 15 MiB at the worst. A
/// merchant has a quarter of them: its files come one after the other, and the log takes them no faster at once.
pub const IMPORTS: Pool =
    Pool { name: "imports", units: "imports", owner: "merchant", total: 16, of_one: 4 };
/// The most characters of an import's key, so that with the number of a line behind it it is a key still.
pub const IMPORT_KEY_CHARACTERS_MAX: usize = IDEMPOTENCY_KEY_CHARACTERS_MAX - "#".len() - 20;

/// Where an import begins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportQuery {
    from_line: Option<NonZeroU64>,
}

/// A line of the answer to an import.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ImportLine<'a> {
    /// What became of a chunk of lines.
    Chunk(ImportedChunk<'a>),
    /// The last line.
    End(ImportEnd),
}

/// What became of up to 1,000 lines, which were taken in one append.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedChunk<'a> {
    /// The first of them, counted from 1.
    from_line: u64,
    /// The last.
    to_line: u64,
    /// How many entries were posted.
    created: u64,
    /// How many were there already, with the same content.
    existing: u64,
    /// How many were refused.
    refused: u64,
    /// Those that were.
    #[schema(value_type = Vec<ImportRefusal<'_>>)]
    refusals: &'a RawValue,
    /// The position in the log that this rests on.
    position: i64,
    /// True where these lines were taken by an earlier request with this key: so it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<bool>,
    /// True where that answer was lost and made again from the log, which has only what was posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<bool>,
}

/// An entry that is refused by a rule of the ledger.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportRefusal<'a> {
    /// Its line, counted from 1.
    line: u64,
    /// What the ledger calls it.
    #[schema(value_type = String, example = "order-1042")]
    external_ref: &'a ExternalRef,
    /// Why it is refused: the code that the problem of the entry by itself would have.
    #[schema(value_type = String, example = "insufficient-funds")]
    code: &'static str,
    /// The same for people.
    detail: String,
}

/// How an import ended.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct ImportEnd {
    /// Whether all lines were taken.
    done: bool,
    /// How many lines there were, if all were taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    /// The first line that was not taken, if there is one: go on with it as `from_line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// How many entries were posted.
    created: u64,
    /// How many were there already, with the same content.
    existing: u64,
    /// How many were refused.
    refused: u64,
    /// Why it stopped at `line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<api_conventions::ProblemBody<'_>>)]
    problem: Option<Box<RawValue>>,
}

/// Import entries
///
/// Takes a body of any length, one entry a line (NDJSON), and answers while it comes in: a line for each
/// chunk of up to 1,000 lines, when they are durable, and a last line that says how it ended. Each
/// entry is posted or refused by itself. A line that is no entry stops the import, after everything
/// before it was taken; so does a log that cannot be written (`problem.retryable` says whether to try
/// again), a body that comes slower than 4 KiB in 30 s, and a key that is revoked. Read the answer while you
/// send. Who hangs up stops it, and the chunk under way is taken as a
/// whole or not at all.
///
/// To go on after an import that stopped, send the same lines with `from_line`, the first that
/// was not taken. An `external_ref` names one entry for ever, so sending everything again has no
/// second effect: what was posted before is `existing`.
///
/// The `Idempotency-Key` is that of the chunks: each is remembered under the key and its first line.
/// The same lines sent again under it, from the start or from a line that a chunk begins with, have the
/// same answers (`replayed`), refusals too. Where a chunk has other lines than before, the import stops
/// there with `idempotency-key-reused`: a file that was changed needs a new key, or `from_line`.
#[utoipa::path(
    post, path = "/v1/ledger/imports", tag = "ledger",
    request_body(content = String, content_type = "application/x-ndjson",
                 description = "An entry (`NewEntry`) on each line, of at most 512 KiB"),
    params(
        ("from_line" = Option<u64>, Query, minimum = 1,
         description = "The first line to be taken, counted from 1; those before it are skipped"),
    ),
    responses(
        (status = 200, description = "Begun; see the last line", body = ImportLine<'_>,
         content_type = "application/x-ndjson"),
        (status = 408, description = "`request-timeout`: no body"),
        (status = 415, description = "`unsupported-media-type`"),
        (status = 429, description = "`too-many-requests`, with `Retry-After`; so many imports of \
             this merchant are under way as one may have"),
    )
)]
pub(crate) async fn import_entries(
    State(api): State<ApiState>,
    caller: Caller,
    context: RequestContext,
    key: IdempotencyKey,
    StrictQuery(query): StrictQuery<ImportQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    check_media_type(&parts.headers, NDJSON)?;
    if key.as_str().len() > IMPORT_KEY_CHARACTERS_MAX {
        let detail = format_args!("of an import at most {IMPORT_KEY_CHARACTERS_MAX} characters");
        return Err(Problem::new(kinds::MALFORMED_IDEMPOTENCY_KEY, detail));
    }
    let place = api.imports.take(caller.merchant_id)?;
    let connection = parts.extensions.get::<Connection>().cloned();
    let watch = KeyWatch::of(Arc::clone(&api.keys), caller.key_id, connection);
    let lines = tokio::select! {
        lines = Lines::begin(body) => lines.map_err(lines::NoLine::problem)?,
        () = watch.revoked() => return Err(Problem::unauthorized()),
    };
    let from_line = query.from_line.map_or(1, NonZeroU64::get);
    let import = Import { store: api.store.clone(), caller, context, key, watch };
    let (answer, answered) = mpsc::channel(1);
    let work = async move {
        import.run(lines, from_line, answer).await;
        drop(place);
    };
    let mut response = Response::new(Body::from_stream(Driven::by(work, answered)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    Ok(response)
}

/// An import under way.
struct Import {
    store: EventStore,
    caller: Caller,
    context: RequestContext,
    key: IdempotencyKey,
    watch: KeyWatch,
}

impl Import {
    /// Takes chunks while the next one is read.
    async fn run(self, lines: Lines, from_line: u64, answer: mpsc::Sender<Bytes>) {
        let (read, chunks) = mpsc::channel(1);
        let reading = async {
            chunks::read(lines, from_line, self.caller.merchant_id, read).await;
            std::future::pending::<()>().await;
        };
        // What is read when nobody takes it any more does not matter.
        tokio::select! {
            () = self.take_all(chunks, from_line, answer) => {}
            () = reading => {}
        }
    }

    async fn take_all(
        &self,
        mut chunks: mpsc::Receiver<Read>,
        from_line: u64,
        answer: mpsc::Sender<Bytes>,
    ) {
        let (mut so_far, mut next_line) = (ImportEnd::default(), from_line);
        while let Some(read) = self.next_of(&mut chunks, next_line).await {
            let end = match read {
                Read::Chunk(chunk) => {
                    let (from_line, to_line) = (chunk.from_line, chunk.to_line);
                    match self.take(chunk, &mut so_far).await {
                        Ok(line) => match answer.send(line).await {
                            Ok(()) => {
                                next_line = to_line + 1;
                                continue;
                            }
                            Err(_) => return,
                        },
                        Err(problem) => so_far.stopped_at(from_line, problem),
                    }
                }
                Read::Malformed { line, problem } | Read::Unreadable { line, problem } => {
                    so_far.stopped_at(line, self.rendered(&problem))
                }
                Read::End { lines } => ImportEnd { done: true, lines: Some(lines), ..so_far },
            };
            // Who hung up does not want to know.
            drop(answer.send(as_line(&ImportLine::End(end))).await);
            return;
        }
    }

    /// What is read next, or that nothing is to be taken any more from `next_line` on, since the key was revoked.
    async fn next_of(&self, chunks: &mut mpsc::Receiver<Read>, next_line: u64) -> Option<Read> {
        tokio::select! {
            read = chunks.recv() => read,
            () = self.watch.revoked() => {
                Some(Read::Unreadable { line: next_line, problem: Problem::unauthorized() })
            }
        }
    }

    /// Takes a chunk, and counts; the line that says so, or the problem's body.
    ///
    /// An import may last for long, so it is looked each time whether the key still opens anything.
    async fn take(&self, chunk: Chunk, so_far: &mut ImportEnd) -> Result<Bytes, String> {
        let known = self.store.api_key(self.caller.key_id).await;
        let known = known.map_err(|error| self.rendered(&no_answer(&error)))?;
        if known.is_none_or(|key| key.revoked) {
            self.watch.found_revoked();
            return Err(self.rendered(&Problem::unauthorized()));
        }
        let Chunk { from_line, to_line, fingerprint, bytes, steps, places } = chunk;
        let key = format!("{}#{from_line}", self.key.as_str());
        let submission =
            Submission::under(self.caller, self.context.clone(), key, fingerprint, bytes);
        let command = Command::PostBatch(PostBatch { steps, atomic: false });
        let success = move |decision: &Decision, _| imported(decision, &places);
        let submitted = submission.part(&self.store, RequestPart::Whole, command, success).await;
        let answer = submitted.map_err(|problem| self.rendered(&problem))?;
        if answer.status >= StatusCode::BAD_REQUEST.as_u16() {
            return Err(answer.body.to_string());
        }
        let counts = Counts::of(&answer);
        so_far.created += counts.created();
        so_far.existing += counts.existing;
        so_far.refused += counts.refused;
        Ok(as_line(&ImportLine::Chunk(ImportedChunk {
            from_line,
            to_line,
            created: counts.created(),
            existing: counts.existing,
            refused: counts.refused,
            refusals: counts.refusals.unwrap_or(no_refusals()),
            position: answer.position.number(),
            replayed: answer.replayed.then_some(true),
            rebuilt: counts.refusals.is_none().then_some(true),
        })))
    }

    fn rendered(&self, problem: &Problem) -> String {
        problem.render(&self.context.correlation_id).body
    }
}

impl ImportEnd {
    /// This, stopped at a line by the problem with that body.
    fn stopped_at(self, line: u64, problem: String) -> Self {
        Self { done: false, line: Some(line), problem: RawValue::from_string(problem).ok(), ..self }
    }
}

/// What is stored of a chunk.
#[derive(Serialize)]
struct StoredChunk<'a> {
    created: usize,
    existing: usize,
    refused: usize,
    refusals: Vec<ImportRefusal<'a>>,
}

/// What is found of a chunk: what was stored, or, where that was lost, the answer made again from the log. That is
/// of a batch, without `refusals`, or of a single entry, without `created` either.
#[derive(Deserialize)]
struct Counts<'a> {
    created: Option<u64>,
    #[serde(default)]
    existing: u64,
    #[serde(default)]
    refused: u64,
    #[serde(borrow)]
    refusals: Option<&'a RawValue>,
}

impl<'a> Counts<'a> {
    fn of(answer: &'a Answer) -> Self {
        let one = Self { created: None, existing: 0, refused: 0, refusals: None };
        serde_json::from_str(&answer.body).unwrap_or(one)
    }

    fn created(&self) -> u64 {
        self.created.unwrap_or(1)
    }
}

fn no_refusals() -> &'static RawValue {
    // A literal of JSON.
    serde_json::from_str("[]").unwrap_or(RawValue::NULL)
}

fn imported(decision: &Decision, places: &[Place]) -> Option<NewAnswer> {
    let Decision::Several { steps, .. } = decision else { return None };
    let (mut created, mut existing, mut refusals) = (0, 0, Vec::new());
    for (step, Place { line, external_ref }) in steps.iter().zip(places) {
        match step {
            StepDone::Appended { .. } => created += 1,
            StepDone::Already(_) => existing += 1,
            StepDone::Refused(rejection) => {
                let (code, detail) = (rejection.code(), rejection.to_string());
                refusals.push(ImportRefusal { line: *line, external_ref, code, detail });
            }
        }
    }
    let body = StoredChunk { created, existing, refused: refusals.len(), refusals };
    Some(success(StatusCode::OK, "", &body))
}

fn as_line(line: &ImportLine<'_>) -> Bytes {
    let mut text = json(line);
    text.push('\n');
    text.into()
}
