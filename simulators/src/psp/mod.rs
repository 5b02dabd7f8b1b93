//! A payment service provider: an HTTP server that charges, captures, voids and refunds, and that
//! fails in the way it is asked to.
//!
//! Nothing is random. The *token* of a charge (in life, a card) says what it suffers, and ids
//! follow from idempotency keys, so that a test knows what comes. What was carried out is in a
//! ledger on disk before it is answered: the simulator may be killed at any time, and the next one
//! on the same file knows everything, fails what was to fail and sends the webhooks left.
//!
//! # Protocol
//!
//! JSON, with `Authorization: Bearer <api_key>` on everything but `/health/live`.
//!
//! | request | does |
//! | --- | --- |
//! | `POST /v1/charges` | authorizes, or with `capture` sells: `{"reference","amount_minor","currency","token","capture"}` |
//! | `POST /v1/charges/{charge_id}/captures` | captures a part or all: `{"amount_minor","final"}`; `final` gives up the rest |
//! | `POST /v1/charges/{charge_id}/void` | gives up an authorization of which nothing is captured: `{}` |
//! | `POST /v1/charges/{charge_id}/refunds` | returns a part or all of what is captured: `{"amount_minor"}` |
//! | `GET /v1/operations/{idempotency_key}` | the operation as it stands now; 404 if none was carried out |
//! | `GET /v1/charges/{charge_id}` | the charge, its sums and operations |
//! | `GET /ledger?after=<charge_id>&limit=` | a page of charges, oldest first, and the clearing |
//! | `GET /ledger/summary` | counts, among them of the operations that will change by themselves, and the clearing |
//! | `GET /health/live` | 200 |
//!
//! `reference` is the caller's own id of the payment. A charge's sums are gross:
//! `captured_minor` includes what is in `captures_failed_minor`, and so for refunds. The clearing
//! of a currency is captured − refunded − captures failed later + refunds failed later.
//!
//! An *operation* is answered to each `POST` and found by its key:
//!
//! ```json
//! {"id":"op_9c…","charge_id":"ch_9c…","reference":"pay_1","idempotency_key":"k1",
//!  "kind":"sale","status":"succeeded","amount_minor":10000,"currency":"USD",
//!  "decline":null,"created_at":"2026-01-02T03:04:05.678901Z"}
//! ```
//!
//! `kind` is one of `authorization`, `sale`, `capture`, `void`, `refund`; `status` one of
//! `succeeded`, `declined`, `failed`, `pending`. `amount_minor` is what was approved, and what was
//! asked for where nothing was; of a void, what was authorized. `decline` is
//! `{"code":"insufficient_funds","advice":null}` where the issuer refused.
//!
//! | answer | when | kept under the key |
//! | --- | --- | --- |
//! | 201, operation | carried out; a refused capture, void or refund too, with status `failed` | yes |
//! | 202, operation | `pending` | yes |
//! | 402, operation | a charge was `declined` | yes |
//! | 400 `idempotency_key_invalid` | no `Idempotency-Key` of 1 to 64 visible ASCII characters | no |
//! | 401 `unauthorized` | no or another API key | no |
//! | 404 `not_found` | no such charge | no |
//! | 409 `charge_declined`, `charge_voided`, `charge_already_captured`, `charge_not_captured`, `amount_too_large`, `operation_pending`, `too_many_operations` | the charge does not allow it | no |
//! | 409 `idempotency_key_in_use` | the key's first request is not answered yet (`slow`) | as it was |
//! | 413 `body_unreadable` | the body is too long | no |
//! | 422 `idempotency_key_reused` | the key belongs to another path or body | as it was |
//! | 422 `invalid_request` | the body; the message names the field | no |
//! | 503 `service_unavailable` | a token says so | no |
//!
//! Errors are `{"error":{"code","message"}}`. The same request under the same key is carried out
//! once and gets the first answer again, byte for byte, with `Idempotent-Replayed: true`; keys are
//! kept as long as the ledger.
//!
//! # Tokens
//!
//! | token | what happens |
//! | --- | --- |
//! | `ok` | nothing |
//! | `decline_hard` | declined: `lost_card` |
//! | `decline:<code>` | declined with this code (`[a-z0-9_]{1,64}`) |
//! | `decline_soft_then_ok:n`, `…:n:code` | the first n charges of the reference are declined with `insufficient_funds`, or the code |
//! | `fail_5xx_then_ok:n` | the first n requests under a key are answered 503, nothing carried out |
//! | `timeout_before` | the first request under a key is not answered, nothing carried out |
//! | `timeout_after_charge` | carried out, the first request not answered |
//! | `reset_after_charge` | carried out, the connection closed instead of an answer |
//! | `slow:ms` | carried out at once, answered after that long |
//! | `webhook_dup:n` | every webhook comes n times |
//! | `webhook_ooo` | webhooks come in pairs, the later first; one that is not followed within 2 s comes alone |
//! | `webhook_lost` | no webhook comes |
//! | `webhook_only` | answered 202 `pending`, settled 300 ms later |
//! | `status_not_found_for:ms` | carried out and not answered, and a status query finds nothing for that long |
//! | `capture_failed_later` | a sale or capture succeeds and fails 500 ms later |
//! | `refund_fails` | refunds are refused |
//! | `refund_fails_later` | a refund succeeds and fails 500 ms later |
//! | `partial_auth:pct` | 1 to 99 per cent of the amount is approved, rounded down, at least 1 |
//! | `down_for:ms` | from the first request of the reference on, for that long, requests of it are answered 503 |
//!
//! A token befalls the charge itself (authorization or sale); `webhook_dup`, `webhook_ooo`,
//! `webhook_lost` and `down_for` befall every operation of it. With `@capture`, `@void` or
//! `@refund` behind it, a token befalls only operations of that kind, all of them:
//! `timeout_after_charge@refund`. A declined capture, void or refund is one with status `failed`.
//! `partial_auth` cannot be moved, nor can `capture_failed_later` and the `refund_…` tokens to
//! operations they are not about. Numbers are 1 to 100, milliseconds 1 to 60000.
//!
//! A request that is not answered is held for 30 s or until the caller goes. While an operation is
//! `pending`, its charge allows no other. A capture that failed later may be made again, unless it
//! was the last one or a sale. How often a key was tried and since when a reference is down is
//! forgotten at a restart.
//!
//! # Webhooks
//!
//! `POST` to the target with
//! `{"id":"evt_…","type":…,"created_at":…,"operation":{…}}`, where `type` is one of
//! `charge.authorized`, `charge.captured`, `charge.declined`, `charge.voided`, `refund.succeeded`,
//! `refund.failed`, `capture.failed`, and the operation is as it was at the event. A refused void
//! is not told of. Signed as [`signature`] says, in [`SIGNATURE_HEADER`]. Sent until answered with
//! a 2xx, in bounded tries with growing pauses, so an event comes at least once, and in no order
//! that can be relied on. An event's id is always the same.

