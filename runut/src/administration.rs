//! Commands that this program itself gives, through the log's own path, as an operator would over
//! HTTP.

use std::sync::Arc;

use anyhow::Context;
use domain::{Command, Rejection};
use event_store::{Clock, EventStore, Origin, RandomIds, StoreOptions, SubmitError, SystemClock};

use crate::database;
use crate::tasks::{Stage, Tasks};

/// Opens the log for writing; its sequencer is one of `tasks`. Waits for the database.
pub(crate) async fn open_log(
    tasks: &mut Tasks,
    database_url: &str,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<EventStore> {
    database::await_schema(database_url).await?;
    let options =
        StoreOptions { database_url: database_url.to_owned(), clock, ids: Arc::new(RandomIds) };
    let (store, sequencer) = EventStore::open(options).await.context("the log cannot be opened")?;
    tasks.spawn(Stage::Decide, "the sequencer", |stop| sequencer.run(stop));
    Ok(store)
}

/// Opens the log, gives the commands of `work`, and closes it.
pub(crate) async fn with_log<T>(
    database_url: &str,
    work: impl AsyncFnOnce(&EventStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut tasks = Tasks::default();
    let store = open_log(&mut tasks, database_url, Arc::new(SystemClock)).await?;
    let outcome = work(&store).await;
    tasks.stop().await?;
    outcome
}

/// Gives a command; what it does is durable when this returns.
pub(crate) async fn give(
    store: &EventStore,
    actor: &str,
    command: Command,
) -> Result<Result<(), Rejection>, SubmitError> {
    let correlation_id = store.ids().next().to_string();
    let origin = Origin { actor: actor.to_owned(), correlation_id, traceparent: None };
    // Each of these commands has an id of its own that makes a repetition known.
    Ok(store.give(origin, command).await?.decision.map(|_| ()))
}
