//! How far the log and the read models are, as last seen, and waiting for them to get further.

use std::collections::BTreeMap;
use std::time::Duration;

use event_store::log::Position;
use projections::Handle;
use tokio::sync::watch;

use super::demand::Demand;
use crate::read_model::ReadModel;

/// Whether the wait was worth it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The read model has applied the position.
    Reached,
    /// Not in time; it was there when last seen.
    Behind(Position),
}

/// The positions that the watcher saw last. Only ever a reason to look: what an answer shows is what
/// its own snapshot says.
#[derive(Debug)]
pub(crate) struct Positions {
    head: watch::Sender<Position>,
    applied: BTreeMap<&'static str, watch::Sender<Position>>,
    in_process: Option<Handle>,
    pub(super) demand: Demand,
}

impl Positions {
    pub(super) fn new(in_process: Option<Handle>) -> Self {
        let start = || watch::channel(Position::START).0;
        Self {
            head: start(),
            applied: ReadModel::ALL.iter().map(|model| (model.name(), start())).collect(),
            demand: Demand::new(in_process.is_some()),
            in_process,
        }
    }

    /// The head of the log, as it moves.
    pub(crate) fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Whether `model` has applied `position`, as last seen.
    pub(crate) fn reached(&self, model: ReadModel, position: Position) -> bool {
        self.applied.get(model.name()).is_some_and(|applied| *applied.borrow() >= position)
    }

    /// Waits, at most that long, until `model` has applied `position`. Holds no connection.
    pub(crate) async fn wait(
        &self,
        model: ReadModel,
        position: Position,
        patience: Duration,
    ) -> Waited {
        let Some(applied) = self.applied.get(model.name()) else {
            return Waited::Behind(Position::START);
        };
        let mut seen = applied.subscribe();
        if *seen.borrow() >= position {
            return Waited::Reached;
        }
        let told = async {
            if let Some(handle) = &self.in_process
                && handle.wait_for(model.name(), position).await.is_ok()
            {
                return;
            }
            // The projections of this process have ended; another's may go on.
            std::future::pending().await
        };
        let _awaiting = self.demand.awaiting();
        tokio::select! {
            biased;
            () = told => Waited::Reached,
            // As a block, since the guard that it yields may not be held any longer.
            () = async { drop(seen.wait_for(|seen| *seen >= position).await) } => Waited::Reached,
            () = tokio::time::sleep(patience) => Waited::Behind(*applied.borrow()),
        }
    }

    pub(super) fn saw_head(&self, head: Position) {
        self.head.send_if_modified(|known| std::mem::replace(known, head) != head);
    }

    pub(super) fn saw_applied(&self, projection: &str, position: Position) {
        if let Some(applied) = self.applied.get(projection) {
            applied.send_if_modified(|known| std::mem::replace(known, position) != position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_model_has_applied_the_position_and_not_for_another() {
        let positions = Arc::new(Positions::new(None));
        let waiting = {
            let positions = Arc::clone(&positions);
            let wanted = Position::from_number(7);
            tokio::spawn(async move { positions.wait(ReadModel::Access, wanted, PATIENCE).await })
        };
        tokio::task::yield_now().await;
        positions.saw_applied("access", Position::from_number(6));
        positions.saw_applied("ledger_balance", Position::from_number(9));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        positions.saw_applied("access", Position::from_number(8));
        assert_eq!(waiting.await.unwrap(), Waited::Reached);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let positions = Positions::new(None);
        positions.saw_applied("access", Position::from_number(3));
        let wanted = Position::from_number(4);
        let waited = positions.wait(ReadModel::Access, wanted, PATIENCE).await;
        assert_eq!(waited, Waited::Behind(Position::from_number(3)));
    }
}
