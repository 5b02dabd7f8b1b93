//! Loopback ports: free now, and the same again at the next start.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{Error, private};

/// Kept ports come from below the kernel's usual ephemeral range (32768 and up), so that no
/// outgoing connection of anybody sits on one while its service restarts.
const KEPT_PORT_FIRST: u16 = 15_000;
const KEPT_PORTS: u16 = 17_000;
/// Candidates tried in that range before the kernel is asked for any free port.
const CANDIDATES_MAX: u16 = 64;
/// How long a kept port is waited for: processes of a service that was killed have it a moment longer.
const KEPT_PATIENCE: Duration = Duration::from_secs(1);
const KEPT_POLL: Duration = Duration::from_millis(20);

/// A port of 127.0.0.1 that nobody listened on a moment ago.
///
/// # Errors
///
/// What the kernel answers if it has no port left.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The port for the service whose folder is `home`: `asked` itself unless it is 0, else the one
/// kept there if it is free soon, else a new one. `attempt` > 0 asks for another one than before.
pub(crate) async fn choose(home: &Path, asked: u16, attempt: u16) -> Result<u16, Error> {
    if asked != 0 {
        return Ok(asked);
    }
    if attempt == 0
        && let Some(kept) = kept(home)
        && is_free_soon(kept).await
    {
        return Ok(kept);
    }
    let mut hasher = DefaultHasher::new();
    home.hash(&mut hasher);
    std::process::id().hash(&mut hasher);
    let start = u16::try_from(hasher.finish() % u64::from(KEPT_PORTS)).unwrap_or(0);
    (0..CANDIDATES_MAX)
        .map(|step| KEPT_PORT_FIRST + (start + attempt * CANDIDATES_MAX + step) % KEPT_PORTS)
        .find(|port| is_free(*port))
        .map_or_else(free_port, Ok)
        .map_err(Error::io("find a free port for", home))
}

async fn is_free_soon(port: u16) -> bool {
    let deadline = Instant::now() + KEPT_PATIENCE;
    while !is_free(port) {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(KEPT_POLL).await;
    }
    true
}

fn kept(home: &Path) -> Option<u16> {
    fs::read_to_string(home.join("port")).ok()?.trim().parse().ok()
}

/// Keeps `port` for the next start.
pub(crate) fn keep(home: &Path, port: u16) -> Result<(), Error> {
    let path = home.join("port");
    private::write(&path, format!("{port}\n").as_bytes()).map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_listened_on() {
        let port = free_port().expect("a free port");
        assert!(is_free(port));
    }

    #[tokio::test]
    async fn a_port_in_use_is_chosen_again_once_it_is_free() {
        let home = std::env::temp_dir().join(format!("runut-port-{}", std::process::id()));
        fs::create_dir_all(&home).expect("folder");
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listener");
        let port = taken.local_addr().expect("address").port();
        keep(&home, port).expect("kept");
        assert_ne!(choose(&home, 0, 0).await.expect("chosen"), port);
        let let_go = async {
            sleep(3 * KEPT_POLL).await;
            drop(taken);
        };
        let (chosen, ()) = tokio::join!(choose(&home, 0, 0), let_go);
        assert_eq!(chosen.expect("chosen"), port, "who has it lets go of it in a moment");
        fs::remove_dir_all(&home).expect("removed");
    }
}
