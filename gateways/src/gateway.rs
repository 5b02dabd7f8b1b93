//! What a gateway is.

use std::fmt::Debug;
use std::net::IpAddr;

use domain::payments::{AttemptKey, Operation, PspName, PspOutcome};
use domain::{Amount, PaymentId, Timestamp};
use futures::future::BoxFuture;

use crate::webhook::{Notification, SignedHeader, WebhookRefusal};

/// What a PSP can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// To hold and take money in one call.
    pub sale: bool,
}

/// An attempt that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The payment, which is what the PSP is told as the merchant's reference.
    pub payment_id: PaymentId,
    /// What is asked for.
    pub operation: Operation,
    /// What makes a repetition known to the PSP.
    pub key: AttemptKey,
    /// How much.
    pub amount: Amount,
    /// What the PSP knows the payer's method by.
    pub token: String,
    /// What the PSP calls the authorization, for what follows one.
    pub authorization: Option<String>,
    /// Whether nothing more is to be captured after this.
    pub closes: bool,
    /// Whether money was taken, of what is to be reversed.
    pub taken: bool,
}

/// The way to one PSP.
pub trait Gateway: Debug + Send + Sync + 'static {
    /// What the platform calls the PSP.
    fn psp(&self) -> &PspName;

    /// What the PSP can do.
    fn capabilities(&self) -> Capabilities;

    /// Sends an order and waits for what comes of it, within a bound. Sending it again, under its key, has
    /// no second effect at the PSP.
    fn send<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, PspOutcome>;

    /// Whether webhooks of this PSP come from `source`; one that is not known is nowhere in particular.
    fn expects_from(&self, source: Option<IpAddr>) -> bool;

    /// What the headers of a webhook say of whether it is from this PSP, before anything of its body is read:
    /// `header` finds a header's value by its name.
    ///
    /// # Errors
    /// [`WebhookRefusal`].
    fn signed_webhook(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        now: Timestamp,
    ) -> Result<SignedHeader, WebhookRefusal>;

    /// What a webhook of this PSP says, once it was let in.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    fn read_webhook(&self, body: &[u8]) -> Result<Notification, String>;

    /// Asks the PSP what became of the attempt with this key.
    fn ask<'a>(&'a self, key: &'a AttemptKey) -> BoxFuture<'a, PspOutcome>;
}
