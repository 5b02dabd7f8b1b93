//! Webhooks of PSPs: let in by their signature, kept, and answered. What they lead to is the workers' matter.

pub(crate) mod receive;
pub(crate) mod replay;

use axum::http::HeaderMap;
use domain::Timestamp;

/// Who tells whether a webhook is from the PSP that it says it is from.
pub trait WebhookGate: std::fmt::Debug + Send + Sync + 'static {
    /// Lets it in or not.
    ///
    /// # Errors
    /// [`NotLetIn`].
    fn check(
        &self,
        psp: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), NotLetIn>;
}

/// Why a webhook is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLetIn {
    /// Nothing is expected from there.
    #[error("no webhooks are expected from this PSP")]
    NotExpected,
    /// It is not signed, or not by that PSP, or not now.
    #[error("{reason}")]
    NotSigned {
        /// What is wrong, as a sentence.
        reason: String,
    },
}

/// Lets nothing in: for a service without PSPs.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClosedGate;

impl WebhookGate for ClosedGate {
    fn check(&self, _: &str, _: &HeaderMap, _: &[u8], _: Timestamp) -> Result<(), NotLetIn> {
        Err(NotLetIn::NotExpected)
    }
}
