//! The tasks of a process, and the order in which they end.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;
use api_conventions::DRAIN_MAX;
use tokio::runtime::Handle;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::reading_side::ReadingSide;

/// What ends together. In the order of their stopping: each may rely on all that come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Takes requests.
    Accept,
    /// Acts by itself, and appends what came of it.
    Work,
    /// Decides and appends what was accepted.
    Decide,
    /// Follows the log, or works beside it.
    Follow,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Accept, Self::Work, Self::Decide, Self::Follow];

    /// How long its tasks may take to end before they are cut off; together below the 10 s that a
    /// process has, less what the servers need.
    const fn end_max(self) -> Duration {
        match self {
            Self::Accept => DRAIN_MAX.saturating_add(Duration::from_millis(250)),
            Self::Work => Duration::from_millis(750),
            Self::Decide => Duration::from_millis(1_000),
            Self::Follow => Duration::from_millis(500),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Task {
    name: &'static str,
    stage: Stage,
}

/// Owns the tasks; dropping it aborts them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    running: JoinSet<()>,
    known: HashMap<Id, Task>,
    stops: [CancellationToken; Stage::ALL.len()],
    /// Dropped last: its tasks are among those that run.
    reading_side: Option<ReadingSide>,
}

impl Tasks {
    /// The runtime of what only reads, started when it is first asked for. What is spawned here while its context is
    /// entered runs there.
    ///
    /// # Errors
    /// Its threads cannot be started.
    pub(crate) fn reading_side(&mut self) -> anyhow::Result<Handle> {
        let side = match self.reading_side.take() {
            Some(side) => side,
            None => ReadingSide::start()?,
        };
        Ok(self.reading_side.insert(side).handle())
    }

    /// Starts a task that ends soon after the token it is given is cancelled, and not before.
    pub(crate) fn spawn<Work>(
        &mut self,
        stage: Stage,
        name: &'static str,
        task: impl FnOnce(CancellationToken) -> Work,
    ) where
        Work: Future<Output = ()> + Send + 'static,
    {
        let id = self.running.spawn(task(self.end_of(stage))).id();
        self.known.insert(id, Task { name, stage });
    }

    /// Cancelled when `stage` is to end, for what has to know without being one of its tasks.
    pub(crate) fn end_of(&self, stage: Stage) -> CancellationToken {
        self.stops[stage as usize].clone()
    }

    /// Waits until a task ends that nobody asked to. That is an error, whatever it says itself.
    pub(crate) async fn unexpected_end(&mut self) -> anyhow::Error {
        match self.running.join_next_with_id().await {
            Some(ended) => {
                let (task, outcome) = self.account_for(ended);
                match outcome {
                    Ok(()) => anyhow!("{} ended unexpectedly", task.name),
                    Err(panicked) => anyhow!(panicked).context(format!("{} failed", task.name)),
                }
            }
            None => std::future::pending().await,
        }
    }

    /// Stops stage after stage, each within its bound.
    ///
    /// # Errors
    /// The first panic of a task. One that had to be cut off is only logged: what it had not
    /// finished was not acknowledged to anybody.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for stage in Stage::ALL {
            self.stops[stage as usize].cancel();
            let ending = self.stage_end(stage, &mut outcome);
            if tokio::time::timeout(stage.end_max(), ending).await.is_err() {
                let tasks: Vec<&str> = self.of(stage).map(|task| task.name).collect();
                tracing::warn!(?tasks, "tasks did not end in time and are cut off");
            }
        }
        self.running.shutdown().await;
        outcome
    }

    async fn stage_end(&mut self, stage: Stage, outcome: &mut anyhow::Result<()>) {
        while self.of(stage).next().is_some() {
            let Some(ended) = self.running.join_next_with_id().await else { return };
            let (task, ended) = self.account_for(ended);
            if let Err(panicked) = ended
                && outcome.is_ok()
            {
                *outcome = Err(anyhow!(panicked).context(format!("{} failed", task.name)));
            }
        }
    }

    fn of(&self, stage: Stage) -> impl Iterator<Item = &Task> {
        self.known.values().filter(move |task| task.stage == stage)
    }

    fn account_for(&mut self, ended: Result<(Id, ()), JoinError>) -> (Task, Result<(), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, ())) => (id, Ok(())),
            Err(error) => (error.id(), Err(error)),
        };
        let unknown = Task { name: "a task", stage: Stage::Follow };
        (self.known.remove(&id).unwrap_or(unknown), outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn stages_end_one_after_the_other() {
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut tasks = Tasks::default();
        for (stage, name) in
            [(Stage::Follow, "mirror"), (Stage::Accept, "API"), (Stage::Decide, "sequencer")]
        {
            let order = Arc::clone(&order);
            tasks.spawn(stage, name, |stop| async move {
                stop.cancelled().await;
                tokio::task::yield_now().await;
                order.lock().unwrap().push(name);
            });
        }
        tasks.stop().await.unwrap();
        assert_eq!(*order.lock().unwrap(), ["API", "sequencer", "mirror"]);
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_by_itself_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn(Stage::Decide, "the sequencer", |_| async {});
        let error = tasks.unexpected_end().await;
        assert_eq!(format!("{error:#}"), "the sequencer ended unexpectedly");
        tasks.spawn(Stage::Follow, "the mirror", |_| async { panic!("torn") });
        let error = format!("{:#}", tasks.unexpected_end().await);
        assert!(error.starts_with("the mirror failed: ") && error.contains("torn"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_hangs_is_cut_off() {
        let mut tasks = Tasks::default();
        tasks.spawn(Stage::Decide, "the sequencer", |_| std::future::pending());
        tasks.stop().await.unwrap();
    }
}
