//! Looks again and again whether the key still opens anything that an answer without an end was begun with.

use std::sync::Arc;
use std::time::Duration;

use domain::ApiKeyId;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::authenticate::KeyDirectory;
use crate::peer::Connection;

/// How often: with the quarter of a second after which directories know of a revocation, and with
/// [`LAST_WORDS_MAX`], it acts within a second.
pub const KEY_LOOK_EVERY: Duration = Duration::from_millis(300);

/// How long an answer has to end in good order, with a line that says why, before its connection is cut. One
/// whose other end does not read cannot.
const LAST_WORDS_MAX: Duration = Duration::from_millis(200);

/// Watches one key, until it is dropped.
#[derive(Debug)]
pub struct KeyWatch {
    revoked: CancellationToken,
    connection: Option<Connection>,
    looking: JoinHandle<()>,
}

impl KeyWatch {
    /// Watches `key`, which `connection` was let in with.
    pub fn of<D: KeyDirectory>(
        directory: Arc<D>,
        key: ApiKeyId,
        connection: Option<Connection>,
    ) -> Self {
        let revoked = CancellationToken::new();
        let (told, cut) = (revoked.clone(), connection.clone());
        // A task of its own: an answer that nobody reads is not asked to do anything.
        let looking = tokio::spawn(async move {
            until_revoked(&*directory, key).await;
            told.cancel();
            tokio::time::sleep(LAST_WORDS_MAX).await;
            if let Some(connection) = cut {
                tracing::info!(%key, "a connection was cut: its key was revoked");
                connection.cut();
            }
        });
        Self { revoked, connection, looking }
    }

    /// Returns when the key opens nothing any more; then the answer is the last of its connection.
    pub async fn revoked(&self) {
        self.revoked.cancelled().await;
        self.found_revoked();
    }

    /// Says that the key was found to open nothing any more: the answer is the last of its connection.
    pub fn found_revoked(&self) {
        if let Some(connection) = &self.connection {
            connection.finish();
        }
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

/// Tells of revocations whatever still comes in with a key; an extension of each request that was let in.
#[derive(Clone)]
pub(crate) struct Revocations(Arc<dyn Fn(ApiKeyId) -> BoxFuture<'static, ()> + Send + Sync>);

impl Revocations {
    pub(crate) fn of<D: KeyDirectory>(directory: Arc<D>) -> Self {
        Self(Arc::new(move |key| {
            let directory = Arc::clone(&directory);
            async move { until_revoked(&*directory, key).await }.boxed()
        }))
    }

    /// Returns when the key opens nothing any more.
    pub(crate) async fn of_key(&self, key: ApiKeyId) {
        (self.0)(key).await;
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Revocations")
    }
}

/// Returns when `id` opens nothing any more, within [`KEY_LOOK_EVERY`] of when the directory knows.
///
/// While keys cannot be looked up it is looked again: before anything more is sent or taken, whoever sends or
/// takes it looks too.
pub async fn until_revoked(directory: &impl KeyDirectory, id: ApiKeyId) {
    loop {
        tokio::time::sleep(KEY_LOOK_EVERY).await;
        if let Ok(found) = directory.find(id).await
            && found.is_none_or(|key| key.revoked)
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticate::{Caller, DirectoryUnavailable};
    use crate::body::read_body;
    use crate::peer::PeerAddress;
    use crate::test_app::MemoryDirectory;
    use domain::api_keys::{ApiKey, Role};
    use std::sync::atomic::{AtomicU8, Ordering};

    /// One key, which tests revoke.
    struct Switched {
        key: ApiKey,
        state: AtomicU8,
    }

    const GOOD: u8 = 0;
    const AWAY: u8 = 1;
    const REVOKED: u8 = 2;

    impl Switched {
        fn new() -> Arc<Self> {
            let mut directory = MemoryDirectory::default();
            directory.issue(1, Role::Merchant);
            let key = directory.keys.remove(0);
            Arc::new(Self { key, state: AtomicU8::new(GOOD) })
        }
    }

    impl KeyDirectory for Switched {
        fn known(&self, _: ApiKeyId) -> Option<ApiKey> {
            None
        }

        async fn find(&self, _: ApiKeyId) -> Result<Option<ApiKey>, DirectoryUnavailable> {
            match self.state.load(Ordering::Relaxed) {
                AWAY => Err(DirectoryUnavailable::because("refused")),
                state => Ok(Some(ApiKey { revoked: state == REVOKED, ..self.key.clone() })),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_revocation_is_told_at_once_and_then_the_connection_is_cut() {
        let directory = Switched::new();
        let connection = Connection::of(PeerAddress([127, 0, 0, 1].into()));
        let watch =
            KeyWatch::of(Arc::clone(&directory), directory.key.id, Some(connection.clone()));
        for state in [GOOD, AWAY] {
            directory.state.store(state, Ordering::Relaxed);
            let quiet = tokio::time::timeout(10 * KEY_LOOK_EVERY, watch.revoked()).await;
            assert!(quiet.is_err());
        }
        directory.state.store(REVOKED, Ordering::Relaxed);
        let ends = tokio::time::timeout(Duration::from_secs(1), async {
            watch.revoked().await;
            connection.was_cut().await;
        });
        ends.await.expect("within a second");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_ends_for_a_revocation_is_the_last_of_its_connection() {
        let directory = Switched::new();
        let connection = Connection::of(PeerAddress([127, 0, 0, 1].into()));
        let watch =
            KeyWatch::of(Arc::clone(&directory), directory.key.id, Some(connection.clone()));
        directory.state.store(REVOKED, Ordering::Relaxed);
        watch.revoked().await;
        drop(watch);
        let finished = tokio::time::timeout(LAST_WORDS_MAX, connection.is_to_finish()).await;
        assert!(finished.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_cut_once_the_answer_has_ended() {
        let directory = Switched::new();
        let connection = Connection::of(PeerAddress([127, 0, 0, 1].into()));
        let watch =
            KeyWatch::of(Arc::clone(&directory), directory.key.id, Some(connection.clone()));
        directory.state.store(REVOKED, Ordering::Relaxed);
        watch.revoked().await;
        drop(watch);
        let cut = tokio::time::timeout(10 * LAST_WORDS_MAX, connection.was_cut()).await;
        assert!(cut.is_err(), "its last words are on their way");
    }

    #[tokio::test(start_paused = true)]
    async fn what_still_comes_in_with_a_revoked_key_is_not_waited_for() {
        let directory = Switched::new();
        directory.state.store(REVOKED, Ordering::Relaxed);
        let ApiKey { id: key_id, merchant_id, role, .. } = directory.key.clone();
        let mut parts = axum::http::Request::new(()).into_parts().0;
        parts.extensions.insert(Caller { key_id, merchant_id, role });
        parts.extensions.insert(Revocations::of(Arc::clone(&directory)));
        let silent = futures::stream::pending::<Result<bytes::Bytes, axum::Error>>();
        let reading = read_body(&parts, axum::body::Body::from_stream(silent), 1_024);
        let read = tokio::time::timeout(Duration::from_secs(1), reading).await;
        assert_eq!(read.expect("within a second").unwrap_err().status(), 401);
    }
}
