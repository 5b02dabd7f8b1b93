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
    /// New connections are refused.
    Cut,
}

/// The mode, and how often connections were cut: those of before a cut end, even if it was a short one.
#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    cuts: u64,
}

/// A proxy on a free loopback port.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
}

impl Proxy {
    /// Starts forwarding to `target` (`host:port`).
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(watch::channel(State { mode: Mode::Forward, cuts: 0 }).0);
        let states = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let now = *states.borrow();
                if now.mode != Mode::Cut {
                    tokio::spawn(forward(client, target.clone(), states.subscribe(), now.cuts));
                }
            }
        });
        Self { address, state }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes everything on again.
    pub fn forward(&self) {
        self.state.send_modify(|state| state.mode = Mode::Forward);
    }

    /// Lets requests through and loses the answers.
    pub fn swallow_answers(&self) {
        self.state.send_modify(|state| state.mode = Mode::SwallowAnswers);
    }

    /// Drops all connections and refuses new ones.
    pub fn cut(&self) {
        self.state.send_modify(|state| *state = State { mode: Mode::Cut, cuts: state.cuts + 1 });
    }
}

async fn forward(client: TcpStream, target: String, state: watch::Receiver<State>, cuts: u64) {
    let Ok(server) = TcpStream::connect(&target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut ended = state.clone();
    tokio::select! {
        () = pump(from_client, to_server, None) => {}
        () = pump(from_server, to_client, Some(state)) => {}
        _ = ended.wait_for(|state| state.cuts != cuts) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    swallow: Option<watch::Receiver<State>>,
) {
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let lost =
            swallow.as_ref().is_some_and(|state| state.borrow().mode == Mode::SwallowAnswers);
        if !lost && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
