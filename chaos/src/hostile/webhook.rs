//! Webhooks as a PSP sends them: one that was sent, and signatures.

use std::fmt::Write;

use anyhow::Context;
use demo::client::Client;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::honest::Load;
use crate::deployment::{Deployment, PSP_WEBHOOK_SECRET};

/// The header with the signature.
pub(super) const SIGNATURE_HEADER: &str = "Psp-Signature";

/// What a PSP says of one of the honest merchant's payments.
#[derive(Debug, Clone)]
pub(super) struct Genuine {
    pub(super) psp: &'static str,
    pub(super) body: String,
}

/// The webhook of a payment that was made in peace, as the PSP sent it once already.
pub(super) async fn genuine(deployment: &Deployment, load: &Load) -> anyhow::Result<Genuine> {
    for (psp, url) in deployment.psps() {
        let client = Client::new(vec![url.to_owned()], deployment.psp_api_key().to_owned())?;
        let ledger = client.get("/ledger").await?;
        let charges = ledger["charges"].as_array().into_iter().flatten();
        let ours =
            |charge: &&Value| load.asked.iter().any(|paid| charge["reference"] == paid.id.as_str());
        let operation = charges.filter(ours).map(|charge| charge["operations"][0].clone()).next();
        if let Some(operation) = operation {
            let (id, at) = (&operation["id"], &operation["created_at"]);
            let event = json!({"id": id, "type": "charge.captured", "created_at": at, "operation": operation});
            return Ok(Genuine { psp, body: event.to_string() });
        }
    }
    None.context("no PSP has a payment of the honest merchant")
}

/// The header's value for a body that was signed at a time, in seconds.
pub(super) fn signature(body: &[u8], at_s: u64) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(PSP_WEBHOOK_SECRET.as_bytes())?;
    mac.update(at_s.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut value = format!("t={at_s},v1=");
    for byte in mac.finalize().into_bytes() {
        write!(value, "{byte:02x}")?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_a_gateway_expects() {
        let body = b"{}";
        let value = signature(body, 1_700_000_000).unwrap();
        let (time, hex) = value.split_once(",v1=").unwrap();
        assert_eq!((time, hex.len()), ("t=1700000000", 64));
        assert_ne!(signature(body, 1_700_000_001).unwrap(), value);
    }
}
