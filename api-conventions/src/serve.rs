//! Serves HTTP/1.1 until told to stop, then finishes what was accepted, within a bound.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// How long requests in flight may take after the signal to stop; what hangs longer is cut. The
/// rest of the 10 s that a service has to exit is for flushing.
pub const DRAIN_MAX: Duration = Duration::from_secs(7);

/// How long a caller may take to send a request's head, idle time between requests included; bounds
/// what slow and forgotten connections hold.
pub const HEADER_READ_MAX: Duration = Duration::from_secs(30);

/// The most bytes of a request's head: a long query string and every header a proxy may add.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// The most bytes that are buffered for one connection: a head, and what of a body came with it.
const CONNECTION_BUFFER_BYTES_MAX: usize = 2 * HEADER_BYTES_MAX;

/// The most connections at a time, below the usual limit of open files; more wait in the kernel's
/// queue.
pub const CONNECTIONS_MAX: usize = 8_192;

/// The pause after an accept failed (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of the connection that a request came on: in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// What became of the connections when the service stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Connections that were cut, because they hung beyond [`DRAIN_MAX`].
    pub connections_cut: usize,
}

/// Serves `router` until `shutdown` completes; then stops accepting, finishes what was accepted,
/// and returns within [`DRAIN_MAX`] even if a connection hangs.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let (stop, stopping) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (stream, peer, slot) = accept(&listener, &slots) => {
                let router = router.clone();
                connections.spawn(serve_connection(stream, peer, slot, router, stopping.clone()));
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    drain(connections).await
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, PeerAddress, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a slot in the end.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, PeerAddress(peer.ip().to_canonical()), slot),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: PeerAddress,
    _slot: Option<OwnedSemaphorePermit>,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    // Answers are small and written at once; waiting for more to send with them only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let router = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(CONNECTION_BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // As a block, since the guard that `wait_for` yields may not be held across the next await.
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn drain(mut connections: JoinSet<()>) -> Drained {
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_MAX, all_ended).await.is_ok() {
        return Drained { connections_cut: 0 };
    }
    let connections_cut = connections.len();
    connections.shutdown().await;
    tracing::warn!(connections_cut, "connections that hung were cut");
    Drained { connections_cut }
}

#[cfg(test)]
mod tests;
