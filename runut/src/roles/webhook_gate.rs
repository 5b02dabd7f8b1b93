//! The gate for webhooks: what each PSP's gateway says of a signature.

use axum::http::HeaderMap;
use command_api::{NotLetIn, WebhookGate};
use domain::Timestamp;
use gateways::{Gateways, WebhookRefusal};

/// Lets in what the PSPs of a deployment signed.
#[derive(Debug)]
pub(crate) struct Gate(pub(crate) Gateways);

impl WebhookGate for Gate {
    fn check(
        &self,
        psp: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), NotLetIn> {
        let psp = psp.parse().map_err(|_| NotLetIn::NotExpected)?;
        let gateway = self.0.named(&psp).ok_or(NotLetIn::NotExpected)?;
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        gateway.check_webhook(&header, body, now).map_err(|refusal| match refusal {
            WebhookRefusal::NotExpected => NotLetIn::NotExpected,
            WebhookRefusal::Unsigned { .. } | WebhookRefusal::Stale | WebhookRefusal::Forged => {
                NotLetIn::NotSigned { reason: refusal.to_string() }
            }
        })
    }
}
