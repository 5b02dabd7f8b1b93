//! What both services answer besides their API: health, metrics, documentation, and 404 and 405.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::authenticate::{Door, KeyDirectory, authenticate};
use crate::correlation::{CorrelationIds, with_request_context};
use crate::kept::Kept;
use crate::openapi::with_conventions;
use crate::problem::{Problem, RETRY_AFTER_S};
use crate::problem_kinds::{self, ProblemKind};
use crate::rate_limit::{RateLimits, limit_rate};

/// Where a service describes itself.
const OPENAPI_PATH: &str = "/openapi.json";

/// How long the readiness checks may take together; a dependency that answers later is not ready.
pub const READINESS_MAX: Duration = Duration::from_secs(2);

/// How long what was found is answered to all who ask: whoever watches a service asks less often, and whoever
/// asks more often than that costs nothing. Anybody may ask.
pub const LOOK_KEPT_FOR: Duration = Duration::from_millis(250);

/// One thing that has to be in order for the service to do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadinessCheck {
    /// What is checked, such as `postgres`.
    pub name: &'static str,
    /// Whether it is in order.
    pub ok: bool,
    /// What was found, for people.
    pub detail: String,
}

#[derive(Serialize)]
struct ReadinessReport {
    ready: bool,
    checks: Vec<ReadinessCheck>,
}

type Checks = Pin<Box<dyn Future<Output = Vec<ReadinessCheck>> + Send>>;

/// What has to be in order, and what was found of it last.
struct Readiness {
    look: Box<dyn Fn() -> Checks + Send + Sync>,
    found: Kept<Vec<ReadinessCheck>>,
}

/// The metrics, and as what they were rendered last.
struct Metrics {
    render: Box<dyn Fn() -> String + Send + Sync>,
    rendered: Kept<Bytes>,
}

/// What a service brings along to be looked after and understood. All of it is answered without a key, so none
/// of it costs more the more often it is asked for.
#[derive(Clone)]
pub struct ServiceRoutes {
    /// As it is sent.
    openapi: Bytes,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

impl ServiceRoutes {
    /// With the document collected from the handlers, what has to be in order, and the metrics in
    /// Prometheus' text format.
    pub fn new<Checks>(
        openapi: OpenApi,
        readiness: impl Fn() -> Checks + Send + Sync + 'static,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self
    where
        Checks: Future<Output = Vec<ReadinessCheck>> + Send + 'static,
    {
        let openapi = serde_json::to_vec(&with_conventions(openapi)).unwrap_or_default().into();
        let readiness = Readiness {
            look: Box::new(move || Box::pin(readiness())),
            found: Kept::for_at_most(LOOK_KEPT_FOR),
        };
        let rendered = Kept::for_at_most(LOOK_KEPT_FOR);
        let metrics = Metrics { render: Box::new(metrics), rendered };
        Self { openapi, readiness: Arc::new(readiness), metrics: Arc::new(metrics) }
    }

    fn into_router(self) -> Router {
        // No validator: its badge would send the document's address to somebody else's service.
        let config = Config::new([OPENAPI_PATH]).validator_url("none").try_it_out_enabled(true);
        let docs = SwaggerUi::new("/docs").config(config);
        Router::new()
            .route("/health/live", get(async || StatusCode::NO_CONTENT))
            .route("/health/ready", get(ready).with_state(self.readiness))
            .route("/metrics", get(metrics).with_state(self.metrics))
            .route("/problems/{code}", get(problem_kind))
            .route(OPENAPI_PATH, get(openapi).with_state(self.openapi))
            .merge(docs)
    }
}

/// A whole service: its API behind [`protect`], the service routes, problems for unknown paths and
/// methods, and the request context around all of it.
pub fn assemble(api: Router, service: ServiceRoutes, ids: CorrelationIds) -> Router {
    let router = api
        .merge(service.into_router())
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed());
    with_request_context(router, ids)
}

/// Puts every route of `router` behind an API key and its rate limit.
pub fn protect<S, D>(router: Router<S>, directory: Arc<D>, limits: Arc<RateLimits>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    D: KeyDirectory,
{
    use axum::middleware::from_fn_with_state;

    // The last layer is the outermost: first who it is, then how much they may ask.
    router
        .route_layer(from_fn_with_state(limits, limit_rate))
        .route_layer(from_fn_with_state(Arc::new(Door::of(directory)), authenticate::<D>))
}

async fn ready(State(readiness): State<Arc<Readiness>>) -> Response {
    let look = async || {
        let looking = tokio::time::timeout(READINESS_MAX, (readiness.look)()).await;
        looking.unwrap_or_else(|_| {
            let detail = format!("no answer within {} s", READINESS_MAX.as_secs());
            vec![ReadinessCheck { name: "readiness", ok: false, detail }]
        })
    };
    let checks = readiness.found.get(look).await;
    let ready = checks.iter().all(|check| check.ok);
    let report = Json(ReadinessReport { ready, checks });
    if ready {
        return report.into_response();
    }
    let retry_after = [(header::RETRY_AFTER, RETRY_AFTER_S.to_string())];
    (StatusCode::SERVICE_UNAVAILABLE, retry_after, report).into_response()
}

async fn metrics(State(metrics): State<Arc<Metrics>>) -> Response {
    let text = metrics.rendered.get(async || Bytes::from((metrics.render)())).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn openapi(State(document): State<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

/// What a problem's `type` refers to: its row of the table.
async fn problem_kind(Path(code): Path<String>) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Row {
        code: &'static str,
        status: u16,
        title: &'static str,
        retryable: bool,
        who_acts: &'static str,
    }

    let kind = problem_kinds::find(&code).ok_or_else(Problem::not_found)?;
    let ProblemKind { code, status, title, retryable, actor } = *kind;
    Ok(Json(Row { code, status, title, retryable, who_acts: actor.describe() }).into_response())
}

#[cfg(test)]
mod tests;
