//! The write side over HTTP: parse, authenticate, make a command of it, submit it to the log,
//! answer.
//!
//! One file a use case; each holds the request's body, the command it becomes and the answer that
//! is stored with the events. What all of them share is in `submission` (a command's way to the log
//! and back) and in the crate `api_conventions` (how requests are read and refused).
//!
//! **Architecture Invariant:** no SQL and no rule of the business is here. Whether a command may be
//! carried out is `domain`'s to decide, whether it is durable `event_store`'s to say; the merchant
//! of a command is always the one that the API key belongs to, never one that the request names.

mod accounts;
mod answer;
mod api_keys;
mod document;
mod fx;
mod holds;
mod key_directory;
mod ledger;
mod limits;
mod merchants;
mod metadata;
mod names;
mod payments;
mod psps;
mod random;
mod readiness;
mod recorded_answers;
mod state;
mod submission;
mod versions;
mod wallets;
mod webhooks;

use std::sync::Arc;

use api_conventions::{
    CorrelationIds, RateLimitPolicy, RateLimits, ServiceRoutes, Shares, assemble, measured,
    protect, with_conventions,
};
use axum::Router;
use event_store::EventStore;
use event_store::mirror::MirrorStatus;
use tokio::sync::watch;

pub use answer::POSITION_HEADER;
pub use ledger::import::{IMPORT_KEY_CHARACTERS_MAX, IMPORT_PACE, IMPORTS};
pub use limits::{
    ACCOUNT_BODY_BYTES_MAX, API_KEY_BODY_BYTES_MAX, BATCH_BODY_BYTES_MAX, BATCH_POSTINGS_MAX,
    CHAIN_STEPS_MAX, CLOSE_BODY_BYTES_MAX, EMPTY_BODY_BYTES_MAX, ENTRY_BODY_BYTES_MAX,
    MERCHANT_BODY_BYTES_MAX, MOVEMENT_BODY_BYTES_MAX, PAYMENT_ACTION_BODY_BYTES_MAX,
    PAYMENT_BODY_BYTES_MAX, RATE_BODY_BYTES_MAX, RESERVATION_BODY_BYTES_MAX,
    WEBHOOK_BODY_BYTES_MAX,
};
pub use payments::{
    ANSWERS_FINISHED_AT_ONCE_MAX, AnswerFinisher, FINISH_AFTER, FINISH_INTERVAL, SYNC_PATIENCE,
};
pub use psps::{BodyCheck, NotLetIn, PspDirectory, UnknownPsps};
pub use random::{RandomSource, SystemRandom};
pub use readiness::readiness_checks;
pub use recorded_answers::recorded_answer;

use key_directory::LoggedKeys;
use state::{ApiState, AtHand};

/// The histogram of how long requests take, in seconds.
const REQUEST_SECONDS: &str = "runut_http_request_seconds";

/// What the service is made of. [`router`] makes the routes of it, [`api_conventions::serve`] runs
/// them.
#[derive(Clone)]
pub struct CommandApi {
    /// The log. Its sequencer has to be running for commands to be answered.
    pub store: EventStore,
    /// How the mirror is doing, if this process runs one; shown by `/health/ready`.
    pub mirror: Option<watch::Receiver<MirrorStatus>>,
    /// Renders `/metrics` in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Where the secrets of new API keys come from.
    pub random: Arc<dyn RandomSource>,
    /// What is known of the PSPs.
    pub psps: Arc<dyn PspDirectory>,
    /// How much one API key may ask of this process.
    pub rate_limit: RateLimitPolicy,
}

/// The whole service: the commands, each behind an API key, and health, metrics and documentation.
///
/// The recorder of the `metrics` crate has to be installed before: the histograms of the routes are
/// made here, once, so that a request looks none of them up.
pub fn router(api: CommandApi) -> Router {
    let CommandApi { store, mirror, metrics, random, psps, rate_limit } = api;
    let (routes, document) = document::routes().split_for_parts();
    let (signed_routes, signed) = document::signed_routes().split_for_parts();
    let document = document::whole(document, signed);
    let keys = Arc::new(LoggedKeys::of(store.clone()));
    let limits = Arc::new(RateLimits::new(rate_limit));
    let state = ApiState::from(AtHand {
        store: store.clone(),
        random,
        psps,
        keys: Arc::clone(&keys),
        imports: Shares::of(ledger::import::IMPORTS),
        webhook_bodies: Shares::of(webhooks::receive::WEBHOOK_BODIES),
    });
    let routes = routes.with_state(state.clone());
    let signed_routes = signed_routes.with_state(state);
    // Measured outside of authentication, so that refusals count too.
    let routes = protect(routes, keys, limits).merge(signed_routes);
    let routes = measured(routes, REQUEST_SECONDS, &document);
    let ids = Arc::clone(store.ids());
    let correlation_ids = CorrelationIds::new(move || ids.next().to_string());
    let readiness = move || readiness_checks(store.clone(), mirror.clone());
    let service = ServiceRoutes::new(document, readiness, move || metrics());
    assemble(routes, service, correlation_ids)
}

/// The API as OpenAPI 3.1, as `/openapi.json` answers it.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let signed = document::signed_routes().into_openapi();
    with_conventions(document::whole(document::routes().into_openapi(), signed))
}
