//! Callers over real connections, and what serves them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A router that is served on a free port of loopback until this is dropped.
pub(crate) struct Served {
    address: SocketAddr,
    _stops: DropGuard,
}

impl Served {
    pub(crate) async fn on_loopback(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            let _ = api_conventions::serve(listener, router, stopped).await;
        });
        Self { address, _stops: stop.drop_guard() }
    }

    /// A connection on which nothing is spoken yet.
    pub(crate) async fn connect_raw(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// The same from another address of this machine.
    pub(crate) async fn connect_raw_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{address}:0").parse().expect("an address")).expect("it is ours");
        socket.connect(self.address).await.expect("it listens")
    }

    pub(crate) async fn connect(&self) -> Connection {
        let stream = self.connect_raw().await;
        stream.set_nodelay(true).expect("an option of sockets");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        Connection(Arc::new(Mutex::new(sender)))
    }
}

/// One connection, on which one request follows the other.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Mutex<SendRequest<Body>>>);

impl Connection {
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Response {
        request.headers_mut().insert("host", "localhost".parse().expect("a host"));
        let mut sender = self.0.lock().await;
        sender.ready().await.expect("the connection is open");
        sender.send_request(request).await.expect("an answer").map(Body::new)
    }
}

/// Reads until something was said; what was said until then.
pub(crate) async fn read_until(connection: &mut TcpStream, expected: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(expected) {
        let more = connection.read_buf(&mut read).await.expect("an answer");
        assert!(more > 0, "{}", String::from_utf8_lossy(&read));
    }
    String::from_utf8_lossy(&read).into_owned()
}
