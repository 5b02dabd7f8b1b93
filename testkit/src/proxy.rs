//! A TCP proxy that tests put between a client and a server, to cut or stall the connections.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    /// Requests go through, answers are swallowed: the server acts, the client never hears of it.
    SwallowAnswers,
    /// Existing connections are reset and new ones refused.
    Cut,
}

/// A proxy on a free loopback port.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    /// Starts forwarding to `target` (`host:port`).
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mode = Arc::new(watch::channel(Mode::Forward).0);
        let modes = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let refused = *modes.borrow() == Mode::Cut;
                if !refused {
                    tokio::spawn(forward(client, target.clone(), modes.subscribe()));
                }
            }
        });
        Self { address, mode }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes everything on again.
    pub fn forward(&self) {
        self.mode.send_replace(Mode::Forward);
    }

    /// Lets requests through and loses the answers.
    pub fn swallow_answers(&self) {
        self.mode.send_replace(Mode::SwallowAnswers);
    }

    /// Drops all connections and refuses new ones.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }
}

async fn forward(client: TcpStream, target: String, mode: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(&target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut ended = mode.clone();
    tokio::select! {
        () = pump(from_client, to_server, None) => {}
        () = pump(from_server, to_client, Some(mode)) => {}
        _ = ended.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    swallow: Option<watch::Receiver<Mode>>,
) {
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let lost = swallow.as_ref().is_some_and(|mode| *mode.borrow() == Mode::SwallowAnswers);
        if !lost && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
