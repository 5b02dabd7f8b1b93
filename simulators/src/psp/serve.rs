//! Serves HTTP/1.1, and breaks the connection where the answer says so.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The most connections at a time, below the usual limit of open files.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a caller may take to send a request's head, idle time between requests included.
const HEADER_READ_MAX: Duration = Duration::from_secs(60);
/// How long requests in flight may take after the signal to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// The pause after an accept failed (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// As an extension of an answer: it is not sent, and the connection is closed instead.
#[derive(Debug, Clone, Copy)]
pub(super) struct CutConnection;

#[derive(Debug, thiserror::Error)]
#[error("the connection is cut, as asked for")]
struct Cut;

/// Serves until `stop`, then finishes what was accepted, within a bound.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, slot) = accept(&listener, &slots) => {
                connections.spawn(serve_connection(stream, slot, router.clone(), stop.clone()));
            }
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_MAX, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a slot in the end.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    _slot: Option<OwnedSemaphorePermit>,
    router: Router,
    stop: CancellationToken,
) {
    // Answers are small and written at once; waiting for more to send with them only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    // An error of the service makes hyper close the connection without a word.
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        answer(router.clone(), request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(router: Router, request: Request) -> Result<Response, Cut> {
    let answered: Result<Response, Infallible> = router.oneshot(request).await;
    let Ok(response) = answered;
    if response.extensions().get::<CutConnection>().is_some() { Err(Cut) } else { Ok(response) }
}
