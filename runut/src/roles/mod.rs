//! How each part of the platform is put to work in this process, alone or beside others.

pub(crate) mod command_api;
pub(crate) mod mirror;
mod monitor;
pub(crate) mod projections;
mod psp_directory;
pub(crate) mod query_api;
pub(crate) mod workers;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Context;
use api_conventions::{
    CONNECTIONS_MAX, CONNECTIONS_OF_A_PEER_MAX, ConnectionBounds, REQUESTS_PER_SECOND_DEFAULT,
    RateLimitPolicy,
};
use axum::Router;
use clap::Args;
use tokio::net::TcpListener;

use crate::tasks::{Stage, Tasks};

pub(crate) use monitor::monitor;

/// The window that rate limits are given for.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// What one caller may ask of one API.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Limits {
    /// The most requests a second with one API key. One with a large body counts once for each KiB of it.
    #[arg(long, default_value_t = REQUESTS_PER_SECOND_DEFAULT)]
    rate_limit: NonZeroU32,
    /// The most connections from one address (of IPv6, from one network of 64 bits). Raise it where all come
    /// through one proxy.
    #[arg(long, default_value_t = CONNECTIONS_OF_A_PEER_MAX, value_parser = connections)]
    peer_connections: usize,
}

fn connections(text: &str) -> Result<usize, String> {
    let many = text.parse().ok().filter(|many| (1..=CONNECTIONS_MAX).contains(many));
    many.ok_or_else(|| format!("expected a number from 1 to {CONNECTIONS_MAX}"))
}

impl Limits {
    fn rate(self) -> RateLimitPolicy {
        RateLimitPolicy { requests: self.rate_limit, window: RATE_WINDOW }
    }

    fn connections(self) -> ConnectionBounds {
        ConnectionBounds { of_a_peer: self.peer_connections }
    }
}

/// Takes a port; requests that come before [`serve`] is called wait.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address}; give another port, or 0 for any"))
}

/// The URL by which this machine reaches `listener`.
pub(crate) fn url_of(listener: &TcpListener) -> anyhow::Result<String> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv6() {
            std::net::Ipv6Addr::LOCALHOST.into()
        } else {
            std::net::Ipv4Addr::LOCALHOST.into()
        });
    }
    Ok(format!("http://{address}"))
}

/// Serves `router` until its stage ends, then finishes what was accepted.
fn serve(
    tasks: &mut Tasks,
    name: &'static str,
    listener: TcpListener,
    router: Router,
    bounds: ConnectionBounds,
) {
    tasks.spawn(Stage::Accept, name, move |stop| async move {
        let stopped = stop.cancelled_owned();
        let drained = api_conventions::serve_within(listener, router, bounds, stopped).await;
        tracing::info!(name, connections_cut = drained.connections_cut, "stopped serving");
    });
}
