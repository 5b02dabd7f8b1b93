//! The HTTP conventions that both services share, so that a handler is three lines: read the
//! request strictly, act, answer. What is refused here is refused in one form, a [`Problem`].
//!
//! ```
//! use api_conventions::{
//!     AmountDto, CommandEnvelope, FieldErrors, IfNoneMatch, ListQuery, Page, PathId, Pointer,
//!     Problem,
//! };
//! use axum::{Json, response::Response};
//! use domain::{AccountId, Amount, Rejection, StreamVersion};
//!
//! #[derive(serde::Deserialize, utoipa::ToSchema)]
//! #[serde(deny_unknown_fields)]
//! struct DepositBody { account: String, sum: AmountDto }
//!
//! struct Deposit { account: AccountId, sum: Amount }
//!
//! impl DepositBody {
//!     fn into_command(self) -> Result<Deposit, Problem> {
//!         let mut errors = FieldErrors::new();
//!         let account = errors.check("/account", self.account.parse());
//!         let sum = self.sum.positive(&mut errors, &Pointer::from("/sum"));
//!         errors.finish(|| Some(Deposit { account: account?, sum: sum? }))
//!     }
//! }
//!
//! async fn deposit(command: CommandEnvelope) -> Result<Json<AmountDto>, Problem> {
//!     let deposit = command.json::<DepositBody>()?.into_command()?;
//!     let account_id = deposit.account; // decide and append here; a rejection becomes a problem
//!     Err(Rejection::AccountNotFound { account_id })?
//! }
//!
//! async fn show(PathId(_id): PathId<AccountId>, has: IfNoneMatch) -> Result<Response, Problem> {
//!     Ok(has.answer(StreamVersion::FIRST, "the row as JSON"))
//! }
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Filters { status: Option<String> }
//!
//! async fn list(query: ListQuery<Filters, i64>) -> Result<Json<Page<String>>, Problem> {
//!     let rows: Vec<i64> = vec![3, 2, 1]; // up to `query.rows_to_read()`, after `query.after`
//!     Ok(Json(Page::of(rows, query.limit, |row| *row, |row| row.to_string())))
//! }
//!
//! # fn state_free() -> axum::Router {
//! axum::Router::new()
//!     .route("/v1/deposits", axum::routing::post(deposit))
//!     .route("/v1/accounts/{id}", axum::routing::get(show))
//!     .route("/v1/accounts", axum::routing::get(list))
//! # }
//! ```
//!
//! A service is [`assemble`]d from its routes behind [`protect`], restricted by [`for_roles`] where a
//! role matters, and run by [`serve()`].
//!
//! **Architecture Invariant:** this crate knows `domain` and HTTP; no SQL, no log, no read model.

pub mod problem_kinds;

mod amounts;
mod api_key_token;
mod authenticate;
mod body;
mod command_envelope;
mod correlation;
mod etag;
mod field_errors;
mod idempotency;
mod json;
mod json_objects;
mod json_structure;
mod kept;
mod key_look_ups;
mod key_watch;
mod openapi;
mod pace;
mod pages;
mod path;
mod payments;
mod peer;
mod pointer;
mod prefer;
mod problem;
mod progress;
mod query;
mod rate_limit;
mod request_metrics;
mod roles;
mod serve;
mod service_routes;
mod shares;
mod unread_answers;

#[cfg(test)]
mod test_app;

pub use amounts::{AmountDto, DecimalSlice, DecimalText};
pub use api_key_token::ApiKeyToken;
pub use authenticate::{Caller, DirectoryUnavailable, Door, KeyDirectory, authenticate};
pub use body::{
    BODY_BYTES_MAX, BODY_PACE, BODY_READ_MAX, announced_bytes, read_body, read_body_in_its_place,
};
pub use command_envelope::CommandEnvelope;
pub use correlation::{
    CORRELATION_ID_CHARACTERS_MAX, CORRELATION_ID_HEADER, CorrelationId, CorrelationIds,
    REQUEST_ID_HEADER, RequestContext, TRACEPARENT_HEADER, TraceParent, with_request_context,
};
pub use etag::{IfMatch, IfNoneMatch, TAGS_MAX, etag, etag_at};
pub use field_errors::{
    FIELD_ERRORS_MAX, FieldErrors, INVALID_VALUE, MISSING_FIELD, UNKNOWN_FIELD,
};
pub use idempotency::{
    Fingerprint, IDEMPOTENCY_KEY_CHARACTERS_MAX, IDEMPOTENCY_KEY_HEADER,
    IDEMPOTENT_REPLAYED_HEADER, IdempotencyKey,
};
pub use json::{
    StrictJson, check_json_media_type, check_media_type, parse_json, without_byte_order_mark,
};
pub use key_look_ups::{UNKNOWN_ID_EVERY, UNKNOWN_IDS_AT_ONCE_MAX};
pub use key_watch::{KEY_LOOK_EVERY, KeyWatch, until_revoked};
pub use openapi::with_conventions;
pub use pace::{Pace, Paced, TooSlow};
pub use pages::{
    CURSOR_CHARACTERS_MAX, ListQuery, NoFilters, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, Page,
    PageParameters, decode_cursor, encode_cursor,
};
pub use path::PathId;
pub use payments::{
    CaptureResource, DeclineResource, LateChargeResource, LineItemResource, OperationResource,
    PaymentAmountsResource, PaymentMethodResource, PaymentResource, RefundResource,
};
pub use peer::{Connection, PeerAddress, PeerNetwork};
pub use pointer::{POINTER_BYTES_MAX, Pointer};
pub use prefer::Prefer;
pub use problem::{
    DETAIL_CHARACTERS_MAX, FieldError, PROBLEM_MEDIA_TYPE, Problem, ProblemBody, RETRY_AFTER_S,
    RenderedProblem,
};
pub use problem_kinds::{Actor, ProblemKind};
pub use query::StrictQuery;
pub use rate_limit::{
    CHECKS_BETWEEN_SHRINKS, COUNTED_BODY_BYTES, RATE_LIMIT_HEADER, RATE_LIMIT_POLICY_HEADER,
    REQUESTS_PER_SECOND_DEFAULT, RateLimitPolicy, RateLimits, limit_rate,
};
pub use request_metrics::measured;
pub use roles::{ROLES_EXTENSION, RouteRoles, contradictions, for_roles, routes_and_roles};
pub use serve::{
    CONNECTIONS_MAX, CONNECTIONS_OF_A_PEER_MAX, ConnectionBounds, DRAIN_MAX, Drained,
    HEADER_BYTES_MAX, HEADER_READ_MAX, WRITE_PACE, serve, serve_within,
};
pub use service_routes::{
    LOOK_KEPT_FOR, READINESS_MAX, ReadinessCheck, ServiceRoutes, assemble, protect,
};
pub use shares::{NoPlace, Place, Pool, Shares};
