//! Webhooks as they came: raw bytes under their SHA-256, kept before they are answered.
//!
//! They are no part of the log: what they lead to is. Losing them costs that a PSP is asked later than it
//! might have been.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use domain::PaymentId;
use sha2::{Digest, Sha256};
use sqlx::Row;

use crate::store::EventStore;

/// How long a worker has a webhook to itself.
const CLAIM_MS: i64 = 10_000;

/// What names a webhook: the SHA-256 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WebhookDigest([u8; 32]);

impl WebhookDigest {
    /// Of these bytes.
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }

    /// From 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        crate::log::digest_from_hex(text).map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Display for WebhookDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::log::digest_to_hex(&self.0))
    }
}

/// Larger ones are hashed on a thread that may be busy: up to here it takes less than 0.1 ms.
const HASHED_IN_PLACE_BYTES_MAX: usize = 16 * 1024;

async fn digest(body: Bytes) -> WebhookDigest {
    if body.len() > HASHED_IN_PLACE_BYTES_MAX {
        let elsewhere = body.clone();
        let hashing = tokio::task::spawn_blocking(move || WebhookDigest::of(&elsewhere));
        if let Ok(digest) = hashing.await {
            return digest;
        }
    }
    WebhookDigest::of(&body)
}

/// A webhook that is to be kept.
#[derive(Debug, Clone)]
pub(crate) struct NewWebhook {
    digest: WebhookDigest,
    psp: Arc<str>,
    body: Bytes,
}

/// A webhook that is to be worked off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedWebhook {
    /// What names it.
    pub digest: WebhookDigest,
    /// Who sent it.
    pub psp: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What became of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// It was worked off; the payment that it names.
    Processed(PaymentId),
    /// Somebody has to look at it.
    Dead {
        /// Why.
        reason: String,
    },
    /// Nothing yet: it is to be worked off by whoever claims it next.
    Waiting,
}

const KEEP: &str = "
    insert into webhooks as w (digest, psp, received_at, body, state, deliveries)
    select digest, psp, log_clock(), body, 'received', 1
    from unnest($1::bytea[], $2::text[], $3::bytea[]) as n (digest, psp, body)
    on conflict (digest, psp) do update set deliveries = w.deliveries + 1";

/// A claim that would last longer than claims do was written by a clock that was ahead: it has run out.
const CLAIM: &str = "
    update webhooks w set claimed_until = log_clock() + $1 * interval '1 millisecond'
    from (
        select digest, psp from webhooks
        where state = 'received' and (claimed_until is null or claimed_until < log_clock()
            or claimed_until > log_clock() + $1 * interval '1 millisecond')
        order by received_at limit $2 for update skip locked
    ) due
    where w.digest = due.digest and w.psp = due.psp
    returning w.digest, w.psp, w.body";

const CONCLUDE: &str = "
    update webhooks w
    set state = c.state, reason = c.reason, payment_id = c.payment_id, claimed_until = null
    from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::uuid[])
        as c (digest, psp, state, reason, payment_id)
    where w.digest = c.digest and w.psp = c.psp and w.state = 'received'";

const REPLAY: &str = "
    with again as (
        update webhooks set state = 'received', reason = null, claimed_until = null
        where digest = $1 and state = 'dead'
    )
    select exists (select from webhooks where digest = $1)";

