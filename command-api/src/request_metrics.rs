//! How long requests take, by route and class of status.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use metrics::Histogram;

/// The name of the histogram, in seconds.
const REQUEST_SECONDS: &str = "runut_http_request_seconds";

/// The histograms of every route. Each path has one method, so the path names the route.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    by_path: HashMap<String, Classes>,
}

#[derive(Debug)]
struct Classes {
    done: Histogram,
    refused: Histogram,
    failed: Histogram,
}

impl Classes {
    fn of(route: &str) -> Self {
        let [done, refused, failed] = ["2xx", "4xx", "5xx"].map(|class| {
            let route = route.to_owned();
            metrics::histogram!(REQUEST_SECONDS, "route" => route, "status" => class)
        });
        Self { done, refused, failed }
    }
}

impl RequestMetrics {
    pub(crate) fn of_routes<'a>(paths: impl Iterator<Item = &'a String>) -> Self {
        Self { by_path: paths.map(|route| (route.clone(), Classes::of(route))).collect() }
    }

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

/// Middleware that measures every request to a known route.
pub(crate) async fn measure(
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
