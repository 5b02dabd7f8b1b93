//! What this service has to know of the PSPs: their names, and which webhooks are theirs.

use std::net::IpAddr;

use axum::http::HeaderMap;
use domain::Timestamp;
use domain::payments::PspName;

/// Checks the body of a webhook whose headers are in order. May take a while for a large one.
pub type BodyCheck = Box<dyn FnOnce(&[u8]) -> Result<(), NotLetIn> + Send>;

/// Knows the PSPs of a deployment.
pub trait PspDirectory: std::fmt::Debug + Send + Sync + 'static {
    /// Their names; `None` where this service does not know them.
    fn names(&self) -> Option<Vec<PspName>>;

    /// Whether a webhook that says to be from `psp`, on a connection from `source`, may be, by what is known
    /// before anything of its body is read; and what is left to check of that.
    ///
    /// # Errors
    /// [`NotLetIn`].
    fn expect_webhook(
        &self,
        psp: &str,
        source: Option<IpAddr>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<BodyCheck, NotLetIn>;
}

/// Why a webhook is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLetIn {
    /// Nothing is expected from there.
    #[error("no webhooks are expected from this PSP")]
    NotExpected,
    /// It comes from where that PSP is not.
    #[error("webhooks of this PSP are not expected from this address")]
    NotFromThere,
    /// It is not signed, or not by that PSP, or not now.
    #[error("{reason}")]
    NotSigned {
        /// What is wrong, as a sentence.
        reason: String,
    },
}

/// Of a service that was told of no PSPs: any may be named, and no webhook is let in.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnknownPsps;

impl PspDirectory for UnknownPsps {
    fn names(&self) -> Option<Vec<PspName>> {
        None
    }

    fn expect_webhook(
        &self,
        _: &str,
        _: Option<IpAddr>,
        _: &HeaderMap,
        _: Timestamp,
    ) -> Result<BodyCheck, NotLetIn> {
        Err(NotLetIn::NotExpected)
    }
}

/// Whether `psp` may be one of the deployment's.
pub(crate) fn may_be_one(directory: &dyn PspDirectory, psp: &PspName) -> bool {
    directory.names().is_none_or(|names| names.contains(psp))
}
