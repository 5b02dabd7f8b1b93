//! The PSPs as the command service knows them: those whose gateways are configured.

use std::net::IpAddr;

use axum::http::HeaderMap;
use command_api::{NotLetIn, PspDirectory};
use domain::Timestamp;
use domain::payments::PspName;
use gateways::{Gateways, WebhookRefusal};

/// The PSPs of a deployment.
#[derive(Debug)]
pub(crate) struct Configured(pub(crate) Gateways);

impl PspDirectory for Configured {
    fn names(&self) -> Option<Vec<PspName>> {
        Some(self.0.names().cloned().collect())
    }

    fn check_webhook(
        &self,
        psp: &str,
        source: Option<IpAddr>,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), NotLetIn> {
        let psp = psp.parse().map_err(|_| NotLetIn::NotExpected)?;
        let gateway = self.0.named(&psp).ok_or(NotLetIn::NotExpected)?;
        if !gateway.expects_from(source) {
            return Err(NotLetIn::NotFromThere);
        }
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        gateway.check_webhook(&header, body, now).map_err(|refusal| match refusal {
            WebhookRefusal::NotExpected => NotLetIn::NotExpected,
            WebhookRefusal::Unsigned { .. } | WebhookRefusal::Stale | WebhookRefusal::Forged => {
                NotLetIn::NotSigned { reason: refusal.to_string() }
            }
        })
    }
}
