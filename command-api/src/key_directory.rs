//! API keys as the log has them: from the memory of this process, which follows the log.

use api_conventions::{DirectoryUnavailable, KeyDirectory};
use domain::ApiKeyId;
use domain::api_keys::ApiKey;
use event_store::EventStore;

/// The keys of the log. A key costs no query once it was used here; a revocation, wherever it was
/// made, acts here as soon as this process has followed the log to it, which takes at most 250 ms.
#[derive(Debug)]
pub(crate) struct LoggedKeys {
    store: EventStore,
}

impl LoggedKeys {
    pub(crate) fn of(store: EventStore) -> Self {
        Self { store }
    }
}

impl KeyDirectory for LoggedKeys {
    fn known(&self, id: ApiKeyId) -> Option<ApiKey> {
        self.store.known_api_key(id)
    }

    async fn find(&self, id: ApiKeyId) -> Result<Option<ApiKey>, DirectoryUnavailable> {
        self.store.api_key(id).await.map_err(DirectoryUnavailable::because)
    }
}
