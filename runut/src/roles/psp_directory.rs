//! The PSPs as the command service knows them: those whose gateways are configured.

use std::net::IpAddr;

use axum::http::HeaderMap;
use command_api::{BodyCheck, NotLetIn, PspDirectory};
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

    fn expect_webhook(
        &self,
        psp: &str,
        source: Option<IpAddr>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<BodyCheck, NotLetIn> {
        let psp = psp.parse().map_err(|_| NotLetIn::NotExpected)?;
        let gateway = self.0.named(&psp).ok_or(NotLetIn::NotExpected)?;
        if !gateway.expects_from(source) {
            return Err(NotLetIn::NotFromThere);
        }
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let signed = gateway.signed_webhook(&header, now).map_err(not_let_in)?;
        Ok(Box::new(move |body| signed.check(body).map_err(not_let_in)))
    }
}

fn not_let_in(refusal: WebhookRefusal) -> NotLetIn {
    match refusal {
        WebhookRefusal::NotExpected => NotLetIn::NotExpected,
        WebhookRefusal::Unsigned { .. }
        | WebhookRefusal::TooManySignatures
        | WebhookRefusal::Stale
        | WebhookRefusal::Forged => NotLetIn::NotSigned { reason: refusal.to_string() },
    }
}
