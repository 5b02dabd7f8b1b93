//! Webhooks are worked off here: read, and passed on to the payment as a reason to ask its PSP.

use std::time::Duration;

use domain::Command;
use domain::payments::{NotifyAttempt, PspName};
use event_store::{EventStore, Origin, ReceivedWebhook, SubmitError, WebhookOutcome};
use gateways::Gateways;
use tokio_util::sync::CancellationToken;

/// The most webhooks that are taken at a time.
const CLAIM_WEBHOOKS_MAX: i64 = 64;
/// The most characters of why one is dead; our own sentences have a hundred.
const REASON_CHARACTERS_MAX: usize = 500;
/// How many that cannot be worked off end a pass: one may be to blame itself, several mean that the log is away.
const TROUBLES_MAX: u32 = 3;
/// How often they are looked for when there were none.
const POLL_IDLE: Duration = Duration::from_millis(50);
/// How long to wait after they could not be looked for.
const TROUBLE_PAUSE: Duration = Duration::from_millis(500);

/// Who appends, as the log names it.
const ACTOR: &str = "webhook-worker";

/// Why webhooks wait.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// They cannot be claimed, or what became of one cannot be noted.
    #[error("the webhooks cannot be reached")]
    Database(#[from] sqlx::Error),
    /// What they say cannot be passed on.
    #[error("the log cannot be written")]
    Log(#[from] SubmitError),
}

/// Works off webhooks. Any number of them may run.
#[derive(Debug)]
pub struct WebhookWorker {
    store: EventStore,
    gateways: Gateways,
}

/// What a sender says goes into a reason; nothing that a terminal or the database chokes on.
fn printable(reason: &str) -> String {
    let shown = reason.chars().map(|one| if one.is_control() { ' ' } else { one });
    shown.take(REASON_CHARACTERS_MAX).collect()
}

impl WebhookWorker {
    /// Prepares a worker.
    pub fn new(store: EventStore, gateways: Gateways) -> Self {
        Self { store, gateways }
    }

    /// Works until `shutdown`, whatever happens to the servers meanwhile.
    pub async fn run(self, shutdown: CancellationToken) {
        let work = async {
            loop {
                let pause = match self.pass().await {
                    Ok(0) => POLL_IDLE,
                    Ok(_) => Duration::ZERO,
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, "webhooks cannot be worked off for now");
                        TROUBLE_PAUSE
                    }
                };
                tokio::time::sleep(pause).await;
            }
        };
        // What is cut off here is claimed again once its claim has run out.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = work => {}
        }
    }

    /// Works off what waits now, at most a claim's worth; how many that were. None while this process may not decide:
    /// others may.
    ///
    /// # Errors
    /// [`WebhookError`]. Those that could not be worked off are claimed again once their claims have run out, so that they
    /// hold up no others; those after the last of them are given back at once.
    pub async fn pass(&self) -> Result<usize, WebhookError> {
        if self.store.decidable_now().await.is_err() {
            return Ok(0);
        }
        let claimed = self.store.claim_webhooks(CLAIM_WEBHOOKS_MAX).await?;
        let many = claimed.len();
        let mut concluded = Vec::with_capacity(many);
        let mut troubles = 0;
        let mut trouble = None;
        for webhook in claimed {
            if troubles == TROUBLES_MAX {
                concluded.push((webhook, WebhookOutcome::Waiting));
                continue;
            }
            match self.work_off(&webhook).await {
                Ok(outcome) => concluded.push((webhook, outcome)),
                Err(error) => {
                    troubles += 1;
                    trouble.get_or_insert(error);
                }
            }
        }
        for (webhook, outcome) in &concluded {
            if let WebhookOutcome::Dead { reason } = outcome {
                let (psp, digest) = (&webhook.psp, &webhook.digest);
                tracing::warn!(psp, %digest, reason, "a webhook is a dead letter");
                metrics::counter!("runut_dead_letters_total").increment(1);
            }
        }
        if !concluded.is_empty() {
            self.store.conclude_webhooks(&concluded).await?;
        }
        trouble.map_or(Ok(many), |error| Err(error.into()))
    }

    async fn work_off(&self, webhook: &ReceivedWebhook) -> Result<WebhookOutcome, SubmitError> {
        let dead = |reason: String| Ok(WebhookOutcome::Dead { reason: printable(&reason) });
        let Ok(psp) = webhook.psp.parse::<PspName>() else {
            return dead(format!("`{}` cannot be a PSP", webhook.psp));
        };
        let Some(gateway) = self.gateways.named(&psp) else {
            return dead(format!("{psp} is not configured here"));
        };
        let notification = match gateway.read_webhook(&webhook.body) {
            Ok(notification) => notification,
            Err(reason) => return dead(reason),
        };
        let payment_id = notification.payment_id;
        let notify = NotifyAttempt {
            payment_id,
            psp,
            key: notification.key,
            claim: notification.claim,
            digest: webhook.digest.to_string(),
        };
        // Most webhooks say what is known, for which nothing needs to be decided.
        if let Some(payment) = self.store.payment(payment_id).await?
            && notify.news(&payment) == Ok(false)
        {
            return Ok(WebhookOutcome::Processed(payment_id));
        }
        let correlation_id = payment_id.to_string();
        let origin = Origin { actor: ACTOR.to_owned(), correlation_id, traceparent: None };
        match self.store.give(origin, Command::NotifyAttempt(notify)).await {
            Ok(given) => match given.decision {
                Ok(_) => Ok(WebhookOutcome::Processed(payment_id)),
                Err(rejection) => dead(rejection.to_string()),
            },
            // To try it again would change nothing.
            Err(error) if !error.retryable() => dead(error.to_string()),
            Err(error) => Err(error),
        }
    }
}
