//! The mirror of the log in JetStream.

use event_store::log::{ConnectError, Position};
use event_store::mirror::{LogStream, Mirror, MirrorOptions, MirrorStatus};
use tokio::sync::watch;

use crate::tasks::{Stage, Tasks};

/// Mirrors the log, as the application's role; NATS may come and go. `head` is that of a sequencer
/// in this process.
pub(crate) fn start(
    tasks: &mut Tasks,
    database_url: &str,
    nats_url: &str,
    head: Option<watch::Receiver<Position>>,
) -> Result<watch::Receiver<MirrorStatus>, ConnectError> {
    let (mirror, status) = Mirror::new(MirrorOptions {
        database_url: database_url.to_owned(),
        nats_url: nats_url.to_owned(),
        stream: LogStream::default(),
        head,
    })?;
    tasks.spawn(Stage::Follow, "the mirror", |stop| mirror.run(stop));
    Ok(status)
}
