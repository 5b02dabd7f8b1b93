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

use api_conventions::{FieldErrors, Pointer};
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
}

impl NewMethod {
    /// The method; what is wrong is noted under `at`.
    fn checked(&self, errors: &mut FieldErrors, at: &Pointer) -> Option<PaymentMethod> {
        let kind = self.r#type.as_deref().map_or(Ok(MethodKind::Card), str::parse);
        let kind = errors.check(at.key("type"), kind);
        errors.check(at.key("token"), PaymentMethod::new(kind?, &self.token))
    }
}
