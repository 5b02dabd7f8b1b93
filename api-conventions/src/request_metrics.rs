//! How long requests take, by route and class of status.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use metrics::Histogram;
use utoipa::openapi::OpenApi;

/// The routes, each request to those of `document` recorded in the histogram `name` (in seconds, by route
/// and class of status). For an answer that is a stream it is the time to its first byte.
///
/// The recorder of the `metrics` crate has to be installed before: the histograms are made here, once, so
/// that a request looks none of them up.
pub fn measured(routes: Router, name: &'static str, document: &OpenApi) -> Router {
    let paths = document.paths.paths.keys();
    let by_path = paths.map(|route| (route.clone(), Classes::of(name, route))).collect();
    routes.route_layer(from_fn_with_state(Arc::new(RequestMetrics { by_path }), measure))
}

/// The histograms of every route. Each path has one method, so the path names the route.
#[derive(Debug)]
struct RequestMetrics {
    by_path: HashMap<String, Classes>,
}

#[derive(Debug)]
struct Classes {
    done: Histogram,
    refused: Histogram,
    failed: Histogram,
}

impl Classes {
    fn of(name: &'static str, route: &str) -> Self {
        let [done, refused, failed] = ["2xx", "4xx", "5xx"]
            .map(|class| metrics::histogram!(name, "route" => route.to_owned(), "status" => class));
        Self { done, refused, failed }
    }
}

impl RequestMetrics {
    fn histogram(&self, path: &str, status: StatusCode) -> Option<&Histogram> {
        let classes = self.by_path.get(path)?;
        Some(if status.is_server_error() {
            &classes.failed
        } else if status.is_client_error() {
            &classes.refused
        } else {
            &classes.done
        })
    }
}

async fn measure(
    State(metrics): State<Arc<RequestMetrics>>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let response = next.run(request).await;
    if let Some(histogram) = metrics.histogram(path.as_str(), response.status()) {
        histogram.record(started.elapsed());
    }
    response
}
