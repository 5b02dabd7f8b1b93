//! The API for queries.

use std::panic::resume_unwind;
use std::sync::Arc;

use event_store::RandomIds;
use query_api::{Error, QueryApi};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::Limits;
use crate::prometheus::Metrics;
use crate::tasks::{Stage, Tasks};

/// Serves queries on `listener` in `runtime`, as the query role; `progress` is that of projections in this process.
pub(crate) async fn start(
    tasks: &mut Tasks,
    (listener, runtime): (TcpListener, Handle),
    database_url: &str,
    progress: Option<projections::Handle>,
    metrics: Metrics,
    limits: Limits,
) -> Result<(), Error> {
    let making = runtime.spawn(query_api::router(QueryApi {
        database_url: database_url.to_owned(),
        progress,
        ids: Arc::new(RandomIds),
        metrics: Arc::new(move || metrics.render()),
        rate_limit: limits.rate(),
        shutdown: tasks.end_of(Stage::Accept),
    }));
    let router = making.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))?;
    let _there = runtime.enter();
    super::serve(tasks, "the query API", listener, router, limits.connections());
    Ok(())
}