impl EventStore {
    /// Keeps a webhook; when this returns it is durable. One that came before is only counted.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn keep_webhook(
        &self,
        psp: &str,
        body: impl Into<Bytes>,
    ) -> Result<WebhookDigest, Arc<sqlx::Error>> {
        let body: Bytes = body.into();
        let digest = digest(body.clone()).await;
        let psp: Arc<str> = psp.into();
        let webhook = NewWebhook { digest, psp: Arc::clone(&psp), body };
        let together = |webhooks| self.clone().keep_each(webhooks);
        self.webhooks_together().one(psp, webhook, together).await?;
        Ok(digest)
    }

    async fn keep_each(self, webhooks: Vec<NewWebhook>) -> Vec<Result<(), Arc<sqlx::Error>>> {
        let many = webhooks.len();
        let kept = self.keep_webhooks(webhooks).await.map_err(Arc::new);
        vec![kept; many]
    }

    /// One statement cannot count a webhook twice, so one that is in `webhooks` again waits for the next.
    async fn keep_webhooks(&self, mut webhooks: Vec<NewWebhook>) -> Result<(), sqlx::Error> {
        while !webhooks.is_empty() {
            let mut seen = HashSet::new();
            // In one order, so that no two statements wait for each other.
            webhooks
                .sort_by(|one, other| (one.digest.0, &one.psp).cmp(&(other.digest.0, &other.psp)));
            let (once, again): (Vec<_>, Vec<_>) = webhooks
                .into_iter()
                .partition(|webhook| seen.insert((webhook.digest.0, Arc::clone(&webhook.psp))));
            sqlx::query(KEEP)
                .bind(once.iter().map(|webhook| &webhook.digest.0[..]).collect::<Vec<_>>())
                .bind(once.iter().map(|webhook| &*webhook.psp).collect::<Vec<_>>())
                .bind(once.iter().map(|webhook| &*webhook.body).collect::<Vec<_>>())
                .execute(self.webhook_pool())
                .await?;
            webhooks = again;
        }
        Ok(())
    }

    /// Takes at most `many` webhooks that are to be worked off, those that came first first.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn claim_webhooks(&self, many: i64) -> Result<Vec<ReceivedWebhook>, sqlx::Error> {
        let claiming = sqlx::query(CLAIM).bind(CLAIM_MS).bind(many);
        let rows = claiming.fetch_all(self.webhook_pool()).await?;
        rows.iter()
            .map(|row| {
                let digest: &[u8] = row.try_get(0)?;
                let digest = digest
                    .try_into()
                    .map_err(|_| sqlx::Error::Decode("a digest has 32 bytes".into()))?;
                Ok(ReceivedWebhook {
                    digest: WebhookDigest(digest),
                    psp: row.try_get(1)?,
                    body: row.try_get(2)?,
                })
            })
            .collect()
    }

    /// Notes what became of webhooks, and gives them back. What another worker has noted of one meanwhile stays.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn conclude_webhooks(
        &self,
        concluded: &[(ReceivedWebhook, WebhookOutcome)],
    ) -> Result<(), sqlx::Error> {
        // In the order in which they are kept, so that no two statements wait for each other.
        let mut concluded: Vec<_> = concluded.iter().collect();
        concluded.sort_by(|(one, _), (other, _)| {
            (one.digest.0, &*one.psp).cmp(&(other.digest.0, &*other.psp))
        });
        let webhooks = || concluded.iter().map(|(webhook, _)| webhook);
        let outcomes = || concluded.iter().map(|(_, outcome)| outcome);
        let state = |outcome: &WebhookOutcome| match outcome {
            WebhookOutcome::Processed(_) => "processed",
            WebhookOutcome::Dead { .. } => "dead",
            WebhookOutcome::Waiting => "received",
        };
        let reason = |outcome: &WebhookOutcome| match outcome {
            WebhookOutcome::Processed(_) | WebhookOutcome::Waiting => None,
            WebhookOutcome::Dead { reason } => Some(reason.clone()),
        };
        let payment = |outcome: &WebhookOutcome| match outcome {
            WebhookOutcome::Processed(payment) => Some(payment.uuid()),
            WebhookOutcome::Dead { .. } | WebhookOutcome::Waiting => None,
        };
        sqlx::query(CONCLUDE)
            .bind(webhooks().map(|webhook| webhook.digest.0.to_vec()).collect::<Vec<_>>())
            .bind(webhooks().map(|webhook| webhook.psp.clone()).collect::<Vec<_>>())
            .bind(outcomes().map(state).collect::<Vec<_>>())
            .bind(outcomes().map(reason).collect::<Vec<_>>())
            .bind(outcomes().map(payment).collect::<Vec<_>>())
            .execute(self.webhook_pool())
            .await
            .map(|_| ())
    }

    /// Has a webhook worked off again if it is dead; `false` if there is none of that name. Doing it again is
    /// no error.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn replay_webhook(&self, digest: WebhookDigest) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(REPLAY).bind(&digest.0[..]).fetch_one(self.webhook_pool()).await
    }
}
