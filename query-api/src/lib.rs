//! The read side over HTTP: read models, the log itself for those who audit it, and waiting until
//! either shows what the caller wrote.
//!
//! One file a use case; each holds the query's parameters, its SQL and its answer. What all of them
//! share is in `snapshot`: an answer is of one read model at one position, which it says in
//! `Runut-Position`; a request with `Runut-Min-Position` waits for it without holding a connection.
//!
//! **Architecture Invariant:** nothing is written here, and no rule of the business is here. Whatever
//! a merchant's key asks for is looked for in that merchant's ledger only, in the SQL itself: what
//! belongs to another does not exist.

mod accounts;
mod api_keys;
mod caller_scope;
mod consistency;
mod database;
mod dated;
mod dead_letters;
mod document;
mod exports;
mod key_directory;
mod key_range;
mod ledger;
mod ledgers;
mod log;
mod merchants;
mod page_rows;
mod payments;
mod position;
mod projection_statuses;
mod psps;
mod read_model;
mod readiness;
mod row_values;
mod shown;
mod snapshot;
mod state;
mod turns;

use std::sync::Arc;

use api_conventions::{
    CorrelationIds, RateLimitPolicy, RateLimits, ServiceRoutes, assemble, measured, protect,
    with_conventions,
};
use axum::Router;
use axum::middleware::from_fn;
use event_store::IdSource;
use event_store::log::{ConnectError, connect, connect_options};
use tokio_util::sync::CancellationToken;

pub use position::{MIN_POSITION_HEADER, POSITION_HEADER};
pub use read_model::PROJECTION_STATE_HEADER;

use database::Database;
use key_directory::LoggedKeys;
use state::ApiState;

/// The histogram of how long queries take, in seconds.
const REQUEST_SECONDS: &str = "runut_query_request_seconds";

/// What the service is made of. [`router`] makes the routes of it, [`api_conventions::serve`] runs them.
#[derive(Clone)]
pub struct QueryApi {
    /// The URL of the query role.
    pub database_url: String,
    /// How far the projections are, if they run in this process; else their checkpoints are followed.
    pub progress: Option<projections::Handle>,
    /// Names requests that come without a name.
    pub ids: Arc<dyn IdSource>,
    /// Renders `/metrics` in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// How much one API key may ask of this process.
    pub rate_limit: RateLimitPolicy,
    /// Ends followers of the log and whoever waits for a position, so that connections can drain.
    pub shutdown: CancellationToken,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is not there, not durable, or of an older schema.
    #[error("the database cannot be used")]
    Database(#[from] ConnectError),
}

/// The whole service: the queries, each behind an API key, and health, metrics and documentation.
///
/// Starts the one task that follows the checkpoints; it ends with `shutdown`, or when the router and
/// all that it serves are dropped. The recorder of the `metrics` crate has to be installed before.
///
/// # Errors
/// [`Error`]: the database is tried once.
pub async fn router(api: QueryApi) -> Result<Router, Error> {
    let QueryApi { database_url, progress, ids, metrics, rate_limit, shutdown } = api;
    let options = connect_options(&database_url)?;
    let connection = connect(&options).await?;
    let database = Database::of(&options);
    // A child, so that dropping the router ends the watcher and nothing else.
    let ends = shutdown.child_token();
    let (positions, watcher) = position::watch(options, connection, progress);
    tokio::spawn(watcher.run(ends.clone()));
    let keys = Arc::new(LoggedKeys::of(database.keys.clone()));
    let state = ApiState::new(database, positions, Arc::clone(&keys), ends);

    let (routes, document) = document::routes().split_for_parts();
    let document = document::describe_answers(document);
    let limits = Arc::new(RateLimits::new(rate_limit));
    let routes = routes.route_layer(from_fn(state::bound_request)).with_state(state.clone());
    // Measured outside of authentication, so that refusals count too.
    let routes = measured(protect(routes, keys, limits), REQUEST_SECONDS, &document);
    let correlation_ids = CorrelationIds::new(move || ids.next().to_string());
    let readiness = move || readiness::checks(state.clone());
    let service = ServiceRoutes::new(document, readiness, move || metrics());
    Ok(assemble(routes, service, correlation_ids))
}

/// The API as OpenAPI 3.1, as `/openapi.json` answers it.
pub fn openapi() -> utoipa::openapi::OpenApi {
    with_conventions(document::describe_answers(document::routes().into_openapi()))
}