mod charges;
mod engine;
mod faults;
mod ledger;
mod operation;
mod options;
mod records;
mod requests;
mod routes;
mod rules;
mod serve;
mod token;
mod views;
mod webhooks;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use charges::Misfit;
pub use options::{OpenError, Options, WebhookTarget};
pub use webhooks::{SIGNATURE_HEADER, signature};

use charges::Book;
use engine::Engine;
use ledger::Writer;
use webhooks::{Courier, Sender};

/// A simulator that has read its ledger and is ready to serve.
#[derive(Debug)]
pub struct Psp {
    listener: TcpListener,
    api_key: String,
    engine: Arc<Engine>,
    writer: Writer,
    courier: Option<Courier>,
}

impl Psp {
    /// Opens the ledger, which nobody else may have open, and reads it.
    ///
    /// # Errors
    /// [`OpenError`] when the ledger cannot be used or is none.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let Options { name, listener, ledger, api_key, webhook } = options;
        let mut book = Book::default();
        let (ledger, writer) = ledger::open(&ledger, |record| book.apply(record))?;
        let sender = webhook.map(Sender::new).transpose();
        let sender = sender.map_err(OpenError::WebhookClient)?;
        let (parcels, parcels_to_send) = mpsc::unbounded_channel();
        let parcels = sender.is_some().then_some(parcels);
        let engine = Arc::new(Engine::new(name, book, ledger, parcels));
        let courier =
            sender.map(|sender| Courier::new(Arc::clone(&engine), sender, parcels_to_send));
        Ok(Self { listener, api_key, engine, writer, courier })
    }

    /// Serves until `shutdown`, then answers what is under way and leaves the rest to the next run.
    /// Ends by itself if the ledger cannot be written any more.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, api_key, engine, writer, courier } = self;
        let (close_ledger, ledger_closed) = (CancellationToken::new(), CancellationToken::new());
        let writing = tokio::spawn({
            let (close, closed) = (close_ledger.clone(), ledger_closed.clone().drop_guard());
            async move {
                let _closed = closed;
                writer.run(close).await;
            }
        });
        engine.resume();
        if let Some(courier) = courier {
            engine.background().spawn(courier.run());
        }
        let serving = serve::serve(
            listener,
            routes::router(Arc::clone(&engine), &api_key),
            engine.stop().clone(),
        );
        let stopping = async {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = ledger_closed.cancelled() => {}
            }
            engine.stop().cancel();
        };
        tokio::join!(serving, stopping);
        engine.background().close();
        engine.background().wait().await;
        close_ledger.cancel();
        if let Err(error) = writing.await {
            tracing::error!(%error, "the ledger's writer ended badly");
        }
    }
}
