//! The signals that end a process: the first in order, the second at once.

use std::future::Future;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The second signal came while the first was still being obeyed.
#[derive(Debug, thiserror::Error)]
#[error("quit at the second signal; what was left running is stopped by the next start")]
pub(crate) struct Quit;

/// Listens for SIGINT and SIGTERM in their default's place.
#[derive(Debug)]
pub(crate) struct Signals {
    first: CancellationToken,
    second: CancellationToken,
}

impl Signals {
    /// Starts listening.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        const FAILED: &str = "signals cannot be listened for";
        let mut interrupt = signal(SignalKind::interrupt()).context(FAILED)?;
        let mut terminate = signal(SignalKind::terminate()).context(FAILED)?;
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let tokens = [first.clone(), second.clone()];
        // Ends with the runtime: there is always one more signal that may come.
        tokio::spawn(async move {
            for token in tokens {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(Self { first, second })
    }

    /// Until the first signal.
    pub(crate) async fn stop(&self) {
        self.first.cancelled().await;
    }

    /// Works, but drops the work at the second signal.
    pub(crate) async fn unless_quit<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            outcome = work => outcome,
            () = self.second.cancelled() => Err(Quit.into()),
        }
    }
}
