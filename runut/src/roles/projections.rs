//! The projections, which keep the read models at the head of the log.

use event_store::log::{self, ConnectError};
use event_store::mirror::LogStream;
use projections::{Feed, Handle, NatsOptions, Options, Retry, Runner};

use crate::tasks::{Stage, Tasks};

/// Runs every projection as the projector's role.
pub(crate) fn start(
    tasks: &mut Tasks,
    database_url: &str,
    feed: Feed,
) -> Result<Handle, ConnectError> {
    let (runner, handle) = Runner::new(Options {
        database: log::connect_options(database_url)?,
        projections: projections::all(),
        feed,
        retry: Retry::default(),
    });
    tasks.spawn(Stage::Follow, "the projections", |stop| runner.run(stop));
    Ok(handle)
}

/// What a process is fed from that does not append itself: the mirror at `nats_url`, which may come and go.
pub(crate) fn feed_of(nats_url: Option<String>) -> Feed {
    nats_url.map_or(Feed::Log, |url| Feed::Nats(NatsOptions { url, stream: LogStream::default() }))
}
