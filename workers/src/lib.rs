//! The processes that act by themselves, without anybody asking: the [`PaymentWorker`]s, the [`LedgerWorker`] and
//! the [`Pruner`].
//!
//! Each worker is made from its options, does nothing until it is run, and ends when told to.
//! Whatever it was about then is done by its next run, so that a worker may be killed at any time.

mod ledger;
mod payments;
mod pruner;
mod webhooks;

pub use ledger::{LedgerPass, LedgerWorkError, LedgerWorker, LedgerWorkerOptions};
pub use payments::{PAYMENTS_AT_ONCE_MAX, PaymentWorker, PaymentWorkerOptions, UNRECORDED_MS_MAX};
pub use pruner::{
    BATCH_KEYS_MAX, KEYS_KEPT_FOR, PASS_BATCHES_MAX, PASS_INTERVAL, PassError, Pruned, Pruner,
    PrunerOptions, STEADY_FOR, UNANSWERED_COUNTED_MAX, WEBHOOKS_KEPT_FOR,
};

pub use webhooks::{WebhookError, WebhookWorker};

use event_store::log::ConnectError;
use tokio_util::sync::CancellationToken;

/// What the workers of a process need.
#[derive(Debug)]
pub struct Options {
    /// The payment worker's; none where no PSP is configured.
    pub payments: Option<PaymentWorkerOptions>,
    /// The ledger's worker's; none in a process without the application's role.
    pub ledger: Option<LedgerWorkerOptions>,
    /// The pruner's.
    pub pruner: PrunerOptions,
}

/// All workers of a process. Made by [`Workers::new`]; they do nothing until they are run.
#[derive(Debug)]
pub struct Workers {
    payments: Option<(PaymentWorker, WebhookWorker)>,
    ledger: Option<LedgerWorker>,
    pruner: Pruner,
}

impl Workers {
    /// Prepares the workers; connects to nothing yet.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when a database URL is none.
    pub fn new(options: Options) -> Result<Self, ConnectError> {
        let payments = match options.payments {
            Some(options) => {
                let webhooks = WebhookWorker::new(options.store.clone(), options.gateways.clone());
                Some((PaymentWorker::new(options)?, webhooks))
            }
            None => None,
        };
        let ledger = options.ledger.map(LedgerWorker::new).transpose()?;
        Ok(Self { payments, ledger, pruner: Pruner::new(options.pruner)? })
    }

    /// Works until `shutdown`, whatever happens to the servers meanwhile.
    pub async fn run(self, shutdown: CancellationToken) {
        let payments = async {
            if let Some((payments, webhooks)) = self.payments {
                tokio::join!(payments.run(shutdown.clone()), webhooks.run(shutdown.clone()));
            }
        };
        let ledger = async {
            if let Some(ledger) = self.ledger {
                ledger.run(shutdown.clone()).await;
            }
        };
        tokio::join!(payments, ledger, self.pruner.run(shutdown.clone()));
    }
}
