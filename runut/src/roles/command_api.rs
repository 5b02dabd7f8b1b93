//! The API for commands.

use std::num::NonZeroU32;
use std::sync::Arc;

use command_api::{AnswerFinisher, CommandApi, SystemRandom};
use event_store::EventStore;
use event_store::mirror::MirrorStatus;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::prometheus::Metrics;
use crate::tasks::{Stage, Tasks};

/// Serves commands on `listener`; `mirror` is how the mirror of this process is doing, if it has
/// one.
pub(crate) fn start(
    tasks: &mut Tasks,
    listener: TcpListener,
    store: EventStore,
    mirror: Option<watch::Receiver<MirrorStatus>>,
    metrics: Metrics,
    requests_per_second: NonZeroU32,
) {
    let watch = store.snapshot_watch();
    tasks.spawn(Stage::Follow, "the watch for old snapshots", |stop| watch.run(stop));
    let finisher = AnswerFinisher::new(store.clone());
    tasks.spawn(Stage::Work, "the finisher of answers", |stop| finisher.run(stop));
    let router = command_api::router(CommandApi {
        store,
        mirror,
        metrics: Arc::new(move || metrics.render()),
        random: Arc::new(SystemRandom),
        rate_limit: super::rate_limit(requests_per_second),
    });
    super::serve(tasks, "the command API", listener, router);
}
