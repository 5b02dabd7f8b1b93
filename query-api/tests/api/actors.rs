//! Who calls, and what they are answered.

use std::fmt;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// Every request of a test is called so, so that answers can be compared byte for byte.
const CORRELATION_ID: &str = "test";
/// The headers of answers that matter here.
const HEADERS: [&str; 6] =
    ["content-type", "etag", "location", "retry-after", "runut-position", "runut-projection-state"];

/// Somebody with an API key, or without.
#[derive(Clone)]
pub(crate) struct Actor {
    router: Router,
    authorization: Option<String>,
    /// What this actor wants to see at least; set by [`Actor::seeing`].
    min_position: Option<String>,
}

impl Actor {
    pub(crate) fn new(router: Router, authorization: Option<String>) -> Self {
        Self { router, authorization, min_position: None }
    }

    /// The same, who insists on `position` with every request.
    pub(crate) fn seeing(&self, position: i64) -> Self {
        self.seeing_text(&position.to_string())
    }

    pub(crate) fn seeing_text(&self, position: &str) -> Self {
        Self { min_position: Some(position.to_owned()), ..self.clone() }
    }

    /// What it says in `Authorization`.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let response = self.send(path, headers).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The rows of a list, page by page.
    pub(crate) async fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}{separator}limit={limit}{cursor}")).await;
            let page = page.json();
            let data = page["data"].as_array().expect("rows");
            assert!(data.len() <= limit, "{} rows", data.len());
            rows.extend(data.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }

    /// Follows the log.
    pub(crate) async fn follow(&self, path: &str, headers: &[(&str, &str)]) -> Followed {
        let mut all = vec![("accept", "text/event-stream")];
        all.extend_from_slice(headers);
        let response = self.send(path, &all).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Followed { body: response.into_body(), text: String::new() }
    }

    /// Begins to read something that is sent while it is made.
    pub(crate) async fn download(&self, path: &str) -> axum::response::Response {
        self.send(path, &[]).await
    }

    /// A query with a body.
    pub(crate) async fn ask(&self, path: &str, question: &str) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        let response = self.send_as(request, &[], Body::from(question.to_owned())).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)]) -> axum::response::Response {
        self.send_as(Request::get(path), headers, Body::empty()).await
    }

    async fn send_as(
        &self,
        request: axum::http::request::Builder,
        headers: &[(&str, &str)],
        body: Body,
    ) -> axum::response::Response {
        let mut request = request.header("x-correlation-id", CORRELATION_ID);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(position) = &self.min_position {
            request = request.header("runut-min-position", position);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        self.router.clone().oneshot(request).await.expect("routers do not fail")
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self}");
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The `id`s (or else `position`s) of the rows of a page.
    #[track_caller]
    pub(crate) fn ids(&self) -> Vec<String> {
        let page = self.json();
        let rows = page["data"].as_array().expect("rows");
        let id = |row: &Value| row["id"].as_str().map(str::to_owned);
        rows.iter().map(|row| id(row).unwrap_or_else(|| row["position"].to_string())).collect()
    }

    /// Status and code of a problem.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self}");
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        (self.status.as_u16(), body["code"].as_str().expect("a code").to_owned())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for name in HEADERS.into_iter().filter(|name| self.headers.contains_key(*name)) {
            writeln!(f, "{name}: {}", self.header(name))?;
        }
        match serde_json::from_str::<Value>(&self.body) {
            Ok(json) => write!(f, "\n{json:#}"),
            Err(_) => write!(f, "\n{}", self.body),
        }
    }
}

/// An answer that does not end.
pub(crate) struct Followed {
    body: Body,
    text: String,
}

impl Followed {
    /// The next event: its id and its data. `None` when the answer has ended.
    pub(crate) async fn next(&mut self) -> Option<(i64, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))
                };
                if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                    let data = serde_json::from_str(&data).expect("JSON");
                    return Some((id.parse().expect("a position"), data));
                }
            }
            let frame = tokio::time::timeout(super::platform::PATIENCE, self.body.frame())
                .await
                .expect("something is sent")?;
            let bytes = frame.expect("a frame").into_data().expect("data");
            self.text.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }

    /// The ids of the next `count` events.
    pub(crate) async fn ids(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(self.next().await.expect("it goes on").0);
        }
        ids
    }
}
