//! Payments: asked for here, carried out by the workers.
//!
//! A request that starts something takes two appends: the first claims its key with the intent, the last
//! gives it its answer, once the payment has come to rest or the caller has waited long enough
//! (`settle`). Should this process die in between, `finish` answers in its place.

pub(crate) mod authorize;
pub(crate) mod cancel;
pub(crate) mod capture;
pub(crate) mod create;
mod finish;
pub(crate) mod refund;
pub(crate) mod replace_method;
mod settle;
pub(crate) mod void;

use api_conventions::{FieldErrors, INVALID_VALUE, Pointer};
use domain::cards::CardNetwork;
use domain::payments::{MethodKind, PaymentMethod};
use serde::Deserialize;
use utoipa::ToSchema;

pub use finish::{ANSWERS_FINISHED_AT_ONCE_MAX, AnswerFinisher, FINISH_AFTER, FINISH_INTERVAL};
pub use settle::SYNC_PATIENCE;

use crate::names;

/// How a payment is to be paid.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPaymentMethod)]
pub(crate) struct NewMethod {
    /// What the PSPs know it by. Never a card's number.
    #[schema(example = "ok", min_length = 1, max_length = 128)]
    token: String,
    /// What the token stands for; `card` where it is not given.
    #[schema(schema_with = names::method_kind)]
    r#type: Option<String>,
    /// A card's scheme. Without it the card is tried as often as the strictest scheme allows.
    #[schema(schema_with = names::card_network)]
    network: Option<String>,
    /// What stays the same of a card when it gets another token, so that attempts are counted over all of them;
    /// the token where it is not given. Never a card's number.
    #[schema(min_length = 1, max_length = 128)]
    fingerprint: Option<String>,
}

impl NewMethod {
    /// The method; what is wrong is noted under `at`.
    fn checked(&self, errors: &mut FieldErrors, at: &Pointer) -> Option<PaymentMethod> {
        let kind = self.r#type.as_deref().map_or(Ok(MethodKind::Card), str::parse);
        let kind = errors.check(at.key("type"), kind);
        let network = errors.check_optional(
            at.key("network"),
            self.network.as_deref().map(str::parse::<CardNetwork>),
        );
        if kind != Some(MethodKind::Card) {
            for (key, given) in
                [("network", self.network.is_some()), ("fingerprint", self.fingerprint.is_some())]
            {
                if given {
                    errors.add(at.key(key), INVALID_VALUE, "only a card has one");
                }
            }
        }
        let method = errors.check(at.key("token"), PaymentMethod::new(kind?, &self.token))?;
        let method = match network? {
            Some(network) => method.in_network(network),
            None => method,
        };
        match &self.fingerprint {
            Some(known) => errors.check(at.key("fingerprint"), method.with_fingerprint(known)),
            None => Some(method),
        }
    }
}
