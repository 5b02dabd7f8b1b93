//! The projections, which keep the read models at the head of the log.

use std::sync::Arc;

use event_store::SystemClock;
use event_store::log::{self, ConnectError, Position};
use event_store::mirror::LogStream;
use projections::{Handle, NatsOptions, Options, Retry, Runner};
use tokio::sync::watch;

use crate::tasks::{Stage, Tasks};

/// Runs every projection as the projector's role; NATS may come and go. `appended` is the head of a
/// sequencer in this process.
pub(crate) fn start(
    tasks: &mut Tasks,
    database_url: &str,
    nats_url: Option<String>,
    appended: Option<watch::Receiver<Position>>,
) -> Result<Handle, ConnectError> {
    let (runner, handle) = Runner::new(Options {
        database: log::connect_options(database_url)?,
        projections: projections::all(),
        nats: nats_url.map(|url| NatsOptions { url, stream: LogStream::default() }),
        appended,
        clock: Arc::new(SystemClock),
        retry: Retry::default(),
    });
    tasks.spawn(Stage::Follow, "the projections", |stop| runner.run(stop));
    Ok(handle)
}
