//! A small service with callers of every kind, for this crate's tests.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use domain::api_keys::{ApiKey, Role};
use domain::{ApiKeyId, MerchantId, StreamVersion};
use http_body_util::BodyExt;
use tower::ServiceExt;
use uuid::Uuid;

use crate::{ApiKeyToken, CorrelationIds, DirectoryUnavailable, KeyDirectory};

/// Keys in memory; down if told so.
#[derive(Default)]
pub(crate) struct MemoryDirectory {
    pub(crate) keys: Vec<ApiKey>,
    pub(crate) down: bool,
    /// How often a key was looked up.
    pub(crate) looks: Arc<AtomicUsize>,
}

impl KeyDirectory for MemoryDirectory {
    fn known(&self, _: ApiKeyId) -> Option<ApiKey> {
        None
    }

    async fn find(&self, id: ApiKeyId) -> Result<Option<ApiKey>, DirectoryUnavailable> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        if self.down {
            return Err(DirectoryUnavailable::because("connection refused by 10.0.0.7"));
        }
        Ok(self.keys.iter().find(|key| key.id == id).cloned())
    }
}

impl MemoryDirectory {
    /// Issues the `n`th key.
    pub(crate) fn issue(&mut self, n: u8, role: Role) -> ApiKeyToken {
        let key_id = ApiKeyId::from_uuid(Uuid::from_u128(n.into()));
        let token = ApiKeyToken::generate(key_id, [n; 32]);
        let owner = if role.of_one_merchant() { Uuid::from_u128(77) } else { Uuid::nil() };
        self.keys.push(ApiKey {
            id: key_id,
            merchant_id: MerchantId::from_uuid(owner),
            role,
            label: None,
            secret: token.secret_digest(),
            revoked: false,
            version: StreamVersion::FIRST,
        });
        token
    }

    pub(crate) fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

pub(crate) fn test_ids() -> CorrelationIds {
    CorrelationIds::new(|| "drawn-by-the-id-source".to_owned())
}

/// What came back, printed as a snapshot shows it.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        let mut names: Vec<&str> = self.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        for name in names.into_iter().filter(|name| *name != "content-length") {
            writeln!(f, "{name}: {}", self.header(name))?;
        }
        write!(f, "\n{}", self.body)
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let length = parts.headers.get("content-length").map(|value| value.to_str().unwrap());
    assert!(length.is_none_or(|length| length == bytes.len().to_string()), "{length:?}");
    let body = String::from_utf8(bytes.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A request with headers given as `name: value`.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path);
    let builder =
        headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(body.into()).unwrap()
}

pub(crate) fn bearer(token: &ApiKeyToken) -> String {
    format!("Bearer {}", token.expose())
}
