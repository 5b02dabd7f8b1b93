//! Which connections the servers still have, as the kernel tells it.

use std::collections::HashSet;
use std::fs;

use anyhow::Context;

const ESTABLISHED: &str = "01";

/// How many connections from one of `peers` (ports of attackers) the servers at `servers` (ports) still hold. One
/// that a server has let go of does not count, even if its end cannot be delivered to a peer that does not read.
pub(super) fn open_at_servers(
    servers: &HashSet<u16>,
    peers: &HashSet<u16>,
) -> anyhow::Result<usize> {
    let table = fs::read_to_string("/proc/net/tcp").context("the table of connections")?;
    let held = table.lines().filter_map(established);
    Ok(held.filter(|(server, peer)| servers.contains(server) && peers.contains(peer)).count())
}

/// The ports of an established connection: the local one and the remote one.
fn established(line: &str) -> Option<(u16, u16)> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    (state == ESTABLISHED).then_some((port(local)?, port(remote)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_established_connections_count() {
        let line = |state: &str| {
            format!(
                "   4: 0100007F:1F90 4200007F:C350 {state} 00000000:00000000 00:00000000 00000000     0 0 1 1"
            )
        };
        assert_eq!(established(&line("01")), Some((8_080, 50_000)));
        assert_eq!(established(&line("04")), None);
        assert_eq!(established("  sl  local_address rem_address   st tx_queue"), None);
    }

    #[test]
    fn a_connection_is_found_until_its_server_closes_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(server).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let servers = HashSet::from([server.port()]);
        let peers = HashSet::from([client.local_addr().unwrap().port()]);
        assert_eq!(open_at_servers(&servers, &peers).unwrap(), 1);
        drop(accepted);
        assert_eq!(open_at_servers(&servers, &peers).unwrap(), 0);
    }
}
