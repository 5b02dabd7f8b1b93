//! What one caller may have of what all have in common, and that revoked keys have nothing of it.

use std::time::Duration;

use api_conventions::{ConnectionBounds, serve_within};
use domain::MerchantId;
use domain::api_keys::Role;
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::actors::Actor;
use crate::platform::{PATIENCE, Platform, TOKO};

/// The most bytes of a page, and what one more row and what is around it may take.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024 + 512 * 1024;

#[tokio::test]
async fn a_merchant_has_a_share_of_the_places_for_waiting_and_another_waits_beside_it() {
    let mut platform = Platform::new().await;
    let seen = platform.merchant.seeing(platform.position());
    seen.get("/v1/accounts").await.json();
    platform.stop_projecting().await;
    platform.sell(TOKO, "order-1", 100).await;
    let waiting = |actor: &Actor, many: usize| {
        let actor = actor.seeing(platform.position());
        join_all((0..many).map(move |_| {
            let actor = actor.clone();
            async move { actor.get("/v1/accounts").await.problem() }
        }))
    };
    let (busy, other) =
        tokio::join!(waiting(&platform.merchant, 300), waiting(&platform.other_merchant, 1));
    let behind = (503, "projection-behind".to_owned());
    assert_eq!(other, std::slice::from_ref(&behind), "it waited, in vain");
    let waited = busy.iter().filter(|problem| **problem == behind).count();
    let refused = (429, "too-many-requests".to_owned());
    let turned_away = busy.iter().filter(|problem| **problem == refused).count();
    assert_eq!((waited, turned_away), (256, 44));
}

#[tokio::test]
async fn a_key_has_a_share_of_the_followers() {
    let platform = Platform::new().await;
    let mut following = Vec::new();
    for _ in 0..16 {
        following.push(platform.auditor.follow("/v1/events", &[]).await);
    }
    let accept = [("accept", "text/event-stream")];
    let refused = platform.auditor.get_with("/v1/events", &accept).await;
    assert_eq!(refused.problem(), (429, "too-many-requests".to_owned()));
    platform.operator.follow("/v1/events", &[]).await;
    following.pop();
    platform.auditor.follow("/v1/events", &[]).await;
}

/// Entries with the most metadata that one may have.
async fn large_entries(platform: &Platform, many: usize) {
    for n in 0..many {
        platform.sell_with_largest_metadata(TOKO, &format!("large-{n}"), 1).await;
    }
}

#[tokio::test]
async fn pages_end_at_so_many_bytes_and_together_are_the_whole_list() {
    let platform = Platform::new().await;
    large_entries(&platform, 90).await;
    let merchant = platform.merchant.seeing(platform.position());
    let page = merchant.get("/v1/ledger/entries?limit=200").await;
    assert!(page.body.len() > PAGE_BYTES_MAX / 2, "{} bytes", page.body.len());
    assert!(page.body.len() < PAGE_BYTES_MAX, "{} bytes", page.body.len());
    let page = page.json();
    let shown = page["data"].as_array().expect("rows").len();
    assert!(shown > 1 && shown < 90 && page["next_cursor"].is_string(), "{shown} rows");
    let whole = merchant.all("/v1/ledger/entries", 200).await;
    let refs: Vec<&str> = whole.iter().filter_map(|row| row["external_ref"].as_str()).collect();
    let expected: Vec<String> = (0..90).rev().map(|n| format!("large-{n}")).collect();
    assert_eq!(refs, expected);
}

/// The router behind a port that takes one connection from each address.
async fn served(platform: &Platform) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (router, stop) = (platform.router.clone(), platform.shutdown.clone());
    let one = ConnectionBounds { of_a_peer: 1 };
    tokio::spawn(async move {
        let _ = serve_within(listener, router, one, stop.cancelled_owned()).await;
    });
    address
}

async fn begin(
    address: std::net::SocketAddr,
    actor: &Actor,
    path: &str,
    accept: &str,
) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // So little that the answer does not fit.
    socket.set_recv_buffer_size(4_096).expect("an option of sockets");
    let mut stream = socket.connect(address).await.expect("it listens");
    let authorization = actor.authorization().expect("a key");
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\nauthorization: {authorization}\r\n\
         accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200", "{path}");
    stream
}

/// A revoked key's answer that nobody reads is no more asked to end than to go on: its connection is cut.
#[tokio::test]
async fn an_answer_that_is_not_read_ends_with_its_key() {
    let platform = Platform::new().await;
    large_entries(&platform, 60).await;
    let seen = platform.merchant.seeing(platform.position());
    seen.get("/v1/ledger/entries?limit=1").await.json();
    for (owner, role, path, accept) in [
        (MerchantId::PLATFORM, Role::Auditor, "/v1/events", "text/event-stream"),
        (TOKO, Role::MerchantRead, "/v1/ledger/journal", "*/*"),
    ] {
        let (key_id, leaving) = platform.issue(owner, role).await;
        let address = served(&platform).await;
        let unread = begin(address, &leaving, path, accept).await;
        platform.revoke(key_id).await;
        let other = async {
            loop {
                let mut next = TcpStream::connect(address).await.expect("it listens");
                let get = b"GET /health/live HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
                drop(next.write_all(get).await);
                let mut text = String::new();
                drop(next.read_to_string(&mut text).await);
                if text.starts_with("HTTP/1.1 204") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // Far less than it takes to see that an answer is not read.
        let patience = api_conventions::WRITE_PACE.within / 6;
        assert!(patience < PATIENCE);
        let free = tokio::time::timeout(patience, other).await;
        assert!(free.is_ok(), "{path}: the only place is not free");
        drop(unread);
    }
}
