//! The HTTP face.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request as HttpRequest, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::engine::{Engine, Found, Outcome};
use super::operation::{Kind, Operation, Status};
use super::records::fingerprint;
use super::requests::{self, Invalid};
use super::rules::{Intent, Refusal, Request};
use super::serve::CutConnection;
use super::views;

/// The most bytes of a body; the largest that is let in is a tenth of it.
const BODY_BYTES_MAX: usize = 8 * 1024;
/// How long a request that is never answered is held, longer than clients should wait.
const HELD_MAX: Duration = Duration::from_secs(30);
/// The charges on a page of the ledger, unless asked for otherwise.
const PAGE_CHARGES: usize = 1_000;
/// The most charges on a page: some megabytes.
const PAGE_CHARGES_MAX: usize = 10_000;
/// Says that an answer is that to an earlier request under the same key.
const REPLAYED: &str = "idempotent-replayed";

/// What handlers share.
#[derive(Clone)]
struct Face {
    engine: Arc<Engine>,
    authorization: Arc<str>,
}

/// Which charges of the ledger are shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerQuery {
    after: Option<String>,
    limit: Option<usize>,
}

type ReadBody = Result<Bytes, BytesRejection>;

/// The routes of a simulator.
pub(super) fn router(engine: Arc<Engine>, api_key: &str) -> Router {
    let face = Face { engine, authorization: format!("Bearer {api_key}").into() };
    Router::new()
        .route("/v1/charges", post(charge))
        .route("/v1/charges/{charge_id}", get(show_charge))
        .route("/v1/charges/{charge_id}/captures", post(capture))
        .route("/v1/charges/{charge_id}/void", post(void))
        .route("/v1/charges/{charge_id}/refunds", post(refund))
        .route("/v1/operations/{idempotency_key}", get(show_operation))
        .route("/ledger", get(ledger))
        .route("/ledger/summary", get(summary))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "not_found", "there is nothing here") })
        // Before the next route is added, which anybody may ask.
        .layer(middleware::from_fn_with_state(face.clone(), authenticate))
        .route("/health/live", get(|| async { StatusCode::OK }))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(face)
}

async fn authenticate(State(face): State<Face>, request: HttpRequest, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if shown == Some(face.authorization.as_bytes()) {
        next.run(request).await
    } else {
        error(StatusCode::UNAUTHORIZED, "unauthorized", "the API key is missing or wrong")
    }
}

async fn charge(
    State(face): State<Face>,
    uri: Uri,
    headers: HeaderMap,
    body: ReadBody,
) -> Response {
    face.carry_out(&uri, &headers, body, requests::charge).await
}

