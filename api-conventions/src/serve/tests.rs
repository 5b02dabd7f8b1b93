use super::*;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

async fn start(router: Router) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(serve(listener, router, async move { drop(stopped.await) }));
    Running { address, stop, ended }
}

async fn connect(running: &Running, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A cut connection may end in a reset; what came before it counts.
    let _ = stream.read_to_string(&mut text).await;
    text
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_then_nobody_is_let_in() {
    let (entered, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, finish) = (Arc::clone(&entered), Arc::clone(&finish));
        async move || {
            entered.notify_one();
            finish.notified().await;
            "finished"
        }
    };
    let running = start(Router::new().route("/", get(handler))).await;
    let in_flight = connect(&running, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    entered.notified().await;
    running.stop.send(()).unwrap();
    // The listener is closed before the connections are told to finish.
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.ended.is_finished());
    finish.notify_one();
    assert!(read_to_end(in_flight).await.ends_with("finished"));
    assert_eq!(running.ended.await.unwrap(), Drained { connections_cut: 0 });
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let running = start(Router::new().route("/", get(async || "answered"))).await;
    let mut idle = connect(&running, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), Drained { connections_cut: 0 });
}

#[tokio::test(start_paused = true)]
async fn what_hangs_is_cut_within_the_bound() {
    let entered = Arc::new(Notify::new());
    let handler = {
        let entered = Arc::clone(&entered);
        async move || {
            entered.notify_one();
            std::future::pending::<&'static str>().await
        }
    };
    let running = start(Router::new().route("/", get(handler))).await;
    let hung = connect(&running, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    entered.notified().await;
    let stopped = tokio::time::Instant::now();
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), Drained { connections_cut: 1 });
    assert!(stopped.elapsed() < DRAIN_MAX + Duration::from_secs(1));
    assert_eq!(read_to_end(hung).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_arrive_is_given_up() {
    let running = start(Router::new()).await;
    let started = tokio::time::Instant::now();
    let slow = connect(&running, "GET / HTTP/1.1\r\nhost").await;
    read_to_end(slow).await;
    assert!(started.elapsed() >= HEADER_READ_MAX);
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), Drained { connections_cut: 0 });
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused() {
    let running = start(Router::new()).await;
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(HEADER_BYTES_MAX));
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    assert!(read_to_end(stream).await.starts_with("HTTP/1.1 431"));
}
