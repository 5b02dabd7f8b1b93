//! What handlers have at hand.

use std::sync::Arc;
use std::time::Duration;

use api_conventions::{Problem, Shares};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use domain::{ApiKeyId, MerchantId};
use serde::Deserialize;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::database::{Database, SEARCHES_OF_ONE};
use crate::exports::EXPORTS;
use crate::key_directory::LoggedKeys;
use crate::log::FOLLOWERS;
use crate::position::Positions;
use crate::read_model::WAITS;
use crate::turns::Turns;

/// How long a request may take in all: the longest wait for a position, for a connection and for a
/// snapshot's statements, and something over. What hangs longer has lost its database.
const REQUEST_MAX: Duration = Duration::from_secs(12);

/// The query string of a resource that takes no parameters.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParameters {}

/// The state of the router; cheap to clone, which happens for every request.
#[derive(Debug, Clone)]
pub(crate) struct ApiState {
    pub(crate) database: Database,
    pub(crate) positions: Arc<Positions>,
    pub(crate) keys: Arc<LoggedKeys>,
    /// A place for each follower of the log.
    pub(crate) followers: Shares<ApiKeyId>,
    /// A place for each export.
    pub(crate) exports: Shares<MerchantId>,
    /// A place for each request that waits for a position.
    pub(crate) waits: Shares<Option<MerchantId>>,
    /// The turns of each merchant at the connections for searches.
    pub(crate) search_turns: Turns<Option<MerchantId>>,
    /// Says that this process is stopping.
    pub(crate) stopping: CancellationToken,
    _ends_the_watcher: Arc<DropGuard>,
}

impl ApiState {
    pub(crate) fn new(
        database: Database,
        positions: Arc<Positions>,
        keys: Arc<LoggedKeys>,
        stopping: CancellationToken,
    ) -> Self {
        let ends_the_watcher = Arc::new(stopping.clone().drop_guard());
        Self {
            database,
            positions,
            keys,
            followers: Shares::of(FOLLOWERS),
            exports: Shares::of(EXPORTS),
            waits: Shares::of(WAITS),
            search_turns: Turns::of(SEARCHES_OF_ONE),
            stopping,
            _ends_the_watcher: ends_the_watcher,
        }
    }
}

/// Middleware that gives up on a request that hangs. An answer that has begun, such as the events that
/// a follower gets, goes on.
pub(crate) async fn bound_request(request: Request, next: Next) -> Result<Response, Problem> {
    tokio::time::timeout(REQUEST_MAX, next.run(request)).await.map_err(|_| {
        tracing::warn!(limit_s = REQUEST_MAX.as_secs(), "a request was given up");
        Problem::unavailable("the query took too long")
    })
}
