//! `POST /v1/payments`

use std::collections::BTreeMap;

use api_conventions::{
    AmountDto, CommandEnvelope, DecimalText, FieldErrors, PaymentResource, Pointer, Prefer, Problem,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::payments::{
    CaptureMethod, CreatePayment, LINE_ITEMS_MAX, LineItem, Order, PaymentIntent, PspName,
};
use domain::{Command, Currency, MerchantId, Name, PaymentId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::NewMethod;
use super::settle::{Wanted, settle};
use crate::limits::PAYMENT_BODY_BYTES_MAX;
use crate::metadata::checked_metadata;
use crate::names;
use crate::state::ApiState;

/// A payment to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "amount": "100.00",
    "currency": "USD",
    "capture_method": "automatic",
    "payment_method": {"token": "ok"},
    "reference": "order-1042",
    "customer": "cust-7"
}))]
pub(crate) struct NewPayment {
    /// What is to be paid, above zero and at most 9007199254740991 minor units, with at most as many decimals as
    /// the currency has.
    #[schema(value_type = String, example = "100.00")]
    amount: DecimalText,
    /// The upper-case ISO 4217 code.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// Whether the money is taken as soon as it is authorized; `automatic` where it is not given.
    #[schema(schema_with = names::capture_method)]
    capture_method: Option<String>,
    /// How it is paid; without one the payment waits for it.
    payment_method: Option<NewMethod>,
    /// The PSP that it must go to; where it is not given the platform chooses.
    #[schema(example = "alpha", min_length = 1, max_length = 32)]
    psp: Option<String>,
    /// Who pays, as the merchant calls them.
    #[schema(min_length = 1, max_length = 255)]
    customer: Option<String>,
    /// What the merchant calls the payment; need not be unique.
    #[schema(min_length = 1, max_length = 255)]
    reference: Option<String>,
    /// What statements say of it.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
    /// What is bought.
    #[schema(max_items = 100)]
    #[serde(default)]
    order: Vec<NewLineItem>,
}

/// A line of the order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLineItem {
    /// What it is.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// How many of it.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: u32,
    /// What one of it costs, in the payment's currency; zero for a gift.
    #[schema(value_type = String, example = "25.00")]
    unit_amount: DecimalText,
}

/// The most of one thing on a line.
const QUANTITY_MAX: u32 = 1_000_000;

/// Create a payment
///
/// With a method the payment is authorized at once and, unless `capture_method` is `manual`, captured
/// and booked. The answer waits for that a few seconds: 201 when it has come to rest, whatever came of
/// it; 202 while it is under way (also with `Prefer: respond-async`), to be looked up later.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments", request_body = NewPayment,
    params(
        ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait for the PSP"),
    ),
    responses(
        (status = 201, description = "It has come to rest, see `state`", body = PaymentResource,
         headers(("ETag" = String, description = "The payment's version"))),
        (status = 202, description = "Accepted and under way, see `state`", body = PaymentResource),
    )
)]
pub(crate) async fn create_payment(
    State(api): State<ApiState>,
    prefer: Prefer,
    envelope: CommandEnvelope<PAYMENT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let merchant_id = envelope.caller.merchant_id;
    let payment_id = PaymentId::from_uuid(api.store.ids().next());
    let new: NewPayment = envelope.json()?;
    let command = new.into_command(payment_id, merchant_id, api.psps.names())?;
    let wanted = Wanted { merchant_id, payment_id, refund: None, success: StatusCode::CREATED };
    settle(&api.store, envelope, Command::CreatePayment(command), wanted, prefer).await
}

impl NewPayment {
    fn into_command(
        self,
        payment_id: PaymentId,
        merchant_id: MerchantId,
        psps: Option<Vec<PspName>>,
    ) -> Result<CreatePayment, Problem> {
        let mut errors = FieldErrors::new();
        let errors_ = &mut errors;
        let sum = AmountDto { amount: self.amount, currency: self.currency };
        let amount = sum.positive(errors_, &Pointer::from(""));
        let capture_method = self.capture_method.as_deref();
        let capture_method = capture_method.map_or(Ok(CaptureMethod::Automatic), str::parse);
        let capture_method = errors_.check("/capture_method", capture_method);
        let at = Pointer::from("/payment_method");
        let method = match &self.payment_method {
            Some(method) => method.checked(errors_, &at).map(Some),
            None => Some(None),
        };
        let psp = errors_.check_optional("/psp", self.psp.map(|name| one_of(&name, psps)));
        let mut name = |at, text: Option<String>| {
            errors_.check_optional(at, text.map(|text| Name::parse(&text)))
        };
        let customer = name("/customer", self.customer);
        let reference = name("/reference", self.reference);
        let description = name("/description", self.description);
        let metadata = checked_metadata(&mut errors, "/metadata", self.metadata);
        let order = checked_order(&mut errors, &self.order, sum.currency.parse().ok());
        errors.finish(|| {
            let intent = PaymentIntent {
                amount: amount?,
                capture_method: capture_method?,
                psp: psp?,
                customer: customer?,
                reference: reference?,
                description: description?,
                metadata: metadata?,
                order: order?,
            };
            Some(CreatePayment { payment_id, merchant_id, intent, method: method? })
        })
    }
}

/// The PSP of that name, among those that there are.
fn one_of(name: &str, psps: Option<Vec<PspName>>) -> Result<PspName, String> {
    let psp: PspName = name.parse().map_err(|error| format!("{error}"))?;
    match psps {
        Some(psps) if !psps.contains(&psp) => {
            let names: Vec<&str> = psps.iter().map(PspName::as_str).collect();
            Err(format!("expected one of {}", names.join(", ")))
        }
        Some(_) | None => Ok(psp),
    }
}

/// The order; amounts that cannot be read for want of a currency are left to be named with that.
fn checked_order(
    errors: &mut FieldErrors,
    lines: &[NewLineItem],
    currency: Option<Currency>,
) -> Option<Order> {
    let all = Pointer::from("/order");
    if lines.len() > LINE_ITEMS_MAX {
        return errors.check(all, Order::new(Vec::new()).and(Err::<Order, _>("at most 100 lines")));
    }
    let mut checked = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let at = all.index(index);
        let name = errors.check(at.key("name"), Name::parse(&line.name));
        let quantity = match line.quantity {
            1..=QUANTITY_MAX => Ok(line.quantity),
            _ => Err("expected 1 to 1000000"),
        };
        let quantity = errors.check(at.key("quantity"), quantity);
        let unit = line.unit_amount.signed(currency?).map_err(|error| error.to_string());
        let unit = unit.and_then(|money| match money.minor {
            0.. => Ok(money.minor),
            _ => Err("expected zero or more".to_owned()),
        });
        let unit = errors.check(at.key("unit_amount"), unit);
        if let (Some(name), Some(quantity), Some(unit_amount_minor)) = (name, quantity, unit) {
            checked.push(LineItem { name, quantity, unit_amount_minor });
        }
    }
    errors.check(all, Order::new(checked))
}
