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
use api_conventions::RateLimitPolicy;
use axum::Router;
use tokio::net::TcpListener;

use crate::tasks::{Stage, Tasks};

pub(crate) use monitor::monitor;

/// The window that rate limits are given for.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// What one API key may ask of one API.
fn rate_limit(requests_per_second: NonZeroU32) -> RateLimitPolicy {
    RateLimitPolicy { requests: requests_per_second, window: RATE_WINDOW }
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
fn serve(tasks: &mut Tasks, name: &'static str, listener: TcpListener, router: Router) {
    tasks.spawn(Stage::Accept, name, |stop| async move {
        let drained = api_conventions::serve(listener, router, stop.cancelled_owned()).await;
        tracing::info!(name, connections_cut = drained.connections_cut, "stopped serving");
    });
}
