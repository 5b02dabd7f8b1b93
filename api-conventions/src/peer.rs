//! Who is at the other end of a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::Extensions;
use tokio_util::sync::CancellationToken;

/// The address at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// The connection that a request came on: in its extensions.
#[derive(Debug, Clone)]
pub struct Connection {
    peer: PeerAddress,
    finish: CancellationToken,
    cut: CancellationToken,
}

/// Whom shares are counted for where nobody has said yet who asks: an address, or of IPv6 the network of 64
/// bits that it is in, all of which is usually one subscriber's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerNetwork(IpAddr);

impl Connection {
    /// One to `peer`.
    pub fn of(peer: PeerAddress) -> Self {
        Self { peer, finish: CancellationToken::new(), cut: CancellationToken::new() }
    }

    /// The other end.
    pub fn peer(&self) -> PeerAddress {
        self.peer
    }

    /// Ends the connection after the answer that is under way.
    pub fn finish(&self) {
        self.finish.cancel();
    }

    /// Ends the connection, whatever is under way on it.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Returns when it is to be ended after an answer.
    pub(crate) async fn is_to_finish(&self) {
        self.finish.cancelled().await;
    }

    /// Returns when it is to be ended.
    pub(crate) async fn was_cut(&self) {
        self.cut.cancelled().await;
    }
}

impl PeerNetwork {
    /// Of the connection that a request came on. Requests that came on none are of one peer.
    pub fn of(extensions: &Extensions) -> Self {
        let peer = extensions.get::<Connection>().map(Connection::peer);
        peer.unwrap_or(PeerAddress(Ipv4Addr::UNSPECIFIED.into())).network()
    }
}

impl PeerAddress {
    /// Whom shares are counted for.
    pub fn network(self) -> PeerNetwork {
        PeerNetwork(match self.0.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> PeerNetwork {
        PeerAddress(address.parse().unwrap()).network()
    }

    #[test]
    fn a_peer_is_an_address_or_a_network_of_64_bits() {
        assert_ne!(network("203.0.113.1"), network("203.0.113.2"));
        assert_eq!(network("203.0.113.1"), network("::ffff:203.0.113.1"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }
}
