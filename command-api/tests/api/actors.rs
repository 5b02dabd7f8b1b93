//! Who calls the service: each actor carries its own API key.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use testkit::unique_name;
use tower::ServiceExt;

use crate::answers::Answer;
use crate::sockets::Connection;

/// The correlation id of every request that does not say another, so that answers are alike.
pub(crate) const CORRELATION_ID: &str = "test-request";

/// The way to a service.
#[derive(Clone)]
pub(crate) enum Way {
    /// Straight to its routes.
    Router(Router),
    /// Over a connection.
    Connection(Connection),
}

/// A caller of one service.
#[derive(Clone)]
pub(crate) struct Actor {
    pub(crate) way: Way,
    pub(crate) token: Option<String>,
}

/// A request on its way to the service.
pub(crate) struct Sending {
    way: Way,
    method: &'static str,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Actor {
    /// The same caller, on a connection of its own.
    pub(crate) fn over(&self, connection: Connection) -> Self {
        Self { way: Way::Connection(connection), token: self.token.clone() }
    }

    /// A command as it should be: JSON, with a key of its own.
    pub(crate) fn request(&self, method: &'static str, path: &str) -> Sending {
        let sending = Sending {
            way: self.way.clone(),
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let sending = sending
            .header("content-type", "application/json")
            .header("x-correlation-id", CORRELATION_ID)
            .key(&unique_name("key"));
        match &self.token {
            Some(token) => sending.header("authorization", format!("Bearer {token}")),
            None => sending,
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path).body(body.to_string()).send().await
    }

    pub(crate) async fn post_with_key(&self, path: &str, body: &Value, key: &str) -> Answer {
        self.request("POST", path).body(body.to_string()).key(key).send().await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.request("PATCH", path).body(body.to_string()).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send().await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).without("idempotency-key").send().await
    }

    /// Opens an asset account in USD; its id.
    pub(crate) async fn open(&self, code: &str, min_balance: Option<&str>) -> String {
        let mut account = json!({"code": code, "type": "asset", "currency": "USD"});
        if let Some(least) = min_balance {
            account["min_balance"] = json!(least);
        }
        self.post("/v1/accounts", &account).await.expect(201).text("id")
    }

    pub(crate) async fn post_entry(&self, entry: &Value) -> Answer {
        self.post("/v1/ledger/entries", entry).await
    }
}

impl Sending {
    /// Sets a header, in place of what was there.
    pub(crate) fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let mut sending = self.without(name);
        sending.headers.push((name.to_owned(), value.as_ref().to_vec()));
        sending
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(mut self) -> Answer {
        let body = std::mem::take(&mut self.body);
        let response = self.send_body(Body::from(body)).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("a text");
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Sends another body, which may still be coming in; what comes back may be, too.
    pub(crate) async fn send_body(self, body: Body) -> Response {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value.as_slice());
        }
        let request = request.body(body).expect("a request");
        match self.way {
            Way::Router(router) => router.oneshot(request).await.expect("infallible"),
            Way::Connection(connection) => connection.send(request).await,
        }
    }
}

/// A posting in USD.
pub(crate) fn posting(account: &str, direction: &str, amount: &str) -> Value {
    json!({"account": account, "direction": direction, "amount": amount, "currency": "USD"})
}

/// An entry of one debit and one credit in USD.
pub(crate) fn entry(external_ref: &str, debit: &str, credit: &str, amount: &str) -> Value {
    json!({
        "external_ref": external_ref,
        "postings": [posting(debit, "debit", amount), posting(credit, "credit", amount)]
    })
}
