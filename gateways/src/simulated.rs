//! The protocol of the PSP simulators: small, and with everything that real ones have.

use std::net::IpAddr;

use domain::Timestamp;
use domain::payments::{AttemptKey, Claim, Decline, Operation, PspName, PspOutcome, UnknownReason};
use futures::FutureExt;
use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::{Client, Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::config::{PspConfig, Timeouts};
use crate::gateway::{Capabilities, Gateway, Order};
use crate::http::{self, Reply};
use crate::webhook::{Notification, SignedHeader, WebhookRefusal};

/// The header with the signature of a webhook.
const SIGNATURE_HEADER: &str = "Psp-Signature";

/// A PSP that is simulated.
pub struct SimulatedPsp {
    psp: PspName,
    url: Url,
    api_key: String,
    sale: bool,
    webhook_secret: Option<String>,
    webhook_sources: Vec<IpNet>,
    timeouts: Timeouts,
    client: Client,
}

impl std::fmt::Debug for SimulatedPsp {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("SimulatedPsp");
        debug.field("psp", &self.psp).field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// An operation, as the PSP has it.
#[derive(Debug, Deserialize)]
struct PspOperation {
    id: String,
    charge_id: String,
    kind: String,
    status: String,
    amount_minor: i64,
    #[serde(default)]
    decline: Option<PspDecline>,
}

/// A webhook, as far as it matters.
#[derive(Debug, Deserialize)]
struct PspEvent {
    operation: PspEventOperation,
}

#[derive(Debug, Deserialize)]
struct PspEventOperation {
    reference: String,
    idempotency_key: String,
    status: String,
}

#[derive(Debug, Deserialize)]
struct PspDecline {
    code: String,
    #[serde(default)]
    advice: Option<String>,
    #[serde(default)]
    network_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PspError {
    error: PspErrorBody,
}

#[derive(Debug, Deserialize)]
struct PspErrorBody {
    code: String,
}

impl SimulatedPsp {
    /// The way to the PSP of `config`; connects to nothing yet.
    ///
    /// # Errors
    /// No client can be made on this machine.
    pub fn new(config: &PspConfig) -> Result<Self, reqwest::Error> {
        Ok(Self {
            psp: config.name.clone(),
            url: config.url.clone(),
            api_key: config.api_key.clone(),
            sale: config.sale,
            webhook_secret: config.webhook_secret.clone(),
            webhook_sources: config.webhook_sources.clone(),
            timeouts: config.timeouts,
            client: http::client(config.timeouts)?,
        })
    }

    fn request(&self, method: Method, path: &[&str]) -> Option<reqwest::RequestBuilder> {
        let mut url = self.url.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(path);
        Some(self.client.request(method, url).bearer_auth(&self.api_key))
    }

    fn order(&self, order: &Order) -> Option<Request> {
        let amount_minor = order.amount.minor();
        let charge = order.authorization.as_deref();
        let (path, body): (Vec<&str>, Value) = match order.operation {
            Operation::Authorize | Operation::Sale => {
                let body = json!({
                    "reference": order.payment_id,
                    "amount_minor": amount_minor,
                    "currency": order.amount.currency().to_string(),
                    "token": order.token,
                    "capture": order.operation == Operation::Sale,
                });
                (vec!["v1", "charges"], body)
            }
            Operation::Capture { .. } => {
                let body = json!({"amount_minor": amount_minor, "final": order.closes});
                (vec!["v1", "charges", charge?, "captures"], body)
            }
            Operation::Void => (vec!["v1", "charges", charge?, "void"], json!({})),
            // What was only held is released.
            Operation::Reverse { .. } if !order.taken => {
                (vec!["v1", "charges", charge?, "void"], json!({}))
            }
            Operation::Refund { .. } | Operation::Reverse { .. } => {
                let body = json!({"amount_minor": amount_minor});
                (vec!["v1", "charges", charge?, "refunds"], body)
            }
        };
        let request = self.request(Method::POST, &path)?;
        request.header("Idempotency-Key", order.key.as_str()).json(&body).build().ok()
    }
}

impl Gateway for SimulatedPsp {
    fn psp(&self) -> &PspName {
        &self.psp
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { sale: self.sale }
    }

    fn expects_from(&self, source: Option<IpAddr>) -> bool {
        let sources = &self.webhook_sources;
        let within = |source: IpAddr| sources.iter().any(|network| network.contains(&source));
        sources.is_empty() || source.is_some_and(within)
    }

    fn signed_webhook(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        now: Timestamp,
    ) -> Result<SignedHeader, WebhookRefusal> {
        let secret = self.webhook_secret.as_deref().ok_or(WebhookRefusal::NotExpected)?;
        let value = header(SIGNATURE_HEADER);
        SignedHeader::read(SIGNATURE_HEADER, value.as_deref(), secret, now)
    }

    fn read_webhook(&self, body: &[u8]) -> Result<Notification, String> {
        let event: PspEvent = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let PspEventOperation { reference, idempotency_key, status } = event.operation;
        let claim = match status.as_str() {
            "succeeded" => Claim::Succeeded,
            "declined" => Claim::Declined,
            "failed" => Claim::Failed,
            other => return Err(format!("an operation cannot be `{other}`")),
        };
        let not_ours = || format!("`{reference}` is none of our payments");
        let payment_id = reference.parse().map_err(|_| not_ours())?;
        Ok(Notification { payment_id, key: AttemptKey::from_text(idempotency_key), claim })
    }

    fn send<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, PspOutcome> {
        async move {
            let Some(request) = self.order(order) else {
                return PspOutcome::Refused { code: "order_cannot_be_expressed".to_owned() };
            };
            sent(http::call(&self.client, &request, self.timeouts).await)
        }
        .boxed()
    }

    fn ask<'a>(&'a self, key: &'a AttemptKey) -> BoxFuture<'a, PspOutcome> {
        async move {
            let request = self.request(Method::GET, &["v1", "operations", key.as_str()]);
            let Some(request) = request.and_then(|request| request.build().ok()) else {
                return PspOutcome::Unknown { reason: UnknownReason::UnreadableAnswer };
            };
            asked(http::call(&self.client, &request, self.timeouts).await)
        }
        .boxed()
    }
}

/// What the answer to an order says of it.
fn sent(reply: Reply) -> PspOutcome {
    match reply {
        Reply::NotSent(reason) => PspOutcome::NotSent { reason },
        Reply::Unknown(reason) => PspOutcome::Unknown { reason },
        Reply::Answer { status, body } => match status {
            StatusCode::OK
            | StatusCode::CREATED
            | StatusCode::ACCEPTED
            | StatusCode::PAYMENT_REQUIRED => operation(&body),
            // It was not let in, so nothing was done.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                PspOutcome::NotSent { reason: format!("refused with {}", status.as_u16()) }
            }
            _ if status.is_client_error() => match serde_json::from_slice::<PspError>(&body) {
                // A request with this key was taken, so this one says nothing.
                Ok(answer)
                    if matches!(
                        answer.error.code.as_str(),
                        "idempotency_key_in_use" | "idempotency_key_reused"
                    ) =>
                {
                    PspOutcome::Unknown { reason: UnknownReason::ServerError }
                }
                Ok(answer) => PspOutcome::Refused { code: answer.error.code },
                Err(_) => PspOutcome::Unknown { reason: UnknownReason::UnreadableAnswer },
            },
            _ => PspOutcome::Unknown { reason: UnknownReason::UnreadableAnswer },
        },
    }
}

/// What the answer to a question says. That it could not be asked says nothing of the attempt.
fn asked(reply: Reply) -> PspOutcome {
    match reply {
        Reply::NotSent(_) => PspOutcome::Unknown { reason: UnknownReason::ConnectionLost },
        Reply::Unknown(reason) => PspOutcome::Unknown { reason },
        Reply::Answer { status: StatusCode::OK, body } => operation(&body),
        Reply::Answer { status: StatusCode::NOT_FOUND, body } => {
            // Something between here and the PSP may answer so as well.
            match serde_json::from_slice::<PspError>(&body) {
                Ok(answer) if answer.error.code == "not_found" => PspOutcome::NotFound,
                Ok(_) | Err(_) => PspOutcome::Unknown { reason: UnknownReason::UnreadableAnswer },
            }
        }
        Reply::Answer { .. } => PspOutcome::Unknown { reason: UnknownReason::UnreadableAnswer },
    }
}

fn operation(body: &[u8]) -> PspOutcome {
    let unreadable = PspOutcome::Unknown { reason: UnknownReason::UnreadableAnswer };
    let Ok(operation) = serde_json::from_slice::<PspOperation>(body) else { return unreadable };
    let PspOperation { id, charge_id, kind, status, amount_minor, decline } = operation;
    let charge = matches!(kind.as_str(), "authorization" | "sale");
    match status.as_str() {
        "succeeded" => {
            let psp_reference = if charge { charge_id } else { id };
            PspOutcome::Succeeded { psp_reference, amount_minor }
        }
        "pending" => PspOutcome::Pending,
        // One that was refused at once says why; one that failed after it had succeeded does not.
        "declined" | "failed" => match decline {
            Some(PspDecline { code, advice, network_code }) => {
                PspOutcome::Declined(Decline { code, advice, network_code })
            }
            None if status == "failed" => {
                PspOutcome::FailedLater { code: "failed_later".to_owned() }
            }
            None => unreadable,
        },
        _ => unreadable,
    }
}
