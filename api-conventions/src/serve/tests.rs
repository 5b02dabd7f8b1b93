use super::*;
use axum::routing::get;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

async fn start(router: Router) -> Running {
    start_within(router, ConnectionBounds::default()).await
}

async fn start_within(router: Router, bounds: ConnectionBounds) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let ended = tokio::spawn(serve_within(listener, router, bounds, stopped));
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

/// A connection from another address of this machine.
async fn connect_from(address: &str, running: &Running, bytes: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(running.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
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

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_peer_has_so_many_connections_and_another_gets_in() {
    let router = Router::new().route("/", get(async || "answered"));
    let running = start_within(router, ConnectionBounds { of_a_peer: 2 }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&running, GET).await;
        stream.read_exact(&mut [0; 12]).await.unwrap();
        held.push(stream);
    }
    let refused = read_to_end(connect_from("127.0.0.1", &running, "").await).await;
    let (head, body) = refused.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{head}");
    assert!(head.contains("\r\nretry-after: 1\r\n"), "{head}");
    insta::assert_snapshot!(body, @r#"{"type":"/problems/too-many-requests","title":"Too many requests","status":429,"detail":"this address has its share of the connections at a time, 2 of 8192","code":"too-many-requests","retryable":true}"#);
    let mut first = [0; 12];
    let mut other = connect_from("127.0.0.2", &running, GET).await;
    other.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    held.pop();
    // The place is free as soon as the server has seen the end.
    while !read_to_end(connect(&running, CLOSING_GET).await).await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
}

const CLOSING_GET: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Whether all connections have ended by themselves when an answer has not been read for long enough.
async fn unread_connections_end(answer_bytes: usize, requests: &str, many: usize) {
    let answer = Bytes::from(vec![b'x'; answer_bytes]);
    let router = Router::new().route("/", get(async move || answer.clone()));
    let running = start(router).await;
    let mut unread = Vec::new();
    for _ in 0..many {
        unread.push(connect(&running, requests).await);
    }
    tokio::time::sleep(2 * WRITE_PACE.within).await;
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), Drained { connections_cut: 0 });
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_a_large_answer_is_cut() {
    unread_connections_end(20 * 1024 * 1024, GET, 5).await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_the_answers_to_pipelined_requests_is_cut() {
    unread_connections_end(200 * 1024, &GET.repeat(500), 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_nothing_to_say_for_long_lives() {
    let (sender, events) = tokio::sync::mpsc::channel::<&'static str>(1);
    let events = Arc::new(tokio::sync::Mutex::new(Some(events)));
    let handler = async move || {
        let events = events.lock().await.take().unwrap();
        let events = futures::stream::unfold(events, async |mut events| {
            let event = events.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(event), events))
        });
        axum::body::Body::from_stream(events)
    };
    let running = start(Router::new().route("/", get(handler))).await;
    let mut following = connect(&running, GET).await;
    for _ in 0..3 {
        tokio::time::sleep(10 * WRITE_PACE.within).await;
        sender.send(": heartbeat\n\n").await.unwrap();
    }
    drop(sender);
    let mut text = String::new();
    while !text.ends_with("0\r\n\r\n") {
        let mut bytes = [0; 1_024];
        let read = following.read(&mut bytes).await.unwrap();
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    assert_eq!(text.matches(": heartbeat").count(), 3);
}

#[tokio::test]
async fn a_connection_that_is_to_be_cut_ends_whatever_is_under_way() {
    let handler = async |request: axum::extract::Request| {
        request.extensions().get::<Connection>().unwrap().cut();
        std::future::pending::<&'static str>().await
    };
    let running = start(Router::new().route("/", get(handler))).await;
    assert_eq!(read_to_end(connect(&running, GET).await).await, "");
}