async fn capture(
    State(face): State<Face>,
    Path(charge_id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: ReadBody,
) -> Response {
    face.carry_out(&uri, &headers, body, |body| requests::capture(charge_id, body)).await
}

async fn void(
    State(face): State<Face>,
    Path(charge_id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: ReadBody,
) -> Response {
    face.carry_out(&uri, &headers, body, |body| requests::void(charge_id, body)).await
}

async fn refund(
    State(face): State<Face>,
    Path(charge_id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: ReadBody,
) -> Response {
    face.carry_out(&uri, &headers, body, |body| requests::refund(charge_id, body)).await
}

async fn show_operation(State(face): State<Face>, Path(key): Path<String>) -> Response {
    match face.engine.find(&key).await {
        Ok(Found::Operation(operation)) => json(StatusCode::OK, &operation),
        Ok(Found::Nothing) => not_found("no operation was carried out under this key"),
        Ok(Found::Unavailable) => unavailable(),
        Err(_) => cut(),
    }
}

async fn show_charge(State(face): State<Face>, Path(id): Path<String>) -> Response {
    let shown = face.engine.read(|state, now| {
        let Some(charge) = state.book.charge(&id) else { return not_found("no such charge") };
        // A fault that befalls the charge itself befalls its authorization.
        let fault = charge.token.fault_of(Kind::Authorization);
        if state.is_down(fault, &charge.reference, now) {
            return unavailable();
        }
        json(StatusCode::OK, &views::charge(&state.book, charge))
    });
    shown.await.unwrap_or_else(|_| cut())
}

async fn ledger(
    State(face): State<Face>,
    query: Result<Query<LedgerQuery>, QueryRejection>,
) -> Response {
    let Query(LedgerQuery { after, limit }) = match query {
        Ok(query) => query,
        Err(rejection) => return invalid(&Invalid(rejection.body_text())),
    };
    let limit = limit.unwrap_or(PAGE_CHARGES);
    if !(1..=PAGE_CHARGES_MAX).contains(&limit) {
        return invalid(&Invalid(format!("limit: 1 to {PAGE_CHARGES_MAX}")));
    }
    let page =
        face.engine.read(|state, _| match views::page(&state.book, after.as_deref(), limit) {
            Some(page) => json(StatusCode::OK, &page),
            None => not_found("there is no charge to go on after"),
        });
    page.await.unwrap_or_else(|_| cut())
}

async fn summary(State(face): State<Face>) -> Response {
    let summary = face.engine.read(|state, _| json(StatusCode::OK, &views::summary(&state.book)));
    summary.await.unwrap_or_else(|_| cut())
}

impl Face {
    async fn carry_out(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        body: ReadBody,
        read: impl FnOnce(&[u8]) -> Result<Intent, Invalid>,
    ) -> Response {
        let Some(key) = requests::idempotency_key(headers) else {
            let message = "Idempotency-Key: one, of 1 to 64 visible ASCII characters";
            return error(StatusCode::BAD_REQUEST, "idempotency_key_invalid", message);
        };
        let body = match body {
            Ok(body) => body,
            Err(rejection) => {
                return error(rejection.status(), "body_unreadable", &rejection.body_text());
            }
        };
        let intent = match read(&body) {
            Ok(intent) => intent,
            Err(reason) => return invalid(&reason),
        };
        let fingerprint = fingerprint(uri.path(), &body);
        let outcome = self.engine.carry_out(Request { key, fingerprint, intent }).await;
        self.answer(outcome).await
    }

    async fn answer(&self, outcome: Outcome) -> Response {
        match outcome {
            Outcome::CarriedOut { operation, replayed } => {
                let mut response = json(first_status(&operation), &operation);
                if replayed {
                    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                }
                response
            }
            Outcome::Refused(refusal) => refused(refusal),
            Outcome::KeyReused => error(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "the key belongs to a request with another path or body",
            ),
            Outcome::KeyInUse => error(
                StatusCode::CONFLICT,
                "idempotency_key_in_use",
                "the key's request is still being worked on",
            ),
            Outcome::Unavailable => unavailable(),
            Outcome::NoAnswer => {
                // Whether the time is up or the simulator stops, there is no answer.
                let _ = self.engine.pause(HELD_MAX).await;
                cut()
            }
            Outcome::Cut => cut(),
        }
    }
}

/// The status of the first answer, and so of every replay.
fn first_status(operation: &Operation) -> StatusCode {
    match operation.status {
        Status::Succeeded | Status::Failed => StatusCode::CREATED,
        Status::Declined => StatusCode::PAYMENT_REQUIRED,
        Status::Pending => StatusCode::ACCEPTED,
    }
}

fn refused(refusal: Refusal) -> Response {
    let conflict = |code, message: &str| error(StatusCode::CONFLICT, code, message);
    match refusal {
        Refusal::ChargeUnknown => not_found("no such charge"),
        Refusal::TooManyOperations => {
            conflict("too_many_operations", "the charge has as many operations as it may")
        }
        Refusal::OperationPending => {
            conflict("operation_pending", "an operation on the charge is not settled yet")
        }
        Refusal::ChargeDeclined => conflict("charge_declined", "the charge was declined"),
        Refusal::ChargeVoided => conflict("charge_voided", "the charge was voided"),
        Refusal::AlreadyCaptured => {
            conflict("charge_already_captured", "nothing is left of the authorization")
        }
        Refusal::NotCaptured => conflict("charge_not_captured", "nothing is captured"),
        Refusal::AmountTooLarge { possible_minor } => {
            conflict("amount_too_large", &format!("amount_minor: at most {possible_minor}"))
        }
    }
}

fn invalid(Invalid(reason): &Invalid) -> Response {
    error(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", reason)
}

fn not_found(message: &str) -> Response {
    error(StatusCode::NOT_FOUND, "not_found", message)
}

fn unavailable() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", "try again later")
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json(status, &serde_json::json!({"error": {"code": code, "message": message}}))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // The shapes are plain structs with text keys.
    let body = serde_json::to_vec(body).expect("an answer has a text form");
    let mut response = (status, Body::from(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// No answer at all.
fn cut() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(CutConnection);
    response
}
