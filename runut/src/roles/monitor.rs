//! Health and metrics over HTTP, for processes that have no API of their own.

use api_conventions::{ConnectionBounds, CorrelationIds, ReadinessCheck, ServiceRoutes, assemble};
use axum::Router;
use event_store::{IdSource, RandomIds};
use tokio::net::TcpListener;
use utoipa::openapi::{Info, OpenApi, Paths};

use crate::prometheus::Metrics;
use crate::tasks::Tasks;

/// Serves `/health/live`, `/health/ready`, which answers what `checks` finds, and `/metrics`.
pub(crate) fn monitor<Checks>(
    tasks: &mut Tasks,
    name: &'static str,
    listener: TcpListener,
    metrics: Metrics,
    checks: impl Fn() -> Checks + Send + Sync + 'static,
) where
    Checks: Future<Output = Vec<ReadinessCheck>> + Send + 'static,
{
    let document = OpenApi::new(Info::new(name, env!("CARGO_PKG_VERSION")), Paths::new());
    let service = ServiceRoutes::new(document, checks, move || metrics.render());
    let ids = CorrelationIds::new(|| RandomIds.next().to_string());
    let router = assemble(Router::new(), service, ids);
    super::serve(tasks, name, listener, router, ConnectionBounds::default());
}
