//! The signals that end a process: the first in order, the second at once.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How soon after the first signal the same one is taken for it once more: some programs send it to a process and then to
/// the group that the process is in.
const ECHO_MAX: Duration = Duration::from_millis(300);

/// The second signal came while the first was still being obeyed.
#[derive(Debug, thiserror::Error)]
#[error("quit at the second signal; what was left running is stopped by the next start")]
pub(crate) struct Quit;

/// Listens for SIGINT, SIGTERM, and SIGHUP, which a terminal that closes sends, in their default's place.
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
        let mut hang_up = signal(SignalKind::hangup()).context(FAILED)?;
        let mut next = async move || {
            tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
                _ = hang_up.recv() => SignalKind::hangup(),
            }
        };
        let signals = Self { first: CancellationToken::new(), second: CancellationToken::new() };
        let (first, second) = (signals.first.clone(), signals.second.clone());
        // Ends with the runtime: there is always one more signal that may come.
        tokio::spawn(async move {
            let kind = next().await;
            let began = Instant::now();
            first.cancel();
            while next().await == kind && began.elapsed() < ECHO_MAX {}
            second.cancel();
        });
        Ok(signals)
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
