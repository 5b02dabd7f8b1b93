//! HTTP as bytes, for callers that do not behave: what is sent, and the little that is read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Where attackers come from: another peer than honest callers, on the same machine.
pub(super) const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));
/// Where honest callers come from.
pub(super) const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What the kernel keeps for one who does not read; it makes it a little more.
const RECEIVE_BUFFER_BYTES: u32 = 4_096;
/// How long connecting may take: a full queue of the server is part of what is shown.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The most of an answer's head that is looked at.
const HEAD_BYTES_MAX: usize = 64;

/// Connects to the server of `url`, from `source`.
pub(super) async fn connect(url: &str, source: IpAddr) -> anyhow::Result<TcpStream> {
    let server: SocketAddr = address_of(url)?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let connected = tokio::time::timeout(CONNECT_MAX, socket.connect(server)).await;
    connected.context("connecting took too long")?.context("connecting")
}

/// Host and port of a URL.
pub(super) fn address_of(url: &str) -> anyhow::Result<SocketAddr> {
    url.trim_start_matches("http://").parse().with_context(|| format!("no address: {url}"))
}

/// The head of a request, but for the blank line that ends it: more headers may follow.
pub(super) fn head(method: &str, path: &str, key: Option<&str>) -> String {
    let authorization = key.map_or(String::new(), |key| format!("Authorization: Bearer {key}\r\n"));
    format!("{method} {path} HTTP/1.1\r\nHost: runut\r\n{authorization}")
}

/// A request without a body.
pub(super) fn get(path: &str, key: Option<&str>) -> String {
    format!("{}\r\n", head("GET", path, key))
}

/// Writes, unless the other side lets one wait for longer than `patience`; whether all was written.
pub(super) async fn write(stream: &mut TcpStream, bytes: &[u8], patience: Duration) -> bool {
    let written = tokio::time::timeout(patience, stream.write_all(bytes)).await;
    written.is_ok_and(|written| written.is_ok())
}

/// The status of the answer that comes next; `None` where none comes within `patience`.
pub(super) async fn status(stream: &mut TcpStream, patience: Duration) -> Option<u16> {
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    let reading = async {
        while head.len() < "HTTP/1.1 200".len() {
            let byte = stream.read_u8().await.ok()?;
            head.push(byte);
        }
        std::str::from_utf8(&head).ok()?.rsplit_once(' ')?.1.parse().ok()
    };
    tokio::time::timeout(patience, reading).await.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_status_is_read_and_the_source_is_another_peer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut client = connect(&url, ATTACKER).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip(), ATTACKER);
        server.write_all(b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n").await.unwrap();
        assert_eq!(status(&mut client, CONNECT_MAX).await, Some(431));
        drop(server);
        assert_eq!(status(&mut client, CONNECT_MAX).await, None);
    }
}
