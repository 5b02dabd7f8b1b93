//! The API for commands.

use std::sync::Arc;

use command_api::{AnswerFinisher, CommandApi, PspDirectory, SystemRandom, UnknownPsps};
use event_store::EventStore;
use event_store::mirror::MirrorStatus;
use gateways::Gateways;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Limits;
use super::psp_directory::Configured;
use crate::prometheus::Metrics;
use crate::tasks::{Stage, Tasks};

/// Serves commands on `listener`; `mirror` is how the mirror of this process is doing, if it has
/// one; `gateways` lead to the PSPs whose webhooks are let in.
pub(crate) fn start(
    tasks: &mut Tasks,
    listener: TcpListener,
    store: EventStore,
    mirror: Option<watch::Receiver<MirrorStatus>>,
    metrics: Metrics,
    gateways: Option<Gateways>,
    limits: Limits,
) {
    let watch = store.snapshot_watch();
    tasks.spawn(Stage::Follow, "the watch for old snapshots", |stop| watch.run(stop));
    let finisher = AnswerFinisher::new(store.clone());
    tasks.spawn(Stage::Work, "the finisher of answers", |stop| finisher.run(stop));
    let psps: Arc<dyn PspDirectory> = match gateways {
        Some(gateways) => Arc::new(Configured(gateways)),
        None => Arc::new(UnknownPsps),
    };
    let router = command_api::router(CommandApi {
        store,
        mirror,
        metrics: Arc::new(move || metrics.render()),
        random: Arc::new(SystemRandom),
        psps,
        rate_limit: limits.rate(),
    });
    super::serve(tasks, "the command API", listener, router, limits.connections());
}
