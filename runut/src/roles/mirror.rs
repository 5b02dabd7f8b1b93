//! The mirror of the log in JetStream.

use event_store::RecentEvents;
use event_store::log::ConnectError;
use event_store::mirror::{LogStream, Mirror, MirrorOptions, MirrorStatus};
use tokio::sync::watch;

use crate::tasks::{Stage, Tasks};

/// Mirrors the log, as the application's role; NATS may come and go. `recent` is what a sequencer in this
/// process appends.
pub(crate) fn start(
    tasks: &mut Tasks,
    database_url: &str,
    nats_url: &str,
    recent: Option<RecentEvents>,
) -> Result<watch::Receiver<MirrorStatus>, ConnectError> {
    let (mirror, status) = Mirror::new(MirrorOptions {
        database_url: database_url.to_owned(),
        nats_url: nats_url.to_owned(),
        stream: LogStream::default(),
        recent,
    })?;
    tasks.spawn(Stage::Follow, "the mirror", |stop| mirror.run(stop));
    Ok(status)
}
