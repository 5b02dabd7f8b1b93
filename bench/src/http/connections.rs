//! Connections that are kept open, each with one request in flight, with nothing between them and the
//! socket but HTTP itself: the callers share the processors with what they measure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use uuid::Uuid;

/// The most connections that may be asked for: what the API takes from one address, but for some
/// others of its own, and beyond what two processors can make use of.
pub(super) const CONNECTIONS_MAX: i64 = 2_000;
/// How long an answer may take: longer than the longest that the API waits for anything itself.
const ANSWER_MAX: Duration = Duration::from_secs(30);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where requests go, and the headers that all of them have.
#[derive(Debug)]
pub(super) struct Target {
    address: SocketAddr,
    headers: HeaderMap,
}

impl Target {
    /// The API at `url`, asked with an API key.
    pub(super) fn new(url: &str, api_key: &str) -> anyhow::Result<Self> {
        let url = reqwest::Url::parse(url)?;
        let address = url.socket_addrs(|| None)?.first().copied().context("an address")?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {api_key}"))?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(url.authority())?);
        headers.insert(AUTHORIZATION, authorization);
        headers.insert(CONTENT_TYPE, JSON);
        Ok(Self { address, headers })
    }
}

/// A request to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) path: Uri,
    pub(super) idempotency_key: Uuid,
    pub(super) body: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Empty where it is not looked at; it was read to its end all the same.
    pub(super) body: Vec<u8>,
}

/// One connection; opened again when it was closed. Lives on a thread of its own, in a `LocalSet`.
#[derive(Debug)]
pub(super) struct Connection {
    target: Arc<Target>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(target: Arc<Target>) -> anyhow::Result<Self> {
        let sender = Some(connect(target.address).await?);
        Ok(Self { target, sender })
    }

    /// Sends a request and reads all of its answer, whose body is kept where `keeps` says so. An error says
    /// nothing of whether the request was carried out.
    pub(super) async fn exchange(
        &mut self,
        outgoing: Outgoing,
        keeps: impl Fn(StatusCode) -> bool,
    ) -> anyhow::Result<Answer> {
        let answered = tokio::time::timeout(ANSWER_MAX, self.attempt(outgoing, keeps)).await;
        let answered = answered.unwrap_or_else(|_| {
            Err(anyhow::anyhow!("no answer within {} s", ANSWER_MAX.as_secs()))
        });
        if answered.is_err() {
            // What is still to come on it would be taken for the next answer.
            self.sender = None;
        }
        answered
    }

    async fn attempt(
        &mut self,
        outgoing: Outgoing,
        keeps: impl Fn(StatusCode) -> bool,
    ) -> anyhow::Result<Answer> {
        let request = self.request(outgoing)?;
        let response = self.ready().await?.send_request(request).await?;
        let status = response.status();
        let (keep, mut incoming) = (keeps(status), response.into_body());
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            if let (true, Ok(data)) = (keep, frame?.into_data()) {
                body.extend_from_slice(&data);
            }
        }
        Ok(Answer { status, body })
    }

    fn request(&self, outgoing: Outgoing) -> anyhow::Result<Request<Full<Bytes>>> {
        let Outgoing { path, idempotency_key, body } = outgoing;
        let mut text = Uuid::encode_buffer();
        let key = HeaderValue::from_str(idempotency_key.hyphenated().encode_lower(&mut text))?;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path;
        let headers = request.headers_mut();
        headers.clone_from(&self.target.headers);
        headers.insert(IDEMPOTENCY_KEY, key);
        Ok(request)
    }

    /// The way to send on, which the API may have closed since the last answer.
    async fn ready(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let open = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !open {
            self.sender = Some(connect(self.target.address).await?);
        }
        self.sender.as_mut().context("a connection")
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.context("cannot connect")?;
    // A request is written at once; waiting for more to send with it would only add latency.
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
    sender.ready().await?;
    Ok(sender)
}
