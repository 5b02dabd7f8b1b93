//! API keys, read from their streams in the log.
//!
//! Not from the read model `access`: a key has to work as soon as it is issued and end as soon as it is
//! revoked however far that is, and an operator has to get in to see why it stopped. A key's stream is
//! two events at the most, found by the index that keeps its versions unique.

use std::time::Duration;

use api_conventions::{DirectoryUnavailable, KeyDirectory};
use dashmap::DashMap;
use domain::api_keys::{ApiKey, ApiKeyIssued};
use domain::{ApiKeyId, Event, StreamId, StreamVersion};
use event_store::log::stream_page;
use sqlx::postgres::PgPool;
use tokio::time::Instant;

/// How old a key's state may be when a request is let in; far below the second within which a
/// revocation has to act.
const KEY_AGE_MAX: Duration = Duration::from_millis(200);
/// The most keys that are remembered. Past it, those too old are forgotten, and if there are none, the
/// next key is simply not remembered.
const KEYS_MAX: usize = 10_000;
/// More events than a key's stream ever has: it is issued, and revoked.
const KEY_EVENTS_MAX: i64 = 4;

#[derive(Debug)]
struct Known {
    key: ApiKey,
    read_at: Instant,
}

/// Keys as the log has them, a moment ago at the most.
#[derive(Debug)]
pub(crate) struct LoggedKeys {
    pool: PgPool,
    known: DashMap<ApiKeyId, Known>,
}

impl LoggedKeys {
    pub(crate) fn of(pool: PgPool) -> Self {
        Self { pool, known: DashMap::new() }
    }

    /// The key as the log has it now.
    pub(crate) async fn read(&self, id: ApiKeyId) -> Result<Option<ApiKey>, DirectoryUnavailable> {
        let stream = StreamId::api_key(id);
        let before_first = StreamVersion::from_number(0);
        let page = stream_page(&self.pool, &stream, before_first, KEY_EVENTS_MAX)
            .await
            .map_err(DirectoryUnavailable::because)?;
        let mut key = None;
        for recorded in &page.events {
            match recorded.decode().map_err(DirectoryUnavailable::because)? {
                Event::ApiKeyIssued(issued) => key = Some(fresh(issued, recorded.version)),
                Event::ApiKeyRevoked(_) => {
                    key = key.map(|key| ApiKey { revoked: true, version: recorded.version, ..key });
                }
                // Its stream has no others.
                Event::MerchantRegistered(_)
                | Event::AccountOpened(_)
                | Event::AccountAmended(_)
                | Event::AccountFrozen(_)
                | Event::AccountUnfrozen(_)
                | Event::AccountClosed(_)
                | Event::EntryPosted(_)
                | Event::EntryReversed(_)
                | Event::Hold(_)
                | Event::Books(_)
                | Event::Fx(_)
                | Event::Payment(_)
                | Event::Card(_)
                | Event::Psp(_) => {}
            }
        }
        Ok(key)
    }

    fn remember(&self, key: ApiKey, read_at: Instant) {
        if self.known.len() >= KEYS_MAX {
            self.known.retain(|_, known| known.read_at.elapsed() < KEY_AGE_MAX);
        }
        if self.known.len() < KEYS_MAX {
            self.known.insert(key.id, Known { key, read_at });
        }
    }
}

impl KeyDirectory for LoggedKeys {
    fn known(&self, id: ApiKeyId) -> Option<ApiKey> {
        // Without an await: the map's entry is locked as long as it is looked at.
        let known = self.known.get(&id)?;
        (known.read_at.elapsed() < KEY_AGE_MAX).then(|| known.key.clone())
    }

    async fn find(&self, id: ApiKeyId) -> Result<Option<ApiKey>, DirectoryUnavailable> {
        if let Some(known) = self.known(id) {
            return Ok(Some(known));
        }
        // Its age counts from before it was read. Unknown ids are not remembered: anybody can make
        // them up, and one that is issued in a moment has to work then.
        let read_at = Instant::now();
        let key = self.read(id).await?;
        if let Some(key) = &key {
            self.remember(key.clone(), read_at);
        }
        Ok(key)
    }
}

fn fresh(issued: ApiKeyIssued, version: StreamVersion) -> ApiKey {
    let ApiKeyIssued { key_id, merchant_id, role, label, secret_sha256 } = issued;
    ApiKey { id: key_id, merchant_id, role, label, secret: secret_sha256, revoked: false, version }
}
