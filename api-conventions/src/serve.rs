//! Serves HTTP/1.1 until told to stop, then finishes what was accepted, within a bound.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::pace::Pace;
use crate::peer::{Connection, PeerAddress, PeerNetwork};
use crate::problem::Problem;
use crate::progress::Progress;
use crate::shares::{Place, Pool, Shares};

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

/// The most connections at a time, below the usual limit of open files.
pub const CONNECTIONS_MAX: usize = 8_192;

/// The most of them from one peer, unless the deployment says another number: a quarter, and more than any
/// client needs. Where all come through one proxy, that is the one peer.
pub const CONNECTIONS_OF_A_PEER_MAX: usize = CONNECTIONS_MAX / 4;

/// How an answer has to be read: 1 KiB a second on average, below what the slowest lines do. Measured over
/// so long a time that a pause of the other end's network does not end a connection.
pub const WRITE_PACE: Pace = Pace { bytes: 32 * 1024, within: Duration::from_secs(30) };

/// What the kernel buffers of what is written on one connection (it takes up to twice as much): small, so that
/// it is soon seen that nobody reads, and so that many connections take little; enough for some MiB a second
/// over the longest lines.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// The pause after an accept failed (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionBounds {
    /// From one peer; at most [`CONNECTIONS_MAX`].
    pub of_a_peer: usize,
}

impl Default for ConnectionBounds {
    fn default() -> Self {
        Self { of_a_peer: CONNECTIONS_OF_A_PEER_MAX }
    }
}

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
    serve_within(listener, router, ConnectionBounds::default(), shutdown).await
}

/// The same within other bounds.
pub async fn serve_within(
    listener: TcpListener,
    router: Router,
    bounds: ConnectionBounds,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let (stop, stopping) = watch::channel(false);
    let places = Shares::of(Pool {
        name: "connections",
        units: "connections",
        owner: "address",
        total: CONNECTIONS_MAX,
        of_one: bounds.of_a_peer.clamp(1, CONNECTIONS_MAX),
    });
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (stream, peer) = accept(&listener) => match places.take(peer.network()) {
                Ok(place) => {
                    let router = router.clone();
                    let serving = serve_connection(stream, peer, place, router, stopping.clone());
                    connections.spawn(serving);
                }
                Err(no_place) => turn_away(&stream, &no_place.into()),
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    drain(connections).await
}

async fn accept(listener: &TcpListener) -> (TcpStream, PeerAddress) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, PeerAddress(peer.ip().to_canonical())),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Says why, as far as the empty buffer of a new connection takes it, which is all of it, and waits for nothing.
fn turn_away(stream: &TcpStream, problem: &Problem) {
    let answer = problem.as_last_answer();
    if let Err(error) = stream.try_write(answer.as_bytes()) {
        tracing::debug!(%error, "a connection was turned away without a word");
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: PeerAddress,
    _place: Place<PeerNetwork>,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    // Answers are small and written at once; waiting for more to send with them only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    if let Err(error) = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES) {
        tracing::debug!(%error, "the size of the send buffer was refused");
    }
    let this = Connection::of(peer);
    let ends = this.clone();
    let router = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(this.clone());
        request
    });
    let stream = Progress::of(stream, WRITE_PACE);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(CONNECTION_BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let served = async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            // As a block, since the guard that `wait_for` yields may not be held across the next await.
            () = async { drop(stopping.wait_for(|stop| *stop).await) } => {}
            () = ends.is_to_finish() => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    let ended = tokio::select! {
        ended = served => ended,
        () = ends.was_cut() => Ok(()),
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
